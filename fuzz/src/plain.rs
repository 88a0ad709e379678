//! A JPEG's luma means the plain way: bit by bit and symbol by symbol, as ITU-T T.81 writes it down, with
//! nothing of the reader's in it. Slow; only to be compared with.

/// What was read.
pub struct Plain {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Grey levels of the 8×8 blocks, row by row.
    pub luma: Vec<u8>,
    /// Coded bits of each block.
    pub bits: Vec<u16>,
}

#[derive(Clone, Copy, Default)]
struct Component {
    id: u8,
    h: usize,
    v: usize,
    quant: usize,
}

#[derive(Default)]
struct Frame {
    width: usize,
    height: usize,
    components: Vec<Component>,
}

/// Counts by length, and symbols.
#[derive(Clone, Default)]
struct Codes {
    counts: Vec<u8>,
    symbols: Vec<u8>,
}

struct Tables {
    quant: [Option<u16>; 4],
    dc: [Codes; 4],
    ac: [Codes; 4],
    restart: usize,
    jfif: bool,
    adobe: Option<u8>,
}

/// Reads a JPEG; `None` where it is damaged or of a kind that the reader refuses too.
pub fn read(jpeg: &[u8]) -> Option<Plain> {
    let mut at = 2;
    if jpeg.get(..2)? != [0xff, 0xd8] {
        return None;
    }
    let mut tables = Tables::standard();
    let mut frame: Option<Frame> = None;
    loop {
        let code = next_code(jpeg, &mut at)?;
        if matches!(code, 0x01 | 0xd0..=0xd8) {
            continue;
        }
        if code == 0xd9 {
            return None;
        }
        let len = usize::from(word(jpeg.get(at..)?)?);
        let body = jpeg.get(at + 2..at + len.max(2))?;
        if len < 2 {
            return None;
        }
        at += len;
        match code {
            0xc0 | 0xc1 if frame.is_none() => frame = Some(Frame::parse(body)?),
            0xc4 => tables.huffman(body)?,
            0xc8 => {}
            0xc0..=0xcf => return None,
            0xda => {
                let frame = frame.as_ref()?;
                let scan = parse_scan(body, frame)?;
                if scan.iter().any(|c| c.0 == 0) {
                    return decode(jpeg.get(at..)?, frame, &scan, &tables);
                }
                while jpeg[at..].first() != Some(&0xff)
                    || matches!(jpeg.get(at + 1)?, 0x00 | 0xff | 0xd0..=0xd7)
                {
                    at += 1;
                    jpeg.get(at)?;
                }
            }
            0xdb => tables.quantisers(body)?,
            0xdd if body.len() == 2 => tables.restart = usize::from(word(body)?),
            0xdd => return None,
            0xe0 if body.len() >= 14 && body.starts_with(b"JFIF\0") => tables.jfif = true,
            0xee if body.len() >= 12 && body.starts_with(b"Adobe") => tables.adobe = Some(body[11]),
            _ => {}
        }
    }
}

fn word(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]))
}

fn next_code(jpeg: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let pair = (*jpeg.get(*at)?, *jpeg.get(*at + 1)?);
        *at += 1;
        if pair.0 == 0xff && !matches!(pair.1, 0x00 | 0xff) {
            *at += 1;
            return Some(pair.1);
        }
    }
}

impl Frame {
    fn parse(body: &[u8]) -> Option<Self> {
        let (height, width) = (word(body.get(1..)?)?, word(body.get(3..)?)?);
        let count = usize::from(*body.get(5)?);
        let right = body[0] == 8 && width > 0 && height > 0 && matches!(count, 1 | 3);
        if !right || body.len() != 6 + 3 * count {
            return None;
        }
        let mut components = Vec::new();
        for c in body[6..].chunks(3) {
            let (h, v) = (usize::from(c[1] >> 4), usize::from(c[1] & 15));
            if h == 0 || v == 0 || h > 4 || v > 4 || c[2] > 3 {
                return None;
            }
            components.push(Component { id: c[0], h, v, quant: usize::from(c[2]) });
        }
        let luma = components[0];
        let most = components.iter().all(|c| c.h <= luma.h && c.v <= luma.v);
        most.then_some(Self { width: width.into(), height: height.into(), components })
    }
}

/// Component, DC table and AC table of each in the scan.
fn parse_scan(body: &[u8], frame: &Frame) -> Option<Vec<(usize, usize, usize)>> {
    let count = usize::from(*body.first()?);
    if count == 0 || count > frame.components.len() || body.len() != 4 + 2 * count {
        return None;
    }
    let (mut scan, mut from) = (Vec::new(), 0);
    for pair in body[1..=2 * count].chunks(2) {
        let index = (from..frame.components.len()).find(|&i| frame.components[i].id == pair[0])?;
        from = index + 1;
        if pair[1] >> 4 > 3 || pair[1] & 15 > 3 {
            return None;
        }
        scan.push((index, usize::from(pair[1] >> 4), usize::from(pair[1] & 15)));
    }
    Some(scan)
}

impl Tables {
    /// What is meant where no tables stand: those of annex K, out of the segment that is put into pictures.
    fn standard() -> Self {
        let mut tables = Self {
            quant: [None; 4],
            dc: Default::default(),
            ac: Default::default(),
            restart: 0,
            jfif: false,
            adobe: None,
        };
        let dht = &vedette_pure::still::passthrough::STANDARD_DHT;
        tables.huffman(&dht[4..]).expect("the standard's own tables");
        tables
    }

