//! The calls that ask for formats, sizes and rates, with the kernel's unions made into enums.
//!
//! Every enumeration here is asked entry by entry; whoever asks bounds their number.

use rustix::io::Errno;
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

use super::node::{Argument, Fault, Node};
use crate::camera::v4l2::offer::{Code, Rate};

/// The part of `v4l2_pix_format` and `v4l2_pix_format_mplane` that is ours to say or to heed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::camera::v4l2) struct PixFormat {
    /// Four-character code.
    pub(in crate::camera::v4l2) code: Code,
    /// Width in pixels.
    pub(in crate::camera::v4l2) width: u32,
    /// Height in pixels.
    pub(in crate::camera::v4l2) height: u32,
    /// Bytes from row to row of the first plane; 0 in a question and for compressed formats.
    pub(in crate::camera::v4l2) stride: u32,
    /// Pieces of memory that a frame lies in; 1 in a question.
    pub(in crate::camera::v4l2) memory_planes: u8,
    /// `V4L2_FIELD_*`: which rows a buffer holds, and in which order.
    pub(in crate::camera::v4l2) field: u32,
}

/// An entry of VIDIOC_ENUM_FMT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::camera::v4l2) struct Listed {
    /// Four-character code.
    pub(in crate::camera::v4l2) code: Code,
    /// The kernel's description, ended by a zero.
    pub(in crate::camera::v4l2) description: [u8; 32],
}

/// An entry of VIDIOC_ENUM_FRAMESIZES, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::camera::v4l2) enum SizeEntry {
    /// One of several sizes.
    One(u32, u32),
    /// Any size between, in steps; there is no other entry.
    Steps {
        /// Smallest width and height.
        min: (u32, u32),
        /// Largest.
        max: (u32, u32),
        /// Multiples of which may be added to the smallest.
        step: (u32, u32),
    },
}

/// An entry of VIDIOC_ENUM_FRAMEINTERVALS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::camera::v4l2) enum RateEntry {
    /// One of several rates.
    One(Rate),
    /// Any rate between; there is no other entry.
    Between(Rate, Rate),
}

