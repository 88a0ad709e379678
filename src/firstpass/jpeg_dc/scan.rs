//! The entropy-coded scan: which blocks come in which order, and the walk through them.

use super::JpegError;
use super::bits::{Bits, unstuff};
use super::header::{FrameHeader, ScanComponent, ScanHeader};
use super::walk::{Blocks, MOST, walk};
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

    /// Blocks of the whole scan.
    pub(super) fn blocks(&self) -> usize {
        self.mcus_x * self.mcus_y * self.blocks_per_mcu
    }
}

/// The standard's limit (ITU-T T.81, B.2.3).
pub(super) const MOST_BLOCKS: usize = 10;

/// Blocks of a component in an MCU.
pub(super) fn blocks_of(frame: &FrameHeader, c: &ScanComponent) -> usize {
    frame.components().get(c.index).map_or(0, |c| c.h * c.v)
}

/// Where the luma goes.
pub(super) struct Planes<'a> {
    pub(super) luma: &'a mut Luma,
    pub(super) bits: &'a mut [u16],
    /// The DC coefficient's quantiser step.
    pub(super) dc_step: i32,
}

impl Planes<'_> {
    /// Writes the luma of some MCUs of a row: how many, and the place of the first in MCUs. Blocks beyond the
    /// picture's edge are padding, of which only the DC counts.
    #[inline(always)]
    fn put(
        &mut self,
        blocks: &Blocks<'_>,
        blocks_per_mcu: usize,
        (some, mut x, y): (usize, usize, usize),
        (h, v): (usize, usize),
        dc: &mut i32,
    ) {
        let width = self.luma.width;
        for first in (0..some).map(|mcu| mcu * blocks_per_mcu) {
            for j in 0..v {
                let row = (y * v + j) * width;
                for i in 0..h {
                    let block = (first + j * h + i) as u8;
                    *dc = dc.wrapping_add(blocks.diff(block));
                    let at = x * h + i;
                    let to = (self.luma.data.get_mut(row + at), self.bits.get_mut(row + at));
                    if let (true, (Some(grey), Some(bits))) = (at < width, to) {
                        *grey = grey_level(*dc, self.dc_step);
                        *bits = blocks.bits(block);
                    }
                }
            }
            x += 1;
        }
    }
}

/// The grey level of a DC coefficient as libjpeg's 1×1 inverse transform gives it (`jpeg_idct_1x1`):
/// coefficients are 16-bit, the result is masked to 10 bits before it is centred and clamped. So it depends on
/// the coefficient's low 13 bits alone.
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
    blocks: &mut Blocks<'_>,
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
        decode_mcus(&mut bits, mcu, until, layout, blocks, planes)?;
        if bits.overrun() > 0 {
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

/// Decodes the MCUs of one restart segment: some of a row are walked through, then their luma is written.
fn decode_mcus(
    bits: &mut Bits<'_>,
    mut from: usize,
    until: usize,
    layout: &Layout,
    blocks: &mut Blocks<'_>,
    planes: &mut Planes<'_>,
) -> Result<(), JpegError> {
    let mut dc = 0i32;
    while from < until {
        let (x, y) = (from % layout.mcus_x, from / layout.mcus_x);
        let some = (until - from).min(layout.mcus_x - x).min(MOST / layout.blocks_per_mcu);
        walk(blocks, bits, (some * layout.blocks_per_mcu) as u8)?;
        let place = (some, x, y);
        // The loops over an MCU's luma cost little where the compiler knows how many blocks there are.
        match layout.luma {
            (1, 1) => planes.put(blocks, layout.blocks_per_mcu, place, (1, 1), &mut dc),
            (2, 1) => planes.put(blocks, layout.blocks_per_mcu, place, (2, 1), &mut dc),
            (2, 2) => planes.put(blocks, layout.blocks_per_mcu, place, (2, 2), &mut dc),
            luma => planes.put(blocks, layout.blocks_per_mcu, place, luma, &mut dc),
        }
        from += some;
    }
    Ok(())
}
