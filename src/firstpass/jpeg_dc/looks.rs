//! Look-up tables: what the next [`LOOK`] bits of a scan say.
//!
//! The reader wants the first coefficient of each luma block and nothing else, so its tables do not decode
//! symbols: one look tells how many bits and how many coefficients to step over, several symbols at a
//! time. Each component has two tables, one for the head of a block (DC and the AC symbols after it) and one
//! for within. 12 bits measured best: with 11 there are more looks, with 13 the tables leave the cache.
//! What does not fit into a look is decoded symbol by symbol.
//!
//! **An entry is a sum's part.** [`super::walk`] adds up the entries of a block, and the sum is the block's
//! record; so every field is as wide as a block's sum can become:
//!
//! | bits | |
//! |---|---|
//! | 0..11 | coded bits; 63 × 31 + 31 of a block at most, [`MOST_BITS`] of a look |
//! | 11..18 | coefficients, DC too. From 64 on ([`FULL`]) the block's end was missed and the look is not taken |
//! | 18..31 | DC difference, its low 13 bits: a grey level is made of no more (`scan.rs`); 0 for chroma |
//! | 31 | the block ended ([`END`]) |
//!
//! A camera's Huffman tables do not change, so the tables of the last frame are kept. Other encoders compute
//! new ones for each frame, so building is made cheap: a table of all looks of r bits is put together from
//! those of fewer bits, whole runs of entries at a time.

use super::JpegError;
use super::huffman::{Code, Pair, Spec, extend, steps};

/// Bits looked at in one step.
pub(super) const LOOK: u32 = 12;
/// The most bits that a look steps over: those seen, and extra bits of its last symbol. Three looks fit
/// into a filled bit buffer.
pub(super) const MOST_BITS: u32 = 18;
/// Entries of a table.
pub(super) const SIZE: usize = 1 << LOOK;
/// Two tables for luma and for two chroma components, made up to a power of two: then an index that is
/// put together of a table and a look needs no check.
const TABLES: usize = 8;
/// All tables, one behind the other.
pub(super) type Flat = [u32; TABLES * SIZE];
/// The bits of an index into [`Flat`] that choose the table.
pub(super) const TABLE: u32 = ((TABLES - 1) * SIZE) as u32;

const STEP: u32 = 1 << 11;
const BITS: u32 = STEP - 1;
const STEPS: u32 = 127 * STEP;
/// A sum has more coefficients than a block.
pub(super) const FULL: u32 = 64 * STEP;
const DIFF: u32 = 18;
/// The block ended.
pub(super) const END: u32 = 1 << 31;
/// A look that tells nothing: it makes every sum full.
const SLOW: u32 = FULL;

/// So many bits, coefficients, and a DC difference (its low 13 bits).
pub(super) fn entry(bits: u32, steps: u32, diff: i32) -> u32 {
    bits | (steps * STEP) | ((diff as u32 & 0x1fff) << DIFF)
}

/// Coded bits in a sum.
pub(super) fn bits(sum: u32) -> u16 {
    (sum & BITS) as u16
}

/// Coefficients in a sum.
pub(super) fn coefficients(sum: u32) -> u32 {
    (sum & STEPS) / STEP
}

/// The DC difference in a sum, as far as 13 bits hold it.
pub(super) fn diff(sum: u32) -> i32 {
    ((sum << 1) as i32) >> (DIFF + 1)
}

/// Where a component's tables stand in [`Flat`].
pub(super) fn head(component: usize) -> u32 {
    (component * 2 * SIZE) as u32 & TABLE
}

/// As [`head`], within a block.
pub(super) fn within(component: usize) -> u32 {
    ((component * 2 + 1) * SIZE) as u32 & TABLE
}

/// The tables of up to three components: the first is luma's.
#[derive(Debug, Default)]
pub(super) struct Looks {
    flat: Vec<u32>,
    /// The tables for all looks of r < [`LOOK`] bits begin at entry 2^r. Only needed while building.
    shorter: Vec<u32>,
    kept: Vec<(Spec, Spec, Pair)>,
}

impl Looks {
    /// Sees to it that there are tables for luma.
    pub(super) fn prepare_luma(&mut self, dc: &Spec, ac: &Spec) -> Result<usize, JpegError> {
        self.prepare(0, dc, ac)
    }

