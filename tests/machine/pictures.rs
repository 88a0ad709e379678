//! Pictures handed over, lent out and answered for, in the spool and in its model.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use proptest::sample::Index;
use vedette::clock::{BootId, BootTime, WallTime};
use vedette::contract::Facts;
use vedette::spool::{Claim, Loss, Order, Outcome, Receipt};

use crate::fixture::{body, facts, file};
use crate::model::{End, Item, Room, Row, judge};
use crate::ops::{CAMERAS, Push};
use crate::world::{CAMERA, HOUR_NS, QUOTA, WALL_MS, World, message, was_kept};

impl World {
    // ---- pictures ----

    pub(crate) fn facts(&mut self, push: &Push) -> (Facts, Bytes, Item, Option<String>) {
        let seq = self.f.next_seq;
        let bytes = body(seq, push.len);
        let event = push.event.then(|| match &self.going_on[push.camera] {
            Some(event) => event.clone(),
            None => {
                let event = self.name("e");
                self.going_on[push.camera] = Some(event.clone());
                event
            }
        });
        let open: Vec<_> = self.model.commands.iter().filter(|(_, c)| c.wanted > 0).collect();
        let command = push.command.filter(|_| !open.is_empty());
        let command = command.map(|i| open[i.index(open.len())].0.clone());
        let facts = Facts {
            boot: BootId(self.boot()),
            captured: BootTime((self.hour - self.since) * HOUR_NS),
            wall: Some(WallTime(WALL_MS + i64::try_from(self.hour * 3_600_000).unwrap())),
            camera: CAMERAS[push.camera].into(),
            event: event.clone(),
            command: command.clone(),
            ..facts(seq, push.class, &bytes)
        };
        let item = Item {
            camera: push.camera,
            class: push.class,
            len: push.len,
            file: file(&facts, &bytes).len() as u64,
            captured: self.hour,
            event,
            key: None,
            rows: vec![Row { aside: false, attempts: 0 }],
        };
        (facts, bytes, item, command)
    }

    pub(crate) async fn push(&mut self, push: Push) {
        let (facts, bytes, item, command) = self.facts(&push);
        self.offer(facts, bytes, item, command).await;
    }

    /// Hands over one picture and holds what becomes of it, and of others for it, against the rules.
    pub(crate) async fn offer(
        &mut self,
        facts: Facts,
        bytes: Bytes,
        item: Item,
        command: Option<String>,
    ) -> bool {
        let seq = facts.seq;
        let account = self.f.hand_over_with(facts, bytes);
        self.f.spool.flush().await.unwrap();
        let taken = was_kept(&account);
        let gone = self.gone().await;
        let new = (item.camera, item.class, item.file);
        let room = self.room(item.camera);
        let judged = judge(&self.model, &self.lent_seqs(), new, &room, taken, &gone);
        judged.unwrap_or_else(|why| panic!("picture {seq}: {why}"));
        self.evicted(&gone);
        if taken {
            self.model.keep(seq, item, command.as_deref());
        }
        taken
    }

    pub(crate) fn room(&self, camera: usize) -> Room {
        let all = match self.limits {
            0 | 1 => QUOTA,
            2 => self.model.used(None),
            _ => 1 << 30,
        };
        Room { all, camera: (self.limits == 1 && camera == 1).then_some(CAMERA) }
    }

    pub(crate) async fn burst(&mut self, pushes: Vec<Push>) {
        let most = pushes.iter().map(|push| push.class).max().unwrap();
        let mut offered = Vec::new();
        for push in pushes {
            let (facts, bytes, item, command) = self.facts(&push);
            let seq = facts.seq;
            offered.push((seq, item, command, self.f.hand_over_with(facts, bytes)));
        }
        self.f.spool.flush().await.unwrap();
        let (before, lent) = (self.model.clone(), self.lent_seqs());
        let wanted: u64 = offered.iter().map(|(_, item, ..)| item.file).sum();
        let fits = before.used(None) + wanted <= self.room(0).all && self.limits != 1;
        let gone = self.gone().await;
        for seq in &gone {
            let item = &before.items[seq];
            assert!(!lent.contains(seq), "{seq} is lent out, and gone");
            assert!(item.row().aside || item.class <= most, "{seq} is worth more, and gone");
        }
        self.evicted(&gone);
        for (seq, item, command, account) in offered {
            if was_kept(&account) {
                self.model.keep(seq, item, command.as_deref());
            } else {
                assert!(!fits, "{seq} is refused, and there is room");
            }
        }
        // One of them may have made room for another.
        let gone = self.gone().await;
        assert!(!fits || gone.is_empty(), "{gone:?} went for nothing");
        self.evicted(&gone);
    }

    pub(crate) fn evicted(&mut self, gone: &BTreeSet<u64>) {
        let why = if self.limits == 2 { Loss::DiskFull } else { Loss::Quota };
        gone.iter().for_each(|seq| self.model.end(*seq, End::Lost(why)));
    }

    pub(crate) async fn claim(&mut self, order: Order) {
        let claim = self.f.spool.claim(order).await.unwrap();
        let (model, lent) = (&self.model, self.lent_seqs());
        let mut free = model.items.iter().filter(|(seq, item)| {
            !item.row().aside && !lent.contains(seq) && !model.resting.contains(seq)
        });
        let expected = match order {
            Order::Newest => free.next_back(),
            Order::Oldest => free.next(),
        };
        let expected = expected.map(|(seq, _)| *seq).filter(|_| !model.paused);
        assert_eq!(claim.as_ref().map(|c| c.seq), expected);
        let Some(claim) = claim else { return };
        let item = self.model.items.get_mut(&claim.seq).unwrap();
        assert_eq!(claim.attempts, item.row().attempts);
        let loaded = claim.load().unwrap();
        assert_eq!(loaded.body, body(claim.seq, item.len), "{}", claim.seq);
        assert_eq!(*item.key.get_or_insert_with(|| loaded.key.clone()), loaded.key);
        self.lent.push(claim);
    }

    pub(crate) fn take_claim(&mut self, i: Index) -> Option<Claim> {
        (!self.lent.is_empty()).then(|| self.lent.remove(i.index(self.lent.len())))
    }

    pub(crate) async fn finish(&mut self, i: Index, outcome: Outcome, rest: bool) {
        let Some(claim) = self.take_claim(i) else { return };
        let seq = claim.seq;
        let after = rest.then(|| Duration::from_secs(3600));
        self.f.spool.finish(seq, outcome.clone(), after).await.unwrap();
        match outcome {
            Outcome::Stored => return self.model.end(seq, End::Stored),
            Outcome::Quarantined(_) => return self.model.end(seq, End::Aside),
            Outcome::Refused => {
                let item = self.model.items.get_mut(&seq).unwrap();
                let row = item.row();
                item.rows.push(Row { attempts: row.attempts + 1, ..row });
            }
            Outcome::Lost(_) | Outcome::Released => {}
        }
        if rest {
            self.model.resting.insert(seq);
        }
    }

    pub(crate) async fn stored_and_told(&mut self, i: Index) {
        let Some(claim) = self.take_claim(i) else { return };
        let told = Some(message(self.name("s")));
        let key = claim.load().unwrap().key;
        let receipt = Receipt { key, size: 1, sha256: String::new(), captured: None, told };
        self.f.spool.stored(claim.seq, receipt).await.unwrap();
        self.put += 1;
        self.model.end(claim.seq, End::Stored);
    }
}
