//! Pieces of schema that several resources share.
//!
//! What a field must look like is said in CEL rather than by `pattern`, because
//! a rule carries a sentence that tells what to write instead. Rules use only
//! what every CEL implementation evaluates alike (`matches`, `startsWith`,
//! `size`, `isCIDR` …; not `url()`, whose parsers differ), and every list and
//! string is bounded, so that the API server can bound the cost of each rule.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::contract::GrantType;

/// Lengths of time that are counted from a credential's making.
const LIFETIME: &str = "^[1-9][0-9]{0,4}[smhdw]$";

/// A rule for `x-kubernetes-validations`.
pub(crate) fn rule(rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message})
}

/// A rule whose failure is reported at a field below.
pub(crate) fn rule_at(field_path: &str, rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message, "fieldPath": field_path})
}

/// A rule that forbids a change.
pub(crate) fn immutable(message: &str) -> Value {
    rule("self == oldSelf", message)
}

/// The names that the resources themselves may have: short enough that the
/// names derived from them are labels too.
pub(crate) const NAME_RULE: &str =
    "size(self.metadata.name) <= 51 && !self.metadata.name.contains('.')";
pub(crate) const NAME_MESSAGE: &str = "metadata.name: write at most 51 characters and no dots, because names of Secrets and files are made from it";

pub(crate) fn gateway(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 63,
        "x-kubernetes-validations": [
            label_rule(),
            immutable("a resource stays with its gateway: make a new resource for the other gateway"),
        ],
    })
}

fn label_rule() -> Value {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "write a name of lower-case letters, digits and '-' that begins and ends with a letter or digit",
    )
}

/// The name of a Secret or of another resource in the same namespace.
pub(crate) fn label(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 63,
        "x-kubernetes-validations": [label_rule()],
    })
}

/// The name of a profile or plan of gateway.yaml.
pub(crate) fn entry_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 63,
        "x-kubernetes-validations": [rule(
            "self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
            "write a name that stands in gateway.yaml: letters, digits, '-', '_' and '.'",
        )],
    })
}

pub(crate) fn display_name(_: &mut SchemaGenerator) -> Schema {
    line(80)
}

pub(crate) fn description(_: &mut SchemaGenerator) -> Schema {
    line(200)
}

/// One line of text for people.
fn line(max_length: u32) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": max_length,
        "x-kubernetes-validations": [rule(
            "self.matches('^[^ \\\\p{Cc}]([^\\\\p{Cc}]*[^ \\\\p{Cc}])?$')",
            "write one line of text, without spaces at its ends and without control characters",
        )],
    })
}

/// A link that people follow.
pub(crate) fn link(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
        "x-kubernetes-validations": [rule(
            &format!("self.matches('^https://{HOST}([/?#]{REST}*)?$')"),
            "write an absolute https URL, such as https://partner.example/about",
        )],
    })
}

/// An endpoint that events are posted to.
pub(crate) fn endpoint(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "x-kubernetes-validations": [
            rule(
                "self.startsWith('https://')",
                "write an https URL: events are signed, but only TLS keeps them secret",
            ),
            rule(
                "!self.contains('#')",
                "write the URL without its fragment ('#' and what follows): it is never sent",
            ),
            rule(
                &format!("!self.startsWith('https://') || self.matches('^https://{HOST}([/?#]{REST}*)?$')"),
                "write an absolute URL without user name, spaces or backslashes, such as https://partner.example/events",
            ),
        ],
    })
}

/// A host name or address, and perhaps a port.
const HOST: &str =
    "([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\\\\[[0-9A-Fa-f:.]+\\\\])(:[0-9]{1,5})?";
/// A character of path, query or fragment (RFC 3986 section 2).
const REST: &str = "[-A-Za-z0-9._~:/?#\\\\[\\\\]@!$&()*+,;=%\\']";

