//! kill -9 in the middle of everything.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Process, gateway, start};
use crate::support::{ALL, claims, short_flight};

const ROUNDS: usize = 5;
const WRITERS: usize = 6;

/// The promise of the whole store: killed in the middle of uploads and deletions,
/// again and again, everything that was acknowledged is there, byte for byte,
/// everything whose deletion was acknowledged is not, and no blob is left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let directory = TempDir::new().unwrap();
    let (signer, gateway) = gateway().await;
    let token = signer.sign(&claims(Timestamp::now().as_second(), "anna", ALL));
    let ledger = Ledger::default();
    for round in 0..ROUNDS {
        let mut process = start(directory.path(), &gateway.url, &[]);
        let pilot = Pilot::of(&process, &token);
        let killer = kill_after(&process, &ledger, 15 + 7 * round);
        let writers = futures_util::future::join_all((0..WRITERS).map(|_| write(&pilot, &ledger)));
        tokio::join!(killer, writers);
        assert!(!process.child.wait().unwrap().success());
    }
    let process = start(directory.path(), &gateway.url, &[]);
    ledger
        .check(&Pilot::of(&process, &token), directory.path())
        .await;
}

/// What the API acknowledged.
#[derive(Default)]
struct Ledger {
    next: AtomicUsize,
    acknowledged: AtomicUsize,
    kept: Mutex<HashMap<String, String>>,
    deleted: Mutex<Vec<String>>,
}

struct Pilot {
    http: Client,
    base: String,
    token: String,
}

impl Pilot {
    fn of(process: &Process, token: &str) -> Pilot {
        let http = crate::support::client();
        Pilot {
            http,
            base: process.base.clone(),
            token: token.into(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.http
            .request(method, url)
            .header("Flightgate-Identity", &self.token)
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.request(Method::GET, path).send().await.unwrap()
    }
}

/// Uploads, and deletes every third, until nobody answers.
async fn write(pilot: &Pilot, ledger: &Ledger) {
    loop {
        let n = ledger.next.fetch_add(1, Ordering::SeqCst);
        let file = short_flight(u32::try_from(n).unwrap() % 80_000, n);
        let upload = pilot
            .request(Method::POST, "/api/v1/flights")
            .body(file.clone());
        let Ok(response) = upload.send().await else {
            return;
        };
        assert_eq!(response.status(), 201);
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        ledger.acknowledged.fetch_add(1, Ordering::SeqCst);
        if !n.is_multiple_of(3) {
            ledger.kept.lock().unwrap().insert(location, file);
            continue;
        }
        let Ok(response) = pilot.request(Method::DELETE, &location).send().await else {
            return;
        };
        assert_eq!(response.status(), 204);
        ledger.deleted.lock().unwrap().push(location);
    }
}

/// Kills the process once so many uploads of its time were acknowledged.
async fn kill_after(process: &Process, ledger: &Ledger, uploads: usize) {
    let before = ledger.acknowledged.load(Ordering::SeqCst);
    while ledger.acknowledged.load(Ordering::SeqCst) < before + uploads {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let id = process.child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-KILL", &id])
            .status()
            .unwrap()
            .success()
    );
}

impl Ledger {
    async fn check(self, pilot: &Pilot, directory: &Path) {
        let (kept, deleted) = (
            self.kept.into_inner().unwrap(),
            self.deleted.into_inner().unwrap(),
        );
        assert!(
            kept.len() >= 60 && deleted.len() >= 10,
            "{} {}",
            kept.len(),
            deleted.len()
        );
        for (path, file) in &kept {
            let response = pilot.get(&format!("{path}.igc")).await;
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(&response.text().await.unwrap(), file);
        }
        for path in &deleted {
            assert_eq!(pilot.get(path).await.status(), 404, "{path}");
        }
        let rows = rows(pilot).await;
        let blobs = std::fs::read_dir(directory.join("data/blobs")).unwrap();
        let blobs: usize = blobs
            .map(|prefix| std::fs::read_dir(prefix.unwrap().path()).unwrap().count())
            .sum();
        assert_eq!(rows, blobs);
        // What a crash took the answer of may be there too: one per writer and crash.
        assert!(
            rows >= kept.len() && rows <= kept.len() + WRITERS * ROUNDS,
            "{rows} {}",
            kept.len()
        );
    }
}

async fn rows(pilot: &Pilot) -> usize {
    let (mut rows, mut cursor) = (0, String::new());
    loop {
        let page = pilot
            .get(&format!("/api/v1/flights?limit=100{cursor}"))
            .await;
        let page: Value = page.json().await.unwrap();
        rows += page["flights"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}
