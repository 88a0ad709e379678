-- The index, version 2: what is followed beyond a picture's own life. Of this, commands and events of
-- pictures that are still queued can be rebuilt from the image files; the outbox and the flags cannot.

-- What an operator set. A missing one is 0.
CREATE TABLE flags (
  name  TEXT    PRIMARY KEY,  -- paused; events-dropped
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE commands (
  number INTEGER PRIMARY KEY,  -- later ones have higher ones
  id     TEXT    NOT NULL UNIQUE,
  op     TEXT    NOT NULL,
  state  INTEGER NOT NULL,     -- 0 open: its effect is under way, 1 taken: waits for its pictures, 2 ended
  wanted INTEGER NOT NULL,     -- pictures it asks for
  taken  INTEGER NOT NULL DEFAULT 0,  -- pictures that were kept, from state 1 on
  tell   TEXT    NOT NULL,     -- JSON: where its end is told
  fault  TEXT,                 -- JSON: what it will end with, in state 1
  told   TEXT    NOT NULL      -- JSON: what was told of it last
) STRICT;

-- An index ends in the rowid, which is number: this is (state, number).
CREATE INDEX commands_by_state ON commands (state);

CREATE TABLE events (
  number      INTEGER PRIMARY KEY,
  camera      TEXT    NOT NULL,
  event       TEXT    NOT NULL,
  boot        TEXT    NOT NULL,  -- of the event
  began_ns    INTEGER NOT NULL,  -- CLOCK_BOOTTIME; of its first kept picture until its end is told
  ended_boot  TEXT,              -- when its end was told: boot,
  ended_ns    INTEGER,           --   CLOCK_BOOTTIME; NULL while it goes on
  duration_ms INTEGER,
  why         TEXT,
  chosen      INTEGER,
  UNIQUE (camera, event)
) STRICT;

-- The pictures of commands and events. Rows go with their owner.
CREATE TABLE members (
  seq      INTEGER NOT NULL,
  kind     INTEGER NOT NULL,            -- 0 of a command, 1 of an event
  owner    INTEGER NOT NULL,            -- its number
  state    INTEGER NOT NULL DEFAULT 0,  -- 0 pending, 1 stored, 2 quarantined, 3 lost
  key      TEXT,
  size     INTEGER,
  sha256   TEXT,
  captured TEXT,
  reason   TEXT,
  PRIMARY KEY (seq, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_by_owner ON members (kind, owner, state);

-- Messages that must arrive. Numbers are never used again, so that a late acknowledgement hits nobody else.
CREATE TABLE outbox (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  kind        INTEGER NOT NULL,  -- 0 outcome, 1 alarm, 2 stored
  topic       TEXT    NOT NULL,
  payload     BLOB    NOT NULL,
  correlation BLOB
) STRICT;

CREATE TABLE outbox_sums (
  kind    INTEGER PRIMARY KEY,
  put     INTEGER NOT NULL DEFAULT 0,
  arrived INTEGER NOT NULL DEFAULT 0,
  queued  INTEGER NOT NULL DEFAULT 0 CHECK (queued >= 0),
  dropped INTEGER NOT NULL DEFAULT 0,
  bytes   INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),  -- of the queued ones
  CHECK (put = arrived + queued + dropped)
) STRICT;

INSERT INTO outbox_sums (kind) VALUES (0), (1), (2);
