//! The entropy-coded scan: which blocks come in which order, and the walk through them.

use super::bits::{Bits, unstuff};
use super::header::{FrameHeader, ScanComponent, ScanHeader, Tables};
use super::huffman;
use super::{Cache, JpegError};
use crate::frame::Luma;

/// How a scan's blocks are ordered.
#[derive(Debug)]
pub(super) struct Layout {
    mcus_x: usize,
    mcus_y: usize,
    /// Blocks of luma in an MCU, across and down.
    luma: (usize, usize),
    blocks_per_mcu: usize,
}

impl Layout {
    pub(super) fn new(frame: &FrameHeader, scan: &ScanHeader) -> Result<Self, JpegError> {
        let luma = frame.luma();
        // A scan of one component is not interleaved: its MCU is one block, whatever the sampling.
        if scan.components().len() == 1 {
            return Ok(Self {
                mcus_x: frame.width.div_ceil(8),
                mcus_y: frame.height.div_ceil(8),
                luma: (1, 1),
                blocks_per_mcu: 1,
            });
        }
        let blocks_per_mcu = scan.components().iter().map(|c| blocks_of(frame, c)).sum();
        if blocks_per_mcu > MOST_BLOCKS {
            return Err(JpegError::Corrupt("more than 10 blocks in an MCU"));
        }
        Ok(Self {
            mcus_x: frame.width.div_ceil(8 * luma.h),
            mcus_y: frame.height.div_ceil(8 * luma.v),
            luma: (luma.h, luma.v),
            blocks_per_mcu,
        })
    }

    pub(super) fn blocks(&self) -> usize {
        self.mcus_x * self.mcus_y * self.blocks_per_mcu
    }
}

/// The standard's limit (ITU-T T.81, B.2.3).
const MOST_BLOCKS: usize = 10;

fn blocks_of(frame: &FrameHeader, c: &ScanComponent) -> usize {
    frame.components().get(c.index).map_or(0, |c| c.h * c.v)
}

/// One run of blocks of an MCU.
#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Luma(&'a huffman::Luma),
    /// So many blocks to step over.
    Skip(&'a huffman::Skip, usize),
}

/// The parts of an MCU, in order.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    parts: [Option<Part<'a>>; 3],
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        frame: &FrameHeader,
        scan: &ScanHeader,
        tables: &Tables,
        lumas: &'a Cache<huffman::Luma>,
        skips: &'a Cache<huffman::Skip>,
    ) -> Result<Self, JpegError> {
        let mut parts = [None; 3];
        for (part, c) in parts.iter_mut().zip(scan.components()) {
            let (dc, ac) = (&tables.dc[c.dc], &tables.ac[c.ac]);
            let blocks = if scan.components().len() == 1 { 1 } else { blocks_of(frame, c) };
            let found = match c.index {
                0 => lumas.get(dc, ac).map(Part::Luma),
                _ => skips.get(dc, ac).map(|s| Part::Skip(s, blocks)),
            };
            *part = Some(found.ok_or(JpegError::Corrupt("scan without tables"))?);
        }
        Ok(Self { parts })
    }
}

/// Where the luma goes.
pub(super) struct Planes<'a> {
    pub(super) luma: &'a mut Luma,
    pub(super) bits: &'a mut [u16],
    /// The DC coefficient's quantiser step.
    pub(super) dc_step: i32,
}

impl Planes<'_> {
    /// Writes one block at block coordinates; those beyond the picture's edge are padding.
    #[inline(always)]
    fn put(&mut self, x: usize, y: usize, dc: i32, bits: usize) {
        if x >= self.luma.width {
            return;
        }
        let at = y * self.luma.width + x;
        if let (Some(grey), Some(taken)) = (self.luma.data.get_mut(at), self.bits.get_mut(at)) {
            *grey = grey_level(dc, self.dc_step);
            *taken = bits as u16;
        }
    }
}

/// The grey level of a DC coefficient as libjpeg's 1×1 inverse transform gives it (`jpeg_idct_1x1`):
/// coefficients are 16-bit, the result is masked to 10 bits before it is centred and clamped.
#[inline(always)]
fn grey_level(dc: i32, step: i32) -> u8 {
    let value = (i32::from(dc as i16).wrapping_mul(step).wrapping_add(4)) >> 3;
    let wrapped = (value << 22) >> 22;
    (wrapped + 128).clamp(0, 255) as u8
}

/// Walks through the scan, restart segment by restart segment.
pub(super) fn decode(
    data: &[u8],
    layout: &Layout,
    plan: &Plan<'_>,
    restart: usize,
    segment: &mut Vec<u8>,
    planes: &mut Planes<'_>,
) -> Result<(), JpegError> {
    let total = layout.mcus_x * layout.mcus_y;
    let per_segment = if restart == 0 { total } else { restart };
    let (mut pos, mut mcu, mut expected) = (0, 0, 0u8);
    loop {
        pos += unstuff(data.get(pos..).unwrap_or_default(), segment);
        let until = total.min(mcu + per_segment);
        let mut bits = Bits::new(segment);
        decode_mcus(&mut bits, mcu, until, layout, plan, planes)?;
        if bits.overrun() {
            return Err(JpegError::Truncated);
        }
        if until == total {
            return Ok(());
        }
        mcu = until;
        match data.get(pos..) {
            Some(&[0xff, marker, ..]) if marker == 0xd0 | expected => pos += 2,
            Some(&[0xff, 0xd0..=0xd7, ..]) => return Err(JpegError::Corrupt("restart order")),
            _ => return Err(JpegError::Truncated),
        }
        expected = (expected + 1) & 7;
    }
}

/// Decodes the MCUs of one restart segment.
fn decode_mcus(
    bits: &mut Bits<'_>,
    from: usize,
    until: usize,
    layout: &Layout,
    plan: &Plan<'_>,
    planes: &mut Planes<'_>,
) -> Result<(), JpegError> {
    let (h, v) = layout.luma;
    let (mut x, mut y) = (from % layout.mcus_x * h, from / layout.mcus_x * v);
    let mut dc = 0i32;
    for _ in from..until {
        for part in plan.parts.iter().flatten() {
            match *part {
                Part::Luma(table) => {
                    for (j, i) in (0..v).flat_map(|j| (0..h).map(move |i| (j, i))) {
                        let before = bits.taken();
                        dc = dc.wrapping_add(table.block(bits)?);
                        planes.put(x + i, y + j, dc, bits.taken() - before);
                    }
                }
                Part::Skip(table, blocks) => {
                    for _ in 0..blocks {
                        table.block(bits)?;
                    }
                }
            }
        }
        x += h;
        if x == layout.mcus_x * h {
            (x, y) = (0, y + v);
        }
    }
    Ok(())
}
