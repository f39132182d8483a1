//! The token endpoint (FCV-31 to FCV-53).

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::oauth::made_up;

/// Adds the endpoints that say when a token ends.
fn with_introspection(site: &mut Site) {
    let surfaces = site.config["surfaces"].as_array_mut().unwrap();
    surfaces.push(json!({"standard": {"base": "/api/oauth"}}));
}

/// When a token was issued and when it ends.
async fn life(programme: &Programme, token: &str) -> (u64, u64) {
    let document: Value = programme.gateway.introspect(&programme.bridge, token).await;
    let time = |name: &str| document[name].as_u64().unwrap();
    (time("iat"), time("exp"))
}

/// The members of a token answer, which are exactly these (FCV-36).
fn check_members(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let document = answer.json();
    let names: BTreeSet<_> = document.as_object().unwrap().keys().cloned().collect();
    let expected = ["access_token", "expires_in", "refresh_token", "token_type"];
    assert_eq!(names, expected.map(str::to_owned).into());
    assert_eq!(document["token_type"], "Bearer");
    assert_eq!(document["expires_in"], 3600);
}

/// FCV-31, FCV-33 to FCV-36, FCV-43 to FCV-45: both ways to authenticate, for
/// both grants, without `redirect_uri` and `code_verifier`.
#[tokio::test]
async fn both_ways_to_authenticate_give_the_same_four_members() {
    let programme = Programme::running().await;
    let bridge = &programme.bridge;
    for in_body in [false, true] {
        let ask = async |form: &[(&str, &str)]| {
            if in_body {
                programme.ask_in_body(bridge, TOKEN, form).await
            } else {
                programme.ask(bridge, TOKEN, form).await
            }
        };
        let code = programme.code(bridge, TEST_PASSKEY).await;
        let first = ask(&exchange(&code)).await;
        check_members(&first);
        let first = Tokens::of(&first);
        let second = ask(&refresh(&first.refresh)).await;
        check_members(&second);
        let second = Tokens::of(&second);
        assert_ne!(first.access, second.access);
        assert_ne!(first.refresh, second.refresh);
        assert_eq!(programme.flights(&second.access).await, 200);
    }
}

