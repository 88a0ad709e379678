//! Debian's changelog, made of `CHANGELOG.md`: its newest section as the one entry of this package. Pure.

use anyhow::{Context, ensure};

/// Who packages: as in `Cargo.toml`, `[package.metadata.deb]`; a test holds them alike.
const MAINTAINER: &str = "Vedette maintainers <maintainers@vedette.example>";

/// The changelog of `version` in Debian's format, of the newest section of `markdown`.
///
/// # Errors
/// There is no section, or it has no item.
pub(crate) fn debian(
    markdown: &str,
    version: &str,
    date: &jiff::Timestamp,
) -> anyhow::Result<String> {
    let newest = markdown.split("\n## ").nth(1).context("CHANGELOG.md has no section")?;
    // An item's lines, joined, to be broken anew; a heading as it is.
    let mut parts: Vec<String> = Vec::new();
    for line in newest.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        match parts.last_mut() {
            Some(item) if !line.starts_with(['-', '#']) => {
                item.push(' ');
                item.push_str(line.trim());
            }
            _ => parts.push(line.trim().to_owned()),
        }
    }
    let items: String = parts.iter().map(|part| entry(part)).collect();
    ensure!(items.contains("\n  * "), "CHANGELOG.md's newest section has no item");
    let day = date.strftime("%a, %d %b %Y %H:%M:%S +0000");
    Ok(format!(
        "vedette ({version}-1) unstable; urgency=medium\n{items}\n -- {MAINTAINER}  {day}\n"
    ))
}

fn entry(part: &str) -> String {
    match (part.strip_prefix("### "), part.strip_prefix("- ")) {
        (Some(kind), _) => format!("\n  [ {kind} ]\n"),
        (None, Some(item)) => wrapped("  * ", item),
        (None, None) => wrapped("    ", part),
    }
}

/// The line, broken before column 78, its parts indented alike.
fn wrapped(first: &str, line: &str) -> String {
    let mut out = String::from(first);
    let mut column = first.len();
    for (number, word) in line.replace("**", "").split(' ').enumerate() {
        if number > 0 && column + 1 + word.chars().count() > 78 {
            out += "\n    ";
            column = 4;
        } else if number > 0 {
            out.push(' ');
            column += 1;
        }
        out += word;
        column += word.chars().count();
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Changelog\n\n## Unreleased\n\n### Added\n- One\n  and **more**.\n- Two\n\n## 0.0.1\n- Old\n";

    #[test]
    fn the_newest_section_becomes_the_entry_and_older_ones_do_not() {
        let said = debian(TEXT, "0.1.0", &jiff::Timestamp::UNIX_EPOCH).unwrap();
        let wanted = format!(
            "vedette (0.1.0-1) unstable; urgency=medium\n\n  [ Added ]\n  * One and more.\n  * Two\n\n \
             -- {MAINTAINER}  Thu, 01 Jan 1970 00:00:00 +0000\n"
        );
        assert_eq!(said, wanted);
    }

    #[test]
    fn the_projects_own_changelog_gives_lines_that_debian_takes() {
        let text = include_str!("../../CHANGELOG.md");
        let said = debian(text, "0.1.0", &jiff::Timestamp::UNIX_EPOCH).unwrap();
        assert!(
            said.lines().all(|line| line.chars().count() <= 80 || line.starts_with(" -- ")),
            "{said}"
        );
    }

    #[test]
    fn the_packager_is_the_same_in_the_manifest() {
        assert!(
            include_str!("../../Cargo.toml").contains(&format!("maintainer = \"{MAINTAINER}\""))
        );
    }

    #[test]
    fn a_changelog_without_items_is_refused() {
        for text in ["# Changelog\n", "# Changelog\n\n## 1\n"] {
            assert!(debian(text, "1", &jiff::Timestamp::UNIX_EPOCH).is_err());
        }
    }
}
