//! A recording, watched from its first frame to its last as fast as it goes, as often as somebody wants.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use crate::camera::{Camera, CameraError, FilesSettings, Pace, files};
use crate::clock::{BootId, Clock, SystemClock};
use crate::frame::Frame;

/// Where frames come from.
#[derive(Clone, Debug)]
pub(super) struct Clip {
    pub(super) path: PathBuf,
    /// Size of raw frames.
    pub(super) size: Option<(u32, u32)>,
    /// Frames a second of a source that does not say.
    pub(super) fps: Option<f64>,
}

/// What is known of a clip when it is opened.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) fps: f64,
    /// Width and height of its frames.
    pub(super) size: (u32, u32),
    pub(super) boot: BootId,
}

impl Clip {
    fn open(&self) -> anyhow::Result<(files::FilesCamera, About)> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let boot = clock.boot_id();
        let settings = FilesSettings {
            path: self.path.clone(),
            size: self.size,
            pace: Pace::Fast,
            repeat: false,
        };
        let camera = files::open(&settings, clock)?;
        let geometry = camera.geometry();
        let fps = self.fps.unwrap_or_else(|| camera.fps());
        Ok((camera, About { fps, size: (geometry.width, geometry.height), boot }))
    }

    /// What it is, without reading it.
    pub(super) fn about(&self) -> anyhow::Result<About> {
        Ok(self.open()?.1)
    }

    /// Shows each usable frame; its `sequence` counts from 0, its times are those of the clip at its rate.
    pub(super) fn each(
        &self,
        mut show: impl FnMut(&Frame<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (mut camera, about) = self.open()?;
        let mut first = None;
        loop {
            match camera.next_frame(Duration::from_secs(1)) {
                Ok(frame) => {
                    let began = *first.get_or_insert(frame.captured);
                    let captured = match self.fps {
                        Some(_) => {
                            began + Duration::from_secs_f64(frame.sequence as f64 / about.fps)
                        }
                        None => frame.captured,
                    };
                    show(&Frame { captured, ..frame })?;
                }
                Err(CameraError::Ended) => return Ok(()),
                Err(CameraError::Skip(why)) => tracing::debug!(why, "Frame is unusable."),
                Err(CameraError::Timeout(_)) => {}
                Err(CameraError::Lost(why)) => bail!("{why}"),
            }
        }
    }
}
