//! The markers of a JPEG: everything that stands before and between the entropy-coded scans.
//!
//! Called by [`super::DcReader`] and [`super::header`]. Segments of no interest (APPn, COM, and
//! whatever a camera invents) are stepped over by their length. Nothing is trusted: every length and
//! index is checked, and a damaged header is an error, never a panic.

use super::JpegError;
use super::huffman::{Spec, standard};

/// A cursor over the file, marker by marker.
#[derive(Debug)]
pub(super) struct Markers<'a> {
    data: &'a [u8],
    pos: usize,
}

/// One marker and what belongs to it (empty for markers without a segment).
#[derive(Debug)]
pub(super) struct Segment<'a> {
    /// The byte after 0xFF.
    pub(super) marker: u8,
    /// The segment's payload, without its length field.
    pub(super) body: &'a [u8],
}

pub(super) const EOI: u8 = 0xd9;
pub(super) const SOS: u8 = 0xda;

impl<'a> Markers<'a> {
    /// Begins after SOI.
    pub(super) fn new(data: &'a [u8]) -> Result<Self, JpegError> {
        match data {
            [0xff, 0xd8, ..] => Ok(Self { data, pos: 2 }),
            _ => Err(JpegError::NotJpeg),
        }
    }

    /// The next marker. Fill bytes, and stray bytes between segments, are stepped over as libjpeg does.
    pub(super) fn next(&mut self) -> Result<Segment<'a>, JpegError> {
        let marker = self.next_code()?;
        if matches!(marker, 0x01 | 0xd0..=0xd9) {
            return Ok(Segment { marker, body: &[] });
        }
        let rest = self.data.get(self.pos..).ok_or(JpegError::Truncated)?;
        let [hi, lo, ..] = rest else { return Err(JpegError::Truncated) };
        let len = usize::from(u16::from_be_bytes([*hi, *lo]));
        if len < 2 {
            return Err(JpegError::Corrupt("segment length below 2"));
        }
        let body = rest.get(2..len).ok_or(JpegError::Truncated)?;
        self.pos += len;
        Ok(Segment { marker, body })
    }

    fn next_code(&mut self) -> Result<u8, JpegError> {
        let mut after_ff = false;
        while let Some(&byte) = self.data.get(self.pos) {
            self.pos += 1;
            match byte {
                0xff => after_ff = true,
                0x00 => after_ff = false,
                code if after_ff => return Ok(code),
                _ => {}
            }
        }
        Err(JpegError::Truncated)
    }

    /// Where the cursor stands: after a scan header, the first entropy-coded byte.
    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    /// Moves on past entropy-coded bytes that the scan decoder has taken or does not want; the next
    /// marker that is no restart marker is found from there.
    pub(super) fn skip_entropy_from(&mut self, pos: usize) {
        self.pos = pos;
        while let Some(&[a, b]) = self.data.get(self.pos..self.pos + 2) {
            if a == 0xff && !matches!(b, 0x00 | 0xff | 0xd0..=0xd7) {
                return;
            }
            self.pos += 1;
        }
    }
}

/// One colour component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Horizontal and vertical sampling factor, 1 to 4.
    pub(super) h: usize,
    pub(super) v: usize,
    /// Quantisation table, 0 to 3.
    pub(super) quant: usize,
}

/// The start-of-frame segment of a picture we can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) width: usize,
    pub(super) height: usize,
    /// One (grey) or three (YCbCr) components; the first is luma.
    components: [Component; 3],
    count: usize,
}

