//! What of the frame a picture shows, and where: crop, scale, turn.
//!
//! Used by the still thread, so that boxes are told in pixels of the picture as it is stored. Pure. In this
//! order: an area is cut out of the frame, scaled, and turned.

use super::transform::{Area, Turn};
use crate::firstpass::Direction;
use crate::frame::PixelBox;

/// From the camera's frame to the stored picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Pixels of the camera's frame.
    pub(super) frame: (usize, usize),
    /// What of it is shown.
    pub(super) area: Area,
    /// Pixels that this area was scaled to.
    scaled: (usize, usize),
    turn: Turn,
}

impl View {
    /// All of the frame as it came.
    pub(super) fn whole(frame: (usize, usize)) -> Self {
        let area = [0, 0, frame.0, frame.1];
        Self { frame, area, scaled: frame, turn: Turn::default() }
    }

    pub(super) fn cut(self, area: Area) -> Self {
        Self { area, scaled: (area[2], area[3]), ..self }
    }

    pub(super) fn scaled(self, scaled: (usize, usize)) -> Self {
        Self { scaled, ..self }
    }

    pub(super) fn turned(self, turn: Turn) -> Self {
        Self { turn, ..self }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.area != [0, 0, self.frame.0, self.frame.1]
    }

    /// Pixels of the picture.
    pub(super) fn made(&self) -> (usize, usize) {
        self.turn.size(self.scaled)
    }

    /// The picture's pixels that a box of the frame touches; `None` where it is not shown.
    pub(super) fn pixels(&self, b: PixelBox) -> Option<Area> {
        let [left, top, width, height] = self.area;
        let (x, w) = span(b.x as usize, b.w as usize, (left, width), self.scaled.0)?;
        let (y, h) = span(b.y as usize, b.h as usize, (top, height), self.scaled.1)?;
        Some(self.turn.area([x, y, w, h], self.scaled))
    }

    /// Where something that goes there in the frame goes in the picture.
    pub(super) fn direction(&self, direction: Direction) -> Direction {
        self.turn.direction(direction)
    }

    /// A box in 0..1 of the frame as one in 0..1 of the picture, which it may leave.
    pub(super) fn share(&self, [x, y, w, h]: [f32; 4]) -> [f32; 4] {
        let b = if self.is_cut() {
            let along = |from: f32, length: f32, frame: usize, start: usize, side: usize| {
                let (frame, side) = (frame as f64, side.max(1) as f64);
                let from = (f64::from(from) * frame - start as f64) / side;
                (from as f32, (f64::from(length) * frame / side) as f32)
            };
            let (x, w) = along(x, w, self.frame.0, self.area[0], self.area[2]);
            let (y, h) = along(y, h, self.frame.1, self.area[1], self.area[3]);
            [x, y, w, h]
        } else {
            [x, y, w, h]
        };
        self.turn.share(b)
    }
}

