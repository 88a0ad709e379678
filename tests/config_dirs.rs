//! Drop-ins as people meet them, and configurations of earlier versions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use vedette::camera::Source;
use vedette::config::{self, Config, ConfigErrors, Context};
use vedette::firstpass::trigger::Keep;
use vedette::identity::{self, Roots};
use vedette::upload::DestinationSettings;

const MAIN: &str = "camera.front.scene.seed = 7\ndestination.dir.path = \"objects\"\n";

const CREDENTIALS: &str =
    "[default]\naws_access_key_id = EXAMPLEKEY\naws_secret_access_key = example/secret+key\n";

const BUCKET: &str = "[destination.s3]\nendpoint = \"https://minio.example\"\nbucket = \"pictures\"\n\
                      credentials_file = \"store.credentials\"\n";

/// A device with a configuration directory of its own.
struct Device(tempfile::TempDir);

impl Device {
    fn new(main: &str) -> Self {
        let device = Self(tempfile::tempdir().unwrap());
        fs::create_dir(device.dir()).unwrap();
        fs::write(device.file(), main).unwrap();
        device
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("vedette.toml")
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("vedette.d")
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        fs::write(self.dir().join(name), text).unwrap();
        self
    }

    fn context(&self) -> Context {
        Context {
            state_dir: self.0.path().join("state"),
            credentials_dir: None,
            roots: Roots::at(self.0.path().join("no-such-machine")),
        }
    }

    fn check(&self) -> Result<Config, ConfigErrors> {
        config::check(&self.file(), &self.context())
    }

