//! The desk: takes MQTT commands through their life, from delivery to outcome.
//!
//! [`run`] is one future that owns all its tasks; the agent starts and stops it. What is delivered is
//! judged ([`super::command`]), written down by the spool, acknowledged, told `accepted`, and then done:
//!
//! ```text
//! Delivery ▸ judge ▸ spool.accept ▸ ack ▸ `accepted` ▸ Job to the agent ▸ `in-progress` ▸ spool.conclude
//!              └▸ `rejected`, ack        └▸ Known: what was told last, ack
//! ```
//!
//! Ends are told by the spool's outbox alone, over restarts; everything else is published at best effort.
//! A command whose effect is a row ends with its acceptance, and is told nothing before its end.
//!
//! Invariants: no effect begins before its command is durable, and none begins twice; nothing is
//! acknowledged that is neither durable nor refused for good; deliveries wait for no effect, for at most
//! one answer of the spool each. Failure: while the index is down, commands are held and tried again, in
//! their order, for at most [`HOLD`] or their time to live, and then rejected as `unavailable`: a
//! delivery that is merely let go would come again only with the next connection, and would block the
//! broker's window until then. Dropped anywhere, what was not acknowledged comes again, and what was
//! accepted and not done ends as `failed: interrupted` at the next start.

mod address;
mod counters;
mod work;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, error, info};

use self::counters::Ticket;
pub use self::counters::{DeskCounters, DeskSums};
use self::work::Hands;
pub use self::work::LONGEST;
use super::Ask;
use super::command::{self, Code, Command, Incoming, Op, RateLimit, Rejection, Verdict};
use crate::clock::{BootTime, Timekeeper, WallTime};
use crate::contract::command::{Status, Told};
use crate::mqtt::{Ack, Delivery, Publication, Publisher};
use crate::spool::{Acceptance, Address, NewCommand, RowEffect, Spool, SpoolError};

/// Commands at work at once; further ones are rejected as `busy`.
pub const AT_WORK: usize = 8;

/// Commands held while the index is down; further ones are rejected as `unavailable`.
pub const HELD: usize = 16;

/// Longest time that a command is held.
pub const HOLD: Duration = Duration::from_secs(30);

/// Between two tries to write a held command down.
const RETRY: Duration = Duration::from_secs(1);

/// What commands that are at work have left when the desk is told to stop.
const LAST: Duration = Duration::from_secs(1);

/// Whom the desk works with.
#[derive(Debug)]
pub struct Deps {
    /// What the device's own topics begin with, without a slash at the end.
    pub prefix: String,
    /// Where commands are written down.
    pub spool: Spool,
    /// Whether and which time is believed.
    pub timekeeper: Timekeeper,
    /// What comes for this device.
    pub deliveries: mpsc::Receiver<Delivery>,
    /// Where beginnings are told.
    pub publisher: Publisher,
    /// Who does the work.
    pub agent: mpsc::Sender<Ask>,
    /// What became of the deliveries.
    pub counters: Arc<DeskCounters>,
    /// How many new commands are taken.
    pub rate: RateLimit,
}

/// Takes commands until `shutdown`, or until nothing can be delivered any more, or the spool has
/// stopped. Then it takes nothing more, and returns when what is at work has ended, within a second.
pub async fn run(deps: Deps, shutdown: impl Future<Output = ()>) {
    let Deps { prefix, spool, timekeeper, mut deliveries, publisher, agent, counters, rate } = deps;
    let hands = Hands { spool, agent, publisher, timekeeper };
    let mut desk = Desk {
        prefix,
        hands,
        counters,
        rate,
        working: JoinSet::new(),
        held: VecDeque::new(),
        retry_at: Instant::now(),
    };
    tokio::select! {
        () = shutdown => {}
        ended = desk.serve(&mut deliveries) => {
            debug!(?ended, "The desk closes.");
        }
    }
    // What waits there and what is held is not acknowledged: the broker sends it again.
    drop(deliveries);
    desk.held.clear();
    let working = &mut desk.working;
    let last = async { while working.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST, last).await.is_err() {
        info!(open = desk.working.len(), "Commands are left open; they end at the next start.");
    }
}

