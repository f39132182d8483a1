//! While nothing happens, nothing is written.

use std::time::Duration;

use serde_json::json;

use super::setup::Setup;

const WRITES: [&str; 4] = ["POST", "PATCH", "PUT", "DELETE"];

#[tokio::test]
async fn nothing_is_written_while_nothing_changes_nor_after_a_restart() {
    let setup = Setup::new("still").await;
    let off = json!({"leaderElection": {"mode": "off"}});
    let mut operator = setup.start("first", &off);
    operator.leads().await;
    for i in 0..10 {
        setup.create(&format!("app-{i}"), &json!({})).await;
    }
    for i in 0..10 {
        setup.ready(&format!("app-{i}")).await;
    }
    setup.event("app-9", "Served").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = (
        operator.requests(&WRITES).await,
        operator.requests(&["GET"]).await,
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    let after = (
        operator.requests(&WRITES).await,
        operator.requests(&["GET"]).await,
    );
    assert_eq!(before, after, "writes and reads");

    operator.process.kill();
    let again = setup.start("again", &off);
    again.leads().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(again.requests(&WRITES).await, 0);
}
