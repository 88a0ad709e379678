//! People on foot and on bicycles, in metres, facing right, the ground at 0 and up negative.

use std::f32::consts::{PI, TAU};

use super::canvas::{Colour, Paint, Pen, Point, rgb, rounded};

const SKINS: [Colour; 4] =
    [rgb(238, 196, 168), rgb(214, 164, 130), rgb(160, 112, 82), rgb(104, 70, 52)];
const HAIRS: [Colour; 5] =
    [rgb(44, 32, 26), rgb(96, 62, 38), rgb(192, 150, 92), rgb(150, 148, 146), rgb(24, 22, 24)];
const TOPS: [Colour; 8] = [
    rgb(186, 48, 44),
    rgb(40, 80, 132),
    rgb(232, 182, 60),
    rgb(70, 122, 84),
    rgb(236, 232, 224),
    rgb(92, 62, 112),
    rgb(222, 112, 62),
    rgb(54, 58, 66),
];
const LEGS: [Colour; 5] =
    [rgb(44, 56, 84), rgb(40, 40, 44), rgb(112, 98, 78), rgb(78, 84, 92), rgb(142, 124, 98)];
const SHOE: Colour = rgb(34, 28, 26);
const BIKE: Colour = rgb(30, 32, 36);

/// One person's looks.
struct Looks {
    skin: Colour,
    hair: Colour,
    top: Colour,
    legs: Colour,
    long_coat: bool,
    rucksack: bool,
    long_hair: bool,
}

impl Looks {
    fn new(style: u64) -> Self {
        let pick = |shift: u32, of: usize| (style >> shift) as usize % of;
        Self {
            skin: SKINS[pick(3, SKINS.len())],
            hair: HAIRS[pick(9, HAIRS.len())],
            top: TOPS[pick(15, TOPS.len())],
            legs: LEGS[pick(21, LEGS.len())],
            long_coat: pick(27, 3) == 0,
            rucksack: pick(31, 3) == 0,
            long_hair: pick(35, 2) == 0,
        }
    }
}

/// Draws a pedestrian who has gone so many metres.
pub(super) fn walk(pen: &mut Pen<'_>, style: u64, gone: f32) {
    let looks = Looks::new(style);
    let phase = gone / 1.45 * TAU;
    let hip = (0.0, -0.9 + 0.02 * (2.0 * phase).cos());
    let shoulder = (0.03, hip.1 - 0.53);
    arm(pen, shoulder, phase + PI, looks.top.shade(0.7), looks.skin.shade(0.8));
    leg(pen, hip, phase + PI, looks.legs.shade(0.72));
    leg(pen, hip, phase, looks.legs);
    if looks.rucksack {
        let bag = [(-0.32, -1.38), (-0.1, -1.44), (-0.08, -1.0), (-0.3, -0.98), (-0.36, -1.15)];
        pen.polygon(&rounded(&bag), Paint::solid(looks.legs.shade(0.8)));
    }
    torso(pen, &looks, hip.1);
    head(pen, &looks, (0.05, hip.1 - 0.72));
    arm(pen, shoulder, phase, looks.top.shade(0.88), looks.skin);
}

fn torso(pen: &mut Pen<'_>, looks: &Looks, hip: f32) {
    let hem = hip + if looks.long_coat { 0.3 } else { 0.06 };
    let contour = [
        (-0.13, hip - 0.56),
        (0.11, hip - 0.58),
        (0.16, hip - 0.34),
        (0.13, hip - 0.08),
        (0.16, hem),
        (-0.16, hem),
        (-0.14, hip - 0.1),
        (-0.17, hip - 0.36),
    ];
    pen.polygon(&rounded(&contour), Paint::down(looks.top.shade(1.1), looks.top.shade(0.8)));
}

fn head(pen: &mut Pen<'_>, looks: &Looks, (x, y): Point) {
    pen.line((x - 0.02, y + 0.18), (x, y), 0.1, Paint::solid(looks.skin.shade(0.85)));
    if looks.long_hair {
        let hair = [
            (x - 0.15, y - 0.04),
            (x, y - 0.12),
            (x + 0.02, y),
            (x - 0.06, y + 0.2),
            (x - 0.17, y + 0.18),
        ];
        pen.polygon(&rounded(&hair), Paint::solid(looks.hair));
    }
    pen.ellipse((x, y), 0.1, 0.125, Paint::solid(looks.skin));
    let cap = [
        (x - 0.12, y + 0.04),
        (x - 0.13, y - 0.1),
        (x, y - 0.17),
        (x + 0.11, y - 0.08),
        (x + 0.02, y - 0.06),
        (x - 0.05, y + 0.02),
    ];
    pen.polygon(&rounded(&cap), Paint::solid(looks.hair));
}

