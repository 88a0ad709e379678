//! What a filled buffer is worth: whether it can hold a picture, its number, and its time. Pure.

use std::time::Duration;

use v4l::v4l_sys as sys;

use super::stream::Filled;
use crate::clock::BootTime;
use crate::frame::{Geometry, PixelFormat, Stamp};

/// The smallest well-formed JPEG (one grey pixel, shortest tables) has 125 bytes; cameras send a few
/// bytes of nothing after a USB error.
const LEAST_JPEG: usize = 125;

/// More segments than any camera writes before its image data.
const MAX_SEGMENTS: usize = 256;

/// Why a filled buffer holds no picture, if so.
pub(super) fn unusable(filled: &Filled, data: &[u8], geometry: &Geometry) -> Option<&'static str> {
    if filled.flags & sys::V4L2_BUF_FLAG_ERROR != 0 {
        return Some("the driver marked it as damaged");
    }
    if data.is_empty() {
        return Some("empty");
    }
    match geometry.format {
        PixelFormat::Mjpeg => jpeg_fault(data),
        _ if (data.len() as u64) < geometry.least_bytes() => Some("rows are missing"),
        _ => None,
    }
}

/// Can this be a JPEG at all? What lies behind its header is for the first pass to find out. An end is
/// not asked for: a Logitech C920 leaves the end marker out, and its pictures are whole.
fn jpeg_fault(data: &[u8]) -> Option<&'static str> {
    if data.len() < LEAST_JPEG {
        Some("too small for a jpeg")
    } else if !data.starts_with(&[0xff, 0xd8]) {
        Some("does not begin like a jpeg")
    } else if ends_in_header(data) {
        Some("cut off in its header")
    } else {
        None
    }
}

/// Do the segments before the image data lead out of the buffer?
fn ends_in_header(data: &[u8]) -> bool {
    let mut rest = data.get(2..).unwrap_or_default();
    for _ in 0..MAX_SEGMENTS {
        match *rest {
            [0xff, 0xff, ..] => rest = rest.get(1..).unwrap_or_default(), // a fill byte
            [0xff, 0xda, ..] => return false,
            [0xff, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([high, low])).max(2);
                rest = rest.get(2 + length..).unwrap_or_default();
            }
            [0xff, ..] | [] => return true,
            _ => return false, // no marker where one should be: the first pass says what it is
        }
    }
    false
}

/// A driver's time in ns; 0 ("no time") for what cannot be one.
// The fields are 32 or 64 bits wide, by architecture.
#[allow(clippy::useless_conversion)]
fn nanoseconds(t: sys::timeval) -> u64 {
    let seconds = u64::try_from(i64::from(t.tv_sec)).ok();
    let micros = u64::try_from(i64::from(t.tv_usec)).ok();
    seconds
        .and_then(|s| s.checked_mul(1_000_000)?.checked_add(micros?)?.checked_mul(1_000))
        .unwrap_or(0)
}

/// CLOCK_MONOTONIC in ns.
pub(super) fn monotonic_now() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(t).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// When a frame was captured: the driver's stamp moved from CLOCK_MONOTONIC to CLOCK_BOOTTIME by the
/// clocks' difference now, which is the time that the machine has slept. A frame that was waiting while
/// the machine slept comes out as captured that much later.
///
/// A stamp of zero, or one from the future, is no stamp, and the time of arrival counts: uvcvideo makes
/// such from a broken camera clock, and vivid dates the end of a frame that it hands over at its start.
pub(super) fn capture_time(
    filled: &Filled,
    monotonic: u64,
    boottime: BootTime,
) -> (BootTime, Stamp) {
    let clock = filled.flags & sys::V4L2_BUF_FLAG_TIMESTAMP_MASK;
    let stamp = nanoseconds(filled.stamp);
    let age = (clock == sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC && stamp > 0)
        .then(|| monotonic.checked_sub(stamp))
        .flatten();
    match age.and_then(|age| boottime.0.checked_sub(age)) {
        Some(captured) => (BootTime(captured), Stamp::Driver),
        None => (boottime, Stamp::Arrival),
    }
}

