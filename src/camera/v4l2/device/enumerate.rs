//! Asks a device for all that it offers, within bounds: a driver that never ends a list, or says the same
//! for ever, is a driver all the same.

use super::printable;
use crate::camera::v4l2::formats;
use crate::camera::v4l2::offer::{Code, FormatOffer, Offer, Rates, SizeOffer, Sizes};
use crate::camera::v4l2::stream::{Fault, Listed, Node, RateEntry, SizeEntry};

/// More than any driver lists of formats, of sizes of one, or of rates of one of these; ends an
/// enumeration should the driver not do so itself.
const MAX_ENTRIES: u32 = 256;

/// Calls that one offer may take in all: the three lists lie within each other.
const MAX_CALLS: u32 = 4096;

/// All that the device offers.
///
/// # Errors
/// The device fails or is gone; that it lists no sizes or rates is no error.
pub(in crate::camera::v4l2) fn offer(node: &Node) -> Result<Offer, Fault> {
    let mut calls = MAX_CALLS;
    let listed = all(&mut calls, |index| node.format_at(index))?;
    let formats = listed.into_iter().map(|Listed { code, description }| {
        Ok(FormatOffer {
            format: formats::format(code),
            fourcc: code,
            description: printable(&description),
            sizes: sizes(node, code, &mut calls)?,
        })
    });
    Ok(Offer { formats: formats.collect::<Result<_, Fault>>()? })
}

/// The codes of all formats that the device lists.
pub(super) fn codes(node: &Node) -> Result<Vec<Code>, Fault> {
    let listed = all(&mut MAX_CALLS.clone(), |index| node.format_at(index))?;
    Ok(listed.into_iter().map(|listed| listed.code).collect())
}

fn sizes(node: &Node, code: Code, calls: &mut u32) -> Result<Sizes, Fault> {
    let entries = all(calls, |index| node.size_at(code, index))?;
    if let Some(&SizeEntry::Steps { min, max, step }) = entries.first() {
        return Ok(Sizes::Between { min, max, step, rates: rates(node, code, max, calls)? });
    }
    let mut sizes = Vec::new();
    for entry in entries {
        if let SizeEntry::One(width, height) = entry {
            let rates = rates(node, code, (width, height), calls)?;
            sizes.push(SizeOffer { width, height, rates });
        }
    }
    Ok(if sizes.is_empty() { Sizes::Unknown } else { Sizes::Listed(sizes) })
}

fn rates(node: &Node, code: Code, size: (u32, u32), calls: &mut u32) -> Result<Rates, Fault> {
    Ok(sorted(&all(calls, |index| node.rate_at(code, size, index))?))
}

/// Rates as people look for them: highest first.
fn sorted(entries: &[RateEntry]) -> Rates {
    let mut listed = Vec::new();
    for entry in entries {
        match *entry {
            RateEntry::Between(low, high) if low.is_one() && high.is_one() => {
                return Rates::Between(low, high);
            }
            RateEntry::One(rate) if rate.is_one() => listed.push(rate),
            RateEntry::Between(..) | RateEntry::One(_) => {}
        }
    }
    listed.sort_by(|a, b| b.fps().total_cmp(&a.fps()));
    if listed.is_empty() { Rates::Unknown } else { Rates::Listed(listed) }
}

/// The different entries of an enumeration, until its last or until the calls are used up.
fn all<T: PartialEq>(
    calls: &mut u32,
    mut at: impl FnMut(u32) -> Result<Option<T>, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut found = Vec::new();
    for index in 0..MAX_ENTRIES.min(*calls) {
        *calls -= 1;
        let Some(entry) = at(index)? else { break };
        if !found.contains(&entry) {
            found.push(entry);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::v4l2::offer::Rate;

    #[test]
    fn enumerations_end_even_where_the_driver_does_not_end_them() {
        let mut calls = MAX_CALLS;
        assert_eq!(all(&mut calls, |i| Ok((i < 3).then_some(i))).unwrap(), [0, 1, 2]);
        assert_eq!(calls, MAX_CALLS - 4);
        let endless = all(&mut calls, |i| Ok(Some(i))).unwrap();
        assert_eq!(endless.len(), MAX_ENTRIES as usize);
        let same = all(&mut calls, |_| Ok(Some(7))).unwrap();
        assert_eq!(same, [7]);
        let repeated = all(&mut calls, |i| Ok([1, 1, 2].get(i as usize).copied())).unwrap();
        assert_eq!(repeated, [1, 2], "what comes twice does not hide what follows");
        let mut few = 2;
        assert_eq!(all(&mut few, |i| Ok(Some(i))).unwrap(), [0, 1]);
        assert!(all(&mut few, |i| Ok(Some(i))).unwrap().is_empty(), "no call is left");
    }

    #[test]
    fn rates_come_highest_first_and_those_that_are_none_not_at_all() {
        let one = |frames, seconds| RateEntry::One(Rate { frames, seconds });
        let got = sorted(&[one(15, 2), one(30, 1), one(0, 1), one(15, 1), one(5, 0)]);
        let Rates::Listed(rates) = got else { panic!("{got:?}") };
        let fps: Vec<_> = rates.iter().map(|rate| rate.fps()).collect();
        assert_eq!(fps, [30.0, 15.0, 7.5]);
        assert_eq!(sorted(&[]), Rates::Unknown);
        assert_eq!(sorted(&[one(0, 0)]), Rates::Unknown);
        let (low, high) = (Rate::per_second(1), Rate::per_second(60));
        assert_eq!(sorted(&[RateEntry::Between(low, high)]), Rates::Between(low, high));
        assert_eq!(
            sorted(&[RateEntry::Between(Rate { frames: 0, seconds: 1 }, high)]),
            Rates::Unknown
        );
    }
}
