//! The header of a JPEG that can be edited block by block.

use super::Refused;
use super::codes::{Decoder, Spec};
use crate::still::passthrough::STANDARD_DHT;

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;
const DHT: u8 = 0xC4;
const DRI: u8 = 0xDD;
const APP0: u8 = 0xE0;
const APP14: u8 = 0xEE;
const COM: u8 = 0xFE;

/// JFIF 1.01, no density, no thumbnail.
const JFIF: [u8; 18] = *b"\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00";

/// A JPEG of one interleaved baseline scan.
pub(in crate::still) struct Plain<'a> {
    pub(super) jpeg: &'a [u8],
    /// Width and height in pixels.
    pub(in crate::still) size: (usize, usize),
    /// Pixels of an MCU, across and down.
    pub(in crate::still) mcu: (usize, usize),
    /// MCUs of the picture.
    pub(super) mcus: (usize, usize),
    pub(super) components: Vec<Component>,
    /// MCUs between restart markers; 0 for none.
    pub(super) restart: usize,
    /// Where the codes begin.
    pub(super) scan: usize,
    quantisers: [Option<[u16; 64]>; 4],
    specs: [[Option<(Spec, Decoder)>; 4]; 2],
    /// Frame header and quantisation tables, whole segments.
    kept: Vec<&'a [u8]>,
    /// The scan header's body.
    scan_header: &'a [u8],
}

pub(super) struct Component {
    id: u8,
    /// Blocks of an MCU, across and down.
    pub(super) blocks: (usize, usize),
    quantiser: u8,
    tables: (u8, u8),
}

