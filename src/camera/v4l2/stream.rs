//! An open V4L2 node, its ioctls with types, and the ring of mapped buffers.
//!
//! Called by [`super::device`] (format negotiation) and [`super::V4l2Camera`] (frames). The only module
//! of the camera that is unsafe, and all of it is here for one of two reasons: an ioctl takes a pointer
//! whose type its number implies, and a mapped buffer is memory that the driver writes to.
//!
//! ```text
//!            QBUF                    DQBUF                   next call: QBUF
//!  mapped ─────────▶ the driver's ─────────▶ lent (one) ─────────────────────▶ the driver's
//! ```
//!
//! Invariants: at most one buffer is lent, and [`Stream::lent`] shows no other; nothing blocks longer
//! than the time-out given (the node is opened non-blocking, `poll` comes before every DQBUF); dropping
//! a stream stops it, unmaps and closes, logs what fails, and never panics.
#![allow(unsafe_code)]

pub(super) mod control;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

const CAPTURE: u32 = sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
const MMAP: u32 = sys::v4l2_memory_V4L2_MEMORY_MMAP;

/// How long to wait when `poll` promises a frame that DQBUF does not have, so that a driver which keeps
/// doing so costs no CPU.
const FALSE_PROMISE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Why a call on the node did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
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
    pub(super) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { error, .. } => Errno::from_io_error(error),
            Self::TimedOut | Self::Driver(_) => None,
        }
    }
}

/// Who the device says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capability {
    /// The driver's name, ended by a zero.
    pub(super) driver: [u8; 16],
    /// The device's name, ended by a zero.
    pub(super) card: [u8; 32],
    /// `V4L2_CAP_*` of this node (not of the whole device).
    pub(super) caps: u32,
}

/// The part of `v4l2_pix_format` that is ours to say or to heed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PixFormat {
    /// Four-character code.
    pub(super) fourcc: u32,
    /// Width in pixels.
    pub(super) width: u32,
    /// Height in pixels.
    pub(super) height: u32,
    /// Bytes from row to row; 0 in a question and for compressed formats.
    pub(super) stride: u32,
}

/// An open device node.
#[derive(Debug)]
pub(super) struct Node {
    fd: OwnedFd,
}

/// Kernel structures that ioctls fill.
///
/// # Safety
/// All bytes zero must be a valid value of the type.
unsafe trait Argument: Copy {
    fn zeroed() -> Self {
        // SAFETY: the implementor promises it.
        unsafe { std::mem::zeroed() }
    }
}
macro_rules! argument {
    ($($kind:ty),+) => {
        // SAFETY: integers, byte arrays, and unions of these with raw pointers: zero is valid in each.
        $(unsafe impl Argument for $kind {})+
    };
}
argument!(sys::v4l2_capability, sys::v4l2_fmtdesc, sys::v4l2_format, sys::v4l2_streamparm);
argument!(sys::v4l2_requestbuffers, sys::v4l2_buffer, std::ffi::c_int);

