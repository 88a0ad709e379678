//! Cameras: whatever lends frames.
//!
//! A [`Camera`] is open from [`open`] to drop and belongs to one camera thread (`capture`). The frame
//! it lends stays valid until the next call, which first gives the buffer back to the driver. Nothing
//! here blocks for longer than the time-out it was given.

pub mod v4l2;

use std::path::PathBuf;
use std::time::Duration;

use crate::frame::{Frame, Geometry};

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

/// Why a camera did not open. Each message is ready to read and says what helps.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such camera (now): wait for it.
    #[error("{0}")]
    NotFound(String),
    /// The camera is there, but not for this user.
    #[error("{0}")]
    Permission(String),
    /// Another program holds the camera.
    #[error("{0}")]
    Busy(String),
    /// The camera cannot do what is asked of it.
    #[error("{0}")]
    Unsupported(String),
    /// The camera or its driver failed.
    #[error("{0}")]
    Io(String),
}

/// A source of frames.
pub trait Camera: Send {
    /// Shape of the frames, as negotiated at open.
    fn geometry(&self) -> Geometry;

    /// The next frame, lent until the next call.
    ///
    /// # Errors
    /// See [`CameraError`]; after `Lost` or `Ended` the camera is to be dropped.
    fn next_frame(&mut self, timeout: Duration) -> Result<Frame<'_>, CameraError>;
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
}

/// A V4L2 capture device and what to ask of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V4l2Settings {
    /// Device node, best a stable name below `/dev/v4l/by-id`.
    pub device: PathBuf,
    /// Wanted size in pixels; the driver's nearest is taken and reported. `None`: the driver's own.
    pub size: Option<(u32, u32)>,
    /// Wanted frames a second.
    pub fps: Option<u32>,
    /// Wanted format; `None` prefers MJPEG, then YUYV.
    pub format: Option<crate::frame::PixelFormat>,
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
