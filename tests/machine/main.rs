//! The whole spool against a reference model, with power cuts.
//!
//! Random operations (`ops`) are done to the real spool and to a model of maps and numbers (`model`); after each the
//! two are compared (`compare`): the account by camera, class and reason, every row, every file, what is followed and
//! what is to be told. A power cut leaves of everything that was not flushed nothing, all, or a part (`disk`), at the
//! end of an operation or in the middle of one, in a recovery too; then the spool opens what is left.
//!
//! The spool runs in a process of its own, whose calls are written down by a library before the C library: no root is
//! needed. `make test` runs some hundred sequences, `make machine` thousands; the seed is printed, and what fails is
//! made as small as it will go:
//!
//!     MACHINE_CASES=5000 MACHINE_SEED=7 cargo test --test machine -- --nocapture

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panic, its helpers too"
)]

mod asked;
#[path = "../spool/command_model.rs"]
mod command_model;
mod compare;
mod disk;
#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "../spool/fixture.rs"]
mod fixture;
mod model;
mod ops;
mod pictures;
mod world;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};

use world::World;

const LOG: &str = "VEDETTE_DISK_LOG";
const HOME: &str = "VEDETTE_MACHINE_HOME";
/// Sequences where nobody says how many.
const CASES: u64 = 300;

/// What was said last by something that panicked, and where.
static LAST: Mutex<String> = Mutex::new(String::new());

#[test]
fn whatever_is_done_to_it_and_whenever_the_power_goes_the_spool_does_what_the_model_does() {
    if std::env::var_os(LOG).is_some() {
        return run();
    }
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |n| n.parse().expect("a number"))
    };
    let (cases, seed) =
        (number("MACHINE_CASES", CASES), number("MACHINE_SEED", fastrand::u64(..1 << 32)));
    // Memory where there is some: what reaches the disk is the model's business here, not the machine's.
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let (tools, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in(place).unwrap());
    let name =
        "whatever_is_done_to_it_and_whenever_the_power_goes_the_spool_does_what_the_model_does";
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .envs(disk::watch(tools.path(), home.path(), &home.path().with_extension("log")))
        .env(HOME, home.path())
        .env("MACHINE_CASES", cases.to_string())
        .env("MACHINE_SEED", seed.to_string())
        .output()
        .unwrap();
    std::fs::remove_file(home.path().with_extension("log")).ok(); // it may not have begun
    let text = [out.stdout, out.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    eprintln!("machine: {cases} sequences, seed {seed}");
    assert!(out.status.success() && text[0].contains("1 passed"), "{}\n{}", text[0], text[1]);
    eprintln!("{}", text[1].trim());
}

/// In the process that is watched.
fn run() {
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (cases, seed) = (number("MACHINE_CASES"), number("MACHINE_SEED"));
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        max_shrink_iters: 1500,
        failure_persistence: None::<Box<FileFailurePersistence>>.map(|p| p as _),
        ..Config::default()
    };
    let mut bytes = [0; 32];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    std::panic::set_hook(Box::new(|info| *LAST.lock().unwrap() = info.to_string()));
    let (mut steps, mut cuts) = (0_u64, 0_u64);
    let (steps_in, cuts_in) = (std::cell::Cell::new(0_u64), std::cell::Cell::new(0_u64));
    let done = runner.run(&ops::ops(), |ops| {
        steps_in.set(steps_in.get() + ops.len() as u64);
        let is_cut = |op: &&ops::Op| matches!(op, ops::Op::PowerCut { .. });
        cuts_in.set(cuts_in.get() + ops.iter().filter(is_cut).count() as u64);
        let played = std::panic::catch_unwind(|| play(ops));
        played.map_err(|_| TestCaseError::fail(LAST.lock().unwrap().clone()))
    });
    drop(std::panic::take_hook());
    steps += steps_in.get();
    cuts += cuts_in.get();
    match done {
        Ok(()) => eprintln!("{steps} operations, {cuts} power cuts"),
        Err(TestError::Fail(why, ops)) => {
            panic!("seed {seed}: {why}\nof these operations: {ops:#?}")
        }
        Err(TestError::Abort(why)) => panic!("seed {seed}: {why}"),
    }
}

fn play(ops: Vec<ops::Op>) {
    let home = tempfile::tempdir_in(std::env::var_os(HOME).unwrap()).unwrap();
    let log = PathBuf::from(std::env::var_os(LOG).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(home.path().to_owned(), &log).await;
        for op in ops {
            world.step(op).await;
        }
        world.lent.clear();
        world.f.spool.stop().await;
    });
}
