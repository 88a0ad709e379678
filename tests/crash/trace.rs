//! The order of system calls, where a file system would hide that it is wrong.
//!
//! ext4's journal carries a new name along with the next thing that anybody flushes, and file data before
//! the metadata that tells of it. So what must be flushed before what is asked of the calls themselves.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::drive::{self, Workload};

/// Runs a workload and gives its writes, flushes and removals in order.
pub(crate) fn record(workload: Workload, spool: &Path, shim: &[(String, String)]) -> String {
    let trace = spool.with_extension("trace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-y", "-s", "64"])
        .args(["-e", "trace=write,pwrite64,fsync,fdatasync,unlink,unlinkat", "-o"])
        .arg(&trace);
    for (name, value) in shim {
        strace.arg("-E").arg(format!("{name}={value}"));
    }
    strace.arg(std::env::current_exe().unwrap());
    drive::tell(&mut strace, workload, spool);
    let mut child = strace.spawn().expect("strace runs: tools/setup test installs it");
    let status = drive::listen(&mut child, || 0, |_, _| true);
    assert!(status.success(), "{status}");
    std::fs::read_to_string(trace).unwrap()
}

/// - file, then its directory, then the acknowledgement;
/// - no image is removed while the index's log has writes that were not flushed, nor before any were.
pub(crate) fn check(trace: &str) -> Result<()> {
    let (mut files, mut named) = (BTreeSet::new(), BTreeSet::new());
    let (mut log_is_dirty, mut commits, mut storing) = (false, 0_u32, 0_u32);
    let (mut acknowledged, mut removed) = (0, 0);
    for line in trace.lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let path = call.split(['<', '>', '"']).nth(1).unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let seq = (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten();
        if call.starts_with("fsync(") || call.starts_with("fdatasync(") {
            match (seq, u64::from_str_radix(name, 16)) {
                (Some(seq), _) => drop(files.insert(seq)),
                (None, Ok(dir)) if name.len() == 8 => {
                    named.extend(files.iter().filter(|seq| *seq >> 10 == dir).copied());
                }
                _ if name == "index.db-wal" => {
                    commits += u32::from(log_is_dirty);
                    log_is_dirty = false;
                }
                _ => {}
            }
        } else if call.starts_with("pwrite64(") && name == "index.db-wal" {
            log_is_dirty = true;
        } else if call.starts_with("unlink") && seq.is_some() {
            ensure!(!log_is_dirty, "an image is removed before its removal is flushed: {line}");
            ensure!(commits > storing, "an image is removed before its removal is written: {line}");
            removed += 1;
        } else if call.starts_with("write(1<") {
            if let Some((_, seq)) = line.split_once("\"kept ") {
                let seq: u64 = seq.split('\\').next().unwrap_or_default().parse()?;
                ensure!(files.contains(&seq), "{seq} is acknowledged before its file is flushed");
                ensure!(named.contains(&seq), "{seq} is acknowledged before its name is flushed");
                acknowledged += 1;
            }
            if line.contains("\"storing ") {
                storing = commits;
            }
        }
    }
    ensure!(acknowledged > 0 && removed > 0, "{acknowledged} acknowledged, {removed} removed");
    Ok(())
}