    /// Sees to it that there are tables for a chroma component, and tells which component's they are.
    /// Those of `other`, which the scan needs as well, are not given up for it.
    pub(super) fn prepare_chroma(
        &mut self,
        dc: &Spec,
        ac: &Spec,
        other: Option<usize>,
    ) -> Result<usize, JpegError> {
        let same = self.kept.iter().skip(1).position(|(d, a, _)| d == dc && a == ac);
        let free = if other == Some(1) { 2 } else { 1 };
        self.prepare(same.map_or(free, |at| at + 1), dc, ac)
    }

    fn prepare(&mut self, at: usize, dc: &Spec, ac: &Spec) -> Result<usize, JpegError> {
        if self.kept.get(at).is_some_and(|(d, a, _)| d == dc && a == ac) {
            return Ok(at);
        }
        let pair = Pair::new(dc, ac)?;
        self.flat.resize(TABLES * SIZE, 0);
        self.shorter.resize(SIZE, 0);
        let tables =
            self.flat.get_mut(head(at) as usize..).and_then(|t| t.split_at_mut_checked(SIZE));
        if let Some((first, rest)) = tables {
            build_within(ac, &mut self.shorter, &mut rest[..SIZE]);
            build_head(dc, &self.shorter, first, at == 0);
        }
        let new = (dc.clone(), ac.clone(), pair);
        match self.kept.get_mut(at) {
            Some(old) => *old = new,
            None => self.kept.push(new),
        }
        Ok(at)
    }

    /// All tables; `None` before anything was prepared.
    pub(super) fn flat(&self) -> Option<&Flat> {
        self.flat.first_chunk()
    }

