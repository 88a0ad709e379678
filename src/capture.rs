//! The camera thread: open, take the next frame, first pass, copy what was picked, reopen.

use std::sync::Arc;
use std::time::Duration;

use crate::camera::Source;
use crate::firstpass::MotionSettings;
use crate::firstpass::trigger::EventSettings;
use crate::still::Profile;

/// One camera and what is done with its frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where frames come from.
    pub source: Source,
    /// Longest wait for a frame before the camera counts as silent.
    pub frame_timeout: Duration,
    /// Analyse at most so many frames a second; `None` analyses every frame.
    pub analyse_fps: Option<f64>,
    /// Motion detection and the events made of it; `None` turns it off.
    pub motion: Option<(MotionSettings, EventSettings)>,
    /// A picture every so often.
    pub interval: Option<Duration>,
    /// How pictures are made.
    pub profile: Arc<Profile>,
}
