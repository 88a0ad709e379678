//! Cameras behind V4L2: USB webcams, capture cards, and sensors with a single-planar node.
//!
//! [`open`] agrees on format and size (`device`), then streams out of mapped buffers (`stream`).
//! Called by `camera::open`; the [`V4l2Camera`] belongs to one camera thread. A frame points into the
//! driver's buffer, and the buffer goes back to the driver at the next call of `next_frame`.
//!
//! A camera that is unplugged, hangs or sends rubbish shows as [`CameraError::Lost`],
//! [`CameraError::Timeout`] or [`CameraError::Skip`]: nothing here panics or blocks beyond its
//! time-out.

pub mod access;
pub mod controls;
mod device;
mod formats;
pub mod hotplug;
pub mod name;
pub mod offer;
mod stream;
pub mod survey;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use v4l::v4l_sys as sys;

use self::access::Reading;
use self::device::Ask;
use self::offer::Offer;
use self::stream::{Fault, Filled, Node, Stream};
use super::{Camera, CameraError, OpenError, V4l2Settings};
use crate::clock::{BootTime, Clock};
use crate::frame::{Frame, Geometry, PixelFormat, Stamp};

/// Enough for the driver to fill one while one is lent and one is lost to scheduling.
const BUFFERS: u32 = 4;

/// The smallest well-formed JPEG (one grey pixel, shortest tables) has 125 bytes; cameras send a few
/// bytes of nothing after a USB error.
const LEAST_JPEG: usize = 125;

/// An open and streaming V4L2 camera.
pub struct V4l2Camera {
    stream: Stream,
    geometry: Geometry,
    least_bytes: usize,
    sequence: Sequence,
    clock: Arc<dyn Clock>,
    remarks: Vec<String>,
}

/// Opens the device, agrees on format, size and rate, and starts the stream.
///
/// What was asked for and not to be had (size, rate) is replaced by the driver's nearest; what came out
/// is in [`Camera::geometry`] and in one line of the log.
///
/// # Errors
/// See [`OpenError`]; the device is closed again.
pub fn open(settings: &V4l2Settings, clock: Arc<dyn Clock>) -> Result<V4l2Camera, OpenError> {
    let path = settings.device.resolve()?;
    let device = path.as_path();
    let refused = |fault: Fault| device::refusal(device, &fault);
    let node = Node::open(device).map_err(refused)?;
    let capability = node.capability();
    settings.memory.check(&settings.device, device, &node)?;
    let agreed = device::negotiate(&node, device, &Ask::of(settings))?;
    let geometry = agreed.geometry;
    let least_bytes = usize::try_from(geometry.least_bytes()).unwrap_or(usize::MAX);
    let remarks = controls::set(&node, &settings.controls);
    for remark in &remarks {
        tracing::warn!(device = %device.display(), "Control: {remark}.");
    }
    let stream = Stream::start(node, BUFFERS).map_err(refused)?;
    if stream.capacity() < least_bytes {
        return Err(OpenError::Unsupported(format!(
            "the buffers of {} hold {} bytes, less than the {least_bytes} of a frame of {}x{}; set \
             another size",
            device.display(),
            stream.capacity(),
            geometry.width,
            geometry.height
        )));
    }
    tracing::info!(
        device = %device.display(),
        driver = %device::printable(&capability.driver),
        card = %device::printable(&capability.card),
        format = geometry.format.name(),
        width = geometry.width,
        height = geometry.height,
        stride = geometry.stride,
        fps = agreed.rate.map(offer::Rate::fps),
        asked_size = ?settings.size,
        asked_fps = settings.fps,
        buffers = stream.count(),
        "Camera opened."
    );
    Ok(V4l2Camera { stream, geometry, least_bytes, sequence: Sequence::default(), clock, remarks })
}

/// What the device offers: formats, sizes, rates.
///
/// # Errors
/// It is not there, is no V4L2 device, or may not be opened: see [`OpenError`].
pub fn offered(device: &Path) -> Result<Offer, OpenError> {
    let offer = Node::open(device).and_then(|node| device::offer(&node));
    offer.map_err(|fault| device::refusal(device, &fault))
}

/// How fast the device's buffers are read; `None` while somebody streams from it, or without a buffer.
#[must_use]
pub fn reading(device: &Path) -> Option<Reading> {
    Node::open(device).and_then(|node| stream::reading(&node)).ok()
}

impl Camera for V4l2Camera {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn remarks(&self) -> &[String] {
        &self.remarks
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Frame<'_>, CameraError> {
        let next =
            self.stream.next(timeout, |_, _| Ok(())).map_err(|fault| trouble(&fault, timeout))?;
        let filled = next.filled;
        let sequence = self.sequence.extend(filled.sequence);
        let data = self.stream.lent();
        if let Some(fault) = unusable(&filled, data, self.geometry.format, self.least_bytes) {
            return Err(CameraError::Skip(fault));
        }
        let (captured, stamp) = capture_time(&filled, monotonic_now(), self.clock.boottime());
        Ok(Frame { geometry: self.geometry, data, sequence, captured, stamp })
    }
}

/// What a fault of the stream means to the capture loop.
fn trouble(fault: &Fault, timeout: Duration) -> CameraError {
    match (fault, fault.errno()) {
        (Fault::TimedOut, _) => CameraError::Timeout(timeout),
        (_, Some(Errno::NODEV)) => CameraError::Lost("the camera was unplugged".to_owned()),
        (_, Some(Errno::IO)) => {
            CameraError::Lost("the driver lost the camera's signal (input/output error)".to_owned())
        }
        _ => CameraError::Lost(format!("the camera's stream broke: {fault}")),
    }
}