impl FrameHeader {
    /// Reads a start-of-frame segment, or says why such a picture is not read.
    pub(super) fn parse(segment: &Segment<'_>) -> Result<Self, JpegError> {
        match segment.marker {
            0xc0 | 0xc1 => {}
            0xc2 => return Err(JpegError::Progressive),
            0xc3 => return Err(JpegError::Lossless),
            0xc9..=0xcf => return Err(JpegError::Arithmetic),
            _ => return Err(JpegError::Unsupported("hierarchical coding")),
        }
        let [precision, h1, h0, w1, w0, count, rest @ ..] = segment.body else {
            return Err(JpegError::Corrupt("short frame header"));
        };
        if *precision != 8 {
            return Err(JpegError::Precision(*precision));
        }
        let mut frame = Self {
            width: usize::from(u16::from_be_bytes([*w1, *w0])),
            height: usize::from(u16::from_be_bytes([*h1, *h0])),
            components: [Component::default(); 3],
            count: usize::from(*count),
        };
        match (frame.width, frame.height) {
            (0, _) => return Err(JpegError::Corrupt("empty picture")),
            // Told by a DNL segment behind the first scan, which libjpeg does not read either.
            (_, 0) => return Err(JpegError::Unsupported("its height told after the scan")),
            _ => {}
        }
        if !matches!(frame.count, 1 | 3) {
            return Err(JpegError::Unsupported("neither grey nor three components"));
        }
        if rest.len() != frame.count * 3 {
            return Err(JpegError::Corrupt("frame header length"));
        }
        for (component, bytes) in frame.components.iter_mut().zip(rest.chunks_exact(3)) {
            *component = Component::parse(bytes)?;
        }
        frame.check()?;
        Ok(frame)
    }

    fn check(&self) -> Result<(), JpegError> {
        let (h, v) = self.max_sampling();
        let luma = self.luma();
        if (luma.h, luma.v) != (h, v) {
            return Err(JpegError::Unsupported("luma sampled coarser than chroma"));
        }
        Ok(())
    }

    pub(super) fn components(&self) -> &[Component] {
        self.components.get(..self.count).unwrap_or_default()
    }

    pub(super) fn luma(&self) -> Component {
        self.components[0]
    }

    pub(super) fn max_sampling(&self) -> (usize, usize) {
        let c = self.components();
        let h = c.iter().map(|c| c.h).max().unwrap_or(1);
        let v = c.iter().map(|c| c.v).max().unwrap_or(1);
        (h, v)
    }
}

impl Component {
    fn parse(bytes: &[u8]) -> Result<Self, JpegError> {
        let &[id, hv, quant] = bytes else { return Err(JpegError::Corrupt("component")) };
        let (h, v) = (usize::from(hv >> 4), usize::from(hv & 15));
        if !(1..=4).contains(&h) || !(1..=4).contains(&v) || quant > 3 {
            return Err(JpegError::Corrupt("component"));
        }
        Ok(Self { id, h, v, quant: usize::from(quant) })
    }
}

/// What the application segments say of the colours. libjpeg's rules (`default_decompress_parms`): one
/// component is grey whatever they say; JFIF means YCbCr; else Adobe's marker decides; else the names of
/// the components.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Colours {
    jfif: bool,
    /// The transform in Adobe's marker: 0 for none.
    adobe: Option<u8>,
}

impl Colours {
    /// Looks at an APP0 or APP14 segment; others say nothing.
    pub(super) fn take(&mut self, segment: &Segment<'_>) {
        match (segment.marker, segment.body) {
            (0xe0, body @ [b'J', b'F', b'I', b'F', 0, ..]) if body.len() >= 14 => self.jfif = true,
            (0xee, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => {
                self.adobe = Some(*transform);
            }
            _ => {}
        }
    }

    /// Refuses a picture whose first component is no luma.
    pub(super) fn check(self, frame: &FrameHeader) -> Result<(), JpegError> {
        let named = frame.count == 3 && frame.components.map(|c| c.id) == *b"RGB";
        let rgb = match (self.jfif, self.adobe) {
            (true, _) => false,
            (false, Some(transform)) => frame.count == 3 && transform == 0,
            (false, None) => named,
        };
        if rgb { Err(JpegError::Unsupported("RGB colours")) } else { Ok(()) }
    }
}

/// Everything the segments before a scan can set.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    /// Quantiser steps in zigzag order.
    pub(super) quant: [Option<[u16; 64]>; 4],
    pub(super) dc: [Spec; 4],
    pub(super) ac: [Spec; 4],
    /// MCUs between restart markers; 0 for none.
    pub(super) restart: usize,
    pub(super) colours: Colours,
}

