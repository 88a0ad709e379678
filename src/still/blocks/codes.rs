//! Huffman codes of a scan: read bit by bit with a table for the short ones, and written.
//!
//! ITU-T T.81, annexes C (how a table's codes follow from its lengths) and F (what they stand for).

use super::Refused;

/// A Huffman table as it stands in the file: how many codes of each length, and what they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) counts: [u8; 16],
    pub(super) symbols: Vec<u8>,
}

impl Spec {
    /// Each symbol with its code and the code's length.
    fn codes(&self) -> impl Iterator<Item = (u8, u32, u32)> {
        let lengths = (1u32..).zip(self.counts).flat_map(|(n, count)| (0..count).map(move |_| n));
        let mut next = (0u32, 0u32);
        self.symbols.iter().zip(lengths).map(move |(&symbol, length)| {
            let code = next.0 << (length - next.1);
            next = (code + 1, length);
            (symbol, code, length)
        })
    }

    /// Whether its codes fit into their lengths.
    pub(super) fn is_sound(&self) -> bool {
        self.codes().all(|(_, code, length)| code < 1 << length)
    }
}

/// Bits that are looked up at once; longer codes are rare.
const SHORT: u32 = 10;

/// A table to read with.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Length and symbol for each beginning; length 0 where the code is longer.
    short: Vec<(u8, u8)>,
    /// For each length the first code, and its place among the symbols; then how many there are.
    long: [(u32, u32, u32); 17],
    symbols: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(spec: &Spec) -> Self {
        let mut short = vec![(0, 0); 1 << SHORT];
        let mut long = [(0, 0, 0); 17];
        for (place, (symbol, code, length)) in spec.codes().enumerate() {
            if let Some(row) = long.get_mut(length as usize) {
                if row.2 == 0 {
                    (row.0, row.1) = (code, place as u32);
                }
                row.2 += 1;
            }
            if length <= SHORT {
                let first = (code as usize) << (SHORT - length);
                let run = first..first + (1 << (SHORT - length));
                short.get_mut(run).unwrap_or_default().fill((length as u8, symbol));
            }
        }
        Self { short, long, symbols: spec.symbols.clone() }
    }

    #[inline]
    pub(super) fn symbol(&self, reader: &mut BitReader<'_>) -> Result<u8, Refused> {
        let next = reader.peek();
        let (length, symbol) =
            self.short.get((next >> (16 - SHORT)) as usize).copied().unwrap_or_default();
        if length > 0 {
            reader.skip(u32::from(length))?;
            return Ok(symbol);
        }
        for length in SHORT + 1..=16 {
            let (first, place, count) = self.long.get(length as usize).copied().unwrap_or_default();
            let code = next >> (16 - length);
            if let Some(behind) = code.checked_sub(first).filter(|behind| *behind < count) {
                reader.skip(length)?;
                return self.symbols.get((place + behind) as usize).copied().ok_or(Refused);
            }
        }
        Err(Refused)
    }

    /// A DC code and its bits as a difference.
    #[inline]
    pub(super) fn difference(&self, reader: &mut BitReader<'_>) -> Result<i32, Refused> {
        let size = u32::from(self.symbol(reader)?);
        if size > 11 {
            return Err(Refused);
        }
        let bits = reader.bits(size)?;
        Ok(if size > 0 && bits >> (size - 1) == 0 {
            bits as i32 - (1 << size) + 1
        } else {
            bits as i32
        })
    }
}

/// How many bits a value takes, and these bits: what `difference` reads.
#[inline]
pub(super) fn magnitude(value: i32) -> (u8, u32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    let bits = if value < 0 { value.wrapping_sub(1) } else { value };
    (size as u8, bits as u32 & ((1u64 << size) - 1) as u32)
}

/// A table to write with: code and length of each symbol; length 0 where it has none.
pub(super) struct Coder([(u32, u8); 256]);

impl Coder {
    pub(super) fn new(spec: &Spec) -> Self {
        let mut codes = [(0, 0); 256];
        for (symbol, code, length) in spec.codes() {
            codes[usize::from(symbol)] = (code, length as u8);
        }
        Self(codes)
    }

    /// A symbol and the bits that belong to it.
    #[inline]
    pub(super) fn put(
        &self,
        symbol: u8,
        bits: u32,
        size: u32,
        writer: &mut BitWriter,
    ) -> Result<(), Refused> {
        let (code, length) = self.0[usize::from(symbol)];
        if length == 0 {
            return Err(Refused);
        }
        writer.put(u64::from(code) << size | u64::from(bits), u32::from(length) + size);
        Ok(())
    }
}

/// Reads the bits of a scan; stuffing is taken out, and a marker ends it.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, at the upper end.
    ahead: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, ahead: 0, count: 0 }
    }

    #[inline]
    fn fill(&mut self) {
        while self.count <= 56 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.at += 2;
                    0xFF
                }
                (Some(0xFF) | None, _) => return,
                (Some(&byte), _) => {
                    self.at += 1;
                    byte
                }
            };
            self.ahead |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits; zeros behind the end.
    #[inline]
    fn peek(&mut self) -> u32 {
        if self.count < 32 {
            self.fill();
        }
        (self.ahead >> 48) as u32
    }

    #[inline]
    fn skip(&mut self, count: u32) -> Result<(), Refused> {
        self.count = self.count.checked_sub(count).ok_or(Refused)?;
        self.ahead <<= count;
        Ok(())
    }

    /// The next `count` bits, at most 16.
    #[inline]
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, Refused> {
        if count == 0 {
            return Ok(0);
        }
        let bits = self.peek() >> (16 - count);
        self.skip(count)?;
        Ok(bits)
    }

    /// Steps over the restart marker of this number, which must come next.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), Refused> {
        self.fill();
        // What is left is padding to a whole byte.
        if self.count >= 8 {
            return Err(Refused);
        }
        while self.data.get(self.at + 1) == Some(&0xFF) {
            self.at += 1;
        }
        if self.data.get(self.at..self.at + 2) != Some(&[0xFF, 0xD0 + number]) {
            return Err(Refused);
        }
        *self = Self::new(self.data, self.at + 2);
        Ok(())
    }
}

/// Writes the bits of a scan behind its header, with stuffing.
pub(super) struct BitWriter {
    out: Vec<u8>,
    waiting: u64,
    count: u32,
}

impl BitWriter {
    pub(super) fn new(out: Vec<u8>) -> Self {
        Self { out, waiting: 0, count: 0 }
    }

    /// At most 32 bits, which have no others above them.
    #[inline]
    fn put(&mut self, bits: u64, count: u32) {
        self.waiting = self.waiting << count | bits;
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.waiting >> self.count) as u8;
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
        }
    }

    /// Fills the last byte up with ones.
    fn pad(&mut self) {
        let room = (8 - self.count % 8) % 8;
        self.put((1 << room) - 1, room);
        (self.waiting, self.count) = (0, 0);
    }

    pub(super) fn restart(&mut self, number: u8) {
        self.pad();
        self.out.extend_from_slice(&[0xFF, 0xD0 + number]);
    }

    /// The file, ended.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.pad();
        self.out.extend_from_slice(&[0xFF, 0xD9]);
        self.out
    }
}
