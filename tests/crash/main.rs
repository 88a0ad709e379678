//! Proof that the spool loses nothing in a power cut.
//!
//! The real spool works on a disk that logs every write and flush. From the log come the states in which a
//! power cut may leave that disk; the spool's own recovery opens each of them, and the invariants are asked
//! for (`check`). Then bugs are planted, and each must be caught: a test that finds nothing proves little
//! until it was seen to find something.
//!
//! Reading order: `nbd` the disk, `disk` its mounting, `drive` the process that is watched, `replay` the
//! states, `check` what must hold, `tear` what ext4 does not do, `explore` all of it, `shim` and `trace` for
//! the bugs, `sweep` for kills.
//!
//! `make test` visits a few hundred states and tries some kills, `make crash` thousands (`--states N`,
//! `--seed N`) and all kills (`--all-kills`). States need root, for loop devices and mounts, all in a mount
//! namespace of its own; without, it says so and they are skipped. Kills need no root.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may fail by panic, its helpers too, and this one has no other harness"
)]

mod check;
mod disk;
mod drive;
mod explore;
#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "../spool/fixture.rs"]
mod fixture;
mod nbd;
mod replay;
mod shim;
mod sweep;
mod tear;
mod trace;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use disk::Journal;
use drive::Workload;
use explore::{Place, Report};
use shim::Shim;
use sweep::{Share, Sweep};

const INSIDE: &str = "VEDETTE_CRASH_INSIDE";
/// States that are visited where nobody says how many.
const STATES: usize = 240;

/// Kills of each part of the sweep where not all are asked for.
const KILLS: usize = 24;
/// Kills that must notice a bug in the code, if kills can.
const KILLS_FOR_A_BUG: usize = 200;

/// What is explored.
const WORKLOADS: [Workload; 6] = [
    Workload::Bursts,
    Workload::Singles,
    Workload::Uploads,
    Workload::Eviction,
    Workload::Spill,
    Workload::Rebuild,
];
const JOURNALS: [Journal; 2] = [Journal::Ordered, Journal::Writeback];

/// Bugs that a shim before the C library can plant, by name, and its rules.
const BUGS: [(&str, &str); 3] = [
    ("no-fdatasync", "sync:images:skip;start:images:skip"),
    ("no-directory-sync", "sync:dirs:skip"),
    ("removal-committed-without-sync", "sync:wal:skip"),
];

struct Arguments {
    states: usize,
    seed: u64,
    kills: Share,
    /// A bug is in the code: something must be wrong.
    bug: Option<String>,
    filters: Vec<String>,
    skips: Vec<String>,
}

impl Arguments {
    /// What `cargo test` passes on to other tests is let through.
    fn parse() -> Self {
        let (mut args, mut filters, mut skips) = (std::env::args().skip(1), vec![], vec![]);
        let (mut states, mut seed, mut bug) = (STATES, fastrand::u64(..1 << 32), None);
        let mut kills = Share(Some(KILLS));
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
            match arg.as_str() {
                "--states" => states = value().parse().unwrap(),
                "--seed" => seed = value().parse().unwrap(),
                "--all-kills" => kills = Share(None),
                "--bug" => bug = Some(value()),
                "--skip" => skips.push(value()),
                "--test-threads" | "--format" | "--color" => drop(value()),
                other if other.starts_with('-') => {}
                _ => filters.push(arg),
            }
        }
        Self { states, seed, kills, bug, filters, skips }
    }

    fn wants(&self, name: &str) -> bool {
        let any = |words: &[String]| words.iter().any(|word| name.contains(word.as_str()));
        (self.filters.is_empty() || any(&self.filters)) && !any(&self.skips)
    }
}

/// Counts, and tells of each test as cargo's own harness does.
struct Tally {
    args: Arguments,
    passed: u32,
    failed: u32,
    filtered: u32,
}

impl Tally {
    /// Runs one test; `Ok` and `Err` hold what to say of it.
    fn test(&mut self, name: &str, run: impl FnOnce(&Arguments) -> Result<String, String>) {
        if !self.args.wants(name) {
            self.filtered += 1;
            return;
        }
        match run(&self.args) {
            Ok(said) => {
                self.passed += 1;
                println!("test {name} ... ok{}{said}", if said.is_empty() { "" } else { ": " });
            }
            Err(said) => {
                self.failed += 1;
                println!("crash: {name}: {said}");
                println!("test {name} ... FAILED");
            }
        }
    }

