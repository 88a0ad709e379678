//! Cameras behind V4L2: USB webcams, capture cards, and sensors, single- or multi-planar.
//!
//! [`open`] agrees on format, size and rate (`device`), asks for less where the USB bus has no room
//! (`less`), and streams out of mapped buffers (`stream`). Called by `camera::open`; the [`V4l2Camera`]
//! belongs to one camera thread. A frame points into the driver's buffer, or into a copy of it where
//! such buffers are slow to read (`access`); the buffer goes back to the driver at the next call of
//! `next_frame`. Of several frames that wait, the newest good one is lent and the others are given back:
//! a thread that was held up goes on with the present.
//!
//! A camera that is unplugged, hangs or sends rubbish shows as [`CameraError::Lost`],
//! [`CameraError::Timeout`] or [`CameraError::Skip`]: nothing here panics or blocks beyond its
//! time-out, as long as the driver's calls return at all.
//!
//! # The oldest kernel
//!
//! Linux 4.1, which Rust's own library asks for on arm64 (3.2 elsewhere); no call made here is younger and
//! indispensable, but for static 32-bit builds. Tested on 6.1 (Debian 12) only. What came when, and what a
//! vendor's older kernel lacks:
//!
//! | since | what | without it |
//! |---|---|---|
//! | 2.6.19 | `VIDIOC_ENUM_FRAMESIZES`, `VIDIOC_ENUM_FRAMEINTERVALS` | sizes and rates are not known beforehand |
//! | 2.6.39 | the multi-planar calls | such cameras do not work |
//! | 3.3 | `device_caps` of `VIDIOC_QUERYCAP` | a metadata node is not told from a camera's |
//! | 3.9 | the clock of a time stamp in the buffer's flags | the time of arrival counts |
//! | 3.17 | `VIDIOC_QUERY_EXT_CTRL` | the older call is used; controls of 64 bits are not seen |
//! | 5.6 | buffers with 64-bit times on 32-bit machines | programs whose C library has such times, as static ones (musl 1.2) do, get no frame |

pub mod access;
pub mod controls;
mod device;
mod filled;
mod formats;
pub mod hotplug;
mod less;
pub mod name;
pub mod offer;
mod stream;
pub mod survey;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use self::access::Reading;
use self::device::{Agreed, Ask};
use self::filled::Numbers;
use self::less::Refused;
use self::offer::{Offer, Rate};
use self::stream::{Capability, Fault, Node, Stream};
use super::{Camera, CameraError, OpenError, Tally, V4l2Settings};
use crate::clock::Clock;
use crate::frame::{Frame, Geometry, PixelFormat};

/// Enough for the driver to fill one while one is lent and one is lost to scheduling.
const BUFFERS: u32 = 4;

/// Share of a wanted rate by which the driver's may differ and still be that rate.
const NEAR_RATE: f64 = 0.1;

/// A camera that is slow to warm up is taken as it is after this.
const WARM_UP_LIMIT: Duration = Duration::from_secs(10);

/// An open and streaming V4L2 camera.
pub struct V4l2Camera {
    stream: Stream,
    geometry: Geometry,
    numbers: Numbers,
    tally: Tally,
    warm_up: Option<WarmUp>,
    clock: Arc<dyn Clock>,
    remarks: Vec<String>,
}

/// Frames that are still to be thrown away.
#[derive(Clone, Copy, Debug)]
struct WarmUp {
    left: u64,
    until: Instant,
}

/// A stream that was started, and what it was started with.
struct Opened {
    capability: Capability,
    agreed: Agreed,
    stream: Stream,
    remarks: Vec<String>,
}

/// Opens the device, agrees on format, size and rate, and starts the stream.
///
/// What was asked for and not to be had (size, rate, or anything that the USB bus has no room for) is
/// replaced by the nearest; what came out is in [`Camera::geometry`] and in one line of the log, and what is
/// not as asked in [`Camera::remarks`].
///
/// # Errors
/// See [`OpenError`]; the device is closed again.
pub fn open(settings: &V4l2Settings, clock: Arc<dyn Clock>) -> Result<V4l2Camera, OpenError> {
    let path = settings.device.resolve()?;
    let device = path.as_path();
    let wanted = Ask::of(settings);
    let (opened, ask) = less::until_it_fits(
        wanted,
        |ask| attempt(settings, device, ask),
        |least| no_room(device, least),
    )?;
    let geometry = opened.agreed.geometry;
    if (opened.stream.capacity() as u64) < geometry.least_bytes() {
        return Err(OpenError::Unsupported(format!(
            "the buffers of {} hold {} bytes, less than the {} of a frame of {}x{}; set another size",
            device.display(),
            opened.stream.capacity(),
            geometry.least_bytes(),
            geometry.width,
            geometry.height
        )));
    }
    let less = ask != wanted;
    let mut opened = opened;
    opened.remarks.splice(0..0, not_had(settings, &opened.agreed, less));
    say_opened(device, settings, &opened, less);
    let left = u64::from(settings.warm_up);
    let warm_up = (left > 0).then(|| WarmUp { left, until: Instant::now() + WARM_UP_LIMIT });
    let (numbers, tally) = (Numbers::default(), Tally::default());
    let Opened { stream, remarks, .. } = opened;
    Ok(V4l2Camera { stream, geometry, numbers, tally, warm_up, clock, remarks })
}

