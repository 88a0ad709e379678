//! Commands, and what people ask of a spool, done to it and to its model.

use proptest::sample::Index;
use vedette::contract::command::{Reason, Status};
use vedette::contract::purge::Selection;
use vedette::spool::browse::{Ask, Filter, Told, Verdict};
use vedette::spool::{Acceptance, Address, Conclusion, Loss, NewCommand, RowEffect};

use crate::command_model::{Command, State};
use crate::model::{End, Event, Row};
use crate::ops::CAMERAS;
use crate::world::World;

impl World {
    // ---- commands ----

    pub(crate) async fn accept(&mut self, pictures: u32, effect: Option<RowEffect>) -> String {
        let id = self.name("c");
        let tell = vec![Address { topic: format!("cmd/{id}/status"), correlation: None }];
        let new = NewCommand { id: id.clone(), op: "op".to_owned(), tell, effect, pictures };
        assert_eq!(self.f.spool.accept(new).await.unwrap(), Acceptance::New);
        let (tell, pictures_of) = (1, std::collections::BTreeMap::new());
        let command = Command { wanted: pictures, tell, state: State::Open, pictures: pictures_of };
        self.model.commands.insert(id.clone(), command);
        self.model.flushed();
        id
    }

    pub(crate) fn any_command(&mut self, i: Index) -> Option<(String, &mut Command)> {
        let count = self.model.commands.len();
        let found = self.model.commands.iter_mut().nth(if count > 0 { i.index(count) } else { 0 });
        found.map(|(id, command)| (id.clone(), command))
    }

    pub(crate) async fn taken(&mut self, i: Index, faulty: bool) {
        let Some((id, command)) = self.any_command(i) else { return };
        let kept = u32::try_from(command.pictures.len()).unwrap();
        // Of one that has ended nothing is written, and nothing is flushed with it.
        let writes = !matches!(command.state, State::Ended(_));
        let fault = faulty.then(|| (Status::TimedOut, Reason::new("timed-out", "late")));
        command.take(fault.as_ref().map(|fault| fault.0));
        self.f.spool.conclude(&id, Conclusion::Taken { kept, fault }).await.unwrap();
        if writes {
            self.model.flushed();
        }
    }

    pub(crate) async fn ended(&mut self, i: Index) {
        let Some((id, command)) = self.any_command(i) else { return };
        let writes = !matches!(command.state, State::Ended(_));
        if writes {
            command.state = State::Ended(Status::Rejected);
        }
        let ended = Conclusion::Ended { status: Status::Rejected, reason: None, result: None };
        self.f.spool.conclude(&id, ended).await.unwrap();
        if writes {
            self.model.flushed();
        }
    }

    // ---- what people ask ----

    pub(crate) async fn purge(&mut self, filter: Filter) {
        let (meant, lent) = (self.model.matching(&filter), self.lent_seqs());
        let ask = Ask::Purge { filter, above: 0 };
        let Told::Done(done) = self.f.spool.ask(ask).await.unwrap() else { panic!("it is done") };
        let (left, gone): (Vec<u64>, Vec<u64>) = meant.into_iter().partition(|s| lent.contains(s));
        let bytes: u64 = gone.iter().map(|seq| self.model.items[seq].file).sum();
        assert_eq!(done.sum(), (gone.len() as u64, bytes));
        assert_eq!((done.left, done.next), (left.len() as u64, None));
        gone.into_iter().for_each(|seq| self.model.end(seq, End::Lost(Loss::Purged)));
    }

    /// With nothing in flight: what a restart in the middle of it goes on with is then the same.
    pub(crate) async fn purge_by_command(&mut self, camera: Option<usize>) {
        self.lent.clear();
        self.f.spool.snapshot().await.unwrap();
        self.before = (self.log.now(), self.model.clone());
        let camera = camera.map(|camera| CAMERAS[camera].to_owned());
        let filter = Filter { camera: camera.clone(), ..Filter::default() };
        let wanted = Selection { camera, ..Selection::default() };
        let id = self.accept(0, Some(RowEffect::Purge(wanted))).await;
        self.purge_ends(&id).await;
        for seq in self.model.matching(&filter) {
            self.model.end(seq, End::Lost(Loss::Purged));
        }
        let command = self.model.commands.get_mut(&id).unwrap();
        command.state = State::Ended(Status::Succeeded);
        self.purged = Some(id);
    }

    /// Each call is a turn of the thread, and each turn a page.
    pub(crate) async fn purge_ends(&self, id: &str) {
        while self.f.spool.told(id).await.unwrap().is_some_and(|told| !told.status.is_final()) {}
    }

    pub(crate) async fn retry(&mut self, filter: Filter) {
        let (meant, lent) = (self.model.matching(&filter), self.lent_seqs());
        let ask = Ask::Retry { filter, above: 0 };
        let Told::Done(done) = self.f.spool.ask(ask).await.unwrap() else { panic!("it is done") };
        let mut again = 0;
        for seq in meant {
            let item = self.model.items.get_mut(&seq).unwrap();
            if item.row().aside {
                item.rows.push(Row { aside: false, attempts: 0 });
                again += 1;
            } else if !lent.contains(&seq) && self.model.resting.remove(&seq) {
                again += 1;
            }
        }
        assert_eq!((done.sum().0, done.left), (again, 0));
    }

    pub(crate) async fn check(&mut self, repair: bool) {
        let (mut found, mut above) = (Vec::new(), 0);
        loop {
            let ask = Ask::Check { repair, above };
            let Told::Checked(page) = self.f.spool.ask(ask).await.unwrap() else {
                panic!("it is checked")
            };
            found.extend(page.found);
            match page.next {
                Some(next) => above = next,
                None => break,
            }
        }
        let seqs: Vec<u64> = found.iter().map(|(seq, _)| *seq).collect();
        assert!(self.model.items.keys().all(|seq| seqs.contains(seq)), "some are not looked at");
        for (seq, verdict) in found {
            let stray = self.model.strays.contains(&seq);
            assert_eq!(stray, verdict == Verdict::Stray, "{seq}: {verdict:?}");
            assert!(stray || verdict.is_well(), "{seq}: {verdict:?}");
            if stray && repair {
                self.take_in(seq);
            }
        }
    }

    /// A picture that ended, whose file was back, is queued again: at least once is what is promised.
    pub(crate) fn take_in(&mut self, seq: u64) {
        self.model.strays.remove(&seq);
        let (mut item, _) = self.model.past.remove(&seq).unwrap();
        item.rows = vec![Row { aside: false, attempts: 0 }];
        if let Some(name) = &item.event {
            // It may have been told of already, and is followed again.
            let (camera, pictures) = (item.camera, std::collections::BTreeMap::new());
            let new = || Event { camera, pictures, over: None, sure: false };
            self.model.events.entry(name.clone()).or_insert_with(new).sure = false;
        }
        self.model.items.insert(seq, item);
        self.model.kept += 1;
        self.model.flushed();
    }
}
