//! The structural part of a schema: what the Flightgate definitions use of it.
//! The messages are the API server's own, so that one table of manifests tests
//! both.

use serde_json::{Map, Value};

use super::Problem;

/// What the API server keeps of an object whatever its schema says.
const ENVELOPE: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// The fields of `metadata` (`ObjectMeta`).
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Every field that the schema does not know.
pub(super) fn unknown_fields(schema: &Value, object: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(fields) = object.as_object() {
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, value) in fields {
            match properties.and_then(|properties| properties.get(name)) {
                Some(schema) => walk_unknown(schema, value, name, &mut problems),
                None if ENVELOPE.contains(&name.as_str()) => {}
                None => problems.push(unknown(name, properties)),
            }
        }
        let metadata = object.get("metadata").and_then(Value::as_object);
        for name in metadata.into_iter().flat_map(Map::keys) {
            if !METADATA.contains(&name.as_str()) {
                problems.push(unknown(&format!("metadata.{name}"), None));
            }
        }
    }
    problems
}

fn walk_unknown(schema: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    match value {
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match properties.and_then(|properties| properties.get(name)) {
                    Some(schema) => walk_unknown(schema, value, &path, problems),
                    None => problems.push(unknown(&path, properties)),
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else {
                return;
            };
            for (i, item) in items.iter().enumerate() {
                walk_unknown(schema, item, &format!("{path}[{i}]"), problems);
            }
        }
        _ => {}
    }
}

fn unknown(path: &str, known: Option<&Map<String, Value>>) -> Problem {
    let names: Vec<_> = known
        .into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
        .collect();
    let offer = if names.is_empty() {
        String::new()
    } else {
        format!("; the fields here are {}", names.join(", "))
    };
    Problem {
        path: path.into(),
        message: format!("unknown field \"{path}\"{offer}"),
    }
}

/// A null is no value: without `nullable` it is dropped before defaults apply.
pub(super) fn drop_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            fields.retain(|name, value| {
                let property = properties.and_then(|properties| properties.get(name));
                let is_nullable =
                    |schema: &Value| schema.get("nullable") == Some(&Value::Bool(true));
                !value.is_null() || property.is_some_and(is_nullable)
            });
            for (name, value) in fields {
                if let Some(schema) = properties.and_then(|properties| properties.get(name)) {
                    drop_nulls(schema, value);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else {
                return;
            };
            for item in items {
                drop_nulls(schema, item);
            }
        }
        _ => {}
    }
}

/// Types, bounds, enums, sets and what is required.
pub(super) fn check(schema: &Value, object: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    walk(schema, object, "", &mut problems);
    problems
}

fn walk(schema: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    if value.is_null() && schema.get("nullable") == Some(&Value::Bool(true)) {
        return;
    }
    let expected = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("object");
    if !is_of(value, expected) {
        let found = type_name(value);
        problems.push(Problem::new(
            path,
            format!(
                "Invalid value: \"{found}\": {path} in body must be of type {expected}: \"{found}\""
            ),
        ));
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let allowed: Vec<_> = allowed.iter().map(Value::to_string).collect();
        let allowed = allowed.join(", ");
        problems.push(Problem::new(
            path,
            format!("Unsupported value: {value}: supported values: {allowed}"),
        ));
    }
    match value {
        Value::String(text) => string(schema, text, path, problems),
        Value::Array(items) => array(schema, items, path, problems),
        Value::Object(fields) => fields_of(schema, fields, path, problems),
        _ => {}
    }
}

fn string(schema: &Value, text: &str, path: &str, problems: &mut Vec<Problem>) {
    let length = text.chars().count() as u64;
    if let Some(most) = bound(schema, "maxLength").filter(|most| length > *most) {
        let message = format!("Too long: may not be more than {most} bytes");
        problems.push(Problem::new(path, message));
    }
    if let Some(least) = bound(schema, "minLength").filter(|least| length < *least) {
        let text = Value::from(text);
        problems.push(Problem::new(
            path,
            format!("Invalid value: {text}: {path} in body should be at least {least} chars long"),
        ));
    }
}

fn array(schema: &Value, items: &[Value], path: &str, problems: &mut Vec<Problem>) {
    let length = items.len() as u64;
    if let Some(most) = bound(schema, "maxItems").filter(|most| length > *most) {
        let message = format!("Too many: {length}: must have at most {most} items");
        problems.push(Problem::new(path, message));
    }
    if let Some(least) = bound(schema, "minItems").filter(|least| length < *least) {
        problems.push(Problem::new(
            path,
            format!("Invalid value: {length}: {path} in body should have at least {least} items"),
        ));
    }
    let is_set = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}[{i}]");
        if let Some(schema) = schema.get("items") {
            walk(schema, item, &path, problems);
        }
        if is_set && items[..i].contains(item) {
            problems.push(Problem::new(path, format!("Duplicate value: {item}")));
        }
    }
}

fn fields_of(schema: &Value, fields: &Map<String, Value>, path: &str, problems: &mut Vec<Problem>) {
    let join = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            problems.push(Problem::new(join(name), "Required value"));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        if let Some(value) = fields.get(name) {
            walk(schema, value, &join(name), problems);
        }
    }
}

fn bound(schema: &Value, keyword: &str) -> Option<u64> {
    schema.get(keyword).and_then(Value::as_u64)
}

fn is_of(value: &Value, expected: &str) -> bool {
    match expected {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => type_name(value) == expected,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keywords(schema: &Value, found: &mut BTreeSet<String>) {
        let Some(fields) = schema.as_object() else {
            return;
        };
        found.extend(fields.keys().cloned());
        if let Some(items) = fields.get("items") {
            keywords(items, found);
        }
        for property in fields
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::values)
        {
            keywords(property, found);
        }
    }

    /// The status is the operator's own to write, so `format` and `minimum`
    /// there are not looked at here.
    #[test]
    fn the_definitions_use_no_keyword_that_is_not_checked_here() {
        let known = [
            "default",
            "description",
            "enum",
            "items",
            "maxItems",
            "maxLength",
            "minItems",
            "minLength",
            "nullable",
            "properties",
            "required",
            "type",
            "x-kubernetes-list-type",
            "x-kubernetes-validations",
        ];
        for definition in crds::definitions() {
            let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
            let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
            let mut found = BTreeSet::new();
            keywords(spec, &mut found);
            found.retain(|keyword| !known.contains(&keyword.as_str()));
            assert!(
                found.is_empty(),
                "{}: {found:?}",
                definition.spec.names.kind
            );
        }
    }
}