/// One try, from opening the node to a stream that runs. Nothing of an earlier agreement is trusted.
fn attempt(
    settings: &V4l2Settings,
    device: &Path,
    ask: &Ask,
) -> Result<Opened, Refused<OpenError>> {
    let refused = |fault: Fault| Refused::Otherwise(device::refusal(device, &fault));
    let node = Node::open(device).map_err(refused)?;
    let capability = node.capability();
    settings.memory.check(&settings.device, device, &node).map_err(Refused::Otherwise)?;
    let agreed = device::negotiate(&node, device, ask).map_err(Refused::Otherwise)?;
    let remarks = controls::set(&node, &settings.controls);
    match Stream::start(node, BUFFERS) {
        Ok(stream) => Ok(Opened { capability, agreed, stream, remarks }),
        Err(fault) if fault.errno() == Some(Errno::NOSPC) => {
            let offer = Node::open(device).and_then(|node| device::offer(&node));
            Err(Refused::NoRoom(agreed, offer.map_err(refused)?))
        }
        Err(fault) => Err(refused(fault)),
    }
}

fn no_room(device: &Path, least: &Agreed) -> OpenError {
    let Geometry { format, width, height, .. } = least.geometry;
    OpenError::Io(format!(
        "{} finds no room on its USB bus, not even for {} {width}x{height}{}: plug the camera into a port \
         of its own, away from other cameras and not behind a hub",
        device.display(),
        format.name(),
        least.rate.map_or_else(String::new, |rate| format!(" at {rate} frames a second")),
    ))
}

fn say_opened(device: &Path, settings: &V4l2Settings, opened: &Opened, less: bool) {
    let Opened { capability, agreed, stream, remarks } = opened;
    let reading = stream.reading();
    tracing::info!(
        device = %device.display(),
        driver = %device::printable(&capability.driver),
        card = %device::printable(&capability.card),
        format = agreed.geometry.format.name(),
        fourcc = %agreed.code,
        width = agreed.geometry.width,
        height = agreed.geometry.height,
        stride = agreed.geometry.stride,
        fps = agreed.rate.map(Rate::fps),
        asked_format = settings.format.map(PixelFormat::name),
        asked_size = ?settings.size,
        asked_fps = settings.fps,
        settled_for_less = less,
        multi_planar = capability.multi_planar(),
        buffers = stream.count(),
        access = reading.access().name(),
        mapped_mb_s = reading.mapped_mb_s(),
        "Camera opened."
    );
    for remark in remarks {
        tracing::warn!(device = %device.display(), "Camera's settings: {remark}.");
    }
}

