//! The rows, in SQLite.
//!
//! One connection writes and four read. A [`Change`] is one transaction: whatever
//! must become true together (a flight and the event that tells of it) is written
//! through the same `Change` and becomes true with its commit.

use std::collections::HashSet;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Row, Sqlite, Transaction};

use super::{OpenError, Position, StoreError};
use crate::flight::{Flight, FlightId, Sha256};
use crate::identity::Subject;

pub(super) struct Database {
    read: SqlitePool,
    write: SqlitePool,
}

impl Database {
    pub(super) async fn open(file: &Path) -> Result<Database, OpenError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL would lose the last commits with the power supply.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true);
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections);
        let write = pool(1)
            .connect_with(options.clone())
            .await
            .map_err(StoreError::from)?;
        sqlx::migrate!("./migrations").run(&write).await?;
        let read = pool(4)
            .connect_with(options)
            .await
            .map_err(StoreError::from)?;
        Ok(Database { read, write })
    }

    pub(super) async fn change(&self) -> Result<Change, StoreError> {
        // IMMEDIATE: a transaction that begins with a read and then writes could
        // find that it read what is no longer so.
        Ok(Change {
            transaction: self.write.begin_with("BEGIN IMMEDIATE").await?,
        })
    }

    pub(super) async fn by_id(
        &self,
        owner: &Subject,
        id: FlightId,
    ) -> Result<Option<Flight>, StoreError> {
        let row = sqlx::query("SELECT * FROM flights WHERE subject = ? AND id = ?")
            .bind(owner.as_str())
            .bind(id.to_string())
            .fetch_optional(&self.read)
            .await?;
        row.map(|row| flight(&row)).transpose()
    }

    pub(super) async fn by_content(
        &self,
        owner: &Subject,
        sha256: Sha256,
    ) -> Result<Option<Flight>, StoreError> {
        let row = sqlx::query("SELECT * FROM flights WHERE subject = ? AND sha256 = ?")
            .bind(owner.as_str())
            .bind(sha256.as_bytes())
            .fetch_optional(&self.read)
            .await?;
        row.map(|row| flight(&row)).transpose()
    }

    pub(super) async fn page(
        &self,
        owner: &Subject,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Vec<Flight>, StoreError> {
        let query = match after {
            None => sqlx::query(
                "SELECT * FROM flights WHERE subject = ? ORDER BY started_at DESC, id DESC LIMIT ?",
            )
            .bind(owner.as_str()),
            Some(after) => sqlx::query(
                "SELECT * FROM flights WHERE subject = ? AND (started_at, id) < (?, ?) \
                 ORDER BY started_at DESC, id DESC LIMIT ?",
            )
            .bind(owner.as_str())
            .bind(after.started_at.as_second())
            .bind(after.id.to_string()),
        };
        let rows = query.bind(limit).fetch_all(&self.read).await?;
        rows.iter().map(flight).collect()
    }

    /// The ids of all flights of all pilots.
    pub(super) async fn ids(&self) -> Result<HashSet<FlightId>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT id FROM flights")
            .fetch_all(&self.read)
            .await?;
        rows.into_iter().map(|(id,)| flight_id(&id)).collect()
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        Ok(sqlx::query("SELECT id FROM flights LIMIT 1")
            .fetch_optional(&self.read)
            .await
            .map(drop)?)
    }

    pub(super) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// What becomes true together. Dropped without a commit it never was.
pub(super) struct Change {
    transaction: Transaction<'static, Sqlite>,
}

pub(super) enum Inserted {
    Yes,
    AlreadyThere(Box<Flight>),
}

impl Change {
    /// A new flight of this owner, unless the owner has the same file already.
    pub(super) async fn insert_flight(
        &mut self,
        owner: &Subject,
        flight: &Flight,
    ) -> Result<Inserted, StoreError> {
        let summary = serde_json::to_string(&flight.summary)
            .map_err(|error| unreadable(&flight.id, &error))?;
        let bytes = i64::try_from(flight.bytes).map_err(|error| unreadable(&flight.id, &error))?;
        let inserted = sqlx::query(
            "INSERT INTO flights (id, subject, sha256, bytes, created_at, started_at, summary) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (subject, sha256) DO NOTHING",
        )
        .bind(flight.id.to_string())
        .bind(owner.as_str())
        .bind(flight.sha256.as_bytes())
        .bind(bytes)
        .bind(flight.created_at.as_millisecond())
        .bind(flight.started_at().as_second())
        .bind(summary)
        .execute(&mut *self.transaction)
        .await?;
        if inserted.rows_affected() == 1 {
            return Ok(Inserted::Yes);
        }
        let row = sqlx::query("SELECT * FROM flights WHERE subject = ? AND sha256 = ?")
            .bind(owner.as_str())
            .bind(flight.sha256.as_bytes())
            .fetch_one(&mut *self.transaction)
            .await?;
        Ok(Inserted::AlreadyThere(Box::new(self::flight(&row)?)))
    }

    /// Deletes a flight of this owner; the flight that it was.
    pub(super) async fn delete_flight(
        &mut self,
        owner: &Subject,
        id: FlightId,
    ) -> Result<Option<Flight>, StoreError> {
        let row = sqlx::query("DELETE FROM flights WHERE subject = ? AND id = ? RETURNING *")
            .bind(owner.as_str())
            .bind(id.to_string())
            .fetch_optional(&mut *self.transaction)
            .await?;
        row.map(|row| flight(&row)).transpose()
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

fn flight(row: &SqliteRow) -> Result<Flight, StoreError> {
    let id = flight_id(row.try_get("id")?)?;
    let bytes: i64 = row.try_get("bytes")?;
    let summary: &str = row.try_get("summary")?;
    Ok(Flight {
        id,
        created_at: Timestamp::from_millisecond(row.try_get("created_at")?)
            .map_err(|error| unreadable(&id, &error))?,
        sha256: Sha256::from_slice(row.try_get("sha256")?)
            .ok_or_else(|| unreadable(&id, &"a digest that is not 32 bytes long"))?,
        bytes: u64::try_from(bytes).map_err(|error| unreadable(&id, &error))?,
        summary: serde_json::from_str(summary).map_err(|error| unreadable(&id, &error))?,
    })
}

fn flight_id(text: &str) -> Result<FlightId, StoreError> {
    FlightId::from_str(text).map_err(|error| unreadable(text, &error))
}

fn unreadable(id: &(impl ToString + ?Sized), reason: &impl ToString) -> StoreError {
    StoreError::Row {
        id: id.to_string(),
        reason: reason.to_string(),
    }
}
