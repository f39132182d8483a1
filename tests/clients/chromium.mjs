// Every page in Debian's Chromium, without JavaScript: what people do, and that
// the policies which only a browser applies let it pass.
// With SCREENSHOTS, a folder, each page is drawn into it: light and dark, narrow
// and wide. Ends with 77 where there is no Chromium.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";

const settings = JSON.parse(await text(process.stdin));
const { issuer, user, web, native, television, diary } = settings;
let { password } = settings;

const find = () => {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      return execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
    } catch {}
  }
  process.exit(77);
};
const browser = await chromium.launch({
  executablePath: find(),
  // In a container nobody but root may be there, and /dev/shm is small.
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});

/** A browser of its own; whatever it complains of fails the test. */
async function fresh() {
  const context = await browser.newContext({ javaScriptEnabled: false, ignoreHTTPSErrors: true });
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    // Chromium writes down the status of each page that is refused on purpose.
    if (!/^Failed to load resource: the server responded with a status of 4/.test(message.text()))
      page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("requestfailed", (request) => page.complaints.push(`${request.url()} ${request.failure()?.errorText}`));
  return page;
}

async function draw(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [390, 1280]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      await page.screenshot({ path: `${folder}/${name}-${colorScheme}-${width}.png`, fullPage: true });
    }
  }
}

/** The buttons of a decision take no click at first. */
async function decide(page, name) {
  await page.waitForTimeout(700);
  await page.getByRole("button", { name, exact: true }).click();
}

async function signIn(page, word = password) {
  await page.getByLabel("User name").fill(user);
  await page.getByLabel("Password", { exact: true }).fill(word);
  await page.getByRole("button", { name: "Sign in" }).click();
}

const challenge = (verifier) => createHash("sha256").update(verifier).digest("base64url");

