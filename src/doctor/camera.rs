//! A camera: one picture through the running agent, which holds it; else it is opened, as the agent would.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::agent::Agent;
use super::report::{Check, Finding};
use super::setup::sentence;
use super::within;
use crate::camera::{self, Camera, CameraError, OpenError, Pace, Source};
use crate::capture::Settings;
use crate::clock::SystemClock;
use crate::control::request::Request;
use crate::control::socket::{self, CallError};

/// The agent itself waits 10 s for a frame.
const THROUGH_AGENT: Duration = Duration::from_secs(14);
/// For a camera that is opened here: USB needs a second or two, a network camera several.
const DIRECTLY: Duration = Duration::from_secs(20);
/// Waits are slices, so that the limit is kept.
const SLICE: Duration = Duration::from_secs(1);

/// Looks at one camera.
pub(super) async fn examine(settings: &Settings, agent: &Agent, socket: PathBuf) -> Finding {
    let name = settings.profile.camera.clone();
    let finding = match agent {
        Agent::Answers(status) => match status.cameras.get(&name) {
            Some(camera) => match camera.state.as_str() {
                "lost" => {
                    let why = camera.why.clone().unwrap_or_else(|| "it is lost".into());
                    told(
                        &why,
                        "Cable, power, rights, another program that holds it; it is opened again by itself.",
                    )
                }
                "ended" => Finding::ok(Check::Camera, "all its recorded frames were shown"),
                _ => {
                    let format = camera.format.clone().unwrap_or_else(|| camera.state.clone());
                    through_agent(name.clone(), format, socket).await
                }
            },
            None => Finding::warning(
                Check::Camera,
                "the agent that runs does not know this camera",
                "It runs an earlier configuration: `systemctl reload vedette`.",
            ),
        },
        Agent::Hangs => Finding::untried(Check::Camera, "the agent holds it, and gives no answer"),
        Agent::Closed => {
            Finding::untried(Check::Camera, "the agent holds it, and may not be asked by this user")
        }
        Agent::Away => directly(settings.source.clone()).await,
    };
    finding.of(name)
}

async fn through_agent(name: String, format: String, socket: PathBuf) -> Finding {
    let asked =
        within(THROUGH_AGENT, move || socket::call(&socket, &Request::Snap { camera: name })).await;
    match asked {
        Some(Ok(jpeg)) if jpeg.starts_with(&[0xff, 0xd8]) => {
            let size = super::disk::bytes(jpeg.len() as u64);
            Finding::ok(Check::Camera, format!("{format}; a picture of {size} through the agent"))
        }
        Some(Ok(_)) => Finding::wrong(
            Check::Camera,
            "what came is no picture",
            "A fault of ours: please report it.",
        ),
        Some(Err(CallError::Refused(reason))) => {
            told(&reason.text, "Its alarm, `vedette status`, says more.")
        }
        Some(Err(error)) => Finding::wrong(Check::Camera, error.to_string(), "Ask again."),
        None => Finding::wrong(
            Check::Camera,
            format!("no picture within {} s", THROUGH_AGENT.as_secs()),
            "The driver or the camera hangs: unplug it, plug it in again.",
        ),
    }
}

async fn directly(mut source: Source) -> Finding {
    if let Source::Files(files) = &mut source {
        files.pace = Pace::Fast;
    }
    let began = Instant::now();
    match within(DIRECTLY, move || one_frame(&source)).await {
        Some(Ok(format)) => {
            let took = began.elapsed().as_secs_f64();
            Finding::ok(Check::Camera, format!("{format}, first frame after {took:.1} s"))
        }
        Some(Err(why)) => told(&why, "Cable, power, rights, another program that holds it."),
        None => Finding::wrong(
            Check::Camera,
            format!("no frame within {} s", DIRECTLY.as_secs()),
            "The driver or the camera hangs: unplug it, plug it in again.",
        ),
    }
}

/// Opens it and takes one frame; its format in words.
fn one_frame(source: &Source) -> Result<String, String> {
    let until = Instant::now() + DIRECTLY;
    let late = || Instant::now() >= until;
    let opened: Result<_, OpenError> = camera::open(source, Arc::new(SystemClock::new()));
    let mut camera: Box<dyn Camera> = opened.map_err(|e| e.to_string())?;
    while !camera.ready(SLICE).map_err(|e| e.to_string())? {
        if late() {
            return Err("it does not begin".into());
        }
    }
    let mut unusable = None;
    while !late() {
        match camera.next_frame(SLICE) {
            Ok(frame) => {
                let g = frame.geometry;
                return Ok(format!("{} {}x{}", g.format.name(), g.width, g.height));
            }
            Err(CameraError::Skip(why)) => unusable = Some(why),
            Err(CameraError::Timeout(_)) => {}
            Err(error @ (CameraError::Lost(_) | CameraError::Ended)) => {
                return Err(error.to_string());
            }
        }
    }
    Err(unusable
        .map_or_else(|| "no frame comes".into(), |why| format!("every frame is unusable: {why}")))
}

/// The camera's own words, whose second half is the remedy.
fn told(words: &str, otherwise: &str) -> Finding {
    let parts = words.split_once("; ").or_else(|| words.split_once(": "));
    match parts {
        Some((what, help)) => Finding::wrong(Check::Camera, what, sentence(help)),
        None => Finding::wrong(Check::Camera, words, otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cameras_words_are_what_and_remedy() {
        for (words, text, help) in [
            ("/x: permission denied; let ada read it", "/x: permission denied", "Let ada read it."),
            (
                "/dev/video0 is not there: is it plugged in?",
                "/dev/video0 is not there",
                "Is it plugged in?",
            ),
            ("gone", "gone", "Look."),
        ] {
            let found = told(words, "Look.");
            assert_eq!((found.text.as_str(), found.help.as_deref()), (text, Some(help)));
        }
    }
}
