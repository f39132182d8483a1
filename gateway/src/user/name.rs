//! What users are called. Names are compared without regard to case; look-alikes
//! cannot be made, since nothing but ASCII is taken.

use std::fmt;

/// The longest plain name.
const MAX_PLAIN: usize = 64;
/// The longest address (RFC 5321 section 4.5.3.1.3, without brackets).
pub const MAX_EMAIL: usize = 254;

/// A user name: 1 to 64 of `A-Z a-z 0-9 . _ -`, or an e-mail address. It is
/// shown as it was written and compared in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    written: String,
    folded: String,
}

/// A text that cannot be a user name. It does not repeat the text, which may
/// have been a password in the wrong field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a user name: expected 1 to {MAX_PLAIN} characters of `A-Z a-z 0-9 . _ -`, or an e-mail address in ASCII"
)]
pub struct NameError;

impl Username {
    /// The name that this text is.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let plain = text.len() <= MAX_PLAIN && !text.is_empty() && text.bytes().all(is_plain);
        if !plain && !is_ascii_email(text) {
            return Err(NameError);
        }
        Ok(Self {
            written: text.to_owned(),
            folded: text.to_ascii_lowercase(),
        })
    }

    /// As it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// As it is compared.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// An address as people have them: an atom, an at sign, a domain.
fn is_ascii_email(text: &str) -> bool {
    let atom = |byte: u8| is_plain(byte) || b"!#$%&'*+/=?^`{|}~".contains(&byte);
    text.len() <= MAX_EMAIL
        && text.split_once('@').is_some_and(|(local, domain)| {
            (1..=64).contains(&local.len())
                && local.bytes().all(atom)
                && domain.split('.').all(|label| {
                    (1..=63).contains(&label.len())
                        && label
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                })
        })
}

/// Whether this can be somebody's address: one that is written to, so any
/// script will do.
pub(super) fn is_email(text: &str) -> bool {
    let quiet = |part: &str| {
        !part.is_empty()
            && !part
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || c == '@')
    };
    text.len() <= MAX_EMAIL
        && text
            .rsplit_once('@')
            .is_some_and(|(local, domain)| quiet(local) && quiet(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_and_addresses_are_taken_and_folded() {
        for text in [
            "a",
            "Anna",
            "anna.k_2-x",
            "Anna@Example.org",
            "a+b@x.example",
        ] {
            let name = Username::parse(text).unwrap();
            assert_eq!(name.written(), text);
            assert_eq!(name.folded(), text.to_ascii_lowercase());
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = "a".repeat(65);
        let long_address = format!("a@{}", "b.".repeat(127) + "c");
        for text in [
            "",
            " ",
            "a b",
            "anna ",
            "аnna",
            "ﬁ",
            "Å",
            "a\0",
            "a\n",
            "a/b",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a@b..c",
            "a@b c",
            "<a@b.c>",
            "\u{202e}anna",
            &long,
            &long_address,
        ] {
            assert_eq!(Username::parse(text), Err(NameError), "{text:?}");
        }
    }

    #[test]
    fn an_address_to_write_to_may_be_in_any_script() {
        assert!(is_email("änna@exämple.org"));
        for text in ["", "anna", "@b", "a@", "a@b@c", "a b@c", "a@b\n"] {
            assert!(!is_email(text), "{text:?}");
        }
    }
}
