//! The consent page: may this application act for this person?

use askama::Template;

use super::{
    application::Application, destination::Destination, form::Form, scope::Scope, shown, style,
};

/// Asks whether an application may have these scopes.
///
/// The form posts `decision` (`allow` or `deny`) and one `scope` for each box
/// that is still ticked. Deny stands
/// first: it is what the Enter key does.
#[derive(Debug, Template)]
#[template(path = "consent.html")]
pub struct Consent<'a> {
    /// The operator's name.
    pub brand: &'a str,
    /// Who asks.
    pub application: Application<'a>,
    /// The name of who is signed in.
    pub user: &'a str,
    /// Signs out, for who is somebody else; its hidden fields lead back here.
    pub sign_out: Form<'a>,
    /// Takes the decision.
    pub form: Form<'a>,
    /// What it asks for.
    pub scopes: &'a [Scope<'a>],
    /// Where the browser goes next.
    pub destination: &'a Destination,
    /// What went wrong before.
    pub problem: Option<Problem>,
}

/// Why a decision could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// "Allow", and no box was ticked.
    NothingTicked,
}

impl Problem {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NothingTicked => {
                "Nothing is ticked. Tick what you want to allow, or choose Deny."
            }
        }
    }
}
