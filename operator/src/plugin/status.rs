//! `status`: what there is and how it fares.

mod details;

use std::process::ExitCode;

use crds::condition::Status;
use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::details::details;
use super::{
    PluginError,
    access::Access,
    api::{self, ApiError},
    arguments::{StatusOptions, StatusOutput},
    kind::Kind,
    period,
    resource::Resource,
    screen::{Screen, harmless, print, say},
    table::{self, Cell},
    target::{self, Target},
};

/// Shows all resources, or those of one name in detail.
pub(super) async fn run(
    access: &Access,
    options: &StatusOptions,
    screen: &Screen,
) -> Result<ExitCode, PluginError> {
    match &options.name {
        Some(name) => one(access, name, options.output, screen).await,
        None => all(access, options, screen).await,
    }
}

async fn all(
    access: &Access,
    options: &StatusOptions,
    screen: &Screen,
) -> Result<ExitCode, PluginError> {
    let namespace = (!options.all_namespaces).then_some(access.namespace.as_str());
    let lists = Kind::ALL.map(|kind| api::list(&access.client, kind, namespace));
    let (lists, now) = tokio::join!(join_all(lists), access.now());
    let mut resources = Vec::new();
    let mut troubles = Vec::new();
    for list in lists {
        match list {
            Ok(list) => resources.extend(list),
            Err(error) => troubles.push(error),
        }
    }
    if troubles.len() == Kind::ALL.len() {
        return Err(troubles.swap_remove(0).into());
    }
    for trouble in &troubles {
        screen.note("not shown", &trouble.to_string());
    }
    if options.output == StatusOutput::Json {
        let items: Vec<_> = resources.iter().map(Resource::to_json).collect();
        let troubles: Vec<_> = troubles.iter().map(ApiError::to_string).collect();
        print(&pretty(&json!({"resources": items, "notShown": troubles})));
    } else if resources.is_empty() {
        let is_all = troubles.is_empty();
        say(&nothing(namespace, is_all));
    } else {
        print(&overview(&resources, namespace.is_none(), now, screen));
    }
    Ok(ExitCode::SUCCESS)
}

async fn one(
    access: &Access,
    name: &str,
    output: StatusOutput,
    screen: &Screen,
) -> Result<ExitCode, PluginError> {
    let target: Target = name.parse()?;
    let found = target::find(access, &target).await?;
    let now = access.now().await;
    let mut objects = Vec::new();
    for (i, resource) in found.iter().enumerate() {
        let events = api::events(&access.client, resource).await;
        if let Err(error) = &events {
            screen.note("no events", &error.to_string());
        }
        let events = events.ok();
        if output == StatusOutput::Json {
            let mut object = resource.to_json();
            object["events"] = json!(events);
            objects.push(object);
        } else {
            let gap = if i > 0 { "\n" } else { "" };
            let text = details(resource, events.as_deref(), now, screen);
            print(&format!("{gap}{text}"));
        }
    }
    if output == StatusOutput::Json {
        print(&pretty(&match objects.len() {
            1 => objects.swap_remove(0),
            _ => json!({ "resources": objects }),
        }));
    }
    Ok(ExitCode::SUCCESS)
}

