//! Slows down guessing, in bounded memory.
//!
//! An attempt counts as a failure from its begin until it turns out otherwise,
//! so that a thousand guesses at once are no way around.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::{Clock, UnixSeconds},
    mint::Pepper,
};

/// What is being guessed, and by whose count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Passwords of one account, by its name.
    Account,
    /// Passwords, from one address.
    SignIn,
    /// User codes of device authorizations, by session or address.
    UserCode,
    /// Passkeys, from one address.
    Passkey,
    /// Passkeys of one client.
    PasskeyClient,
    /// Sign-ins at a provider that are begun, from one address.
    Visit,
}

/// Whose attempts are counted together.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// One address: an IPv4 one alone, an IPv6 one with its /64.
    Address(IpAddr),
    /// A name, a session, a client.
    Text(&'a str),
}

/// When attempts are refused.
#[derive(Clone, Copy)]
enum Rule {
    /// After `free` failures each further one doubles the wait, from `first`
    /// seconds up to `most`; forgotten `memory` seconds after the last one.
    Growing {
        free: u32,
        first: u64,
        most: u64,
        memory: u64,
    },
    /// So many failures within so many seconds from the first.
    Window { failures: u32, seconds: u64 },
}

impl Purpose {
    const ALL: [Self; 6] = [
        Self::Account,
        Self::SignIn,
        Self::UserCode,
        Self::Passkey,
        Self::PasskeyClient,
        Self::Visit,
    ];

    const fn rule(self) -> Rule {
        match self {
            Self::Account => Rule::Growing {
                free: 5,
                first: 10,
                most: 15 * 60,
                memory: 60 * 60,
            },
            Self::SignIn => Rule::Window {
                failures: 20,
                seconds: 5 * 60,
            },
            Self::UserCode | Self::Passkey => Rule::Window {
                failures: 10,
                seconds: 5 * 60,
            },
            Self::PasskeyClient => Rule::Window {
                failures: 100,
                seconds: 5 * 60,
            },
            Self::Visit => Rule::Window {
                failures: 60,
                seconds: 5 * 60,
            },
        }
    }
}

/// Too many attempts failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts failed: wait {0} s and try again")]
pub struct RetryAfter(
    /// Seconds until the next attempt is looked at; for `Retry-After`.
    pub u64,
);

/// Names of which attempts are remembered, per purpose.
const CAPACITY: usize = 16_384;

/// Counts failed attempts.
pub struct Throttle {
    pepper: Pepper,
    clock: Arc<dyn Clock>,
    tables: [Mutex<Table>; Purpose::ALL.len()],
}

type Key = [u8; 16];

/// What has no room of its own is counted here, together: neither free nor
/// shut.
const OVERFLOW: Key = [0; 16];

struct Table {
    slots: HashMap<Key, Slot>,
    capacity: usize,
    /// Until then nothing can be evicted: do not look again.
    full_until: UnixSeconds,
}

#[derive(Clone, Copy)]
struct Slot {
    failures: u32,
    /// The first failure of the window, or the last one of all.
    at: UnixSeconds,
    refused_until: UnixSeconds,
}

/// An attempt under way. Dropped, it has failed.
#[must_use = "an attempt that is dropped has failed"]
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    keys: Vec<(Purpose, Key)>,
}

impl Throttle {
    /// Remembers nothing yet.
    pub fn new(pepper: Pepper, clock: Arc<dyn Clock>) -> Self {
        Self::with_capacity(pepper, clock, CAPACITY)
    }

    fn with_capacity(pepper: Pepper, clock: Arc<dyn Clock>, capacity: usize) -> Self {
        Self {
            pepper,
            clock,
            tables: Purpose::ALL.map(|_| {
                Mutex::new(Table {
                    slots: HashMap::new(),
                    capacity,
                    full_until: 0,
                })
            }),
        }
    }

