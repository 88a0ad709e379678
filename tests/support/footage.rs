//! Real footage for tests: Debian's `vtest.avi` (pedestrians, 768x576, 795 frames) as a UVC camera
//! would send it.
//!
//! `tools/footage` makes each clip once and keeps it under `target/footage`. What it needs is installed
//! by `tools/setup test`; without it the test fails.

#![cfg(test)]

use std::path::PathBuf;
use std::process::Command;

/// Frames in the clip.
pub(crate) const VTEST_FRAMES: usize = 795;

/// An MJPEG AVI of 768x576 4:2:2 frames.
pub(crate) fn vtest() -> PathBuf {
    let tool = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tools/footage");
    let made = Command::new(tool).arg("vtest").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim_end())
}