impl Node {
    /// Opens a node for reading and control, non-blocking and not inherited by child processes.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::open(path, flags, Mode::empty())
            .map(|fd| Self { fd })
            .map_err(|error| Fault::Call { call: "open", error: error.into() })
    }

    /// One ioctl, repeated while signals interrupt it.
    fn ioctl<T: Argument>(
        &self,
        call: &'static str,
        request: vidioc::_IOC_TYPE,
        argument: &mut T,
    ) -> Result<(), Fault> {
        // The number of an ioctl holds the size of its argument. Every caller below pairs a constant
        // with its type; this makes a wrong pair fail in the first test that runs it.
        assert_eq!((request >> 16) as usize & 0x3fff, size_of::<T>(), "{call} takes another type");
        loop {
            // SAFETY: the descriptor is open; the argument is valid, writable and exactly as large as
            // the kernel copies (checked above); none of the calls below lets the kernel keep or follow
            // a pointer inside it, since only MMAP buffers of single-planar types are used.
            let done = unsafe {
                v4l::v4l2::ioctl(self.fd.as_raw_fd(), request, (&raw mut *argument).cast())
            };
            match done {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Call { call, error }),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// VIDIOC_QUERYCAP.
    pub(super) fn capability(&self) -> Result<Capability, Fault> {
        let mut c = sys::v4l2_capability::zeroed();
        self.ioctl("VIDIOC_QUERYCAP", vidioc::VIDIOC_QUERYCAP, &mut c)?;
        let per_node = c.capabilities & sys::V4L2_CAP_DEVICE_CAPS != 0;
        Ok(Capability {
            driver: c.driver,
            card: c.card,
            caps: if per_node { c.device_caps } else { c.capabilities },
        })
    }

    /// VIDIOC_ENUM_FMT: the four-character code of the `index`-th format; `None` past the last.
    pub(super) fn format_at(&self, index: u32) -> Result<Option<u32>, Fault> {
        let mut d = sys::v4l2_fmtdesc::zeroed();
        d.index = index;
        d.type_ = CAPTURE;
        match self.ioctl("VIDIOC_ENUM_FMT", vidioc::VIDIOC_ENUM_FMT, &mut d) {
            Ok(()) => Ok(Some(d.pixelformat)),
            Err(fault) if fault.errno() == Some(Errno::INVAL) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// VIDIOC_G_FMT: the format in force.
    pub(super) fn format(&self) -> Result<PixFormat, Fault> {
        let mut f = sys::v4l2_format::zeroed();
        f.type_ = CAPTURE;
        self.ioctl("VIDIOC_G_FMT", vidioc::VIDIOC_G_FMT, &mut f)?;
        Ok(PixFormat::of(&f))
    }

    /// VIDIOC_S_FMT: asks for a format and answers the one that the driver made of it.
    pub(super) fn set_format(&self, want: PixFormat) -> Result<PixFormat, Fault> {
        let mut f = sys::v4l2_format::zeroed();
        f.type_ = CAPTURE;
        let mut pix = PixFormat::pix(&f);
        pix.width = want.width;
        pix.height = want.height;
        pix.pixelformat = want.fourcc;
        pix.bytesperline = want.stride;
        pix.field = sys::v4l2_field_V4L2_FIELD_NONE;
        f.fmt.pix = pix;
        self.ioctl("VIDIOC_S_FMT", vidioc::VIDIOC_S_FMT, &mut f)?;
        Ok(PixFormat::of(&f))
    }

    /// VIDIOC_S_PARM: asks for a frame rate; answers the driver's in frames and seconds, or `None` where
    /// the rate cannot be chosen.
    pub(super) fn set_rate(&self, fps: u32) -> Result<Option<(u32, u32)>, Fault> {
        let mut p = sys::v4l2_streamparm::zeroed();
        p.type_ = CAPTURE;
        self.ioctl("VIDIOC_G_PARM", vidioc::VIDIOC_G_PARM, &mut p)?;
        // SAFETY: for a capture type the kernel fills `capture`; any bytes are valid integers.
        let mut capture = unsafe { p.parm.capture };
        if capture.capability & sys::V4L2_CAP_TIMEPERFRAME == 0 {
            return Ok(None);
        }
        capture.timeperframe = sys::v4l2_fract { numerator: 1, denominator: fps };
        p.parm.capture = capture;
        self.ioctl("VIDIOC_S_PARM", vidioc::VIDIOC_S_PARM, &mut p)?;
        // SAFETY: as above.
        let got = unsafe { p.parm.capture }.timeperframe;
        Ok(Some((got.denominator, got.numerator)))
    }

    /// VIDIOC_REQBUFS: asks for `count` buffers (0 frees them); answers how many there are.
    fn request_buffers(&self, count: u32) -> Result<u32, Fault> {
        let mut r = sys::v4l2_requestbuffers::zeroed();
        r.count = count;
        r.type_ = CAPTURE;
        r.memory = MMAP;
        self.ioctl("VIDIOC_REQBUFS", vidioc::VIDIOC_REQBUFS, &mut r)?;
        Ok(r.count)
    }

    /// VIDIOC_QUERYBUF and mmap.
    fn map(&self, index: u32) -> Result<Mapping, Fault> {
        let mut b = buffer(index);
        self.ioctl("VIDIOC_QUERYBUF", vidioc::VIDIOC_QUERYBUF, &mut b)?;
        // SAFETY: for MMAP buffers of a single-planar type the kernel fills `offset`.
        let offset = unsafe { b.m.offset };
        Mapping::new(&self.fd, u64::from(offset), b.length as usize)
    }

    fn queue(&self, index: u32) -> Result<(), Fault> {
        self.ioctl("VIDIOC_QBUF", vidioc::VIDIOC_QBUF, &mut buffer(index))
    }

    fn switch(&self, on: bool) -> Result<(), Fault> {
        let mut kind = CAPTURE.cast_signed();
        if on {
            self.ioctl("VIDIOC_STREAMON", vidioc::VIDIOC_STREAMON, &mut kind)
        } else {
            self.ioctl("VIDIOC_STREAMOFF", vidioc::VIDIOC_STREAMOFF, &mut kind)
        }
    }

    /// Waits until a buffer is filled or the stream has an error, at most until `deadline`.
    fn wait(&self, deadline: Instant) -> Result<PollFlags, Fault> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // A time-out too long for the kernel's type is as good as a day.
            let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 86_400, tv_nsec: 0 });
            let mut fds = [PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::IN)];
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return Err(Fault::TimedOut),
                Ok(_) => return Ok(fds.first().map_or(PollFlags::empty(), PollFd::revents)),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Fault::Call { call: "poll", error: error.into() }),
            }
        }
    }
}