fn pretty(value: &Value) -> String {
    // A Value always has a text.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// What is said where there is nothing, and what to do then.
fn nothing(namespace: Option<&str>, is_all: bool) -> String {
    let place = match namespace {
        Some(namespace) => format!("in the namespace `{namespace}`"),
        None => "in any namespace".into(),
    };
    if !is_all {
        return format!("Of what you may see, there is nothing {place}.");
    }
    let target = namespace.unwrap_or("partners");
    let elsewhere = match namespace {
        Some(_) => "\n`kubectl flightgate status -A` looks at all namespaces.",
        None => "",
    };
    format!(
        "There is no OAuthApplication, ApiKey or Webhook {place}.{elsewhere}
A first partner, with scopes of your gateway.yaml:

kubectl apply -n {target} -f - <<'END'
apiVersion: flightgate.dev/v1alpha1
kind: OAuthApplication
metadata:
  name: acme
spec:
  displayName: Acme Soaring
  grantTypes: [client_credentials]
  scopes: [\"flights:read\"]
END"
    )
}

fn overview(
    resources: &[Resource],
    with_namespace: bool,
    now: Timestamp,
    screen: &Screen,
) -> String {
    let mut headings = vec![
        "KIND",
        "NAME",
        "CLIENT-ID/KEY-ID",
        "READY",
        "REASON",
        "LAST-USED",
        "ROTATES/EXPIRES",
        "AGE",
    ];
    if with_namespace {
        headings.insert(2, "NAMESPACE");
    }
    let row = |resource: &Resource| {
        let (ready, reason) = resource.ready();
        let ago = |then| format!("{} ago", period::age(then, now));
        let mut row: Vec<Cell> = vec![
            resource.kind.name().into(),
            resource.name.clone().into(),
            resource
                .public_id
                .as_deref()
                .map(harmless)
                .unwrap_or_default()
                .into(),
            Cell::painted(format!("{ready:?}"), paint(ready)),
            harmless(reason).into(),
            resource.last_used().map(ago).unwrap_or_default().into(),
            next_end(resource, now).unwrap_or_default().into(),
            age(resource, now).into(),
        ];
        if with_namespace {
            row.insert(2, resource.namespace.clone().into());
        }
        row
    };
    table::render(&headings, resources.iter().map(row).collect(), "", screen)
}

fn paint(status: Status) -> fn(&Screen, &str) -> String {
    match status {
        Status::True => Screen::green,
        Status::False => Screen::red,
        Status::Unknown => Screen::yellow,
    }
}

fn age(resource: &Resource, now: Timestamp) -> String {
    let created = resource.created_at;
    created.map(|it| period::age(it, now)).unwrap_or_default()
}

/// What becomes of the secret in use, and when: whichever comes first.
fn next_end(resource: &Resource, now: Timestamp) -> Option<String> {
    let newest = resource.secrets.first()?;
    match (resource.rotates_at(), newest.expires_at) {
        (_, Some(end)) if end <= now => Some("expired".into()),
        (Some(turn), end) if end.is_none_or(|end| turn <= end) => {
            Some(format!("rotates in {}", period::until(turn, now)))
        }
        (_, Some(end)) => Some(format!("expires in {}", period::until(end, now))),
        (_, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::resource::tests::{at, served};

    #[test]
    fn the_table_says_who_is_ready_and_what_comes_next() {
        let used = served(&[("/status/secrets/0/lastUsedAt", json!(at(-300)))]);
        let refused = served(&[
            ("/metadata/name", json!("other")),
            ("/spec/secret", json!({})),
            ("/status/conditions/2/status", json!("False")),
            ("/status/conditions/2/reason", json!("UnknownScope")),
        ]);
        let text = overview(&[used, refused], true, at(0), &Screen::plain());
        let lines: Vec<Vec<_>> = text
            .lines()
            .map(|it| {
                it.split("   ")
                    .map(str::trim)
                    .filter(|it| !it.is_empty())
                    .collect()
            })
            .collect();
        assert_eq!(lines[0][2..4], ["NAMESPACE", "CLIENT-ID/KEY-ID"]);
        assert_eq!(
            lines[1],
            [
                "OAuthApplication",
                "acme",
                "partners",
                "fg_app_1",
                "True",
                "Served",
                "5m ago",
                "rotates in 89d",
                "24h"
            ]
        );
        assert_eq!(lines[2][4..], ["False", "UnknownScope", "-", "-", "24h"]);
    }

    #[test]
    fn whichever_comes_first_is_told() {
        let end = |second| ("/status/secrets/0/expiresAt", json!(at(second)));
        let next = |changes: &[_]| next_end(&served(changes), at(0));
        assert_eq!(next(&[end(3_600)]).unwrap(), "expires in 60m");
        assert_eq!(next(&[end(-1)]).unwrap(), "expired");
        assert_eq!(next(&[end(400 * 86_400)]).unwrap(), "rotates in 89d");
        assert_eq!(next(&[("/spec/secret", json!({}))]), None);
    }

    #[test]
    fn where_there_is_nothing_the_next_step_is_told() {
        let text = nothing(Some("partners"), true);
        assert!(
            text.contains("namespace `partners`") && text.contains("kubectl apply -n partners")
        );
        assert!(text.contains("status -A"));
        assert!(!nothing(None, true).contains("status -A"));
        assert!(
            !nothing(None, false).contains("kubectl apply"),
            "it may be there"
        );
    }
}
