//! Recorded frames as a camera: a directory of JPEGs, an MJPEG AVI, a stream of JPEGs, raw frames
//! in a file that is named after their format.
//!
//! Opened by [`super::open`] for the agent, and directly by `analyze`, which wants [`FilesCamera::fps`].
//!
//! Invariants: a frame is lent out of the buffer it was read into; memory is bounded by the largest
//! frame ([`super::mjpeg::MAX_FRAME`]), whatever the file says of itself; capture times are the time of
//! opening plus media time (see [`super::pacer`]); `sequence` counts from 0, over repetitions too, and
//! goes on over frames that the recording dropped or that are unusable.
//!
//! Failure: an unusable frame is [`CameraError::Skip`] and takes its place in time; a file that fails
//! or that holds no frame any more is [`CameraError::Lost`].

mod avi;
mod directory;
mod raw;
mod stream;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::avi::{Avi, AviError};
use self::directory::Directory;
use self::raw::Raw;
use self::stream::Stream;
use super::pacer::{Pacer, wait_until_due};
use super::{Camera, CameraError, FilesSettings, OpenError, mjpeg};
use crate::clock::Clock;
use crate::frame::{Frame, Geometry, PixelFormat, Stamp};

/// A directory of pictures has no rate of its own; a slow slide show shows them best.
const DIRECTORY_FPS: f64 = 5.0;

/// A stream or a raw file does not tell its rate; this is what `ffmpeg` assumes.
const STREAM_FPS: f64 = 25.0;

/// Dropped frames in a row after which the caller gets control back.
const MAX_DROPPED: u32 = 1000;

/// Unusable frames in front of the first good one that are looked at when a file is opened.
const MAX_BAD_AT_OPEN: u32 = 1000;

/// Recorded frames, played as a camera would give them.
pub struct FilesCamera {
    reader: Reader,
    clock: Arc<dyn Clock>,
    pacer: Pacer,
    geometry: Geometry,
    repeat: bool,
    next: u64,
    good_in_pass: bool,
    ended: bool,
}

/// What a reader found at its next place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A frame; the reader's `frame` lends it.
    Frame,
    /// Nothing: the recorder dropped a frame here.
    Dropped,
    /// A frame that cannot be used.
    Bad(&'static str),
    /// No more frames.
    End,
}

/// The kinds of recordings.
enum Reader {
    Directory(Directory),
    Avi(Avi<File>),
    Stream(Stream<File>),
    Raw(Raw<File>),
}

/// A reader and what is known of its frames before the first one was read.
struct Found {
    reader: Reader,
    format: PixelFormat,
    fps: f64,
}

/// Opens a recording and reads up to its first usable frame, so that a wrong file is told at once.
///
/// # Errors
/// See [`OpenError`].
pub fn open(settings: &FilesSettings, clock: Arc<dyn Clock>) -> Result<FilesCamera, OpenError> {
    let path = settings.path.as_path();
    let meta = path.metadata().map_err(|e| OpenError::from_io(path, &e))?;
    let mut found = if meta.is_dir() {
        open_directory(path)?
    } else if meta.is_file() {
        open_file(path, settings, meta.len())?
    } else {
        return Err(unsupported(
            path,
            "neither a regular file nor a directory",
            "for a camera such as /dev/video0 use a v4l2 source; recordings are files",
        ));
    };
    let pacer = Pacer::new(settings.pace, found.fps, clock.boottime())?;
    let (width, height) = match settings.size {
        Some(size) if found.format.is_raw() => size,
        _ => first_size(&mut found.reader, path)?,
    };
    // A frame takes at most 64 MiB, and so does a row; for JPEG this is 0.
    let stride = found.format.row_bytes(width) as u32;
    Ok(FilesCamera {
        reader: found.reader,
        clock,
        pacer,
        geometry: Geometry { format: found.format, width, height, stride },
        repeat: settings.repeat,
        next: 0,
        good_in_pass: false,
        ended: false,
    })
}

impl FilesCamera {
    /// Frames a second of media time: the recording's own, or the one asked for.
    #[must_use]
    pub fn fps(&self) -> f64 {
        self.pacer.fps()
    }

    /// Bytes of a stream of JPEGs that belonged to no image, in this pass over the file; 0 for the
    /// other kinds.
    #[must_use]
    pub fn skipped_bytes(&self) -> u64 {
        match &self.reader {
            Reader::Stream(stream) => stream.skipped(),
            Reader::Directory(_) | Reader::Avi(_) | Reader::Raw(_) => 0,
        }
    }

