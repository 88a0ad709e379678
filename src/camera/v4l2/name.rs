//! Which camera is meant: by a stable name, and not by a number that changes with the order of plugging.
//!
//! Called by [`super::open`] at each open, so that a camera which comes back as another `/dev/videoN` is
//! found, and by `survey`, which says how each camera is named best. `nodes` reads what the system says;
//! what is to be chosen is decided here, purely. Only where that is not enough are nodes opened, and only
//! those that fit so far: a camera whose driver hangs is not to hold up the others.
//!
//! A number alone is accepted, and so is no name at all; then the camera that was found first in this run is
//! remembered: another one that comes in its place is not taken.

mod memory;
pub mod nodes;

use std::fmt;
use std::path::{Path, PathBuf};

use v4l::v4l_sys as sys;

pub use self::memory::Memory;
use self::nodes::{Roots, VideoNode, nodes};
use super::device::printable;
use super::stream::{Fault, Node};
use crate::camera::OpenError;

/// Most cameras that an error lists.
const MAX_LISTED: usize = 8;

/// A camera as a configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// The first that gives pictures, whichever that is.
    First,
    /// A device node, best one of the stable names below `/dev/v4l/by-id` or `/dev/v4l/by-path`.
    Path(PathBuf),
    /// Whatever capture device has all of these marks.
    Marks(Marks),
}

/// What a camera is known by. Those that are given must all fit, and fit one camera only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Serial number of the USB device.
    pub serial: Option<String>,
    /// USB vendor and product.
    pub usb: Option<(u16, u16)>,
    /// The name the driver gives it (the "card").
    pub card: Option<String>,
    /// Where it is plugged in: the name below `/dev/v4l/by-path`, or the driver's `bus_info`.
    pub port: Option<String>,
}

/// What a node says of itself when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) driver: String,
    pub(super) card: String,
    pub(super) bus_info: String,
    /// It gives pictures; else it is the metadata node of a camera, or an output.
    pub(super) captures: bool,
    /// It does so in mapped memory, as we read them.
    pub(super) streams: bool,
}

/// Opens a node and asks it. It may be in use by somebody else.
pub(super) fn probe(path: &Path) -> Result<Probe, Fault> {
    Ok(Probe::of(&Node::open(path)?))
}

impl Probe {
    /// What an open node said.
    pub(super) fn of(node: &Node) -> Self {
        const PICTURES: u32 = sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE;
        let capability = node.capability();
        Self {
            driver: printable(&capability.driver),
            card: printable(&capability.card),
            bus_info: printable(&capability.bus_info),
            captures: capability.caps & PICTURES != 0,
            streams: capability.caps & sys::V4L2_CAP_STREAMING != 0,
        }
    }
}

/// How nodes are asked; injected, so that tests need none.
type Ask<'a> = &'a dyn Fn(&Path) -> Option<Probe>;

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("the first camera"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Marks(marks) => {
                let usb = marks.usb.map(spell_usb);
                let words = [
                    ("serial", marks.serial.as_ref()),
                    ("usb", usb.as_ref()),
                    ("card", marks.card.as_ref()),
                    ("port", marks.port.as_ref()),
                ];
                let mut given = words.into_iter().filter_map(|(k, v)| Some((k, v?)));
                given
                    .try_fold("", |space, (k, v)| write!(f, "{space}{k} {v}").map(|()| " "))
                    .map(|_| ())
            }
        }
    }
}

fn spell_usb((vendor, product): (u16, u16)) -> String {
    format!("{vendor:04x}:{product:04x}")
}

impl Named {
    /// The node to open now.
    ///
    /// # Errors
    /// No camera, or more than one, has these marks; or there is none at all.
    pub fn resolve(&self) -> Result<PathBuf, OpenError> {
        match self {
            Self::First => first(&nodes(&Roots::default()), &|path| probe(path).ok()),
            Self::Path(path) => Ok(path.clone()),
            Self::Marks(marks) => {
                let ask = |path: &Path| probe(path).ok();
                marks.choose(&nodes(&Roots::default()), &ask).map(|node| node.path.clone())
            }
        }
    }

    /// The node's number is all that names it, and the next camera to be plugged in may get that number.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        let Self::Path(path) = self else { return false };
        path.parent() == Some(Path::new("/dev"))
            && path.file_name().and_then(|n| n.to_str()).and_then(nodes::number).is_some()
    }
}

/// The node that streams pictures: of a USB device before all others, since boards have nodes of their own for
/// scalers and codecs that look like cameras; then the one with the lowest number. One that cannot be opened
/// counts where it is the first of its device, so that the error which opening it gives is told.
fn first(nodes: &[VideoNode], ask: Ask<'_>) -> Result<PathBuf, OpenError> {
    let gives = |node: &&VideoNode| {
        ask(&node.path).map_or(node.index == 0, |probe| probe.captures && probe.streams)
    };
    let usb = |usb: bool| nodes.iter().filter(move |node| node.usb.is_some() == usb);
    usb(true).chain(usb(false)).find(gives).map(|node| node.path.clone()).ok_or_else(|| {
        OpenError::NotFound(
            "no camera is there: is it plugged in, and its driver loaded? `vedette devices` lists what is"
                .to_owned(),
        )
    })
}

