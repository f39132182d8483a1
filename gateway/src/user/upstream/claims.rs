//! What a provider says of somebody.

use std::collections::HashMap;

use crds::gateway_config::Admins;
use openidconnect::AdditionalClaims;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::address;
use crate::clock::UnixSeconds;

/// Claims beside those of OpenID Connect Core.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Others(HashMap<String, Value>);

impl AdditionalClaims for Others {}

/// Who somebody is at a provider, verified.
pub(super) struct Identity {
    /// Never given to anyone else there.
    pub(super) subject: String,
    /// What they are called there; it may change, and prove nothing.
    pub(super) username: Option<String>,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    pub(super) auth_time: Option<UnixSeconds>,
    claims: Map<String, Value>,
}

impl Identity {
    /// `claims` are those of the ID token, and of `UserInfo` where that one
    /// says nothing.
    pub(super) fn new(subject: &str, claims: Map<String, Value>, username_claim: &str) -> Self {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        Self {
            subject: subject.to_owned(),
            username: text(username_claim).map(str::to_owned),
            email: text("email").and_then(address),
            email_verified: claims.get("email_verified") == Some(&Value::Bool(true)),
            auth_time: claims.get("auth_time").and_then(Value::as_u64),
            claims,
        }
    }

    /// Whether they are an administrator by this rule.
    pub(super) fn has(&self, admins: &Admins) -> bool {
        match self.claims.get(&admins.claim) {
            Some(Value::String(value)) => *value == admins.value,
            Some(Value::Array(values)) => values
                .iter()
                .any(|value| value.as_str() == Some(admins.value.as_str())),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(claims: &Value) -> Identity {
        Identity::new("s", claims.as_object().unwrap().clone(), "nickname")
    }

    #[test]
    fn an_administrator_has_the_value_alone_or_in_a_list_and_no_part_of_it() {
        let admins = Admins {
            claim: "groups".into(),
            value: "admins".into(),
        };
        for (groups, expected) in [
            (json!("admins"), true),
            (json!(["x", "admins"]), true),
            (json!("admins2"), false),
            (json!("x admins"), false),
            (json!([["admins"]]), false),
            (json!({"admins": true}), false),
            (json!(null), false),
            (json!(true), false),
        ] {
            let found = identity(&json!({"groups": groups})).has(&admins);
            assert_eq!(found, expected, "{groups}");
        }
        assert!(!identity(&json!({})).has(&admins));
    }

    #[test]
    fn claims_of_another_kind_count_as_none() {
        let odd = identity(
            &json!({"nickname": 7, "email": "no address", "email_verified": "yes", "auth_time": -1}),
        );
        assert_eq!(
            (odd.username, odd.email, odd.email_verified, odd.auth_time),
            (None, None, false, None)
        );
        let good = identity(&json!({
            "nickname": "anna", "email": "a@b.example", "email_verified": true, "auth_time": 5
        }));
        assert_eq!(
            (
                good.username,
                good.email,
                good.email_verified,
                good.auth_time
            ),
            (
                Some("anna".into()),
                Some("a@b.example".into()),
                true,
                Some(5)
            )
        );
    }
}
