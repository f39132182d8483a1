//! Users over a real store, with a clock that the test moves.

mod accounts;
mod provider;
mod sessions;

use std::{net::IpAddr, sync::Arc};

use crds::{gateway_config::GatewayConfig, secret::Secret};
use http::{HeaderMap, HeaderValue, header};
use tempfile::TempDir;

use super::{NewUser, Users, sign_in::Started};
use crate::{
    clock::{ManualClock, System},
    mint::Pepper,
    store::{
        Store,
        sled::{SledOptions, SledStore},
    },
};

/// 14 November 2023.
const NOW: u64 = 1_700_000_000;
const GOOD: &str = "five Pegasus over the Alps";
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

struct Fixture {
    users: Arc<Users>,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
    _folder: TempDir,
}

fn fixture() -> Fixture {
    fixture_with("{}")
}

/// With this under `users` in `gateway.yaml`.
fn fixture_with(users: &str) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let config = GatewayConfig::from_yaml(&format!(
        "\
issuer: https://api.example.org
tls: {{selfSigned: true}}
store: {{sled: {{path: data}}}}
users: {users}
"
    ))
    .unwrap();
    assert!(config.check().is_empty(), "{:?}", config.check());
    let pepper = Pepper::new(&[7; 32]);
    let options = SledOptions {
        cache_bytes: 8 << 20,
        ..SledOptions::new(folder.path().join("data"), pepper.fingerprint())
    };
    let store: Arc<dyn Store> = Arc::new(SledStore::open(&options).unwrap());
    let clock = Arc::new(ManualClock::at(NOW));
    let issuer = config.issuer.clone();
    let users = Users::new(
        Arc::new(config),
        &issuer,
        store.clone(),
        &pepper,
        clock.clone(),
        Arc::new(System),
    );
    Fixture {
        users: Arc::new(users),
        clock,
        store,
        _folder: folder,
    }
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn named(name: &str) -> NewUser {
    NewUser {
        username: name.into(),
        password: Some(secret(GOOD)),
        ..NewUser::default()
    }
}

/// The headers of a browser that holds the cookies which were set.
fn holding<'a>(set: impl IntoIterator<Item = &'a HeaderValue>) -> HeaderMap {
    let pairs: Vec<_> = set
        .into_iter()
        .map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned())
        .collect();
    let mut headers = HeaderMap::new();
    if !pairs.is_empty() {
        let line = HeaderValue::from_str(&pairs.join("; ")).unwrap();
        headers.insert(header::COOKIE, line);
    }
    headers
}

async fn sign_in(users: &Users, name: &str) -> Started {
    users
        .sign_in(name, &secret(GOOD), HERE, &HeaderMap::new())
        .await
        .unwrap()
}