/// What was asked for and is otherwise, one sentence each. A rate that is near is what was asked for: 29.97 for
/// 30; one that the driver does not tell is not known to be another.
fn not_had(settings: &V4l2Settings, agreed: &Agreed, less: bool) -> Vec<String> {
    let Agreed { geometry, rate, .. } = agreed;
    let Geometry { format, width, height, .. } = *geometry;
    let another = |what: &str, wanted: String, got: String| {
        format!("`{what}` {wanted} is not to be had: the camera gives {got}")
    };
    let mut remarks = Vec::new();
    if less {
        remarks.push(format!(
            "the USB bus has no room for what was asked: the camera gives {} {width}x{height}{}; give it a \
             port of its own, or ask for this",
            format.name(),
            rate.map_or_else(String::new, |rate| format!(" at {rate} frames a second")),
        ));
    }
    if let Some(wanted) = settings.format.filter(|wanted| *wanted != format) {
        remarks.push(another("format", wanted.name().into(), format.name().into()));
    }
    if let Some((w, h)) = settings.size.filter(|wanted| *wanted != (width, height)) {
        remarks.push(another("size", format!("{w}x{h}"), format!("{width}x{height}")));
    }
    if let (Some(wanted), Some(got)) = (settings.fps.filter(|fps| *fps > 0), rate) {
        let off = (got.fps() - f64::from(wanted)).abs() / f64::from(wanted);
        if off > NEAR_RATE {
            remarks.push(another("fps", wanted.to_string(), got.to_string()));
        }
    }
    remarks
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

    /// Throws the first frames away, good or bad, while exposure and white balance settle. A camera that
    /// gives none is ready when the time is up; its silence shows then.
    fn ready(&mut self, timeout: Duration) -> Result<bool, OpenError> {
        let slice = Instant::now() + timeout;
        while let Some(WarmUp { left, until }) = self.warm_up {
            let now = Instant::now();
            if left == 0 || now >= until {
                tracing::debug!(left, "Camera is warm.");
                (self.warm_up, self.tally) = (None, Tally::default());
            } else if now >= slice {
                return Ok(false);
            } else {
                let before = self.tally;
                match self.next_frame(slice.min(until) - now) {
                    Ok(_) | Err(CameraError::Skip(_)) => {}
                    Err(CameraError::Timeout(_)) => continue,
                    Err(lost) => return Err(OpenError::Io(lost.to_string())),
                }
                let more = self.tally.passed_over - before.passed_over;
                self.warm_up = Some(WarmUp { left: left.saturating_sub(1 + more), until });
            }
        }
        Ok(true)
    }

    fn remarks(&self) -> &[String] {
        &self.remarks
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Frame<'_>, CameraError> {
        let Self { stream, geometry, numbers, tally, .. } = self;
        let next = stream
            .next(timeout, |filled, data| {
                let missed = numbers.came(filled.sequence);
                filled::unusable(filled, data, geometry).map_or(Ok(missed), Err)
            })
            .map_err(|fault| trouble(&fault, timeout))?;
        tally.passed_over += u64::from(next.passed_over);
        tally.unusable += u64::from(next.bad);
        let sequence = numbers.lent(next.verdict.map_err(CameraError::Skip)?);
        let (captured, stamp) =
            filled::capture_time(&next.filled, filled::monotonic_now(), self.clock.boottime());
        let data = whole(self.stream.lent(), &self.geometry);
        Ok(Frame { geometry: self.geometry, data, sequence, captured, stamp })
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}

/// Without what drivers append to raw frames, to fill a page or for their own use.
fn whole<'a>(data: &'a [u8], geometry: &Geometry) -> &'a [u8] {
    let bytes = usize::try_from(geometry.frame_bytes()).unwrap_or(usize::MAX);
    match geometry.format {
        PixelFormat::Mjpeg => data,
        _ => data.get(..bytes).unwrap_or(data),
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_drivers_append_to_raw_frames_is_cut_off_and_a_jpeg_is_left_whole() {
        let data = vec![0; 4096];
        let cut =
            |format| whole(&data, &Geometry { format, width: 40, height: 10, stride: 80 }).len();
        assert_eq!(cut(PixelFormat::Yuyv), 800);
        assert_eq!(cut(PixelFormat::Nv12), 1_200);
        assert_eq!(cut(PixelFormat::Mjpeg), 4096);
        let least = Geometry { format: PixelFormat::Grey, width: 40, height: 10, stride: 64 };
        assert_eq!(whole(&data[..616], &least).len(), 616, "the last row's padding may be missing");
    }

    #[test]
    fn what_is_not_as_asked_is_told_and_what_is_near_enough_is_not() {
        let geometry =
            Geometry { format: PixelFormat::Yuyv, width: 1280, height: 720, stride: 2560 };
        let told = |format, size, fps, rate, less| {
            let settings = V4l2Settings { format, size, fps, ..V4l2Settings::node("/dev/video7") };
            not_had(&settings, &Agreed { code: offer::Code::of(b"YUYV"), geometry, rate }, less)
        };
        let ntsc = Some(Rate { frames: 30_000, seconds: 1_001 });
        let none: [&str; 0] = [];
        let yuyv = Some(PixelFormat::Yuyv);
        assert_eq!(told(yuyv, Some((1280, 720)), Some(30), ntsc, false), none);
        assert_eq!(told(None, None, None, ntsc, false), none, "nothing was asked");
        assert_eq!(told(None, None, Some(10), Some(Rate::per_second(11)), false), none);
        assert_eq!(told(None, None, Some(10), None, false), none, "the driver tells no rate");
        let mjpeg = Some(PixelFormat::Mjpeg);
        assert_eq!(
            told(mjpeg, Some((1920, 1080)), Some(10), Some(Rate::per_second(12)), false),
            [
                "`format` mjpeg is not to be had: the camera gives yuyv",
                "`size` 1920x1080 is not to be had: the camera gives 1280x720",
                "`fps` 10 is not to be had: the camera gives 12",
            ]
        );
        assert_eq!(
            told(None, None, None, Some(Rate::per_second(5)), true),
            [
                "the USB bus has no room for what was asked: the camera gives yuyv 1280x720 at 5 frames a \
              second; give it a port of its own, or ask for this"
            ]
        );
    }

    #[test]
    fn no_room_for_the_least_says_what_that_was_and_what_helps() {
        let geometry = Geometry { format: PixelFormat::Yuyv, width: 160, height: 120, stride: 320 };
        let rate = Some(Rate::per_second(5));
        let agreed = Agreed { code: offer::Code::of(b"YUYV"), geometry, rate };
        let text = no_room(Path::new("/dev/video7"), &agreed).to_string();
        assert!(text.contains("not even for yuyv 160x120 at 5 frames a second"), "{text}");
        assert!(text.contains("port of its own"), "{text}");
    }
}
