//! Where model and spool must agree: after every operation, and after a power cut.
//!
//! After a power cut that came when an operation had been answered, all that it acknowledged is there and the account
//! is the model's, to the number. In the middle of one, each picture is as it was before or as it was after, and what
//! is found is what the model goes on with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use vedette::spool::browse::{Entry, Held};
use vedette::spool::{Loss, Opened, Snapshot, load_image};

use crate::command_model::{Command, State};
use crate::fixture::body;
use crate::model::{End, Item, Lost, MAX_AGE, Model, Row};
use crate::world::World;

fn lost(s: &Snapshot) -> Lost {
    let of = |l: &vedette::spool::LostOf| {
        ((l.camera.clone(), l.class as usize, l.reason.clone()), l.items)
    };
    s.lost_of.iter().map(of).collect()
}

impl World {
    /// The account, each row, each file's name, and what is followed.
    pub(crate) async fn compare(&self) {
        let (model, lent) = (&self.model, self.lent_seqs());
        let s = self.f.balanced().await;
        assert_eq!((s.kept, s.stored, s.generation), (model.kept, model.stored, 1));
        assert_eq!(lost(&s), model.lost);
        assert_eq!(s.lost_total(), model.lost.values().sum::<u64>());
        let aside = model.items.values().filter(|item| item.row().aside).count() as u64;
        assert_eq!((s.quarantined, s.queued), (aside, model.items.len() as u64 - aside));
        assert_eq!((s.bytes, s.waiting), (model.used(None), 0));
        let resting = model.resting.difference(&lent).count() as u64;
        assert_eq!((s.in_flight, s.resting, s.paused), (lent.len() as u64, resting, model.paused));
        let rows = self.rows().await;
        for row in &rows {
            let item = model.items.get(&row.seq);
            assert!(model.holds(row, lent.contains(&row.seq)), "{row:?}, and should be {item:?}");
        }
        assert_eq!(rows.len(), model.items.len());
        let files = self.files();
        let gone: Vec<_> = model.items.keys().filter(|seq| !files.contains(seq)).collect();
        assert!(gone.is_empty(), "files are gone: {gone:?}");
        let known = |seq: &&u64| model.items.contains_key(seq) || model.strays.contains(seq);
        let more: Vec<_> = files.iter().filter(|seq| !known(seq)).collect();
        assert!(more.is_empty(), "files stay: {more:?}");
        let open = |c: &&Command| !matches!(c.state, State::Ended(_));
        assert_eq!(s.open_commands, model.commands.values().filter(open).count() as u64);
        for (id, command) in &model.commands {
            assert!(self.is_told(id, command).await, "{id} is not {command:?}");
        }
    }

