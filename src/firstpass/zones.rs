//! Zones: which samples of the small plane are watched.
//!
//! Called by [`super::FirstPass`] when the size of the frames changes. A sample is watched when its
//! centre lies in an include polygon (or there are none) and in no exclude polygon. Inside is by the
//! even-odd rule. Polygons of fewer than three points and points that are not numbers enclose nothing.

use super::{MotionSettings, Polygon};

/// One byte per sample, 1 where motion counts.
pub(super) fn rasterise(settings: &MotionSettings, width: usize, height: usize) -> Vec<u8> {
    let mut mask = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let centre = ((x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32);
            mask.push(u8::from(watched(settings, centre)));
        }
    }
    mask
}

fn watched(settings: &MotionSettings, point: (f32, f32)) -> bool {
    let within = |zones: &[Polygon]| zones.iter().any(|zone| contains(zone, point));
    (settings.include.is_empty() || within(&settings.include)) && !within(&settings.exclude)
}

/// Even-odd: counts the edges to the right of the point.
fn contains(polygon: &Polygon, (x, y): (f32, f32)) -> bool {
    let points = &polygon.0;
    let nexts = points.iter().skip(1).chain(points.first());
    points.len() > 2
        && points.iter().zip(nexts).fold(false, |inside, (&(x1, y1), &(x2, y2))| {
            let spans = (y1 > y) != (y2 > y);
            inside ^ (spans && x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polygon(points: &[(f32, f32)]) -> Polygon {
        Polygon(points.to_vec())
    }

    fn mask(include: &[Polygon], exclude: &[Polygon]) -> Vec<String> {
        let settings = MotionSettings {
            include: include.to_vec(),
            exclude: exclude.to_vec(),
            ..MotionSettings::default()
        };
        let mask = rasterise(&settings, 4, 4);
        mask.chunks(4)
            .map(|r| r.iter().map(|&m| if m == 1 { '#' } else { '.' }).collect())
            .collect()
    }

    #[test]
    fn no_zones_watch_everything() {
        assert_eq!(mask(&[], &[]), ["####"; 4]);
    }

    #[test]
    fn include_and_exclude_combine_and_exclude_wins() {
        let left = polygon(&[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]);
        let top = polygon(&[(0.0, 0.0), (1.0, 0.0), (1.0, 0.25), (0.0, 0.25)]);
        assert_eq!(mask(std::slice::from_ref(&left), &[]), ["##.."; 4]);
        assert_eq!(mask(&[], std::slice::from_ref(&left)), ["..##"; 4]);
        assert_eq!(mask(&[left.clone(), top.clone()], &[]), ["####", "##..", "##..", "##.."]);
        assert_eq!(mask(&[left], &[top]), ["....", "##..", "##..", "##.."]);
    }

    #[test]
    fn slanted_and_crossing_polygons_follow_the_even_odd_rule() {
        let triangle = polygon(&[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]);
        assert_eq!(mask(&[triangle], &[]), ["###.", "##..", "#...", "...."]);
        let twice = polygon(&[
            (0.0, 0.0),
            (1.0, 0.0),
            (1.0, 1.0),
            (0.0, 1.0),
            (0.0, 0.0),
            (1.0, 0.0),
            (1.0, 1.0),
            (0.0, 1.0),
        ]);
        assert_eq!(mask(&[twice], &[]), ["...."; 4]);
    }

    #[test]
    fn degenerate_polygons_enclose_nothing() {
        let nan = polygon(&[(f32::NAN, 0.0), (f32::NAN, 1.0), (0.0, f32::NAN)]);
        let line = polygon(&[(0.0, 0.0), (1.0, 1.0)]);
        assert_eq!(mask(&[nan, line, polygon(&[])], &[]), ["...."; 4]);
    }
}
