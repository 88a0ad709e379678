//! How the scene is learnt, frame by frame.

use std::time::Duration;

use super::{
    ABSORB, Background, CHUNK, Changed, DEVIATION, FADE, FADE_STEP, FINER, FOLLOW, MOST_DEVIATION,
    MOVING, OFTEN, ONSET, RECENT, Row, STILL, UNREST, part, sample, share,
};
use crate::firstpass::shrink::Loops;

/// How fast a frame is learnt, from the time since the last.
pub(super) struct Rates {
    follow: Row,
    absorb: Row,
    moving: Row,
    calm: Row,
    unrest: Row,
    recent: Row,
}

impl Rates {
    pub(super) fn after(elapsed: Duration) -> Self {
        let dt = elapsed.as_secs_f32();
        let rate = |tau: f32| [share(1.0 - (-dt / tau).exp()); CHUNK];
        Self {
            follow: rate(FOLLOW),
            absorb: rate(ABSORB),
            moving: rate(MOVING),
            calm: rate(DEVIATION),
            unrest: rate(UNREST),
            recent: rate(RECENT),
        }
    }
}

/// Learns from a frame.
pub(super) struct Follow<'a> {
    pub(super) background: &'a mut Background,
    pub(super) luma: &'a [u8],
    pub(super) changed: &'a Changed,
    /// Since the last one.
    pub(super) elapsed: Duration,
    pub(super) rates: &'a Rates,
}

impl Loops for Follow<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let Self { background, luma, changed, elapsed, rates } = self;
        let (lumas, luma) = luma.as_chunks::<CHUNK>();
        let mut changed = changed.samples.chunks(CHUNK).zip(&changed.chunks);
        let (means, mean) = background.mean.as_chunks_mut::<CHUNK>();
        let (deviations, deviation) = background.deviation.as_chunks_mut::<CHUNK>();
        let (recents, recent) = background.recent.as_chunks_mut::<CHUNK>();
        let (counts, onsets) = background.onsets.as_chunks_mut::<CHUNK>();
        let mut states = background.restless.iter_mut().zip(&mut background.unfaded);
        let model = means.iter_mut().zip(deviations).zip(recents.iter_mut().zip(counts));
        let frame = lumas.iter().zip(changed.by_ref());
        for (((luma, changed), ((mean, deviation), (recent, onsets))), state) in
            frame.zip(model).zip(states.by_ref())
        {
            let chunk = Chunk { mean, deviation, recent, onsets, state };
            chunk.follow(luma, changed, elapsed, rates);
        }
        if let (Some(state), Some(changed)) = (states.next(), changed.next()) {
            let chunk = Chunk { mean, deviation, recent, onsets, state };
            chunk.follow(luma, changed, elapsed, rates);
        }
    }
}

/// What is known of a chunk, or of the part of one at the plane's end.
struct Chunk<'a> {
    mean: &'a mut [i16],
    deviation: &'a mut [i16],
    recent: &'a mut [i16],
    onsets: &'a mut [u8],
    /// Restless, unfaded.
    state: (&'a mut bool, &'a mut Duration),
}

impl Chunk<'_> {
    #[inline(always)]
    fn follow(
        self,
        luma: &[u8],
        (changed, &any): (&[u8], &bool),
        elapsed: Duration,
        rates: &Rates,
    ) {
        let (restless, unfaded) = self.state;
        *unfaded = unfaded.saturating_add(elapsed);
        if !any {
            follow_calm(luma, self.mean, self.deviation, rates);
        } else {
            if !*restless {
                self.recent.copy_from_slice(self.mean);
            }
            if *unfaded >= FADE_STEP {
                fade(self.onsets, std::mem::take(unfaded));
            }
            count_onsets(self.onsets, changed);
            let short = Short { recent: self.recent, onsets: self.onsets };
            follow_changed(luma, changed, self.mean, self.deviation, short, rates);
        }
        *restless = any;
    }
}

/// A chunk without a changed sample, which nearly all are.
#[inline(always)]
fn follow_calm(luma: &[u8], mean: &mut [i16], deviation: &mut [i16], rates: &Rates) {
    let rates = rates.follow.iter().zip(&rates.calm);
    for (((mean, deviation), &x), (&follow, &calm)) in
        mean.iter_mut().zip(deviation).zip(luma).zip(rates)
    {
        let off = sample(x) - *mean;
        *mean += part(off, follow);
        let spread = off.abs().min(MOST_DEVIATION) << FINER;
        *deviation += part(spread - *deviation, calm);
    }
}

/// Lets counts fade that were not since `elapsed`.
fn fade(onsets: &mut [u8], elapsed: Duration) {
    let left = (256.0 * (-elapsed.as_secs_f32() / FADE).exp()) as u16;
    for onset in onsets {
        *onset = ((u16::from(*onset) * left) >> 8) as u8 & !1 | *onset & 1;
    }
}

/// Counts which samples begin to be changed.
fn count_onsets(onsets: &mut [u8], changed: &[u8]) {
    for (onset, &changed) in onsets.iter_mut().zip(changed) {
        let began = changed & !*onset & 1;
        *onset = (*onset & !1).saturating_add(began * ONSET) & !1 | changed;
    }
}

/// What is remembered for a short time.
struct Short<'a> {
    recent: &'a mut [i16],
    onsets: &'a [u8],
}

#[inline(always)]
fn follow_changed(
    luma: &[u8],
    changed: &[u8],
    mean: &mut [i16],
    deviation: &mut [i16],
    short: Short<'_>,
    rates: &Rates,
) {
    let short = short.recent.iter_mut().zip(short.onsets);
    let model = mean.iter_mut().zip(deviation).zip(short);
    let calm = rates.follow.iter().zip(&rates.calm);
    let learn = rates.absorb.iter().zip(&rates.moving);
    let rates = calm.zip(learn).zip(rates.unrest.iter().zip(&rates.recent));
    for ((((mean, deviation), (recent, &onsets)), (&x, &changed)), rates) in
        model.zip(luma.iter().zip(changed)).zip(rates)
    {
        let (((&follow, &calm), (&absorb, &moving)), (&unrest, &quick)) = rates;
        let (off, since) = (sample(x) - *mean, sample(x) - *recent);
        let stands = since.unsigned_abs() < STILL;
        let learn = if stands { absorb } else { moving };
        let unrest = if onsets >= OFTEN { unrest } else { 0 };
        let (learn, spread) = if changed == 0 { (follow, calm) } else { (learn, unrest) };
        *mean += part(off, learn);
        let far = off.abs().min(MOST_DEVIATION) << FINER;
        *deviation += part(far - *deviation, spread);
        *recent += part(since, quick);
    }
}
