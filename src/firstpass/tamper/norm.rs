//! The detail that a camera's pictures have, by how bright they are.
//!
//! A camera shows less at dusk than at noon, and noise at night that looks like detail: so there is a norm for
//! each of eight ranges of brightness, learnt while nothing is wrong. It forgets within tens of minutes.

use std::time::Duration;

use super::Verdict;
use crate::firstpass::Quality;

/// Share of the norm below which a picture is blurred, and above which it is not.
const BAD: f32 = 0.45;
const GOOD: f32 = 0.6;
/// A norm says nothing before it saw so much.
const WARM: Duration = Duration::from_secs(60);
/// It follows with this time constant.
const FOLLOW: Duration = Duration::from_secs(900);

#[derive(Clone, Copy, Debug, Default)]
struct Range {
    detail: f32,
    seen: Duration,
}

/// One camera's norms.
#[derive(Debug, Default)]
pub(super) struct Norm {
    ranges: [Range; 8],
}

impl Norm {
    /// Judges a picture `elapsed` after the last, and learns from one that is good.
    pub(super) fn judge(&mut self, quality: Quality, elapsed: Duration) -> Verdict {
        if !(quality.detail.is_finite() && quality.detail > 0.0) {
            return Verdict::Unsure;
        }
        let at = (quality.brightness.clamp(0.0, 255.0) / 32.0) as usize;
        let range = &mut self.ranges[at.min(7)];
        let share = quality.detail / range.detail.max(f32::MIN_POSITIVE);
        let warm = range.seen >= WARM;
        if !warm || share > GOOD {
            range.seen = (range.seen + elapsed).min(FOLLOW);
            let rate = elapsed.as_secs_f32() / range.seen.as_secs_f32().max(f32::MIN_POSITIVE);
            range.detail += (quality.detail - range.detail) * rate.min(1.0);
        }
        match warm {
            true => Verdict::of(share < BAD, share > GOOD),
            false => Verdict::Unsure,
        }
    }
}
