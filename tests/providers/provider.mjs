// An OpenID Connect provider on a free port of loopback, until its standard
// input ends. The first line that it writes is its issuer identifier.
//
// Who signs in, and whether they may, is set by POST /next with JSON:
// {"account": "…", "claims": {…}} or {"error": "access_denied"}.
import http from 'node:http';
import { Provider } from 'oidc-provider';

const server = http.createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const { CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env;

let next = { account: 'nobody' };
const claims = new Map();

const provider = new Provider(issuer, {
  clients: [{ client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: [REDIRECT_URI] }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username', 'groups'] },
  cookies: { keys: ['for tests alone'] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ ...claims.get(id), sub: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: CLIENT_ID, accountId: oidc.session.accountId });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
  pkce: { required: () => true },
});

const answer = provider.callback();
server.on('request', async (request, response) => {
  try {
    if (request.method === 'POST' && request.url === '/next') {
      const pieces = await request.toArray();
      next = JSON.parse(Buffer.concat(pieces));
      if (next.claims) claims.set(next.account, next.claims);
      response.end();
    } else if (request.url.startsWith('/interaction/')) {
      const result = next.error ? { error: next.error } : { login: { accountId: next.account } };
      await provider.interactionFinished(request, response, result);
    } else {
      answer(request, response);
    }
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
});
process.stdin.resume().on('end', () => process.exit(0));
console.log(issuer);
