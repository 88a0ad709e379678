//! Pictures that somebody asks for: to look at, or to keep.
//!
//! The camera thread takes them of its next frames; here somebody waits for what becomes of them, within
//! a deadline, and withdraws what was not taken by then. What was taken before the deadline is waited
//! for: its fate is always told, because its place in the account can only be left by telling.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::{Agent, Camera};
use crate::account::{Fate, Refusal, Teller};
use crate::capture::{self, Leave, State, Wanted};
use crate::contract::Trigger;
use crate::contract::command::Reason;
use crate::control::{LATE, Reply, Take, Taken};
use crate::still::Asker;

/// How long somebody waits for a picture to look at.
const SNAP: Duration = Duration::from_secs(10);

impl Agent {
    /// One picture to look at.
    pub(super) fn snap(&mut self, camera: &str, reply: oneshot::Sender<Reply>) {
        let (tx, rx) = oneshot::channel();
        let asker = Asker::new(move |picture| drop(tx.send(picture))); // the asker may have gone
        if let Err(why) = self.ask(Some(camera), capture::Ask::Look(asker)) {
            reply.send(Reply::Failed(why)).ok(); // the asker may have gone
            return;
        }
        self.jobs.spawn(async move {
            let answer = match tokio::time::timeout(SNAP, rx).await {
                Ok(Ok(Ok(jpeg))) => Reply::Picture(jpeg),
                Ok(Ok(Err(why))) => Reply::failed("broken", why),
                Ok(Err(_)) => Reply::failed("busy", "the camera is behind; ask again"),
                Err(_) => Reply::failed("timed-out", format!("no picture within {SNAP:?}")),
            };
            reply.send(answer).ok(); // the asker may have gone
        });
    }

    /// Pictures to keep.
    pub(super) fn take(&mut self, take: Take, reply: oneshot::Sender<Reply>) {
        let Take { camera, command, count, order, said, within } = take;
        // As many fates as pictures: telling one never finds the channel full.
        let (tx, fates) = mpsc::channel(count.max(1) as usize);
        let leave = Arc::new(Leave::default());
        let wanted = Wanted {
            trigger: if said.is_some() { Trigger::External } else { Trigger::Command },
            command,
            count,
            order,
            said,
            teller: Teller::new(move |fate| {
                tx.try_send(fate).ok(); // who asked may have gone
            }),
            leave: Arc::clone(&leave),
        };
        let name = match self.ask(camera.as_deref(), capture::Ask::Keep(wanted)) {
            Ok(name) => name,
            Err(why) => {
                reply.send(Reply::Failed(why)).ok(); // who asked may have gone
                return;
            }
        };
        let deadline = Instant::now() + within;
        self.jobs.spawn(async move {
            let outcome = outcome(fates, count, deadline, &leave).await;
            let (kept, fault) = (outcome.kept, outcome.fault(count, within));
            reply.send(Reply::Taken(Taken { camera: name, kept, fault })).ok(); // same
        });
    }

    /// Gives a camera's thread something to do; the camera's name, or why it cannot be asked.
    fn ask(&self, camera: Option<&str>, ask: capture::Ask) -> Result<String, Reason> {
        if let Some(private) = self.privacy.refusal() {
            return Err(private);
        }
        let (name, target) = self.camera_for(camera)?;
        match target.running.counters.state() {
            // One that is being opened answers with its first frame, or not within the deadline.
            State::Streaming(_) | State::Opening => {}
            State::Lost(why) => {
                return Err(Reason::new("camera-lost", format!("camera {name} is lost: {why}")));
            }
            State::Ended | State::Stopped => {
                return Err(Reason::new("camera-lost", format!("camera {name} is not streaming")));
            }
        }
        let busy = |_| Reason::new("busy", format!("camera {name} is busy; ask again"));
        target.asks.try_send(ask).map_err(busy)?;
        Ok(name.to_owned())
    }

    fn camera_for(&self, name: Option<&str>) -> Result<(&str, &Camera), Reason> {
        let known = || self.cameras.keys().cloned().collect::<Vec<_>>().join(", ");
        let found = match name {
            Some(name) => self.cameras.get_key_value(name),
            None if self.cameras.len() == 1 => self.cameras.iter().next(),
            None => {
                let text = format!("say which camera; there is: {}", known());
                return Err(Reason::new("unknown-camera", text));
            }
        };
        found.map(|(name, camera)| (name.as_str(), camera)).ok_or_else(|| {
            let text =
                format!("no camera is named \"{}\"; there is: {}", name.unwrap_or(""), known());
            Reason::new("unknown-camera", text)
        })
    }
}

