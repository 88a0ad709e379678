//! An open V4L2 node, and one way to make a call on it.
//!
//! The typed calls lie beside this file, by what they are for: [`super::format`], [`super::buffers`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

/// Why a call on the node did not do its work.
#[derive(Debug, thiserror::Error)]
pub(in crate::camera::v4l2) enum Fault {
    /// The time-out passed.
    #[error("no frame in time")]
    TimedOut,
    /// The kernel or the driver refused a call.
    #[error("{call}: {error}")]
    Call {
        /// The call's name in the V4L2 documentation.
        call: &'static str,
        /// The kernel's word.
        error: io::Error,
    },
    /// The driver broke a rule of V4L2, or reports an error of its own.
    #[error("{0}")]
    Driver(&'static str),
}

impl Fault {
    /// The kernel's error number, if it gave one.
    pub(in crate::camera::v4l2) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { error, .. } => Errno::from_io_error(error),
            Self::TimedOut | Self::Driver(_) => None,
        }
    }
}

/// Who the device says it is. Names end at the first zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::camera::v4l2) struct Capability {
    /// The driver's name.
    pub(in crate::camera::v4l2) driver: [u8; 16],
    /// The device's name.
    pub(in crate::camera::v4l2) card: [u8; 32],
    /// Where it is plugged in, in the driver's words.
    pub(in crate::camera::v4l2) bus_info: [u8; 32],
    /// `V4L2_CAP_*` of this node (not of the whole device).
    pub(in crate::camera::v4l2) caps: u32,
}

impl Capability {
    /// Does the node speak the multi-planar calls only? One that speaks both is asked the simpler ones.
    pub(in crate::camera::v4l2) fn multi_planar(&self) -> bool {
        self.caps & sys::V4L2_CAP_VIDEO_CAPTURE == 0
            && self.caps & sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE != 0
    }
}

/// An open device node.
#[derive(Debug)]
pub(in crate::camera::v4l2) struct Node {
    pub(super) fd: OwnedFd,
    capability: Capability,
}

/// What an ioctl may be given: plain data of the kernel's, all bytes zero being a valid value.
///
/// # Safety
/// All bytes zero must be a valid value of the type.
pub(super) unsafe trait Argument: Copy {
    fn zeroed() -> Self {
        // SAFETY: the implementor promises it.
        unsafe { std::mem::zeroed() }
    }
}
macro_rules! argument {
    ($($kind:ty),+ $(,)?) => {
        // SAFETY: integers, byte arrays, and unions of these with raw pointers: zero is valid in each.
        $(unsafe impl Argument for $kind {})+
    };
}
argument!(
    sys::v4l2_capability,
    sys::v4l2_fmtdesc,
    sys::v4l2_frmsizeenum,
    sys::v4l2_frmivalenum,
    sys::v4l2_format,
    sys::v4l2_streamparm,
    sys::v4l2_requestbuffers,
    sys::v4l2_buffer,
    sys::v4l2_plane,
    std::ffi::c_int,
);

impl Node {
    /// Opens a node for reading and control, non-blocking and not inherited by child processes, and asks
    /// who it is.
    ///
    /// # Errors
    /// `open` is refused, or VIDIOC_QUERYCAP is: no V4L2 device then.
    pub(in crate::camera::v4l2) fn open(path: &Path) -> Result<Self, Fault> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| Fault::Call { call: "open", error: error.into() })?;
        let mut c = sys::v4l2_capability::zeroed();
        call(&fd, "VIDIOC_QUERYCAP", vidioc::VIDIOC_QUERYCAP, &mut c)?;
        let per_node = c.capabilities & sys::V4L2_CAP_DEVICE_CAPS != 0;
        let caps = if per_node { c.device_caps } else { c.capabilities };
        let capability = Capability { driver: c.driver, card: c.card, bus_info: c.bus_info, caps };
        Ok(Self { fd, capability })
    }

    /// Who the device said it is when it was opened.
    pub(in crate::camera::v4l2) fn capability(&self) -> Capability {
        self.capability
    }

    /// The buffer type of every call on this node.
    pub(super) fn kind(&self) -> u32 {
        if self.capability.multi_planar() {
            sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
        } else {
            sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE
        }
    }

    /// One ioctl, repeated while signals interrupt it.
    pub(super) fn ioctl<T: Argument>(
        &self,
        name: &'static str,
        request: vidioc::_IOC_TYPE,
        argument: &mut T,
    ) -> Result<(), Fault> {
        call(&self.fd, name, request, argument)
    }

    /// Waits until a buffer is filled or the stream has an error, at most until `deadline`.
    pub(super) fn wait(&self, deadline: Instant) -> Result<PollFlags, Fault> {
        wait(&self.fd, deadline)
    }
}

fn call<T: Argument>(
    fd: &OwnedFd,
    name: &'static str,
    request: vidioc::_IOC_TYPE,
    argument: &mut T,
) -> Result<(), Fault> {
    // The number of an ioctl holds the size of its argument. Every caller pairs a constant with its
    // type; this makes a wrong pair fail in the first test that runs it.
    assert_eq!((request >> 16) as usize & 0x3fff, size_of::<T>(), "{name} takes another type");
    loop {
        // SAFETY: the descriptor is open; the argument is valid, writable and exactly as large as the
        // kernel copies (checked above). Of the calls made here only those with a `v4l2_buffer` of the
        // multi-planar type hold a pointer that the kernel follows, during the call: `super::buffers`,
        // which makes them, sees to it that it points to as many planes as the buffer says. Buffers are
        // of the MMAP kind, whose addresses are the kernel's own.
        let done =
            unsafe { v4l::v4l2::ioctl(fd.as_raw_fd(), request, (&raw mut *argument).cast()) };
        match done {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::Call { call: name, error }),
            Ok(()) => return Ok(()),
        }
    }
}

fn wait(fd: &OwnedFd, deadline: Instant) -> Result<PollFlags, Fault> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // A time-out too long for the kernel's type is as good as a day.
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 86_400, tv_nsec: 0 });
        let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Ok(0) => return Err(Fault::TimedOut),
            Ok(_) => return Ok(fds.first().map_or(PollFlags::empty(), PollFd::revents)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Fault::Call { call: "poll", error: error.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_camera_answers_with_an_error_and_not_a_panic() {
        let fault = Node::open(Path::new("/dev/null")).unwrap_err();
        assert_eq!(fault.errno(), Some(Errno::NOTTY), "{fault}");
        let fault = Node::open(Path::new("/dev/no-such-camera")).unwrap_err();
        assert_eq!(fault.errno(), Some(Errno::NOENT), "{fault}");
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let (read, _write) = rustix::pipe::pipe().unwrap();
        assert!(matches!(wait(&read, Instant::now()), Err(Fault::TimedOut)));
    }

    #[test]
    fn a_node_that_speaks_both_ways_is_asked_the_simpler() {
        let (one, many) = (sys::V4L2_CAP_VIDEO_CAPTURE, sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE);
        let node = |caps| Capability { driver: [0; 16], card: [0; 32], bus_info: [0; 32], caps };
        assert!(node(many).multi_planar());
        assert!(!node(one | many).multi_planar());
        assert!(!node(one).multi_planar());
    }
}
