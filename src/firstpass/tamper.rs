//! What is wrong with the picture as a whole: too dark, too bright, blurred, frozen, covered, moved.
//!
//! Called by [`super::FirstPass`] with each frame that was looked at. Pure. Each condition is judged *bad*,
//! *good* or *unsure*, with room between bad and good, and must stay so to be raised or cleared:
//!
//! ```text
//!           bad            bad for `after`           good
//!  (clear) ─────▶ rising ──────────────────▶ raised ──────▶ falling ──▶ (clear)
//!          ◀─────                                  ◀──────   good for `after`
//!          not bad                                 not good
//! ```
//!
//! | condition | bad | good |
//! |---|---|---|
//! | dark | mean below 20 of 255 and next to no contrast | above 28, or contrast |
//! | bright | mean above 235 | below 220 |
//! | blurred | detail below 0.45 of this camera's norm in such light (`norm`) | above 0.6 |
//! | frozen | frame after frame the same to the last bit, from a camera whose frames are not | another |
//! | covered | four fifths of the learnt texture are gone (`layout`), and it is not dark | two fifths at most |
//! | moved | most places with texture then and now show another one (`layout`) | half show the same |
//!
//! A condition that makes another impossible to see makes it unsure: of a dark or bright picture nothing else
//! is told, a covered or moved one is not blurred. So a lens under a black cap is told as dark: a picture
//! without light cannot show whether it is night. What needs a norm is unsure until that is learnt, a
//! minute of light like this. A view that has been another for [`layout::ACCEPT`] is the new one.

mod layout;
mod norm;
mod tiles;

use std::time::Duration;

use self::layout::Layout;
use self::norm::Norm;
use super::Quality;
use crate::clock::BootTime;
use crate::frame::Luma;

/// Something that is wrong with the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing can be seen for lack of light.
    Dark,
    /// Nothing can be seen for too much of it.
    Bright,
    /// Much less detail than this camera gives in such light: defocused, dirty, fogged.
    Blurred,
    /// The same picture again and again.
    Frozen,
    /// Something is before the lens.
    Covered,
    /// The camera looks elsewhere.
    Moved,
}

impl Condition {
    /// All there are, in the order of their bits.
    pub const ALL: [Self; 6] =
        [Self::Dark, Self::Bright, Self::Blurred, Self::Frozen, Self::Covered, Self::Moved];

    /// In one word: `dark`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Bright => "bright",
            Self::Blurred => "blurred",
            Self::Frozen => "frozen",
            Self::Covered => "covered",
            Self::Moved => "moved",
        }
    }

    /// Name of its alarm.
    #[must_use]
    pub fn alarm(self) -> &'static str {
        match self {
            Self::Dark => "camera-dark",
            Self::Bright => "camera-bright",
            Self::Blurred => "camera-blurred",
            Self::Frozen => "camera-frozen",
            Self::Covered => "camera-covered",
            Self::Moved => "camera-moved",
        }
    }
}

/// A set of conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions(u8);

impl Conditions {
    /// Is this one in it?
    #[must_use]
    pub fn contains(self, condition: Condition) -> bool {
        self.0 & 1 << condition as u8 != 0
    }

    /// Is any of these in it?
    #[must_use]
    pub fn any_of(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Those in it.
    pub fn iter(self) -> impl Iterator<Item = Condition> {
        Condition::ALL.into_iter().filter(move |c| self.contains(*c))
    }

    /// As a number, for counters; [`Self::from_bits`] reads it.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Of [`Self::bits`]; unknown bits are left out.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & ((1 << Condition::ALL.len()) - 1))
    }
}

impl FromIterator<Condition> for Conditions {
    fn from_iter<I: IntoIterator<Item = Condition>>(conditions: I) -> Self {
        Self(conditions.into_iter().fold(0, |bits, c| bits | 1 << c as u8))
    }
}

/// How conditions are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TamperSettings {
    /// A condition is raised when it has lasted so long, and cleared when it has stayed away so long.
    pub after: Duration,
    /// While one of these is raised, nothing that moves and no interval is worth a picture.
    pub skip: Conditions,
}

impl Default for TamperSettings {
    fn default() -> Self {
        Self { after: Duration::from_secs(10), skip: Conditions::default() }
    }
}

/// What is looked at of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    pub(super) luma: &'a Luma,
    /// The scene as the motion model has learnt it, of the size of `luma`; `None` while that is not known.
    pub(super) scene: Option<&'a [i16]>,
    pub(super) quality: Quality,
    /// Length of the frame: a JPEG's changes with every bit of noise.
    pub(super) bytes: usize,
    pub(super) at: BootTime,
}

/// Mean grey levels: dark from the first down, no more from the second up; of contrast likewise.
const DARK: (f32, f32) = (20.0, 28.0);
const FLAT: (f32, f32) = (14.0, 20.0);
/// Bright from the first up, no more from the second down.
const BRIGHT: (f32, f32) = (235.0, 220.0);
/// Frames of a run of equal ones that count for how lively a camera is; further ones are the run's own.
const RUN: u32 = 8;
/// How fast that is learnt, and how lively a camera must be for a standing picture to mean something.
const LIVELY_RATE: f32 = 1.0 / 32.0;
const LIVELY: f32 = 0.5;
/// Longest time between two looks that is believed.
const LONGEST_STEP: Duration = Duration::from_secs(2);

/// How a condition stands in one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Verdict {
    Bad,
    Good,
    #[default]
    Unsure,
}

