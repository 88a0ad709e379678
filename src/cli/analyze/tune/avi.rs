//! Writes Motion JPEG as an AVI with an index: the one film that every player reads and that needs no
//! encoder beside the JPEG one.
//!
//! ```text
//! RIFF AVI ┬ LIST hdrl ┬ avih            counts and sizes: written at the end into their place
//!          │           └ LIST strl ─ strh, strf
//!          ├ LIST movi ─ 00dc, 00dc, …   one JPEG each, filled up to an even length
//!          └ idx1                        where each begins
//! ```
//!
//! By Microsoft's "AVI RIFF File Reference". Bounded by [`MOST_BYTES`], far below the format's 2 GB; a frame
//! that would go beyond is refused, and the file is whole all the same.

use std::io::{self, Seek, SeekFrom, Write};

/// Most bytes of frames in a file.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// Frames a second are written as so many thousandths.
const SCALE: u32 = 1000;
/// The file has an index; each frame stands by itself.
const HAS_INDEX: u32 = 0x10;
const KEY_FRAME: u32 = 0x10;
/// Bytes before the first frame's chunk: the header below is as long for any numbers.
const HEAD: usize = 12 + HDRL + 12;
const HDRL: usize = 12 + 8 + 56 + 12 + 8 + 56 + 8 + 40;

/// An AVI file that is being written.
#[derive(Debug)]
pub(super) struct Writer<W: Write + Seek> {
    out: W,
    size: (u32, u32),
    rate: u32,
    /// Of each frame: its place behind `movi`, and its length.
    index: Vec<(u32, u32)>,
    end: u32,
    most: u64,
}

impl<W: Write + Seek> Writer<W> {
    /// Begins a file of frames of this size, shown at so many a second.
    pub(super) fn new(mut out: W, size: (u32, u32), fps: f64) -> io::Result<Self> {
        let rate = (fps * f64::from(SCALE)).round().clamp(1.0, 1e6) as u32;
        out.write_all(&[0; HEAD])?;
        Ok(Self { out, size, rate, index: Vec::new(), end: 4, most: MOST_BYTES })
    }

    /// Adds a JPEG; false, and nothing is written, where the file is full.
    pub(super) fn add(&mut self, jpeg: &[u8]) -> io::Result<bool> {
        let padded = jpeg.len() + jpeg.len() % 2;
        if u64::from(self.end) + padded as u64 + 8 > self.most {
            return Ok(false);
        }
        let length = jpeg.len() as u32; // bounded by the line above
        self.out.write_all(b"00dc")?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(jpeg)?;
        self.out.write_all(&[0; 1][..jpeg.len() % 2])?;
        self.index.push((self.end, length));
        self.end += padded as u32 + 8;
        Ok(true)
    }

    /// Width and height of its frames.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.size.0 as usize, self.size.1 as usize)
    }

    /// Frames so far.
    pub(super) fn frames(&self) -> usize {
        self.index.len()
    }

    /// Writes the index and the numbers at the front.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let index = self.index.iter().flat_map(|&(at, length)| {
            [u32::from_le_bytes(*b"00dc"), KEY_FRAME, at, length].map(u32::to_le_bytes).concat()
        });
        let index: Vec<u8> = index.collect();
        self.out.write_all(&chunk(b"idx1", &index))?;
        self.out.seek(SeekFrom::Start(0))?;
        let head = self.head(index.len() as u32);
        self.out.write_all(&head)?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// All that stands before the first frame.
    fn head(&self, index: u32) -> Vec<u8> {
        let (width, height) = self.size;
        let frames = self.index.len() as u32;
        let largest = self.index.iter().map(|(_, length)| *length).max().unwrap_or(0);
        let micros = (1e6 * f64::from(SCALE) / f64::from(self.rate)) as u32;
        let main = [micros, 0, 0, HAS_INDEX, frames, 0, 1, largest, width, height, 0, 0, 0, 0];
        let stream: Vec<u8> = [
            b"vidsMJPG".as_slice(),
            &words(&[0, 0, 0, SCALE, self.rate, 0, frames, largest, u32::MAX, 0]),
            &[0; 4],
            &[width, height].map(|side| (side.min(0xFFFF) as u16).to_le_bytes()).concat(),
        ]
        .concat();
        let image =
            [40, width, height, 1 | 24 << 16, u32::from_le_bytes(*b"MJPG"), width * height * 3];
        let image = [image.as_slice(), &[0; 4]].concat();
        let strl =
            list(b"strl", &[chunk(b"strh", &stream), chunk(b"strf", &words(&image))].concat());
        let hdrl = list(b"hdrl", &[chunk(b"avih", &words(&main)), strl].concat());
        let length = (HEAD - 8) as u32 + self.end - 4 + 8 + index;
        [
            b"RIFF".as_slice(),
            &length.to_le_bytes(),
            b"AVI ",
            &hdrl,
            b"LIST",
            &self.end.to_le_bytes(),
            b"movi",
        ]
        .concat()
    }
}

