//! The table `[camera.X.picture]`: what is done to each picture of a camera.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{CropTo, Flip, TextCorner};
use crate::config::units::{Bytes, Pixels};

/// What is done to each picture of a camera; by default nothing. In this order: masks, crop, size, turn, text.
/// Masks and zones are always given in the camera's frame, as it is before any of this.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Picture {
    /// Largest size; the picture is scaled to fit, with its aspect, and never enlarged. Default: as the
    /// camera gives it.
    pub(crate) size: Option<Pixels>,
    /// Most bytes of a picture with its Exif: the quality is lowered until it fits, but never below 25; then the
    /// picture stays larger. A picture of an MJPEG camera that fits stays as it is. Default: no bound.
    #[schemars(extend("minSize" = "16 KiB", "maxSize" = "64 MiB"))]
    pub(crate) max_bytes: Option<Bytes>,
    /// Turned clockwise, in degrees: 0, 90, 180 or 270.
    #[schemars(range(min = 0, max = 270))]
    pub(crate) rotate: u16,
    /// Mirrored after that: `horizontal` changes left and right, `vertical` top and bottom. Default: not.
    pub(crate) flip: Option<Flip>,
    /// Text to be burnt in, with `{site}`, `{device}`, `{camera}` and `{time}`. Default: none.
    pub(crate) text: Option<String>,
    /// The corner it stands in.
    pub(crate) text_corner: TextCorner,
    /// Largest size of the small picture inside the Exif block. Default: none.
    pub(crate) thumbnail: Option<Pixels>,
    /// Cut the picture to its `subject`: what a detector named, else the largest moving thing. Default: whole.
    pub(crate) crop: Option<CropTo>,
    /// What is kept around the subject, as a share of its longer side.
    #[schemars(range(min = 0.0, max = 5.0))]
    pub(crate) crop_margin: f64,
}

impl Default for Picture {
    fn default() -> Self {
        Self {
            size: None,
            max_bytes: None,
            rotate: 0,
            flip: None,
            text: None,
            text_corner: TextCorner::BottomLeft,
            thumbnail: None,
            crop: None,
            crop_margin: 0.25,
        }
    }
}
