//! What must hold for whatever bytes come from outside, one function for each fuzz target: it takes the
//! bytes, and panics where something does not hold.
//!
//! `targets/` hands them to libFuzzer. The tests here replay the kept inputs of `corpus/` and mutations of
//! them by seed, without an engine, so that they run wherever Rust does.

pub mod plain;

use std::cell::RefCell;
use std::time::Duration;

use vedette_pure::clock::{BootTime, WallTime};
use vedette_pure::contract::key::KeyTemplate;
use vedette_pure::firstpass::jpeg_dc::{self, DcReader};
use vedette_pure::spool::trailer;
use vedette_pure::still::passthrough;
use vedette_pure::upload::classify::{Answer, Headers, classify};

/// Reading a JPEG's means: a reader that has seen much says what a new one says, and both say what
/// [`plain`] says, which decodes symbol by symbol as the standard has it.
pub fn jpeg_dc(bytes: &[u8]) {
    thread_local!(static USED: RefCell<DcReader> = RefCell::new(DcReader::new()));
    let size = jpeg_dc::header(bytes);
    let mut fresh = DcReader::new();
    let read = fresh.read(bytes);
    USED.with_borrow_mut(|used| {
        assert_eq!(used.read(bytes), read, "a used reader and a new one");
        if read.is_ok() {
            assert_eq!(used.size(), fresh.size());
            assert_eq!(used.luma(), fresh.luma());
            assert_eq!(used.block_bits(), fresh.block_bits());
            assert_eq!(used.ac_step(), fresh.ac_step());
        }
    });
    match (read, plain::read(bytes)) {
        (Ok(()), Some(plain)) => {
            assert_eq!(size, Ok(fresh.size()));
            assert_eq!(fresh.size(), plain.size);
            assert_eq!(fresh.luma().data, plain.luma);
            assert_eq!(fresh.block_bits(), plain.bits);
        }
        (Ok(()), None) => panic!("read what the plain decoder refuses"),
        (Err(why), Some(_)) => panic!("refused what the plain decoder reads: {why}"),
        (Err(_), None) => {}
    }
}

/// The normal form of a frame: making it twice changes nothing, and what the first pass sees in it is what
/// it saw in the frame.
pub fn normal_form(bytes: &[u8]) {
    let Ok(normal) = passthrough::normal_form(bytes, None) else { return };
    assert_eq!(passthrough::normal_form(&normal, None).as_ref(), Ok(&normal), "made twice");
    assert!(normal.ends_with(&[0xff, 0xd9]));
    let (mut before, mut after) = (DcReader::new(), DcReader::new());
    if before.read(bytes).is_ok() {
        assert_eq!(after.read(&normal), Ok(()));
        assert_eq!(after.luma(), before.luma());
    }
    let with = passthrough::normal_form(bytes, Some(b"II*\0\x08\0\0\0\0\0")).expect("short Exif");
    assert_eq!(passthrough::normal_form(&with, None), Ok(normal), "Exif put in and taken out");
}

/// A spool file: what is read of it can be written, and is then read again.
pub fn trailer(bytes: &[u8]) {
    let Ok((facts, len)) = trailer::decode(bytes) else { return };
    let _ = trailer::verify_body(&facts, &bytes[..len]);
    let again = trailer::encode(&facts).expect("what was read can be written");
    let file = [&bytes[..len], &again].concat();
    assert_eq!(trailer::decode(&file).expect("what was written can be read"), (facts, len));
}

/// A store's answer: status, headers line by line, an empty line, the body.
pub fn answer(bytes: &[u8]) {
    let [high, low, rest @ ..] = bytes else { return };
    let split = rest.windows(2).position(|w| w == b"\n\n").unwrap_or(rest.len());
    let head = String::from_utf8_lossy(&rest[..split]);
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let answer = Answer {
        status: u16::from_be_bytes([*high, *low]) % 1000,
        headers: Headers::read(headers),
        body: rest.get(split + 2..).unwrap_or_default().to_vec(),
        sent: BootTime(0),
        received: BootTime(0) + Duration::from_millis(30),
    };
    let ours = WallTime(1_760_000_000_000);
    assert_eq!(classify(&answer, ours), classify(&answer, ours), "the same answer twice");
}

/// A key template: what is accepted is accepted again once the device's own fields are filled in.
pub fn key_template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(template) = KeyTemplate::parse(text) else { return };
    let labels = std::collections::BTreeMap::from([("a".to_owned(), "value".to_owned())]);
    if let Ok(filled) = template.fill_device("device", Some("site"), Some("tenant"), &labels) {
        assert!(KeyTemplate::parse(&filled).is_ok(), "{text} becomes {filled}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TARGETS: [(&str, fn(&[u8])); 5] = [
        ("jpeg_dc", jpeg_dc),
        ("normal_form", normal_form),
        ("trailer", trailer),
        ("answer", answer),
        ("key_template", key_template),
    ];

    fn files(folder: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
    }

    /// Multiplication and shift: enough for mutations, and without a crate.
    struct Seeded(u64);

    impl Seeded {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((self.0 >> 33) as usize) % n
        }
    }

    fn mutated(seed: &[u8], random: &mut Seeded) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=random.below(6) {
            if bytes.is_empty() {
                break;
            }
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes.insert(at, random.below(256) as u8),
                _ => bytes[at] = random.below(256) as u8,
            }
        }
        bytes
    }

    #[test]
    fn kept_inputs_and_mutations_of_them_hold() {
        let pictures = files("../tests/fixtures/jpeg");
        for (name, check) in TARGETS {
            let mut inputs = files(&format!("corpus/{name}"));
            assert!(!inputs.is_empty(), "{name} has no kept inputs");
            if matches!(name, "jpeg_dc" | "normal_form") {
                inputs.extend(pictures.iter().cloned());
            }
            inputs.iter().for_each(|input| check(input));
            let mut random = Seeded(1);
            for _ in 0..2000 {
                let seed = &inputs[random.below(inputs.len())];
                check(&mutated(seed, &mut random));
            }
        }
    }

    #[test]
    fn every_target_is_tried_here() {
        let manifest = include_str!("../Cargo.toml");
        let named: Vec<_> = manifest
            .lines()
            .filter_map(|line| line.strip_prefix("path = \"targets/"))
            .map(|rest| rest.trim_end_matches(".rs\""))
            .collect();
        assert_eq!(named, TARGETS.map(|(name, _)| name));
    }
}
