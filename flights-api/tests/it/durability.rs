//! What a crash leaves, and what a start makes of it.

use std::fs;

use serde_json::json;

use crate::support::{Api, short_flight};

#[tokio::test]
async fn flights_survive_a_restart() {
    let mut api = Api::start().await;
    let flight = api.pilot("anna").upload(short_flight(36_000, 1)).await;
    api.restart().await;
    assert_eq!(api.pilot("anna").list("").await["flights"], json!([flight]));
}

#[tokio::test]
async fn a_start_sweeps_blobs_without_a_flight_and_halves_of_uploads_and_nothing_else() {
    let mut api = Api::start().await;
    let file = short_flight(36_000, 1);
    let flight = api.pilot("anna").upload(file.clone()).await;
    let [kept] = api.blob_files().try_into().unwrap();
    let sha256 = flight["sha256"].as_str().unwrap();
    let orphan = kept.with_file_name(format!("{sha256}.01ARZ3NDEKTSV4RRFFQ69G5FAV"));
    let half = kept.with_file_name(format!("{sha256}.01ARZ3NDEKTSV4RRFFQ69G5FAV#1"));
    let foreign = kept.with_file_name("README.txt");
    api.restart_after(|| {
        for path in [&orphan, &half, &foreign] {
            fs::write(path, "x").unwrap();
        }
    })
    .await;
    let mut left = api.blob_files();
    left.sort();
    let mut expected = vec![kept, foreign];
    expected.sort();
    assert_eq!(left, expected);
    let path = format!("/api/v1/flights/{}.igc", flight["id"].as_str().unwrap());
    assert_eq!(
        api.pilot("anna").get(&path).await.text().await.unwrap(),
        file
    );
}
