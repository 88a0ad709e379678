//! What to ask of a V4L2 device, and what to make of its answer.
//!
//! Called by [`super::open`] at each open: nothing is remembered of an earlier one, because the camera
//! at the same place may be another, or have been set by another program meanwhile. The choices are pure
//! functions over what the device offers; only `enumerate` and [`negotiate`] talk to it, through the typed
//! calls of [`super::stream`]. Errors are [`OpenError`]s in words (`refusal`, with `owner` and `holders`).

mod enumerate;
mod holders;
mod owner;
mod refusal;

use std::path::Path;

use rustix::io::Errno;
use v4l::v4l_sys as sys;

use super::formats;
use super::offer::{Code, Rate};
use super::stream::{Capability, Fault, Node, PixFormat};
use crate::camera::{OpenError, V4l2Settings};
use crate::frame::{Geometry, PixelFormat};

pub(super) use enumerate::offer;
pub(super) use refusal::refusal;

/// Larger sides than any sensor's are a driver's fault, and would overflow sums further on.
const MAX_SIDE: u32 = 1 << 15;

/// Asked of a driver that has no size of its own yet.
const SOME_SIZE: (u32, u32) = (640, 480);

/// What is wanted of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// `None`: the first of [`PixelFormat::PREFERENCE`] that it really gives.
    pub(super) format: Option<PixelFormat>,
    /// `None`: the driver's own.
    pub(super) size: Option<(u32, u32)>,
    /// `None`: the driver's own.
    pub(super) rate: Option<Rate>,
}

impl Ask {
    /// As the configuration has it.
    pub(super) fn of(settings: &V4l2Settings) -> Self {
        let rate = settings.fps.filter(|&fps| fps > 0).map(Rate::per_second);
        Self { format: settings.format, size: settings.size, rate }
    }
}

/// What was agreed with the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// The kernel's code of the format.
    pub(super) code: Code,
    /// Shape of its frames.
    pub(super) geometry: Geometry,
    /// The driver's rate; `None` where it tells none.
    pub(super) rate: Option<Rate>,
}

/// Agrees on format, size and rate.
///
/// # Errors
/// The device is no camera, cannot do the wanted format, is in use, or fails.
pub(super) fn negotiate(node: &Node, device: &Path, ask: &Ask) -> Result<Agreed, OpenError> {
    let refused = |fault: Fault| refusal(device, &fault);
    usable(&node.capability(), device)?;
    let candidates = choose(&enumerate::codes(node).map_err(refused)?, ask.format, device)?;
    let (width, height) = match ask.size {
        Some(size) => size,
        None => own_size(node.format().map_err(refused)?),
    };
    let (code, geometry) = settle(&candidates, device, |code| {
        let field = sys::v4l2_field_V4L2_FIELD_NONE;
        node.set_format(PixFormat { code, width, height, stride: 0, memory_planes: 1, field })
    })?;
    Ok(Agreed { code, geometry, rate: rate(node, device, ask.rate) })
}

fn own_size(format: PixFormat) -> (u32, u32) {
    let size = (format.width, format.height);
    if size.0 == 0 || size.1 == 0 { SOME_SIZE } else { size }
}

/// A rate that cannot be had is no reason to have no pictures.
fn rate(node: &Node, device: &Path, want: Option<Rate>) -> Option<Rate> {
    let device = device.display();
    match (node.rate(want), want) {
        (Ok((rate, true)), _) | (Ok((rate, false)), None) => rate,
        (Ok((rate, false)), Some(want)) => {
            tracing::warn!(%device, fps = want.fps(), "Camera lets nobody choose its frame rate.");
            rate
        }
        (Err(error), Some(want)) => {
            tracing::warn!(%device, fps = want.fps(), %error, "Camera refused the frame rate.");
            None
        }
        (Err(_), None) => None,
    }
}

/// Can this node lend pictures at all?
fn usable(capability: &Capability, device: &Path) -> Result<(), OpenError> {
    let has = |cap: u32| capability.caps & cap != 0;
    let captures = sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE;
    let device = device.display();
    let why = if has(captures) && has(sys::V4L2_CAP_STREAMING) {
        return Ok(());
    } else if has(captures) {
        "cannot stream from mapped memory; another driver is needed"
    } else if has(sys::V4L2_CAP_VIDEO_M2M | sys::V4L2_CAP_VIDEO_M2M_MPLANE) {
        "is a codec and no camera; `vedette devices` lists the cameras"
    } else {
        "gives no pictures; cameras often have a second node for metadata, so try the name that ends \
         in -video-index0 below /dev/v4l/by-id"
    };
    Err(OpenError::Unsupported(format!("{device} ({}) {why}", printable(&capability.card))))
}

