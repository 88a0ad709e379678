//! Random operations, orderly restarts and kills against a model that is a map and four numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use vedette::account::Refusal;
use vedette::contract::Class;
use vedette::spool::{Claim, Order, Outcome, Quarantine};

use super::fixture::{BOOT, Fixture, body, facts, file};

const QUOTA: u64 = 40_000;

#[derive(Clone, Debug)]
enum Op {
    Push(Class, usize),
    Claim(Order),
    Finish(prop::sample::Index, Outcome),
    DropClaim(prop::sample::Index),
    Reopen,
    Kill,
}

fn op() -> impl Strategy<Value = Op> {
    let class = prop_oneof![Just(Class::Interval), Just(Class::Event), Just(Class::Best)];
    let order = prop_oneof![Just(Order::Newest), Just(Order::Oldest)];
    let outcome = prop_oneof![
        4 => Just(Outcome::Stored),
        1 => Just(Outcome::Quarantined(Quarantine::Rejected("no".into()))),
        1 => Just(Outcome::Refused),
        1 => Just(Outcome::Released),
    ];
    prop_oneof![
        8 => (class, 0usize..12_000).prop_map(|(c, n)| Op::Push(c, n)),
        4 => order.prop_map(Op::Claim),
        3 => (any::<prop::sample::Index>(), outcome).prop_map(|(i, o)| Op::Finish(i, o)),
        1 => any::<prop::sample::Index>().prop_map(Op::DropClaim),
        1 => Just(Op::Reopen),
        1 => Just(Op::Kill),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Item {
    class: Class,
    len: usize,
    file: u64,
    attempts: u32,
    quarantined: bool,
}

#[derive(Default)]
struct Model {
    items: BTreeMap<u64, Item>,
    kept: u64,
    stored: u64,
    evicted: u64,
    /// By class: the last one thinned, and whether the next one stays.
    thinned: [(u64, bool); 3],
}

impl Model {
    fn used(&self) -> u64 {
        self.items.values().map(|item| item.file).sum()
    }

    /// The shelves in the order in which they are emptied: what is set aside, then by class.
    fn shelf(item: &Item) -> usize {
        if item.quarantined { 0 } else { 1 + item.class as usize }
    }

    fn on(&self, shelf: usize, lent: &[Claim]) -> Vec<(u64, u64)> {
        let free = |seq: u64| lent.iter().all(|claim| claim.seq != seq);
        let items = self.items.iter().filter(|(seq, i)| Self::shelf(i) == shelf && free(**seq));
        items.map(|(seq, item)| (*seq, item.file)).collect()
    }

    fn push(&mut self, seq: u64, item: Item, lent: &[Claim]) -> Result<(), Refusal> {
        let mut missing = (self.used() + item.file).saturating_sub(QUOTA);
        let bytes = |shelf: &[(u64, u64)]| shelf.iter().map(|i| i.1).sum::<u64>();
        // Nothing displaces what is worth more.
        let shelves: Vec<_> = (0..=1 + item.class as usize).map(|s| self.on(s, lent)).collect();
        if shelves.iter().map(|s| bytes(s)).sum::<u64>() < missing || item.file > QUOTA {
            return Err(Refusal::DiskFull);
        }
        for (n, shelf) in shelves.into_iter().enumerate() {
            let amount = missing.min(bytes(&shelf));
            missing -= amount;
            for seq in self.pick(n, shelf, amount) {
                self.items.remove(&seq);
                self.evicted += 1;
            }
        }
        self.items.insert(seq, item);
        self.kept += 1;
        Ok(())
    }

    /// The oldest of what is set aside; of a class every second one, from the last one on and round again.
    fn pick(&mut self, n: usize, mut shelf: Vec<(u64, u64)>, amount: u64) -> Vec<u64> {
        let (mut picked, mut got) = (Vec::new(), 0);
        while got < amount {
            if n == 0 {
                let (seq, file) = shelf.remove(0);
                picked.push(seq);
                got += file;
                continue;
            }
            let (last, spare) = &mut self.thinned[n - 1];
            let at = shelf.iter().position(|(seq, _)| seq > last).unwrap_or(0);
            *last = shelf[at].0;
            *spare = !*spare;
            if *spare {
                let (seq, file) = shelf.remove(at);
                picked.push(seq);
                got += file;
            }
        }
        picked
    }

    fn claim(&self, order: Order, lent: &[Claim]) -> Option<u64> {
        let mut free = self
            .items
            .iter()
            .filter(|i| !i.1.quarantined && lent.iter().all(|claim| claim.seq != *i.0));
        match order {
            Order::Newest => free.next_back().map(|i| *i.0),
            Order::Oldest => free.next().map(|i| *i.0),
        }
    }

    fn finish(&mut self, seq: u64, outcome: &Outcome) {
        let item = self.items.get_mut(&seq).unwrap();
        match outcome {
            Outcome::Stored => {
                self.items.remove(&seq);
                self.stored += 1;
            }
            Outcome::Quarantined(_) => item.quarantined = true,
            Outcome::Refused => item.attempts += 1,
            Outcome::Lost(_) | Outcome::Released => {}
        }
    }
}

async fn step(f: &mut Fixture, model: &mut Model, lent: &mut Vec<Claim>, op: Op) {
    match op {
        Op::Push(class, len) => {
            let seq = f.next_seq;
            let bytes = body(seq, len);
            let file = file(&facts(seq, class, &bytes), &bytes).len() as u64;
            let item = Item { class, len, file, attempts: 0, quarantined: false };
            let expected = model.push(seq, item, lent).map(|()| seq);
            assert_eq!(f.offer(class, len).await, expected);
        }
        Op::Claim(order) => {
            let claim = f.spool.claim(order).await.unwrap();
            assert_eq!(claim.as_ref().map(|c| c.seq), model.claim(order, lent));
            if let Some(claim) = claim {
                let item = &model.items[&claim.seq];
                assert_eq!(claim.attempts, item.attempts);
                assert_eq!(claim.load().unwrap().body, body(claim.seq, item.len));
                lent.push(claim);
            }
        }
        Op::Finish(index, outcome) if !lent.is_empty() => {
            let claim = lent.remove(index.index(lent.len()));
            model.finish(claim.seq, &outcome);
            f.spool.finish(claim.seq, outcome, Some(Duration::ZERO)).await.unwrap();
        }
        Op::DropClaim(index) if !lent.is_empty() => drop(lent.remove(index.index(lent.len()))),
        Op::Finish(..) | Op::DropClaim(_) => {}
        Op::Reopen => {
            lent.clear();
            model.thinned = Default::default();
            f.reopen(BOOT).await;
        }
        Op::Kill => {
            lent.clear();
            model.thinned = Default::default();
            let (next, _) = f.copy().open(BOOT);
            f.spool.stop().await;
            *f = next;
        }
    }
}

async fn check(f: &Fixture, model: &Model) {
    let s = f.balanced().await;
    let quarantined = model.items.values().filter(|item| item.quarantined).count() as u64;
    assert_eq!((s.kept, s.stored, s.lost), (model.kept, model.stored, [0, model.evicted, 0, 0, 0]));
    assert_eq!((s.quarantined, s.queued + s.quarantined), (quarantined, model.items.len() as u64));
    assert_eq!((s.bytes, s.generation), (model.used(), 1));
    assert!(s.bytes <= QUOTA);
    for seq in 1..f.next_seq {
        assert_eq!(f.image(seq).exists(), model.items.contains_key(&seq), "{seq}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_spool_does_what_a_map_would(ops in prop::collection::vec(op(), 1..50)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let (mut f, mut model, mut lent) =
                (Fixture::with_quota(QUOTA), Model::default(), Vec::new());
            for op in ops {
                step(&mut f, &mut model, &mut lent, op).await;
                check(&f, &model).await;
            }
            lent.clear();
            f.spool.stop().await;
        });
    }
}
