//! What the controller knows of the resources that it has brought to rest, so
//! that it neither reads nor writes anything while nothing happens.
//!
//! No Secret is kept here, only the versions of those that were read or written.
//! An event that tells of just that version is the echo of our own write; any
//! other is news, and its readers are looked at again.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::gateways::ResourceId;
use crds::contract::Sha256Hash;

/// Something that resources depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Watched {
    /// A Secret, by namespace and name. Its version is its resourceVersion.
    Secret(Arc<str>, Arc<str>),
    /// An `OAuthApplication`, by namespace and name. Its version is its client
    /// id.
    Application(Arc<str>, Arc<str>),
}

/// A version of something watched; none: it is not there.
pub(super) type Version = Option<String>;

/// A resource at rest.
#[derive(Debug)]
pub(super) struct Settled<S> {
    /// The resourceVersions of the resource itself that this is about: the one
    /// that was looked at, and those that our own writes made of it.
    pub(super) versions: Vec<String>,
    /// Which gateway.yaml it was planned with.
    pub(super) epoch: u64,
    /// The status that was planned, Ready left as it was; none: the one that the
    /// resource has.
    pub(super) planned: Option<Arc<S>>,
    /// The status that was last written; none: the one that the resource has.
    pub(super) written: Option<Arc<S>>,
    /// The document that its gateway ought to serve, by name and hash.
    pub(super) document: Option<(Arc<str>, Sha256Hash)>,
    /// When to plan again though nothing changed.
    pub(super) due: Option<Timestamp>,
    /// When it was planned.
    pub(super) since: Instant,
}

/// What is known of the resources of one kind. Names are shared by all who
/// mention them, so that ten thousand resources cost little.
pub(super) struct Memory<S>(Mutex<Inner<S>>);

struct Inner<S> {
    resources: HashMap<ResourceId, Tracked<S>>,
    /// Mostly one for each, and never many: without a tree around it.
    readers: HashMap<Watched, Vec<ResourceId>>,
}

struct Tracked<S> {
    settled: Option<Arc<Settled<S>>>,
    /// What it depends on, in the version in which that was read or written.
    expected: Vec<(Watched, Version)>,
    /// What happened to those since the resource was last looked at.
    news: Vec<(Watched, Version)>,
    failures: u32,
}

impl<S> Default for Tracked<S> {
    fn default() -> Self {
        Self {
            settled: None,
            expected: Vec::new(),
            news: Vec::new(),
            failures: 0,
        }
    }
}

impl<S> Default for Memory<S> {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            resources: HashMap::new(),
            readers: HashMap::new(),
        }))
    }
}

impl<S> Memory<S> {
    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The resource at rest, if nothing has happened to it since.
    pub(super) fn settled(
        &self,
        id: &ResourceId,
        version: &str,
        epoch: u64,
    ) -> Option<Arc<Settled<S>>> {
        let inner = self.lock();
        let tracked = inner.resources.get(id)?;
        let settled = tracked.settled.as_ref()?;
        let is_known = settled.versions.iter().any(|known| known == version);
        (is_known && settled.epoch == epoch && tracked.news.is_empty()).then(|| settled.clone())
    }

    /// The status that was written last, if the resource is an older one still.
    pub(super) fn newer_status(&self, id: &ResourceId, version: &str) -> Option<S>
    where
        S: Clone,
    {
        let inner = self.lock();
        let settled = inner.resources.get(id)?.settled.as_ref()?;
        let (newest, older) = settled.versions.split_last()?;
        if newest != version && older.iter().any(|known| known == version) {
            return settled.written.as_deref().cloned();
        }
        None
    }

    /// The resource, by the names that are shared by all who mention it.
    pub(super) fn known(&self, id: ResourceId) -> ResourceId {
        let inner = self.lock();
        let known = inner.resources.get_key_value(&id);
        known.map_or(id, |(known, _)| known.clone())
    }

    /// A look at the resource and at `depends_on` begins; what happens to them
    /// from now on is news.
    pub(super) fn begin(&self, id: &ResourceId, depends_on: Vec<Watched>) {
        let mut inner = self.lock();
        let tracked = inner.resources.entry(id.clone()).or_default();
        tracked.news = Vec::new();
        let old = std::mem::take(&mut tracked.expected);
        for (watched, _) in old.iter().filter(|(it, _)| !depends_on.contains(it)) {
            inner.unread(watched, id);
        }
        let mut expected = Vec::with_capacity(depends_on.len());
        for watched in depends_on {
            let known = inner.readers.get_key_value(&watched);
            let watched = known.map_or(watched, |(known, _)| known.clone());
            let readers = inner.readers.entry(watched.clone());
            let readers = readers.or_insert_with(|| Vec::with_capacity(1));
            if !readers.contains(id) {
                readers.push(id.clone());
            }
            expected.push((watched, None));
        }
        let tracked = inner.resources.entry(id.clone()).or_default();
        tracked.expected = expected;
    }

