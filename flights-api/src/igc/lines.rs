//! Bytes into numbered lines, and a line into text.

/// Each line that holds something, with its number counted from 1.
///
/// Lines end in LF, CRLF, or (where the file has no LF at all) CR. White space,
/// NUL and the XON/XOFF that serial downloads leave behind are cut off both ends.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let end = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
    bytes
        .split(move |byte| *byte == end)
        .map(trim)
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| (index + 1, line))
}

fn trim(mut line: &[u8]) -> &[u8] {
    let is_noise = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x11 | 0x13);
    while let [first, rest @ ..] = line
        && is_noise(first)
    {
        line = rest;
    }
    while let [rest @ .., last] = line
        && is_noise(last)
    {
        line = rest;
    }
    line
}

/// A line as text: UTF-8 where it is UTF-8, else Latin-1, which is what recorders
/// wrote before. Cut after `MAX_TEXT` bytes: no header value is longer, and what
/// is quoted in an answer should not be.
pub(super) fn text(line: &[u8]) -> String {
    const MAX_TEXT: usize = 512;
    let line = &line[..line.len().min(MAX_TEXT)];
    match std::str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        Err(error) if error.error_len().is_none() && line.len() == MAX_TEXT => {
            // The cut went through a character: what stands before it is UTF-8.
            String::from_utf8_lossy(&line[..error.valid_up_to()]).into_owned()
        }
        Err(_) => line.iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(bytes: &[u8]) -> Vec<(usize, String)> {
        lines(bytes).map(|(n, line)| (n, text(line))).collect()
    }

    #[test]
    fn every_line_ending_gives_the_same_lines() {
        let expected = vec![(1, "A".to_owned()), (3, "B".to_owned())];
        assert_eq!(numbered(b"A\n\nB\n"), expected);
        assert_eq!(numbered(b"A\r\n\r\nB"), expected);
        assert_eq!(numbered(b"A\r\rB\r"), expected);
        assert_eq!(numbered(b"\xEF\xBB\xBF \x11A\n\0\n B\x13\n"), expected);
    }

    #[test]
    fn names_survive_in_utf8_and_in_latin1() {
        assert_eq!(text("Jörg".as_bytes()), "Jörg");
        assert_eq!(text(b"J\xF6rg"), "Jörg");
        assert_eq!(text("ö".repeat(400).as_bytes()), "ö".repeat(256));
        assert_eq!(
            text(format!("x{}", "ö".repeat(400)).as_bytes()),
            format!("x{}", "ö".repeat(255))
        );
    }
}