    /// The codes of the component whose table for looks within a block stands at `within`.
    pub(super) fn pair(&self, within: u32) -> Option<&Pair> {
        self.kept.get(within as usize / (2 * SIZE)).map(|(_, _, pair)| pair)
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> [*const u32; 2] {
        [self.flat.as_ptr(), self.shorter.as_ptr()]
    }
}

/// Fills the table for looks within a block, and those for fewer bits.
fn build_within(ac: &Spec, shorter: &mut [u32], table: &mut [u32]) {
    // Of no bits, nothing is said.
    shorter[..2].fill(0);
    for width in 1..LOOK {
        let (below, this) = shorter.split_at_mut(1 << width);
        build_width(ac, width, below, &mut this[..1 << width]);
    }
    build_width(ac, LOOK, shorter, table);
    for entry in table.iter_mut().filter(|entry| **entry == 0) {
        *entry = SLOW;
    }
}

/// Fills the table for looks of `width` bits, out of those for fewer. A look takes the symbols whose codes
/// lie in it whole; the extra bits of the last may lie behind it, since they are only stepped over.
fn build_width(ac: &Spec, width: u32, below: &[u32], table: &mut [u32]) {
    table.fill(0);
    for Code { bits, len, symbol } in ac.codes().take_while(|code| code.len <= width) {
        let from = (bits as usize) << (width - len);
        let run = &mut table[from..from + (1 << (width - len))];
        let Some(steps) = steps(symbol) else {
            run.fill(entry(len, 0, 0) | END);
            continue;
        };
        let taken = len + u32::from(symbol & 15);
        let own = entry(taken, steps, 0);
        if taken >= width {
            // The table of all bits would else have looks of more than `MOST_BITS`.
            run.fill(if taken + LOOK - width <= MOST_BITS { own } else { 0 });
            continue;
        }
        let rest = 1 << (width - taken);
        for part in run.chunks_exact_mut(rest) {
            for (out, after) in part.iter_mut().zip(&below[rest..2 * rest]) {
                // So many coefficients that the sum could not be told from a full one's are left out.
                let both = own + after;
                *out = if both & STEPS > 62 * STEP { own } else { both };
            }
        }
    }
}

/// Fills the table for the head of a block. `luma` keeps the DC differences.
fn build_head(dc: &Spec, shorter: &[u32], table: &mut [u32], luma: bool) {
    table.fill(SLOW);
    for Code { bits, len, symbol } in dc.codes() {
        let size = u32::from(symbol);
        if len + size > LOOK {
            continue;
        }
        let (from, rest) = ((bits as usize) << (LOOK - len), 1 << (LOOK - len - size));
        let run = &mut table[from..from + (1 << (LOOK - len))];
        for (extra, part) in (0..).zip(run.chunks_exact_mut(rest)) {
            let own = entry(len + size, 1, if luma { extend(extra, size) } else { 0 });
            for (out, after) in part.iter_mut().zip(&shorter[rest..2 * rest]) {
                *out = own + after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bits::{Bits, PAD};
    use super::super::huffman::standard::{AC_CHROMA, AC_LUMA, DC_CHROMA, DC_LUMA};
    use super::*;

    /// What the symbols say that `look` steps over when `index` stands before it.
    fn symbols(index: u32, look: u32, pair: &Pair, at_head: bool) -> u32 {
        let mut data = (index << (32 - LOOK)).to_be_bytes().to_vec();
        data.resize(data.len() + PAD, 0);
        let (mut here, mut sum) = (Bits::new(&data), 0);
        while bits(sum) < bits(look) {
            here.refill().unwrap();
            sum += if at_head && sum == 0 {
                let (taken, diff) = pair.dc(&mut here).unwrap();
                entry(taken, 1, diff)
            } else {
                let (taken, steps) = pair.ac(&mut here).unwrap();
                entry(taken, steps.unwrap_or(0), 0) | if steps.is_none() { END } else { 0 }
            };
        }
        sum
    }

    /// A table like those that encoders compute: a few short codes, runs of zeros among them.
    fn optimised() -> Spec {
        let counts = [1, 1, 1, 0, 2, 1, 1, 2, 0, 0, 0, 0, 1, 0, 0, 2];
        let body = [
            &counts[..],
            &[0xf0, 0x00, 0x01, 0x31, 0x0a, 0x13, 0xf9, 0x21, 0x08, 0x44, 0x55, 0x66],
        ];
        Spec::parse(&body.concat()).unwrap().0
    }

    #[test]
    fn a_look_says_what_its_symbols_say_and_takes_as_many_as_fit() {
        for (dc, ac) in [(DC_LUMA, AC_LUMA), (DC_CHROMA, AC_CHROMA), (DC_LUMA, optimised())] {
            let mut looks = Looks::default();
            looks.prepare_luma(&dc, &ac).unwrap();
            looks.prepare_chroma(&dc, &ac, None).unwrap();
            let (flat, pair) = (looks.flat().unwrap(), looks.pair(within(0)).unwrap());
            for (table, at_head) in [(head(0), true), (within(0), false)] {
                for index in 0..SIZE as u32 {
                    let look = flat[(table + index) as usize];
                    let first = if at_head { &dc } else { &ac };
                    let code =
                        first.codes().find(|c| c.len <= LOOK && index >> (LOOK - c.len) == c.bits);
                    let most = if at_head { LOOK } else { MOST_BITS };
                    let fits = code.is_some_and(|c| c.len + u32::from(c.symbol & 15) <= most);
                    assert_eq!(look != SLOW, fits, "{index:012b}");
                    if fits {
                        assert_eq!(look, symbols(index, look, pair, at_head), "{index:012b}");
                        assert!(u32::from(bits(look)) <= MOST_BITS && coefficients(look) <= 63);
                        // Another whole code is not left out, but where there are too many coefficients.
                        let seen = u32::from(bits(look));
                        let left = LOOK.saturating_sub(seen);
                        let rest = index & ((1 << left) - 1);
                        let next =
                            ac.codes().find(|c| c.len <= left && rest >> (left - c.len) == c.bits);
                        let small = next.is_some_and(|c| {
                            seen + c.len + u32::from(c.symbol & 15) <= MOST_BITS
                                && ac != optimised()
                        });
                        assert!(!small || look & END != 0, "{index:012b}");
                    }
                    let chroma = flat[(table + head(1) + index) as usize];
                    assert_eq!(chroma, if look == SLOW { SLOW } else { look & !(0x1fff << DIFF) });
                }
            }
        }
    }

    #[test]
    fn tables_of_two_chroma_components_do_not_push_each_other_out() {
        let mut looks = Looks::default();
        looks.prepare_luma(&DC_LUMA, &AC_LUMA).unwrap();
        for _ in 0..3 {
            let blue = looks.prepare_chroma(&DC_CHROMA, &AC_CHROMA, None).unwrap();
            assert_eq!(blue, 1);
            assert_eq!(looks.prepare_chroma(&DC_LUMA, &AC_LUMA, Some(blue)), Ok(2));
            assert_eq!(looks.prepare_chroma(&DC_CHROMA, &AC_CHROMA, Some(blue)), Ok(1));
        }
        assert_eq!(looks.prepare_chroma(&DC_LUMA, &optimised(), Some(2)), Ok(1));
        assert_eq!(looks.kept.len(), 3);
    }
}
