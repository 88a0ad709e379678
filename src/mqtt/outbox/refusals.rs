//! What a broker's refusals ask of the outbox pump: a pause, another round, or to give a message up.
//!
//! Pure: told by the pump of each refusal and of each round's begin and end.

use std::collections::BTreeMap;

use crate::mqtt::window::ROOM;

/// Rounds in which a message is refused before it is given up, where it may be.
pub(super) const TRIES: u32 = 5;

/// The refusals so far.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Refusals in a row, in this round.
    pub(super) in_row: u32,
    /// Something is left over in this round.
    pub(super) again: bool,
    /// Rounds in a row in which something was left over.
    rounds: u32,
    /// Numbers the rounds.
    round: u64,
    /// How often messages that may be given up were refused, and in which round last.
    tries: BTreeMap<u64, (u32, u64)>,
}

impl Refusals {
    /// One more refusal; how many pauses there were, when it is time for one.
    pub(super) fn one_more(&mut self) -> Option<u32> {
        self.again = true;
        self.in_row = self.in_row.saturating_add(1);
        let room = ROOM as u32;
        self.in_row.is_multiple_of(room).then_some(self.in_row / room)
    }

    /// A message that may be given up was refused once more: is that enough?
    pub(super) fn is_last(&mut self, id: u64) -> bool {
        let tries = self.tries.get(&id).map_or(1, |(tries, _)| tries + 1);
        self.tries.insert(id, (tries, self.round));
        tries >= TRIES
    }

    /// How many rounds in a row were not enough, when another is needed.
    pub(super) fn round_ended(&mut self) -> Option<u32> {
        // Every message was seen in this round: the others have left the outbox.
        let round = self.round;
        self.tries.retain(|_, (_, last)| *last == round);
        if !self.again {
            self.rounds = 0;
            return None;
        }
        self.rounds = self.rounds.saturating_add(1);
        Some(self.rounds)
    }

    /// Another round.
    pub(super) fn begin_round(&mut self) {
        self.again = false;
        self.in_row = 0;
        self.round += 1;
    }

    /// Another connection; only what was refused before is remembered.
    pub(super) fn begin_connection(&mut self) {
        self.begin_round();
        self.rounds = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_go_on_while_something_is_left_over() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.round_ended(), None);
        refusals.one_more();
        assert_eq!(refusals.round_ended(), Some(1));
        refusals.begin_round();
        refusals.one_more();
        assert_eq!(refusals.round_ended(), Some(2));
        refusals.begin_round();
        assert_eq!(refusals.round_ended(), None);
        refusals.one_more();
        assert_eq!(refusals.round_ended(), Some(1));
    }

    #[test]
    fn a_broker_that_refuses_everything_is_asked_in_small_numbers() {
        let mut refusals = Refusals::default();
        let pauses: Vec<_> = (1..=48).filter_map(|_| refusals.one_more()).collect();
        assert_eq!(pauses, [1, 2, 3]);
        refusals.in_row = 0;
        assert_eq!(refusals.one_more(), None);
    }

    #[test]
    fn a_few_messages_refused_in_every_round_make_no_pause() {
        let mut refusals = Refusals::default();
        for _ in 0..100 {
            refusals.begin_round();
            assert_eq!((refusals.one_more(), refusals.one_more()), (None, None));
            refusals.round_ended();
        }
    }

    #[test]
    fn the_fifth_refusal_is_the_last_over_connections_too() {
        let mut refusals = Refusals::default();
        let tries = [(); 5].map(|()| {
            refusals.begin_connection();
            let last = refusals.is_last(7);
            refusals.round_ended();
            last
        });
        assert_eq!(tries, [false, false, false, false, true]);
        // It left the outbox: nothing is remembered of it.
        refusals.begin_round();
        refusals.round_ended();
        assert!(refusals.tries.is_empty());
    }
}
