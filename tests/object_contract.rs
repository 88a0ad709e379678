//! The example object of docs/object-contract.md, made by the still thread from one camera frame.
//!
//! The page shows real bytes, the manifest of that picture's event, and the stored event of the picture.
//! After a change of the contract (or of the version, which is in the Exif
//! block), write it anew with `VEDETTE_BLESS=1 cargo test --test object_contract`.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vedette::account::Account;
use vedette::clock::{BootId, BootTime, WallTime};
use vedette::contract::command::rfc3339;
use vedette::contract::key::{KeyTemplate, key};
use vedette::contract::manifest::{Counts, Entry, Manifest, State};
use vedette::contract::metadata::metadata;
use vedette::contract::stored::StoredNotice;
use vedette::contract::{Class, Facts, Trigger};
use vedette::firstpass::{Observation, Quality};
use vedette::frame::{Geometry, PixelBox, PixelFormat, Stamp};
use vedette::health::Beat;
use vedette::still::passthrough::STANDARD_DHT;
use vedette::still::{Candidate, Look, Made, Order, Pick, Profile, Sheet, Shot, spawn};

const FRAME: &[u8] = include_bytes!("data/uvc-frame.mjpeg");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/object-contract.md");

fn profile() -> Profile {
    let none = BTreeMap::new();
    let template = KeyTemplate::default().fill_device("porch-1", None, None, &none).unwrap();
    let meta = [("agent", "vedette-0.1.0"), ("label-floor", "ground"), ("site", "lake-house")];
    Profile {
        camera: "front".into(),
        quality: 85,
        masks: Vec::new(),
        device: "porch-1".into(),
        key_template: template,
        place: Arc::default(),
        meta: meta.map(|(name, value)| (name.into(), value.into())).into(),
        look: Look::default(),
    }
}

fn boot() -> BootId {
    BootId("0f3c9a52-7d41-4c8e-9a31-5be0c2f7d690".into())
}

fn candidate() -> Candidate {
    Candidate {
        data: FRAME.to_vec(),
        geometry: Geometry { format: PixelFormat::Mjpeg, width: 160, height: 120, stride: 0 },
        captured: BootTime(93_847_120_456_789),
        stamp: Stamp::Driver,
        profile: Arc::new(profile()),
        seen: Some(Observation {
            motion: true,
            score: 0.0471,
            boxes: vec![PixelBox { x: 48, y: 32, w: 40, h: 64 }],
            quality: Quality { brightness: 121.0, contrast: 48.0, detail: 22.68 },
            ..Observation::default()
        }),
        trigger: Trigger::Motion,
        event: Some(("0f3c9a52-597fd89".into(), false)),
        command: None,
        order: Order::default(),
        said: None,
        class: Class::Event,
        marks: Vec::new(),
    }
}

fn shot() -> Shot {
    let token = Account::new(1 << 20).choose(FRAME.len() as u64).unwrap();
    make(Pick::One(Box::new(candidate()), token), 1042, 1_795_342_530_123)
}

/// What the still thread makes of this, under this number, captured at this wall time.
fn make(pick: Pick, seq: u64, wall: i64) -> Shot {
    let (picks, taken) = sync_channel(1);
    let (shots, made) = sync_channel(1);
    let wall = Arc::new(move |_| Some(WallTime(wall)));
    let sink = Box::new(move |shot| shots.send(shot).unwrap());
    let beat = Beat::new("still", Duration::from_secs(10));
    let thread = spawn(taken, seq, boot(), wall, sink, beat).unwrap();
    picks.send(pick).unwrap();
    drop(picks);
    thread.join().unwrap();
    match made.recv().unwrap() {
        Made::Shot(shot) => shot,
        Made::EventEnded(end) => panic!("no event ended: {end:?}"),
    }
}

/// Offset, 16 bytes in hex, and their characters, as `hexdump -C` shows them.
fn hexdump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (line, row) in bytes.chunks(16).enumerate() {
        let hex: String = row.iter().map(|byte| format!("{byte:02x} ")).collect();
        let shown = |&byte: &u8| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '.' };
        let text: String = row.iter().map(shown).collect();
        writeln!(out, "{:04x}  {hex:<48} |{text}|", line * 16).unwrap();
    }
    out
}

fn example(shot: &Shot) -> String {
    let mut out = format!("Its key:\n\n```text\n{}\n```\n\n", key(&shot.facts, None));
    out += "Its metadata, without the provider's prefix (`x-amz-meta-` and its kin):\n\n```text\n";
    for (name, value) in metadata(&shot.facts, None) {
        writeln!(out, "{name}: {value}").unwrap();
    }
    out += "```\n\nIts first bytes:\n\n```text\n";
    let app1 = 20;
    let length = usize::from(u16::from_be_bytes([shot.bytes[app1 + 2], shot.bytes[app1 + 3]]));
    out += &hexdump(&shot.bytes[..(app1 + 2 + length).next_multiple_of(16)]);
    out + "```\n"
}

