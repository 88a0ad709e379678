//! Privacy mode: no camera is open, and everybody is told so.
//!
//! ```text
//!  asked for by command ──▶ cameras closed ──▶ mark written ──▶ answered
//!  ended by command     ──▶ mark removed   ──▶ cameras opened ──▶ answered
//!  hours of [privacy]   ──▶ looked at every second, by the trusted clock
//! ```
//! The one thing that stops capture on purpose: cameras are closed, so that their lamps go out and nothing is
//! held that nobody may see. What somebody asked for outlives restarts and power cuts by a mark in the spool's
//! directory; it holds at once, also while the disk is too slow or too broken to remember it. Pictures that were
//! taken before are kept and sent. While the clock is not trusted, hours cannot be told: then cameras are
//! closed, unless the configuration says otherwise. [`want`] decides, purely.

use std::time::Instant;

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{Agent, Alarm};
use crate::clock::WallTime;
use crate::contract::command::Reason;
use crate::control::Reply;
use crate::duty::PrivacySettings;
use crate::place::Place;
use crate::status::PrivacyStatus;

/// Why no camera is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody asked for it.
    Asked,
    /// It is in its hours.
    Hours,
    /// There are hours, and nobody knows the time.
    NoClock,
}

impl Why {
    /// The word used in status.
    fn name(self) -> &'static str {
        match self {
            Self::Asked => "command",
            Self::Hours => "hours",
            Self::NoClock => "no-clock",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Asked => {
                "no camera is open, because somebody asked for it; `vedette privacy off`, or the command \
                 privacy.off, ends it"
            }
            Self::Hours => "no camera is open in the hours of [privacy]",
            Self::NoClock => {
                "no camera is open: there are hours of [privacy], and the clock is not trusted yet, so nobody \
                 knows whether it is one of them; privacy.without_clock = \"capture\" takes the risk"
            }
        }
    }
}

/// What is known of privacy mode.
#[derive(Debug, Default)]
pub(super) struct Privacy {
    /// Somebody asked for it, and nobody for its end.
    asked: bool,
    /// Cameras are closed since then, and why.
    on: Option<(Why, Instant)>,
}

impl Privacy {
    /// As it was when the last run ended.
    pub(super) fn new(asked: bool) -> Self {
        Self { asked, on: None }
    }

    pub(super) fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// `still_open` names cameras whose drivers hang.
    pub(super) fn status(&self, still_open: Vec<String>) -> Option<PrivacyStatus> {
        let (why, since) = self.on?;
        let since_s = since.elapsed().as_secs();
        Some(PrivacyStatus { why: why.name().to_owned(), since_s, still_open })
    }

    pub(super) fn alarm(&self, still_open: &[String]) -> Option<Alarm> {
        let (why, _) = self.on?;
        Some(match still_open {
            [] => Alarm::new("privacy", why.text()),
            hung => Alarm::new("privacy", format!("{}; but {}", why.text(), held(hung))),
        })
    }

    /// What somebody is told who wants a picture.
    pub(super) fn refusal(&self) -> Option<Reason> {
        self.on
            .map(|(why, _)| Reason::new("privacy", format!("privacy mode is on: {}", why.text())))
    }
}

/// What is said where privacy cannot be promised.
fn held(hung: &[String]) -> String {
    format!(
        "the driver of {} hangs and may hold the camera open, its lamp on: nothing of it is read or kept, but \
         only unplugging it, or a restart of the device, closes it for certain",
        hung.join(", ")
    )
}

/// Should cameras be closed now, and why?
fn want(
    asked: bool,
    settings: &PrivacySettings,
    now: Option<WallTime>,
    place: &Place,
) -> Option<Why> {
    match (&settings.hours, now) {
        _ if asked => Some(Why::Asked),
        (None, _) => None,
        (Some(hours), Some(now)) => hours.hold(now, place).then_some(Why::Hours),
        (Some(_), None) => (!settings.capture_without_clock).then_some(Why::NoClock),
    }
}

