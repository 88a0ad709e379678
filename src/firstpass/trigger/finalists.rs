//! The best few of what was offered, so that only these are held. Pure.
//!
//! The camera thread keeps an event's candidates in it, each with its bytes; `vedette analyze` the same
//! ones. A better one takes the place of the worst. Of equal ones the earlier stays.

/// Most candidates that are held of an event.
pub const MOST: usize = 3;

/// The best few, with what each is worth.
#[derive(Debug)]
pub struct Finalists<T> {
    held: Vec<(f32, T)>,
}

/// Where a new one would sit.
#[derive(Debug, PartialEq)]
pub enum Seat<T> {
    /// There is room for one more.
    Free,
    /// In the place of this one, of this worth, which was the worst and is held no more.
    InsteadOf(f32, T),
    /// All that are held are as good.
    None,
}

impl<T> Default for Finalists<T> {
    fn default() -> Self {
        Self { held: Vec::new() }
    }
}

impl<T> Finalists<T> {
    /// Where one of this worth would sit; not a number is worth nothing.
    pub fn seat(&mut self, worth: f32) -> Seat<T> {
        if self.held.len() < MOST { Seat::Free } else { self.instead(worth) }
    }

    /// The same where there is no room for one more.
    pub fn instead(&mut self, worth: f32) -> Seat<T> {
        let worst = (0..self.held.len())
            .rev()
            .min_by(|&a, &b| f32::total_cmp(&self.held[a].0, &self.held[b].0));
        match worst {
            Some(at) if number(worth) > self.held[at].0 => {
                let (worth, one) = self.held.remove(at);
                Seat::InsteadOf(worth, one)
            }
            _ => Seat::None,
        }
    }

    /// Holds one more, of which [`Self::seat`] was asked.
    pub fn hold(&mut self, worth: f32, one: T) {
        self.held.push((number(worth), one));
    }

    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Is none held?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Gives all that are held, best first, and holds none.
    pub fn take(&mut self) -> Vec<T> {
        self.held.sort_by(|a, b| f32::total_cmp(&b.0, &a.0));
        self.held.drain(..).map(|(_, one)| one).collect()
    }
}

fn number(worth: f32) -> f32 {
    if worth.is_nan() { f32::NEG_INFINITY } else { worth }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer(all: &mut Finalists<usize>, worth: f32, one: usize) {
        match all.seat(worth) {
            Seat::Free | Seat::InsteadOf(..) => all.hold(worth, one),
            Seat::None => {}
        }
    }

    #[test]
    fn of_equal_ones_the_earlier_stay_and_not_a_number_is_worth_nothing() {
        let mut all = Finalists::default();
        for (n, worth) in [1.0, f32::NAN, 1.0, 1.0, 1.0].into_iter().enumerate() {
            offer(&mut all, worth, n);
        }
        assert_eq!(all.take(), [0, 2, 3]);
        assert!(all.is_empty() && all.take().is_empty());
    }

    #[test]
    fn where_there_is_no_room_for_more_a_better_one_takes_the_place_of_the_worst() {
        let mut all = Finalists::default();
        assert_eq!(all.instead(9.0), Seat::None, "nobody is there to give way");
        offer(&mut all, 2.0, 0);
        assert_eq!(all.instead(2.0), Seat::None);
        assert_eq!(all.instead(2.5), Seat::InsteadOf(2.0, 0));
    }

    proptest! {
        #[test]
        fn the_best_three_are_held_best_first(worths in prop::collection::vec(0u8..20, 0..40)) {
            let mut all = Finalists::default();
            for (n, &worth) in worths.iter().enumerate() {
                offer(&mut all, f32::from(worth), n);
            }
            let mut ranked: Vec<_> = (0..worths.len()).collect();
            ranked.sort_by_key(|&n| (std::cmp::Reverse(worths[n]), n));
            ranked.truncate(MOST);
            let held = all.take();
            let value = |ns: &[usize]| ns.iter().map(|&n| worths[n]).collect::<Vec<_>>();
            prop_assert_eq!(value(&held), value(&ranked));
        }
    }
}
