//! The street itself: all that stands still, drawn once, and what its lamps light at night.

use fastrand::Rng;

use super::DESIGN_HEIGHT;
use super::canvas::{Colour, Paint, Pen, Planes, Point, Scratch, rgb};
use super::house::{self, Window};
use super::light::Lamps;
use super::tree::Crown;

const KERB: f32 = 454.0;
const ROAD: f32 = 462.0;
const NEAR_KERB: f32 = 644.0;
const PAVEMENT: f32 = 656.0;
const BLACK: Colour = rgb(16, 16, 20);
const IRON: Colour = rgb(52, 58, 60);

/// A street by day, its trees and its lamps.
#[derive(Debug)]
pub(super) struct Street {
    pub(super) still: Planes,
    pub(super) crowns: Vec<Crown>,
    pub(super) lamps: Lamps,
}

/// Draws the street that follows from `seed`; `unit` is the pixels of a design pixel.
pub(super) fn build(seed: u64, size: (usize, usize), unit: f32) -> Street {
    let mut rng = Rng::with_seed(seed ^ 0x7374_7265_6574);
    let width = size.0 as f32 / unit;
    let mut still = Planes::new(size.0, size.1, rgb(200, 215, 225));
    let mut scratch = Scratch::default();
    let mut pen = Pen::new(&mut still, &mut scratch, (0.0, 0.0), (unit, unit));
    sky(&mut pen, &mut rng, width);
    let mut windows = Vec::new();
    for house in house::row(&mut rng, width) {
        windows.extend(house.draw(&mut pen, &mut rng));
    }
    ground(&mut pen, &mut rng, width);
    let lamp = (width * (0.5 + 0.14 * rng.f32()), KERB - 4.0);
    let trees = plant(&mut rng, width, lamp.0);
    for &(x, _) in &trees {
        trunk(&mut pen, x);
    }
    furniture(&mut pen, &mut rng, width, lamp.0);
    lamp_post(&mut pen, lamp);
    grain(&mut still, &mut rng);
    let crowns: Vec<Crown> = trees
        .iter()
        .map(|&(x, radius)| {
            Crown::new(&mut rng, (x * unit, 240.0 * unit), radius * unit, 1.3 * unit)
        })
        .collect();
    let lamps = lamps(&mut rng, size, unit, lamp, &windows, &crowns);
    Street { still, crowns, lamps }
}

fn sky(pen: &mut Pen<'_>, rng: &mut Rng, width: f32) {
    pen.rect(0.0, 0.0, width, 420.0, Paint::down(rgb(98, 150, 206), rgb(236, 240, 240)));
    for _ in 0..4 {
        let (x, y) = (rng.f32() * width, 22.0 + rng.f32() * 70.0);
        for _ in 0..9 {
            let at = (x + (rng.f32() - 0.5) * 190.0, y + (rng.f32() - 0.5) * 18.0);
            pen.blot(at, 34.0 + rng.f32() * 46.0, 12.0 + rng.f32() * 16.0, rgb(252, 252, 250), 0.6);
        }
    }
    // Gardens between the houses.
    for i in 0..60u8 {
        let at = (width * f32::from(i) / 59.0, 372.0 - rng.f32() * 34.0);
        pen.ellipse(at, 34.0, 30.0, Paint::down(rgb(108, 140, 96), rgb(66, 98, 62)));
    }
    pen.rect(0.0, 378.0, width, 28.0, Paint::down(rgb(74, 106, 68), rgb(58, 86, 54)));
}

