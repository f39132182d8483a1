//! Nothing that a user or an application was told is lost in a crash, and
//! nothing that was used up or revoked comes back, at whatever point of a flow
//! the gateway dies.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use serde_json::json;

use crate::{
    authorization::request,
    browser::{Browser, add_user},
    client::Call,
    gateway::Gateway,
    grants::{
        Pair, annas, application, code_call, decide, device_begins, device_call, device_codes,
        passkey, refresh_call,
    },
    harness::{Credentials, Site, within},
    oauth::{REVOKE, TOKEN, token_about},
    upstream::Upstream,
};

/// Crashes, all on the same data.
const ROUNDS: usize = 50;

/// The applications: each flow has one, so that what ends one grant leaves the
/// others alone.
const FLOWS: [&str; 6] = ["code", "chain", "retry", "device", "passkey", "revoke"];

/// What the client of one flow knows by the answers that it got.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The user has allowed it, and nobody took that back.
    consented: Option<bool>,
    /// A code, device code, passkey or refresh token that was not used.
    fresh: Option<String>,
    /// The one that was sent when the gateway died: used, or not.
    unsure: Option<String>,
    /// The one that was used last.
    used: Option<String>,
    /// A device code that nobody has approved.
    pending: Option<String>,
    /// Tokens that work.
    alive: Vec<String>,
    /// Tokens that do not.
    dead: Vec<String>,
}

type Ledger = RefCell<BTreeMap<&'static str, Known>>;

/// One gateway, Anna's browser, and what is known.
struct Round<'a> {
    gateway: &'a Gateway,
    browser: &'a Browser<'a>,
    clients: &'a BTreeMap<&'static str, Credentials>,
    ledger: &'a Ledger,
}

