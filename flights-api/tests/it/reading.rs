//! `GET /api/v1/flights/{id}` and its `.igc`.

use reqwest::Method;
use serde_json::Value;

use crate::support::{Api, problem, real, short_flight};

#[tokio::test]
async fn the_file_comes_back_byte_for_byte() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let mut file = b"\xEF\xBB\xBF\r\n".to_vec();
    file.extend(real("go-igc__testdata_20211015.igc"));
    file.extend(b"\0\xFF\xFE");
    let flight = anna.upload(file.clone()).await;
    let path = format!("/api/v1/flights/{}.igc", flight["id"].as_str().unwrap());
    let response = anna.get(&path).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "application/vnd.fai.igc");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cache-control"], "private, no-cache");
    let name = format!(
        "attachment; filename=\"2021-04-17-{}.igc\"",
        flight["id"].as_str().unwrap()
    );
    assert_eq!(headers["content-disposition"], name);
    assert_eq!(
        headers["etag"],
        format!("\"{}\"", flight["sha256"].as_str().unwrap())
    );
    assert_eq!(response.bytes().await.unwrap(), file);
}

#[tokio::test]
async fn a_file_that_the_client_has_is_304() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let flight = anna.upload(short_flight(36_000, 1)).await;
    let path = format!("/api/v1/flights/{}.igc", flight["id"].as_str().unwrap());
    let tag = format!("\"{}\"", flight["sha256"].as_str().unwrap());
    for (known, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"x\", {tag}"), 304),
        ("*".into(), 304),
        ("\"x\"".into(), 200),
        (tag.trim_matches('"').into(), 200),
    ] {
        let request = anna
            .request(Method::GET, &path)
            .header("If-None-Match", &known);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{known}");
        assert_eq!(response.headers()["etag"], tag);
    }
    let stranger = api.pilot("otto");
    let request = stranger
        .request(Method::GET, &path)
        .header("If-None-Match", &tag);
    assert_eq!(request.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_flight_that_is_not_ours_and_one_that_never_was_look_the_same() {
    let api = Api::start().await;
    let flight = api.pilot("anna").upload(short_flight(36_000, 1)).await;
    let otto = api.pilot("otto");
    let id = flight["id"].as_str().unwrap().to_owned();
    let mut answers = Vec::new();
    for id in [
        id.as_str(),
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        &id.to_lowercase(),
        "1",
        "x".repeat(300).as_str(),
    ] {
        for suffix in ["", ".igc"] {
            let response = otto.get(&format!("/api/v1/flights/{id}{suffix}")).await;
            let mut problem = problem(response, 404, "not-found").await;
            problem.as_object_mut().unwrap().remove("request_id");
            answers.push(problem);
        }
        problem(
            otto.delete(&format!("/api/v1/flights/{id}")).await,
            404,
            "not-found",
        )
        .await;
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(
        api.pilot("anna")
            .get(&format!("/api/v1/flights/{id}"))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let flight = anna.upload(short_flight(36_000, 1)).await;
    let path = format!("/api/v1/flights/{}", flight["id"].as_str().unwrap());
    for path in [
        "/api/v1/flights".to_owned(),
        path.clone(),
        format!("{path}.igc"),
    ] {
        let head = anna.request(Method::HEAD, &path).send().await.unwrap();
        let get = anna.get(&path).await;
        assert_eq!(head.status(), 200);
        assert_eq!(
            head.headers()["content-length"],
            get.headers()["content-length"],
            "{path}"
        );
        assert_eq!(
            head.headers()["content-type"],
            get.headers()["content-type"]
        );
        assert!(head.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_json_keeps_names_that_recorders_wrote_in_latin1() {
    let api = Api::start().await;
    let mut file = b"HFPLTPILOT:J\xF6rg\n".to_vec();
    file.extend(short_flight(36_000, 1).into_bytes());
    let flight: Value = api.pilot("anna").upload(file).await;
    assert_eq!(flight["pilot"], "Jörg");
}
