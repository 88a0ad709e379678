//! Entropy-coded bytes: taking out the stuffing, and reading bits.
//!
//! A restart segment is unstuffed into a buffer first, because a bit reader that need not look for
//! 0xFF fills itself with one 8-byte load. [`PAD`] zero bytes follow, so that the reader may look
//! beyond the end of a good segment; one that runs on is stopped by the buffer's end.

use super::JpegError;

/// Zero bytes behind a segment. A filled buffer holds up to 8 bytes that were not asked for, and the
/// load that fills it reads 8.
const PAD: usize = 16;

/// Copies one segment without its stuffing into `out`, which holds nothing else afterwards, and gives
/// the place in `data` where it ended: at a marker's 0xFF, or at the end.
pub(super) fn unstuff(data: &[u8], out: &mut Vec<u8>) -> usize {
    out.clear();
    let mut pos = 0;
    loop {
        pos += copy_plain(data.get(pos..).unwrap_or_default(), out);
        match data.get(pos..) {
            Some([0xff, 0x00, ..]) => {
                out.push(0xff);
                pos += 2;
            }
            // A fill byte: the marker follows.
            Some([0xff, 0xff, ..]) => pos += 1,
            _ => break,
        }
    }
    out.extend_from_slice(&[0; PAD]);
    pos
}

/// Copies up to the first 0xFF, eight bytes at a time while there is none among them.
fn copy_plain(data: &[u8], out: &mut Vec<u8>) -> usize {
    let mut pos = 0;
    for chunk in data.chunks_exact(32) {
        if chunk.iter().fold(0u8, |any, &b| any | u8::from(b == 0xff)) != 0 {
            break;
        }
        out.extend_from_slice(chunk);
        pos += 32;
    }
    for &byte in data.get(pos..).unwrap_or_default() {
        if byte == 0xff {
            break;
        }
        out.push(byte);
        pos += 1;
    }
    pos
}

/// A bit reader over an unstuffed segment: the next bits stand leftmost in a 64-bit buffer.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    pos: usize,
    buffer: u64,
    /// Valid bits in `buffer`.
    count: u32,
}

impl<'a> Bits<'a> {
    /// Begins a segment as [`unstuff`] left it.
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, pos: 0, buffer: 0, count: 0 }
    }

    /// Fills the buffer to at least 56 bits.
    #[inline(always)]
    pub(super) fn refill(&mut self) -> Result<(), JpegError> {
        let next = self.data.get(self.pos..).and_then(<[u8]>::first_chunk::<8>);
        let Some(next) = next else { return Err(JpegError::Truncated) };
        self.buffer |= u64::from_be_bytes(*next) >> self.count;
        self.pos += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
        Ok(())
    }

    /// The next bits as an index into a look-up table.
    #[inline(always)]
    pub(super) fn look(&self) -> usize {
        (self.buffer >> (64 - super::huffman::LOOK)) as usize
    }

    /// The next `n` bits, 1 to 32.
    #[inline(always)]
    pub(super) fn peek(&self, n: u32) -> u32 {
        (self.buffer >> (64 - n)) as u32
    }

    /// Steps over `n` bits, at most 31 and no more than are in the buffer.
    #[inline(always)]
    pub(super) fn consume(&mut self, n: u32) {
        self.buffer <<= n & 63;
        self.count = self.count.wrapping_sub(n);
    }

    /// Takes `n` bits, 0 to 16.
    #[inline(always)]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        let value = self.peek(n);
        self.consume(n);
        value
    }

    /// Bits taken since the segment began.
    #[inline(always)]
    pub(super) fn taken(&self) -> usize {
        self.pos * 8 - self.count as usize
    }

    /// True when more was taken than the segment holds.
    pub(super) fn overrun(&self) -> bool {
        self.taken() > (self.data.len() - PAD) * 8
    }
}
