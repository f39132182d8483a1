//! A gateway's half of the conversation, and an API to talk to.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flights_api::clock::Clock;
use flights_api::config::{LogFormat, Serve};
use flights_api::server::Server;
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const ISSUER: &str = "https://api.example.org";
pub(crate) const ALL: &str = "flights:read flights:write flights:delete";

/// A clock that the test moves.
pub(crate) struct HeldClock(AtomicI64);

impl HeldClock {
    pub(crate) fn at(time: &str) -> Arc<HeldClock> {
        let time: Timestamp = time.parse().unwrap();
        Arc::new(HeldClock(AtomicI64::new(time.as_second())))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.seconds()).unwrap()
    }
}

/// Signs identities as the gateway does.
pub(crate) struct Signer {
    kid: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    pub(crate) fn new(kid: &str) -> Signer {
        Signer {
            kid: kid.into(),
            pair: Ed25519KeyPair::generate().unwrap(),
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid, "alg": "EdDSA", "use": "sig"})
    }

    pub(crate) fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// A token of these claims, with the header that the gateway writes.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(
            &json!({"alg": "EdDSA", "typ": "JWT", "kid": self.kid}),
            claims,
        )
    }

    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let input = signing_input(header, claims);
        format!(
            "{input}.{}",
            URL_SAFE_NO_PAD.encode(self.pair.sign(input.as_bytes()))
        )
    }
}

