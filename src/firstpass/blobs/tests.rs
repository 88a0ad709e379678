//! Things out of drawn planes.

use super::*;
use proptest::prelude::*;

fn least(area: usize, size: (usize, usize)) -> Least {
    Least { seed: 1, area, size }
}

fn found(picture: &[&str], smallest: usize) -> (Finder, Vec<(usize, PixelBox)>) {
    let plane: Vec<u8> =
        picture.iter().flat_map(|r| r.bytes().map(|b| u8::from(b == b'#'))).collect();
    let mut finder = Finder::default();
    finder.find((&plane, 0..plane.len()), picture[0].len(), least(smallest, (0, 0)), |_| false);
    let size = (picture[0].len() as u32 * 8 - 3, picture.len() as u32 * 8 - 3);
    let things = finder.blobs().iter().map(|b| (b.area, b.pixels(size))).collect();
    (finder, things)
}

#[test]
fn specks_go_and_touching_or_nearly_touching_parts_are_one() {
    let (_, things) = found(
        &[
            "#.......##",
            "........##",
            "..##......",
            "..##......",
            "....#.....",
            "...##.....",
            "..........",
            "...##.....",
            "...##....#",
        ],
        2,
    );
    let person = PixelBox { x: 16, y: 16, w: 24, h: 53 };
    let corner = PixelBox { x: 64, y: 0, w: 13, h: 16 };
    assert_eq!(things, [(11, person), (4, corner)]);
}

#[test]
fn a_horseshoe_is_one_thing_and_small_things_are_left_out() {
    let (_, things) = found(
        &["##....##", "##....##", "##....##", "########", "........", "........", "........"],
        21,
    );
    assert!(things.is_empty());
    let (_, things) = found(&["##....##", "##....##", "##....##", "########"], 20);
    assert_eq!(things.len(), 1);
    assert_eq!(things[0].0, 20);
}

#[test]
fn what_is_too_narrow_or_too_low_is_left_out() {
    let picture = ["###......", "###......", ".........", ".........", "....#####", "....#####"];
    let plane: Vec<u8> = picture.concat().bytes().map(|b| u8::from(b == b'#')).collect();
    let mut finder = Finder::default();
    let mut count = |size| {
        finder.find((&plane, 0..plane.len()), 9, least(1, size), |_| false);
        finder.blobs().len()
    };
    assert_eq!([count((3, 2)), count((4, 1)), count((1, 3)), count((6, 1))], [2, 1, 0, 0]);
}

#[test]
fn a_box_grows_over_the_rim_of_its_thing_and_no_farther() {
    let plane: Vec<u8> = ["0000000", "0000000", "0011000", "0011000", "0000000", "0000000"]
        .concat()
        .bytes()
        .map(|b| b - b'0')
        .collect();
    let found = |rim: &[&str], area: usize| {
        let rim = rim.concat().into_bytes();
        let mut finder = Finder::default();
        finder.find((&plane, 0..plane.len()), 7, least(area, (0, 0)), |i| rim[i] == b'+');
        finder.blobs().first().map(|b| b.extent)
    };
    let grown = |rim: &[&str]| found(rim, 4).unwrap();
    let thing = Extent { x0: 2, x1: 4, y0: 2, y1: 4 };
    let none = ".......";
    assert_eq!(grown(&[none; 6]), thing);
    let head = [none, "..+....", "..++...", "..+++..", none, none];
    assert_eq!(grown(&head), Extent { x1: 5, y0: 1, ..thing });
    assert_eq!(grown(&["+++++++"; 6]), Extent { x0: 0, x1: 6, y0: 0, y1: 6 }, "two lines");
    assert_eq!(grown(&["+.....+", none, none, none, none, "+.....+"]), thing, "elsewhere");
    assert!(found(&head, 6).is_some() && found(&head, 7).is_none(), "it covers six");
}

#[test]
fn a_blob_is_dropped_by_its_own_runs() {
    let (mut finder, _) = found(&["##....##", "##....##"], 1);
    let mut asked = Vec::new();
    finder.drop_if(|_, runs| {
        asked.push(runs.collect::<Vec<_>>());
        asked.len() == 1
    });
    assert_eq!(asked, [[0..2, 8..10], [6..8, 14..16]]);
    assert_eq!(finder.blobs().len(), 1);
}

proptest! {
    #[test]
    fn boxes_lie_within_and_areas_add_up(
        width in 1usize..40,
        plane in prop::collection::vec(0u8..2, 0..900),
    ) {
        let height = plane.len() / width;
        let mut finder = Finder::default();
        finder.find((&plane[..width * height], 0..width * height), width, least(1, (0, 0)), |_| false);
        let total: usize = finder.blobs().iter().map(|b| b.area).sum();
        prop_assert_eq!(total, finder.clean.iter().map(|&c| usize::from(c)).sum::<usize>());
        for b in finder.boxes((width as u32 * 8, height as u32 * 8)) {
            prop_assert!(b.w > 0 && b.h > 0);
            prop_assert!(b.x + b.w <= width as u32 * 8 && b.y + b.h <= height as u32 * 8);
        }
    }
}

#[test]
fn nothing_is_left_of_the_last_frame_and_nothing_is_looked_for_beyond_the_span() {
    let mut finder = Finder::default();
    let mut find = |rows: std::ops::Range<usize>, span: std::ops::Range<usize>| {
        let mut plane = vec![0; 40 * 20];
        rows.for_each(|y| plane[y * 40 + 10..y * 40 + 14].fill(1));
        finder.find((&plane, span), 40, least(1, (0, 0)), |_| false);
        finder.blobs().iter().map(|b| (b.core.y0, b.core.y1, b.area)).collect::<Vec<_>>()
    };
    assert_eq!(find(2..5, 0..760), [(2, 5, 12)]);
    assert_eq!(find(12..18, 40..800), [(12, 18, 24)], "the rows above were cleared");
    assert_eq!(find(3..3, 0..0), []);
    assert_eq!(find(3..6, 120..240), [(3, 6, 12)]);
}