/// Why a filled buffer holds no picture, if so.
fn unusable(
    filled: &Filled,
    data: &[u8],
    format: PixelFormat,
    least_bytes: usize,
) -> Option<&'static str> {
    if filled.flags & sys::V4L2_BUF_FLAG_ERROR != 0 {
        return Some("the driver marked it as damaged");
    }
    if data.is_empty() {
        return Some("empty");
    }
    match format {
        PixelFormat::Mjpeg => jpeg_fault(data),
        _ if data.len() < least_bytes => Some("rows are missing"),
        _ => None,
    }
}

/// Can this be a JPEG at all? What lies between the ends is for the first pass to find out.
fn jpeg_fault(data: &[u8]) -> Option<&'static str> {
    if data.len() < LEAST_JPEG {
        Some("too small for a jpeg")
    } else if !data.starts_with(&[0xff, 0xd8]) {
        Some("does not begin like a jpeg")
    } else {
        None
    }
}

/// CLOCK_MONOTONIC in ns.
fn monotonic_now() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(t).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
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

/// When a frame was captured: the driver's stamp moved from CLOCK_MONOTONIC to CLOCK_BOOTTIME by the
/// clocks' difference now, which is the time that the machine has slept. A frame that was waiting while
/// the machine slept comes out as captured that much later.
///
/// A stamp of zero, or one from the future, is no stamp, and the time of arrival counts: uvcvideo makes
/// such from a broken camera clock, and vivid dates the end of a frame that it hands over at its start.
fn capture_time(filled: &Filled, monotonic: u64, boottime: BootTime) -> (BootTime, Stamp) {
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

/// The driver's 32-bit counter made into one that never wraps and always grows.
#[derive(Clone, Copy, Debug, Default)]
struct Sequence {
    last: Option<(u32, u64)>,
}

impl Sequence {
    /// The next number. A counter that stands still (drivers that never fill it in) or goes back
    /// (drivers that begin again) counts as one step.
    fn extend(&mut self, raw: u32) -> u64 {
        let next = match self.last {
            None => u64::from(raw),
            Some((last_raw, last)) => {
                let step = raw.wrapping_sub(last_raw);
                let forward = (1..=u32::MAX / 2).contains(&step);
                last.saturating_add(if forward { u64::from(step) } else { 1 })
            }
        };
        self.last = Some((raw, next));
        next
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

    fn extended(raw: &[u32]) -> Vec<u64> {
        let mut sequence = Sequence::default();
        raw.iter().map(|&n| sequence.extend(n)).collect()
    }

    #[test]
    fn the_sequence_keeps_gaps_and_goes_on_over_the_wrap() {
        assert_eq!(extended(&[7, 8, 12]), [7, 8, 12]);
        let top = u64::from(u32::MAX);
        assert_eq!(extended(&[u32::MAX - 1, u32::MAX, 0, 3]), [top - 1, top, top + 1, top + 4]);
        assert_eq!(extended(&[u32::MAX, 2]), [top, top + 3], "two lost over the wrap");
    }

    #[test]
    fn a_sequence_that_stands_still_or_goes_back_grows_by_one() {
        assert_eq!(extended(&[0, 0, 0]), [0, 1, 2]);
        assert_eq!(extended(&[100, 101, 0, 1, 2]), [100, 101, 102, 103, 104]);
    }

    #[test]
    fn frames_that_cannot_be_pictures_are_told() {
        let mut jpeg = vec![0; LEAST_JPEG];
        jpeg[..2].copy_from_slice(&[0xff, 0xd8]);
        let mjpeg = |flags, data: &[u8]| unusable(&filled(flags, 1), data, PixelFormat::Mjpeg, 0);
        assert_eq!(mjpeg(0, &jpeg), None);
        assert_eq!(mjpeg(0, &jpeg[..LEAST_JPEG - 1]), Some("too small for a jpeg"));
        assert_eq!(mjpeg(0, &jpeg[..0]), Some("empty"));
        assert_eq!(mjpeg(sys::V4L2_BUF_FLAG_ERROR, &jpeg), Some("the driver marked it as damaged"));
        jpeg[1] = 0xd9;
        assert_eq!(mjpeg(0, &jpeg), Some("does not begin like a jpeg"));
        let yuyv = |data: &[u8]| unusable(&filled(0, 1), data, PixelFormat::Yuyv, 64);
        assert_eq!(yuyv(&[0; 64]), None);
        assert_eq!(yuyv(&[0; 63]), Some("rows are missing"));
    }

    #[test]
    fn faults_become_what_the_capture_loop_does_next() {
        let call = |errno: Errno| {
            let fault = Fault::Call { call: "VIDIOC_DQBUF", error: errno.into() };
            trouble(&fault, Duration::from_secs(1)).to_string()
        };
        let timeout = trouble(&Fault::TimedOut, Duration::from_secs(2));
        assert!(matches!(timeout, CameraError::Timeout(d) if d == Duration::from_secs(2)));
        assert_eq!(call(Errno::NODEV), "the camera was unplugged");
        assert!(call(Errno::IO).contains("signal"));
        assert!(call(Errno::INVAL).starts_with("the camera's stream broke: VIDIOC_DQBUF: "));
    }

    proptest! {
        #[test]
        fn any_sequence_grows_strictly(raw in proptest::collection::vec(any::<u32>(), 1..50)) {
            let out = extended(&raw);
            prop_assert!(out.windows(2).all(|w| w[0] < w[1]));
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
