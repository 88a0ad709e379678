//! Who passes when: pedestrians, cyclists and cars, one small group after the other with an empty
//! street between, so that events begin and end. Follows from the seed alone.

use fastrand::Rng;

/// Kinds of moving things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Somebody on foot.
    Pedestrian,
    /// Somebody on a bicycle.
    Cyclist,
    /// A car or a van.
    Car,
}

/// A line along which things move. Lengths are in design pixels, of which the picture is
/// [`super::DESIGN_HEIGHT`] high.
#[derive(Clone, Copy, Debug)]
struct Lane {
    /// Where feet and wheels touch the ground.
    ground: f32,
    /// Pixels a metre.
    scale: f32,
    /// Who uses it, and whether in one direction only (1 right, -1 left).
    users: &'static [Kind],
    one_way: Option<f32>,
}

/// From far to near, which is also the order of drawing.
const LANES: [Lane; 4] = [
    Lane { ground: 440.0, scale: 38.0, users: &[Kind::Pedestrian], one_way: None },
    Lane { ground: 532.0, scale: 46.0, users: &[Kind::Car, Kind::Cyclist], one_way: Some(-1.0) },
    Lane { ground: 620.0, scale: 61.0, users: &[Kind::Car, Kind::Cyclist], one_way: Some(1.0) },
    Lane { ground: 694.0, scale: 76.0, users: &[Kind::Pedestrian], one_way: None },
];

/// One moving thing, from its entry at one side to its exit at the other.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    pub(super) id: u64,
    pub(super) kind: Kind,
    /// Index of its lane, far to near.
    pub(super) lane: usize,
    /// 1 to the right, -1 to the left.
    pub(super) direction: f32,
    /// Metres a second.
    pub(super) speed: f32,
    /// Colours and shape follow from this.
    pub(super) style: u64,
    enters: f64,
    /// Metres from outside one side to outside the other.
    path: f32,
}

impl Actor {
    /// Pixels a metre.
    pub(super) fn scale(&self) -> f32 {
        LANES[self.lane].scale
    }

    /// Metres gone since it entered.
    pub(super) fn gone(&self, t: f64) -> f32 {
        (t - self.enters) as f32 * self.speed
    }

    /// Where its middle touches the ground, in design pixels, in a picture `width` of them wide.
    pub(super) fn place(&self, t: f64, width: f32) -> (f32, f32) {
        let from_middle = (self.gone(t) - self.path / 2.0) * self.direction * self.scale();
        (width / 2.0 + from_middle, LANES[self.lane].ground)
    }

    /// Half its length and its height in metres, limbs included.
    pub(super) fn extent(&self) -> (f32, f32) {
        match self.kind {
            Kind::Pedestrian => (0.42, 1.76),
            Kind::Cyclist => (0.88, 1.78),
            Kind::Car => super::car::extent(self.style),
        }
    }

    fn leaves(&self) -> f64 {
        self.enters + f64::from(self.path / self.speed)
    }
}

/// The traffic of one street, asked in the order of time.
#[derive(Debug)]
pub(super) struct Traffic {
    rng: Rng,
    width: f32,
    actors: Vec<Actor>,
    next_group: f64,
    next_id: u64,
}

impl Traffic {
    /// Traffic that follows from `seed` in a picture `width` design pixels wide.
    pub(super) fn new(seed: u64, width: f32) -> Self {
        let rng = Rng::with_seed(seed ^ 0x0074_7261_6666_6963);
        Self { rng, width, actors: Vec::new(), next_group: 2.0, next_id: 0 }
    }

    /// Who is on the street at `t` seconds, far to near; `t` never goes back.
    pub(super) fn at(&mut self, t: f64) -> &[Actor] {
        while t >= self.next_group {
            self.add_group();
        }
        self.actors.retain(|actor| actor.leaves() > t);
        &self.actors
    }

    /// Adds one to three things on lanes of their own; the next group waits for an empty street.
    fn add_group(&mut self) {
        let start = self.next_group;
        // The first group shows what there is: somebody near, and a car.
        let size = if self.next_id == 0 { 2 } else { [1, 1, 1, 2, 2, 3][self.rng.usize(..6)] };
        let mut lanes = [0, 1, 2, 3];
        self.rng.shuffle(&mut lanes);
        if self.next_id == 0 {
            lanes = [3, 2, 1, 0];
        }
        let mut empty_from = start;
        for (i, &lane) in lanes.iter().take(size).enumerate() {
            let after = i as f64 * (1.0 + self.rng.f64() * 2.0);
            let actor = self.actor(lane, start + after);
            empty_from = empty_from.max(actor.leaves());
            self.actors.push(actor);
        }
        self.actors.sort_by_key(|actor| actor.lane);
        self.next_group = empty_from + 2.5 + self.rng.f64() * 5.0;
    }

    fn actor(&mut self, lane: usize, enters: f64) -> Actor {
        let rng = &mut self.rng;
        let Lane { users, one_way, scale, .. } = LANES[lane];
        // Mostly cars on the road.
        let kind = users[if rng.f32() < 0.7 { 0 } else { users.len() - 1 }];
        let random_side = if rng.bool() { 1.0 } else { -1.0 };
        let (slow, fast) = match kind {
            Kind::Pedestrian => (1.5, 2.3),
            Kind::Cyclist => (4.0, 6.5),
            Kind::Car => (6.0, 11.0),
        };
        // Somebody in a hurry on the far side, or the street would hardly ever be empty.
        let hurry = if lane == 0 { 1.3 } else { 1.0 };
        let mut actor = Actor {
            id: self.next_id,
            kind,
            lane,
            direction: one_way.unwrap_or(random_side),
            speed: (slow + rng.f32() * (fast - slow)) * hurry,
            style: rng.u64(..),
            enters,
            path: 0.0,
        };
        // A little outside of the picture at both ends, for shadows and headlights.
        actor.path = self.width / scale + 2.0 * actor.extent().0 + 1.0;
        self.next_id += 1;
        actor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_pass_often_and_the_street_is_empty_between() {
        for seed in 0..50 {
            let mut traffic = Traffic::new(seed, 1280.0);
            let (mut groups, mut busy, mut seen) = (0, false, 0);
            for tenth in 0..3000 {
                let actors = traffic.at(f64::from(tenth) / 10.0);
                groups += u32::from(!busy && !actors.is_empty());
                busy = !actors.is_empty();
                seen = actors.iter().map(|a| a.id + 1).max().unwrap_or(seen).max(seen);
            }
            assert!(groups >= 12, "seed {seed}: {groups} events in 300 s");
            assert!((15..=50).contains(&seen), "seed {seed}: {seen} things in 300 s");
        }
    }
}
