//! The account of a run and the byte budget of pictures in hand.
//!
//! Invariant 2 in memory: `chosen = kept + refused(reason) + in_hand`. A picture is chosen by taking an
//! [`InHand`] token; the token can only leave by [`InHand::kept`], [`InHand::refused`] or by being
//! dropped, which counts as refused. So the sum holds by construction, whoever forgets a picture.
//!
//! The token also carries the picture's share of the byte budget, so that no queue downstream can fill
//! and nobody downstream waits or drops.
//!
//! Candidates of an event, of which one will be chosen, have a [`Permit`] each: their bytes count, they
//! themselves do not. [`Account::choose_of`] makes one choice of all of them, whose token carries all their
//! bytes until one is made into a picture ([`InHand::resize`]). A permit that is dropped gives its bytes
//! back and leaves no trace in the sums: what was never chosen cannot be lost.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Why a chosen picture was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The byte budget was used up: disk or encoder are behind the cameras.
    Busy,
    /// The frame could not be decoded or encoded.
    Broken,
    /// The disk failed.
    Storage,
    /// The disk is full and nothing may be evicted.
    DiskFull,
    /// The agent stopped before the picture was durable.
    Stopping,
}

impl Refusal {
    /// All reasons, in the order of [`Sums::refused`].
    pub const ALL: [Self; 5] =
        [Self::Busy, Self::Broken, Self::Storage, Self::DiskFull, Self::Stopping];

    /// The word used in status and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Broken => "broken",
            Self::Storage => "storage",
            Self::DiskFull => "disk_full",
            Self::Stopping => "stopping",
        }
    }
}

/// One consistent reading of the run's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Pictures that the triggers chose.
    pub chosen: u64,
    /// Pictures that are durable, or stored.
    pub kept: u64,
    /// Pictures refused, by reason, in the order of [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
    /// Pictures between choice and answer, those that the spool holds in memory only included.
    pub in_hand: u64,
    /// Bytes of the budget in use.
    pub bytes: u64,
}

impl Sums {
    /// Refused pictures over all reasons.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// Invariant 2, first sum.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.chosen == self.kept + self.refused_total() + self.in_hand
    }
}

/// The run's account; cheap to clone.
#[derive(Clone, Debug)]
pub struct Account {
    inner: Arc<Mutex<Sums>>,
    limit: u64,
}

impl Account {
    /// An empty account with a budget of `limit` bytes in hand.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { inner: Arc::new(Mutex::new(Sums::default())), limit }
    }

    /// Counts a choice and takes `bytes` of the budget, or counts it refused(busy) and gives `None`.
    #[must_use]
    pub fn choose(&self, bytes: u64) -> Option<InHand> {
        self.with(|s| {
            s.chosen += 1;
            if s.bytes + bytes > self.limit {
                s.refused[Refusal::Busy as usize] += 1;
                return None;
            }
            s.bytes += bytes;
            s.in_hand += 1;
            Some(InHand { account: self.clone(), bytes, open: true, teller: None })
        })
    }

    /// Takes `bytes` of the budget for a candidate, which is not counted; `None` where there is no room.
    #[must_use]
    pub fn reserve(&self, bytes: u64) -> Option<Permit> {
        let mut permit = Permit { account: self.clone(), bytes: 0 };
        permit.exchange(bytes).then_some(permit)
    }

    /// Counts one choice, of which of the candidates that have these permits is still to be decided. Without
    /// any there was no room for them: it is counted refused(busy), and there is none.
    #[must_use]
    pub fn choose_of(&self, permits: Vec<Permit>) -> Option<InHand> {
        let bytes = permits.into_iter().map(Permit::into_bytes).reduce(|a, b| a + b);
        self.with(|s| {
            s.chosen += 1;
            match bytes {
                Some(_) => s.in_hand += 1,
                None => s.refused[Refusal::Busy as usize] += 1,
            }
        });
        Some(InHand { account: self.clone(), bytes: bytes?, open: true, teller: None })
    }

    /// One consistent reading.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.with(|s| *s)
    }

    /// Bytes of the budget.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    fn with<T>(&self, f: impl FnOnce(&mut Sums) -> T) -> T {
        f(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A candidate's share of the byte budget; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    account: Account,
    bytes: u64,
}

