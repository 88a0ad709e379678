//! What to ask of a V4L2 device, and what to make of its answer.
//!
//! Called by [`super::open`] at each open: nothing is remembered of an earlier one, because the camera
//! at the same place may be another, or have been set by another program meanwhile. The choices are pure
//! functions over what the device offers; only [`offer`] and [`negotiate`] talk to it, through the typed
//! calls of [`super::stream`]. Errors are [`OpenError`]s in words for the person in front of the camera.

mod holders;
mod owner;

use std::path::Path;

use rustix::io::Errno;
use v4l::v4l_sys as sys;

use super::formats;
use super::offer::{Code, FormatOffer, Offer, Rate, Rates, SizeOffer, Sizes};
use super::stream::{Capability, Fault, Listed, Node, PixFormat, RateEntry, SizeEntry};
use crate::camera::{OpenError, V4l2Settings};
use crate::frame::{Geometry, PixelFormat};

/// More than any driver lists of formats, of sizes of one, or of rates of one of these; ends an
/// enumeration should the driver not do so itself.
const MAX_ENTRIES: u32 = 256;

/// Calls that one offer may take in all: the three lists lie within each other.
const MAX_CALLS: u32 = 4096;

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

/// All that the device offers.
///
/// # Errors
/// The device fails or is gone; that it lists no sizes or rates is no error.
pub(super) fn offer(node: &Node) -> Result<Offer, Fault> {
    let mut calls = MAX_CALLS;
    let listed = all(&mut calls, |index| node.format_at(index))?;
    let formats = listed.into_iter().map(|Listed { code, description }| {
        Ok(FormatOffer {
            format: formats::format(code),
            fourcc: code,
            description: printable(&description),
            sizes: sizes(node, code, &mut calls)?,
        })
    });
    Ok(Offer { formats: formats.collect::<Result<_, Fault>>()? })
}

fn sizes(node: &Node, code: Code, calls: &mut u32) -> Result<Sizes, Fault> {
    let entries = all(calls, |index| node.size_at(code, index))?;
    if let Some(&SizeEntry::Steps { min, max, step }) = entries.first() {
        return Ok(Sizes::Between { min, max, step, rates: rates(node, code, max, calls)? });
    }
    let mut sizes = Vec::new();
    for entry in entries {
        if let SizeEntry::One(width, height) = entry {
            let rates = rates(node, code, (width, height), calls)?;
            sizes.push(SizeOffer { width, height, rates });
        }
    }
    Ok(if sizes.is_empty() { Sizes::Unknown } else { Sizes::Listed(sizes) })
}

fn rates(node: &Node, code: Code, size: (u32, u32), calls: &mut u32) -> Result<Rates, Fault> {
    Ok(sorted(&all(calls, |index| node.rate_at(code, size, index))?))
}

/// Rates as people look for them: highest first.
fn sorted(entries: &[RateEntry]) -> Rates {
    let mut listed = Vec::new();
    for entry in entries {
        match *entry {
            RateEntry::Between(low, high) if low.is_one() && high.is_one() => {
                return Rates::Between(low, high);
            }
            RateEntry::One(rate) if rate.is_one() => listed.push(rate),
            RateEntry::Between(..) | RateEntry::One(_) => {}
        }
    }
    listed.sort_by(|a, b| b.fps().total_cmp(&a.fps()));
    if listed.is_empty() { Rates::Unknown } else { Rates::Listed(listed) }
}

