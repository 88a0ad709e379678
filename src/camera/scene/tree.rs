//! Trees: the crown is drawn once into a sprite and sheared a little by the wind in every frame.

use fastrand::Rng;

use super::canvas::{Colour, Paint, Pen, Planes, Point, Scratch, rgb};

const SHADE: Colour = rgb(34, 62, 34);
const LEAVES: Colour = rgb(72, 112, 50);
const SUNLIT: Colour = rgb(148, 176, 84);

/// A crown with its transparency.
#[derive(Debug)]
pub(super) struct Crown {
    /// Top left corner in pixels; even, so that chroma falls on chroma.
    x: usize,
    y: usize,
    picture: Planes,
    /// Opacity, in a picture's luma.
    opacity: Planes,
    /// Farthest movement of the top in pixels.
    reach: f32,
    phase: f32,
}

impl Crown {
    /// Draws a crown around `centre` (pixels) with `radius` pixels.
    pub(super) fn new(rng: &mut Rng, centre: Point, radius: f32, reach: f32) -> Self {
        let (rx, ry) = (radius, radius * 1.12);
        let width = ((2.5 * rx) as usize + 8) & !1;
        let height = (2.5 * ry) as usize + 8;
        let x = (centre.0 - width as f32 / 2.0).max(0.0) as usize & !1;
        let y = (centre.1 - height as f32 / 2.0).max(0.0) as usize;
        let mut picture = Planes::new(width, height, SHADE);
        let mut opacity = Planes::new(width, height, rgb(0, 0, 0));
        let mut scratch = Scratch::default();
        let middle = (centre.0 - x as f32, centre.1 - y as f32);
        for (at, size, light) in leaves(rng) {
            let centre = (middle.0 + at.0 * rx, middle.1 + at.1 * ry);
            let colour = if light < 0.5 {
                SHADE.mix(LEAVES, light * 2.0)
            } else {
                LEAVES.mix(SUNLIT, light * 2.0 - 1.0)
            };
            for (planes, paint) in [
                (&mut picture, Paint::solid(colour)),
                (&mut opacity, Paint::solid(rgb(255, 255, 255))),
            ] {
                Pen::new(planes, &mut scratch, (0.0, 0.0), (1.0, 1.0)).ellipse(
                    centre,
                    size * rx,
                    size * rx * 0.86,
                    paint,
                );
            }
        }
        Self { x, y, picture, opacity, reach, phase: rng.f32() * 6.0 }
    }

    /// How opaque the crown is at a place of the whole picture, 0 to 255.
    pub(super) fn opacity(&self, x: usize, y: usize) -> u8 {
        let (Some(x), Some(y)) = (x.checked_sub(self.x), y.checked_sub(self.y)) else { return 0 };
        if x >= self.opacity.width || y >= self.opacity.height {
            return 0;
        }
        self.opacity.y[y * self.opacity.width + x]
    }

    /// Draws the crown as the wind holds it at `t` seconds.
    pub(super) fn draw(&self, onto: &mut Planes, t: f64) {
        let gust = 0.6 + 0.4 * (t * 0.23 + f64::from(self.phase)).sin();
        let sway = self.reach * (gust * (t * 1.7 + f64::from(self.phase)).sin()) as f32;
        let Planes { width, height, y, u, v } = &self.picture;
        for row in 0..(*height).min(onto.height.saturating_sub(self.y)) {
            let shift = self.reach + sway * (1.0 - row as f32 / *height as f32);
            let from = row * width;
            let to = (self.y + row) * onto.width + self.x;
            let n = (*width).min(onto.width.saturating_sub(self.x));
            let alpha = &self.opacity.y[from..from + width];
            blend_row(&mut onto.y[to..to + n], &y[from..from + width], alpha, 1, shift);
            let (from, to, n) = (from / 2, to / 2, n / 2);
            let chroma = from..from + width / 2;
            blend_row(&mut onto.u[to..to + n], &u[chroma.clone()], alpha, 2, shift / 2.0);
            blend_row(&mut onto.v[to..to + n], &v[chroma], alpha, 2, shift / 2.0);
        }
    }
}

/// Leaves as (place in the crown, size, light), from the dark ones behind to the sunlit ones in front.
fn leaves(rng: &mut Rng) -> Vec<(Point, f32, f32)> {
    let mut leaves = Vec::new();
    for layer in 0..4u8 {
        let depth = f32::from(layer) / 3.0;
        let count = [26, 120, 260, 200][usize::from(layer)];
        for _ in 0..count {
            let (angle, out) = (rng.f32() * std::f32::consts::TAU, rng.f32().sqrt());
            let lobe = 0.84 + 0.16 * (angle * 5.0).sin();
            let spread = [0.74, 0.92, 0.98, 0.84][usize::from(layer)] * lobe;
            let (x, y) = (angle.cos() * out * spread, angle.sin() * out * spread);
            // Sun from the upper left.
            let sun = 0.5 - 0.34 * (x * 0.6 + y * 0.9);
            let light = (sun * (0.35 + 0.65 * depth) + (rng.f32() - 0.5) * 0.22).clamp(0.0, 1.0);
            let size = [0.26, 0.11, 0.062, 0.045][usize::from(layer)] * (0.7 + 0.6 * rng.f32());
            let push = [0.0, 0.0, 0.0, -0.1][usize::from(layer)];
            leaves.push(((x + push, y + push), size, light));
        }
    }
    leaves
}

/// Mixes a row of the sprite, moved by `shift` samples to the right, into a row of the picture.
/// `alpha` has `step` samples for each of the row's.
fn blend_row(onto: &mut [u8], row: &[u8], alpha: &[u8], step: usize, shift: f32) {
    let whole = shift.floor().max(0.0);
    let part = ((shift - whole) * 256.0) as i32;
    let mix = |a: u8, b: u8| (i32::from(a) * (256 - part) + i32::from(b) * part) >> 8;
    let skip = whole as usize + 1;
    let alphas = alpha.chunks_exact(step);
    let pairs = row.windows(2).zip(alphas.clone().zip(alphas.skip(1)));
    for (sample, (colour, (a0, a1))) in onto.iter_mut().skip(skip).zip(pairs) {
        let opacity = mix(a1[0], a0[0]);
        if opacity > 0 {
            let new = mix(colour[1], colour[0]);
            let old = i32::from(*sample);
            *sample = (old + (((new - old) * (opacity + 1)) >> 8)).clamp(0, 255) as u8;
        }
    }
}
