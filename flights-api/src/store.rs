//! Where flights are kept: rows in SQLite, files as blobs beside it.
//!
//! What must hold at any instant, a lost power supply included: **a row has its
//! blob**. Hence the order. An upload makes its blob durable, then commits its
//! row; a deletion commits first, then removes the blob. What a crash leaves is at
//! worst a blob without a row, and opening the store sweeps those away.
//!
//! A blob belongs to one flight (`blobs.rs`), so no deletion reaches the bytes of
//! another, and no upload races with the deletion of the same file.

mod blobs;
mod lock;
mod sqlite;

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::flight::{Flight, FlightId, NoRandomness, Sha256};
use crate::identity::{Delete, Permit, Read, Write};
use crate::igc::Summary;
use blobs::Blobs;
use sqlite::{Database, Inserted};

/// The flights of all pilots. A handle: clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    // Released when the last handle goes.
    _lock: lock::DirectoryLock,
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the data directory {} is in use by another flights-api: stop it, or give this one another --data", .0.display())]
    InUse(PathBuf),
    /// The directory cannot be made or written.
    #[error("cannot use the data directory {}: {source}", directory.display())]
    Directory {
        /// The directory that was given.
        directory: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A migration failed.
    #[error("cannot bring the database to this version: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The database or the blobs cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an operation on the store failed. None is the caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The blobs.
    #[error("blobs: {0}")]
    Blobs(#[from] object_store::Error),
    /// A row that this version did not write.
    #[error("flight {id}: its row cannot be read: {reason}")]
    Row {
        /// The id in that row.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// No id could be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// What became of an upload.
#[derive(Debug)]
pub enum Added {
    /// A new flight.
    New(Flight),
    /// The pilot already has this file.
    Existing(Flight),
}

/// A place in a list of flights, newest first: everything after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// When the flight began ([`Flight::started_at`]).
    pub started_at: Timestamp,
    /// Which of those that began then.
    pub id: FlightId,
}

impl Store {
    /// Opens the store in this directory, which is made if need be, and sweeps
    /// away what a crash left.
    ///
    /// # Errors
    /// [`OpenError`], whose message says what to do.
    pub async fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
        let io = |source| OpenError::Directory {
            directory: directory.to_owned(),
            source,
        };
        make_directory(directory).map_err(io)?;
        let lock = lock::DirectoryLock::take(directory).map_err(io)?;
        let lock = lock.ok_or_else(|| OpenError::InUse(directory.to_owned()))?;
        let database = Database::open(&directory.join("flights.db")).await?;
        let blobs = Blobs::open(&directory.join("blobs")).map_err(io)?;
        let rows = database.ids().await?;
        let swept = blobs
            .sweep(|id| rows.contains(&id))
            .await
            .map_err(StoreError::from)?;
        tracing::info!(flights = rows.len(), swept, "opened the store");
        Ok(Store {
            inner: Arc::new(Inner {
                database,
                blobs,
                clock,
                _lock: lock,
            }),
        })
    }

    /// Keeps a file and what it says. Durable when this returns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add(
        &self,
        permit: &Permit<Write>,
        file: Bytes,
        summary: Summary,
    ) -> Result<Added, StoreError> {
        let Inner {
            database,
            blobs,
            clock,
            ..
        } = &*self.inner;
        let owner = permit.subject();
        let sha256 = Sha256::of(&file);
        if let Some(flight) = database.by_content(owner, sha256).await? {
            return Ok(Added::Existing(flight));
        }
        let now = clock.now();
        let flight = Flight {
            id: FlightId::new(now)?,
            created_at: Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now),
            sha256,
            bytes: file.len() as u64,
            summary,
        };
        blobs.put(&flight, file).await?;
        let mut change = database.change().await?;
        match change.insert_flight(owner, &flight).await? {
            Inserted::Yes => {
                change.commit().await?;
                Ok(Added::New(flight))
            }
            Inserted::AlreadyThere(existing) => {
                // Another upload of the same file won the race since we looked.
                drop(change);
                self.discard(&flight).await;
                Ok(Added::Existing(*existing))
            }
        }
    }

    /// Up to `limit` flights after this position, newest takeoff first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn page(
        &self,
        permit: &Permit<Read>,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Vec<Flight>, StoreError> {
        self.inner
            .database
            .page(permit.subject(), after, limit)
            .await
    }

    /// The flight of this id, if the subject has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flight(
        &self,
        permit: &Permit<Read>,
        id: FlightId,
    ) -> Result<Option<Flight>, StoreError> {
        self.inner.database.by_id(permit.subject(), id).await
    }

    /// The file of a flight, byte for byte; none if it was deleted meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn file(
        &self,
        permit: &Permit<Read>,
        flight: &Flight,
    ) -> Result<Option<Bytes>, StoreError> {
        match self.inner.blobs.get(flight).await {
            Ok(file) => Ok(Some(file)),
            Err(object_store::Error::NotFound { .. })
                if self.flight(permit, flight.id).await?.is_none() =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a flight and its file; the flight that it was, if the subject had it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(
        &self,
        permit: &Permit<Delete>,
        id: FlightId,
    ) -> Result<Option<Flight>, StoreError> {
        let mut change = self.inner.database.change().await?;
        let Some(flight) = change.delete_flight(permit.subject(), id).await? else {
            return Ok(None);
        };
        change.commit().await?;
        self.discard(&flight).await;
        Ok(Some(flight))
    }

    /// Whether the store can be reached.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.inner.database.ping().await?;
        Ok(self.inner.blobs.ping().await?)
    }

    /// Writes what is in the log of the database into its file, and closes it.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    /// Removes a blob that no row has any more. If that fails it is only space,
    /// and the next start sweeps it.
    async fn discard(&self, flight: &Flight) {
        if let Err(error) = self.inner.blobs.delete(flight).await {
            tracing::warn!(flight = %flight.id, %error, "cannot remove a blob; the next start will");
        }
    }
}

/// Makes the directory, for this user alone, and makes that durable.
fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let parent = directory.canonicalize()?;
    parent
        .parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
