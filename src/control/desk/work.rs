//! One accepted command's work: asked of the agent, its end told to the spool.
//!
//! Each is one task of the desk. It may be dropped at any moment: the command stays open in the spool,
//! which ends it at the next start by the pictures that were kept, or as `failed: interrupted`.

use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use super::tell;
use crate::clock::{BootTime, Timekeeper, WallTime};
use crate::contract::command::{Reason, Status, Told};
use crate::control::command::{Command, Op};
use crate::control::{Ask, Job, LATE, Reply, Take, Taken};
use crate::mqtt::Publisher;
use crate::spool::{Address, Conclusion, Spool};

/// Longest time that a camera is waited for.
pub const LONGEST: Duration = Duration::from_secs(10);

/// What the agent has besides, to answer.
const GRACE: Duration = Duration::from_secs(15);

/// Whom the work needs.
#[derive(Clone, Debug)]
pub(super) struct Hands {
    pub(super) spool: Spool,
    pub(super) agent: mpsc::Sender<Ask>,
    pub(super) publisher: Publisher,
    pub(super) timekeeper: Timekeeper,
}

impl Hands {
    /// Does what the command asks for, with `left` of its time to live, and concludes it.
    pub(super) async fn work(self, command: Command, left: Duration, addresses: Vec<Address>) {
        let id = command.id.clone();
        let wanted = command.op.pictures();
        let Some(job) = job(command, left.min(LONGEST)) else { return };
        let Some(reply) = self.ask(job, left).await else {
            warn!(id, "The agent gave no answer to a command; it ends at the next start.");
            return;
        };
        if let Reply::Taken(Taken { camera, kept, .. }) = &reply
            && *kept > 0
        {
            let result = json!({ "camera": camera, "kept": kept });
            let told = Told::new(&id, Status::InProgress, self.now().1);
            tell(&self.publisher, &addresses, &told.with(Some(result)));
        }
        let conclusion = conclusion(reply, wanted);
        info!(id, conclusion = in_words(&conclusion), "Command done.");
        if let Err(error) = self.spool.conclude(&id, conclusion).await {
            debug!(id, %error, "A command's end could not be written down.");
        }
    }

    /// The time since boot, and the wall time where it is trusted.
    pub(super) fn now(&self) -> (BootTime, Option<WallTime>) {
        let at = self.timekeeper.boottime();
        (at, self.timekeeper.wall_at(at))
    }

    /// `None`: the agent is gone, or let it go.
    async fn ask(&self, job: Job, left: Duration) -> Option<Reply> {
        if left.is_zero() {
            return Some(Reply::failed(
                TIMED_OUT,
                "its time to live was over before it could begin",
            ));
        }
        let late = if matches!(job, Job::Take(_)) { LATE } else { Duration::ZERO };
        let patience = left.min(LONGEST) + late + GRACE;
        let answer = async {
            let (reply, answer) = oneshot::channel();
            self.agent.send((job, reply)).await.ok()?;
            answer.await.ok()
        };
        let too_late = |_| Some(Reply::failed(TIMED_OUT, "the agent gave no answer in time"));
        tokio::time::timeout(patience, answer).await.unwrap_or_else(too_late)
    }
}

/// Code of what was not done in time.
const TIMED_OUT: &str = "timed-out";

/// `None` where the effect is a row.
fn job(command: Command, within: Duration) -> Option<Job> {
    let take = |camera, count, order, said| {
        Job::Take(Take { camera, command: Some(command.id), count, order, said, within })
    };
    match command.op {
        Op::Status => Some(Job::Status),
        Op::Snapshot { camera, count, order } => Some(take(camera, count, order, None)),
        Op::Trigger { camera, said } => Some(take(camera, 1, Default::default(), Some(said))),
        Op::Privacy { on } => Some(Job::Privacy { on }),
        Op::Purge(_) | Op::UploadPause | Op::UploadResume => None,
    }
}

/// What an answer means for a command that asked for so many pictures.
fn conclusion(reply: Reply, wanted: u32) -> Conclusion {
    let succeeded = |result| Conclusion::Ended { status: Status::Succeeded, reason: None, result };
    match reply {
        Reply::Status(status) => succeeded(serde_json::to_value(status).ok()),
        Reply::Done => succeeded(None),
        Reply::Taken(Taken { kept, fault, .. }) => {
            let short = || {
                let text = format!("{kept} of {wanted} pictures were kept");
                (kept < wanted).then(|| Reason::new("no-picture", text))
            };
            let fault = fault.or_else(short).map(|reason| (status_of(&reason), reason));
            Conclusion::Taken { kept, fault }
        }
        Reply::Failed(reason) => {
            Conclusion::Ended { status: status_of(&reason), reason: Some(reason), result: None }
        }
        Reply::Picture(_) | Reply::Spool(_) => {
            let reason = Reason::new("internal", "the agent gave an answer of the wrong kind");
            Conclusion::Ended { status: Status::Failed, reason: Some(reason), result: None }
        }
    }
}

fn status_of(reason: &Reason) -> Status {
    if reason.code == TIMED_OUT { Status::TimedOut } else { Status::Failed }
}

/// For the log.
fn in_words(conclusion: &Conclusion) -> String {
    match conclusion {
        Conclusion::Ended { reason: Some(reason), .. } => reason.code.clone(),
        Conclusion::Ended { .. } => "succeeded".to_owned(),
        Conclusion::Taken { kept, fault: None } => format!("{kept} kept"),
        Conclusion::Taken { kept, fault: Some((_, why)) } => format!("{kept} kept, {}", why.code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(kept: u32, fault: Option<&str>) -> Reply {
        let fault = fault.map(|code| Reason::new(code, "why"));
        Reply::Taken(Taken { camera: "front".into(), kept, fault })
    }

    fn of(reply: Reply, wanted: u32) -> (Option<u32>, Option<Status>, Option<String>) {
        match conclusion(reply, wanted) {
            Conclusion::Taken { kept, fault: None } => (Some(kept), None, None),
            Conclusion::Taken { kept, fault: Some((status, reason)) } => {
                (Some(kept), Some(status), Some(reason.code))
            }
            Conclusion::Ended { status, reason, .. } => {
                (None, Some(status), reason.map(|r| r.code))
            }
        }
    }

    #[test]
    fn every_answer_has_its_end() {
        let why = |code: &str| Some(code.to_owned());
        assert_eq!(of(taken(2, None), 2), (Some(2), None, None));
        let late = of(taken(1, Some("timed-out")), 2);
        assert_eq!(late, (Some(1), Some(Status::TimedOut), why("timed-out")));
        let lost = of(taken(0, Some("camera-lost")), 2);
        assert_eq!(lost, (Some(0), Some(Status::Failed), why("camera-lost")));
        let short = of(taken(1, None), 2);
        assert_eq!(short, (Some(1), Some(Status::Failed), why("no-picture")), "never a success");
        assert_eq!(of(Reply::Done, 0), (None, Some(Status::Succeeded), None));
        let failed = of(Reply::failed("no-camera", "which?"), 1);
        assert_eq!(failed, (None, Some(Status::Failed), why("no-camera")));
        let late = of(Reply::failed("timed-out", "late"), 1);
        assert_eq!(late, (None, Some(Status::TimedOut), why("timed-out")));
        assert_eq!(of(Reply::Picture(vec![]), 0), (None, Some(Status::Failed), why("internal")));
    }
}