impl Marks {
    /// The one node that has all of these marks. `ask` opens a node; `None` where it cannot be opened.
    fn choose<'n>(&self, nodes: &'n [VideoNode], ask: Ask<'_>) -> Result<&'n VideoNode, OpenError> {
        let mut fit: Vec<_> = nodes.iter().filter(|node| self.fits_sysfs(node)).collect();
        let by_label: Vec<_> = fit.iter().copied().filter(|n| self.has_card(&n.label)).collect();
        if self.card.is_some() && !by_label.is_empty() {
            fit = by_label;
        }
        if fit.len() > 1 || self.card.is_some() || self.port.is_some() {
            fit.retain(|node| self.fits(node, ask(&node.path).as_ref()));
        }
        // Of several nodes of one device the first is meant.
        fit.sort_by_key(|node| node.index);
        let mut cameras: Vec<&VideoNode> = Vec::new();
        for node in fit {
            if !cameras.iter().any(|camera| camera.shares(node)) {
                cameras.push(node);
            }
        }
        match cameras.as_slice() {
            [one] => Ok(one),
            [] => Err(OpenError::NotFound(format!("no camera has {self}; {}", list(nodes, ask)))),
            several => Err(OpenError::Unsupported(format!(
                "{} cameras have {self}: {}; {}",
                several.len(),
                several.iter().map(|n| show(n, ask)).collect::<Vec<_>>().join("; "),
                telling_apart(several)
            ))),
        }
    }

    /// Does it fit, as far as that is known without opening it?
    fn fits_sysfs(&self, node: &VideoNode) -> bool {
        let usb = node.usb.as_ref();
        let is = |wanted: Option<&str>, has: Option<&str>| {
            wanted.is_none_or(|w| has.is_some_and(|h| h.eq_ignore_ascii_case(w)))
        };
        let serial = usb.and_then(|u| u.serial.as_deref());
        let id = self.usb.map(spell_usb);
        is(self.serial.as_deref(), serial) && is(id.as_deref(), usb.map(|u| u.id.as_str()))
    }

    /// Does it fit, now that it has been asked? Of one that could not be opened, what sysfs says counts, so
    /// that the error which opening it gives is told.
    fn fits(&self, node: &VideoNode, probe: Option<&Probe>) -> bool {
        let Some(probe) = probe else {
            return node.index == 0 && self.has_card(&node.label) && self.has_port(node, None);
        };
        let card = self.has_card(&probe.card) || self.has_card(&node.label);
        probe.captures && card && self.has_port(node, Some(&probe.bus_info))
    }

    fn has_card(&self, card: &str) -> bool {
        self.card.as_deref().is_none_or(|wanted| wanted.trim() == card.trim())
    }

    fn has_port(&self, node: &VideoNode, bus_info: Option<&str>) -> bool {
        let Some(wanted) = self.port.as_deref() else { return true };
        let by_path = node.by_path.iter().filter_map(|link| link.file_name()?.to_str());
        let port = |name: &str| name == wanted || without_index(name) == wanted;
        by_path.into_iter().any(port)
            || node.port.as_deref() == Some(wanted)
            || bus_info == Some(wanted)
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Named::Marks(self.clone()).fmt(f)
    }
}

/// A name below `/dev/v4l/by-path` without the node's number among those of its device.
fn without_index(name: &str) -> &str {
    name.rsplit_once("-video-index").map_or(name, |(port, _)| port)
}

/// The camera that somebody means who typed this: a path, `video0`, or any one of its marks.
///
/// # Errors
/// No camera, or more than one, is known by that.
pub fn typed(text: &str) -> Result<Named, OpenError> {
    if text.contains('/') {
        return Ok(Named::Path(text.into()));
    }
    if nodes::number(text).is_some() {
        return Ok(Named::Path(Path::new("/dev").join(text)));
    }
    typed_among(text, &nodes(&Roots::default()), &|path| probe(path).ok()).map(Named::Marks)
}

