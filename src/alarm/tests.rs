//! The board, second by second, and under any sequence of alarms.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn at(seconds: u64) -> BootTime {
    BootTime(seconds * 1_000_000_000)
}

fn camera(name: &str, text: &str) -> Alarm {
    Alarm::about("camera", name, text)
}

/// What was told, `+` raised and `-` cleared, with the subject and the text.
fn told(changes: &[Change]) -> Vec<String> {
    let sign = |raised| if raised { '+' } else { '-' };
    let subject = |c: &Change| c.subject.clone().unwrap_or_else(|| c.name.clone());
    changes.iter().map(|c| format!("{}{} {}", sign(c.raised), subject(c), c.text)).collect()
}

#[test]
fn an_alarm_is_told_when_it_lasts_and_cleared_when_it_stays_away() {
    let mut board = Board::default();
    let lost = [camera("front", "lost")];
    assert_eq!(told(&board.update(&lost, at(0))), [""; 0]);
    assert_eq!(told(&board.update(&lost, at(1))), [""; 0]);
    assert_eq!(told(&board.update(&lost, at(2))), ["+front lost"]);
    for second in 3..100 {
        assert_eq!(told(&board.update(&lost, at(second))), [""; 0]);
    }
    for second in 100..110 {
        assert_eq!(told(&board.update(&[], at(second))), [""; 0]);
    }
    assert_eq!(told(&board.update(&[], at(110))), ["-front lost"]);
    assert_eq!(told(&board.update(&[], at(200))), [""; 0]);
    // And it may come again.
    board.update(&lost, at(300));
    assert_eq!(told(&board.update(&lost, at(302))), ["+front lost"]);
}

#[test]
fn what_flaps_is_told_once() {
    let mut board = Board::default();
    let lost = [camera("front", "lost")];
    for second in 0..50 {
        // There for one second in two: it never lasts.
        let raised = if second % 2 == 0 { &lost[..] } else { &[] };
        assert_eq!(told(&board.update(raised, at(second))), [""; 0], "{second}");
    }
    for second in [50, 51, 52] {
        board.update(&lost, at(second));
    }
    for second in 53..200 {
        // Away for nine seconds in ten: it never stays away.
        let raised = if second % 10 == 0 { &lost[..] } else { &[] };
        assert_eq!(told(&board.update(raised, at(second))), [""; 0], "{second}");
    }
}

#[test]
fn cameras_are_told_apart_and_so_are_names() {
    let mut board = Board::default();
    let all = [camera("front", "a"), camera("yard", "b"), Alarm::new("destination", "c")];
    board.update(&all, at(0));
    assert_eq!(told(&board.update(&all, at(2))), ["+front a", "+yard b", "+destination c"]);
    board.update(&all[..1], at(3));
    assert_eq!(told(&board.update(&all[..1], at(13))), ["-yard b", "-destination c"]);
}

#[test]
fn a_new_text_is_told_once_a_minute_and_the_cleared_one_is_that_which_was_told() {
    let mut board = Board::default();
    let mut all = Vec::new();
    for second in 0..=200 {
        let hangs = [camera("front", &format!("for {second} s"))];
        all.extend(told(&board.update(&hangs, at(second))));
    }
    all.extend(told(&board.update(&[], at(201))));
    all.extend(told(&board.update(&[], at(211))));
    let expected = [
        "+front for 2 s",
        "+front for 62 s",
        "+front for 122 s",
        "+front for 182 s",
        "-front for 182 s",
    ];
    assert_eq!(all, expected);
}

#[test]
fn two_texts_of_one_alarm_are_one_alarm() {
    let mut board = Board::default();
    let both = [camera("front", "lost"), camera("front", "hangs")];
    board.update(&both, at(0));
    assert_eq!(told(&board.update(&both, at(2))), ["+front lost"]);
    for second in 3..200 {
        assert_eq!(told(&board.update(&both, at(second))), [""; 0]);
    }
}

#[test]
fn alarms_beyond_the_bound_wait_for_a_place() {
    let mut board = Board::default();
    let all: Vec<_> = (0..MAX + 1).map(|n| camera(&format!("c{n:03}"), "lost")).collect();
    board.update(&all, at(0));
    assert_eq!(board.update(&all, at(2)).len(), MAX);
    assert_eq!(board.followed.len(), MAX);
    board.update(&all[1..], at(3));
    assert_eq!(told(&board.update(&all[1..], at(13))), ["-c000 lost"]);
    assert_eq!(told(&board.update(&all[1..], at(15))), ["+c064 lost"]);
}

#[test]
fn a_change_is_told_under_its_name_with_the_time_where_it_is_known() {
    let text = "x".repeat(5000);
    let change = Change { subject: None, ..Change::from_alarm(&camera("front", &text)) };
    assert_eq!(change.topic(), "alarm/camera");
    let boot = BootId("0f3c9a52-1111-2222-3333-444455556666".into());
    let parsed = |now| serde_json::from_slice::<Value>(&change.payload(now, &boot)).unwrap();
    let trusted = parsed(Some(WallTime(1_795_342_530_123)));
    assert_eq!(trusted["ts"], "2026-11-22T10:15:30.123Z");
    assert_eq!((&trusted["clock"], &trusted["raised"]), (&"trusted".into(), &true.into()));
    assert_eq!((&trusted["name"], &trusted["subject"]), (&"camera".into(), &Value::Null));
    assert_eq!(trusted["text"].as_str().map(str::len), Some(MAX_TEXT));
    let unsynced = parsed(None);
    assert_eq!((&unsynced["clock"], &unsynced["ts"]), (&"unsynced".into(), &Value::Null));
    assert_eq!(unsynced["boot"], boot.0);
}

impl Change {
    /// An alarm as the board tells it.
    fn from_alarm(alarm: &Alarm) -> Self {
        let mut board = Board::default();
        board.update(std::slice::from_ref(alarm), at(0));
        board.update(std::slice::from_ref(alarm), at(2)).remove(0)
    }
}

/// Any few alarms with any few texts.
fn alarms() -> impl Strategy<Value = Vec<Alarm>> {
    let names = prop::sample::select(vec!["camera", "destination", "spool"]);
    let subjects = prop::option::of(prop::sample::select(vec!["front", "yard"]));
    let one = (names, subjects, "[ab]").prop_map(|(name, subject, text)| Alarm {
        name: name.to_owned(),
        subject: subject.map(str::to_owned),
        text,
    });
    prop::collection::vec(one, 0..6)
}

proptest! {
    #[test]
    fn raised_and_cleared_are_told_in_turn(
        steps in prop::collection::vec((0_u64..40, alarms()), 1..80)
    ) {
        let mut board = Board::default();
        let mut now = 0;
        // What is up by what was told: its text, and when.
        let mut up: BTreeMap<Key, (String, u64)> = BTreeMap::new();
        for (passed, raised) in steps {
            now += passed;
            for change in board.update(&raised, at(now)) {
                let key = (change.name.clone(), change.subject.clone());
                let there = raised.iter().any(|a| (&a.name, &a.subject) == (&key.0, &key.1));
                prop_assert_eq!(there, change.raised, "told as it is");
                let before = up.remove(&key);
                if change.raised {
                    if let Some((text, told)) = before {
                        prop_assert!(text != change.text, "said twice");
                        prop_assert!(now - told >= TEXT.as_secs(), "said too often");
                    }
                    up.insert(key, (change.text, now));
                } else {
                    prop_assert_eq!(before.map(|(text, _)| text), Some(change.text), "not up");
                }
            }
            prop_assert!(board.followed.len() <= MAX);
        }
    }
}
