//! Nothing acknowledged is lost (DESIGN section 5), whatever happens to the
//! process, its disk or its files.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    client::{Call, Connection, Protocol},
    gateway::Gateway,
    harness::{Credentials, Site, eventually, said, within},
    oauth::{FLIGHTS, INTROSPECT, REVOKE, issued, token_about, token_call},
    upstream::{Upstream, read},
};

/// What a client knows of a token by the answers that it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Alive,
    /// Its revocation was asked for, and perhaps done.
    Unsure,
    Dead,
}

type Ledger = Arc<Mutex<BTreeMap<String, Known>>>;

/// Asks for tokens, and revokes every third, until the gateway is gone.
async fn ask(
    mut connection: Connection,
    client: Credentials,
    ledger: Ledger,
    acknowledged: Arc<AtomicUsize>,
) {
    let note = |token: &str, known| {
        ledger.lock().unwrap().insert(token.to_owned(), known);
    };
    for round in 0.. {
        let Ok(answer) = connection.try_answer(token_call(&client, &[])).await else {
            return;
        };
        let token = issued(&answer);
        note(&token, Known::Alive);
        acknowledged.fetch_add(1, SeqCst);
        if round % 3 == 0 {
            note(&token, Known::Unsure);
            let call = token_about(REVOKE, &client, &token);
            let Ok(answer) = connection.try_answer(call).await else {
                return;
            };
            assert_eq!(answer.status, 200, "{answer:?}");
            note(&token, Known::Dead);
            acknowledged.fetch_add(1, SeqCst);
        }
    }
}

/// What this gateway says of all these tokens is what the clients know.
async fn holds_to(gateway: &Gateway, client: &Credentials, ledger: &[(String, Known)]) {
    let mut connection = gateway.connect(Protocol::H1).await;
    for (token, known) in ledger {
        if *known == Known::Unsure {
            continue;
        }
        let answer = connection
            .answer(token_about(INTROSPECT, client, token))
            .await;
        assert_eq!(
            answer.json()["active"],
            *known == Known::Alive,
            "{known:?} {answer:?}"
        );
        let status = connection
            .answer(Call::get(FLIGHTS).bearer(token))
            .await
            .status;
        assert_eq!(status, if *known == Known::Alive { 200 } else { 401 });
    }
}

/// A crash at any moment, twenty times over on the same data.
#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    const CLIENTS: usize = 32;
    const ROUNDS: usize = 20;
    let upstream = Upstream::ok().await;
    let (site, mut gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    let mut all = BTreeMap::new();
    for round in 0..ROUNDS {
        let (ledger, acknowledged) = (Ledger::default(), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let connection = gateway.connect(Protocol::BOTH[number % 2]).await;
            clients.spawn(ask(
                connection,
                acme.clone(),
                ledger.clone(),
                acknowledged.clone(),
            ));
        }
        let enough = 20 + 17 * round;
        eventually("tokens are acknowledged", async || {
            acknowledged.load(SeqCst) >= enough
        })
        .await;
        gateway.kill();
        while let Some(client) = within("the end of a client", clients.join_next()).await {
            client.unwrap();
        }
        gateway = site.start().await;
        let ledger: Vec<_> = std::mem::take(&mut *ledger.lock().unwrap())
            .into_iter()
            .collect();
        holds_to(&gateway, &acme, &ledger).await;
        all.extend(ledger);
    }
    let all: Vec<_> = all.into_iter().collect();
    for wanted in [Known::Alive, Known::Dead] {
        let count = all.iter().filter(|(_, known)| *known == wanted).count();
        assert!(count > 100, "{wanted:?}: {count}");
    }
    holds_to(&gateway, &acme, &all).await;
}

