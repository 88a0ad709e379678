//! The letters: bitmaps in the Linux console's two font formats, PSF 1 and 2, each with a table of which
//! characters a glyph shows.

use spleen_font::{FONT_6X12, FONT_8X16, FONT_12X24, FONT_16X32};

/// A font of one size, 512 glyphs of it. The first 128 are ASCII's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font {
    pub(super) width: usize,
    pub(super) height: usize,
    file: &'static [u8],
    format: Format,
}

/// PSF 1 has a head of 4 bytes and a table of 16-bit units, PSF 2 one of 32 bytes and a table of UTF-8.
#[derive(Clone, Copy, Debug)]
enum Format {
    One,
    Two,
}

const GLYPHS: usize = 512;

/// From the largest to the smallest. Spleen's 8x16 comes as PSF 1.
pub(super) const FONTS: [Font; 4] = [
    Font { width: 16, height: 32, file: FONT_16X32, format: Format::Two },
    Font { width: 12, height: 24, file: FONT_12X24, format: Format::Two },
    Font { width: 8, height: 16, file: FONT_8X16, format: Format::One },
    Font { width: 6, height: 12, file: FONT_6X12, format: Format::Two },
];

impl Font {
    fn head(&self) -> usize {
        match self.format {
            Format::One => 4,
            Format::Two => 32,
        }
    }

    /// Bytes of a row of a glyph.
    fn row(&self) -> usize {
        self.width.div_ceil(8)
    }

    /// The places `(x, y)` of a character's ink; those of `?` where the font lacks it.
    pub(super) fn ink(&self, c: char) -> impl Iterator<Item = (usize, usize)> {
        let length = self.row() * self.height;
        let number = self.number(c).unwrap_or(usize::from(b'?'));
        let from = self.head() + number * length;
        let rows = self.file.get(from..from + length).unwrap_or_default().chunks_exact(self.row());
        let width = self.width;
        rows.enumerate().flat_map(move |(y, row)| {
            let on =
                move |x: usize| row.get(x / 8).is_some_and(|byte| byte & (0x80 >> (x % 8)) != 0);
            (0..width).filter(move |&x| on(x)).map(move |x| (x, y))
        })
    }

    /// Which glyph shows a character.
    fn number(&self, c: char) -> Option<usize> {
        if (' '..='~').contains(&c) {
            return Some(c as usize);
        }
        let table = self.file.get(self.head() + GLYPHS * self.row() * self.height..)?;
        match self.format {
            // Each glyph's characters end with FF; behind FE stand sequences of several.
            Format::Two => table.split(|&byte| byte == 0xFF).take(GLYPHS).position(|entry| {
                let single = entry.split(|&byte| byte == 0xFE).next().unwrap_or_default();
                std::str::from_utf8(single).is_ok_and(|shown| shown.contains(c))
            }),
            Format::One => {
                let wanted = u16::try_from(u32::from(c)).ok().filter(|c| *c < 0xFFFE)?;
                let mut number = 0;
                for unit in table.chunks_exact(2) {
                    match u16::from_le_bytes([unit[0], unit[1]]) {
                        0xFFFF => number += 1,
                        unit if unit == wanted => return Some(number),
                        _ => {}
                    }
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_stands_at_its_own_place_and_glyphs_fill_the_files() {
        for font in FONTS {
            let bytes = font.row() * font.height;
            assert!(font.file.len() > font.head() + GLYPHS * bytes);
            for c in '!'..='~' {
                let found = font.number(c).unwrap();
                let table = match font.format {
                    Format::One => continue,
                    Format::Two => &font.file[font.head() + GLYPHS * bytes..],
                };
                let entry = table.split(|&b| b == 0xFF).nth(found).unwrap();
                assert!(String::from_utf8_lossy(entry).starts_with(c), "{c}");
            }
            // The middle of an I is ink, its corner is none.
            let ink: Vec<_> = font.ink('I').collect();
            let middle =
                (font.width / 2 - 1..=font.width / 2).any(|x| ink.contains(&(x, font.height / 2)));
            assert!(middle && !ink.contains(&(0, 0)), "{}", font.width);
        }
    }

    #[test]
    fn every_size_has_western_letters_and_cyrillic_and_all_but_the_smallest_eastern_ones() {
        for font in FONTS {
            assert!("äÖßéÅñçЖяё".chars().all(|c| font.number(c).is_some()), "{}", font.width);
            let rest = "łőěşİžđ".chars().all(|c| font.number(c).is_some());
            assert_eq!(rest, font.width > 6);
            assert_eq!(font.number('\u{1F4F7}'), None);
        }
    }
}
