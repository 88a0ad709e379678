//! Configuration: one strict TOML file, every mistake told at once with its line and its remedy, and
//! the last good file for when the present one is broken.
//!
//! The way of a file: TOML text → `toml`'s tree with places → `shape` (against the schema generated
//! from `raw`; `${…}` expanded by `expand`) → `raw` tables → `validate` → [`Config`], which is made of
//! the settings types of the parts. Called by the agent (start, reload) and by `check`.
//!
//! - Nothing in a file can panic or hang this; files above 1 MiB are refused.
//! - No secret is in the file: credentials stand in a file of their own (`credentials`), which may be a
//!   systemd credential. A secret written here by mistake is blotted out of every message.
//! - Relative paths are relative to the file's own directory, whatever the working directory.
//! - Invariant 7: after one good start a broken file never stops capture: [`load`] gives the last good one
//!   with a warning. Only without one it fails, and the process ends with [`EX_CONFIG`]. Keys that cannot be
//!   read never stop capture, also at a first start: the file runs without them.
//! - The last good file lives in the *state directory*, not in the spool: the spool's place is in the
//!   file that is broken. The state directory comes from `--state-dir`, else `$STATE_DIRECTORY`
//!   (systemd), else `/var/lib/vedette`.

pub mod cost;
pub mod credentials;
pub mod errors;
pub mod expand;
mod last_good;
mod merge;
mod place;
mod raw;
mod retired;
mod salvage;
mod schema;
mod shape;
mod source;
pub mod store;
pub mod units;
mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::TrustPolicy;
use crate::duty::PrivacySettings;
use crate::identity::{Identity, Roots};
use crate::place::Place;
use crate::{capture, mqtt, spool, upload};
use source::Sources;

pub use errors::{ConfigError, ConfigErrors};
pub use last_good::{LastGood, Loaded, load, remember};
pub use schema::{schema, schema_json};

/// Exit code for a configuration that cannot be used and no last good one (`sysexits.h`).
pub const EX_CONFIG: u8 = 78;

/// Where the configuration is looked for.
pub const DEFAULT_PATH: &str = "/etc/vedette/vedette.toml";

/// Where state lives when nobody says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/vedette";

/// A checked configuration, in the settings types of the parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Device id, hardware fingerprint, clone.
    pub identity: Identity,
    /// Site, if any.
    pub site: Option<String>,
    /// Tenant, if any.
    pub tenant: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Where the device stands.
    pub place: Arc<Place>,
    /// When no camera may be open.
    pub privacy: PrivacySettings,
    /// Cameras, by name in alphabetical order; at least one.
    pub cameras: Vec<capture::Settings>,
    /// Where pictures wait.
    pub spool: spool::Settings,
    /// Where pictures go.
    pub upload: upload::Settings,
    /// Bytes of pictures between choice and disk.
    pub in_hand: u64,
    /// Whom to believe about the time.
    pub trust: TrustPolicy,
    /// Logs.
    pub log: LogSettings,
    /// Unix socket of `vedette status`.
    pub control_socket: PathBuf,
    /// Unix socket of `vedette trigger`.
    pub trigger_socket: PathBuf,
    /// Group whose members may trigger; without one, [`crate::control::socket::TRIGGER_GROUP`] where this
    /// system has it.
    pub trigger_group: Option<String>,
    /// The broker, if there is one.
    pub mqtt: Option<mqtt::Settings>,
    /// The file this was read from (for a last good one: the file it was remembered from).
    pub source: PathBuf,
    /// That file and the drop-ins, in the order in which they were read.
    pub files: Vec<PathBuf>,
    /// What to tell people of the files: keys of earlier versions, files that are not read.
    pub notes: Vec<String>,
}

impl Config {
    /// What a reload cannot change: the names of the keys that differ; empty when all can be applied.
    #[must_use]
    pub fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        let (limits, new_limits) = (&self.spool.limits, &new.spool.limits);
        let checks = [
            ("device.id", self.identity.device != new.identity.device),
            ("spool.path", self.spool.path != new.spool.path),
            ("spool.max_bytes", limits.max_bytes != new_limits.max_bytes),
            ("spool.keep_free", limits.keep_free != new_limits.keep_free),
            ("spool.max_age", limits.max_age != new_limits.max_age),
            ("spool.camera_max_bytes", limits.cameras != new_limits.cameras),
            ("spool.durability", self.spool.durability != new.spool.durability),
            ("memory.in_hand", self.in_hand != new.in_hand),
            ("control.socket", self.control_socket != new.control_socket),
            ("control.trigger_socket", self.trigger_socket != new.trigger_socket),
            ("control.trigger_group", self.trigger_group != new.trigger_group),
            ("clock.trust", self.trust != new.trust),
            ("log.format", self.log.format != new.log.format),
        ];
        checks.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// Logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Least level that is logged.
    pub level: LogLevel,
    /// Shape of a line.
    pub format: LogFormat,
}

