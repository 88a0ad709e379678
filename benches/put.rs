//! What an upload costs, of the parts that run in the agent: process CPU time and wall time of
//! `upload::worker::run` from a spool full of pictures to the last one stored, beside the same PUTs
//! without a spool, and beside the limit (see `put/limit.rs`). Then, one picture at a time: how long it
//! takes from being handed to the spool until the store has it.
//!
//! Driven by `benches/put/run`, which starts a store and says by `PUT_*` where it is; without those it
//! only says so. The last line is JSON.

// This binary's purpose is to print.
#![allow(clippy::print_stdout)]

#[path = "support/device.rs"]
mod device;
#[path = "put/limit.rs"]
mod limit;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use device::{Cost, Device, body};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinSet;
use vedette::contract::key::key;
use vedette::contract::metadata::metadata;
use vedette::contract::stored::StoredNotice;
use vedette::grant::{AddressStyle, Provider, S3Settings, Secret};
use vedette::upload::attempt::Courier;
use vedette::upload::classify::Verdict;
use vedette::upload::http::Limits;
use vedette::upload::worker::{self, Deps, Tuning};
use vedette::upload::{DestinationSettings, Item, Settings, UploadState};

/// Pictures of the one-at-a-time part.
const SINGLE: usize = 60;

/// What `benches/put/run` asks for.
struct Task {
    destination: DestinationSettings,
    secure: bool,
    prefix: String,
    count: usize,
    bytes: usize,
    concurrency: usize,
}

fn main() {
    let Some(task) = Task::from_env() else {
        println!("This needs a store: run benches/put/run, which starts one and says where it is.");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .expect("a runtime");
    runtime.block_on(measure(&task));
}

async fn measure(task: &Task) {
    let sender = Sender::new("spool", task);
    let bodies: Vec<Bytes> = (0..task.count).map(|n| body(n as u64, task.bytes)).collect();
    let fill = Cost::of(sender.fill(&bodies)).await.1;
    let limit = limit::client(&bodies, task.secure);
    let attempts = Sender::new("attempts", task).attempts(&bodies).await;
    let worker = Cost::of(sender.upload(bodies.len())).await.1;
    let snapshot = sender.device.spool.snapshot().await.expect("an open spool");
    assert!(snapshot.holds() && snapshot.queued == 0, "not all was stored: {snapshot:?}");
    let single = Sender::new("single", task).one_at_a_time().await;
    let bare = Sender::new("bare", task).bare().await;

    let count = task.count as f64;
    let per_put = |t: Duration| t.as_secs_f64() * 1e3 / count;
    let told = serde_json::json!({
        "puts": snapshot.stored,
        "objects": 2 * task.count + 2 * SINGLE,
        "cpu_ms_per_put": per_put(worker.cpu),
        "puts_per_s": count / worker.wall.as_secs_f64(),
        "attempts_cpu_ms_per_put": per_put(attempts.cpu),
        "limit_cpu_ms_per_put": per_put(limit),
        "fill_cpu_ms_per_picture": per_put(fill.cpu),
        "fills_per_s": count / fill.wall.as_secs_f64(),
        "stored_ms_p50": percentile(&single, 50),
        "stored_ms_p99": percentile(&single, 99),
        "bare_ms_p50": percentile(&bare, 50),
    });
    println!("{told}");
}

impl Task {
    fn from_env() -> Option<Self> {
        let text = |name: &str| std::env::var(format!("PUT_{name}")).ok();
        let number = |name| text(name).and_then(|t| t.parse().ok());
        let endpoint: url::Url = text("ENDPOINT")?.parse().ok()?;
        Some(Self {
            secure: endpoint.scheme() == "https",
            destination: DestinationSettings::S3(Box::new(S3Settings {
                endpoint,
                bucket: text("BUCKET")?,
                region: text("REGION")?,
                style: AddressStyle::Path,
                provider: Provider::Seaweedfs,
                access_key: text("ACCESS_KEY")?,
                secret_key: Secret(text("SECRET_KEY")?),
                session_token: None,
                ca_file: text("CA").map(Into::into),
            })),
            prefix: text("PREFIX")?,
            count: number("COUNT")?,
            bytes: number("BYTES")?,
            concurrency: number("CONCURRENCY")?,
        })
    }

    fn settings(&self) -> Settings {
        let (destination, concurrency) = (self.destination.clone(), self.concurrency);
        Settings {
            destination,
            concurrency,
            wait_for_clock: Duration::from_secs(60),
            reliable_notices: false,
        }
    }
}

/// A device, and where its pictures go.
struct Sender<'a> {
    device: Device,
    dir: tempfile::TempDir,
    task: &'a Task,
}