    /// The look has come to its end, with these versions of what it depends on.
    pub(super) fn settle(
        &self,
        id: &ResourceId,
        mut settled: Settled<S>,
        versions: Vec<(Watched, Version)>,
    ) -> Arc<Settled<S>> {
        let mut inner = self.lock();
        let tracked = inner.resources.entry(id.clone()).or_default();
        let ends_as_expected = versions.iter().all(|(watched, version)| {
            let last = tracked.news.iter().find(|(it, _)| it == watched);
            last.is_none_or(|(_, last)| last == version)
        });
        if ends_as_expected {
            // Its room as well: there is seldom any.
            tracked.news = Vec::new();
        }
        tracked.failures = 0;
        for (watched, version) in versions {
            let mut expected = tracked.expected.iter_mut();
            match expected.find(|(it, _)| *it == watched) {
                Some((_, known)) => *known = version,
                None => tracked.expected.push((watched, version)),
            }
        }
        if let Some((document, _)) = &mut settled.document {
            let known = tracked.expected.iter().find_map(|(it, _)| match it {
                Watched::Secret(_, name) if name == document => Some(name.clone()),
                _ => None,
            });
            *document = known.unwrap_or_else(|| document.clone());
        }
        let settled = Arc::new(settled);
        tracked.settled = Some(settled.clone());
        settled
    }

    /// Changes what is known of a resource at rest.
    pub(super) fn amend(&self, id: &ResourceId, change: impl FnOnce(&Settled<S>) -> Settled<S>) {
        let mut inner = self.lock();
        if let Some(tracked) = inner.resources.get_mut(id) {
            tracked.settled = tracked.settled.take().map(|old| Arc::new(change(&old)));
        }
    }

    /// A look has failed; says how many have in a row.
    pub(super) fn fail(&self, id: &ResourceId) -> u32 {
        let mut inner = self.lock();
        let tracked = inner.resources.entry(id.clone()).or_default();
        // What it knew, it knows no more: the next look is a whole one.
        tracked.settled = None;
        tracked.failures += 1;
        tracked.failures
    }

    /// How many looks have failed in a row.
    pub(super) fn failures(&self, id: &ResourceId) -> u32 {
        let inner = self.lock();
        inner
            .resources
            .get(id)
            .map_or(0, |tracked| tracked.failures)
    }

    /// The resource is gone.
    pub(super) fn forget(&self, id: &ResourceId) -> bool {
        let mut inner = self.lock();
        let Some(tracked) = inner.resources.remove(id) else {
            return false;
        };
        for (watched, _) in &tracked.expected {
            inner.unread(watched, id);
        }
        true
    }

    /// All resources that it knows.
    pub(super) fn ids(&self) -> Vec<ResourceId> {
        self.lock().resources.keys().cloned().collect()
    }

    /// One of `of` shares of them. Together the shares are all of them.
    pub(super) fn share(&self, share: u64, of: u64) -> Vec<ResourceId> {
        let inner = self.lock();
        let resources = inner.resources.keys();
        let mine = resources.filter(|id| inner.resources.hasher().hash_one(id) % of == share);
        mine.cloned().collect()
    }

    /// Something watched is now of this version. Returns who must look at it.
    pub(super) fn observe(&self, watched: &Watched, version: &Version) -> Vec<ResourceId> {
        let mut inner = self.lock();
        let Inner {
            resources, readers, ..
        } = &mut *inner;
        let mut news = Vec::new();
        for id in readers.get(watched).into_iter().flatten() {
            let Some(tracked) = resources.get_mut(id) else {
                continue;
            };
            let mut expected = tracked.expected.iter();
            let is_echo = tracked.settled.is_some()
                && tracked.news.is_empty()
                && expected.any(|(it, known)| it == watched && known == version);
            if !is_echo {
                tracked.news.retain(|(it, _)| it != watched);
                tracked.news.push((watched.clone(), version.clone()));
                news.push(id.clone());
            }
        }
        news
    }

