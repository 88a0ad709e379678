//! Masks and text put into a camera's JPEG block by block, without decoding a pixel of it.
//!
//! Used by the still thread. A baseline JPEG is a row of Huffman codes for 8×8 blocks. [`Plain::edit`] reads
//! them code by code and writes them out again; a block under a black mask gets the codes of a black block in
//! place of its own, one under text those of the text. Everything else keeps its coefficients, so it decodes
//! to the very same pixels: the picture is not encoded a second time, and it takes a third of the time.
//!
//! ```text
//! codes ─▶ read one block ─▶ kept:  its DC against the new neighbour's, its AC codes as they are ─▶ codes
//!                         └▶ other: its codes are dropped, the new block's put in their place    ─┘
//! ```
//!
//! Whole MCUs are covered (8 or 16 pixels a side): all components of each one that has a pixel of a mask. What
//! was there is gone from the file. The header is written anew: tables, frame and scan of the camera, a JFIF
//! head, and none of the camera's other segments.
//!
//! Only what cameras send is taken: one interleaved scan, baseline or extended Huffman, 8 bits, YCbCr or grey,
//! any sampling, with or without restart markers and tables. Anything else, or anything wrong in the codes, is
//! [`Refused`], and the caller decodes the picture instead. Pure; hostile input makes no panic, and no more
//! memory is taken than a few times the file and a byte an MCU.

mod codes;
mod header;
mod letters;

use self::codes::{BitReader, BitWriter, Coder, Decoder};
pub(super) use self::header::Plain;
use super::privacy::{Mask, Style, Window, cover};
use super::text::Label;

/// This JPEG is to be decoded: it is of a rarer kind, or broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// What becomes of an MCU.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    Black,
    Text,
}

/// A component on its way through the scan.
struct Lane<'a> {
    read_dc: &'a Decoder,
    read_ac: &'a Decoder,
    write_dc: Coder,
    write_ac: Coder,
    /// DC of the last block as it was, and as it was written.
    was: i32,
    is: i32,
    black: i32,
    quantisers: &'a [u16; 64],
    blocks: (usize, usize),
}

impl Plain<'_> {
    /// The picture with all black `masks` black and the label burnt in.
    ///
    /// # Errors
    /// It has to be decoded for that.
    pub(super) fn edit(&self, masks: &[Mask], label: Option<&Label>) -> Result<Vec<u8>, Refused> {
        let fates = self.fates(masks, label);
        let standard = !self.tables_suffice();
        let mut lanes = Vec::new();
        for (index, component) in self.components.iter().enumerate() {
            let (dc, ac) = self.decoders(component)?;
            let (dc_spec, ac_spec) = self.specs(component, index, standard)?;
            let quantisers = self.quantisers(component)?;
            let black = i32::from(quantisers[0]).max(1);
            lanes.push(Lane {
                read_dc: dc,
                read_ac: ac,
                write_dc: Coder::new(&dc_spec),
                write_ac: Coder::new(&ac_spec),
                was: 0,
                is: 0,
                // -1024 is black before it is divided; rounded away from zero, so that nothing shines through.
                black: if index == 0 { -((1024 + black - 1) / black) } else { 0 },
                quantisers,
                blocks: component.blocks,
            });
        }
        let mut out = Vec::with_capacity(self.jpeg.len() + 1024);
        self.head(standard, &mut out)?;
        let mut writer = BitWriter::new(out);
        let mut reader = BitReader::new(self.jpeg, self.scan);
        for (at, &fate) in fates.iter().enumerate() {
            if self.restart > 0 && at > 0 && at % self.restart == 0 {
                let number = ((at / self.restart - 1) % 8) as u8;
                reader.restart(number)?;
                writer.restart(number);
                lanes.iter_mut().for_each(|lane| (lane.was, lane.is) = (0, 0));
            }
            let place = (at % self.mcus.0, at / self.mcus.0);
            for (index, lane) in lanes.iter_mut().enumerate() {
                for block in 0..lane.blocks.0 * lane.blocks.1 {
                    let drop = fate != Fate::Keep;
                    let diff = lane.read_dc.difference(&mut reader)?;
                    lane.was = lane.was.checked_add(diff).ok_or(Refused)?;
                    match (fate, label) {
                        (Fate::Keep, _) => {
                            lane.dc(lane.was, &mut writer)?;
                        }
                        (Fate::Text, Some(label)) => {
                            let block = (block % lane.blocks.0, block / lane.blocks.0);
                            let left = (place.0 * lane.blocks.0 + block.0) * 8;
                            let top = (place.1 * lane.blocks.1 + block.1) * 8;
                            lane.letters(index, label, (left, top), &mut writer)?;
                        }
                        _ => {
                            lane.dc(lane.black, &mut writer)?;
                            lane.write_ac.put(END_OF_BLOCK, 0, 0, &mut writer)?;
                        }
                    }
                    lane.rest(drop, &mut reader, &mut writer)?;
                }
            }
        }
        Ok(writer.finish())
    }

    /// MCU by MCU, row by row. Text stands on masks too, as it does where pictures are decoded.
    fn fates(&self, masks: &[Mask], label: Option<&Label>) -> Vec<Fate> {
        let mut fates = vec![Fate::Keep; self.mcus.0 * self.mcus.1];
        let mut mark = |fate: Fate, y: usize, from: usize, to: usize| {
            if from < to {
                let row = (y / self.mcu.1).min(self.mcus.1 - 1) * self.mcus.0;
                let last = ((to - 1) / self.mcu.0).min(self.mcus.0 - 1);
                let run = row + from / self.mcu.0..=row + last;
                fates.get_mut(run).unwrap_or_default().fill(fate);
            }
        };
        let window = Window::whole(self.size);
        for mask in masks.iter().filter(|mask| mask.style == Style::Black) {
            cover(&mask.area, &window, &mut |y, from, to| mark(Fate::Black, y, from, to));
        }
        if let Some([x, y, w, h]) = label.map(|label| label.area) {
            (y..y + h).for_each(|y| mark(Fate::Text, y, x, x + w));
        }
        fates
    }
}

