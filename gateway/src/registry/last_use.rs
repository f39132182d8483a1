//! When secrets were last used, so that a rotation shows when the old one has
//! fallen silent. Noted on the way of a request, with one relaxed store a second
//! at the most; carried over from registry to registry, and kept in a file from
//! run to run.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use jiff::Timestamp;

use crate::{clock::UnixSeconds, keys::write_private};

/// The file, in the keys folder.
const FILE: &str = "last-used.json";
/// Larger files were not written here.
const MAX_FILE: u64 = 64 << 20;

/// When one secret was last used.
#[derive(Debug, Default)]
pub struct LastUse {
    /// 0: never.
    at: AtomicU64,
}

/// When each secret was last used, by its id.
#[derive(Clone, Debug, Default)]
pub struct LastUses {
    by_id: BTreeMap<String, Arc<LastUse>>,
}

/// Last uses as they are told, by id; those never used are not in it.
pub type Told = BTreeMap<String, Timestamp>;

/// The file in which they outlive the process. Nothing depends on it: what is
/// wrong with it is logged, and the gateway goes on.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    saved: Told,
    /// Whether it has been told that saving fails.
    failing: bool,
}

impl Kept {
    /// The file in this folder, and what an earlier run left in it.
    pub fn open(folder: &Path, now: UnixSeconds) -> (Self, LastUses) {
        let path = folder.join(FILE);
        let last_uses = load(&path, now).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "last uses of secrets not read, they start anew");
            LastUses::default()
        });
        let state = Mutex::default();
        (Self { path, state }, last_uses)
    }

    /// Writes the file, if there is anything new.
    pub fn save(&self, last_uses: &LastUses) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let told = last_uses.told();
        if told == state.saved {
            return;
        }
        match save(&told, &self.path) {
            Ok(()) => {
                *state = State {
                    saved: told,
                    failing: false,
                }
            }
            Err(error) => {
                if !state.failing {
                    tracing::warn!(%error, path = %self.path.display(), "last uses of secrets not kept");
                }
                state.failing = true;
            }
        }
    }
}

/// A clock that went back since does not make uses of the future.
fn load(path: &Path, now: UnixSeconds) -> io::Result<LastUses> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LastUses::default()),
        Err(error) => return Err(error),
    };
    let told: Told = serde_json::from_reader(BufReader::new(file.take(MAX_FILE)))?;
    let by_id = told.into_iter().map(|(id, at)| {
        let at = UnixSeconds::try_from(at.as_second()).unwrap_or(0).min(now);
        let at = AtomicU64::new(at);
        (id, Arc::new(LastUse { at }))
    });
    Ok(LastUses {
        by_id: by_id.collect(),
    })
}

fn save(told: &Told, path: &Path) -> io::Result<()> {
    write_private(path, &serde_json::to_vec(told)?)
}

impl LastUse {
    /// Notes a use.
    pub fn note(&self, now: UnixSeconds) {
        // Threads that only read share the cache line.
        if self.at.load(Relaxed) < now {
            self.at.store(now, Relaxed);
        }
    }

    fn told(&self) -> Option<Timestamp> {
        let at = i64::try_from(self.at.load(Relaxed)).ok()?;
        Timestamp::from_second(at).ok().filter(|_| at > 0)
    }
}

impl LastUses {
    /// The last use of this secret: the one that is known, else a fresh one.
    pub(super) fn of(&mut self, id: &str) -> Arc<LastUse> {
        if let Some(known) = self.by_id.get(id) {
            return known.clone();
        }
        let fresh = Arc::<LastUse>::default();
        self.by_id.insert(id.to_owned(), fresh.clone());
        fresh
    }

    pub(super) fn insert(&mut self, id: String, last_use: Arc<LastUse>) {
        self.by_id.insert(id, last_use);
    }

    /// All that were ever used.
    pub fn told(&self) -> Told {
        let told = self.by_id.iter();
        told.filter_map(|(id, last_use)| Some((id.clone(), last_use.told()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_later_uses_count() {
        let mut uses = LastUses::default();
        assert!(uses.told().is_empty());
        let last_use = uses.of("s-1");
        uses.of("s-2");
        assert!(uses.told().is_empty(), "never used");
        for (now, told) in [(5, 5), (9, 9), (7, 9)] {
            last_use.note(now);
            let told = Timestamp::from_second(told).unwrap();
            assert_eq!(uses.told(), Told::from([("s-1".into(), told)]));
        }
    }

    #[test]
    fn a_file_gives_back_what_was_saved_and_nothing_of_the_future() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-used.json");
        let (kept, mut uses) = Kept::open(folder.path(), 100);
        assert!(uses.told().is_empty());
        kept.save(&uses);
        assert!(!path.exists(), "nothing to keep");
        uses.of("s-1").note(50);
        uses.of("s-2").note(200);
        kept.save(&uses);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            r#"{"s-1":"1970-01-01T00:00:50Z","s-2":"1970-01-01T00:03:20Z"}"#
        );
        let at = |second| Timestamp::from_second(second).unwrap();
        let expected = Told::from([("s-1".into(), at(50)), ("s-2".into(), at(100))]);
        let again = Kept::open(folder.path(), 100).1;
        assert_eq!(again.told(), expected);
        for bad in ["", "[]", r#"{"s-1": 5}"#] {
            fs::write(&path, bad).unwrap();
            let (kept, nothing) = Kept::open(folder.path(), 100);
            assert!(nothing.told().is_empty(), "{bad}");
            kept.save(&again);
            assert_eq!(Kept::open(folder.path(), 100).1.told(), expected);
        }
    }
}
