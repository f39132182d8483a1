//! As much of an HTTP/1.1 response as a load generator must understand.

use std::io;

/// One response, read piece by piece.
#[derive(Default)]
pub struct Response {
    bytes: Vec<u8>,
    /// Status, and how long head and body are together.
    head: Option<(u16, usize, usize)>,
}

impl Response {
    /// Takes the next bytes; the status, once the response is complete.
    ///
    /// # Errors
    /// When the head is not HTTP/1.1 with a `Content-Length`, or when there is
    /// more than the one response that was asked for.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<Option<u16>> {
        self.bytes.extend_from_slice(bytes);
        if self.head.is_none() {
            let Some(end) = self
                .bytes
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            else {
                return Ok(None);
            };
            let head = &self.bytes[..end + 2];
            let length = content_length(head).ok_or_else(|| invalid("no Content-Length"))?;
            let status = status(head).ok_or_else(|| invalid("no status"))?;
            self.head = Some((status, end + 4, end + 4 + length));
        }
        match self.head {
            Some((status, _, total)) if self.bytes.len() == total => Ok(Some(status)),
            Some((_, _, total)) if self.bytes.len() > total => {
                Err(invalid("bytes after the response"))
            }
            _ => Ok(None),
        }
    }

    /// The body, once the response is complete.
    pub fn body(&self) -> &[u8] {
        self.head.map_or(&[], |(_, start, _)| &self.bytes[start..])
    }

    /// Whether the head has a header of this name, once the response is complete.
    pub fn has(&self, name: &str) -> bool {
        self.head
            .is_some_and(|(_, start, _)| header(&self.bytes[..start], name.as_bytes()).is_some())
    }

    /// Makes room for the next response.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.head = None;
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn content_length(head: &[u8]) -> Option<usize> {
    header(head, b"content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
}

/// The value of a header in a head whose every line ends in CRLF.
pub fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let (key, value) = line.split_at_checked(name.len())?;
        if !key.eq_ignore_ascii_case(name) {
            return None;
        }
        Some(value.strip_prefix(b":")?.trim_ascii())
    })
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_complete_when_its_content_length_is_there() {
        let mut response = Response::default();
        assert_eq!(
            response
                .push(b"HTTP/1.1 200 OK\r\nconTENT-length: 3\r\n")
                .unwrap(),
            None
        );
        assert_eq!(response.push(b"\r\nab").unwrap(), None);
        assert_eq!(response.push(b"c").unwrap(), Some(200));
        assert_eq!(response.body(), b"abc");
        assert!(response.has("Content-Length") && !response.has("RateLimit"));
        response.clear();
        assert_eq!(
            response
                .push(b"HTTP/1.1 401 No\r\nContent-Length:0\r\n\r\n")
                .unwrap(),
            Some(401)
        );
    }

    #[test]
    fn what_cannot_be_counted_is_an_error() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            b"nonsense\r\nContent-Length: 1\r\n\r\na",
        ] {
            assert!(Response::default().push(bytes).is_err());
        }
    }
}
