//! All cameras that are plugged in, and what a person or a fleet wants to know of each before one is
//! configured: how to name it, what it gives, what of that is best, and what stands in the way.
//!
//! Called by `vedette devices`. Looks and never sets anything; cameras that are in use are looked at too.
//! One that cannot be opened is listed with the reason, and never hides the others. Which format and size
//! to suggest is decided by [`suggest`], purely.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::access::Reading;
use super::controls::{self, Control};
use super::device;
use super::name::nodes::{Roots, Usb, VideoNode, nodes};
use super::name::{self, Probe};
use super::offer::{FormatOffer, Offer, Rate, Rates, SizeOffer, Sizes};
use super::stream::{self, Node};
use crate::frame::PixelFormat;

/// The largest size that is suggested: more costs much and shows little more of what moves.
const ENOUGH: (u32, u32) = (1920, 1080);

/// Fewer frames a second miss what passes by.
const SMOOTH: f64 = 10.0;

/// Told of a camera that opens and is of no use.
const UNREAD: &str = "none of its formats can be read here; a program that converts them can be an `exec` \
                      camera";

/// A camera that is plugged in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Camera {
    /// The name that its driver gives it.
    pub card: String,
    /// Its node now; the number may be another after a restart.
    pub node: PathBuf,
    /// What a configuration writes to mean this camera and no other; `None` when only its number is left.
    pub write: Option<String>,
    /// The kernel's driver, where it could be asked.
    pub driver: Option<String>,
    /// Where it is plugged in, in the driver's words.
    pub bus_info: Option<String>,
    /// Where it is plugged in, in the system's words: also a `port` for the configuration.
    pub port: Option<String>,
    /// The USB device, if it is one.
    pub usb: Option<Usb>,
    /// udev's names, by what it is and by where it is.
    pub links: Vec<PathBuf>,
    /// Why it cannot be used now, and what helps.
    pub trouble: Option<String>,
    /// Programs that have it open, as far as they may be seen.
    pub users: Vec<String>,
    /// Formats, sizes and rates.
    pub formats: Vec<FormatOffer>,
    /// What is suggested.
    pub suggestion: Option<Suggestion>,
    /// Controls with their ranges and values.
    pub controls: Vec<Control>,
    /// How fast its buffers are read; `None` while it streams for somebody.
    pub reading: Option<Speed>,
}

/// What of all that a camera gives is best, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// As the configuration's `format`; what is taken when none is given.
    pub format: &'static str,
    /// As the configuration's `size`; `None` where the driver lists none: its own is taken then.
    pub size: Option<(u32, u32)>,
    /// Most frames a second at this size, if the driver tells.
    pub fps: Option<f64>,
    /// The reasons.
    pub why: String,
}

/// Speed of a camera's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Speed {
    /// `direct`: frames are read where the driver put them. `copied`: that is slow here, and each is
    /// copied first.
    pub access: &'static str,
    /// Megabytes a second.
    pub mb_per_s: Option<u64>,
}

impl From<Reading> for Speed {
    fn from(reading: Reading) -> Self {
        Self { access: reading.access().name(), mb_per_s: reading.mapped_mb_s() }
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format)?;
        self.size.map_or(Ok(()), |(width, height)| write!(f, " {width}x{height}"))?;
        self.fps.map_or(Ok(()), |fps| write!(f, ", up to {fps} fps"))
    }
}

/// Looks at all cameras, by their numbers.
#[must_use]
pub fn survey() -> Vec<Camera> {
    let all = nodes(&Roots::default());
    all.iter().filter_map(|node| look(node, &all)).collect()
}

/// One node; `None` when it gives no pictures.
fn look(node: &VideoNode, all: &[VideoNode]) -> Option<Camera> {
    let path = node.path.as_path();
    match Node::open(path) {
        // Opened once: some drivers let nobody in twice.
        Ok(open) => {
            Some(Probe::of(&open)).filter(|p| p.captures).map(|p| asked(node, all, &open, p))
        }
        // The first node of a camera that may not be opened stands for it.
        Err(fault) => (node.index == 0).then(|| Camera {
            trouble: Some(device::refusal(path, &fault).to_string()),
            ..unopened(node, all)
        }),
    }
}

