//! Setting controls by name: in what order, what cannot be, and what did not stay.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{Control, Kind, Wanted, list};
use crate::camera::v4l2::stream::{Fault, Node};

/// Most names that are offered for a wrong one.
const MAX_NEAR: usize = 4;

/// Letters that two names must begin with to be near each other.
const NEAR_PREFIX: usize = 3;

/// Names that Linux 5.16 and 5.17 changed, so that a configuration outlives the kernel that it was
/// written on; each stands for the other.
const RENAMED: [(&str, &str); 6] = [
    ("exposure_auto", "auto_exposure"),
    ("exposure_absolute", "exposure_time_absolute"),
    ("exposure_auto_priority", "exposure_dynamic_framerate"),
    ("focus_auto", "focus_automatic_continuous"),
    ("hue_auto", "hue_automatic"),
    ("white_balance_temperature_auto", "white_balance_automatic"),
];

/// Sets what is wanted. What could not be set, or did not stay, is answered in words, one sentence each.
pub(in crate::camera::v4l2) fn set(node: &Node, wanted: &BTreeMap<String, Wanted>) -> Vec<String> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let set = |control: &Control, value| node.set_control(control.id, control.wide, value);
    let cut = RefCell::new(None);
    let list = || {
        let list = list(node)?;
        *cut.borrow_mut() = list.remark();
        Ok(list.controls)
    };
    match settle(wanted, list, set) {
        Ok(mut complaints) => {
            complaints.extend(cut.take());
            complaints
        }
        Err(fault) => vec![format!("the camera does not tell its controls ({fault})")],
    }
}

/// One control and the value that it is to have.
pub(super) struct Assignment {
    pub(super) control: Control,
    pub(super) value: i64,
    refused: Option<Fault>,
}

impl Assignment {
    fn is_so(&self, now: &[Control]) -> bool {
        let now = now.iter().find(|c| c.id == self.control.id);
        let unknowable = self.control.kind == Kind::Button || now.is_none_or(|c| c.volatile);
        let distance = now.and_then(|c| c.value).map(|value| value.abs_diff(self.value));
        unknowable || distance.is_none_or(|d| d < self.control.step.max(1))
    }

    /// What is wrong with it after all, if anything.
    fn complaint(&self, now: &[Control]) -> Option<String> {
        let (name, wanted) = (&self.control.name, self.control.spell(self.value));
        let control = now.iter().find(|c| c.id == self.control.id)?;
        if control.inactive {
            let ruler = ruler(now, name);
            let ruler = ruler.map_or("another control".to_owned(), |r| format!("`{r}`"));
            return Some(format!("`{name}` does nothing now: {ruler} rules it; set that first"));
        }
        if let Some(fault) = &self.refused {
            return Some(format!("`{name}` could not be set to {wanted} ({fault})"));
        }
        let value = control.value.filter(|_| !self.is_so(now))?;
        Some(format!("`{name}` was set to {wanted}, and is {}", control.spell(value)))
    }
}

pub(super) fn settle(
    wanted: &BTreeMap<String, Wanted>,
    list: impl Fn() -> Result<Vec<Control>, Fault>,
    set: impl Fn(&Control, i64) -> Result<i64, Fault>,
) -> Result<Vec<String>, Fault> {
    let mut now = list()?;
    let (mut assignments, mut complaints) = plan(&now, wanted);
    for again in [false, true] {
        for assignment in &mut assignments {
            if !again || assignment.refused.is_some() || !assignment.is_so(&now) {
                assignment.refused = set(&assignment.control, assignment.value).err();
            }
        }
        now = list()?;
    }
    complaints.extend(assignments.iter().filter_map(|a| a.complaint(&now)));
    Ok(complaints)
}

/// What to set, in order, and what cannot be.
fn plan(controls: &[Control], wanted: &BTreeMap<String, Wanted>) -> (Vec<Assignment>, Vec<String>) {
    let (mut assignments, mut complaints) = (Vec::new(), Vec::new());
    for (name, wanted) in wanted {
        let Some(control) = find(controls, name) else {
            complaints.push(unknown(controls, name));
            continue;
        };
        match control.meant(wanted) {
            Ok(value) => {
                assignments.push(Assignment { control: control.clone(), value, refused: None });
            }
            Err(complaint) => complaints.push(complaint),
        }
    }
    assignments.sort_by_key(|a| !a.control.is_mode());
    (assignments, complaints)
}

pub(super) fn find<'c>(controls: &'c [Control], name: &str) -> Option<&'c Control> {
    let by = |name: &str| controls.iter().find(|c| c.name == name);
    let other = |&(old, new): &(&'static str, &'static str)| {
        if name == old { Some(new) } else { (name == new).then_some(old) }
    };
    by(name).or_else(|| RENAMED.iter().find_map(other).and_then(by))
}

pub(super) fn unknown(controls: &[Control], name: &str) -> String {
    let near: Vec<_> = controls.iter().filter(|c| is_near(&c.name, name)).collect();
    let (what, of) = match near.as_slice() {
        [] => ("it has", controls.iter().collect()),
        _ => ("near it are", near),
    };
    let names: Vec<_> = of.iter().take(MAX_NEAR).map(|c| format!("`{}`", c.name)).collect();
    if names.is_empty() {
        return format!("the camera has no control `{name}`, nor any other");
    }
    let more = if of.len() > MAX_NEAR { ", …" } else { "" };
    format!(
        "the camera has no control `{name}`; {what} {}{more} (`vedette devices --all` lists them)",
        names.join(", ")
    )
}

/// They share a word, or begin alike.
fn is_near(a: &str, b: &str) -> bool {
    let alike = a.chars().zip(b.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    alike >= NEAR_PREFIX || a.split('_').any(|word| b.split('_').any(|other| word == other))
}

/// The switch or menu that probably rules a control: an automatic one that shares most words with it.
fn ruler<'c>(controls: &'c [Control], name: &str) -> Option<&'c str> {
    let shared =
        |other: &str| other.split('_').filter(|w| name.split('_').any(|word| word == *w)).count();
    let automatic = controls.iter().filter(|c| c.is_mode() && c.name.contains("auto"));
    let ranked = automatic.map(|c| (shared(&c.name), c.name.as_str()));
    ranked.filter(|(n, _)| *n > 0).max_by_key(|(n, _)| *n).map(|(_, name)| name)
}
