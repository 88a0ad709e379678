//! One archive for support: what is known of this device, with every secret removed.
//!
//! Called by `vedette diagnose`. Each part is collected with a limit of its own, and everything, without
//! exception, goes through one [`Scrubber`] before it is packed: a part that knows of no secret may hold
//! one in an error text. No picture is ever part of it. What is in the archive, and what was left out, stands
//! in its `README.txt`, for the person who sends it to read first.
//!
//! Size: the parts together have at most [`MOST`] bytes before they are packed, so the archive is always
//! below 5 MB. Failure: a part that cannot be had is there with the reason.

mod files;
mod parts;
mod scrub;

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use self::scrub::Scrubber;
use crate::config::{self, Config};
use crate::doctor::command;

/// All parts together, not yet packed; a part that would go beyond loses its beginning.
pub const MOST: usize = 4 << 20;

/// Longest wait for any one disk or program.
const LIMIT: Duration = Duration::from_secs(10);

/// What to collect.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The configuration.
    pub config: PathBuf,
    /// Its surroundings.
    pub context: config::Context,
    /// The systemd unit.
    pub unit: String,
    /// Hears what is collected now.
    pub progress: fn(&str),
}

/// One file of the archive.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// What it is, for `README.txt`.
    pub what: &'static str,
    /// Its text.
    pub text: String,
}

/// An archive, and what it is made of.
#[derive(Debug)]
pub struct Archive {
    /// `vedette-diagnose-DEVICE-TIME`: the one folder in it, and its name without the suffix.
    pub name: String,
    /// The packed bytes, a `.tar.gz`.
    pub bytes: Vec<u8>,
    /// How many files are in it.
    pub files: usize,
    /// The configuration as far as it can be used: for the upload.
    pub config: Option<Config>,
}

/// Collects, scrubs and packs.
///
/// # Errors
/// The archive cannot be packed: there is no memory.
pub fn make(asked: &Asked) -> io::Result<Archive> {
    let (path, context) = (asked.config.clone(), asked.context.clone());
    let loaded = command::within(LIMIT, move || config::load(&path, &context).ok());
    let config = loaded.flatten().map(|loaded| loaded.config);
    let scrubber = Scrubber::new(asked, config.as_ref());
    let mut parts = parts::collect(asked, config.as_ref());
    let mut left = MOST;
    for part in &mut parts {
        part.text = scrubber.scrub(&part.text);
        part.text = tail(&part.text, left).to_owned();
        left -= part.text.len();
    }
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let device = config.as_ref().map_or("unknown", |c| c.identity.device.as_str());
    let name = format!("vedette-diagnose-{device}-{now}");
    let readme = Part { name: "README.txt", what: "this list", text: readme(&name, &parts) };
    parts.insert(0, readme);
    Ok(Archive { bytes: pack(&name, &parts)?, name, files: parts.len(), config })
}

/// The end of a text, from a line's beginning: the newest lines of a log stand there.
fn tail(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let from = text.len() - most;
    let mut lines = text.match_indices('\n').map(|(at, end)| at + end.len());
    lines.find(|at| *at >= from).map_or("", |at| &text[at..])
}

fn readme(name: &str, parts: &[Part]) -> String {
    let mut out = format!(
        "{name}, by vedette {}\n\nFor support. Read it before you send it: it is all text.\n\nWhat is in it:\n\n",
        env!("CARGO_PKG_VERSION")
    );
    for part in parts {
        writeln!(out, "  {:<18} {}", part.name, part.what).ok(); // a String takes all
    }
    out.push_str(
        "\nWhat was left out, or blotted out (…, ***):\n\n\
         \x20 - pictures: none, and none of their names\n\
         \x20 - keys, passwords, tokens, private keys: the files that hold them are not in it, and what stands\n\
         \x20   in them was looked for in every other part; so was what looks like a secret in URLs, in options\n\
         \x20   of commands, behind words such as `password` or `key`, and presigned URLs\n\
         \x20 - values of the unit's environment, and of credentials set in it\n\
         \x20 - serial numbers and network addresses of this hardware, and hashes of them\n\
         \x20 - the host's name, and log lines of anything but vedette\n\n\
         What is still in it: the device id, names of cameras, hosts, buckets, users and files, as your\n\
         configuration has them (also a camera's serial number, where it is named by it).\n",
    );
    out
}

/// A gzipped tar (ustar), readable by its owner alone when unpacked.
fn pack(name: &str, parts: &[Part]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
    for part in parts {
        let mut header = tar::Header::new_ustar();
        header.set_size(part.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        tar.append_data(&mut header, format!("{name}/{}", part.name), part.text.as_bytes())?;
    }
    tar.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_keeps_its_newest_whole_lines() {
        assert_eq!(tail("one\ntwo\nthree\n", 100), "one\ntwo\nthree\n");
        assert_eq!(tail("one\ntwo\nthree\n", 11), "two\nthree\n");
        assert_eq!(tail("one\ntwo\nthree\n", 9), "three\n");
        assert_eq!(tail("é\né\n", 4), "é\n");
        assert_eq!(tail("endless", 3), "");
    }

    #[test]
    fn every_part_is_named_in_the_list_and_can_be_unpacked() {
        let part = Part { name: "a.txt", what: "the letter a", text: "a".into() };
        let list = readme("x", std::slice::from_ref(&part));
        assert!(list.contains("a.txt") && list.contains("the letter a"), "{list}");
        let packed = pack("x", &[part]).unwrap();
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let entry = tar.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("x/a.txt"));
        assert_eq!(entry.header().mode().unwrap(), 0o600);
    }
}
