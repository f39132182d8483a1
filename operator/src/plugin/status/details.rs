//! One resource in detail.

use std::fmt::Write;

use crds::{condition::Status, oauth_application::SecretStatus};
use jiff::Timestamp;

use super::{age, next_end};
use crate::plugin::{
    api::Happening,
    kind::Kind,
    period,
    resource::Resource,
    screen::{Screen, harmless},
    table::{self, Cell},
};

/// A resource with its conditions, secrets and last events.
pub(super) fn details(
    resource: &Resource,
    events: Option<&[Happening]>,
    now: Timestamp,
    screen: &Screen,
) -> String {
    let mut text = format!("{}\n", screen.bold(&resource.title()));
    let mut line = |name: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {name:<12} {value}");
    };
    match resource.kind {
        Kind::Application => line(
            "Client id",
            &harmless(resource.public_id.as_deref().unwrap_or("none yet")),
        ),
        Kind::ApiKey => line(
            "Key id",
            &harmless(resource.public_id.as_deref().unwrap_or("none yet")),
        ),
        Kind::Webhook => {}
    }
    line("Gateway", &resource.gateway);
    let whose = if resource.is_brought {
        ", which you brought"
    } else {
        ""
    };
    line("Secret", &format!("{}{whose}", resource.secret_name));
    line("Age", &age(resource, now));
    if let Some(deleted) = resource.deleted_at {
        let since = period::age(deleted, now);
        line(
            "Deleting",
            &format!("for {since}, held by {}", resource.finalizers.join(", ")),
        );
    }

    let _ = writeln!(text, "\n{}", screen.bold("Conditions"));
    if resource.conditions.is_empty() {
        text.push_str("  none: no operator has looked at it yet\n");
    }
    for condition in &resource.conditions {
        let mark = match condition.status {
            Status::True => screen.green("✓"),
            Status::False => screen.red("✗"),
            Status::Unknown => screen.yellow("?"),
        };
        let since = period::age(condition.last_transition_time, now);
        let why = match condition.status {
            Status::True => String::new(),
            _ => format!(" ({})", harmless(&condition.reason)),
        };
        let stale = if condition.observed_generation < resource.generation {
            " [of an earlier form of the resource]"
        } else {
            ""
        };
        let (kind, message) = (harmless(&condition.kind), harmless(&condition.message));
        let not = if condition.status == Status::False {
            "not "
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "  {mark} {not}{kind}{why} for {since}{stale}: {message}"
        );
    }

    let _ = writeln!(text, "\n{}", screen.bold("Secrets"));
    text.push_str(&secrets(resource, now, screen));

    let _ = writeln!(text, "\n{}", screen.bold("Events"));
    match events {
        None => text.push_str("  not shown\n"),
        Some([]) => text.push_str("  none of late\n"),
        Some(events) => {
            let row = |event: &Happening| {
                let is_warning = event.kind == "Warning";
                let at = event.at.map(|it| period::age(it, now)).unwrap_or_default();
                let kind = harmless(&event.kind);
                let paint = if is_warning {
                    Screen::yellow
                } else {
                    Screen::green
                };
                vec![
                    at.into(),
                    Cell::painted(kind, paint),
                    harmless(&event.reason).into(),
                    harmless(&event.note).into(),
                ]
            };
            let rows = events.iter().map(row).collect();
            text.push_str(&table::render(
                &["AGE", "TYPE", "REASON", "NOTE"],
                rows,
                "  ",
                screen,
            ));
        }
    }
    text
}

fn secrets(resource: &Resource, now: Timestamp, screen: &Screen) -> String {
    if resource.is_public {
        return "  none: a public client has no secret\n".into();
    }
    if resource.secrets.is_empty() {
        return "  none yet\n".into();
    }
    let row = |(i, secret): (usize, &SecretStatus)| {
        let end = match (i, secret.expires_at) {
            (0, _) => next_end(resource, now).unwrap_or_else(|| "works until it is rotated".into()),
            (_, Some(end)) => format!("works until {}", period::point(end, now)),
            (_, None) => "works as well".into(),
        };
        let used = secret
            .last_used_at
            .map(|it| format!("{} ago", period::age(it, now)));
        vec![
            harmless(&secret.id).into(),
            if i == 0 { "in use" } else { "old" }.into(),
            period::age(secret.created_at, now).into(),
            used.unwrap_or_else(|| "never".into()).into(),
            end.into(),
        ]
    };
    let rows = resource.secrets.iter().enumerate().map(row).collect();
    table::render(
        &["ID", "WHICH", "AGE", "LAST-USED", "UNTIL"],
        rows,
        "  ",
        screen,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::resource::tests::{at, served};

    #[test]
    fn the_details_tell_of_every_secret_and_every_condition() {
        let resource = served(&[
            ("/status/secrets/1", json!({})),
            ("/status/secrets", json!([
                {"id": "s-new", "createdAt": at(-60)},
                {"id": "s-old", "createdAt": at(-86_400), "expiresAt": at(7_200), "lastUsedAt": at(-30)},
            ])),
            ("/status/conditions/2/status", json!("False")),
            ("/status/conditions/2/reason", json!("GatewayUnreachable")),
            ("/status/conditions/2/message", json!("No\x1b[2J replica.")),
        ].into_iter().skip(1).collect::<Vec<_>>());
        let event = Happening {
            at: Some(at(-60)),
            kind: "Normal".into(),
            reason: "CredentialsRotated".into(),
            note: "A new one.".into(),
        };
        let text = details(&resource, Some(&[event]), at(0), &Screen::plain());
        for part in [
            "OAuthApplication partners/acme\n",
            "✓ Accepted for 24h: Good.",
            "✗ not Ready (GatewayUnreachable) for 24h: No [2J replica.",
            "s-new   in use   60s   never       rotates in 89d",
            "s-old   old      24h   30s ago     works until ",
            "(in 120m)",
            "60s   Normal   CredentialsRotated   A new one.",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
