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
    /// Device authorizations that are begun by public clients, from one address.
    Device,
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
    const ALL: [Self; 7] = [
        Self::Account,
        Self::SignIn,
        Self::UserCode,
        Self::Passkey,
        Self::PasskeyClient,
        Self::Visit,
        Self::Device,
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
            Self::Device => Rule::Window {
                failures: 300,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn throttle(capacity: usize) -> (Throttle, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let pepper = Pepper::new(&[7; 32]);
        (
            Throttle::with_capacity(pepper, clock.clone(), capacity),
            clock,
        )
    }

    fn account(name: &str) -> [(Purpose, Who<'_>); 1] {
        [(Purpose::Account, Who::Text(name))]
    }

    /// Fails, or says how long to wait.
    fn fail(throttle: &Throttle, who: &[(Purpose, Who<'_>)]) -> Option<u64> {
        throttle.attempt(who).err().map(|RetryAfter(wait)| wait)
    }

    #[test]
    fn after_five_failures_each_further_one_doubles_the_wait_up_to_15_minutes() {
        let (throttle, clock) = throttle(8);
        for _ in 0..5 {
            assert_eq!(fail(&throttle, &account("anna")), None);
        }
        for wait in [10, 20, 40, 80, 160, 320, 640, 900, 900, 900] {
            assert_eq!(fail(&throttle, &account("anna")), Some(wait));
            clock.advance(wait - 1);
            assert_eq!(
                fail(&throttle, &account("anna")),
                Some(1),
                "asking does not lengthen it"
            );
            clock.advance(1);
            assert_eq!(fail(&throttle, &account("anna")), None);
        }
        assert_eq!(fail(&throttle, &account("berta")), None);
        clock.advance(3_600);
        for _ in 0..5 {
            assert_eq!(fail(&throttle, &account("anna")), None, "forgotten");
        }
    }

    #[test]
    fn a_success_forgets_an_accounts_failures_but_gives_an_address_one_back() {
        let (throttle, clock) = throttle(8);
        let both = [
            (Purpose::Account, Who::Text("anna")),
            (Purpose::SignIn, Who::Address("192.0.2.1".parse().unwrap())),
        ];
        for _ in 0..4 {
            for _ in 0..4 {
                assert_eq!(fail(&throttle, &both), None);
            }
            throttle.attempt(&both).unwrap().succeeded();
        }
        for _ in 0..4 {
            assert_eq!(fail(&throttle, &both), None);
        }
        assert_eq!(fail(&throttle, &both), Some(300), "20 in 300 s");
        clock.advance(299);
        assert_eq!(fail(&throttle, &both), Some(1));
        clock.advance(1);
        assert_eq!(fail(&throttle, &both), None);
    }

    /// Guesses that are sent all at once are no way around.
    #[test]
    fn attempts_under_way_count() {
        let (throttle, _) = throttle(8);
        let under_way: Vec<_> = (0..5)
            .map(|_| throttle.attempt(&account("anna")).unwrap())
            .collect();
        assert_eq!(fail(&throttle, &account("anna")), Some(10));
        for attempt in under_way {
            attempt.withdraw();
        }
        assert_eq!(fail(&throttle, &account("anna")), None);
    }

    #[test]
    fn one_who_is_refused_for_one_reason_counts_for_none() {
        let (throttle, _) = throttle(8);
        let address = |last| Who::Address(IpAddr::from([192, 0, 2, last]));
        let with = |last| [(Purpose::UserCode, address(last)), account("anna")[0]];
        for _ in 0..5 {
            assert_eq!(fail(&throttle, &account("anna")), None);
        }
        for _ in 0..30 {
            assert_eq!(fail(&throttle, &with(1)), Some(10));
        }
        assert_eq!(fail(&throttle, &with(1)[..1]), None);
    }

    #[test]
    fn an_ipv6_address_counts_with_its_64_and_a_mapped_one_as_ipv4() {
        let (throttle, _) = throttle(8);
        let from = |text: &str| [(Purpose::Passkey, Who::Address(text.parse().unwrap()))];
        for n in 0..10 {
            assert_eq!(
                fail(&throttle, &from(&format!("2001:db8:0:1:{n}::{n}"))),
                None
            );
            let v4 = ["192.0.2.1", "::ffff:192.0.2.1"][n % 2];
            assert_eq!(fail(&throttle, &from(v4)), None);
        }
        assert!(fail(&throttle, &from("2001:db8:0:1::9")).is_some());
        assert!(fail(&throttle, &from("192.0.2.1")).is_some());
        assert_eq!(fail(&throttle, &from("2001:db8:0:2::9")), None);
        assert_eq!(fail(&throttle, &from("192.0.2.2")), None);
    }

    #[test]
    fn memory_is_bounded_and_no_refusal_is_forgotten_by_a_flood() {
        let (throttle, clock) = throttle(64);
        for _ in 0..8 {
            fail(&throttle, &account("anna"));
            clock.advance(1);
        }
        let waits = |throttle: &Throttle| fail(throttle, &account("anna"));
        assert!(waits(&throttle).is_some());
        for n in 0..10_000 {
            fail(&throttle, &account(&format!("flood{n}")));
            let held = throttle.table(Purpose::Account).slots.len();
            assert!(held <= 65, "{held}");
        }
        assert!(waits(&throttle).is_some());
        // Even if all are under refusal, the next ones are neither free …
        for n in 0..100 {
            for _ in 0..5 {
                fail(&throttle, &account(&format!("refused{n}")));
            }
        }
        assert!(throttle.table(Purpose::Account).slots.len() <= 65);
        assert!(waits(&throttle).is_some());
        assert!(fail(&throttle, &account("somebody")).is_some());
        // … nor shut out for longer than those.
        clock.advance(900);
        assert_eq!(fail(&throttle, &account("somebody")), None);
    }
}
