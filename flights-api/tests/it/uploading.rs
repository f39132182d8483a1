//! `POST /api/v1/flights`.

use futures_util::future::join_all;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Api, problem, real, short_flight};

const FLIGHT: &str = "igc-rs__examples_example.igc";

#[tokio::test]
async fn an_upload_answers_with_the_flight_and_where_it_is() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let response = anna.post(real(FLIGHT)).await;
    assert_eq!(response.status(), 201);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let flight: Value = response.json().await.unwrap();
    assert_eq!(
        location,
        format!("/api/v1/flights/{}", flight["id"].as_str().unwrap())
    );
    assert_eq!(
        anna.get(&location).await.json::<Value>().await.unwrap(),
        flight
    );

    let mut shown = flight.clone();
    shown.as_object_mut().unwrap().remove("id");
    assert_eq!(
        shown,
        json!({
            "created_at": "2026-11-21T12:00:00Z",
            "sha256": flights_api::flight::Sha256::of(&real(FLIGHT)).to_string(),
            "bytes": real(FLIGHT).len(),
            "date": "2018-07-23",
            "pilot": "XXXXX XXXX",
            "glider": {"type": "ASH 25E", "id": "X-XXXX"},
            "recorder": {"type": "LXNAV,LX8000F", "id": "LXVK4A"},
            "fixes": 4643,
            "first_fix": {"time": "2018-07-23T09:41:13Z", "latitude": 51.871083, "longitude": -0.544033},
            "last_fix": {"time": "2018-07-23T14:38:52Z", "latitude": 51.867717, "longitude": -0.546417},
            "takeoff": {"time": "2018-07-23T09:41:13Z", "latitude": 51.871083, "longitude": -0.544033},
            "landing": {"time": "2018-07-23T14:38:24Z", "latitude": 51.867717, "longitude": -0.546417},
            "duration_s": 17831,
            "max_gps_altitude_m": 1566,
            "max_pressure_altitude_m": 1477,
        })
    );
}

#[tokio::test]
async fn a_file_may_come_under_any_name_that_clients_give_it() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let types = [
        "application/vnd.fai.igc",
        "text/plain; charset=utf-8",
        "Application/Octet-Stream",
    ];
    for (n, content_type) in types.into_iter().enumerate() {
        let request = anna
            .request(Method::POST, "/api/v1/flights")
            .header("Content-Type", content_type);
        let response = request.body(short_flight(36000, n)).send().await.unwrap();
        assert_eq!(response.status(), 201, "{content_type}");
    }
    let form = Form::new().part(
        "file",
        Part::bytes(short_flight(36000, 9).into_bytes()).file_name("x.igc"),
    );
    let response = anna
        .request(Method::POST, "/api/v1/flights")
        .multipart(form)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
}

#[tokio::test]
async fn what_is_not_an_upload_is_refused_with_what_was_expected() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let post = || anna.request(Method::POST, "/api/v1/flights");
    let part = || Part::bytes(short_flight(36000, 1).into_bytes());

    let none = post()
        .header("Content-Type", "multipart/form-data; boundary=b")
        .body("--b--\r\n");
    let none = none.send().await.unwrap();
    assert!(
        problem(none, 400, "invalid-upload").await["detail"]
            .as_str()
            .unwrap()
            .contains("found none")
    );
    let two = post()
        .multipart(Form::new().part("file", part()).part("file", part()))
        .send()
        .await
        .unwrap();
    assert!(
        problem(two, 400, "invalid-upload").await["detail"]
            .as_str()
            .unwrap()
            .contains("found several")
    );
    let other = post()
        .multipart(Form::new().part("flight", part()))
        .send()
        .await
        .unwrap();
    assert!(
        problem(other, 400, "invalid-upload").await["detail"]
            .as_str()
            .unwrap()
            .contains("`file`")
    );

    for (content_type, body, status, code) in [
        ("multipart/form-data", "x", 400, "invalid-upload"),
        (
            "multipart/form-data; boundary=b",
            "--b\r\nno end",
            400,
            "invalid-upload",
        ),
        ("application/json", "{}", 415, "unsupported-media-type"),
        ("image/png", "x", 415, "unsupported-media-type"),
    ] {
        let response = post()
            .header("Content-Type", content_type)
            .body(body)
            .send()
            .await
            .unwrap();
        problem(response, status, code).await;
    }
    let zipped = post()
        .header("Content-Encoding", "gzip")
        .body("x")
        .send()
        .await
        .unwrap();
    problem(zipped, 415, "unsupported-media-type").await;
    assert_eq!(anna.list("").await["flights"], json!([]));
    assert_eq!(api.blob_files().len(), 0);
}

