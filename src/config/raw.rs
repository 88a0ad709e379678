//! The tables of the file as they are written: the one place that names keys, defaults and ranges.
//!
//! The JSON schema is generated from these types, and `shape` holds a file against that schema; so a
//! range or a format that is written here is checked, documented and offered by editors at once.
//! Alternatives are optional sub-tables of which exactly one is present (`oneOf`), never tagged enums:
//! those lose the place of an error. Meaning that no schema can say is checked in `validate`.

mod camera;
mod format;
mod picture;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::camera::*;
pub(crate) use self::format::Format;
pub(crate) use self::picture::Picture;
use super::units::{Bytes, Time};

/// Configuration of Vedette, the sensor agent on a smart camera.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Root {
    /// Who this device is.
    #[serde(default)]
    pub(crate) device: Device,
    /// The cameras by name, for example `[camera.front]` with `v4l2.usb = "046d:0825"`.
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"format": "name", "pattern": "^[a-z0-9-]{1,32}$"}))]
    pub(crate) camera: BTreeMap<String, Camera>,
    /// When no camera may be open.
    #[serde(default)]
    pub(crate) privacy: Privacy,
    /// Where pictures go; exactly one of `s3` and `dir`. Default: nowhere yet, they wait on this device.
    pub(crate) destination: Option<Destination>,
    /// Where pictures wait on this device.
    #[serde(default)]
    pub(crate) spool: Spool,
    /// Memory.
    #[serde(default)]
    pub(crate) memory: Memory,
    /// The clock.
    #[serde(default)]
    pub(crate) clock: Clock,
    /// Logs.
    #[serde(default)]
    pub(crate) log: Log,
    /// Local control.
    #[serde(default)]
    pub(crate) control: Control,
    /// The broker, for commands and messages. Default: none.
    pub(crate) mqtt: Option<Mqtt>,
}

/// Who this device is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Device {
    /// Device id: part of every key, and the name towards the broker. Default: the certificate's CN,
    /// else a hash of the hardware serial, else generated; pinned at the first start.
    #[schemars(extend("format" = "name", "pattern" = "^[a-z0-9-]{1,32}$"))]
    pub(crate) id: Option<String>,
    /// Where the device stands; `${site}` and `{site}` mean this.
    #[schemars(extend("format" = "word", "pattern" = "^[A-Za-z0-9_.-]{1,64}$"))]
    pub(crate) site: Option<String>,
    /// Whose device it is; `{tenant}` in the key template.
    #[schemars(extend("format" = "word", "pattern" = "^[A-Za-z0-9_.-]{1,64}$"))]
    pub(crate) tenant: Option<String>,
    /// PEM file with the device's certificate, whose CN is the device id.
    pub(crate) certificate: Option<PathBuf>,
    /// Where it stands on Earth: into every picture's Exif block, and where hours take sunrise and sunset from.
    /// Default: not known.
    pub(crate) location: Option<Location>,
    /// Its time zone, a name such as `Europe/Berlin` or a POSIX rule: what hours and the time burnt into
    /// pictures go by. Default: the system's. Keys and metadata are in UTC whatever this says.
    pub(crate) time_zone: Option<String>,
    /// Labels that every picture carries in its metadata; `{label:NAME}` in the key template.
    #[schemars(extend(
        "maxProperties" = 16,
        "propertyNames" = {"format": "name", "pattern": "^[a-z0-9-]{1,32}$"},
        "additionalProperties" = {"type": "string", "format": "word", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}
    ))]
    pub(crate) labels: BTreeMap<String, String>,
}

/// Privacy mode: no camera is open. Besides these hours it is asked for by `vedette privacy on` and by the command
/// `privacy.on`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Privacy {
    /// Hours in which no camera is open: `"mon-fri 18:00 to 07:00"`, `"sat,sun"`, `"sunset to sunrise"`. Default:
    /// none.
    #[schemars(length(max = 32))]
    pub(crate) hours: Vec<String>,
    /// While the time is not known, and there are hours: cameras stay closed (`private`), or are open (`capture`).
    pub(crate) without_clock: WithoutClock,
}

/// What happens while the time is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(transform = crate::config::plain_words)]
pub(crate) enum WithoutClock {
    /// Cameras stay closed.
    #[default]
    Private,
    /// Cameras are open.
    Capture,
}

/// Coordinates, WGS 84.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Location {
    /// Degrees, north positive.
    #[schemars(range(min = -90.0, max = 90.0))]
    pub(crate) latitude: f64,
    /// Degrees, east positive.
    #[schemars(range(min = -180.0, max = 180.0))]
    pub(crate) longitude: f64,
    /// Metres above sea level.
    #[schemars(range(min = -1000.0, max = 10000.0))]
    pub(crate) altitude: Option<f64>,
}

