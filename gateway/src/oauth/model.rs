//! The token engine against a model of it that is small enough to be believed:
//! random sequences of grant, exchange, refresh, replay, revocation and time,
//! for clients of every refresh policy.

use std::sync::Arc;

use crds::gateway_config::GatewayConfig;
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    code::{self, Approval},
    error::Error,
    form::Form,
    introspect,
    issue::Tokens,
    refresh,
};
use crate::{
    clock::{Clock, ManualClock, System},
    gateway::Gateway,
    registry::{Client, Loaded, Registry, last_use::LastUses},
};

const CONFIG: &str = "
issuer: https://localhost
tls: {selfSigned: true}
store: {sled: {path: PATH/data, cacheMib: 1, reserveMib: 1}}
keys: {path: PATH/keys}
scopes: [{name: a, title: A}, {name: b, title: B}, {name: c, title: C}]
profiles:
  single: {accessTtl: 100s, codeTtl: 50s, refresh: {rotation: singleUse, ttl: 300s}}
  retry: {accessTtl: 100s, codeTtl: 50s, refresh: {rotation: singleUse, ttl: 300s, retryWindow: 20s}}
  grace: {accessTtl: 100s, codeTtl: 50s, refresh: {rotation: grace, window: 70s, ttl: 300s, lifetime: absolute}}
  none: {accessTtl: 100s, codeTtl: 50s, refresh: {rotation: none}}
";
const CLIENTS: [&str; 4] = ["single", "retry", "grace", "none"];
const ACCESS: u64 = 100;
const CODE: u64 = 50;
const REFRESH: u64 = 300;
const RETRY: u64 = 20;
const GRACE: u64 = 70;

