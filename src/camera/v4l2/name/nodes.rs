//! What the system says of its video nodes, without opening one: sysfs, and the links below `/dev/v4l`.
//!
//! Called by [`super`] and `survey`. Everything is read anew at each call; what cannot be read is left
//! out, as a camera may go while it is looked at. The links are udev's and need not be there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::camera::v4l2::device::printable;

/// Longest attribute that is read: a USB string has at most 126 characters.
const MAX_TEXT: u64 = 512;

/// Directories above a device that are searched for its USB device; hubs are not nested deeper.
const MAX_DEPTH: usize = 8;

/// Where the system shows its devices; tests have trees of their own.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `/sys`
    pub sys: PathBuf,
    /// `/dev`
    pub dev: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { sys: "/sys".into(), dev: "/dev".into() }
    }
}

/// A USB device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usb {
    /// Vendor and product, as `046d:0825`.
    pub id: String,
    /// Its serial number, where it has one.
    pub serial: Option<String>,
}

/// A video node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoNode {
    /// `/dev/video0`
    pub path: PathBuf,
    /// The driver's name of the node; of many drivers the camera's name.
    pub label: String,
    /// Its number among the nodes of its device; the first is mostly the one with the pictures.
    pub index: u32,
    /// The device behind it, by its place in sysfs; several nodes may share one.
    pub device: Option<PathBuf>,
    /// The USB device, if it is one.
    pub usb: Option<Usb>,
    /// Where it is plugged in, as sysfs calls it: `1-1.2` for USB, `vivid.0` for a platform device.
    pub port: Option<String>,
    /// Links below `/dev/v4l/by-id`.
    pub by_id: Vec<PathBuf>,
    /// Links below `/dev/v4l/by-path`.
    pub by_path: Vec<PathBuf>,
}

impl VideoNode {
    /// Is the other one a further node of the same camera? Two first nodes of one device are two cameras.
    pub(super) fn shares(&self, other: &Self) -> bool {
        self.device.is_some() && self.device == other.device && self.index != other.index
    }

    /// The number in its name.
    fn number(&self) -> Option<u32> {
        self.path.file_name()?.to_str().and_then(number)
    }
}

/// `7` of `video7`.
pub(crate) fn number(name: &str) -> Option<u32> {
    name.strip_prefix("video").filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// All video nodes, by their numbers.
#[must_use]
pub fn nodes(roots: &Roots) -> Vec<VideoNode> {
    let (by_id, by_path) =
        (links(&roots.dev.join("v4l/by-id")), links(&roots.dev.join("v4l/by-path")));
    let class = roots.sys.join("class/video4linux");
    let names = names(&class).into_iter().filter(|name| number(name).is_some());
    let mut nodes: Vec<_> = names
        .map(|name| {
            let entry = class.join(&name);
            let device = fs::canonicalize(entry.join("device")).ok();
            let usb_device = device.as_deref().and_then(usb_device);
            let place = usb_device.as_deref().or(device.as_deref());
            VideoNode {
                path: roots.dev.join(&name),
                label: text(&entry.join("name")).unwrap_or_default(),
                index: text(&entry.join("index")).and_then(|t| t.parse().ok()).unwrap_or(0),
                usb: usb_device.as_deref().and_then(usb),
                port: place.and_then(Path::file_name).map(lossy),
                by_id: by_id.get(&name).cloned().unwrap_or_default(),
                by_path: by_path.get(&name).cloned().unwrap_or_default(),
                device,
            }
        })
        .collect();
    nodes.sort_by_key(VideoNode::number);
    nodes
}

/// The USB device that an interface belongs to.
fn usb_device(device: &Path) -> Option<PathBuf> {
    let mut above = device.ancestors().take(MAX_DEPTH);
    above.find(|dir| dir.join("idVendor").exists()).map(Path::to_owned)
}

fn usb(dir: &Path) -> Option<Usb> {
    let id = format!("{}:{}", text(&dir.join("idVendor"))?, text(&dir.join("idProduct"))?);
    Some(Usb { id, serial: text(&dir.join("serial")).filter(|s| !s.is_empty()) })
}

/// The links of a directory, by the node that they lead to; none where there is no such directory.
fn links(dir: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for name in names(dir) {
        let link = dir.join(name);
        if let Some(target) = fs::read_link(&link).ok().as_deref().and_then(Path::file_name) {
            found.entry(lossy(target)).or_default().push(link);
        }
    }
    for links in found.values_mut() {
        // Newer versions of udev make a second link with the USB version in it: `usbv2-` beside `usb-`.
        links.sort_by_key(|link| (link.to_string_lossy().contains("-usbv"), link.clone()));
    }
    found
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| lossy(&entry.file_name())).collect()
}

fn lossy(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

/// An attribute, fit to be shown: part of it comes out of the camera.
fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAX_TEXT).read_to_end(&mut bytes).ok()?;
    Some(printable(bytes.trim_ascii()))
}
