//! Huffman tables: as the file gives them ([`Spec`]), and as the scan decoder uses them ([`Luma`],
//! [`Skip`]).
//!
//! The decoder wants the first coefficient of each luma block and nothing else, so its tables do not
//! decode symbols: one look at the next [`LOOK`] bits tells how many bits and how many coefficients to
//! step over, several symbols at a time. 12 bits measured best (10, 12, 14 bits: 1.76, 1.56, 1.66 ms a
//! 1080p frame). Whatever does not fit into a look goes the slow way, symbol by symbol.

use super::JpegError;
use super::bits::Bits;

/// Bits looked at in one step.
pub(super) const LOOK: u32 = 12;
const SIZE: usize = 1 << LOOK;

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
struct Codes {
    /// For each length, the first code beyond those of this length, left-aligned in 16 bits.
    ends: [u32; 17],
    /// For each length, what to add to a code to get its symbol's index.
    offsets: [i32; 17],
    symbols: [u8; 256],
}

impl Codes {
    fn new(spec: &Spec) -> Result<Self, JpegError> {
        let mut codes = Self { ends: [0; 17], offsets: [0; 17], symbols: spec.symbols };
        let (mut code, mut index) = (0i32, 0i32);
        for (len, &count) in (1u32..).zip(&spec.counts) {
            let at = len as usize;
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
        let len = (1..=16u32).find(|&len| head < self.ends[len as usize])?;
        let code = (head >> (16 - len)) as i32;
        let index = usize::try_from(code + self.offsets[len as usize]).ok()?;
        Some((*self.symbols.get(index)?, len))
    }
}

/// What a look tells: bits to step over in the low 5 bits, then coefficients to step over in 7.
/// A look that meets the end of block adds [`END`] coefficients; 0 bits and all coefficients
/// ([`SLOW`]) mean that the look tells nothing.
pub(super) type Look = u16;
const END: u16 = 64;
const SLOW: u16 = 127 << 5;

fn pack(bits: u32, step: u32) -> u16 {
    (bits as u16 & 31) | ((step as u16) << 5)
}

/// Steps over as many whole symbols as begin and whose codes end within the look's first `LOOK` bits.
/// The extra bits of the last one may lie beyond, they are only stepped over.
fn step_over(ac: &Codes, index: u32, mut bits: u32) -> (u32, u32) {
    let mut step = 0;
    while bits < LOOK {
        let head = (index << bits) & (SIZE as u32 - 1);
        let Some((symbol, len)) = ac.symbol(head << (16 - LOOK)) else { break };
        if bits + len > LOOK {
            break;
        }
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 && run != 15 {
            // Runs of zeros other than 15 belong to progressive files; libjpeg ends the block too.
            return (bits + len, step + u32::from(END));
        }
        if step + run + 1 > 62 {
            break;
        }
        bits += len + size;
        step += run + 1;
    }
    (bits, step)
}

/// Tables of a component whose blocks are stepped over whole.
#[derive(Debug)]
pub(super) struct Skip {
    /// A look at the head of a block: DC and the AC symbols after it.
    pub(super) first: Box<[Look; SIZE]>,
    /// A look within a block.
    pub(super) ac: Box<[Look; SIZE]>,
    slow: SlowPair,
}

/// Tables of the luma component.
#[derive(Debug)]
pub(super) struct Luma {
    /// A look at the head of a block: a [`Look`] in the low 16 bits, the DC difference in the high.
    pub(super) first: Box<[u32; SIZE]>,
    /// A look within a block.
    pub(super) ac: Box<[Look; SIZE]>,
    slow: SlowPair,
}

/// Look-up tables made of a pair of code tables.
pub(super) trait Built {
    /// Fills the tables; those of `old` are overwritten rather than allocated anew.
    fn build(codes: SlowPair, old: Option<Self>) -> Self
    where
        Self: Sized;
}

/// The codes of DC and AC, for what does not fit into a look.
#[derive(Clone, Debug)]
pub(super) struct SlowPair {
    dc: Codes,
    ac: Codes,
}

impl SlowPair {
    pub(super) fn new(dc: &Spec, ac: &Spec) -> Result<Self, JpegError> {
        let total = dc.counts.iter().map(|&n| usize::from(n)).sum::<usize>();
        if dc.symbols.iter().take(total).any(|&s| s > 15) {
            return Err(JpegError::Corrupt("DC symbol"));
        }
        Ok(Self { dc: Codes::new(dc)?, ac: Codes::new(ac)? })
    }

    /// For each look at a block's head: bits and coefficients to step over, and the DC difference.
    fn first(&self, index: u32) -> Option<(u32, u32, i16)> {
        let (size, len) = self.dc.symbol(index << (16 - LOOK))?;
        let dc_bits = len + u32::from(size);
        if dc_bits > LOOK {
            return None;
        }
        let extra = (index >> (LOOK - dc_bits)) & ((1 << size) - 1);
        let (bits, step) = step_over(&self.ac, index, dc_bits);
        Some((bits, step, extend(extra, u32::from(size)) as i16))
    }

    fn within(&self, index: u32) -> Look {
        match step_over(&self.ac, index, 0) {
            (0, _) => SLOW,
            (bits, step) => pack(bits, step),
        }
    }

    fn fill_ac(&self, looks: &mut [Look; SIZE]) {
        for (index, look) in (0..).zip(looks) {
            *look = self.within(index);
        }
    }

