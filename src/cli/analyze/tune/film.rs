//! Which frames the annotated film shows, and how fast. Pure.
//!
//! A film has at most [`MOST`] frames. A longer clip gives those around its events, a second before and after;
//! if these are too many as well, every second or third and so on of them. What is left out is told.

use super::log::Log;

/// Most frames of a film: a minute and a half at 11 a second.
pub(super) const MOST: usize = 700;
/// So much around an event is shown, in seconds.
const AROUND: f64 = 1.0;

/// What is shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// Places in [`Log::moments`], in order.
    pub(super) frames: Vec<usize>,
    /// Frames a second at which it is shown.
    pub(super) fps: f64,
    /// What is left out, in words; nothing where all is shown.
    pub(super) left_out: Option<String>,
}

pub(super) fn plan(log: &Log, fps: f64, most: usize) -> Plan {
    let all = log.moments.len();
    if all <= most && log.left_out == 0 {
        return Plan { frames: (0..all).collect(), fps, left_out: None };
    }
    let near =
        |t: f64| log.events.iter().any(|e| (e.since - AROUND..=e.last + AROUND).contains(&t));
    let around: Vec<usize> = (0..all).filter(|&at| near(log.moments[at].t)).collect();
    // A clip without an event is shown evenly.
    let of = if around.is_empty() { (0..all).collect() } else { around };
    let step = of.len().div_ceil(most.max(1)).max(1);
    let frames: Vec<_> = of.iter().copied().step_by(step).collect();
    let every = match step {
        1 => String::new(),
        n => format!(", one frame of {n}"),
    };
    let what = if of.len() < all { "what is around events" } else { "all of it" };
    let left_out = format!(
        "The clip has {} frames; the film shows {what}{every}: {} frames.",
        all as u64 + log.left_out,
        frames.len()
    );
    Plan { frames, fps: fps / step as f64, left_out: Some(left_out) }
}

/// Places of `n` frames spread evenly over the clip, in which the picture is no worse than it can be.
pub(super) fn spread(log: &Log, n: usize) -> Vec<usize> {
    let sound = log.moments.iter().enumerate().filter(|(_, m)| m.conditions.bits() == 0);
    let mut of: Vec<usize> = sound.map(|(at, _)| at).collect();
    if of.is_empty() {
        of = (0..log.moments.len()).collect();
    }
    let n = n.min(of.len());
    (0..n).map(|i| of[(2 * i + 1) * of.len() / (2 * n)]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::log::{Event, Moment};
    use super::*;

    fn log(n: usize, events: &[(f64, f64)]) -> Log {
        let moment = |i: usize| Moment { t: i as f64 / 10.0, ..Moment::default() };
        let event = |&(since, last): &(f64, f64)| Event { since, last, ..Event::default() };
        Log {
            moments: (0..n).map(moment).collect(),
            events: events.iter().map(event).collect(),
            ..Log::default()
        }
    }

    #[test]
    fn a_short_clip_is_shown_whole_and_of_a_long_one_its_events() {
        let plan_of = |log: &Log| plan(log, 10.0, 100);
        let whole = plan_of(&log(100, &[]));
        assert_eq!((whole.frames.len(), whole.fps, whole.left_out), (100, 10.0, None));
        let one = plan_of(&log(1000, &[(20.0, 22.0)]));
        assert_eq!(
            (one.frames.first(), one.frames.last(), one.fps),
            (Some(&190), Some(&230), 10.0)
        );
        assert!(
            one.left_out.unwrap().contains("1000 frames; the film shows what is around events: 41")
        );
        let long = plan_of(&log(1000, &[(10.0, 40.0)]));
        assert!(long.frames.len() <= 100 && long.frames[1] - long.frames[0] == 4, "{long:?}");
        assert_eq!(long.fps, 2.5);
        let quiet = plan_of(&log(1000, &[]));
        assert_eq!(quiet.frames.len(), 100);
    }

    #[test]
    fn what_is_spread_is_spread_evenly_and_never_more_than_there_is() {
        assert_eq!(spread(&log(100, &[]), 5), [10, 30, 50, 70, 90]);
        assert_eq!(spread(&log(2, &[]), 5), [0, 1]);
        assert_eq!(spread(&log(0, &[]), 5), Vec::<usize>::new());
    }
}