impl Permit {
    /// Makes the share one of `bytes`, for another candidate in the place of this one; without room it
    /// stays as it is.
    pub fn exchange(&mut self, bytes: u64) -> bool {
        let (own, limit) = (self.bytes, self.account.limit);
        let fits = self.account.with(|s| {
            let used = s.bytes - own + bytes;
            let fits = used <= limit;
            s.bytes = if fits { used } else { s.bytes };
            fits
        });
        self.bytes = if fits { bytes } else { own };
        fits
    }

    /// The share, no longer given back by this.
    fn into_bytes(mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let bytes = self.bytes;
        self.account.with(|s| s.bytes -= bytes);
    }
}

/// How a picture's time in hand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is durable, or stored.
    Kept,
    /// It is given up.
    Refused(Refusal),
}

/// Somebody who wants to hear of a picture's fate. Must not wait: it is told on the spool's thread.
#[derive(Clone)]
pub struct Teller(Arc<dyn Fn(Fate) + Send + Sync>);

impl Teller {
    /// `tell` hears of each picture that carries this.
    pub fn new(tell: impl Fn(Fate) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Tells one fate.
    pub fn tell(&self, fate: Fate) {
        (self.0)(fate);
    }
}

impl std::fmt::Debug for Teller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Teller")
    }
}

/// A chosen picture's place in the account and its share of the byte budget.
#[derive(Debug)]
pub struct InHand {
    account: Account,
    bytes: u64,
    open: bool,
    teller: Option<Teller>,
}

impl InHand {
    /// Has `teller` told how this picture's time in hand ends; exactly once.
    pub fn watch(&mut self, teller: Teller) {
        self.teller = Some(teller);
    }

    /// Shrinks (or grows) the share to what the picture now takes; never refuses.
    pub fn resize(&mut self, bytes: u64) {
        self.account.with(|s| s.bytes = s.bytes - self.bytes + bytes);
        self.bytes = bytes;
    }

