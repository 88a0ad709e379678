//! A large backlog: lays one down, and measures what a claim costs of it. Driven by `benches/backlog/run`.
//!
//! - `lay DIR PICTURES BYTES REMOVED` lays down random pictures; a size of 0 means JPEGs of about 100 kB. REMOVED
//!   pictures with lower numbers were there before and are gone.
//! - `claims DIR…` prints the CPU time of a claim from each spool, alternating, as a table.

// This binary's purpose is to print.
#![allow(clippy::print_stdout)]

#[path = "../tests/support/backlog.rs"]
mod backlog;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backlog::Backlog;
use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use vedette::clock::{BootId, BootTime};
use vedette::spool::retention::Limits;
use vedette::spool::{Durability, Moment, Order, Outcome, Settings, Spool};

/// Claims in a round, and rounds: the least of all counts, since other work can only add to it.
const CLAIMS: u32 = 2000;
const ROUNDS: usize = 7;
/// Pictures that rest after a refusal.
const RESTING: usize = 500;

fn main() {
    // Cargo adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["lay", dir, pictures, bytes, removed] => {
            lay(Path::new(dir), number(pictures), number(bytes), number(removed));
        }
        ["claims", dirs @ ..] if !dirs.is_empty() => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(claims(dirs));
        }
        _ => println!("This needs spools: run benches/backlog/run, which lays them down."),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn lay(dir: &Path, pictures: u64, bytes: u64, removed: u64) {
    let jpeg = (bytes == 0).then(jpeg);
    let bytes = usize::try_from(bytes).expect("a size");
    let began = Instant::now();
    let plan = Backlog { pictures, removed, bytes, jpeg: jpeg.as_ref(), index: true };
    let sum = plan.lay(dir);
    println!(
        "{pictures} pictures, {:.2} GB, laid down in {:.0} s",
        sum as f64 / 1e9,
        began.elapsed().as_secs_f64()
    );
}

/// A real JPEG of about 100 kB: 720p, a gradient with noise.
fn jpeg() -> Bytes {
    let (width, height) = (1280, 720);
    let mut random = fastrand::Rng::with_seed(1);
    let pixels: Vec<u8> =
        (0..width * height).map(|i| (i % width / 8) as u8 + random.u8(0..24)).collect();
    let image = turbojpeg::Image {
        pixels: pixels.as_slice(),
        width,
        pitch: width,
        height,
        format: turbojpeg::PixelFormat::GRAY,
    };
    let tries =
        (30..95).map(|quality| turbojpeg::compress(image, quality, turbojpeg::Subsamp::Gray));
    let found = tries.map(|jpeg| jpeg.expect("a JPEG")).find(|jpeg| jpeg.len() > 95_000);
    Bytes::from(found.expect("one that is large enough").to_vec())
}

/// What stands in the way of a claim, and which end it is made from.
const WAYS: [(&str, Order, bool); 4] = [
    ("newest", Order::Newest, false),
    ("oldest", Order::Oldest, false),
    ("newest, 8 under way and 500 at rest", Order::Newest, true),
    ("oldest, 8 under way and 500 at rest", Order::Oldest, true),
];

async fn claims(dirs: &[&str]) {
    println!("CPU µs of a claim and its return, least of {ROUNDS} × {CLAIMS}\n");
    println!("| | {} |", dirs.iter().map(|d| name(d)).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(dirs.len()));
    for (way, order, busy) in WAYS {
        let mut least = vec![Duration::MAX; dirs.len()];
        for _ in 0..ROUNDS {
            for (least, dir) in least.iter_mut().zip(dirs) {
                *least = (*least).min(claim(dir, order, busy).await);
            }
        }
        let cells = least.iter().map(|cpu| format!("{:.1}", cpu.as_secs_f64() * 1e6));
        println!("| {way} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}

fn name(dir: &str) -> &str {
    Path::new(dir).file_name().and_then(|n| n.to_str()).unwrap_or(dir)
}

/// CPU time of the whole process for one claim.
async fn claim(dir: &str, order: Order, busy: bool) -> Duration {
    let now = Moment { boot: BootId(backlog::BOOT.into()), at: BootTime(1 << 62), wall: None };
    let (limits, durability) = (Limits::bytes(1 << 50), Durability::Always);
    let settings = Settings { path: PathBuf::from(dir), limits, durability };
    let (spool, _) = Spool::open(&settings, now).expect("a spool");
    let mut held = Vec::new();
    if busy {
        let orders = vec![order; RESTING];
        for claim in spool.claim_each(orders).await.expect("an open spool") {
            let hour = Some(Duration::from_secs(3600));
            spool.finish(claim.seq, Outcome::Released, hour).await.expect("an open spool");
        }
        held = spool.claim_each(vec![order; 8]).await.expect("an open spool");
    }
    let began = cpu();
    for _ in 0..CLAIMS {
        let claim = spool.claim(order).await.expect("an open spool");
        drop(claim.expect("a picture"));
    }
    let took = (cpu() - began) / CLAIMS;
    drop(held);
    spool.stop().await;
    took
}

fn cpu() -> Duration {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec.unsigned_abs(), t.tv_nsec as u32)
}
