//! The command itself: how it starts and ends.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{ALL, Gateway, ISSUER, Jwks, Signer, claims, short_flight};

/// A running `flights-api`, killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) base: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &Path, jwks: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flights-api"));
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--jwks-url",
        jwks,
        "--issuer",
        ISSUER,
        "--data",
    ]);
    command
        .arg(data)
        .env_remove("FLIGHTS_API_LISTEN")
        .stderr(Stdio::piped());
    command
}

/// Starts it, and waits for its ready file.
pub(crate) fn start(directory: &Path, jwks: &str, options: &[&str]) -> Process {
    let ready = directory.join("ready.json");
    let _ = std::fs::remove_file(&ready);
    let mut command = command(&directory.join("data"), jwks);
    let child = command
        .args(options)
        .arg("--ready-file")
        .arg(&ready)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let text = loop {
        match std::fs::read_to_string(&ready) {
            Ok(text) => break text,
            Err(_) => assert!(began.elapsed() < Duration::from_secs(30), "not ready"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let ready: Value = serde_json::from_str(&text).unwrap();
    Process {
        child,
        base: format!("http://{}", ready["listen"].as_str().unwrap()),
    }
}

fn terminate(child: &Child) {
    let status = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

async fn wait(mut process: Process) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = process.child.try_wait().unwrap() {
            return status;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn sentence(output: &Output) -> String {
    String::from_utf8(output.stderr.clone())
        .unwrap()
        .trim_end()
        .to_owned()
}

pub(crate) async fn gateway() -> (Signer, Gateway) {
    let signer = Signer::new("key-1");
    let gateway = Gateway::start(Jwks::Keys(vec![signer.jwk()])).await;
    (signer, gateway)
}

#[tokio::test]
async fn a_taken_port_is_one_sentence_and_exit_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_flights-api"))
        .args(["serve", "--issuer", ISSUER, "--listen", &address, "--data"])
        .arg(directory.path().join("data"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let sentence = sentence(&output);
    assert!(
        sentence.starts_with(&format!("flights-api: {address} is in use")),
        "{sentence}"
    );
    assert_eq!(sentence.lines().count(), 1);
    assert!(!directory.path().join("data").exists());
}

#[tokio::test]
async fn a_data_directory_has_one_process() {
    let directory = TempDir::new().unwrap();
    let (_, gateway) = gateway().await;
    let _first = start(directory.path(), &gateway.url, &[]);
    let output = command(&directory.path().join("data"), &gateway.url)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        sentence(&output).contains("in use by another flights-api"),
        "{}",
        sentence(&output)
    );
    assert_eq!(sentence(&output).lines().count(), 1);
}

#[tokio::test]
async fn a_wrong_option_says_what_was_expected() {
    for (option, value, expected) in [
        ("--max-upload", "10MB", "expected a size such as 10MiB"),
        (
            "--jwks-url",
            "https://gateway.example/jwks",
            "expected an address that begins with http://",
        ),
        ("--log", "=loud=", "expected a level such as info"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_flights-api"))
            .args([
                "serve",
                "--issuer",
                ISSUER,
                "--data",
                "/nonexistent/data",
                option,
                value,
            ])
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(
            sentence(&output).contains(expected),
            "{}",
            sentence(&output)
        );
    }
}

#[tokio::test]
async fn options_may_come_from_the_environment() {
    let directory = TempDir::new().unwrap();
    let (signer, gateway) = gateway().await;
    let ready = directory.path().join("ready.json");
    let child = Command::new(env!("CARGO_BIN_EXE_flights-api"))
        .arg("serve")
        .env("FLIGHTS_API_LISTEN", "127.0.0.1:0")
        .env("FLIGHTS_API_DATA", directory.path().join("data"))
        .env("FLIGHTS_API_JWKS_URL", &gateway.url)
        .env("FLIGHTS_API_ISSUER", ISSUER)
        .env("FLIGHTS_API_READY_FILE", &ready)
        .env("FLIGHTS_API_LOG_FORMAT", "json")
        .env("FLIGHTS_API_LOG", "debug")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !ready.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ready: Value = serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap();
    let token = signer.sign(&claims(Timestamp::now().as_second(), "anna", ALL));
    let url = format!(
        "http://{}/api/v1/flights?limit=7",
        ready["listen"].as_str().unwrap()
    );
    let client = crate::support::client();
    let response = client
        .get(url)
        .header("Flightgate-Identity", &token)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let log = sentence(&output);
    // Lines of JSON, in which no part of the token appears.
    assert!(
        log.lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{log}"
    );
    assert!(log.contains("\"path\":\"/api/v1/flights\""), "{log}");
    for part in token.split('.') {
        assert!(!log.contains(part), "{log}");
    }
}

/// Begins an upload, and waits until the server asks for its body.
async fn begin_upload(process: &Process, token: &str, length: usize) -> TcpStream {
    let address = process.base.strip_prefix("http://").unwrap();
    let mut upload = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/v1/flights HTTP/1.1\r\nHost: x\r\nFlightgate-Identity: {token}\r\n\
         Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    upload.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    upload
}

#[tokio::test]
async fn sigterm_finishes_the_upload_that_is_under_way() {
    let directory = TempDir::new().unwrap();
    let (signer, gateway) = gateway().await;
    let process = start(directory.path(), &gateway.url, &[]);
    let token = signer.sign(&claims(Timestamp::now().as_second(), "anna", ALL));
    let file = short_flight(36_000, 1);
    let (half, rest) = file.split_at(1000);
    let mut upload = begin_upload(&process, &token, file.len()).await;
    upload.write_all(half.as_bytes()).await.unwrap();
    terminate(&process.child);
    // It takes no new connections from here on.
    let address = process.base.strip_prefix("http://").unwrap();
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    upload.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    upload.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created"), "{answer}");
    assert!(wait(process).await.success());
    assert!(!directory.path().join("ready.json").exists());
}

#[tokio::test]
async fn sigterm_waits_no_longer_than_it_was_told() {
    let directory = TempDir::new().unwrap();
    let (signer, gateway) = gateway().await;
    let process = start(directory.path(), &gateway.url, &["--drain", "0"]);
    let token = signer.sign(&claims(Timestamp::now().as_second(), "anna", ALL));
    let _never_finished = begin_upload(&process, &token, 5000).await;
    terminate(&process.child);
    assert!(wait(process).await.success());
}
