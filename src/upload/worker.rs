//! The uploader's loop: claims pictures, has them stored, tells the spool, and keeps the time.
//!
//! Called once by the agent, as one future that owns all its tasks: nothing it starts outlives it. It
//! wakes on news from the spool, on the end of an attempt, and on the breaker's timer; idle it sleeps.
//!
//! Invariants: a picture leaves the spool only after [`super::classify`] said stored and the spool
//! wrote that down; no attempt sits in a losing arm of a select, because each is a task of its own.
//! Failure: whatever goes wrong here, everything is kept and capture goes on; what a person must mend is
//! in the published [`UploadState`]. Without a destination nothing is claimed, and no picture's wait for a
//! clock is given up: what it is called is decided when it can go. A setup that cannot work (no certificates) is tried again each
//! minute. On shutdown attempts may end within the grace; what is cut then is claimed again and PUT
//! under the same key by the next run.

mod deliver;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use self::deliver::deliver;

use super::attempt::Courier;
use super::classify::Parked;
use super::http::Limits;
use super::pace::Destination;
use super::{DestinationSettings, Settings, Standing, UploadState};
use crate::backoff::{Backoff, Breaker, Gate};
use crate::clock::Timekeeper;
use crate::contract::stored::StoredNotice;
use crate::spool::{Outcome, Spool, SpoolError};

/// How long between looks at a setup that cannot work, or at a spool that cannot be read.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How often the kernel is asked for its clock while pictures may be waiting for it.
const CLOCK_TURN: Duration = Duration::from_secs(5);

/// Times and limits that are no settings; tests make them short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Waits after failures of the destination.
    pub backoff: Backoff,
    /// Waits between asking the endpoint for its time.
    pub ask_time: Backoff,
    /// Waits of the HTTP client.
    pub limits: Limits,
    /// How long attempts may go on after shutdown began.
    pub grace: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            backoff: Backoff { base: seconds(1), cap: seconds(300) },
            ask_time: Backoff { base: seconds(2), cap: seconds(120) },
            limits: Limits::default(),
            grace: seconds(5),
        }
    }
}

/// What the uploader needs.
pub struct Deps {
    /// Where pictures come from.
    pub spool: Spool,
    /// What time it is.
    pub timekeeper: Timekeeper,
    /// Where pictures go, and how.
    pub settings: Settings,
    /// Told of each store; nobody needs to listen.
    pub notices: broadcast::Sender<StoredNotice>,
    /// Published for status and alarms.
    pub state: watch::Sender<UploadState>,
    /// Times.
    pub tuning: Tuning,
}

/// Uploads until `shutdown`, then lets attempts end within the grace and returns. Returns early only
/// when the spool has stopped.
pub async fn run(deps: Deps, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    if deps.settings.destination == DestinationSettings::Nowhere {
        deps.state.send_replace(UploadState::default());
        return shutdown.await;
    }
    let Some(courier) = set_up(&deps, shutdown.as_mut()).await else { return };
    let mut worker = Worker::new(deps, courier);
    worker.work(shutdown).await;
    worker.drain().await;
}

