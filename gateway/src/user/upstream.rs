//! Sign-in at an upstream provider by OpenID Connect: there and back.

pub mod provider;
