//! Cars from the side, in metres, facing right, the ground at 0 and up negative.

use super::canvas::{Colour, Paint, Pen, Point, rgb, rounded};

const TYRE: Colour = rgb(26, 26, 28);
const RIM: Colour = rgb(168, 171, 176);
const GLASS_TOP: Colour = rgb(92, 112, 128);
const GLASS_BOTTOM: Colour = rgb(38, 48, 58);
const BLACK: Colour = rgb(12, 12, 14);

const COLOURS: [Colour; 9] = [
    rgb(178, 34, 38),
    rgb(34, 74, 140),
    rgb(222, 224, 226),
    rgb(58, 62, 68),
    rgb(142, 150, 156),
    rgb(36, 92, 74),
    rgb(226, 168, 44),
    rgb(96, 142, 178),
    rgb(126, 70, 48),
];

/// The shape of one make of car.
struct Shape {
    body: &'static [Point],
    windows: &'static [&'static [Point]],
    doors: &'static [f32],
    axles: (f32, f32),
    wheel: f32,
    half_length: f32,
    height: f32,
    sill: f32,
}

const SALOON: Shape = Shape {
    body: &[
        (-2.16, -0.26),
        (-2.22, -0.62),
        (-2.12, -0.96),
        (-1.45, -1.01),
        (-0.92, -1.42),
        (-0.2, -1.49),
        (0.32, -1.45),
        (1.08, -1.0),
        (1.86, -0.88),
        (2.2, -0.66),
        (2.22, -0.28),
        (2.0, -0.2),
        (-2.0, -0.2),
    ],
    windows: &[
        &[(-1.22, -1.0), (-0.82, -1.33), (-0.2, -1.39), (-0.2, -1.0)],
        &[(-0.1, -1.0), (-0.1, -1.39), (0.26, -1.36), (0.86, -1.0)],
    ],
    doors: &[-1.05, -0.15, 0.92],
    axles: (-1.32, 1.36),
    wheel: 0.32,
    half_length: 2.22,
    height: 1.48,
    sill: -0.32,
};

const HATCHBACK: Shape = Shape {
    body: &[
        (-1.86, -0.26),
        (-1.96, -0.66),
        (-1.9, -1.02),
        (-1.62, -1.44),
        (-1.1, -1.54),
        (0.12, -1.54),
        (0.5, -1.44),
        (1.12, -1.02),
        (1.66, -0.9),
        (1.94, -0.66),
        (1.96, -0.28),
        (1.8, -0.2),
        (-1.75, -0.2),
    ],
    windows: &[
        &[(-1.56, -1.03), (-1.42, -1.36), (-0.98, -1.43), (-0.98, -1.03)],
        &[(-0.89, -1.03), (-0.89, -1.43), (-0.18, -1.44), (-0.18, -1.03)],
        &[(-0.09, -1.03), (-0.09, -1.44), (0.34, -1.4), (0.9, -1.03)],
    ],
    doors: &[-0.93, -0.13, 0.94],
    axles: (-1.2, 1.2),
    wheel: 0.31,
    half_length: 1.96,
    height: 1.54,
    sill: -0.32,
};

const VAN: Shape = Shape {
    body: &[
        (-2.4, -0.3),
        (-2.46, -1.2),
        (-2.4, -2.06),
        (-2.1, -2.14),
        (0.8, -2.14),
        (1.25, -1.98),
        (1.85, -1.2),
        (2.36, -1.02),
        (2.48, -0.7),
        (2.46, -0.3),
        (2.3, -0.22),
        (-2.3, -0.22),
    ],
    windows: &[&[(0.55, -1.2), (0.55, -1.86), (1.02, -1.84), (1.52, -1.2)]],
    doors: &[-1.1, 0.46, 1.5],
    axles: (-1.5, 1.58),
    wheel: 0.34,
    half_length: 2.47,
    height: 2.14,
    sill: -0.36,
};

fn shape(style: u64) -> &'static Shape {
    match style % 8 {
        0..=2 => &SALOON,
        3..=5 => &HATCHBACK,
        _ => &VAN,
    }
}

