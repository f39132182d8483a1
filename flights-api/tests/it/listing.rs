//! `GET /api/v1/flights`.

use serde_json::{Value, json};

use crate::support::{Api, Pilot, problem, short_flight};

async fn ids(pilot: &Pilot<'_>, query: &str) -> (Vec<String>, Option<String>) {
    let page = pilot.list(query).await;
    let id = |flight: &Value| flight["id"].as_str().unwrap().to_owned();
    let ids = page["flights"].as_array().unwrap().iter().map(id).collect();
    (ids, page["next_cursor"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn a_pilot_sees_the_newest_takeoff_first_and_nobody_elses() {
    let api = Api::start().await;
    let (anna, otto) = (api.pilot("anna"), api.pilot("otto"));
    assert_eq!(
        anna.list("").await,
        json!({"flights": [], "next_cursor": null})
    );
    let mut expected = Vec::new();
    for start in [40_000, 36_000, 50_000] {
        let flight = anna.upload(short_flight(start, 1)).await;
        expected.push((start, flight["id"].as_str().unwrap().to_owned()));
    }
    expected.sort();
    let newest_first: Vec<String> = expected.into_iter().rev().map(|(_, id)| id).collect();
    assert_eq!(ids(&anna, "").await, (newest_first, None));
    assert_eq!(ids(&otto, "").await.0, [""; 0]);
}

#[tokio::test]
async fn pages_are_complete_and_do_not_shift_when_flights_come_and_go() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let mut uploaded = Vec::new();
    // Three of each takeoff, so that pages end in the middle of a tie.
    for n in 0..21 {
        let flight = anna
            .upload(short_flight(36_000 + 600 * (n / 3), n as usize))
            .await;
        uploaded.push(flight["id"].as_str().unwrap().to_owned());
    }
    let (all, end) = ids(&anna, "?limit=100").await;
    assert_eq!((all.len(), end), (21, None));

    let (mut seen, mut cursor) = ids(&anna, "?limit=4").await;
    // One newer than everything, one deleted that was seen, one that is to come.
    anna.upload(short_flight(80_000, 99)).await;
    anna.delete(&format!("/api/v1/flights/{}", seen[3])).await;
    anna.delete(&format!("/api/v1/flights/{}", all[20])).await;
    while let Some(next) = cursor {
        let (page, following) = ids(&anna, &format!("?limit=4&cursor={next}")).await;
        assert!(!page.is_empty());
        seen.extend(page);
        cursor = following;
    }
    assert_eq!(seen, all[..20]);
}

#[tokio::test]
async fn twenty_are_a_page_unless_asked_otherwise() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    for n in 0..21 {
        anna.upload(short_flight(36_000, n)).await;
    }
    assert_eq!(ids(&anna, "").await.0.len(), 20);
    let (page, cursor) = ids(&anna, "?limit=21").await;
    assert_eq!((page.len(), cursor), (21, None));
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    for (query, named) in [
        ("limit=0", "`limit`"),
        ("limit=101", "`limit`"),
        ("limit=-1", "`limit`"),
        ("limit=%2B5", "`limit`"),
        ("limit=", "`limit`"),
        ("limit=99999999999999999999", "`limit`"),
        ("limit=5&limit=5", "`limit`"),
        ("cursor=", "`cursor`"),
        ("cursor=AAAA", "`cursor`"),
        ("cursor=%00%ff", "`cursor`"),
        ("cursor=AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "`cursor`"),
        ("page=2", "`page`"),
        ("limit=5&Cursor=x", "`Cursor`"),
    ] {
        let response = anna.get(&format!("/api/v1/flights?{query}")).await;
        let problem = problem(response, 400, "invalid-parameter").await;
        assert!(
            problem["detail"].as_str().unwrap().contains(named),
            "{query}: {problem}"
        );
    }
}
