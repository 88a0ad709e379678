//! Makes what stands beside the binary in a package: man pages, shell completions, Debian's changelog.
//!
//! `tools/deb` runs it, `cargo run --example pages -- OUT EPOCH` does so by hand. All of it is made of
//! what the project already says (the CLI's own definition, `config/vedette.toml`, `CHANGELOG.md`), so
//! that nothing is said twice. It is an example, so that the shipped binary holds none of it. The same
//! source and the same `EPOCH` (seconds since 1970, the papers' date) give the same bytes.
//!
//! ```text
//! OUT/man/vedette.1  vedette-<subcommand>.1  vedette.toml.5
//! OUT/bash/vedette   zsh/_vedette            fish/vedette.fish
//! OUT/changelog      OUT/version
//! ```

mod changelog;
mod man;
mod reference;
mod roff;

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};
use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use vedette::cli::Cli;

/// The package's version, as cargo knows it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let (Some(out), Some(epoch), None) = (args.next(), args.next(), args.next()) else {
        return Err(anyhow!("usage: pages OUT EPOCH"));
    };
    let epoch = epoch.to_str().and_then(|e| e.parse().ok()).context("EPOCH is not a number")?;
    let date = jiff::Timestamp::from_second(epoch).context("EPOCH is no time")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).context(name.to_owned());

    let out = Path::new(&out);
    for folder in ["man", "bash", "zsh", "fish"] {
        fs::create_dir_all(out.join(folder))?;
    }
    for (name, text) in man::pages(&date) {
        fs::write(out.join("man").join(name), text)?;
    }
    let toml = reference::page(&read("config/vedette.toml")?, &date);
    fs::write(out.join("man/vedette.toml.5"), toml)?;
    for (shell, folder) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        generate_to(shell, &mut Cli::command(), "vedette", out.join(folder))?;
    }
    // The name by which bash-completion finds it.
    fs::rename(out.join("bash/vedette.bash"), out.join("bash/vedette"))?;
    fs::write(out.join("changelog"), changelog::debian(&read("CHANGELOG.md")?, VERSION, &date)?)?;
    fs::write(out.join("version"), VERSION)?;
    Ok(())
}
