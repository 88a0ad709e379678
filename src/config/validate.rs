//! From tables to settings: what no schema can say.
//!
//! The schema walk has already refused unknown keys, wrong types and values out of range; what is
//! left here is how keys fit together and what the files say that they name. Errors go to a place in
//! the file by its path, so the tables carry no places of their own.

mod camera;
mod clock;
mod destination;
mod mqtt;
mod picture;

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::errors::ConfigErrors;
use super::expand::Variables;
use super::merge;
use super::place::{self, Path};
use super::retired::RETIRED;
use super::source::Sources;
use super::{Config, Context, LogSettings, cost, raw, salvage, shape, units};
use crate::contract::key::{DEFAULT_TEMPLATE, KeyTemplate};
use crate::duty::{Hours, PrivacySettings};
use crate::identity::{self, Identity};
use crate::place::{Location, Place};
use crate::spool::retention::Limits;
use crate::spool::{Durability, Spill};
use crate::{capture, spool, upload};

/// Most times that a part is left out because another one was.
const SALVAGE_ROUNDS: usize = 8;

/// Must the files that the configuration names be readable?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// Yes: a person is there to hear it, or there is a last good configuration.
    MustBeReadable,
    /// No: running without a store beats not running, and running the last good one, which may lack a mask.
    /// But who the device is must be known: from a certificate that cannot be read only where an id is pinned.
    MayBeMissing,
    /// No, and what is not understood is left out, as far as `salvage` allows: this is a last good one
    /// that another version wrote, and there is nothing else to run.
    Salvage,
}

/// A configuration, and what is to be told of it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) config: Config,
    /// What was missing or left out, with [`Files::MayBeMissing`] and [`Files::Salvage`].
    pub(crate) missing: Vec<String>,
}

/// Checks all files.
pub(crate) fn config(
    sources: &Sources,
    context: &Context,
    files: Files,
) -> Result<Checked, ConfigErrors> {
    let mut errors = ConfigErrors::new(sources);
    let tree = merge::tree(sources, super::schema(), RETIRED, &mut errors);
    let Some((root, notes)) = tree else { return Err(errors) };
    let mut check = Check {
        root: &root,
        sources,
        errors,
        context,
        files,
        missing: Vec::new(),
        notes: Vec::new(),
    };
    let identity = check.identity();
    let site = check.device_word("site");
    let variables = Variables { device: Some(identity.device.clone()), site };
    let sound = shape::check(&root, sources, super::schema(), &variables, &mut check.errors);
    let config = match files {
        Files::Salvage => check.what_can_run(sound, &identity),
        Files::MustBeReadable | Files::MayBeMissing => check.tables(sound, identity),
    };
    check.errors.sort();
    match config {
        Some(mut config) if check.errors.is_empty() => {
            let place = |note: &merge::Note| {
                let (file, line) = sources.line(note.span.start);
                format!("{}:{line}: {}", file.display(), note.what)
            };
            let of_files = sources.notes.iter().cloned().chain(notes.iter().map(place));
            config.notes = of_files.chain(check.notes).collect();
            Ok(Checked { config, missing: check.missing })
        }
        _ => Err(check.errors),
    }
}

