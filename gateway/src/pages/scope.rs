//! A scope that a page asks about.

/// A scope of the catalogue, as one choice of a form: a ticked box `scope`
/// whose value is the scope's name.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The scope token (RFC 6749 section 3.3).
    pub name: &'a str,
    /// What it permits, in words; from the catalogue.
    pub title: &'a str,
    /// Marked "Sensitive".
    pub sensitive: bool,
    /// Marked "Can delete data".
    pub destructive: bool,
    /// This person has allowed it to this application before.
    pub granted: bool,
}
