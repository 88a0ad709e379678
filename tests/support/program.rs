//! Programs that a test makes itself. A file loads this by `#[path = "support/program.rs"] mod program;`.
//!
//! They are written by another process. While this one has a program open for writing, a child that another of
//! its threads is just starting holds it open as well, and then it cannot be run: "text file busy" (ETXTBSY in
//! execve(2)), now and then.

#![cfg(test)]
#![allow(dead_code, reason = "shared by tests of which each needs a part")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes `to` a copy of the program `from` that everybody may run.
pub(crate) fn install(from: &Path, to: &Path) {
    let made = Command::new("install").args(["-D", "-m", "755"]).arg(from).arg(to).status();
    assert!(made.unwrap().success(), "{} was not made", to.display());
}

/// Makes `to` a program of this text.
pub(crate) fn script(to: &Path, text: &str) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let draft = to.with_extension("draft");
    fs::write(&draft, text).unwrap();
    install(&draft, to);
    fs::remove_file(draft).unwrap();
}