/// What the system says of a camera.
fn unopened(node: &VideoNode, all: &[VideoNode]) -> Camera {
    Camera {
        card: node.label.clone(),
        node: node.path.clone(),
        write: name::best(node, all, &node.label, ""),
        driver: None,
        bus_info: None,
        port: node.port.clone(),
        usb: node.usb.clone(),
        links: [node.by_id.clone(), node.by_path.clone()].concat(),
        trouble: None,
        users: device::users(&node.path),
        formats: Vec::new(),
        suggestion: None,
        controls: Vec::new(),
        reading: None,
    }
}

/// What the camera says of itself besides.
fn asked(node: &VideoNode, all: &[VideoNode], open: &Node, probe: Probe) -> Camera {
    let (offer, refused) = match device::offer(open) {
        Ok(offer) => (offer, None),
        Err(fault) => (Offer::default(), Some(device::refusal(&node.path, &fault).to_string())),
    };
    let listed = controls::list(open).unwrap_or_default(); // a driver that fails here may still stream
    if let Some(remark) = listed.remark() {
        tracing::warn!(device = %node.path.display(), "Camera's settings: {remark}.");
    }
    let suggestion = suggest(&offer);
    let unread = || suggestion.is_none().then(|| UNREAD.to_owned());
    Camera {
        write: name::best(node, all, &probe.card, &probe.bus_info),
        trouble: refused.or_else(unread),
        controls: listed.controls,
        reading: stream::reading(open).ok().map(Speed::from),
        formats: offer.formats,
        suggestion,
        driver: Some(probe.driver),
        card: probe.card,
        bus_info: Some(probe.bus_info),
        ..unopened(node, all)
    }
}

/// Which format and size to suggest. `None` when no format can be read.
fn suggest(offer: &Offer) -> Option<Suggestion> {
    let readable = |wanted: PixelFormat| offer.formats.iter().find(|f| f.format == Some(wanted));
    let offered = PixelFormat::PREFERENCE.into_iter().find_map(|f| Some((f, readable(f)?)));
    let (format, offer) = offered?;
    let because = match format {
        PixelFormat::Mjpeg => "pictures are kept as the camera made them",
        PixelFormat::Bayer(..) => "it gives nothing but a sensor's raw mosaic",
        PixelFormat::Grey | PixelFormat::Y10 | PixelFormat::Y12 | PixelFormat::Y16 => {
            "it gives nothing with colour"
        }
        _ => "the cheapest to look at of those it has",
    };
    let (size, fps, sizes) = size(&offer.sizes);
    let why = format!("{}: {because}{sizes}", format.name());
    Some(Suggestion { format: format.name(), size, fps, why })
}