/// What became of the pictures that were asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    kept: u32,
    refused: Option<Refusal>,
    /// Nothing more could come, although more was asked for.
    ended: bool,
}

/// Hears of each picture until all have their fate, or nothing more can come. At the deadline the rest is
/// withdrawn, and only what was taken before is waited for.
async fn outcome(
    mut fates: mpsc::Receiver<Fate>,
    count: u32,
    deadline: Instant,
    leave: &Leave,
) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut heard, mut awaited, mut until) = (0, count, deadline);
    while heard < awaited {
        match timeout_at(until, fates.recv()).await {
            Ok(Some(Fate::Kept)) => outcome.kept += 1,
            Ok(Some(Fate::Refused(why))) => outcome.refused = Some(why),
            Ok(None) => {
                outcome.ended = until == deadline;
                break;
            }
            Err(_) if until == deadline => {
                awaited = leave.withdraw();
                until = deadline + LATE;
                continue;
            }
            Err(_) => break,
        }
        heard += 1;
    }
    outcome
}

impl Outcome {
    /// Why fewer are kept than asked for.
    fn fault(&self, count: u32, within: Duration) -> Option<Reason> {
        if self.kept >= count {
            return None;
        }
        let short = format!("{} of {count} pictures are kept", self.kept);
        Some(match self.refused {
            Some(why) => Reason::new(
                &format!("refused-{}", why.name().replace('_', "-")),
                format!("{short}; the device could not take them: {}", why.name()),
            ),
            None if self.ended => {
                Reason::new("camera-lost", format!("{short}; the camera stopped streaming"))
            }
            None => {
                let seconds = within.as_secs_f32();
                Reason::new("timed-out", format!("{short} within {seconds:.1} s"))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is made of these fates, each of a picture that was taken, and whether the rest was withdrawn.
    async fn after(fates: &[Fate], then_ends: bool, count: u32) -> (Outcome, bool) {
        let (tx, rx) = mpsc::channel(8);
        let leave = Leave::default();
        for fate in fates {
            assert!(leave.take());
            tx.send(*fate).await.unwrap();
        }
        let holder = (!then_ends).then_some(tx);
        let outcome = outcome(rx, count, Instant::now() + SECOND, &leave).await;
        drop(holder);
        (outcome, !leave.take())
    }

    #[tokio::test(start_paused = true)]
    async fn all_kept_is_no_fault() {
        let (outcome, withdrawn) = after(&[Fate::Kept, Fate::Kept], false, 2).await;
        assert_eq!((outcome.kept, withdrawn), (2, false));
        assert_eq!(outcome.fault(2, SECOND), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_late_is_withdrawn_and_says_so() {
        let (outcome, withdrawn) = after(&[Fate::Kept], false, 2).await;
        assert!(withdrawn);
        let fault = outcome.fault(2, SECOND).unwrap();
        assert_eq!(fault.code, "timed-out");
        assert_eq!(fault.text, "1 of 2 pictures are kept within 1.0 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_picture_taken_before_the_deadline_counts_when_its_disk_is_slow() {
        let (tx, rx) = mpsc::channel(1);
        let (leave, began) = (Leave::default(), Instant::now());
        assert!(leave.take());
        let slow = async {
            tokio::time::sleep(SECOND * 60).await;
            tx.send(Fate::Kept).await.unwrap();
        };
        let (outcome, ()) = tokio::join!(outcome(rx, 2, began + SECOND, &leave), slow);
        assert_eq!(outcome, Outcome { kept: 1, refused: None, ended: false });
        assert_eq!(
            began.elapsed(),
            SECOND * 60,
            "and the one that was not taken is not waited for"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_camera_that_goes_away_and_a_full_disk_are_told_apart() {
        let (outcome, withdrawn) = after(&[Fate::Kept], true, 2).await;
        assert!(!withdrawn);
        assert_eq!(outcome.fault(2, SECOND).unwrap().code, "camera-lost");
        let (outcome, _) = after(&[Fate::Refused(Refusal::DiskFull)], false, 1).await;
        assert_eq!(outcome.fault(1, SECOND).unwrap().code, "refused-disk-full");
    }
}
