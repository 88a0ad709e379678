//! Zones: which samples of the small plane are watched.
//!
//! Called by [`super::motion`] when the size of the frames changes, and when zones are switched. A sample is
//! watched when its centre lies in an include zone that is on (or there are no include zones at all) and in
//! no exclude zone that is on. Inside is by the even-odd rule. Polygons of fewer than three points and
//! points that are not numbers enclose nothing.
//!
//! A zone has a number where it is not always on. Which numbers are on is said from outside, as this
//! module knows no time of day; numbers of which nothing was said are on.

use super::{MotionSettings, Polygon, Zone};

/// One byte per sample, 1 where motion counts; `on` by the zones' numbers.
pub(super) fn rasterise(
    settings: &MotionSettings,
    on: &[bool],
    width: usize,
    height: usize,
) -> Vec<u8> {
    let is_on = |zone: &&Zone| zone.active.is_none_or(|n| on.get(n).copied().unwrap_or(true));
    let chosen = |zones: &[Zone]| {
        zones.iter().filter(is_on).map(|zone| zone.polygon.clone()).collect::<Vec<_>>()
    };
    let (include, exclude) = (chosen(&settings.include), chosen(&settings.exclude));
    let within = |zones: &[Polygon], point| zones.iter().any(|zone| contains(zone, point));
    let mut mask = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let centre = ((x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32);
            let included = settings.include.is_empty() || within(&include, centre);
            mask.push(u8::from(included && !within(&exclude, centre)));
        }
    }
    mask
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
            include: include.iter().cloned().map(Zone::from).collect(),
            exclude: exclude.iter().cloned().map(Zone::from).collect(),
            ..MotionSettings::default()
        };
        drawn(&settings, &[])
    }

    fn drawn(settings: &MotionSettings, on: &[bool]) -> Vec<String> {
        let mask = rasterise(settings, on, 4, 4);
        mask.chunks(4)
            .map(|r| r.iter().map(|&m| if m == 1 { '#' } else { '.' }).collect())
            .collect()
    }

    #[test]
    fn zones_that_are_off_neither_show_nor_hide_anything() {
        let half = |x: f32| polygon(&[(x, 0.0), (x + 0.5, 0.0), (x + 0.5, 1.0), (x, 1.0)]);
        let zone = |polygon, n| Zone { polygon, active: Some(n) };
        let top = polygon(&[(0.0, 0.0), (1.0, 0.0), (1.0, 0.25), (0.0, 0.25)]);
        let settings = MotionSettings {
            include: vec![zone(half(0.0), 0), zone(half(0.5), 1)],
            exclude: vec![zone(top, 2)],
            ..MotionSettings::default()
        };
        assert_eq!(drawn(&settings, &[]), ["....", "####", "####", "####"]);
        assert_eq!(drawn(&settings, &[true, false, false]), ["##.."; 4]);
        assert_eq!(drawn(&settings, &[false, true]), ["....", "..##", "..##", "..##"]);
        assert_eq!(drawn(&settings, &[false, false, false]), ["...."; 4]);
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
