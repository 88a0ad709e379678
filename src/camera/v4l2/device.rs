//! What to ask of a V4L2 device, and what to make of its answer.
//!
//! Called by [`super::open`]. The choices are pure functions over what the device offers; only
//! [`negotiate`] talks to it, through the typed calls of [`super::stream`]. Errors are
//! [`OpenError`]s in words for the person in front of the camera.

use std::path::Path;

use rustix::io::Errno;
use v4l::v4l_sys as sys;

use super::stream::{Capability, Fault, Node, PixFormat};
use crate::camera::{OpenError, V4l2Settings};
use crate::frame::{Geometry, PixelFormat};

/// More than any driver lists; ends the enumeration should one not do so itself.
const MAX_FORMATS: u32 = 256;

/// Larger sides than any sensor's are a driver's fault, and would overflow sums further on.
const MAX_SIDE: u32 = 1 << 15;

/// What was agreed with the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// Who the device is.
    pub(super) capability: Capability,
    /// Shape of its frames.
    pub(super) geometry: Geometry,
    /// Frames in seconds, as the driver set them; `None` when not asked for or not to be chosen.
    pub(super) rate: Option<(u32, u32)>,
}

/// Agrees on format, size and rate.
///
/// # Errors
/// The device is no camera, cannot do the wanted format, is in use, or fails.
pub(super) fn negotiate(
    node: &Node,
    device: &Path,
    settings: &V4l2Settings,
) -> Result<Agreed, OpenError> {
    let refused = |fault: Fault| refusal(device, &fault);
    let capability = node.capability().map_err(refused)?;
    usable(&capability, device)?;
    let (fourcc, format) = choose(&offered(node).map_err(refused)?, settings.format, device)?;
    let (width, height) = match settings.size {
        Some(size) => size,
        None => node.format().map(|f| (f.width, f.height)).map_err(refused)?,
    };
    let got = node.set_format(PixFormat { fourcc, width, height, stride: 0 }).map_err(refused)?;
    let geometry = geometry(got, fourcc, format, device)?;
    Ok(Agreed { capability, geometry, rate: set_rate(node, device, settings.fps) })
}

/// All four-character codes that the device offers.
fn offered(node: &Node) -> Result<Vec<u32>, Fault> {
    let mut codes = Vec::new();
    for index in 0..MAX_FORMATS {
        match node.format_at(index)? {
            Some(code) => codes.push(code),
            None => break,
        }
    }
    Ok(codes)
}

/// A rate that cannot be had is no reason to have no pictures.
fn set_rate(node: &Node, device: &Path, fps: Option<u32>) -> Option<(u32, u32)> {
    let fps = fps.filter(|&fps| fps > 0)?;
    let device = device.display();
    match node.set_rate(fps) {
        Ok(Some(rate)) => Some(rate),
        Ok(None) => {
            tracing::warn!(%device, fps, "Camera lets nobody choose its frame rate.");
            None
        }
        Err(error) => {
            tracing::warn!(%device, fps, %error, "Camera refused the frame rate.");
            None
        }
    }
}

/// Can this node lend pictures at all?
fn usable(capability: &Capability, device: &Path) -> Result<(), OpenError> {
    let has = |cap: u32| capability.caps & cap != 0;
    let device = device.display();
    let why = if has(sys::V4L2_CAP_VIDEO_CAPTURE) && has(sys::V4L2_CAP_STREAMING) {
        return Ok(());
    } else if has(sys::V4L2_CAP_VIDEO_CAPTURE) {
        "cannot stream from mapped memory; another driver is needed"
    } else if has(sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE) {
        "is multi-planar (the raw node of a sensor or a codec), which is not supported; use the \
         single-planar node of the camera"
    } else {
        "gives no pictures; cameras often have a second node for metadata, so try the name that ends \
         in -video-index0 below /dev/v4l/by-id"
    };
    Err(OpenError::Unsupported(format!("{device} ({}) {why}", printable(&capability.card))))
}

/// The codes that hold a pixel format, best first.
fn codes(format: PixelFormat) -> &'static [&'static [u8; 4]] {
    match format {
        // Some drivers (gspca among them) call the same bytes JPEG.
        PixelFormat::Mjpeg => &[b"MJPG", b"JPEG"],
        PixelFormat::Yuyv => &[b"YUYV"],
        _ => &[],
    }
}

