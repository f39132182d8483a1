-- One row per flight. The bytes of the file are a blob beside the database
-- (src/store/blobs.rs); a row is written only after its blob is durable.
CREATE TABLE flights (
    id         TEXT    NOT NULL PRIMARY KEY,         -- ULID, canonical
    subject    TEXT    NOT NULL,                     -- the owner: `sub` of the identity
    sha256     BLOB    NOT NULL CHECK (length(sha256) = 32),
    bytes      INTEGER NOT NULL CHECK (bytes > 0),
    created_at INTEGER NOT NULL,                     -- milliseconds since 1970, UTC
    started_at INTEGER NOT NULL,                     -- takeoff (else first fix), seconds since 1970, UTC
    summary    TEXT    NOT NULL CHECK (json_valid(summary))  -- igc::Summary, derived from the blob
) STRICT;

-- A pilot has each file once, however many uploads of it race.
CREATE UNIQUE INDEX flights_by_content ON flights (subject, sha256);

-- The order in which a pilot's flights are listed.
CREATE INDEX flights_by_start ON flights (subject, started_at DESC, id DESC);