/// A full disk takes the new away, and nothing that was there.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "says why it is skipped")]
async fn a_full_disk_refuses_new_tokens_and_nothing_else() {
    let mount = "mount -t tmpfs -o size=64m tmpfs";
    let probe = tempfile::tempdir().unwrap();
    let can_mount = Command::new("unshare")
        .args([
            "-m",
            "sh",
            "-c",
            &format!("{mount} {}", probe.path().display()),
        ])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !can_mount {
        eprintln!("skipped: only root may mount a file system that is small enough to fill");
        return;
    }
    let upstream = Upstream::ok().await;
    let mut site = Site::new(upstream.address);
    site.config["store"] = json!({"sled": {"path": "small/data", "reserveMib": 8}});
    site.compile();
    let small = site.path("small");
    fs::create_dir(&small).unwrap();
    let plain = site.command();
    let mut command = Command::new("unshare");
    // `exec`, so that the process to be killed is the gateway.
    command
        .args([
            "-m",
            "sh",
            "-c",
            &format!("{mount} '{}' && exec \"$0\" \"$@\"", small.display()),
        ])
        .arg(plain.get_program())
        .args(plain.get_args());
    let gateway = Gateway::start(&site, command).await;
    let acme = site.credentials("acme");
    let (kept, revoked) = (gateway.token(&acme).await, gateway.token(&acme).await);

    // The mount is the gateway's alone; from here it is seen through its root.
    let filler = format!("/proc/{}/root{}/filler", gateway.pid(), small.display());
    let free = |path: &str| {
        let stat = rustix::fs::statvfs(path).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    let folder = filler.strip_suffix("/filler").unwrap();
    // Between a whole reserve and half of it.
    let length = free(folder) - (6 << 20);
    fs::write(&filler, vec![1; usize::try_from(length).unwrap()]).unwrap();

    let mut refused = None;
    eventually("new tokens are refused", async || {
        let answer = gateway.answer(token_call(&acme, &[])).await;
        let full = answer.status == 503;
        refused = Some(answer);
        full
    })
    .await;
    let answer = refused.unwrap();
    assert_eq!(answer.oauth_error(), "temporarily_unavailable");
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
    assert_eq!(gateway.ask_admin("/readyz").await.status, 503);
    assert_eq!(gateway.ask_admin("/healthz").await.status, 200);
    assert_eq!(gateway.list_status(&kept).await, 200);
    assert_eq!(gateway.introspect(&acme, &kept).await["active"], true);
    gateway.revoke(&acme, &revoked).await;
    assert_eq!(gateway.list_status(&revoked).await, 401);

    fs::remove_file(&filler).unwrap();
    eventually("tokens are issued again", async || {
        gateway.answer(token_call(&acme, &[])).await.status == 200
    })
    .await;
    assert_eq!(gateway.ask_admin("/readyz").await.status, 200);
    assert_eq!(gateway.list_status(&kept).await, 200);
}

/// Two gateways would not hear of each other's revocations.
#[tokio::test]
async fn a_second_gateway_on_the_same_store_is_refused() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let output = site.start_in_vain().await;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&*site.path("data").to_string_lossy()),
        "{said}"
    );
    assert!(said.contains("open in another process"), "{said}");
    let acme = site.credentials("acme");
    gateway.token(&acme).await;
}

/// Rather no start than one that forgot what it acknowledged.
#[tokio::test]
async fn a_damaged_store_is_refused_with_a_sentence() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    for _ in 0..20 {
        gateway.token(&acme).await;
    }
    gateway.kill();
    let log = site.path("data/db");
    let whole = fs::read(&log).unwrap();
    let rubbish: Vec<u8> = (0..whole.len())
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    for (why, bytes) in [
        ("cut to nothing", &b""[..]),
        ("cut short", &whole[..4_096]),
        ("overwritten", &rubbish),
    ] {
        fs::write(&log, bytes).unwrap();
        let output = site.start_in_vain().await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{why}: {said}");
        assert!(
            said.contains(&*site.path("data").to_string_lossy()),
            "{why}: {said}"
        );
        assert!(said.contains("backup"), "{why}: {said}");
    }
}

/// Without the pepper no token would be found: the store says so instead.
#[tokio::test]
async fn a_lost_or_damaged_pepper_is_noticed() {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running(upstream.address).await;
    let acme = site.credentials("acme");
    let token = gateway.token(&acme).await;
    gateway.kill();
    let pepper = site.path("keys/pepper");
    let kept = fs::read(&pepper).unwrap();

    fs::remove_file(&pepper).unwrap();
    let output = site.start_in_vain().await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("another pepper"),
        "{}",
        said(&output)
    );

    fs::write(&pepper, &kept[..31]).unwrap();
    let output = site.start_in_vain().await;
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(
        text.contains(&*pepper.to_string_lossy()) && text.contains("31 bytes"),
        "{text}"
    );

    fs::write(&pepper, kept).unwrap();
    let gateway = site.start().await;
    assert_eq!(gateway.list_status(&token).await, 200);
}

/// limits.drainTimeout: a request under way is finished, and the exit is clean.
#[tokio::test]
async fn sigterm_finishes_the_request_under_way() {
    for protocol in Protocol::BOTH {
        let (asked, go) = (
            Arc::new(tokio::sync::Notify::new()),
            Arc::new(tokio::sync::Notify::new()),
        );
        let upstream = Upstream::raw({
            let (asked, go) = (asked.clone(), go.clone());
            move |mut raw| {
                let (asked, go) = (asked.clone(), go.clone());
                async move {
                    while let Ok(Some(_)) = read(&mut raw).await {
                        asked.notify_one();
                        go.notified().await;
                        raw.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
                            .await;
                    }
                }
            }
        })
        .await;
        let (site, gateway) = Site::running(upstream.address).await;
        let token = gateway.token(&site.credentials("acme")).await;
        let mut idle = gateway.connect(protocol).await;
        assert_eq!(idle.answer(Call::get("/nowhere")).await.status, 404);
        let mut connection = gateway.connect(protocol).await;
        let call = Call::get(FLIGHTS).bearer(&token);
        let answer = tokio::spawn(async move { connection.answer(call).await });
        within("the upstream is asked", asked.notified()).await;
        gateway.terminate();
        let address = gateway.public;
        eventually("nobody is let in any more", async || {
            tokio::net::TcpStream::connect(address).await.is_err()
        })
        .await;
        go.notify_one();
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "done".into()));
        assert_eq!(gateway.ended().await.code(), Some(0), "{}", site.log());
    }
}
