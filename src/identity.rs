//! Identity: device id, hardware fingerprint, and the pin that holds both.
//!
//! Called by `config` while a file is read (`${device}` stands in it) and by the agent, which pins.
//! The id is, in this order: the configured one; the certificate's CN; the one pinned at the first
//! start; a hash of the hardware's serial number; a generated one. What people wrote wins over the pin
//! because a device that was given a new name and kept using the old one would write under a prefix
//! that its owner believes to be free; the change is told as a warning and pinned anew. A *derived* id
//! never changes once pinned: a new mainboard's serial must not silently move a camera's pictures.
//!
//! The fingerprint tells a copied disk (golden image taken after the first start) from its original:
//! hashes of the serial numbers and of the permanent MAC addresses. It matches while any one kind
//! still matches, so a replaced network card is not a clone; a kind that cannot be read now (the DMI
//! serials are for root only) is not compared. `/etc/machine-id` is left out: images carry it along.
//!
//! A copy that was given an id of its own is no clone any more: no two devices write under one name then,
//! and it is pinned to its own hardware. A spool with a place of its own carries a pin too, because it can
//! be copied or moved alone; what waits in it goes out under the name it was taken under, whoever sends it.
//! Even two devices with one name overwrite nothing: keys carry the digest and PUTs only create. What a
//! clone costs is that its pictures cannot be told from the original's.
//!
//! Reading fails soft: what cannot be read is as if it were not there, except a certificate that was
//! asked for. Only [`pin`] writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// File below the state directory that holds the pin.
pub const PIN_FILE: &str = "identity.json";

/// Serial numbers that manufacturers leave behind when they set none.
const PLACEHOLDERS: [&str; 14] = [
    "none",
    "unknown",
    "default string",
    "not specified",
    "not applicable",
    "not available",
    "n/a",
    "na",
    "invalid",
    "serial number",
    "system serial number",
    "base board serial number",
    "0123456789",
    "03000200-0400-0500-0006-000700080009",
];

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate cannot be read: see to the file.
    #[error("cannot read the certificate {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The certificate is not one, or its CN cannot be a device id: get another.
    #[error("the certificate {path}: {what}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Where the device id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdSource {
    /// The configuration.
    Config,
    /// The certificate's CN.
    Certificate,
    /// A hash of the hardware's serial number.
    Serial,
    /// Made up at the first start.
    Generated,
}

/// Who this device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device id, `[a-z0-9-]{1,32}`.
    pub device: String,
    /// Where it comes from (for a pinned id: where it came from first).
    pub source: IdSource,
    /// Hashes of hardware numbers by kind; empty where none can be read.
    pub fingerprint: Fingerprint,
    /// A pin was made on other hardware, so something here is a copy: what it is and what helps, for the
    /// alarm `cloned`.
    pub cloned: Option<String>,
    /// What to tell people at start.
    pub warnings: Vec<String>,
}

/// Hashes (64 bits, hex) of hardware numbers, by kind.
pub type Fingerprint = BTreeMap<String, BTreeSet<String>>;

/// The machine's file system, as a root to read `/proc` and `/sys` below; injectable for tests.
#[derive(Clone, Debug)]
pub struct Roots(PathBuf);

impl Default for Roots {
    fn default() -> Self {
        Self("/".into())
    }
}

impl Roots {
    /// A machine whose files lie below `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    fn word(&self, path: &str) -> Option<String> {
        let text = fs::read(self.0.join(path)).ok()?;
        let text = String::from_utf8_lossy(&text);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Serial numbers of the hardware that are worth the name, best first.
    fn serials(&self) -> Vec<(&'static str, String)> {
        let places = [
            ("devicetree-serial", "proc/device-tree/serial-number"),
            ("dmi-product-uuid", "sys/class/dmi/id/product_uuid"),
            ("dmi-product-serial", "sys/class/dmi/id/product_serial"),
            ("dmi-board-serial", "sys/class/dmi/id/board_serial"),
        ];
        let read = places.into_iter().filter_map(|(kind, path)| Some((kind, self.word(path)?)));
        read.filter(|(_, serial)| is_serial(serial)).collect()
    }

