//! By getting hold of what was meant for another.

use super::{SESSION, VISITOR, logbook_request, running};
use crate::{
    authorization::{allow, exchange, request},
    browser::{Browser, PASSWORD},
    client::Call,
    grants::{
        CALLBACK, Pair, annas, code_call, code_for, decide, device_begins, device_call,
        device_codes, passkey, refresh_call,
    },
    oauth::{FLIGHTS, REVOKE, TOKEN, made_up, token_about},
};

/// RFC 9700 sections 2.1 and 4.4, RFC 9207: a code is of no use to whoever
/// else gets hold of it, and each answer says from whom it is.
#[tokio::test]
async fn a_stolen_code_is_worth_nothing() {
    let (_upstream, site, gateway) = running().await;
    let (good, evil) = (site.credentials("good"), site.credentials("evil"));
    let anna = annas(&gateway).await;
    let page = anna.open(&request(&good, &[])).await;
    let back = allow(&anna, &page).await.parameters();
    assert_eq!(back["iss"], gateway.origin());
    let stolen = &back["code"];
    // At the thief's own application, with all that it has.
    for uri in [CALLBACK, "https://evil.example/cb"] {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &**stolen),
            ("redirect_uri", uri),
            ("code_verifier", crate::grants::VERIFIER),
        ];
        let call = Call::form(TOKEN, &form).basic(&evil.id, &evil.secret);
        assert_eq!(gateway.answer(call).await.oauth_error(), "invalid_grant");
    }
    // Injected into the thief's session at the good application: the verifier
    // is that of another request.
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &**stolen),
        ("redirect_uri", CALLBACK),
        ("code_verifier", &"v".repeat(43)),
    ];
    let call = || Call::form(TOKEN, &form).basic(&good.id, &good.secret);
    for _ in 0..3 {
        assert_eq!(gateway.answer(call()).await.oauth_error(), "invalid_grant");
    }
    // Anna's own exchange still works.
    Pair::of(&exchange(&gateway, &good, stolen).await);
    // What one application was granted, another was not.
    let page = anna
        .open(&request(
            &evil,
            &[("redirect_uri", "https://evil.example/cb")],
        ))
        .await;
    assert!(page.has("Acme evil"), "{page:?}");
    let none = [
        ("redirect_uri", "https://evil.example/cb"),
        ("prompt", "none"),
    ];
    let refused = anna.open(&request(&evil, &none)).await.parameters();
    assert_eq!(refused["error"], "consent_required");
    assert_eq!(refused["iss"], gateway.origin());
}

/// Nothing that opens anything stands in the log, at any level.
#[tokio::test]
async fn nothing_that_was_issued_stands_in_the_log() {
    let (_upstream, site, gateway) = running().await;
    let (good, log) = (site.credentials("good"), site.credentials("log"));
    let anna = annas(&gateway).await;
    let mut secrets = vec![PASSWORD.to_owned(), good.secret.clone(), log.secret.clone()];
    let guesser = Browser::new(&gateway);
    let wrong = guesser.open("/sign-in").await.form("password");
    let wrong = wrong.with("username", "typed-where-the-name-goes");
    guesser
        .send(&wrong.with("password", "nobody's password"))
        .await;
    secrets.extend(["typed-where-the-name-goes", "nobody's password"].map(str::to_owned));

    let state = ("state", "a-state-of-the-clients-own");
    let code = code_for(&anna, &good, &[state]).await;
    let first = Pair::of(&gateway.answer(code_call(&good, &code)).await);
    let second = Pair::of(&gateway.answer(refresh_call(&good, &first.refresh)).await);
    gateway.introspect(&good, &second.access).await;
    assert_eq!(gateway.list_status(&second.access).await, 200);
    let in_query = format!("{FLIGHTS}?access_token={}", second.access);
    gateway.answer(Call::get(&in_query)).await;
    // A replay, and what it ends.
    gateway.answer(refresh_call(&good, &first.refresh)).await;
    gateway.answer(code_call(&good, &code)).await;
    let (device, user) = device_codes(&gateway.answer(device_begins(&good)).await);
    decide(&anna, &user, "allow").await.unwrap();
    let third = Pair::of(&gateway.answer(device_call(&good, &device)).await);
    gateway
        .answer(token_about(REVOKE, &good, &third.refresh))
        .await;
    gateway.answer(device_call(&good, &device)).await;
    let typed = passkey(&anna).await.unwrap();
    let stranger = Browser::new(&gateway);
    let form = stranger.open(&logbook_request(&log)).await.form("passkey");
    let back = stranger.send(&form.with("passkey", &typed)).await;
    secrets.push(back.parameters()["code"].clone());
    for junk in [made_up("wf_at_"), made_up("wf_rt_")] {
        gateway.answer(refresh_call(&good, &junk)).await;
        gateway.list_status(&junk).await;
        secrets.push(junk);
    }
    let account = anna.open("/account").await.form("csrf");
    secrets.push(account.values("csrf")[0].to_owned());
    secrets.push(anna.cookie(SESSION).unwrap());
    secrets.push(stranger.cookie(VISITOR).unwrap());
    secrets.extend([
        code,
        device,
        user.clone(),
        user.replace('-', ""),
        typed,
        state.1.into(),
    ]);
    for pair in [first, second, third] {
        secrets.extend([pair.access, pair.refresh]);
    }
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let log = site.log();
    for event in [
        "signed_in",
        "code_replayed",
        "device_code_replayed",
        "passkey_created",
    ] {
        assert!(log.contains(event), "{event} is in the log: {log}");
    }
    for secret in secrets {
        let at = log.find(&secret);
        let line = at.map(|at| log[..at].rsplit('\n').next().unwrap_or_default());
        assert_eq!(line, None, "{secret} is in the log");
    }
}
