//! What is done to the spool, and how likely.

use proptest::prelude::*;
use proptest::sample::Index;
use vedette::contract::Class;
use vedette::spool::browse::{Filter, Held};
use vedette::spool::{Order, Outcome, Quarantine};

/// The cameras; the second has a limit of its own under [`limits`] 1.
pub(crate) const CAMERAS: [&str; 2] = ["front", "back"];

/// A picture that is handed over.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) camera: usize,
    pub(crate) class: Class,
    pub(crate) len: usize,
    /// It belongs to the camera's event: the one that goes on, or one that it begins.
    pub(crate) event: bool,
    /// A command asked for it.
    pub(crate) command: Option<Index>,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Push(Push),
    /// Several at once, in groups as they happen to form.
    Burst(Vec<Push>),
    Claim(Order),
    /// The outcome of a claim; one that is not final rests for an hour if it is told so.
    Finish(Index, Outcome, bool),
    /// Stored, with a message that must arrive.
    StoredAndTold(Index),
    DropClaim(Index),
    EndEvent(usize),
    /// Writes the manifests that are due.
    Manifests,
    Accept(u32),
    Pause(bool),
    Taken(Index, bool),
    Ended(Index),
    Post,
    Arrived(usize),
    Purge(Filter),
    /// By a command, of one camera or of all.
    PurgeByCommand(Option<usize>),
    Retry(Filter),
    Check(bool),
    /// Time goes by.
    Hours(u64),
    /// In order, under other limits.
    Reopen(usize),
    /// A power cut when this share (of 255) of the last operation's calls had been made: all of it, or in the middle.
    PowerCut {
        share: u8,
        seed: u64,
        limits: usize,
    },
}

pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..40)
}

fn push(most: usize) -> impl Strategy<Value = Push> {
    let class = prop_oneof![Just(Class::Interval), Just(Class::Event), Just(Class::Best)];
    let command = prop::option::weighted(0.2, any::<Index>());
    (0usize..2, class, 0..most, prop::bool::weighted(0.3), command).prop_map(
        |(camera, class, len, event, command)| Push { camera, class, len, event, command },
    )
}

fn filter() -> impl Strategy<Value = Filter> {
    let class = prop_oneof![Just(Class::Interval), Just(Class::Event), Just(Class::Best)];
    let held = prop_oneof![Just(Held::Queued), Just(Held::Quarantined)];
    (
        prop::option::weighted(0.6, 0usize..2),
        prop::option::weighted(0.4, class),
        prop::option::weighted(0.3, held),
    )
        .prop_map(|(camera, class, held)| Filter {
            camera: camera.map(|c| CAMERAS[c].to_owned()),
            class,
            held,
            ..Filter::default()
        })
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    let order = prop_oneof![Just(Order::Newest), Just(Order::Oldest)];
    let outcome = prop_oneof![
        4 => Just(Outcome::Stored),
        2 => Just(Outcome::Quarantined(Quarantine::Rejected("no".into()))),
        2 => Just(Outcome::Refused),
        1 => Just(Outcome::Released),
    ];
    // Mostly when the last operation was done: then all that it acknowledged must be there.
    let share = prop_oneof![3 => Just(255u8), 2 => any::<u8>()];
    prop_oneof![
        12 => push(12_000).prop_map(Op::Push),
        // Of no command: whether it ends before or behind its next picture hangs on how the groups form.
        6 => prop::collection::vec(push(6_000).prop_map(|p| Push { command: None, ..p }), 2..7)
            .prop_map(Op::Burst),
        8 => order.prop_map(Op::Claim),
        6 => (index(), outcome, any::<bool>()).prop_map(|(i, o, rest)| Op::Finish(i, o, rest)),
        2 => index().prop_map(Op::StoredAndTold),
        1 => index().prop_map(Op::DropClaim),
        2 => (0usize..2).prop_map(Op::EndEvent),
        2 => Just(Op::Manifests),
        2 => (0u32..3).prop_map(Op::Accept),
        1 => any::<bool>().prop_map(Op::Pause),
        2 => (index(), any::<bool>()).prop_map(|(i, fault)| Op::Taken(i, fault)),
        1 => index().prop_map(Op::Ended),
        1 => Just(Op::Post),
        2 => (0usize..4).prop_map(Op::Arrived),
        2 => filter().prop_map(Op::Purge),
        2 => prop::option::of(0usize..2).prop_map(Op::PurgeByCommand),
        2 => filter().prop_map(Op::Retry),
        2 => any::<bool>().prop_map(Op::Check),
        2 => (1u64..12).prop_map(Op::Hours),
        3 => (0usize..4).prop_map(Op::Reopen),
        6 => (share, any::<u64>(), 0usize..4)
            .prop_map(|(share, seed, limits)| Op::PowerCut { share, seed, limits }),
    ]
}