    /// Permanent addresses of physical network interfaces.
    fn macs(&self) -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(self.0.join("sys/class/net")) else {
            return BTreeSet::new();
        };
        let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
        names.filter_map(|name| self.mac(&name)).collect()
    }

    fn mac(&self, interface: &str) -> Option<String> {
        let place = format!("sys/class/net/{interface}");
        let physical = self.0.join(&place).join("device").exists();
        // 0 is NET_ADDR_PERM: not random, not set by hand (include/uapi/linux/netdevice.h).
        let permanent = self.word(&format!("{place}/addr_assign_type"))? == "0";
        let address = self.word(&format!("{place}/address"))?.to_ascii_lowercase();
        (physical && permanent && is_serial(&address)).then_some(address)
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut all = Fingerprint::new();
        for (kind, serial) in self.serials() {
            all.entry(kind.into()).or_default().insert(hash(kind, &serial));
        }
        let macs: BTreeSet<_> = self.macs().iter().map(|mac| hash("mac", mac)).collect();
        if !macs.is_empty() {
            all.insert("mac".into(), macs);
        }
        all
    }
}

/// What `identity.json` holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pin {
    device: String,
    source: IdSource,
    fingerprint: Fingerprint,
}

/// Finds out who this device is. Writes nothing: see [`pin`].
///
/// `configured` must already be a valid name; `certified` is what [`common_name`] gave.
#[must_use]
pub fn resolve(
    configured: Option<&str>,
    certified: Option<String>,
    state_dir: &Path,
    roots: &Roots,
) -> Identity {
    let fingerprint = roots.fingerprint();
    let (pin, mut warnings) = read_pin(state_dir);
    if let (Some(id), Some(cn)) =
        (configured, certified.as_deref().filter(|cn| Some(*cn) != configured))
    {
        warnings.push(format!(
            "the device id {id} is not the certificate's CN {cn}: what checks the certificate will \
             refuse this device"
        ));
    }
    let (device, source) = match (configured, certified) {
        (Some(id), _) => (id.to_owned(), IdSource::Config),
        (None, Some(cn)) => (cn, IdSource::Certificate),
        (None, None) => match &pin {
            Some(pin) => (pin.device.clone(), pin.source),
            None => derived(roots),
        },
    };
    let cloned = pin.as_ref().filter(|pin| is_copy(pin, &device, &fingerprint)).map(|_| {
        format!(
            "the identity {device} was pinned on other hardware: this disk is a copy, and two devices may \
             write as {device}. Give this device a `device.id` of its own, or remove {} and restart; if \
             its mainboard was replaced, remove that file as well",
            state_dir.join(PIN_FILE).display()
        )
    });
    if let Some(old) = pin.as_ref().filter(|pin| pin.device != device) {
        warnings.push(format!(
            "the device id changed from {} to {device}: new pictures go below the new one",
            old.device
        ));
    }
    Identity { device, source, fingerprint, cloned, warnings }
}

/// Is an identity pinned in this state directory?
#[must_use]
pub fn is_pinned(state_dir: &Path) -> bool {
    read_pin(state_dir).0.is_some()
}

/// Was a spool that has a directory of its own pinned on other hardware? What it is and what helps.
#[must_use]
pub fn foreign_spool(identity: &Identity, state_dir: &Path, spool: &Path) -> Option<String> {
    if spool == state_dir {
        return None; // one pin for both
    }
    let pin = read_pin(spool).0.filter(|pin| differs(&pin.fingerprint, &identity.fingerprint))?;
    Some(format!(
        "the spool {} was pinned on other hardware, by the device {}: its pictures go out under that name. \
         If that device still runs, this is a copy: stop vedette and delete it; if its disk was moved here \
         for good, remove {} and restart",
        spool.display(),
        pin.device,
        spool.join(PIN_FILE).display()
    ))
}

/// The CN of the device's certificate, a PEM file.
///
/// # Errors
/// It cannot be read, is no certificate, or its CN cannot be a device id.
pub fn common_name(path: &Path) -> Result<String, IdentityError> {
    let bytes = fs::read(path)
        .map_err(|error| IdentityError::Unreadable { path: path.to_owned(), error })?;
    subject(&bytes).map_err(|what| IdentityError::Certificate { path: path.to_owned(), what })
}

/// Pins the identity: at the first start, and again when its id or its source changed. A clone's
/// fingerprint is left as it was, so that the alarm stays until somebody has looked.
///
/// # Errors
/// The state directory cannot be written; the agent goes on and says so.
pub fn pin(identity: &Identity, state_dir: &Path) -> io::Result<()> {
    write_pin(identity, state_dir, |old| is_copy(old, &identity.device, &identity.fingerprint))
}