    fn huffman(&mut self, mut body: &[u8]) -> Option<()> {
        while !body.is_empty() {
            let counts = body.get(1..17)?.to_vec();
            let total = counts.iter().map(|&n| usize::from(n)).sum::<usize>();
            let symbols = body.get(17..17 + total)?.to_vec();
            let mut room = 1i32;
            for &n in &counts {
                room = room * 2 - i32::from(n);
                if room < 0 {
                    return None;
                }
            }
            let slot = usize::from(body[0] & 15);
            let codes = Codes { counts, symbols };
            match body[0] >> 4 {
                0 => *self.dc.get_mut(slot)? = codes,
                1 => *self.ac.get_mut(slot)? = codes,
                _ => return None,
            }
            body = &body[17 + total..];
        }
        Some(())
    }

    /// Only the first step, that of DC, is wanted.
    fn quantisers(&mut self, mut body: &[u8]) -> Option<()> {
        while !body.is_empty() {
            let wide = body[0] >> 4 != 0;
            let len = if wide { 128 } else { 64 };
            let steps = body.get(1..1 + len)?;
            let first = if wide { word(steps)? } else { u16::from(steps[0]) };
            *self.quant.get_mut(usize::from(body[0] & 15))? = Some(first);
            body = &body[1 + len..];
        }
        Some(())
    }
}

/// The bits of one restart segment.
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    fn bit(&mut self) -> Option<u32> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit.into())
    }

    fn bits(&mut self, n: u8) -> Option<u32> {
        (0..n).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for &count in &codes.counts {
            code = code << 1 | self.bit()?;
            let count = u32::from(count);
            if code < first + count {
                return codes.symbols.get((index + code - first) as usize).copied();
            }
            index += count;
            first = (first + count) << 1;
        }
        None
    }

    /// One block's DC difference.
    fn block(&mut self, dc: &Codes, ac: &Codes) -> Option<i32> {
        let size = self.symbol(dc)?;
        let extra = self.bits(size)? as i32;
        let negative = size > 0 && extra < 1 << (size - 1);
        let mut k = 1;
        while k < 64 {
            let symbol = self.symbol(ac)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            if size == 0 && run < 15 {
                break;
            }
            self.bits(size)?;
            k += u32::from(run) + 1;
        }
        Some(if negative { extra - (1 << size) + 1 } else { extra })
    }
}

/// The next segment's bytes without stuffing; `data` is left at the marker that ends it.
fn segment(data: &mut &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        match *data {
            [0xff, 0x00, rest @ ..] => {
                bytes.push(0xff);
                *data = rest;
            }
            [0xff, 0xff, ..] => *data = &data[1..],
            [0xff, ..] | [] => return bytes,
            [byte, rest @ ..] => {
                bytes.push(*byte);
                *data = rest;
            }
        }
    }
}

fn decode(
    mut data: &[u8],
    frame: &Frame,
    scan: &[(usize, usize, usize)],
    tables: &Tables,
) -> Option<Plain> {
    let rgb = match (tables.jfif, tables.adobe) {
        (true, _) => false,
        (false, Some(transform)) => transform == 0,
        (false, None) => frame.components.iter().map(|c| c.id).eq(*b"RGB"),
    };
    if rgb && frame.components.len() == 3 {
        return None;
    }
    while data.ends_with(&[0; 8]) {
        data = &data[..data.len() - 8];
    }
    let luma = frame.components[0];
    let alone = scan.len() == 1;
    let (h, v) = if alone { (1, 1) } else { (luma.h, luma.v) };
    let blocks = |c: usize| match alone {
        true => 1,
        false => frame.components[c].h * frame.components[c].v,
    };
    let per_mcu = scan.iter().map(|s| blocks(s.0)).sum::<usize>();
    let mcus = (frame.width.div_ceil(8 * h), frame.height.div_ceil(8 * v));
    // Two bits is the least that a block takes.
    if per_mcu > 10 || mcus.0 * mcus.1 * per_mcu > data.len() * 4 {
        return None;
    }
    let step = i32::from(tables.quant[luma.quant]?);
    for &(_, dc, _) in scan {
        if tables.dc[dc].symbols.iter().any(|&s| s > 15) {
            return None;
        }
    }
    let (width, height) = (frame.width.div_ceil(8), frame.height.div_ceil(8));
    let mut plain = Plain {
        size: (frame.width as u32, frame.height as u32),
        luma: vec![0; width * height],
        bits: vec![0; width * height],
    };
    let (mut bits, mut dc, mut restarts) = (Bits { bytes: segment(&mut data), at: 0 }, 0i32, 0);
    for mcu in 0..mcus.0 * mcus.1 {
        if tables.restart > 0 && mcu > 0 && mcu % tables.restart == 0 {
            let marker = data.get(..2)?;
            if marker != [0xff, 0xd0 + restarts] {
                return None;
            }
            restarts = (restarts + 1) % 8;
            data = &data[2..];
            (bits, dc) = (Bits { bytes: segment(&mut data), at: 0 }, 0);
        }
        for &(c, dc_table, ac_table) in scan {
            for block in 0..blocks(c) {
                let before = bits.at;
                let diff = bits.block(&tables.dc[dc_table], &tables.ac[ac_table])?;
                if c > 0 {
                    continue;
                }
                dc = dc.wrapping_add(diff);
                let x = mcu % mcus.0 * h + block % h;
                let y = mcu / mcus.0 * v + block / h;
                if x < width && y < height {
                    plain.luma[y * width + x] = grey(dc, step);
                    plain.bits[y * width + x] = (bits.at - before) as u16;
                }
            }
        }
    }
    Some(plain)
}

/// What libjpeg-turbo makes of a block's mean: 16-bit coefficients, and a table of 1024 levels.
fn grey(dc: i32, step: i32) -> u8 {
    let level = (i64::from(dc as i16) * i64::from(step) + 4).div_euclid(8).rem_euclid(1024);
    let level = if level < 512 { level } else { level - 1024 };
    (level + 128).clamp(0, 255) as u8
}
