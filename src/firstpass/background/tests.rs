//! What is learnt, and how fast.

use super::*;
use crate::firstpass::shrink::Loops;

const FRAME: Duration = Duration::from_millis(200);

fn nothing(len: usize) -> Changed {
    let mut changed = Changed::default();
    changed.begin(len);
    changed
}

fn count(b: &Background, luma: &[u8]) -> usize {
    b.compare(luma, 10, &mut nothing(luma.len())).changed
}

fn follow(b: &mut Background, frames: usize, mut luma: impl FnMut(usize) -> Vec<u8>) {
    for i in 0..frames {
        let luma = luma(i);
        let mut changed = nothing(luma.len());
        b.compare(&luma, 10, &mut changed);
        b.follow(&luma, &changed, FRAME);
    }
}

#[test]
fn what_stands_still_is_absorbed_within_half_a_minute_but_not_within_two_seconds() {
    let mut b = Background::default();
    b.begin(&[100; 300]);
    follow(&mut b, 10, |_| vec![160; 300]);
    assert_eq!(count(&b, &[160; 300]), 300);
    follow(&mut b, 140, |_| vec![160; 300]);
    assert_eq!(count(&b, &[160; 300]), 0);
}

#[test]
fn what_passes_leaves_no_trace() {
    let mut b = Background::default();
    b.begin(&[100; 8]);
    follow(&mut b, 50, |_| vec![100; 8]);
    follow(&mut b, 6, |_| vec![180; 8]);
    assert_eq!(count(&b, &[100; 8]), 0);
}

#[test]
fn noise_is_learnt() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut noisy = |_| (0..1000).map(|_| 100 + rng.u8(0..40)).collect::<Vec<_>>();
    let mut b = Background::default();
    b.begin(&noisy(0));
    assert!(count(&b, &noisy(0)) > 200);
    follow(&mut b, 300, &mut noisy);
    assert!(count(&b, &noisy(0)) < 5);
}

#[test]
fn a_rim_takes_a_part_of_what_a_thing_takes_and_more_than_noise() {
    let mut b = Background::default();
    b.begin(&[150; 300]);
    follow(&mut b, 300, |_| vec![150; 300]);
    let rims = |b: &Background, level: u8| b.rim(&[level; 300], 20)(7);
    assert_eq!([rims(&b, 155), rims(&b, 157), rims(&b, 143)], [false, true, true]);
    assert_eq!(count(&b, &[157; 300]), 0);
    let mut rng = fastrand::Rng::with_seed(4);
    follow(&mut b, 300, |_| (0..300).map(|_| 140 + rng.u8(0..21)).collect());
    assert!(!rims(&b, 157), "noise");
    assert!(!b.rim(&[200; 300], 20)(300), "outside of the plane");
}

#[test]
fn relighting_moves_the_means_but_not_of_what_shines_by_itself() {
    let mut b = Background::default();
    b.begin(&[40, 100, 200, 90]);
    b.relight(&[72, 158, 250, 91], Relight { gain: 1.5, offset: 10.0 });
    let means: Vec<f32> = b.mean().iter().map(|&m| level(m)).collect();
    assert_eq!(means, [70.0, 160.0, 255.0, 90.0]);
}

/// Whatever vectors this machine has, what they give is what plain loops give.
#[test]
fn the_widest_vectors_say_and_learn_what_others_do() {
    let mut rng = fastrand::Rng::with_seed(9);
    for len in [1, 127, 128, 129, 300, 1024] {
        let mut luma = |spread: u8| (0..len).map(|_| 90 + rng.u8(..spread)).collect::<Vec<_>>();
        let (mut wide, mut plain) = (Background::default(), Background::default());
        let first = luma(20);
        wide.begin(&first);
        plain.begin(&first);
        let (mut marks, mut expected) = (nothing(len), nothing(len));
        for i in 0..40 {
            let luma = luma(if i % 9 == 8 { 165 } else { 25 });
            let counts = wide.compare(&luma, 10, &mut marks);
            let model = (&plain.mean[..], &plain.deviation[..]);
            let limit = Limit::new(10);
            let compare = Compare { luma: &luma, model, limit, changed: &mut expected };
            assert_eq!(counts, compare.run(), "{len} {i}");
            assert_eq!(marks.samples(), expected.samples(), "{len} {i}");
            wide.follow(&luma, &marks, FRAME);
            let (rates, changed) = (&Rates::after(FRAME), &expected);
            Follow { background: &mut plain, luma: &luma, changed, elapsed: FRAME, rates }.run();
            assert_eq!((&wide.mean, &wide.deviation), (&plain.mean, &plain.deviation));
            assert_eq!((&wide.recent, &wide.onsets), (&plain.recent, &plain.onsets));
        }
    }
}

#[test]
fn marks_are_those_of_the_last_frame_alone_and_their_span_holds_all() {
    let mut b = Background::default();
    b.begin(&[100; 1000]);
    let (mut marks, mut luma) = (nothing(1000), [100; 1000]);
    b.compare(&luma, 10, &mut marks);
    assert_eq!((marks.span(), marks.samples().contains(&1)), (0..0, false));
    luma[300] = 200;
    luma[999] = 200;
    b.compare(&luma, 10, &mut marks);
    let at = |m: &Changed| (0..1000).filter(|&i| m.samples()[i] == 1).collect::<Vec<_>>();
    assert_eq!((at(&marks), marks.span()), (vec![300, 999], 256..1000));
    luma[999] = 100;
    b.compare(&luma, 10, &mut marks);
    assert_eq!((at(&marks), marks.span()), (vec![300], 256..384));
    marks.keep(&[0; 1000]);
    assert!(at(&marks).is_empty());
}