/// What lies past the last entry of an enumeration is no fault. ENOTTY: the driver enumerates nothing.
fn entry<T>(done: Result<(), Fault>, value: impl FnOnce() -> T) -> Result<Option<T>, Fault> {
    match done {
        Ok(()) => Ok(Some(value())),
        Err(fault) if matches!(fault.errno(), Some(Errno::INVAL | Errno::NOTTY)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

impl Node {
    /// VIDIOC_ENUM_FMT: the `index`-th format; `None` past the last.
    pub(in crate::camera::v4l2) fn format_at(&self, index: u32) -> Result<Option<Listed>, Fault> {
        let mut d = sys::v4l2_fmtdesc::zeroed();
        d.index = index;
        d.type_ = self.kind();
        let done = self.ioctl("VIDIOC_ENUM_FMT", vidioc::VIDIOC_ENUM_FMT, &mut d);
        entry(done, || Listed { code: Code(d.pixelformat), description: d.description })
    }

    /// VIDIOC_ENUM_FRAMESIZES: the `index`-th size of a format; `None` past the last, or when the driver
    /// lists none.
    pub(in crate::camera::v4l2) fn size_at(
        &self,
        code: Code,
        index: u32,
    ) -> Result<Option<SizeEntry>, Fault> {
        let mut s = sys::v4l2_frmsizeenum::zeroed();
        s.index = index;
        s.pixel_format = code.0;
        let done = self.ioctl("VIDIOC_ENUM_FRAMESIZES", vidioc::VIDIOC_ENUM_FRAMESIZES, &mut s);
        entry(done, || {
            let one = s.type_ == sys::v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE;
            // SAFETY: both members of the union are integers, all of whose bytes were initialised.
            let (size, steps) =
                unsafe { (s.__bindgen_anon_1.discrete, s.__bindgen_anon_1.stepwise) };
            if one {
                SizeEntry::One(size.width, size.height)
            } else {
                SizeEntry::Steps {
                    min: (steps.min_width, steps.min_height),
                    max: (steps.max_width, steps.max_height),
                    step: (steps.step_width, steps.step_height),
                }
            }
        })
    }

    /// VIDIOC_ENUM_FRAMEINTERVALS: the `index`-th rate of a format at a size; `None` past the last, or
    /// when the driver lists none.
    pub(in crate::camera::v4l2) fn rate_at(
        &self,
        code: Code,
        (width, height): (u32, u32),
        index: u32,
    ) -> Result<Option<RateEntry>, Fault> {
        let mut i = sys::v4l2_frmivalenum::zeroed();
        i.index = index;
        i.pixel_format = code.0;
        i.width = width;
        i.height = height;
        let done =
            self.ioctl("VIDIOC_ENUM_FRAMEINTERVALS", vidioc::VIDIOC_ENUM_FRAMEINTERVALS, &mut i);
        entry(done, || {
            let one = i.type_ == sys::v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE;
            // SAFETY: both members of the union are integers, all of whose bytes were initialised.
            let (interval, steps) =
                unsafe { (i.__bindgen_anon_1.discrete, i.__bindgen_anon_1.stepwise) };
            if one {
                RateEntry::One(rate(interval))
            } else {
                RateEntry::Between(rate(steps.max), rate(steps.min))
            }
        })
    }

    /// VIDIOC_G_FMT: the format in force.
    pub(in crate::camera::v4l2) fn format(&self) -> Result<PixFormat, Fault> {
        let mut f = sys::v4l2_format::zeroed();
        f.type_ = self.kind();
        self.ioctl("VIDIOC_G_FMT", vidioc::VIDIOC_G_FMT, &mut f)?;
        Ok(self.answered(&f))
    }

    /// VIDIOC_S_FMT: asks for a format and answers the one that the driver made of it.
    pub(in crate::camera::v4l2) fn set_format(&self, want: PixFormat) -> Result<PixFormat, Fault> {
        let mut f = sys::v4l2_format::zeroed();
        f.type_ = self.kind();
        if self.capability().multi_planar() {
            let mut pix = multi(&f);
            pix.width = want.width;
            pix.height = want.height;
            pix.pixelformat = want.code.0;
            pix.num_planes = want.memory_planes;
            pix.field = want.field;
            f.fmt.pix_mp = pix;
        } else {
            let mut pix = single(&f);
            pix.width = want.width;
            pix.height = want.height;
            pix.pixelformat = want.code.0;
            pix.bytesperline = want.stride;
            pix.field = want.field;
            f.fmt.pix = pix;
        }
        self.ioctl("VIDIOC_S_FMT", vidioc::VIDIOC_S_FMT, &mut f)?;
        Ok(self.answered(&f))
    }

    fn answered(&self, f: &sys::v4l2_format) -> PixFormat {
        if self.capability().multi_planar() {
            let pix = multi(f);
            // The structure is packed: its parts are copied out before they are looked at.
            let planes = pix.plane_fmt;
            let stride = planes.first().map_or(0, |plane| plane.bytesperline);
            PixFormat {
                code: Code(pix.pixelformat),
                width: pix.width,
                height: pix.height,
                stride,
                memory_planes: pix.num_planes,
                field: pix.field,
            }
        } else {
            let pix = single(f);
            PixFormat {
                code: Code(pix.pixelformat),
                width: pix.width,
                height: pix.height,
                stride: pix.bytesperline,
                memory_planes: 1,
                field: pix.field,
            }
        }
    }

    /// VIDIOC_G_PARM, and VIDIOC_S_PARM where a rate is wanted: the driver's rate, and whether it may be
    /// chosen. No rate where the driver tells none.
    pub(in crate::camera::v4l2) fn rate(
        &self,
        want: Option<Rate>,
    ) -> Result<(Option<Rate>, bool), Fault> {
        let mut p = sys::v4l2_streamparm::zeroed();
        p.type_ = self.kind();
        self.ioctl("VIDIOC_G_PARM", vidioc::VIDIOC_G_PARM, &mut p)?;
        let chosen = capture(&p).capability & sys::V4L2_CAP_TIMEPERFRAME != 0;
        if let Some(want) = want.filter(|_| chosen) {
            let mut ask = capture(&p);
            ask.timeperframe =
                sys::v4l2_fract { numerator: want.seconds, denominator: want.frames };
            p.parm.capture = ask;
            self.ioctl("VIDIOC_S_PARM", vidioc::VIDIOC_S_PARM, &mut p)?;
        }
        Ok((Some(rate(capture(&p).timeperframe)).filter(|rate| rate.is_one()), chosen))
    }
}

fn single(f: &sys::v4l2_format) -> sys::v4l2_pix_format {
    // SAFETY: every member of the union is integers, and all of its bytes were initialised.
    unsafe { f.fmt.pix }
}

fn multi(f: &sys::v4l2_format) -> sys::v4l2_pix_format_mplane {
    // SAFETY: every member of the union is integers, and all of its bytes were initialised.
    unsafe { f.fmt.pix_mp }
}

fn capture(p: &sys::v4l2_streamparm) -> sys::v4l2_captureparm {
    // SAFETY: for a capture type the kernel fills `capture`; any bytes are valid integers.
    unsafe { p.parm.capture }
}

/// The kernel speaks of the time between frames.
fn rate(interval: sys::v4l2_fract) -> Rate {
    Rate { frames: interval.denominator, seconds: interval.numerator }
}
