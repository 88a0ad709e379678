//! Entropy-coded bytes: taking out the stuffing, and reading bits.
//!
//! A restart segment is unstuffed into a buffer first, because a bit reader that need not look for
//! 0xFF fills itself with one 8-byte load. [`PAD`] zero bytes follow, so that the reader may look
//! beyond the end of a good segment; one that runs on is stopped by the buffer's end.

use super::JpegError;

/// Zero bytes behind a segment. A filled buffer holds up to 8 bytes that were not asked for, the load that
/// fills it reads 8, and 8 more let a block end that began within the segment.
pub(super) const PAD: usize = 24;

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

/// Copies up to the first 0xFF, and tells how many bytes that were: 32 at a time, of which those from an
/// 0xFF on are taken back.
fn copy_plain(data: &[u8], out: &mut Vec<u8>) -> usize {
    let mut pos = 0;
    let (chunks, rest) = data.as_chunks::<32>();
    for chunk in chunks {
        out.extend_from_slice(chunk);
        if chunk.iter().fold(0u8, |any, &b| any | u8::from(b == 0xff)) != 0 {
            let plain = plain_bytes(chunk);
            out.truncate(out.len() - 32 + plain);
            return pos + plain;
        }
        pos += 32;
    }
    let plain = plain_bytes(rest);
    out.extend_from_slice(rest.get(..plain).unwrap_or_default());
    pos + plain
}

/// Bytes before the first 0xFF.
fn plain_bytes(data: &[u8]) -> usize {
    let (words, rest) = data.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let zeros = !u64::from_le_bytes(*word);
        // The lowest marked byte is the first that is zero; a borrow may only mark some above it.
        let marked = zeros.wrapping_sub(0x0101_0101_0101_0101) & !zeros & 0x8080_8080_8080_8080;
        if marked != 0 {
            return at * 8 + marked.trailing_zeros() as usize / 8;
        }
    }
    words.len() * 8 + rest.iter().take_while(|&&byte| byte != 0xff).count()
}

/// A bit reader over an unstuffed segment: the next bits stand leftmost in a 64-bit buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    pos: usize,
    buffer: u64,
    /// The low 6 bits are the number of valid bits in `buffer`; what stands above them means nothing.
    valid: u32,
}

impl<'a> Bits<'a> {
    /// Begins a segment as [`unstuff`] left it.
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, pos: 0, buffer: 0, valid: 0 }
    }

    /// Fills the buffer to at least 56 bits.
    #[inline(always)]
    pub(super) fn refill(&mut self) -> Result<(), JpegError> {
        let next = self.data.get(self.pos..).and_then(<[u8]>::first_chunk::<8>);
        let Some(next) = next else { return Err(JpegError::Truncated) };
        let valid = self.valid & 63;
        self.buffer |= u64::from_be_bytes(*next) >> valid;
        self.pos += ((63 - valid) >> 3) as usize;
        self.valid = valid | 56;
        Ok(())
    }

    /// The next `n` bits, 1 to 32.
    #[inline(always)]
    pub(super) fn peek(&self, n: u32) -> u32 {
        (self.buffer >> (64 - n)) as u32
    }

    /// Steps over as many bits as the low 6 bits of `n` tell, at most 31 and no more than are in the
    /// buffer. What stands above them is not looked at, so that it need not be cut off.
    #[inline(always)]
    pub(super) fn consume(&mut self, n: u32) {
        self.buffer <<= n & 63;
        self.valid = self.valid.wrapping_sub(n);
    }

    /// Takes `n` bits, 0 to 16.
    pub(super) fn take(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        let value = self.peek(n);
        self.consume(n);
        value
    }

    /// How many bits more were taken than the segment holds.
    pub(super) fn overrun(&self) -> usize {
        let taken = self.pos * 8 - (self.valid & 63) as usize;
        taken.saturating_sub((self.data.len() - PAD) * 8)
    }
}
