//! What every form of a page carries.

/// A form's target and its hidden fields. All forms are posted.
#[derive(Clone, Copy, Debug)]
pub struct Form<'a> {
    /// The path that takes it.
    pub action: &'a str,
    /// The value of the field `csrf`, bound to the session.
    pub csrf: &'a str,
    /// Further hidden fields: name and value.
    pub hidden: &'a [(&'a str, &'a str)],
}
