//! What is done to a camera's pictures: from its table to a [`Look`].

use super::Check;
use crate::config::place::Path;
use crate::config::raw;
use crate::still::text::Caption;
use crate::still::transform::{Rotate, Turn};
use crate::still::{Crop, Look};

/// Longest text; more would cover half of a small picture.
const MOST_TEXT: usize = 120;

/// Larger ones do not fit into the Exif block.
const MOST_THUMBNAIL: u32 = 512;

impl Check<'_> {
    pub(super) fn picture(&mut self, picture: &raw::Picture, path: &Path) -> Look {
        let rotate = match picture.rotate {
            0 => Rotate::None,
            90 => Rotate::Right,
            180 => Rotate::Half,
            270 => Rotate::Left,
            other => {
                let what = format!("pictures cannot be turned by {other} degrees");
                self.error(&path.key("rotate"), what, "give 0, 90, 180 or 270");
                Rotate::None
            }
        };
        if let Some(text) = &picture.text {
            self.text(text, &path.key("text"));
        }
        if let Some(size) = picture.thumbnail.filter(|s| s.0.max(s.1) > MOST_THUMBNAIL) {
            let what = format!("a thumbnail of `{size}` does not fit into the Exif block");
            self.error(&path.key("thumbnail"), what, "give at most `512x512`, such as `320x180`");
        }
        #[allow(clippy::cast_possible_truncation, reason = "a share of 0 to 5")]
        let margin = picture.crop_margin as f32;
        Look {
            size: picture.size.map(|size| (size.0, size.1)),
            max_bytes: picture.max_bytes.map(|bytes| bytes.0),
            turn: Turn::new(rotate, picture.flip.map(Into::into)),
            text: picture
                .text
                .as_ref()
                .filter(|text| !text.trim().is_empty())
                .map(|text| Caption { template: text.clone(), corner: picture.text_corner.into() }),
            thumbnail: picture.thumbnail.map(|size| (size.0, size.1)),
            crop: picture.crop.map(|raw::CropTo::Subject| Crop { margin }),
        }
    }

    fn text(&mut self, text: &str, path: &Path) {
        if let Some(name) = Caption::unknown_field(text) {
            let help = "fields are `{site}`, `{device}`, `{camera}` and `{time}`";
            self.error(path, format!("`{{{name}}}` is no field"), help);
        }
        let length = text.chars().count();
        if length > MOST_TEXT {
            let help = format!("give at most {MOST_TEXT}");
            self.error(path, format!("the text has {length} characters"), help);
        }
        if text.chars().any(char::is_control) {
            self.error(
                path,
                "the text holds a line end or another control character",
                "leave it out",
            );
        }
    }
}
