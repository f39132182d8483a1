//! The pages of the passkey grant: where a passkey is shown, once, and where it
//! is typed.

use std::time::Duration;

use askama::Template;

use super::{
    application::Application, destination::Destination, form::Form, link::Link, scope::Scope,
    shown, style, words,
};
use crate::clock::UnixSeconds;

/// Asks for a passkey: the authorization page of the logbook surface. Who types
/// one is not signed in here; the passkey says who they are.
///
/// The form posts `passkey` as it was typed, perhaps with spaces around it or in
/// small letters, and `decision` (`allow`, or `deny` with no
/// passkey).
#[derive(Debug, Template)]
#[template(path = "passkey_entry.html")]
pub struct PasskeyEntry<'a> {
    /// The operator's name.
    pub brand: &'a str,
    /// Who asks.
    pub application: Application<'a>,
    /// What it gets, all of it: nothing is chosen here.
    pub scopes: &'a [Scope<'a>],
    /// Takes the passkey.
    pub form: Form<'a>,
    /// Where people make passkeys.
    pub account: Option<&'a Link>,
    /// Where the browser goes next.
    pub destination: &'a Destination,
    /// What went wrong before.
    pub problem: Option<Problem>,
}

/// Why a passkey was not taken. One answer for wrong, old and used ones: nobody
/// learns which exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is wrong, too old, or used.
    Refused,
    /// Too many wrong ones.
    Throttled {
        /// Until the next one counts.
        wait: Duration,
    },
}

impl PasskeyEntry<'_> {
    fn is_wrong(&self) -> bool {
        self.problem == Some(Problem::Refused)
    }
}

impl Problem {
    fn text(&self) -> String {
        match self {
            Self::Refused => {
                "This passkey is wrong, too old, or already used. Check it, or make a new one."
                    .into()
            }
            Self::Throttled { wait } => {
                format!(
                    "Too many wrong passkeys. Wait {}, then try again.",
                    words::span(*wait)
                )
            }
        }
    }

    fn field(&self) -> Option<&'static str> {
        (*self == Self::Refused).then_some("passkey")
    }
}

/// Shows a passkey that was just made, and never again.
#[derive(Template)]
#[template(path = "passkey_fresh.html")]
pub struct PasskeyFresh<'a> {
    /// The operator's name.
    pub brand: &'a str,
    /// The passkey. It is a secret, so this view has no `Debug`.
    pub passkey: &'a str,
    /// How long it works from now.
    pub lifetime: Duration,
    /// Until when it works.
    pub expires: UnixSeconds,
    /// Back to the account.
    pub account: &'a Link,
}

impl PasskeyFresh<'_> {
    fn lifetime_in_words(&self) -> String {
        words::span(self.lifetime)
    }

    fn expires_in_words(&self) -> String {
        words::minute(self.expires)
    }

    fn expires_for_machines(&self) -> String {
        words::machine(self.expires)
    }
}