    #[cold]
    fn read_dc(&self, bits: &mut Bits<'_>) -> Result<i32, JpegError> {
        bits.refill()?;
        let (size, len) = self.dc.symbol(bits.peek(16)).ok_or(BAD_CODE)?;
        bits.consume(len);
        let extra = bits.take(u32::from(size));
        Ok(extend(extra, u32::from(size)))
    }

    /// Steps over the rest of a block symbol by symbol, from coefficient `k` (of 1 to 63, 0 being DC).
    #[cold]
    fn finish(&self, bits: &mut Bits<'_>, mut k: u32) -> Result<(), JpegError> {
        while k < 63 {
            bits.refill()?;
            let (symbol, len) = self.ac.symbol(bits.peek(16)).ok_or(BAD_CODE)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            bits.consume(len + size);
            if size == 0 && run != 15 {
                return Ok(());
            }
            k += run + 1;
        }
        Ok(())
    }
}

const BAD_CODE: JpegError = JpegError::Corrupt("bits that are no Huffman code");

/// The signed value of `size` extra bits (ITU-T T.81, F.2.2.1, EXTEND).
fn extend(extra: u32, size: u32) -> i32 {
    if size == 0 {
        return 0;
    }
    let value = extra as i32;
    if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }
}

impl Built for Skip {
    fn build(slow: SlowPair, old: Option<Self>) -> Self {
        let (mut first, mut ac) = match old {
            Some(old) => (old.first, old.ac),
            None => (Box::new([0; SIZE]), Box::new([0; SIZE])),
        };
        for (index, look) in (0..).zip(first.iter_mut()) {
            *look = slow.first(index).map_or(SLOW, |(bits, step, _)| pack(bits, step));
        }
        slow.fill_ac(&mut ac);
        Self { first, ac, slow }
    }
}

impl Skip {
    /// Steps over one block.
    #[inline]
    pub(super) fn block(&self, bits: &mut Bits<'_>) -> Result<(), JpegError> {
        bits.refill()?;
        let look = self.first[bits.look()];
        if look == SLOW {
            self.slow.read_dc(bits)?;
            return rest(bits, &self.ac, &self.slow, 0);
        }
        bits.consume(u32::from(look & 31));
        match u32::from(look >> 5) {
            k if k >= u32::from(END) => Ok(()),
            k => rest_after_look(bits, &self.ac, &self.slow, k),
        }
    }
}

impl Built for Luma {
    fn build(slow: SlowPair, old: Option<Self>) -> Self {
        let (mut first, mut ac) = match old {
            Some(old) => (old.first, old.ac),
            None => (Box::new([0; SIZE]), Box::new([0; SIZE])),
        };
        for (index, look) in (0..).zip(first.iter_mut()) {
            *look = slow.first(index).map_or(u32::from(SLOW), |(bits, step, diff)| {
                u32::from(pack(bits, step)) | u32::from(diff as u16) << 16
            });
        }
        slow.fill_ac(&mut ac);
        Self { first, ac, slow }
    }
}

impl Luma {
    /// Steps over one block and gives its DC difference.
    #[inline]
    pub(super) fn block(&self, bits: &mut Bits<'_>) -> Result<i32, JpegError> {
        bits.refill()?;
        let look = self.first[bits.look()];
        if look == u32::from(SLOW) {
            let diff = self.slow.read_dc(bits)?;
            rest(bits, &self.ac, &self.slow, 0)?;
            return Ok(diff);
        }
        bits.consume(look & 31);
        let diff = i32::from((look >> 16) as i16);
        match (look >> 5) & 127 {
            k if k >= u32::from(END) => {}
            k => rest_after_look(bits, &self.ac, &self.slow, k)?,
        }
        Ok(diff)
    }
}

/// Steps over the rest of a block when the buffer was just filled and one look was taken from it:
/// a look takes at most 27 bits (12 seen and 15 extra), so 56 bits serve two.
#[inline]
fn rest_after_look(
    bits: &mut Bits<'_>,
    ac: &[Look; SIZE],
    slow: &SlowPair,
    k: u32,
) -> Result<(), JpegError> {
    match step(bits, ac, k) {
        Walk::On(k) => rest(bits, ac, slow, k),
        Walk::Done => Ok(()),
        Walk::Slow => slow.finish(bits, k),
    }
}

#[inline]
fn rest(
    bits: &mut Bits<'_>,
    ac: &[Look; SIZE],
    slow: &SlowPair,
    mut k: u32,
) -> Result<(), JpegError> {
    loop {
        bits.refill()?;
        for _ in 0..2 {
            match step(bits, ac, k) {
                Walk::On(next) => k = next,
                Walk::Done => return Ok(()),
                Walk::Slow => return slow.finish(bits, k),
            }
        }
    }
}

enum Walk {
    On(u32),
    Done,
    Slow,
}

/// One look from coefficient `k`. A look is only taken when all its symbols lie within the block; a
/// block that ends with its 64th coefficient has no end-of-block symbol, and what follows is the next
/// block's.
#[inline(always)]
fn step(bits: &mut Bits<'_>, ac: &[Look; SIZE], k: u32) -> Walk {
    let look = u32::from(ac[bits.look()]);
    let next = k + (look >> 5);
    if next < 63 {
        bits.consume(look & 31);
        return Walk::On(next);
    }
    let within = next.wrapping_sub(u32::from(END)) < 63 && look != u32::from(SLOW);
    if (look >= u32::from(END) << 5 && within) || next == 63 {
        bits.consume(look & 31);
        return Walk::Done;
    }
    Walk::Slow
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
