//! Blur and mosaic for privacy masks.
//!
//! Used by `privacy`. Pure. Of what such a mask covers nothing is kept but the means of square cells: mosaic
//! shows them as they are, blur runs them into each other. No filter can bring back what is not there, which
//! cannot be said of a blur by convolution. A cell is a 32nd of the frame's width, and 16 pixels at least: 64
//! pixels of 1920, so a face of 100 pixels is four to nine cells. The cells stand still, so a row of pictures
//! tells no more than one does; and a mask smaller than a cell still shows whole cells' means only.

use super::encode::Planes;
use super::privacy::{Mask, Style, Window, cover};

/// The means of one plane.
struct Cells {
    means: Vec<u8>,
    across: usize,
    down: usize,
    /// Samples of a cell, across and down.
    cell: (usize, usize),
}

/// Draws all masks that are not black.
pub(super) fn draw(planes: &mut Planes, masks: &[Mask], window: &Window) {
    let (width, height) = window.size;
    let side = (width / 32).next_multiple_of(16).max(16);
    let step = planes.subsamp().size();
    for (index, plane) in planes.each_mut().enumerate() {
        let step = if index == 0 { (1, 1) } else { step };
        let cells = Cells::of(plane.samples, plane.width, (side / step.0, side / step.1));
        for mask in masks {
            let smooth = match mask.style {
                Style::Black => continue,
                Style::Blur => true,
                Style::Mosaic => false,
            };
            cover(&mask.area, window, &mut |y, from, to| {
                // What fills the plane up beyond the picture's edge goes with its last pixels.
                let to = if to >= width { plane.width * step.0 } else { to };
                let below = if y + 1 >= height {
                    plane.samples.len() / plane.width
                } else {
                    y / step.1 + 1
                };
                for row in y / step.1..below {
                    let (from, to) = (from / step.0, to.div_ceil(step.0).min(plane.width));
                    let run = row * plane.width + from..row * plane.width + to;
                    let run = plane.samples.get_mut(run).unwrap_or_default();
                    if smooth {
                        let places = run.iter_mut().zip(from..);
                        places.for_each(|(sample, x)| *sample = cells.smooth(x, row));
                    } else {
                        let places = run.iter_mut().zip(from..);
                        places.for_each(|(sample, x)| {
                            *sample = cells.mean(x / cells.cell.0, row / cells.cell.1)
                        });
                    }
                }
            });
        }
    }
}

impl Cells {
    fn of(samples: &[u8], width: usize, cell: (usize, usize)) -> Self {
        let cell = (cell.0.max(1), cell.1.max(1));
        let height = samples.len() / width.max(1);
        let (across, down) = (width.div_ceil(cell.0), height.div_ceil(cell.1));
        let mut means = Vec::with_capacity(across * down);
        for rows in samples.chunks(width.max(1) * cell.1) {
            let mut sums = vec![(0u32, 0u32); across];
            for row in rows.chunks_exact(width.max(1)) {
                for (part, (sum, count)) in row.chunks(cell.0).zip(&mut sums) {
                    *sum += part.iter().map(|&sample| u32::from(sample)).sum::<u32>();
                    *count += part.len() as u32;
                }
            }
            means.extend(
                sums.iter().map(|(sum, count)| ((sum + count / 2) / (*count).max(1)) as u8),
            );
        }
        Self { means, across, down, cell }
    }

    fn mean(&self, column: usize, row: usize) -> u8 {
        let at = row.min(self.down.saturating_sub(1)) * self.across
            + column.min(self.across.saturating_sub(1));
        self.means.get(at).copied().unwrap_or_default()
    }

    /// Between the middles of the four nearest cells.
    fn smooth(&self, x: usize, y: usize) -> u8 {
        let (column, right) = between(x, self.cell.0);
        let (row, below) = between(y, self.cell.1);
        let along = |row: usize| {
            let (a, b) = (self.mean(column, row), self.mean(column + right.1, row));
            usize::from(a) * (2 * self.cell.0 - right.0) + usize::from(b) * right.0
        };
        let (top, bottom) = (along(row), along(row + below.1));
        let of = 2 * self.cell.1;
        let sum = top * (of - below.0) + bottom * below.0;
        let whole = 2 * self.cell.0 * of;
        ((sum + whole / 2) / whole) as u8
    }
}

