//! The account page: what is connected, and who is signed in.

use std::time::Duration;

use askama::Template;

use super::{application::monogram, form::Form, shown, style, words};
use crate::clock::UnixSeconds;

/// Shows a person their connected applications and their account.
#[derive(Debug, Template)]
#[template(path = "account.html")]
pub struct Account<'a> {
    /// The operator's name.
    pub brand: &'a str,
    /// The name of who is signed in.
    pub user: &'a str,
    /// What has just been done.
    pub notice: Option<Notice<'a>>,
    /// The applications that have a grant of this person.
    pub connections: &'a [Connection<'a>],
    /// Makes a passkey; none where no application uses them.
    pub make_passkey: Option<Form<'a>>,
    /// Changes the password; none for accounts of a provider.
    ///
    /// The form posts `current_password`, `new_password` and `repeated_password`.
    pub change_password: Option<Form<'a>>,
    /// The fewest characters of a new password.
    pub password_min: usize,
    /// Why the password was not changed.
    pub problem: Option<Problem>,
    /// Ends this session.
    pub sign_out: Form<'a>,
    /// Ends all sessions of this person.
    pub sign_out_everywhere: Form<'a>,
}

/// A grant to an application.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The application's name.
    pub name: &'a str,
    /// Since when.
    pub since: UnixSeconds,
    /// When a token of it was last used, where that is known.
    pub last_used: Option<UnixSeconds>,
    /// The titles of its scopes.
    pub scopes: &'a [&'a str],
    /// Disconnects it; a hidden field names the grant.
    pub disconnect: Form<'a>,
}

impl Connection<'_> {
    fn monogram(&self) -> String {
        monogram(self.name)
    }

    fn since_in_words(&self) -> String {
        words::day(self.since)
    }

    fn since_for_machines(&self) -> String {
        words::machine(self.since)
    }

    /// For machines and in words.
    fn last_used_times(&self) -> Option<(String, String)> {
        let at = self.last_used?;
        Some((words::machine(at), words::day(at)))
    }
}

/// What has just been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// This application can do nothing any more.
    Disconnected(&'a str),
    /// The new password counts.
    PasswordChanged,
}

/// Why a password was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The current one is wrong.
    WrongPassword,
    /// The new one is too short.
    TooShort,
    /// The new one is among those that everybody guesses.
    TooCommon,
    /// The new one has more than a kilobyte.
    TooLong,
    /// The new one is the person's own name or address.
    OwnName,
    /// The two new ones differ.
    Different,
    /// Too many wrong ones.
    Throttled {
        /// Until the next one counts.
        wait: Duration,
    },
}

impl Account<'_> {
    fn is_flawed(&self, field: &str) -> bool {
        self.flaw().is_some_and(|(_, flawed)| flawed == Some(field))
    }

    /// What is wrong, and in which field.
    fn flaw(&self) -> Option<(String, Option<&'static str>)> {
        let (text, field) = match self.problem? {
            Problem::Throttled { wait } => {
                let wait = words::span(wait);
                return Some((
                    format!("Too many wrong passwords. Wait {wait}, then try again."),
                    None,
                ));
            }
            Problem::WrongPassword => ("The current password is wrong.", "current-password"),
            Problem::TooShort => ("The new password is too short.", "new-password"),
            Problem::TooLong => ("The new password is too long.", "new-password"),
            Problem::TooCommon => (
                "The new password is one of the first that people guess. Choose another one.",
                "new-password",
            ),
            Problem::OwnName => (
                "The new password is your own name or address. Choose another one.",
                "new-password",
            ),
            Problem::Different => (
                "The two new passwords are not the same.",
                "repeated-password",
            ),
        };
        Some((text.into(), Some(field)))
    }
}
