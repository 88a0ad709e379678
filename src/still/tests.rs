//! The still thread on candidates, one after the other.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use ::exif::Exif;

use super::*;
use crate::account::Account;
use crate::contract::key::DEFAULT_TEMPLATE;
use crate::firstpass::{Polygon, Quality};
use crate::frame::{PixelBox, PixelFormat};

pub(super) fn candidate(
    camera: &str,
    data: Vec<u8>,
    geometry: Geometry,
    masks: Vec<Mask>,
) -> Candidate {
    Candidate {
        data,
        geometry,
        captured: BootTime(5_000_000_000),
        stamp: Stamp::Driver,
        profile: Arc::new(Profile {
            camera: camera.into(),
            quality: 80,
            masks,
            device: "porch-1".into(),
            key_template: DEFAULT_TEMPLATE.into(),
            place: Arc::default(),
            meta: BTreeMap::from([("site".into(), "home".into())]),
            look: Look::default(),
        }),
        seen: Some(Observation {
            motion: true,
            score: 0.01324,
            boxes: vec![PixelBox { x: 1, y: 2, w: 3, h: 4 }],
            quality: Quality { brightness: 90.0, contrast: 9.0, detail: 12.345 },
            ..Observation::default()
        }),
        trigger: Trigger::Motion,
        event: Some(("0f3c9a52-1d4c".into(), true)),
        command: None,
        order: Order::default(),
        said: None,
        class: Class::Event,
        marks: Vec::new(),
    }
}

pub(super) fn mjpeg(data: Vec<u8>, masks: Vec<Mask>) -> Candidate {
    let geometry = Geometry { format: PixelFormat::Mjpeg, width: 160, height: 120, stride: 0 };
    candidate("front", data, geometry, masks)
}

/// Runs the thread on these candidates, from number 7 on.
pub(super) fn run(account: &Account, candidates: Vec<Candidate>) -> (Vec<Shot>, u64) {
    let (sender, receiver) = sync_channel(candidates.len());
    let (shots, taken) = sync_channel(candidates.len());
    let wall: TrustedWall = Arc::new(|at| Some(WallTime(1_795_342_500_000 + at.millis() as i64)));
    let sink: Sink = Box::new(move |made| match made {
        Made::Shot(shot) => shots.send(shot).unwrap(),
        Made::EventEnded(_) => {}
    });
    let beat = Beat::new("still", Duration::from_secs(10));
    let boot = BootId("0f3c9a52-1111-2222-3333-444455556666".into());
    let thread = spawn(receiver, 7, boot, wall, sink, beat).unwrap();
    for candidate in candidates {
        let token = account.choose(100_000).unwrap();
        sender.send(Pick::One(Box::new(candidate), token)).unwrap();
    }
    drop(sender);
    let next = thread.join().unwrap();
    (taken.iter().collect(), next)
}

pub(super) fn exif(object: &[u8]) -> Exif {
    ::exif::Reader::new().read_from_container(&mut std::io::Cursor::new(object)).unwrap()
}

