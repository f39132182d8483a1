//! Which objects are Flightgate's, and what they are called.

use crds::{ApiKey, GROUP, OAuthApplication, Webhook};
use kube::Resource;
use serde_json::Value;

use super::{Complainer, manifest::Origin};

/// A kind of Flightgate's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    OAuthApplication,
    ApiKey,
    Webhook,
}

impl Kind {
    /// All kinds, in the order in which they are planned: webhooks need the ids
    /// of their applications.
    pub(super) const ALL: [Self; 3] = [Self::OAuthApplication, Self::ApiKey, Self::Webhook];

    pub(super) fn name(self) -> String {
        match self {
            Self::OAuthApplication => OAuthApplication::kind(&()).into_owned(),
            Self::ApiKey => ApiKey::kind(&()).into_owned(),
            Self::Webhook => Webhook::kind(&()).into_owned(),
        }
    }

    /// Whether a file of the output folder is about this kind.
    pub(super) fn owns(self, file: &str) -> bool {
        file.strip_prefix(&self.name().to_lowercase())
            .is_some_and(|rest| rest.starts_with('.'))
    }
}

/// What an object is.
pub(super) enum Sorted {
    Ours(Kind),
    Secret,
    Foreign(String),
    Wrong(String),
}

/// Looks at `apiVersion` and `kind`.
pub(super) fn sort(object: &Value) -> Sorted {
    let text = |field: &str| object.get(field).and_then(Value::as_str);
    let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
        return Sorted::Wrong("is no Kubernetes object: write apiVersion and kind".into());
    };
    let Some((group, version)) = api_version.split_once('/') else {
        let is_secret = api_version == "v1" && kind == "Secret";
        return if is_secret {
            Sorted::Secret
        } else {
            Sorted::Foreign(format!("{kind} ({api_version})"))
        };
    };
    if group != GROUP {
        // Left out as somebody else's, it would take its partner away.
        if group.starts_with("flightgate") {
            return Sorted::Wrong(format!(
                "apiVersion: there is no group `{group}`; write {GROUP}/{}",
                OAuthApplication::version(&())
            ));
        }
        return Sorted::Foreign(format!("{kind} ({api_version})"));
    }
    let Some(known) = Kind::ALL.into_iter().find(|known| known.name() == kind) else {
        let names: Vec<_> = Kind::ALL.into_iter().map(Kind::name).collect();
        return Sorted::Wrong(format!(
            "kind: there is no `{kind}` in {GROUP}; there are {}",
            names.join(", ")
        ));
    };
    let served = OAuthApplication::version(&());
    if version != served {
        return Sorted::Wrong(format!(
            "apiVersion: `{api_version}` is not served; write {GROUP}/{served}"
        ));
    }
    Sorted::Ours(known)
}

/// Namespace and name; the object gets its namespace if it names none, and
/// loses what only a server may write.
pub(super) fn identify(
    object: &mut Value,
    kind: Kind,
    default_namespace: &str,
    origin: &Origin,
    complaints: &mut Complainer,
) -> Option<(String, String)> {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let kind = kind.name();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        complaints.at(origin, &kind, "metadata.name: Required value");
        return None;
    };
    let namespace = match metadata.get("namespace") {
        None | Some(Value::Null) => default_namespace.to_owned(),
        Some(Value::String(namespace)) => namespace.clone(),
        Some(_) => String::new(),
    };
    let Some(name) = metadata
        .get("name")
        .and_then(Value::as_str)
        .map(str::to_owned)
    else {
        complaints.at(origin, &kind, "metadata.name: Required value: write a name (generateName makes another one each time)");
        return None;
    };
    let owner = format!("{kind} {namespace}/{name}");
    let mut is_good = true;
    if !is_subdomain(&name) {
        complaints.at(origin, &owner, format!("metadata.name: Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"));
        is_good = false;
    }
    if namespace.len() > 63 || namespace.contains('.') || !is_subdomain(&namespace) {
        complaints.at(origin, &owner, format!("metadata.namespace: Invalid value: \"{namespace}\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"));
        is_good = false;
    }
    let annotations = metadata.get("annotations").filter(|value| !value.is_null());
    let is_text_map = |value: &Value| {
        value
            .as_object()
            .is_some_and(|map| map.values().all(Value::is_string))
    };
    if annotations.is_some_and(|value| !is_text_map(value)) {
        complaints.at(
            origin,
            &owner,
            "metadata.annotations: every value must be a string: put it between quotes",
        );
        is_good = false;
    }
    metadata.insert("namespace".into(), namespace.clone().into());
    is_good.then_some((namespace, name))
}

fn is_subdomain(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// The name of the files of a resource.
pub(super) fn file_name(kind: Kind, namespace: &str, name: &str) -> String {
    format!("{}.{namespace}.{name}.json", kind.name().to_lowercase())
}
