//! Composition root: builds, spawns, stops in order; the only file that knows everyone.
