//! The tables of a camera.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    Condition, DropSimilar, Format, Keep, MaskStyle, Picture, SceneFormat, Sensitivity, ZoneKind,
};
use crate::camera::v4l2::controls::Wanted;
use crate::config::units::{Pixels, Speed, Time, UsbId};

/// One camera; exactly one of `v4l2`, `files`, `scene` and `exec`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["v4l2"]}, {"required": ["files"]}, {"required": ["scene"]}, {"required": ["exec"]}]))]
pub(crate) struct Camera {
    /// A V4L2 capture device: USB webcam, capture card, sensor with a kernel driver. Without a name the first
    /// that streams pictures, USB cameras before others: for the only V4L2 camera.
    pub(crate) v4l2: Option<V4l2>,
    /// Recorded frames.
    pub(crate) files: Option<Files>,
    /// The synthetic street.
    pub(crate) scene: Option<Scene>,
    /// A program that writes frames to its standard output: `ffmpeg` for RTSP, `rpicam-vid`, any other.
    pub(crate) exec: Option<Exec>,
    /// Motion detection, on unless `enabled = false`.
    #[serde(default)]
    pub(crate) motion: Motion,
    /// What is told when the picture is no good, or somebody tampers with the camera.
    #[serde(default)]
    pub(crate) tamper: Tamper,
    /// Take a picture every so often, whatever moves. Default: never.
    #[schemars(extend("minDuration" = "100ms", "maxDuration" = "365d"))]
    pub(crate) interval: Option<Time>,
    /// Take a picture at these moments: `"mon-fri 08:00"`, `"sunrise+10m"`, or cron's five fields. Default: none.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub(crate) at: Vec<String>,
    /// Drop pictures by interval, and further ones of an event, that show what the last one showed.
    #[serde(default)]
    pub(crate) drop_similar: DropSimilar,
    /// Analyse so many frames a second while nothing moves; the others go back unread.
    #[serde(default = "five_fps")]
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub(crate) analyse_fps: f64,
    /// So many while something moves and until its event is over, and while the scene is learnt. Default: 10, or
    /// `analyse_fps` where that is more.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub(crate) active_fps: Option<f64>,
    /// Longest wait for a frame before the camera counts as silent.
    #[serde(default = "five_seconds")]
    #[schemars(extend("minDuration" = "100ms", "maxDuration" = "60s"))]
    pub(crate) frame_timeout: Time,
    /// JPEG quality of pictures that are encoded: raw ones, and those that `mask` or `picture` changes in a way
    /// that a JPEG does not allow without decoding it. All other MJPEG is kept as the camera made it.
    #[serde(default = "quality")]
    #[schemars(range(min = 1, max = 100))]
    pub(crate) quality: u8,
    /// Areas covered in every picture before it is stored or shown.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub(crate) mask: Vec<Mask>,
    /// What is done to each picture.
    #[serde(default)]
    pub(crate) picture: Picture,
}

/// A V4L2 capture device and what to ask of it. Which one: by `device`, or by all the marks that are given;
/// `vedette devices` shows what to write. Without either the first that gives pictures, USB
/// cameras before others: for the only V4L2 camera of a configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("not" = {"anyOf": [{"required": ["device", "serial"]}, {"required": ["device", "usb"]}, {"required": ["device", "card"]}, {"required": ["device", "port"]}]}))]
pub(crate) struct V4l2 {
    /// Device node, best a stable name below `/dev/v4l/by-id` or `/dev/v4l/by-path`.
    pub(crate) device: Option<PathBuf>,
    /// Instead of `device`: serial number of the USB camera.
    pub(crate) serial: Option<String>,
    /// Instead of `device`: USB vendor and product, as `lsusb` shows them.
    pub(crate) usb: Option<UsbId>,
    /// Instead of `device`: the camera's name, as its driver gives it.
    pub(crate) card: Option<String>,
    /// Instead of `device`: where it is plugged in.
    pub(crate) port: Option<String>,
    /// Wanted size; the driver's nearest is taken. Default: the driver's own.
    pub(crate) size: Option<Pixels>,
    /// Wanted frames a second. Default: the driver's own.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) fps: Option<u32>,
    /// Wanted format. Default: the first that the camera has of the list in the schema, MJPEG before all.
    pub(crate) format: Option<Format>,
    /// Frames thrown away after each opening, while exposure and white balance settle.
    #[serde(default = "five")]
    #[schemars(range(min = 0, max = 300))]
    pub(crate) warm_up: u32,
    /// Controls to set at each opening, by the names that `vedette devices --all` shows.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64))]
    pub(crate) controls: BTreeMap<String, Setting>,
}

/// What a control is set to.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Setting {
    Switch(bool),
    Number(i64),
    Entry(String),
}

