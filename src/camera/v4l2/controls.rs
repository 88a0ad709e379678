//! A camera's controls: what it has, with their ranges, and setting them by name.
//!
//! Called by [`super::open`], which sets what the configuration wants at each open (a camera forgets when
//! it is unplugged), and by `survey`, which lists them. Names are those of `v4l2-ctl`. The choices are pure
//! functions over what the device has; two calls go through to it.
//!
//! Some controls rule others: while `auto_exposure` is automatic, `exposure_time_absolute` is refused or
//! does nothing, and setting a mode may change numbers. So switches and menus are set first, then numbers;
//! then everything is read again, and what was refused or is not as wanted is set once more. What is still
//! not so is told, never fatal: a picture with another exposure beats no picture.

mod setting;

use std::fmt;

use serde::Serialize;
use v4l::v4l_sys as sys;

pub(super) use self::setting::set;
use super::device::printable;
use super::stream::control::Description;
use super::stream::{Fault, Node};

/// More than any driver has; ends the walk should one not end it itself.
const MAX_CONTROLS: usize = 512;

/// Longest menu that is read.
const MAX_ENTRIES: i64 = 256;

/// A value as a configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A number, in the control's own unit.
    Number(i64),
    /// A switch.
    Switch(bool),
    /// An entry of a menu, by its name.
    Entry(String),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Entry(text) => write!(f, "\"{text}\""),
        }
    }
}

/// What a control's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A number in a range.
    Number,
    /// On or off.
    Switch,
    /// One of several entries.
    Menu,
    /// It does something when it is set.
    Button,
    /// Bits.
    Bits,
    /// Text, or something that only its driver knows: listed, never set.
    Other,
}

impl Kind {
    /// The kernel's number without its sign where it is a mask, which it keeps in 32 signed bits.
    fn plain(self, n: i64) -> i64 {
        if self == Self::Bits { n & 0xffff_ffff } else { n }
    }
}

/// An entry of a menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number.
    pub value: i64,
    /// Its words.
    pub label: String,
}

/// A control of a camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// As `v4l2-ctl` calls it: `exposure_time_absolute`.
    pub name: String,
    #[serde(skip)]
    id: u32,
    /// What its values are.
    pub kind: Kind,
    /// Least value.
    pub minimum: i64,
    /// Largest value.
    pub maximum: i64,
    /// Distance of values.
    pub step: u64,
    /// Value after the driver was loaded.
    pub default: i64,
    /// Value in force; `None` where it cannot be read.
    pub value: Option<i64>,
    /// Entries of a menu.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Entry>,
    /// It does nothing now: another control rules it.
    pub inactive: bool,
    /// It cannot be set.
    pub read_only: bool,
    /// The camera changes it by itself, so that what is read need not be what was set.
    pub volatile: bool,
    #[serde(skip)]
    wide: bool,
}

impl Control {
    fn of(d: &Description) -> Self {
        let has = |flag: u32| d.flags & flag != 0;
        let kind = match d.kind {
            sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER
            | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER64 => Kind::Number,
            sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN => Kind::Switch,
            sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU
            | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU => Kind::Menu,
            sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON => Kind::Button,
            sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK => Kind::Bits,
            _ => Kind::Other,
        };
        Self {
            name: name(&printable(&d.name)),
            id: d.id,
            kind,
            minimum: kind.plain(d.minimum),
            maximum: kind.plain(d.maximum),
            step: d.step,
            default: kind.plain(d.default),
            value: None,
            entries: Vec::new(),
            inactive: has(sys::V4L2_CTRL_FLAG_INACTIVE),
            read_only: has(sys::V4L2_CTRL_FLAG_READ_ONLY),
            volatile: has(sys::V4L2_CTRL_FLAG_VOLATILE | sys::V4L2_CTRL_FLAG_EXECUTE_ON_WRITE),
            wide: d.kind == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER64,
        }
    }

    /// Which values it takes, in words.
    #[must_use]
    pub fn range(&self) -> String {
        match self.kind {
            Kind::Number if self.step > 1 => {
                format!("{} to {} in steps of {}", self.minimum, self.maximum, self.step)
            }
            Kind::Number => format!("{} to {}", self.minimum, self.maximum),
            Kind::Switch => "true or false".to_owned(),
            Kind::Menu => {
                let entry = |e: &Entry| format!("\"{}\" ({})", e.label, e.value);
                self.entries.iter().map(entry).collect::<Vec<_>>().join(", ")
            }
            Kind::Button => "true to press it".to_owned(),
            Kind::Bits => format!("bits of {:#x}", self.maximum),
            Kind::Other => "not to be set".to_owned(),
        }
    }

