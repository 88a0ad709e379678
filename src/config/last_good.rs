//! The last good configuration: remembered after a good start, run when the present one is broken.
//!
//! `last-good.toml` in the state directory holds the file's own text below a few lines of comment, one of
//! which has the text's SHA-256; a torn or edited one is not used. Drop-ins follow the file's text, and a
//! line of the head tells the length and name of each. Holds no secrets, as the files themselves hold none.
//! Written only when it differs, to spare the flash.
//!
//! It runs only when the present files are wrong. Files of theirs that are right and only name what cannot be
//! read (keys, a password, a CA) run as they are: what was masked or changed since must hold, and a camera must
//! not be dead for want of a key. What is missing is told, and not remembered as good.
//!
//! Upgrades: when another version of Vedette writes its first one, what it finds is kept as
//! `last-good.previous.toml`. So a version that comes back finds what it ran well with, although the newer
//! one's has keys that it does not know; both are tried, the newer one first. A version that knows neither
//! wholly runs what it understands (`salvage`). The one before is passed over where the newer one says
//! anything else about masks: it would show what was masked since; where the newer one cannot be read, the present
//! files are asked. A snapshot without a version or file lines, as 0.1.0's
//! first builds wrote it, is read as ever.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::source::{self, Sources};
use super::validate::{self, Checked, Files};
use super::{Config, ConfigErrors, Context};
use super::{merge, salvage};
use crate::identity::replace_file;

/// Name of the snapshot in the state directory.
const FILE: &str = "last-good.toml";

/// The one that the version before left.
const PREVIOUS: &str = "last-good.previous.toml";

/// Largest snapshot that is read: the largest configuration, and its head.
const MOST: u64 = 2 << 20;

/// Begins the line with the version that wrote the snapshot.
const VERSION: &str = "# vedette: ";

/// Begins a drop-in's line: length of its text in bytes, and its name.
const DROP_IN: &str = "# drop-in: ";

/// Begins the snapshot's digest line.
const DIGEST: &str = "# sha256: ";

/// Last line of the snapshot's head; the text follows.
const END: &str = "# ----\n";

/// A configuration to run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to run.
    pub config: Config,
    /// Set when this is the last good one: to be told loudly (log, status).
    pub warning: Option<LastGood>,
    /// What the present files name and cannot be used (keys, a password, a certificate), in words; they run
    /// without it. Empty for the last good one, which has its own list.
    pub missing: Vec<String>,
    sources: Sources,
}

impl Loaded {
    /// What the present files lack, for the alarm; `None` when they have everything.
    #[must_use]
    pub fn lacks(&self) -> Option<String> {
        let file = self.config.source.display();
        (!self.missing.is_empty()).then(|| {
            format!(
                "{file} runs, but without what it names: {}; pictures are kept, and what needs it waits: put it \
                 there, then reload (restart, where systemd hands it over)",
                self.missing.join("; ")
            )
        })
    }
}

/// Why, and how well, the last good configuration runs.
#[derive(Clone, Debug)]
pub struct LastGood {
    /// What is wrong with the present files.
    pub errors: ConfigErrors,
    /// The snapshot that runs.
    pub snapshot: PathBuf,
    /// What is missing now although it was there then (credentials, CA): pictures are kept, and
    /// uploads may have to wait. Also what this version does not understand and left out.
    pub missing: Vec<String>,
}

impl std::fmt::Display for LastGood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = self.errors.file.display();
        let n = self.errors.errors.len();
        let noun = if n == 1 { "error" } else { "errors" };
        write!(
            f,
            "{file} is broken ({n} {noun}): running the last good configuration, {}",
            self.snapshot.display()
        )?;
        self.missing.iter().try_for_each(|m| write!(f, "; {m}"))
    }
}

