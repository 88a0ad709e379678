//! What benches share: a device with a real spool, pictures for it, and what something cost.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use vedette::account::Account;
use vedette::clock::{Clock, SystemClock, Timekeeper, TrustPolicy};
use vedette::contract::{Class, Facts, Trigger};
use vedette::frame::Stamp;
use vedette::spool::{self, Durability, Moment, Spool, trailer};
use vedette::still::Shot;

/// Pictures that arrive together.
pub(crate) const BURST: usize = 32;

/// A device with a spool of its own.
pub(crate) struct Device {
    pub(crate) keeper: Timekeeper,
    pub(crate) spool: Spool,
    camera: String,
    key_template: String,
    account: Account,
    clock: Arc<SystemClock>,
    kept: AtomicU64,
    /// Each picture is the only one of its event: what is held in memory must be.
    alone: bool,
}

impl Device {
    pub(crate) fn new(path: PathBuf, camera: &str, key_template: String) -> Self {
        Self::with(path, camera, key_template, Durability::Always)
    }

    pub(crate) fn with(
        path: PathBuf,
        camera: &str,
        key_template: String,
        durability: Durability,
    ) -> Self {
        let clock = Arc::new(SystemClock::new());
        let keeper = Timekeeper::new(clock.clone(), TrustPolicy::Always);
        let now = keeper.boottime();
        let moment = Moment { boot: clock.boot_id(), at: now, wall: keeper.wall_at(now) };
        let limits = spool::retention::Limits::bytes(1 << 40);
        let settings = spool::Settings { path, limits, durability };
        let (spool, _) = Spool::open(&settings, moment).expect("spool");
        let (camera, account) = (camera.to_owned(), Account::new(u64::MAX));
        let (kept, alone) = (AtomicU64::new(0), durability != Durability::Always);
        Self { keeper, spool, camera, key_template, account, clock, kept, alone }
    }

    /// A picture as the still thread would describe it.
    pub(crate) fn facts(&self, seq: u64, body: &[u8]) -> Facts {
        let captured = self.keeper.boottime();
        let meta: BTreeMap<_, _> = [("site", "bern"), ("motion", "0.043"), ("box", "120-80-64-96")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        Facts {
            boot: self.clock.boot_id(),
            seq,
            captured,
            stamp: Stamp::Driver,
            wall: self.keeper.wall_at(captured),
            device: "bench-1".into(),
            camera: self.camera.clone(),
            trigger: Trigger::Motion,
            event: Some(format!("0f3c9a52-{seq:x}")),
            event_final: self.alone,
            command: None,
            class: Class::Event,
            content_type: "image/jpeg".into(),
            len: body.len() as u64,
            sha256: trailer::sha256_hex(body),
            meta,
            key_template: self.key_template.clone(),
        }
    }

    /// Hands pictures over together and waits until they are kept.
    pub(crate) async fn keep(&self, bodies: &[Bytes]) {
        bodies.iter().for_each(|body| self.store(body));
        self.spool.flush().await.expect("an open spool");
        let kept = self.kept.load(Ordering::Relaxed);
        assert_eq!(self.account.sums().kept, kept, "not every picture was kept");
    }

    /// Hands a picture over.
    pub(crate) fn store(&self, body: &Bytes) {
        let seq = self.kept.fetch_add(1, Ordering::Relaxed) + 1;
        let token = self.account.choose(body.len() as u64).expect("an endless budget");
        let (bytes, facts) = (body.clone(), self.facts(seq, body));
        self.spool.store(Shot { bytes, facts, token });
    }
}

/// Random, so that no file system and no store can make less of it.
pub(crate) fn body(seed: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes.into()
}

/// CPU time of the whole process, and wall time.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

impl Cost {
    pub(crate) async fn of<T>(work: impl Future<Output = T>) -> (T, Self) {
        let (cpu, began) = (clock(ClockId::ProcessCPUTime), Instant::now());
        let done = work.await;
        (done, Self { cpu: clock(ClockId::ProcessCPUTime) - cpu, wall: began.elapsed() })
    }
}

pub(crate) fn clock(id: ClockId) -> Duration {
    let t = clock_gettime(id);
    Duration::new(t.tv_sec.unsigned_abs(), t.tv_nsec as u32)
}
