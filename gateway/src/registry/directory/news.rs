//! What the file system tells of a directory, until somebody looks.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    mem,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// What may be another than at the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// These documents, by name.
    Documents(BTreeSet<String>),
    /// Anything.
    Anything,
}

/// Collects what is told.
pub(super) struct News {
    changed: Mutex<Changed>,
    bell: Notify,
}

impl Default for News {
    /// Nobody has looked yet.
    fn default() -> Self {
        Self {
            changed: Mutex::new(Changed::Anything),
            bell: Notify::new(),
        }
    }
}

impl News {
    /// Takes in an event.
    pub(super) fn hear(&self, event: notify::Result<notify::Event>) {
        let mut changed = self.lock();
        match event {
            // Reading a file is an event as well, and nothing that matters here.
            Ok(event) if event.kind.is_access() => return,
            Ok(event) if !event.need_rescan() && !event.paths.is_empty() => {
                let told = event.paths.iter().filter(|path| changed.note(path));
                if told.count() == 0 {
                    return;
                }
            }
            // Some were lost.
            Ok(_) | Err(_) => *changed = Changed::Anything,
        }
        drop(changed);
        self.bell.notify_one();
    }

    /// From now on it is as if nobody had looked yet.
    pub(super) fn forget(&self) {
        *self.lock() = Changed::Anything;
    }

    /// What was told since this was last called.
    pub(super) fn take(&self) -> Changed {
        mem::replace(&mut *self.lock(), Changed::Documents(BTreeSet::new()))
    }

    /// Comes when something is told.
    pub(super) async fn told(&self) {
        self.bell.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changed {
    /// Notes that something has happened at this path; false: nothing that
    /// matters. Where files are links, as in a mounted `ConfigMap`, it happens
    /// elsewhere than at the files themselves.
    fn note(&mut self, path: &Path) -> bool {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        // A file on its way to its name, which is told of when it is there.
        if name.strip_suffix(".new").is_some() {
            return false;
        }
        let document = name.strip_suffix(".json");
        match (document.filter(|it| !it.starts_with('.')), &mut *self) {
            (Some(document), Self::Documents(documents)) => {
                documents.insert(document.to_owned());
            }
            _ => *self = Self::Anything,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use notify::{
        Event, EventKind,
        event::{AccessKind, Flag, ModifyKind},
    };

    use super::*;

    fn event(names: &[&str]) -> Event {
        let event = Event::new(EventKind::Modify(ModifyKind::Any));
        names.iter().fold(event, |event, name| {
            event.add_path(Path::new("/resources").join(name))
        })
    }

    fn documents(names: &[&str]) -> Changed {
        Changed::Documents(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn documents_are_told_by_name_and_what_is_none_makes_everything_doubtful() {
        let news = News::default();
        assert_eq!(news.take(), Changed::Anything, "nobody has looked");
        assert_eq!(news.take(), documents(&[]));
        news.hear(Ok(event(&["a.json", "b.new"])));
        news.hear(Ok(event(&["b.json"])));
        news.hear(Ok(Event::new(EventKind::Access(AccessKind::Any))));
        assert_eq!(news.take(), documents(&["a", "b"]));
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        for doubtful in [
            Ok(event(&["..data"])),
            Ok(lost),
            Err(notify::Error::generic("x")),
        ] {
            news.hear(doubtful);
            news.hear(Ok(event(&["a.json"])));
            assert_eq!(news.take(), Changed::Anything);
        }
    }
}
