-- The index, version 4: purges that were accepted and are worked off, a page at a time; their commands end with them.
-- A lost index loses them unfinished, with their commands: nobody was told that they were done.
CREATE TABLE purges (
  command INTEGER PRIMARY KEY,  -- its number
  wanted  TEXT    NOT NULL,     -- JSON: which pictures
  upto    INTEGER NOT NULL,     -- the highest sequence number when it was accepted
  above   INTEGER NOT NULL,     -- pictures up to this one are done with
  receipt TEXT    NOT NULL      -- JSON: what was removed so far
) STRICT;
