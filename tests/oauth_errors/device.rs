//! Devices (RFC 8628 section 3.5).

use super::{is_refused, place};
use crate::{
    authorization::ask,
    client::Call,
    grants::{DEVICE_AUTHORIZATION, Pair, annas, decide, device_begins, device_call, device_codes},
};

/// RFC 8628 sections 3.1 and 3.5.
#[tokio::test]
async fn a_device_hears_what_it_must() {
    let place = place().await;
    let (gateway, tv) = (&place.gateway, &place.tv);
    let browser = annas(gateway).await;
    let asked = |form: &[(&str, &str)]| Call::form(DEVICE_AUTHORIZATION, form);
    for (what, call, status, error) in [
        ("nobody", asked(&[]), 401, "invalid_client"),
        (
            "wrong",
            asked(&[]).basic(&tv.id, "wrong"),
            401,
            "invalid_client",
        ),
        (
            "not its grant",
            device_begins(&place.web),
            400,
            "unauthorized_client",
        ),
        (
            "unknown scope",
            asked(&[("scope", "x")]).basic(&tv.id, &tv.secret),
            400,
            "invalid_scope",
        ),
        (
            "too wide",
            asked(&[("scope", "flights:delete")]).basic(&tv.id, &tv.secret),
            400,
            "invalid_scope",
        ),
        (
            "repeated",
            asked(&[("a", ""), ("a", "")]).basic(&tv.id, &tv.secret),
            400,
            "invalid_request",
        ),
    ] {
        is_refused(what, &gateway.answer(call).await, status, error);
    }
    let begun = gateway.answer(device_begins(tv)).await;
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    assert_eq!(begun.json()["interval"], 5);
    let (device, user) = device_codes(&begun);
    let poll = async || gateway.answer(device_call(tv, &device)).await;
    is_refused("first", &poll().await, 400, "authorization_pending");
    for seconds in [10, 15, 20] {
        let answer = poll().await;
        is_refused("too fast", &answer, 400, "slow_down");
        let description = answer.json()["error_description"].to_string();
        assert!(
            description.contains(&format!("{seconds} seconds")),
            "{description}"
        );
    }
    let another = gateway.answer(device_call(&place.brief, &device)).await;
    is_refused("another client", &another, 400, "invalid_grant");
    let missing = ask(gateway, tv, &[("grant_type", crate::grants::DEVICE)]).await;
    is_refused("no code", &missing, 400, "invalid_request");
    decide(&browser, &user, "allow").await.unwrap();
    // Who asks too fast is not punished beyond the wait.
    let tokens = Pair::of(&poll().await);
    assert_eq!(gateway.list_status(&tokens.access).await, 200);
    // The user code is used up.
    let page = browser.open(&format!("/device?user_code={user}")).await;
    assert_eq!(page.answer.status, 400, "{page:?}");
    // Once.
    is_refused("again", &poll().await, 400, "invalid_grant");
    assert_eq!(gateway.list_status(&tokens.access).await, 401);

    let (device, user) = device_codes(&gateway.answer(device_begins(tv)).await);
    decide(&browser, &user, "deny").await.unwrap();
    for _ in 0..2 {
        let answer = gateway.answer(device_call(tv, &device)).await;
        is_refused("denied", &answer, 400, "access_denied");
    }
}