/// FCV-32, FCV-111, FCV-112: what a partner hears of its own mistakes.
#[tokio::test]
async fn mistakes_of_a_partner_are_400_or_401_with_a_reason() {
    let programme = Programme::running().await;
    let bridge = &programme.bridge;
    let stranger = Credentials {
        secret: "fcv_secret_x".into(),
        ..bridge.clone()
    };
    let unknown = Credentials {
        id: "f0cf9180d491f06e".into(),
        ..bridge.clone()
    };
    let code = programme.code(bridge, TEST_PASSKEY).await;
    for client in [&stranger, &unknown] {
        for answer in [
            programme.exchange(client, &code).await,
            programme.ask_in_body(client, TOKEN, &exchange(&code)).await,
        ] {
            assert_eq!(
                (answer.status, &*answer.oauth_error()),
                (401, "invalid_client")
            );
        }
    }
    let nobody = programme
        .gateway
        .answer(Call::form(TOKEN, &exchange(&code)));
    let nobody = nobody.await;
    assert_eq!(
        (nobody.status, &*nobody.oauth_error()),
        (401, "invalid_client")
    );
    for (form, error) in [
        (&[("code", code.as_str())][..], "invalid_request"),
        (&[("grant_type", "authorization_code")], "invalid_request"),
        (&[("grant_type", "refresh_token")], "invalid_request"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (
            &[("grant_type", "client_credentials")],
            "unauthorized_client",
        ),
    ] {
        let answer = programme.ask(bridge, TOKEN, form).await;
        assert_eq!((answer.status, &*answer.oauth_error()), (400, error));
    }
    let json = Call::post(TOKEN)
        .basic(&bridge.id, &bridge.secret)
        .header("content-type", "application/json")
        .body(format!(
            r#"{{"grant_type":"authorization_code","code":"{code}"}}"#
        ));
    let answer = programme.gateway.answer(json).await;
    assert_eq!(
        (answer.status, &*answer.oauth_error()),
        (400, "invalid_request")
    );
    let got = programme
        .gateway
        .answer(Call::get(TOKEN).basic(&bridge.id, &bridge.secret))
        .await;
    assert_eq!(got.status, 405);
    // None of it used up the code.
    Tokens::of(&programme.exchange(bridge, &code).await);
}

/// FCV-37, FCV-50: 401, and one text for all of them.
#[tokio::test]
async fn codes_and_refresh_tokens_that_are_not_to_be_had_are_401() {
    let programme = Programme::running().await;
    let bridge = &programme.bridge;
    let tokens = programme.tokens(bridge, TEST_PASSKEY).await;
    let mut texts = BTreeSet::new();
    let (code, made) = (made_up("fg_code_"), made_up("fcv_logbook_rt_"));
    for form in [exchange("x"), exchange(&code), exchange(&tokens.refresh)] {
        let answer = programme.ask(bridge, TOKEN, &form).await;
        assert_eq!(
            (answer.status, &*answer.oauth_error()),
            (401, "invalid_grant")
        );
        assert!(answer.header("www-authenticate").is_some(), "{answer:?}");
        texts.insert(answer.text());
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
    for token in ["x", &made, &tokens.access] {
        let answer = programme.refresh(bridge, token).await;
        assert_eq!(
            (answer.status, &*answer.oauth_error()),
            (401, "invalid_grant")
        );
        texts.insert(answer.text());
    }
    let theirs = programme.refresh(&programme.skylog, &tokens.refresh).await;
    assert_eq!(theirs.status, 401);
    texts.insert(theirs.text());
    assert_eq!(texts.len(), 2, "{texts:?}");
    Tokens::of(&programme.refresh(bridge, &tokens.refresh).await);
}

/// FCV-39, FCV-46, FCV-47: an hour, three months, and three months again.
#[tokio::test]
async fn tokens_live_as_long_as_promised_and_refreshing_renews() {
    let programme = Programme::running_with(with_introspection).await;
    let first = programme.tokens(&programme.bridge, TEST_PASSKEY).await;
    let (issued, ends) = life(&programme, &first.access).await;
    assert_eq!(ends - issued, 3_600);
    let (issued, first_ends) = life(&programme, &first.refresh).await;
    assert_eq!(first_ends - issued, 90 * 86_400);
    a_second_and_more().await;
    let second = Tokens::of(&programme.refresh(&programme.bridge, &first.refresh).await);
    let (issued, second_ends) = life(&programme, &second.refresh).await;
    assert_eq!(second_ends - issued, 90 * 86_400);
    assert!(second_ends > first_ends, "{second_ends} {first_ends}");
}

/// FCV-40: no two pilots, and no two visits, get one token.
#[tokio::test]
async fn tokens_are_of_one_pilot_each() {
    let programme = Programme::running_with(with_introspection).await;
    let mut all = BTreeSet::new();
    for name in ["anna", "berta"] {
        let browser = programme.pilot(name).await;
        for _ in 0..2 {
            let passkey = make_passkey(&browser).await;
            let tokens = programme.tokens(&programme.bridge, &passkey).await;
            let known = programme
                .gateway
                .introspect(&programme.bridge, &tokens.access)
                .await;
            assert_eq!(known["sub"], format!("pilot:{name}"));
            all.extend([tokens.access, tokens.refresh]);
        }
    }
    assert_eq!(all.len(), 8);
}

/// FCV-41, FCV-42: 64 characters, and nothing longer than 255 is looked at.
#[tokio::test]
async fn tokens_have_64_characters() {
    let programme = Programme::running().await;
    let bridge = &programme.bridge;
    let tokens = programme.tokens(bridge, TEST_PASSKEY).await;
    assert_eq!((tokens.access.len(), tokens.refresh.len()), (64, 64));
    let again = Tokens::of(&programme.refresh(bridge, &tokens.refresh).await);
    assert_eq!((again.access.len(), again.refresh.len()), (64, 64));
    let long = programme.refresh(bridge, &"x".repeat(256)).await;
    assert_eq!(long.status, 401, "{long:?}");
}

/// FCV-48, FCV-53: for who lost the answer, a used refresh token gives a pair
/// of its own, and all pairs live side by side.
#[tokio::test]
async fn a_used_refresh_token_still_works_in_its_week_of_grace() {
    let programme = Programme::running().await;
    let bridge = &programme.bridge;
    let refresh = &programme.site.config["profiles"]["logbook"]["refresh"];
    assert_eq!(
        (&refresh["rotation"], &refresh["window"]),
        (&json!("grace"), &json!("1w"))
    );
    let first = programme.tokens(bridge, TEST_PASSKEY).await;
    let mut pairs = vec![first.clone()];
    for _ in 0..3 {
        pairs.push(Tokens::of(&programme.refresh(bridge, &first.refresh).await));
    }
    // The successors work, too.
    pairs.push(Tokens::of(
        &programme.refresh(bridge, &pairs[2].refresh).await,
    ));
    let distinct: BTreeSet<_> = pairs.iter().map(|pair| &pair.refresh).collect();
    assert_eq!(distinct.len(), pairs.len());
    for pair in &pairs {
        assert_eq!(programme.flights(&pair.access).await, 200);
    }
}

/// FCV-49, FCV-52, FCV-53: after the grace the used one is refused. That ends
/// nothing else, and to use it again in between does not lengthen the grace.
#[tokio::test]
async fn a_used_refresh_token_is_refused_after_its_grace() {
    let programme = Programme::running_in_haste("/refresh/window", "3s").await;
    let bridge = &programme.bridge;
    let first = programme.tokens(bridge, TEST_PASSKEY).await;
    let second = Tokens::of(&programme.refresh(bridge, &first.refresh).await);
    a_second_and_more().await;
    // A slow machine comes too late for this one already.
    programme.refresh(bridge, &first.refresh).await;
    a_second_and_more().await;
    let late = programme.refresh(bridge, &first.refresh).await;
    assert_eq!((late.status, &*late.oauth_error()), (401, "invalid_grant"));
    assert_eq!(programme.flights(&second.access).await, 200);
    let third = Tokens::of(&programme.refresh(bridge, &second.refresh).await);
    assert_eq!(programme.flights(&third.access).await, 200);
}

/// FCV-51, FCV-52: after its three months, 401; the whole flow begins anew.
#[tokio::test]
async fn an_expired_refresh_token_is_401_and_the_pilot_starts_again() {
    let programme = Programme::running_in_haste("/refresh/ttl", "1s").await;
    let bridge = &programme.bridge;
    let tokens = programme.tokens(bridge, TEST_PASSKEY).await;
    a_second_and_more().await;
    let expired = programme.refresh(bridge, &tokens.refresh).await;
    assert_eq!(
        (expired.status, &*expired.oauth_error()),
        (401, "invalid_grant")
    );
    let again = programme.tokens(bridge, TEST_PASSKEY).await;
    assert_eq!(programme.flights(&again.access).await, 200);
}