/// Redirection URIs (RFC 6749 section 3.1.2): compared as a whole.
pub(crate) fn redirect_uris(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 20,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 512,
            "x-kubernetes-validations": [
                rule(
                    "self.startsWith('https://') || self.matches('^http://(localhost|127\\\\.0\\\\.0\\\\.1|\\\\[::1\\\\])([:/?#]|$)')",
                    "write https://; http:// is for localhost, 127.0.0.1 and [::1] alone",
                ),
                rule(
                    "!self.contains('#')",
                    "write the URI without its fragment ('#' and what follows): RFC 6749 section 3.1.2 forbids it",
                ),
                rule(
                    "!self.contains('*')",
                    "write each URI in full: redirect URIs are compared exactly and wildcards match nothing",
                ),
                rule(
                    &format!("!self.matches('^https?://') || self.matches('^https?://{HOST}([/?#]{REST}*)?$')"),
                    "write an absolute URI without user name, spaces or backslashes, such as https://partner.example/callback",
                ),
            ],
        },
    })
}

/// Names of scopes (RFC 6749 section 3.3), each once.
pub(crate) fn scopes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": crate::gateway_config::MAX_SCOPES,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "x-kubernetes-validations": [rule(
                "self.matches('^[!#-\\\\[\\\\]-~]+$')",
                "write the name of one scope, such as flights:read, without spaces or quotes; one list item per scope",
            )],
        },
    })
}

/// Grants, each once.
pub(crate) fn grant_types(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 8,
        "x-kubernetes-list-type": "set",
        "items": generator.subschema_for::<GrantType>(),
    })
}

/// Names of events, each once.
pub(crate) fn events(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 32,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "x-kubernetes-validations": [rule(
                "self.matches('^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)+$')",
                "write the name of an event, such as flight.uploaded: lower-case words joined by dots",
            )],
        },
    })
}

/// Networks in CIDR notation, each once.
pub(crate) fn cidrs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 43,
            "x-kubernetes-validations": [
                rule(
                    "isCIDR(self)",
                    "write a network in CIDR notation, such as 10.0.0.0/8, 192.0.2.7/32 or 2001:db8::/32",
                ),
                rule(
                    "!isCIDR(self) || cidr(self) == cidr(self).masked()",
                    "write the network's first address, such as 10.0.0.0/8 rather than 10.1.2.3/8; one address alone is /32 (IPv6: /128)",
                ),
            ],
        },
    })
}

/// On whose behalf a key acts.
pub(crate) fn subject(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 3,
        "maxLength": 160,
        "x-kubernetes-validations": [
            rule(
                "self.matches('^[a-z][-a-z0-9]*:[-A-Za-z0-9._@+]+$')",
                "write kind:name, such as pilot:anna or script:nightly-import",
            ),
            immutable("a key does not change hands: make a new ApiKey for the other subject"),
        ],
    })
}

/// A length of time that is counted from a credential's making.
pub(crate) fn lifetime(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 2,
        "maxLength": 6,
        "x-kubernetes-validations": [rule(
            &format!("self.matches('{LIFETIME}')"),
            "write a whole number and a unit of s, m, h, d (24 hours) or w (7 days), such as 12h, 90d or 2w",
        )],
    })
}

/// `a < b` for two lifetimes; true where one of them is none, which its own
/// rule reports.
pub(crate) fn shorter(a: &str, b: &str) -> String {
    let seconds = |x: &str| {
        format!(
            "int({x}.substring(0, {x}.size() - 1)) * {{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}}[{x}.substring({x}.size() - 1)]"
        )
    };
    format!(
        "!{a}.matches('{LIFETIME}') || !{b}.matches('{LIFETIME}') || {} < {}",
        seconds(a),
        seconds(b)
    )
}

/// The name of a credentials Secret never changes, nor does its absence.
pub(crate) fn secret_name_is_immutable() -> Value {
    rule_at(
        ".name",
        "has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)",
        "credentials stay where their readers look for them: keep the name, or make a new resource",
    )
}

/// The name of the gateway, profile or plan of who names none.
pub(crate) fn default_name() -> String {
    "default".into()
}