/// Half the length and the height in metres.
pub(super) fn extent(style: u64) -> (f32, f32) {
    let shape = shape(style);
    (shape.half_length, shape.height)
}

/// Where the lamps are: metres in front of the middle and above the ground.
pub(super) fn headlamp(style: u64) -> Point {
    (shape(style).half_length - 0.12, 0.66)
}

/// Draws a car that has gone so many metres.
pub(super) fn draw(pen: &mut Pen<'_>, style: u64, gone: f32) {
    let shape = shape(style);
    let colour = COLOURS[(style >> 8) as usize % COLOURS.len()];
    pen.polygon(&rounded(shape.body), Paint::down(colour.shade(1.18), colour.shade(0.74)));
    body_details(pen, shape, colour);
    for window in shape.windows {
        pen.polygon(window, Paint::down(GLASS_TOP, GLASS_BOTTOM));
    }
    driver(pen, shape);
    for x in [shape.axles.0, shape.axles.1] {
        wheel(pen, (x, -shape.wheel), shape.wheel, gone / shape.wheel);
    }
}

fn body_details(pen: &mut Pen<'_>, shape: &Shape, colour: Colour) {
    let end = shape.half_length;
    let line = |alpha| Paint::solid(BLACK).alpha(alpha);
    pen.rect(-end + 0.12, shape.sill, 2.0 * end - 0.24, 0.1, line(0.7));
    pen.line(
        (-end + 0.15, -0.86),
        (end - 0.25, -0.82),
        0.035,
        Paint::solid(rgb(255, 255, 255)).alpha(0.3),
    );
    pen.rect(-end + 0.1, -0.58, 2.0 * end - 0.2, 0.04, Paint::solid(colour.shade(0.6)));
    for &x in shape.doors {
        pen.rect(x, -0.98, 0.025, 0.64, line(0.4));
        pen.rect(x - 0.26, -0.84, 0.15, 0.035, line(0.5));
    }
    pen.ellipse((end - 0.14, -0.66), 0.14, 0.07, Paint::solid(rgb(245, 244, 226)));
    pen.rect(-end + 0.03, -0.84, 0.1, 0.2, Paint::solid(rgb(190, 22, 26)));
    for x in [shape.axles.0, shape.axles.1] {
        pen.ellipse((x, -shape.wheel), shape.wheel + 0.07, shape.wheel + 0.07, Paint::solid(BLACK));
    }
}

/// Head and shoulders behind the glass, and the light on it.
fn driver(pen: &mut Pen<'_>, shape: &Shape) {
    let Some(front) = shape.windows.last() else { return };
    let (x, base) = (front[0].0 + 0.24, front[0].1);
    let dim = Paint::solid(rgb(24, 26, 30)).alpha(0.85);
    pen.polygon(
        &[(x - 0.16, base), (x - 0.1, base - 0.1), (x + 0.1, base - 0.1), (x + 0.18, base)],
        dim,
    );
    pen.ellipse((x, base - 0.18), 0.09, 0.11, Paint::solid(rgb(120, 92, 78)).alpha(0.8));
    let (top, low) = (front[1], front[0]);
    let glint =
        [(top.0 + 0.3, top.1), (top.0 + 0.4, top.1), (low.0 + 0.16, low.1), (low.0 + 0.06, low.1)];
    pen.polygon(&glint, Paint::solid(rgb(235, 242, 248)).alpha(0.16));
}

fn wheel(pen: &mut Pen<'_>, centre: Point, radius: f32, turned: f32) {
    pen.ellipse(centre, radius, radius, Paint::solid(TYRE));
    pen.ellipse(centre, radius * 0.66, radius * 0.66, Paint::solid(RIM.shade(0.45)));
    for spoke in 0..5u8 {
        let angle = turned + f32::from(spoke) / 5.0 * std::f32::consts::TAU;
        let rim = (centre.0 + angle.cos() * radius * 0.58, centre.1 + angle.sin() * radius * 0.58);
        pen.line(centre, rim, radius * 0.2, Paint::solid(RIM));
    }
    pen.ring(centre, radius * 0.7, radius * 0.6, Paint::solid(RIM));
}
