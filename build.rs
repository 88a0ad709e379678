//! Tells the program when it was built: the floor below which no certificate is checked.
//!
//! `SOURCE_DATE_EPOCH` (seconds since 1970) decides where it is set, so that builds can be repeated bit
//! for bit. Otherwise it is today, rounded down to the day, so that a rebuild within it changes nothing.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

fn main() {
    let told = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|s| s.trim().parse::<u64>().ok());
    let today = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let epoch = told.unwrap_or_else(today) / DAY * DAY;
    #[allow(clippy::print_stdout)]
    {
        println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
        println!("cargo::rerun-if-changed=build.rs");
        println!("cargo::rustc-env=VEDETTE_BUILD_EPOCH={epoch}");
    }
}
