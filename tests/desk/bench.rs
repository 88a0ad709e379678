//! What the desk's tests share: a desk on a real spool, with channels for the broker and the agent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use vedette::clock::{BootId, BootTime, Clock, Timekeeper, TrustPolicy, WallTime};
use vedette::contract::command::{Status, Told};
use vedette::control::command::RateLimit;
use vedette::control::desk::{self, Deps, DeskCounters, DeskSums};
use vedette::control::{Ask, Job, Reply};
use vedette::mqtt::{Ack, Delivery, Publication, Publisher};
use vedette::spool::{Queued, Spool};

use super::fixture::{BOOT, Fixture};

pub(crate) const PREFIX: &str = "vedette/v1/cam";
const S: u64 = 1_000_000_000;
/// 2030-01-01T00:00:00Z.
const NOW: i64 = 1_893_456_000_000;

/// A clock that the test moves; it is right.
#[derive(Debug, Default)]
pub(crate) struct Hands(AtomicU64);

impl Clock for Hands {
    fn boottime(&self) -> BootTime {
        BootTime(S + self.0.load(Ordering::SeqCst))
    }
    fn wall(&self) -> WallTime {
        WallTime(NOW + i64::try_from(self.0.load(Ordering::SeqCst) / 1_000_000).unwrap())
    }
    fn kernel_synchronised(&self) -> bool {
        true
    }
    fn set_by_rtc(&self) -> bool {
        true
    }
    fn boot_id(&self) -> BootId {
        BootId(BOOT.into())
    }
}

/// A desk at work, and everyone around it.
pub(crate) struct Bench {
    pub(crate) clock: Arc<Hands>,
    pub(crate) counters: Arc<DeskCounters>,
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) published: mpsc::Receiver<Publication>,
    deliveries: Option<mpsc::Sender<Delivery>>,
    shutdown: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
    others: JoinSet<()>,
}

/// Was a delivery acknowledged?
#[derive(Clone, Debug, Default)]
pub(crate) struct Acked(Arc<AtomicBool>);

