//! The reader against libjpeg-turbo over many encoders' files: those of `tests/jpeg/sample`, which are
//! there always, or those of the folder that `VEDETTE_JPEG_CORPUS` names. `tests/jpeg/run` makes the whole
//! corpus, names it, and prints the table of docs/jpeg.md.
//!
//! What is right stands beside each picture: what libjpeg-turbo's djpeg makes of it at 1/8 scale in grey.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::*;

/// One line of `index.tsv`.
struct Entry {
    encoder: String,
    version: String,
    sampling: String,
    variant: String,
    size: (u32, u32),
    read: bool,
    path: PathBuf,
}

fn folder() -> PathBuf {
    std::env::var_os("VEDETTE_JPEG_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpeg/sample"),
        PathBuf::from,
    )
}

fn entries() -> Vec<Entry> {
    let folder = folder();
    let index = std::fs::read_to_string(folder.join("index.tsv")).unwrap();
    let entry = |line: &str| {
        let [encoder, version, sampling, variant, width, height, what, file] =
            line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        Entry {
            encoder: encoder.into(),
            version: version.into(),
            sampling: sampling.into(),
            variant: variant.into(),
            size: (width.parse().unwrap(), height.parse().unwrap()),
            read: what == "read",
            path: folder.join(file),
        }
    };
    index.lines().skip(1).map(entry).collect()
}

/// A binary PGM as djpeg writes it: `P5`, width and height, 255, samples.
fn expected(jpeg: &Path) -> Luma {
    let pgm = std::fs::read(jpeg.with_extension("pgm")).unwrap();
    let head = pgm.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i).nth(2).unwrap();
    let words = std::str::from_utf8(&pgm[..head]).unwrap().split_whitespace();
    let words: Vec<usize> = words.skip(1).map(|w| w.parse().unwrap()).collect();
    Luma { width: words[0], height: words[1], data: pgm[head + 1..].to_vec() }
}

#[test]
fn grey_levels_are_those_of_libjpeg_turbo_for_every_encoder() {
    let mut reader = DcReader::new();
    let (mut counts, mut wrong) = (BTreeMap::new(), Vec::new());
    let entries = entries();
    for entry in &entries {
        let jpeg = std::fs::read(&entry.path).unwrap();
        let right = match reader.read(&jpeg) {
            Ok(()) if entry.read => {
                let same = *reader.luma() == expected(&entry.path);
                same && header(&jpeg) == Ok(reader.size())
            }
            Ok(()) => false,
            Err(why) => {
                let named = matches!(
                    why,
                    JpegError::Progressive
                        | JpegError::Arithmetic
                        | JpegError::Lossless
                        | JpegError::Unsupported(_)
                );
                !entry.read && named
            }
        };
        if !right {
            wrong.push(&entry.path);
        }
        let kind = (&entry.encoder, &entry.version, &entry.sampling, entry.read);
        let count = counts.entry(kind).or_insert((0, 0, BTreeSet::new()));
        (count.0, count.1) = (count.0 + 1, count.1 + usize::from(right));
        count.2.insert(&entry.variant);
    }
    println!(
        "| encoder | version | sampling | pictures | exact | variants |\n|---|---|---|---|---|---|"
    );
    for ((encoder, version, sampling, read), (all, exact, variants)) in counts {
        let exact = if read { exact.to_string() } else { format!("{exact} refused by name") };
        let variants = variants.into_iter().cloned().collect::<Vec<_>>().join(", ");
        println!("| {encoder} | {version} | {sampling} | {all} | {exact} | {variants} |");
    }
    let read = entries.iter().filter(|e| e.read).count();
    println!("\n{} pictures, {read} of them read, {} wrong", entries.len(), wrong.len());
    assert_eq!(wrong, Vec::<&PathBuf>::new());
}

#[test]
fn the_corpus_has_what_is_asked_of_it() {
    let entries = entries();
    let read = || entries.iter().filter(|e| e.read);
    let encoders: BTreeSet<_> = read().map(|e| &e.encoder).collect();
    assert!(read().count() >= 200 && encoders.len() >= 6, "{} of {encoders:?}", read().count());
    for sampling in ["grey", "444", "422", "420", "440", "411", "410"] {
        assert!(read().any(|e| e.sampling == sampling), "{sampling}");
    }
    for variant in ["no-tables", "no-tables-avi1", "two-fields", "fill-bytes", "appn", "no-end"] {
        assert!(read().any(|e| e.variant == variant), "{variant}");
    }
    assert!(read().any(|e| e.size == (1, 1)) && read().any(|e| e.size.0 % 8 != 0));
    for variant in ["progressive", "arithmetic", "lossless"] {
        assert!(entries.iter().any(|e| !e.read && e.variant == variant), "{variant}");
    }
}