/// Loads the file at `path` and its drop-ins, also where what they name cannot be read
/// ([`Loaded::missing`]); when they are broken, the last good ones.
///
/// # Errors
/// They are broken and there is no last good one: exit with [`super::EX_CONFIG`].
pub fn load(path: &Path, context: &Context) -> Result<Loaded, ConfigErrors> {
    let sources = match source::read(path) {
        Ok(sources) => sources,
        Err(errors) => return last_good(path, context, &errors, None).ok_or(errors),
    };
    let check = |files| validate::config(&sources, context, files);
    let checked = check(Files::MustBeReadable)
        .or_else(|errors| check(Files::MayBeMissing).map_err(|_| errors));
    match checked {
        Ok(Checked { config, missing }) => Ok(Loaded { config, warning: None, missing, sources }),
        Err(errors) => last_good(path, context, &errors, Some(&sources)).ok_or(errors),
    }
}

/// Remembers a configuration as the last good one; to be called after a good start and after each
/// reload that was applied. The last good one itself is not remembered again, nor one that lacks something.
///
/// # Errors
/// The state directory cannot be written; the agent goes on and says so.
pub fn remember(loaded: &Loaded, context: &Context) -> io::Result<()> {
    remember_as(env!("CARGO_PKG_VERSION"), loaded, context)
}

/// The same, as this version.
fn remember_as(version: &str, loaded: &Loaded, context: &Context) -> io::Result<()> {
    if loaded.warning.is_some() || !loaded.missing.is_empty() {
        return Ok(());
    }
    let path = context.state_dir.join(FILE);
    let new = write(version, &loaded.sources);
    let old = fs::read_to_string(&path).ok();
    if old.as_ref() == Some(&new) {
        return Ok(());
    }
    // A torn one is worth nothing, and would push out what is.
    let of_another = old.filter(|old| version_of(old) != Some(version) && text_of(old).is_some());
    if let Some(old) = of_another {
        replace_file(&context.state_dir.join(PREVIOUS), old.as_bytes())?;
    }
    replace_file(&path, new.as_bytes())
}

/// The last good one that may run; `present` are the broken files, where they can be read.
fn last_good(
    path: &Path,
    context: &Context,
    errors: &ConfigErrors,
    present: Option<&Sources>,
) -> Option<Loaded> {
    let read = |name: &str| {
        let snapshot = context.state_dir.join(name);
        let bytes = source::bytes(&snapshot, MOST).ok()??;
        // Named after the original files, so that relative paths mean what they meant.
        Some((snapshot, read(&String::from_utf8(bytes).ok()?, path)?))
    };
    let (newer, mut before) = (read(FILE), read(PREVIOUS));
    // Of a newer one that is torn nobody knows what it masked: only the present files may tell.
    let newest = newer.as_ref().map(|(_, sources)| sources).or(present).and_then(masks);
    before.take_if(|(_, before)| newest.is_none() || newest != masks(before));
    let all: Vec<_> = newer.into_iter().chain(before).collect();
    let tries = [Files::MayBeMissing, Files::Salvage].into_iter();
    let mut tries = tries.flat_map(|files| all.iter().map(move |one| (files, one)));
    tries.find_map(|(files, (snapshot, sources))| {
        let checked = validate::config(sources, context, files).ok()?;
        let (snapshot, missing) = (snapshot.clone(), checked.missing);
        let warning = Some(LastGood { errors: errors.clone(), snapshot, missing });
        let (config, sources) = (checked.config, sources.clone());
        Some(Loaded { config, warning, missing: Vec::new(), sources })
    })
}

/// What these files say about masks; `None` when they are not TOML.
fn masks(sources: &Sources) -> Option<Vec<String>> {
    let lines = merge::in_lines(sources).ok()?;
    Some(salvage::private(&lines).into_iter().map(str::to_owned).collect())
}

