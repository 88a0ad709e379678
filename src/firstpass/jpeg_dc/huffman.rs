//! Huffman tables as the file gives them ([`Spec`]), and decoding symbol by symbol ([`Pair`]), which is for
//! building the look-up tables ([`super::looks`]) and for what does not fit into a look.

use super::JpegError;
use super::bits::Bits;

/// Codes longer than this are not in a look.
const LONG: usize = super::looks::LOOK as usize;

/// A Huffman table as in the file: how many codes there are of each length, and their symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    counts: [u8; 16],
    symbols: [u8; 256],
}

impl Spec {
    /// No table: every code is an error.
    pub(super) const EMPTY: Self = Self { counts: [0; 16], symbols: [0; 256] };

    const fn of(counts: [u8; 16], list: &[u8]) -> Self {
        let mut symbols = [0; 256];
        let mut i = 0;
        while i < list.len() {
            symbols[i] = list[i];
            i += 1;
        }
        Self { counts, symbols }
    }

    /// Reads one table of a DHT segment and tells how many bytes it took.
    pub(super) fn parse(body: &[u8]) -> Result<(Self, usize), JpegError> {
        const BAD: JpegError = JpegError::Corrupt("DHT");
        let counts = *body.first_chunk::<16>().ok_or(BAD)?;
        let total = counts.iter().map(|&n| usize::from(n)).sum::<usize>();
        let list = body.get(16..16 + total).ok_or(BAD)?;
        let mut spec = Self { counts, symbols: [0; 256] };
        spec.symbols.get_mut(..total).ok_or(BAD)?.copy_from_slice(list);
        Codes::new(&spec)?;
        Ok((spec, 16 + total))
    }
}

/// Canonical codes, for decoding symbol by symbol.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    /// For each length from 1 on, the first code beyond those of this length, left-aligned in 16 bits.
    ends: [u32; 16],
    /// For each length from 1 on, what to add to a code to get its symbol's index.
    offsets: [i32; 16],
    symbols: [u8; 256],
}

impl Codes {
    fn new(spec: &Spec) -> Result<Self, JpegError> {
        let mut codes = Self { ends: [0; 16], offsets: [0; 16], symbols: spec.symbols };
        let (mut code, mut index) = (0i32, 0i32);
        for (len, &count) in (1u32..).zip(&spec.counts) {
            let at = len as usize - 1;
            codes.offsets[at] = index - code;
            code += i32::from(count);
            index += i32::from(count);
            if code > 1 << len {
                return Err(JpegError::Corrupt("DHT has more codes than fit"));
            }
            codes.ends[at] = (code as u32) << (16 - len);
            code <<= 1;
        }
        Ok(codes)
    }

    /// The symbol at the head of 16 bits, and its length; `None` where no code begins so.
    fn symbol(&self, head: u32) -> Option<(u8, u32)> {
        // Most that are asked for are longer than a look.
        let from = if head >= self.ends[LONG - 1] { LONG } else { 0 };
        let longer = self.ends.get(from..).unwrap_or_default().iter();
        let shorter = from + longer.take_while(|&&end| head >= end).count();
        let code = (head >> (15u32.saturating_sub(shorter as u32))) as i32;
        let index = usize::try_from(code + self.offsets.get(shorter)?).ok()?;
        Some((*self.symbols.get(index)?, shorter as u32 + 1))
    }
}

/// A code of a table.
pub(super) struct Code {
    /// Its bits, rightmost.
    pub(super) bits: u32,
    /// How many they are, 1 to 16.
    pub(super) len: u32,
    pub(super) symbol: u8,
}

impl Spec {
    /// All codes in their order. The counts are those of a table that [`Codes::new`] takes.
    pub(super) fn codes(&self) -> impl Iterator<Item = Code> {
        let mut next = 0u32;
        let lens = (1u32..).zip(&self.counts).flat_map(move |(len, &count)| {
            let first = next;
            next = (next + u32::from(count)) << 1;
            (first..first + u32::from(count)).map(move |bits| (bits, len))
        });
        lens.zip(&self.symbols).map(|((bits, len), &symbol)| Code { bits, len, symbol })
    }
}

/// The codes of a component.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    dc: Codes,
    ac: Codes,
}

impl Pair {
    pub(super) fn new(dc: &Spec, ac: &Spec) -> Result<Self, JpegError> {
        if dc.codes().any(|code| code.symbol > 15) {
            return Err(JpegError::Corrupt("DC symbol"));
        }
        Ok(Self { dc: Codes::new(dc)?, ac: Codes::new(ac)? })
    }

    /// Takes a DC symbol and its extra bits: bits taken, and the difference. The buffer holds 31 bits.
    pub(super) fn dc(&self, bits: &mut Bits<'_>) -> Result<(u32, i32), JpegError> {
        let (size, len) = self.dc.symbol(bits.peek(16)).ok_or(BAD_CODE)?;
        bits.consume(len);
        let size = u32::from(size);
        let extra = bits.take(size);
        Ok((len + size, extend(extra, size)))
    }

    /// Steps over an AC symbol and its extra bits: bits taken, and coefficients, or `None` for the end of
    /// the block. The buffer holds 31 bits.
    pub(super) fn ac(&self, bits: &mut Bits<'_>) -> Result<(u32, Option<u32>), JpegError> {
        let (symbol, len) = self.ac.symbol(bits.peek(16)).ok_or(BAD_CODE)?;
        let size = u32::from(symbol & 15);
        bits.consume(len + size);
        Ok((len + size, steps(symbol)))
    }
}

/// Coefficients that an AC symbol stands for; `None` for the end of the block. Runs of zeros other than 15
/// belong to progressive files; libjpeg ends the block there too.
pub(super) fn steps(symbol: u8) -> Option<u32> {
    let (run, size) = (symbol >> 4, symbol & 15);
    (size != 0 || run == 15).then_some(u32::from(run) + 1)
}

const BAD_CODE: JpegError = JpegError::Corrupt("bits that are no Huffman code");

/// The signed value of `size` extra bits (ITU-T T.81, F.2.2.1, EXTEND).
pub(super) fn extend(extra: u32, size: u32) -> i32 {
    if size == 0 {
        return 0;
    }
    let value = extra as i32;
    if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }
}

/// The tables of ITU-T T.81, annex K.3, which MJPEG from UVC cameras leaves out.
pub(super) mod standard {
    use super::Spec;

    const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

    pub(in crate::firstpass::jpeg_dc) const DC_LUMA: Spec =
        Spec::of([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &DC_SYMBOLS);

    pub(in crate::firstpass::jpeg_dc) const DC_CHROMA: Spec =
        Spec::of([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &DC_SYMBOLS);

    pub(in crate::firstpass::jpeg_dc) const AC_LUMA: Spec = Spec::of(
        [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
        &[
            0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51,
            0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1,
            0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18,
            0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39,
            0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57,
            0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
            0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92,
            0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
            0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
            0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8,
            0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2,
            0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
        ],
    );

    pub(in crate::firstpass::jpeg_dc) const AC_CHROMA: Spec = Spec::of(
        [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
        &[
            0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07,
            0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09,
            0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25,
            0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38,
            0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56,
            0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74,
            0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
            0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
            0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
            0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6,
            0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2,
            0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
        ],
    );
}
