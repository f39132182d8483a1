//! A value that must not be seen: no `Debug` or `Display` of its content, and
//! zeroised when dropped.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// A secret value. It is read through [`Secret::expose`] alone, so that every
/// place that looks at a secret can be found by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the value into custody.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself. Whoever calls this keeps it out of logs and errors.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Serialises a [`Secret<String>`] in clear: for the one document that must
/// carry it (`#[serde(with = "secret::in_clear")]`).
pub mod in_clear {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Secret;

    /// Writes the value itself.
    pub fn serialize<S: Serializer>(
        secret: &Secret<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    /// Reads the value.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Secret<String>, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_value() {
        assert_eq!(
            format!("{:?}", Secret::new("whsec_top".to_owned())),
            "Secret(…)"
        );
    }
}
