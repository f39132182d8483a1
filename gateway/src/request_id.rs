//! Names one request, in the answer, towards the upstream and in the log.

use std::cell::Cell;

use http::{HeaderName, HeaderValue};

use crate::clock::{NoRandomness, Rng};

/// The header that carries it, to both sides.
pub static HEADER: HeaderName = HeaderName::from_static("x-request-id");

const HEX: &[u8; 16] = b"0123456789abcdef";

/// 32 hexadecimal digits: the half that names a thread of this process, and
/// the thread's count of requests, scrambled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 32]);

/// Makes request ids: unique, not secret, and without a system call each.
#[derive(Debug)]
pub struct RequestIds {
    thread: u64,
    key: u64,
    next: Cell<u64>,
}

impl RequestIds {
    /// A source of its own for one thread.
    pub fn new(rng: &dyn Rng) -> Result<Self, NoRandomness> {
        let (mut thread, mut key) = ([0; 8], [0; 8]);
        rng.fill(&mut thread)?;
        rng.fill(&mut key)?;
        Ok(Self {
            thread: u64::from_ne_bytes(thread),
            key: u64::from_ne_bytes(key),
            next: Cell::new(0),
        })
    }

    /// The next id.
    pub fn next(&self) -> RequestId {
        let count = self.next.get();
        self.next.set(count.wrapping_add(1));
        let mut text = [0; 32];
        write_hex(self.thread, &mut text[..16]);
        write_hex(mix(count ^ self.key), &mut text[16..]);
        RequestId(text)
    }
}

impl RequestId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Its text as a header value.
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

/// A bijection on 64 bits (the finaliser of SplitMix64): distinct counts give
/// distinct ids, and neighbours look unlike each other.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn write_hex(value: u64, text: &mut [u8]) {
    for (i, slot) in text.iter_mut().enumerate() {
        *slot = HEX[(value >> (60 - 4 * i) & 15) as usize];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::clock::System;

    #[test]
    fn no_two_ids_are_alike() {
        let (a, b) = (
            RequestIds::new(&System).unwrap(),
            RequestIds::new(&System).unwrap(),
        );
        let ids: HashSet<_> = (0..1_000)
            .flat_map(|_| [a.next().as_str().to_owned(), b.next().as_str().to_owned()])
            .collect();
        assert_eq!(ids.len(), 2_000);
    }
}