type Size = (Option<(u32, u32)>, Option<f64>, &'static str);

/// The size to suggest, its rate, and why.
fn size(sizes: &Sizes) -> Size {
    let area = |size: &SizeOffer| u64::from(size.width) * u64::from(size.height);
    let listed = match sizes {
        Sizes::Listed(listed) => listed,
        Sizes::Between { min, max, step, rates } => {
            let fit = |side: fn(&(u32, u32)) -> u32| {
                let (min, step, most) =
                    (side(min), side(step).max(1), side(&ENOUGH).min(side(max)));
                min + most.saturating_sub(min) / step * step
            };
            let size = (fit(|s| s.0), fit(|s| s.1));
            return (Some(size), highest(rates), "; the size is free");
        }
        Sizes::Unknown => return (None, None, "; the driver lists no sizes"),
    };
    let enough = |s: &&SizeOffer| s.width <= ENOUGH.0 && s.height <= ENOUGH.1;
    let smooth = |s: &&SizeOffer| highest(&s.rates).is_none_or(|fps| fps >= SMOOTH);
    let best = listed.iter().filter(enough).filter(smooth).max_by_key(|s| area(s));
    let (size, why) = match (best, listed.iter().max_by_key(|s| area(s))) {
        (Some(size), Some(largest)) if size != largest => {
            (size, "; the largest size up to 1920x1080 with 10 fps or more")
        }
        (Some(size), _) => (size, "; its largest size"),
        (None, _) => {
            let fast = |s: &&SizeOffer| (highest(&s.rates).unwrap_or(0.0) * 100.0) as u64;
            let fastest = listed.iter().max_by_key(|s| (fast(s), area(s)));
            let Some(size) = fastest else { return (None, None, "") };
            (size, "; the size with the most frames a second")
        }
    };
    (Some((size.width, size.height)), highest(&size.rates), why)
}

fn highest(rates: &Rates) -> Option<f64> {
    let rate = match rates {
        Rates::Listed(rates) => *rates.first()?,
        Rates::Between(_, high) => *high,
        Rates::Unknown => return None,
    };
    Some((Rate::fps(rate) * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::offer::Code;
    use super::*;

    fn listed(sizes: &[(u32, u32, u32)]) -> Sizes {
        let size = |&(width, height, fps): &(u32, u32, u32)| {
            let rates = if fps == 0 {
                Rates::Unknown
            } else {
                Rates::Listed(vec![Rate::per_second(fps), Rate::per_second(1)])
            };
            SizeOffer { width, height, rates }
        };
        Sizes::Listed(sizes.iter().map(size).collect())
    }

    fn offer(formats: &[(Option<PixelFormat>, &Sizes)]) -> Offer {
        let format = |&(format, sizes): &(Option<PixelFormat>, &Sizes)| FormatOffer {
            format,
            fourcc: Code::of(b"TEST"),
            description: String::new(),
            sizes: sizes.clone(),
        };
        Offer { formats: formats.iter().map(format).collect() }
    }

    fn said(formats: &[(Option<PixelFormat>, &Sizes)]) -> (String, String) {
        let suggestion = suggest(&offer(formats)).unwrap();
        (suggestion.to_string(), suggestion.why)
    }

    #[test]
    fn the_first_format_of_the_preference_is_suggested_with_its_reason() {
        let (raw, jpeg) = (listed(&[(640, 480, 30)]), listed(&[(1280, 720, 30), (640, 480, 30)]));
        let both = [(Some(PixelFormat::Yuyv), &raw), (Some(PixelFormat::Mjpeg), &jpeg)];
        let (what, why) = said(&both);
        assert_eq!(what, "mjpeg 1280x720, up to 30 fps");
        assert_eq!(why, "mjpeg: pictures are kept as the camera made them; its largest size");
        let (what, why) = said(&[(None, &jpeg), (Some(PixelFormat::Grey), &raw)]);
        assert_eq!(what, "grey 640x480, up to 30 fps");
        assert!(why.starts_with("grey: it gives nothing with colour"), "{why}");
        assert_eq!(suggest(&offer(&[(None, &raw)])), None, "nothing that can be read");
        assert_eq!(suggest(&offer(&[])), None);
    }

    #[test]
    fn the_largest_size_that_is_enough_and_smooth_is_suggested() {
        let yuyv = |sizes: &[(u32, u32, u32)]| {
            let (what, why) = said(&[(Some(PixelFormat::Yuyv), &listed(sizes))]);
            (what, why.split_once("; ").unwrap().1.to_owned())
        };
        let webcam = [(640, 480, 30), (1920, 1080, 5), (1280, 720, 10), (3840, 2160, 1)];
        let reason = "the largest size up to 1920x1080 with 10 fps or more".to_owned();
        assert_eq!(yuyv(&webcam), ("yuyv 1280x720, up to 10 fps".into(), reason));
        let slow = [(320, 240, 5), (1920, 1080, 5), (2592, 1944, 2)];
        let reason = "the size with the most frames a second".to_owned();
        assert_eq!(yuyv(&slow), ("yuyv 1920x1080, up to 5 fps".into(), reason));
        assert_eq!(yuyv(&[(800, 600, 0)]).0, "yuyv 800x600", "a rate that is not told is no fault");
    }

    #[test]
    fn where_the_size_is_free_or_unknown_the_steps_are_kept_and_nothing_is_made_up() {
        let rates = Rates::Between(Rate::per_second(1), Rate { frames: 30_000, seconds: 1_001 });
        let free = Sizes::Between { min: (48, 48), max: (4096, 2160), step: (16, 16), rates };
        let (what, why) = said(&[(Some(PixelFormat::Nv12), &free)]);
        assert_eq!(what, "nv12 1920x1072, up to 29.97 fps");
        assert!(why.ends_with("the size is free"), "{why}");
        let (what, why) = said(&[(Some(PixelFormat::Mjpeg), &Sizes::Unknown)]);
        assert_eq!(what, "mjpeg");
        assert!(why.ends_with("the driver lists no sizes"), "{why}");
    }
}
