//! How a camera's frames are read: where the driver put them, or from a copy made first.
//!
//! Most drivers map ordinary, cached memory, and a frame is read in place. On many ARM boards buffers
//! come from `dma-contig` without a cache: every load goes to the memory chip, and a first pass that
//! reads a frame byte by byte takes ten times as long. There one wide copy comes first. Which it is
//! cannot be asked; so it is measured, once when a camera opens, before the driver has the buffers.
//!
//! The decision is a pure function of two durations. It has not been tried on such a board: the tests
//! inject durations, and the machines at hand map cached memory only.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Enough to outlast the clock's resolution, and 10 ms at the slowest uncached 25 MB/s.
const SAMPLE: usize = 256 << 10;

/// The best of so many reads counts: an interruption only ever makes one slower. Fewer where the mapping
/// has shown itself fast enough; all of them before it is called slow, because a busy machine interrupts
/// several in a row.
const ROUNDS: std::ops::Range<u32> = 3..16;

/// How many times slower than ordinary memory a mapping may be and still be read in place.
const LIMIT: u32 = 2;

/// How frames are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// In the driver's buffer.
    Direct,
    /// From a copy of each frame.
    Copied,
}

impl Access {
    /// The word for logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Copied => "copied",
        }
    }
}

/// The same number of bytes, read from a mapped buffer and from ordinary memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// How many.
    pub bytes: usize,
    /// Time for those of the buffer.
    pub mapped: Duration,
    /// Time for ordinary ones.
    pub ordinary: Duration,
}

impl Reading {
    /// Reads the beginning of a buffer, and as much ordinary memory.
    #[must_use]
    pub fn of(mapped: &[u8]) -> Self {
        let mapped = mapped.get(..SAMPLE).unwrap_or(mapped);
        let ordinary = vec![1_u8; mapped.len()];
        Self::best(mapped.len(), || (timed(mapped), timed(&ordinary)))
    }

    /// The best of several rounds, each of which reads both.
    fn best(bytes: usize, mut round: impl FnMut() -> (Duration, Duration)) -> Self {
        let mut best = Self { bytes, mapped: Duration::MAX, ordinary: Duration::MAX };
        for n in 1..=ROUNDS.end {
            let (mapped, ordinary) = round();
            best.mapped = best.mapped.min(mapped);
            best.ordinary = best.ordinary.min(ordinary);
            if n >= ROUNDS.start && best.access() == Access::Direct {
                break;
            }
        }
        best
    }

    /// What follows from it.
    #[must_use]
    pub fn access(&self) -> Access {
        if self.mapped > self.ordinary.saturating_mul(LIMIT) {
            Access::Copied
        } else {
            Access::Direct
        }
    }

    /// Speed of the mapping in megabytes a second; `None` when nothing was measured.
    #[must_use]
    pub fn mapped_mb_s(&self) -> Option<u64> {
        let micros = u64::try_from(self.mapped.as_micros()).ok()?;
        (self.bytes as u64).checked_div(micros)
    }
}

fn timed(bytes: &[u8]) -> Duration {
    let begun = Instant::now();
    let words = bytes.chunks_exact(8).map(|w| w.try_into().map_or(0, u64::from_ne_bytes));
    black_box(words.fold(0, u64::wrapping_add));
    begun.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(mapped: u64, ordinary: u64) -> Access {
        let (mapped, ordinary) = (Duration::from_micros(mapped), Duration::from_micros(ordinary));
        Reading { bytes: SAMPLE, mapped, ordinary }.access()
    }

    #[test]
    fn mappings_slower_than_twice_ordinary_memory_are_copied_first() {
        assert_eq!(access(20, 20), Access::Direct);
        assert_eq!(access(10, 20), Access::Direct);
        assert_eq!(access(40, 20), Access::Direct);
        assert_eq!(access(41, 20), Access::Copied);
        // 256 KiB uncached at 60 MB/s beside 5 GB/s.
        assert_eq!(access(4_369, 52), Access::Copied);
    }

    /// Rounds of these durations in µs, the last over and over; the result and how many there were.
    fn rounds(script: &[(u64, u64)]) -> (Access, usize) {
        let mut taken = 0;
        let reading = Reading::best(SAMPLE, || {
            let (mapped, ordinary) = script[taken.min(script.len() - 1)];
            taken += 1;
            (Duration::from_micros(mapped), Duration::from_micros(ordinary))
        });
        (reading.access(), taken)
    }

    #[test]
    fn a_mapping_is_called_slow_only_after_every_round_found_it_so() {
        assert_eq!(rounds(&[(50, 50)]), (Access::Direct, 3));
        assert_eq!(rounds(&[(4_000, 50)]), (Access::Copied, 16));
        let interrupted = [(4_000, 50), (9_000, 60), (300, 50), (800, 50), (55, 70)];
        assert_eq!(rounds(&interrupted), (Access::Direct, 5));
    }

    #[test]
    fn without_a_measurement_frames_are_read_in_place() {
        assert_eq!(Reading::default().access(), Access::Direct);
        assert_eq!(Reading::default().mapped_mb_s(), None);
        let longest = Reading { bytes: 1, mapped: Duration::MAX, ordinary: Duration::MAX };
        assert_eq!(longest.access(), Access::Direct);
    }

    #[test]
    fn a_measurement_reads_no_more_than_its_sample() {
        assert_eq!(Reading::of(&[0; SAMPLE * 3]).bytes, SAMPLE);
        assert_eq!(Reading::of(&[0; 100]).bytes, 100);
        assert_eq!(Reading::of(&[]).bytes, 0);
        assert_eq!(
            Reading { bytes: 50_000, mapped: Duration::from_micros(100), ordinary: Duration::ZERO }
                .mapped_mb_s(),
            Some(500)
        );
    }
}