impl From<Setting> for Wanted {
    fn from(setting: Setting) -> Self {
        match setting {
            Setting::Switch(on) => Self::Switch(on),
            Setting::Number(n) => Self::Number(n),
            Setting::Entry(text) => Self::Entry(text),
        }
    }
}

impl JsonSchema for Setting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Setting".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number, true or false, or an entry of a menu by its name",
            "type": ["integer", "boolean", "string"]
        })
    }
}

/// Recorded frames.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    /// A directory of JPEGs, an MJPEG AVI, a `.mjpeg` stream, or raw frames in a file that is named after
    /// their format: `.yuyv`, `.nv12`, `.i420`, `.grey`, `.rgb24` and so on.
    pub(crate) path: PathBuf,
    /// Size of the frames; for raw ones only, which do not tell it.
    pub(crate) size: Option<Pixels>,
    /// Speed: `own` as recorded, a rate such as `10fps`, or `fast`.
    #[serde(default = "own")]
    pub(crate) pace: Speed,
    /// Begin again at the end.
    #[serde(default)]
    pub(crate) repeat: bool,
}

/// The synthetic street.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scene {
    /// Everything in the scene follows from this number.
    #[schemars(range(min = 0, max = 9_223_372_036_854_775_807_u64))]
    pub(crate) seed: u64,
    /// Size of the frames.
    pub(crate) size: Pixels,
    /// Frames a second of scene time.
    #[schemars(range(min = 0.1, max = 240.0))]
    pub(crate) fps: f64,
    /// Format of the frames.
    pub(crate) format: SceneFormat,
    /// Speed: `own`, a rate such as `10fps`, or `fast`.
    pub(crate) pace: Speed,
    /// End after so many frames. Default: never.
    #[schemars(range(min = 1, max = 9_223_372_036_854_775_807_u64))]
    pub(crate) frames: Option<u64>,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            seed: 1,
            size: Pixels(1280, 720),
            fps: 15.0,
            format: SceneFormat::Mjpeg,
            pace: Speed(crate::camera::Pace::Own),
            frames: None,
        }
    }
}

/// A program that writes frames to its standard output. It runs as the agent's user, in a process group
/// of its own, and is started again whenever it ends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exec {
    /// The program, by an absolute path or a name found on PATH, and its arguments. No shell reads it.
    #[schemars(length(min = 1, max = 256))]
    pub(crate) command: Vec<String>,
    /// What it writes: `mjpeg`, JPEG images one after the other, or the format of raw frames with nothing
    /// between them. Default: `mjpeg`.
    pub(crate) format: Option<Format>,
    /// Size of the frames; for raw ones only, which do not tell it.
    pub(crate) size: Option<Pixels>,
    /// Frames a second that it writes, as a hint for what the camera will cost. Default: not known.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub(crate) fps: Option<f64>,
    /// Longest time from its start to its first frame.
    #[serde(default = "thirty_seconds")]
    #[schemars(extend("minDuration" = "1s", "maxDuration" = "10m"))]
    pub(crate) start_timeout: Time,
}

/// Motion detection and the events made of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("not" = {"required": ["keep", "every"]}))]
pub(crate) struct Motion {
    /// Look for motion.
    pub(crate) enabled: bool,
    /// Motion makes events in these hours only: `"mon-fri 18:00 to 07:00"`, `"sat,sun"`, `"sunset to sunrise"`.
    /// Default: always.
    #[schemars(length(max = 32))]
    pub(crate) hours: Vec<String>,
    /// How much it takes to be motion: sets `threshold` and `min_area`, unless they are given.
    pub(crate) sensitivity: Sensitivity,
    /// Smallest share of the watched area that a moving thing must cover. Default: by `sensitivity`.
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub(crate) min_area: Option<f64>,
    /// Smallest width of a moving thing, in 0..1 of the picture's.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) min_width: f64,
    /// Smallest height of a moving thing, in 0..1 of the picture's.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) min_height: f64,
    /// How far a sample must leave its background, in grey levels, on top of the noise learnt. Default: by
    /// `sensitivity`.
    #[schemars(range(min = 1, max = 255))]
    pub(crate) threshold: Option<u8>,
    /// Motion must last so long before an event begins.
    #[schemars(extend("minDuration" = "0ms", "maxDuration" = "60s"))]
    pub(crate) min_duration: Time,
    /// The event ends when nothing moved for so long.
    #[schemars(extend("minDuration" = "100ms", "maxDuration" = "10m"))]
    pub(crate) post_event: Time,
    /// An event is ended after so long; motion that goes on begins the next one.
    #[schemars(extend("minDuration" = "1s", "maxDuration" = "1h"))]
    pub(crate) max_duration: Time,
    /// What to keep of an event: its `best` picture, its `first`, or `all` analysed frames. Default: `best`.
    pub(crate) keep: Option<Keep>,
    /// How long the `best` picture is looked for, from the event's first frame on: it is at most so late.
    #[schemars(extend("minDuration" = "0ms", "maxDuration" = "60s"))]
    pub(crate) best_within: Time,
    /// Instead of `keep`: one picture every so often, beginning with the first.
    #[schemars(extend("minDuration" = "100ms", "maxDuration" = "1h"))]
    pub(crate) every: Option<Time>,
    /// Keep pictures from so much time before an event too; JPEG only. Default: none.
    #[schemars(extend("minDuration" = "0ms", "maxDuration" = "60s"))]
    pub(crate) pre_event: Time,
    /// So many of them a second.
    #[schemars(range(min = 0.1, max = 30.0))]
    pub(crate) pre_event_fps: f64,
    /// Most pictures of events within a span of time. Default: no limit.
    pub(crate) burst: Option<BurstLimit>,
    /// After an event the next one begins no sooner than this.
    #[schemars(extend("minDuration" = "0ms", "maxDuration" = "1d"))]
    pub(crate) cool_down: Time,
    /// Where to look and where not; without an `include` zone everywhere.
    #[schemars(length(max = 32))]
    pub(crate) zone: Vec<Zone>,
}

