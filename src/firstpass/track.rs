//! Which thing of this frame is which of the last: where it goes, and for how long it has been there.
//!
//! Called by [`super::motion`] with the changed things of each frame that is watched. A thing is the one
//! of the last frames whose box, grown by half its size, it meets best; a thing that was not seen for
//! [`LOST`] is gone. It *moves* when that was seen twice, of more often where much comes and goes that
//! never moves: rain drops and flakes are elsewhere in the next frame. Its direction is that of its box's middle over the last second or so, in eight words:
//! degrees would promise what boxes of eight pixels cannot hold. Bounded: no more than [`MOST`] are
//! followed, the largest first.
//!
//! Where few frames are looked at, a thing is elsewhere in the next one, and one may come and stand between
//! two of them: the longer the step, the farther a thing is looked for and the longer a doubtful one is kept,
//! and what is known to hide the scene behind it moves without having gone anywhere.

use std::time::Duration;

use super::blobs::Extent;
use crate::clock::BootTime;

/// Most things that are followed.
const MOST: usize = 16;
/// A thing that was not seen for so long is gone; one that comes back is another.
const LOST: Duration = Duration::from_secs(2);
/// One that was never seen to move is forgotten sooner.
const DOUBTFUL: Duration = Duration::from_millis(450);
/// Neither before two frames went by without it.
const FRAMES: f32 = 2.25;
/// A thing is looked for where it was, and beyond steps of this length also as far as somebody walks
/// meanwhile: his own height a second, half of it by each of both boxes.
const BESIDE: Duration = Duration::from_millis(250);
/// How often a thing must be seen to move, its first frame counted, and least time from one to the next.
const MOVES: u32 = 2;
const STEP: Duration = Duration::from_millis(150);
/// By how many half samples its middle must have moved meanwhile: the light of a lamp that comes up grows to
/// all sides.
const ELSEWHERE: usize = 2;
/// Things a second that came and never moved, from where on once and twice more is needed; the time
/// constant of that mean.
const LIGHT: f32 = 0.5;
const HEAVY: f32 = 4.0;
const CLUTTER: f32 = 8.0;
/// As much is expected at first: it takes a while to know that it does not rain.
const UNKNOWN: f32 = 2.0 * HEAVY;
/// What came little by little is light after this time, and what came at once after twice of it without moving;
/// a branch stands for a moment at the end of each swing.
const PALE: Duration = Duration::from_millis(600);
/// Direction is told over at least so long, and no more than twice that.
const SPAN: Duration = Duration::from_millis(600);
/// A thing has gone somewhere when its middle moved by so many samples, or by a quarter of its size.
const FAR: f32 = 2.0;

/// Where something goes, as seen in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards the right edge.
    Right,
    /// Towards the lower right corner.
    DownRight,
    /// Towards the lower edge: often towards the camera.
    Down,
    /// Towards the lower left corner.
    DownLeft,
    /// Towards the left edge.
    Left,
    /// Towards the upper left corner.
    UpLeft,
    /// Towards the upper edge.
    Up,
    /// Towards the upper right corner.
    UpRight,
}

impl Direction {
    /// Clockwise from the right.
    const ALL: [Self; 8] = [
        Self::Right,
        Self::DownRight,
        Self::Down,
        Self::DownLeft,
        Self::Left,
        Self::UpLeft,
        Self::Up,
        Self::UpRight,
    ];

    /// Where that is in a picture whose axes changed places, and which was then mirrored.
    #[must_use]
    pub fn turned(self, transposed: bool, across: bool, down: bool) -> Self {
        let eighths = Self::ALL.iter().position(|d| *d == self).unwrap_or(0);
        let eighths = if transposed { 10 - eighths } else { eighths } % 8;
        let eighths = if across { 12 - eighths } else { eighths } % 8;
        Self::ALL[if down { 8 - eighths } else { eighths } % 8]
    }