impl<'a> Plain<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// It is of another kind, or broken.
    pub(in crate::still) fn read(jpeg: &'a [u8]) -> Result<Self, Refused> {
        let mut found = Self {
            jpeg,
            size: (0, 0),
            mcu: (8, 8),
            mcus: (0, 0),
            components: Vec::new(),
            restart: 0,
            scan: 0,
            quantisers: [None; 4],
            specs: Default::default(),
            kept: Vec::new(),
            scan_header: &[],
        };
        let (mut has_tables, mut rgb) = (false, None);
        let mut at = 2;
        if jpeg.get(..2) != Some(&[0xFF, SOI]) {
            return Err(Refused);
        }
        loop {
            while jpeg.get(at + 1) == Some(&0xFF) {
                at += 1;
            }
            let Some(&[0xFF, code, high, low]) = jpeg.get(at..at + 4) else { return Err(Refused) };
            let next = at + 2 + usize::from(u16::from_be_bytes([high, low]));
            let segment = jpeg.get(at..next).ok_or(Refused)?;
            let body = segment.get(4..).ok_or(Refused)?;
            match code {
                0xC0 | 0xC1 if found.components.is_empty() => {
                    found.frame(body)?;
                    found.kept.push(segment);
                }
                DQT => {
                    found.quantiser_tables(body)?;
                    found.kept.push(segment);
                }
                DHT => {
                    has_tables = true;
                    found.huffman_tables(body)?;
                }
                DRI => found.restart = usize::from(u16::from_be_bytes(pair(body)?)),
                // The marker of Adobe says in its last byte whether three components are YCbCr.
                APP14 if body.starts_with(b"Adobe") => rgb = rgb.or(Some(body.get(11) != Some(&1))),
                APP0 if body.starts_with(b"JFIF\0") => rgb = Some(false),
                0xE0..=0xEF | COM => {}
                SOS => {
                    found.scan_header(body)?;
                    found.scan = next;
                    break;
                }
                _ => return Err(Refused),
            }
            at = next;
        }
        let ids = found.components.iter().map(|component| component.id);
        if found.components.len() == 3 && rgb.unwrap_or_else(|| ids.eq(*b"RGB")) {
            return Err(Refused);
        }
        if !has_tables {
            found.huffman_tables(&STANDARD_DHT[4..])?;
        }
        found.one_scan()?;
        Ok(found)
    }

    /// No further scan behind the first: its blocks would replace or refine what is written here.
    fn one_scan(&self) -> Result<(), Refused> {
        let mut rest = self.jpeg.get(self.scan..).unwrap_or_default();
        while let Some(at) = rest.iter().position(|&byte| byte == 0xFF) {
            match rest.get(at + 1) {
                Some(0 | 0xD0..=0xD7) => rest = rest.get(at + 2..).unwrap_or_default(),
                Some(0xFF) => rest = rest.get(at + 1..).unwrap_or_default(),
                Some(&EOI) => return Ok(()),
                _ => return Err(Refused),
            }
        }
        Err(Refused)
    }

    fn frame(&mut self, body: &[u8]) -> Result<(), Refused> {
        let Some(&[8, h1, h0, w1, w0, count]) = body.get(..6) else { return Err(Refused) };
        self.size = (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
        if self.size.0 == 0 || self.size.1 == 0 || !matches!(count, 1 | 3) {
            return Err(Refused);
        }
        let mut most = (1, 1);
        for part in body.get(6..6 + 3 * usize::from(count)).ok_or(Refused)?.chunks_exact(3) {
            let &[id, sampling, quantiser] = part else { return Err(Refused) };
            let blocks = (usize::from(sampling >> 4), usize::from(sampling & 15));
            if !(1..=4).contains(&blocks.0) || !(1..=4).contains(&blocks.1) {
                return Err(Refused);
            }
            most = (most.0.max(blocks.0), most.1.max(blocks.1));
            self.components.push(Component { id, blocks, quantiser, tables: (0, 0) });
        }
        let [first, others @ ..] = self.components.as_mut_slice() else { return Err(Refused) };
        if others.is_empty() {
            // A scan of one component has one block an MCU, whatever its sampling says (T.81, A.2.2).
            (first.blocks, most) = ((1, 1), (1, 1));
        } else if first.blocks != most {
            return Err(Refused);
        }
        self.mcu = (8 * most.0, 8 * most.1);
        self.mcus = (self.size.0.div_ceil(self.mcu.0), self.size.1.div_ceil(self.mcu.1));
        Ok(())
    }

    fn quantiser_tables(&mut self, mut body: &[u8]) -> Result<(), Refused> {
        while let Some((&head, rest)) = body.split_first() {
            let wide = match head >> 4 {
                0 => 1,
                1 => 2,
                _ => return Err(Refused),
            };
            let values = rest.get(..64 * wide).ok_or(Refused)?;
            let mut table = [0u16; 64];
            for (value, bytes) in table.iter_mut().zip(values.chunks_exact(wide)) {
                *value = bytes.iter().fold(0, |value, &byte| value << 8 | u16::from(byte));
            }
            *self.quantisers.get_mut(usize::from(head & 15)).ok_or(Refused)? = Some(table);
            body = rest.get(64 * wide..).unwrap_or_default();
        }
        Ok(())
    }

    fn huffman_tables(&mut self, mut body: &[u8]) -> Result<(), Refused> {
        while let Some((&head, rest)) = body.split_first() {
            let spec = spec(rest)?;
            body = rest.get(16 + spec.symbols.len()..).unwrap_or_default();
            let class = self.specs.get_mut(usize::from(head >> 4)).ok_or(Refused)?;
            let decoder = Decoder::new(&spec);
            *class.get_mut(usize::from(head & 15)).ok_or(Refused)? = Some((spec, decoder));
        }
        Ok(())
    }

    fn scan_header(&mut self, body: &'a [u8]) -> Result<(), Refused> {
        let count = self.components.len();
        if count == 0 || body.len() != 4 + 2 * count || usize::from(body[0]) != count {
            return Err(Refused);
        }
        for (component, part) in self.components.iter_mut().zip(body[1..].chunks_exact(2)) {
            if component.id != part[0] {
                return Err(Refused);
            }
            component.tables = (part[1] >> 4, part[1] & 15);
        }
        if body.get(1 + 2 * count..) != Some(&[0, 63, 0]) {
            return Err(Refused);
        }
        self.scan_header = body;
        Ok(())
    }

    fn table(&self, class: usize, number: u8) -> Result<&(Spec, Decoder), Refused> {
        self.specs.get(class).and_then(|of| of.get(usize::from(number))?.as_ref()).ok_or(Refused)
    }

    pub(super) fn decoders(&self, of: &Component) -> Result<(&Decoder, &Decoder), Refused> {
        Ok((&self.table(0, of.tables.0)?.1, &self.table(1, of.tables.1)?.1))
    }

    pub(super) fn quantisers(&self, of: &Component) -> Result<&[u16; 64], Refused> {
        self.quantisers.get(usize::from(of.quantiser)).and_then(Option::as_ref).ok_or(Refused)
    }

    /// Whether the picture's own tables have a code for everything that may have to be written. Those of an
    /// encoder that fits them to the picture have not.
    pub(super) fn tables_suffice(&self) -> bool {
        let standard = Standard::new();
        let holds = |class: usize, number: u8, all: &[u8]| {
            self.table(class, number)
                .is_ok_and(|(spec, _)| all.iter().all(|s| spec.symbols.contains(s)))
        };
        self.components.iter().all(|component| {
            holds(0, component.tables.0, &standard.dc[0].symbols)
                && holds(1, component.tables.1, &standard.ac[0].symbols)
        })
    }

    /// The tables to write a component with.
    pub(super) fn specs(
        &self,
        of: &Component,
        index: usize,
        standard: bool,
    ) -> Result<(Spec, Spec), Refused> {
        if !standard {
            return Ok((
                self.table(0, of.tables.0)?.0.clone(),
                self.table(1, of.tables.1)?.0.clone(),
            ));
        }
        let Standard { dc: [dc, dc_colour], ac: [ac, ac_colour] } = Standard::new();
        Ok(if index == 0 { (dc, ac) } else { (dc_colour, ac_colour) })
    }

    /// Everything in front of the codes.
    pub(super) fn head(&self, standard: bool, out: &mut Vec<u8>) -> Result<(), Refused> {
        out.extend_from_slice(&[0xFF, SOI]);
        out.extend_from_slice(&JFIF);
        self.kept.iter().for_each(|segment| out.extend_from_slice(segment));
        let mut scan = self.scan_header.to_vec();
        if standard {
            out.extend_from_slice(&STANDARD_DHT);
            let tables = scan.iter_mut().skip(2).step_by(2).take(self.components.len());
            tables
                .enumerate()
                .for_each(|(index, tables)| *tables = if index == 0 { 0x00 } else { 0x11 });
        } else {
            let mut body = Vec::new();
            for (class, specs) in self.specs.iter().enumerate() {
                for (number, (spec, _)) in
                    specs.iter().enumerate().filter_map(|(n, s)| Some((n, s.as_ref()?)))
                {
                    body.push((class << 4 | number) as u8);
                    body.extend_from_slice(&spec.counts);
                    body.extend_from_slice(&spec.symbols);
                }
            }
            segment(DHT, &body, out)?;
        }
        if self.restart > 0 {
            segment(DRI, &(self.restart as u16).to_be_bytes(), out)?;
        }
        segment(SOS, &scan, out)
    }
}

