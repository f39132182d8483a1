//! A page that says what happened and what to do: an unknown application, a
//! redirection URI that does not fit, a form that is too old.

use askama::Template;

use super::{link::Link, shown, style};

/// Says what happened, to a person who cannot go on from here.
#[derive(Debug, Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    /// The operator's name.
    pub brand: &'a str,
    /// What happened, in a few words.
    pub heading: &'a str,
    /// What happened and what to do, in a sentence or two. Not the place for
    /// anything that came with the request.
    pub text: &'a str,
    /// For whoever is asked for help.
    pub request_id: Option<&'a str>,
    /// A way back: the name of the place, and the place.
    pub back: Option<(&'a str, &'a Link)>,
}
