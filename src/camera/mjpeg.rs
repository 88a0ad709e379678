//! Finds JPEG images in a stream of bytes.
//!
//! Pure: whoever reads the stream (`files::stream`, `exec`) reads into
//! [`Splitter::space`] and asks [`Splitter::split`] for the frames; nothing is copied but the beginning
//! of an unfinished frame when the buffer wraps.
//!
//! An image is found by walking its marker segments by their lengths, then scanning its entropy-coded
//! data for the next marker; so a thumbnail inside a segment is never taken for a frame. What is not
//! an image is skipped and counted, and the search goes on behind it.
//!
//! Invariants: the buffer never exceeds the frame limit by more than one read; work is linear in the
//! input (a false start costs at most `MAX_SEGMENTS` steps); arbitrary bytes never panic.

use std::ops::Range;

/// Largest frame taken, in bytes: four times an uncompressed 4K frame.
pub const MAX_FRAME: usize = 64 << 20;

/// Free room offered for a read.
const READ: usize = 64 << 10;

/// More segments than any camera writes before its image data; bounds the cost of a false start.
const MAX_SEGMENTS: u32 = 256;

/// How long JPEG frames may be told apart in a byte stream.
#[derive(Debug)]
pub struct Splitter {
    buf: Vec<u8>,
    /// Bytes of `buf` that are filled.
    end: usize,
    /// Everything before is done with: lent or skipped.
    start: usize,
    /// Where the walk stands; `start <= pos <= end`.
    pos: usize,
    walk: Walk,
    limit: usize,
    skipped: u64,
    ended: bool,
}

/// Where in a JPEG image the walk stands.
#[derive(Clone, Copy, Debug)]
enum Walk {
    /// Not in an image: looking for its start.
    Seek,
    /// In front of a marker.
    Marker(Seen),
    /// In entropy-coded data.
    Scan,
}

/// What was passed on the way through a run of segments.
#[derive(Clone, Copy, Debug)]
struct Seen {
    segments: u32,
    frame_header: bool,
    scan: bool,
    /// Where to search on if this is no image: behind the first marker of the run, counted from the
    /// image's start. The next image may hide in what was taken for a segment.
    retry: usize,
}

/// One step of the walk.
enum Step {
    /// Go on in this state at this place.
    To(Walk, usize),
    /// The image ends before this place.
    Image(usize),
    /// More bytes are needed.
    More,
    /// No image; search on from this place.
    Broken(usize),
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new(MAX_FRAME)
    }
}

impl Splitter {
    /// A splitter that skips images larger than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buf: Vec::new(),
            end: 0,
            start: 0,
            pos: 0,
            walk: Walk::Seek,
            limit,
            skipped: 0,
            ended: false,
        }
    }

    /// Room for the next read, never empty. Ranges given before are void after this.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.pos -= self.start;
            (self.start, self.end) = (0, 0);
        } else if self.buf.len() - self.end < READ && self.start > self.buf.len() / 2 {
            self.buf.copy_within(self.start..self.end, 0);
            self.pos -= self.start;
            self.end -= self.start;
            self.start = 0;
        }
        if self.buf.len() - self.end < READ {
            let size = (self.buf.len() * 2).max(4 * READ).min(2 * self.limit + 4 * READ);
            self.buf.resize(size.max(self.end + READ), 0);
        }
        &mut self.buf[self.end..]
    }

    /// Says that the first `n` bytes of [`Splitter::space`] were filled.
    pub fn filled(&mut self, n: usize) {
        self.end = self.end.saturating_add(n).min(self.buf.len());
    }

    /// Says that nothing follows: an unfinished image at the end is skipped.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Begins a new stream, keeping the allocation.
    pub fn restart(&mut self) {
        (self.start, self.end, self.pos) = (0, 0, 0);
        self.walk = Walk::Seek;
        self.skipped = 0;
        self.ended = false;
    }

    /// Bytes of this stream skipped so far because they belong to no image.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The bytes of a range that [`Splitter::split`] gave.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buf.get(range).unwrap_or_default()
    }

    /// The next whole image, or `None` when more bytes are needed.
    pub fn split(&mut self) -> Option<Range<usize>> {
        loop {
            let bytes = &self.buf[..self.end];
            let mut step = match self.walk {
                Walk::Seek => seek(bytes, self.pos, self.ended),
                Walk::Marker(seen) => marker(bytes, self.start, self.pos, seen),
                Walk::Scan => scan(bytes, self.start, self.pos),
            };
            if self.ended && matches!(step, Step::More) {
                step = match self.walk {
                    Walk::Seek => Step::More,
                    Walk::Marker(seen) => Step::Broken(self.start + seen.retry),
                    Walk::Scan => Step::Broken(self.end),
                };
            }
            match step {
                Step::To(walk, pos) => self.go(walk, pos),
                Step::Image(end) if end - self.start <= self.limit => {
                    let image = self.start..end;
                    (self.start, self.pos, self.walk) = (end, end, Walk::Seek);
                    return Some(image);
                }
                Step::Image(pos) => self.skip_to(pos),
                Step::Broken(pos) => self.skip_to(pos),
                Step::More if self.end - self.start > self.limit => self.skip_to(self.end),
                Step::More => return None,
            }
        }
    }

    fn go(&mut self, walk: Walk, pos: usize) {
        if matches!(self.walk, Walk::Seek) {
            // `pos` is behind the two bytes of the start marker, or the search moved on.
            let start = if matches!(walk, Walk::Seek) { pos } else { pos - 2 };
            self.skipped += (start - self.start) as u64;
            self.start = start;
        }
        self.walk = walk;
        self.pos = pos;
    }

    fn skip_to(&mut self, pos: usize) {
        self.skipped += (pos - self.start) as u64;
        (self.start, self.pos, self.walk) = (pos, pos, Walk::Seek);
    }
}

