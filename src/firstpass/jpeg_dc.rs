//! Luma at 1/8 scale out of a JPEG, without decoding the picture.
//!
//! A JPEG holds the mean of each 8×8 block as its first (DC) coefficient. [`DcReader`] walks through the
//! Huffman codes of a baseline or extended sequential file, keeps the luma DCs, steps over everything
//! else, and notes how many bits each luma block took: a map of detail for free. The grey levels are
//! those of libjpeg-turbo's 1/8 scaling, bit for bit, at well under its cost.
//!
//! Read are baseline and extended sequential Huffman coding, one component or three with luma sampled the
//! finest, in one scan or several; docs/jpeg.md has the list, and the encoders it was tried with.
//!
//! **Two fields** (interlaced capture, marked `AVI1` in APP0) are two JPEGs of half the height, one behind
//! the other. The first is the picture and the second is not looked at: that is what is stored as well,
//! so that boxes and sizes are those of the stored picture. A sample then stands for 8×16 pixels of the
//! scene. One field halves the work, and both together would smear what moves: they are 1/50 s apart.
//!
//! Called by [`super::FirstPass`] for every analysed frame, on the camera thread, in the driver's buffer.
//! Invariants: no allocation once the largest frame was met; memory is bounded by the bytes handed in,
//! whatever the header claims; nothing in the bytes can make it panic. A damaged or cut frame is an
//! error and its half-read plane is not to be used.

mod bits;
mod header;
mod huffman;
mod scan;

use crate::frame::Luma;
use header::{Colours, EOI, FrameHeader, Markers, SOS, ScanHeader, Tables};
use huffman::{Built, SlowPair, Spec};
use scan::{Layout, Plan, Planes, decode};

/// Why a JPEG was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    /// It does not begin with SOI.
    #[error("not a JPEG")]
    NotJpeg,
    /// It ends before its picture does.
    #[error("truncated JPEG")]
    Truncated,
    /// It contradicts itself.
    #[error("corrupt JPEG: {0}")]
    Corrupt(&'static str),
    /// Progressive coding.
    #[error("progressive JPEG is not read")]
    Progressive,
    /// Arithmetic coding.
    #[error("arithmetic-coded JPEG is not read")]
    Arithmetic,
    /// Lossless coding.
    #[error("lossless JPEG is not read")]
    Lossless,
    /// Samples of other than 8 bits.
    #[error("JPEG with {0}-bit samples is not read")]
    Precision(u8),
    /// Legal, but nothing that a camera sends.
    #[error("JPEG with {0} is not read")]
    Unsupported(&'static str),
}

/// Width and height in pixels, from the header alone; the picture need not be complete.
///
/// # Errors
/// When there is no frame header of a kind that [`DcReader`] reads before the first scan.
pub fn header(jpeg: &[u8]) -> Result<(u32, u32), JpegError> {
    let mut markers = Markers::new(jpeg)?;
    let mut colours = Colours::default();
    loop {
        let segment = markers.next()?;
        match segment.marker {
            SOS | EOI => return Err(JpegError::Corrupt("no frame header")),
            0xcc => return Err(JpegError::Arithmetic),
            marker if is_frame_header(marker) => {
                let frame = FrameHeader::parse(&segment)?;
                colours.check(&frame)?;
                return Ok((frame.width as u32, frame.height as u32));
            }
            _ => colours.take(&segment),
        }
    }
}

/// Where the picture ends in a JPEG without an end marker whose only scan holds all components, zeros
/// behind it left out.
///
/// # Errors
/// When not every block of the picture is there, or the file is none that [`DcReader`] reads.
pub fn unended(jpeg: &[u8]) -> Result<usize, JpegError> {
    DcReader::new().read(jpeg)?;
    Ok(without_zero_tail(jpeg).len())
}

fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// Cuts off the zeros behind a frame in a larger buffer. Zero bits are valid codes: a cut frame would
/// else seem whole. A scan does not end in them: it is padded with ones.
fn without_zero_tail(mut data: &[u8]) -> &[u8] {
    while let Some((head, &[0, 0, 0, 0, 0, 0, 0, 0])) = data.split_last_chunk::<8>() {
        data = head;
    }
    data
}

/// Reads JPEGs one after the other into the same planes.
#[derive(Debug, Default)]
pub struct DcReader {
    luma: Luma,
    block_bits: Vec<u16>,
    ac_step: f32,
    size: (u32, u32),
    segment: Vec<u8>,
    lumas: Cache<huffman::Luma>,
    skips: Cache<huffman::Skip>,
}

/// Look-up tables of the last few pairs of Huffman tables: a camera's do not change, and building
/// them costs more than a tenth of a frame.
#[derive(Debug)]
struct Cache<T> {
    kept: Vec<(Spec, Spec, T)>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self { kept: Vec::new() }
    }
}

