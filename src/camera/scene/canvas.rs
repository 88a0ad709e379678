//! Drawing with soft edges, straight into planar YUV 4:2:2.
//!
//! Used by the other files of the scene. One rasteriser, [`Pen::fill`], draws everything: contours in
//! the pen's own units, filled even-odd, with exact horizontal and `SUBROWS`-fold vertical coverage.
//! Colours never pass through RGB frames: mixing is linear, so mixing YUV gives the same colours.
//!
//! What lies outside of the picture is cut off; no shape can panic.

/// Sample rows within a pixel row.
const SUBROWS: u16 = 5;

/// A point in a pen's units.
pub(super) type Point = (f32, f32);

/// A colour in full-range BT.601 YUV.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colour {
    pub(super) y: f32,
    pub(super) u: f32,
    pub(super) v: f32,
}

/// The colour of a red, green and blue from 0 to 255.
pub(super) const fn rgb(r: u8, g: u8, b: u8) -> Colour {
    let (r, g, b) = (r as f32, g as f32, b as f32);
    Colour {
        y: 0.299 * r + 0.587 * g + 0.114 * b,
        u: 128.0 - 0.168_736 * r - 0.331_264 * g + 0.5 * b,
        v: 128.0 + 0.5 * r - 0.418_688 * g - 0.081_312 * b,
    }
}

impl Colour {
    /// From `self` at 0 to `other` at 1.
    pub(super) fn mix(self, other: Self, at: f32) -> Self {
        let mix = |a: f32, b: f32| a + (b - a) * at;
        Self { y: mix(self.y, other.y), u: mix(self.u, other.u), v: mix(self.v, other.v) }
    }

    /// Brighter above 1, darker below.
    pub(super) fn shade(self, by: f32) -> Self {
        let chroma = by.min(1.0);
        Self {
            y: (self.y * by).min(255.0),
            u: 128.0 + (self.u - 128.0) * chroma,
            v: 128.0 + (self.v - 128.0) * chroma,
        }
    }
}

/// What a shape is filled with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    top: Colour,
    bottom: Colour,
    alpha: f32,
}

impl Paint {
    /// One colour.
    pub(super) fn solid(colour: Colour) -> Self {
        Self { top: colour, bottom: colour, alpha: 1.0 }
    }

    /// From one colour at the shape's top to another at its bottom.
    pub(super) fn down(top: Colour, bottom: Colour) -> Self {
        Self { top, bottom, alpha: 1.0 }
    }

    /// Lets what is below shine through.
    pub(super) fn alpha(self, alpha: f32) -> Self {
        Self { alpha, ..self }
    }
}

/// A picture in planar YUV 4:2:2.
#[derive(Clone, Debug)]
pub(super) struct Planes {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) y: Vec<u8>,
    pub(super) u: Vec<u8>,
    pub(super) v: Vec<u8>,
}

impl Planes {
    /// A picture of one colour; `width` is even.
    pub(super) fn new(width: usize, height: usize, colour: Colour) -> Self {
        let chroma = width / 2 * height;
        Self {
            width,
            height,
            y: vec![colour.y as u8; width * height],
            u: vec![colour.u as u8; chroma],
            v: vec![colour.v as u8; chroma],
        }
    }

    /// Takes over another picture of the same size.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.y.copy_from_slice(&other.y);
        self.u.copy_from_slice(&other.u);
        self.v.copy_from_slice(&other.v);
    }
}

/// Buffers of the rasteriser, kept between shapes.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    edges: Vec<(Point, Point)>,
    crossings: Vec<f32>,
    coverage: Vec<f32>,
}

/// Draws into a picture in units of its own.
pub(super) struct Pen<'a> {
    planes: &'a mut Planes,
    scratch: &'a mut Scratch,
    origin: Point,
    scale: Point,
}

impl<'a> Pen<'a> {
    /// A pen whose `origin` (in pixels) is its (0, 0) and whose units are `scale` pixels, negative to
    /// mirror.
    pub(super) fn new(
        planes: &'a mut Planes,
        scratch: &'a mut Scratch,
        origin: Point,
        scale: Point,
    ) -> Self {
        Self { planes, scratch, origin, scale }
    }

    fn place(&self, (x, y): Point) -> Point {
        (self.origin.0 + x * self.scale.0, self.origin.1 + y * self.scale.1)
    }