fn ground(pen: &mut Pen<'_>, rng: &mut Rng, width: f32) {
    pen.rect(
        0.0,
        house::BASE,
        width,
        KERB - house::BASE,
        Paint::down(rgb(158, 153, 145), rgb(182, 177, 168)),
    );
    pen.rect(0.0, house::BASE, width, 10.0, Paint::down(BLACK, rgb(120, 118, 112)).alpha(0.3));
    slabs(pen, width, (house::BASE, KERB), 46.0);
    pen.rect(0.0, KERB, width, 3.5, Paint::solid(rgb(208, 204, 196)));
    pen.rect(0.0, KERB + 3.5, width, ROAD - KERB - 3.5, Paint::solid(rgb(132, 129, 124)));
    pen.rect(0.0, ROAD, width, NEAR_KERB - ROAD, Paint::down(rgb(98, 99, 102), rgb(120, 119, 118)));
    pen.rect(0.0, ROAD, width, 7.0, Paint::solid(BLACK).alpha(0.28));
    for _ in 0..7 {
        let at = (rng.f32() * width, ROAD + 20.0 + rng.f32() * 150.0);
        let colour = if rng.bool() { BLACK } else { rgb(160, 158, 154) };
        pen.blot(at, 60.0 + rng.f32() * 120.0, 8.0 + rng.f32() * 14.0, colour, 0.1);
    }
    markings(pen, width);
    let cover = (width * (0.2 + 0.6 * rng.f32()), 598.0);
    pen.ellipse(cover, 26.0, 8.0, Paint::solid(rgb(72, 72, 74)));
    pen.ellipse(cover, 22.0, 6.4, Paint::solid(rgb(88, 87, 86)));
    pen.rect(0.0, NEAR_KERB - 5.0, width, 5.0, Paint::solid(BLACK).alpha(0.2));
    pen.rect(
        0.0,
        NEAR_KERB,
        width,
        PAVEMENT - NEAR_KERB,
        Paint::down(rgb(214, 210, 202), rgb(192, 188, 180)),
    );
    pen.rect(
        0.0,
        PAVEMENT,
        width,
        DESIGN_HEIGHT - PAVEMENT,
        Paint::down(rgb(178, 172, 163), rgb(196, 190, 180)),
    );
    slabs(pen, width, (PAVEMENT, DESIGN_HEIGHT), 84.0);
}

/// Joints of paving slabs that run towards the vanishing point.
fn slabs(pen: &mut Pen<'_>, width: f32, (top, bottom): (f32, f32), step: f32) {
    let joint = Paint::solid(rgb(112, 106, 98)).alpha(0.5);
    let lean = (bottom - 300.0) / (top - 300.0);
    let mut x = -width;
    while x < width {
        let (from, to) = (width / 2.0 + x, width / 2.0 + x * lean);
        pen.polygon(&[(from, top), (from + 1.2, top), (to + 1.6, bottom), (to, bottom)], joint);
        x += step;
    }
    pen.rect(0.0, top + (bottom - top) * 0.42, width, 1.3, joint);
}

fn markings(pen: &mut Pen<'_>, width: f32) {
    let white = Paint::solid(rgb(226, 224, 214)).alpha(0.85);
    let mut x = -20.0;
    while x < width {
        let slant = (x + 45.0 - width / 2.0) * 0.02;
        let dash =
            [(x, 553.0), (x + 90.0, 553.0), (x + 91.0 + slant, 559.0), (x - 1.0 + slant, 559.0)];
        pen.polygon(&dash, white);
        x += 190.0;
    }
    let yellow = Paint::solid(rgb(222, 190, 84)).alpha(0.7);
    pen.rect(0.0, ROAD + 10.0, width, 2.4, yellow);
    pen.rect(0.0, NEAR_KERB - 17.0, width, 4.2, yellow);
}

/// Where trees stand, and how large they are; none hides the lamp.
fn plant(rng: &mut Rng, width: f32, lamp: f32) -> Vec<(f32, f32)> {
    let mut trees = Vec::new();
    let mut x = 60.0 + rng.f32() * 120.0;
    while x < width - 40.0 {
        if (x - lamp).abs() > 150.0 {
            trees.push((x, 80.0 + rng.f32() * 24.0));
        }
        x += 330.0 + rng.f32() * 190.0;
    }
    trees
}