    /// Goes to the next usable frame and gives its index.
    fn advance(&mut self, timeout: Duration) -> Result<u64, CameraError> {
        for _ in 0..MAX_DROPPED {
            if self.ended {
                return Err(CameraError::Ended);
            }
            wait_until_due(&self.pacer, self.next, self.clock.as_ref(), timeout)?;
            let step = self.reader.advance().map_err(lost)?;
            if step == Step::End {
                self.finish_pass()?;
                continue;
            }
            let index = self.next;
            self.next += 1;
            match step {
                Step::Frame => {
                    self.good_in_pass = true;
                    return Ok(index);
                }
                Step::Bad(why) => return Err(CameraError::Skip(why)),
                Step::Dropped | Step::End => {}
            }
        }
        Err(CameraError::Skip("the recorder dropped a long run of frames"))
    }

    /// At the end: begins again, or ends.
    fn finish_pass(&mut self) -> Result<(), CameraError> {
        if !self.repeat {
            self.ended = true;
        } else if !self.good_in_pass {
            return Err(CameraError::Lost("the recording holds no usable frame any more".into()));
        } else {
            self.good_in_pass = false;
            self.reader.rewind().map_err(lost)?;
        }
        Ok(())
    }
}

impl Camera for FilesCamera {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Frame<'_>, CameraError> {
        let index = self.advance(timeout)?;
        Ok(Frame {
            geometry: self.geometry,
            data: self.reader.frame(),
            sequence: index,
            captured: self.pacer.captured(index),
            stamp: Stamp::Arrival,
        })
    }
}

impl Reader {
    fn advance(&mut self) -> io::Result<Step> {
        match self {
            Self::Directory(reader) => Ok(reader.advance()),
            Self::Avi(reader) => reader.advance(),
            Self::Stream(reader) => reader.advance(),
            Self::Raw(reader) => reader.advance(),
        }
    }

    fn frame(&self) -> &[u8] {
        match self {
            Self::Directory(reader) => reader.frame(),
            Self::Avi(reader) => reader.frame(),
            Self::Stream(reader) => reader.frame(),
            Self::Raw(reader) => reader.frame(),
        }
    }

    fn rewind(&mut self) -> io::Result<()> {
        match self {
            Self::Directory(reader) => {
                reader.rewind();
                Ok(())
            }
            Self::Avi(reader) => reader.rewind(),
            Self::Stream(reader) => reader.rewind(),
            Self::Raw(reader) => reader.rewind(),
        }
    }
}

fn open_directory(path: &Path) -> Result<Found, OpenError> {
    match Directory::open(path).map_err(|e| OpenError::from_io(path, &e))? {
        Some(directory) => Ok(Found {
            reader: Reader::Directory(directory),
            format: PixelFormat::Mjpeg,
            fps: DIRECTORY_FPS,
        }),
        None => Err(unsupported(
            path,
            &format!("a directory of more than {} pictures", directory::MAX_FILES),
            "split it into several directories",
        )),
    }
}

/// Opens a file by what it begins with, or by its name where that says nothing.
fn open_file(path: &Path, settings: &FilesSettings, len: u64) -> Result<Found, OpenError> {
    let io_error = |e: io::Error| OpenError::from_io(path, &e);
    let file = File::open(path).map_err(io_error)?;
    let mut head = Vec::new();
    File::open(path).and_then(|f| f.take(16).read_to_end(&mut head)).map_err(io_error)?;
    if let Some(format) = raw_format(path) {
        let frame_len = raw_frame_len(path, format, settings.size, len)?;
        let reader = Reader::Raw(Raw::open(file, frame_len));
        return Ok(Found { reader, format, fps: STREAM_FPS });
    }
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ") {
        let avi = Avi::open(file).map_err(|error| explain_avi(path, error))?;
        let fps = avi.video().fps;
        return Ok(Found { reader: Reader::Avi(avi), format: PixelFormat::Mjpeg, fps });
    }
    if head.starts_with(&[0xFF, 0xD8]) || is_named(path, &["mjpeg", "mjpg"]) {
        let reader = Reader::Stream(Stream::open(file));
        return Ok(Found { reader, format: PixelFormat::Mjpeg, fps: STREAM_FPS });
    }
    Err(unsupported(path, &recognise(&head), &conversion(path)))
}

fn is_named(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|e| extensions.iter().any(|x| e.eq_ignore_ascii_case(x)))
}

