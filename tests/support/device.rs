//! A device of a test: the real `vedette run` on a configuration of the test's own, asked over its control
//! socket. Loaded by `#[path = "support/device.rs"] mod device;`.

#![cfg(test)]
#![allow(dead_code, reason = "shared by tests of which each needs a part")]

#[path = "process.rs"]
pub(crate) mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use process::Process;
use rustix::process::Signal;
use tempfile::TempDir;
use vedette::control::{request::Request, socket};
use vedette::status::Status;

/// A running agent and the directory of all that is its own.
pub(crate) struct Device {
    dir: TempDir,
    agent: Option<Process>,
}

impl Device {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { dir, agent: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration: device, spool, socket and log are everyone's, the rest is `rest`.
    pub(crate) fn configure(&self, rest: &str) {
        let at = |name: &str| self.path(name).display().to_string();
        let config = format!(
            "[device]\nid = \"cam1\"\n[spool]\npath = \"{}\"\n[control]\nsocket = \"{}\"\n\
             [log]\nlevel = \"debug\"\nformat = \"text\"\n{rest}",
            at("spool"),
            at("control.sock"),
        );
        fs::write(self.path("vedette.toml"), config).unwrap();
    }

    /// Starts the agent; with `faketime`, the wall clock that it sees is that one.
    pub(crate) fn start(&mut self, faketime: Option<&str>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
        command.arg("run").arg("--config").arg(self.path("vedette.toml"));
        command.arg("--state-dir").arg(self.path("state"));
        if let Some(time) = faketime {
            // By LD_PRELOAD and not by the `faketime` command, which stands between us and its child.
            command.env("LD_PRELOAD", faketime_library()).env("FAKETIME", time).env("TZ", "UTC");
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
        }
        self.agent = Some(Process::spawn(&mut command, self.dir.path(), "vedette"));
    }

    /// Bytes of memory that the agent has of its own: RssAnon.
    pub(crate) fn memory(&self) -> u64 {
        let id = self.agent.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Has the agent read its configuration again.
    pub(crate) fn reload(&self) {
        self.agent.as_ref().unwrap().signal(Signal::HUP);
    }

    /// Asks the agent until `is` holds, and holds it to its sums each time; its early end or two minutes
    /// fail the test.
    pub(crate) fn wait(&mut self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + Duration::from_secs(120);
        let socket = self.path("control.sock");
        let mut last = String::new();
        loop {
            if let Ok(body) = socket::call(&socket, &Request::Status {}) {
                last = String::from_utf8(body).unwrap();
                let status: Status = serde_json::from_str(&last).unwrap();
                assert!(status.run.holds && status.ledger.holds, "the sums do not hold: {last}");
                if is(&status) {
                    return status;
                }
            }
            let agent = self.agent.as_mut().unwrap();
            let ended = agent.wait(Duration::from_millis(20));
            if ended.is_some() || Instant::now() > deadline {
                panic!("waited for {what}: {ended:?}\n{last}\n{}", tail(&agent.output()));
            }
        }
    }

    /// Sends the agent a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.agent.as_ref().unwrap().signal(signal);
    }

    /// Ends the agent with a signal that leaves it no time.
    pub(crate) fn kill(&mut self, signal: Signal) {
        let mut agent = self.agent.take().unwrap();
        agent.signal(signal);
        agent.wait(Duration::from_secs(30)).expect("it is gone");
    }

    /// Stops the agent in order.
    pub(crate) fn stop(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.signal(Signal::TERM);
        let ended = agent.wait(Duration::from_secs(30)).expect("it stops within its deadline");
        assert!(ended.success(), "{ended}\n{}", tail(&agent.output()));
    }
}

/// Every camera has shown all it had, and nothing is on its way to the disk or to the store.
pub(crate) fn all_stored(status: &Status) -> bool {
    status.cameras.values().all(|c| c.state == "ended")
        && status.run.in_hand == 0
        && status.run.chosen > 0
        && status.ledger.queued == 0
}

/// A camera that shows `frames` pictures of the synthetic street, each of which is kept.
pub(crate) fn camera(name: &str, frames: u32) -> String {
    format!(
        "[camera.{name}]\ninterval = \"100ms\"\n[camera.{name}.motion]\nenabled = false\n\
         [camera.{name}.scene]\nsize = \"160x120\"\nfps = 5.0\nframes = {frames}\n"
    )
}

/// Fakes the wall clock of whom it is preloaded to.
pub(crate) fn faketime_library() -> PathBuf {
    let there = |dir: PathBuf| dir.join("faketime/libfaketimeMT.so.1");
    let roots = [Path::new("/usr/lib"), Path::new("/usr/lib64")];
    let multiarch = fs::read_dir(roots[0]).unwrap().flatten().map(|entry| entry.path());
    multiarch
        .chain(roots.map(Path::to_path_buf))
        .map(there)
        .find(|library| library.exists())
        .expect("libfaketime is there: run tools/setup test")
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(4000);
    text.get(text.ceil_char_boundary(from)..).unwrap_or(text)
}
