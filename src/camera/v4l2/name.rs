//! Which camera is meant: by a stable name, and not by a number that changes with the order of plugging.

use std::fmt;
use std::path::PathBuf;

use crate::camera::OpenError;

/// A camera as a configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
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

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Marks(marks) => {
                let usb = marks.usb.map(|(vendor, product)| format!("{vendor:04x}:{product:04x}"));
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

impl Named {
    /// The node to open now.
    ///
    /// # Errors
    /// No camera, or more than one, has these marks.
    pub fn resolve(&self) -> Result<PathBuf, OpenError> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            Self::Marks(_) => Err(OpenError::NotFound(format!("no camera has {self}"))),
        }
    }
}