/// The leg at this phase of the step: it swings forward bent, and stands stretched.
fn leg(pen: &mut Pen<'_>, hip: Point, phase: f32, colour: Colour) {
    let thigh = 0.46 * phase.sin();
    let bend = 0.1 + 0.85 * phase.cos().max(0.0);
    let knee = down(hip, 0.43, thigh);
    let ankle = down(knee, 0.42, thigh - bend);
    let toe = down(ankle, 0.17, thigh - bend + 1.35);
    pen.line(ankle, toe, 0.085, Paint::solid(SHOE));
    pen.line(hip, knee, 0.165, Paint::solid(colour));
    pen.line(knee, ankle, 0.125, Paint::solid(colour));
}

fn arm(pen: &mut Pen<'_>, shoulder: Point, phase: f32, sleeve: Colour, skin: Colour) {
    let swing = -0.5 * phase.sin();
    let elbow = down(shoulder, 0.29, swing);
    let hand = down(elbow, 0.25, swing + 0.35);
    pen.line(shoulder, elbow, 0.115, Paint::solid(sleeve));
    pen.line(elbow, hand, 0.095, Paint::solid(sleeve));
    pen.ellipse(down(hand, 0.04, swing), 0.048, 0.055, Paint::solid(skin));
}

/// The point `length` below `from`, swung forward by `angle`.
fn down(from: Point, length: f32, angle: f32) -> Point {
    (from.0 + length * angle.sin(), from.1 + length * angle.cos())
}

/// Draws a cyclist who has gone so many metres.
pub(super) fn cycle(pen: &mut Pen<'_>, style: u64, gone: f32) {
    let looks = Looks::new(style);
    let (rear, front, pedals) = ((-0.52, -0.34), (0.54, -0.34), (-0.02, -0.3));
    let (seat, bars) = ((-0.2, -0.96), (0.4, -1.04));
    let turned = gone / 2.3 * TAU;
    let foot = |phase: f32| (pedals.0 + 0.17 * phase.cos(), pedals.1 + 0.17 * phase.sin());
    rider_leg(pen, seat, foot(turned + PI), looks.legs.shade(0.7));
    for hub in [rear, front] {
        pen.ellipse(hub, 0.32, 0.32, Paint::solid(rgb(128, 130, 132)).alpha(0.18));
        pen.ring(hub, 0.34, 0.295, Paint::solid(BIKE));
    }
    let paint = Paint::solid(TOPS[(style >> 40) as usize % TOPS.len()].shade(0.8));
    let (saddle, head_tube) = ((-0.17, -0.82), (0.4, -0.82));
    for (from, to) in [
        (rear, pedals),
        (rear, saddle),
        (pedals, saddle),
        (pedals, head_tube),
        (saddle, head_tube),
        (head_tube, front),
    ] {
        pen.line(from, to, 0.045, paint);
    }
    pen.line(head_tube, bars, 0.04, Paint::solid(BIKE));
    pen.line((-0.29, -0.91), (-0.08, -0.92), 0.07, Paint::solid(BIKE));
    pen.ellipse(pedals, 0.085, 0.085, Paint::solid(BIKE));
    rider_leg(pen, seat, foot(turned), looks.legs);
    let shoulder = (0.1, -1.44);
    let back =
        [(-0.32, -0.98), (-0.24, -1.26), (0.0, -1.54), (0.17, -1.48), (0.1, -1.22), (-0.1, -0.92)];
    pen.polygon(&rounded(&back), Paint::down(looks.top.shade(1.1), looks.top.shade(0.8)));
    head(pen, &looks, (0.2, -1.63));
    let helmet = [(0.07, -1.66), (0.1, -1.76), (0.22, -1.8), (0.33, -1.7), (0.33, -1.66)];
    pen.polygon(&rounded(&helmet), paint);
    pen.line(shoulder, (0.26, -1.18), 0.11, Paint::solid(looks.top.shade(0.85)));
    pen.line((0.26, -1.18), (0.42, -1.07), 0.085, Paint::solid(looks.skin));
}

/// A leg from the saddle to a pedal, the knee where thigh and shin meet.
fn rider_leg(pen: &mut Pen<'_>, hip: Point, foot: Point, colour: Colour) {
    let (dx, dy) = (foot.0 - hip.0, foot.1 - hip.1);
    let reach = dx.hypot(dy).min(0.87);
    let bow = (0.44f32.powi(2) - (reach / 2.0).powi(2)).max(0.0).sqrt();
    let knee = (hip.0 + dx / 2.0 + bow * dy / reach, hip.1 + dy / 2.0 - bow * dx / reach);
    pen.line(hip, knee, 0.16, Paint::solid(colour));
    pen.line(knee, foot, 0.115, Paint::solid(colour));
    pen.line(
        (foot.0 - 0.06, foot.1 + 0.03),
        (foot.0 + 0.13, foot.1 + 0.03),
        0.08,
        Paint::solid(SHOE),
    );
}
