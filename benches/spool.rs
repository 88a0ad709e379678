//! What the spool asks of the disk: device bytes per byte kept, flushes and CPU time per picture, for
//! pictures that come one at a time and in bursts, and for their removal once they are stored; and where pictures are
//! held in memory while uploads succeed.
//!
//! Driven by `benches/spool/run`, which makes an ext4 of its own on a loop device, so that the block
//! layer's counters are this spool's alone, and in the virtual device (`tests/device/scenarios/flash`), which has
//! UBIFS and f2fs too. SPOOL_PATH is a directory on it; what reached it is told by SPOOL_DEVICE, a block device's
//! name, or by SPOOL_FLASH, a histogram of the lengths that UBI wrote.

// This binary's purpose is to print.
#![allow(clippy::print_stdout)]

#[path = "support/device.rs"]
mod device;
#[path = "spool/medium.rs"]
mod medium;
#[path = "spool/spill.rs"]
mod spill;

use std::fs::File;
use std::path::PathBuf;

use bytes::Bytes;
use device::{BURST, Cost, Device, body};
use medium::Medium;
use tokio::task::JoinSet;
use vedette::contract::key::DEFAULT_TEMPLATE;
use vedette::spool::{Order, Outcome};

/// Pictures that come one at a time, and as many in bursts.
const PICTURES: usize = 512;
const BYTES: usize = 100_000;
/// Uploads that end together.
const TOGETHER: usize = 8;

fn main() {
    let Some(disk) = Disk::from_env() else {
        println!("This needs a disk of its own: run benches/spool/run, which makes one.");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(measure(&disk));
}

async fn measure(disk: &Disk) {
    let device = Device::new(disk.path.join("spool"), "disk", DEFAULT_TEMPLATE.into());
    let bodies: Vec<Bytes> = (0..2 * PICTURES).map(|n| body(n as u64, BYTES)).collect();
    let (single, burst) = bodies.split_at(PICTURES);
    println!("{PICTURES} pictures of {BYTES} bytes each way\n");
    println!("| | device bytes per byte | flushes per picture | CPU ms per picture | pictures/s |");
    println!("|---|---|---|---|---|");
    disk.row("kept, one at a time", async {
        for body in single.chunks(1) {
            device.keep(body).await;
        }
    })
    .await;
    disk.row(&format!("kept, in bursts of {BURST}"), async {
        for burst in burst.chunks(BURST) {
            device.keep(burst).await;
        }
    })
    .await;
    disk.row("removed, one at a time", remove(&device, 1)).await;
    disk.row(&format!("removed, {TOGETHER} at once"), remove(&device, TOGETHER)).await;
    spill::measure(disk, single, burst).await;
}

/// Claims and finishes [`PICTURES`] pictures as an uploader would, `together` at once.
async fn remove(device: &Device, together: usize) {
    for _ in 0..PICTURES / together {
        let mut claims = Vec::new();
        for _ in 0..together {
            let claim = device.spool.claim(Order::Oldest).await.expect("an open spool");
            claims.push(claim.expect("a picture"));
        }
        let mut told = JoinSet::new();
        for claim in claims {
            let spool = device.spool.clone();
            told.spawn(async move { spool.finish(claim.seq, Outcome::Stored, None).await });
        }
        while let Some(told) = told.join_next().await {
            told.expect("no panic").expect("an open spool");
        }
    }
}

/// A disk and its counters.
struct Disk {
    path: PathBuf,
    medium: Medium,
}

impl Disk {
    fn from_env() -> Option<Self> {
        Some(Self { path: std::env::var_os("SPOOL_PATH")?.into(), medium: Medium::from_env()? })
    }

    /// Does some work on [`PICTURES`] pictures and prints what it cost; what the file system wrote
    /// later is in the bytes, though not in the flushes.
    async fn row(&self, name: &str, work: impl Future<Output = ()>) {
        self.sync();
        let before = self.medium.written();
        let cost = Cost::of(work).await.1;
        let flushes = self.medium.written().flushes.zip(before.flushes);
        self.sync();
        let bytes = self.medium.written().bytes - before.bytes;
        let pictures = PICTURES as f64;
        let flushes = flushes.map_or("-".to_owned(), |(after, before)| {
            format!("{:.2}", (after - before) as f64 / pictures)
        });
        println!(
            "| {name} | {:.3} | {flushes} | {:.3} | {:.0} |",
            bytes as f64 / pictures / BYTES as f64,
            cost.cpu.as_secs_f64() * 1e3 / pictures,
            pictures / cost.wall.as_secs_f64(),
        );
    }

    fn sync(&self) {
        let dir = File::open(&self.path).expect("the directory");
        rustix::fs::syncfs(dir).expect("a working disk");
    }
}