/// Why nothing more is taken.
#[derive(Debug)]
enum End {
    /// Nothing can be delivered any more.
    NoDeliveries,
    /// The spool has stopped.
    SpoolStopped,
}

/// A delivery that is not decided yet.
#[derive(Debug)]
struct Case {
    at: BootTime,
    addresses: Vec<Address>,
    ack: Ack,
    ticket: Ticket,
}

/// A command in order, to be written down.
#[derive(Debug)]
struct Due {
    command: Command,
    case: Case,
}

struct Desk {
    prefix: String,
    hands: Hands,
    counters: Arc<DeskCounters>,
    rate: RateLimit,
    working: JoinSet<()>,
    /// In the order in which they came.
    held: VecDeque<Due>,
    retry_at: Instant,
}

impl Desk {
    /// May be dropped at any of its waits: what was accepted is told and spawned without one.
    async fn serve(&mut self, deliveries: &mut mpsc::Receiver<Delivery>) -> End {
        loop {
            let turn = tokio::select! {
                Some(ended) = self.working.join_next() => {
                    note(ended);
                    Ok(())
                }
                () = tokio::time::sleep_until(self.retry_at), if !self.held.is_empty() => {
                    self.retry().await
                }
                delivery = deliveries.recv() => match delivery {
                    Some(delivery) => self.take(delivery).await,
                    None => Err(End::NoDeliveries),
                },
            };
            if let Err(end) = turn {
                return end;
            }
        }
    }

    async fn take(&mut self, delivery: Delivery) -> Result<(), End> {
        let Delivery { topic, payload, retain, response_topic, correlation, ack } = delivery;
        let ticket = Ticket::new(&self.counters);
        let (at, now) = self.now();
        let incoming = Incoming { topic: &topic, payload: &payload, retain };
        let verdict = command::judge(&incoming, &self.prefix, now, &mut self.rate, at);
        let addresses =
            |id: &str| address::addresses(&self.prefix, id, response_topic.as_deref(), correlation);
        match verdict {
            Verdict::Ignore(why) => {
                debug!(?why, "A delivery asks for nothing.");
                ack.done();
                ticket.ignored();
                Ok(())
            }
            Verdict::Reject { id, why } => {
                let addresses = id.as_deref().map(addresses).unwrap_or_default();
                self.reject(id.as_deref(), Case { at, addresses, ack, ticket }, why).await
            }
            Verdict::Take(command) => {
                let addresses = addresses(&command.id);
                self.consider(Due { command, case: Case { at, addresses, ack, ticket } }).await
            }
        }
    }

    /// Takes a command that is in order, if there is room for it.
    async fn consider(&mut self, due: Due) -> Result<(), End> {
        while let Some(ended) = self.working.try_join_next() {
            note(ended);
        }
        let is_work = row_effect(&due.command.op).is_none();
        if is_work && self.working.len() + self.held.len() >= AT_WORK {
            let text = format!("{AT_WORK} commands are at work; send it again when one has ended");
            return self.reject_due(due, Rejection::new(Code::Busy, text)).await;
        }
        // Behind those that wait: a pause and its end must not change places.
        let back = if self.held.is_empty() { self.accept(due).await? } else { Some(due) };
        let Some(due) = back else { return Ok(()) };
        if self.held.len() >= HELD {
            return self.reject_due(due, unavailable()).await;
        }
        if self.held.is_empty() {
            self.retry_at = Instant::now() + RETRY;
        }
        self.held.push_back(due);
        Ok(())
    }

    /// Tries to write down what is held, in order, until one cannot be.
    async fn retry(&mut self) -> Result<(), End> {
        self.retry_at = Instant::now() + RETRY;
        while let Some(due) = self.held.pop_front() {
            let Some(due) = self.accept(due).await? else { continue };
            let waited = self.hands.timekeeper.boottime().since(due.case.at);
            if waited < due.command.left.min(HOLD) {
                self.held.push_front(due);
                return Ok(());
            }
            self.reject_due(due, unavailable()).await?;
        }
        Ok(())
    }