    /// Numbers of the image files.
    fn files(&self) -> BTreeSet<u64> {
        let mut files = BTreeSet::new();
        for dir in fs::read_dir(self.f.path().join("images")).unwrap() {
            for file in fs::read_dir(dir.unwrap().path()).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                files.insert(u64::from_str_radix(&name, 16).unwrap());
            }
        }
        files
    }

    async fn is_told(&self, id: &str, command: &Command) -> bool {
        let Some(told) = self.f.spool.told(id).await.unwrap() else { return false };
        match command.state {
            State::Ended(status) => told.status == status,
            State::Open | State::Taken(_) => !told.status.is_final(),
        }
    }

    pub(crate) async fn power_cut(&mut self, share: u8, seed: u64, limits: usize) {
        let (from, before) = self.before.clone();
        let now = self.log.now();
        let at = self.log.between(from, now, share);
        let after = self.model.clone();
        let (before, after) = match (at == from, at == now) {
            (_, true) => (after.clone(), after),
            (true, _) => (before.clone(), before),
            _ => (before, after),
        };
        let opened = self.restart_from(at, seed, limits).await;
        assert!(!opened.rebuilt && opened.generation == 1, "{opened:?}");
        if let Some(id) = &self.purged {
            self.purge_ends(id).await;
        }
        let now = self.reconcile(&before, &after, &opened).await;
        // Cut off again, it begins from here; what this start found too old may be there once more.
        let mut again = now.clone();
        for (seq, (item, end)) in &now.past {
            let key = |item: &Item| {
                (crate::ops::CAMERAS[item.camera].to_owned(), item.class as usize, "age".to_owned())
            };
            let was_there = before.items.contains_key(seq) || after.items.contains_key(seq);
            if was_there && *end == End::Lost(Loss::Age) {
                again.past.remove(seq);
                again.items.insert(*seq, item.clone());
                *again.lost.get_mut(&key(item)).unwrap() -= 1;
            }
        }
        again.lost.retain(|_, items| *items > 0);
        self.model = now;
        self.before = (0, again);
        self.trust().await;
    }

    /// What the model is after a power cut between `before` and `after`, which may be the same.
    async fn reconcile(&mut self, before: &Model, after: &Model, opened: &Opened) -> Model {
        let s = self.f.balanced().await;
        let rows: BTreeMap<u64, Entry> =
            self.rows().await.into_iter().map(|row| (row.seq, row)).collect();
        let highest = before.highest.max(rows.keys().last().copied().unwrap_or(0));
        assert!(opened.next_seq > highest, "number {} again: {highest} is used", opened.next_seq);
        let mut now = after.clone();
        (now.highest, now.items, now.past) = (highest, BTreeMap::new(), BTreeMap::new());
        for row in rows.values() {
            now.items.insert(row.seq, self.found(row, before, after));
        }
        let expired = self.expired(before, after, &rows);
        let ended = |seq: &u64| rows.contains_key(seq) || *seq > highest;
        let past = before.past.iter().chain(&after.past).filter(|(seq, _)| !ended(seq));
        now.past = past.map(|(seq, past)| (*seq, past.clone())).collect();
        now.past.extend(expired);
        self.account(&s, before, after, &mut now);
        self.look_at_files(&mut now);
        now.paused = s.paused;
        assert!([before.paused, after.paused].contains(&s.paused));
        self.follow(before, after, &mut now).await;
        self.look_at_outbox(before, after, &mut now).await;
        now
    }

    /// A picture that is there: somebody kept it, it did not end, and its row is one that it ever had.
    fn found(&self, row: &Entry, before: &Model, after: &Model) -> Item {
        let seq = row.seq;
        // One that came and went within the operation.
        let passing = || after.past.get(&seq).filter(|_| seq > before.highest).map(|past| &past.0);
        let of = [before.items.get(&seq), after.items.get(&seq)];
        let Some(mut item) = of[1].or(of[0]).or_else(passing).cloned() else {
            panic!("{seq} is queued, and ended or was never handed over: {row:?}");
        };
        let is = Row { aside: row.held == Held::Quarantined, attempts: row.attempts };
        let mut rows = of.into_iter().flatten().chain(passing()).flat_map(|item| &item.rows);
        assert!(
            rows.any(|r| *r == is) || is == Row { aside: false, attempts: 0 } && of[0].is_none(),
            "{row:?}: {item:?}"
        );
        assert_eq!((row.bytes, row.class), (item.file, item.class), "{seq}");
        let bytes = load_image(&self.f.image(seq), seq).unwrap_or_else(|e| panic!("{seq}: {e}"));
        assert_eq!(bytes, body(seq, item.len), "{seq}");
        item.rows = vec![is];
        item
    }

    /// What is gone, by a clock that it may go by; whatever else is gone was not acknowledged.
    fn expired(
        &self,
        before: &Model,
        after: &Model,
        rows: &BTreeMap<u64, Entry>,
    ) -> Vec<(u64, (Item, End))> {
        let too_old = |seq: u64| rows.keys().next().is_none_or(|first| seq < *first);
        let mut gone = Vec::new();
        for (seq, item) in &before.items {
            if rows.contains_key(seq) || !after.items.contains_key(seq) {
                continue;
            }
            let age = self.hour - item.captured;
            let younger = after.items.range(seq..).any(|(_, i)| self.hour - i.captured >= MAX_AGE);
            assert!(
                (age >= MAX_AGE || younger) && too_old(*seq),
                "{seq} is acknowledged, and gone"
            );
            gone.push((*seq, (item.clone(), End::Lost(Loss::Age))));
        }
        gone
    }

    fn account(&self, s: &Snapshot, before: &Model, after: &Model, now: &mut Model) {
        let within = |is: u64, a: u64, b: u64, what: &str| {
            assert!((a.min(b)..=a.max(b)).contains(&is), "{is} {what}, not {a} to {b}");
        };
        within(s.kept, before.kept, after.kept, "kept");
        within(s.stored, before.stored, after.stored, "stored");
        let found = lost(s);
        let aged = |(_, _, why): &(String, usize, String)| why == Loss::Age.name();
        let keys: BTreeSet<_> = found.keys().chain(after.lost.keys()).collect();
        for key in keys.into_iter().filter(|key| !aged(key)) {
            let of = |lost: &Lost| lost.get(key).copied().unwrap_or(0);
            within(of(&found), of(&before.lost), of(&after.lost), &format!("lost as {key:?}"));
        }
        let sum =
            |lost: &Lost| lost.iter().filter(|(key, _)| aged(key)).map(|(_, n)| n).sum::<u64>();
        let aged_now = now.past.values().filter(|(_, end)| *end == End::Lost(Loss::Age)).count();
        assert!(
            sum(&found) >= sum(&before.lost) && sum(&found) <= aged_now as u64 + sum(&after.lost)
        );
        // Each number that was ever used has its place.
        let ended = s.stored + s.lost_total();
        assert_eq!(s.kept, ended + rows_of(now), "{s:?}");
        (now.kept, now.stored, now.lost) = (s.kept, s.stored, found);
    }

    /// Files of pictures that ended may be back; but none of those that somebody wanted away.
    fn look_at_files(&self, now: &mut Model) {
        let files = self.files();
        let without = files.iter().filter(|seq| !now.items.contains_key(seq));
        now.strays = without.copied().collect();
        for seq in &now.strays {
            let Some((item, end)) = now.past.get(seq) else { panic!("file {seq} is nobody's") };
            let wanted_away = [End::Lost(Loss::Purged), End::Lost(Loss::Age)].contains(end);
            assert!(!wanted_away, "{seq} is purged or too old, and back: {item:?}");
        }
    }

    /// Events and commands.
    async fn follow(&self, before: &Model, after: &Model, now: &mut Model) {
        now.arrived.clear();
        now.resting.clear();
        let all = before.events.iter().chain(&after.events);
        now.events = all.map(|(name, event)| (name.clone(), event.clone())).collect();
        for (name, event) in &mut now.events {
            event.sure &= before.events.get(name) == after.events.get(name);
            let aged = |seq: &u64| now.past.get(seq).is_some_and(|p| p.1 == End::Lost(Loss::Age));
            let gone = event.pictures.iter_mut().filter(|(seq, _)| aged(seq));
            gone.for_each(|(_, state)| *state = vedette::contract::manifest::State::Lost);
            event.over = Some(self.hour); // waited for anew: clocks of two boots cannot be compared
        }
        now.commands.clear();
        for id in after.commands.keys() {
            let as_it_was = [after.commands.get(id), before.commands.get(id)];
            let (mut found, mut tried) = (None, Vec::new());
            for mut command in as_it_was.into_iter().flatten().cloned() {
                let pending = |(seq, end): (&u64, &Option<bool>)| match end {
                    None => now.items.contains_key(seq) || now.past.contains_key(seq),
                    Some(true) => !now.items.contains_key(seq) || !before.items.contains_key(seq),
                    Some(false) => true,
                };
                let fits = command.pictures.iter().all(pending);
                command.interrupt();
                for (seq, end) in &mut command.pictures {
                    let gone = end.is_none() && !now.items.contains_key(seq);
                    *end = if gone { Some(false) } else { *end };
                }
                command.look();
                if fits && self.is_told(id, &command).await {
                    found = Some(command);
                    break;
                }
                tried.push(command);
            }
            let known = self.f.spool.told(id).await.unwrap();
            match (found, known) {
                (Some(command), _) => drop(now.commands.insert(id.clone(), command)),
                (None, None) => assert!(!before.commands.contains_key(id), "{id} is forgotten"),
                (None, Some(told)) => panic!("{id} is {told:?}, and should be one of {tried:?}"),
            }
        }
    }

    async fn look_at_outbox(&self, before: &Model, after: &Model, now: &mut Model) {
        let queued = self.f.spool.outbox(0, 1000).await.unwrap();
        let found: BTreeMap<u64, Vec<u8>> =
            queued.into_iter().map(|q| (q.id, q.message.payload)).collect();
        for (id, payload) in &before.outbox {
            if after.outbox.contains_key(id) {
                assert_eq!(found.get(id), Some(payload), "message {id}");
            }
        }
        for (id, payload) in &found {
            // One of an earlier number is one that was there, or had arrived and is back.
            let known = [&before.outbox, &after.outbox, &before.arrived, &after.arrived];
            let known = known.into_iter().find_map(|messages| messages.get(id));
            let newest = before.outbox.keys().chain(before.arrived.keys()).max();
            let new = newest.is_none_or(|newest| id > newest);
            assert!(known.is_some_and(|was| was == payload) || new, "message {id} is another");
        }
        now.last_message = before.last_message.max(found.keys().last().copied().unwrap_or(0));
        now.outbox = found;
    }
}

fn rows_of(model: &Model) -> u64 {
    model.items.len() as u64
}
