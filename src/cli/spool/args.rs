//! What `vedette spool` understands.

use std::path::PathBuf;

use crate::cli::ConfigArgs;
use crate::contract::Class;
use crate::spool::browse::{Filter, Held};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// List pictures, by number.
    Ls(Ls),
    /// Show all that is known of one picture.
    Show(Show),
    /// Read every file, hold it against the index, and say what is wrong.
    Check(Check),
    /// Send again what was set aside, and at once what rests after a refusal.
    Retry(Retry),
    /// Remove pictures for good, with a receipt of what was removed.
    Purge(Purge),
    /// Copy pictures into a directory, under their keys, with what is known of each.
    Export(Export),
}

#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// The agent's control socket. By default as the configuration says.
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Of this camera.
    #[arg(long, value_name = "NAME")]
    pub(super) camera: Option<String>,
    /// Of this worth.
    #[arg(long, value_name = "CLASS")]
    pub(super) class: Option<ClassArg>,
    /// In this state.
    #[arg(long, value_name = "STATE")]
    pub(super) state: Option<StateArg>,
    /// From this number on.
    #[arg(long, value_name = "SEQ")]
    pub(super) from: Option<u64>,
    /// Up to this number.
    #[arg(long, value_name = "SEQ")]
    pub(super) to: Option<u64>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum ClassArg {
    /// Taken because time went by.
    Interval,
    /// Further pictures of events.
    Event,
    /// Best of their event, or asked for.
    Best,
    /// Accounts of events.
    Manifest,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum StateArg {
    /// Waits for a trusted clock.
    Waiting,
    /// Is to be sent.
    Queued,
    /// Was set aside.
    Quarantined,
}

impl Which {
    /// As the spool is asked.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            camera: self.camera.clone(),
            class: self.class.map(|class| match class {
                ClassArg::Interval => Class::Interval,
                ClassArg::Event => Class::Event,
                ClassArg::Best => Class::Best,
                ClassArg::Manifest => Class::Manifest,
            }),
            held: self.state.map(|state| match state {
                StateArg::Waiting => Held::Waiting,
                StateArg::Queued => Held::Queued,
                StateArg::Quarantined => Held::Quarantined,
            }),
            from: self.from,
            to: self.to,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Ls {
    #[command(flatten)]
    pub(super) which: Which,
    /// Most lines.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) limit: usize,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// The picture's number.
    pub(super) seq: u64,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Put right what is wrong: what is missing is counted lost, what is corrupt is set aside, whole pictures without a
    /// row are queued, and what is no picture is removed.
    #[arg(long)]
    pub(super) repair: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    #[command(flatten)]
    pub(super) which: Which,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Purge {
    #[command(flatten)]
    pub(super) which: Which,
    /// All pictures, where nothing else says which.
    #[arg(long)]
    pub(super) all: bool,
    /// Remove them; without it they are only counted.
    #[arg(long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    pub(super) which: Which,
    /// Directory to copy into; made where it is missing.
    pub(super) directory: PathBuf,
    #[command(flatten)]
    pub(super) common: Common,
}
