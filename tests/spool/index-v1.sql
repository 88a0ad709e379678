-- A spool's index as version 1 wrote it: a frozen fixture, as sqlite3's .dump told it. Its pictures are
-- those of the tests' fixture: 1 stored, 2 quarantined, 3 lost, 4 refused once, 5 queued, 6 waiting.
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE ledger (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  spool         TEXT    NOT NULL,  -- uuid of spool.json
  generation    INTEGER NOT NULL,  -- moves on when the index was lost and rebuilt
  began_boot    TEXT    NOT NULL,  -- when this generation began: boot,
  began_ns      INTEGER NOT NULL,  --   CLOCK_BOOTTIME,
  began_wall_ms INTEGER,           --   wall time if it was trusted
  high_seq      INTEGER NOT NULL   -- files above this have no row yet
) STRICT;
INSERT INTO ledger VALUES(1,'1e17827c-b005-4c7b-9fd5-759ac396c97c',1,'11111111-0000-4000-8000-000000000000',1,NULL,6);
CREATE TABLE cameras (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO cameras VALUES(1,'front');
CREATE TABLE boots (
  id    INTEGER PRIMARY KEY,
  boot  TEXT    NOT NULL UNIQUE,
  items INTEGER NOT NULL CHECK (items >= 0)  -- queued or quarantined pictures of this boot
) STRICT;
INSERT INTO boots VALUES(1,'11111111-0000-4000-8000-000000000000',4);
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
INSERT INTO totals VALUES(1,0,1,0,0,0,1,0,0);
INSERT INTO totals VALUES(1,1,4,1,3,0,0,3453,0);
INSERT INTO totals VALUES(1,2,1,0,0,1,0,0,2458);
CREATE TABLE losses (
  camera INTEGER NOT NULL,
  class  INTEGER NOT NULL,
  reason TEXT    NOT NULL,
  items  INTEGER NOT NULL,
  PRIMARY KEY (camera, class, reason)
) STRICT, WITHOUT ROWID;
INSERT INTO losses VALUES(1,0,'missing',1);
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
INSERT INTO items VALUES(2,2,1,2,1,2458,0,'rejected: no such name');
INSERT INTO items VALUES(4,1,1,1,1,958,1,NULL);
INSERT INTO items VALUES(5,1,1,1,1,1158,0,NULL);
INSERT INTO items VALUES(6,0,1,1,1,1337,0,NULL);
CREATE INDEX items_by_state ON items (state);
CREATE INDEX items_by_class ON items (class) WHERE state < 2;
COMMIT;