    /// Fills closed contours; where two overlap, there is a hole.
    pub(super) fn fill(&mut self, contours: &[&[Point]], paint: Paint) {
        self.scratch.edges.clear();
        let (mut top, mut bottom) = (f32::MAX, f32::MIN);
        for contour in contours {
            for (i, &from) in contour.iter().enumerate() {
                let to = contour[(i + 1) % contour.len()];
                let (from, to) = (self.place(from), self.place(to));
                top = top.min(from.1);
                bottom = bottom.max(from.1);
                self.scratch.edges.push((from, to));
            }
        }
        let first = top.max(0.0) as usize;
        let last = (bottom.ceil().max(0.0) as usize).min(self.planes.height);
        for row in first..last {
            let Some((x0, x1)) = self.cover(row) else { continue };
            let at = ((row as f32 + 0.5 - top) / (bottom - top)).clamp(0.0, 1.0);
            self.blend(row, x0, x1, paint.top.mix(paint.bottom, at), paint.alpha);
        }
    }

    /// Works out the coverage of one row, and between which pixels it is not zero.
    fn cover(&mut self, row: usize) -> Option<(usize, usize)> {
        let width = self.planes.width as f32;
        let Scratch { edges, crossings, coverage } = &mut *self.scratch;
        let (mut left, mut right) = (width, 0.0f32);
        coverage.resize(self.planes.width + 2, 0.0);
        for sub in 0..SUBROWS {
            let y = row as f32 + (f32::from(sub) + 0.5) / f32::from(SUBROWS);
            crossings.clear();
            for &((x0, y0), (x1, y1)) in edges.iter() {
                if (y0 <= y) != (y1 <= y) {
                    crossings.push(x0 + (y - y0) / (y1 - y0) * (x1 - x0));
                }
            }
            crossings.sort_unstable_by(f32::total_cmp);
            for pair in crossings.chunks_exact(2) {
                let (x0, x1) = (pair[0].clamp(0.0, width), pair[1].clamp(0.0, width));
                if x1 > x0 {
                    add_span(coverage, x0, x1, 1.0 / f32::from(SUBROWS));
                    (left, right) = (left.min(x0), right.max(x1));
                }
            }
        }
        // Whole pairs of pixels, because they share their chroma.
        (right > left).then(|| {
            let end = ((right.ceil() as usize).min(self.planes.width) + 1) & !1;
            (left as usize & !1, end)
        })
    }

    /// Mixes a colour into one row by its coverage, which is used up.
    fn blend(&mut self, row: usize, x0: usize, x1: usize, colour: Colour, alpha: f32) {
        let Planes { width, y, u, v, .. } = &mut *self.planes;
        let (start, chroma) = (row * *width, row * (*width / 2));
        let coverage = &mut self.scratch.coverage[x0..x1];
        for (i, pair) in coverage.chunks_exact_mut(2).enumerate() {
            let (a, b) = (pair[0] * alpha, pair[1] * alpha);
            let x = start + x0 + 2 * i;
            y[x] = mix(y[x], colour.y, a);
            y[x + 1] = mix(y[x + 1], colour.y, b);
            let c = chroma + x0 / 2 + i;
            let both = (a + b) / 2.0;
            u[c] = mix(u[c], colour.u, both);
            v[c] = mix(v[c], colour.v, both);
            pair.fill(0.0);
        }
    }

    /// Fills one closed contour.
    pub(super) fn polygon(&mut self, contour: &[Point], paint: Paint) {
        self.fill(&[contour], paint);
    }

    /// Fills a rectangle.
    pub(super) fn rect(&mut self, x: f32, y: f32, w: f32, h: f32, paint: Paint) {
        self.polygon(&[(x, y), (x + w, y), (x + w, y + h), (x, y + h)], paint);
    }

    /// Fills an ellipse.
    pub(super) fn ellipse(&mut self, centre: Point, rx: f32, ry: f32, paint: Paint) {
        self.polygon(&ellipse(centre, rx, ry), paint);
    }

    /// Fills a ring between two circles.
    pub(super) fn ring(&mut self, centre: Point, outer: f32, inner: f32, paint: Paint) {
        self.fill(&[&ellipse(centre, outer, outer), &ellipse(centre, inner, inner)], paint);
    }

