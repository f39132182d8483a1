// Every flow with oauth4webapi, which is strict about what a server answers.
// Reads who and where from standard input, and says each promise that was kept.

import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import * as oauth from "oauth4webapi";
import { Visitor } from "./visitor.mjs";

const { issuer, user, password, web, native, television } = JSON.parse(await text(process.stdin));

const discovered = await oauth.discoveryRequest(new URL(issuer), { algorithm: "oauth2" });
const server = await oauth.processDiscoveryResponse(new URL(issuer), discovered);
await assert.rejects(
  oauth
    .discoveryRequest(new URL(issuer), { algorithm: "oauth2" })
    .then((answer) => oauth.processDiscoveryResponse(new URL("https://other.example"), answer)),
  { code: oauth.JSON_ATTRIBUTE_COMPARISON },
);
console.log("discovery");

/** Whether this fails with an error of RFC 6749, and with this status. */
const fails = (promise, error, status) =>
  assert.rejects(promise, (thrown) => {
    assert.ok(thrown instanceof oauth.ResponseBodyError, String(thrown));
    assert.deepEqual([thrown.error, thrown.status], [error, status]);
    assert.ok(thrown.error_description.length > 10);
    return true;
  });
/** Whether this fails with a challenge of this scheme. */
const challenged = (promise, scheme, error) =>
  assert.rejects(promise, (thrown) => {
    assert.ok(thrown instanceof oauth.WWWAuthenticateChallengeError, String(thrown));
    assert.equal(thrown.status, 401);
    const [challenge] = thrown.cause;
    assert.equal(challenge.scheme, scheme);
    assert.equal(challenge.parameters.error, error);
    return true;
  });

const clients = [
  { client: { client_id: web.id }, auth: oauth.ClientSecretBasic(web.secret), redirect: web.redirect },
  { client: { client_id: web.id }, auth: oauth.ClientSecretPost(web.secret), redirect: web.redirect },
  { client: { client_id: native.id }, auth: oauth.None(), redirect: native.redirect },
];

/** A request, and what its answer is checked against. */
async function request({ client, redirect }, parameters = {}) {
  const [verifier, state] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState()];
  const url = new URL(server.authorization_endpoint);
  const all = {
    client_id: client.client_id,
    redirect_uri: redirect,
    response_type: "code",
    scope: "profile flights:read",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    ...parameters,
  };
  for (const [name, value] of Object.entries(all)) url.searchParams.set(name, value);
  return { url: url.href, verifier, state };
}

/** Asks a user, who decides so. */
async function asked(visitor, url, decision) {
  const page = await visitor.openAs(url, user, password);
  return page.left ?? (await visitor.send(page, "scope", { decision })).left;
}

async function exchange({ client, auth, redirect }, parameters, verifier) {
  const answer = await oauth.authorizationCodeGrantRequest(server, client, auth, parameters, redirect, verifier);
  return oauth.processAuthorizationCodeResponse(server, client, answer);
}

const refresh = async ({ client, auth }, token) =>
  oauth.processRefreshTokenResponse(
    server,
    client,
    await oauth.refreshTokenGrantRequest(server, client, auth, token),
  );

const introspect = async (token) => {
  const [{ client, auth }] = clients;
  const answer = await oauth.introspectionRequest(server, client, auth, token);
  return oauth.processIntrospectionResponse(server, client, answer);
};

const userinfo = async (client, subject, token) =>
  oauth.processUserInfoResponse(server, client, subject, await oauth.userInfoRequest(server, client, token));