/// The snapshot of these files.
fn write(version: &str, sources: &Sources) -> String {
    let (mut names, mut text) = (String::new(), String::new());
    for (nth, file) in sources.files().iter().enumerate() {
        if nth > 0 {
            // Names of drop-ins have no odd characters: `source` saw to it.
            let name = file.path.file_name().unwrap_or_default().display();
            writeln!(names, "{DROP_IN}{} {name}", file.text.len()).ok(); // cannot fail
        }
        text.push_str(&file.text);
    }
    format!(
        "# The last configuration that vedette started well with; it runs when the file is broken.\n\
         # Written by vedette: edit {} instead.\n{VERSION}{version}\n{names}{DIGEST}{}\n{END}{text}",
        sources.main().display().to_string().escape_debug(),
        digest(&[&names, &text]),
    )
}

/// The files of a snapshot, named as the configuration at `path`; `None` if its digest is wrong.
fn read(snapshot: &str, path: &Path) -> Option<Sources> {
    let (head, mut text) = text_of(snapshot)?;
    let mut files = Vec::new();
    for line in head.lines().filter_map(|line| line.strip_prefix(DROP_IN)).rev() {
        let (len, name) = line.split_once(' ')?;
        let at = text.len().checked_sub(len.parse().ok()?)?;
        let (before, last) = text.split_at_checked(at)?;
        files.push((source::drop_in_dir(path).join(name), last.to_owned()));
        text = before;
    }
    files.push((path.to_owned(), text.to_owned()));
    files.reverse();
    Some(Sources::new(files, Vec::new()))
}

/// Head and text of a snapshot, if its digest is right.
fn text_of(snapshot: &str) -> Option<(&str, &str)> {
    let (head, text) = snapshot.split_once(END)?;
    let wanted = head.lines().find_map(|line| line.strip_prefix(DIGEST))?;
    let of_names = |line: &&str| line.starts_with(DROP_IN);
    let names: String = head.split_inclusive('\n').filter(of_names).collect();
    (digest(&[&names, text]) == wanted).then_some((head, text))
}

/// The version that wrote a snapshot.
fn version_of(snapshot: &str) -> Option<&str> {
    let (head, _) = snapshot.split_once(END)?;
    head.lines().find_map(|line| line.strip_prefix(VERSION))
}

