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
mod looks;
mod scan;
mod walk;

use crate::frame::Luma;
use header::{Colours, EOI, FrameHeader, Markers, SOS, ScanHeader, Tables};
use looks::Looks;
use scan::{Layout, MOST_BLOCKS, Planes, blocks_of, decode};
use walk::Blocks;

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
    looks: Looks,
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
        let (mcu, blocks) = self.prepare(frame, scan, tables)?;
        let blocks = Blocks::new(mcu.get(..blocks).unwrap_or_default(), &self.looks);
        let mut blocks = blocks.ok_or(JpegError::Corrupt("scan without blocks"))?;
        let mut planes = Planes {
            luma: &mut self.luma,
            bits: &mut self.block_bits,
            dc_step: i32::from(quant[0]),
        };
        decode(data, &layout, &mut blocks, tables.restart, &mut self.segment, &mut planes)
    }

    /// Prepares the look-up tables of a scan: whose each block of an MCU needs, and how many blocks it has.
    fn prepare(
        &mut self,
        frame: &FrameHeader,
        scan: &ScanHeader,
        tables: &Tables,
    ) -> Result<([u8; MOST_BLOCKS], usize), JpegError> {
        let (mut mcu, mut blocks, mut chroma) = ([0; MOST_BLOCKS], 0, None);
        for c in scan.components() {
            let (dc, ac) = (&tables.dc[c.dc], &tables.ac[c.ac]);
            let at = match c.index {
                0 => self.looks.prepare_luma(dc, ac)?,
                _ => *chroma.insert(self.looks.prepare_chroma(dc, ac, chroma)?),
            };
            let more = if scan.components().len() == 1 { 1 } else { blocks_of(frame, c) };
            for block in mcu.iter_mut().skip(blocks).take(more) {
                *block = at as u8;
            }
            blocks += more;
        }
        Ok((mcu, blocks))
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
