//! Random commands, pictures, ends, restarts and kills against a model: each accepted command ends as it
//! should, once, at each of its addresses, and never before its pictures.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use vedette::contract::command::{Reason, Status, Told};
use vedette::spool::{
    Acceptance, Address, Conclusion, Kind, Loss, Message, NewCommand, Outcome, Quarantine, Receipt,
    RowEffect,
};

use super::command_model::{Command, State};
use super::fixture::{BOOT, Fixture, SECOND_BOOT};

#[derive(Clone, Debug)]
enum Op {
    Accept(u32, usize),
    AcceptAgain(Index),
    Pause(bool),
    Picture(Option<Index>, bool),
    Finish(Index, Outcome),
    Taken(Index, bool),
    Ended(Index),
    Post(u8),
    Arrived(usize),
    Reopen(bool),
    Kill,
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    let outcome = prop_oneof![
        4 => Just(Outcome::Stored),
        1 => Just(Outcome::Quarantined(Quarantine::Corrupt)),
        1 => Just(Outcome::Lost(Loss::Purged)),
    ];
    prop_oneof![
        4 => (0u32..3, 1usize..3).prop_map(|(n, tell)| Op::Accept(n, tell)),
        1 => index().prop_map(Op::AcceptAgain),
        1 => any::<bool>().prop_map(Op::Pause),
        6 => (prop::option::weighted(0.8, index()), any::<bool>()).prop_map(|(i, e)| Op::Picture(i, e)),
        6 => (index(), outcome).prop_map(|(i, o)| Op::Finish(i, o)),
        3 => (index(), any::<bool>()).prop_map(|(i, fault)| Op::Taken(i, fault)),
        1 => index().prop_map(Op::Ended),
        1 => (0u8..3).prop_map(Op::Post),
        1 => (0usize..9).prop_map(Op::Arrived),
        1 => any::<bool>().prop_map(Op::Reopen),
        1 => Just(Op::Kill),
    ]
}

#[derive(Default)]
struct Model {
    commands: Vec<Command>,
    queued: BTreeSet<u64>,
    paused: bool,
    /// Outcomes ever seen in the outbox, by their numbers.
    seen: BTreeMap<u64, (String, Told)>,
}

fn id(n: usize) -> String {
    format!("c{n}")
}

fn command(n: usize, pictures: u32, tell: usize, effect: Option<RowEffect>) -> NewCommand {
    let address = |m| Address { topic: format!("{}/{m}", id(n)), correlation: None };
    let tell = (0..tell).map(address).collect();
    NewCommand { id: id(n), op: "op".to_owned(), tell, effect, pictures }
}

async fn accept(f: &Fixture, model: &mut Model, new: NewCommand, state: State) {
    let (wanted, tell) = (new.pictures, new.tell.len());
    assert_eq!(f.spool.accept(new).await.unwrap(), Acceptance::New);
    model.commands.push(Command { wanted, tell, state, pictures: BTreeMap::new() });
}

async fn picture(f: &mut Fixture, model: &mut Model, n: Option<usize>, event: bool) {
    let seq = f
        .keep_as(|facts| {
            facts.command = n.map(id);
            facts.event = event.then(|| "e".to_owned());
        })
        .await;
    model.queued.insert(seq);
    if let Some(command) = n.map(|n| &mut model.commands[n])
        && !matches!(command.state, State::Ended(_))
    {
        command.pictures.insert(seq, None);
    }
}

async fn finish(f: &Fixture, model: &mut Model, seq: u64, outcome: Outcome) {
    let stored = outcome == Outcome::Stored;
    if stored {
        let key = seq.to_string();
        let receipt = Receipt { key, size: 300, sha256: String::new(), captured: None, told: None };
        f.spool.stored(seq, receipt).await.unwrap();
    } else {
        // Only what is lent out can end otherwise.
        if model.paused {
            return;
        }
        let order = vedette::spool::Order::Oldest;
        let claim = f.spool.claim(order).await.unwrap().unwrap();
        f.spool.finish(claim.seq, outcome, None).await.unwrap();
        return ended(model, claim.seq, false);
    }
    ended(model, seq, stored);
}

fn ended(model: &mut Model, seq: u64, stored: bool) {
    assert!(model.queued.remove(&seq));
    for command in &mut model.commands {
        if let Some(picture) = command.pictures.get_mut(&seq) {
            *picture = Some(stored);
            command.look();
        }
    }
}