function request(client, more = {}) {
  const verifier = randomBytes(32).toString("base64url");
  const url = new URL(`${issuer}/api/oauth/authorize`);
  const parameters = {
    response_type: "code",
    client_id: client.id,
    redirect_uri: client.redirect,
    state: "here & there",
    code_challenge: challenge(verifier),
    code_challenge_method: "S256",
    ...more,
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return { url: url.href, verifier };
}

/** Where the browser is now, which must be the client's own place. The logbook
 * surface answers with code and state alone. */
async function arrived(page, redirect, iss = issuer) {
  await page.waitForURL((url) => url.href.startsWith(`${redirect}?`));
  const { searchParams } = new URL(page.url());
  assert.equal(searchParams.get("iss"), iss);
  return searchParams;
}

async function post(path, form, client) {
  const headers = client.secret
    ? { authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString("base64")}` }
    : {};
  const body = new URLSearchParams(client.secret ? form : { client_id: client.id, ...form });
  const answer = await fetch(`${issuer}${path}`, { method: "POST", body, headers });
  return { status: answer.status, ...(await answer.json()) };
}

const exchange = (client, code, verifier) =>
  post(
    "/api/oauth/token",
    { grant_type: "authorization_code", code, redirect_uri: client.redirect, code_verifier: verifier },
    client,
  );

/** What a user who was never here sees first. */
const page = await fresh();
const wish = request(web, { login_hint: "ann" });
await page.goto(wish.url);
await draw(page, "sign-in");
assert.equal(await page.getByLabel("User name").inputValue(), "ann");
await signIn(page, "not the password");
await page.getByRole("alert").waitFor();
await draw(page, "sign-in-refused");
await signIn(page);
console.log("sign-in");

await page.getByRole("heading", { name: "Acme Logbook" }).waitFor();
await draw(page, "consent");
for (const box of await page.getByRole("checkbox").all()) await box.uncheck();
await decide(page, "Allow");
await page.getByRole("alert").waitFor();
await draw(page, "consent-nothing");
await page.getByLabel("See your flights").check();
await page.getByLabel("See your user name").check();
await page.getByLabel("Upload flights for you").uncheck();
await decide(page, "Allow");
const back = await arrived(page, web.redirect);
assert.equal(back.get("state"), "here & there");
const tokens = await exchange(web, back.get("code"), wish.verifier);
assert.deepEqual(new Set(tokens.scope.split(" ")), new Set(["flights:read", "profile"]));
console.log("consent");

await page.goto(request(web, { prompt: "consent" }).url);
await decide(page, "Deny");
assert.equal((await arrived(page, web.redirect)).get("error"), "access_denied");
console.log("denial");

const app = request(native);
await page.goto(app.url);
await draw(page, "consent-native");
await decide(page, "Allow");
const code = (await arrived(page, native.redirect)).get("code");
assert.equal((await exchange(native, code, app.verifier)).status, 200);
console.log("public client");

const begin = () => post("/api/oauth/device_authorization", {}, television);
const device = await begin();
const other = await begin();
const tv = await fresh();
await tv.goto(device.verification_uri_complete);
await signIn(tv);
await tv.getByText(device.user_code).waitFor();
await draw(tv, "device-confirm");
await decide(tv, "Allow");
await tv.getByRole("heading", { name: "connected" }).waitFor();
await draw(tv, "device-done");
await tv.goto(device.verification_uri);
await draw(tv, "device-entry");
await tv.getByLabel("Code").fill("BBBB-BBBB");
await tv.getByRole("button", { name: "Continue" }).click();
await tv.getByRole("alert").waitFor();
await draw(tv, "device-unknown");
await tv.getByLabel("Code").fill(other.user_code.toLowerCase());
await tv.getByRole("button", { name: "Continue" }).click();
await decide(tv, "Deny");
await tv.getByRole("heading", { name: "not connected" }).waitFor();
await draw(tv, "device-denied");
const grant = "urn:ietf:params:oauth:grant-type:device_code";
const polled = (code) => post("/api/oauth/token", { grant_type: grant, device_code: code }, television);
assert.equal((await polled(device.device_code)).status, 200);
assert.equal((await polled(other.device_code)).error, "access_denied");
console.log("device");

await page.goto(`${issuer}/account`);
for (const name of ["Acme Logbook", "Pocket Variometer", "Clubhouse Screen"]) {
  await page.getByRole("heading", { name }).waitFor();
}
await draw(page, "account");
await page.getByRole("button", { name: "Make a passkey" }).click();
const passkey = (await page.locator(".code").textContent()).trim();
assert.equal(passkey.length, 8);
await draw(page, "passkey-fresh");
console.log("account");

const place = new URL(`${issuer}/logbook/logbookuserauth/`);
place.searchParams.set("client_id", diary.id);
place.searchParams.set("redirect_uri", diary.redirect);
place.searchParams.set("state", "s");
const stranger = await fresh();
await stranger.goto(place.href);
await stranger.getByText("See your flights").waitFor();
await draw(stranger, "passkey-entry");
await stranger.getByLabel("Logbook Passkey").fill("AAAAAAAA");
await decide(stranger, "Authorize");
await stranger.getByRole("alert").waitFor();
await draw(stranger, "passkey-refused");
await stranger.getByLabel("Logbook Passkey").fill(passkey.toLowerCase());
await decide(stranger, "Authorize");
const brought = (await arrived(stranger, diary.redirect, null)).get("code");
const form = { grant_type: "authorization_code", code: brought, redirect_uri: diary.redirect };
const entry = await post("/logbook/api/token/", { ...form, client_id: diary.id, client_secret: diary.secret }, { id: diary.id });
assert.equal(entry.status, 200);
console.log("passkey");

const words = "a westerly over the Rhön in May";
await page.goto(`${issuer}/account`);
const change = async (current, next) => {
  await page.getByLabel("Current password").fill(current);
  await page.getByLabel("New password", { exact: true }).fill(next);
  await page.getByLabel("New password, once more").fill(next);
  await page.getByRole("button", { name: "Change password" }).click();
};
await change("not the password", words);
await page.getByRole("alert").waitFor();
await draw(page, "password-refused");
await change(password, words);
await page.getByText("Your password is changed").waitFor();
password = words;
// All other sessions are over.
await tv.goto(`${issuer}/account`);
await signIn(tv);
await tv.getByRole("heading", { name: "Your account" }).waitFor();
console.log("password");

await page.getByRole("button", { name: "Disconnect Acme Logbook" }).click();
await page.getByText("is disconnected").waitFor();
await draw(page, "account-disconnected");
const refreshed = await post(
  "/api/oauth/token",
  { grant_type: "refresh_token", refresh_token: tokens.refresh_token },
  web,
);
assert.equal(refreshed.error, "invalid_grant");
console.log("disconnect");

await page.getByRole("button", { name: "Sign out", exact: true }).click();
await draw(page, "signed-out");
await page.goto(`${issuer}/account`);
await page.getByLabel("User name").waitFor();
await tv.getByRole("button", { name: "Sign out everywhere" }).click();
await tv.getByLabel("User name").waitFor();
await page.goto(request(web, { redirect_uri: "https://elsewhere.example/cb" }).url);
await draw(page, "message");
for (const one of [page, tv, stranger]) assert.deepEqual(one.complaints, []);
console.log("sign-out");
await browser.close();
