//! Who asks: the identity that the gateway puts before every request.
//!
//! The gateway authenticates partner and pilot, and tells this API with a JWT in
//! the header [`HEADER`], signed with Ed25519 (RFC 8037). [`verify`] checks it
//! against the keys that the gateway publishes ([`jwks`]).
//!
//! The gateway also decides which scope a route needs. This API asks again, by
//! types: every operation of the store demands a [`Permit`], and only
//! [`Caller::permit`] makes one, so a handler that forgot to ask does not compile:
//!
//! ```compile_fail,E0061
//! # use flights_api::{flight::FlightId, store::Store};
//! async fn forgot(store: Store, id: FlightId) {
//!     store.flight(id).await.unwrap();
//! }
//! ```
//!
//! nor one that asked for less than it does:
//!
//! ```compile_fail,E0308
//! # use flights_api::{flight::FlightId, identity::{Permit, Read}, store::Store};
//! async fn reads(permit: Permit<Read>, store: Store, id: FlightId) {
//!     store.remove(&permit, id).await.unwrap();
//! }
//! ```
//!
//! nor one that gives itself what it was not given:
//!
//! ```compile_fail,E0451
//! # use flights_api::identity::{Permit, Read, Subject};
//! fn forges(subject: Subject) -> Permit<Read> {
//!     Permit { subject, scope: std::marker::PhantomData }
//! }
//! ```

pub mod jwks;
pub mod verify;

use std::marker::PhantomData;

/// The header with the identity of the caller.
pub const HEADER: &str = "flightgate-identity";

/// Whom flights belong to: the `sub` of the identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject(String);

impl Subject {
    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A verified identity. Only [`verify::Verifier`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    subject: Subject,
    client_id: String,
    grant: String,
    scopes: Vec<String>,
}

impl Caller {
    /// The application through which the subject acts.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The grant under which it acts, for logs.
    pub fn grant(&self) -> &str {
        &self.grant
    }

    /// The permission `S`, if the identity has its scope.
    ///
    /// # Errors
    /// [`MissingScope`] if it has not.
    pub fn permit<S: Scope>(&self) -> Result<Permit<S>, MissingScope> {
        if self.scopes.iter().any(|scope| scope == S::NAME) {
            Ok(Permit {
                subject: self.subject.clone(),
                scope: PhantomData,
            })
        } else {
            Err(MissingScope(S::NAME))
        }
    }
}

/// The scope that an identity lacks.
#[derive(Debug, thiserror::Error)]
#[error("expected an identity with the scope `{0}`")]
pub struct MissingScope(pub &'static str);

/// What a permission allows.
pub trait Scope: Send + Sync + 'static {
    /// The scope in the `scope` claim.
    const NAME: &'static str;
}

/// To read one's flights.
#[derive(Clone, Copy, Debug)]
pub struct Read;
/// To upload flights.
#[derive(Clone, Copy, Debug)]
pub struct Write;
/// To delete flights.
#[derive(Clone, Copy, Debug)]
pub struct Delete;

impl Scope for Read {
    const NAME: &'static str = "flights:read";
}
impl Scope for Write {
    const NAME: &'static str = "flights:write";
}
impl Scope for Delete {
    const NAME: &'static str = "flights:delete";
}

/// The proof that a subject may do `S` with its own flights.
#[derive(Clone, Debug)]
pub struct Permit<S: Scope> {
    subject: Subject,
    scope: PhantomData<S>,
}

impl<S: Scope> Permit<S> {
    /// Whose flights the permission is about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }
}
