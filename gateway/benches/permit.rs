//! What a permit costs on the data-plane thread: with the token that the
//! connection brought last, with one that the thread knows, and with one that
//! only the store knows, among ten thousand and a million live tokens.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use crds::{
    contract::{Application, ClientType, Document, GrantType, Resource, Version},
    gateway_config::GatewayConfig,
};
use criterion::{Criterion, criterion_group, criterion_main};
use flightgate_gateway::{
    clock::{Clock, System},
    core::Core,
    gateway::Gateway,
    mint,
    permit::permit,
    registry::{Loaded, Registry, last_use::LastUses},
    server::connection::Connection,
    store::{GrantId, TokenKind, TokenRecord},
};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, header};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENT: &str = "fg_app_bench";
/// Tokens that are stored in one go.
const GROUP: usize = 4_096;

fn gateway(folder: &std::path::Path) -> Arc<Gateway> {
    let text = format!(
        "issuer: https://localhost
tls: {{selfSigned: true}}
workers: 1
store: {{sled: {{path: {0}/data}}}}
keys: {{path: {0}/keys}}
scopes: [{{name: 'flights:read', title: See your flights}}]
routes: [{{path: /api/v1/flights, methods: [GET], scopes: ['flights:read'], upstream: 'http://127.0.0.1:9'}}]
",
        folder.display()
    );
    let config = Arc::new(GatewayConfig::from_yaml(&text).unwrap());
    let gateway = Gateway::open(config.clone(), 0, Arc::new(System), Arc::new(System)).unwrap();
    let document = Document {
        version: Version,
        namespace: "partners".into(),
        name: "bench".into(),
        generation: 1,
        resource: Resource::OauthApplication(Application {
            client_id: CLIENT.into(),
            display_name: "Bench".into(),
            description: None,
            homepage_url: None,
            logo_url: None,
            client_type: ClientType::Confidential,
            grant_types: vec![GrantType::ClientCredentials],
            redirect_uris: vec![],
            scopes: vec!["flights:read".into()],
            profile: "default".into(),
            plan: "default".into(),
            secrets: vec![],
        }),
    };
    let loaded = Loaded::read(
        &document.to_json(),
        &config,
        &gateway.catalogue,
        &mut LastUses::default(),
    )
    .unwrap();
    gateway
        .registry
        .store(Arc::new(Registry::new(1, [(&"bench".to_owned(), &loaded)])));
    gateway
}

/// Stores `count` tokens and keeps every `keep`-th as request headers.
async fn issue(gateway: &Gateway, count: usize, keep: usize) -> Vec<HeaderMap> {
    let mut kept = Vec::new();
    let now = System.now();
    for start in (0..count).step_by(GROUP) {
        let group = (start..count.min(start + GROUP)).map(|index| {
            let token = mint::token("fg_at_", &System).unwrap();
            if index % keep == 0 {
                let value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).unwrap();
                kept.push(HeaderMap::from_iter([(header::AUTHORIZATION, value)]));
            }
            let record = TokenRecord {
                kind: TokenKind::Access,
                client: CLIENT.into(),
                subject: CLIENT.into(),
                grant: GrantId([0; 16]),
                scopes: vec!["flights:read".into()],
                issued_at: now,
                expires_at: now + 86_400,
            };
            gateway
                .store
                .insert(gateway.keys.pepper.hash(token.expose().as_bytes()), record)
        });
        for stored in join_all(group).await {
            stored.unwrap();
        }
    }
    kept
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or("0 kB");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap_or(0)
        / 1_024
}

#[expect(clippy::print_stdout, reason = "a bench reports")]
fn benches(criterion: &mut Criterion) {
    // A store may answer with a future that waits; this one is always ready.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for count in [10_000, 1_000_000] {
        let folder = tempfile::tempdir().unwrap();
        let gateway = gateway(folder.path());
        // More than a thread remembers, so that taking them in turn always asks
        // the store.
        let tokens = runtime.block_on(issue(&gateway, count, count / 10_000));
        println!("{count} live tokens: {} MiB resident", resident_mib());
        let core = Core::new(gateway.clone(), gateway.metrics.core(0).unwrap()).unwrap();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let route = &gateway.router.routes()[0];
        let ask = |core: &Rc<Core>, connection: &Connection, headers: &HeaderMap| {
            runtime
                .block_on(permit(core, connection, headers, route))
                .map(drop)
                .unwrap();
        };
        let connection = Connection::new(&core, peer);
        let mut group = criterion.benchmark_group(format!("permit, {count} live tokens"));
        group.bench_function("same token on its connection", |bench| {
            bench.iter(|| ask(&core, &connection, &tokens[0]));
        });
        let mut turn = 0;
        group.bench_function("tokens known to the thread", |bench| {
            bench.iter(|| {
                turn = (turn + 1) % 1_000;
                ask(&core, &connection, &tokens[turn]);
            });
        });
        group.bench_function("tokens only the store knows, signed anew", |bench| {
            bench.iter(|| {
                turn = (turn + 1) % tokens.len();
                ask(&core, &connection, &tokens[turn]);
            });
        });
        group.finish();
    }
}

criterion_group!(permits, benches);
criterion_main!(permits);