    /// The Secrets that are thought to be there and that `is_missing` says are
    /// not.
    pub(super) fn missing_secrets(&self, is_missing: impl Fn(&str, &str) -> bool) -> Vec<Watched> {
        let inner = self.lock();
        let tracked = inner.resources.values();
        let expected = tracked.flat_map(|tracked| &tracked.expected);
        let missing = expected.filter(|(watched, version)| match watched {
            Watched::Secret(namespace, name) => version.is_some() && is_missing(namespace, name),
            Watched::Application(..) => false,
        });
        missing.map(|(watched, _)| watched.clone()).collect()
    }
}

impl<S> Inner<S> {
    fn unread(&mut self, watched: &Watched, id: &ResourceId) {
        if let Some(readers) = self.readers.get_mut(watched) {
            readers.retain(|reader| reader != id);
            if readers.is_empty() {
                self.readers.remove(watched);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ResourceId {
        ResourceId {
            kind: "OAuthApplication",
            namespace: "partners".into(),
            name: "acme".into(),
        }
    }

    fn secret() -> Watched {
        Watched::Secret("partners".into(), "acme-credentials".into())
    }

    #[allow(clippy::unnecessary_wraps, reason = "some version, rather than none")]
    fn version(text: &str) -> Version {
        Some(text.into())
    }

    fn settled() -> Settled<()> {
        Settled {
            versions: vec!["10".into(), "12".into()],
            epoch: 1,
            planned: None,
            written: None,
            document: None,
            due: None,
            since: Instant::now(),
        }
    }

    fn at_rest() -> Memory<()> {
        let memory = Memory::default();
        memory.begin(&id(), vec![secret()]);
        memory.settle(&id(), settled(), vec![(secret(), version("5"))]);
        memory
    }

    #[test]
    fn a_resource_at_rest_is_left_alone_until_something_happens() {
        let memory = at_rest();
        assert!(memory.settled(&id(), "10", 1).is_some());
        assert!(memory.settled(&id(), "12", 1).is_some());
        assert!(memory.settled(&id(), "13", 1).is_none(), "it was changed");
        assert!(
            memory.settled(&id(), "12", 2).is_none(),
            "another catalogue"
        );
        assert_eq!(memory.observe(&secret(), &version("6")), [id()]);
        assert!(
            memory.settled(&id(), "12", 1).is_none(),
            "its Secret changed"
        );
    }

    #[test]
    fn the_echo_of_our_own_write_is_no_news() {
        let memory = at_rest();
        assert!(memory.observe(&secret(), &version("5")).is_empty());
        assert!(memory.settled(&id(), "12", 1).is_some());
        assert_eq!(memory.observe(&secret(), &None), [id()], "deleted");
    }

    #[test]
    fn an_echo_that_comes_before_the_answer_is_no_news_either() {
        let memory = Memory::default();
        memory.begin(&id(), vec![secret()]);
        assert_eq!(memory.observe(&secret(), &version("5")), [id()]);
        memory.settle(&id(), settled(), vec![(secret(), version("5"))]);
        assert!(memory.settled(&id(), "12", 1).is_some());
    }

    #[test]
    fn a_deletion_during_the_look_is_not_lost() {
        let memory = Memory::default();
        memory.begin(&id(), vec![secret()]);
        memory.observe(&secret(), &version("5"));
        memory.observe(&secret(), &None);
        memory.settle(&id(), settled(), vec![(secret(), version("5"))]);
        assert!(memory.settled(&id(), "12", 1).is_none());
    }

    #[test]
    fn a_secret_that_a_new_list_lacks_is_missed() {
        let memory = at_rest();
        assert!(memory.missing_secrets(|_, _| false).is_empty());
        assert_eq!(memory.missing_secrets(|_, _| true), [secret()]);
    }

    #[test]
    fn the_shares_are_all_there_are() {
        let memory = Memory::<()>::default();
        let ids: Vec<_> = (0..100)
            .map(|i| ResourceId {
                name: format!("app-{i}").into(),
                ..id()
            })
            .collect();
        for id in &ids {
            memory.begin(id, Vec::new());
        }
        let mut shares: Vec<_> = (0..7).flat_map(|share| memory.share(share, 7)).collect();
        shares.sort();
        let mut all = ids;
        all.sort();
        assert_eq!(shares, all);
    }

    #[test]
    fn what_is_forgotten_is_told_nothing() {
        let memory = at_rest();
        assert!(memory.forget(&id()));
        assert!(memory.observe(&secret(), &None).is_empty());
        assert!(!memory.forget(&id()));
    }
}
