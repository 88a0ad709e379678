//! Commands of every kind before the judge: right ones, nearly right ones, and noise.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const PREFIX: &str = "vedette/v1/porch-1";
/// 2026-11-22T10:15:30Z.
const NOW: WallTime = WallTime(1_795_342_530_000);

fn judged(topic: &str, payload: &[u8], retain: bool) -> Verdict {
    let incoming = Incoming { topic, payload, retain };
    judge(&incoming, PREFIX, Some(NOW), &mut RateLimit::default(), BootTime(1))
}

/// The verdict on a payload that comes as command `a-1`.
fn of(payload: &str) -> Verdict {
    judged("vedette/v1/porch-1/cmd/a-1", payload.as_bytes(), false)
}

fn taken(payload: &str) -> Op {
    match of(payload) {
        Verdict::Take(command) => command.op,
        other => panic!("{payload}: {other:?}"),
    }
}

fn rejected(payload: &str) -> Rejection {
    match of(payload) {
        Verdict::Reject { id: Some(id), why } if id == "a-1" => why,
        other => panic!("{payload}: {other:?}"),
    }
}

#[test]
fn each_operation_is_taken_with_all_and_with_no_arguments() {
    for op in Op::NAMES {
        assert_eq!(taken(&parse::example(op)).name(), op);
        if op == "purge" {
            continue; // it must say what it means
        }
        assert_eq!(taken(&format!(r#"{{"id":"a-1","op":"{op}"}}"#)).name(), op);
        assert_eq!(taken(&format!(r#"{{"id":"a-1","op":"{op}","args":{{}}}}"#)).name(), op);
        assert_eq!(taken(&format!(r#"{{"id":"a-1","op":"{op}","args":null}}"#)).name(), op);
    }
    let order = Order { size: Some((1280, 720)), quality: Some(80) };
    let snapshot = Op::Snapshot { camera: Some("front".into()), count: 1, order };
    assert_eq!(taken(&parse::example("snapshot")), snapshot);
    let said = Said {
        label: Some("person".into()),
        boxes: vec![[0.1, 0.2, 0.3, 0.4]],
        meta: [("score".to_owned(), "0.9".to_owned())].into(),
    };
    let trigger = Op::Trigger { camera: Some("front".into()), said };
    assert_eq!(taken(&parse::example("trigger")), trigger);
}

#[test]
fn what_is_wrong_is_named_and_what_would_be_right_is_said() {
    let cases = [
        (r#"{"id":"a-1","op":"reboot"}"#, Code::UnknownOp, "there are snapshot, status"),
        (r#"{"id":"a-1","op":"status","x":1}"#, Code::UnknownField, "expected one of `id`, `op`"),
        (r#"{"id":"a-1","op":"status","args":{"x":1}}"#, Code::UnknownField, "unknown field `x`"),
        (r#"{"id":"a-1","op":"snapshot","args":{"hue":1}}"#, Code::UnknownField, "`quality`"),
        (r#"{"id":"a-1","op":"trigger","args":{"box":1}}"#, Code::UnknownField, "`boxes`"),
        (r#"{"id":"b","op":"status"}"#, Code::BadId, "must be the same"),
        (r#"{"id":"a-1"}"#, Code::Malformed, "missing field `op`"),
        (r#"{"op":"status"}"#, Code::Malformed, "missing field `id`"),
        ("snapshot", Code::Malformed, "right would be {\"id\""),
        ("[]", Code::Malformed, "expected an object"),
        (r#"["a-1","status",null,null,null]"#, Code::Malformed, "expected an object"),
        (r#"{"id":"a-1","op":"status"} x"#, Code::Malformed, "line 1 column 28"),
        (r#"{"id":"a-1","id":"a-1","op":"status"}"#, Code::Malformed, "duplicate field `id`"),
        (r#"{"id":"a-1","op":"status","args":[]}"#, Code::Malformed, "expected an object"),
        (r#"{"id":"a-1","op":"status","ttl_s":0}"#, Code::BadValue, "1 to 86400"),
        (r#"{"id":"a-1","op":"status","ttl_s":-1}"#, Code::Malformed, "expected u32"),
        (r#"{"id":"a-1","op":"status","issued_at":"noon"}"#, Code::BadValue, "RFC 3339"),
        (
            r#"{"id":"a-1","op":"status","issued_at":"2026-11-22T10:00:00Z"}"#,
            Code::Expired,
            "870 s before",
        ),
        (
            r#"{"id":"a-1","op":"status","issued_at":"2026-11-22T11:00:00Z"}"#,
            Code::NotYetValid,
            "here it is 2026-11-22T10:15:30.000Z",
        ),
    ];
    for (payload, code, right) in cases {
        let why = rejected(payload);
        assert_eq!(why.code, code, "{payload}: {}", why.text);
        assert!(why.text.contains(right), "{payload}: {}", why.text);
    }
}

#[test]
fn arguments_have_limits() {
    let cases = [
        ("snapshot", json!({"count": 0}), "1 to 16"),
        ("snapshot", json!({"count": 17}), "1 to 16"),
        ("snapshot", json!({"quality": 0}), "1 to 100"),
        ("snapshot", json!({"quality": 101}), "1 to 100"),
        ("snapshot", json!({"size": "15x16"}), "16 to 8192"),
        ("snapshot", json!({"size": "16x8193"}), "16 to 8192"),
        ("snapshot", json!({"size": "+640x480"}), "WxH"),
        ("snapshot", json!({"size": "640"}), "WxH"),
        ("snapshot", json!({"size": "640x480x3"}), "WxH"),
        ("snapshot", json!({"size": "99999999999x16"}), "WxH"),
        ("snapshot", json!({"camera": "Front"}), "a-z"),
        ("trigger", json!({"camera": "../front"}), "a-z"),
        ("trigger", json!({"boxes": [[0.5, 0.5, 0.6, 0.1]]}), "inside"),
        ("trigger", json!({"label": "a b"}), "label"),
    ];
    for (op, args, right) in cases {
        let why = rejected(&json!({"id": "a-1", "op": op, "args": args}).to_string());
        assert_eq!(why.code, Code::BadValue, "{args}");
        assert!(why.text.contains(right), "{args}: {}", why.text);
    }
    for args in [json!({"size": "16x8192"}), json!({"count": 16, "quality": 1})] {
        taken(&json!({"id": "a-1", "op": "snapshot", "args": args}).to_string());
    }
    // Larger than any number of single precision: not a number inside the frame, and not a panic.
    let wide = r#"{"id":"a-1","op":"trigger","args":{"boxes":[[1e39,0.1,1e-50,1e308]]}}"#;
    assert_eq!(rejected(wide).code, Code::BadValue);
    let huge = r#"{"id":"a-1","op":"trigger","args":{"boxes":[[1e999,0,1,1]]}}"#;
    assert_eq!(rejected(huge).code, Code::Malformed);
}

#[test]
fn only_topics_below_our_own_cmd_are_ours() {
    let good = br#"{"id":"a-1","op":"status"}"#;
    for topic in [
        "vedette/v1/porch-2/cmd/a-1",
        "vedette/v1/porch-10/cmd/a-1",
        "vedette/v1/porch-1/cmdx/a-1",
        "vedette/v1/porch-1/online",
        "x/vedette/v1/porch-1/cmd/a-1",
        "",
    ] {
        let Verdict::Reject { id: None, why } = judged(topic, good, false) else {
            panic!("{topic} was taken for ours");
        };
        assert_eq!(why.code, Code::Foreign, "{topic}");
    }
    for topic in ["a/b", "", "a b", "a-1/", "a-1/status/x", &"a".repeat(65)] {
        let topic = format!("{PREFIX}/cmd/{topic}");
        let Verdict::Reject { id: None, why } = judged(&topic, good, false) else {
            panic!("{topic} was taken for an id");
        };
        assert_eq!(why.code, Code::BadId, "{topic}");
    }
}

#[test]
fn what_we_told_ourselves_and_what_clears_a_retained_command_ask_for_nothing() {
    let status = judged("vedette/v1/porch-1/cmd/a-1/status", b"{}", false);
    assert_eq!(status, Verdict::Ignore(Ignored::Status));
    for retain in [false, true] {
        let cleared = judged("vedette/v1/porch-1/cmd/a-1", b"", retain);
        assert_eq!(cleared, Verdict::Ignore(Ignored::Empty));
    }
}

#[test]
fn retained_and_oversized_payloads_are_not_even_read() {
    let code = |payload: &[u8], retain| match judged("vedette/v1/porch-1/cmd/a-1", payload, retain)
    {
        Verdict::Reject { id: Some(_), why } => why.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(br#"{"id":"a-1","op":"status"}"#, true), Code::Retained);
    assert_eq!(code(b"no json", true), Code::Retained);
    let long = vec![b' '; MAX_PAYLOAD + 1];
    assert_eq!(code(&long, false), Code::TooLarge);
    assert_eq!(code(&long[1..], false), Code::Malformed);
}

#[test]
fn only_what_would_be_taken_costs_a_token() {
    let mut rate = RateLimit::default();
    let mut verdict = |payload: &str| {
        let topic = "vedette/v1/porch-1/cmd/a-1";
        let incoming = Incoming { topic, payload: payload.as_bytes(), retain: false };
        judge(&incoming, PREFIX, None, &mut rate, BootTime(1))
    };
    let good = r#"{"id":"a-1","op":"status"}"#;
    for _ in 0..BURST {
        assert!(matches!(verdict("noise"), Verdict::Reject { .. }));
        assert!(matches!(verdict(good), Verdict::Take(_)));
    }
    let Verdict::Reject { id: Some(_), why } = verdict(good) else { panic!("no limit") };
    assert_eq!(why.code, Code::RateLimited);
}

#[test]
fn caps_name_exactly_the_arguments_that_are_read() {
    let caps = caps();
    let ops = caps["ops"].as_object().unwrap();
    assert_eq!(ops.len(), Op::NAMES.len());
    for (op, told) in ops {
        let named: Vec<_> = told["args"]["properties"].as_object().unwrap().keys().collect();
        let why = rejected(&json!({"id": "a-1", "op": op, "args": {"?": 1}}).to_string());
        let expected = why.text.split("; right").next().unwrap().split(", ").skip(1);
        let read = expected.collect::<Vec<_>>().join(", ");
        assert_eq!(read.matches('`').count(), 2 * named.len(), "{op}: {read}");
        assert!(named.iter().all(|name| read.contains(&format!("`{name}`"))), "{op}: {read}");
    }
    let codes: Vec<_> = Code::ALL.map(Code::name).into_iter().map(Value::from).collect();
    assert_eq!(caps["rejections"].as_array().unwrap(), &codes);
}

#[test]
fn a_purge_says_which_pictures_or_that_it_means_all() {
    let purge = |args: Value| json!({"id": "a-1", "op": "purge", "args": args}).to_string();
    let wanted = Selection {
        camera: Some("front".into()),
        class: Some(crate::contract::Class::Best),
        event: Some("1a2b3c4d-0f".into()),
        older_than_s: Some(86_400),
    };
    let args =
        json!({"camera": "front", "class": "best", "event": "1a2b3c4d-0f", "older_than_s": 86400});
    assert_eq!(taken(&purge(args)), Op::Purge(wanted));
    assert_eq!(taken(&purge(json!({"all": true}))), Op::Purge(Selection::default()));
    for (args, right) in [
        (json!({}), "\"all\":true"),
        (json!({"all": false}), "must say which"),
        (json!({"all": true, "camera": "front"}), "no other argument"),
        (json!({"class": "worst"}), "interval, event, best, manifest"),
        (json!({"older_than_s": 0}), "1 to 315360000"),
        (json!({"event": "a b"}), "1 to 64"),
        (json!({"camera": "Front"}), "1 to 32"),
    ] {
        let why = rejected(&purge(args.clone()));
        assert_eq!(why.code, Code::BadValue, "{args}");
        assert!(why.text.contains(right), "{args}: {}", why.text);
    }
    assert_eq!(rejected(&json!({"id": "a-1", "op": "purge"}).to_string()).code, Code::BadValue);
}

/// A payload that is right.
fn right() -> impl Strategy<Value = Value> {
    let name = "[a-z0-9-]{1,32}";
    let word = "[A-Za-z0-9._:-]{1,64}";
    let boxes = proptest::collection::vec((0f32..0.5, 0f32..0.5, 0.01f32..0.5, 0.01f32..0.5), 0..6);
    let meta = proptest::collection::btree_map(name, word, 0..8);
    prop_oneof![
        (name, 16u32..8192, 1u32..100, 1u32..16).prop_map(|(camera, side, quality, count)| {
            let size = format!("{side}x{side}");
            json!({"op": "snapshot", "args": {
                "camera": camera, "size": size, "quality": quality, "count": count}})
        }),
        (name, word, boxes, meta).prop_map(|(camera, label, boxes, meta)| {
            json!({"op": "trigger", "args": {
                "camera": camera, "label": label, "boxes": boxes, "meta": meta}})
        }),
        (name, word, 1u64..315_360_000).prop_map(|(camera, event, age)| {
            json!({"op": "purge", "args": {
                "camera": camera, "event": event, "class": "event", "older_than_s": age}})
        }),
        proptest::sample::select(vec![
            "status",
            "upload.pause",
            "upload.resume",
            "privacy.on",
            "privacy.off"
        ])
        .prop_map(|op| json!({"op": op, "args": {}})),
    ]
    .prop_map(|mut payload| {
        payload["id"] = "a-1".into();
        payload["ttl_s"] = 30.into();
        payload["issued_at"] = "2026-11-22T10:15:10Z".into();
        payload
    })
}

proptest! {
    #[test]
    fn every_right_command_is_taken(payload in right()) {
        let verdict = of(&payload.to_string());
        let Verdict::Take(command) = verdict else {
            return Err(TestCaseError::fail(format!("{payload}: {verdict:?}")));
        };
        prop_assert_eq!(command.left, Duration::from_secs(10));
        prop_assert_eq!(&Value::from(command.op.name()), &payload["op"]);
    }

    #[test]
    fn one_unknown_field_anywhere_refuses_it(payload in right(), field in "[a-z]{1,20}_") {
        let mut outside = payload.clone();
        outside[field.as_str()] = 1.into();
        let mut inside = payload;
        inside["args"][field.as_str()] = 1.into();
        for payload in [outside, inside] {
            prop_assert_eq!(rejected(&payload.to_string()).code, Code::UnknownField);
        }
    }

    #[test]
    fn nearly_right_commands_never_panic(
        payload in right(),
        at in any::<prop::sample::Index>(),
        with in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut bytes = payload.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes.splice(at..(at + 1).min(bytes.len()), with);
        drop(judged("vedette/v1/porch-1/cmd/a-1", &bytes, false));
    }

    #[test]
    fn whatever_comes_is_answered_shortly_and_harmlessly(
        topic in prop_oneof![any::<String>(), "vedette/v1/porch-1/cmd/.{0,80}"],
        payload in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            any::<String>().prop_map(|s| json!({s: 1}).to_string().into_bytes()),
            any::<String>().prop_map(|s| json!({"id": "a-1", "op": s}).to_string().into_bytes()),
            any::<String>().prop_map(|s| json!({"id": s, "op": "status"}).to_string().into_bytes()),
        ],
        retain in any::<bool>(),
    ) {
        for topic in [topic.as_str(), "vedette/v1/porch-1/cmd/a-1"] {
            if let Verdict::Reject { why, .. } = judged(topic, &payload, retain) {
                prop_assert!(!why.text.chars().any(char::is_control), "{:?}", why.text);
                prop_assert!(why.text.chars().count() < 500, "{:?}", why.text);
            }
        }
    }
}