#[tokio::test]
async fn what_is_not_a_flight_is_refused_with_the_line() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    for (file, code, detail) in [
        ("", "not-igc", "line 1:"),
        ("<html>\n<p>", "not-igc", "line 1: expected an IGC record"),
        (
            "AXXX\nHFDTE310226\nB1200004700000N00800000EA0100001100\n",
            "no-date",
            "line 2: expected a date",
        ),
        (
            "AXXX\nHFDTE010526\nB12\n",
            "no-fixes",
            "line 3: expected a fix",
        ),
    ] {
        let problem = problem(anna.post(file).await, 422, code).await;
        assert!(
            problem["detail"].as_str().unwrap().starts_with(detail),
            "{problem}"
        );
    }
    assert_eq!(api.blob_files().len(), 0);
}

#[tokio::test]
async fn a_file_over_the_limit_is_413_whether_it_says_so_or_not() {
    let api = Api::start_with(|config| config.max_upload = 5000).await;
    let anna = api.pilot("anna");
    let big = short_flight(36000, 1);
    assert!(big.len() <= 5000);
    let over = format!("{big}{}", "L".repeat(5001 - big.len()));
    let exactly = &over[..5000];

    problem(anna.post(over.clone()).await, 413, "upload-too-large").await;
    let chunks = |file: &str| {
        let chunks: Vec<_> = file
            .as_bytes()
            .chunks(1000)
            .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
            .collect();
        Body::wrap_stream(futures_util::stream::iter(chunks))
    };
    problem(anna.post(chunks(&over)).await, 413, "upload-too-large").await;
    let form = Form::new().part("file", Part::bytes(over.clone().into_bytes()));
    let response = anna
        .request(Method::POST, "/api/v1/flights")
        .multipart(form)
        .send()
        .await
        .unwrap();
    problem(response, 413, "upload-too-large").await;

    assert_eq!(anna.post(chunks(exactly)).await.status(), 201);
}

#[tokio::test]
async fn the_same_file_again_is_the_same_flight() {
    let api = Api::start().await;
    let (anna, otto) = (api.pilot("anna"), api.pilot("otto"));
    let flight = anna.upload(real(FLIGHT)).await;
    let again = anna.post(real(FLIGHT)).await;
    assert_eq!(again.status(), 200);
    assert_eq!(
        again.headers()["location"],
        format!("/api/v1/flights/{}", flight["id"].as_str().unwrap())
    );
    assert_eq!(again.json::<Value>().await.unwrap(), flight);
    assert_ne!(otto.upload(real(FLIGHT)).await["id"], flight["id"]);
}

#[tokio::test]
async fn of_many_simultaneous_uploads_of_a_file_exactly_one_makes_a_flight() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let answers = join_all((0..24).map(|_| anna.post(short_flight(36000, 1)))).await;
    let created = answers
        .iter()
        .filter(|answer| answer.status() == 201)
        .count();
    let existing = answers
        .iter()
        .filter(|answer| answer.status() == 200)
        .count();
    assert_eq!((created, existing), (1, 23));
    assert_eq!(anna.list("").await["flights"].as_array().unwrap().len(), 1);
    assert_eq!(api.blob_files().len(), 1);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_although_its_half_would_be_a_flight() {
    let api = Api::start().await;
    let anna = api.pilot("anna");
    let file = short_flight(36000, 1);
    let half = &file[..file.len() / 2];
    for framing in [
        format!("Content-Length: {}\r\n\r\n{half}", file.len()),
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n",
            half.len()
        ),
    ] {
        let address = api.base.strip_prefix("http://").unwrap();
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST /api/v1/flights HTTP/1.1\r\nHost: x\r\nFlightgate-Identity: {}\r\n{framing}",
            anna.token
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    assert_eq!(anna.list("").await["flights"], json!([]));
    assert_eq!(api.blob_files().len(), 0);
}

#[tokio::test]
async fn slow_uploads_do_not_keep_others_out_and_full_memory_is_503() {
    // Memory for eight files of this size.
    let api = Api::start_with(|config| config.max_upload = 6000).await;
    let anna = api.pilot("anna");
    let open = async |bytes: usize| {
        let address = api.base.strip_prefix("http://").unwrap();
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST /api/v1/flights HTTP/1.1\r\nHost: x\r\nFlightgate-Identity: {}\r\nExpect: 100-continue\r\n\
             Content-Length: 6000\r\n\r\n",
            anna.token
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut go_on = [0; 25];
        connection.read_exact(&mut go_on).await.unwrap();
        connection
            .write_all("L".repeat(bytes).as_bytes())
            .await
            .unwrap();
        connection
    };
    let mut slow = Vec::new();
    for _ in 0..40 {
        slow.push(open(1).await);
    }
    assert_eq!(anna.post(short_flight(36000, 1)).await.status(), 201);
    for _ in 0..8 {
        slow.push(open(5990).await);
    }
    let refused = loop {
        // Until what they sent has arrived.
        let response = anna.post(short_flight(36000, 2)).await;
        if response.status() == 503 {
            break response;
        }
    };
    assert_eq!(refused.headers()["retry-after"], "1");
    problem(refused, 503, "busy").await;
    drop(slow);
    while anna.post(short_flight(36000, 3)).await.status() == 503 {
        tokio::task::yield_now().await;
    }
}