impl<T: Built> Cache<T> {
    /// The two chroma components may have tables of their own.
    const MOST: usize = 2;

    /// Sees to it that `get` finds tables for this pair. The longest unused make room, and lend their
    /// memory: an encoder that computes its tables anew for each frame costs no allocation either.
    fn prepare(&mut self, dc: &Spec, ac: &Spec) -> Result<(), JpegError> {
        match self.kept.iter().position(|(d, a, _)| d == dc && a == ac) {
            // The last used goes last, so that a scan's second pair does not push out its first.
            Some(at) if at + 1 < self.kept.len() => self.kept[at..].rotate_left(1),
            Some(_) => {}
            None => {
                let codes = SlowPair::new(dc, ac)?;
                let old = (self.kept.len() == Self::MOST).then(|| self.kept.remove(0).2);
                self.kept.push((dc.clone(), ac.clone(), T::build(codes, old)));
            }
        }
        Ok(())
    }

    fn get(&self, dc: &Spec, ac: &Spec) -> Option<&T> {
        self.kept.iter().find(|(d, a, _)| d == dc && a == ac).map(|(_, _, built)| built)
    }
}

impl DcReader {
    /// A reader that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One sample per 8×8 luma block, cut to the picture's true size: ⌈w/8⌉ × ⌈h/8⌉.
    #[must_use]
    pub fn luma(&self) -> &Luma {
        &self.luma
    }

    /// Coded bits of each luma block, in the order of the samples.
    #[must_use]
    pub fn block_bits(&self) -> &[u16] {
        &self.block_bits
    }

    /// Mean quantiser step of the 63 luma AC coefficients.
    #[must_use]
    pub fn ac_step(&self) -> f32 {
        self.ac_step
    }

    /// Width and height of the picture in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Reads one JPEG. Bytes after the luma's last scan are not looked at.
    ///
    /// # Errors
    /// See [`JpegError`]; the planes are then undefined.
    pub fn read(&mut self, jpeg: &[u8]) -> Result<(), JpegError> {
        let mut markers = Markers::new(jpeg)?;
        let mut tables = Tables::new();
        let mut frame = None;
        loop {
            let segment = markers.next()?;
            match segment.marker {
                EOI => return Err(JpegError::Truncated),
                SOS => {
                    let frame = frame.as_ref().ok_or(JpegError::Corrupt("scan before frame"))?;
                    let scan = ScanHeader::parse(segment.body, frame)?;
                    if scan.components().iter().any(|c| c.index == 0) {
                        return self.read_scan(jpeg, markers.pos(), frame, &scan, &tables);
                    }
                    markers.skip_entropy_from(markers.pos());
                }
                marker if is_frame_header(marker) => {
                    if frame.is_some() {
                        return Err(JpegError::Corrupt("two frame headers"));
                    }
                    frame = Some(FrameHeader::parse(&segment)?);
                }
                _ => tables.take(&segment)?,
            }
        }
    }

    fn read_scan(
        &mut self,
        jpeg: &[u8],
        start: usize,
        frame: &FrameHeader,
        scan: &ScanHeader,
        tables: &Tables,
    ) -> Result<(), JpegError> {
        tables.colours.check(frame)?;
        let layout = Layout::new(frame, scan)?;
        let data = without_zero_tail(jpeg.get(start..).unwrap_or_default());
        // A block takes at least one bit for its DC and one for its end, so that a header alone cannot
        // make us allocate a plane.
        if layout.blocks() > data.len() * 4 {
            return Err(JpegError::Truncated);
        }
        let quant = tables.quant.get(frame.luma().quant).copied().flatten();
        let quant = quant.ok_or(JpegError::Corrupt("no quantisation table"))?;
        self.ac_step = quant[1..].iter().map(|&q| f32::from(q)).sum::<f32>() / 63.0;
        self.size = (frame.width as u32, frame.height as u32);
        self.luma.reset(frame.width.div_ceil(8), frame.height.div_ceil(8));
        self.block_bits.clear();
        self.block_bits.resize(self.luma.data.len(), 0);
        for c in scan.components() {
            let (dc, ac) = (&tables.dc[c.dc], &tables.ac[c.ac]);
            match c.index {
                0 => self.lumas.prepare(dc, ac)?,
                _ => self.skips.prepare(dc, ac)?,
            }
        }
        let plan = Plan::new(frame, scan, tables, &self.lumas, &self.skips)?;
        let mut planes = Planes {
            luma: &mut self.luma,
            bits: &mut self.block_bits,
            dc_step: i32::from(quant[0]),
        };
        decode(data, &layout, &plan, tables.restart, &mut self.segment, &mut planes)
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
