//! The configuration, the files it names, and who this device is.
//!
//! A broken file is told error by error; what the rest is tried with is then the last good one, as the
//! agent would run it, or the broken one's own words where only files are missing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::report::{Check, Finding, State};
use super::service::Unit;
use crate::config::cost::{Assumptions, cost, warnings};
use crate::config::{self, Config, ConfigError, ConfigErrors, Context};
use crate::sys;

/// Errors that are told one by one; `vedette check` tells all.
const MOST: usize = 4;

/// Looks at the file at `path`, as the user `who`. The second part is what the rest is tried with.
pub(super) fn examine(
    path: &Path,
    context: &Context,
    unit: Option<&Unit>,
    who: &str,
) -> (Vec<Finding>, Option<Config>) {
    match config::check(path, context) {
        Ok(config) => {
            let mut found = vec![Finding::ok(Check::Config, path.display().to_string())];
            let costs = cost(&config, Assumptions::default());
            // These say themselves what helps.
            let look = |text| Finding { help: None, ..Finding::warning(Check::Config, text, "") };
            found.extend(
                warnings(&config, &costs).into_iter().chain(config.notes.clone()).map(look),
            );
            found.extend(cloned(&config));
            (found, Some(config))
        }
        Err(errors) => broken(path, context, unit, who, &errors),
    }
}

fn broken(
    path: &Path,
    context: &Context,
    unit: Option<&Unit>,
    who: &str,
    errors: &ConfigErrors,
) -> (Vec<Finding>, Option<Config>) {
    let mut found: Vec<_> =
        errors.errors.iter().take(MOST).map(|e| finding(e, unit, who)).collect();
    let more = errors.errors.len().saturating_sub(MOST);
    if more > 0 {
        let text = format!("{more} more; `vedette check` shows all");
        found.push(Finding::wrong(
            Check::Config,
            text,
            "Correct the first ones: they may explain the rest.",
        ));
    }
    let remembered = config::load(path, context).ok().filter(|loaded| loaded.warning.is_some());
    let without = || config::check_without_files(path, context).ok().map(|(config, _)| config);
    if found.iter().all(|f| f.state == State::Untried) {
        return (found, without());
    }
    let (text, config) = match remembered {
        Some(loaded) => (
            "the last good configuration runs meanwhile; it is what is looked at below",
            Some(loaded.config),
        ),
        None => match without() {
            Some(config) => {
                ("the agent runs without these files; so is the rest looked at below", Some(config))
            }
            None => ("there is no last good configuration: the agent cannot start", None),
        },
    };
    let help = "Correct what is told above, `vedette check` it, then `systemctl reload-or-restart vedette`.";
    found.push(Finding::warning(Check::Config, text, help));
    (found, config)
}

fn finding(error: &ConfigError, unit: Option<&Unit>, who: &str) -> Finding {
    let file = &error.file;
    let place = match error.line {
        0 => file.display().to_string(),
        line => format!("{}:{line}", file.display()),
    };
    let text = format!("{place}: {}", error.what);
    if error.what.starts_with("cannot read the configuration: Permission denied") {
        let help =
            format!("Let {who} read it: `chgrp {who} {0}` and `chmod 0640 {0}`.", file.display());
        return Finding::wrong(Check::Config, text, help);
    }
    let Some(denied) = denied(&error.what) else {
        return Finding::wrong(Check::Config, text, sentence(&error.help));
    };
    let name = denied.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if let Some(unit) = unit.filter(|unit| unit.hands_over(name)) {
        let why = match unit.is_active() {
            true => "the copy it has cannot be read by this user",
            false => "it does not run",
        };
        let why = format!("systemd hands {name} to {} when it starts, and {why}", unit.name);
        return Finding::untried(Check::Config, why);
    }
    let shown = denied.display();
    let help = format!(
        "{}Let {who} read it: `chown root:{who} {shown}` and `chmod 0640 {shown}`; or let systemd hand it \
         over: `LoadCredential={name}:{shown}` in a drop-in of the unit.",
        owner(&denied)
    );
    Finding::wrong(Check::Config, text, help)
}

/// The file of an error that says it may not be read.
fn denied(what: &str) -> Option<PathBuf> {
    let (path, _) = what.split_once("cannot read ")?.1.split_once(": Permission denied")?;
    Some(path.into())
}

/// Whose file it is, where that can be seen.
fn owner(path: &Path) -> String {
    let Ok(meta) = fs::metadata(path) else {
        return "A directory above it may not be entered. ".into();
    };
    let group = sys::group_name(meta.gid()).ok().flatten();
    let group = group.unwrap_or_else(|| meta.gid().to_string());
    let user = if meta.uid() == 0 { "root".to_owned() } else { format!("user {}", meta.uid()) };
    format!("It is {user}'s and group {group}'s, mode {:04o}. ", meta.mode() & 0o7777)
}

/// A clone writes under another device's prefix.
fn cloned(config: &Config) -> Option<Finding> {
    let text = config.identity.cloned.as_ref()?;
    let (what, help) =
        text.split_once(". ").unwrap_or((text, "see docs/operate.md, alarm `cloned`"));
    Some(Finding::wrong(Check::Config, what, sentence(help)))
}

/// The remedies of the configuration begin small and have no end.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '?', '`']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_denied_file_is_found_in_the_words() {
        let what = "cannot read /etc/vedette/store.credentials: Permission denied (os error 13)";
        assert_eq!(denied(what), Some("/etc/vedette/store.credentials".into()));
        assert_eq!(denied("cannot read /x: No such file or directory (os error 2)"), None);
        assert_eq!(denied("no key"), None);
    }

    #[test]
    fn remedies_are_sentences() {
        assert_eq!(sentence("did you mean `x`?"), "Did you mean `x`?");
        assert_eq!(sentence("save it"), "Save it.");
        assert_eq!(sentence(""), ".");
    }
}