/// Picks the format: the wanted one, else MJPEG (a kept frame needs no encoding), else YUYV.
fn choose(
    offered: &[u32],
    wanted: Option<PixelFormat>,
    device: &Path,
) -> Result<(u32, PixelFormat), OpenError> {
    let candidates = match wanted {
        Some(format) => vec![format],
        None => vec![PixelFormat::Mjpeg, PixelFormat::Yuyv],
    };
    candidates
        .iter()
        .flat_map(|&format| {
            codes(format).iter().map(move |&code| (u32::from_le_bytes(*code), format))
        })
        .find(|(code, _)| offered.contains(code))
        .ok_or_else(|| {
            let names: Vec<_> = candidates.iter().map(|f| f.name()).collect();
            let list: Vec<_> = offered.iter().map(|&code| spell(code)).collect();
            OpenError::Unsupported(format!(
                "{} does not offer {}; it offers {}",
                device.display(),
                names.join(" or "),
                if list.is_empty() { "nothing".to_owned() } else { list.join(", ") }
            ))
        })
}

/// A four-character code as people write it.
fn spell(code: u32) -> String {
    let letters =
        code.to_le_bytes().map(|b| if b.is_ascii_graphic() { char::from(b) } else { '_' });
    letters.iter().collect()
}

/// A name out of the kernel, fit for a log: it comes from the USB device, and may hold anything.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = bytes.split(|&b| b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Believes the driver's answer only where it can be true.
fn geometry(
    got: PixFormat,
    asked: u32,
    format: PixelFormat,
    device: &Path,
) -> Result<Geometry, OpenError> {
    let PixFormat { fourcc, width, height, stride } = got;
    let device = device.display();
    if fourcc != asked {
        return Err(OpenError::Unsupported(format!(
            "{device} lists {} but answers {} when asked for it; set another format",
            spell(asked),
            spell(fourcc)
        )));
    }
    let sides = 1..=MAX_SIDE;
    let odd = format == PixelFormat::Yuyv && width % 2 == 1;
    if !sides.contains(&width) || !sides.contains(&height) || odd {
        return Err(OpenError::Unsupported(format!(
            "{device} answers the impossible size {width}x{height}; set another size"
        )));
    }
    let stride = match format {
        PixelFormat::Mjpeg => 0,
        // Some drivers leave bytesperline at 0 for rows without padding.
        _ if stride < width * 2 || stride > MAX_SIDE * 4 => width * 2,
        _ => stride,
    };
    Ok(Geometry { format, width, height, stride })
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
        Some(Errno::ACCESS | Errno::PERM) => OpenError::Permission(format!(
            "no permission to use {d}: add the user that runs vedette to group video \
             (sudo usermod -aG video USER) and log in again"
        )),
        Some(Errno::BUSY) => OpenError::Busy(format!(
            "{d} is in use by another program: `fuser -v {d}` says which; stop it"
        )),
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
mod tests {
    use super::*;
    use std::io;

    const DEV: &str = "/dev/video7";

    fn code(s: &[u8; 4]) -> u32 {
        u32::from_le_bytes(*s)
    }

    fn pick(
        offered: &[&[u8; 4]],
        wanted: Option<PixelFormat>,
    ) -> Result<(u32, PixelFormat), String> {
        let offered: Vec<_> = offered.iter().map(|c| code(c)).collect();
        choose(&offered, wanted, Path::new(DEV)).map_err(|e| e.to_string())
    }

    #[test]
    fn mjpeg_is_preferred_to_yuyv_whatever_the_order() {
        let mjpeg = (code(b"MJPG"), PixelFormat::Mjpeg);
        assert_eq!(pick(&[b"YUYV", b"MJPG"], None), Ok(mjpeg));
        assert_eq!(pick(&[b"JPEG", b"MJPG", b"YUYV"], None), Ok(mjpeg));
        assert_eq!(pick(&[b"YUYV", b"JPEG"], None), Ok((code(b"JPEG"), PixelFormat::Mjpeg)));
        assert_eq!(pick(&[b"NV12", b"YUYV"], None), Ok((code(b"YUYV"), PixelFormat::Yuyv)));
    }

    #[test]
    fn the_configured_format_is_taken_or_refused_with_the_list() {
        let yuyv = Some(PixelFormat::Yuyv);
        assert_eq!(pick(&[b"MJPG", b"YUYV"], yuyv), Ok((code(b"YUYV"), PixelFormat::Yuyv)));
        assert_eq!(
            pick(&[b"MJPG", b"Y8\0\0"], yuyv).unwrap_err(),
            "/dev/video7 does not offer yuyv; it offers MJPG, Y8__"
        );
        assert_eq!(
            pick(&[], None).unwrap_err(),
            "/dev/video7 does not offer mjpeg or yuyv; it offers nothing"
        );
    }

    fn shape(got: PixFormat, format: PixelFormat) -> Result<Geometry, OpenError> {
        geometry(got, code(b"YUYV"), format, Path::new(DEV))
    }

    fn yuyv(width: u32, height: u32, stride: u32) -> PixFormat {
        PixFormat { fourcc: code(b"YUYV"), width, height, stride }
    }

    #[test]
    fn the_stride_is_the_drivers_unless_it_cannot_be() {
        let stride = |s| shape(yuyv(640, 480, s), PixelFormat::Yuyv).unwrap().stride;
        assert_eq!(stride(1280), 1280);
        assert_eq!(stride(1344), 1344);
        assert_eq!(stride(0), 1280);
        assert_eq!(stride(640), 1280);
        assert_eq!(stride(u32::MAX), 1280);
        assert_eq!(shape(yuyv(640, 480, 99), PixelFormat::Mjpeg).unwrap().stride, 0);
    }

    #[test]
    fn impossible_answers_are_refused() {
        for (w, h) in [(0, 480), (640, 0), (641, 480), (u32::MAX, 480), (640, 40_000)] {
            let got = shape(yuyv(w, h, 0), PixelFormat::Yuyv);
            assert!(matches!(got, Err(OpenError::Unsupported(_))), "{w}x{h}: {got:?}");
        }
        let other = PixFormat { fourcc: code(b"UYVY"), ..yuyv(640, 480, 0) };
        let text = shape(other, PixelFormat::Yuyv).unwrap_err().to_string();
        assert!(text.contains("lists YUYV but answers UYVY"), "{text}");
    }

    #[test]
    fn nodes_without_pictures_are_told_from_cameras() {
        let node = |caps| {
            let capability = Capability { driver: [0; 16], card: [b'C'; 32], caps };
            usable(&capability, Path::new(DEV)).map_err(|e| e.to_string())
        };
        let (single, stream) = (sys::V4L2_CAP_VIDEO_CAPTURE, sys::V4L2_CAP_STREAMING);
        assert_eq!(node(single | stream), Ok(()));
        assert!(node(single).unwrap_err().contains("cannot stream"));
        assert!(node(0x0080_0000 | stream).unwrap_err().contains("metadata"));
        let planes = sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE;
        assert!(node(planes | stream).unwrap_err().contains("multi-planar"));
    }

    #[test]
    fn names_from_the_device_end_at_the_zero_and_hold_no_control_characters() {
        assert_eq!(printable(b"HD cam\0garbage"), "HD cam");
        assert_eq!(printable(b"a\x1b[2Jb\n\xff\0"), "a?[2Jb?\u{fffd}");
        assert_eq!(printable(b"unterminated"), "unterminated");
        assert_eq!(printable(b""), "");
    }

    #[test]
    fn refusals_name_the_remedy() {
        let say = |errno: Errno| {
            let error = io::Error::from(errno);
            refusal(Path::new(DEV), &Fault::Call { call: "open", error })
        };
        assert!(matches!(say(Errno::NOENT), OpenError::NotFound(t) if t.contains("plugged in")));
        assert!(
            matches!(say(Errno::ACCESS), OpenError::Permission(t) if t.contains("group video"))
        );
        assert!(
            matches!(say(Errno::BUSY), OpenError::Busy(t) if t.contains("fuser -v /dev/video7"))
        );
        assert!(
            matches!(say(Errno::NOTTY), OpenError::Unsupported(t) if t.contains("/dev/video*"))
        );
        assert!(matches!(say(Errno::NOSPC), OpenError::Io(t) if t.contains("USB")));
        assert!(matches!(say(Errno::IO), OpenError::Io(t) if t.contains("open: ")));
    }
}
