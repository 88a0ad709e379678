//! The calls on buffers, single- and multi-planar, and the memory behind a buffer.
//!
//! A multi-planar buffer of one memory plane is the same thing said in more words: length, bytes used
//! and where they begin stand in an array beside the buffer instead of in it. [`Slot`] is both.

use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

use super::node::{Argument, Fault, Node};

/// The most planes the kernel knows (VIDEO_MAX_PLANES).
const MAX_PLANES: usize = sys::VIDEO_MAX_PLANES as usize;

const MMAP: u32 = sys::v4l2_memory_V4L2_MEMORY_MMAP;

/// What the driver says about a filled buffer.
#[derive(Clone, Copy, Debug)]
pub(in crate::camera::v4l2) struct Filled {
    /// `V4L2_BUF_FLAG_*`.
    pub(in crate::camera::v4l2) flags: u32,
    /// The driver's counter, which wraps.
    pub(in crate::camera::v4l2) sequence: u32,
    /// The driver's time stamp, on the clock that the flags name.
    pub(in crate::camera::v4l2) stamp: sys::timeval,
}

/// A buffer as one of the calls below answers it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) index: u32,
    /// Where in its memory the picture lies, not yet held against the memory's size.
    pub(super) bytes: (usize, usize),
    pub(super) filled: Filled,
    /// For mmap, by VIDIOC_QUERYBUF only.
    offset: u32,
    length: u32,
    memory_planes: u32,
}

impl Node {
    /// VIDIOC_REQBUFS: asks for `count` buffers (0 frees them); answers how many there are.
    pub(super) fn request_buffers(&self, count: u32) -> Result<u32, Fault> {
        let mut r = sys::v4l2_requestbuffers::zeroed();
        r.count = count;
        r.type_ = self.kind();
        r.memory = MMAP;
        self.ioctl("VIDIOC_REQBUFS", vidioc::VIDIOC_REQBUFS, &mut r)?;
        Ok(r.count)
    }

    /// VIDIOC_QUERYBUF and mmap.
    pub(super) fn map(&self, index: u32) -> Result<Mapping, Fault> {
        let slot = self.buffer_call("VIDIOC_QUERYBUF", vidioc::VIDIOC_QUERYBUF, index)?;
        if slot.memory_planes != 1 {
            return Err(Fault::Driver("its frames lie in several pieces of memory"));
        }
        Mapping::new(&self.fd, u64::from(slot.offset), slot.length as usize)
    }

    /// VIDIOC_QBUF: the buffer is the driver's.
    pub(super) fn queue(&self, index: u32) -> Result<(), Fault> {
        self.buffer_call("VIDIOC_QBUF", vidioc::VIDIOC_QBUF, index).map(drop)
    }

    /// VIDIOC_DQBUF without waiting: the buffer is ours; `None` when no buffer is filled.
    pub(super) fn dequeue(&self) -> Result<Option<Slot>, Fault> {
        match self.buffer_call("VIDIOC_DQBUF", vidioc::VIDIOC_DQBUF, 0) {
            Ok(slot) => Ok(Some(slot)),
            Err(fault) if fault.errno() == Some(Errno::AGAIN) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// VIDIOC_STREAMON or VIDIOC_STREAMOFF.
    pub(super) fn switch(&self, on: bool) -> Result<(), Fault> {
        let mut kind = self.kind().cast_signed();
        if on {
            self.ioctl("VIDIOC_STREAMON", vidioc::VIDIOC_STREAMON, &mut kind)
        } else {
            self.ioctl("VIDIOC_STREAMOFF", vidioc::VIDIOC_STREAMOFF, &mut kind)
        }
    }

    /// A call that takes a buffer. The planes that a multi-planar one points to live as long as the call.
    fn buffer_call(
        &self,
        name: &'static str,
        request: vidioc::_IOC_TYPE,
        index: u32,
    ) -> Result<Slot, Fault> {
        let mut planes = [sys::v4l2_plane::zeroed(); MAX_PLANES];
        let mut b = sys::v4l2_buffer::zeroed();
        b.index = index;
        b.type_ = self.kind();
        b.memory = MMAP;
        let multi = self.capability().multi_planar();
        if multi {
            b.length = MAX_PLANES as u32;
            b.m.planes = planes.as_mut_ptr();
        }
        self.ioctl(name, request, &mut b)?;
        let filled = Filled { flags: b.flags, sequence: b.sequence, stamp: b.timestamp };
        let slot = |bytes, offset, length, memory_planes| Slot {
            index: b.index,
            bytes,
            filled,
            offset,
            length,
            memory_planes,
        };
        if !multi {
            // SAFETY: for MMAP buffers of a single-planar type the kernel fills `offset`.
            let offset = unsafe { b.m.offset };
            return Ok(slot((0, b.bytesused as usize), offset, b.length, 1));
        }
        let [plane, ..] = planes;
        // SAFETY: for MMAP buffers of a multi-planar type the kernel fills `mem_offset`.
        let offset = unsafe { plane.m.mem_offset };
        // `bytesused` counts from the plane's beginning, what lies before `data_offset` included.
        let bytes = (plane.data_offset as usize, plane.bytesused as usize);
        Ok(slot(bytes, offset, plane.length, b.length))
    }
}

/// A mapped buffer of the driver's.
#[derive(Debug)]
pub(super) struct Mapping {
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

    /// Bytes that it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bytes from `from` to `to`, cut to what there is.
    ///
    /// # Safety
    /// Nothing, the driver included, writes to the buffer while the slice lives.
    pub(super) unsafe fn bytes(&self, (from, to): (usize, usize)) -> &[u8] {
        // SAFETY: `len` bytes are mapped readable until drop, initialised by the kernel, and, by the
        // caller's promise, not written to meanwhile. They stay mapped when the device is unplugged.
        let all = unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) };
        all.get(from..to.min(self.len)).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    /// What a driver says of bytes used is believed only as far as the memory goes.
    #[test]
    fn no_byte_is_shown_that_is_not_mapped() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &[7; 4096]).unwrap();
        let fd = file.as_fd().try_clone_to_owned().unwrap();
        let mapping = Mapping::new(&fd, 0, 4096).unwrap();
        // SAFETY: nobody writes to the file.
        let len = |from, to| unsafe { mapping.bytes((from, to)) }.len();
        assert_eq!(len(0, 4096), 4096);
        assert_eq!(len(0, 10), 10);
        assert_eq!(len(0, usize::MAX), 4096);
        assert_eq!(len(128, 4000), 3872);
        assert_eq!(len(128, 100), 0, "used bytes that end before they begin");
        assert_eq!(len(5000, 6000), 0);
        assert!(Mapping::new(&fd, 0, 0).is_err(), "a buffer of no length");
    }
}
