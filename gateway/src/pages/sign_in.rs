//! The sign-in page.

use std::time::Duration;

use askama::Template;

use super::{form::Form, link::Link, shown, style, words};

/// Asks for a user name and a password, or sends to a provider.
///
/// The local form posts `username` and `password`; the other one `provider`,
/// with the name of the button that was pressed. Both carry where to go on to as
/// a hidden field `continue`, which whoever takes them must check: it comes from
/// a browser.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignIn<'a> {
    /// The operator's name.
    pub brand: &'a str,
    /// The application that waits behind this page.
    pub application: Option<&'a str>,
    /// Whether people can have accounts at this gateway itself.
    pub local: bool,
    /// Takes user name and password.
    pub form: Form<'a>,
    /// What stands in the field already, such as `login_hint`.
    pub username: &'a str,
    /// Takes the choice of a provider.
    pub provider_form: Form<'a>,
    /// Where people can have accounts elsewhere.
    pub providers: &'a [Provider<'a>],
    /// What went wrong before.
    pub problem: Option<Problem>,
    /// A way back for those who do not want to sign in: title and target.
    pub back: Option<(&'a str, &'a Link)>,
}

/// An upstream OpenID provider.
#[derive(Clone, Copy, Debug)]
pub struct Provider<'a> {
    /// Its name in the configuration.
    pub name: &'a str,
    /// Its name for people.
    pub title: &'a str,
}

/// Why a sign-in did not work. It never says whether an account exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// User name or password are wrong, or there is no such account.
    Refused,
    /// Too many attempts.
    Throttled {
        /// Until the next one counts.
        wait: Duration,
    },
    /// The provider refused, or did not answer.
    Provider,
    /// The form is too old, or its `csrf` does not fit.
    Expired,
}

impl SignIn<'_> {
    fn is_refused(&self) -> bool {
        self.problem == Some(Problem::Refused)
    }
}

impl Problem {
    fn text(&self) -> String {
        match self {
            Self::Refused => {
                "This user name and password do not match. Check both and try again.".into()
            }
            Self::Throttled { wait } => {
                format!(
                    "Too many attempts. Wait {}, then try again.",
                    words::span(*wait)
                )
            }
            Self::Provider => {
                "Signing in there did not work. Try again, or choose another way.".into()
            }
            Self::Expired => "This page was open for too long. Sign in again.".into(),
        }
    }

    fn field(&self) -> Option<&'static str> {
        (*self == Self::Refused).then_some("username")
    }
}