    /// In one word: `up-left`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::DownRight => "down-right",
            Self::Down => "down",
            Self::DownLeft => "down-left",
            Self::Left => "left",
            Self::UpLeft => "up-left",
            Self::Up => "up",
            Self::UpRight => "up-right",
        }
    }

    /// Of a movement to the right and down, which is not nothing.
    fn of((x, y): (f32, f32)) -> Self {
        let eighth = (y.atan2(x) / std::f32::consts::FRAC_PI_4).round() as i32;
        Self::ALL[eighth.rem_euclid(8) as usize]
    }
}

/// What a thing does in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Parts of it came at once.
    Moves,
    /// It is where it was, or came little by little.
    Stands,
    /// It may be the scene itself, shifted a little: no proof of anything.
    Shifts,
    /// It is where it was, and hides what is behind it: it came between two frames that lie far apart.
    Hides,
    /// It comes and goes, again and again, in the same place: a branch. Whatever it was taken for before.
    Sways,
}

/// What is known of a thing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Told {
    /// It was seen to move often enough.
    pub(super) moves: bool,
    /// It stood there at once, or came little by little, and has not moved since: light.
    pub(super) still: bool,
    pub(super) direction: Option<Direction>,
    pub(super) dwell: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    extent: Extent,
    began: BootTime,
    seen: BootTime,
    /// How often it was seen to move, and when last; no more than once in a [`STEP`].
    moved: u32,
    counted: BootTime,
    /// Where it was then.
    place: Extent,
    /// It was seen to move often enough: from then on it is a thing, even while it stands.
    moves: bool,
    /// Middles of a while ago, older and newer.
    marks: [(BootTime, (f32, f32)); 2],
    direction: Option<Direction>,
}

/// The things that are followed.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    tracks: Vec<Track>,
    /// Those before this place were met in this frame.
    met: usize,
    at: BootTime,
    /// Time from the last frame to this one.
    elapsed: Duration,
    /// Things a second that came and never moved: rain, snow, insects.
    clutter: f32,
}

impl Tracks {
    /// A frame begins, `elapsed` after the last: what was not seen for too long is gone.
    pub(super) fn begin(&mut self, at: BootTime, elapsed: Duration) {
        let step = at.since(self.at).as_secs_f32();
        let before = self.tracks.len();
        let least = elapsed.mul_f32(FRAMES);
        let (lost, doubtful) = (LOST.max(least), DOUBTFUL.max(least));
        self.tracks.retain(|t| at.since(t.seen) < if t.moves { lost } else { doubtful });
        self.elapsed = elapsed;
        let gone = (before - self.tracks.len()) as f32;
        self.clutter += gone / CLUTTER - self.clutter * (step / CLUTTER).min(1.0);
        (self.met, self.at) = (0, at);
    }

    /// Follows one thing of the frame; the largest come first.
    pub(super) fn follow(&mut self, thing: Extent, how: How) -> Told {
        let open = self.tracks.iter().enumerate().skip(self.met);
        // Among drops everything would meet something.
        let walked = self.elapsed.saturating_sub(BESIDE).as_secs_f32() / 2.0;
        let reach = |e: Extent| match self.clutter > HEAVY {
            true => e,
            false => e.grown(walked),
        };
        let best = open
            .map(|(i, t)| (i, reach(t.extent).overlap(&reach(thing))))
            .filter(|(_, shared)| *shared > 0)
            .max_by_key(|(_, shared)| *shared);
        match best {
            Some((i, _)) => self.tracks.swap(self.met, i),
            None if self.met >= MOST => return Told::default(),
            None => {
                // Who was met before gives way to who is there.
                self.tracks.truncate(MOST - 1);
                self.tracks.push(Track::new(thing, self.at));
                let last = self.tracks.len() - 1;
                self.tracks.swap(self.met, last);
            }
        }
        let steps = [LIGHT, HEAVY, 2.0 * HEAVY];
        let needed = MOVES + steps.iter().filter(|&&step| self.clutter > step).count() as u32;
        let Some(track) = self.tracks.get_mut(self.met) else { return Told::default() };
        self.met += 1;
        track.step(thing, how, needed, self.at);
        let still = match track.moved {
            0 => self.at.since(track.began) >= PALE,
            _ => !track.moves && self.at.since(track.counted) >= 2 * PALE,
        };
        let dwell = self.at.since(track.began);
        let told = Told { moves: track.moves, still, direction: track.direction, dwell };
        if still && how != How::Sways {
            // What lights up beside it next is not this one, gone elsewhere.
            self.met -= 1;
            self.tracks.remove(self.met);
        }
        told
    }

