//! `shim.c`: what stands between a watched process and its C library. This side compiles it and says by
//! the environment what it is to do; the C file says what that may be.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiled library.
pub(crate) struct Shim {
    library: PathBuf,
}

impl Shim {
    /// Compiles it into `dir`.
    pub(crate) fn build(dir: &Path) -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/shim.c");
        let library = dir.join("shim.so");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        let out = cc.output().expect("cc runs: tools/setup test installs it");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Self { library }
    }

    /// The environment of a process whose calls below `root` are watched.
    pub(crate) fn on(&self, root: &Path, settings: &[(&str, String)]) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut env = vec![
            ("LD_PRELOAD".to_owned(), text(&self.library)),
            ("VEDETTE_SHIM_ROOT".to_owned(), text(root)),
        ];
        env.extend(
            settings.iter().map(|(name, value)| (format!("VEDETTE_SHIM_{name}"), value.clone())),
        );
        env
    }
}