impl Tables {
    /// The state at SOI: UVC cameras leave the Huffman tables out and mean those of the standard.
    pub(super) fn new() -> Self {
        Self {
            quant: [None; 4],
            dc: [standard::DC_LUMA, standard::DC_CHROMA, Spec::EMPTY, Spec::EMPTY],
            ac: [standard::AC_LUMA, standard::AC_CHROMA, Spec::EMPTY, Spec::EMPTY],
            restart: 0,
            colours: Colours::default(),
        }
    }

    /// Takes a DQT, DHT, DRI, APP0 or APP14 segment; others are ignored.
    pub(super) fn take(&mut self, segment: &Segment<'_>) -> Result<(), JpegError> {
        match segment.marker {
            0xdb => self.take_quant(segment.body),
            0xc4 => self.take_huffman(segment.body),
            0xcc => Err(JpegError::Arithmetic),
            0xdd => {
                let &[hi, lo] = segment.body else { return Err(JpegError::Corrupt("DRI")) };
                self.restart = usize::from(u16::from_be_bytes([hi, lo]));
                Ok(())
            }
            _ => {
                self.colours.take(segment);
                Ok(())
            }
        }
    }

    fn take_quant(&mut self, mut body: &[u8]) -> Result<(), JpegError> {
        const BAD: JpegError = JpegError::Corrupt("DQT");
        while let [head, rest @ ..] = body {
            let (wide, id) = (usize::from(head >> 4), usize::from(head & 15));
            let slot = self.quant.get_mut(id).ok_or(BAD)?;
            let bytes = rest.get(..64 * (1 + wide.min(1))).ok_or(BAD)?;
            let mut table = [0u16; 64];
            for (i, step) in table.iter_mut().enumerate() {
                *step = match wide {
                    0 => u16::from(bytes[i]),
                    _ => u16::from_be_bytes([bytes[2 * i], bytes[2 * i + 1]]),
                };
            }
            *slot = Some(table);
            body = &rest[bytes.len()..];
        }
        Ok(())
    }

    fn take_huffman(&mut self, mut body: &[u8]) -> Result<(), JpegError> {
        while let [head, rest @ ..] = body {
            let (spec, used) = Spec::parse(rest)?;
            let slot = match head >> 4 {
                0 => self.dc.get_mut(usize::from(head & 15)),
                1 => self.ac.get_mut(usize::from(head & 15)),
                _ => None,
            };
            *slot.ok_or(JpegError::Corrupt("DHT"))? = spec;
            body = rest.get(used..).ok_or(JpegError::Corrupt("DHT"))?;
        }
        Ok(())
    }
}

/// A component's part in a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanComponent {
    /// Index into [`FrameHeader::components`]; 0 is luma.
    pub(super) index: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// A start-of-scan segment: its components in order.
#[derive(Debug)]
pub(super) struct ScanHeader {
    components: [ScanComponent; 3],
    count: usize,
}

impl ScanHeader {
    pub(super) fn parse(body: &[u8], frame: &FrameHeader) -> Result<Self, JpegError> {
        const BAD: JpegError = JpegError::Corrupt("scan header");
        let [count, rest @ ..] = body else { return Err(BAD) };
        let count = usize::from(*count);
        if !(1..=frame.components().len()).contains(&count) || rest.len() != count * 2 + 3 {
            return Err(BAD);
        }
        let mut scan = Self { components: [ScanComponent { index: 0, dc: 0, ac: 0 }; 3], count };
        let mut from = 0;
        for (out, pair) in scan.components.iter_mut().zip(rest.chunks_exact(2).take(count)) {
            // The standard has components in the order of the frame header; so one is not met twice.
            let found = frame.components().iter().skip(from).position(|c| c.id == pair[0]);
            let index = from + found.ok_or(BAD)?;
            let (dc, ac) = (usize::from(pair[1] >> 4), usize::from(pair[1] & 15));
            if dc > 3 || ac > 3 {
                return Err(BAD);
            }
            *out = ScanComponent { index, dc, ac };
            from = index + 1;
        }
        Ok(scan)
    }

    pub(super) fn components(&self) -> &[ScanComponent] {
        self.components.get(..self.count).unwrap_or_default()
    }
}
