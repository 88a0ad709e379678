//! What counts the bytes that reach a disk.

use std::path::{Path, PathBuf};

/// What is below the file system.
pub(crate) enum Medium {
    /// The counters of a block device, Documentation/block/stat.rst.
    Block(PathBuf),
    /// A histogram (Documentation/trace/histogram.rst) of the lengths, as `len`, that UBI wrote to its chip, headers
    /// of its own included. UBI has no counters.
    Ubi(PathBuf),
}

/// Since the medium is there.
#[derive(Clone, Copy)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// Where there is such a thing: a NAND chip has no cache to be flushed.
    pub(crate) flushes: Option<u64>,
}

impl Medium {
    pub(crate) fn from_env() -> Option<Self> {
        if let Some(histogram) = std::env::var_os("SPOOL_FLASH") {
            return Some(Self::Ubi(histogram.into()));
        }
        let device = std::env::var_os("SPOOL_DEVICE")?;
        Some(Self::Block(Path::new("/sys/block").join(device).join("stat")))
    }

    pub(crate) fn written(&self) -> Written {
        let read = |path| std::fs::read_to_string(path).expect("the medium's counters");
        match self {
            Self::Block(stat) => {
                let text = read(stat);
                let field = |n: usize| text.split_whitespace().nth(n)?.parse::<u64>().ok();
                Written {
                    bytes: field(6).expect("sectors written") * 512,
                    flushes: Some(field(15).expect("flushes, Linux 5.5 or newer")),
                }
            }
            Self::Ubi(histogram) => {
                let lines = read(histogram);
                Written { bytes: lines.lines().filter_map(entry).sum(), flushes: None }
            }
        }
    }
}

/// The bytes of one entry: `{ len:       2048 } hitcount:         12`.
fn entry(line: &str) -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        line.split_once(name)?.1.split_whitespace().next()?.parse().ok()
    };
    Some(number("{ len:")? * number("hitcount:")?)
}
