//! `rotate`: asks for a new secret, and waits until it is there.

use std::time::Duration;

use crds::{
    ApiKey, OAuthApplication, Webhook,
    condition::{ACCEPTED, READY, Status},
    oauth_application::SecretStatus,
};
use jiff::{Timestamp, Unit};
use kube::{
    Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    PluginError,
    access::Access,
    api::{self, ApiError, Request},
    arguments::RotateOptions,
    kind::Kind,
    period,
    resource::Resource,
    screen::{Consent, Screen, harmless, print},
    target,
};

/// Who the plugin is towards the API server.
const MANAGER: &str = "kubectl-flightgate";
/// So often a write is tried when others write at the same time.
const ATTEMPTS: u32 = 5;
/// Between two looks at the status.
const PAUSE: Duration = Duration::from_millis(250);

/// There is no new secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RotateError {
    /// It has none.
    #[error("{0} is a public client: it has no secret to rotate")]
    Public(String),
    /// It is not Flightgate's to change.
    #[error(
        "{title} brings its own secret: change client_secret in the Secret `{secret}`, and keep the old one there as previous_client_secret for as long as it is to work"
    )]
    Brought {
        /// Which resource.
        title: String,
        /// Where its secret stands.
        secret: String,
    },
    /// It is on its way out.
    #[error("{0} is being deleted")]
    Deleted(String),
    /// The operator refuses it as it is.
    #[error("{title} is not accepted ({reason}), and nothing is rotated until it is: {message}")]
    NotAccepted {
        /// Which resource.
        title: String,
        /// Why, in one word.
        reason: String,
        /// Why, in a sentence.
        message: String,
    },
    /// There is nothing to replace.
    #[error("{title} has no {noun} yet: `kubectl flightgate status {argument}` says why")]
    NoSecret {
        /// Which resource.
        title: String,
        /// What its secret is called.
        noun: &'static str,
        /// How a command names it.
        argument: String,
    },
    /// Nobody agreed to end the oldest one.
    #[error("nothing was changed: to rotate nevertheless, add --yes")]
    NotConfirmed,
    /// It did not come in time.
    #[error(
        "{title}: no new {noun} after {seconds} s. The rotation stays asked for, and is done as soon as an operator looks after the resource; `kubectl flightgate doctor` says what keeps it"
    )]
    TooLong {
        /// Which resource.
        title: String,
        /// What its secret is called.
        noun: &'static str,
        /// How long it was waited for.
        seconds: u64,
    },
    /// It was deleted meanwhile.
    #[error("{0} was deleted meanwhile")]
    Gone(String),
}

