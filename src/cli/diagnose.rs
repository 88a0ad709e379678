//! `vedette diagnose`: packs what support needs into one archive, with every secret removed.

use std::io::{IsTerminal, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use super::ConfigArgs;
use super::status::bytes;
use crate::diagnose::{self, Archive, Asked};
use crate::doctor::store;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    config: ConfigArgs,
    /// File to write. By default vedette-diagnose-DEVICE-TIME.tar.gz in this directory.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Store it below the device's own prefix, with its own credentials, and print its key. Written to a file
    /// only with `--output`.
    #[arg(long)]
    upload: bool,
    /// The agent's systemd unit.
    #[arg(long, value_name = "NAME", default_value = "vedette.service")]
    unit: String,
}

pub(super) fn run(options: &Options) -> ExitCode {
    match diagnose(options).and_then(|text| Ok(super::print(&text)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::failed(&error),
    }
}

fn diagnose(options: &Options) -> anyhow::Result<String> {
    let terminal = std::io::stderr().is_terminal();
    let asked = Asked {
        config: options.config.config.clone(),
        context: options.config.context(),
        unit: options.unit.clone(),
        progress: if terminal { collecting } else { |_| {} },
    };
    let archive = diagnose::make(&asked).context("packing the archive")?;
    if terminal {
        super::say("\r\u{1b}[K");
    }
    let mut out = String::new();
    if options.output.is_some() || !options.upload {
        let usual = || PathBuf::from(format!("{}.tar.gz", archive.name));
        let path = options.output.clone().unwrap_or_else(usual);
        write(&path, &archive.bytes).with_context(|| format!("writing {}", path.display()))?;
        out += &format!("{}: {}\n", path.display(), words(&archive));
    }
    if options.upload {
        out += &upload(&archive)?;
    }
    Ok(
        out + "Its README.txt says what is in it and what was left out: read it before you send it.\n"
    )
}

fn words(archive: &Archive) -> String {
    format!("{}, {} files", bytes(archive.bytes.len() as u64), archive.files)
}

fn upload(archive: &Archive) -> anyhow::Result<String> {
    let config = archive.config.as_ref();
    let config = config
        .ok_or_else(|| anyhow!("there is no configuration that says where to: copy the file"))?;
    let runtime = super::runtime()?;
    let body = archive.bytes.clone().into();
    let stored = store::upload(config, "diagnose", "tar.gz", body, "application/gzip");
    let stored = runtime.block_on(stored);
    runtime.shutdown_background();
    let key = stored.map_err(|why| anyhow!("it could not be stored: {why}"))?;
    Ok(format!("{key}: {}, in {}\n", words(archive), config.upload.destination))
}

/// Its owner's alone, and never over another file.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

fn collecting(what: &str) {
    super::say(&format!("\r\u{1b}[Kcollecting {what} …"));
}