    /// A line with round ends, `w` wide.
    pub(super) fn line(&mut self, from: Point, to: Point, w: f32, paint: Paint) {
        let along = (to.1 - from.1).atan2(to.0 - from.0);
        let mut contour = [(0.0, 0.0); 14];
        for (i, point) in contour.iter_mut().enumerate() {
            let (end, turn) = if i < 7 { (to, -0.5) } else { (from, 0.5) };
            let angle = along + std::f32::consts::PI * (turn + (i % 7) as f32 / 6.0);
            *point = (end.0 + angle.cos() * w / 2.0, end.1 + angle.sin() * w / 2.0);
        }
        self.polygon(&contour, paint);
    }

    /// A blot that fades out towards its edge, as shadows and clouds do.
    pub(super) fn blot(&mut self, centre: Point, rx: f32, ry: f32, colour: Colour, alpha: f32) {
        let (cx, cy) = self.place(centre);
        let (rx, ry) = ((rx * self.scale.0).abs(), (ry * self.scale.1).abs());
        let (width, height) = (self.planes.width, self.planes.height);
        let x0 = (cx - rx).max(0.0) as usize & !1;
        let x1 = (((cx + rx).max(0.0) as usize).min(width) + 1) & !1;
        self.scratch.coverage.resize(width + 2, 0.0);
        for row in (cy - ry).max(0.0) as usize..((cy + ry).max(0.0) as usize).min(height) {
            let dy = (row as f32 + 0.5 - cy) / ry;
            let Some(coverage) = self.scratch.coverage.get_mut(x0..x1) else { return };
            for (x, c) in (x0..).zip(coverage) {
                let dx = (x as f32 + 0.5 - cx) / rx;
                *c = (1.0 - dx * dx - dy * dy).max(0.0).powi(2);
            }
            self.blend(row, x0, x1, colour, alpha);
        }
    }
}

/// A contour with its corners rounded off (Chaikin's cutting, twice).
pub(super) fn rounded(corners: &[Point]) -> Vec<Point> {
    let mut contour = corners.to_vec();
    for _ in 0..2 {
        contour = (0..contour.len())
            .flat_map(|i| {
                let (a, b) = (contour[i], contour[(i + 1) % contour.len()]);
                let between = |at: f32| (a.0 + (b.0 - a.0) * at, a.1 + (b.1 - a.1) * at);
                [between(0.22), between(0.78)]
            })
            .collect();
    }
    contour
}

fn ellipse(centre: Point, rx: f32, ry: f32) -> [Point; 28] {
    std::array::from_fn(|i| {
        let angle = i as f32 / 28.0 * std::f32::consts::TAU;
        (centre.0 + rx * angle.cos(), centre.1 + ry * angle.sin())
    })
}

/// Adds `weight` over `x0..x1`, and a share of it at the pixels cut by the ends.
fn add_span(coverage: &mut [f32], x0: f32, x1: f32, weight: f32) {
    let (first, last) = (x0 as usize, x1 as usize);
    if first == last {
        coverage[first] += (x1 - x0) * weight;
        return;
    }
    coverage[first] += (first as f32 + 1.0 - x0) * weight;
    for pixel in &mut coverage[first + 1..last] {
        *pixel += weight;
    }
    coverage[last] += (x1 - last as f32) * weight;
}

fn mix(old: u8, new: f32, coverage: f32) -> u8 {
    let old = f32::from(old);
    (old + (new - old) * coverage.min(1.0) + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_soft_and_shapes_may_leave_the_picture() {
        let mut planes = Planes::new(8, 4, rgb(0, 0, 0));
        let mut scratch = Scratch::default();
        let mut pen = Pen::new(&mut planes, &mut scratch, (0.0, 0.0), (1.0, 1.0));
        let white = Paint::solid(rgb(255, 255, 255));
        pen.rect(1.5, -9.0, 2.0, 12.0, white);
        pen.rect(100.0, 100.0, 5.0, 5.0, white);
        pen.rect(-5.0, 0.0, 4.0, 2.0, white);
        pen.ellipse((f32::NAN, 1.0), 1.0, f32::INFINITY, white);
        assert_eq!(planes.y[..8], [0, 128, 255, 128, 0, 0, 0, 0]);
        assert_eq!(planes.y[24..], [0; 8]);
        assert!(scratch.coverage.iter().all(|&c| c == 0.0), "coverage is used up");
    }

    #[test]
    fn colours_are_full_range_bt601() {
        let white = rgb(255, 255, 255);
        assert!((white.y - 255.0).abs() < 0.01 && (white.u - 128.0).abs() < 0.01);
        let red = rgb(255, 0, 0);
        assert!((red.y - 76.2).abs() < 0.1 && (red.v - 255.5).abs() < 0.1);
    }
}