    /// Begins an attempt that counts for all of these, or says how long none
    /// is looked at. Refused ones do not count: whoever waits is let in.
    pub fn attempt(&self, who: &[(Purpose, Who<'_>)]) -> Result<Attempt<'_>, RetryAfter> {
        let now = self.clock.now();
        let mut attempt = Attempt {
            throttle: self,
            keys: Vec::with_capacity(who.len()),
        };
        for (purpose, who) in who {
            let key = self.key(*purpose, who);
            if let Err(refused) = self.table(*purpose).count(key, purpose.rule(), now) {
                attempt.withdraw();
                return Err(refused);
            }
            attempt.keys.push((*purpose, key));
        }
        Ok(attempt)
    }

    fn table(&self, purpose: Purpose) -> MutexGuard<'_, Table> {
        // Every purpose has its table; no slot is ever half written.
        self.tables[purpose as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, purpose: Purpose, who: &Who<'_>) -> Key {
        let (kind, bytes): (&[u8], Vec<u8>) = match who {
            Who::Text(text) => (b"text", text.as_bytes().to_vec()),
            Who::Address(address) => match address.to_canonical() {
                IpAddr::V4(v4) => (b"v4", v4.octets().to_vec()),
                IpAddr::V6(v6) => (b"v6", v6.octets()[..8].to_vec()),
            },
        };
        let id = self
            .pepper
            .id("throttle", &[&[purpose as u8], kind, &bytes]);
        let mut key = Key::default();
        key.copy_from_slice(&id[..16]);
        key
    }
}

impl Attempt<'_> {
    /// It was right: an account's failures are forgotten, an address gets back
    /// this one alone.
    pub fn succeeded(mut self) {
        for (purpose, key) in std::mem::take(&mut self.keys) {
            let mut table = self.throttle.table(purpose);
            match purpose.rule() {
                Rule::Growing { .. } => {
                    table.slots.remove(&key);
                }
                Rule::Window { .. } => table.give_back(key),
            }
        }
    }

    /// Nothing was tried after all.
    pub fn withdraw(mut self) {
        for (purpose, key) in std::mem::take(&mut self.keys) {
            self.throttle.table(purpose).give_back(key);
        }
    }
}

impl Rule {
    const fn forgets(self, slot: &Slot) -> UnixSeconds {
        match self {
            Self::Growing { memory, .. } => slot.at + memory,
            Self::Window { seconds, .. } => slot.at + seconds,
        }
    }
}

impl Table {
    fn count(&mut self, key: Key, rule: Rule, now: UnixSeconds) -> Result<(), RetryAfter> {
        let key = if self.slots.contains_key(&key) || self.make_room(rule, now) {
            key
        } else {
            OVERFLOW
        };
        let slot = self.slots.entry(key).or_insert(Slot {
            failures: 0,
            at: now,
            refused_until: 0,
        });
        if rule.forgets(slot) <= now && slot.refused_until <= now {
            slot.failures = 0;
            slot.at = now;
        }
        if slot.refused_until > now {
            return Err(RetryAfter(slot.refused_until - now));
        }
        slot.failures = slot.failures.saturating_add(1);
        match rule {
            Rule::Growing {
                free, first, most, ..
            } => {
                slot.at = now;
                if let Some(beyond) = slot.failures.checked_sub(free) {
                    let wait = first.saturating_mul(1 << beyond.min(32)).min(most);
                    slot.refused_until = now + wait;
                }
            }
            Rule::Window { failures, seconds } => {
                if slot.failures >= failures {
                    slot.refused_until = slot.at + seconds;
                }
            }
        }
        Ok(())
    }

    fn give_back(&mut self, key: Key) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.failures = slot.failures.saturating_sub(1);
            // It was let in, so nothing was refused before it.
            slot.refused_until = 0;
        }
    }

    /// Whether there is room for one more. What is under refusal stays.
    fn make_room(&mut self, rule: Rule, now: UnixSeconds) -> bool {
        if self.slots.len() < self.capacity {
            return true;
        }
        if now < self.full_until {
            return false;
        }
        self.slots
            .retain(|_, slot| rule.forgets(slot) > now || slot.refused_until > now);
        if self.slots.len() < self.capacity {
            return true;
        }
        // A quarter at once, so that the next ones need not look again.
        let mut free: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.refused_until <= now)
            .map(|(key, slot)| (slot.failures, slot.at, *key))
            .collect();
        free.sort_unstable();
        for (_, _, key) in free.iter().take(self.capacity.div_ceil(4)) {
            self.slots.remove(key);
        }
        let refused = self.slots.values().map(|slot| slot.refused_until);
        self.full_until = if free.is_empty() {
            refused.min().unwrap_or(now)
        } else {
            0
        };
        !free.is_empty()
    }
}