impl Round<'_> {
    fn client(&self, flow: &str) -> &Credentials {
        &self.clients[flow]
    }

    fn note(&self, flow: &'static str, what: impl FnOnce(&mut Known)) {
        what(self.ledger.borrow_mut().entry(flow).or_default());
    }

    fn known(&self, flow: &'static str) -> Known {
        self.ledger.borrow_mut().entry(flow).or_default().clone()
    }

    /// A code, if the gateway lives long enough.
    async fn code(&self, flow: &'static str) -> Option<String> {
        let path = request(self.client(flow), &[]);
        let mut page = self.browser.try_open(&path).await?;
        let (asked, consented) = (page.left_for.is_none(), self.known(flow).consented);
        assert_ne!(Some(asked), consented, "{flow}: {page:?}");
        if asked {
            self.note(flow, |known| known.consented = None);
            let form = page.form("scope").with("decision", "allow");
            page = self.browser.try_send(&form).await?;
        }
        let code = page.parameters()["code"].clone();
        self.note(flow, |known| known.consented = Some(true));
        Some(code)
    }

    /// Sends what can be sent once, and notes what came of it.
    async fn exchange(&self, flow: &'static str, call: Call) -> Option<Pair> {
        // Time to die before it was sent.
        self.browser.try_open("/account").await?;
        self.note(flow, |known| known.unsure = known.fresh.take());
        let answer = self.gateway.try_answer(call).await?;
        let pair = Pair::of(&answer);
        self.note(flow, |known| {
            known.used = known.unsure.take();
            known.alive.push(pair.access.clone());
        });
        Some(pair)
    }

    /// Codes, one after the other.
    async fn codes(&self) -> Option<()> {
        loop {
            let code = self.code("code").await?;
            self.note("code", |known| known.fresh = Some(code.clone()));
            let call = code_call(self.client("code"), &code);
            self.exchange("code", call).await?;
        }
    }

    /// A chain of refresh tokens.
    async fn chain(&self, flow: &'static str) -> Option<()> {
        loop {
            let pair = if let Some(token) = self.known(flow).fresh {
                let call = refresh_call(self.client(flow), &token);
                self.exchange(flow, call).await?
            } else {
                let code = self.code(flow).await?;
                let call = code_call(self.client(flow), &code);
                Pair::of(&self.gateway.try_answer(call).await?)
            };
            self.note(flow, |known| known.fresh = Some(pair.refresh));
        }
    }

    /// Devices, one after the other.
    async fn devices(&self) -> Option<()> {
        loop {
            let client = self.client("device");
            let begun = self.gateway.try_answer(device_begins(client)).await?;
            let (device, user) = device_codes(&begun);
            self.note("device", |known| known.pending = Some(device.clone()));
            let waiting = self.gateway.try_answer(device_call(client, &device));
            assert_eq!(waiting.await?.oauth_error(), "authorization_pending");
            // From here on it may be approved, and nobody knows.
            self.note("device", |known| known.pending = None);
            decide(self.browser, &user, "allow").await?;
            self.note("device", |known| known.fresh = Some(device.clone()));
            let call = device_call(client, &device);
            self.exchange("device", call).await?;
        }
    }

    /// Passkeys, one after the other.
    async fn passkeys(&self) -> Option<()> {
        loop {
            let typed = passkey(self.browser).await?;
            self.note("passkey", |known| known.fresh = Some(typed.clone()));
            self.type_in(&typed).await?.unwrap();
        }
    }

    /// Types a passkey: the tokens that it leads to, if it is good.
    async fn type_in(&self, typed: &str) -> Option<Result<(), u16>> {
        let client = self.client("passkey");
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", crate::grants::CALLBACK)
            .finish();
        let stranger = Browser::new(self.gateway);
        let path = format!("/logbook/logbookuserauth/?{query}");
        let form = stranger.try_open(&path).await?.form("passkey");
        self.note("passkey", |known| known.unsure = known.fresh.take());
        let page = stranger.try_send(&form.with("passkey", typed)).await?;
        if page.left_for.is_none() {
            return Some(Err(page.answer.status));
        }
        self.note("passkey", |known| known.used = known.unsure.take());
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*page.parameters()["code"]),
        ];
        let call = Call::form(TOKEN, &form).basic(&client.id, &client.secret);
        let answer = self.gateway.try_answer(call).await?;
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        self.note("passkey", |known| known.alive.push(token));
        Some(Ok(()))
    }

    /// Grants that begin and are revoked.
    async fn revocations(&self) -> Option<()> {
        loop {
            let client = self.client("revoke");
            let code = self.code("revoke").await?;
            let answer = self.gateway.try_answer(code_call(client, &code)).await?;
            let pair = Pair::of(&answer);
            self.note("revoke", |known| known.alive = vec![pair.access.clone()]);
            self.note("revoke", |known| {
                known.alive.clear();
                known.consented = None;
            });
            let call = token_about(REVOKE, client, &pair.refresh);
            let answer = self.gateway.try_answer(call).await?;
            assert_eq!(answer.status, 200, "{answer:?}");
            self.note("revoke", |known| {
                known.consented = Some(false);
                known.dead.push(pair.access);
                known.used = Some(pair.refresh);
            });
        }
    }

    /// All flows at once, until the gateway dies under them.
    async fn run(&self, life: Duration) {
        let mut flows: Vec<LocalBoxFuture<'_, Option<()>>> = vec![
            self.codes().boxed_local(),
            self.chain("chain").boxed_local(),
            self.chain("retry").boxed_local(),
            self.devices().boxed_local(),
            self.passkeys().boxed_local(),
            self.revocations().boxed_local(),
        ];
        let crash = async {
            tokio::time::sleep(life).await;
            self.gateway.crash();
            None
        };
        flows.push(crash.boxed_local());
        within(
            "the end of all flows",
            futures_util::future::join_all(flows),
        )
        .await;
    }

    /// What this gateway says is what the clients know; afterwards each begins
    /// anew. Counts what was tried: what was fresh, what nobody knew of, and
    /// what was used up.
    async fn verify(&self, tried: &mut [usize; 3]) {
        let page = self.browser.open("/account").await;
        assert!(page.has("Your account"), "still signed in: {page:?}");
        for flow in FLOWS {
            let known = self.known(flow);
            let client = self.client(flow);
            for token in &known.alive {
                assert_eq!(self.gateway.list_status(token).await, 200, "{flow}");
            }
            for token in &known.dead {
                assert_eq!(self.gateway.list_status(token).await, 401, "{flow}");
            }
            let asked = async || {
                let page = self.browser.open(&request(client, &[])).await;
                page.left_for.is_none()
            };
            if flow != "passkey"
                && flow != "device"
                && let Some(consented) = known.consented
            {
                assert_eq!(asked().await, !consented, "{flow}: {known:?}");
            }
            let [fresh, unsure, used] = match flow {
                "passkey" => self.verify_passkey(&known).await,
                _ => self.verify_exchange(flow, &known).await,
            };
            let found = format!("{flow}: {known:?}");
            assert!(fresh.is_none_or(|worked| worked), "{found}");
            assert!(!used.unwrap_or_default(), "{found}");
            if flow == "retry" {
                assert!(unsure.is_none_or(|worked| worked), "{found}");
            }
            for (count, tried) in tried.iter_mut().zip([fresh, unsure, used]) {
                *count += usize::from(tried.is_some());
            }
            // A replay has ended it all, for good; unless it was another grant's.
            if used.is_some() && !matches!(flow, "passkey" | "revoke") {
                for token in &known.alive {
                    assert_eq!(self.gateway.list_status(token).await, 401, "{found}");
                }
            }
            if let Some(pending) = &known.pending {
                let answer = self.gateway.answer(device_call(client, pending)).await;
                let error = answer.oauth_error();
                assert!(
                    matches!(&*error, "authorization_pending" | "slow_down"),
                    "{answer:?}"
                );
            }
            let dead = known.dead;
            let dead = dead.into_iter().rev().take(20).collect();
            self.note(flow, |known| {
                *known = Known {
                    dead,
                    ..Known::default()
                };
            });
        }
    }

    /// Whether what was fresh, what nobody knows of, and what was used works.
    async fn verify_exchange(&self, flow: &str, known: &Known) -> [Option<bool>; 3] {
        let client = self.client(flow);
        let mut worked = [None; 3];
        for (worked, text) in worked
            .iter_mut()
            .zip([&known.fresh, &known.unsure, &known.used])
        {
            let Some(text) = text else { continue };
            let call = match flow {
                "code" => code_call(client, text),
                "device" => device_call(client, text),
                _ => refresh_call(client, text),
            };
            let answer = self.gateway.answer(call).await;
            if answer.status != 200 {
                assert_eq!(answer.oauth_error(), "invalid_grant", "{flow}");
            }
            *worked = Some(answer.status == 200);
        }
        worked
    }

    async fn verify_passkey(&self, known: &Known) -> [Option<bool>; 3] {
        let mut worked = [None; 3];
        for (worked, typed) in worked
            .iter_mut()
            .zip([&known.fresh, &known.unsure, &known.used])
        {
            let Some(typed) = typed else { continue };
            *worked = Some(self.type_in(typed).await.unwrap().is_ok());
        }
        worked
    }
}

