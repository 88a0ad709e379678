//! A program as a camera: it writes frames to its standard output, and we take the newest.
//!
//! For cameras that speak no V4L2: RTSP through `ffmpeg`, the Raspberry Pi's ribbon camera through
//! `rpicam-vid`, or anything else that can write JPEG images one after the other, or raw frames of any
//! pixel format.
//! Opened by [`super::open`]; the [`ExecCamera`] belongs to one camera thread, which reads both pipes
//! itself: there is no other thread.
//!
//! Opening starts the program and does not wait; [`Camera::ready`] waits for the first whole frame, in
//! slices, because a network camera takes seconds to begin and its thread must be stoppable meanwhile.
//! Each call then takes everything that has come and lends the newest whole frame; older ones count as
//! gaps of the sequence.
//!
//! Invariants: no call waits longer than its time-out; memory is bounded by the largest frame taken
//! ([`frames::MAX_FRAME`]) whatever is written; the program runs in a process group of its own, and that
//! group is gone when the camera has been dropped, within 2.3 s.
//!
//! Failure: a program that ends, for whatever reason, is [`CameraError::Lost`] with its status and its
//! last words, and so is a stream whose frames change their size; the camera thread opens it again.

mod child;
mod frames;
mod lines;
mod redact;
mod secrets;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::child::{Child, Ended};
use self::frames::Frames;
use self::lines::Lines;
pub(crate) use self::redact::Redactor;
use super::{Camera, CameraError, OpenError, mjpeg};
use crate::clock::{BootTime, Clock};
use crate::frame::{Frame, Geometry, PixelFormat, Stamp};

pub use frames::MAX_FRAME;
pub(crate) use secrets::{is_secret_name, is_secret_option};

/// Bytes taken in one go: more than a pipe holds, so that all that had come when it began is taken, and
/// a program that writes without end is not read without end.
const MOST_READ: usize = 2 << 20;

/// After the end of the frames, the program's own end is waited for so long: its status says why.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// A program that writes frames.
#[derive(Clone, PartialEq)]
pub struct ExecSettings {
    /// The program, by absolute path or by a name to be found on PATH, and its arguments. No shell.
    pub command: Vec<String>,
    /// What it writes: JPEG images, or raw frames.
    pub format: PixelFormat,
    /// Size of the frames; needed for raw ones, and learnt from the first JPEG.
    pub size: Option<(u32, u32)>,
    /// Frames a second, as a hint for what the camera will cost.
    pub fps: Option<f64>,
    /// Longest time from its start to its first frame.
    pub start_timeout: Duration,
}

/// For people: the program and the number of its arguments, which may hold passwords.
impl fmt::Display for ExecSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((program, arguments)) = self.command.split_first() else {
            return f.write_str("exec nothing");
        };
        let name = program.rsplit('/').next().unwrap_or(program);
        let s = if arguments.len() == 1 { "" } else { "s" };
        write!(f, "exec {name}, {} argument{s}", arguments.len())
    }
}

impl fmt::Debug for ExecSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSettings")
            .field("command", &format_args!("{self}"))
            .field("format", &self.format)
            .field("size", &self.size)
            .field("fps", &self.fps)
            .field("start_timeout", &self.start_timeout)
            .finish()
    }
}

/// A running program whose frames are taken.
pub struct ExecCamera {
    child: Child,
    frames: Frames,
    lines: Lines,
    clock: Arc<dyn Clock>,
    geometry: Geometry,
    /// The size is known: one whole frame has come.
    ready: bool,
    /// The first frame, found while waiting to be ready.
    first: Option<Found>,
    /// Whole frames so far.
    count: u64,
    /// Bytes so far.
    bytes: u64,
    started: Instant,
    start_timeout: Duration,
    /// When the frames ended.
    silent_since: Option<Instant>,
}

/// A whole frame in the buffer.
#[derive(Clone, Debug)]
struct Found {
    range: Range<usize>,
    captured: BootTime,
}

/// Why there is no frame.
enum Without {
    /// Not within the time.
    Time,
    /// There will be none any more.
    End(String),
}

