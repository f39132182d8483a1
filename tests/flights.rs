//! The whole: a partner, the gateway, and the API behind it (WF-1 to WF-3,
//! WF-25 to WF-32).

use std::{
    fs,
    fs::File,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    client::{Call, Protocol},
    gateway::Gateway,
    harness::{ACME, Site, eventually, hex, like_acme, program},
    oauth::FLIGHTS,
    upstream::nobody,
};

const IGC: &[u8] =
    include_bytes!("../flights-api/tests/igc/aerofiles__tests_igc_data_xctrack-2023-04-28.igc");

/// The real API; killed when the test ends.
struct FlightsApi(Child);

impl FlightsApi {
    /// Starts it beside a gateway, and says where it listens.
    async fn start(site: &Site, listen: SocketAddr, gateway: &Gateway) -> Self {
        let ready = site.path("api-ready.json");
        let child = Command::new(program("flights-api"))
            .arg("serve")
            .args(["--listen", &listen.to_string()])
            .arg("--data")
            .arg(site.path("flights"))
            .args(["--issuer", &gateway.origin()])
            .args([
                "--jwks-url",
                &format!("http://{}/.well-known/jwks.json", gateway.internal),
            ])
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stderr(File::create(site.path("api.log")).unwrap())
            .spawn()
            .unwrap();
        let mut api = Self(child);
        eventually("an API that is ready", async || {
            let ended = api.0.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "{}",
                fs::read_to_string(site.path("api.log")).unwrap()
            );
            ready.exists()
        })
        .await;
        api
    }
}

impl Drop for FlightsApi {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gateway and the API behind it. Each must know the other's address before
/// it starts, so that of the API is held for it.
async fn running() -> (Site, Gateway, FlightsApi) {
    let (_held, address) = nobody();
    let (site, gateway) = Site::running_with(address, |site| {
        let all = "[\"flights:read\", \"flights:write\", \"flights:delete\"]";
        let pruner = like_acme("pruner").replace("[\"flights:read\", \"flights:write\"]", all);
        site.manifest("pruner", &pruner);
        assert_ne!(pruner, ACME);
    })
    .await;
    let api = FlightsApi::start(&site, address, &gateway).await;
    (site, gateway, api)
}

#[tokio::test]
async fn a_partner_uploads_lists_reads_and_downloads_its_flights_and_no_one_elses() {
    let (site, gateway, _api) = running().await;
    let (acme, globex) = (site.credentials("acme"), site.credentials("globex"));
    let (token, other) = (gateway.token(&acme).await, gateway.token(&globex).await);
    let upload = || {
        Call::post(FLIGHTS)
            .header("content-type", "application/vnd.fai.igc")
            .body(IGC)
    };
    for protocol in Protocol::BOTH {
        let mut connection = gateway.connect(protocol).await;
        let made = connection.answer(upload().bearer(&token)).await;
        let expected = if protocol == Protocol::H1 { 201 } else { 200 };
        assert_eq!(
            made.status, expected,
            "the same file again is the same flight: {made:?}"
        );
        let flight = made.json();
        let path = made.header("location").unwrap().to_owned();
        assert_eq!(
            path,
            format!("{FLIGHTS}/{}", flight["id"].as_str().unwrap())
        );
        assert_eq!(flight["bytes"], IGC.len());
        let hash = hex(&Sha256::digest(IGC));
        assert_eq!(flight["sha256"], hash);

        let list = connection
            .answer(Call::get(FLIGHTS).bearer(&token))
            .await
            .json();
        assert_eq!(list["flights"], Value::Array(vec![flight.clone()]));
        let read = connection.answer(Call::get(&path).bearer(&token)).await;
        assert_eq!((read.status, read.json()), (200, flight));

        let file = format!("{path}.igc");
        let download = connection.answer(Call::get(&file).bearer(&token)).await;
        assert_eq!(download.status, 200);
        assert!(download.body == IGC, "byte for byte");
        assert_eq!(
            download.header("content-type"),
            Some("application/vnd.fai.igc")
        );
        assert_eq!(
            download.header("content-length"),
            Some(&*IGC.len().to_string())
        );
        let tag = download.header("etag").unwrap().to_owned();
        let again = Call::get(&file)
            .bearer(&token)
            .header("if-none-match", &tag);
        let again = connection.answer(again).await;
        assert_eq!(
            (again.status, again.body.len(), again.header("etag")),
            (304, 0, Some(&*tag))
        );

        for path in [&path, &file] {
            let foreign = connection.answer(Call::get(path).bearer(&other)).await;
            assert_eq!((foreign.status, &*foreign.problem()), (404, "not-found"));
        }
        let empty = connection
            .answer(Call::get(FLIGHTS).bearer(&other))
            .await
            .json();
        assert_eq!(empty["flights"], Value::Array(Vec::new()));
        let key = site.api_key("anna");
        let annas = connection
            .answer(Call::get(FLIGHTS).bearer(&key))
            .await
            .json();
        assert_eq!(
            annas["flights"],
            Value::Array(Vec::new()),
            "she acts for herself"
        );
    }
}

/// WF-32: and only who was given the destructive scope destroys.
#[tokio::test]
async fn a_flight_is_deleted_with_the_scope_for_it_alone() {
    let (site, gateway, _api) = running().await;
    let pruner = site.credentials("pruner");
    let write = gateway
        .token_for(&pruner, "flights:read flights:write")
        .await;
    let upload = Call::post(FLIGHTS)
        .header("content-type", "application/vnd.fai.igc")
        .body(IGC);
    let made = gateway.answer(upload.bearer(&write)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let path = made.header("location").unwrap();
    let refused = gateway
        .answer(Call::new("DELETE", path).bearer(&write))
        .await;
    assert_eq!(
        (refused.status, &*refused.problem()),
        (403, "insufficient-scope")
    );
    assert!(
        refused
            .header("www-authenticate")
            .unwrap()
            .contains("scope=\"flights:delete\"")
    );
    assert_eq!(
        gateway.answer(Call::get(path).bearer(&write)).await.status,
        200
    );
    let delete = gateway.token_for(&pruner, "flights:delete").await;
    let gone = gateway
        .answer(Call::new("DELETE", path).bearer(&delete))
        .await;
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    assert_eq!(
        gateway.answer(Call::get(path).bearer(&write)).await.status,
        404
    );
}

/// Who reaches the API beside the gateway gets nowhere.
#[tokio::test]
async fn the_api_believes_nobody_but_the_gateway() {
    let (site, gateway, _api) = running().await;
    let token = gateway.token(&site.credentials("acme")).await;
    let ready: Value =
        serde_json::from_slice(&fs::read(site.path("api-ready.json")).unwrap()).unwrap();
    let address: SocketAddr = ready["listen"].as_str().unwrap().parse().unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut beside =
        crate::client::Connection::new(stream, Protocol::H1, address.to_string()).await;
    for call in [
        Call::get(FLIGHTS),
        Call::get(FLIGHTS).bearer(&token),
        Call::get(FLIGHTS).header("flightgate-identity", &token),
    ] {
        let answer = beside.answer(call).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (401, "identity-required")
        );
    }
    assert_eq!(gateway.list_status(&token).await, 200);
}
