//! From tables to settings: what no schema can say.
//!
//! The schema walk has already refused unknown keys, wrong types and values out of range; what is
//! left here is how keys fit together and what the files say that they name. Errors go to a place in
//! the file by its path, so the tables carry no places of their own.

mod camera;
mod destination;
mod mqtt;

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::errors::ConfigErrors;
use super::expand::Variables;
use super::place::{self, Path};
use super::{Config, Context, LogSettings, cost, raw, shape, units};
use crate::contract::key::{DEFAULT_TEMPLATE, KeyTemplate};
use crate::identity::{self, Identity};
use crate::{capture, spool, upload};

/// Must the files that the configuration names be readable?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// Yes: a person is there to hear it, or there is a last good configuration.
    MustBeReadable,
    /// No: this is the last good one, and running it without a store beats not running.
    MayBeMissing,
}

/// Checks the whole text. With [`Files::MayBeMissing`] the second part says what was missing.
pub(crate) fn config(
    text: &str,
    file: &FilePath,
    context: &Context,
    files: Files,
) -> Result<(Config, Vec<String>), ConfigErrors> {
    let mut errors = ConfigErrors::new(file, text);
    let (root, syntax) = DeTable::parse_recoverable(text);
    for error in &syntax {
        errors.push("", error.span(), error.message(), syntax_help(error.message()));
    }
    // One mistake often makes several complaints behind it on its line.
    errors.errors.dedup_by_key(|e| e.line);
    if !syntax.is_empty() {
        // What the parser recovered is a guess; errors about a guess only confuse.
        return Err(errors);
    }
    let base = file.parent().unwrap_or(FilePath::new("")).to_owned();
    let mut check = Check { root: &root, errors, context, base, files, missing: Vec::new() };
    let identity = check.identity();
    let site = check.device_word("site");
    let variables = Variables { device: Some(identity.device.clone()), site };
    let sound = shape::check(&root, text, super::schema(), &variables, &mut check.errors);
    // Null when a required table is missing or was itself dropped: then the walk has told why.
    let config = match serde_json::from_value::<raw::Root>(sound) {
        Ok(tables) => check.root_table(tables, identity),
        Err(error) => {
            // Never silent, even if the schema and serde should once disagree.
            if check.errors.is_empty() {
                check.errors.push("", None, error.to_string(), "see config/vedette.toml");
            }
            None
        }
    };
    check.errors.sort();
    match config {
        Some(config) if check.errors.is_empty() => Ok((config, check.missing)),
        _ => Err(check.errors),
    }
}

/// A remedy for the parser's own words.
fn syntax_help(message: &str) -> &'static str {
    if message.contains("duplicate") {
        "write each key and each table once"
    } else {
        "write `key = value`, text in double quotes, tables as `[name]` on a line of their own"
    }
}

struct Check<'c> {
    root: &'c Spanned<DeTable<'c>>,
    errors: ConfigErrors,
    context: &'c Context,
    base: PathBuf,
    files: Files,
    missing: Vec<String>,
}