fn words(of: &[u32]) -> Vec<u8> {
    of.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    [kind.as_slice(), &(data.len() as u32).to_le_bytes(), data].concat()
}

fn list(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    chunk(b"LIST", &[kind.as_slice(), data].concat())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn number(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    fn file(frames: &[Vec<u8>], fps: f64) -> Vec<u8> {
        let mut writer = Writer::new(Cursor::new(Vec::new()), (640, 360), fps).unwrap();
        assert!(frames.iter().all(|frame| writer.add(frame).unwrap()));
        writer.finish().unwrap().into_inner()
    }

    /// Walks the chunks by their own lengths, as a player does.
    fn chunks(bytes: &[u8], mut at: usize, end: usize) -> Vec<(String, usize, usize)> {
        let mut found = Vec::new();
        while at < end {
            let kind = String::from_utf8(bytes[at..at + 4].to_vec()).unwrap();
            let length = number(bytes, at + 4);
            found.push((kind, at + 8, length));
            at += 8 + length + length % 2;
        }
        assert_eq!(at, end, "lengths add up");
        found
    }

    #[test]
    fn lengths_add_up_and_the_index_points_at_every_frame() {
        let frames: Vec<Vec<u8>> = (0..5_u8).map(|i| vec![i; 101 + usize::from(i)]).collect();
        let bytes = file(&frames, 12.5);
        assert_eq!(number(&bytes, 4), bytes.len() - 8);
        let top = chunks(&bytes, 12, bytes.len());
        let kinds: Vec<_> = top.iter().map(|(kind, ..)| kind.as_str()).collect();
        assert_eq!(kinds, ["LIST", "LIST", "idx1"]);
        let (movi, index) = (&top[1], &top[2]);
        assert_eq!(&bytes[movi.1..movi.1 + 4], b"movi");
        let found = chunks(&bytes, movi.1 + 4, movi.1 + movi.2);
        assert_eq!(found.len(), 5);
        assert_eq!(index.2, 16 * 5);
        for (i, (kind, at, length)) in found.iter().enumerate() {
            assert_eq!((kind.as_str(), &bytes[*at..at + length]), ("00dc", frames[i].as_slice()));
            let entry = index.1 + 16 * i;
            assert_eq!(&bytes[entry..entry + 4], b"00dc");
            assert_eq!(number(&bytes, entry + 8) + movi.1, at - 8, "place behind `movi`");
            assert_eq!(number(&bytes, entry + 12), *length);
        }
    }

    #[test]
    fn the_head_tells_size_rate_and_number_of_frames() {
        let bytes = file(&vec![vec![7; 10]; 3], 12.5);
        let avih = 12 + 12 + 8;
        assert_eq!(number(&bytes, avih), 80_000);
        assert_eq!(number(&bytes, avih + 16), 3);
        assert_eq!((number(&bytes, avih + 32), number(&bytes, avih + 36)), (640, 360));
        let strh = avih + 56 + 12 + 8;
        assert_eq!(&bytes[strh..strh + 8], b"vidsMJPG");
        assert_eq!((number(&bytes, strh + 20), number(&bytes, strh + 24)), (1000, 12_500));
        assert_eq!(number(&bytes, strh + 32), 3);
    }

    #[test]
    fn a_full_file_refuses_frames_and_is_whole() {
        let mut writer = Writer::new(Cursor::new(Vec::new()), (64, 64), 5.0).unwrap();
        writer.most = 1000;
        let taken = (0..20).filter(|_| writer.add(&[1; 93]).unwrap()).count();
        assert_eq!((taken, writer.frames()), (9, 9));
        let bytes = writer.finish().unwrap().into_inner();
        assert_eq!(number(&bytes, 4), bytes.len() - 8);
        assert_eq!(chunks(&bytes, 12, bytes.len()).len(), 3);
    }
}
