//! The same plan as in a cluster, from files to files.
//!
//! Manifests are validated as an API server would, checked against the
//! catalogue, and planned against what an earlier run left in the output
//! folder. Only if nothing at all is wrong is anything written:
//!
//! - `credentials/<namespace>.<secret>.env`, in the place of a credentials Secret;
//! - `resources/<kind>.<namespace>.<name>.json`, the documents that a gateway reads;
//! - `state/<kind>.<namespace>.<name>.json`, each resource as it was last accepted,
//!   with its status: what an API server would remember.
//!
//! They are written in this order, each as a whole, so that a run that is
//! killed leaves nothing that the next one cannot complete: a secret is where
//! its owner finds it before the gateway accepts it.

mod env_file;
mod folder;
mod gather;
mod kind;
mod manifest;
mod observe;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::PathBuf,
};

use crds::gateway_config::GatewayConfig;
use jiff::Timestamp;

pub use self::folder::FileError;
use self::{
    folder::{Folder, Written, at},
    gather::Gathered,
    kind::Kind,
    manifest::Origin,
    observe::Prepared,
};
use crate::{
    catalogue::Catalogue,
    mint::{NoRandomness, Rng},
    plan::{Event, EventKind},
    validate::SchemaError,
};

const RESOURCES: &str = "resources";
const CREDENTIALS: &str = "credentials";
const STATE: &str = "state";

/// What to compile, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder of manifests, or one file.
    pub manifests: PathBuf,
    /// The gateway's `gateway.yaml`.
    pub config: PathBuf,
    /// The folder to write.
    pub out: PathBuf,
    /// The namespace of manifests that name none.
    pub namespace: String,
    /// The name by which manifests know this gateway.
    pub gateway: String,
}

/// Something that is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Where it stands.
    pub place: String,
    /// What was expected there.
    pub message: String,
}

/// Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is wrong.
    #[error("{}", Complaints(.0))]
    Refused(Vec<Complaint>),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is nothing to make secrets of.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// This build's own schemas are broken.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is odd but not wrong.
    pub notes: Vec<String>,
    /// What became of each resource, and what happened to it.
    pub lines: Vec<String>,
    /// Resources that were not there before.
    pub created: usize,
    /// Resources whose document or credentials changed.
    pub changed: usize,
    /// Resources that stayed as they were.
    pub unchanged: usize,
    /// Resources that are gone.
    pub removed: usize,
}

/// Compiles the manifests. On any failure nothing has been written.
pub fn compile(options: &Options, now: Timestamp, rng: &dyn Rng) -> Result<Report, Failure> {
    let catalogue = Catalogue::new(&options.gateway, configuration(&options.config)?);
    let (manifests, unreadable) =
        manifest::read(&options.manifests).map_err(at("cannot read", &options.manifests))?;
    let mut complaints = Complainer::default();
    for it in unreadable {
        complaints.at(&it.origin, "", it.message);
    }
    let mut folder = Folder::open(&options.out)?;
    let mut notes = Vec::new();
    let gathered = Gathered::from(manifests, options, &folder, &mut complaints, &mut notes)?;
    let prepared = gathered.plan(&catalogue, &folder, now, rng, &mut complaints)?;
    if !complaints.0.is_empty() {
        return Err(Failure::Refused(complaints.0));
    }
    folder.make()?;
    let mut report = Report {
        notes,
        ..Report::default()
    };
    for resource in &prepared {
        apply(resource, &folder, &mut report)?;
    }
    remove_the_gone(&prepared, &folder, &mut report)?;
    Ok(report)
}

fn configuration(path: &std::path::Path) -> Result<GatewayConfig, Failure> {
    let text = fs::read_to_string(path).map_err(at("cannot read", path))?;
    let place = path.display().to_string();
    let config = GatewayConfig::from_yaml(&text).map_err(|error| {
        Failure::Refused(vec![Complaint {
            place: place.clone(),
            message: error.to_string(),
        }])
    })?;
    let problems: Vec<_> = config
        .check()
        .into_iter()
        .map(|problem| Complaint {
            place: place.clone(),
            message: problem.to_string(),
        })
        .collect();
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(Failure::Refused(problems))
    }
}