impl Check<'_> {
    /// An error at a value, unless an error inside it (or about itself) already explains it.
    fn error(&mut self, path: &Path, what: impl Into<String>, help: impl Into<String>) {
        let key = path.to_string();
        let inside = |k: &str| {
            k.strip_prefix(&key).is_some_and(|r| r.is_empty() || r.starts_with(['.', '[']))
        };
        if !self.errors.errors.iter().any(|e| inside(&e.key)) {
            self.errors.push(key, place::span_of(self.root, path), what, help);
        }
    }

    /// A file that is not as it should be: an error, or only noted when the last good one must run.
    fn file_error(&mut self, path: &Path, what: String, help: &str) {
        match self.files {
            Files::MustBeReadable => self.error(path, what, help),
            Files::MayBeMissing => self.missing.push(what),
        }
    }

    fn absolute(&self, path: &FilePath) -> PathBuf {
        self.base.join(path)
    }

    /// Where a file with a secret is: relative names are systemd credentials first.
    fn secret_path(&self, path: &FilePath) -> PathBuf {
        let credential = self.context.credentials_dir.as_ref().map(|dir| dir.join(path));
        credential.filter(|p| p.exists()).unwrap_or_else(|| self.absolute(path))
    }

    fn device_word(&self, key: &str) -> Option<String> {
        let device = self.root.get_ref().get("device")?.get_ref();
        device.get(key)?.get_ref().as_str().map(str::to_owned)
    }

    /// The identity comes before the walk, because `${device}` stands in what is walked.
    fn identity(&mut self) -> Identity {
        let table = Path::default().key("device");
        // A bad id is reported by the walk; here it only must not be used.
        let id = self.device_word("id").filter(|id| identity::check_name(id).is_ok());
        let certificate = self.device_word("certificate").map(|c| self.absolute(c.as_ref()));
        let certified = certificate.and_then(|path| {
            let wrong = |error: identity::IdentityError| {
                let help = "give a readable PEM file, or set `id` instead";
                self.file_error(&table.key("certificate"), error.to_string(), help);
            };
            identity::common_name(&path).map_err(wrong).ok()
        });
        identity::resolve(id.as_deref(), certified, &self.context.state_dir, &self.context.roots)
    }

    fn root_table(&mut self, tables: raw::Root, identity: Identity) -> Option<Config> {
        let root = Path::default();
        let device = tables.device;
        let upload = self.upload(&tables.destination, &root.key("destination"));
        let template = self.key_template(&tables.destination, &identity, &device);
        let shared = Shared {
            device: identity.device.clone(),
            key_template: template.unwrap_or_default(),
            meta: metadata(&device),
        };
        let mqtt = tables.mqtt.and_then(|m| self.mqtt(m, &identity.device, &root.key("mqtt")));
        let reliable_notices = mqtt.as_ref().is_some_and(|m| m.reliable);
        let cameras = tables.camera.into_iter().filter_map(|(name, camera)| {
            self.camera(&name, camera, &shared, &root.key("camera").key(&name))
        });
        let cameras: Vec<_> = cameras.collect();
        let (control_socket, trigger_socket) = self.sockets(&tables.control);
        let in_hand = self.in_hand(tables.memory.in_hand.0, &cameras);
        Some(Config {
            identity,
            site: device.site,
            tenant: device.tenant,
            labels: device.labels,
            cameras,
            spool: spool::Settings {
                path: self.absolute(&tables.spool.path),
                max_bytes: tables.spool.max_bytes.0,
            },
            upload: upload::Settings { reliable_notices, ..upload? },
            in_hand,
            trust: tables.clock.trust.into(),
            log: LogSettings { level: tables.log.level, format: tables.log.format },
            control_socket,
            trigger_socket,
            trigger_group: tables.control.trigger_group,
            mqtt,
            source: self.errors.file.clone(),
        })
    }

    /// The control socket and the trigger socket.
    fn sockets(&mut self, control: &raw::Control) -> (PathBuf, PathBuf) {
        let owners = self.absolute(&control.socket);
        let triggers = match &control.trigger_socket {
            Some(path) => self.absolute(path),
            None => owners.with_file_name("trigger.sock"),
        };
        if triggers == owners {
            let place = Path::default().key("control").key("trigger_socket");
            let what = format!("`{}` is the control socket too", triggers.display());
            self.error(
                &place,
                what,
                "each socket has a path of its own; leave it out for `trigger.sock`",
            );
        }
        (owners, triggers)
    }

    fn key_template(
        &mut self,
        destination: &raw::Destination,
        identity: &Identity,
        device: &raw::Device,
    ) -> Option<String> {
        let filled = KeyTemplate::parse(&destination.key).and_then(|template| {
            let (site, tenant) = (device.site.as_deref(), device.tenant.as_deref());
            template.fill_device(&identity.device, site, tenant, &device.labels)
        });
        filled
            .map_err(|error| {
                let help = format!("the default is `{}`", DEFAULT_TEMPLATE);
                let place = Path::default().key("destination").key("key");
                self.error(&place, format!("the key template cannot be used: {error}"), help);
            })
            .ok()
    }

    fn in_hand(&mut self, in_hand: u64, cameras: &[capture::Settings]) -> u64 {
        let largest = cameras.iter().max_by_key(|c| cost::frame_bytes(&c.source));
        if let Some(camera) = largest {
            let least = cost::frame_bytes(&camera.source).saturating_mul(2);
            if in_hand < least {
                let name = &camera.profile.camera;
                let what = format!(
                    "`{}` is less than two frames of camera `{name}`",
                    units::Bytes(in_hand)
                );
                let help = format!("give at least {} MiB", least.div_ceil(1 << 20));
                self.error(&Path::default().key("memory").key("in_hand"), what, help);
            }
        }
        in_hand
    }
}

/// What all cameras' profiles share.
struct Shared {
    device: String,
    key_template: String,
    meta: BTreeMap<String, String>,
}

/// Metadata that every picture carries, by the names of the object contract.
fn metadata(device: &raw::Device) -> BTreeMap<String, String> {
    let labels = device.labels.iter().map(|(k, v)| (format!("label-{k}"), v.clone()));
    let site = device.site.iter().map(|s| ("site".to_owned(), s.clone()));
    let agent = ("agent".to_owned(), format!("vedette-{}", env!("CARGO_PKG_VERSION")));
    labels.chain(site).chain([agent]).collect()
}