/// Pins a spool with a directory of its own, unless it was pinned on other hardware.
///
/// # Errors
/// It cannot be written; the agent goes on and says so.
pub fn pin_spool(identity: &Identity, state_dir: &Path, spool: &Path) -> io::Result<()> {
    if spool == state_dir || foreign_spool(identity, state_dir, spool).is_some() {
        return Ok(());
    }
    write_pin(identity, spool, |_| false)
}

/// Writes what is not written yet; where `keeps`, the old fingerprint stays as it was.
fn write_pin(identity: &Identity, dir: &Path, keeps: impl Fn(&Pin) -> bool) -> io::Result<()> {
    let (old, _) = read_pin(dir);
    let mut new = Pin {
        device: identity.device.clone(),
        source: identity.source,
        fingerprint: identity.fingerprint.clone(),
    };
    if let Some(old) = old {
        if keeps(&old) {
            new.fingerprint = old.fingerprint.clone();
        } else if !differs(&old.fingerprint, &identity.fingerprint) {
            // Once pinned, kinds that cannot be read this time stay known.
            let fresh = std::mem::replace(&mut new.fingerprint, old.fingerprint.clone());
            new.fingerprint.extend(fresh);
        }
        if new == old {
            return Ok(());
        }
    }
    let text = serde_json::to_string_pretty(&new).map_err(io::Error::other)?;
    replace_file(&dir.join(PIN_FILE), format!("{text}\n").as_bytes())
}

/// Was this pin made elsewhere, for the device that we are?
fn is_copy(pin: &Pin, device: &str, now: &Fingerprint) -> bool {
    pin.device == device && differs(&pin.fingerprint, now)
}

/// The nearest text that may be a device id or a camera name, `[a-z0-9-]{1,32}`; `None` if nothing
/// is left of it.
#[must_use]
pub fn normalise(text: &str) -> Option<String> {
    let mut out = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(32);
    let out = out.trim_end_matches('-');
    (!out.is_empty()).then(|| out.to_owned())
}

/// Checks a name that becomes part of keys and topics: `[a-z0-9-]{1,32}`.
///
/// # Errors
/// Says which characters are allowed, and the nearest allowed name if there is one.
pub fn check_name(text: &str) -> Result<(), String> {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=32).contains(&text.len()) && text.bytes().all(ok) {
        return Ok(());
    }
    let rule = "use 1 to 32 of `a-z`, `0-9` and `-`";
    Err(match normalise(text) {
        Some(near) => format!("{rule}: `{near}`"),
        None => rule.into(),
    })
}

/// Replaces a small file so that a power cut leaves the old one or the new one: temporary file,
/// fsync, rename, fsync of the directory. Mode 0600; missing directories are made.
///
/// # Errors
/// Any step failed; the old file is untouched unless the rename went through.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = dir.join(name);
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(dir)?.sync_all()
}

fn derived(roots: &Roots) -> (String, IdSource) {
    match roots.serials().first() {
        Some((kind, serial)) => (format!("cam-{}", hash(kind, serial)), IdSource::Serial),
        None => (format!("cam-{}", random(roots)), IdSource::Generated),
    }
}

/// 64 random bits from the kernel; where even that is missing, from the hasher's own random keys.
fn random(roots: &Roots) -> String {
    use std::hash::{BuildHasher, RandomState};
    let spare = || format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    let seed = roots.word("proc/sys/kernel/random/uuid").unwrap_or_else(spare);
    hash("random", &seed)
}

/// Is there a kind that both know, and no kind on which they agree?
fn differs(pinned: &Fingerprint, now: &Fingerprint) -> bool {
    let both = pinned.iter().filter_map(|(kind, old)| Some((old, now.get(kind)?)));
    let agree: Vec<bool> = both.map(|(old, new)| !old.is_disjoint(new)).collect();
    !agree.is_empty() && !agree.contains(&true)
}

fn read_pin(state_dir: &Path) -> (Option<Pin>, Vec<String>) {
    let path = state_dir.join(PIN_FILE);
    let Ok(text) = fs::read(&path) else { return (None, Vec::new()) };
    let pin = serde_json::from_slice::<Pin>(&text).ok();
    match pin.filter(|pin| check_name(&pin.device).is_ok()) {
        Some(pin) => (Some(pin), Vec::new()),
        None => (None, vec![format!("{} is damaged and is written anew", path.display())]),
    }
}

