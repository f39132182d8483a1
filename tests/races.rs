//! Of many who bring the same thing at the same moment, exactly one gets what
//! it is good for, and the rest is treated as what it is: a replay.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    authorization::exchange,
    browser::{Browser, add_user},
    client::{Answer, Call, Connection, Protocol},
    gateway::Gateway,
    grants::{
        Pair, annas, application, code, code_call, decide, device_begins, device_call,
        device_codes, pair, passkey, refresh_call,
    },
    harness::{Credentials, Site, within},
    upstream::Upstream,
};

/// How many come at once.
const AT_ONCE: usize = 64;
/// How often.
const ROUNDS: usize = 100;

/// Clients, each with a connection of its own.
struct Crowd(Vec<Connection>);

impl Crowd {
    async fn before(gateway: &Gateway) -> Self {
        let connect = |number: usize| gateway.connect(Protocol::BOTH[number % 2]);
        Self(join_all((0..AT_ONCE).map(connect)).await)
    }

    /// All send the call at once.
    async fn send(&mut self, call: impl Fn(usize) -> Call) -> Vec<Answer> {
        let connections = self.0.iter_mut().enumerate();
        let answers = connections.map(|(number, connection)| connection.answer(call(number)));
        within("all answers", join_all(answers)).await
    }
}

/// The one that got tokens; all others were refused by the book.
fn winner(answers: &[Answer]) -> Pair {
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "{won:?}");
    for answer in lost {
        let found = (answer.status, &*answer.oauth_error());
        assert_eq!(found, (400, "invalid_grant"), "{answer:?}");
    }
    Pair::of(won[0])
}

/// Nothing that was given is worth anything.
async fn is_dead(gateway: &Gateway, client: &Credentials, pair: &Pair) {
    assert_eq!(gateway.list_status(&pair.access).await, 401);
    for token in [&pair.access, &pair.refresh] {
        let told = gateway.introspect(client, token).await;
        assert_eq!(told, json!({"active": false}));
    }
    let answer = gateway.answer(refresh_call(client, &pair.refresh)).await;
    assert_eq!(answer.oauth_error(), "invalid_grant");
}

/// A gateway with an application of this name, these grants and this profile.
async fn running(grants: &str, profile: &str) -> (Upstream, Site, Gateway, Credentials) {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["profiles"]["patient"] = json!({
            "refresh": {"rotation": "singleUse", "ttl": "90d", "retryWindow": "1h"},
        });
        let more = format!("  profile: {profile}\n");
        site.manifest("racer", &application("racer", grants, &more));
    })
    .await;
    add_user(&site, "anna", &["--subject", "pilot:anna"]).await;
    let racer = site.credentials("racer");
    (upstream, site, gateway, racer)
}

/// RFC 6749 section 4.1.2: used once, and what it gave dies when it is not.
#[tokio::test]
async fn one_of_many_gets_the_tokens_of_a_code() {
    let (_upstream, _site, gateway, racer) =
        running("authorization_code, refresh_token", "default").await;
    let browser = annas(&gateway).await;
    let mut crowd = Crowd::before(&gateway).await;
    for _ in 0..ROUNDS {
        let code = code(&browser, &racer).await;
        let answers = crowd.send(|_| code_call(&racer, &code)).await;
        is_dead(&gateway, &racer, &winner(&answers)).await;
    }
}

/// RFC 9700 section 4.14.2, WF-44.
#[tokio::test]
async fn one_of_many_gets_the_successor_of_a_refresh_token() {
    let (_upstream, _site, gateway, racer) =
        running("authorization_code, refresh_token", "default").await;
    let browser = annas(&gateway).await;
    let mut crowd = Crowd::before(&gateway).await;
    for _ in 0..ROUNDS {
        let first = pair(&gateway, &browser, &racer).await;
        let answers = crowd.send(|_| refresh_call(&racer, &first.refresh)).await;
        is_dead(&gateway, &racer, &winner(&answers)).await;
        is_dead(&gateway, &racer, &first).await;
    }
}

/// With a `retryWindow`, who asks again gets the same again.
#[tokio::test]
async fn all_of_many_get_the_same_successor_within_the_retry_window() {
    let (_upstream, _site, gateway, racer) =
        running("authorization_code, refresh_token", "patient").await;
    let browser = annas(&gateway).await;
    let mut crowd = Crowd::before(&gateway).await;
    let first = pair(&gateway, &browser, &racer).await;
    let mut chain = vec![first];
    for _ in 0..ROUNDS {
        let last = &chain[chain.len() - 1];
        let answers = crowd.send(|_| refresh_call(&racer, &last.refresh)).await;
        let next = Pair::of(&answers[0]);
        for answer in &answers {
            assert_eq!(Pair::of(answer), next, "one successor");
            assert_eq!(answer.json()["scope"], answers[0].json()["scope"]);
        }
        assert!(!chain.contains(&next), "another one each time");
        assert_eq!(gateway.list_status(&next.access).await, 200);
        chain.push(next);
    }
    // One whose successor was used already is a replay, in the window or not.
    let before = &chain[chain.len() - 3];
    let answer = gateway.answer(refresh_call(&racer, &before.refresh)).await;
    assert_eq!(answer.oauth_error(), "invalid_grant");
    is_dead(&gateway, &racer, &chain[ROUNDS]).await;
}