async fn set_up(deps: &Deps, mut shutdown: Pin<&mut impl Future<Output = ()>>) -> Option<Courier> {
    loop {
        let (destination, limits) = (&deps.settings.destination, deps.tuning.limits);
        let error = match Courier::new(destination, limits, deps.timekeeper.clone()) {
            Ok(courier) => return Some(courier),
            Err(error) => error,
        };
        warn!(%error, "Uploads cannot begin; everything is kept.");
        let standing = Standing::Parked(Parked::Setup(error.to_string()));
        let last_error = standing.words();
        deps.state.send_replace(UploadState { standing, last_error, ..UploadState::default() });
        tokio::select! {
            () = &mut shutdown => return None,
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// What the attempts share.
struct Shared {
    spool: Spool,
    timekeeper: Timekeeper,
    courier: Courier,
    destination: Mutex<Destination>,
    notices: broadcast::Sender<StoredNotice>,
    reliable_notices: bool,
}

/// What ended.
enum Done {
    Attempt,
    AskedTime(bool),
}

struct Worker {
    shared: Arc<Shared>,
    settings: Settings,
    state: watch::Sender<UploadState>,
    tuning: Tuning,
    tasks: JoinSet<Done>,
    in_flight: usize,
    ask_time: Breaker,
    /// The task that asks the endpoint for its time.
    asking: Option<tokio::task::Id>,
    told_offset: bool,
    clock_nap: Duration,
    spool_failed: bool,
}

impl Worker {
    fn new(deps: Deps, courier: Courier) -> Self {
        let shared = Shared {
            spool: deps.spool,
            timekeeper: deps.timekeeper,
            courier,
            destination: Mutex::new(Destination::new(deps.tuning.backoff)),
            notices: deps.notices,
            reliable_notices: deps.settings.reliable_notices,
        };
        Self {
            shared: Arc::new(shared),
            settings: deps.settings,
            state: deps.state,
            tuning: deps.tuning,
            tasks: JoinSet::new(),
            in_flight: 0,
            ask_time: Breaker::new(deps.tuning.ask_time),
            asking: None,
            told_offset: false,
            clock_nap: CLOCK_TURN,
            spool_failed: false,
        }
    }

    async fn work(&mut self, mut shutdown: Pin<&mut impl Future<Output = ()>>) {
        let mut changed = self.shared.spool.changed();
        loop {
            // Seen before the queue is read, so that what comes in meanwhile wakes the next turn.
            changed.borrow_and_update();
            // A boot record that cannot be written (a full disk) holds back what waits for it and nothing
            // else: only uploads make room again.
            let time = self.keep_time().await;
            let turn = self.fill().await.and(time);
            if matches!(turn, Err(SpoolError::Stopped)) {
                return;
            }
            self.note_spool(turn.err());
            self.publish();
            let nap = tokio::time::sleep(self.nap());
            tokio::select! {
                () = &mut shutdown => return,
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => self.ended(done),
                news = changed.changed() => if news.is_err() { return },
                () = nap => {}
            }
        }
    }

    /// Starts as many attempts as may go.
    async fn fill(&mut self) -> Result<(), SpoolError> {
        let free = self.settings.concurrency.max(1).saturating_sub(self.in_flight);
        let orders: Vec<_> = {
            let now = self.shared.timekeeper.boottime();
            let mut destination = self.shared.destination();
            let mut next = || destination.admit(now).then(|| destination.next_order());
            (0..free).map_while(|_| next()).collect()
        };
        if orders.is_empty() {
            return Ok(());
        }
        let admitted = orders.len();
        let claims = self.shared.spool.claim_each(orders).await;
        let claimed = claims.as_ref().map_or(0, Vec::len);
        if claimed < admitted {
            // A probe that was let through and found nothing to carry.
            self.shared.destination().abandoned();
        }
        for claim in claims? {
            self.in_flight += 1;
            self.tasks.spawn(deliver(Arc::clone(&self.shared), claim));
        }
        Ok(())
    }

    /// Tells the spool as soon as the clock is trusted; until then, and while pictures wait for it, asks
    /// the endpoint, and gives up after the set time.
    async fn keep_time(&mut self) -> Result<(), SpoolError> {
        // Also when trusted: a kernel that becomes disciplined knows better than a store.
        self.shared.timekeeper.poll();
        if self.told_offset {
            return Ok(());
        }
        if let Some(offset) = self.shared.timekeeper.offset() {
            self.shared.spool.set_offset(offset.ns, offset.source.name()).await?;
            info!(source = offset.source.name(), "The wall clock is trusted.");
            self.told_offset = true;
            return Ok(());
        }
        let snapshot = self.shared.spool.snapshot().await?;
        let left =
            self.settings.wait_for_clock.checked_sub(snapshot.waiting_for.unwrap_or_default());
        self.clock_nap = clock_nap(snapshot.waiting, left);
        match left {
            _ if snapshot.waiting == 0 => Ok(()),
            None | Some(Duration::ZERO) => {
                warn!(pictures = snapshot.waiting, "No trusted clock; pictures go without a time.");
                self.shared.spool.give_up_waiting().await
            }
            Some(_) => {
                self.ask_for_time();
                Ok(())
            }
        }
    }

    fn ask_for_time(&mut self) {
        let Shared { courier, timekeeper, .. } = &*self.shared;
        let useful = courier.has_endpoint() && timekeeper.believes_servers();
        if useful && self.asking.is_none() && self.ask_time.admit(timekeeper.boottime()) {
            let shared = Arc::clone(&self.shared);
            let ask = async move { Done::AskedTime(shared.courier.ask_time().await) };
            self.asking = Some(self.tasks.spawn(ask).id());
        }
    }

    fn ended(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(Done::Attempt) => self.in_flight -= 1,
            Ok(Done::AskedTime(learned)) => {
                self.asking = None;
                match learned {
                    true => self.ask_time.succeeded(),
                    false => {
                        let now = self.shared.timekeeper.boottime();
                        self.ask_time.failed(now, None, fastrand::f64());
                    }
                }
            }
            Err(error) if self.asking == Some(error.id()) => {
                warn!(%error, "Asking for the time ended early; it will be asked again.");
                self.asking = None;
                self.ask_time.abandoned();
            }
            Err(error) => {
                warn!(%error, "An upload task ended early; its picture is queued again.");
                self.in_flight = self.in_flight.saturating_sub(1);
                self.shared.destination().abandoned();
            }
        }
    }

    /// A spool that fails now is said once, and asked again by the timer.
    fn note_spool(&mut self, error: Option<SpoolError>) {
        if let Some(error) = error.as_ref().filter(|_| !self.spool_failed) {
            warn!(%error, "The spool does not do all it is asked; will ask again.");
        }
        self.spool_failed = error.is_some();
    }

    fn nap(&self) -> Duration {
        let now = self.shared.timekeeper.boottime();
        let gate = self.shared.destination().next_wake(now).map(|until| until.since(now));
        let clock = (!self.told_offset).then_some(self.clock_nap);
        let spool = self.spool_failed.then_some(CLOCK_TURN);
        let ask = match self.ask_time.gate(now) {
            Gate::Open(until) if !self.told_offset => Some(until.since(now)),
            _ => None,
        };
        let nap = [gate, clock, spool, ask].into_iter().flatten().min().unwrap_or(LOOK_AGAIN);
        nap.max(Duration::from_millis(1))
    }

    fn publish(&self) {
        let now = self.shared.timekeeper.boottime();
        let state = self.shared.destination().state(self.in_flight, now);
        self.state.send_if_modified(|old| {
            let changed = *old != state;
            *old = state;
            changed
        });
    }

    async fn drain(&mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.tuning.grace, all).await.is_err() {
            info!(cut = self.tasks.len(), "Stopping: uploads are cut and will be sent again.");
        }
        self.tasks.shutdown().await;
        self.in_flight = 0;
        self.publish();
    }
}

/// How long to sleep while the clock is not trusted: until the first picture has waited long enough,
/// where one waits. Without one there is nothing to be in time for, also when pictures shall not wait
/// at all.
fn clock_nap(waiting: u64, left: Option<Duration>) -> Duration {
    match left {
        Some(left) if waiting > 0 => left.min(CLOCK_TURN),
        _ => CLOCK_TURN,
    }
}

impl Shared {
    fn destination(&self) -> std::sync::MutexGuard<'_, Destination> {
        self.destination.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, seq: u64, outcome: Outcome, wait: Option<Duration>) -> bool {
        let told = self.spool.finish(seq, outcome, wait).await;
        if let Err(error) = &told {
            warn!(%error, seq, "The spool did not take an outcome; the picture will be sent again.");
        }
        told.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untrusted_clock_makes_no_busy_loop_where_nothing_waits() {
        let second = Duration::from_secs(1);
        for left in [None, Some(Duration::ZERO), Some(second)] {
            assert_eq!(clock_nap(0, left), CLOCK_TURN, "{left:?}");
        }
        assert_eq!(clock_nap(1, Some(second)), second);
        assert_eq!(clock_nap(1, Some(Duration::MAX)), CLOCK_TURN);
        assert_eq!(clock_nap(1, None), CLOCK_TURN, "giving up failed: not at once again");
    }
}