impl PixFormat {
    fn pix(f: &sys::v4l2_format) -> sys::v4l2_pix_format {
        // SAFETY: every member of the union is integers, and all of its bytes were initialised.
        unsafe { f.fmt.pix }
    }

    fn of(f: &sys::v4l2_format) -> Self {
        let pix = Self::pix(f);
        Self {
            fourcc: pix.pixelformat,
            width: pix.width,
            height: pix.height,
            stride: pix.bytesperline,
        }
    }
}

/// What the driver says about a filled buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled {
    /// `V4L2_BUF_FLAG_*`.
    pub(super) flags: u32,
    /// The driver's counter, which wraps.
    pub(super) sequence: u32,
    /// The driver's time stamp, on the clock that the flags name.
    pub(super) stamp: sys::timeval,
}

/// A running stream.
#[derive(Debug)]
pub(super) struct Stream {
    // Field order is drop order: the mappings go before the node is closed.
    buffers: Vec<Mapping>,
    node: Node,
    lent: Option<Lent>,
}

#[derive(Clone, Copy, Debug)]
struct Lent {
    index: u32,
    used: usize,
}

impl Stream {
    /// Maps `count` buffers (or as many as the driver gives), hands them to the driver and starts it.
    ///
    /// # Errors
    /// The call that was refused; everything taken so far has been given back.
    pub(super) fn start(node: Node, count: u32) -> Result<Self, Fault> {
        let mut stream = Self { buffers: Vec::new(), node, lent: None };
        let given = stream.node.request_buffers(count)?;
        if given < 2 {
            return Err(Fault::Driver("the driver has too little memory for two frame buffers"));
        }
        for index in 0..given {
            stream.buffers.push(stream.node.map(index)?);
            stream.node.queue(index)?;
        }
        stream.node.switch(true)?;
        Ok(stream)
    }

    /// Bytes that the smallest buffer holds.
    pub(super) fn capacity(&self) -> usize {
        self.buffers.iter().map(|b| b.len).min().unwrap_or(0)
    }

    /// How many buffers go round.
    pub(super) fn count(&self) -> usize {
        self.buffers.len()
    }