/// The format of a file of raw frames, which is its name's extension; `.yuy2` and `.yuv` are YUYV.
#[must_use]
pub fn raw_format(path: &Path) -> Option<PixelFormat> {
    if is_named(path, &["yuy2", "yuv"]) {
        return Some(PixelFormat::Yuyv);
    }
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    PixelFormat::from_name(&extension).filter(|format| format.is_raw())
}

/// Bytes of one raw frame, if the settings and the file's length agree.
fn raw_frame_len(
    path: &Path,
    format: PixelFormat,
    size: Option<(u32, u32)>,
    len: u64,
) -> Result<usize, OpenError> {
    let name = format.name();
    let Some((width, height)) = size else {
        return Err(unsupported(
            path,
            &format!("a file of raw {name} frames, which does not tell their size"),
            "give the size in the settings, such as \"640x480\"",
        ));
    };
    let frame_len = Geometry { format, width, height, stride: 0 }.frame_bytes();
    if !format.fits(width, height) || frame_len > mjpeg::MAX_FRAME as u64 {
        let (across, down) = format.step();
        return Err(OpenError::settings(
            &format!("{width}x{height} is no size of {name} frames"),
            &format!(
                "{across} divides the width and {down} the height, and a frame takes at most 64 MiB"
            ),
        ));
    }
    if len < frame_len || !len.is_multiple_of(frame_len) {
        return Err(unsupported(
            path,
            &format!(
                "{len} bytes long, which is not a whole number of {width}x{height} {name} frames of \
                 {frame_len} bytes"
            ),
            "give the size it was recorded with, or cut the last, unfinished frame off",
        ));
    }
    // At most 64 MiB, as checked above.
    Ok(frame_len as usize)
}

/// Reads up to the first usable frame, goes back to the beginning, and gives that frame's size.
fn first_size(reader: &mut Reader, path: &Path) -> Result<(u32, u32), OpenError> {
    let io_error = |e: io::Error| OpenError::from_io(path, &e);
    let mut size = None;
    for _ in 0..MAX_BAD_AT_OPEN {
        match reader.advance().map_err(io_error)? {
            Step::Frame => size = mjpeg::dimensions(reader.frame()),
            Step::Dropped | Step::Bad(_) => {}
            Step::End => break,
        }
        if size.is_some() {
            break;
        }
    }
    reader.rewind().map_err(io_error)?;
    size.ok_or_else(|| {
        let (found, remedy) = match reader {
            Reader::Directory(_) => {
                ("a directory without a readable picture", "put JPEG files (*.jpg) into it")
            }
            Reader::Avi(_) => ("an AVI without a readable frame", "record it again"),
            Reader::Stream(_) | Reader::Raw(_) => {
                ("a file without a whole JPEG image", "record it again, for instance by v4l2-ctl")
            }
        };
        unsupported(path, found, remedy)
    })
}

fn explain_avi(path: &Path, error: AviError) -> OpenError {
    match error {
        AviError::Codec(codec) => {
            unsupported(path, &format!("an AVI with the codec {codec}"), &conversion(path))
        }
        AviError::Broken(why) => {
            unsupported(path, &format!("an AVI that {why}"), "record it again")
        }
        AviError::Io(error) => OpenError::from_io(path, &error),
    }
}

/// What a file is that we do not play, as far as its first bytes tell.
fn recognise(head: &[u8]) -> String {
    match head {
        [] => "empty",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "an MP4 or QuickTime file",
        [0x1A, 0x45, 0xDF, 0xA3, ..] => "a Matroska or WebM file",
        [b'Y', b'U', b'V', b'4', b'M', b'P', ..] => "a YUV4MPEG2 file",
        [0x47, ..] => "probably an MPEG transport stream",
        [0, 0, 1, ..] | [0, 0, 0, 1, ..] => "probably an H.264 or MPEG stream",
        [0x89, b'P', b'N', b'G', ..] => "a PNG picture",
        _ => "no recording we know",
    }
    .into()
}

fn conversion(path: &Path) -> String {
    let out = path.with_extension("mjpeg.avi");
    format!(
        "frames are taken from MJPEG; convert it by: ffmpeg -i '{}' -an -c:v mjpeg -q:v 3 '{}'",
        path.display(),
        out.display()
    )
}

fn unsupported(path: &Path, found: &str, remedy: &str) -> OpenError {
    OpenError::Unsupported(format!("{} is {found}; {remedy}", path.display()))
}

fn lost(error: io::Error) -> CameraError {
    CameraError::Lost(format!("the recording cannot be read on: {error}"))
}

#[cfg(test)]
#[path = "files/tests.rs"]
mod tests;
