//! Reads the frames of an MJPEG AVI file, one chunk after the other.
//!
//! The file is walked flat: every RIFF and LIST header is stepped into and its length ignored, so the
//! recordings of a camera that lost power (lengths 0 or too large, no index), OpenDML files (`RIFF
//! AVIX` behind the first gigabyte) and `rec ` lists need no cases of their own. The index is not used.
//!
//! Generic over the reader; all that is known of a file is checked, and nothing is allocated before
//! the bytes for it have been read.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::super::mjpeg::MAX_FRAME;
use super::Step;

/// Longest header list that is searched for the stream's description.
const MAX_HEADER_CHUNKS: u32 = 10_000;

/// Largest header chunk that is read; all of ours have a fixed part of at most 56 bytes.
const HEADER_BYTES: u64 = 256;

/// What the headers say about the video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Video {
    /// Number of the stream, as written in front of its chunks.
    stream: u8,
    /// Codec as the stream's format names it.
    codec: [u8; 4],
    /// Frames a second.
    pub(super) fps: f64,
}

/// Why an AVI file cannot be played.
#[derive(Debug)]
pub(super) enum AviError {
    /// It has a video stream of another codec.
    Codec(String),
    /// It is not a whole AVI file: the reason.
    Broken(&'static str),
    /// It could not be read.
    Io(io::Error),
}

impl From<io::Error> for AviError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An AVI file, open at its next chunk.
#[derive(Debug)]
pub(super) struct Avi<R: Read + Seek> {
    // Small, because a frame goes past it: only what was read ahead of a chunk header is copied.
    file: BufReader<R>,
    video: Video,
    first_chunk: u64,
    frame: Vec<u8>,
}

/// A chunk's name and length; for lists the name is that of the list and the length is 0.
type Header = ([u8; 4], u32);

impl<R: Read + Seek> Avi<R> {
    /// Reads the headers up to the first frame.
    pub(super) fn open(file: R) -> Result<Self, AviError> {
        let mut file = BufReader::with_capacity(256, file);
        let video = read_headers(&mut file)?;
        if !video.codec.eq_ignore_ascii_case(b"MJPG") {
            return Err(AviError::Codec(printable(video.codec)));
        }
        let first_chunk = file.stream_position()?;
        Ok(Self { file, video, first_chunk, frame: Vec::new() })
    }

    /// What the headers say.
    pub(super) fn video(&self) -> Video {
        self.video
    }

    /// The frame that the last [`Step::Frame`] announced.
    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Back to the first frame.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.first_chunk)).map(drop)
    }

    /// Goes to the next chunk of the video.
    pub(super) fn advance(&mut self) -> io::Result<Step> {
        while let Some((name, len)) = next_header(&mut self.file)? {
            if !self.is_frame(name) {
                skip(&mut self.file, len)?;
            } else if len == 0 {
                return Ok(Step::Dropped);
            } else if len as usize > MAX_FRAME {
                skip(&mut self.file, len)?;
                return Ok(Step::Bad("larger than any frame"));
            } else {
                return self.read_frame(len);
            }
        }
        Ok(Step::End)
    }

    fn read_frame(&mut self, len: u32) -> io::Result<Step> {
        self.frame.clear();
        let got = (&mut self.file).take(u64::from(len)).read_to_end(&mut self.frame)?;
        if got < len as usize {
            return Ok(Step::Bad("the file ends within this frame"));
        }
        if len % 2 == 1 {
            self.file.seek_relative(1)?;
        }
        Ok(if self.frame.starts_with(&[0xFF, 0xD8]) {
            Step::Frame
        } else {
            Step::Bad("not a JPEG image")
        })
    }

    /// `##dc` (compressed) or `##db` (as some cameras write it) with our stream's number.
    fn is_frame(&self, name: [u8; 4]) -> bool {
        let stream = self.video.stream;
        name[..2] == [b'0' + stream / 10, b'0' + stream % 10]
            && matches!(name[2..], [b'd', b'c' | b'b'])
    }
}

