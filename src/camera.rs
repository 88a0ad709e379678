//! Cameras: whatever lends frames.
//!
//! A [`Camera`] is open from [`open`] to drop and belongs to one camera thread (`capture`). The frame
//! it lends stays valid until the next call, which first gives the buffer back to the driver. Nothing
//! here blocks for longer than the time-out it was given.
//!
//! [`OpenError`] is read by installers: each message says what was found and what to do about it.

pub mod exec;
pub mod files;
pub mod mjpeg;
pub mod pacer;
pub mod scene;
pub mod v4l2;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::frame::{Frame, Geometry};

/// Opens a source of frames.
///
/// # Errors
/// See [`OpenError`].
pub fn open(source: &Source, clock: Arc<dyn Clock>) -> Result<Box<dyn Camera>, OpenError> {
    Ok(match source {
        Source::V4l2(settings) => Box::new(v4l2::open(settings, clock)?),
        Source::Files(settings) => Box::new(files::open(settings, clock)?),
        Source::Scene(settings) => Box::new(scene::open(settings, clock)?),
        Source::Exec(settings) => Box::new(exec::open(settings, clock)?),
    })
}

/// Hears of a source's camera being plugged in; `None` for what is not plugged in, and where the system
/// cannot tell.
#[must_use]
pub fn watch(source: &Source) -> Option<v4l2::hotplug::Watch> {
    match source {
        Source::V4l2(settings) => v4l2::hotplug::Watch::new(&settings.device, Path::new("/dev")),
        Source::Files(_) | Source::Scene(_) | Source::Exec(_) => None,
    }
}

/// Why a source could not be opened. Each message says what was found and what helps.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is nothing at that path (now): wait for it to be plugged in, or correct the path.
    #[error("{0}")]
    NotFound(String),
    /// It is there, and this user may not open it.
    #[error("{0}")]
    Permission(String),
    /// Another program holds it: ask again later.
    #[error("{0}")]
    Busy(String),
    /// It is not something that frames can be taken from as asked; another try gives the same answer.
    #[error("{0}")]
    Unsupported(String),
    /// The system, the driver or the camera failed in another way: ask again later.
    #[error("{0}")]
    Io(String),
}

impl OpenError {
    /// Sorts a system error by what is to be done, with the remedies for recorded frames.
    fn from_io(path: &Path, source: &io::Error) -> Self {
        let path = path.display();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(format!(
                "{path} does not exist; check the path, spelt from the root"
            )),
            io::ErrorKind::PermissionDenied => Self::Permission(format!(
                "{path}: permission denied; let the user that runs vedette read it and enter the \
                 directories above it"
            )),
            io::ErrorKind::ResourceBusy => Self::Busy(format!(
                "{path} is in use by another program; stop that program, or ask again later"
            )),
            _ => Self::Io(format!("{path}: {source}")),
        }
    }

    /// A setting that makes no sense for this source, and what would be right.
    fn settings(problem: &str, remedy: &str) -> Self {
        Self::Unsupported(format!("{problem}; {remedy}"))
    }
}

/// What went wrong, by what the capture loop does next.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// No frame within the time-out: ask again, and reopen after several.
    #[error("no frame within {0:?}")]
    Timeout(Duration),
    /// This frame is unusable (empty, truncated, flagged by the driver): count it, ask again.
    #[error("unusable frame: {0}")]
    Skip(&'static str),
    /// The stream is gone: close, wait, reopen.
    #[error("{0}")]
    Lost(String),
    /// The source is used up (a file played once): the camera thread ends well.
    #[error("the source has ended")]
    Ended,
}

/// What a camera did with frames that it did not lend, since it was opened. Such frames are no gaps in the
/// numbers of those that it lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Good ones that were given back unread, because a newer one was there.
    pub passed_over: u64,
    /// Unusable ones, beside those that were told as [`CameraError::Skip`].
    pub unusable: u64,
}

/// A source of frames.
pub trait Camera: Send {
    /// Shape of the frames, as negotiated at open; known once the camera is [`Camera::ready`].
    fn geometry(&self) -> Geometry;

    /// Waits until frames come and their shape is known; `false` after the time-out: ask again. Most
    /// cameras are ready when they are open. One that starts slowly bounds that time itself, and is
    /// asked in slices, so that its thread can be stopped meanwhile.
    ///
    /// # Errors
    /// See [`OpenError`]; the camera is to be dropped.
    fn ready(&mut self, timeout: Duration) -> Result<bool, OpenError> {
        let _ = timeout;
        Ok(true)
    }

