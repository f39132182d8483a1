//! Several who want the same: one gets it, the others are told, and all goes on
//! when it is free.

use crds::{ApiKey, OAuthApplication};
use flightgate_e2e::eventually;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::setup::{Setup, application, text};

/// Status and reason of the condition Accepted.
fn accepted(status: Option<&Value>) -> Option<(String, String)> {
    let conditions = status?.get("conditions")?.as_array()?;
    let accepted = conditions.iter().find(|it| it["type"] == "Accepted")?;
    let text = |key: &str| accepted[key].as_str().map(str::to_owned);
    Some((text("status")?, text("reason")?))
}

/// Waits until two have been decided on, and returns winner and loser.
async fn decided(setup: &Setup<'_>, kinds: [(&str, &str); 2]) -> [String; 2] {
    eventually("one winner and one loser", async || {
        let mut verdicts = Vec::new();
        for (kind, name) in kinds {
            let what = format!("{kind}/{name}");
            let get = ["get", &what, "-o", "json", "--namespace", &setup.owners];
            let object = setup.cluster.kubectl(&get).await.ok();
            let object: Value = serde_json::from_str(&object).unwrap();
            verdicts.push((what, accepted(object.get("status"))));
        }
        let with = |status: &str, reason: &str| {
            let verdict = Some((status.to_owned(), reason.to_owned()));
            let mut found = verdicts.iter().filter(|(_, it)| *it == verdict);
            found.next().map(|(what, _)| what.clone())
        };
        match (with("True", "Accepted"), with("False", "SecretNotOwned")) {
            (Some(winner), Some(loser)) => Ok([winner, loser]),
            _ => Err(verdicts.clone()),
        }
    })
    .await
}

async fn owner(setup: &Setup<'_>) -> String {
    let secret = setup.credentials().get("shared").await.unwrap();
    let annotations = secret.metadata.annotations.unwrap();
    annotations["flightgate.dev/owner"].clone()
}

#[tokio::test]
async fn of_two_applications_that_name_one_secret_one_gets_it() {
    let setup = Setup::new("race").await;
    let _operator = setup.operator().await;
    let api = setup.api::<OAuthApplication>();
    let spec = json!({"secret": {"name": "shared"}});
    let (one, two) = (application("one", &spec), application("two", &spec));
    let params = PostParams::default();
    let (one, two) = tokio::join!(api.create(&params, &one), api.create(&params, &two));
    one.and(two).unwrap();
    let [winner, loser] = decided(&setup, [("oapp", "one"), ("oapp", "two")]).await;
    let name = |what: &str| what.split_once('/').unwrap().1.to_owned();
    let (winner, loser) = (name(&winner), name(&loser));
    let whose = format!("OAuthApplication {}/{winner}", &*setup.owners);
    assert_eq!(owner(&setup).await, whose);
    let note = setup.event(&loser, "SecretNotOwned").await;
    assert!(note.contains(&whose), "{note}");
    let id = setup.ready(&winner).await.status.unwrap().client_id;
    assert_eq!(Some(setup.credential("shared", "client_id").await), id);
    let configs = setup.configs();
    let of_loser = configs.get_opt(&setup.config_name(&loser)).await.unwrap();
    assert!(of_loser.is_none(), "nothing of the loser is served");

    // With the winner goes its Secret, and the loser's time has come.
    api.delete(&winner, &DeleteParams::default()).await.unwrap();
    let now = setup.ready(&loser).await.status.unwrap().client_id;
    assert_ne!(now, id);
    assert_eq!(Some(setup.credential("shared", "client_id").await), now);
    // Nor does the loser lose it by the winner's finalizer running late.
    let whose = format!("OAuthApplication {}/{loser}", &*setup.owners);
    assert_eq!(owner(&setup).await, whose);
}

#[tokio::test]
async fn a_key_and_an_application_never_share_a_secret() {
    let setup = Setup::new("kindrace").await;
    let _operator = setup.operator().await;
    let key: ApiKey = serde_json::from_value(json!({
        "metadata": {"name": "anna"},
        "spec": {
            "subject": "pilot:anna",
            "displayName": "Anna",
            "scopes": ["flights:read"],
            "secret": {"name": "shared"},
        },
    }))
    .unwrap();
    let application = application("acme", &json!({"secret": {"name": "shared"}}));
    let (keys, applications) = (setup.api::<ApiKey>(), setup.api::<OAuthApplication>());
    let params = PostParams::default();
    let created = tokio::join!(
        keys.create(&params, &key),
        applications.create(&params, &application)
    );
    created.0.unwrap();
    created.1.unwrap();
    let kinds = [("apikey", "anna"), ("oapp", "acme")];
    let [winner, loser] = decided(&setup, kinds).await;
    let secret = setup.credentials().get("shared").await.unwrap();
    let of_key = text(&secret, "api_key").is_some();
    let of_application = text(&secret, "client_secret").is_some();
    assert_eq!(of_key, winner.starts_with("apikey"));
    assert_eq!(of_application, winner.starts_with("oapp"));
    let delete = ["delete", &winner, "--namespace", &setup.owners];
    setup.cluster.kubectl(&delete).await.ok();
    let wait = [
        "wait",
        "--for=condition=Ready",
        "--timeout=60s",
        "--namespace",
    ];
    let wait = [&wait[..], &[&*setup.owners, &loser]].concat();
    setup.cluster.kubectl(&wait).await.ok();
}

#[tokio::test]
async fn who_writes_at_the_same_time_costs_a_second_try_and_nothing_else() {
    let setup = Setup::new("conflict").await;
    let operator = setup.operator().await;
    setup.create("acme", &json!({})).await;
    let id = setup.ready("acme").await.status.unwrap().client_id;
    let (applications, credentials) = (setup.api::<OAuthApplication>(), setup.credentials());
    let configs = setup.configs();
    for i in 0..40 {
        let note = json!({"metadata": {"annotations": {"example.org/note": i.to_string()}}});
        let (patch, params) = (Patch::Merge(&note), PatchParams::default());
        let spec = json!({"spec": {"displayName": format!("Acme {i}")}});
        let spec = Patch::Merge(&spec);
        let name = setup.config_name("acme");
        let done = tokio::join!(
            applications.patch("acme", &params, &spec),
            credentials.patch("acme-credentials", &params, &patch),
            configs.patch(&name, &params, &patch),
        );
        done.0.unwrap();
        done.1.unwrap();
        done.2.unwrap();
    }
    assert_eq!(setup.ready("acme").await.status.unwrap().client_id, id);
    let config = configs.get(&setup.config_name("acme")).await.unwrap();
    assert!(text(&config, "config.json").unwrap().contains("Acme 39"));
    let note = &config.metadata.annotations.unwrap()["example.org/note"];
    assert_eq!(note, "39", "what others write is left to them");
    let log = operator.log();
    assert!(!log.contains("WriteFailed"), "{log}");
}
