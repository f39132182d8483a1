//! What the replicas of one gateway say that they serve.

use std::collections::HashMap;

use crds::contract::Sha256Hash;
use jiff::Timestamp;

/// All replicas, as last seen.
#[derive(Debug, Default)]
pub struct View {
    /// None: nobody has looked yet.
    pub replicas: Option<Vec<Replica>>,
}

/// One replica.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The pod's name, or the address.
    pub name: String,
    /// What it serves, or why it does not say.
    pub state: Result<std::sync::Arc<Served>, Trouble>,
}

/// What one replica serves.
#[derive(Debug, Default)]
pub struct Served {
    /// The hash of each document in force, by name.
    pub documents: HashMap<Box<str>, Sha256Hash>,
    /// Documents that are not in force as they stand, and why.
    pub rejected: HashMap<String, String>,
    /// When each secret was last used here, by its id.
    pub last_used: HashMap<String, Timestamp>,
}

/// Why a replica does not say what it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody listens there, or it is not to be reached.
    #[error("cannot be reached")]
    Unreachable,
    /// No answer came in time.
    #[error("does not answer in time")]
    Slow,
    /// The answer was none that a gateway gives.
    #[error("answers with what is no registry")]
    Strange,
}

/// Whether a document is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody has asked the gateway yet.
    Unasked,
    /// Every ready replica serves exactly this document.
    Served,
    /// These do not serve it yet.
    Waiting {
        /// Their names.
        replicas: Vec<String>,
    },
    /// A replica cannot follow it.
    Rejected {
        /// Its name.
        replica: String,
        /// What it says.
        reason: String,
    },
    /// These do not say what they serve.
    Unreachable {
        /// Their names, and why.
        replicas: Vec<(String, Trouble)>,
    },
    /// There is no ready replica.
    NoReplica,
}

impl View {
    /// When a secret was last used anywhere.
    pub fn last_used(&self, secret: &str) -> Option<Timestamp> {
        let replicas = self.replicas.iter().flatten();
        let answering = replicas.filter_map(|replica| replica.state.as_ref().ok());
        let uses = answering.filter_map(|served| served.last_used.get(secret));
        uses.max().copied()
    }

    /// Whether every replica serves exactly this document.
    pub fn verdict(&self, document: &str, sha256: &Sha256Hash) -> Verdict {
        let Some(replicas) = &self.replicas else {
            return Verdict::Unasked;
        };
        if replicas.is_empty() {
            return Verdict::NoReplica;
        }
        let mut waiting = Vec::new();
        let mut silent = Vec::new();
        for replica in replicas {
            let served = match &replica.state {
                Ok(served) => served,
                Err(trouble) => {
                    silent.push((replica.name.clone(), *trouble));
                    continue;
                }
            };
            if served.documents.get(document) == Some(sha256) {
                continue;
            }
            if let Some(reason) = served.rejected.get(document) {
                return Verdict::Rejected {
                    replica: replica.name.clone(),
                    reason: reason.clone(),
                };
            }
            waiting.push(replica.name.clone());
        }
        if !silent.is_empty() {
            Verdict::Unreachable { replicas: silent }
        } else if !waiting.is_empty() {
            Verdict::Waiting { replicas: waiting }
        } else {
            Verdict::Served
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn serving(name: &str, documents: &[(&str, &str)]) -> Replica {
        let documents = documents.iter();
        let documents = documents.map(|(name, text)| ((*name).into(), hash(text)));
        Replica {
            name: name.into(),
            state: Ok(Arc::new(Served {
                documents: documents.collect(),
                ..Served::default()
            })),
        }
    }

    fn hash(text: &str) -> Sha256Hash {
        Sha256Hash::of(text.as_bytes())
    }

    fn verdict(replicas: Vec<Replica>) -> Verdict {
        let view = View {
            replicas: Some(replicas),
        };
        view.verdict("a", &hash("2"))
    }

    #[test]
    fn served_means_by_every_replica_and_exactly_this_content() {
        let new = || serving("new", &[("a", "2"), ("b", "7")]);
        let old = || serving("old", &[("a", "1")]);
        let none = || serving("none", &[]);
        let waiting = |names: &[&str]| Verdict::Waiting {
            replicas: names.iter().map(|name| (*name).into()).collect(),
        };
        assert_eq!(verdict(vec![new()]), Verdict::Served);
        assert_eq!(verdict(vec![new(), new()]), Verdict::Served);
        assert_eq!(verdict(vec![new(), old()]), waiting(&["old"]));
        assert_eq!(verdict(vec![none(), old()]), waiting(&["none", "old"]));
    }

    #[test]
    fn a_secret_was_last_used_wherever_that_was() {
        let used = |at: i64| Replica {
            name: "pod".into(),
            state: Ok(Arc::new(Served {
                last_used: HashMap::from([("s-1".into(), Timestamp::from_second(at).unwrap())]),
                ..Served::default()
            })),
        };
        let view = View {
            replicas: Some(vec![used(7), used(9), serving("old", &[])]),
        };
        assert_eq!(view.last_used("s-1"), Timestamp::from_second(9).ok());
        assert_eq!(view.last_used("s-2"), None);
    }

    #[test]
    fn no_replica_is_not_every_replica() {
        assert_eq!(verdict(vec![]), Verdict::NoReplica);
        assert_eq!(View::default().verdict("a", &hash("2")), Verdict::Unasked);
    }

    #[test]
    fn one_silent_replica_is_named_whatever_the_others_serve() {
        let silent = Replica {
            name: "pod-2".into(),
            state: Err(Trouble::Slow),
        };
        assert_eq!(
            verdict(vec![serving("pod-1", &[("a", "2")]), silent]),
            Verdict::Unreachable {
                replicas: vec![("pod-2".into(), Trouble::Slow)]
            }
        );
    }

    #[test]
    fn what_a_replica_cannot_follow_is_said_in_its_words() {
        let served = Served {
            documents: HashMap::from([("a".into(), hash("1"))]),
            rejected: HashMap::from([("a".into(), "profile `x` is not known".into())]),
            ..Served::default()
        };
        let replica = Replica {
            name: "pod-1".into(),
            state: Ok(Arc::new(served)),
        };
        assert_eq!(
            verdict(vec![replica]),
            Verdict::Rejected {
                replica: "pod-1".into(),
                reason: "profile `x` is not known".into()
            }
        );
    }
}
