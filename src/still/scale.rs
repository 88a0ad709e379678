//! Pictures made smaller because somebody asked for a size.
//!
//! Used by the still thread, on planes before they are encoded. Each plane is scaled by itself, with its
//! own share of the picture, so chroma stays where it was. Pure. The aspect is kept and nothing is ever
//! enlarged; sides are whole numbers of chroma samples, so no plane needs filling up.
//!
//! The scaler is called by the type of its samples: by a name for that type, which it also takes, it brings
//! its code for all of them.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::encode::Planes;

/// Why planes could not be scaled: a fault of ours. The caller gives the picture up.
#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    /// A plane holds less than its sides say, or more than the scaler takes.
    #[error("cannot scale the picture: {0}")]
    Image(#[from] fast_image_resize::ImageBufferError),
    /// The scaler refused.
    #[error("cannot scale the picture: {0}")]
    Resize(#[from] fast_image_resize::ResizeError),
    /// No planes have this size.
    #[error("cannot scale the picture: {0}")]
    Size(#[from] turbojpeg::Error),
}

/// Catmull-Rom: sharp enough for small text, with less ringing at hard edges than Lanczos.
const FILTER: FilterType = FilterType::CatmullRom;

/// The largest size within `most` with the frame's aspect and sides that `step` divides; `None` where
/// the frame fits as it is.
pub(super) fn fit(
    frame: (usize, usize),
    most: (u32, u32),
    step: (usize, usize),
) -> Option<(usize, usize)> {
    let (width, height) = (frame.0 as u64, frame.1 as u64);
    let most = (u64::from(most.0), u64::from(most.1));
    if width <= most.0 && height <= most.1 {
        return None;
    }
    let most = (most.0.min(width), most.1.min(height));
    // Frames have at most 65500 pixels a side, so no product overflows 64 bits.
    let wide = width * most.1 > height * most.0;
    // The tighter side first: the other follows from what it really became.
    if wide {
        let to = whole(most.0, most.0, step.0);
        Some((to, whole((height * to as u64 + width / 2) / width, most.1, step.1)))
    } else {
        let to = whole(most.1, most.1, step.1);
        Some((whole((width * to as u64 + height / 2) / height, most.0, step.0), to))
    }
}

/// The multiple of `step` nearest to `side` that is within `most`; even for any `step`, and never 0.
fn whole(side: u64, most: u64, step: usize) -> usize {
    let step = step.max(2) as u64;
    let near = (side + step / 2) / step * step;
    near.min(most / step * step).max(step) as usize
}

/// The picture in another size, with the same chroma subsampling.
///
/// # Errors
/// Only for sizes that no picture has.
pub(super) fn scale(planes: &Planes, to: (usize, usize)) -> Result<Planes, ScaleError> {
    let mut scaled = Planes::default();
    scaled.reset(to.0, to.1, planes.subsamp())?;
    let mut resizer = Resizer::new();
    for (from, to) in planes.each().zip(scaled.each_mut()) {
        let (width, height) = (from.width as u32, from.height as u32);
        let source = TypedImageRef::<U8>::from_buffer(width, height, from.samples)?;
        let (width, height) = (to.width as u32, to.height as u32);
        let mut target = TypedImage::<U8>::from_buffer(width, height, to.samples)?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FILTER)).crop(
            0.0,
            0.0,
            from.share.0,
            from.share.1,
        );
        resizer.resize_typed(&source, &mut target, &options)?;
    }
    Ok(scaled)
}