pub(crate) fn signing_input(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The claims of an identity that is good for an hour.
pub(crate) fn claims(now: i64, subject: &str, scope: &str) -> Value {
    json!({
        "iss": ISSUER, "sub": subject, "client_id": "fg_app_acme", "scope": scope,
        "grant": "grant-1", "jti": format!("jti-{subject}-{now}"), "iat": now, "exp": now + 3600,
    })
}

/// How the gateway answers for its keys.
#[derive(Clone)]
pub(crate) enum Jwks {
    Keys(Vec<Value>),
    Status(u16),
    Body(String),
}

/// The listener of the gateway that publishes its keys.
pub(crate) struct Gateway {
    pub(crate) url: String,
    answer: Arc<Mutex<Jwks>>,
    fetches: Arc<AtomicUsize>,
    _serving: Abort,
}

struct Abort(JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Gateway {
    pub(crate) async fn start(jwks: Jwks) -> Gateway {
        let answer = Arc::new(Mutex::new(jwks));
        let fetches = Arc::new(AtomicUsize::new(0));
        let handler = {
            let (answer, fetches) = (Arc::clone(&answer), Arc::clone(&fetches));
            move || {
                fetches.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap().clone();
                async move {
                    // Long enough for a stampede, if there were one, to arrive.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    respond(answer)
                }
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/.well-known/jwks.json",
            listener.local_addr().unwrap()
        );
        let router = Router::new().route("/.well-known/jwks.json", get(handler));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Gateway {
            url,
            answer,
            fetches,
            _serving: Abort(serving),
        }
    }

    pub(crate) fn answer_with(&self, jwks: Jwks) {
        *self.answer.lock().unwrap() = jwks;
    }

    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

fn respond(jwks: Jwks) -> Response {
    match jwks {
        Jwks::Keys(keys) => axum::Json(json!({"keys": keys})).into_response(),
        Jwks::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Jwks::Body(body) => body.into_response(),
    }
}

/// An API on a port of its own, with a gateway that knows one key.
pub(crate) struct Api {
    pub(crate) base: String,
    pub(crate) clock: Arc<HeldClock>,
    pub(crate) signer: Signer,
    pub(crate) gateway: Gateway,
    pub(crate) http: reqwest::Client,
    pub(crate) data: TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Api {
    pub(crate) async fn start() -> Api {
        Api::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Serve)) -> Api {
        let signer = Signer::new("key-1");
        let gateway = Gateway::start(Jwks::Keys(vec![signer.jwk()])).await;
        let data = TempDir::new().unwrap();
        let clock = HeldClock::at("2026-11-21T12:00:00Z");
        let mut api = Api {
            base: String::new(),
            clock,
            signer,
            gateway,
            http: client(),
            data,
            stop: None,
            serving: None,
        };
        api.serve(change).await;
        api
    }

    async fn serve(&mut self, change: impl FnOnce(&mut Serve)) {
        let mut config = Serve {
            listen: "127.0.0.1:0".parse().unwrap(),
            data: self.data.path().join("data"),
            jwks_url: self.gateway.url.parse().unwrap(),
            issuer: ISSUER.into(),
            ready_file: None,
            max_upload: 10 << 20,
            drain: Duration::from_secs(5),
            log_format: LogFormat::Text,
            log: "warn".into(),
        };
        change(&mut config);
        let server = Server::bind(config, Arc::<HeldClock>::clone(&self.clock))
            .await
            .unwrap();
        self.base = format!("http://{}", server.address());
        let (stop, stopped) = oneshot::channel::<()>();
        let stopping = async move { drop(stopped.await) };
        self.stop = Some(stop);
        self.serving = Some(tokio::spawn(async move {
            server.serve(stopping).await.unwrap();
        }));
    }

    /// Ends the API in order, and starts it again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.restart_after(|| {}).await;
    }

    /// The same, with something happening to the data in between.
    pub(crate) async fn restart_after(&mut self, meanwhile: impl FnOnce()) {
        self.stop.take().unwrap().send(()).unwrap();
        self.http = client();
        self.serving.take().unwrap().await.unwrap();
        meanwhile();
        self.serve(|_| {}).await;
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.data.path().join("data/blobs")
    }

    /// The files below the blobs' directory.
    pub(crate) fn blob_files(&self) -> Vec<PathBuf> {
        let prefixes = std::fs::read_dir(self.blobs()).unwrap();
        let files = prefixes.flat_map(|prefix| std::fs::read_dir(prefix.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }

    /// A pilot with every scope.
    pub(crate) fn pilot(&self, subject: &str) -> Pilot<'_> {
        self.pilot_with(subject, ALL)
    }

    pub(crate) fn pilot_with(&self, subject: &str, scope: &str) -> Pilot<'_> {
        Pilot {
            api: self,
            token: self
                .signer
                .sign(&claims(self.clock.seconds(), subject, scope)),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// The status of a read with this token.
    pub(crate) async fn status_with(&self, token: &str) -> u16 {
        let request = self
            .request(Method::GET, "/api/v1/flights")
            .header("Flightgate-Identity", token);
        request.send().await.unwrap().status().as_u16()
    }
}

pub(crate) fn client() -> reqwest::Client {
    // Built with TLS for others of the workspace, and without any of its own.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Somebody whom the gateway lets in.
pub(crate) struct Pilot<'a> {
    api: &'a Api,
    pub(crate) token: String,
}

impl Pilot<'_> {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.api
            .request(method, path)
            .header("Flightgate-Identity", &self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> reqwest::Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    pub(crate) async fn post(&self, file: impl Into<reqwest::Body>) -> reqwest::Response {
        self.request(Method::POST, "/api/v1/flights")
            .body(file)
            .send()
            .await
            .unwrap()
    }

    /// Uploads a file that is new; the flight as JSON.
    pub(crate) async fn upload(&self, file: impl Into<reqwest::Body>) -> Value {
        let response = self.post(file).await;
        assert_eq!(response.status(), 201);
        response.json().await.unwrap()
    }

    pub(crate) async fn list(&self, query: &str) -> Value {
        let response = self.get(&format!("/api/v1/flights{query}")).await;
        assert_eq!(response.status(), 200, "{query}");
        response.json().await.unwrap()
    }
}

/// The problem in a response, after checking that it is one and of this kind.
pub(crate) async fn problem(response: reqwest::Response, status: u16, code: &str) -> Value {
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let http_status = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    assert_eq!(
        (http_status, &problem["status"]),
        (status, &json!(status)),
        "{problem}"
    );
    assert_eq!(
        problem["type"],
        format!("urn:flightgate:problem:{code}"),
        "{problem}"
    );
    assert!(problem["title"].is_string(), "{problem}");
    problem
}

/// A real file of the test data.
pub(crate) fn real(name: &str) -> Vec<u8> {
    std::fs::read(
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/igc")
            .join(name),
    )
    .unwrap()
}

/// A short flight that begins at this second of 2026-05-01, different for every `n`.
pub(crate) fn short_flight(start: u32, n: usize) -> String {
    let fix = |second: u32| {
        let at = start + second;
        let (h, m, s) = (at / 3600, at / 60 % 60, at % 60);
        format!(
            "B{h:02}{m:02}{s:02}47{:05}N00800000EA0100001100\r\n",
            second * 10
        )
    };
    let header = format!("AXXX001\r\nHFDTE010526\r\nHFPLTPILOT:Pilot {n}\r\n");
    std::iter::once(header).chain((0..120).map(fix)).collect()
}
