//! Validation as the API server does it, from the same schema: fields that it
//! does not know, types and bounds, defaults, and the CEL rules. What is accepted
//! here is accepted there, and with the same words refused.

mod structure;

use std::fmt;

use kube::CustomResourceExt;
use kube_cel::{CompiledSchema, ErrorKind, Validator, apply_defaults, compile_schema};
use serde_json::Value;

/// Something that the schema refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which field, such as `spec.scopes[1]`.
    pub path: String,
    /// What was expected.
    pub message: String,
}

impl Problem {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A kind's schema, made ready once for many objects.
pub struct KindSchema {
    schema: Value,
    compiled: CompiledSchema,
    validator: Validator,
}

/// A schema cannot be used here.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The definition has no schema.
    #[error("the definition of {0} has no schema")]
    Missing(String),
    /// A rule is not understood.
    #[error("the schema of {kind} cannot be evaluated: {reason}")]
    Rule {
        /// Which kind.
        kind: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl KindSchema {
    /// The schema of `K`.
    pub fn of<K: CustomResourceExt>() -> Result<Self, SchemaError> {
        let definition = K::crd();
        let kind = definition.spec.names.kind;
        let schema = definition
            .spec
            .versions
            .into_iter()
            .next()
            .and_then(|version| version.schema)
            .and_then(|validation| validation.open_api_v3_schema)
            .and_then(|schema| serde_json::to_value(schema).ok())
            .ok_or_else(|| SchemaError::Missing(kind.clone()))?;
        let compiled = compile_schema(&schema);
        if let Some(error) = compiled.compilation_errors().first() {
            return Err(SchemaError::Rule {
                kind,
                reason: error.to_string(),
            });
        }
        Ok(Self {
            schema,
            compiled,
            validator: Validator::new(),
        })
    }

    /// The object with its defaults, or everything that is wrong with it. With
    /// `old`, which must have passed before, what may not change is looked at
    /// too.
    pub fn admit(&self, object: &Value, old: Option<&Value>) -> Result<Value, Vec<Problem>> {
        let mut problems = structure::unknown_fields(&self.schema, object);
        let mut object = object.clone();
        structure::drop_nulls(&self.schema, &mut object);
        let object = apply_defaults(&self.schema, &object);
        let structural = structure::check(&self.schema, &object);
        let is_sound = structural.is_empty();
        problems.extend(structural);

        let rules = self
            .validator
            .validate_compiled(&self.compiled, &object, old);
        for error in rules.err().into_iter().flatten() {
            // A rule that fails to evaluate because its object has not even the
            // right shape adds nothing to what was said of the shape.
            if error.kind == ErrorKind::ValidationFailure || is_sound {
                problems.push(Problem {
                    path: error.field_path,
                    message: error.message,
                });
            }
        }
        if problems.is_empty() {
            Ok(object)
        } else {
            Err(problems)
        }
    }
}