/// Looks for `FF D8 FF`.
fn seek(bytes: &[u8], from: usize, ended: bool) -> Step {
    let mut pos = from;
    while let Some(found) = find_ff(bytes, pos) {
        match (bytes.get(found + 1), bytes.get(found + 2)) {
            (Some(0xD8), Some(0xFF)) => {
                let seen = Seen { segments: 0, frame_header: false, scan: false, retry: 2 };
                return Step::To(Walk::Marker(seen), found + 2);
            }
            (None, _) | (Some(0xD8), None) if !ended => {
                return if found > from { Step::To(Walk::Seek, found) } else { Step::More };
            }
            _ => pos = found + 1,
        }
    }
    if bytes.len() > from { Step::To(Walk::Seek, bytes.len()) } else { Step::More }
}

/// Reads the marker at `pos` of the image that begins at `start`.
fn marker(bytes: &[u8], start: usize, pos: usize, mut seen: Seen) -> Step {
    let broken = Step::Broken((start + seen.retry).min(bytes.len()));
    let (Some(&first), Some(&code)) = (bytes.get(pos), bytes.get(pos + 1)) else {
        return Step::More;
    };
    seen.segments += 1;
    if first != 0xFF || seen.segments > MAX_SEGMENTS {
        return broken;
    }
    match code {
        // Fill bytes may stand in front of a marker.
        0xFF => Step::To(Walk::Marker(seen), pos + 1),
        0xD9 if seen.scan => Step::Image(pos + 2),
        0x00..=0xBF | 0xD0..=0xD9 => broken,
        _ => {
            let (Some(&high), Some(&low)) = (bytes.get(pos + 2), bytes.get(pos + 3)) else {
                return Step::More;
            };
            let next = pos + 2 + usize::from(u16::from_be_bytes([high, low]));
            seen.frame_header |= is_frame_header(code);
            if next < pos + 4 || (code == 0xDA && !seen.frame_header) {
                broken
            } else if next > bytes.len() {
                Step::More
            } else if code == 0xDA {
                Step::To(Walk::Scan, next)
            } else {
                Step::To(Walk::Marker(seen), next)
            }
        }
    }
}

/// Passes over entropy-coded data: stuffed bytes and restart markers belong to it.
fn scan(bytes: &[u8], start: usize, from: usize) -> Step {
    let mut pos = from;
    while let Some(found) = find_ff(bytes, pos) {
        match bytes.get(found + 1) {
            Some(0x00 | 0xD0..=0xD7) => pos = found + 2,
            Some(0xFF) => pos = found + 1,
            Some(0xD8) => return Step::Broken(found),
            Some(_) => {
                let retry = found + 2 - start;
                let seen = Seen { segments: 0, frame_header: true, scan: true, retry };
                return Step::To(Walk::Marker(seen), found);
            }
            None => return if found > from { Step::To(Walk::Scan, found) } else { Step::More },
        }
    }
    if bytes.len() > from { Step::To(Walk::Scan, bytes.len()) } else { Step::More }
}

/// SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC) among them.
fn is_frame_header(code: u8) -> bool {
    matches!(code, 0xC0..=0xCF) && !matches!(code, 0xC4 | 0xC8 | 0xCC)
}

/// Position of the next `FF`, eight bytes at a time: every byte of a stream passes here.
fn find_ff(bytes: &[u8], from: usize) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let rest = bytes.get(from..)?;
    let (words, tail) = rest.as_chunks::<8>();
    let holds_ff = |word: &[u8; 8]| {
        let inverted = !u64::from_ne_bytes(*word);
        inverted.wrapping_sub(LOW) & !inverted & HIGH != 0
    };
    let at = words.iter().position(holds_ff).map_or(rest.len() - tail.len(), |i| i * 8);
    rest.get(at..)?.iter().position(|&b| b == 0xFF).map(|i| from + at + i)
}

/// Width and height that the frame header of a JPEG image tells, if it has one and they are not zero.
#[must_use]
pub fn dimensions(jpeg: &[u8]) -> Option<(u32, u32)> {
    if !jpeg.starts_with(&[0xFF, 0xD8]) {
        return None;
    }
    let mut pos = 2;
    for _ in 0..MAX_SEGMENTS {
        let head = jpeg.get(pos..)?;
        match *head {
            [0xFF, 0xFF, ..] => pos += 1,
            [0xFF, code, _, _, _, h1, h0, w1, w0, ..] if is_frame_header(code) => {
                let size = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
                return (size.0 > 0 && size.1 > 0).then(|| (size.0.into(), size.1.into()));
            }
            [0xFF, 0x01..=0xBF | 0xC4..=0xCF | 0xDB..=0xFE, high, low, ..] => {
                pos += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
#[path = "mjpeg_tests.rs"]
pub(super) mod tests;
