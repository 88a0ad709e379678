-- The index, version 1. It can be rebuilt from the image files but for what has left them: the sums.

-- One row: this ledger and where its numbers stand.
CREATE TABLE ledger (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  spool         TEXT    NOT NULL,  -- uuid of spool.json
  generation    INTEGER NOT NULL,  -- moves on when the index was lost and rebuilt
  began_boot    TEXT    NOT NULL,  -- when this generation began: boot,
  began_ns      INTEGER NOT NULL,  --   CLOCK_BOOTTIME,
  began_wall_ms INTEGER,           --   wall time if it was trusted
  high_seq      INTEGER NOT NULL   -- files above this have no row yet
) STRICT;

CREATE TABLE cameras (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE boots (
  id    INTEGER PRIMARY KEY,
  boot  TEXT    NOT NULL UNIQUE,
  items INTEGER NOT NULL CHECK (items >= 0)  -- queued or quarantined pictures of this boot
) STRICT;

-- The account. Every row balances by itself, so every sum of rows does.
CREATE TABLE totals (
  camera            INTEGER NOT NULL,
  class             INTEGER NOT NULL,            -- 0 interval, 1 event, 2 best
  kept              INTEGER NOT NULL DEFAULT 0,
  stored            INTEGER NOT NULL DEFAULT 0,
  queued            INTEGER NOT NULL DEFAULT 0 CHECK (queued >= 0),
  quarantined       INTEGER NOT NULL DEFAULT 0 CHECK (quarantined >= 0),
  lost              INTEGER NOT NULL DEFAULT 0,
  queued_bytes      INTEGER NOT NULL DEFAULT 0 CHECK (queued_bytes >= 0),
  quarantined_bytes INTEGER NOT NULL DEFAULT 0 CHECK (quarantined_bytes >= 0),
  PRIMARY KEY (camera, class),
  CHECK (kept = stored + queued + quarantined + lost)
) STRICT, WITHOUT ROWID;

-- totals.lost by reason; reasons are open-ended.
CREATE TABLE losses (
  camera INTEGER NOT NULL,
  class  INTEGER NOT NULL,
  reason TEXT    NOT NULL,
  items  INTEGER NOT NULL,
  PRIMARY KEY (camera, class, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE items (
  seq      INTEGER PRIMARY KEY,
  state    INTEGER NOT NULL,            -- 0 waiting for a clock, 1 ready, 2 quarantined, 3 done
  camera   INTEGER NOT NULL,
  class    INTEGER NOT NULL,
  boot     INTEGER NOT NULL,
  bytes    INTEGER NOT NULL,            -- of the file
  attempts INTEGER NOT NULL DEFAULT 0,  -- answers that refused it
  outcome  TEXT                         -- of done and quarantined rows
) STRICT;

-- An index ends in the rowid, which is seq: this is (state, seq).
CREATE INDEX items_by_state ON items (state);
-- And this (class, seq), of what eviction may take.
CREATE INDEX items_by_class ON items (class) WHERE state < 2;
