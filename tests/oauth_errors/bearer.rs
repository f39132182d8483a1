//! What is done with tokens: at routes, to revoke and to introspect them.

use serde_json::json;

use super::{is_refused, place};
use crate::{
    authorization::{exchange, request},
    client::Call,
    grants::{Pair, annas, code_for, pair},
    oauth::{FLIGHTS, INTROSPECT, REVOKE, made_up, token_about},
};

const USERINFO: &str = "/api/oauth/userinfo";

/// RFC 6750 section 3.1, at a route and at the gateway's own endpoint.
#[tokio::test]
async fn a_bearer_without_right_is_told_which_one_it_lacks() {
    let place = place().await;
    let gateway = &place.gateway;
    let browser = annas(gateway).await;
    let knower = place.site.credentials("knower");
    let told = code_for(&browser, &knower, &[("scope", "profile")]).await;
    let told = Pair::of(&exchange(gateway, &knower, &told).await).access;
    let reads = pair(gateway, &browser, &place.web).await.access;
    let answer = gateway.answer(Call::get(USERINFO).bearer(&told)).await;
    assert_eq!(answer.json()["username"], "anna", "{answer:?}");
    let unknown = made_up("wf_at_");
    for (path, good, lacking, scope) in [
        (FLIGHTS, &reads, &told, "flights:read"),
        (USERINFO, &told, &reads, "pilots:read profile"),
    ] {
        let twice = Call::get(path).bearer(good).bearer(good);
        let by_query = Call::get(&format!("{path}?access_token={good}"));
        for (what, call, status, problem, challenge) in [
            (
                "missing",
                Call::get(path),
                401,
                "missing-token",
                String::new(),
            ),
            (
                "Basic",
                Call::get(path).basic("a", "b"),
                401,
                "missing-token",
                String::new(),
            ),
            (
                "in the query",
                by_query,
                401,
                "missing-token",
                String::new(),
            ),
            (
                "twice",
                twice,
                400,
                "bad-authorization",
                ", error=\"invalid_request\"".to_owned(),
            ),
            (
                "empty",
                Call::get(path).bearer(""),
                400,
                "bad-authorization",
                ", error=\"invalid_request\"".to_owned(),
            ),
            (
                "malformed",
                Call::get(path).bearer("a b"),
                400,
                "bad-authorization",
                ", error=\"invalid_request\"".to_owned(),
            ),
            (
                "unknown",
                Call::get(path).bearer(&unknown),
                401,
                "invalid-token",
                ", error=\"invalid_token\", error_description=\"unknown, expired or revoked\""
                    .to_owned(),
            ),
            (
                "insufficient",
                Call::get(path).bearer(lacking),
                403,
                "insufficient-scope",
                format!(", error=\"insufficient_scope\", scope=\"{scope}\""),
            ),
        ] {
            let answer = gateway.answer(call).await;
            let found = (answer.status, &*answer.problem());
            assert_eq!(found, (status, problem), "{what} at {path}: {answer:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
            assert_eq!(
                answer.header("www-authenticate"),
                Some(&*format!("Bearer realm=\"api\"{challenge}")),
                "{what} at {path}"
            );
            assert!(!answer.text().contains(&**good), "{what}");
        }
    }
}

/// RFC 7009 section 2.2.1, RFC 7662 section 2.3.
#[tokio::test]
async fn revocation_and_introspection_are_refused_by_the_book() {
    let place = place().await;
    let (gateway, web) = (&place.gateway, &place.web);
    let browser = annas(gateway).await;
    let tokens = pair(gateway, &browser, web).await;
    for path in [REVOKE, INTROSPECT] {
        let form = |form: &[(&str, &str)]| Call::form(path, form);
        let token = ("token", &*tokens.access);
        for (what, call, status, error) in [
            ("nobody", form(&[token]), 401, "invalid_client"),
            (
                "wrong",
                form(&[token]).basic(&web.id, "wrong"),
                401,
                "invalid_client",
            ),
            (
                "no token",
                form(&[]).basic(&web.id, &web.secret),
                400,
                "invalid_request",
            ),
            (
                "repeated",
                form(&[token, token]).basic(&web.id, &web.secret),
                400,
                "invalid_request",
            ),
        ] {
            is_refused(
                &format!("{what} at {path}"),
                &gateway.answer(call).await,
                status,
                error,
            );
        }
    }
    for token in [&tokens.access, &tokens.refresh] {
        let answer = gateway.answer(token_about(REVOKE, &place.lax, token)).await;
        is_refused("another's", &answer, 400, "unauthorized_client");
        let inactive = gateway.introspect(&place.lax, token).await;
        assert_eq!(inactive, json!({"active": false}));
        assert_eq!(gateway.introspect(web, token).await["active"], true);
    }
    let key = place.site.api_key("anna");
    let answer = gateway.answer(token_about(REVOKE, web, &key)).await;
    is_refused("an API key", &answer, 400, "unsupported_token_type");
    // A wrong hint is no error, and finds it all the same (section 2.1).
    for (token, hint) in [
        (&tokens.access, "refresh_token"),
        (&tokens.refresh, "nonsense"),
        (&tokens.refresh, "refresh_token"),
        (&made_up("wf_rt_"), "refresh_token"),
    ] {
        let form = [("token", &**token), ("token_type_hint", hint)];
        let call = Call::form(REVOKE, &form).basic(&web.id, &web.secret);
        assert_eq!(gateway.answer(call).await.status, 200, "{hint}");
        assert_eq!(gateway.list_status(&tokens.access).await, 401);
    }
    // With the grant went the consent.
    let asked = browser.open(&request(web, &[])).await;
    assert!(asked.has("Acme web"), "{asked:?}");
}