impl Agent {
    /// Opens or closes cameras, if it is time to.
    pub(super) async fn mind_privacy(&mut self) {
        self.timekeeper.poll();
        let now = self.timekeeper.wall_at(self.deps.clock.boottime());
        let want = want(self.privacy.asked, &self.config.privacy, now, &self.config.place);
        match (self.privacy.on, want) {
            (None, Some(why)) => {
                self.privacy.on = Some((why, Instant::now()));
                let names: Vec<_> = self.cameras.keys().cloned().collect();
                self.stop_cameras(&names).await;
                info!(why = why.name(), "Privacy mode is on: no camera is open.");
            }
            (Some(_), None) => {
                self.privacy.on = None;
                info!("Privacy mode is over: cameras are opened.");
                for camera in self.config.cameras.clone() {
                    let name = camera.profile.camera.clone();
                    if let Err(error) = self.start_camera(camera) {
                        warn!(camera = name, "{error:#}");
                    }
                }
            }
            (Some((_, since)), Some(why)) => self.privacy.on = Some((why, since)),
            (None, None) => {}
        }
    }

    /// Somebody asks for privacy mode, or for its end. The answer comes when it holds over a restart, too.
    pub(super) async fn set_privacy(&mut self, on: bool, reply: oneshot::Sender<Reply>) {
        if on {
            self.privacy.asked = true;
            self.mind_privacy().await;
            let (spool, hung) = (self.spool.clone(), self.still_open());
            self.jobs.spawn(async move {
                let answer = match spool.set_private(true).await {
                    Ok(()) if hung.is_empty() => Reply::Done,
                    Ok(()) => {
                        let text = format!("privacy mode is on, but {}", held(&hung));
                        Reply::failed("still-open", text)
                    }
                    Err(error) => {
                        let text = format!(
                            "no camera is open now, but a restart would forget it, for it cannot be written \
                             down: {error}"
                        );
                        Reply::failed("storage", text)
                    }
                };
                reply.send(answer).ok(); // who asked may have gone
            });
            return;
        }
        // Not spawned: what was answered is done, and cameras open only when no mark would close them again.
        let answer = match self.spool.set_private(false).await {
            Ok(()) => {
                self.privacy.asked = false;
                self.mind_privacy().await;
                match self.privacy.refusal() {
                    None => Reply::Done,
                    Some(still) => Reply::Failed(still),
                }
            }
            Err(error) => {
                Reply::failed("storage", format!("it goes on, for its mark stays: {error}"))
            }
        };
        reply.send(answer).ok(); // who asked may have gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duty::Hours;

    fn settings(hours: Option<&str>, capture_without_clock: bool) -> PrivacySettings {
        let hours = hours.map(|text| Hours::read([text]).unwrap());
        PrivacySettings { hours, capture_without_clock }
    }

    #[test]
    fn it_is_on_when_asked_for_in_its_hours_and_when_nobody_knows_them() {
        // 2026-11-23T12:00Z.
        let noon = Some(WallTime(1_795_435_200_000));
        let place = Place::default();
        let want = |asked, s: &PrivacySettings, now| want(asked, s, now, &place);
        let (none, lunch) = (settings(None, false), settings(Some("11:30 to 12:30"), false));
        assert_eq!(want(false, &none, noon), None);
        assert_eq!(want(false, &none, None), None, "nobody asked for hours");
        assert_eq!(want(true, &none, None), Some(Why::Asked));
        assert_eq!(want(false, &lunch, noon), Some(Why::Hours));
        assert_eq!(want(true, &lunch, noon), Some(Why::Asked));
        assert_eq!(want(false, &settings(Some("13:00 to 14:00"), false), noon), None);
        assert_eq!(want(false, &lunch, None), Some(Why::NoClock));
        assert_eq!(want(false, &settings(Some("11:30 to 12:30"), true), None), None);
    }
}