    /// Forgets all.
    pub(super) fn clear(&mut self, at: BootTime) {
        *self = Self { clutter: UNKNOWN, at, ..Self::default() };
    }
}

impl Track {
    fn new(extent: Extent, at: BootTime) -> Self {
        let mark = (at, extent.middle());
        let marks = [mark; 2];
        let (moved, counted, moves, direction) = (0, at, false, None);
        let place = extent;
        Self { extent, began: at, seen: at, moved, counted, place, moves, marks, direction }
    }

    fn step(&mut self, extent: Extent, how: How, needed: u32, at: BootTime) {
        let elsewhere = at.since(self.counted) >= STEP && self.place.apart(&extent) >= ELSEWHERE;
        if how == How::Sways {
            (self.moved, self.moves) = (0, false);
        }
        if how == How::Hides && self.moved > 0 && needed == MOVES {
            self.moves = true;
        }
        if how == How::Moves && (self.moved == 0 || elsewhere) {
            self.moved += 1;
            (self.counted, self.place) = (at, extent);
        }
        self.moves |= self.moved >= needed;
        let middle = extent.middle();
        let (from, (x, y)) = self.marks[0];
        let gone = (middle.0 - x, middle.1 - y);
        let (w, h) = extent.size();
        let far = f32::max(FAR, w.min(h) as f32 / 4.0);
        if gone.0.hypot(gone.1) >= far {
            self.direction = Some(Direction::of(gone));
        } else if at.since(from) >= SPAN {
            self.direction = None;
        }
        if at.since(self.marks[1].0) >= SPAN {
            self.marks = [self.marks[1], (at, middle)];
        }
        (self.extent, self.seen) = (extent, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(200);

    fn at(frame: u64) -> BootTime {
        BootTime(0) + FRAME * frame as u32
    }

    fn thing(x: usize, y: usize) -> Extent {
        Extent { x0: x, x1: x + 4, y0: y, y1: y + 8 }
    }

    /// Follows the things of one frame, and tells of the first.
    fn frame(tracks: &mut Tracks, things: &[Extent], n: u64) -> Told {
        tracks.begin(at(n), FRAME);
        let told: Vec<Told> = things.iter().map(|t| tracks.follow(*t, How::Moves)).collect();
        told[0]
    }

    /// Walks from the middle of a plane, one sample a frame each way.
    fn walk(dx: i32, dy: i32) -> Option<Direction> {
        let mut tracks = Tracks::default();
        let place = |i: i32, d: i32| (50 + i * d) as usize;
        let told =
            (0..10).map(|i| frame(&mut tracks, &[thing(place(i, dx), place(i, dy))], i as u64));
        told.last().unwrap().direction
    }

    #[test]
    fn directions_are_told_in_eight_words_and_standing_is_none() {
        let steps = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)];
        for ((dx, dy), expected) in steps.into_iter().zip(Direction::ALL) {
            assert_eq!(walk(dx, dy), Some(expected));
        }
        assert_eq!(walk(0, 0), None);
    }

    #[test]
    fn dwell_counts_from_the_first_frame_over_short_gaps_and_begins_anew_after_long_ones() {
        let mut tracks = Tracks::default();
        let mut dwell = |n: u64| {
            let place = thing(20 + n.min(2) as usize, 20);
            frame(&mut tracks, &[place], n).dwell.as_millis()
        };
        assert_eq!([dwell(0), dwell(1), dwell(2)], [0, 200, 400]);
        assert_eq!(dwell(10), 2000, "not seen for 1.6 s");
        assert_eq!(dwell(20), 0, "not seen for 2 s");
    }

