//! A contact sheet: small pictures in rows, each with a caption, as one JPEG.

use anyhow::{Context, bail};
use font8x8::legacy::BASIC_LEGACY;
use turbojpeg::{Decompressor, Image, PixelFormat, Subsamp};

/// Width of a small picture in pixels.
const CELL_WIDTH: usize = 320;
/// Space around pictures.
const GAP: usize = 12;
/// Height of the caption's line.
const CAPTION: usize = 20;
/// Most pictures on a sheet; more are thinned evenly.
const MOST: usize = 30;
const PAPER: [u8; 3] = [24, 26, 30];
const INK: [u8; 3] = [222, 226, 230];

/// One picture of the sheet.
pub(super) struct Entry {
    /// The JPEG.
    pub(super) jpeg: Vec<u8>,
    /// What stands below it; ASCII.
    pub(super) caption: String,
}

/// Which of `n` pictures are shown: all, or evenly spread ones.
pub(super) fn chosen(n: usize) -> Vec<usize> {
    if n <= MOST { (0..n).collect() } else { (0..MOST).map(|i| i * n / MOST).collect() }
}

/// Draws the sheet as a JPEG.
pub(super) fn draw(title: &str, entries: &[Entry]) -> anyhow::Result<Vec<u8>> {
    if entries.is_empty() {
        bail!("no picture to show");
    }
    let small: Vec<_> = entries
        .iter()
        .map(|e| Ok((decode(&e.jpeg)?, e.caption.as_str())))
        .collect::<anyhow::Result<_>>()?;
    let columns = small.len().min(if small.len() <= 4 { 2 } else { 4 });
    let cell_height = small.iter().map(|(p, _)| p.height).max().unwrap_or(0) + CAPTION + GAP;
    let mut sheet = Canvas::new(
        columns * (CELL_WIDTH + GAP) + GAP,
        small.len().div_ceil(columns) * cell_height + 2 * GAP + 2 * CAPTION,
    );
    sheet.text(GAP, GAP + 2, 2, title);
    for (i, (picture, caption)) in small.iter().enumerate() {
        let x = GAP + i % columns * (CELL_WIDTH + GAP);
        let y = 2 * CAPTION + GAP + i / columns * cell_height;
        sheet.picture(x, y, picture);
        sheet.text(x, y + picture.height + 6, 1, caption);
    }
    sheet.encode()
}

struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// Decodes at the smallest scale that is still wide enough, then takes every n-th pixel's mean.
fn decode(jpeg: &[u8]) -> anyhow::Result<Picture> {
    let mut reader = Decompressor::new()?;
    let header = reader.read_header(jpeg).context("a stored picture cannot be read")?;
    let scale = Decompressor::supported_scaling_factors()
        .into_iter()
        .filter(|s| s.scale(header.width) >= CELL_WIDTH.min(header.width) && s.scale(8) <= 8)
        .min_by_key(|s| s.scale(header.width))
        .unwrap_or(turbojpeg::ScalingFactor::ONE);
    reader.set_scaling_factor(scale)?;
    let (w, h) = (scale.scale(header.width), scale.scale(header.height));
    let mut rgb = vec![0; w * h * 3];
    let image = Image {
        pixels: rgb.as_mut_slice(),
        width: w,
        pitch: w * 3,
        height: h,
        format: PixelFormat::RGB,
    };
    reader.decompress(jpeg, image)?;
    Ok(shrink(&Picture { width: w, height: h, rgb }))
}

/// Area mean to the cell's width.
fn shrink(p: &Picture) -> Picture {
    let width = CELL_WIDTH.min(p.width);
    let height = (p.height * width / p.width).max(1);
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let rows =
            y * p.height / height..((y + 1) * p.height / height).max(y * p.height / height + 1);
        for x in 0..width {
            let columns =
                x * p.width / width..((x + 1) * p.width / width).max(x * p.width / width + 1);
            let n = u32::try_from(rows.len() * columns.len()).unwrap_or(1);
            for c in 0..3 {
                let sum: u32 = rows
                    .clone()
                    .flat_map(|r| columns.clone().map(move |k| (r * p.width + k) * 3 + c))
                    .map(|i| u32::from(p.rgb[i]))
                    .sum();
                rgb.push((sum / n) as u8);
            }
        }
    }
    Picture { width, height, rgb }
}

struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, rgb: PAPER.repeat(width * height) }
    }

    fn picture(&mut self, x: usize, y: usize, p: &Picture) {
        for row in 0..p.height.min(self.height - y) {
            let to = ((y + row) * self.width + x) * 3;
            let from = row * p.width * 3;
            self.rgb[to..to + p.width * 3].copy_from_slice(&p.rgb[from..from + p.width * 3]);
        }
    }

    /// Draws `text` in an 8x8 font, each dot `scale` pixels wide; what does not fit is left out.
    fn text(&mut self, x: usize, y: usize, scale: usize, text: &str) {
        for (i, c) in text.bytes().enumerate() {
            let glyph = BASIC_LEGACY.get(usize::from(c)).copied().unwrap_or_default();
            for (row, bits) in glyph.iter().enumerate() {
                for column in (0..8).filter(|b| bits >> b & 1 == 1) {
                    self.dot(x + (i * 8 + column) * scale, y + row * scale, scale);
                }
            }
        }
    }

    fn dot(&mut self, x: usize, y: usize, scale: usize) {
        for (dx, dy) in (0..scale).flat_map(|dx| (0..scale).map(move |dy| (dx, dy))) {
            if x + dx < self.width && y + dy < self.height {
                let at = ((y + dy) * self.width + x + dx) * 3;
                self.rgb[at..at + 3].copy_from_slice(&INK);
            }
        }
    }

    fn encode(&self) -> anyhow::Result<Vec<u8>> {
        let image = Image {
            pixels: self.rgb.as_slice(),
            width: self.width,
            pitch: self.width * 3,
            height: self.height,
            format: PixelFormat::RGB,
        };
        Ok(turbojpeg::compress(image, 88, Subsamp::None)?.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_every_picture_and_refuses_none() {
        let mut grey = Canvas::new(640, 360);
        grey.rgb.fill(128);
        let entry = || Entry { jpeg: grey.encode().unwrap(), caption: "front motion".into() };
        let sheet = draw("six", &[entry(), entry(), entry(), entry(), entry(), entry()]).unwrap();
        let header = Decompressor::new().unwrap().read_header(&sheet).unwrap();
        assert_eq!(header.width, 4 * (CELL_WIDTH + GAP) + GAP);
        assert!(draw("none", &[]).is_err());
        assert_eq!(chosen(3), [0, 1, 2]);
        assert_eq!(chosen(90).len(), MOST);
    }
}