/// The cell whose middle lies before this sample, the share of the next in 2 * `cell`, and the distance to that
/// one: 0 before the first middle.
fn between(at: usize, cell: usize) -> (usize, (usize, usize)) {
    match (2 * at + 1).checked_sub(cell) {
        Some(behind) => (behind / (2 * cell), (behind % (2 * cell), 1)),
        None => (0, (0, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::tests::{picture, yuyv};
    use super::super::privacy::paint;
    use super::*;
    use crate::firstpass::Polygon;

    const SIZE: (u32, u32) = (640, 480);

    fn masks(style: Style) -> Vec<Mask> {
        let area = Polygon(vec![(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]);
        vec![Mask { area, style }]
    }

    fn planes(data: &[u8]) -> Planes {
        let mut planes = Planes::default();
        planes.take(data, yuyv(SIZE.0, SIZE.1, 0)).unwrap();
        planes
    }

    fn samples(planes: &Planes) -> Vec<Vec<u8>> {
        planes.each().map(|plane| plane.samples.to_vec()).collect()
    }

    /// The frame with each cell's pixels laid out in another order.
    fn shuffled(data: &[u8]) -> Vec<u8> {
        let mut out = data.to_vec();
        let stride = SIZE.0 as usize * 2;
        for top in (0..SIZE.1 as usize).step_by(32) {
            for y in 0..32 {
                let (to, from) = ((top + y) * stride, (top + 31 - y) * stride);
                out[to..to + stride].copy_from_slice(&data[from..from + stride]);
            }
        }
        out
    }

    #[test]
    fn nothing_but_the_means_of_cells_is_left() {
        let data = picture(SIZE.0, SIZE.1);
        for style in [Style::Blur, Style::Mosaic] {
            let [mut one, mut other] = [data.clone(), shuffled(&data)].map(|data| planes(&data));
            assert!(samples(&one) != samples(&other));
            paint(&mut one, &masks(style));
            paint(&mut other, &masks(style));
            let middle = |planes: &Planes| -> Vec<u8> {
                let luma = planes.each().next().unwrap();
                let rows = luma.samples.chunks_exact(640).skip(120).take(240);
                rows.flat_map(|row| row[160..480].to_vec()).collect()
            };
            assert!(middle(&one) == middle(&other), "{style:?}");
        }
    }

    #[test]
    fn mosaic_is_even_within_cells_and_blur_is_not_but_has_no_steps() {
        let data: Vec<u8> =
            (0..640 * 480).flat_map(|i| [if i % 640 < 320 { 0 } else { 250 }, 128]).collect();
        for style in [Style::Blur, Style::Mosaic] {
            let mut planes = planes(&data);
            paint(&mut planes, &masks(style));
            let row = planes.each().next().unwrap().samples[240 * 640..][..640].to_vec();
            let steps = (162..478).map(|x| row[x].abs_diff(row[x + 1])).max().unwrap();
            match style {
                Style::Mosaic => assert_eq!((row[319], row[320]), (0, 250)),
                _ => assert!(steps <= 9 && row[319].abs_diff(125) < 6, "{steps} {}", row[319]),
            }
            assert_eq!((row[10], row[630]), (0, 250), "the rest is untouched");
        }
    }

    #[test]
    fn black_wins_and_does_not_run_into_the_cells_beside_it() {
        let run = |value: u8| {
            let black = Polygon(vec![(0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)]);
            let inside =
                |i: usize| (256..384).contains(&(i % 640)) && (192..288).contains(&(i / 640));
            let data: Vec<u8> =
                (0..640 * 480).flat_map(|i| [if inside(i) { value } else { 90 }, 128]).collect();
            let mut planes = planes(&data);
            let both: Vec<Mask> = [masks(Style::Blur), vec![black.into()]].concat();
            paint(&mut planes, &both);
            samples(&planes)
        };
        assert!(run(0) == run(255));
        let luma = &run(255)[0];
        for (x, y) in [(256, 192), (383, 192), (256, 287), (383, 287), (320, 240)] {
            assert_eq!(luma[y * 640 + x], 0, "{x} {y}");
        }
    }

    #[test]
    fn a_mask_of_a_few_pixels_shows_a_mean() {
        let mut planes =
            planes(&(0..640 * 480).flat_map(|i| [(i % 2 * 200) as u8, 128]).collect::<Vec<_>>());
        let dot = Polygon(vec![(0.5, 0.5), (0.502, 0.5), (0.502, 0.502)]);
        paint(&mut planes, &[Mask { area: dot, style: Style::Mosaic }]);
        assert_eq!(planes.each().next().unwrap().samples[240 * 640 + 320], 100);
    }
}
