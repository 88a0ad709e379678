//! The same with pictures held in memory while uploads succeed, and written after all when they fail.

use bytes::Bytes;
use vedette::contract::key::DEFAULT_TEMPLATE;
use vedette::spool::{Claim, Durability, Order, Outcome, Spill};

use super::Disk;
use super::device::{BURST, Device};

/// Longer than the measurement takes.
const SPILL: Spill = Spill { max_bytes: 8 << 20, after: std::time::Duration::from_secs(300) };

pub(crate) async fn measure(disk: &Disk, stored: &[Bytes], written: &[Bytes]) {
    let path = disk.path.join("spill");
    let device = Device::with(path, "disk", DEFAULT_TEMPLATE.into(), Durability::Spill(SPILL));
    // Nothing is held before the store took a picture, and the first one that is held reserves numbers.
    for body in stored.iter().take(2) {
        deliver(&device, body).await;
    }
    disk.row("spill: stored, one at a time", async {
        for body in stored {
            deliver(&device, body).await;
        }
    })
    .await;
    disk.row(&format!("spill: written after all, {BURST} at once"), async {
        for burst in written.chunks(BURST) {
            device.keep(burst).await;
        }
    })
    .await;
}

/// From being handed over to being stored, as an uploader would.
async fn deliver(device: &Device, body: &Bytes) {
    device.store(body);
    let claim = claim(device).await;
    device.spool.finish(claim.seq, Outcome::Stored, None).await.expect("an open spool");
}

async fn claim(device: &Device) -> Claim {
    let mut changed = device.spool.changed();
    loop {
        changed.borrow_and_update();
        if let Some(claim) = device.spool.claim(Order::Newest).await.expect("an open spool") {
            return claim;
        }
        changed.changed().await.expect("an open spool");
    }
}