impl Verdict {
    /// Bad or good, by which of the two is true; neither is unsure.
    fn of(bad: bool, good: bool) -> Self {
        match (bad, good) {
            (true, _) => Self::Bad,
            (false, true) => Self::Good,
            (false, false) => Self::Unsure,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Clear,
    Rising {
        since: BootTime,
    },
    Raised,
    Falling {
        since: BootTime,
    },
}

impl Phase {
    fn next(self, verdict: Verdict, at: BootTime, after: Duration) -> Self {
        match (self, verdict) {
            (Self::Clear, Verdict::Bad) => Self::Rising { since: at }.ripe(at, after),
            (Self::Rising { .. }, Verdict::Bad) => self.ripe(at, after),
            (Self::Clear | Self::Rising { .. }, _) => Self::Clear,
            (Self::Raised, Verdict::Good) => Self::Falling { since: at }.ripe(at, after),
            (Self::Falling { .. }, Verdict::Good) => self.ripe(at, after),
            (Self::Raised | Self::Falling { .. }, _) => Self::Raised,
        }
    }

    fn ripe(self, at: BootTime, after: Duration) -> Self {
        match self {
            Self::Rising { since } if at.since(since) >= after => Self::Raised,
            Self::Falling { since } if at.since(since) >= after => Self::Clear,
            _ => self,
        }
    }

    fn is_raised(self) -> bool {
        matches!(self, Self::Raised | Self::Falling { .. })
    }
}

/// Watches over one camera's picture.
#[derive(Debug)]
pub(super) struct Tamper {
    settings: TamperSettings,
    phases: [Phase; Condition::ALL.len()],
    last: Option<BootTime>,
    prints: Prints,
    norm: Norm,
    layout: Layout,
}

impl Tamper {
    pub(super) fn new(settings: TamperSettings) -> Self {
        Self {
            settings,
            phases: Default::default(),
            last: None,
            prints: Prints::default(),
            norm: Norm::default(),
            layout: Layout::default(),
        }
    }

    /// Those that are raised.
    pub(super) fn conditions(&self) -> Conditions {
        Condition::ALL.into_iter().filter(|c| self.phases[*c as usize].is_raised()).collect()
    }

    /// Is nothing worth a picture now?
    pub(super) fn skips(&self) -> bool {
        self.conditions().any_of(self.settings.skip)
    }

    /// Looks at one frame.
    pub(super) fn look(&mut self, look: &Look<'_>) {
        let elapsed = self.last.map_or(Duration::ZERO, |last| look.at.since(last));
        self.last = Some(look.at);
        let Quality { brightness, contrast, .. } = look.quality;
        let dark = Verdict::of(
            brightness < DARK.0 && contrast < FLAT.0,
            brightness > DARK.1 || contrast > FLAT.1,
        );
        let bright = Verdict::of(brightness > BRIGHT.0, brightness < BRIGHT.1);
        self.step(Condition::Dark, dark, look.at);
        self.step(Condition::Bright, bright, look.at);
        let frozen = self.prints.judge(look);
        if dark == Verdict::Bad || bright == Verdict::Bad {
            // There is no noise in black and white either.
            use Condition::{Blurred, Covered, Frozen, Moved};
            for unseen in [Blurred, Covered, Frozen, Moved] {
                self.step(unseen, Verdict::Unsure, look.at);
            }
            return;
        }
        self.step(Condition::Frozen, frozen, look.at);
        if let Some(scene) = look.scene {
            self.layout.look(scene, look.luma.width, brightness, look.at);
        }
        let (covered, moved) = (self.layout.covered(), self.layout.moved());
        self.step(Condition::Covered, covered, look.at);
        self.step(Condition::Moved, moved, look.at);
        let hidden = covered == Verdict::Bad || moved == Verdict::Bad;
        let elsewhere = [Condition::Covered, Condition::Moved, Condition::Frozen];
        let told = self.conditions().any_of(elsewhere.into_iter().collect());
        let blurred = match hidden || told || look.scene.is_none() {
            true => Verdict::Unsure,
            false => self.norm.judge(look.quality, elapsed.min(LONGEST_STEP)),
        };
        self.step(Condition::Blurred, blurred, look.at);
    }

    fn step(&mut self, condition: Condition, verdict: Verdict, at: BootTime) {
        let phase = &mut self.phases[condition as usize];
        *phase = phase.next(verdict, at, self.settings.after);
    }
}

/// Whether frames differ, as a sensor's noise makes them.
#[derive(Debug, Default)]
struct Prints {
    last: Option<u64>,
    /// Equal ones in a row.
    run: u32,
    /// Share of frames that were not as the one before.
    lively: f32,
}

impl Prints {
    fn judge(&mut self, look: &Look<'_>) -> Verdict {
        let print = print(look);
        let same = self.last.replace(print) == Some(print);
        self.run = if same { self.run.saturating_add(1) } else { 0 };
        if self.run <= RUN {
            self.lively += (f32::from(u8::from(!same)) - self.lively) * LIVELY_RATE;
        }
        Verdict::of(same && self.lively >= LIVELY, !same)
    }
}

/// A number that is another with nearly every other frame: of every fourth row, the length and the detail.
fn print(look: &Look<'_>) -> u64 {
    // FNV-1a's prime; eight samples at a time. Four hashes beside each other, for each waits for its product.
    let mix =
        |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    let mut hashes = [look.bytes as u64, u64::from(look.quality.detail.to_bits()), 2, 3];
    for row in look.luma.data.chunks_exact(look.luma.width.max(1)).step_by(4) {
        let (words, rest) = row.as_chunks::<32>();
        for word in words {
            for (hash, part) in hashes.iter_mut().zip(word.as_chunks::<8>().0) {
                *hash = mix(*hash, u64::from_le_bytes(*part));
            }
        }
        for (hash, part) in hashes.iter_mut().zip(rest.as_chunks::<8>().0) {
            *hash = mix(*hash, u64::from_le_bytes(*part));
        }
    }
    hashes.into_iter().fold(0, mix)
}

#[cfg(test)]
mod tests;