    /// What was asked of it and could not be had, one sentence each, though it gives pictures: told as an
    /// alarm while it streams.
    fn remarks(&self) -> &[String] {
        &[]
    }

    /// The next frame, lent until the next call.
    ///
    /// # Errors
    /// See [`CameraError`]; after `Lost` or `Ended` the camera is to be dropped.
    fn next_frame(&mut self, timeout: Duration) -> Result<Frame<'_>, CameraError>;

    /// What became of frames that were not lent; most cameras lend all.
    fn tally(&self) -> Tally {
        Tally::default()
    }
}

/// Where frames come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A V4L2 capture device.
    V4l2(V4l2Settings),
    /// Recorded frames.
    Files(FilesSettings),
    /// The synthetic street.
    Scene(SceneSettings),
    /// A program that writes frames.
    Exec(exec::ExecSettings),
}

/// The source in a few words, for `vedette check` and logs.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4l2(v4l2) => {
                write!(f, "v4l2 {}", v4l2.device)?;
                v4l2.size.map_or(Ok(()), |(w, h)| write!(f, " {w}x{h}"))?;
                v4l2.format.map_or(Ok(()), |format| write!(f, " {}", format.name()))?;
                v4l2.fps.map_or(Ok(()), |fps| write!(f, " {fps} fps"))
            }
            Self::Files(files) => write!(f, "files {}", files.path.display()),
            Self::Scene(s) => {
                write!(f, "scene {}x{} {} fps, seed {}", s.size.0, s.size.1, s.fps, s.seed)
            }
            Self::Exec(exec) => write!(f, "{exec}"),
        }
    }
}

/// A V4L2 capture device and what to ask of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V4l2Settings {
    /// Which one.
    pub device: v4l2::name::Named,
    /// Wanted size in pixels; the driver's nearest is taken and reported. `None`: the driver's own.
    pub size: Option<(u32, u32)>,
    /// Wanted frames a second.
    pub fps: Option<u32>,
    /// Wanted format; `None` takes the first of [`crate::frame::PixelFormat::PREFERENCE`] that it has.
    pub format: Option<crate::frame::PixelFormat>,
    /// Exposure, gain, focus …: what to set at each open, by the name that `vedette devices` shows.
    pub controls: std::collections::BTreeMap<String, v4l2::controls::Wanted>,
    /// Frames that are thrown away after each open, while exposure and white balance settle.
    pub warm_up: u32,
    /// Which camera a bare number stood for, for as long as these settings live.
    pub memory: v4l2::name::Memory,
}

impl V4l2Settings {
    /// A device node, with nothing asked of it.
    #[must_use]
    pub fn node(path: impl Into<PathBuf>) -> Self {
        Self::named(v4l2::name::Named::Path(path.into()))
    }

    /// A camera by its name, with nothing asked of it.
    #[must_use]
    pub fn named(device: v4l2::name::Named) -> Self {
        Self {
            device,
            size: None,
            fps: None,
            format: None,
            controls: std::collections::BTreeMap::new(),
            warm_up: 0,
            memory: v4l2::name::Memory::default(),
        }
    }
}

/// Speed of recorded or synthetic frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As recorded.
    Own,
    /// So many frames a second.
    Rate(f64),
    /// As fast as they are taken; capture times still follow the recording.
    Fast,
}

/// Recorded frames.
#[derive(Clone, Debug, PartialEq)]
pub struct FilesSettings {
    /// A directory of JPEGs, an MJPEG AVI, a `.mjpeg` stream, or a raw `.yuyv` file.
    pub path: PathBuf,
    /// Size of the frames; needed for `.yuyv` only.
    pub size: Option<(u32, u32)>,
    /// Speed.
    pub pace: Pace,
    /// Begin again at the end.
    pub repeat: bool,
}

/// The synthetic street.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneSettings {
    /// Everything in the scene follows from this number.
    pub seed: u64,
    /// Size in pixels.
    pub size: (u32, u32),
    /// Frames a second of scene time.
    pub fps: f64,
    /// MJPEG (encoded by us) or YUYV.
    pub format: crate::frame::PixelFormat,
    /// Speed.
    pub pace: Pace,
    /// End after so many frames; `None` never ends.
    pub frames: Option<u64>,
}