struct Check<'c> {
    root: &'c Spanned<DeTable<'c>>,
    sources: &'c Sources,
    errors: ConfigErrors,
    context: &'c Context,
    files: Files,
    missing: Vec<String>,
    /// What is right and yet may not be meant.
    notes: Vec<String>,
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
            Files::MayBeMissing | Files::Salvage => self.missing.push(what),
        }
    }

    /// From the tables to the settings. Null when a required table is missing or was itself dropped: then
    /// the walk has told why.
    fn tables(&mut self, sound: serde_json::Value, identity: Identity) -> Option<Config> {
        match serde_json::from_value::<raw::Root>(sound) {
            Ok(tables) => self.root_table(tables, identity),
            Err(error) => {
                // Never silent, even if the schema and serde should once disagree.
                if self.errors.is_empty() {
                    self.errors.push("", None, error.to_string(), "see config/vedette.toml");
                }
                None
            }
        }
    }

    /// The same without what is not understood, noted as missing; `None` when no camera is left.
    fn what_can_run(
        &mut self,
        mut sound: serde_json::Value,
        identity: &Identity,
    ) -> Option<Config> {
        // Each round leaves something out, or is the last one.
        for _ in 0..SALVAGE_ROUNDS {
            sound = salvage::without(sound, &self.errors.errors)?;
            for error in self.errors.errors.drain(..) {
                self.missing.push(format!("`{}` is left out: {}", error.key, error.what));
            }
            let config = self.tables(sound.clone(), identity.clone());
            if self.errors.is_empty() {
                self.missing.sort();
                self.missing.dedup(); // told in each round
                return config.filter(|config| !config.cameras.is_empty());
            }
        }
        None
    }

    /// A relative path is one from the file that it stands in.
    fn absolute(&self, path: &FilePath, place: &Path) -> PathBuf {
        let at = place::span_of(self.root, place).map_or(0, |span| span.start);
        self.sources.locate(at).parent().unwrap_or(FilePath::new("")).join(path)
    }

    /// Where a file with a secret is: relative names are systemd credentials first.
    fn secret_path(&self, path: &FilePath, place: &Path) -> PathBuf {
        let credential = self.context.credentials_dir.as_ref().map(|dir| dir.join(path));
        credential.filter(|p| p.exists()).unwrap_or_else(|| self.absolute(path, place))
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
        let certificate = self.device_word("certificate").map(|c| {
            let place = table.key("certificate");
            self.absolute(c.as_ref(), &place)
        });
        let certified = certificate.and_then(|path| {
            let wrong = |error: identity::IdentityError| {
                let (what, help) =
                    (error.to_string(), "give a readable PEM file, or set `id` instead");
                let (place, state) = (table.key("certificate"), &self.context.state_dir);
                let known = id.is_some() || identity::is_pinned(state);
                match self.files {
                    // Another id would be part of every key that is made until it can be read.
                    Files::MayBeMissing if !known => self.error(&place, what, help),
                    _ => self.file_error(&place, what, help),
                }
            };
            identity::common_name(&path).map_err(wrong).ok()
        });
        identity::resolve(id.as_deref(), certified, &self.context.state_dir, &self.context.roots)
    }

    fn root_table(&mut self, tables: raw::Root, mut identity: Identity) -> Option<Config> {
        let root = Path::default();
        let spool = self.absolute(&tables.spool.path, &root.key("spool").key("path"));
        let foreign = || identity::foreign_spool(&identity, &self.context.state_dir, &spool);
        identity.cloned = identity.cloned.clone().or_else(foreign);
        let device = tables.device;
        let destination = tables.destination.as_ref();
        let upload = self.upload(destination, &root.key("destination"));
        let key = destination.map_or(DEFAULT_TEMPLATE, |d| &d.key);
        let template = self.key_template(key, &identity, &device);
        let shared = Shared {
            device: identity.device.clone(),
            key_template: template.unwrap_or_default(),
            place: self.place(&device, &root.key("device")),
            meta: metadata(&device),
            ring: tables.memory.ring.0,
        };
        let mqtt = tables.mqtt.and_then(|m| self.mqtt(m, &identity.device, &root.key("mqtt")));
        let reliable_notices = mqtt.as_ref().is_some_and(|m| m.reliable);
        let cameras = tables.camera.into_iter().filter_map(|(name, camera)| {
            self.camera(&name, camera, &shared, &root.key("camera").key(&name))
        });
        let cameras: Vec<_> = cameras.collect();
        self.the_first_must_be_alone(&cameras, &root.key("camera"));
        let privacy = self.privacy(&tables.privacy, &shared.place);
        let (control_socket, trigger_socket) = self.sockets(&tables.control);
        let in_hand = self.in_hand(tables.memory.in_hand.0, &cameras);
        let limits = self.limits(&tables.spool, &cameras, &root.key("spool"));
        Some(Config {
            identity,
            site: device.site,
            tenant: device.tenant,
            place: shared.place,
            privacy,
            labels: device.labels,
            cameras,
            spool: spool::Settings { path: spool, limits, durability: durability(&tables.spool) },
            upload: upload::Settings { reliable_notices, ..upload? },
            in_hand,
            trust: tables.clock.trust.into(),
            log: LogSettings { level: tables.log.level, format: tables.log.format },
            control_socket,
            trigger_socket,
            trigger_group: tables.control.trigger_group,
            mqtt,
            source: self.sources.main().to_owned(),
            files: self.sources.files().iter().map(|f| f.path.clone()).collect(),
            notes: Vec::new(), // the caller knows them
        })
    }

    fn place(&mut self, device: &raw::Device, table: &Path) -> Arc<Place> {
        let location = device.location.map(|l| Location {
            latitude: l.latitude,
            longitude: l.longitude,
            altitude: l.altitude,
        });
        let zone = Place::zone(device.time_zone.as_deref()).unwrap_or_else(|_| {
            let what = format!(
                "there is no time zone `{}`",
                device.time_zone.as_deref().unwrap_or_default()
            );
            let help = "write a name of the IANA list, such as `Europe/Berlin` or `UTC`; where this system has no list \
                        (the package tzdata), a rule: `CET-1CEST,M3.5.0,M10.5.0/3`";
            self.error(&table.key("time_zone"), what, help);
            Place::default().zone
        });
        Arc::new(Place { location, zone })
    }

    fn privacy(&mut self, table: &raw::Privacy, place: &Place) -> PrivacySettings {
        let hours = self.hours(&table.hours, place, &Path::default().key("privacy").key("hours"));
        PrivacySettings {
            hours,
            capture_without_clock: table.without_clock == raw::WithoutClock::Capture,
        }
    }

    /// Hours, as people write them; `None` where none are given.
    pub(super) fn hours(&mut self, texts: &[String], place: &Place, key: &Path) -> Option<Hours> {
        if texts.is_empty() {
            return None;
        }
        let read = Hours::read(texts.iter().map(String::as_str));
        self.by_the_clock(read, texts, Hours::needs_sun, place, key)
    }

    /// Holds what was read of `texts` against what is known of the device's place.
    pub(super) fn by_the_clock<T>(
        &mut self,
        read: Result<T, (usize, String)>,
        texts: &[String],
        needs_sun: impl Fn(&T) -> bool,
        place: &Place,
        key: &Path,
    ) -> Option<T> {
        match read {
            Ok(read) if needs_sun(&read) && place.location.is_none() => {
                let what = "sunrise and sunset are not known here";
                let help =
                    "add `location = { latitude = 52.5163, longitude = 13.3777 }` to `[device]`";
                self.error(key, what, help);
                None
            }
            Ok(read) => {
                self.time_zone_is_known(place);
                Some(read)
            }
            Err((n, why)) => {
                let what =
                    format!("`{}` is not understood", texts.get(n).map_or("", String::as_str));
                self.error(&key.index(n), what, &why);
                None
            }
        }
    }

    /// The control socket and the trigger socket.
    fn sockets(&mut self, control: &raw::Control) -> (PathBuf, PathBuf) {
        let table = Path::default().key("control");
        let owners = self.absolute(&control.socket, &table.key("socket"));
        let triggers = match &control.trigger_socket {
            Some(path) => self.absolute(path, &table.key("trigger_socket")),
            None => owners.with_file_name("trigger.sock"),
        };
        if triggers == owners {
            let place = table.key("trigger_socket");
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
        key: &str,
        identity: &Identity,
        device: &raw::Device,
    ) -> Option<String> {
        let filled = KeyTemplate::parse(key).and_then(|template| {
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

    fn limits(
        &mut self,
        spool: &raw::Spool,
        cameras: &[capture::Settings],
        table: &Path,
    ) -> Limits {
        let by_name = table.key("camera_max_bytes");
        for (name, most) in &spool.camera_max_bytes {
            let known = cameras.iter().find(|c| c.profile.camera == *name);
            let least = known.map(|c| cost::frame_bytes(&c.source));
            let (what, help) = match least {
                None if cameras.is_empty() => continue,
                None => {
                    let names: Vec<_> = cameras.iter().map(|c| c.profile.camera.as_str()).collect();
                    let help = format!("name one of these: {}", names.join(", "));
                    (format!("there is no camera `{name}`"), help)
                }
                Some(least) if most.0 < least => {
                    let help = format!("give at least {} MiB", least.div_ceil(1 << 20));
                    (format!("`{most}` is less than a frame of camera `{name}`"), help)
                }
                Some(_) => continue,
            };
            self.error(&by_name.key(name), what, help);
        }
        Limits {
            max_bytes: spool.max_bytes.0,
            keep_free: spool.keep_free.map(|bytes| bytes.0),
            max_age: spool.max_age.map(|time| time.0),
            cameras: spool.camera_max_bytes.iter().map(|(name, b)| (name.clone(), b.0)).collect(),
        }
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
    place: Arc<Place>,
    meta: BTreeMap<String, String>,
    /// Most bytes of a camera's pictures from before an event.
    ring: u64,
}

/// When pictures are written; what belongs to the other way is set aside.
fn durability(spool: &raw::Spool) -> Durability {
    match spool.durability {
        raw::Durability::Always => Durability::Always,
        raw::Durability::Spill => {
            Durability::Spill(Spill { max_bytes: spool.spill_bytes.0, after: spool.spill_after.0 })
        }
    }
}

/// Metadata that every picture carries, by the names of the object contract.
fn metadata(device: &raw::Device) -> BTreeMap<String, String> {
    let labels = device.labels.iter().map(|(k, v)| (format!("label-{k}"), v.clone()));
    let site = device.site.iter().map(|s| ("site".to_owned(), s.clone()));
    let agent = ("agent".to_owned(), format!("vedette-{}", env!("CARGO_PKG_VERSION")));
    labels.chain(site).chain([agent]).collect()
}
