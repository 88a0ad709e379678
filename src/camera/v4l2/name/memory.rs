//! Which camera a number stood for, or was the first: within one run no other one takes its place.
//!
//! Called by [`super::super::open`] with the node it has just opened, before anything is asked of it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::nodes::{Roots, nodes};
use super::{Named, Probe, better};
use crate::camera::OpenError;
use crate::camera::v4l2::stream::Node;

/// Which camera this is, as far as it can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) card: String,
    pub(super) bus_info: String,
    pub(super) usb: Option<String>,
    pub(super) serial: Option<String>,
}

impl Identity {
    fn words(&self) -> String {
        let Self { card, bus_info, serial, .. } = self;
        let serial = serial.as_ref().map_or(String::new(), |s| format!(", serial {s}"));
        format!("\"{card}\" at {bus_info}{serial}")
    }
}

/// The camera that a number, or no name at all, stood for when it was opened first. All clones remember the
/// same; for a configuration they make no difference.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<OnceLock<Identity>>);

impl PartialEq for Memory {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Memory {}

impl Memory {
    /// Do both remember the same, now and later?
    #[cfg(test)]
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Holds an open node against the camera that was found before, if it is named by its number or not at all.
    ///
    /// # Errors
    /// It is another camera.
    pub(in crate::camera::v4l2) fn check(
        &self,
        named: &Named,
        path: &Path,
        node: &Node,
    ) -> Result<(), OpenError> {
        if !named.is_bare() && *named != Named::First {
            return Ok(());
        }
        let probe = Probe::of(node);
        let usb = nodes(&Roots::default()).into_iter().find(|n| n.path == path).and_then(|n| n.usb);
        let (id, serial) = usb.map_or((None, None), |u| (Some(u.id), u.serial));
        let identity = Identity { card: probe.card, bus_info: probe.bus_info, usb: id, serial };
        self.same(named, path, identity, || better(named))
    }

    pub(super) fn same(
        &self,
        named: &Named,
        path: &Path,
        now: Identity,
        better: impl FnOnce() -> Option<String>,
    ) -> Result<(), OpenError> {
        let path = path.display();
        let Some(first) = self.0.get() else {
            if named.is_bare() {
                let instead = better();
                let instead = instead.as_deref().unwrap_or("a name that `vedette devices` shows");
                tracing::warn!(
                    device = %path, %instead,
                    "Camera is named by its number, which may be another camera's after a restart."
                );
            }
            self.0.set(now).ok(); // another thread of this camera remembered it meanwhile
            return Ok(());
        };
        if *first == now {
            return Ok(());
        }
        let what = match named {
            Named::First => format!("the first camera ({path})"),
            _ => path.to_string(),
        };
        Err(OpenError::Unsupported(format!(
            "{what} is another camera now: it was {} and is {}; plug the first one in again, or name it by \
             what stays the same (`vedette devices` shows the names); a restart takes the present one",
            first.words(),
            now.words()
        )))
    }
}
