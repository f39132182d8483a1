//! The scope catalogue and sets of its scopes.

use crds::gateway_config::{GatewayConfig, MAX_SCOPES};

/// A set of scopes of one catalogue: a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet(u128);

const _: () = assert!(MAX_SCOPES <= u128::BITS as usize);

impl ScopeSet {
    /// No scope at all.
    pub const EMPTY: Self = Self(0);

    /// Whether every scope of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The scopes that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The scopes that are in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The scopes of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn with(self, index: usize) -> Self {
        Self(self.0 | 1 << index)
    }
}

/// The scopes that this gateway knows, in the order of its configuration.
#[derive(Debug)]
pub struct Catalogue {
    names: Vec<String>,
    admin_only: ScopeSet,
    reserved: ScopeSet,
    destructive: ScopeSet,
}

impl Catalogue {
    /// The catalogue of a configuration that was checked.
    pub fn new(config: &GatewayConfig) -> Self {
        let marked = |mark: fn(&crds::gateway_config::Scope) -> bool| {
            let scopes = config.scopes.iter().take(MAX_SCOPES).enumerate();
            scopes
                .filter(|(_, scope)| mark(scope))
                .fold(ScopeSet::EMPTY, |set, (i, _)| set.with(i))
        };
        Self {
            names: config
                .scopes
                .iter()
                .take(MAX_SCOPES)
                .map(|scope| scope.name.clone())
                .collect(),
            admin_only: marked(|scope| scope.admin_only),
            reserved: marked(|scope| scope.reserved),
            destructive: marked(|scope| scope.destructive),
        }
    }

    /// The names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Scopes that only an administrator can grant (FT-10).
    pub fn admin_only(&self) -> ScopeSet {
        self.admin_only
    }

    /// Scopes that nobody gets yet (AF-21).
    pub fn reserved(&self) -> ScopeSet {
        self.reserved
    }

    /// Scopes that no client gets on its own account.
    pub fn withheld(&self) -> ScopeSet {
        ScopeSet(self.admin_only.0 | self.reserved.0)
    }

    /// Scopes that no API key carries (WF-10).
    pub fn destructive(&self) -> ScopeSet {
        self.destructive
    }

    /// Scopes that somebody can get: all but the reserved ones.
    pub fn offered(&self) -> ScopeSet {
        self.set(self.names.iter().map(String::as_str))
            .without(self.reserved)
    }

    /// The set of these names; those that the catalogue lacks are left out,
    /// for a scope that no longer exists permits nothing.
    pub fn set<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> ScopeSet {
        let known = names.into_iter().filter_map(|name| self.index(name));
        known.fold(ScopeSet::EMPTY, ScopeSet::with)
    }

    /// The set that a `scope` parameter asks for (RFC 6749 section 3.3), or the
    /// first name that the catalogue lacks.
    pub fn parse<'a>(&self, parameter: &'a str) -> Result<ScopeSet, &'a str> {
        let mut set = ScopeSet::EMPTY;
        for name in parameter.split(' ').filter(|name| !name.is_empty()) {
            set = set.with(self.index(name).ok_or(name)?);
        }
        Ok(set)
    }

    /// The names of a set, in the order of the catalogue.
    pub fn list(&self, set: ScopeSet) -> impl Iterator<Item = &str> {
        let names = self.names.iter().enumerate();
        names
            .filter(move |(i, _)| set.0 >> i & 1 == 1)
            .map(|(_, name)| name.as_str())
    }

    /// The names of a set, separated by spaces.
    pub fn join(&self, set: ScopeSet) -> String {
        let mut text = String::new();
        for name in self.list(set) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(name);
        }
        text
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }
}
