//! What a device refuses, in words for the person in front of the camera: what is wrong, and what helps.

use std::path::Path;

use rustix::io::Errno;

use super::{holders, owner};
use crate::camera::OpenError;
use crate::camera::v4l2::formats;
use crate::camera::v4l2::offer::Code;
use crate::camera::v4l2::stream::Fault;
use crate::frame::PixelFormat;

/// A refused call in words, with what helps.
pub(in crate::camera::v4l2) fn refusal(device: &Path, fault: &Fault) -> OpenError {
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

/// What was looked for and what there is, in our words and in the kernel's, and what helps.
pub(super) fn not_offered(offered: &[Code], wanted: Option<PixelFormat>, device: &Path) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    const DEV: &str = "/dev/video7";

    #[test]
    fn refusals_name_the_remedy() {
        let say = |errno: Errno| {
            let error = io::Error::from(errno);
            refusal(Path::new(DEV), &Fault::Call { call: "open", error })
        };
        assert!(matches!(say(Errno::NOENT), OpenError::NotFound(t) if t.contains("plugged in")));
        assert!(
            matches!(say(Errno::ACCESS), OpenError::Permission(t) if t.contains("no permission"))
        );
        assert!(matches!(say(Errno::PERM), OpenError::Permission(t) if t.contains("DeviceAllow")));
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
