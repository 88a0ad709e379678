//! A picture as planes, as libjpeg-turbo takes and gives them.

use turbojpeg::{Subsamp, YuvImage};

/// A picture as luma and chroma planes, one behind the other without padding, sides rounded up to what
/// the chroma subsampling divides.
#[derive(Debug)]
pub struct Planes {
    samples: Vec<u8>,
    width: usize,
    height: usize,
    subsamp: Subsamp,
}

/// One of the planes, row by row without padding.
pub(in crate::still) struct Plane<S> {
    pub(in crate::still) samples: S,
    pub(in crate::still) width: usize,
    pub(in crate::still) height: usize,
    /// So many of its samples, across and down, are the picture's; the others only fill it up.
    pub(in crate::still) share: (f64, f64),
}

impl Default for Planes {
    fn default() -> Self {
        Self { samples: Vec::new(), width: 0, height: 0, subsamp: Subsamp::Sub2x2 }
    }
}

impl Planes {
    /// Sets the size, keeping the allocation. Samples are then undefined, but initialised.
    pub fn reset(
        &mut self,
        width: usize,
        height: usize,
        subsamp: Subsamp,
    ) -> Result<(), turbojpeg::Error> {
        let length = turbojpeg::yuv_pixels_len(width, 1, height, subsamp)?;
        self.samples.resize(length, 0);
        (self.width, self.height, self.subsamp) = (width, height, subsamp);
        Ok(())
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// For libjpeg-turbo to write into.
    pub fn as_image_mut(&mut self) -> YuvImage<&mut [u8]> {
        let Self { samples, width, height, subsamp } = self;
        YuvImage { pixels: samples, width: *width, align: 1, height: *height, subsamp: *subsamp }
    }

    pub(super) fn as_image(&self) -> YuvImage<&[u8]> {
        let Self { samples, width, height, subsamp } = self;
        YuvImage { pixels: samples, width: *width, align: 1, height: *height, subsamp: *subsamp }
    }

    /// Luma and both chroma planes (empty where there are none), with the bytes of their rows.
    pub(super) fn split_mut(&mut self) -> ([&mut [u8]; 3], usize, usize) {
        let grey = self.subsamp == Subsamp::Gray;
        let shape = self.as_image();
        let ((y_width, y_height), (c_width, c_height)) = (shape.y_size(), shape.uv_size());
        let (luma, chroma) = self.samples.split_at_mut(y_width * y_height);
        let (u, v) = chroma.split_at_mut(if grey { 0 } else { c_width * c_height });
        ([luma, u, v], y_width, c_width)
    }

    /// Where a side is odd, the encoder reads one more column or row of luma: they repeat the last.
    pub(in crate::still) fn repeat_edge(&mut self) {
        let (width, height) = (self.width, self.height);
        let (stride, rows) = self.as_image().y_size();
        let luma = &mut self.samples[..stride * rows];
        if stride > width {
            for row in luma.chunks_exact_mut(stride) {
                row.copy_within(width - 1..width, width);
            }
        }
        for row in height..rows {
            luma.copy_within((height - 1) * stride..height * stride, row * stride);
        }
    }

    /// Each plane: luma, and chroma where there is any.
    pub(in crate::still) fn each(&self) -> impl Iterator<Item = Plane<&[u8]>> {
        let mut rest = self.samples.as_slice();
        self.sides().map(move |(width, height, share)| {
            let (samples, behind) = rest.split_at(width * height);
            rest = behind;
            Plane { samples, width, height, share }
        })
    }

    /// The same, to write into.
    pub(in crate::still) fn each_mut(&mut self) -> impl Iterator<Item = Plane<&mut [u8]>> {
        let sides = self.sides();
        let mut rest = self.samples.as_mut_slice();
        sides.map(move |(width, height, share)| {
            let (samples, behind) = std::mem::take(&mut rest).split_at_mut(width * height);
            rest = behind;
            Plane { samples, width, height, share }
        })
    }

    /// Width and height of each plane, and how many of their samples are the picture's.
    fn sides(&self) -> impl Iterator<Item = (usize, usize, (f64, f64))> + use<> {
        let shape = self.as_image();
        let ((width, height), (c_width, c_height)) = (shape.y_size(), shape.uv_size());
        let (x, y) = (self.width as f64, self.height as f64);
        let (step_x, step_y) = self.subsamp.size();
        let chroma = (c_width, c_height, (x / step_x as f64, y / step_y as f64));
        let count = if self.subsamp == Subsamp::Gray { 1 } else { 3 };
        [(width, height, (x, y)), chroma, chroma].into_iter().take(count)
    }

    /// An area of the picture as a picture of its own; its left and top edge must be whole chroma samples.
    ///
    /// # Errors
    /// Only for sizes that no picture has.
    pub(in crate::still) fn cut(&self, [x, y, w, h]: [usize; 4]) -> Result<Self, turbojpeg::Error> {
        let mut out = Self::default();
        out.reset(w, h, self.subsamp)?;
        let luma = (self.width, self.height);
        for (index, (from, to)) in self.each().zip(out.each_mut()).enumerate() {
            let step = if index == 0 { (1, 1) } else { self.subsamp.size() };
            let rows = from.samples.chunks_exact(from.width).skip(y / step.1);
            for (from, to) in rows.zip(to.samples.chunks_exact_mut(to.width)) {
                let from = from.get(x / step.0..).unwrap_or_default();
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
        }
        debug_assert!(x + w <= luma.0 && y + h <= luma.1, "the area lies in the picture");
        out.repeat_edge();
        Ok(out)
    }

    /// How pixels share chroma samples.
    pub(in crate::still) fn subsamp(&self) -> Subsamp {
        self.subsamp
    }

    /// Blackens the pixels `from..to` of row `y`, and every chroma sample that has a part in them.
    /// What lies beyond the frame's edge, up to the planes' edge, goes with the last pixel.
    pub fn blacken(&mut self, y: usize, from: usize, to: usize) {
        let shape = self.as_image();
        let ((y_width, y_height), (uv_width, uv_height)) = (shape.y_size(), shape.uv_size());
        let (step_x, step_y) = self.subsamp.size();
        let to = if to >= self.width { y_width } else { to };
        let below = if y + 1 >= self.height { y_height } else { y + 1 };
        if from >= to {
            return;
        }
        for row in y..below {
            fill(&mut self.samples, row * y_width + from, row * y_width + to, 0);
        }
        if self.subsamp == Subsamp::Gray {
            return;
        }
        let columns = (from / step_x, to.div_ceil(step_x).min(uv_width));
        for plane in [y_width * y_height, y_width * y_height + uv_width * uv_height] {
            for row in y / step_y..below.div_ceil(step_y) {
                let start = plane + row * uv_width;
                fill(&mut self.samples, start + columns.0, start + columns.1, 128);
            }
        }
    }
}

fn fill(samples: &mut [u8], from: usize, to: usize, value: u8) {
    if let Some(run) = samples.get_mut(from..to) {
        run.fill(value);
    }
}