fn trunk(pen: &mut Pen<'_>, x: f32) {
    pen.blot((x + 24.0, 423.0), 74.0, 9.0, BLACK, 0.3);
    pen.rect(x - 24.0, 415.0, 48.0, 10.0, Paint::solid(rgb(96, 78, 60)));
    let bark = [
        (x - 9.0, 421.0),
        (x - 5.0, 300.0),
        (x - 16.0, 240.0),
        (x + 15.0, 240.0),
        (x + 6.0, 300.0),
        (x + 10.0, 421.0),
    ];
    pen.polygon(&bark, Paint::solid(rgb(104, 82, 62)));
    let shade = [
        (x + 2.0, 421.0),
        (x + 1.0, 300.0),
        (x + 15.0, 240.0),
        (x + 6.0, 300.0),
        (x + 10.0, 421.0),
    ];
    pen.polygon(&shade, Paint::solid(rgb(66, 50, 40)));
}

/// A bench, a bin and bollards.
fn furniture(pen: &mut Pen<'_>, rng: &mut Rng, width: f32, lamp: f32) {
    let x = (lamp + 90.0 + rng.f32() * 60.0).min(width - 120.0);
    pen.blot((x + 42.0, 424.0), 56.0, 6.0, BLACK, 0.35);
    for leg in [x + 6.0, x + 74.0] {
        pen.rect(leg, 386.0, 4.0, 38.0, Paint::solid(IRON));
    }
    for (y, h) in [(384.0, 5.0), (391.0, 5.0), (404.0, 5.0)] {
        pen.rect(x, y, 84.0, h, Paint::down(rgb(164, 112, 68), rgb(124, 80, 48)));
    }
    pen.blot((x - 24.0, 424.0), 20.0, 5.0, BLACK, 0.35);
    pen.rect(x - 34.0, 388.0, 20.0, 36.0, Paint::down(rgb(70, 112, 84), rgb(44, 76, 58)));
    pen.rect(x - 36.0, 384.0, 24.0, 6.0, Paint::solid(rgb(40, 66, 52)));
    let mut bollard = 34.0;
    while bollard < width {
        pen.rect(bollard - 3.0, KERB - 28.0, 6.0, 28.0, Paint::solid(IRON));
        pen.rect(bollard - 3.0, KERB - 24.0, 6.0, 3.5, Paint::solid(rgb(230, 228, 220)));
        pen.ellipse((bollard, KERB - 28.0), 3.6, 3.0, Paint::solid(IRON));
        bollard += 212.0;
    }
}

/// The lamp's head, in design pixels.
fn head_of((x, y): Point) -> Point {
    (x + 40.0, y - 256.0)
}

fn lamp_post(pen: &mut Pen<'_>, base: Point) {
    let (x, y) = base;
    let head = head_of(base);
    pen.blot((x + 8.0, y), 26.0, 4.5, BLACK, 0.4);
    pen.rect(x - 3.0, y - 240.0, 6.0, 240.0, Paint::solid(IRON));
    pen.rect(x - 6.0, y - 34.0, 12.0, 34.0, Paint::solid(IRON.shade(0.85)));
    pen.rect(x - 1.5, y - 240.0, 1.6, 206.0, Paint::solid(rgb(112, 120, 122)));
    for (from, to) in
        [((x, y - 239.0), (x + 12.0, y - 258.0)), ((x + 12.0, y - 258.0), (head.0, y - 262.0))]
    {
        pen.line(from, to, 5.0, Paint::solid(IRON));
    }
    let hood = [
        (head.0 - 20.0, head.1),
        (head.0 - 14.0, head.1 - 9.0),
        (head.0 + 16.0, head.1 - 9.0),
        (head.0 + 22.0, head.1),
    ];
    pen.polygon(&hood, Paint::solid(IRON.shade(0.9)));
    pen.ellipse((head.0 + 1.0, head.1), 17.0, 5.0, Paint::solid(rgb(232, 230, 214)));
}

