//! The third step: what was planned, written into the cluster.

use std::fmt;

use crds::contract::Sha256Hash;
use kube::Client;

use super::{
    fault::Fault,
    secret::{Found, Manifest, Written},
};

/// The Secrets of one resource, at one stage of their way into the cluster.
pub(super) struct Secrets<Stage: Step> {
    /// For whoever uses the credentials; none: they stay as they are.
    pub(super) credentials: Option<Stage::Credentials>,
    /// For the gateway; none: it stays as it is.
    pub(super) config: Option<Stage::Config>,
}

/// A stage.
pub(super) trait Step {
    /// A credentials Secret at this stage.
    type Credentials;
    /// A config Secret at this stage.
    type Config;
}

/// They ought to be there.
pub(super) struct Planned;

/// They are there.
pub(super) struct Applied;

impl Step for Planned {
    type Credentials = Manifest;
    type Config = (Manifest, Sha256Hash);
}

impl Step for Applied {
    type Credentials = Written;
    type Config = Config;
}

/// A config Secret that is there.
pub(super) struct Config {
    /// How it came to be.
    pub(super) written: Written,
    /// Its name, which is its document's.
    pub(super) name: String,
    /// The hash of its document.
    pub sha256: Sha256Hash,
}

/// What was reached before a fault.
pub(super) struct Half {
    /// The credentials were written, if there were any to write.
    pub(super) credentials: Option<Written>,
    /// Which Secret could not be.
    pub(super) failed: Failed,
    /// Why.
    pub(super) fault: Fault,
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

/// A Secret that could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// That of the credentials.
    Credentials,
    /// That of the gateway.
    Config,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credentials => "write the credentials Secret",
            Self::Config => "write the gateway's config Secret",
        })
    }
}

/// Writes what differs from what was found: the credentials first, so that a
/// secret is where its owner finds it before the gateway accepts it.
pub(super) async fn apply(
    client: &Client,
    planned: Secrets<Planned>,
    found_credentials: Option<&Found>,
    found_config: Option<&Found>,
) -> Result<Secrets<Applied>, Half> {
    let Secrets {
        credentials,
        config,
    } = planned;
    let credentials = match credentials {
        None => None,
        Some(manifest) => {
            let written = manifest.apply(client, found_credentials).await;
            Some(written.map_err(|error| Half {
                credentials: None,
                failed: Failed::Credentials,
                fault: Fault::at("write the credentials Secret")(error),
            })?)
        }
    };
    let config = match config {
        None => None,
        Some((manifest, sha256)) => match manifest.apply(client, found_config).await {
            Ok(written) => Some(Config {
                written,
                name: manifest.name,
                sha256,
            }),
            Err(error) => {
                return Err(Half {
                    credentials,
                    failed: Failed::Config,
                    fault: Fault::at("write the gateway's config Secret")(error),
                });
            }
        },
    };
    Ok(Secrets {
        credentials,
        config,
    })
}