/// RFC 8628 section 3.5: a device code gives tokens once.
#[tokio::test]
async fn one_of_many_gets_the_tokens_of_a_device_code() {
    let (_upstream, _site, gateway, racer) = running("device_code, refresh_token", "default").await;
    let browser = annas(&gateway).await;
    let mut crowd = Crowd::before(&gateway).await;
    for _ in 0..ROUNDS {
        let (device, user) = device_codes(&gateway.answer(device_begins(&racer)).await);
        decide(&browser, &user, "allow").await.unwrap();
        let answers = crowd.send(|_| device_call(&racer, &device)).await;
        is_dead(&gateway, &racer, &winner(&answers)).await;
    }
}

/// Of many answers to one device, one counts, and the page says so.
#[tokio::test]
async fn of_many_decisions_about_a_device_one_counts() {
    // Beyond that many they count as guesses.
    const DECISIONS: usize = 8;
    let (_upstream, _site, gateway, racer) = running("device_code, refresh_token", "default").await;
    let browser = annas(&gateway).await;
    let mut crowd = Crowd::before(&gateway).await;
    crowd.0.truncate(DECISIONS);
    let (device, user) = device_codes(&gateway.answer(device_begins(&racer)).await);
    let page = browser.open(&format!("/device?user_code={user}")).await;
    let form = page.form("scope");
    let answers = crowd
        .send(|number| {
            let decision = ["allow", "deny"][number % 2];
            browser.prepare(form.clone().with("decision", decision).call())
        })
        .await;
    let counted = |said: &str| {
        let said = answers.iter().filter(|answer| answer.text().contains(said));
        said.inspect(|answer| assert_eq!(answer.status, 200))
            .count()
    };
    let allowed = counted("Your device is connected");
    assert_eq!(allowed + counted("Your device is not connected"), 1);
    let lost = answers.iter().filter(|answer| answer.status == 400);
    assert_eq!(lost.count(), DECISIONS - 1);
    let polled = gateway.answer(device_call(&racer, &device)).await;
    assert_eq!(polled.status == 200, allowed == 1, "{polled:?}");
}

/// FCV-23: a passkey works once, in whichever browser it is typed first.
#[tokio::test]
async fn one_of_many_browsers_gets_the_code_of_a_passkey() {
    // Failures are counted by address, ten each, and by application.
    const BEFORE_REFUSAL: usize = 8;
    let upstream = Upstream::ok().await;
    let name = |round: usize| format!("log-{round}");
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["profiles"]["logbook"] = json!({"pkce": "optional"});
        let surfaces = site.config["surfaces"].as_array_mut().unwrap();
        surfaces.push(json!({"logbook": {"base": "/logbook"}}));
        for round in 0..ROUNDS {
            let text = application(&name(round), "passkey", "  profile: logbook\n");
            site.manifest(&name(round), &text);
        }
    })
    .await;
    add_user(&site, "anna", &["--subject", "pilot:anna"]).await;
    let anna = annas(&gateway).await;
    let clients: Vec<_> = (0..ROUNDS)
        .map(|round| site.credentials(&name(round)))
        .collect();
    let page = |round: usize| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &clients[round].id)
            .append_pair("redirect_uri", crate::grants::CALLBACK)
            .append_pair("state", "s")
            .finish();
        format!("/logbook/logbookuserauth/?{query}")
    };
    let mut browsers = Vec::new();
    for _ in 0..AT_ONCE {
        let browser = Browser::new(&gateway);
        let form = browser.open(&page(0)).await.form("passkey");
        browsers.push((browser, form));
    }
    let mut crowd = Crowd(Vec::new());
    for (round, client) in clients.iter().enumerate() {
        if round % BEFORE_REFUSAL == 0 {
            let connect = |number: usize| {
                let part = |value: usize| u8::try_from(value).unwrap();
                let address = Ipv4Addr::new(127, 1, part(round), part(number + 1));
                gateway.connect_from(IpAddr::V4(address), Protocol::BOTH[number % 2])
            };
            crowd = Crowd(join_all((0..AT_ONCE).map(connect)).await);
        }
        let typed = passkey(&anna).await.unwrap();
        let answers = crowd
            .send(|number| {
                let (browser, form) = &browsers[number];
                let form = form.clone().at(&page(round)).with("passkey", &typed);
                browser.prepare(form.call())
            })
            .await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 303);
        assert_eq!(won.len(), 1, "{won:?}");
        for answer in lost {
            assert_eq!(answer.status, 401, "{answer:?}");
            assert_eq!(answer.header("location"), None);
        }
        let location = url::Url::parse(won[0].header("location").unwrap()).unwrap();
        let mut pairs = location.query_pairs();
        let code = pairs.find(|(name, _)| name == "code").unwrap().1;
        if round == 0 {
            let answer = exchange(&gateway, client, &code).await;
            // Such a request has no challenge, so a verifier is out of place.
            assert_eq!(answer.oauth_error(), "invalid_grant");
            let form = [("grant_type", "authorization_code"), ("code", &*code)];
            let call = Call::form("/logbook/api/token/", &form);
            let call = call.basic(&client.id, &client.secret);
            assert_eq!(gateway.answer(call).await.status, 200);
        }
    }
}