impl Acked {
    pub(crate) fn yes(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A delivery of this payload, on the topic of command `id`.
pub(crate) fn delivery(id: &str, payload: impl Into<Vec<u8>>) -> (Delivery, Acked) {
    let acked = Acked::default();
    let done = acked.clone();
    let delivery = Delivery {
        topic: format!("{PREFIX}/cmd/{id}"),
        payload: payload.into().into(),
        retain: false,
        response_topic: None,
        correlation: None,
        ack: Ack::new(move || done.0.store(true, Ordering::SeqCst)),
    };
    (delivery, acked)
}

pub(crate) fn payload(id: &str, op: &str, args: Value) -> Vec<u8> {
    json!({ "id": id, "op": op, "args": args }).to_string().into_bytes()
}

impl Bench {
    pub(crate) fn new(spool: &Spool) -> Self {
        let clock = Arc::new(Hands::default());
        let timekeeper = Timekeeper::new(clock.clone(), TrustPolicy::Always);
        let (deliveries, from_broker) = mpsc::channel(4);
        let (publisher, published) = Publisher::new();
        let (agent, asks) = mpsc::channel(4);
        let counters = Arc::new(DeskCounters::default());
        let (shutdown, stop) = oneshot::channel();
        let deps = Deps {
            prefix: PREFIX.into(),
            spool: spool.clone(),
            timekeeper,
            deliveries: from_broker,
            publisher,
            agent,
            counters: Arc::clone(&counters),
            rate: RateLimit::default(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(desk::run(deps, async {
            stop.await.ok();
        }));
        let (deliveries, shutdown) = (Some(deliveries), Some(shutdown));
        Self {
            clock,
            counters,
            asks,
            published,
            deliveries,
            shutdown,
            tasks,
            others: JoinSet::new(),
        }
    }

    pub(crate) async fn deliver(&self, delivery: Delivery) {
        // Time goes on, so that the rate limit stands in nobody's way.
        self.pass(Duration::from_secs(1));
        self.deliver_at_once(delivery).await;
    }

    pub(crate) async fn deliver_at_once(&self, delivery: Delivery) {
        self.deliveries.as_ref().unwrap().send(delivery).await.unwrap();
    }

    /// Delivers a command without arguments, and no time goes by.
    pub(crate) async fn at_once(&self, id: &str, op: &str) {
        let (delivery, _) = delivery(id, payload(id, op, json!({})));
        self.deliver_at_once(delivery).await;
    }

    /// Nothing comes any more.
    pub(crate) fn hang_up(&mut self) {
        self.deliveries = None;
    }

    /// Answers whatever the agent is asked, and counts what is published and what is asked, until the
    /// desk has closed.
    pub(crate) fn served_by(
        &mut self,
        answer: impl Fn() -> Reply + Send + 'static,
    ) -> oneshot::Receiver<(u64, u64)> {
        let (_, no_asks) = mpsc::channel(1);
        let (_, nothing) = mpsc::channel(1);
        let mut asks = std::mem::replace(&mut self.asks, no_asks);
        let mut published = std::mem::replace(&mut self.published, nothing);
        let (done, counts) = oneshot::channel();
        self.others.spawn(async move {
            let (mut told, mut asked) = (0, 0);
            loop {
                tokio::select! {
                    Some(_) = published.recv() => told += 1,
                    Some((_, reply)) = asks.recv() => {
                        asked += 1;
                        reply.send(answer()).ok();
                    }
                    else => break,
                }
            }
            done.send((told, asked)).ok();
        });
        counts
    }

    /// Delivers a command.
    pub(crate) async fn command(&self, id: &str, op: &str, args: Value) -> Acked {
        let (delivery, acked) = delivery(id, payload(id, op, args));
        self.deliver(delivery).await;
        acked
    }

    /// Waits until the desk has done with all that was delivered before: by a command that it rejects.
    pub(crate) async fn come_so_far(&mut self) {
        self.command("mark", "reboot", json!({})).await;
        assert_eq!(self.rejection("mark").await, "unknown-op");
    }

    pub(crate) fn pass(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap();
        self.clock.0.fetch_add(ns, Ordering::SeqCst);
    }

    /// What is published next, and where.
    pub(crate) async fn publication(&mut self) -> (String, Told) {
        let next = tokio::time::timeout(Duration::from_secs(30), self.published.recv());
        let Publication { topic, payload, .. } = next.await.expect("it is told").unwrap();
        (topic, serde_json::from_slice(&payload).unwrap())
    }

    /// The status that is published next, for this command on its own topic.
    pub(crate) async fn told(&mut self, id: &str) -> Told {
        let (topic, told) = self.publication().await;
        assert_eq!((topic, &*told.id), (format!("cmd/{id}/status"), id));
        told
    }

    pub(crate) async fn is_told(&mut self, id: &str, status: Status) {
        let told = self.told(id).await;
        assert_eq!(told.status, status, "{told:?}");
    }

    /// The code of the rejection that is published next.
    pub(crate) async fn rejection(&mut self, id: &str) -> String {
        let told = self.told(id).await;
        assert_eq!(told.status, Status::Rejected, "{told:?}");
        told.reason.unwrap().code
    }

    /// What the agent is asked next.
    pub(crate) async fn asked(&mut self) -> (Job, oneshot::Sender<Reply>) {
        let next = tokio::time::timeout(Duration::from_secs(30), self.asks.recv());
        next.await.expect("the agent is asked").unwrap()
    }

    /// The account, which holds.
    pub(crate) fn sums(&self) -> DeskSums {
        let sums = self.counters.sums();
        assert!(sums.holds(), "{sums:?}");
        sums
    }

    /// Stops it in order.
    pub(crate) async fn stop(&mut self) {
        self.begin_stop();
        self.ended().await;
    }

    pub(crate) fn begin_stop(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    /// Waits until nothing can be delivered any more.
    pub(crate) async fn closed(&self) {
        self.deliveries.as_ref().unwrap().closed().await;
    }

    pub(crate) async fn ended(&mut self) {
        let end = tokio::time::timeout(Duration::from_secs(30), self.tasks.join_next());
        end.await.expect("it ends").unwrap().unwrap();
    }
}

/// All messages of the outbox, as soon as there are so many.
pub(crate) async fn outbox(spool: &Spool, count: usize) -> Vec<(String, Told)> {
    let mut changed = spool.outbox_changed();
    let full = async {
        loop {
            changed.mark_unchanged();
            let all = spool.outbox(0, 100).await.unwrap();
            if all.len() >= count {
                return all;
            }
            changed.changed().await.unwrap();
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(30), full).await.expect("the outbox fills");
    let read =
        |Queued { message, .. }| (message.topic, serde_json::from_slice(&message.payload).unwrap());
    all.into_iter().map(read).collect()
}

/// The one outcome in the outbox: its status and its reason's code.
pub(crate) async fn outcome(spool: &Spool, id: &str) -> (Status, Option<String>) {
    let all = outbox(spool, 1).await;
    let [(topic, told)] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((topic.clone(), &*told.id), (format!("cmd/{id}/status"), id));
    (told.status, told.reason.as_ref().map(|reason| reason.code.clone()))
}

/// The open commands of a spool.
pub(crate) async fn open(fixture: &Fixture) -> u64 {
    fixture.spool.snapshot().await.unwrap().open_commands
}