/// Credentials first, then the document that makes them work, then the memory
/// of both.
fn apply(resource: &Prepared, folder: &Folder, report: &mut Report) -> Result<(), FileError> {
    let mut written = Vec::new();
    if let Some((name, bytes)) = &resource.credentials {
        written.push(folder.write(CREDENTIALS, name, bytes)?);
    }
    let document = folder.write(RESOURCES, &resource.file, &resource.document)?;
    written.push(document);
    folder.write(STATE, &resource.file, &resource.state)?;

    let owner = &resource.owner;
    let what = if document == Written::New {
        report.created += 1;
        "created"
    } else if written.iter().all(|written| *written == Written::Same) {
        report.unchanged += 1;
        "unchanged"
    } else {
        report.changed += 1;
        "changed"
    };
    let id = resource.public_id.as_ref().map(|id| format!(": {id}"));
    let place = resource.credentials.as_ref();
    let place = place.map(|(name, _)| format!(", credentials in {CREDENTIALS}/{name}"));
    report.lines.push(format!(
        "{owner} {what}{}{}",
        id.unwrap_or_default(),
        place.unwrap_or_default()
    ));
    for Event { kind, message, .. } in &resource.events {
        match kind {
            EventKind::Normal => report.lines.push(format!("  {message}")),
            EventKind::Warning => report.notes.push(format!("{owner}: {message}")),
        }
    }
    Ok(())
}

/// Removes the documents of resources that are gone, unless they are to live
/// on. Their credentials stay: a resource that comes back adopts its identity
/// from them.
fn remove_the_gone(
    prepared: &[Prepared],
    folder: &Folder,
    report: &mut Report,
) -> Result<(), FileError> {
    let kept: BTreeSet<_> = prepared
        .iter()
        .map(|resource| resource.file.as_str())
        .collect();
    let there: BTreeSet<_> = [folder.names(RESOURCES)?, folder.names(STATE)?]
        .into_iter()
        .flatten()
        .collect();
    for file in there {
        if kept.contains(file.as_str()) || !Kind::ALL.iter().any(|kind| kind.owns(&file)) {
            continue;
        }
        let name = file.trim_end_matches(".json");
        if observe::is_orphan(folder, &file)? {
            report.notes.push(format!(
                "{name} has no manifest any more; it lives on by its deletionPolicy Orphan"
            ));
            continue;
        }
        folder.remove(RESOURCES, &file)?;
        folder.remove(STATE, &file)?;
        report.removed += 1;
        report.lines.push(format!(
            "{name} removed; its credentials file was left where it is"
        ));
    }
    Ok(())
}

/// Collects everything that is wrong, in the order of the files.
#[derive(Default)]
struct Complainer(Vec<Complaint>);

impl Complainer {
    fn at(&mut self, origin: &Origin, owner: &str, message: impl fmt::Display) {
        let place = origin.to_string();
        let message = if owner.is_empty() {
            message.to_string()
        } else {
            format!("{owner}: {message}")
        };
        self.0.push(Complaint { place, message });
    }
}

struct Complaints<'a>(&'a [Complaint]);

impl fmt::Display for Complaints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_place: BTreeMap<&str, usize> = BTreeMap::new();
        for complaint in self.0 {
            writeln!(f, "{}: {}", complaint.place, complaint.message)?;
            let file = complaint.place.split(':').next().unwrap_or_default();
            *by_place.entry(file).or_default() += 1;
        }
        let count = self.0.len();
        let files = by_place.len();
        write!(
            f,
            "{count} error{} in {files} file{}; nothing was written",
            if count == 1 { "" } else { "s" },
            if files == 1 { "" } else { "s" },
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        let Self {
            created,
            changed,
            unchanged,
            removed,
            ..
        } = self;
        let total = created + changed + unchanged;
        write!(
            f,
            "{total} resource{}: {created} created, {changed} changed, {unchanged} unchanged; {removed} removed",
            if total == 1 { "" } else { "s" },
        )
    }
}