/// First 64 bits of a SHA-256, hex: short enough for a device id, and among a million devices two
/// agree with a chance of 3 in 10^8.
fn hash(kind: &str, value: &str) -> String {
    let digest = Sha256::digest(format!("vedette {kind}\0{value}"));
    digest.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// Is this a serial number, or what a manufacturer leaves when there is none?
fn is_serial(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let mut digits = lower.bytes().filter(u8::is_ascii_alphanumeric);
    let first = digits.next();
    let same = digits.all(|b| Some(b) == first);
    lower.len() >= 4 && !same && !lower.contains("o.e.m") && !PLACEHOLDERS.contains(&lower.as_str())
}

fn subject(pem: &[u8]) -> Result<String, String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| "is not PEM")?;
    let certificate = pem.parse_x509().map_err(|_| "is not an X.509 certificate")?;
    let mut names = certificate.subject().iter_common_name();
    let name = names.next().ok_or("has no CN")?;
    let name = name.as_str().map_err(|_| "has a CN that is not text")?;
    // Never bent into shape: the broker compares the CN with the client id, letter by letter.
    check_name(name).map_err(|help| format!("its CN `{name}` cannot be the device id: {help}"))?;
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device-tree board with this serial and MAC.
    fn board(serial: &str, mac: &str) -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("proc/device-tree/serial-number", serial);
        put("proc/sys/kernel/random/uuid", "6b9c3f1e-0000-4000-8000-000000000001\n");
        put("sys/class/net/eth0/address", mac);
        put("sys/class/net/eth0/addr_assign_type", "0\n");
        put("sys/class/net/eth0/device/uevent", "");
        put("sys/class/net/docker0/address", "02:42:00:00:00:01");
        put("sys/class/net/docker0/addr_assign_type", "3\n");
        let roots = Roots::at(dir.path());
        (dir, roots)
    }

    const SERIAL: &str = "10000000abcdef01\0";
    const MAC: &str = "dc:a6:32:01:02:03\n";
    const OTHER_SERIAL: &str = "10000000abcdef02";
    const OTHER_MAC: &str = "dc:a6:32:0a:0b:0c";

    #[test]
    fn config_wins_over_pin_and_pin_over_serial() {
        let (_dir, roots) = board(SERIAL, MAC);
        let state = tempfile::tempdir().unwrap();
        let first = resolve(None, None, state.path(), &roots);
        assert_eq!(first.source, IdSource::Serial);
        assert_eq!(first.device.len(), 20);
        pin(&first, state.path()).unwrap();

        let named = resolve(Some("gate-1"), None, state.path(), &roots);
        assert_eq!((named.device.as_str(), named.source), ("gate-1", IdSource::Config));
        assert!(named.warnings[0].contains(&first.device), "{:?}", named.warnings);
        pin(&named, state.path()).unwrap();

        let again = resolve(None, None, state.path(), &roots);
        assert_eq!((again.device.as_str(), again.warnings.len()), ("gate-1", 0));
    }

    #[test]
    fn a_generated_id_stays_once_it_is_pinned() {
        let (dir, roots) = board("To be filled by O.E.M.", "00:00:00:00:00:00");
        let state = tempfile::tempdir().unwrap();
        let first = resolve(None, None, state.path(), &roots);
        assert_eq!(first.source, IdSource::Generated);
        assert!(first.fingerprint.is_empty());
        pin(&first, state.path()).unwrap();
        fs::write(dir.path().join("proc/sys/kernel/random/uuid"), "another").unwrap();
        assert_eq!(resolve(None, None, state.path(), &roots).device, first.device);
    }

    #[test]
    fn a_copied_disk_is_told_and_a_new_network_card_is_not() {
        let (_a, original) = board(SERIAL, MAC);
        let (_b, new_card) = board(SERIAL, "dc:a6:32:ff:ff:ff");
        let (_c, copy) = board(OTHER_SERIAL, OTHER_MAC);
        let state = tempfile::tempdir().unwrap();
        pin(&resolve(None, None, state.path(), &original), state.path()).unwrap();
        assert_eq!(resolve(None, None, state.path(), &new_card).cloned, None);
        let cloned = resolve(None, None, state.path(), &copy);
        assert!(cloned.cloned.as_ref().unwrap().contains(PIN_FILE));
        pin(&cloned, state.path()).unwrap();
        assert!(resolve(None, None, state.path(), &copy).cloned.is_some(), "the alarm must stay");
        assert_eq!(resolve(None, None, state.path(), &original).cloned, None);
    }

    #[test]
    fn a_copy_with_an_id_of_its_own_is_no_clone_and_stays_none() {
        let (_a, original) = board(SERIAL, MAC);
        let (_b, copy) = board(OTHER_SERIAL, OTHER_MAC);
        let state = tempfile::tempdir().unwrap();
        pin(&resolve(None, None, state.path(), &original), state.path()).unwrap();
        let named = resolve(Some("gate-2"), None, state.path(), &copy);
        assert_eq!(named.cloned, None);
        pin(&named, state.path()).unwrap();
        assert_eq!(resolve(Some("gate-2"), None, state.path(), &copy).cloned, None);
        assert!(resolve(Some("gate-2"), None, state.path(), &original).cloned.is_some());
    }

    #[test]
    fn devices_of_one_image_without_a_pin_get_ids_of_their_own() {
        let (_a, one) = board(SERIAL, MAC);
        let (_b, other) = board(OTHER_SERIAL, OTHER_MAC);
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = resolve(None, None, first.path(), &one);
        let second = resolve(None, None, second.path(), &other);
        assert_ne!(first.device, second.device);
        assert_eq!((first.cloned, second.cloned), (None, None));
    }

    #[test]
    fn a_spool_copied_alone_is_told_until_somebody_has_looked() {
        let (_a, original) = board(SERIAL, MAC);
        let (_b, other) = board(OTHER_SERIAL, OTHER_MAC);
        let (state, fresh) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let spool = tempfile::tempdir().unwrap();
        let (state, fresh, spool) = (state.path(), fresh.path(), spool.path());
        let own = resolve(Some("gate-1"), None, state, &original);
        pin_spool(&own, state, spool).unwrap();
        assert_eq!(foreign_spool(&own, state, spool), None);

        let thief = resolve(Some("gate-2"), None, fresh, &other);
        assert_eq!(thief.cloned, None, "its own state is its own");
        let told = foreign_spool(&thief, fresh, spool).unwrap();
        assert!(told.contains("gate-1") && told.contains(PIN_FILE), "{told}");
        pin_spool(&thief, fresh, spool).unwrap();
        assert!(foreign_spool(&thief, fresh, spool).is_some(), "the alarm must stay");
        fs::remove_file(spool.join(PIN_FILE)).unwrap();
        pin_spool(&thief, fresh, spool).unwrap();
        assert_eq!(foreign_spool(&thief, fresh, spool), None);
        assert!(foreign_spool(&own, state, spool).is_some());
    }

    #[test]
    fn unreadable_hardware_is_no_clone_and_a_damaged_pin_is_said() {
        let (_a, original) = board(SERIAL, MAC);
        let state = tempfile::tempdir().unwrap();
        pin(&resolve(None, None, state.path(), &original), state.path()).unwrap();
        let nothing = Roots::at(state.path());
        assert_eq!(resolve(None, None, state.path(), &nothing).cloned, None);
        fs::write(state.path().join(PIN_FILE), "{\"device\": \"../x\"").unwrap();
        let said = resolve(None, None, state.path(), &original);
        assert!(said.warnings[0].contains("damaged"));
    }

    #[test]
    fn placeholders_are_no_serials() {
        for text in
            ["None", "0000000000", "To Be Filled By O.E.M.", "Default string", "ffffffff", "1"]
        {
            assert!(!is_serial(text), "{text}");
        }
        assert!(is_serial("10000000abcdef01"));
    }

    #[test]
    fn the_certificate_names_the_device() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.pem");
        fs::write(&path, include_str!("../tests/fixtures/config/device-cert.pem")).unwrap();
        let (_dir, roots) = board(SERIAL, MAC);
        let cn = common_name(&path).unwrap();
        let who = resolve(None, Some(cn.clone()), dir.path(), &roots);
        assert_eq!((who.device.as_str(), who.source), ("gate-7", IdSource::Certificate));
        let other = resolve(Some("gate-8"), Some(cn), dir.path(), &roots);
        assert!(other.device == "gate-8" && other.warnings[0].contains("gate-7"));
        fs::write(&path, "junk").unwrap();
        assert!(common_name(&path).unwrap_err().to_string().contains("is not PEM"));
    }

    #[test]
    fn normalising_gives_a_name_or_nothing() {
        assert_eq!(normalise("Front Door!").as_deref(), Some("front-door"));
        assert_eq!(normalise("--Ünïcode 7--").as_deref(), Some("n-code-7"));
        assert_eq!(normalise("***"), None);
        assert!(check_name("front-door").is_ok());
        assert!(check_name("Front Door").is_err_and(|e| e.contains("`front-door`")));
    }
}
