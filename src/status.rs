//! The one shape of status that the socket, MQTT and the page share.
//!
//! Plain data; `agent` fills it in, `cli::status` shows it. Field names are what people script
//! against: they are only ever added to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contract::Class;

/// Everything worth knowing about a running agent, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the agent.
    pub version: String,
    /// Device id.
    pub device: String,
    /// Site, where one is configured.
    pub site: Option<String>,
    /// Kernel boot id.
    pub boot: String,
    /// Seconds since the agent started.
    pub uptime_s: u64,
    /// All is well: every thread turns, a camera streams (or none is configured to), nothing parked.
    pub healthy: bool,
    /// What is wrong, in plain words; empty when healthy.
    pub alarms: Vec<Alarm>,
    /// Which configuration runs.
    pub config: ConfigStatus,
    /// Privacy mode: no camera is open; absent while cameras may take pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<PrivacyStatus>,
    /// What is known of the time.
    pub clock: ClockStatus,
    /// One entry a camera, by name.
    pub cameras: BTreeMap<String, CameraStatus>,
    /// This run: `chosen = kept + refused + in_hand`.
    pub run: RunStatus,
    /// The spool's life: `kept = stored + queued + quarantined + lost`.
    pub ledger: LedgerStatus,
    /// The way out.
    pub upload: UploadStatus,
    /// Commands that came over MQTT, of this run.
    #[serde(default)]
    pub commands: CommandsStatus,
    /// The session with the broker; absent where none is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<MqttStatus>,
}

/// Something a person should know of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Short stable name: `config`, `camera`, `memory`, `destination`, `control`, `spool`, `account`,
    /// `thread`, `cloned`, `mqtt`, `privacy`, `camera-dark` and so on for what is wrong with a picture.
    pub name: String,
    /// Which of several it is about: a camera's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What is wrong and what helps.
    pub text: String,
}

impl Alarm {
    /// An alarm about what there is one of.
    #[must_use]
    pub fn new(name: &str, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), subject: None, text: text.into() }
    }

    /// An alarm about one of several.
    #[must_use]
    pub fn about(name: &str, subject: &str, text: impl Into<String>) -> Self {
        Self { subject: Some(subject.to_owned()), ..Self::new(name, text) }
    }
}

/// Why no camera is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivacyStatus {
    /// `command`: somebody asked for it; `hours`: those of the configuration; `no-clock`: there are such hours, and
    /// the time is not known.
    pub why: String,
    /// For how many seconds.
    pub since_s: u64,
    /// Cameras whose drivers hang, so that they may be open nevertheless; mostly none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_open: Vec<String>,
}

/// Which configuration runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// The file that was asked for.
    pub path: String,
    /// True when that file is broken and the last good one runs instead.
    pub last_good: bool,
    /// What a reload could not apply, if anything.
    pub restart_needed: Vec<String>,
}

/// What is known of the time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockStatus {
    /// Is the wall clock believed?
    pub trusted: bool,
    /// Who is believed: `kernel`, `rtc`, `store`, `tls` (the store's answer over TLS), `machine`.
    pub source: Option<String>,
    /// Wall time as believed, or as the machine tells it, RFC 3339.
    pub now: String,
}

/// What of a camera goes by the clock, as of now. Where nobody knows the time, all hours hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleStatus {
    /// Motion makes events.
    pub motion: bool,
    /// Of the zones that have hours, how many are on.
    pub zones_on: u64,
    /// Zones that have hours.
    pub zones: u64,
    /// When the next picture is due, RFC 3339 with the device's offset; absent where none is, or nobody knows the
    /// time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a camera does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CameraStatus {
    /// `opening`, `streaming`, `lost`, `ended`, `stopped`.
    pub state: String,
    /// Why, in plain words, when it is not streaming.
    pub why: Option<String>,
    /// `mjpeg 1920x1080`, once open.
    pub format: Option<String>,
    /// What is wrong with its picture: `dark`, `bright`, `blurred`, `frozen`, `covered`, `moved`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// What goes by the clock; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleStatus>,
    /// Frames that came.
    pub frames: u64,
    /// Frames that the first pass looked at.
    pub analysed: u64,
    /// Frames that were unusable.
    pub skipped: u64,
    /// Frames the camera dropped before us, by its own numbers.
    pub gaps: u64,
    /// Frames that nobody read, because a newer one was there.
    #[serde(default)]
    pub passed_over: u64,
    /// Frames with motion.
    pub motion: u64,
    /// Events that began.
    pub events: u64,
    /// Pictures chosen.
    pub chosen: u64,
    /// Of these, pictures from before an event.
    #[serde(default)]
    pub pre_event: u64,
    /// Bytes of frames that are held back in case an event begins.
    #[serde(default)]
    pub ring_bytes: u64,
    /// Pictures that were due, but showed what the last one showed: not chosen.
    #[serde(default)]
    pub similar: u64,
    /// Frames of events that were not chosen because of the burst limit.
    #[serde(default)]
    pub burst: u64,
    /// Frames with motion that began no event because of the cool-down.
    #[serde(default)]
    pub cool_down: u64,
    /// Times it was opened again.
    pub reopened: u64,
}

/// This run's account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Pictures that the triggers chose.
    pub chosen: u64,
    /// Pictures that became durable, or were stored.
    pub kept: u64,
    /// Pictures refused, by reason; reasons with none are left out.
    pub refused: BTreeMap<String, u64>,
    /// Pictures between choice and answer, those in the spool's memory only included.
    pub in_hand: u64,
    /// Bytes of pictures in hand.
    pub in_hand_bytes: u64,
    /// Most bytes in hand.
    pub in_hand_limit: u64,
    /// Does the sum hold?
    pub holds: bool,
}

