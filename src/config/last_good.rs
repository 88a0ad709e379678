//! The last good configuration: remembered after a good start, run when the present one is broken.
//!
//! `last-good.toml` in the state directory holds the file's own text below a few lines of comment, one of
//! which has the text's SHA-256; a torn or edited one is not used. Drop-ins follow the file's text, and a
//! line of the head tells the length and name of each. Holds no secrets, as the files themselves hold none.
//! Written only when it differs, to spare the flash.
//!
//! Upgrades: when another version of Vedette writes its first one, what it finds is kept as
//! `last-good.previous.toml`. So a version that comes back finds what it ran well with, although the newer
//! one's has keys that it does not know; both are tried, the newer one first. A version that knows neither
//! wholly runs what it understands (`salvage`). A snapshot without a version or file lines, as 0.1.0's
//! first builds wrote it, is read as ever.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::source::{self, Sources};
use super::validate::{self, Files};
use super::{Config, ConfigErrors, Context};
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
    sources: Sources,
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

/// Loads the file at `path` and its drop-ins; when they are broken, the last good ones.
///
/// # Errors
/// They are broken and there is no last good one: exit with [`super::EX_CONFIG`].
pub fn load(path: &Path, context: &Context) -> Result<Loaded, ConfigErrors> {
    let present = source::read(path).and_then(|sources| {
        let checked = validate::config(&sources, context, Files::MustBeReadable)?;
        Ok(Loaded { config: checked.config, warning: None, sources })
    });
    present.or_else(|errors| last_good(path, context, &errors).ok_or(errors))
}

/// Remembers a configuration as the last good one; to be called after a good start and after each
/// reload that was applied. The last good one itself is not remembered again.
///
/// # Errors
/// The state directory cannot be written; the agent goes on and says so.
pub fn remember(loaded: &Loaded, context: &Context) -> io::Result<()> {
    remember_as(env!("CARGO_PKG_VERSION"), loaded, context)
}

/// The same, as this version.
fn remember_as(version: &str, loaded: &Loaded, context: &Context) -> io::Result<()> {
    if loaded.warning.is_some() {
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

fn last_good(path: &Path, context: &Context, errors: &ConfigErrors) -> Option<Loaded> {
    let read = |name: &str| {
        let snapshot = context.state_dir.join(name);
        let bytes = source::bytes(&snapshot, MOST).ok()??;
        // Named after the original files, so that relative paths mean what they meant.
        Some((snapshot, read(&String::from_utf8(bytes).ok()?, path)?))
    };
    let all: Vec<_> = [FILE, PREVIOUS].into_iter().filter_map(read).collect();
    let tries = [Files::MayBeMissing, Files::Salvage].into_iter();
    let mut tries = tries.flat_map(|files| all.iter().map(move |one| (files, one)));
    tries.find_map(|(files, (snapshot, sources))| {
        let checked = validate::config(sources, context, files).ok()?;
        let (snapshot, missing) = (snapshot.clone(), checked.missing);
        let warning = Some(LastGood { errors: errors.clone(), snapshot, missing });
        Some(Loaded { config: checked.config, warning, sources: sources.clone() })
    })
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
