//! A child process of a test: its output goes to files, its end is waited for, never slept for, and it
//! does not outlive the test.
//!
//! Used for the `vedette` binary (`Command::new(env!("CARGO_BIN_EXE_vedette"))`) and for the servers
//! that tests start. A file loads this by `#[path = "support/process.rs"] mod process;`.

#![cfg(test)]
#![allow(dead_code, reason = "shared by tests of which each needs a part")]

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A running child; killed and reaped when dropped.
pub(crate) struct Process {
    child: Child,
    pidfd: OwnedFd,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs appended to `dir/name.log` and no standard input.
    pub(crate) fn spawn(command: &mut Command, dir: &Path, name: &str) -> Self {
        let log = dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let err = out.try_clone().unwrap();
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        Self { child, pidfd, log }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; a child that has ended meanwhile is not an error.
    pub(crate) fn signal(&self, signal: Signal) {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(e) => panic!("signal {signal:?}: {e}"),
        }
    }

    /// Waits until the child ends, at most `limit`; `None` when it is still running then.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap();
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return None,
                Ok(_) => return Some(self.child.wait().unwrap()),
                Err(Errno::INTR) => {}
                Err(e) => panic!("poll: {e}"),
            }
        }
    }

    /// All that the child wrote so far, both outputs as they came.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // Without an end here the child would stay a zombie; a panic in drop would hide the test's own.
        self.child.wait().ok();
    }
}