    /// A value of it as people write it in a configuration.
    #[must_use]
    pub fn spell(&self, value: i64) -> String {
        match self.kind {
            Kind::Switch => (value != 0).to_string(),
            Kind::Menu => self
                .entries
                .iter()
                .find(|e| e.value == value)
                .map_or_else(|| value.to_string(), |e| format!("\"{}\"", e.label)),
            Kind::Bits => format!("{value:#x}"),
            Kind::Number | Kind::Button | Kind::Other => value.to_string(),
        }
    }

    /// Does it decide what others do? Such are set first.
    fn is_mode(&self) -> bool {
        matches!(self.kind, Kind::Switch | Kind::Menu)
    }

    /// The value that is meant, or why there is none.
    fn meant(&self, wanted: &Wanted) -> Result<i64, String> {
        let Self { name, minimum, maximum, .. } = self;
        if self.read_only {
            return Err(format!("`{name}` can only be read"));
        }
        let value = match (self.kind, wanted) {
            (Kind::Number | Kind::Bits, Wanted::Number(n)) => {
                (*minimum..=*maximum).contains(n).then_some(*n)
            }
            (Kind::Switch, Wanted::Switch(on)) => Some(i64::from(*on)),
            (Kind::Switch, Wanted::Number(n)) => (0..=1).contains(n).then_some(*n),
            (Kind::Button, Wanted::Switch(true) | Wanted::Number(_)) => Some(1),
            (Kind::Menu, Wanted::Number(n)) => {
                self.entries.iter().map(|e| e.value).find(|value| value == n)
            }
            (Kind::Menu, Wanted::Entry(text)) => {
                let entry = self.entries.iter().find(|e| same_words(&e.label, text));
                entry.map(|e| e.value)
            }
            _ => None,
        };
        value.ok_or_else(|| format!("`{name}` does not take {wanted}; it takes {}", self.range()))
    }
}

fn same_words(a: &str, b: &str) -> bool {
    a.trim().eq_ignore_ascii_case(b.trim())
}

/// A driver's name for a control as `v4l2-ctl` writes it: lower case, `_` for all between its words.
fn name(driver: &str) -> String {
    let words = driver.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}

/// The controls of a device, in the driver's order.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Those that it told.
    pub(super) controls: Vec<Control>,
    /// Why there are no more of them, where it broke off.
    cut: Option<Fault>,
}

impl List {
    /// That the list is cut, if so, in words.
    pub(super) fn remark(&self) -> Option<String> {
        let (fault, last) = (self.cut.as_ref()?, self.controls.last()?);
        Some(format!(
            "the camera broke off telling its controls ({fault}): those after `{}` are not known",
            last.name
        ))
    }
}

/// All controls of the device. What a driver told before it failed is kept.
///
/// # Errors
/// The driver fails at the first; one without controls has none.
pub(super) fn list(node: &Node) -> Result<List, Fault> {
    walk(
        |last| node.control_after(last),
        |d| {
            let mut control = Control::of(d);
            if control.kind == Kind::Menu {
                let numbers = d.kind == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU;
                control.entries = entries(&control, |n| node.menu_entry(d.id, n, numbers));
            }
            let readable = d.flags & sys::V4L2_CTRL_FLAG_WRITE_ONLY == 0;
            if readable && !matches!(control.kind, Kind::Button | Kind::Other) {
                let value = node.control(control.id, control.wide).ok(); // else shown as not known
                control.value = value.map(|n| control.kind.plain(n));
            }
            control
        },
    )
}

fn walk(
    after: impl Fn(u32) -> Result<Option<Description>, Fault>,
    control: impl Fn(&Description) -> Control,
) -> Result<List, Fault> {
    let mut list = List::default();
    let mut last = 0;
    for _ in 0..MAX_CONTROLS {
        let next = match after(last) {
            Err(fault) if !list.controls.is_empty() => {
                list.cut = Some(fault);
                break;
            }
            other => other?,
        };
        // A number that does not grow would be a walk in a circle.
        let Some(d) = next.filter(|d| d.id > last) else { break };
        last = d.id;
        let class = d.kind == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_CTRL_CLASS;
        if class || d.flags & sys::V4L2_CTRL_FLAG_DISABLED != 0 {
            continue;
        }
        list.controls.push(control(&d));
    }
    Ok(list)
}

/// The entries of a menu; one that the driver fails to tell is left out.
fn entries(menu: &Control, told: impl Fn(u32) -> Result<Option<String>, Fault>) -> Vec<Entry> {
    let last = menu.maximum.min(menu.minimum.saturating_add(MAX_ENTRIES));
    let mut entries = Vec::new();
    for value in menu.minimum..=last {
        let Ok(index) = u32::try_from(value) else { continue };
        if let Ok(Some(label)) = told(index) {
            let label = printable(label.as_bytes());
            entries.push(Entry { value, label });
        }
    }
    entries
}

#[cfg(test)]
mod tests;
