//! The example object of docs/object-contract.md, made by the still thread from one camera frame.
//!
//! The page shows real bytes. After a change of the contract (or of the version, which is in the Exif
//! block), write it anew with `VEDETTE_BLESS=1 cargo test --test object_contract`.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use vedette::account::Account;
use vedette::clock::{BootId, BootTime, WallTime};
use vedette::contract::key::{KeyTemplate, key};
use vedette::contract::metadata::metadata;
use vedette::contract::{Class, Trigger};
use vedette::firstpass::{Observation, Quality};
use vedette::frame::{Geometry, PixelBox, PixelFormat, Stamp};
use vedette::health::Beat;
use vedette::still::passthrough::STANDARD_DHT;
use vedette::still::{Candidate, Made, Order, Pick, Profile, Shot, spawn};

const FRAME: &[u8] = include_bytes!("data/uvc-frame.mjpeg");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/object-contract.md");
const BEGIN: &str = "<!-- example: begin -->\n";
const END: &str = "<!-- example: end -->\n";

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
        meta: meta.map(|(name, value)| (name.into(), value.into())).into(),
    }
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
            light_change: false,
            quality: Quality { brightness: 121.0, contrast: 48.0, detail: 22.68 },
        }),
        trigger: Trigger::Motion,
        event: Some(("0f3c9a52-597fd89".into(), false)),
        command: None,
        order: Order::default(),
        said: None,
        class: Class::Event,
    }
}

fn shot() -> Shot {
    let (picks, taken) = sync_channel(1);
    let (shots, made) = sync_channel(1);
    let boot = BootId("0f3c9a52-7d41-4c8e-9a31-5be0c2f7d690".into());
    let wall = Arc::new(|_| Some(WallTime(1_795_342_530_123)));
    let sink = Box::new(move |shot| shots.send(shot).unwrap());
    let beat = Beat::new("still", Duration::from_secs(10));
    let thread = spawn(taken, 1042, boot, wall, sink, beat).unwrap();
    let token = Account::new(1 << 20).choose(FRAME.len() as u64).unwrap();
    picks.send(Pick::One(Box::new(candidate()), token)).unwrap();
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

#[test]
fn the_example_of_the_page_is_what_the_agent_makes() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let made = example(&shot());
    if std::env::var_os("VEDETTE_BLESS").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, made, "the page is out of date: see the top of this file");
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