impl<'a> Sender<'a> {
    /// One with an empty spool; `name` becomes the camera's.
    fn new(name: &str, task: &'a Task) -> Self {
        // Beside the build, which is on a disk, where /tmp may be memory.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let template = format!("{}/{{camera}}/{{yyyy}}/{{seq}}-{{sha16}}.jpg", task.prefix);
        let device = Device::new(dir.path().join("spool"), name, template);
        Self { device, dir, task }
    }

    /// Fills the spool in bursts.
    async fn fill(&self, bodies: &[Bytes]) {
        for burst in bodies.chunks(device::BURST) {
            self.device.keep(burst).await;
        }
    }

    /// Runs the uploader while `until` lasts.
    async fn uploading<T>(
        &self,
        until: impl AsyncFnOnce(watch::Receiver<UploadState>, broadcast::Receiver<StoredNotice>) -> T,
    ) -> T {
        let (state, watched) = watch::channel(UploadState::default());
        let (notices, noticed) = broadcast::channel(64);
        let (stop, stopped) = oneshot::channel::<()>();
        let deps = Deps {
            spool: self.device.spool.clone(),
            timekeeper: self.device.keeper.clone(),
            settings: self.task.settings(),
            notices,
            state,
            tuning: Tuning::default(),
        };
        let guide = async {
            let done = until(watched, noticed).await;
            drop(stop);
            done
        };
        tokio::join!(worker::run(deps, async { drop(stopped.await) }), guide).1
    }

    /// The whole backlog: claim, load, check, sign, PUT, durable removal.
    async fn upload(&self, count: usize) {
        let all = async |mut state: watch::Receiver<UploadState>, _| {
            state.wait_for(|s| s.stored == count as u64).await.expect("a running uploader");
        };
        self.uploading(all).await;
    }

    /// The same PUTs out of memory.
    async fn attempts(&self, bodies: &[Bytes]) -> Cost {
        let numbered = bodies.iter().zip(1..);
        let mut items = numbered.map(|(body, seq)| self.item(seq, body)).collect::<Vec<_>>();
        let courier = Arc::new(self.courier());
        Cost::of(async {
            let mut tasks = JoinSet::new();
            while let Some(item) = items.pop() {
                if tasks.len() == self.task.concurrency {
                    tasks.join_next().await.expect("one runs").expect("no panic");
                }
                let courier = Arc::clone(&courier);
                tasks.spawn(
                    async move { assert_eq!(courier.attempt(&item).await, Verdict::Stored) },
                );
            }
            tasks.join_all().await;
        })
        .await
        .1
    }

    /// Milliseconds from `Spool::store` to the store's answer written down, one after the other.
    async fn one_at_a_time(&self) -> Vec<f64> {
        let bodies: Vec<_> =
            (0..SINGLE).map(|n| body(n as u64 ^ 0xffff_0000, self.task.bytes)).collect();
        let each = async |_, mut noticed: broadcast::Receiver<StoredNotice>| {
            let mut times = Vec::new();
            for body in &bodies {
                let began = Instant::now();
                self.device.store(body);
                noticed.recv().await.expect("a running uploader");
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            times
        };
        self.uploading(each).await
    }

    /// What must be waited for at least: one file made durable, and one PUT.
    async fn bare(&self) -> Vec<f64> {
        let courier = self.courier();
        let mut times = Vec::new();
        for seq in 1..=SINGLE as u64 {
            let item = self.item(seq, &body(seq ^ 0xfff_0000, self.task.bytes));
            let began = Instant::now();
            make_durable(&self.dir.path().join(seq.to_string()), &item.body);
            assert_eq!(courier.attempt(&item).await, Verdict::Stored);
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        times
    }

    fn item(&self, seq: u64, body: &Bytes) -> Item {
        let facts = self.device.facts(seq, body);
        let (key, meta) = (key(&facts, facts.wall), metadata(&facts, facts.wall));
        Item { key, wall: facts.wall, facts, body: body.clone(), meta }
    }

    fn courier(&self) -> Courier {
        Courier::new(&self.task.destination, Limits::default(), self.device.keeper.clone())
            .expect("a client")
    }
}

fn make_durable(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::File::create_new(path).expect("a new file");
    file.write_all(bytes).and_then(|()| file.sync_data()).expect("a working disk");
}

fn percentile(times: &[f64], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}