/// The different entries of an enumeration, until its last or until the calls are used up.
fn all<T: PartialEq>(
    calls: &mut u32,
    mut at: impl FnMut(u32) -> Result<Option<T>, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut found = Vec::new();
    for index in 0..MAX_ENTRIES.min(*calls) {
        *calls -= 1;
        let Some(entry) = at(index)? else { break };
        if !found.contains(&entry) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// Agrees on format, size and rate.
///
/// # Errors
/// The device is no camera, cannot do the wanted format, is in use, or fails.
pub(super) fn negotiate(node: &Node, device: &Path, ask: &Ask) -> Result<Agreed, OpenError> {
    let refused = |fault: Fault| refusal(device, &fault);
    usable(&node.capability(), device)?;
    let listed = all(&mut MAX_CALLS.clone(), |index| node.format_at(index)).map_err(refused)?;
    let offered: Vec<_> = listed.iter().map(|listed| listed.code).collect();
    let candidates = choose(&offered, ask.format, device)?;
    let (width, height) = match ask.size {
        Some(size) => size,
        None => own_size(node.format().map_err(refused)?),
    };
    let (code, geometry) = settle(&candidates, device, |code| {
        node.set_format(PixFormat { code, width, height, stride: 0, memory_planes: 1 })
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
        return Err(OpenError::Unsupported(not_offered(offered, wanted, device)));
    }
    Ok(candidates)
}

/// What was looked for and what there is, in our words and in the kernel's, and what helps.
fn not_offered(offered: &[Code], wanted: Option<PixelFormat>, device: &Path) -> String {
    let device = device.display();
    let readable: Vec<_> =
        offered.iter().filter_map(|&code| Some((formats::format(code)?.name(), code))).collect();
    let best = PixelFormat::PREFERENCE
        .iter()
        .find(|format| formats::codes(**format).any(|code| offered.contains(&code)));
    let list = |texts: Vec<String>| {
        if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
    };
    let Some(wanted) = wanted else {
        let codes = offered.iter().map(|&code| match formats::scattered(code) {
            Some(format) => format!("{code} ({} with its planes apart)", format.name()),
            None => code.to_string(),
        });
        return format!(
            "{device} offers no format that can be read here; it offers {}",
            list(codes.collect())
        );
    };
    let remedy = best.map_or_else(String::new, |best| {
        format!("; set format = \"{}\", or leave it out", best.name())
    });
    let wanted_name = wanted.name();
    if let Some(code) = offered.iter().find(|&&code| formats::scattered(code) == Some(wanted)) {
        return format!(
            "{device} offers {wanted_name} only with its planes apart in memory ({code}), which cannot \
             be read here{remedy}"
        );
    }
    let ours = readable.iter().map(|(name, code)| format!("{name} ({code})"));
    let others =
        offered.iter().filter(|&&code| formats::format(code).is_none()).map(Code::to_string);
    format!(
        "{device} does not offer {wanted_name}; it offers {}{remedy}",
        list(ours.chain(others).collect())
    )
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
    let PixFormat { code, width, height, stride, memory_planes } = got;
    if code != asked {
        return Err(format!("lists {asked} but answers {code} when asked for it"));
    }
    if memory_planes != 1 {
        return Err(format!("puts {asked} into {memory_planes} pieces of memory"));
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

/// A refused call in words, with what helps.
pub(super) fn refusal(device: &Path, fault: &Fault) -> OpenError {
    let d = device.display();
    match fault.errno() {
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::NOTDIR) => {
            OpenError::NotFound(format!(
                "{d} is not there: is the camera plugged in? `ls /dev/v4l/by-id` lists what is"
            ))
        }
        Some(Errno::ACCESS) => OpenError::Permission(owner::words(device)),
        Some(Errno::PERM) => OpenError::Permission(owner::forbidden(device)),
        Some(Errno::BUSY) => {
            OpenError::Busy(holders::words(Path::new("/proc"), device, std::process::id()))
        }
        Some(Errno::NOTTY | Errno::ISDIR) => {
            OpenError::Unsupported(format!("{d} is not a V4L2 device; cameras are /dev/video*"))
        }
        Some(Errno::NOSPC) => OpenError::Io(format!(
            "{d} finds no room on its USB bus: choose mjpeg, a smaller size or a lower rate, or plug \
             the camera into a port of its own"
        )),
        Some(Errno::NOMEM) => OpenError::Io(format!(
            "the kernel has no memory for the buffers of {d}: choose a smaller size"
        )),
        Some(Errno::NOLINK | Errno::PIPE) => OpenError::Unsupported(format!(
            "the media pipeline behind {d} is not set up: use media-ctl, or a camera that needs none"
        )),
        _ => OpenError::Io(format!("{d} failed ({fault}): unplug the camera and plug it in again")),
    }
}

#[cfg(test)]
mod tests;
