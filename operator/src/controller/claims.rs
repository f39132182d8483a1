//! Which resource a gateway knows under which identifier. Nobody gets the one of
//! another, whatever the Secret says that they bring.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The identifiers that are taken, by the namespace of the gateway. Each is held
/// by the config Secret that states it, by name.
#[derive(Default)]
pub(super) struct Claims(Mutex<HashMap<String, Taken>>);

type Taken = HashMap<Box<str>, Holder>;

struct Holder {
    config: Box<str>,
    /// Whether the config Secret was seen: if not, it is just being written.
    is_seen: bool,
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an identifier for a config Secret; false: it is another's.
    pub(super) fn claim(&self, namespace: &str, id: &str, config: &str) -> bool {
        let mut claims = self.lock();
        let taken = claims.entry(namespace.into()).or_default();
        let holder = taken.entry(id.into()).or_insert_with(|| Holder {
            config: config.into(),
            is_seen: false,
        });
        *holder.config == *config
    }

    /// A config Secret was seen that states an identifier.
    pub(super) fn see(&self, namespace: &str, id: &str, config: &str) {
        let mut claims = self.lock();
        let taken = claims.entry(namespace.into()).or_default();
        let holder = taken.entry(id.into()).or_insert_with(|| Holder {
            config: config.into(),
            is_seen: true,
        });
        holder.is_seen |= *holder.config == *config;
    }

    /// A config Secret is gone.
    pub(super) fn release(&self, namespace: &str, config: &str) {
        if let Some(taken) = self.lock().get_mut(namespace) {
            taken.retain(|_, holder| *holder.config != *config);
        }
    }

    /// These config Secrets are all that there are in a namespace.
    pub(super) fn retain(&self, namespace: &str, there: &HashSet<String>) {
        if let Some(taken) = self.lock().get_mut(namespace) {
            taken.retain(|_, holder| !holder.is_seen || there.contains(&*holder.config));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_first_keeps_an_identifier_until_it_is_gone() {
        let claims = Claims::default();
        assert!(claims.claim("gateways", "acme", "a"));
        assert!(claims.claim("gateways", "acme", "a"));
        assert!(!claims.claim("gateways", "acme", "b"));
        assert!(claims.claim("others", "acme", "b"), "another gateway");
        claims.release("gateways", "a");
        assert!(claims.claim("gateways", "acme", "b"));
    }

    #[test]
    fn a_list_frees_what_is_gone_and_not_what_is_being_written() {
        let claims = Claims::default();
        claims.see("gateways", "old", "a");
        assert!(claims.claim("gateways", "new", "b"));
        claims.retain("gateways", &HashSet::new());
        assert!(claims.claim("gateways", "old", "c"));
        assert!(!claims.claim("gateways", "new", "c"));
    }
}