/// Where pictures go; exactly one of `s3` and `dir`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["s3"]}, {"required": ["dir"]}]))]
pub(crate) struct Destination {
    /// A bucket of any store that speaks S3.
    pub(crate) s3: Option<S3>,
    /// A local directory.
    pub(crate) dir: Option<Dir>,
    /// Uploads at once.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 32))]
    pub(crate) concurrency: usize,
    /// Longest time that pictures wait for a trusted clock before they go below `unsynced/`.
    #[serde(default = "ten_minutes")]
    #[schemars(extend("minDuration" = "0s", "maxDuration" = "30d"))]
    pub(crate) wait_for_clock: Time,
    /// Template of the object keys.
    #[serde(default = "key")]
    pub(crate) key: String,
}

impl Destination {
    /// How long pictures wait for a trusted clock where nothing else is said.
    pub(crate) const WAIT_FOR_CLOCK: Time = Time::secs(600);
}

/// A bucket of any store that speaks S3.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct S3 {
    /// `https://host[:port]` of the store, without the bucket.
    pub(crate) endpoint: String,
    /// Name of the bucket.
    pub(crate) bucket: String,
    /// AWS shared-credentials file (INI, section `[default]`). A relative name is looked up in
    /// systemd's credentials directory, else beside the configuration.
    pub(crate) credentials_file: PathBuf,
    /// Region as signed. Default: as in the endpoint's host, else `us-east-1`.
    pub(crate) region: Option<String>,
    /// Bucket in the path or in the host name. Default: by provider.
    pub(crate) style: Option<Style>,
    /// Whose store: decides which digest is sent. Default: by the endpoint's host, else `generic`.
    pub(crate) provider: Option<Provider>,
    /// PEM file with the CA to trust instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

/// A local directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dir {
    /// The directory; keys become paths below it.
    pub(crate) path: PathBuf,
    /// URL to which each object is announced as a CloudEvent. Default: nobody is told.
    pub(crate) announce: Option<String>,
}

/// Where pictures wait on this device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Spool {
    /// Directory of the spool.
    pub(crate) path: PathBuf,
    /// Most bytes of pictures. When full, a new picture displaces pictures that are worth as much or less: by interval
    /// first, then of events, then each event's best; every second one, oldest first, of the camera that holds most.
    /// Each loss is counted.
    #[schemars(extend("minSize" = "16 MiB", "maxSize" = "64 TiB"))]
    pub(crate) max_bytes: Bytes,
    /// Bytes of the file system that are left to others. Default: the lesser of 256 MiB and a twentieth of it.
    #[schemars(extend("minSize" = "0 B", "maxSize" = "64 TiB"))]
    pub(crate) keep_free: Option<Bytes>,
    /// Longest retention: after this long a picture is removed, sent or not. Default: none.
    #[schemars(extend("minDuration" = "1m", "maxDuration" = "3650d"))]
    pub(crate) max_age: Option<Time>,
    /// Most bytes of one camera's pictures, by its name. Default: only `max_bytes`.
    pub(crate) camera_max_bytes: BTreeMap<String, Bytes>,
    /// When a picture is written: `always` at once, so that a power cut takes none that was kept; `spill` only when it
    /// is not stored in time, which spares the flash, and a power cut takes what is in memory.
    pub(crate) durability: Durability,
    /// Most bytes of pictures in memory only, with `spill`: the most that a power cut takes.
    #[schemars(extend("minSize" = "256 KiB", "maxSize" = "256 MiB"))]
    pub(crate) spill_bytes: Bytes,
    /// A picture that is not stored after so long is written, with `spill`.
    #[schemars(extend("minDuration" = "1s", "maxDuration" = "5m"))]
    pub(crate) spill_after: Time,
}

/// When a picture is written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// At once.
    Always,
    /// When it is not stored in time.
    Spill,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            path: "/var/lib/vedette".into(),
            max_bytes: Bytes(2 << 30),
            keep_free: None,
            max_age: None,
            camera_max_bytes: BTreeMap::new(),
            durability: Durability::Always,
            spill_bytes: Bytes(8 << 20),
            spill_after: Time::secs(10),
        }
    }
}

/// Memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Memory {
    /// Bytes of pictures between choice and disk; at least two frames of the largest camera.
    #[schemars(extend("minSize" = "256 KiB", "maxSize" = "16 GiB"))]
    pub(crate) in_hand: Bytes,
    /// Bytes of pictures held back in case an event begins, for each camera that has `pre_event`.
    #[schemars(extend("minSize" = "256 KiB", "maxSize" = "1 GiB"))]
    pub(crate) ring: Bytes,
}

impl Default for Memory {
    fn default() -> Self {
        Self { in_hand: Bytes(32 << 20), ring: Bytes(8 << 20) }
    }
}

/// The clock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Clock {
    /// Whom to believe about the time: `auto` (the kernel when it says synchronised, else the store),
    /// `kernel`, `rtc`, `store`, or `always`.
    pub(crate) trust: Trust,
}

