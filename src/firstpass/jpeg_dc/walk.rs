//! The walk through a restart segment's blocks: the reader's inner loop.
//!
//! Where a block ends cannot be foretold, and a wrongly predicted branch costs more than a look. So the loop
//! does not branch there: it takes look after look, whatever block and component it is in. The end of a
//! block chooses the next look's table, the next place for a record and whether the sum begins anew, all by
//! conditional moves. A block's record is the sum of its looks' entries ([`super::looks`]).
//!
//! The one branch within is for what a look cannot tell ([`symbol`]): a code longer than a look, many
//! extra bits, or a block without an end-of-block symbol, which ends with its 64th coefficient.

use std::hint::select_unpredictable;

use super::JpegError;
use super::bits::Bits;
use super::looks::{self, END, FULL, Flat, LOOK, Looks, TABLE};

/// The most blocks of one walk, so that a `u8` counts them and is an index without a check.
pub(super) const MOST: usize = 255;
/// Looks between two refills of the bit buffer.
const LOOKS: u8 = (56 / looks::MOST_BITS) as u8;

/// The blocks of a walk: which tables they need, and what was found.
pub(super) struct Blocks<'a> {
    looks: &'a Looks,
    flat: &'a Flat,
    /// Where the first block's first look is taken.
    start: u32,
    /// For each block, where its next look is taken: within the block in the low half, at the next one's head
    /// in the high half.
    next: [u32; MOST + 1],
    /// For each block, the sum of its looks' entries.
    sums: [u32; MOST + 1],
}

impl<'a> Blocks<'a> {
    /// The components of an MCU's blocks, one after the other, as `looks` has prepared them. `None` where
    /// there are none.
    pub(super) fn new(mcu: &[u8], looks: &'a Looks) -> Option<Self> {
        let flat = looks.flat()?;
        let start = looks::head((*mcu.first()?).into());
        let mut next = [0; MOST + 1];
        let order = mcu.iter().zip(mcu.iter().skip(1).chain(mcu)).cycle();
        for (next, (&this, &after)) in next.iter_mut().zip(order) {
            *next = looks::within(this.into()) | looks::head(after.into()) << 16;
        }
        Some(Self { looks, flat, start, next, sums: [0; MOST + 1] })
    }

    /// Coded bits of a block.
    #[inline(always)]
    pub(super) fn bits(&self, block: u8) -> u16 {
        looks::bits(self.sums[usize::from(block)])
    }

    /// A block's DC difference, of which the low 13 bits are right.
    #[inline(always)]
    pub(super) fn diff(&self, block: u8) -> i32 {
        looks::diff(self.sums[usize::from(block)])
    }
}

/// Steps over `count` blocks, from the head of an MCU's first.
///
/// # Errors
/// `Truncated` behind the segment's end, `Corrupt` at bits that are no code.
pub(super) fn walk(
    blocks: &mut Blocks<'_>,
    bits: &mut Bits<'_>,
    count: u8,
) -> Result<(), JpegError> {
    // A copy of its own, which stays in registers.
    let mut here = *bits;
    let flat = blocks.flat;
    let (mut at, mut table, mut sum) = (0u8, blocks.start, 0u32);
    while at < count {
        here.refill()?;
        // A look ends one block at most.
        let looks = if count - at >= LOOKS { LOOKS } else { 1 };
        for _ in 0..looks {
            let look = flat[((table & TABLE) | here.peek(LOOK)) as usize];
            let next = blocks.next[usize::from(at)];
            let (within, head) = (next & TABLE, (next >> 16) & TABLE);
            let with = sum.wrapping_add(look);
            if with & FULL != 0 {
                (here, sum) = symbol(blocks, here, at, (sum, look), table)?;
                blocks.sums[usize::from(at)] = sum;
                let ended = sum & END != 0;
                table = if ended { head } else { within };
                at += u8::from(ended);
                sum = if ended { 0 } else { sum };
                break;
            }
            here.consume(look);
            blocks.sums[usize::from(at)] = with;
            let ended = with & END != 0;
            table = select_unpredictable(ended, head, within);
            sum = select_unpredictable(ended, 0, with);
            at = at.wrapping_add(u8::from(ended));
        }
    }
    *bits = here;
    Ok(())
}

/// One symbol instead of a look that cannot be taken: the bits behind it, and the block's sum with it.
#[cold]
#[inline(never)]
fn symbol<'b>(
    blocks: &Blocks<'_>,
    mut bits: Bits<'b>,
    at: u8,
    (sum, look): (u32, u32),
    table: u32,
) -> Result<(Bits<'b>, u32), JpegError> {
    let with = sum.wrapping_add(look);
    if looks::coefficients(with) == 64 && look & (END | FULL) == 0 {
        // It goes just to the end of the block.
        bits.consume(look);
        return Ok((bits, (with - FULL) | END));
    }
    bits.refill()?;
    // Behind the end there are zeros, which are a code in every table but one without codes. Such a table is
    // the fault of a picture that ends hereabouts, a byte and a short DC code before; of one that ended
    // earlier it is not. Where the line is drawn matters to nobody, but it stays where it was.
    let dc = Some(looks::bits(sum)).filter(|&bits| u32::from(bits) <= LOOK).unwrap_or_default();
    if bits.overrun() > 8 + usize::from(dc) {
        return Err(JpegError::Truncated);
    }
    let within = blocks.next[usize::from(at)] & TABLE;
    let pair = blocks.looks.pair(within).ok_or(JpegError::Corrupt("no Huffman table"))?;
    if table != within {
        let (taken, diff) = pair.dc(&mut bits)?;
        return Ok((bits, looks::entry(taken, 1, diff)));
    }
    let (taken, steps) = pair.ac(&mut bits)?;
    let sum = sum + looks::entry(taken, 0, 0);
    Ok(match steps {
        Some(steps) if looks::coefficients(sum) + steps < 64 => {
            (bits, sum + looks::entry(0, steps, 0))
        }
        _ => (bits, sum | END),
    })
}