    /// Gives the lent buffer back and waits for the next, at most `timeout`.
    ///
    /// # Errors
    /// [`Fault::TimedOut`] leaves the stream as it is; after any other the stream is to be dropped.
    pub(super) fn next(&mut self, timeout: Duration) -> Result<Filled, Fault> {
        if let Some(lent) = self.lent.take() {
            self.node.queue(lent.index)?;
        }
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(86_400));
        loop {
            let events = self.node.wait(deadline)?;
            if let Some(filled) = self.dequeue()? {
                return Ok(filled);
            }
            if events.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
                return Err(Fault::Driver("the driver reports an error on the stream"));
            }
            poll(&mut [], Some(&FALSE_PROMISE)).ok(); // A pause cut short by a signal is still a pause.
        }
    }

    /// VIDIOC_DQBUF without waiting; `None` when no buffer is filled.
    fn dequeue(&mut self) -> Result<Option<Filled>, Fault> {
        let mut b = buffer(0);
        match self.node.ioctl("VIDIOC_DQBUF", vidioc::VIDIOC_DQBUF, &mut b) {
            Err(fault) if fault.errno() == Some(Errno::AGAIN) => return Ok(None),
            done => done?,
        }
        if b.index as usize >= self.buffers.len() {
            return Err(Fault::Driver("the driver answered a buffer that it never gave"));
        }
        self.lent = Some(Lent { index: b.index, used: b.bytesused as usize });
        Ok(Some(Filled { flags: b.flags, sequence: b.sequence, stamp: b.timestamp }))
    }

    /// The bytes of the lent buffer, cut to what the driver filled; empty when none is lent.
    pub(super) fn lent(&self) -> &[u8] {
        self.lent.and_then(|lent| Some((lent, self.buffers.get(lent.index as usize)?))).map_or(
            &[],
            |(lent, mapping)| {
                // SAFETY: `lent.index` was dequeued and not queued since, so the driver does not write
                // to it; queueing it again needs `&mut self`, which ends this borrow.
                unsafe { mapping.bytes(lent.used) }
            },
        )
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // After an unplug the kernel answers ENODEV here: the stream is already off.
        if let Err(error) = self.node.switch(false) {
            tracing::debug!(%error, "Camera stream did not stop in order.");
        }
        self.buffers.clear();
        // Buffers go with the last descriptor anyway; freeing them now keeps S_FMT from answering EBUSY
        // should a child process have inherited one.
        if let Err(error) = self.node.request_buffers(0) {
            tracing::debug!(%error, "Camera buffers were not freed in order.");
        }
    }
}

/// A mapped buffer of the driver's.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is memory of the process, tied to no thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(fd: &OwnedFd, offset: u64, len: usize) -> Result<Self, Fault> {
        // SAFETY: a new mapping at an address of the kernel's choice overlays nothing. Both protections,
        // because the V4L2 documentation asks for them ("Streaming I/O (Memory Mapping)").
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                offset,
            )
        };
        let start = start.map_err(|error| Fault::Call { call: "mmap", error: error.into() })?;
        let start = NonNull::new(start.cast())
            .ok_or(Fault::Driver("the kernel mapped a buffer at address zero"))?;
        Ok(Self { start, len })
    }

    /// The first `used` bytes, at most all.
    ///
    /// # Safety
    /// Nothing, the driver included, writes to the buffer while the slice lives.
    unsafe fn bytes(&self, used: usize) -> &[u8] {
        // SAFETY: `len` bytes are mapped readable until drop, initialised by the kernel, and, by the
        // caller's promise, not written to meanwhile. They stay mapped when the device is unplugged.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), used.min(self.len)) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, and no slice of it outlives `self`.
        if let Err(error) = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) } {
            tracing::debug!(%error, "Camera buffer was not unmapped.");
        }
    }
}

fn buffer(index: u32) -> sys::v4l2_buffer {
    let mut b = sys::v4l2_buffer::zeroed();
    b.index = index;
    b.type_ = CAPTURE;
    b.memory = MMAP;
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_camera_answers_with_an_error_and_not_a_panic() {
        let node = Node::open(Path::new("/dev/null")).unwrap();
        assert_eq!(node.capability().unwrap_err().errno(), Some(Errno::NOTTY));
        assert!(node.format_at(0).is_err());
        assert!(node.set_rate(5).is_err());
        let fault = Stream::start(node, 4).unwrap_err();
        assert_eq!(fault.errno(), Some(Errno::NOTTY), "{fault}");
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let (read, _write) = rustix::pipe::pipe().unwrap();
        let node = Node { fd: read };
        assert!(matches!(node.wait(Instant::now()), Err(Fault::TimedOut)));
    }
}
