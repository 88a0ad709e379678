//! The last good configuration: remembered after a good start, run when the present file is broken.
//!
//! `last-good.toml` in the state directory is the file's own text below a few lines of comment, one of
//! which holds the text's SHA-256; a torn or edited one is not used. Holds no secrets, as the file
//! itself holds none. Written only when it differs, to spare the flash.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::validate::{self, Files};
use super::{Config, ConfigErrors, Context};
use crate::identity::replace_file;

/// Name of the snapshot in the state directory.
const FILE: &str = "last-good.toml";

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
    text: String,
}

/// Why, and how well, the last good configuration runs.
#[derive(Clone, Debug)]
pub struct LastGood {
    /// What is wrong with the present file.
    pub errors: ConfigErrors,
    /// The snapshot that runs.
    pub snapshot: PathBuf,
    /// What is missing now although it was there then (credentials, CA): pictures are kept, and
    /// uploads may have to wait.
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

/// Loads the file at `path`; when it is broken, the last good one.
///
/// # Errors
/// The file is broken and there is no last good one: exit with [`super::EX_CONFIG`].
pub fn load(path: &Path, context: &Context) -> Result<Loaded, ConfigErrors> {
    let present = super::read(path).and_then(|text| {
        let (config, _) = validate::config(&text, path, context, Files::MustBeReadable)?;
        Ok(Loaded { config, warning: None, text })
    });
    present.or_else(|errors| last_good(path, context, &errors).ok_or(errors))
}

/// Remembers a configuration as the last good one; to be called after a good start and after each
/// reload that was applied. The last good one itself is not remembered again.
///
/// # Errors
/// The state directory cannot be written; the agent goes on and says so.
pub fn remember(loaded: &Loaded, context: &Context) -> io::Result<()> {
    if loaded.warning.is_some() {
        return Ok(());
    }
    let path = context.state_dir.join(FILE);
    let snapshot = format!(
        "# The last configuration that vedette started well with; it runs when the file is broken.\n\
         # Written by vedette: edit {} instead.\n{DIGEST}{}\n{END}{}",
        loaded.config.source.display().to_string().escape_debug(),
        digest(&loaded.text),
        loaded.text
    );
    if fs::read(&path).is_ok_and(|old| old == snapshot.as_bytes()) {
        return Ok(());
    }
    replace_file(&path, snapshot.as_bytes())
}

fn last_good(path: &Path, context: &Context, errors: &ConfigErrors) -> Option<Loaded> {
    let snapshot = context.state_dir.join(FILE);
    let text = text_of(&fs::read_to_string(&snapshot).ok()?)?;
    // Named after the original file, so that relative paths mean what they meant.
    let (config, missing) = validate::config(&text, path, context, Files::MayBeMissing).ok()?;
    let warning = Some(LastGood { errors: errors.clone(), snapshot, missing });
    Some(Loaded { config, warning, text })
}

/// The text of a snapshot, if its digest is right.
fn text_of(snapshot: &str) -> Option<String> {
    let (head, text) = snapshot.split_once(END)?;
    let wanted = head.lines().find_map(|line| line.strip_prefix(DIGEST))?;
    (digest(text) == wanted).then(|| text.to_owned())
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect()
}