/// Least level that is logged.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(transform = plain_words)]
pub enum LogLevel {
    /// Something failed and a person should look.
    Error,
    /// Something failed and is being dealt with.
    Warn,
    /// What happens, a few lines an hour.
    #[default]
    Info,
    /// What is decided.
    Debug,
    /// Everything.
    Trace,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(transform = plain_words)]
pub enum LogFormat {
    /// journald where stderr is the journal, else text.
    #[default]
    Auto,
    /// journald's own protocol.
    Journald,
    /// Lines for people, on stderr.
    Text,
    /// One JSON object a line, on stderr.
    Json,
}

/// What a configuration depends on besides its text; injectable, so that tests need no environment.
#[derive(Clone, Debug)]
pub struct Context {
    /// Directory of the pinned identity and the last good configuration.
    pub state_dir: PathBuf,
    /// systemd's credentials directory, where relative names of secret files are looked up first.
    pub credentials_dir: Option<PathBuf>,
    /// Where `/proc` and `/sys` are.
    pub roots: Roots,
}

impl Context {
    /// The process's own surroundings; `state_dir` is what `--state-dir` said.
    #[must_use]
    pub fn from_env(state_dir: Option<PathBuf>) -> Self {
        // systemd gives a list with `:`; the unit names one directory.
        let first = |v: std::ffi::OsString| std::env::split_paths(&v).next();
        let from_systemd = || std::env::var_os("STATE_DIRECTORY").and_then(first);
        Self {
            state_dir: state_dir.or_else(from_systemd).unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
            credentials_dir: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            roots: Roots::default(),
        }
    }
}

/// Reads and checks `text` as the file `path` (which need not exist), without drop-ins. Opens the
/// credentials, certificate and CA files that it names; writes nothing.
///
/// # Errors
/// Every mistake that was found.
pub fn parse(text: &str, path: &Path, context: &Context) -> Result<Config, ConfigErrors> {
    checked(&Sources::single(path, text), context)
}

/// Reads and checks the file at `path` and its drop-ins: what `vedette check` does, without the last
/// good one.
///
/// # Errors
/// Every mistake that was found, and every file that cannot be read.
pub fn check(path: &Path, context: &Context) -> Result<Config, ConfigErrors> {
    checked(&source::read(path)?, context)
}

/// As [`check`], but credentials, certificates and CA files that cannot be read are only noted, in words:
/// to look at the rest of a configuration of which only they are missing.
///
/// # Errors
/// Every other mistake.
pub fn check_without_files(
    path: &Path,
    context: &Context,
) -> Result<(Config, Vec<String>), ConfigErrors> {
    let checked = validate::config(&source::read(path)?, context, validate::Files::MayBeMissing);
    checked.map(|c| (c.config, c.missing))
}

/// Where the drop-ins of the file at `path` are.
#[must_use]
pub fn drop_in_dir(path: &Path) -> PathBuf {
    source::drop_in_dir(path)
}

fn checked(sources: &Sources, context: &Context) -> Result<Config, ConfigErrors> {
    validate::config(sources, context, validate::Files::MustBeReadable).map(|c| c.config)
}

/// The file at `path` and its drop-ins as they are merged: TOML, a line a value, and behind each the file
/// and line that it comes from. Without defaults, and with `${…}` as written.
///
/// # Errors
/// The files cannot be read or are not TOML.
pub fn merged(path: &Path) -> Result<String, ConfigErrors> {
    merge::in_lines(&source::read(path)?)
}

/// `oneOf` of documented constants becomes a plain `enum`, as the other words of the file.
fn plain_words(schema: &mut schemars::Schema) {
    let Some(options) = schema.remove("oneOf") else { return };
    let words = options.as_array().into_iter().flatten().filter_map(|o| o.get("const")).cloned();
    schema.insert("enum".into(), words.collect());
    schema.insert("type".into(), "string".into());
}
