//! What each kind of picture costs: process CPU time of the still thread per 1080p picture, and its bytes.
//!
//! `cargo bench --bench pictures [-- RUNS]` prints a Markdown table. Each row is the minimum and the median of
//! as many runs of a few pictures each. The rows take turns, so that a change of the machine's mood meets all.

// This binary's purpose is to print.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use turbojpeg::{Compressor, Image, Subsamp};
use vedette::account::Account;
use vedette::clock::{BootId, BootTime, WallTime};
use vedette::contract::key::DEFAULT_TEMPLATE;
use vedette::contract::{Class, Trigger};
use vedette::firstpass::{Observation, Polygon, Quality};
use vedette::frame::{Geometry, PixelBox, PixelFormat, Stamp};
use vedette::health::Beat;
use vedette::still::privacy::{Mask, Style};
use vedette::still::text::{Caption, Corner};
use vedette::still::transform::{Rotate, Turn};
use vedette::still::{Candidate, Crop, Look, Made, Order, Pick, Profile, Shot, spawn};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
/// Pictures a run.
const PICTURES: usize = 5;

/// A kind of picture: what it is called, and how it is made.
type Row = (&'static str, PixelFormat, Vec<Mask>, Look);

fn main() {
    let runs = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(20);
    let (jpeg, yuyv) = frames();
    println!("| 1080p picture | CPU ms, minimum | median | KB |\n|---|---|---|---|");
    let rows = rows();
    let mut times = vec![Vec::new(); rows.len()];
    let mut bytes = vec![0; rows.len()];
    let mut studios: Vec<Studio> = rows.iter().map(|_| Studio::open()).collect();
    for _ in 0..=runs {
        for (at, (_, format, masks, look)) in rows.iter().enumerate() {
            let data = if format.is_raw() { &yuyv } else { &jpeg };
            let before = cpu();
            for _ in 0..PICTURES {
                bytes[at] = studios[at].make(candidate(data, *format, masks, look));
            }
            times[at].push((cpu() - before).as_secs_f64() * 1e3 / PICTURES as f64);
        }
    }
    for (at, (name, ..)) in rows.iter().enumerate() {
        // The first run made what is kept from picture to picture.
        let times = &mut times[at][1..];
        times.sort_by(f64::total_cmp);
        let (least, median) = (times[0], times[times.len() / 2]);
        println!("| {name} | {least:.2} | {median:.2} | {} |", bytes[at].div_ceil(1000));
    }
}

fn rows() -> Vec<Row> {
    use PixelFormat::{Mjpeg, Yuyv};
    let look = Look::default;
    let text =
        Some(Caption { template: "{site} {camera} {time}".into(), corner: Corner::BottomLeft });
    let half = Turn::new(Rotate::Half, None);
    vec![
        ("MJPEG, passed on", Mjpeg, vec![], look()),
        ("MJPEG, thumbnail 320x180", Mjpeg, vec![], Look { thumbnail: Some((320, 180)), ..look() }),
        ("MJPEG, black mask", Mjpeg, mask(Style::Black), look()),
        ("MJPEG, text", Mjpeg, vec![], Look { text: text.clone(), ..look() }),
        ("MJPEG, black mask and text", Mjpeg, mask(Style::Black), Look { text, ..look() }),
        ("MJPEG, turned by 180", Mjpeg, vec![], Look { turn: half, ..look() }),
        ("MJPEG, cropped", Mjpeg, vec![], Look { crop: Some(Crop { margin: 0.25 }), ..look() }),
        ("MJPEG, blur", Mjpeg, mask(Style::Blur), look()),
        ("MJPEG, mosaic", Mjpeg, mask(Style::Mosaic), look()),
        ("MJPEG, size 1280x720", Mjpeg, vec![], Look { size: Some((1280, 720)), ..look() }),
        ("MJPEG, max_bytes 150 KiB", Mjpeg, vec![], Look { max_bytes: Some(150 << 10), ..look() }),
        ("YUYV, encoded", Yuyv, vec![], look()),
        ("YUYV, black mask", Yuyv, mask(Style::Black), look()),
        ("YUYV, turned by 180", Yuyv, vec![], Look { turn: half, ..look() }),
    ]
}

/// An eighth of the frame.
fn mask(style: Style) -> Vec<Mask> {
    let area = Polygon(vec![(0.25, 0.25), (0.75, 0.25), (0.75, 0.5), (0.25, 0.5)]);
    vec![Mask { area, style }]
}

/// The still thread of a device, and where its pictures come out.
struct Studio {
    picks: SyncSender<Pick>,
    made: Receiver<Shot>,
    account: Account,
}

impl Studio {
    fn open() -> Self {
        let (picks, taken) = sync_channel(1);
        let (shots, made) = sync_channel(1);
        let wall = Arc::new(|_| Some(WallTime(1_795_342_530_123)));
        let sink = Box::new(move |one| {
            if let Made::Shot(shot) = one {
                shots.send(shot).expect("somebody who waits");
            }
        });
        let boot = BootId("0f3c9a52-7d41-4c8e-9a31-5be0c2f7d690".into());
        let beat = Beat::new("still", Duration::from_secs(60));
        drop(spawn(taken, 1, boot, wall, sink, beat).expect("a thread"));
        Self { picks, made, account: Account::new(1 << 30) }
    }

    /// Its bytes.
    fn make(&mut self, candidate: Candidate) -> usize {
        let token = self.account.choose(candidate.data.len() as u64).expect("room");
        self.picks.send(Pick::One(Box::new(candidate), token)).expect("the still thread");
        let shot = self.made.recv().expect("a picture");
        shot.token.kept();
        shot.bytes.len()
    }
}

fn candidate(data: &[u8], format: PixelFormat, masks: &[Mask], look: &Look) -> Candidate {
    let (width, height) = (WIDTH as u32, HEIGHT as u32);
    Candidate {
        data: data.to_vec(),
        geometry: Geometry { format, width, height, stride: 0 },
        captured: BootTime(93_847_120_456_789),
        stamp: Stamp::Driver,
        profile: Arc::new(Profile {
            camera: "front".into(),
            quality: 85,
            masks: masks.to_vec(),
            device: "porch-1".into(),
            key_template: DEFAULT_TEMPLATE.into(),
            place: Arc::default(),
            meta: BTreeMap::from([("site".into(), "lake-house".into())]),
            look: look.clone(),
        }),
        seen: Some(Observation {
            motion: true,
            score: 0.0471,
            boxes: vec![PixelBox { x: 800, y: 400, w: 200, h: 320 }],
            quality: Quality { brightness: 121.0, contrast: 48.0, detail: 22.68 },
            ..Observation::default()
        }),
        trigger: Trigger::Motion,
        event: None,
        command: None,
        order: Order::default(),
        said: None,
        class: Class::Event,
        marks: Vec::new(),
    }
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// The same picture as MJPEG 4:2:2 and as YUYV: soft shapes, edges, and a sensor's noise.
fn frames() -> (Vec<u8>, Vec<u8>) {
    let mut random = fastrand::Rng::with_seed(5);
    let mut rgb = Vec::with_capacity(WIDTH * HEIGHT * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let shape = 110.0 + 60.0 * (x as f32 / 97.0).sin() + 40.0 * (y as f32 / 61.0).cos();
            let edge = if (x / 120 + y / 90) % 5 == 0 { 30.0 } else { 0.0 };
            let noise = random.f32() * 7.0;
            let luma = shape + edge + noise;
            rgb.extend([luma, luma * 0.9, luma * 0.8 + 10.0].map(|v| v as u8));
        }
    }
    let format = turbojpeg::PixelFormat::RGB;
    let image = Image { pixels: &rgb[..], width: WIDTH, pitch: WIDTH * 3, height: HEIGHT, format };
    let mut compressor = Compressor::new().expect("an encoder");
    compressor.set_quality(85).expect("a quality");
    compressor.set_subsamp(Subsamp::Sub2x1).expect("a sampling");
    let jpeg = compressor.compress_to_vec(image).expect("a JPEG");
    let planes = turbojpeg::decompress_to_yuv(&jpeg).expect("planes");
    let (luma, chroma) = planes.pixels.split_at(WIDTH * HEIGHT);
    let (u, v) = chroma.split_at(chroma.len() / 2);
    let pairs = luma.chunks_exact(2).zip(u).zip(v);
    (jpeg, pairs.flat_map(|((luma, &u), &v)| [luma[0], u, luma[1], v]).collect())
}
