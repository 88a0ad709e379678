//! The service as it is shipped: what must hold between the unit and the program, and that every setting
//! says why it is there. Its exposure is held by `tools/check-unit`, where systemd-analyze is installed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The value of a setting that stands there once.
fn setting<'u>(unit: &'u str, name: &str) -> &'u str {
    let values: Vec<_> =
        unit.lines().filter_map(|l| l.strip_prefix(name)?.strip_prefix('=')).collect();
    let [value] = values.as_slice() else { panic!("{name}: {values:?}") };
    value
}

#[test]
fn the_unit_waits_longer_than_the_agent_needs_to_stop() {
    let unit = shipped("systemd/vedette.service");
    let wall: u64 = setting(&unit, "TimeoutStopSec").parse().unwrap();
    let code = shipped("src/agent/stop.rs")
        + &shipped("src/agent/link.rs")
        + &shipped("src/agent/report.rs");
    let seconds = |name: &str| -> u64 {
        let (_, rest) =
            code.split_once(&format!("const {name}: Duration = Duration::from_secs(")).unwrap();
        rest.split_once(')').unwrap().0.parse().unwrap()
    };
    let steps =
        ["CAMERAS_END", "STILL_END", "UPLOADS_END", "DESK_END", "MQTT_END", "SPOOL_END", "LEDGER"];
    let own: u64 = steps.iter().map(|name| seconds(name)).sum();
    assert_eq!(own, 23, "say it anew in stop.rs, the unit and docs/operate.md");
    assert!(wall >= own + 5, "{wall} s for {own} s");
}

#[test]
fn nothing_in_the_unit_makes_a_dead_camera() {
    let unit = shipped("systemd/vedette.service");
    assert!(setting(&unit, "ExecStartPre").starts_with('-'), "a check warns, it never blocks");
    assert_eq!(setting(&unit, "StartLimitIntervalSec"), "0");
    assert_eq!((setting(&unit, "Restart"), setting(&unit, "Type")), ("always", "notify"));
    for never in
        ["RestartPreventExitStatus", "network-online.target", "time-sync.target", "ConditionPath"]
    {
        assert!(!unit.lines().any(|l| !l.starts_with('#') && l.contains(never)), "{never}");
    }
    // A credential that is named with a path and is not there stops the start.
    for file in ["systemd/vedette.service", "systemd/credentials.conf"] {
        let text = shipped(file);
        let credentials =
            text.lines().filter(|l| l.trim_start_matches('#').starts_with("LoadCredential"));
        credentials.for_each(|line| assert!(!line.contains(':'), "{file}: {line}"));
    }
}

/// A comment speaks for all settings up to the next blank line.
#[test]
fn every_setting_says_why_it_is_there() {
    for name in [
        "vedette.service",
        "vedette-exec.conf",
        "local-store.conf",
        "kernel-clock.conf",
        "credentials.conf",
    ] {
        let text = shipped(&format!("systemd/{name}"));
        let head = text.lines().next().unwrap();
        assert!(head.starts_with("# "), "{name} does not say what it is");
        for block in text.split("\n\n") {
            let mut explained = false;
            for line in block.lines() {
                explained |= line.starts_with("# ");
                let bare = line.contains('=') && !line.starts_with('#') && !explained;
                // What a unit is called, and when it is wanted, explain themselves.
                let plain = line.starts_with("Description=") || line.starts_with("WantedBy=");
                assert!(!bare || plain, "{name}: `{line}` does not say why");
            }
        }
    }
}

#[test]
fn check_reads_a_configuration_in_a_moment_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vedette.toml");
    fs::write(
        &file,
        "camera.front.v4l2.device = \"/dev/video0\"\n[destination.s3]\nendpoint = \"https://no-such-host.invalid\"\n\
         bucket = \"pictures\"\ncredentials_file = \"keys\"\n[mqtt]\nbroker = \"mqtts://no-such-host.invalid\"\n",
    )
    .unwrap();
    fs::write(dir.path().join("keys"), "aws_access_key_id = a\naws_secret_access_key = b\n")
        .unwrap();
    let before = fs::read_dir(dir.path()).unwrap().count();
    // No network at all, where one may be had: nothing in it may be asked.
    let bin = env!("CARGO_BIN_EXE_vedette");
    let alone =
        Command::new("unshare").args(["-rn", "true"]).output().is_ok_and(|o| o.status.success());
    let mut command = match alone {
        true => Command::new("unshare"),
        false => Command::new(bin),
    };
    if alone {
        command.args(["-rn", bin]);
    }
    command.args(["check", "--config"]).arg(&file).arg("--state-dir").arg(dir.path().join("state"));
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before);
}