/// The spool's account. Its default, before it was ever read, is empty, and so its sum holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerStatus {
    /// Goes up when the index was lost and rebuilt.
    pub generation: u64,
    /// The index is being rebuilt: what is not read yet is in none of these sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuilding: Option<RebuildStatus>,
    /// Pictures that were ever durable here, or stored.
    pub kept: u64,
    /// Pictures that a store confirmed.
    pub stored: u64,
    /// Pictures that are to be sent.
    pub queued: u64,
    /// Of these, pictures that wait for a trusted clock.
    pub waiting: u64,
    /// Pictures set aside.
    pub quarantined: u64,
    /// Pictures lost, by reason; reasons with none are left out.
    pub lost: BTreeMap<String, u64>,
    /// Bytes of files.
    pub bytes: u64,
    /// The same by camera, class and reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<LossStatus>,
    /// Most bytes of files.
    pub max_bytes: u64,
    /// What the file system leaves of that: bytes of files that may be held now.
    #[serde(default)]
    pub room: u64,
    /// What a power cut would take: pictures in memory only, in hand still and not among the kept.
    #[serde(default)]
    pub at_risk: RiskStatus,
    /// Does the sum hold?
    pub holds: bool,
    /// Why these numbers are the last known ones and not those of now; absent when they are of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

/// How far a rebuild of the index has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildStatus {
    /// Picture files read by this run.
    pub files: u64,
    /// Directories read, of those that this run found unread, in percent.
    pub percent: u64,
}

/// What a power cut would take now, and at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskStatus {
    /// `always`: pictures are written at once; `spill`: they are held in memory while uploads succeed.
    pub durability: String,
    /// Pictures in memory only.
    pub pictures: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// The most bytes that can be.
    pub max_bytes: u64,
}

impl Default for RiskStatus {
    fn default() -> Self {
        Self { durability: "always".to_owned(), pictures: 0, bytes: 0, max_bytes: 0 }
    }
}

/// Pictures of one camera and class that were lost for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossStatus {
    /// The camera.
    pub camera: String,
    /// `interval`, `event`, `best` or `manifest`.
    pub class: Class,
    /// Why.
    pub reason: String,
    /// How many.
    pub pictures: u64,
}

impl Default for LedgerStatus {
    fn default() -> Self {
        Self {
            generation: 0,
            rebuilding: None,
            kept: 0,
            stored: 0,
            queued: 0,
            waiting: 0,
            quarantined: 0,
            lost: BTreeMap::new(),
            bytes: 0,
            losses: Vec::new(),
            max_bytes: 0,
            room: 0,
            at_risk: RiskStatus::default(),
            holds: true,
            stale: None,
        }
    }
}

/// The way out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UploadStatus {
    /// Where pictures go, without any secret: `s3 bucket at host` or `dir /path`.
    pub destination: String,
    /// A command asked for nothing to be sent: pictures are kept and wait.
    #[serde(default)]
    pub paused: bool,
    /// Parked means: the destination refuses us as a whole, everything is kept.
    pub parked: Option<String>,
    /// Away or busy: tried again by itself; the words of the last failure.
    pub retrying: Option<String>,
    /// Uploads under way.
    pub in_flight: u64,
    /// Failures in a row; 0 while all is well.
    #[serde(default)]
    pub failures: u32,
    /// Seconds until it is tried again, while nothing is sent.
    #[serde(default)]
    pub retry_in_s: Option<u64>,
    /// Objects stored by this run.
    pub stored: u64,
    /// Seconds since this run last stored one.
    #[serde(default)]
    pub last_stored_s: Option<u64>,
    /// The last thing that went wrong, also when all is well again.
    pub last_error: Option<String>,
}

/// Commands that came over MQTT, of this run: each is accepted, known or rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CommandsStatus {
    /// Commands that came.
    pub received: u64,
    /// New ones, taken.
    pub accepted: u64,
    /// Ones that had come before: told again how they stand, not done again.
    pub known: u64,
    /// Ones not taken, by the reason's code; codes with none are left out.
    pub rejected: BTreeMap<String, u64>,
    /// What came and asked for nothing.
    pub ignored: u64,
    /// Ones that were not decided when the desk stopped: the broker sends them again.
    pub dropped: u64,
    /// Ones that are not decided yet.
    pub in_hand: u64,
    /// Does `received = accepted + known + rejected + ignored + dropped + in_hand` hold?
    pub holds: bool,
    /// Accepted ones that have not ended, of earlier runs too.
    pub open: u64,
}

/// The session with the broker, of this run; the outbox's sums are of the ledger's generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MqttStatus {
    /// Which broker, without any secret.
    pub broker: String,
    /// Is there a connection?
    pub connected: bool,
    /// Connections made.
    pub connections: u64,
    /// Failures in a row; 0 while all is well.
    pub failures: u32,
    /// The last thing that went wrong, also when all is well again.
    pub last_error: Option<String>,
    /// Messages that must arrive, by kind: `outcome`, `alarm`, `stored`.
    pub outbox: BTreeMap<String, OutboxStatus>,
    /// Times that the broker refused a message.
    pub refused: u64,
    /// Stored events told at best effort.
    pub stored_told: u64,
    /// Stored events lost, because too many waited while the broker was away.
    pub stored_lost: u64,
    /// Other publications at best effort that were dropped for the same reason.
    pub dropped: u64,
}

/// Messages of one kind: `put = arrived + queued + dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutboxStatus {
    /// Ever put into the outbox.
    pub put: u64,
    /// Acknowledged by the broker.
    pub arrived: u64,
    /// Waiting.
    pub queued: u64,
    /// Given up because the outbox was full, the oldest first.
    pub dropped: u64,
    /// Does the sum hold?
    pub holds: bool,
}
