//! Kills: before each call that changes something on the disk, of the spool's work, of its recovery, and of
//! a recovery after a recovery that was killed.
//!
//! The page cache outlives a process, so this asks for the order of steps and not for flushes; the explorer
//! asks for those. The shim counts the calls that go through the C library: files, directories, names, and
//! all of SQLite's but the index's shared memory, which no recovery reads.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::check::{self, Found};
use crate::drive::{self, Said, Workload};
use crate::shim::Shim;

/// Recoveries that are killed: of so many states,
const STATES: u64 = 10;
/// and so many of those killed that come after a killed one.
const TWICE: usize = 50;

/// How much of it: all, or of each part no more than so many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share(pub(crate) Option<usize>);

impl Share {
    /// Numbers from 1 to `count`: all of them, or some.
    fn of(self, count: u64, rng: &mut fastrand::Rng) -> Vec<u64> {
        let mut all: Vec<u64> = (1..=count).collect();
        if let Some(most) = self.0 {
            rng.shuffle(&mut all);
            all.truncate(most);
            all.sort_unstable();
        }
        all
    }
}

/// A state that a kill has left.
struct Left {
    dir: TempDir,
    said: Said,
}

impl Left {
    fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    fn again(&self, place: &Path) -> Self {
        let dir = TempDir::new_in(place).unwrap();
        // Killed before the very first call, there is no directory yet.
        if self.spool().exists() {
            let copied = Command::new("cp").arg("-a").arg(self.spool()).arg(dir.path()).status();
            assert!(copied.unwrap().success());
        }
        Self { dir, said: self.said.clone() }
    }
}

/// The sweeps; durability does not matter here, so they work in memory where they can.
pub(crate) struct Sweep {
    shim: Shim,
    place: TempDir,
    runtime: tokio::runtime::Runtime,
    pub(crate) found: Found,
}

impl Sweep {
    pub(crate) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let place = TempDir::new_in(memory).or_else(|_| TempDir::new()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { shim: Shim::build(place.path()), place, runtime, found: Found::default() }
    }

    /// Every call of a spool's work on eight pictures. How many calls there are, and how many were tried.
    pub(crate) fn work(
        &mut self,
        share: Share,
        rng: &mut fastrand::Rng,
    ) -> Result<(u64, usize), String> {
        let calls = self.count(Workload::Eight, &self.empty());
        let points = share.of(calls, rng);
        for at in &points {
            let mut left = self.empty();
            self.run(Workload::Eight, &mut left, *at);
            self.judge(&left).map_err(|e| format!("killed before call {at} of {calls}: {e}"))?;
        }
        Ok((calls, points.len()))
    }

    /// Every call of recovery from states that kills have left, in three of them without an index.
    pub(crate) fn recovery(
        &mut self,
        share: Share,
        rng: &mut fastrand::Rng,
    ) -> Result<(u64, usize), String> {
        let (mut calls, mut tried) = (0, 0);
        for state in 0..STATES {
            let left = self.killed(state, rng);
            let count = self.count(Workload::Open, &left.again(self.place.path()));
            for at in share.of(count, rng) {
                let mut left = left.again(self.place.path());
                self.run(Workload::Open, &mut left, at);
                self.judge(&left)
                    .map_err(|e| format!("state {state}, recovery killed before call {at}: {e}"))?;
                tried += 1;
            }
            calls += count;
        }
        Ok((calls, tried))
    }

    /// Points of a recovery whose recovery is killed too.
    pub(crate) fn twice(
        &mut self,
        share: Share,
        rng: &mut fastrand::Rng,
    ) -> Result<(u64, usize), String> {
        let many = share.0.map_or(TWICE, |most| most.min(TWICE));
        for n in 0..many {
            let mut left = self.killed(n as u64 % STATES, rng);
            let first = rng.u64(1..=self.count(Workload::Open, &left.again(self.place.path())));
            self.run(Workload::Open, &mut left, first);
            let second = rng.u64(1..=self.count(Workload::Open, &left.again(self.place.path())));
            self.run(Workload::Open, &mut left, second);
            self.judge(&left).map_err(|e| format!("killed at {first}, then at {second}: {e}"))?;
        }
        Ok((many as u64, many))
    }

    /// A state that a kill has left at some point of the work; every third has no index.
    fn killed(&self, state: u64, rng: &mut fastrand::Rng) -> Left {
        let calls = self.count(Workload::Eight, &self.empty());
        let mut left = self.empty();
        self.run(Workload::Eight, &mut left, rng.u64(1..=calls));
        if state % 3 == 2 && left.spool().join("index.db").exists() {
            for name in ["index.db", "index.db-wal", "index.db-shm"] {
                std::fs::remove_file(left.spool().join(name)).ok(); // the last two need not be there
            }
            left.said.wiped = true;
        }
        left
    }

    fn empty(&self) -> Left {
        Left { dir: TempDir::new_in(self.place.path()).unwrap(), said: Said::default() }
    }

    /// How many calls a workload makes that change something.
    fn count(&self, workload: Workload, left: &Left) -> u64 {
        let file = left.dir.path().join("count");
        let count = file.to_str().unwrap().to_owned();
        let shim = self.shim.on(&left.spool(), &[("COUNT", count)]);
        let mut child = drive::start(workload, &left.spool(), &shim);
        let status = drive::listen(&mut child, || 0, |_, _| true);
        assert!(status.success(), "{}: {status}", workload.name());
        std::fs::read_to_string(file).unwrap().trim().parse().unwrap()
    }

    /// Runs a workload that is killed before one of its calls, and hears what it says.
    fn run(&self, workload: Workload, left: &mut Left, kill: u64) {
        let shim = self.shim.on(&left.spool(), &[("KILL", kill.to_string())]);
        let mut child = drive::start(workload, &left.spool(), &shim);
        let said = &mut left.said;
        let status = drive::listen(
            &mut child,
            || 0,
            |_, line| {
                said.hear(line);
                true
            },
        );
        // Groups are not the same in every run, so that the last numbers may not be reached.
        assert!(status.signal() == Some(9) || status.success(), "{}: {status}", workload.name());
    }

    fn judge(&mut self, left: &Left) -> Result<(), String> {
        let found = self.runtime.block_on(check::check(&left.spool(), &left.said, Workload::Eight));
        self.found.add(found.map_err(|e| format!("{e:#}"))?);
        Ok(())
    }
}
