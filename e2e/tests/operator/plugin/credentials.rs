//! Credentials, as they are handed on.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{key, plugin};
use crate::operator::setup::Setup;

/// Runs a command as it was printed.
async fn shell(command: String) -> Output {
    let run = move || {
        Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn credentials_are_ready_to_be_used() {
    let setup = Setup::new("kcreds").await;
    let _operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    setup.ready("acme").await;
    key(&setup, "anna", json!({})).await;
    let id = setup.credential("acme-credentials", "client_id").await;
    let secret = setup.credential("acme-credentials", "client_secret").await;

    let env = plugin(&setup, "credentials acme").await.ok();
    let read = shell(format!("{env}echo \"$CLIENT_ID $CLIENT_SECRET\"")).await;
    assert_eq!(
        String::from_utf8(read.stdout).unwrap(),
        format!("{id} {secret}\n")
    );
    let json = plugin(&setup, "credentials acme -o json").await.ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["client_secret"], secret);
    assert_eq!(
        json["token_endpoint"],
        "https://gateway.example/api/oauth/token"
    );

    // What curl sends is what the gateway expects, and its arguments hold nothing.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let line = format!("credentials acme -o curl --url {url}");
    let command = plugin(&setup, &line).await.ok();
    let first = command.lines().next().unwrap();
    assert!(
        first.starts_with("curl ") && !first.contains(&secret),
        "{first}"
    );
    let request = called(&listener, command).await;
    let basic = k8s_openapi::ByteString(format!("{id}:{secret}").into_bytes());
    let basic = serde_json::to_value(basic).unwrap();
    let basic = format!("Authorization: Basic {}", basic.as_str().unwrap());
    assert!(request.contains(&basic), "{request}");
    assert!(
        request.ends_with("grant_type=client_credentials"),
        "{request}"
    );

    let api_key = setup.credential("anna-api-key", "api_key").await;
    let command = plugin(&setup, "credentials apikey/anna -o curl").await.ok();
    assert!(!command.lines().next().unwrap().contains(&api_key));
    let request = called(&listener, format!("FLIGHTGATE_API={url}\n{command}")).await;
    assert!(
        request.contains(&format!("Authorization: Bearer {api_key}")),
        "{request}"
    );
    let unset = shell(command).await;
    assert!(!unset.status.success());
    assert!(String::from_utf8_lossy(&unset.stderr).contains("set it to what the key opens"));

    setup
        .create("refused", &json!({"scopes": ["flights:steal"]}))
        .await;
    setup.condition("refused", "Accepted", "False").await;
    let none = plugin(&setup, "credentials refused").await.refused();
    assert!(
        none.contains("no Secret `refused-credentials` yet: UnknownScope"),
        "{none}"
    );
}

/// Runs a command, and returns the one request that it sends.
async fn called(listener: &TcpListener, command: String) -> String {
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |it| it.parse().unwrap()) {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
                stream.write_all(answer.as_bytes()).await.unwrap();
                return text;
            }
        }
    };
    let what = "a request by curl";
    let run = async { tokio::join!(serve, shell(command)) };
    let (request, output) = flightgate_e2e::within(what, run).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"{}");
    request
}