pub(super) fn square() -> Vec<Mask> {
    vec![Polygon(vec![(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]).into()]
}

fn assert_masked(object: &[u8]) {
    let rgb = turbojpeg::decompress(object, turbojpeg::PixelFormat::RGB).unwrap();
    for y in 30..90 {
        for x in 40..120 {
            let pixel = &rgb.pixels[y * rgb.pitch + x * 3..][..3];
            // The block at the mask's edge rings a little.
            let most = if (48..112).contains(&x) && (40..80).contains(&y) { 2 } else { 40 };
            assert!(pixel.iter().all(|&c| c <= most), "pixel {x} {y} is {pixel:?}");
        }
    }
    assert!(rgb.pixels[..30].iter().any(|&c| c > 100), "the rest is still there");
}

#[test]
fn a_jpeg_becomes_a_shot_with_its_scan_untouched_and_its_facts() {
    let frame = encode::tests::jpeg(160, 120);
    let account = Account::new(1 << 20);
    let (shots, next) = run(&account, vec![mjpeg(frame.clone(), Vec::new())]);
    let shot = &shots[0];
    assert_eq!((next, shot.facts.seq), (8, 7));
    assert!(shot.bytes.ends_with(&frame[20..]), "everything behind APP0 is the camera's");
    assert_eq!(shot.facts.len, shot.bytes.len() as u64);
    assert_eq!(account.sums().bytes, shot.facts.len, "the share shrinks to the object");
    assert_eq!(shot.facts.wall, Some(WallTime(1_795_342_505_000)));
    assert_eq!(
        (shot.facts.event.as_deref(), shot.facts.event_final),
        (Some("0f3c9a52-1d4c"), true)
    );
    let meta: Vec<_> = shot.facts.meta.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(meta, ["motion-box=1-2-3-4", "motion-score=0.0132", "sharpness=12.35", "site=home"]);
    let comment = exif(&shot.bytes);
    let comment = comment.get_field(::exif::Tag::UserComment, ::exif::In::PRIMARY).unwrap();
    assert!(comment.display_value().to_string().len() > 100);
}

#[test]
fn the_digest_is_that_of_the_object() {
    use sha2::{Digest, Sha256};
    let account = Account::new(1 << 20);
    let (shots, _) = run(&account, vec![mjpeg(encode::tests::jpeg(32, 32), Vec::new())]);
    let digest = Sha256::digest(&shots[0].bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(shots[0].facts.sha256, hex);
}

#[test]
fn raw_and_camera_jpegs_are_masked_and_no_camera_segment_survives() {
    let mut frame = encode::tests::jpeg(160, 120);
    frame.splice(20..20, *b"\xFF\xE1\x00\x0Ehttp://thumb\xFF\xEF\x00\x06raw!");
    let raw = encode::tests::picture(160, 120);
    let raw = candidate("raw", raw, encode::tests::yuyv(160, 120, 0), square());
    let account = Account::new(1 << 20);
    let (shots, _) = run(&account, vec![mjpeg(frame, square()), raw]);
    assert_eq!(shots.len(), 2);
    for shot in &shots {
        assert_masked(&shot.bytes);
        let text = String::from_utf8_lossy(&shot.bytes);
        assert!(!text.contains("thumb") && !text.contains("raw!"));
        assert_eq!(text.matches("Exif").count(), 1);
    }
}

#[test]
fn the_end_ends_it_although_a_hung_camera_holds_a_sender_and_what_comes_later_is_refused() {
    let (sender, receiver) = sync_channel(4);
    let account = Account::new(1 << 20);
    let pick = || {
        let token = account.choose(100).unwrap();
        Pick::One(Box::new(mjpeg(encode::tests::jpeg(32, 32), Vec::new())), token)
    };
    sender.send(pick()).unwrap();
    sender.send(Pick::End).unwrap();
    sender.send(pick()).unwrap();
    let beat = Beat::new("still", Duration::from_secs(10));
    let sink: Sink = Box::new(|made| match made {
        Made::Shot(shot) => shot.token.kept(),
        Made::EventEnded(_) => {}
    });
    let boot = BootId("0f3c9a52".into());
    let thread = spawn(receiver, 1, boot, Arc::new(|_| None), sink, beat).unwrap();
    assert_eq!(thread.join().unwrap(), 2);
    drop(sender.send(pick()));
    let sums = account.sums();
    assert_eq!((sums.kept, sums.refused[Refusal::Stopping as usize], sums.in_hand), (1, 2, 0));
    assert!(sums.holds());
}

#[test]
fn a_broken_frame_is_refused_and_the_next_one_takes_its_number() {
    let whole = encode::tests::jpeg(64, 48);
    let mut cut = whole.clone();
    cut.truncate(300);
    let raw = candidate("raw", vec![0; 10], encode::tests::yuyv(64, 48, 0), Vec::new());
    let account = Account::new(1 << 20);
    let picks = vec![
        mjpeg(cut.clone(), Vec::new()),
        mjpeg(whole.clone(), Vec::new()),
        mjpeg(cut, square()),
        raw,
        mjpeg(whole, square()),
    ];
    let (shots, next) = run(&account, picks);
    assert_eq!(shots.iter().map(|shot| shot.facts.seq).collect::<Vec<_>>(), [7, 8]);
    assert_eq!(next, 9);
    let sums = account.sums();
    assert_eq!(sums.refused[Refusal::Broken as usize], 3);
    assert!(sums.holds() && sums.in_hand == 2);
}

#[test]
fn a_frame_that_lacks_its_end_marker_alone_makes_every_picture_and_one_that_is_cut_makes_none() {
    let whole = encode::tests::jpeg(160, 120);
    let open = whole[..whole.len() - 2].to_vec();
    let cut = whole[..whole.len() * 2 / 3].to_vec();
    for masks in [Vec::new(), square()] {
        let account = Account::new(1 << 20);
        let ordered = |size| Order { size: Some(size), quality: None };
        let small = Candidate { order: ordered((80, 60)), ..mjpeg(open.clone(), masks.clone()) };
        let fits = Candidate { order: ordered((160, 120)), ..mjpeg(open.clone(), masks.clone()) };
        let kept = mjpeg(open.clone(), masks.clone());
        let broken = Candidate { order: ordered((80, 60)), ..mjpeg(cut.clone(), masks.clone()) };
        let picks = vec![kept, fits, small, broken, mjpeg(cut.clone(), masks.clone())];
        let (shots, _) = run(&account, picks);
        assert_eq!(shots.len(), 3);
        assert_eq!(account.sums().refused[Refusal::Broken as usize], 2);
        let shown = show(&mjpeg(open.clone(), masks.clone()), None).unwrap();
        assert!(show(&mjpeg(cut.clone(), masks.clone()), None).is_err());
        if masks.is_empty() {
            assert_eq!(shown, whole);
            assert!(shots[0].bytes.ends_with(&whole[20..]), "the marker is put in");
        } else {
            assert_masked(&shown);
            assert_masked(&shots[0].bytes);
        }
        let size = |jpeg: &[u8]| turbojpeg::read_header(jpeg).map(|h| (h.width, h.height)).unwrap();
        assert_eq!([size(&shots[1].bytes), size(&shots[2].bytes)], [(160, 120), (80, 60)]);
    }
}

#[test]
fn a_picture_to_look_at_is_masked_tells_no_facts_and_takes_no_number() {
    let (sender, receiver) = sync_channel(3);
    let beat = Beat::new("still", Duration::from_secs(10));
    let boot = BootId("0f3c9a52".into());
    let sink: Sink = Box::new(|shot| panic!("nothing is to be kept: {shot:?}"));
    let thread = spawn(receiver, 7, boot, Arc::new(|_| None), sink, beat).unwrap();
    let ask = |frame: Vec<u8>| {
        let (reply, answer) = sync_channel(1);
        let asker = Asker::new(move |picture| reply.send(picture).unwrap());
        sender.send(Pick::Show(Box::new(mjpeg(frame, square())), asker)).unwrap();
        answer.recv().unwrap()
    };
    let shown = ask(encode::tests::jpeg(160, 120)).unwrap();
    assert_masked(&shown);
    assert!(!String::from_utf8_lossy(&shown).contains("Exif"));
    assert!(ask(b"no jpeg".to_vec()).unwrap_err().contains("decode"));
    drop(sender);
    assert_eq!(thread.join().unwrap(), 7);
}

fn sheet(boot: &str) -> Sheet {
    Sheet {
        profile: mjpeg(Vec::new(), Vec::new()).profile,
        event: "0f3c9a52-1d4c".into(),
        boot: BootId(boot.into()),
        began: BootTime(7_500_000_000),
        body: br#"{"schema":1}"#.to_vec(),
    }
}

/// Runs the thread on these picks, from number 7 on, with a clock that is trusted.
fn make(picks: Vec<Pick>) -> Vec<Made> {
    let (sender, receiver) = sync_channel(picks.len());
    let (makes, made) = sync_channel(picks.len());
    let wall: TrustedWall = Arc::new(|at| Some(WallTime(1_795_342_500_000 + at.millis() as i64)));
    let beat = Beat::new("still", Duration::from_secs(10));
    let boot = BootId("0f3c9a52-1111-2222-3333-444455556666".into());
    let sink: Sink = Box::new(move |m| makes.send(m).unwrap());
    let thread = spawn(receiver, 7, boot, wall, sink, beat).unwrap();
    picks.into_iter().for_each(|pick| sender.send(pick).unwrap());
    drop(sender);
    thread.join().unwrap();
    made.iter().collect()
}

#[test]
fn a_manifest_becomes_a_shot_of_its_own_kind_with_the_next_number() {
    let account = Account::new(1 << 20);
    let token = || account.choose(1000).unwrap();
    let picture = Box::new(mjpeg(encode::tests::jpeg(32, 32), Vec::new()));
    let sheet = Box::new(sheet("0f3c9a52-1111-2222-3333-444455556666"));
    let made = make(vec![Pick::One(picture, token()), Pick::Manifest(sheet, token())]);
    let [Made::Shot(picture), Made::Shot(shot)] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!(&shot.bytes[..], br#"{"schema":1}"#, "no Exif, nothing");
    let facts = &shot.facts;
    assert_eq!((picture.facts.seq, facts.seq), (7, 8));
    assert_eq!((facts.trigger, facts.class), (Trigger::Manifest, Class::Manifest));
    assert_eq!((facts.event.as_deref(), facts.event_final), (Some("0f3c9a52-1d4c"), true));
    assert_eq!((facts.content_type.as_str(), facts.len), ("application/json", 12));
    assert_eq!((facts.captured, facts.stamp), (BootTime(7_500_000_000), Stamp::Driver));
    assert_eq!(facts.wall, Some(WallTime(1_795_342_507_500)));
    assert_eq!(facts.meta, BTreeMap::from([("site".into(), "home".into())]));
    assert_eq!(facts.command, None);
    let sha16 = &facts.sha256[..16];
    assert_eq!(sha16, "67d6291b301412df", "what sha256sum says of the body");
    assert!(
        crate::contract::key::key(facts, None)
            .ends_with(&format!("/101507.500Z-manifest-00000008-{sha16}.json"))
    );
    let bytes = picture.facts.len + facts.len;
    assert_eq!((account.sums().in_hand, account.sums().bytes), (2, bytes));
}

#[test]
fn a_manifest_of_an_earlier_boot_is_not_dated_by_this_ones_clock() {
    let account = Account::new(1 << 20);
    let token = account.choose(1000).unwrap();
    let made = make(vec![Pick::Manifest(Box::new(sheet("99999999-1111")), token)]);
    let [Made::Shot(shot)] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!((shot.facts.wall, shot.facts.boot.short()), (None, "99999999"));
}

#[test]
fn the_end_of_an_event_is_passed_on_in_its_place() {
    let account = Account::new(1 << 20);
    let one = || {
        let picture = mjpeg(encode::tests::jpeg(32, 32), Vec::new());
        Pick::One(Box::new(picture), account.choose(1000).unwrap())
    };
    let end = EventEnd {
        camera: "front".into(),
        event: "0f3c9a52-1d4c".into(),
        began: BootTime(5),
        duration: Duration::from_secs(1),
        why: "quiet".into(),
        chosen: 2,
    };
    let made = make(vec![one(), one(), Pick::EventEnded(Box::new(end.clone())), one()]);
    let [Made::Shot(_), Made::Shot(_), Made::EventEnded(ended), Made::Shot(last)] = made.as_slice()
    else {
        panic!("{made:?}")
    };
    assert_eq!((**ended == end, last.facts.seq), (true, 9), "it takes no number");
}

/// A camera's JPEG of stripes, sharp or with soft edges, between plain sides.
fn striped(soft: bool) -> Vec<u8> {
    let level = |x: usize| match (soft, x % 16) {
        (false, at) => {
            if at < 8 {
                40
            } else {
                200
            }
        }
        (true, at) => {
            [40, 60, 100, 140, 180, 200, 200, 200, 200, 180, 140, 100, 60, 40, 40, 40][at]
        }
    };
    let pixels: Vec<u8> = (0..160 * 120)
        .map(|i| if (40..120).contains(&(i % 160)) { level(i % 160) } else { 40 })
        .collect();
    let format = turbojpeg::PixelFormat::GRAY;
    let image =
        turbojpeg::Image { pixels: &pixels[..], width: 160, pitch: 160, height: 120, format };
    turbojpeg::compress(image, 90, turbojpeg::Subsamp::Gray).unwrap().to_vec()
}

/// Runs the thread on one choice of these, each with a subject in its middle.
fn best_of(frames: Vec<Vec<u8>>) -> (Option<Shot>, crate::account::Sums) {
    let account = Account::new(1 << 20);
    let (sender, receiver) = sync_channel(1);
    let (shots, taken) = sync_channel(1);
    let sink: Sink = Box::new(move |made| match made {
        Made::Shot(shot) => shots.send(shot).unwrap(),
        Made::EventEnded(_) => {}
    });
    let beat = Beat::new("still", Duration::from_secs(10));
    let boot = BootId("0f3c9a52-1111-2222-3333-444455556666".into());
    let thread = spawn(receiver, 7, boot, Arc::new(|_| None), sink, beat).unwrap();
    let permits = frames.iter().map(|f| account.reserve(f.len() as u64).unwrap()).collect();
    let seen = Observation {
        boxes: vec![PixelBox { x: 40, y: 32, w: 80, h: 48 }],
        ..Observation::default()
    };
    let of = |(n, data): (usize, Vec<u8>)| Candidate {
        seen: Some(seen.clone()),
        captured: BootTime(n as u64),
        marks: vec![("best-of", "9".into())],
        ..mjpeg(data, Vec::new())
    };
    let candidates = frames.into_iter().enumerate().map(of).collect();
    let token = account.choose_of(permits).unwrap();
    sender.send(Pick::BestOf(candidates, token)).unwrap();
    drop(sender);
    thread.join().unwrap();
    (taken.iter().next(), account.sums())
}

#[test]
fn of_candidates_the_sharpest_becomes_the_picture_and_only_its_bytes_stay_in_hand() {
    let frames = vec![striped(true), striped(false), striped(true)];
    let (shot, sums) = best_of(frames);
    let shot = shot.unwrap();
    assert_eq!(shot.facts.captured, BootTime(1));
    assert_eq!(shot.facts.meta["best-of"], "9");
    assert_eq!((sums.chosen, sums.in_hand, sums.bytes), (1, 1, shot.facts.len));
    drop(shot);
}

#[test]
fn a_candidate_that_is_broken_gives_way_and_only_if_all_are_the_choice_is_refused() {
    let mut broken = striped(false);
    broken.truncate(broken.len() / 2);
    let (shot, sums) = best_of(vec![broken.clone(), striped(true)]);
    assert_eq!((shot.unwrap().facts.captured, sums.refused_total()), (BootTime(1), 0));
    let (shot, sums) = best_of(vec![broken.clone(), broken]);
    assert!(shot.is_none() && sums.holds());
    assert_eq!((sums.chosen, sums.refused[Refusal::Broken as usize], sums.bytes), (1, 1, 0));
}
