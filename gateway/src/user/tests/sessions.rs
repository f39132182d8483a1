//! Sessions, and the tokens of forms.

use super::*;
use crate::user::cookie::{self, CookieValue};

#[tokio::test]
async fn a_session_is_good_until_it_ends() {
    let f = fixture();
    let anna = f.users.create(named("anna")).await.unwrap();
    let started = sign_in(&f.users, "ANNA").await;
    let headers = holding(&started.cookies);
    let found = f.users.signed_in(&headers).await.unwrap().unwrap();
    assert_eq!(found.user, anna);
    assert_eq!(found.session.auth_time, NOW);
    assert_eq!(found.session.amr, ["pwd"]);
    f.users.end_session(&started.session).await.unwrap();
    assert!(f.users.signed_in(&headers).await.unwrap().is_none());
    f.users.end_session(&started.session).await.unwrap();
    assert!(
        f.users
            .signed_in(&HeaderMap::new())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn an_idle_session_ends_and_a_used_one_lasts_to_its_time() {
    let f = fixture();
    f.users.create(named("anna")).await.unwrap();
    let idle = holding(&sign_in(&f.users, "anna").await.cookies);
    let used = holding(&sign_in(&f.users, "anna").await.cookies);
    f.clock.advance(3_599);
    assert!(f.users.signed_in(&used).await.unwrap().is_some());
    f.clock.advance(1);
    assert!(f.users.signed_in(&idle).await.unwrap().is_none());
    for _ in 0..21 {
        assert!(f.users.signed_in(&used).await.unwrap().is_some());
        f.clock.advance(1_800);
    }
    f.clock.advance(1_799);
    assert!(
        f.users.signed_in(&used).await.unwrap().is_some(),
        "11:59:59"
    );
    f.clock.advance(1);
    assert!(
        f.users.signed_in(&used).await.unwrap().is_none(),
        "12:00:00"
    );
}

#[tokio::test]
async fn the_last_use_is_written_down_once_a_minute() {
    let f = fixture();
    f.users.create(named("anna")).await.unwrap();
    let headers = holding(&sign_in(&f.users, "anna").await.cookies);
    let before = f.store.stats().operations;
    for _ in 0..59 {
        f.clock.advance(1);
        f.users.signed_in(&headers).await.unwrap().unwrap();
    }
    assert_eq!(f.store.stats().operations, before);
    f.clock.advance(1);
    let found = f.users.signed_in(&headers).await.unwrap().unwrap();
    assert_eq!(found.session.seen_at, NOW + 60);
    f.users.signed_in(&headers).await.unwrap().unwrap();
    assert_eq!(f.store.stats().operations, before + 1);
}

#[tokio::test]
async fn disabling_or_resetting_a_user_ends_all_their_sessions_and_no_others() {
    let f = fixture();
    for name in ["anna", "berta"] {
        f.users.create(named(name)).await.unwrap();
    }
    let berta = holding(&sign_in(&f.users, "berta").await.cookies);
    for round in 0..3 {
        let mut anna = Vec::new();
        for _ in 0..3 {
            anna.push(holding(&sign_in(&f.users, "anna").await.cookies));
        }
        match round {
            0 => assert!(f.users.disable("Anna").await.unwrap()),
            1 => {
                let new = secret(GOOD);
                f.users.reset_password("anna", &new).await.unwrap();
            }
            _ => f.users.end_sessions("anna").await.unwrap(),
        }
        for headers in &anna {
            assert!(f.users.signed_in(headers).await.unwrap().is_none());
        }
        // Being let in again does not bring them back.
        f.users.enable("anna").await.unwrap();
        for headers in &anna {
            assert!(f.users.signed_in(headers).await.unwrap().is_none());
        }
        assert!(f.users.signed_in(&berta).await.unwrap().is_some());
    }
    assert!(!f.users.enable("anna").await.unwrap(), "no news");
}

/// Whoever checked the password before the reset must not get in after it.
#[tokio::test]
async fn a_session_begun_on_an_older_proof_is_over_at_once() {
    let f = fixture();
    let before = f.users.create(named("anna")).await.unwrap();
    let new = secret("another Pegasus over the sea");
    f.users.reset_password("anna", &new).await.unwrap();
    let proof = crate::user::session::Proof::Password;
    let session = f
        .users
        .begin_session(&before, proof, &HeaderMap::new())
        .await
        .unwrap();
    let headers = holding(&session.set(cookie::SESSION, None));
    assert!(f.users.signed_in(&headers).await.unwrap().is_none());
}

#[tokio::test]
async fn every_sign_in_has_a_new_cookie_and_ends_the_old_session() {
    let f = fixture();
    f.users.create(named("anna")).await.unwrap();
    let first = sign_in(&f.users, "anna").await;
    let headers = holding(&first.cookies);
    let second = f
        .users
        .sign_in("anna", &secret(GOOD), HERE, &headers)
        .await
        .unwrap();
    assert_ne!(first.session.expose(), second.session.expose());
    assert!(f.users.signed_in(&headers).await.unwrap().is_none());
    assert!(
        f.users
            .signed_in(&holding(&second.cookies))
            .await
            .unwrap()
            .is_some()
    );
    // One that was planted before is not taken over.
    let planted = CookieValue::fresh(&System).unwrap();
    let headers = holding(&planted.set(cookie::SESSION, None));
    let third = f
        .users
        .sign_in("anna", &secret(GOOD), HERE, &headers)
        .await
        .unwrap();
    assert_ne!(third.session.expose(), planted.expose());
    assert!(f.users.signed_in(&headers).await.unwrap().is_none());
}

#[tokio::test]
async fn a_forms_token_is_for_one_purpose_and_one_browser() {
    let f = fixture();
    f.users.create(named("anna")).await.unwrap();
    let none = HeaderMap::new();
    let cookie = f.users.form_cookie(&none, None).unwrap();
    assert!(matches!(cookie, crate::user::csrf::FormCookie::New(_)));
    let visitor = holding(&cookie.value().set(cookie::VISITOR, None));
    let token = f.users.csrf_token("sign-in", cookie.value());
    let check = |purpose, headers: &HeaderMap, session: Option<&CookieValue>, token: &str| {
        f.users.check_csrf(purpose, headers, session, token).is_ok()
    };
    assert!(check("sign-in", &visitor, None, &token));
    assert!(!check("consent", &visitor, None, &token));
    assert!(!check("sign-in", &none, None, &token));
    assert!(!check("sign-in", &visitor, None, ""));
    assert!(!check("sign-in", &visitor, None, &token[1..]));
    let other = f.users.form_cookie(&none, None).unwrap();
    let other = holding(&other.value().set(cookie::VISITOR, None));
    assert!(!check("sign-in", &other, None, &token));
    // Once signed in, tokens hang on the session.
    let session = sign_in(&f.users, "anna").await.session;
    assert!(!check("sign-in", &visitor, Some(&session), &token));
    let held = f.users.form_cookie(&visitor, Some(&session)).unwrap();
    let token = f.users.csrf_token("consent", held.value());
    assert!(check("consent", &visitor, Some(&session), &token));
    assert!(!check("consent", &visitor, None, &token));
}