    /// Does anybody want to hear how it ends?
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.teller.is_some()
    }

    /// The picture is durable, or stored.
    pub fn kept(mut self) {
        self.close(Fate::Kept);
    }

    /// The picture is given up.
    pub fn refused(mut self, why: Refusal) {
        self.close(Fate::Refused(why));
    }

    fn close(&mut self, fate: Fate) {
        self.open = false;
        self.account.with(|s| {
            s.in_hand -= 1;
            s.bytes -= self.bytes;
            match fate {
                Fate::Kept => s.kept += 1,
                Fate::Refused(why) => s.refused[why as usize] += 1,
            }
        });
        if let Some(teller) = self.teller.take() {
            teller.tell(fate);
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if self.open {
            self.close(Fate::Refused(Refusal::Stopping));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_out_keeps_the_sum() {
        let account = Account::new(100);
        let a = account.choose(40).unwrap();
        let b = account.choose(40).unwrap();
        assert!(account.choose(40).is_none());
        let mut c = account.choose(20).unwrap();
        c.resize(5);
        assert_eq!(account.sums().bytes, 85);
        a.kept();
        b.refused(Refusal::Storage);
        assert!(account.sums().holds());
        drop(c);
        let s = account.sums();
        assert!(s.holds());
        assert_eq!(
            (s.chosen, s.kept, s.refused, s.in_hand, s.bytes),
            (4, 1, [1, 0, 1, 0, 1], 0, 0)
        );
    }

    #[test]
    fn who_watches_hears_each_fate_once_and_after_it_is_counted() {
        let account = Account::new(100);
        let (heard, counted) = (Arc::new(Mutex::new(Vec::new())), account.clone());
        let listen = heard.clone();
        let teller = Teller::new(move |fate| {
            let sums = counted.sums();
            listen.lock().unwrap().push((fate, sums.kept + sums.refused_total()));
        });
        let [kept, refused, dropped] = [(); 3].map(|()| {
            let mut token = account.choose(10).unwrap();
            token.watch(teller.clone());
            token
        });
        kept.kept();
        refused.refused(Refusal::Storage);
        drop(dropped);
        let refused = |why, n| (Fate::Refused(why), n);
        assert_eq!(
            *heard.lock().unwrap(),
            [(Fate::Kept, 1), refused(Refusal::Storage, 2), refused(Refusal::Stopping, 3)]
        );
    }

    #[test]
    fn of_candidates_one_is_chosen_and_the_others_leave_no_trace() {
        let account = Account::new(100);
        let permits: Vec<_> = [30, 30].map(|bytes| account.reserve(bytes).unwrap()).into();
        let mut third = account.reserve(30).unwrap();
        assert!(account.reserve(11).is_none() && !third.exchange(41) && third.exchange(40));
        assert_eq!(account.sums(), Sums { bytes: 100, ..Sums::default() }, "none is chosen yet");
        drop(third);
        assert_eq!(account.sums().bytes, 60);
        let mut token = account.choose_of(permits).unwrap();
        let one = Sums { chosen: 1, in_hand: 1, bytes: 60, ..Sums::default() };
        assert_eq!(account.sums(), one);
        token.resize(25);
        token.kept();
        assert_eq!(account.sums(), Sums { chosen: 1, kept: 1, ..Sums::default() });
    }

    #[test]
    fn a_choice_of_none_for_want_of_room_is_refused_as_busy() {
        let account = Account::new(100);
        assert!(account.choose_of(Vec::new()).is_none());
        let sums = account.sums();
        assert!(sums.holds());
        assert_eq!((sums.chosen, sums.refused[Refusal::Busy as usize], sums.in_hand), (1, 1, 0));
    }

    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Reserve(u64),
        Exchange(usize, u64),
        GiveBack(usize),
        ChooseOf(usize),
        Choose(u64),
        Resize(usize, u64),
        Kept(usize),
        Refused(usize, usize),
        Dropped(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let n = || 0..8_usize;
        prop_oneof![
            3 => (0..40_u64).prop_map(Op::Choose),
            2 => (0..40_u64).prop_map(Op::Reserve),
            1 => (n(), 0..60_u64).prop_map(|(i, bytes)| Op::Exchange(i, bytes)),
            1 => n().prop_map(Op::GiveBack),
            1 => n().prop_map(Op::ChooseOf),
            1 => (n(), 0..60_u64).prop_map(|(i, bytes)| Op::Resize(i, bytes)),
            1 => n().prop_map(Op::Kept),
            1 => (n(), 0..Refusal::ALL.len()).prop_map(|(i, why)| Op::Refused(i, why)),
            1 => n().prop_map(Op::Dropped),
        ]
    }

    fn play(account: &Account, ops: Vec<Op>) {
        let (mut held, mut permits) = (Vec::new(), Vec::<Permit>::new());
        for op in ops {
            let take = |held: &mut Vec<InHand>, i: usize| (i < held.len()).then(|| held.remove(i));
            match op {
                Op::Choose(bytes) => held.extend(account.choose(bytes)),
                Op::Reserve(bytes) => permits.extend(account.reserve(bytes)),
                Op::Exchange(i, bytes) => {
                    if let Some(permit) = permits.get_mut(i) {
                        permit.exchange(bytes);
                    }
                }
                Op::GiveBack(i) => drop((i < permits.len()).then(|| permits.remove(i))),
                Op::ChooseOf(n) => {
                    let of = permits.drain(..n.min(permits.len())).collect();
                    held.extend(account.choose_of(of));
                }
                Op::Resize(i, bytes) => {
                    held.get_mut(i).into_iter().for_each(|token| token.resize(bytes));
                }
                Op::Kept(i) => take(&mut held, i).into_iter().for_each(InHand::kept),
                Op::Refused(i, why) => {
                    take(&mut held, i)
                        .into_iter()
                        .for_each(|token| token.refused(Refusal::ALL[why]));
                }
                Op::Dropped(i) => drop(take(&mut held, i)),
            }
            assert!(account.sums().holds());
        }
    }

    proptest! {
        #[test]
        fn the_sum_holds_at_every_moment_whatever_threads_do(
            threads in proptest::collection::vec(proptest::collection::vec(op(), 0..40), 1..5),
        ) {
            let account = Account::new(100);
            std::thread::scope(|scope| {
                for ops in threads {
                    scope.spawn(|| play(&account, ops));
                }
            });
            let sums = account.sums();
            prop_assert!(sums.holds());
            prop_assert_eq!((sums.in_hand, sums.bytes), (0, 0));
        }
    }
}