fn digest(parts: &[&str]) -> String {
    Sha256::digest(parts.concat()).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Roots;

    struct Device(tempfile::TempDir);

    impl Device {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self) -> PathBuf {
            self.0.path().join("vedette.toml")
        }

        fn context(&self) -> Context {
            Context {
                state_dir: self.0.path().join("state"),
                credentials_dir: None,
                roots: Roots::at(self.0.path().join("no-such-machine")),
            }
        }

        /// Starts well as this version, with this file.
        fn start_as(&self, version: &str, text: &str) {
            fs::write(self.file(), text).unwrap();
            let loaded = load(&self.file(), &self.context()).unwrap();
            remember_as(version, &loaded, &self.context()).unwrap();
        }

        /// Puts a snapshot there that a newer version may have written.
        fn newer(&self, text: &str) {
            let sources = Sources::single(&self.file(), text);
            fs::write(self.context().state_dir.join(FILE), write("9.0.0", &sources)).unwrap();
            fs::write(self.file(), text).unwrap();
        }
    }

    const SMALL: &str = "camera.a.scene.seed = 7\n[destination]\ndir.path = \"objects\"\n";

    #[test]
    fn a_version_that_comes_back_runs_what_it_ran_well_with() {
        let device = Device::new();
        device.start_as("0.1.0", SMALL);
        device.start_as("0.1.1", &SMALL.replace('7', "8"));
        device.start_as("0.1.1", &SMALL.replace('7', "9"));
        // Now the newer one writes a key that we do not know, and we come back.
        device.newer("camera.a.scene.seed = 9\ncamera.a.dream = true\n");
        let loaded = load(&device.file(), &device.context()).unwrap();
        let warning = loaded.warning.unwrap();
        assert!(warning.snapshot.ends_with(PREVIOUS) && warning.missing.is_empty(), "{warning}");
        assert!(format!("{:?}", loaded.config.cameras[0].source).contains("seed: 7"));
    }

    #[test]
    fn one_that_would_show_what_was_masked_since_is_passed_over() {
        let device = Device::new();
        device.start_as("0.1.0", SMALL);
        device.start_as("0.1.1", &SMALL.replace('7', "8"));
        let mask = "[[camera.a.mask]]\npoints = [[0, 0], [1, 0], [0, 1]]\n";
        device.newer(&format!("camera.a.dream = true\ncamera.a.scene.seed = 9\n{mask}"));
        let loaded = load(&device.file(), &device.context()).unwrap();
        let warning = loaded.warning.unwrap();
        assert!(warning.snapshot.ends_with(FILE), "{warning}");
        assert_eq!(loaded.config.cameras[0].profile.masks.len(), 1);
        assert_eq!(warning.missing.len(), 1, "{warning}");
    }

    #[test]
    fn where_the_newer_one_is_torn_the_present_files_tell_what_is_masked() {
        let mask = "[[camera.a.mask]]\npoints = [[0, 0], [1, 0], [0, 1]]\n";
        for (broken, runs) in [
            ("camera.a.dream = true\n".to_owned(), true),
            (format!("camera.a.dream = true\n{mask}"), false),
            ("nonsense".to_owned(), false),
        ] {
            let device = Device::new();
            device.start_as("0.1.0", SMALL);
            device.start_as("0.1.1", &SMALL.replace('7', "8"));
            fs::write(device.context().state_dir.join(FILE), "torn").unwrap();
            fs::write(device.file(), &broken).unwrap();
            let loaded = load(&device.file(), &device.context());
            assert_eq!(loaded.is_ok(), runs, "{broken}");
        }
        // Nor is it run where there is nothing to ask.
        let device = Device::new();
        device.start_as("0.1.0", SMALL);
        device.start_as("0.1.1", SMALL);
        fs::write(device.context().state_dir.join(FILE), "torn").unwrap();
        fs::remove_file(device.file()).unwrap();
        assert!(load(&device.file(), &device.context()).is_err());
    }

    #[test]
    fn what_no_version_here_wholly_knows_runs_as_far_as_it_is_understood() {
        let device = Device::new();
        device.start_as("0.1.0", SMALL);
        device.newer(
            "[camera.a]\nscene.seed = 9\ndream = true\n[camera.b]\nscene.seed = 1\n\
             mask_shape = \"round\"\n[destination]\ndir.path = \"x\"\nmirror = true\n[log]\nlevel = \"loud\"\n",
        );
        let loaded = load(&device.file(), &device.context()).unwrap();
        let names: Vec<_> = loaded.config.cameras.iter().map(|c| &c.profile.camera).collect();
        assert_eq!(names, ["a"], "a camera whose masks are not understood shows nothing");
        assert_eq!(loaded.config.upload.destination.to_string(), "nowhere: pictures wait here");
        let warning = loaded.warning.unwrap();
        assert!(warning.snapshot.ends_with(FILE), "{warning}");
        for key in ["camera.a.dream", "camera.b.mask_shape", "destination.mirror", "log.level"] {
            assert!(warning.to_string().contains(&format!("`{key}` is left out")), "{warning}");
        }
    }

    #[test]
    fn a_snapshot_holds_each_drop_in_under_its_name() {
        let path = Path::new("/etc/vedette/vedette.toml");
        let files =
            [("vedette.toml", "a = 1\n"), ("vedette.d/1.toml", ""), ("vedette.d/2.toml", END)];
        let files = files.map(|(name, text)| (path.with_file_name(name), text.to_owned()));
        let sources = Sources::new(files.to_vec(), Vec::new());
        let snapshot = write("0.1.0", &sources);
        assert_eq!(read(&snapshot, path), Some(sources));
        assert_eq!(version_of(&snapshot), Some("0.1.0"));
        assert_eq!(read(&snapshot.replace("2.toml", "3.toml"), path), None, "an edited head");
    }
}
