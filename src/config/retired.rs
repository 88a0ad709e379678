//! Keys of earlier versions: taken as what they are called now, and told.
//!
//! An upgrade must not leave a camera dead because a key got another name. So a key that is renamed or
//! removed gets a line in [`RETIRED`], in the same change, for as long as files with it may be out there.
//! The old key then works as the new one did where it stood (a value that is no longer right is an error
//! at its own place), and `vedette check` and the log say what to write instead. What stands in no line
//! here and is not known is an error, as every typing mistake must be; a device that meets one after an
//! upgrade runs its last good configuration. Pure.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::merge::Note;

/// What became of keys of earlier versions.
pub(crate) const RETIRED: &[Retired] = &[];

/// A key that is no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retired {
    /// Where it was: names with dots between them; `*` is any name.
    pub(crate) key: &'static str,
    /// The version without it.
    pub(crate) since: &'static str,
    /// What to do with it.
    pub(crate) fate: Fate,
}

/// What became of a key.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), allow(dead_code, reason = "no key was retired yet; the tests retire some"))]
pub(crate) enum Fate {
    /// It stands there now; each `*` is what it was in the old place, in order.
    Renamed(&'static str),
    /// It has no effect any more; says why, or what does its work now.
    Removed(&'static str),
}

/// Puts every retired key of one file's tree where it belongs; what was done, in words.
pub(crate) fn replace(root: &mut DeTable<'_>, retired: &[Retired]) -> Vec<Note> {
    retired.iter().flat_map(|one| replace_one(root, one)).collect()
}

fn replace_one(root: &mut DeTable<'_>, retired: &Retired) -> Vec<Note> {
    let pattern: Vec<&str> = retired.key.split('.').collect();
    let found = paths(root, &pattern);
    let replace = |path: Vec<String>| {
        let (key, value) = take(root, &path)?;
        let (old, span, since) = (path.join("."), key.span(), retired.since);
        let what = match retired.fate {
            Fate::Removed(why) => format!("`{old}` has no effect since version {since}: {why}"),
            Fate::Renamed(pattern) => {
                let new = filled(pattern, &retired.key.split('.').zip(&path).collect::<Vec<_>>());
                match put(root, &new, key, value) {
                    true => format!("`{old}` is called `{}` since version {since}", new.join(".")),
                    // Who wrote both meant the one that is read.
                    false => format!("`{old}` is not read: `{}` stands there too", new.join(".")),
                }
            }
        };
        Some(Note { span, what })
    };
    found.into_iter().filter_map(replace).collect()
}

/// The new place, its `*` filled with what those of the old one were.
fn filled(pattern: &str, old: &[(&str, &String)]) -> Vec<String> {
    let mut wild = old.iter().filter(|(name, _)| *name == "*").map(|(_, is)| (*is).clone());
    let fill = |name: &str| match name {
        "*" => wild.next().unwrap_or_default(),
        name => name.to_owned(),
    };
    pattern.split('.').map(fill).collect()
}

/// Every path of the tree that fits the pattern.
fn paths(table: &DeTable<'_>, pattern: &[&str]) -> Vec<Vec<String>> {
    let Some((first, rest)) = pattern.split_first() else { return Vec::new() };
    let fits = |name: &str| *first == "*" || *first == name;
    let mut out = Vec::new();
    for (key, value) in table.iter().filter(|(key, _)| fits(key.get_ref())) {
        let name = key.get_ref().to_string();
        match value.get_ref().as_table() {
            _ if rest.is_empty() => out.push(vec![name]),
            Some(inner) => out.extend(paths(inner, rest).into_iter().map(|mut path| {
                path.insert(0, name.clone());
                path
            })),
            None => {}
        }
    }
    out
}

type Entry<'s> = (Spanned<toml::de::DeString<'s>>, Spanned<DeValue<'s>>);

fn take<'s>(table: &mut DeTable<'s>, path: &[String]) -> Option<Entry<'s>> {
    match path {
        [] => None,
        [last] => table.remove_entry(last.as_str()),
        [first, rest @ ..] => {
            let DeValue::Table(inner) = table.get_mut(first.as_str())?.get_mut() else {
                return None;
            };
            let taken = take(inner, rest);
            // A table that was there for this key alone may be no more, too.
            if taken.is_some() && inner.is_empty() {
                table.remove(first.as_str());
            }
            taken
        }
    }
}

/// Puts the value there unless something is there already; tables on the way are made.
fn put<'s>(
    table: &mut DeTable<'s>,
    path: &[String],
    key: Spanned<toml::de::DeString<'s>>,
    value: Spanned<DeValue<'s>>,
) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    let name = Spanned::new(key.span(), first.clone().into());
    if rest.is_empty() {
        let free = !table.contains_key(first.as_str());
        if free {
            table.insert(name, value);
        }
        return free;
    }
    if !table.contains_key(first.as_str()) {
        table.insert(name, Spanned::new(key.span(), DeValue::Table(DeTable::new())));
    }
    match table.get_mut(first.as_str()).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => put(inner, rest, key, value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Retired] = &[
        Retired { key: "camera.*.pause", since: "0.2", fate: Fate::Renamed("camera.*.interval") },
        Retired { key: "disk.room", since: "0.2", fate: Fate::Renamed("spool.max_bytes") },
        Retired {
            key: "log.colour",
            since: "0.3",
            fate: Fate::Removed("colours follow the terminal"),
        },
    ];

    fn replaced(text: &str) -> (String, Vec<String>) {
        let mut root = DeTable::parse(text).unwrap().into_inner();
        let notes = replace(&mut root, TABLE).into_iter().map(|note| note.what).collect();
        (format!("{:?}", plain(&root)), notes)
    }

    /// Leaves by their dotted path.
    fn plain(table: &DeTable<'_>) -> Vec<String> {
        let each = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let key: &std::borrow::Cow<'_, str> = key.get_ref();
            match value.get_ref() {
                DeValue::Table(inner) if inner.is_empty() => vec![format!("{key}={{}}")],
                DeValue::Table(inner) => {
                    plain(inner).into_iter().map(|rest| format!("{key}.{rest}")).collect()
                }
                other => vec![format!("{key}={}", other.as_str().unwrap_or("?"))],
            }
        };
        table.iter().flat_map(each).collect()
    }

    #[test]
    fn a_renamed_key_works_under_its_new_name_and_says_so() {
        let (tree, notes) = replaced("camera.a.pause = '1s'\n[camera.b]\npause = '2s'\n");
        assert_eq!(tree, r#"["camera.a.interval=1s", "camera.b.interval=2s"]"#);
        assert_eq!(notes[0], "`camera.a.pause` is called `camera.a.interval` since version 0.2");
        assert_eq!(notes.len(), 2);
    }

    #[test]
    fn a_key_may_have_moved_to_a_table_that_is_not_there() {
        let (tree, _) = replaced("[disk]\nroom = '1 GiB'\n");
        assert_eq!(tree, r#"["spool.max_bytes=1 GiB"]"#);
    }

    #[test]
    fn a_removed_key_says_why_and_the_new_name_wins_over_the_old() {
        let (tree, notes) =
            replaced("log.colour = 'red'\ncamera.a = {pause = 'x', interval = 'y'}");
        assert_eq!(tree, r#"["camera.a.interval=y"]"#);
        assert!(
            notes[0].contains("is not read: `camera.a.interval` stands there too"),
            "{notes:?}"
        );
        assert!(notes[1].contains("no effect since version 0.3: colours follow"), "{notes:?}");
    }
}