/// Between nothing and long enough for each flow to have come round.
fn some_time() -> Duration {
    Duration::from_micros(RandomState::new().hash_one(()) % 400_000)
}

#[tokio::test]
async fn what_a_flow_was_told_survives_kill_9() {
    let upstream = Upstream::ok().await;
    let (site, mut gateway) = Site::running_with(upstream.address, |site| {
        let profiles = &mut site.config["profiles"];
        profiles["retry"] = json!({
            "refresh": {"rotation": "singleUse", "ttl": "90d", "retryWindow": "1h"},
        });
        profiles["passkey"] = json!({"pkce": "optional"});
        let surfaces = site.config["surfaces"].as_array_mut().unwrap();
        surfaces.push(json!({"logbook": {"base": "/logbook"}}));
        for flow in FLOWS {
            let (grants, more) = match flow {
                "device" => ("device_code, refresh_token", ""),
                "passkey" => ("passkey", "  profile: passkey\n"),
                "retry" => ("authorization_code, refresh_token", "  profile: retry\n"),
                _ => ("authorization_code, refresh_token", ""),
            };
            site.manifest(flow, &application(flow, grants, more));
        }
    })
    .await;
    add_user(&site, "anna", &["--subject", "pilot:anna"]).await;
    let clients = FLOWS.map(|flow| (flow, site.credentials(flow))).into();
    let ledger = Ledger::default();
    let mut cookies = annas(&gateway).await.cookies();
    let (mut counts, mut tried) = (BTreeMap::new(), [0; 3]);
    for _ in 0..ROUNDS {
        let browser = Browser::with_cookies_of(&gateway, cookies);
        let round = Round {
            gateway: &gateway,
            browser: &browser,
            clients: &clients,
            ledger: &ledger,
        };
        round.run(some_time()).await;
        cookies = browser.cookies();
        // Not before it is gone: it holds the store until then.
        gateway.kill();
        gateway = site.start().await;
        for (flow, known) in &*ledger.borrow() {
            *counts.entry(*flow).or_insert(0) += known.alive.len() + known.dead.len();
        }
        let browser = Browser::with_cookies_of(&gateway, cookies);
        let round = Round {
            gateway: &gateway,
            browser: &browser,
            clients: &clients,
            ledger: &ledger,
        };
        round.verify(&mut tried).await;
        cookies = browser.cookies();
    }
    for flow in FLOWS {
        assert!(counts[flow] > ROUNDS / 5, "{counts:?}");
    }
    assert!(tried.iter().all(|count| *count > ROUNDS / 5), "{tried:?}");

    // Out is out, too.
    let session = cookies.clone();
    let browser = Browser::with_cookies_of(&gateway, cookies);
    let leave = browser.open("/account").await;
    browser.send(&leave.form_with("action=\"/sign-out\"")).await;
    gateway.kill();
    gateway = site.start().await;
    let browser = Browser::with_cookies_of(&gateway, session);
    let page = browser.open("/account").await;
    assert!(page.has("name=\"password\""), "{page:?}");
}
