//! The pages of the device grant (RFC 8628): a person types the code that a
//! device shows, compares it, decides, and goes back to the device.

use std::time::Duration;

use askama::Template;

use super::{application::Application, form::Form, scope::Scope, shown, style, words};

/// Asks for the user code (section 3.3).
///
/// The form posts `user_code` as it was typed: in any case, with or without
/// hyphen.
#[derive(Debug, Template)]
#[template(path = "device_entry.html")]
pub struct DeviceEntry<'a> {
    /// The operator's name.
    pub brand: &'a str,
    /// Takes the code.
    pub form: Form<'a>,
    /// What stands in the field already, such as what was typed before.
    pub code: &'a str,
    /// What went wrong before.
    pub problem: Option<Problem>,
}

/// Why a code led nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No device waits with this code: it is mistyped, too old, or used.
    Unknown,
    /// It grew too old while the person decided.
    Expired,
    /// Too many wrong codes (section 5.1).
    Throttled {
        /// Until the next one counts.
        wait: Duration,
    },
}

impl Problem {
    fn text(&self) -> String {
        match self {
            Self::Unknown => {
                "No device waits with this code. Compare it with the device and type it again. If it is the same, \
                 have the device show a new one."
                    .into()
            }
            Self::Expired => "This code is too old by now. Have the device show a new one and type that.".into(),
            Self::Throttled { wait } => {
                format!(
                    "Too many wrong codes. Wait {}, then try again.",
                    words::span(*wait)
                )
            }
        }
    }

    fn field(&self) -> Option<&'static str> {
        let throttled = matches!(self, Self::Throttled { .. });
        (!throttled).then_some("user-code")
    }
}

impl DeviceEntry<'_> {
    fn is_wrong(&self) -> bool {
        self.problem
            .is_some_and(|problem| problem.field().is_some())
    }
}

/// Asks whether the device may have these scopes, and whether it is the one
/// that the person holds: a code may come from a thief (section 5.4).
///
/// The form posts as that of [`super::consent::Consent`].
#[derive(Debug, Template)]
#[template(path = "device_confirm.html")]
pub struct DeviceConfirm<'a> {
    /// The operator's name.
    pub brand: &'a str,
    /// Who asks.
    pub application: Application<'a>,
    /// The user code, as the device shows it.
    pub code: &'a str,
    /// The name of who is signed in.
    pub user: &'a str,
    /// Signs out, for who is somebody else; its hidden fields lead back here.
    pub sign_out: Form<'a>,
    /// Takes the decision.
    pub form: Form<'a>,
    /// What it asks for.
    pub scopes: &'a [Scope<'a>],
    /// What went wrong before.
    pub problem: Option<super::consent::Problem>,
}

/// Sends back to the device.
#[derive(Debug, Template)]
#[template(path = "device_done.html")]
pub struct DeviceDone<'a> {
    /// The operator's name.
    pub brand: &'a str,
    /// Who asked.
    pub application: &'a str,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The device gets its tokens.
    Approved,
    /// The device gets `access_denied`.
    Denied,
}