/// Walks the header lists up to the frames, and describes the first video stream.
fn read_headers<R: Read + Seek>(file: &mut BufReader<R>) -> Result<Video, AviError> {
    let mut main_rate = None;
    let mut streams = 0u8;
    let mut video: Option<Video> = None;
    let mut current_is_video = false;
    for _ in 0..MAX_HEADER_CHUNKS {
        let Some((name, len)) = next_header(file)? else { break };
        match &name {
            b"avih" => main_rate = microseconds(&fixed_part(file, len)?),
            b"strh" => {
                let strh = fixed_part(file, len)?;
                current_is_video = video.is_none() && strh.starts_with(b"vids");
                if current_is_video {
                    video = Some(describe(&strh, streams));
                }
                streams = streams.saturating_add(1).min(99);
            }
            b"strf" => {
                let strf = fixed_part(file, len)?;
                if let (true, Some(video), Some(codec)) =
                    (current_is_video, &mut video, four(&strf, 16))
                {
                    video.codec = codec;
                }
            }
            b"movi" => {
                let mut video = video.ok_or(AviError::Broken("has no video stream"))?;
                if !usable(video.fps) {
                    video.fps = main_rate.filter(|&fps| usable(fps)).unwrap_or(25.0);
                }
                return Ok(video);
            }
            _ => skip(file, len)?,
        }
    }
    Err(AviError::Broken("ends before its first frame"))
}

/// What a stream header says; the format that follows it has the last word on the codec.
fn describe(strh: &[u8], stream: u8) -> Video {
    let number = |at| four(strh, at).map_or(0, u32::from_le_bytes);
    let fps = f64::from(number(24)) / f64::from(number(20));
    Video { stream, codec: four(strh, 4).unwrap_or_default(), fps }
}

/// The main header's rate, from microseconds a frame.
fn microseconds(avih: &[u8]) -> Option<f64> {
    four(avih, 0).map(|us| 1e6 / f64::from(u32::from_le_bytes(us)))
}

fn usable(fps: f64) -> bool {
    (0.01..=1000.0).contains(&fps)
}

/// The next chunk or list, or `None` at the end of what can be understood.
fn next_header<R: Read + Seek>(file: &mut BufReader<R>) -> io::Result<Option<Header>> {
    let Some(name) = read_four(file)? else { return Ok(None) };
    let Some(len) = read_four(file)? else { return Ok(None) };
    if &name == b"RIFF" || &name == b"LIST" {
        return Ok(read_four(file)?.map(|list| (list, 0)));
    }
    // Zeros or noise after the last chunk: what a recorder preallocated and never filled.
    let text = name.iter().all(|b| (0x20..0x7F).contains(b));
    Ok(text.then(|| (name, u32::from_le_bytes(len))))
}

fn read_four<R: Read>(file: &mut R) -> io::Result<Option<[u8; 4]>> {
    let mut four = [0; 4];
    match file.read_exact(&mut four) {
        Ok(()) => Ok(Some(four)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the beginning of a header chunk and goes to its end.
fn fixed_part<R: Read + Seek>(file: &mut BufReader<R>, len: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let got = file.take(u64::from(len).min(HEADER_BYTES)).read_to_end(&mut bytes)?;
    file.seek_relative(padded(len) - got as i64)?;
    Ok(bytes)
}

fn skip<R: Read + Seek>(file: &mut BufReader<R>, len: u32) -> io::Result<()> {
    file.seek_relative(padded(len))
}

/// Chunks begin at even offsets.
fn padded(len: u32) -> i64 {
    i64::from(len) + i64::from(len % 2)
}

fn four(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn printable(codec: [u8; 4]) -> String {
    if codec == [0; 4] {
        return "uncompressed RGB".into();
    }
    codec.escape_ascii().to_string()
}

#[cfg(test)]
#[path = "avi_tests.rs"]
pub(super) mod tests;