/// Starts the program; its frames are waited for by [`Camera::ready`].
///
/// # Errors
/// See [`OpenError`].
pub fn open(settings: &ExecSettings, clock: Arc<dyn Clock>) -> Result<ExecCamera, OpenError> {
    let (frames, geometry) = shape(settings)?;
    let child = Child::start(&settings.command)?;
    let started = Instant::now();
    tracing::debug!(command = %settings, "Command started.");
    Ok(ExecCamera {
        lines: Lines::new(&child.name, Redactor::of(&settings.command), started),
        child,
        frames,
        clock,
        geometry,
        ready: false,
        first: None,
        count: 0,
        bytes: 0,
        started,
        start_timeout: settings.start_timeout,
        silent_since: None,
    })
}

/// How its bytes are to be read, and what is known of the frames before the first one.
fn shape(settings: &ExecSettings) -> Result<(Frames, Geometry), OpenError> {
    let (width, height) = settings.size.unwrap_or_default();
    let geometry = |stride| Geometry { format: settings.format, width, height, stride };
    let format = settings.format;
    if !format.is_raw() {
        return Ok((Frames::jpeg(), geometry(0)));
    }
    if settings.size.is_some() && !format.fits(width, height) {
        let (across, down) = format.step();
        return Err(OpenError::settings(
            &format!("{width}x{height} is no size of {} frames", format.name()),
            &format!("give a width that {across} divides and a height that {down} divides"),
        ));
    }
    match usize::try_from(geometry(0).frame_bytes()) {
        // No row is longer than such a frame.
        Ok(len @ 1..=MAX_FRAME) => Ok((Frames::raw(len), geometry(format.row_bytes(width) as u32))),
        _ => Err(OpenError::settings(
            &format!("raw frames of {width}x{height} pixels cannot be taken"),
            "give the size of the frames, at most 32 MiB each",
        )),
    }
}

/// Would take more than [`MAX_FRAME`] as raw pixels: a few bytes of JPEG may promise gigabytes.
fn too_large(width: u32, height: u32) -> bool {
    u64::from(width) * u64::from(height) * 2 > MAX_FRAME as u64
}

impl ExecCamera {
    /// Waits for the newest whole frame.
    fn arrive(&mut self, timeout: Duration) -> Result<Found, Without> {
        let deadline = Instant::now() + timeout;
        loop {
            self.take();
            if let Some((range, count)) = self.frames.newest() {
                self.count += count;
                return Ok(Found { range, captured: self.clock.boottime() });
            }
            let now = Instant::now();
            if self.child.stdout.at_end() && self.has_ended(now) {
                return Err(Without::End(self.farewell()));
            }
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return Err(Without::Time);
            }
            // Its end wakes nobody once the pipes are closed.
            let closed = self.child.stdout.at_end();
            self.child.wait(if closed { left.min(LOOK) } else { left });
        }
    }

    /// Takes what has come on both pipes, without waiting.
    fn take(&mut self) {
        let mut taken = 0;
        while taken < MOST_READ {
            let n = self.child.stdout.read(self.frames.space());
            if n == 0 {
                break;
            }
            self.frames.filled(n);
            taken += n;
        }
        self.bytes += taken as u64;
        self.listen();
    }

    fn listen(&mut self) {
        let mut words = [0; 16 << 10];
        let n = self.child.stderr.read(&mut words);
        if n > 0 {
            self.lines.push(&words[..n], Instant::now());
        }
    }

    /// The frames have ended: has the program as well, or is it too late to wait for that?
    fn has_ended(&mut self, now: Instant) -> bool {
        let since = *self.silent_since.get_or_insert(now);
        self.child.ended().is_some() || now.duration_since(since) >= LAST_WORDS
    }

    /// Says why there are no more frames.
    fn farewell(&mut self) -> String {
        for _ in 0..16 {
            self.listen(); // what it wrote before it ended
        }
        let ended = self.child.ended();
        if ended == Some(Ended::Status(0)) {
            // All went well by its own account: what it said last may be hours old.
            return format!("{} ended with status 0", self.child.name);
        }
        self.lines.warn(Instant::now());
        let how = ended.map_or("closed its output".to_owned(), |ended| ended.to_string());
        self.with_last_words(&how)
    }

    /// `how` it went, with the last line of its stderr.
    fn with_last_words(&mut self, how: &str) -> String {
        let now = Instant::now();
        match self.lines.last(now) {
            "" => format!("{} {how}", self.child.name),
            line => format!("{} {how}: {line}", self.child.name),
        }
    }

    /// The size of the frame in the buffer; a raw one has the size that was set.
    fn size(&self, found: &Found) -> Option<(u32, u32)> {
        match self.geometry.format {
            PixelFormat::Mjpeg => mjpeg::dimensions(self.frames.bytes(found.range.clone())),
            _ => Some((self.geometry.width, self.geometry.height)),
        }
    }

    /// Nothing came in time: says what did come instead.
    fn too_late(&mut self) -> OpenError {
        let time = self.start_timeout;
        let what = match (self.bytes, self.geometry.format) {
            (0, _) => format!("gave nothing within {time:?} of its start"),
            (bytes, PixelFormat::Mjpeg) if self.count > 0 => format!(
                "gave {bytes} bytes within {time:?} and JPEG images among them, none of which tells its \
                 size; let it write the height into the header (SOF), not behind the picture (DNL)"
            ),
            (bytes, PixelFormat::Mjpeg) => format!(
                "gave {bytes} bytes within {time:?} and no whole JPEG image among them; let it write \
                 MJPEG to its standard output (ffmpeg: -f mjpeg -)"
            ),
            (bytes, _) => format!(
                "gave {bytes} bytes within {time:?}, less than one frame of {}x{}; check `size`",
                self.geometry.width, self.geometry.height
            ),
        };
        OpenError::Io(self.with_last_words(&what))
    }
}