/// What is done next. Codes and tokens count from the last one.
#[derive(Clone, Debug)]
enum Step {
    Approve { client: usize, scopes: u8 },
    Exchange { code: usize },
    Refresh { token: usize, scopes: Option<u8> },
    Revoke { client: usize },
    Wait { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS.len();
    prop_oneof![
        4 => (client.clone(), 1..8_u8).prop_map(|(client, scopes)| Step::Approve { client, scopes }),
        6 => (0..3_usize).prop_map(|code| Step::Exchange { code }),
        12 => (0..4_usize, proptest::option::weighted(0.3, 1..8_u8))
            .prop_map(|(token, scopes)| Step::Refresh { token, scopes }),
        1 => client.prop_map(|client| Step::Revoke { client }),
        4 => prop_oneof![8 => 1..15_u64, 1 => 40..80_u64, 1 => 90..350_u64]
            .prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// What the model knows of a code.
struct Code {
    client: usize,
    epoch: u64,
    scopes: u8,
    until: u64,
    used: bool,
    text: String,
}

/// What the model knows of a refresh token.
struct Refresh {
    client: usize,
    epoch: u64,
    scopes: u8,
    until: u64,
    used_at: Option<u64>,
    successor: Option<Successor>,
    text: String,
}

struct Successor {
    index: usize,
    access: usize,
}

/// What the model knows of an access token.
struct Access {
    client: usize,
    epoch: u64,
    until: u64,
    text: String,
}

#[derive(Default)]
struct Model {
    /// Of each client, which consent is in force.
    epochs: [Option<u64>; CLIENTS.len()],
    next_epoch: u64,
    codes: Vec<Code>,
    refreshes: Vec<Refresh>,
    accesses: Vec<Access>,
}

struct World {
    _folder: TempDir,
    gateway: Arc<Gateway>,
    clock: Arc<ManualClock>,
    clients: Vec<Arc<Client>>,
    model: Model,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = CONFIG.replace("PATH", folder.path().to_str().unwrap());
        let config = Arc::new(GatewayConfig::from_yaml(&text).unwrap());
        assert!(config.check().is_empty(), "{:?}", config.check());
        let clock = Arc::new(ManualClock::at(1_700_000_000));
        let gateway = Gateway::open(config.clone(), 443, clock.clone(), Arc::new(System)).unwrap();
        let documents: Vec<_> = CLIENTS
            .iter()
            .map(|name| {
                let document = serde_json::json!({
                    "version": "flightgate.dev/contract/v1", "namespace": "n", "name": name, "generation": 1,
                    "resource": {"oauthApplication": {
                        "clientId": name, "displayName": name, "clientType": "public",
                        "grantTypes": ["authorization_code", "refresh_token"],
                        "redirectUris": ["https://a.example/cb"],
                        "scopes": ["a", "b", "c"], "profile": name, "plan": "default",
                    }},
                });
                let bytes = serde_json::to_vec(&document).unwrap();
                let loaded = Loaded::read(&bytes, &config, &gateway.catalogue, &mut LastUses::default()).unwrap();
                ((*name).to_owned(), loaded)
            })
            .collect();
        let documents = documents.iter().map(|(name, loaded)| (name, loaded));
        let registry = Registry::new(1, documents);
        let client = |name: &&str| registry.client(name).unwrap().clone();
        let clients = CLIENTS.iter().map(client).collect();
        gateway.registry.store(Arc::new(registry));
        Self {
            _folder: folder,
            gateway,
            clock,
            clients,
            model: Model::default(),
        }
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Approve { client, scopes } => self.approve(client, scopes).await,
            Step::Exchange { code } => self.exchange(code).await,
            Step::Refresh { token, scopes } => self.refresh(token, scopes).await,
            Step::Revoke { client } => {
                let revoked = self
                    .gateway
                    .grants
                    .revoke("anna", CLIENTS[client], None)
                    .await;
                let expected = self.model.epochs[client].take().is_some();
                assert_eq!(revoked.unwrap(), expected);
            }
            Step::Wait { seconds } => self.clock.advance(seconds),
        }
        self.compare_tokens().await;
    }

    async fn approve(&mut self, client: usize, scopes: u8) {
        let approval = Approval {
            client: &self.clients[client],
            subject: "anna",
            scopes: self.gateway.catalogue.set(names(scopes)),
            redirect_uri: None,
            challenge: None,
            ttl: CODE,
        };
        let text = code::issue(&self.gateway, &approval).await.unwrap();
        let model = &mut self.model;
        let epoch = *model.epochs[client].get_or_insert_with(|| {
            model.next_epoch += 1;
            model.next_epoch
        });
        model.codes.push(Code {
            client,
            epoch,
            scopes,
            until: self.clock.now() + CODE,
            used: false,
            text: text.expose().clone(),
        });
    }

    async fn exchange(&mut self, code: usize) {
        let now = self.now();
        let Some(last) = self.model.codes.len().checked_sub(1) else {
            return;
        };
        let index = last.saturating_sub(code);
        let code = &self.model.codes[index];
        let client = code.client;
        let form = [("code", code.text.as_str())];
        let got = ask(&form, async |form| {
            code::exchange(&self.gateway, &self.clients[client], form).await
        });
        let got = got.await;
        let model = &mut self.model;
        let code = &mut model.codes[index];
        let alive = model.epochs[client] == Some(code.epoch);
        if code.used {
            if alive {
                model.epochs[client] = None;
            }
            refused(got);
        } else if alive && now < code.until {
            code.used = true;
            let (epoch, scopes) = (code.epoch, code.scopes);
            self.issued(client, epoch, scopes, scopes, now, &got.unwrap());
        } else {
            refused(got);
        }
    }

    async fn refresh(&mut self, token: usize, asked: Option<u8>) {
        let now = self.now();
        let Some(last) = self.model.refreshes.len().checked_sub(1) else {
            return;
        };
        let index = last.saturating_sub(token);
        let known = &self.model.refreshes[index];
        let (client, epoch, granted) = (known.client, known.epoch, known.scopes);
        let scope = asked.map(|asked| names(asked).collect::<Vec<_>>().join(" "));
        let mut form = vec![("refresh_token", known.text.as_str())];
        form.extend(scope.as_deref().map(|scope| ("scope", scope)));
        let got = ask(&form, async |form| {
            refresh::exchange(&self.gateway, &self.clients[client], form).await
        });
        let got = got.await;
        let alive = self.model.epochs[client] == Some(epoch) && now < known.until;
        if !alive {
            return refused(got);
        }
        let fresh = match (CLIENTS[client], known.used_at) {
            (_, None) => true,
            ("grace", Some(at)) if now < at + GRACE => true,
            ("grace", Some(_)) => return refused(got),
            ("retry", Some(at)) if now < at + RETRY => {
                let successor = known.successor.as_ref().unwrap();
                let access = &self.model.accesses[successor.access];
                let next = &self.model.refreshes[successor.index];
                if next.used_at.is_none() && now < access.until {
                    let got = got.unwrap();
                    assert_eq!(got.access.expose(), &access.text);
                    assert_eq!(got.refresh.unwrap().expose(), &next.text);
                    assert_eq!(got.expires_in, access.until - now);
                    return;
                }
                false
            }
            (_, Some(_)) => false,
        };
        if !fresh {
            self.model.epochs[client] = None;
            return refused(got);
        }
        let scopes = asked.unwrap_or(granted);
        if scopes & granted != scopes {
            return refused(got);
        }
        let until = known.until;
        let used = &mut self.model.refreshes[index];
        used.used_at = Some(used.used_at.unwrap_or(now));
        let began = if CLIENTS[client] == "grace" {
            until - REFRESH
        } else {
            now
        };
        self.issued(client, epoch, scopes, granted, began, &got.unwrap());
        let successor = Successor {
            index: self.model.refreshes.len() - 1,
            access: self.model.accesses.len() - 1,
        };
        self.model.refreshes[index].successor = Some(successor);
    }

    fn issued(
        &mut self,
        client: usize,
        epoch: u64,
        scopes: u8,
        granted: u8,
        began: u64,
        got: &Tokens,
    ) {
        let now = self.now();
        assert_eq!(got.scopes, self.gateway.catalogue.set(names(scopes)));
        assert_eq!(got.expires_in, ACCESS);
        self.model.accesses.push(Access {
            client,
            epoch,
            until: now + ACCESS,
            text: got.access.expose().clone(),
        });
        assert_eq!(got.refresh.is_some(), CLIENTS[client] != "none");
        if let Some(refresh) = &got.refresh {
            self.model.refreshes.push(Refresh {
                client,
                epoch,
                scopes: granted,
                until: began + REFRESH,
                used_at: None,
                successor: None,
                text: refresh.expose().clone(),
            });
        }
    }

    /// Every access token is as good as the model says.
    async fn compare_tokens(&self) {
        for access in &self.model.accesses {
            let live = introspect::live(&self.gateway, access.text.as_bytes())
                .await
                .unwrap();
            let expected =
                self.now() < access.until && self.model.epochs[access.client] == Some(access.epoch);
            assert_eq!(live.is_some(), expected);
        }
    }
}

fn names(scopes: u8) -> impl Iterator<Item = &'static str> {
    let names = ["a", "b", "c"].into_iter().enumerate();
    names
        .filter(move |(bit, _)| scopes >> bit & 1 == 1)
        .map(|(_, name)| name)
}

async fn ask(
    parameters: &[(&str, &str)],
    exchange: impl AsyncFnOnce(&Form<'_>) -> Result<Tokens, Error>,
) -> Result<Tokens, &'static str> {
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(header::CONTENT_TYPE, kind);
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    let form = Form::parse(&headers, body.as_bytes()).unwrap();
    exchange(&form).await.map_err(|error| error.code())
}

fn refused(got: Result<Tokens, &'static str>) {
    let code = got.map(|_| ()).unwrap_err();
    assert!(matches!(code, "invalid_grant" | "invalid_scope"), "{code}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..150)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in &steps {
                world.take(step).await;
            }
        });
    }
}
