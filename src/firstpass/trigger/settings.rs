//! When an event begins and ends, and what of it is kept.

use std::time::Duration;

use super::BurstLimit;

/// What to keep of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The first picture only.
    First,
    /// The sharpest picture with the largest subject of so much time from the first one on.
    Best(Duration),
    /// One picture every so often, beginning with the first.
    Every(Duration),
    /// Every analysed frame.
    All,
}

/// Pictures from before an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PreEvent {
    /// From so much time before the event's first frame on.
    pub within: Duration,
    /// So many frames a second are held back for it.
    pub fps: f64,
    /// Most bytes that are held back; the oldest go first.
    pub bytes: u64,
}

/// When an event begins and ends, and what of it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSettings {
    /// Motion must last so long before an event begins.
    pub min_duration: Duration,
    /// The event ends when there was no motion for so long.
    pub post_event: Duration,
    /// An event is ended after so long; motion that goes on begins the next one.
    pub max_duration: Duration,
    /// After an event the next one begins no sooner than this.
    pub cool_down: Duration,
    /// What is kept.
    pub keep: Keep,
    /// Pictures from before the event, kept besides.
    pub pre_event: Option<PreEvent>,
    /// Most pictures of all events together in a span of time.
    pub burst: Option<BurstLimit>,
}

/// How long `keep = "best"` looks ahead where nothing else is said.
pub const BEST_WITHIN: Duration = Duration::from_secs(2);

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            min_duration: Duration::from_millis(200),
            post_event: Duration::from_secs(5),
            max_duration: Duration::from_secs(60),
            cool_down: Duration::ZERO,
            // The first frame with motion mostly shows a subject that is only just coming in.
            keep: Keep::Best(BEST_WITHIN),
            pre_event: None,
            burst: None,
        }
    }
}
