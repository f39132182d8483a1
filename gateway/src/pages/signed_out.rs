//! What stands at the end of a session.

use askama::Template;

use super::{link::Link, shown, style};

/// Says that the session is over.
#[derive(Debug, Template)]
#[template(path = "signed_out.html")]
pub struct SignedOut<'a> {
    /// The operator's name.
    pub brand: &'a str,
    /// Signs in again.
    pub sign_in: Option<&'a Link>,
}
