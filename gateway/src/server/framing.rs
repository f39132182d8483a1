//! Notices a request that states its length in two ways.
//!
//! hyper takes `Transfer-Encoding` alone when `Content-Length` comes with it,
//! and drops the latter before anyone sees it (RFC 9112 section 6.1 permits
//! that). We refuse such a request instead: whoever sends one is broken or
//! means harm. The bytes of each request head are therefore kept until the head
//! was parsed, and looked at again for the few requests that are chunked.

/// The bytes of the request head that is arriving.
#[derive(Debug)]
pub struct HeadTap {
    bytes: Vec<u8>,
    limit: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// What arrives belongs to a head.
    Head,
    /// A head was parsed; what arrives is its body.
    Body,
    /// HTTP/2, which has one framing only.
    Off,
}

/// What a look at the head of a chunked request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One length, or none.
    Single,
    /// `Content-Length` beside `Transfer-Encoding`.
    Double,
    /// The head did not arrive by itself (pipelined behind another request),
    /// so that it cannot be said.
    Unknown,
}

impl HeadTap {
    /// A tap for HTTP/1 heads of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            state: State::Head,
        }
    }

    /// Nothing is kept from here on.
    pub fn turn_off(&mut self) {
        self.state = State::Off;
        self.bytes = Vec::new();
    }

    /// Bytes have arrived.
    pub fn read(&mut self, bytes: &[u8]) {
        if self.state == State::Head {
            let room = self.limit.saturating_sub(self.bytes.len());
            self.bytes
                .extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// The answer was handed over: what arrives next is a head again.
    pub fn answered(&mut self) {
        if self.state == State::Body {
            self.state = State::Head;
            self.bytes.clear();
        }
    }

    /// A head was parsed.
    pub fn parsed(&mut self) {
        if self.state == State::Head {
            self.state = State::Body;
        }
    }

    /// How the chunked request whose head was just parsed states its length.
    pub fn framing(&self) -> Framing {
        let Some(end) = find(&self.bytes, b"\r\n\r\n").or_else(|| find(&self.bytes, b"\n\n"))
        else {
            return Framing::Unknown;
        };
        let head = &self.bytes[..end];
        let has = |name: &[u8]| {
            head.split(|byte| *byte == b'\n').any(|line| {
                line.get(..name.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(name))
            })
        };
        match (has(b"transfer-encoding:"), has(b"content-length:")) {
            (true, false) => Framing::Single,
            (true, true) => Framing::Double,
            // Chunked, and yet the head does not say so: another head's bytes.
            (false, _) => Framing::Unknown,
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(bytes: &str) -> Framing {
        let mut tap = HeadTap::new(1 << 14);
        tap.read(bytes.as_bytes());
        tap.parsed();
        tap.framing()
    }

    #[test]
    fn two_lengths_are_noticed_in_either_order() {
        for head in [
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n",
            "POST / HTTP/1.1\nTRANSFER-ENCODING: chunked\nContent-length:3\n\n0\n\n",
        ] {
            assert_eq!(framing(head), Framing::Double, "{head}");
        }
    }

    #[test]
    fn a_body_may_speak_of_lengths() {
        let request =
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\nContent-Length: 3\r\n\r\n";
        assert_eq!(framing(request), Framing::Single);
    }

    #[test]
    fn a_pipelined_chunked_request_is_unknown() {
        let mut tap = HeadTap::new(1 << 14);
        tap.read(b"GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n");
        tap.parsed();
        assert_eq!(tap.framing(), Framing::Unknown);
        tap.answered();
        assert_eq!(tap.framing(), Framing::Unknown);
    }
}