async fn step(f: &mut Fixture, model: &mut Model, op: Op) {
    let count = model.commands.len();
    match op {
        Op::Accept(pictures, tell) => {
            accept(f, model, command(count, pictures, tell, None), State::Open).await;
        }
        Op::Pause(paused) => {
            let new = command(count, 0, 1, Some(RowEffect::PauseUploads(paused)));
            accept(f, model, new, State::Ended(Status::Succeeded)).await;
            model.paused = paused;
        }
        Op::AcceptAgain(i) if count > 0 => {
            let again = f.spool.accept(command(i.index(count), 1, 1, None)).await.unwrap();
            assert!(matches!(again, Acceptance::Known(_)), "{again:?}");
        }
        Op::Picture(i, event) => {
            let n = i.filter(|_| count > 0).map(|i| i.index(count));
            picture(f, model, n, event).await;
        }
        Op::Finish(i, outcome) if !model.queued.is_empty() => {
            let seq = *model.queued.iter().nth(i.index(model.queued.len())).unwrap();
            finish(f, model, seq, outcome).await;
        }
        Op::Taken(i, faulty) if count > 0 => {
            let n = i.index(count);
            let kept = u32::try_from(model.commands[n].pictures.len()).unwrap();
            let fault = faulty.then(|| (Status::TimedOut, Reason::new("timed-out", "late")));
            model.commands[n].take(fault.as_ref().map(|fault| fault.0));
            f.spool.conclude(&id(n), Conclusion::Taken { kept, fault }).await.unwrap();
        }
        Op::Ended(i) if count > 0 => {
            let (n, status) = (i.index(count), Status::Rejected);
            if !matches!(model.commands[n].state, State::Ended(_)) {
                model.commands[n].state = State::Ended(status);
            }
            let conclusion = Conclusion::Ended { status, reason: None, result: None };
            f.spool.conclude(&id(n), conclusion).await.unwrap();
        }
        Op::Post(kind) => {
            let kind = Kind::ALL[usize::from(kind)];
            let message = Message { kind, topic: "t".into(), payload: vec![], correlation: None };
            f.spool.post(vec![message]).await.unwrap();
        }
        Op::Arrived(most) => {
            let queued = f.spool.outbox(0, most).await.unwrap();
            f.spool.arrived(queued.iter().map(|q| q.id).collect()).await.unwrap();
        }
        Op::Reopen(same) => {
            f.reopen(if same { BOOT } else { SECOND_BOOT }).await;
            model.commands.iter_mut().for_each(Command::interrupt);
        }
        Op::Kill => {
            f.kill(BOOT).await;
            model.commands.iter_mut().for_each(Command::interrupt);
        }
        Op::AcceptAgain(_) | Op::Finish(..) | Op::Taken(..) | Op::Ended(_) => {}
    }
}

async fn check(f: &Fixture, model: &mut Model) {
    let s = f.balanced().await;
    assert_eq!((s.paused, s.queued), (model.paused, model.queued.len() as u64));
    for queued in f.spool.outbox(0, 1000).await.unwrap() {
        if let Ok(told) = serde_json::from_slice(&queued.message.payload) {
            model.seen.insert(queued.id, (queued.message.topic, told));
        }
    }
    let mut open = 0;
    for (n, command) in model.commands.iter().enumerate() {
        let told: Vec<_> = model.seen.values().filter(|(_, told)| told.id == id(n)).collect();
        match command.state {
            State::Ended(status) => {
                let topics: BTreeSet<_> = told.iter().map(|(topic, _)| topic).collect();
                assert_eq!((told.len(), topics.len()), (command.tell, command.tell), "{told:?}");
                assert!(told.iter().all(|(_, told)| told.status == status), "{told:?} {command:?}");
            }
            State::Open | State::Taken(_) => {
                open += 1;
                assert!(told.is_empty(), "{told:?} {command:?}");
            }
        }
    }
    assert_eq!(s.open_commands, open);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_command_ends_once_and_not_before_its_pictures(ops in prop::collection::vec(op(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let (mut f, mut model) = (Fixture::new(), Model::default());
            for op in ops {
                step(&mut f, &mut model, op).await;
                check(&f, &mut model).await;
            }
            f.spool.stop().await;
        });
    }
}
