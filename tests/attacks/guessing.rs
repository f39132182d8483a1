//! By guessing.

use super::{SESSION, application, logbook_request, running};
use crate::{
    browser::{Browser, PASSWORD, add_user},
    client::{Answer, Call, Protocol},
    grants::{annas, device_begins, device_call, device_codes, passkey},
    harness::Site,
    upstream::Upstream,
};

/// RFC 8628 sections 5.1 and 5.4: who guesses user codes waits, and a code that
/// somebody else sent is shown before anything is granted.
#[tokio::test]
async fn user_codes_cannot_be_guessed() {
    let (_upstream, site, gateway) = running().await;
    let good = site.credentials("good");
    let anna = annas(&gateway).await;
    let (device, user) = device_codes(&gateway.answer(device_begins(&good)).await);
    let page = anna.open(&format!("/device?user_code={user}")).await;
    assert!(page.has(&user) && page.has("Acme good"), "{page:?}");
    let answer = gateway.answer(device_call(&good, &device)).await;
    assert_eq!(
        answer.oauth_error(),
        "authorization_pending",
        "shown is not approved"
    );

    let form = anna.open("/device").await.form("user_code");
    let mut refused = None;
    for guess in 0..20 {
        let code = format!("BBBB-BB{}", ["BB", "BC", "CB", "CC"][guess % 4]);
        let page = anna.send(&form.clone().with("user_code", &code)).await;
        if page.answer.status == 429 {
            refused = Some((guess, page));
            break;
        }
        assert_eq!(page.answer.status, 400, "{page:?}");
    }
    let (guess, page) = refused.expect("somebody who guesses waits");
    assert_eq!(guess, 10);
    let wait: u64 = page.answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    // Nor is a right one looked at, by link or by form.
    for page in [
        anna.open(&format!("/device?user_code={user}")).await,
        anna.send(&form.with("user_code", &user)).await,
    ] {
        assert_eq!(page.answer.status, 429, "{page:?}");
        assert!(!page.has("Acme good"), "{page:?}");
    }
}

/// FCV-25: passkeys are guessed no better.
#[tokio::test]
async fn passkeys_cannot_be_guessed() {
    let (_upstream, site, gateway) = running().await;
    let log = site.credentials("log");
    let anna = annas(&gateway).await;
    let right = passkey(&anna).await.unwrap();
    let stranger = Browser::new(&gateway);
    let form = stranger.open(&logbook_request(&log)).await.form("passkey");
    let statuses = async |typed: &str, times: usize| {
        let mut statuses = Vec::new();
        for _ in 0..times {
            let page = stranger.send(&form.clone().with("passkey", typed)).await;
            assert_eq!(page.left_for, None);
            if page.answer.status == 429 {
                page.answer
                    .header("retry-after")
                    .unwrap()
                    .parse::<u64>()
                    .unwrap();
            }
            statuses.push(page.answer.status);
        }
        statuses
    };
    assert_eq!(statuses("ABCD2345", 10).await, [401; 10]);
    assert_eq!(statuses("ABCD2345", 2).await, [429; 2]);
    assert_eq!(statuses(&right, 1).await, [429]);
}

/// CWE-204, CWE-307: who guesses learns neither names nor passwords.
#[tokio::test]
async fn a_sign_in_tells_no_stranger_who_exists() {
    let (_upstream, site, gateway) = running().await;
    add_user(&site, "berta", &[]).await;
    let mut connection = gateway.connect(Protocol::H1).await;
    let mut seen: Vec<Vec<(u16, String)>> = Vec::new();
    // An unknown name, and one that exists: the same all along.
    for name in ["nobody", "berta"] {
        let stranger = Browser::new(&gateway);
        let form = stranger.open("/sign-in").await.form("password");
        let form = form.with("username", name).with("password", "a wrong one");
        let mut answers = Vec::new();
        for _ in 0..8 {
            let answer: Answer = connection.answer(stranger.prepare(form.call())).await;
            if answer.status == 429 {
                let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=10).contains(&wait), "{wait}");
            }
            answers.push((answer.status, neutral(&answer, name)));
        }
        let statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
        answers.truncate(5);
        seen.push(answers);
    }
    assert_eq!(seen[0], seen[1]);
    // Ten failures are noted of this address; ten more, and it waits with
    // whatever name.
    let stranger = Browser::new(&gateway);
    let form = stranger.open("/sign-in").await.form("password");
    let mut statuses = Vec::new();
    for number in 0..11 {
        let form = form.clone().with("username", &format!("somebody{number}"));
        let page = stranger.send(&form.with("password", "a wrong one")).await;
        statuses.push(page.answer.status);
    }
    assert_eq!(statuses, [vec![401; 10], vec![429]].concat());
    let page = stranger
        .send(&form.with("username", "anna").with("password", PASSWORD))
        .await;
    assert_eq!(page.answer.status, 429);
    assert_eq!(stranger.cookie(SESSION), None);
}

/// A page without what must differ: the name, and the token of its form.
fn neutral(answer: &Answer, name: &str) -> String {
    let text = answer.text();
    let (before, rest) = text.split_once("name=\"csrf\" value=\"").unwrap();
    let after = rest.split_once('"').unwrap().1;
    format!("{before}{after}").replace(&format!("value=\"{name}\""), "")
}

#[tokio::test]
async fn a_stranger_cannot_fill_the_store_with_devices() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        let public = application("computer", "device_code", "  clientType: public\n");
        site.manifest("computer", &public);
    })
    .await;
    let id = site.client_id("computer");
    let begin = || Call::form("/api/oauth/device_authorization", &[("client_id", &*id)]);
    let mut devices = 0;
    let refused = loop {
        let answer = gateway.answer(begin()).await;
        if answer.status != 200 {
            break answer;
        }
        devices += 1;
        assert!(devices <= 300, "nobody stops it");
    };
    assert_eq!(devices, 300);
    assert_eq!(
        (refused.status, &*refused.oauth_error()),
        (429, "temporarily_unavailable")
    );
    assert!(
        refused
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
}