fn segment(code: u8, body: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    let length = u16::try_from(body.len() + 2).map_err(|_| Refused)?;
    out.extend_from_slice(&[0xFF, code]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
    Ok(())
}

fn pair(body: &[u8]) -> Result<[u8; 2], Refused> {
    body.first_chunk().copied().ok_or(Refused)
}

/// A table's lengths and symbols, from behind its head.
fn spec(body: &[u8]) -> Result<Spec, Refused> {
    let counts = *body.first_chunk::<16>().ok_or(Refused)?;
    let length: usize = counts.iter().map(|&count| usize::from(count)).sum();
    let symbols = body.get(16..16 + length).filter(|_| length <= 256).ok_or(Refused)?.to_vec();
    let spec = Spec { counts, symbols };
    if spec.is_sound() { Ok(spec) } else { Err(Refused) }
}

/// The tables of T.81, annex K.3, which hold a code for everything.
struct Standard {
    dc: [Spec; 2],
    ac: [Spec; 2],
}

impl Standard {
    /// In the order in which they stand in the segment: DC and AC of luma, then of colour.
    fn new() -> Self {
        let mut at = 4;
        let mut next = || {
            let spec = spec(STANDARD_DHT.get(at + 1..).unwrap_or_default());
            let spec = spec.unwrap_or(Spec { counts: [0; 16], symbols: Vec::new() });
            at += 17 + spec.symbols.len();
            spec
        };
        let [dc, ac, dc_colour, ac_colour] = [next(), next(), next(), next()];
        Self { dc: [dc, dc_colour], ac: [ac, ac_colour] }
    }
}