impl Default for Clock {
    fn default() -> Self {
        Self { trust: Trust::Auto }
    }
}

/// Logs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// Least level that is logged.
    pub(crate) level: super::LogLevel,
    /// `auto` is journald where stderr is the journal, else text.
    pub(crate) format: super::LogFormat,
}

/// Local control.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Control {
    /// Unix socket of `vedette status` and `vedette snap`; the agent's user's alone.
    pub(crate) socket: PathBuf,
    /// Unix socket of `vedette trigger`, for detectors and sensors on this device. Default: `trigger.sock`
    /// beside `socket`.
    pub(crate) trigger_socket: Option<PathBuf>,
    /// Group whose members may trigger. Default: `vedette-trigger` where this system has it, else nobody
    /// but the agent's user.
    #[schemars(extend("format" = "word", "pattern" = "^[A-Za-z0-9_.-]{1,64}$"))]
    pub(crate) trigger_group: Option<String>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            socket: "/run/vedette/control.sock".into(),
            trigger_socket: None,
            trigger_group: None,
        }
    }
}

/// The broker, for commands and messages.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mqtt {
    /// `mqtts://host[:port]`, or `mqtt://host[:port]` without encryption. Default ports: 8883 and 1883.
    pub(crate) broker: String,
    /// User name. Default: none.
    #[schemars(length(min = 1, max = 256))]
    pub(crate) username: Option<String>,
    /// File whose first line is the password. A relative name is looked up in systemd's credentials
    /// directory, else beside the configuration.
    pub(crate) password_file: Option<PathBuf>,
    /// PEM file with the CA to trust instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM file with the device's certificate and what lies between it and the CA; with `key_file`.
    pub(crate) certificate_file: Option<PathBuf>,
    /// PEM file with the certificate's private key; found as `password_file`.
    pub(crate) key_file: Option<PathBuf>,
    /// Longest silence before the connection is probed.
    #[serde(default = "sixty_seconds")]
    #[schemars(extend("minDuration" = "5s", "maxDuration" = "1h"))]
    pub(crate) keep_alive: Time,
    /// How long the broker keeps commands for a device that is away.
    #[serde(default = "one_day")]
    #[schemars(extend("minDuration" = "1m", "maxDuration" = "30d"))]
    pub(crate) session_expiry: Time,
    /// Tell of each stored picture through the outbox, so that it must arrive, instead of at best effort.
    #[serde(default)]
    pub(crate) reliable: bool,
}

/// An enum whose words in the file are those of a shared type without serde.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident => $target:path { $($word:literal $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub(crate) enum $name {
            $(#[serde(rename = $word)] $variant),+
        }

        impl From<$name> for $target {
            fn from(word: $name) -> Self {
                match word {
                    $($name::$variant => <$target>::$variant),+
                }
            }
        }
    };
}

words!(SceneFormat => crate::frame::PixelFormat { "mjpeg" Mjpeg, "yuyv" Yuyv });
words!(Style => crate::grant::AddressStyle { "path" Path, "virtual-host" VirtualHost });
words!(Sensitivity => crate::firstpass::Sensitivity {
    "low" Low, "medium" Medium, "high" High,
});
words!(Condition => crate::firstpass::Condition {
    "dark" Dark, "bright" Bright, "blurred" Blurred, "frozen" Frozen, "covered" Covered, "moved" Moved,
});
words!(Provider => crate::grant::Provider {
    "aws" Aws, "minio" Minio, "seaweedfs" Seaweedfs, "rgw" Rgw,
    "cos" Cos, "oss" Oss, "obs" Obs, "generic" Generic,
});
words!(Trust => crate::clock::TrustPolicy {
    "auto" Auto, "kernel" Kernel, "rtc" Rtc, "store" Store, "always" Always,
});

/// What is kept of an event, where that is a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Keep {
    Best,
    First,
    All,
}

/// Which pictures are dropped because the last one showed the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DropSimilar {
    #[default]
    Off,
    Same,
    Alike,
}

words!(MaskStyle => crate::still::privacy::Style {
    "black" Black, "blur" Blur, "mosaic" Mosaic,
});
words!(Flip => crate::still::transform::Flip {
    "horizontal" Horizontal, "vertical" Vertical,
});
words!(TextCorner => crate::still::text::Corner {
    "top-left" TopLeft, "top-right" TopRight, "bottom-left" BottomLeft, "bottom-right" BottomRight,
});

/// What a picture is cut to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CropTo {
    Subject,
}

/// Which way a zone counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ZoneKind {
    Include,
    Exclude,
}

fn sixty_seconds() -> Time {
    Time::secs(60)
}

fn one_day() -> Time {
    Time::secs(86_400)
}

fn ten_minutes() -> Time {
    Destination::WAIT_FOR_CLOCK
}

fn two() -> usize {
    2
}

fn key() -> String {
    crate::contract::key::DEFAULT_TEMPLATE.into()
}