impl Camera for ExecCamera {
    /// For JPEG, 0x0 until [`Camera::ready`].
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn ready(&mut self, timeout: Duration) -> Result<bool, OpenError> {
        if self.ready {
            return Ok(true);
        }
        let left = self.start_timeout.saturating_sub(self.started.elapsed());
        match self.arrive(timeout.min(left)) {
            Ok(found) => {
                let Some((width, height)) = self.size(&found) else {
                    // A picture without a size is no picture: the next one may have one.
                    let late = self.started.elapsed() >= self.start_timeout;
                    return if late { Err(self.too_late()) } else { Ok(false) };
                };
                if too_large(width, height) {
                    return Err(OpenError::settings(
                        &format!(
                            "{} writes pictures of {width}x{height} pixels, which is too large",
                            self.child.name
                        ),
                        "let it write smaller ones, at most 16 megapixels (ffmpeg: -vf scale=1920:-2)",
                    ));
                }
                (self.geometry.width, self.geometry.height) = (width, height);
                self.ready = true;
                self.first = Some(found);
                Ok(true)
            }
            Err(Without::Time) if self.started.elapsed() < self.start_timeout => Ok(false),
            Err(Without::Time) => Err(self.too_late()),
            Err(Without::End(why)) => Err(OpenError::Io(format!("no frame came: {why}"))),
        }
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Frame<'_>, CameraError> {
        match self.ready(timeout) {
            Ok(true) => {}
            Ok(false) => return Err(CameraError::Timeout(timeout)),
            Err(error) => return Err(CameraError::Lost(error.to_string())),
        }
        let found = match self.first.take() {
            Some(found) => found,
            None => self.arrive(timeout).map_err(|without| match without {
                Without::Time => CameraError::Timeout(timeout),
                Without::End(why) => CameraError::Lost(why),
            })?,
        };
        let (width, height) =
            self.size(&found).ok_or(CameraError::Skip("a jpeg that tells no size"))?;
        if (width, height) != (self.geometry.width, self.geometry.height) {
            let large = if too_large(width, height) { ", which is too large" } else { "" };
            return Err(CameraError::Lost(format!(
                "the pictures of {} have changed from {}x{} to {width}x{height}{large}",
                self.child.name, self.geometry.width, self.geometry.height
            )));
        }
        Ok(Frame {
            geometry: self.geometry,
            data: self.frames.bytes(found.range),
            sequence: self.count - 1,
            captured: found.captured,
            stamp: Stamp::Arrival,
        })
    }
}
