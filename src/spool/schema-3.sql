-- The index, version 3: what eviction may take, by camera: (camera, class, seq). No camera's backlog is walked through
-- for another's.
DROP INDEX items_by_class;
CREATE INDEX items_by_camera ON items (camera, class) WHERE state < 2;

-- CLOCK_BOOTTIME of a boot's last picture: how long the boot lasted, for the age of pictures whose clock nobody trusted.
ALTER TABLE boots ADD COLUMN last_ns INTEGER NOT NULL DEFAULT 0;
