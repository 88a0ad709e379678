//! The ioctls that ask a node which controls it has, and set them.
//!
//! Called by [`super::super::controls`]. Part of the one module that is
//! unsafe: unions that the kernel fills, and one call with a pointer inside its argument.

use std::ffi::CStr;
use std::os::fd::AsRawFd;

use rustix::io::Errno;
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

use super::node::{Argument, Fault, Node};

/// Asks for the control after the one that is named.
const NEXT: u32 = sys::V4L2_CTRL_FLAG_NEXT_CTRL;

/// A control as the driver describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Description {
    /// The kernel's number of it.
    pub(in super::super) id: u32,
    /// `V4L2_CTRL_TYPE_*`.
    pub(in super::super) kind: u32,
    /// Its name, ended by a zero.
    pub(in super::super) name: [u8; 32],
    /// Least value.
    pub(in super::super) minimum: i64,
    /// Largest value.
    pub(in super::super) maximum: i64,
    /// Distance of values.
    pub(in super::super) step: u64,
    /// Value after the driver was loaded.
    pub(in super::super) default: i64,
    /// `V4L2_CTRL_FLAG_*`.
    pub(in super::super) flags: u32,
}

// SAFETY: integers and byte arrays, and unions of these: zero is valid in each.
unsafe impl Argument for sys::v4l2_queryctrl {}
// SAFETY: as above.
unsafe impl Argument for sys::v4l2_query_ext_ctrl {}
// SAFETY: as above.
unsafe impl Argument for sys::v4l2_querymenu {}
// SAFETY: as above.
unsafe impl Argument for sys::v4l2_control {}
// SAFETY: as above, and a raw pointer, for which null is valid.
unsafe impl Argument for sys::v4l2_ext_controls {}
// SAFETY: as above.
unsafe impl Argument for sys::v4l2_ext_control {}

impl Node {
    /// The control with the least number above `id`; `None` past the last. Arrays and structures are
    /// left out.
    pub(in super::super) fn control_after(&self, id: u32) -> Result<Option<Description>, Fault> {
        let mut q = sys::v4l2_query_ext_ctrl::zeroed();
        q.id = id | NEXT;
        match self.ioctl("VIDIOC_QUERY_EXT_CTRL", vidioc::VIDIOC_QUERY_EXT_CTRL, &mut q) {
            Ok(()) => Ok(Some(Description {
                id: q.id,
                kind: q.type_,
                // The C type is signed on some machines.
                name: q.name.map(|c| c.to_ne_bytes()[0]),
                minimum: q.minimum,
                maximum: q.maximum,
                step: q.step,
                default: q.default_value,
                flags: q.flags,
            })),
            // A driver without the newer call (or without any control).
            Err(fault) if fault.errno() == Some(Errno::NOTTY) => self.old_control_after(id),
            Err(fault) => none_left(fault),
        }
    }

    fn old_control_after(&self, id: u32) -> Result<Option<Description>, Fault> {
        let mut q = sys::v4l2_queryctrl::zeroed();
        q.id = id | NEXT;
        match self.ioctl("VIDIOC_QUERYCTRL", vidioc::VIDIOC_QUERYCTRL, &mut q) {
            Ok(()) => Ok(Some(Description {
                id: q.id,
                kind: q.type_,
                name: q.name,
                minimum: q.minimum.into(),
                maximum: q.maximum.into(),
                step: q.step.unsigned_abs().into(),
                default: q.default_value.into(),
                flags: q.flags,
            })),
            Err(fault) => none_left(fault),
        }
    }

    /// An entry of a menu by its number: its words, or for menus of numbers the number. `None` where the
    /// menu has a hole.
    pub(in super::super) fn menu_entry(
        &self,
        id: u32,
        index: u32,
        numbers: bool,
    ) -> Result<Option<String>, Fault> {
        let mut q = sys::v4l2_querymenu::zeroed();
        (q.id, q.index) = (id, index);
        match self.ioctl("VIDIOC_QUERYMENU", vidioc::VIDIOC_QUERYMENU, &mut q) {
            Ok(()) => {}
            Err(fault) if fault.errno() == Some(Errno::INVAL) => return Ok(None),
            Err(fault) => return Err(fault),
        }
        let entry = q.__bindgen_anon_1;
        // SAFETY: both members are plain integers, for which any bytes are valid.
        let (name, value) = unsafe { (entry.name, entry.value) };
        Ok(Some(if numbers {
            value.to_string()
        } else {
            CStr::from_bytes_until_nul(&name)
                .map_or_else(|_| String::from_utf8_lossy(&name), CStr::to_string_lossy)
                .into_owned()
        }))
    }

    /// The value in force.
    pub(in super::super) fn control(&self, id: u32, wide: bool) -> Result<i64, Fault> {
        if wide {
            return self.wide("VIDIOC_G_EXT_CTRLS", vidioc::VIDIOC_G_EXT_CTRLS, id, 0);
        }
        let mut c = sys::v4l2_control { id, value: 0 };
        self.ioctl("VIDIOC_G_CTRL", vidioc::VIDIOC_G_CTRL, &mut c)?;
        Ok(c.value.into())
    }

    /// Sets a value; answers the one that the driver made of it.
    pub(in super::super) fn set_control(
        &self,
        id: u32,
        wide: bool,
        value: i64,
    ) -> Result<i64, Fault> {
        if wide {
            return self.wide("VIDIOC_S_EXT_CTRLS", vidioc::VIDIOC_S_EXT_CTRLS, id, value);
        }
        // A bit mask uses all 32 bits.
        let narrow = i32::try_from(value).or_else(|_| u32::try_from(value).map(u32::cast_signed));
        let Ok(value) = narrow else {
            return Err(Fault::Call { call: "VIDIOC_S_CTRL", error: Errno::RANGE.into() });
        };
        let mut c = sys::v4l2_control { id, value };
        self.ioctl("VIDIOC_S_CTRL", vidioc::VIDIOC_S_CTRL, &mut c)?;
        Ok(c.value.into())
    }

    /// One control of 64 bits.
    fn wide(
        &self,
        call: &'static str,
        request: vidioc::_IOC_TYPE,
        id: u32,
        value: i64,
    ) -> Result<i64, Fault> {
        let mut one = sys::v4l2_ext_control::zeroed();
        one.id = id;
        one.__bindgen_anon_1.value64 = value;
        let mut all = sys::v4l2_ext_controls::zeroed();
        all.count = 1;
        all.controls = &raw mut one;
        // SAFETY: the descriptor is open and both requests take a `v4l2_ext_controls`, whose pointer leads
        // to as many controls as it says; the control has no payload, so the kernel follows no pointer
        // in it, and it keeps none after the call.
        unsafe { v4l::v4l2::ioctl(self.fd.as_raw_fd(), request, (&raw mut all).cast()) }
            .map_err(|error| Fault::Call { call, error })?;
        let value = one.__bindgen_anon_1;
        // SAFETY: plain integers, for which any bytes are valid.
        Ok(unsafe { value.value64 })
    }
}

/// Drivers say EINVAL past the last control, and ENOTTY when they have none.
fn none_left(fault: Fault) -> Result<Option<Description>, Fault> {
    match fault.errno() {
        Some(Errno::INVAL | Errno::NOTTY) => Ok(None),
        _ => Err(fault),
    }
}