/// The codes to ask for, best first: those of the wanted format, else of all, as preferred.
pub(super) fn choose(
    offered: &[Code],
    wanted: Option<PixelFormat>,
    device: &Path,
) -> Result<Vec<(Code, PixelFormat)>, OpenError> {
    let formats = match &wanted {
        Some(format) => std::slice::from_ref(format),
        None => &PixelFormat::PREFERENCE,
    };
    let candidates: Vec<_> = formats
        .iter()
        .flat_map(|&format| formats::codes(format).map(move |code| (code, format)))
        .filter(|(code, _)| offered.contains(code))
        .collect();
    if candidates.is_empty() {
        return Err(OpenError::Unsupported(refusal::not_offered(offered, wanted, device)));
    }
    Ok(candidates)
}

/// Asks for one format after the other until the driver gives what it lists. `set` is VIDIOC_S_FMT.
///
/// # Errors
/// None is given, or a call fails otherwise than by refusing one format.
fn settle(
    candidates: &[(Code, PixelFormat)],
    device: &Path,
    mut set: impl FnMut(Code) -> Result<PixFormat, Fault>,
) -> Result<(Code, Geometry), OpenError> {
    let mut lies = Vec::new();
    for &(code, format) in candidates {
        let lie = match set(code) {
            Ok(got) => match geometry(got, code, format) {
                Ok(geometry) => return Ok((code, geometry)),
                Err(lie) => lie,
            },
            Err(fault) if fault.errno() == Some(Errno::INVAL) => {
                format!("lists {code} but refuses it")
            }
            Err(fault) => return Err(refusal(device, &fault)),
        };
        tracing::warn!(device = %device.display(), format = format.name(), why = lie, "Camera does not \
            give a format that it lists.");
        lies.push(lie);
    }
    Err(OpenError::Unsupported(format!(
        "{} {}; set another format or size",
        device.display(),
        lies.join(" and ")
    )))
}

/// Believes the driver's answer only where it can be true; else says what cannot.
fn geometry(got: PixFormat, asked: Code, format: PixelFormat) -> Result<Geometry, String> {
    let PixFormat { code, width, height, stride, memory_planes, field } = got;
    if code != asked {
        return Err(format!("lists {asked} but answers {code} when asked for it"));
    }
    if memory_planes != 1 {
        return Err(format!("puts {asked} into {memory_planes} pieces of memory"));
    }
    if !whole_pictures(field) {
        return Err(format!(
            "gives {asked} in half pictures (field order {field}), whose rows are not put together here"
        ));
    }
    let sides = 1..=MAX_SIDE;
    let tight = format.row_bytes(width);
    let odd = halves_width(format) && width % 2 == 1;
    if !sides.contains(&width) || !sides.contains(&height) || odd {
        return Err(format!("answers the impossible size {width}x{height} for {asked}"));
    }
    let tight = u32::try_from(tight).unwrap_or(u32::MAX);
    // Some drivers leave bytesperline at 0 for rows without padding.
    let stride = match stride {
        _ if format == PixelFormat::Mjpeg => 0,
        stride if stride < tight || stride > MAX_SIDE * 4 => tight,
        stride => stride,
    };
    if own_chroma_planes(format) && stride % 2 == 1 {
        return Err(format!(
            "answers {asked} with rows of {stride} bytes, which no two colour rows fit"
        ));
    }
    Ok(Geometry { format, width, height, stride })
}

/// Does each buffer hold all rows of a picture, from top to bottom? An analogue capture card may give every
/// other row, or first the even and then the odd ones.
fn whole_pictures(field: u32) -> bool {
    matches!(
        field,
        sys::v4l2_field_V4L2_FIELD_ANY
            | sys::v4l2_field_V4L2_FIELD_NONE
            | sys::v4l2_field_V4L2_FIELD_INTERLACED
            | sys::v4l2_field_V4L2_FIELD_INTERLACED_TB
            | sys::v4l2_field_V4L2_FIELD_INTERLACED_BT
    )
}

/// Do two neighbours in a row share their colour?
fn halves_width(format: PixelFormat) -> bool {
    use PixelFormat as F;
    matches!(format, F::Yuyv | F::Uyvy | F::Yvyu | F::Vyuy | F::Nv12 | F::Nv21 | F::Nv16 | F::Nv61)
        || own_chroma_planes(format)
}

/// Have U and V planes of their own, with rows of half the bytes?
fn own_chroma_planes(format: PixelFormat) -> bool {
    matches!(format, PixelFormat::I420 | PixelFormat::Yv12 | PixelFormat::I422)
}

/// A name out of the kernel, fit for a log: it comes from the USB device, and may hold anything.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = bytes.split(|&b| b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Other programs that have the device open, as far as they may be seen.
pub(super) fn users(device: &Path) -> Vec<String> {
    holders::others(Path::new("/proc"), device, std::process::id())
}

#[cfg(test)]
mod tests;