    fn good(&self) -> Config {
        self.check().unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn bad(&self) -> ConfigErrors {
        self.check().expect_err("it was accepted")
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn seed(config: &Config) -> u64 {
    match &config.cameras[0].source {
        Source::Scene(scene) => scene.seed,
        other => panic!("no scene: {other}"),
    }
}

// ---- drop-ins

#[test]
fn drop_ins_are_read_in_byte_order_and_the_later_one_wins() {
    let device = Device::new(MAIN);
    device.put("9.toml", "camera.front.scene.seed = 9\n");
    device.put("10-b.toml", "camera.front.scene.seed = 10\ncamera.front.quality = 60\n");
    device.put("B.toml", "log.level = \"debug\"\n").put("a.toml", "log.level = \"warn\"\n");
    let config = device.good();
    assert_eq!((seed(&config), config.cameras[0].profile.quality), (9, 60));
    assert_eq!(format!("{:?}", config.log.level), "Warn");
    let names: Vec<_> = config.files.iter().map(|f| f.file_name().unwrap()).collect();
    assert_eq!(names, ["vedette.toml", "10-b.toml", "9.toml", "B.toml", "a.toml"]);
    assert_eq!(config.source, device.file());
}

#[test]
fn a_drop_in_adds_masks_and_takes_none_away() {
    let mask = |x: &str| format!("[[camera.front.mask]]\npoints = [[0, 0], [{x}, 0], [0, 1]]\n");
    let device = Device::new(&format!("{MAIN}{}", mask("1")));
    device.put("10.toml", mask("0.5")).put("20.toml", "camera.front.mask = []\n");
    assert_eq!(device.good().cameras[0].profile.masks.len(), 2);
    // A place in one of them is still its own file's.
    device.put("30.toml", mask("7"));
    let errors = device.bad().to_string();
    assert!(errors.contains("30.toml:2"), "{errors}");
}

#[test]
fn a_drop_in_may_name_another_alternative_and_one_file_may_not_name_two() {
    let device = Device::new(&format!("{MAIN}[camera.front.motion]\nkeep = \"all\"\n"));
    device.put("10.toml", BUCKET).put("store.credentials", CREDENTIALS);
    device.put("20.toml", "[camera.front]\nexec.command = [\"cam\"]\nmotion.every = \"2s\"\n");
    let config = device.good();
    assert!(matches!(config.upload.destination, DestinationSettings::S3(_)));
    assert!(matches!(config.cameras[0].source, Source::Exec(_)));
    let (_, events) = config.cameras[0].motion.as_ref().unwrap();
    assert!(matches!(events.keep, Keep::Every(_)), "{events:?}");

    device.put("30.toml", format!("destination.dir.path = \"x\"\n{BUCKET}"));
    let errors = device.bad();
    assert_eq!(errors.errors.len(), 1, "{errors}");
    assert!(errors.to_string().contains("`destination` has both `s3` and `dir`"), "{errors}");
    assert!(errors.errors[0].file.ends_with("30.toml"), "{errors}");
}

#[test]
fn every_error_names_its_file_line_and_value_also_after_merging() {
    let device =
        Device::new("# ä\n[camera.front]\nscene.seed = 7\nmotion.max_duration = \"10s\"\n");
    device.put("10.toml", "\n\n[camera.front.motion]\nmin_duration = \"20s\"\n");
    device.put("20.toml", "# é\ncamera.front.intervall = \"1s\"\nlog.level = \"loud\"\n");
    let errors = device.bad();
    let shown = errors.to_string();
    let place = |name: &str, line: usize, column: usize| {
        format!("{}:{line}:{column}", device.dir().join(name).display())
    };
    for part in [
        place("10.toml", 4, 16),
        "min_duration = \"20s\"".into(),
        place("20.toml", 2, 14),
        "did you mean `interval`?".into(),
        place("20.toml", 3, 13),
        "`loud` is not one of the allowed words".into(),
    ] {
        assert!(shown.contains(&part), "`{part}` is not in\n{shown}");
    }
    assert_eq!(errors.errors.len(), 3, "{shown}");
    assert_eq!(errors.errors[0].value, "\"20s\"");
    let json = serde_json::to_value(&errors).unwrap();
    assert_eq!(json["errors"][1]["file"], device.dir().join("20.toml").display().to_string());
    assert!(errors.summary().contains(&place("20.toml", 3, 13)), "{}", errors.summary());

    device.put("20.toml", "[log\n").put("30.toml", "a = \n");
    let syntax = device.bad();
    let files: Vec<_> = syntax.errors.iter().map(|e| e.file.file_name().unwrap()).collect();
    assert_eq!(files, ["20.toml", "30.toml"], "{syntax}");
    assert!(syntax.errors.iter().all(|e| e.line == 1), "{syntax}");
}

#[test]
fn relative_paths_begin_at_the_file_they_stand_in() {
    let device = Device::new(&format!("{MAIN}spool.path = \"spool\"\n"));
    let dir = |config: &Config| match &config.upload.destination {
        DestinationSettings::Dir(dir) => dir.path.clone(),
        other => panic!("{other}"),
    };
    assert_eq!(dir(&device.good()), device.0.path().join("objects"));
    device.put("10.toml", "destination.dir.path = \"objects\"\n");
    let config = device.good();
    assert_eq!(dir(&config), device.dir().join("objects"));
    assert_eq!(config.spool.path, device.0.path().join("spool"));

    device.put("20.toml", BUCKET).put("store.credentials", CREDENTIALS);
    assert!(matches!(device.good().upload.destination, DestinationSettings::S3(_)));
    fs::remove_file(device.dir().join("store.credentials")).unwrap();
    fs::write(device.0.path().join("store.credentials"), CREDENTIALS).unwrap();
    assert!(device.bad().to_string().contains("vedette.d/store.credentials"));
}

#[test]
fn leftovers_are_passed_over_and_other_names_are_told() {
    let device = Device::new(MAIN);
    for name in [".10.toml.swp", ".hidden.toml", "10.toml~", "#10.toml#", "10.toml.dpkg-dist"] {
        device.put(name, "not TOML at all");
    }
    device.put("10.conf", "camera.front.scene.seed = 8\n");
    let config = device.good();
    assert_eq!((seed(&config), config.files.len(), config.notes.len()), (7, 1, 1));
    assert!(config.notes[0].contains("10.conf is not read"), "{:?}", config.notes);
}

#[test]
fn what_cannot_be_read_is_an_error_and_never_left_out() {
    let device = Device::new(MAIN);
    let dir = device.dir();
    device.put("10-latin.toml", b"site = \"\xe4\"\n").put("ten 10.toml", "");
    fs::create_dir(dir.join("20-dir.toml")).unwrap();
    let made = Command::new("mkfifo").arg(dir.join("30-pipe.toml")).status().unwrap();
    assert!(made.success());
    std::os::unix::fs::symlink("/nonexistent", dir.join("40-gone.toml")).unwrap();
    let errors = device.bad();
    for (name, what) in [
        ("10-latin.toml", "not UTF-8 (byte 8)"),
        ("20-dir.toml", "not a regular file"),
        ("30-pipe.toml", "not a regular file"),
        ("40-gone.toml", "No such file"),
        ("ten 10.toml", "odd characters"),
    ] {
        let of = errors.errors.iter().find(|e| e.file == dir.join(name));
        let of = of.unwrap_or_else(|| panic!("{name} is not in\n{errors}"));
        assert!(of.what.contains(what) && !of.help.is_empty(), "{name}: {of:?}");
    }
    assert_eq!(errors.errors.len(), 5, "{errors}");
}

#[test]
fn a_directory_or_file_without_rights_is_an_error_that_says_so() {
    if rustix::process::geteuid().is_root() {
        // Root reads everything: the file's owner stands in, as a directory that is a file.
        let device = Device::new(MAIN);
        fs::remove_dir(device.dir()).unwrap();
        fs::write(device.dir(), "").unwrap();
        let errors = device.bad();
        assert!(errors.to_string().contains("cannot read the directory of drop-ins"), "{errors}");
        return;
    }
    let device = Device::new(MAIN);
    device.put("10.toml", "");
    fs::set_permissions(device.dir().join("10.toml"), PermissionsExt::from_mode(0o000)).unwrap();
    assert!(device.bad().to_string().contains("let vedette read it"));
}

#[test]
fn too_many_and_too_large_are_refused() {
    let device = Device::new(MAIN);
    for n in 0..65 {
        device.put(&format!("{n}.toml"), "");
    }
    assert!(device.bad().to_string().contains("65 drop-ins are too many"));
    fs::remove_file(device.dir().join("64.toml")).unwrap();
    assert_eq!(device.good().files.len(), 65);
    device.put("63.toml", vec![b'#'; 1 << 20]);
    let errors = device.bad();
    assert!(errors.to_string().contains("larger than 1 MiB, its drop-ins included"), "{errors}");
}

#[test]
fn files_that_the_configuration_names_cannot_hold_it_up() {
    let device = Device::new(&format!("camera.front.scene.seed = 7\n{BUCKET}"));
    let pipe = device.0.path().join("store.credentials");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(device.bad().to_string().contains("not a regular file"));
    fs::remove_file(&pipe).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &pipe).unwrap();
    assert!(device.bad().to_string().contains("not a regular file"));
}

#[test]
fn a_secret_in_a_drop_in_is_never_shown() {
    let device = Device::new("[camera.a]\nexec.command = [\"cam\", \"--password\", \"HUSH\"]\n");
    let printed = config::merged(&device.file()).unwrap();
    assert!(printed.contains("\"cam\"") && !printed.contains("HUSH"), "{printed}");
    device.put("10.toml", "[destination.s3]\nsecret_key = \"HUSH\"\n");
    let errors = device.bad();
    assert!(!format!("{errors}{errors:?}").contains("HUSH"), "{errors}");
}

#[test]
fn check_lists_the_files_and_prints_what_they_say_together() {
    let device = Device::new(MAIN);
    device.put("10.toml", "camera.front.scene.seed = 8\n").put("20.conf", "");
    let check = |flag: &str| {
        let mut vedette = Command::new(env!("CARGO_BIN_EXE_vedette"));
        vedette.arg("check").arg("--config").arg(device.file());
        vedette.arg("--state-dir").arg(device.0.path().join("state")).arg(flag);
        let out = vedette.output().unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    let json: serde_json::Value = serde_json::from_str(&check("--json")).unwrap();
    let files: Vec<_> =
        json["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    let expected = [device.file(), device.dir().join("10.toml")];
    assert_eq!(files, expected.map(|f| f.display().to_string()));
    assert!(json["warnings"].to_string().contains("20.conf is not read"), "{json}");
    let printed = check("--print");
    assert_eq!(
        printed,
        "camera.front.scene.seed = 8  # 10.toml:1\n\
         destination.dir.path = \"objects\"  # vedette.toml:2\n"
    );
    assert!(toml::from_str::<toml::Table>(&printed).is_ok());
}

// ---- the last good one of several files

#[test]
fn the_last_good_one_is_all_files_and_their_paths_mean_what_they_meant() {
    let device = Device::new(MAIN);
    device.put("10.toml", BUCKET).put("store.credentials", CREDENTIALS);
    device.put("20.toml", "camera.front.scene.seed = 8\n");
    let (file, context) = (device.file(), device.context());
    let good = config::load(&file, &context).unwrap();
    config::remember(&good, &context).unwrap();
    let same = |what: &str| {
        let loaded = config::load(&file, &context).unwrap();
        let warning = loaded.warning.unwrap_or_else(|| panic!("{what}: the broken one runs"));
        assert!(warning.missing.is_empty(), "{what}: {warning}");
        let mut config = loaded.config;
        // Its id is made up anew each time: this machine has no serial number, and nothing is pinned.
        config.identity = good.config.identity.clone();
        assert_eq!((seed(&config), &config.upload), (8, &good.config.upload), "{what}");
        warning
    };
    device.put("30.toml", "nonsense = 1\n");
    assert!(same("a broken drop-in").errors.to_string().contains("30.toml:1"));
    fs::remove_dir_all(device.dir()).unwrap();
    fs::create_dir(device.dir()).unwrap();
    device.put("store.credentials", CREDENTIALS);
    fs::write(&file, "nonsense").unwrap();
    same("drop-ins that are gone");
}

// ---- what 0.1.0 left behind

#[test]
fn the_reference_of_0_1_0_is_still_read_without_a_word() {
    let text = fs::read_to_string(fixture("0.1.0/reference.toml")).unwrap();
    let device = Device::new(&text);
    fs::write(device.0.path().join("store.credentials"), CREDENTIALS).unwrap();
    assert_eq!(device.good().notes, Vec::<String>::new());
    // Every key that stands behind a `#`, but for the broker's and the device's files.
    let keys = text.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
        _ => line,
    });
    let own = |line: &&str| !line.contains("/etc/vedette/") && !line.contains("mqtt.password");
    let all = keys.filter(own).collect::<Vec<_>>().join("\n");
    fs::write(device.file(), all.replace("username", "#username")).unwrap();
    let config = device.good();
    assert_eq!((config.cameras.len(), config.notes.len()), (5, 0), "{:?}", config.notes);
    assert!(config.mqtt.is_some() && config.site.is_some());
}

#[test]
fn the_state_of_0_1_0_is_still_believed() {
    let device = Device::new(&fs::read_to_string(fixture("0.1.0/vedette.toml")).unwrap());
    let mut context = device.context();
    fs::create_dir(&context.state_dir).unwrap();
    for name in ["identity.json", "last-good.toml"] {
        fs::copy(fixture("0.1.0").join(name), context.state_dir.join(name)).unwrap();
    }
    let now = config::load(&device.file(), &context).unwrap();
    assert!(now.warning.is_none() && now.config.notes.is_empty());
    // An id that stands in no file comes from the pin.
    let who = identity::resolve(None, None, &context.state_dir, &context.roots);
    assert_eq!((who.device.as_str(), who.warnings.len(), who.cloned), ("gate-1", 0, None));
    fs::write(device.file(), "nonsense = 1\n").unwrap();
    let last_good = config::load(&device.file(), &context).unwrap();
    assert!(last_good.warning.is_some());
    assert_eq!(last_good.config, now.config);

    // The pin's hardware is compared as that version compared it.
    let machine = device.0.path().join("machine/sys/class/net/eth0");
    fs::create_dir_all(machine.join("device")).unwrap();
    fs::write(machine.join("address"), "dc:a6:32:01:02:03\n").unwrap();
    fs::write(machine.join("addr_assign_type"), "0\n").unwrap();
    context.roots = Roots::at(device.0.path().join("machine"));
    let other = identity::resolve(None, None, &context.state_dir, &context.roots);
    assert!(other.cloned.is_some_and(|text| text.contains("gate-1")));
}

// ---- without a destination

#[test]
fn without_a_destination_pictures_wait_and_check_says_so() {
    let device = Device::new("camera.front.scene.seed = 7\n");
    let config = device.good();
    assert_eq!(config.upload.destination, DestinationSettings::Nowhere);
    let cost = config::cost::cost(&config, Default::default());
    let warnings = config::cost::warnings(&config, &cost);
    assert!(warnings.iter().any(|w| w.contains("no destination is configured")), "{warnings:?}");
    let empty = Device::new("camera.front.scene.seed = 7\n[destination]\n").bad();
    assert!(empty.to_string().contains("add exactly one of `s3`, `dir`"), "{empty}");
}

#[test]
fn the_starter_configuration_asks_for_nothing_but_a_camera() {
    let starter = include_str!("../config/starter.toml");
    let config = Device::new(starter).good();
    assert_eq!(config.cameras.len(), 1);
    assert_eq!(config.upload.destination, DestinationSettings::Nowhere);
    let (bucket, _directory) = starter.split_once("#[destination.dir]").unwrap();
    let bucket: String = bucket.lines().filter_map(|line| line.strip_prefix('#')).fold(
        String::new(),
        |all, line| match line.starts_with(char::is_whitespace) {
            true => all,
            false => all + line + "\n",
        },
    );
    let device = Device::new(&format!("camera.front.scene.seed = 1\n{bucket}"));
    fs::write(device.0.path().join("store.credentials"), CREDENTIALS).unwrap();
    assert!(matches!(device.good().upload.destination, DestinationSettings::S3(_)));
}