    /// Writes a command down, and begins it if it is new. Gives it back when it cannot be written now.
    async fn accept(&mut self, due: Due) -> Result<Option<Due>, End> {
        let Due { command, case } = &due;
        let new = NewCommand {
            id: command.id.clone(),
            op: command.op.name().to_owned(),
            tell: case.addresses.clone(),
            effect: row_effect(&command.op),
            pictures: command.op.pictures(),
        };
        match self.hands.spool.accept(new).await {
            Ok(Acceptance::New) => self.begin(due),
            Ok(Acceptance::Known(told)) => {
                self.rate.give_back();
                self.known(due.case, &told);
            }
            Err(SpoolError::Stopped) => return Err(End::SpoolStopped),
            Err(error) => {
                debug!(id = command.id, %error, "A command cannot be written down now.");
                return Ok(Some(due));
            }
        }
        Ok(None)
    }

    /// The command is durable: acknowledges, tells, and begins. Waits for nothing.
    fn begin(&mut self, due: Due) {
        let Due { command, case } = due;
        info!(id = command.id, op = command.op.name(), "Command accepted.");
        case.ack.done();
        case.ticket.accepted();
        if row_effect(&command.op).is_some() {
            return; // it has ended already, and the outbox tells
        }
        let (at, now) = self.now();
        let told = Told::new(&command.id, Status::Accepted, now);
        tell(&self.hands.publisher, &case.addresses, &told);
        let left = command.left.saturating_sub(at.since(case.at));
        self.working.spawn(self.hands.clone().work(command, left, case.addresses));
    }

    /// The command was written down before: tells what was told of it last.
    fn known(&self, case: Case, told: &Told) {
        debug!(id = told.id, status = ?told.status, "A command came again.");
        case.ack.done();
        tell(&self.hands.publisher, &case.addresses, told);
        case.ticket.known();
    }

    async fn reject_due(&mut self, due: Due, why: Rejection) -> Result<(), End> {
        self.reject(Some(&due.command.id), due.case, why).await
    }

    /// Tells, at best effort, why a command is not taken, unless it was taken before.
    async fn reject(&mut self, id: Option<&str>, case: Case, why: Rejection) -> Result<(), End> {
        if let Some(id) = id.filter(|_| why.code.is_of_the_moment())
            && let Some(told) = self.told_before(id).await?
        {
            self.known(case, &told);
            return Ok(());
        }
        info!(id, code = why.code.name(), why = why.text, "Command rejected.");
        case.ack.done();
        if let Some(id) = id {
            let (_, now) = self.now();
            let after = why.after.map(|after| json!({ "after_s": after.as_secs() }));
            let told = Told::new(id, Status::Rejected, now).because(Some(why.reason())).with(after);
            tell(&self.hands.publisher, &case.addresses, &told);
        }
        case.ticket.rejected(why.code);
        Ok(())
    }

    /// What was told last of a command that is known. Where the index cannot be read, none is.
    async fn told_before(&mut self, id: &str) -> Result<Option<Told>, End> {
        match self.hands.spool.told(id).await {
            Ok(told) => Ok(told),
            Err(SpoolError::Stopped) => Err(End::SpoolStopped),
            Err(_) => Ok(None),
        }
    }

    fn now(&self) -> (BootTime, Option<WallTime>) {
        self.hands.now()
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        error!(%error, "A command's work broke off; it ends at the next start.");
    }
}

fn unavailable() -> Rejection {
    let text = "the device cannot write commands down now: its disk or index is failing";
    Rejection::new(Code::Unavailable, text)
}

/// The effect of an operation that is a row.
fn row_effect(op: &Op) -> Option<RowEffect> {
    match op {
        Op::UploadPause => Some(RowEffect::PauseUploads(true)),
        Op::UploadResume => Some(RowEffect::PauseUploads(false)),
        Op::Purge(wanted) => Some(RowEffect::Purge(wanted.clone())),
        Op::Status | Op::Snapshot { .. } | Op::Trigger { .. } | Op::Privacy { .. } => None,
    }
}

/// Publishes, at best effort, to each address.
fn tell(publisher: &Publisher, addresses: &[Address], told: &Told) {
    let payload = told.to_json();
    for Address { topic, correlation } in addresses {
        publisher.publish(Publication {
            topic: topic.clone(),
            payload: payload.clone(),
            correlation: correlation.clone(),
        });
    }
}