/// Frame numbers out of the driver's counter: they never wrap, they grow by one from one lent frame to
/// the next, and by what the driver dropped besides. What came and was not lent (unusable, or passed over
/// for a newer one) leaves no gap: it is counted elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    last: Option<(u32, u64)>,
    came: u64,
    lent: u64,
}

/// The number of the driver's first frame, and what it dropped since: grows with drops only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed(u64);

impl Numbers {
    /// A frame came, with this in the driver's counter. A counter that stands still (drivers that never
    /// fill it in) or goes back (drivers that begin again) counts as one step.
    pub(super) fn came(&mut self, raw: u32) -> Missed {
        let next = match self.last {
            None => u64::from(raw),
            Some((last_raw, last)) => {
                let step = raw.wrapping_sub(last_raw);
                let forward = (1..=u32::MAX / 2).contains(&step);
                last.saturating_add(if forward { u64::from(step) } else { 1 })
            }
        };
        self.last = Some((raw, next));
        let missed = next.saturating_sub(self.came);
        self.came += 1;
        Missed(missed)
    }

    /// The number of one that came and is lent.
    pub(super) fn lent(&mut self, missed: Missed) -> u64 {
        let number = missed.0.saturating_add(self.lent);
        self.lent += 1;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MONOTONIC: u32 = sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;

    fn filled(flags: u32, tv_usec: i32) -> Filled {
        let stamp = sys::timeval { tv_sec: 0, tv_usec: tv_usec.into() };
        Filled { flags, sequence: 0, stamp }
    }

    /// All times in µs.
    fn time(flags: u32, stamp: i32, monotonic: u64, boottime: u64) -> (u64, Stamp) {
        let boottime = BootTime(boottime * 1_000);
        let (t, stamp) = capture_time(&filled(flags, stamp), monotonic * 1_000, boottime);
        (t.0 / 1_000, stamp)
    }

    #[test]
    fn driver_stamps_move_to_boottime_by_the_time_slept() {
        assert_eq!(time(MONOTONIC, 900, 1_000, 1_000), (900, Stamp::Driver));
        assert_eq!(time(MONOTONIC, 900, 1_000, 5_000), (4_900, Stamp::Driver));
        assert_eq!(time(MONOTONIC, 1_000, 1_000, 5_000), (5_000, Stamp::Driver));
    }

    #[test]
    fn arrival_counts_where_the_stamp_is_of_another_clock_or_impossible() {
        assert_eq!(time(0, 900, 1_000, 5_000), (5_000, Stamp::Arrival));
        assert_eq!(time(0x4000, 900, 1_000, 5_000), (5_000, Stamp::Arrival));
        assert_eq!(time(MONOTONIC, 0, 1_000, 5_000), (5_000, Stamp::Arrival));
        assert_eq!(time(MONOTONIC, 1_001, 1_000, 5_000), (5_000, Stamp::Arrival));
        assert_eq!(time(MONOTONIC, 1, 1_000, 500), (500, Stamp::Arrival));
    }

    #[test]
    fn times_that_cannot_be_are_no_time() {
        let t = |tv_sec, tv_usec| nanoseconds(sys::timeval { tv_sec, tv_usec });
        assert_eq!(t(2, 3), 2_000_003_000);
        assert_eq!(t(-1, 0), 0);
        assert_eq!(t(1, -5), 0);
        assert_eq!(t(0, 0), 0);
    }

    /// Every frame is lent.
    fn numbered(raw: &[u32]) -> Vec<u64> {
        let mut numbers = Numbers::default();
        let mut lend = |&n| {
            let missed = numbers.came(n);
            numbers.lent(missed)
        };
        raw.iter().map(&mut lend).collect()
    }

    #[test]
    fn the_numbers_keep_gaps_and_go_on_over_the_wrap() {
        assert_eq!(numbered(&[7, 8, 12]), [7, 8, 12]);
        let top = u64::from(u32::MAX);
        assert_eq!(numbered(&[u32::MAX - 1, u32::MAX, 0, 3]), [top - 1, top, top + 1, top + 4]);
        assert_eq!(numbered(&[u32::MAX, 2]), [top, top + 3], "two lost over the wrap");
    }

    #[test]
    fn a_counter_that_stands_still_or_goes_back_is_one_step() {
        assert_eq!(numbered(&[0, 0, 0]), [0, 1, 2]);
        assert_eq!(numbered(&[100, 101, 0, 1, 2]), [100, 101, 102, 103, 104]);
    }

    #[test]
    fn what_came_and_was_not_lent_is_no_drop_of_the_drivers() {
        let mut numbers = Numbers::default();
        let first = numbers.came(0);
        assert_eq!(numbers.lent(first), 0);
        numbers.came(1); // passed over
        numbers.came(2); // passed over
        let third = numbers.came(3);
        assert_eq!(numbers.lent(third), 1);
        numbers.came(4); // unusable
        let after_two_drops = numbers.came(7);
        numbers.came(8); // unusable, given back beside it
        assert_eq!(numbers.lent(after_two_drops), 4);
        let next = numbers.came(9);
        assert_eq!(numbers.lent(next), 5);
    }

    fn geometry(format: PixelFormat) -> Geometry {
        Geometry { format, width: 4, height: 8, stride: 0 }
    }

    #[test]
    fn frames_that_cannot_be_pictures_are_told() {
        let jpeg = |len| {
            let mut jpeg = vec![0; len];
            jpeg[..4].copy_from_slice(&[0xff, 0xd8, 0xff, 0xda]);
            jpeg
        };
        let mjpeg =
            |flags, data: &[u8]| unusable(&filled(flags, 1), data, &geometry(PixelFormat::Mjpeg));
        assert_eq!(mjpeg(0, &jpeg(LEAST_JPEG)), None);
        assert_eq!(mjpeg(0, &jpeg(LEAST_JPEG - 1)), Some("too small for a jpeg"));
        assert_eq!(mjpeg(0, &[]), Some("empty"));
        let damaged = Some("the driver marked it as damaged");
        assert_eq!(mjpeg(sys::V4L2_BUF_FLAG_ERROR, &jpeg(LEAST_JPEG)), damaged);
        assert_eq!(mjpeg(0, &[0xff; LEAST_JPEG]), Some("does not begin like a jpeg"));
        let raw = |format, len| unusable(&filled(0, 1), &vec![0; len], &geometry(format));
        assert_eq!(raw(PixelFormat::Yuyv, 64), None);
        assert_eq!(raw(PixelFormat::Yuyv, 63), Some("rows are missing"));
        assert_eq!(raw(PixelFormat::Nv12, 48), None);
        assert_eq!(raw(PixelFormat::Nv12, 47), Some("rows are missing"));
    }

    #[test]
    fn a_jpeg_may_lack_its_end_but_not_the_rest_of_its_header() {
        let whole = include_bytes!("../../../tests/fixtures/jpeg/ffmpeg-420.jpg");
        let header = whole.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
        assert_eq!(jpeg_fault(whole), None);
        assert!(whole.ends_with(&[0xff, 0xd9]));
        assert_eq!(jpeg_fault(&whole[..whole.len() - 2]), None, "as a C920 sends them");
        assert_eq!(jpeg_fault(&whole[..header + 2]), None);
        for cut in LEAST_JPEG..header {
            assert_eq!(jpeg_fault(&whole[..cut]), Some("cut off in its header"), "at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_counter_makes_numbers_that_grow(
            raw in proptest::collection::vec((any::<u32>(), any::<bool>()), 1..50),
        ) {
            let mut numbers = Numbers::default();
            let lent: Vec<_> = raw
                .into_iter()
                .filter_map(|(raw, lend)| {
                    let missed = numbers.came(raw);
                    lend.then(|| numbers.lent(missed))
                })
                .collect();
            prop_assert!(lent.windows(2).all(|w| w[0] < w[1]), "{:?}", lent);
        }

        #[test]
        fn any_bytes_have_an_answer(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut jpeg = vec![0xff, 0xd8];
            jpeg.extend(&data);
            jpeg_fault(&jpeg);
        }

        #[test]
        fn capture_is_never_after_arrival(
            flags: u32,
            seconds: i32,
            micros: i32,
            monotonic: u64,
            boottime: u64,
        ) {
            let stamp = sys::timeval { tv_sec: seconds.into(), tv_usec: micros.into() };
            let filled = Filled { flags, sequence: 0, stamp };
            prop_assert!(capture_time(&filled, monotonic, BootTime(boottime)).0.0 <= boottime);
        }
    }
}
