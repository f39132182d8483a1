//! Sign-in at a real provider: the npm package `oidc-provider`, on loopback.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command, Stdio},
};

use reqwest::{Client, redirect::Policy};
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::{
    clock::Clock,
    user::{
        cookie::{self, CookieValue},
        upstream::{Begun, Finished, UpstreamError, callback_path},
    },
};

const SECRET: &str = "a secret of the provider: 100 % + &";

/// A provider that ends with its test.
struct Corp {
    process: Child,
    /// Held open, for it has more to say.
    _said: BufReader<ChildStdout>,
    issuer: String,
    browser: Client,
    secret: tempfile::NamedTempFile,
}

impl Drop for Corp {
    fn drop(&mut self) {
        // Its end is that of its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Corp {
    /// One that knows this gateway; none where there is no node.
    #[expect(clippy::print_stderr, reason = "says why it is skipped")]
    fn start() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/providers/run.sh");
        let redirect = format!("https://api.example.org{}", callback_path("corp"));
        let mut process = Command::new(script)
            .env("CLIENT_ID", "flightgate")
            .env("CLIENT_SECRET", SECRET)
            .env("REDIRECT_URI", redirect)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let issuer = said
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find(|line| line.starts_with("http://"));
        let Some(issuer) = issuer else {
            let status = process.wait().unwrap();
            assert_eq!(status.code(), Some(77), "the provider did not start");
            eprintln!("skipped: there is no npm, or no Node.js 20 or newer (Debian: nodejs, npm)");
            return None;
        };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), format!("{SECRET}\n")).unwrap();
        Some(Self {
            process,
            _said: said,
            issuer,
            browser: Client::builder()
                .redirect(Policy::none())
                .no_proxy()
                .build()
                .unwrap(),
            secret,
        })
    }

    fn gateway(&self) -> Fixture {
        fixture_with(&format!(
            "{{providers: [{{name: corp, title: Corp, issuer: \"{}\", clientId: flightgate, \
             clientSecretFile: \"{}\", admins: {{claim: groups, value: pilots-in-command}}}}, \
             {{name: other, title: Other, issuer: \"http://127.0.0.1:9\", clientId: x, \
             clientSecretFile: /nowhere}}]}}",
            self.issuer,
            self.secret.path().display(),
        ))
    }

    async fn next(&self, next: Value) {
        let url = format!("{}/next", self.issuer);
        let answer = self.browser.post(url).json(&next).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    /// Follows a browser from here to where it is sent back, and gives the
    /// query it comes with.
    async fn visit(&self, from: &Url) -> String {
        let mut cookies = BTreeMap::new();
        let mut url = from.clone();
        for _ in 0..10 {
            let line: Vec<_> = cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let answer = self
                .browser
                .get(url.clone())
                .header("cookie", line.join("; "))
                .send()
                .await
                .unwrap();
            for set in answer.headers().get_all("set-cookie") {
                let pair = set.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let status = answer.status();
            let Some(location) = answer.headers().get("location") else {
                panic!("{url}: {status} {}", answer.text().await.unwrap())
            };
            url = url.join(location.to_str().unwrap()).unwrap();
            if url.host_str() == Some("api.example.org") {
                assert_eq!(url.path(), callback_path("corp"));
                return url.query().unwrap().to_owned();
            }
        }
        panic!("sent around for ever")
    }
}

async fn begin(f: &Fixture) -> (Begun, HeaderMap) {
    let begun = f
        .users
        .begin_upstream("corp", "/apps?x=1", HERE, &HeaderMap::new())
        .await
        .unwrap();
    let headers = holding(&begun.cookies);
    (begun, headers)
}

async fn sign_in_at(corp: &Corp, f: &Fixture) -> Finished {
    let (begun, headers) = begin(f).await;
    let query = corp.visit(&begun.redirect).await;
    f.users
        .finish_upstream("corp", &query, &headers)
        .await
        .unwrap()
}

async fn error(f: &Fixture, query: &str, headers: &HeaderMap) -> UpstreamError {
    let unfinished = f.users.finish_upstream("corp", query, headers).await;
    unfinished.unwrap_err().error
}

fn anna(groups: &[&str]) -> Value {
    json!({"account": "corp-anna", "claims": {
        "preferred_username": "Anna", "email": "anna@corp.example", "email_verified": true, "groups": groups,
    }})
}

#[tokio::test]
async fn whoever_signs_in_at_a_provider_is_one_user_each_time() {
    let Some(corp) = Corp::start() else { return };
    let f = corp.gateway();
    // She who has the name here has nothing to do with that.
    let local = f.users.create(named("anna")).await.unwrap();
    corp.next(anna(&["pilots"])).await;
    let first = sign_in_at(&corp, &f).await;
    assert_eq!(first.continue_to, "/apps?x=1");
    let user = &first.user;
    assert_ne!(user.subject, local.subject);
    assert!(user.username.starts_with("Anna-"), "{}", user.username);
    assert_eq!(
        (user.email.as_deref(), user.email_verified, user.is_admin),
        (Some("anna@corp.example"), true, false)
    );
    assert!(!user.has_password());
    let found = f.users.signed_in(&holding(&first.cookies)).await.unwrap();
    let found = found.unwrap();
    assert_eq!(found.session.amr, ["fed"]);
    assert_eq!(found.user, *user);

    corp.next(anna(&["pilots", "pilots-in-command"])).await;
    let second = sign_in_at(&corp, &f).await.user;
    assert_eq!(second.subject, user.subject);
    assert!(second.is_admin);
    corp.next(anna(&[])).await;
    assert!(!sign_in_at(&corp, &f).await.user.is_admin);

    corp.next(json!({"account": "corp-berta", "claims": {}}))
        .await;
    let berta = sign_in_at(&corp, &f).await.user;
    assert_ne!(berta.subject, user.subject);
    assert!(berta.username.starts_with("corp-"), "{}", berta.username);

    f.users.disable(&second.username).await.unwrap();
    corp.next(anna(&[])).await;
    let (begun, headers) = begin(&f).await;
    let query = corp.visit(&begun.redirect).await;
    assert!(matches!(
        error(&f, &query, &headers).await,
        UpstreamError::Disabled
    ));
}

#[tokio::test]
async fn a_visit_is_finished_once_by_the_browser_that_began_it() {
    let Some(corp) = Corp::start() else { return };
    let f = corp.gateway();
    corp.next(anna(&[])).await;
    let (begun, headers) = begin(&f).await;
    let query = corp.visit(&begun.redirect).await;
    assert!(query.contains("iss="), "RFC 9207: {query}");

    let another = CookieValue::fresh(&System).unwrap();
    let another = holding(&another.set(cookie::VISITOR, None));
    for stranger in [&another, &HeaderMap::new()] {
        let error = error(&f, &query, stranger).await;
        assert!(matches!(error, UpstreamError::NoVisit), "{error}");
    }
    let other = f.users.finish_upstream("other", &query, &headers).await;
    assert!(matches!(other.unwrap_err().error, UpstreamError::NoVisit));
    let twice = format!("{query}&code=x");
    let error_twice = error(&f, &twice, &headers).await;
    assert!(matches!(error_twice, UpstreamError::Answer(_)));

    // None of these took it; of sixteen at once one does.
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (users, query, headers) = (f.users.clone(), query.clone(), headers.clone());
            tokio::spawn(async move { users.finish_upstream("corp", &query, &headers).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(unfinished) => assert!(matches!(unfinished.error, UpstreamError::NoVisit)),
        }
    }
    assert_eq!(won, 1);

    let (begun, headers) = begin(&f).await;
    let query = corp.visit(&begun.redirect).await;
    f.clock.advance(600);
    assert!(matches!(
        error(&f, &query, &headers).await,
        UpstreamError::NoVisit
    ));
}

#[tokio::test]
async fn what_a_provider_refuses_is_said_and_where_to_go_on() {
    let Some(corp) = Corp::start() else { return };
    let f = corp.gateway();
    corp.next(json!({"error": "access_denied"})).await;
    let (begun, headers) = begin(&f).await;
    let query = corp.visit(&begun.redirect).await;
    let denied = f.users.finish_upstream("corp", &query, &headers).await;
    let denied = denied.unwrap_err();
    assert!(matches!(denied.error, UpstreamError::Denied));
    assert_eq!(denied.continue_to.as_deref(), Some("/apps?x=1"));

    // A code that is not the provider's.
    corp.next(anna(&[])).await;
    let (begun, headers) = begin(&f).await;
    let query = corp.visit(&begun.redirect).await;
    let wrong = query.replace("code=", "code=x");
    let text = error(&f, &wrong, &headers).await.to_string();
    assert!(text.contains("`invalid_grant`"), "{text}");

    // The code of another visit: PKCE and nonce are of this one.
    let (theirs, _) = begin(&f).await;
    let stolen = corp.visit(&theirs.redirect).await;
    let (mine, headers) = begin(&f).await;
    let state: BTreeMap<_, _> = mine.redirect.query_pairs().into_owned().collect();
    let code: BTreeMap<_, _> = form_urlencoded::parse(stolen.as_bytes())
        .into_owned()
        .collect();
    let mixed = form_urlencoded::Serializer::new(String::new())
        .append_pair("state", &state["state"])
        .append_pair("code", &code["code"])
        .append_pair("iss", &code["iss"])
        .finish();
    let text = error(&f, &mixed, &headers).await.to_string();
    assert!(text.contains("`invalid_grant`"), "{text}");

    // An answer of another issuer.
    let (begun, headers) = begin(&f).await;
    let query = corp.visit(&begun.redirect).await;
    let mixed_up = query.replace("iss=http", "iss=https");
    let error_mixed = error(&f, &mixed_up, &headers).await;
    assert!(matches!(
        error_mixed,
        UpstreamError::Answer("`iss` is another issuer")
    ));
    let (begun, headers) = begin(&f).await;
    let query = corp.visit(&begun.redirect).await;
    let bare = query.split_once("&iss=").unwrap().0;
    let error_bare = error(&f, bare, &headers).await;
    assert!(matches!(
        error_bare,
        UpstreamError::Answer("`iss` is missing")
    ));

    // Another client secret, and none.
    for (content, expected) in [("wrong", "`invalid_client`"), ("\n", "it is empty")] {
        std::fs::write(corp.secret.path(), content).unwrap();
        let (begun, headers) = begin(&f).await;
        let query = corp.visit(&begun.redirect).await;
        let text = error(&f, &query, &headers).await.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains(SECRET));
    }
    assert!(f.users.list(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_id_token_of_another_visit_or_time_is_refused() {
    let Some(corp) = Corp::start() else { return };
    let f = corp.gateway();
    corp.next(anna(&[])).await;
    let now = System.now();
    f.clock.advance(now - NOW);
    let (begun, headers) = begin(&f).await;
    // As if somebody had changed what the browser asked for.
    let changed = begun.redirect.as_str().replace("nonce=", "nonce=x");
    let query = corp.visit(&Url::parse(&changed).unwrap()).await;
    let text = error(&f, &query, &headers).await.to_string();
    assert!(text.contains("Invalid nonce"), "{text}");

    sign_in_at(&corp, &f).await;
    f.clock.advance(3_600 + 3_600);
    let (begun, headers) = begin(&f).await;
    let query = corp.visit(&begun.redirect).await;
    let text = error(&f, &query, &headers).await.to_string();
    assert!(text.contains("Expired"), "{text}");
}

#[tokio::test]
async fn a_provider_that_is_down_is_said_so_and_keeps_nobody_from_signing_in_here() {
    let Some(corp) = Corp::start() else { return };
    let f = corp.gateway();
    f.users.create(named("anna")).await.unwrap();
    let begin_at = async |name: &str, to: &str| {
        f.users
            .begin_upstream(name, to, HERE, &HeaderMap::new())
            .await
    };
    let down = begin_at("other", "/").await.unwrap_err().to_string();
    assert!(down.starts_with("Other cannot be reached now ("), "{down}");
    assert!(matches!(
        begin_at("none", "/").await,
        Err(UpstreamError::NoProvider)
    ));
    for elsewhere in [
        "",
        "x",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/a\n",
    ] {
        let refused = begin_at("corp", elsewhere).await;
        assert!(
            matches!(refused, Err(UpstreamError::Continue)),
            "{elsewhere:?}"
        );
    }
    sign_in(&f.users, "anna").await;

    // What is known is used for a day after it went away.
    begin_at("corp", "/").await.unwrap();
    drop(corp);
    f.clock.advance(3_601);
    begin_at("corp", "/").await.unwrap();
    f.clock.advance(24 * 3_600);
    let gone = begin_at("corp", "/").await.unwrap_err().to_string();
    assert!(gone.starts_with("Corp cannot be reached now ("), "{gone}");
}
