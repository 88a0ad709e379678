//! The event state machine: idle, active, ending.

use std::time::Duration;

/// What to keep of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The first picture only.
    First,
    /// One picture every so often, beginning with the first.
    Every(Duration),
    /// Every analysed frame.
    All,
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
    /// What is kept.
    pub keep: Keep,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            min_duration: Duration::from_millis(200),
            post_event: Duration::from_secs(5),
            max_duration: Duration::from_secs(60),
            keep: Keep::First,
        }
    }
}