/// A span of the frame's pixels, as the pixels that it touches of a side that shows `(start, side)` of the
/// frame in `made` pixels.
fn span(
    from: usize,
    length: usize,
    (start, side): (usize, usize),
    made: usize,
) -> Option<(usize, usize)> {
    let end = from.saturating_add(length).min(start + side).checked_sub(start)?;
    let from = from.saturating_sub(start);
    if from >= end || side == 0 {
        return None;
    }
    let first = (from as u64 * made as u64 / side as u64) as usize;
    let last = (end as u64 * made as u64).div_ceil(side as u64) as usize;
    Some((first, last - first))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::transform::{Flip, Rotate};
    use super::*;

    const BOX: PixelBox = PixelBox { x: 10, y: 20, w: 30, h: 40 };

    #[test]
    fn boxes_follow_cut_scale_and_turn_in_this_order() {
        let view = View::whole((200, 100));
        assert_eq!(view.pixels(BOX), Some([10, 20, 30, 40]));
        let view = view.cut([8, 16, 64, 48]);
        assert_eq!(view.pixels(BOX), Some([2, 4, 30, 40]));
        let view = view.scaled((32, 24));
        assert_eq!(view.pixels(BOX), Some([1, 2, 15, 20]));
        let right = view.turned(Turn::new(Rotate::Right, None));
        assert_eq!((right.made(), right.pixels(BOX)), ((24, 32), Some([2, 1, 20, 15])));
        let flipped = view.turned(Turn::new(Rotate::None, Some(Flip::Horizontal)));
        assert_eq!(flipped.pixels(BOX), Some([16, 2, 15, 20]));
        assert_eq!(view.pixels(PixelBox { x: 100, ..BOX }), None, "cut away");
    }

    #[test]
    fn directions_turn_with_the_boxes_that_go_there() {
        use Direction::{Down, DownLeft, DownRight, Left, Right, Up, UpLeft, UpRight};
        let steps = [
            (Right, (1, 0)),
            (DownRight, (1, 1)),
            (Down, (0, 1)),
            (DownLeft, (-1, 1)),
            (Left, (-1, 0)),
            (UpLeft, (-1, -1)),
            (Up, (0, -1)),
            (UpRight, (1, -1)),
        ];
        let at = |view: &View, x: i32, y: i32| {
            let (x, y) = ((50 + x) as u32, (50 + y) as u32);
            let [x, y, ..] = view.pixels(PixelBox { x, y, w: 4, h: 4 }).unwrap();
            (x as i32, y as i32)
        };
        for rotate in [Rotate::None, Rotate::Right, Rotate::Half, Rotate::Left] {
            for flip in [None, Some(Flip::Horizontal), Some(Flip::Vertical)] {
                let view = View::whole((100, 120)).turned(Turn::new(rotate, flip));
                let from = at(&view, 0, 0);
                for (direction, (x, y)) in steps {
                    let to = at(&view, x, y);
                    let went = (to.0 - from.0, to.1 - from.1);
                    let (seen, _) = steps.into_iter().find(|(_, step)| *step == went).unwrap();
                    assert_eq!(
                        view.direction(direction),
                        seen,
                        "{rotate:?} {flip:?} {direction:?}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn both_kinds_of_boxes_agree_and_stay_within_the_picture(
            frame in (16usize..300, 16usize..300), x in 0f32..0.9, y in 0f32..0.9,
            cut in any::<bool>(), turn in 0usize..4, b in any::<(u32, u32, u32, u32)>(),
        ) {
            let rotate = [Rotate::None, Rotate::Right, Rotate::Half, Rotate::Left][turn];
            let mut view = View::whole(frame);
            if cut {
                view = view.cut([frame.0 / 4, frame.1 / 4, frame.0 / 2, frame.1 / 2]);
            }
            let view = view.scaled((view.area[2] * 2 / 3, view.area[3] * 2 / 3));
            let view = view.turned(Turn::new(rotate, None));
            let made = view.made();
            if let Some([x, y, w, h]) = view.pixels(PixelBox { x: b.0, y: b.1, w: b.2, h: b.3 }) {
                prop_assert!(x + w <= made.0 && y + h <= made.1);
            }
            let (px, py) = ((x * frame.0 as f32) as u32, (y * frame.1 as f32) as u32);
            let pixels = view.pixels(PixelBox { x: px, y: py, w: 1, h: 1 });
            let share = [px as f32 / frame.0 as f32, py as f32 / frame.1 as f32, 1.0 / frame.0 as f32, 1.0 / frame.1 as f32];
            let [sx, sy, sw, sh] = view.share(share);
            if let Some([x, y, w, h]) = pixels {
                let near = |pixel: usize, length: usize, share: f32, span: f32, made: usize| {
                    let (from, to) = (share * made as f32, (share + span) * made as f32);
                    pixel as f32 <= from + 0.1 && (pixel + length) as f32 >= to - 0.1
                };
                prop_assert!(near(x, w, sx, sw, made.0) && near(y, h, sy, sh, made.1));
            }
        }
    }
}