/// Small unevenness that no painter's surface has and every real one has: most on the ground.
fn grain(still: &mut Planes, rng: &mut Rng) {
    let height = still.height as f32;
    for (row, samples) in still.y.chunks_exact_mut(still.width).enumerate() {
        let design = row as f32 / height * DESIGN_HEIGHT;
        let strength = match design {
            y if y < 150.0 => 0.0,
            y if y < house::BASE => 3.0,
            _ => 7.0,
        };
        let mut drift = 0.0f32;
        for y in samples {
            let noise = rng.f32() - 0.5;
            drift = drift * 0.8 + noise * 0.5;
            *y = (f32::from(*y) + (noise + drift) * strength).clamp(0.0, 255.0) as u8;
        }
    }
}

/// Works out what the lamp lights, and picks the windows that are lit at night.
fn lamps(
    rng: &mut Rng,
    size: (usize, usize),
    unit: f32,
    base: Point,
    windows: &[Window],
    crowns: &[Crown],
) -> Lamps {
    let head = head_of(base);
    let fade = |x: f32, y: f32, at: Point, rx: f32, ry: f32| {
        (-((x - at.0) / rx).powi(2) - ((y - at.1) / ry).powi(2)).exp()
    };
    let mut pool = Vec::with_capacity(size.0 * size.1);
    let mut shine = Vec::with_capacity(size.0 * size.1);
    for row in 0..size.1 {
        for column in 0..size.0 {
            let (x, y) = (column as f32 / unit, row as f32 / unit);
            let on_ground = fade(x, y, (head.0 + 6.0, 482.0), 330.0, 92.0);
            let on_walls = fade(x, y, (head.0, 318.0), 210.0, 150.0) * 0.62;
            pool.push(
                ((on_ground.max(on_walls) + 0.3 * on_walls.min(on_ground)).min(1.0) * 255.0) as u8,
            );
            let halo = fade(x, y, head, 42.0, 34.0) * 70.0;
            let glare = fade(x, y, (head.0 + 1.0, head.1 + 1.0), 16.0, 8.0) * 240.0;
            shine.push((halo + glare).min(255.0) as u8);
        }
    }
    Lamps { pool, windows: lit(rng, size, unit, windows, crowns), head: shine }
}

/// The windows that are lit at night, as far as no tree hides them.
fn lit(
    rng: &mut Rng,
    size: (usize, usize),
    unit: f32,
    windows: &[Window],
    crowns: &[Crown],
) -> Planes {
    let dark = Colour { y: 0.0, u: 128.0, v: 128.0 };
    let mut lit = Planes::new(size.0, size.1, dark);
    let mut scratch = Scratch::default();
    let mut pen = Pen::new(&mut lit, &mut scratch, (0.0, 0.0), (unit, unit));
    for &(x, y, w, h) in windows {
        if rng.f32() > 0.5 {
            continue;
        }
        let warm = dark.mix(rgb(255, 186, 96), 0.5 + 0.24 * rng.f32());
        pen.blot((x + w / 2.0, y + h / 2.0), w * 1.1, h * 0.9, warm, 0.1);
        for (pane_x, pane_w) in [(x, w / 2.0 - 1.2), (x + w / 2.0 + 1.2, w / 2.0 - 1.2)] {
            pen.rect(pane_x, y, pane_w, h * 0.36, Paint::solid(warm));
            pen.rect(
                pane_x,
                y + h * 0.36 + 2.2,
                pane_w,
                h * 0.64 - 2.2,
                Paint::down(warm, warm.mix(dark, 0.35)),
            );
        }
    }
    for row in 0..size.1 {
        for column in 0..size.0 {
            let hidden = crowns.iter().map(|c| c.opacity(column, row)).max().unwrap_or(0);
            if hidden > 0 {
                let y = &mut lit.y[row * size.0 + column];
                *y = (u16::from(*y) * u16::from(255 - hidden) / 255) as u8;
                let at = row * (size.0 / 2) + column / 2;
                if hidden > 128 {
                    (lit.u[at], lit.v[at]) = (128, 128);
                }
            }
        }
    }
    lit
}
