//! Values, as a POSIX shell and as curl's configuration read them.

use zeroize::Zeroizing;

/// One word for a shell, whatever is in it.
pub(super) fn quote(value: &str) -> Zeroizing<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    if !value.is_empty() && value.bytes().all(is_plain) {
        return Zeroizing::new(value.to_owned());
    }
    let mut text = Zeroizing::new(String::with_capacity(value.len() * 4 + 2));
    text.push('\'');
    for letter in value.chars() {
        match letter {
            '\'' => text.push_str(r"'\''"),
            other => text.push(other),
        }
    }
    text.push('\'');
    text
}

/// A quoted parameter of a curl configuration: it stays on its line.
pub(super) fn curl_quote(value: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(value.len() * 2 + 2));
    text.push('"');
    for letter in value.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

/// A half of what stands in HTTP Basic for a client (RFC 6749 section 2.3.1).
pub(super) fn form_encode(value: &str) -> Zeroizing<String> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = Zeroizing::new(String::with_capacity(value.len() * 3));
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_is_one_word_all_the_same() {
        assert_eq!(*quote("fg_secret_a.b"), "fg_secret_a.b".to_owned());
        assert_eq!(*quote(""), "''".to_owned());
        assert_eq!(*quote("it's $(odd)"), r"'it'\''s $(odd)'".to_owned());
        assert_eq!(*quote("~"), "'~'".to_owned());
        assert_eq!(*curl_quote("a\"b\\c\nd"), r#""a\"b\\c\nd""#.to_owned());
        assert_eq!(*form_encode("a:b c+é"), "a%3Ab%20c%2B%C3%A9".to_owned());
    }
}