    fn end(&self) -> ExitCode {
        let ok = if self.failed == 0 { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {ok}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out",
            self.passed, self.failed, self.filtered
        );
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn main() -> ExitCode {
    if drive::run_if_asked() {
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    let args = Arguments::parse();
    let mut tally = Tally { args, passed: 0, failed: 0, filtered: 0 };
    if std::env::var_os(INSIDE).is_some() {
        inside(&mut tally);
        return tally.end();
    }
    println!("\nrunning the spool's crash tests, seed {}", tally.args.seed);
    if tally.args.bug.is_none() {
        sweep_all(&mut tally);
    }
    let swept = tally.end();
    let explored = lacks().map_or_else(
        || go_inside(&tally.args),
        |why| {
            println!("crash: SKIPPED: {why}");
            println!(
                "\ntest result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out"
            );
            ExitCode::SUCCESS
        },
    );
    if swept == ExitCode::SUCCESS { explored } else { swept }
}

/// What needs mounts.
fn inside(tally: &mut Tally) {
    let work = tempfile::tempdir().unwrap();
    disk::run(Command::new("mount").args(["-t", "tmpfs", "crash"]).arg(work.path()));
    let place = Place::new(work.path());
    if let Some(bug) = tally.args.bug.clone() {
        tally.test(&format!("bug_{bug}"), |args| bug_in_the_code(&place, args));
    } else {
        explore_all(tally, &place);
        weigh(tally, &place);
        plant_bugs(tally, &place);
    }
    disk::umount(work.path());
}

fn sweep_all(tally: &mut Tally) {
    let mut sweep = Sweep::new();
    type Part = fn(&mut Sweep, Share, &mut fastrand::Rng) -> Result<(u64, usize), String>;
    let parts: [(&str, Part, usize); 3] = [
        ("row_04_kill_before_each_call_of_the_work", Sweep::work, 2),
        ("row_04_kill_before_each_call_of_recovery", Sweep::recovery, 1),
        ("row_04_kill_a_recovery_of_a_recovery", Sweep::twice, 1),
    ];
    for (name, part, weight) in parts {
        tally.test(name, |args| {
            let mut rng = fastrand::Rng::with_seed(args.seed);
            let share = match (args.kills, name.ends_with("of_recovery")) {
                // Ten states share what the others have alone.
                (Share(Some(most)), true) => Share(Some(most.div_ceil(10))),
                (Share(most), _) => Share(most.map(|most| most * weight)),
            };
            let (calls, tried) = part(&mut sweep, share, &mut rng)?;
            Ok(format!("{tried} kills of {calls}"))
        });
    }
}

/// Why this cannot run here.
fn lacks() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root, for loop devices and mounts".to_owned());
    }
    for device in ["/dev/fuse", "/dev/loop-control"] {
        if !Path::new(device).exists() {
            return Some(format!("there is no {device}"));
        }
    }
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "crash", "/mnt"]);
    let out = probe.output().ok()?;
    let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    (!out.status.success()).then(|| format!("nothing can be mounted here: {said}"))
}

