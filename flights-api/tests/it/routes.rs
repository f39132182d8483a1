//! What holds for every path.

use reqwest::Method;

use crate::support::{Api, problem};

#[tokio::test]
async fn health_needs_no_identity() {
    let api = Api::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            api.request(Method::GET, path)
                .send()
                .await
                .unwrap()
                .status(),
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_not_ready() {
    let api = Api::start().await;
    std::fs::remove_dir_all(api.blobs()).unwrap();
    let anna = api.pilot("anna");
    std::fs::write(api.blobs(), "not a directory").unwrap();
    let upload = anna.post(crate::support::short_flight(36_000, 1)).await;
    assert_eq!(upload.headers()["retry-after"], "5");
    problem(upload, 503, "store-unavailable").await;
    problem(
        api.request(Method::GET, "/readyz").send().await.unwrap(),
        503,
        "store-unavailable",
    )
    .await;
    assert_eq!(
        api.request(Method::GET, "/healthz")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn another_method_is_405_with_those_that_there_are() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    for (method, path, allow) in [
        (Method::PUT, "/api/v1/flights", "GET,HEAD,POST"),
        (Method::DELETE, "/api/v1/flights", "GET,HEAD,POST"),
        (
            Method::POST,
            "/api/v1/flights/01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "GET,HEAD,DELETE",
        ),
        (Method::OPTIONS, "/api/v1/flights", "GET,HEAD,POST"),
        (Method::POST, "/healthz", "GET,HEAD"),
    ] {
        let response = anna.request(method.clone(), path).send().await.unwrap();
        assert_eq!(response.headers()["allow"], allow, "{method} {path}");
        problem(response, 405, "method-not-allowed").await;
    }
}

#[tokio::test]
async fn an_unknown_path_is_404() {
    let api = Api::start().await;
    for path in [
        "/",
        "/api",
        "/api/v1/flights/",
        "/api/v1/flights/a/b",
        "/api/v2/flights",
        "/favicon.ico",
    ] {
        problem(api.pilot("anna").get(path).await, 404, "not-found").await;
    }
}

#[tokio::test]
async fn a_problem_carries_the_id_of_the_request_if_it_is_well_formed() {
    let api = Api::start().await;
    let ask = async |ids: &[&str]| {
        let mut request = api.request(Method::GET, "/nothing");
        for id in ids {
            request = request.header("X-Request-Id", *id);
        }
        problem(request.send().await.unwrap(), 404, "not-found").await["request_id"].clone()
    };
    assert_eq!(ask(&["req-0:1/a_b.c"]).await, "req-0:1/a_b.c");
    assert_eq!(ask(&["x".repeat(128).as_str()]).await, "x".repeat(128));
    for bad in [
        &[][..],
        &[""],
        &["a b"],
        &["<script>"],
        &["a", "b"],
        &["x".repeat(129).as_str()],
    ] {
        assert!(ask(bad).await.is_null(), "{bad:?}");
    }
}