fn typed_among(text: &str, nodes: &[VideoNode], ask: Ask<'_>) -> Result<Marks, OpenError> {
    let (mark, none) = (Some(text.to_owned()), Marks::default);
    let usb = text.split_once(':').and_then(|(vendor, product)| {
        let hex = |t: &str| u16::from_str_radix(t, 16).ok();
        Some((hex(vendor)?, hex(product)?))
    });
    let mut tries = vec![Marks { serial: mark.clone(), ..none() }];
    tries.extend(usb.map(|usb| Marks { usb: Some(usb), ..none() }));
    tries.extend([Marks { card: mark.clone(), ..none() }, Marks { port: mark, ..none() }]);
    for marks in tries {
        match marks.choose(nodes, ask) {
            Ok(_) => return Ok(marks),
            Err(OpenError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(OpenError::NotFound(format!(
        "no camera has the serial number, USB id, name or port \"{text}\"; {}",
        list(nodes, ask)
    )))
}

/// What there is, for somebody whose marks fit nothing.
fn list(nodes: &[VideoNode], ask: Ask<'_>) -> String {
    let first = nodes.iter().filter(|n| n.index == 0).take(MAX_LISTED);
    let cameras: Vec<_> = first.map(|n| show(n, ask)).collect();
    if cameras.is_empty() {
        return "there is no camera at all: is it plugged in, and its driver loaded?".to_owned();
    }
    format!("there are: {}", cameras.join("; "))
}

/// A node and what tells it from others.
fn show(node: &VideoNode, ask: Ask<'_>) -> String {
    // Only what is known without opening it, unless that is nothing: a hung driver must not hang us.
    let card = match node.label.as_str() {
        "" => ask(&node.path).map(|p| p.card).unwrap_or_default(),
        label => label.to_owned(),
    };
    let usb = node.usb.as_ref();
    let words = [
        usb.map(|u| format!("usb {}", u.id)),
        usb.and_then(|u| u.serial.as_ref()).map(|s| format!("serial {s}")),
        node.port.as_ref().map(|p| format!("port {p}")),
    ];
    let words: Vec<_> = words.into_iter().flatten().collect();
    let words = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
    format!("{} \"{card}\"{words}", node.path.display())
}

/// Which mark would leave one of them.
fn telling_apart(several: &[&VideoNode]) -> &'static str {
    let mut serials: Vec<_> =
        several.iter().map(|n| n.usb.as_ref().and_then(|u| u.serial.as_ref())).collect();
    serials.sort();
    let all = serials.iter().all(Option::is_some);
    serials.dedup();
    if all && serials.len() == several.len() {
        "add `serial`, which tells them apart"
    } else {
        "add `port`, which tells them apart as long as they stay plugged in where they are"
    }
}

/// How a camera is named best, as a line of a configuration: by a link that udev made, else by the first
/// mark that no other camera has. `None` where there is nothing but its number.
#[must_use]
pub(super) fn best(
    node: &VideoNode,
    all: &[VideoNode],
    card: &str,
    bus_info: &str,
) -> Option<String> {
    let others = || all.iter().filter(|n| n.path != node.path && !n.shares(node));
    let line = |key: &str, value: &str| Some(format!("{key} = \"{}\"", escaped(value)));
    let serial = node.usb.as_ref().and_then(|u| u.serial.as_deref());
    // Two cameras of one model without serial numbers (or with the same) share one link by what they are,
    // and two of one device (vivid's) the one by where they are.
    let twin = others().any(|n| n.usb.is_some() && n.usb == node.usb);
    let place = node.by_path.first();
    let place =
        place.filter(|_| node.device.is_none() || others().all(|n| n.device != node.device));
    if let Some(link) = node.by_id.first().filter(|_| !twin).or(place) {
        return line("device", link.to_str()?);
    }
    if let Some(serial) = serial.filter(|_| !twin) {
        return line("serial", serial);
    }
    let id = node.usb.as_ref().map(|u| u.id.as_str());
    if let Some(id) = id.filter(|id| others().all(|n| n.usb.as_ref().is_none_or(|u| u.id != *id))) {
        return line("usb", id);
    }
    // What others call themselves is known only where the driver's label is the card.
    let own = card == node.label && others().all(|n| n.label != node.label);
    if !card.is_empty() && own && id.is_none() {
        return line("card", card);
    }
    let port = Some(bus_info).filter(|b| !b.is_empty()).or(node.port.as_deref())?;
    line("port", port)
}

/// As it stands in a TOML text in double quotes.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A better name for a camera that is named by its number, as a line of a configuration. `None` when the
/// name is a good one, or the camera is not there.
#[must_use]
pub fn better(named: &Named) -> Option<String> {
    let Named::Path(path) = named else { return None };
    if !named.is_bare() {
        return None;
    }
    let all = nodes(&Roots::default());
    let node = all.iter().find(|n| n.path == *path)?;
    // Opened only when nothing else names it.
    let known = node.usb.is_some() || !node.by_id.is_empty() || !node.by_path.is_empty();
    let probe = if known { None } else { probe(path).ok() };
    let (card, bus_info) =
        probe.map_or_else(|| (node.label.clone(), String::new()), |p| (p.card, p.bus_info));
    best(node, &all, &card, &bus_info)
}

#[cfg(test)]
mod tests;