for (const partner of clients) {
  const { client, auth } = partner;
  const visitor = new Visitor();

  const denied = await request(partner);
  const back = await asked(visitor, denied.url, "deny");
  assert.throws(() => oauth.validateAuthResponse(server, client, back, denied.state), {
    code: oauth.AUTHORIZATION_RESPONSE_ERROR,
    error: "access_denied",
  });

  // Answers that somebody else made, or that were meant for another request.
  const { url, verifier, state } = await request(partner);
  const answered = await asked(visitor, url, "allow");
  const forged = new URL(answered);
  forged.searchParams.set("iss", "https://other.example");
  for (const [parameters, expected] of [
    [forged, state],
    [answered, oauth.generateRandomState()],
  ]) {
    assert.throws(() => oauth.validateAuthResponse(server, client, parameters, expected), {
      code: oauth.INVALID_RESPONSE,
    });
  }

  const parameters = oauth.validateAuthResponse(server, client, answered, state);
  await fails(exchange(partner, parameters, oauth.generateRandomCodeVerifier()), "invalid_grant", 400);
  const first = await exchange(partner, parameters, verifier);
  assert.deepEqual(new Set(first.scope.split(" ")), new Set(["flights:read", "profile"]));
  assert.equal(first.token_type, "bearer");

  const claims = await userinfo(client, "pilot:anna", first.access_token);
  assert.equal(claims.username, user);
  await assert.rejects(userinfo(client, "pilot:berta", first.access_token), {
    code: oauth.JSON_ATTRIBUTE_COMPARISON,
  });
  await challenged(userinfo(client, "pilot:anna", "nonsense"), "bearer", "invalid_token");

  const second = await refresh(partner, first.refresh_token);
  assert.notEqual(second.refresh_token, first.refresh_token);
  if (partner !== clients[2]) {
    const live = await introspect(second.access_token);
    assert.deepEqual(
      [live.active, live.sub, live.client_id, live.iss],
      [true, "pilot:anna", client.client_id, issuer],
    );
  }
  // A refresh token that comes again ends the grant.
  await fails(refresh(partner, first.refresh_token), "invalid_grant", 400);
  await challenged(userinfo(client, "pilot:anna", second.access_token), "bearer", "invalid_token");
  await fails(refresh(partner, second.refresh_token), "invalid_grant", 400);

  // So does a code.
  const again = await request(partner);
  const once = oauth.validateAuthResponse(
    server,
    client,
    await asked(new Visitor(), again.url, "allow"),
    again.state,
  );
  const third = await exchange(partner, once, again.verifier);
  await fails(exchange(partner, once, again.verifier), "invalid_grant", 400);
  await challenged(userinfo(client, "pilot:anna", third.access_token), "bearer", "invalid_token");

  // And a revocation, which may be repeated.
  const last = await request(partner);
  const granted = oauth.validateAuthResponse(
    server,
    client,
    await asked(new Visitor(), last.url, "allow"),
    last.state,
  );
  const tokens = await exchange(partner, granted, last.verifier);
  for (let count = 0; count < 2; count += 1) {
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(server, client, auth, tokens.refresh_token),
    );
  }
  await challenged(userinfo(client, "pilot:anna", tokens.access_token), "bearer", "invalid_token");
  await fails(refresh(partner, tokens.refresh_token), "invalid_grant", 400);
  console.log("authorization_code", client.client_id === native.id ? "public" : "confidential");
}

for (const [wish, error] of [
  [{ scope: "flights:read nonsense" }, "invalid_scope"],
  [{ response_type: "token" }, "unsupported_response_type"],
  [{ code_challenge_method: "plain" }, "invalid_request"],
  [{ prompt: "none" }, "login_required"],
]) {
  const { url, state } = await request(clients[0], wish);
  const { left } = await new Visitor().open(url);
  assert.throws(() => oauth.validateAuthResponse(server, clients[0].client, left, state), {
    code: oauth.AUTHORIZATION_RESPONSE_ERROR,
    error,
  });
}
console.log("authorization errors");

const own = async (client, auth, parameters = {}) =>
  oauth.processClientCredentialsResponse(
    server,
    client,
    await oauth.clientCredentialsGrantRequest(server, client, auth, parameters),
  );
for (const { client, auth } of clients.slice(0, 2)) {
  const tokens = await own(client, auth, { scope: "flights:read" });
  assert.equal(tokens.refresh_token, undefined);
  assert.equal((await introspect(tokens.access_token)).sub, client.client_id);
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(server, client, auth, tokens.access_token),
  );
  assert.deepEqual(await introspect(tokens.access_token), { active: false });
  await fails(own(client, auth, { scope: "flights:delete" }), "invalid_scope", 400);
}
const impostor = { client_id: web.id };
await challenged(own(impostor, oauth.ClientSecretBasic("wrong")), "basic", "invalid_client");
await challenged(own(impostor, oauth.ClientSecretPost("wrong")), "basic", undefined);
await challenged(own(impostor, oauth.None()), "basic", undefined);
await fails(own({ client_id: native.id }, oauth.None()), "unauthorized_client", 400);
console.log("client_credentials");

const tv = { client_id: television.id };
const begin = async () =>
  oauth.processDeviceAuthorizationResponse(
    server,
    tv,
    await oauth.deviceAuthorizationRequest(server, tv, oauth.None(), { scope: "profile flights:read" }),
  );
const poll = async (device) =>
  oauth.processDeviceCodeResponse(
    server,
    tv,
    await oauth.deviceCodeGrantRequest(server, tv, oauth.None(), device.device_code),
  );
const decide = async (device, decision) => {
  const visitor = new Visitor();
  const page = await visitor.openAs(device.verification_uri_complete, user, password);
  assert.ok(page.html.includes(device.user_code));
  const done = await visitor.send(page, "scope", { decision });
  assert.equal(done.status, 200);
};

const device = await begin();
const refused = await begin();
await fails(poll(device), "authorization_pending", 400);
await fails(poll(device), "slow_down", 400);
// Whoever does as told by then is not told to slow down again.
await new Promise((done) => setTimeout(done, (device.interval + 5) * 1000));
await fails(poll(device), "authorization_pending", 400);
await decide(device, "allow");
const tokens = await poll(device);
assert.equal((await userinfo(tv, "pilot:anna", tokens.access_token)).username, user);
await refresh({ client: tv, auth: oauth.None() }, tokens.refresh_token);
await fails(poll(device), "invalid_grant", 400);
await decide(refused, "deny");
await fails(poll(refused), "access_denied", 400);
await fails(poll({ device_code: "nonsense" }), "invalid_grant", 400);
console.log("device_code");