impl Default for Motion {
    fn default() -> Self {
        Self {
            enabled: true,
            hours: Vec::new(),
            sensitivity: Sensitivity::Medium,
            min_area: None,
            min_width: 0.0,
            min_height: 0.0,
            threshold: None,
            min_duration: Time::ms(200),
            post_event: Time::secs(5),
            max_duration: Time::secs(60),
            keep: None,
            best_within: Time::secs(2),
            every: None,
            pre_event: Time::secs(0),
            pre_event_fps: 2.0,
            burst: None,
            cool_down: Time::secs(0),
            zone: Vec::new(),
        }
    }
}

/// What is told when the picture is no good, or somebody tampers with the camera.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tamper {
    /// Tell it; needs motion detection, which looks at the frames.
    pub(crate) enabled: bool,
    /// A condition is told when it has lasted so long, and is over when it has stayed away so long.
    #[schemars(extend("minDuration" = "1s", "maxDuration" = "1h"))]
    pub(crate) after: Time,
    /// While one of these lasts, neither motion nor interval nor timetable takes pictures; commands do.
    #[schemars(length(max = 6))]
    pub(crate) skip: Vec<Condition>,
}

impl Default for Tamper {
    fn default() -> Self {
        Self { enabled: true, after: Time::secs(10), skip: Vec::new() }
    }
}

/// At most so many pictures in any span of so much time.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BurstLimit {
    /// Most pictures.
    #[schemars(range(min = 1, max = 10000))]
    pub(crate) pictures: u32,
    /// Within so much time.
    #[schemars(extend("minDuration" = "1s", "maxDuration" = "1d"))]
    pub(crate) per: Time,
}

/// An area of the picture.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Zone {
    /// Look here (`include`) or not (`exclude`, which wins).
    pub(crate) kind: ZoneKind,
    /// Corners as `[x, y]` in 0..1 of width and height, from the top left; at least three.
    #[schemars(length(min = 3, max = 64))]
    pub(crate) points: Vec<Point>,
    /// In these hours only. Default: always.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub(crate) hours: Vec<String>,
}

/// An area to cover.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mask {
    /// Corners as `[x, y]` in 0..1 of width and height, from the top left; at least three.
    #[schemars(length(min = 3, max = 64))]
    pub(crate) points: Vec<Point>,
    /// What is shown there: `black`, or of what is there only the means of cells as large as a 32nd of the
    /// frame's width, run into each other (`blur`) or as they are (`mosaic`).
    #[serde(default = "black")]
    pub(crate) style: MaskStyle,
}

/// `[x, y]` in 0..1 of the frame.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Point(pub(crate) f32, pub(crate) f32);

impl JsonSchema for Point {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Point".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let side = serde_json::json!({ "type": "number", "minimum": 0, "maximum": 1 });
        json_schema!({
            "description": "A point `[x, y]` in 0..1 of width and height",
            "type": "array", "items": side, "minItems": 2, "maxItems": 2
        })
    }
}

fn five() -> u32 {
    5
}

fn five_fps() -> f64 {
    5.0
}

fn five_seconds() -> Time {
    Time::secs(5)
}

fn thirty_seconds() -> Time {
    Time::secs(30)
}

fn quality() -> u8 {
    85
}

fn black() -> MaskStyle {
    MaskStyle::Black
}

fn own() -> Speed {
    Speed(crate::camera::Pace::Own)
}