/// The event's first frame, a fifth of a second before the picture.
const BEGAN: BootTime = BootTime(93_846_921_403_112);

/// The manifest of the picture's event: one came, one had to give way, one is on its way.
fn manifest(shot: &Shot) -> Manifest {
    let facts = &shot.facts;
    let entry = |seq: u64, state| Entry {
        seq,
        state,
        key: None,
        size: Some(facts.len),
        sha256: Some(facts.sha256.clone()),
        captured: None,
        reason: None,
    };
    let stored = Entry {
        key: Some(key(facts, None)),
        captured: facts.wall.and_then(rfc3339),
        ..entry(facts.seq, State::Stored)
    };
    let lost = Entry { size: None, sha256: None, ..entry(facts.seq + 1, State::Lost) };
    let pending = Entry {
        key: Some(
            "v1/porch-1/front/2026/11/22/101532.123Z-motion-00001045-1b6c0e9f52d37a48.jpg".into(),
        ),
        size: Some(2790),
        sha256: Some(format!("1b6c0e9f52d37a48{}", "05".repeat(24))),
        captured: Some("2026-11-22T10:15:32.123Z".into()),
        ..entry(facts.seq + 3, State::Pending)
    };
    Manifest {
        schema: Manifest::schema(),
        device: facts.device.clone(),
        camera: facts.camera.clone(),
        event: facts.event.clone().unwrap(),
        boot: facts.boot.0.clone(),
        began_boottime: BEGAN.0,
        duration_ms: Some(3400),
        ended: "quiet".into(),
        counts: Counts {
            chosen: Some(4),
            refused: Some(1),
            stored: 1,
            pending: 1,
            quarantined: 0,
            lost: 1,
        },
        pictures: vec![stored, Entry { reason: Some("quota".into()), ..lost }, pending],
    }
}

/// The manifest's keys with and without a time, and the manifest.
fn manifest_example() -> String {
    let manifest = manifest(&shot());
    let event = manifest.event.clone();
    let (profile, boot, body) = (Arc::new(profile()), boot(), manifest.to_json());
    let token = Account::new(1 << 20).choose(1).unwrap();
    let sheet = Box::new(Sheet { profile, event, boot, began: BEGAN, body });
    let shot = make(Pick::Manifest(sheet, token), 1046, 1_795_342_529_924);
    assert_eq!(serde_json::from_slice::<Manifest>(&shot.bytes).unwrap(), manifest);
    let unsynced = key(&Facts { wall: None, ..shot.facts.clone() }, None);
    let keys = format!("{}\n{unsynced}", key(&shot.facts, None));
    format!("```text\n{keys}\n```\n\n{}", shown(&manifest))
}

/// As the page shows JSON; it is stored and sent without spaces.
fn shown(json: &impl serde::Serialize) -> String {
    format!("```json\n{}\n```\n", serde_json::to_string_pretty(json).unwrap())
}

/// Compares a part of the page with what is made, or writes it anew.
fn hold(part: &str, made: &str) {
    static PAGE_IS_WRITTEN: Mutex<()> = Mutex::new(());
    let _one = PAGE_IS_WRITTEN.lock().unwrap();
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (begin, end) = (format!("<!-- {part}: begin -->\n"), format!("<!-- {part}: end -->\n"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (shown, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("VEDETTE_BLESS").is_some() {
        std::fs::write(PAGE, format!("{before}{begin}{made}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, made, "the page is out of date: see the top of this file");
}

#[test]
fn the_example_of_the_page_is_what_the_agent_makes() {
    hold("example", &example(&shot()));
}

#[test]
fn the_manifest_of_the_page_is_what_the_agent_makes() {
    hold("manifest", &manifest_example());
}

#[test]
fn the_stored_event_of_the_page_is_what_the_agent_sends() {
    let facts = shot().facts;
    let notice = StoredNotice { key: key(&facts, None), facts, wall: None };
    let payload: serde_json::Value = serde_json::from_slice(&notice.payload()).unwrap();
    hold("stored", &shown(&payload));
}

#[test]
fn what_the_camera_sent_is_in_the_object_byte_for_byte() {
    let object = shot().bytes;
    let scan = FRAME.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let end = FRAME.len() - 12;
    let (head, tail) = (&FRAME[..20], [&STANDARD_DHT[..], &FRAME[scan..end]].concat());
    assert!(object.starts_with(head), "SOI and APP0 come first");
    assert!(object.ends_with(&tail), "tables, scan and end marker come last");
    let exif = usize::from(u16::from_be_bytes([object[22], object[23]])) + 2;
    assert_eq!(object[20 + exif..object.len() - tail.len()], FRAME[20..scan]);
    let picture = turbojpeg::decompress(&object, turbojpeg::PixelFormat::RGB).unwrap();
    assert_eq!((picture.width, picture.height), (160, 120));
}