    #[test]
    fn two_that_pass_each_other_apart_keep_their_own_ways() {
        let mut tracks = Tracks::default();
        let mut told = Told::default();
        for i in 0..20 {
            let (large, small) = (Extent { x1: 30 + i, ..thing(20 + i, 10) }, thing(60 - i, 60));
            told = frame(&mut tracks, &[large, small], i as u64);
        }
        assert_eq!((told.direction, told.dwell.as_millis()), (Some(Direction::Right), 3800));
        assert_eq!(tracks.tracks.len(), 2);
    }

    #[test]
    fn a_thing_moves_when_it_is_seen_to_and_goes_on_being_one_while_it_stands() {
        let mut tracks = Tracks::default();
        let moves = [true, false, true, false, false].iter().enumerate().map(|(n, moving)| {
            tracks.begin(at(n as u64), FRAME);
            tracks.follow(thing(20 + n, 20), if *moving { How::Moves } else { How::Stands }).moves
        });
        assert_eq!(moves.collect::<Vec<_>>(), [false, false, true, true, true]);
    }

    #[test]
    fn what_stands_where_it_came_is_no_thing_but_light() {
        let mut tracks = Tracks::default();
        let told: Vec<_> = (0..8)
            .map(|n| {
                tracks.begin(at(n), FRAME);
                tracks.follow(thing(20, 20), if n < 3 { How::Moves } else { How::Stands })
            })
            .collect();
        assert!(told.iter().all(|t| !t.moves));
        assert!(!told[5].still && told[6].still, "after 1.2 s");
    }

    #[test]
    fn rain_is_never_a_thing_and_a_walker_in_it_is() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut tracks = Tracks::default();
        let (mut drops, mut walker) = (0, 0);
        for n in 0..300u64 {
            tracks.begin(at(n), FRAME);
            if n >= 100 {
                walker += u32::from(tracks.follow(thing(n as usize % 200, 100), How::Moves).moves);
            }
            for _ in 0..4 {
                let drop = Extent { x0: 0, x1: 2, y0: 0, y1: 4 };
                let (x, y) = (rng.usize(0..230), rng.usize(0..80));
                let drop = Extent { x0: x, x1: x + drop.x1, y0: y, y1: y + drop.y1 };
                drops += u32::from(tracks.follow(drop, How::Moves).moves);
            }
        }
        assert!(drops < 12 && walker > 180, "{drops} drops, {walker} of 200");
    }

    #[test]
    fn what_stands_where_it_came_and_hides_the_scene_is_a_thing_unless_it_rains() {
        let moves = |mut tracks: Tracks| {
            let second = Duration::from_secs(1);
            tracks.begin(at(5), second);
            tracks.follow(thing(20, 20), How::Moves);
            tracks.begin(at(10), second);
            tracks.follow(thing(20, 20), How::Hides).moves
        };
        assert!(moves(Tracks::default()));
        assert!(!moves(Tracks { clutter: HEAVY, ..Tracks::default() }));
    }

    #[test]
    fn a_start_expects_rain_and_a_quiet_time_forgets_it() {
        let needed = |began: u64| {
            let mut tracks = Tracks::default();
            tracks.clear(at(0));
            (0..9).position(|n| frame(&mut tracks, &[thing(20 + n, 20)], began + n as u64).moves)
        };
        assert_eq!([needed(1), needed(300)], [Some(3), Some(1)]);
    }

    #[test]
    fn a_crowd_is_bounded() {
        let mut tracks = Tracks::default();
        for i in 0..50u64 {
            let crowd: Vec<_> = (0..40).map(|n| thing(n * 20 + i as usize * 700, 5)).collect();
            frame(&mut tracks, &crowd, i);
            assert!(tracks.tracks.len() <= MOST);
        }
    }
}
