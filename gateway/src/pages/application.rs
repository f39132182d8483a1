//! A partner's application, as people see it.

use super::link::Link;

/// What an application says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Application<'a> {
    /// `displayName` of its resource.
    pub name: &'a str,
    /// What it does, in a sentence.
    pub description: Option<&'a str>,
    /// Its home page.
    pub homepage: Option<&'a Link>,
    /// Its logo; the page's policy must allow the logo's [`Link::source`].
    /// Without one, the first letter of the name stands in.
    pub logo: Option<&'a Link>,
}

impl Application<'_> {
    pub(super) fn monogram(&self) -> String {
        monogram(self.name)
    }
}

/// The first letter or digit of a name.
pub(super) fn monogram(name: &str) -> String {
    let first = name.chars().find(|c| c.is_alphanumeric());
    first.map_or_else(|| "•".to_owned(), |c| c.to_uppercase().collect())
}