/// The code that says: only zeros up to the block's end.
const END_OF_BLOCK: u8 = 0x00;

/// Sixteen zeros.
const ZEROS: u8 = 0xF0;

impl Lane<'_> {
    /// Writes a block's DC.
    fn dc(&mut self, value: i32, writer: &mut BitWriter) -> Result<(), Refused> {
        let diff = value.checked_sub(self.is).ok_or(Refused)?;
        self.is = value;
        let (size, bits) = codes::magnitude(diff);
        // Eight bits a sample make no larger difference; the tables have no code for one.
        if size > 11 {
            return Err(Refused);
        }
        self.write_dc.put(size, bits, u32::from(size), writer)
    }

    /// Reads a block's AC codes, and writes them unless they are to be dropped.
    fn rest(
        &mut self,
        drop: bool,
        reader: &mut BitReader<'_>,
        writer: &mut BitWriter,
    ) -> Result<(), Refused> {
        let mut at = 1;
        while at < 64 {
            let symbol = self.read_ac.symbol(reader)?;
            let (run, size) = (symbol >> 4, u32::from(symbol & 15));
            if size > 10 || (size == 0 && symbol != END_OF_BLOCK && symbol != ZEROS) {
                return Err(Refused);
            }
            let bits = reader.bits(size)?;
            if !drop {
                self.write_ac.put(symbol, bits, size, writer)?;
            }
            if symbol == END_OF_BLOCK {
                return Ok(());
            }
            at += usize::from(run) + 1;
        }
        if at == 64 { Ok(()) } else { Err(Refused) }
    }

    /// Writes a block of text, its top left sample at this place of its component.
    fn letters(
        &mut self,
        index: usize,
        label: &Label,
        (left, top): (usize, usize),
        writer: &mut BitWriter,
    ) -> Result<(), Refused> {
        let coefficients = match index {
            0 => letters::block(|x, y| label.luma(left + x, top + y), self.quantisers),
            _ => [0; 64],
        };
        self.dc(coefficients[0], writer)?;
        let mut zeros = 0;
        for &value in &coefficients[1..] {
            if value == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 {
                self.write_ac.put(ZEROS, 0, 0, writer)?;
                zeros -= 16;
            }
            let (size, bits) = codes::magnitude(value);
            if size > 10 {
                return Err(Refused);
            }
            self.write_ac.put(zeros << 4 | size, bits, u32::from(size), writer)?;
            zeros = 0;
        }
        if zeros > 0 { self.write_ac.put(END_OF_BLOCK, 0, 0, writer) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