/// Runs this program again in a mount namespace that ends with it.
fn go_inside(args: &Arguments) -> ExitCode {
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .args(["--seed", &args.seed.to_string()])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn explore_all(tally: &mut Tally, place: &Place) {
    let each = tally.args.states.div_ceil(WORKLOADS.len() * JOURNALS.len());
    let (shim, mut reports) = (Shim::build(&place.work), Vec::new());
    for workload in WORKLOADS {
        for journal in JOURNALS {
            let name = format!("rows_01_02_explore_{}_{}", workload.name(), journal.name());
            tally.test(&name, |args| {
                let recording = place.record(workload, journal, &shim, "");
                let report = place.explore(&recording, each, args.seed);
                reports.push(report.clone());
                match report.first {
                    None => Ok(format!("{} states", report.states)),
                    Some(first) => {
                        Err(format!("{} of {} states: {first}", report.bad, report.states))
                    }
                }
            });
        }
    }
    if !reports.is_empty() {
        println!("{}", table(&reports));
    }
}

/// What reaches the disk for each byte that is kept: the images, their trailers, directories and rows.
fn weigh(tally: &mut Tally, place: &Place) {
    for (workload, most) in [(Workload::Burst100k, 1.25), (Workload::Single100k, 1.5)] {
        tally.test(&format!("row_15_{}_bytes_written", workload.name()), |_| {
            let weight =
                place.record(workload, Journal::Ordered, &Shim::build(&place.work), "").weight();
            let (share, flushes) = (weight.written / weight.kept, weight.flushes / weight.pictures);
            let said = format!("{share:.3} bytes a byte, {flushes:.2} flushes a picture");
            if share <= most { Ok(said) } else { Err(format!("{said}; {most} is the most")) }
        });
    }
}

fn plant_bugs(tally: &mut Tally, place: &Place) {
    let shim = Shim::build(&place.work);
    let traced = |rules: Option<&str>| {
        let root = tempfile::tempdir_in(&place.work).unwrap();
        let rules = rules.map(|rules| shim.on(root.path(), &[("RULES", rules.to_owned())]));
        let shim = rules.unwrap_or_default();
        trace::check(&trace::record(Workload::Uploads, &root.path().join("spool"), &shim))
    };
    tally.test("what_is_told_was_flushed_before", |_| {
        traced(None).map_err(|e| e.to_string()).map(|()| String::new())
    });
    for (bug, rules) in BUGS {
        tally.test(&format!("bug_{bug}_is_caught"), |args| {
            let explored = caught(place, args, &shim, rules);
            let traced = traced(Some(rules)).err().map(|e| format!("by the trace: {e}"));
            let by = [explored, traced].into_iter().flatten().collect::<Vec<_>>().join("; ");
            if by.is_empty() { Err("nobody noticed".to_owned()) } else { Ok(by) }
        });
    }
}

/// Explores the workloads in which every order matters; what was found, if anything was.
fn caught(place: &Place, args: &Arguments, shim: &Shim, rules: &str) -> Option<String> {
    let each = args.states.div_ceil(12);
    let reports: Vec<Report> = [
        (Workload::Bursts, Journal::Ordered),
        (Workload::Spill, Journal::Ordered),
        (Workload::Uploads, Journal::Ordered),
        (Workload::Uploads, Journal::Writeback),
    ]
    .into_iter()
    .map(|(workload, journal)| {
        let recording = place.record(workload, journal, shim, rules);
        place.explore(&recording, each, args.seed)
    })
    .collect();
    let (bad, states) = (reports.iter().map(|r| r.bad).sum::<usize>(), each * reports.len());
    let first = reports.into_iter().find_map(|report| report.first)?;
    Some(format!("by {bad} of {states} states: {first}"))
}

/// The tree that this was built from has a bug: seen by states, by the trace, or by kills.
fn bug_in_the_code(place: &Place, args: &Arguments) -> Result<String, String> {
    let explored = caught(place, args, &Shim::build(&place.work), "");
    let spool = place.work.join("spool");
    let traced = trace::check(&trace::record(Workload::Uploads, &spool, &[]));
    let traced = traced.err().map(|e| format!("by the trace: {e}"));
    let mut rng = fastrand::Rng::with_seed(args.seed);
    let swept = Sweep::new().work(Share(Some(KILLS_FOR_A_BUG)), &mut rng).err();
    let swept = swept.map(|e| format!("by a kill: {e}"));
    let by = [explored, traced, swept].into_iter().flatten().collect::<Vec<_>>().join("; ");
    if by.is_empty() { Err("nobody noticed".to_owned()) } else { Ok(by) }
}

fn table(reports: &[Report]) -> String {
    let mut text = String::from(
        "\n| workload | journal | writes | flushes | acknowledged | states | adopted | torn | holes | removals finished | rebuilt | bad |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut states = 0;
    for r in reports {
        let f = &r.found;
        states += r.states;
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            r.workload,
            r.journal,
            r.writes,
            r.flushes,
            r.acknowledged,
            r.states,
            f.adopted,
            f.torn,
            r.holes,
            f.finished,
            f.rebuilt,
            r.bad
        )
        .unwrap();
    }
    let bad: usize = reports.iter().map(|r| r.bad).sum();
    writeln!(text, "{states} states, {bad} of them bad").unwrap();
    text
}
