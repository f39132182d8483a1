//! Tells every data-plane thread which tokens and grants died, before the one
//! who asked for it hears that they did.
//!
//! A thread looks at one number per request. When that number has moved, it
//! reads the news and forgets the tokens in it. Whoever revokes publishes after
//! the store has it on disk and before answering, so that a request which is
//! sent after the answer never passes on the dead token.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::store::{GrantId, TokenHash};

/// News that are kept; a thread that missed more forgets everything.
const KEPT: usize = 4_096;

/// What died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dead {
    /// One token.
    Token(TokenHash),
    /// All tokens of a grant.
    Grant(GrantId),
}

/// The news of the dead.
#[derive(Debug, Default)]
pub struct Revocations {
    published: AtomicU64,
    recent: Mutex<VecDeque<Dead>>,
}

/// What a reader missed.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// These died.
    Dead(Vec<Dead>),
    /// More died than are still known by name.
    TooMany,
}

impl Revocations {
    /// How many were published so far.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Announces a death.
    pub fn publish(&self, dead: Dead) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back(dead);
        if recent.len() > KEPT {
            recent.pop_front();
        }
        self.published.fetch_add(1, Ordering::Release);
    }

    /// What was published after the first `seen`, and the new count.
    pub fn since(&self, seen: u64) -> (News, u64) {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let published = self.published();
        let missed = usize::try_from(published - seen).unwrap_or(usize::MAX);
        match recent.len().checked_sub(missed) {
            Some(start) => (
                News::Dead(recent.range(start..).copied().collect()),
                published,
            ),
            None => (News::TooMany, published),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(byte: u8) -> Dead {
        Dead::Token(TokenHash([byte; 32]))
    }

    #[test]
    fn a_reader_gets_what_it_missed_and_nothing_twice() {
        let revocations = Revocations::default();
        revocations.publish(token(1));
        revocations.publish(token(2));
        let (news, seen) = revocations.since(0);
        assert_eq!(news, News::Dead(vec![token(1), token(2)]));
        revocations.publish(token(3));
        assert_eq!(revocations.since(seen), (News::Dead(vec![token(3)]), 3));
    }

    #[test]
    fn a_reader_that_missed_too_many_is_told_so() {
        let revocations = Revocations::default();
        for _ in 0..=KEPT {
            revocations.publish(token(0));
        }
        assert_eq!(revocations.since(0).0, News::TooMany);
        assert!(matches!(revocations.since(1).0, News::Dead(dead) if dead.len() == KEPT));
    }
}