/// Rotates the secret of the resource that is named.
pub(super) async fn run(
    access: &Access,
    options: &RotateOptions,
    screen: &Screen,
) -> Result<(), PluginError> {
    let mut resource = target::resolve(access, &options.name).await?;
    let mut is_confirmed = options.yes;
    let mut attempt = 1;
    loop {
        let now = access.now().await;
        if let Some(warning) = judge(&resource, now)?
            && !is_confirmed
        {
            screen.note("warning", &warning);
            match screen.confirm("Rotate nevertheless?") {
                Consent::Given => is_confirmed = true,
                Consent::Refused | Consent::Nobody => {
                    return Err(RotateError::NotConfirmed.into());
                }
            }
        }
        match ask(&access.client, &resource).await {
            Ok(()) => break,
            // What was judged is no longer what is there.
            Err(ApiError::Conflict) if attempt < ATTEMPTS => {
                attempt += 1;
                resource = again(access, &resource).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if options.no_wait {
        print(&format!(
            "{}: a new {} is asked for. It will stand in the Secret `{}`.",
            resource.title(),
            resource.kind.noun(),
            resource.secret_name
        ));
        return Ok(());
    }
    let new = wait(access, &resource, options.timeout.duration()).await?;
    let now = access.now().await;
    print(&outcome(&resource, &new, now));
    if let Some(ready) = new.condition(READY)
        && ready.status != Status::True
    {
        let message = harmless(&ready.message);
        screen.note("not served yet", &message);
    }
    Ok(())
}

/// Whether a rotation makes sense; if it does, what somebody ought to know first.
fn judge(resource: &Resource, now: Timestamp) -> Result<Option<String>, RotateError> {
    let title = resource.title();
    let noun = resource.kind.noun();
    if resource.is_public {
        return Err(RotateError::Public(title));
    }
    if resource.is_brought {
        let secret = resource.secret_name.clone();
        return Err(RotateError::Brought { title, secret });
    }
    if resource.deleted_at.is_some() {
        return Err(RotateError::Deleted(title));
    }
    if let Some(accepted) = resource.condition(ACCEPTED)
        && accepted.status == Status::False
        && accepted.observed_generation >= resource.generation
    {
        return Err(RotateError::NotAccepted {
            title,
            reason: harmless(&accepted.reason),
            message: harmless(&accepted.message),
        });
    }
    if resource.secrets.is_empty() {
        let argument = resource.argument();
        return Err(RotateError::NoSecret {
            title,
            noun,
            argument,
        });
    }
    Ok(oldest(resource, now).map(|old| {
        let until = old.expires_at.map(|end| period::point(end, now));
        let until = until.unwrap_or_else(|| "its end".into());
        let used = match old.last_used_at {
            Some(at) => format!("it was last used {} ago", period::age(at, now)),
            None => "nobody has used it of late".into(),
        };
        format!(
            "{title} was rotated already, and its old {noun} would work until {until}; {used}. There are never more than two: to rotate now ends it at once."
        )
    }))
}

/// The secret that a rotation would end at once.
fn oldest(resource: &Resource, now: Timestamp) -> Option<&SecretStatus> {
    let mut old = resource.secrets.iter().skip(1);
    old.find(|it| it.expires_at.is_none_or(|end| end > now))
}

/// Sets the annotation to a value that it never had, if the resource is still as
/// it was judged.
async fn ask(client: &Client, resource: &Resource) -> Result<(), ApiError> {
    let value = Timestamp::now().round(Unit::Microsecond);
    let value = value.unwrap_or_else(|_| Timestamp::now()).to_string();
    let patch = Patch::Merge(json!({
        "metadata": {
            "uid": resource.uid,
            "resourceVersion": resource.version,
            "annotations": {crds::ROTATE_ANNOTATION: value},
        },
    }));
    let params = PatchParams {
        field_manager: Some(MANAGER.into()),
        ..PatchParams::default()
    };
    let (name, namespace) = (&resource.name, Some(resource.namespace.as_str()));
    let written = match resource.kind {
        Kind::Application => {
            let api = api::api::<OAuthApplication>(client, namespace);
            api.patch_metadata(name, &params, &patch).await.map(drop)
        }
        Kind::ApiKey => {
            let api = api::api::<ApiKey>(client, namespace);
            api.patch_metadata(name, &params, &patch).await.map(drop)
        }
        Kind::Webhook => {
            let api = api::api::<Webhook>(client, namespace);
            api.patch_metadata(name, &params, &patch).await.map(drop)
        }
    };
    written.map_err(|error| Request::ours("patch", resource.kind, namespace).failed(error))
}

/// The resource as it is now, if it is still the same one.
async fn again(access: &Access, resource: &Resource) -> Result<Resource, PluginError> {
    let Resource {
        kind,
        namespace,
        name,
        ..
    } = resource;
    let now = api::get(&access.client, *kind, namespace, name).await?;
    now.filter(|it| it.uid == resource.uid)
        .ok_or_else(|| RotateError::Gone(resource.title()).into())
}

/// Waits until the status tells of another secret than `old` has.
async fn wait(access: &Access, old: &Resource, timeout: Duration) -> Result<Resource, PluginError> {
    let end = Instant::now() + timeout;
    loop {
        let now = match again(access, old).await {
            Ok(now) => now,
            // What was asked for stays so, whether or not this was answered.
            Err(PluginError::Api(ApiError::Other { .. })) if Instant::now() < end => {
                sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let newest = now.secrets.first().map(|it| &it.id);
        if newest.is_some() && newest != old.secrets.first().map(|it| &it.id) {
            return Ok(now);
        }
        // Somebody may have changed it into what is refused.
        judge(&now, Timestamp::now())?;
        if Instant::now() >= end {
            return Err(RotateError::TooLong {
                title: old.title(),
                noun: old.kind.noun(),
                seconds: timeout.as_secs(),
            }
            .into());
        }
        sleep(PAUSE).await;
    }
}

fn outcome(old: &Resource, new: &Resource, now: Timestamp) -> String {
    let before = old.secrets.first().map(|it| &it.id);
    let left = new.secrets.iter().find(|it| Some(&it.id) == before);
    let end = left.and_then(|it| it.expires_at).filter(|end| *end > now);
    let until = match end {
        Some(end) => format!("The old one works until {}.", period::point(end, now)),
        None => "The old one no longer works.".into(),
    };
    format!(
        "{}: a new {} stands in the Secret `{}`, under {}.\n{until}",
        new.title(),
        new.kind.noun(),
        new.secret_name,
        new.kind.secret_key()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::resource::tests::{at, served};

    #[test]
    fn what_cannot_be_rotated_is_refused_before_anything_is_written() {
        for (change, complaint) in [
            (("/spec/clientType", json!("public")), "public client"),
            (
                ("/spec/secret", json!({"name": "mine", "existing": true})),
                "in the Secret `mine`",
            ),
            (
                ("/metadata/deletionTimestamp", json!(at(0))),
                "being deleted",
            ),
            (
                ("/status/conditions/0/status", json!("False")),
                "nothing is rotated until it is: Good.",
            ),
            (("/status/secrets", json!([])), "no client secret yet"),
        ] {
            let error = judge(&served(&[change]), at(0)).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
        assert_eq!(judge(&served(&[]), at(0)), Ok(None));
    }

    #[test]
    fn that_the_oldest_ends_at_once_is_said_first() {
        let old = |end| {
            let secrets = json!([
                {"id": "s-new", "createdAt": at(-60)},
                {"id": "s-old", "createdAt": at(-90), "expiresAt": at(end), "lastUsedAt": at(-30)},
            ]);
            served(&[("/status/secrets", secrets)])
        };
        let warning = judge(&old(7_200), at(0)).unwrap().unwrap();
        assert!(
            warning.contains("(in 120m); it was last used 30s ago"),
            "{warning}"
        );
        assert!(warning.contains("ends it at once"), "{warning}");
        assert_eq!(judge(&old(-1), at(0)), Ok(None), "it has ended already");
    }

    #[test]
    fn the_outcome_names_the_place_and_the_end() {
        let before = served(&[]);
        let secrets = json!([
            {"id": "s-newer", "createdAt": at(0)},
            {"id": "s-new", "createdAt": at(-90), "expiresAt": at(7 * 86_400)},
        ]);
        let after = served(&[("/status/secrets", secrets)]);
        let text = outcome(&before, &after, at(0));
        assert!(
            text.contains("Secret `acme-credentials`, under client_secret."),
            "{text}"
        );
        assert!(text.ends_with("(in 7d)."), "{text}");
        let alone = served(&[("/status/secrets/0/id", json!("s-newer"))]);
        assert!(outcome(&before, &alone, at(0)).ends_with("The old one no longer works."));
    }
}
