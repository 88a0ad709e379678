//! The explorer: records what a workload does to a disk, and asks the spool's own recovery of each state
//! that a power cut may have left.

use std::path::{Path, PathBuf};

use crate::check::{self, Found};
use crate::disk::{self, Journal, Logged};
use crate::drive::{self, Said, Workload};
use crate::nbd::Op;
use crate::shim::Shim;
use crate::{replay, tear};

/// A workload's life on a disk.
pub(crate) struct Recording {
    workload: Workload,
    journal: Journal,
    ops: Vec<Op>,
    /// What was said, each with how many operations the disk had been told by then.
    said: Vec<(usize, String)>,
}

/// What a workload costs the disk, from the spool's opening on to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight {
    pub(crate) pictures: f64,
    /// Bytes of pictures that were kept.
    pub(crate) kept: f64,
    /// Bytes that the disk was told to write.
    pub(crate) written: f64,
    pub(crate) flushes: f64,
}

impl Recording {
    #[allow(clippy::cast_precision_loss, reason = "a few megabytes")]
    pub(crate) fn weight(&self) -> Weight {
        let opened = self.said.iter().find(|(_, line)| line == "open").map_or(0, |(at, _)| *at);
        let pictures =
            self.said.iter().filter(|(_, line)| line.starts_with("kept ")).count() as f64;
        let (mut written, mut flushes) = (0.0, 0.0);
        for op in &self.ops[opened..] {
            match op {
                Op::Write(_, bytes) => written += bytes.len() as f64,
                Op::Flush => flushes += 1.0,
            }
        }
        Weight { pictures, kept: pictures * drive::LARGE as f64, written, flushes }
    }
}

/// What came of exploring one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) workload: &'static str,
    pub(crate) journal: &'static str,
    pub(crate) writes: usize,
    pub(crate) flushes: usize,
    pub(crate) acknowledged: usize,
    pub(crate) states: usize,
    pub(crate) found: Found,
    /// Holes cut into files that were not durable.
    pub(crate) holes: u64,
    /// States in which something was wrong, and the first of them.
    pub(crate) bad: usize,
    pub(crate) first: Option<String>,
}

/// Where things lie, and an empty file system.
pub(crate) struct Place {
    pub(crate) work: PathBuf,
    pub(crate) base: Vec<u8>,
}

impl Place {
    pub(crate) fn new(work: &Path) -> Self {
        Self { work: work.to_owned(), base: disk::format(work) }
    }

    /// Runs a workload on a logged disk, in several lives: all but the last are killed, and the next goes on
    /// with what is in the page cache.
    pub(crate) fn record(
        &self,
        workload: Workload,
        journal: Journal,
        shim: &Shim,
        rules: &str,
    ) -> Recording {
        let logged = Logged::mount(self.work.join("logged"), self.base.clone(), journal);
        let (spool, trigger) = (logged.root().join("spool"), self.work.join("trigger"));
        // In the middle of the commit of a removal; and between two things that were told.
        let kill = format!("sync:wal:kill:~{};{rules}", trigger.display());
        let shim = shim.on(&logged.root(), &[("RULES", kill)]);
        let lives: &[(usize, usize)] = match workload {
            Workload::Uploads => &[(3, usize::MAX), (usize::MAX, 70), (usize::MAX, usize::MAX)],
            _ => &[(usize::MAX, usize::MAX)],
        };
        let (log, mut said) = (logged.log.clone(), Vec::new());
        for (commit, lines) in lives {
            let mut child = drive::start(workload, &spool, &shim);
            let (mut heard, mut storing) = (0, 0);
            let status = drive::listen(
                &mut child,
                || log.len(),
                |at, line| {
                    heard += 1;
                    storing += usize::from(line.starts_with("storing"));
                    if storing == *commit && line.starts_with("storing") {
                        std::fs::write(&trigger, "").unwrap();
                    }
                    said.push((at, line.to_owned()));
                    heard < *lines
                },
            );
            let meant = [*commit, *lines] != [usize::MAX; 2];
            assert_eq!(status.success(), !meant, "{}: {status}", workload.name());
        }
        Recording { workload, journal, ops: logged.unmount(), said }
    }

    /// Visits `count` states of a recording.
    pub(crate) fn explore(&self, recording: &Recording, count: usize, seed: u64) -> Report {
        let Recording { workload, journal, ops, said } = recording;
        let flushes = ops.iter().filter(|op| **op == Op::Flush).count();
        let mut report = Report {
            workload: workload.name(),
            journal: journal.name(),
            writes: ops.len() - flushes,
            flushes,
            acknowledged: said.iter().filter(|(_, line)| line.starts_with("kept ")).count(),
            states: count,
            ..Report::default()
        };
        let mut rng = fastrand::Rng::with_seed(seed);
        replay::states(&self.base, ops, 0, count, &mut rng, |state| {
            let mut by_then = Said::default();
            said.iter().filter(|(at, _)| *at <= state.at).for_each(|(_, line)| by_then.hear(line));
            match self.judge(state, &by_then, *workload, *journal, &mut report.holes) {
                Ok(found) => report.found.add(found),
                Err(error) => {
                    report.bad += 1;
                    report.first.get_or_insert_with(|| {
                        let what = format!("{} {} seed {seed}", workload.name(), journal.name());
                        format!("{what}, after {} of {}: {error:#}", state.at, ops.len())
                    });
                }
            }
        });
        report
    }

    fn judge(
        &self,
        state: &replay::State<'_>,
        said: &Said,
        workload: Workload,
        journal: Journal,
        holes: &mut u64,
    ) -> anyhow::Result<Found> {
        let (file, root) = (self.work.join("state.img"), self.work.join("state"));
        replay::lay_down(state.image, &file)?;
        std::fs::create_dir_all(&root)?;
        disk::mount(&file, &root, journal);
        let mut rng = fastrand::Rng::with_seed(state.seed);
        let spool = root.join("spool");
        if !said.wiped && rng.bool() {
            *holes += tear::tear(&spool, &self.work, said, &mut rng);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let found = runtime.block_on(check::check(&spool, said, workload));
        disk::umount(&root);
        found
    }
}
