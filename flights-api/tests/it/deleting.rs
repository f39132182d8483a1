//! `DELETE /api/v1/flights/{id}`.

use crate::support::{Api, problem, real, short_flight};

#[tokio::test]
async fn a_deleted_flight_is_gone_with_its_file_and_may_come_again() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let flight = anna.upload(short_flight(36_000, 1)).await;
    let path = format!("/api/v1/flights/{}", flight["id"].as_str().unwrap());
    let deleted = anna.delete(&path).await;
    assert_eq!(deleted.status(), 204);
    assert!(deleted.bytes().await.unwrap().is_empty());
    assert_eq!(api.blob_files().len(), 0);
    for path in [&path, &format!("{path}.igc")] {
        problem(anna.get(path).await, 404, "not-found").await;
    }
    problem(anna.delete(&path).await, 404, "not-found").await;
    assert_ne!(
        anna.upload(short_flight(36_000, 1)).await["id"],
        flight["id"]
    );
}

#[tokio::test]
async fn to_delete_ones_flight_does_not_touch_the_same_file_of_another() {
    let api = Api::start().await;
    let file = real("go-igc__testdata_0001.igc");
    let (anna, otto) = (api.pilot("anna"), api.pilot("otto"));
    let (annas, ottos) = (
        anna.upload(file.clone()).await,
        otto.upload(file.clone()).await,
    );
    assert_eq!(annas["sha256"], ottos["sha256"]);
    anna.delete(&format!(
        "/api/v1/flights/{}",
        annas["id"].as_str().unwrap()
    ))
    .await;
    let left = otto
        .get(&format!(
            "/api/v1/flights/{}.igc",
            ottos["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(left.bytes().await.unwrap(), file);
}

#[tokio::test]
async fn uploads_and_deletions_of_one_file_may_race_and_every_flight_has_its_file() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let file = short_flight(36_000, 1);
    let churn = (0..8).map(|_| async {
        for _ in 0..12 {
            let flight: serde_json::Value = anna.post(file.clone()).await.json().await.unwrap();
            let path = format!("/api/v1/flights/{}", flight["id"].as_str().unwrap());
            let bytes = anna.get(&format!("{path}.igc")).await;
            assert!(
                [200, 404].contains(&bytes.status().as_u16()),
                "{}",
                bytes.status()
            );
            let deleted = anna.delete(&path).await;
            assert!([204, 404].contains(&deleted.status().as_u16()));
        }
    });
    futures_util::future::join_all(churn).await;
    let left = anna.list("?limit=100").await["flights"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!((left, api.blob_files().len()), (0, 0));
}

#[tokio::test]
async fn a_file_cannot_be_deleted_without_its_flight() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let flight = anna.upload(short_flight(36_000, 1)).await;
    let response = anna
        .delete(&format!(
            "/api/v1/flights/{}.igc",
            flight["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    problem(response, 405, "method-not-allowed").await;
}
