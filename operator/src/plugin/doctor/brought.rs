//! Is the Secret that a user brought one that can be used?

use super::{Finding, gather::Found};
use crate::{
    controller::OFFERED_LABEL, oauth_application::SHORTEST_BROUGHT, plugin::resource::Resource,
};

/// The reasons of the operator for what is found here too.
pub(super) const REASONS: [&str; 4] = [
    "SecretNotFound",
    "SecretNotOffered",
    "SecretTooShort",
    "BadClientId",
];

/// What is wrong with it.
pub(super) fn judge(resource: &Resource, found: Option<&Found>) -> Option<Finding> {
    let Resource {
        namespace,
        secret_name: secret,
        ..
    } = resource;
    let title = resource.title();
    let Some(found) = found else {
        return Some(Finding::wrong(
            format!("{title} brings the Secret `{secret}`, which is not there."),
            format!(
                "kubectl create secret generic {secret} -n {namespace} --from-file=client_id=… --from-file=client_secret=…, and kubectl label secret {secret} -n {namespace} {OFFERED_LABEL}=true"
            ),
        ));
    };
    if found.labels.get(OFFERED_LABEL).map(String::as_str) != Some("true") {
        return Some(Finding::wrong(
            format!("{title} brings the Secret `{secret}`, which its owner has not offered."),
            format!(
                "if it is meant for that: kubectl label secret {secret} -n {namespace} {OFFERED_LABEL}=true"
            ),
        ));
    }
    let length = |key: &str| found.lengths.get(key).copied().unwrap_or(0);
    if length("client_id") == 0 {
        return Some(Finding::wrong(
            format!("{title} brings the Secret `{secret}`, which has no client_id."),
            "write a client_id of 1 to 128 letters, digits and -._~ into it",
        ));
    }
    let previous = "previous_client_secret";
    let mut keys = vec!["client_secret"];
    keys.extend(found.lengths.contains_key(previous).then_some(previous));
    let (key, length) = keys
        .into_iter()
        .map(|key| (key, length(key)))
        .find(|(_, length)| *length < SHORTEST_BROUGHT)?;
    Some(Finding::wrong(
        format!(
            "{title} brings the Secret `{secret}`, whose {key} has {length} of at least {SHORTEST_BROUGHT} characters."
        ),
        "write a longer one into it, such as openssl rand -hex 32 makes",
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::resource::tests::served;

    #[test]
    fn each_fault_of_a_brought_secret_has_its_own_words() {
        let brings = json!({"name": "mine", "existing": true});
        let resource = served(&[("/spec/secret", brings)]);
        let found = |label: &str, lengths: &[(&str, usize)]| Found {
            labels: [(OFFERED_LABEL.to_owned(), label.to_owned())].into(),
            rotated_for: None,
            lengths: lengths.iter().map(|(key, n)| ((*key).into(), *n)).collect(),
        };
        let what = |found: Option<&Found>| judge(&resource, found).map(|it| it.what);
        assert!(what(None).unwrap().ends_with("`mine`, which is not there."));
        let whole = [("client_id", 4), ("client_secret", 32)];
        assert!(
            what(Some(&found("no", &whole)))
                .unwrap()
                .contains("has not offered")
        );
        assert_eq!(what(Some(&found("true", &whole))), None);
        let short = [("client_id", 4), ("client_secret", 31)];
        assert!(
            what(Some(&found("true", &short)))
                .unwrap()
                .contains("has 31 of at least 32")
        );
        let nameless = [("client_secret", 32)];
        assert!(
            what(Some(&found("true", &nameless)))
                .unwrap()
                .contains("no client_id")
        );
        let old = [
            ("client_id", 4),
            ("client_secret", 32),
            ("previous_client_secret", 8),
        ];
        assert!(
            what(Some(&found("true", &old)))
                .unwrap()
                .contains("previous_client_secret has 8")
        );
    }
}
