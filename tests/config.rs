//! The configuration as people meet it: the shipped files, fifteen broken ones, the last good one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use vedette::camera::Source;
use vedette::config::cost::{Assumptions, cost};
use vedette::config::{self, Config, Context};
use vedette::grant::{AddressStyle, Provider};
use vedette::identity::Roots;
use vedette::upload::DestinationSettings;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const CREDENTIALS: &str =
    "[default]\naws_access_key_id = EXAMPLEKEY\naws_secret_access_key = example/secret+key\n";

/// A device's surroundings: an empty state directory, and credentials as systemd hands them over.
struct Device(tempfile::TempDir);

impl Device {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("store.credentials"), CREDENTIALS).unwrap();
        fs::write(dir.path().join("mqtt.password"), "of the broker\n").unwrap();
        Self(dir)
    }

    fn context(&self) -> Context {
        Context {
            state_dir: self.0.path().join("state"),
            credentials_dir: Some(self.0.path().to_owned()),
            roots: Roots::at(self.0.path().join("no-such-machine")),
        }
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("vedette.toml")
    }

    fn parse(&self, text: &str) -> Config {
        let text = text
            .replace("/etc/vedette/device.pem", &shipped("tests/fixtures/config/device-cert.pem"));
        let text =
            text.replace("/etc/vedette/ca.pem", &shipped("tests/fixtures/config/device-cert.pem"));
        let text = text.replace("/etc/vedette/mqtt.pem", &shipped("tests/fixtures/tls/server.pem"));
        let text = text.replace("/etc/vedette/mqtt.key", &shipped("tests/fixtures/tls/server.key"));
        match config::parse(&text, &self.config(), &self.context()) {
            Ok(config) => config,
            Err(errors) => panic!("{errors}\n{text}"),
        }
    }
}

fn shipped(path: &str) -> String {
    format!("{ROOT}/{path}")
}

fn read(path: &str) -> String {
    fs::read_to_string(shipped(path)).unwrap()
}

fn broken() -> Vec<PathBuf> {
    let entries = fs::read_dir(shipped("tests/fixtures/config")).unwrap();
    let files = entries.map(|e| e.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    files
}

const SMALL: &str = "camera.front.scene.seed = 7\ndestination.dir.path = \"objects\"\n";

// ---- the broken ones

#[test]
fn every_broken_file_names_line_value_and_remedy() {
    let device = Device::new();
    let mut context = device.context();
    context.credentials_dir = None;
    let files = broken();
    assert_eq!(files.len(), 15);
    let mut wrong = Vec::new();
    for file in files {
        let Err(errors) = config::check(&file, &context) else {
            panic!("{} was accepted", file.display());
        };
        let shown = errors.render(false);
        assert!(shown.contains(&*file.to_string_lossy()), "the file is named:\n{shown}");
        let expected = fs::read_to_string(file.with_extension("expect")).unwrap();
        for line in expected.lines().filter(|line| !shown.contains(line)) {
            wrong.push(format!("`{line}` is not in\n{shown}"));
        }
        for error in &errors.errors {
            assert!(error.line > 0 && error.column > 0, "{error:?} has no place");
            assert!(!error.help.is_empty(), "{error:?} has no remedy");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn errors_are_told_to_programs_as_json() {
    let device = Device::new();
    let text = SMALL.replace("seed = 7", "seed = \"seven\"");
    let errors = config::parse(&text, Path::new("x.toml"), &device.context()).unwrap_err();
    let json = serde_json::to_value(&errors).unwrap();
    assert_eq!(json["file"], "x.toml");
    let first = &json["errors"][0];
    assert_eq!((&first["line"], &first["column"]), (&1.into(), &27.into()));
    assert_eq!(
        (&first["key"], &first["value"]),
        (&"camera.front.scene.seed".into(), &"\"seven\"".into())
    );
}

#[test]
fn a_secret_written_into_the_file_is_never_shown() {
    let device = Device::new();
    for text in [
        "[destination.s3]\nsecret_key = \"HUSH\"\nendpoint = 1\n",
        "[destination.s3]\nendpoint = \"https://me:HUSH@host\"\nbucket = \"abc\"\ncredentials_file = \"store.credentials\"\n[camera.a]\nscene.seed = 1\n",
        "[destination.s3]\nendpoint = \"me:HUSH@host\"\n",
        "aws_secret_access_key = HUSH",
        "destination = { s3 = { access_key = \"a\", secret_key = \"HUSH\" } }",
    ] {
        let errors = config::parse(text, &device.config(), &device.context()).unwrap_err();
        let json = serde_json::to_string(&errors).unwrap();
        assert!(!errors.to_string().contains("HUSH"), "{errors}");
        assert!(!format!("{errors:?}{json}").contains("HUSH"), "{errors:?}");
    }
}

#[test]
fn shape_and_meaning_are_told_together() {
    let device = Device::new();
    let text = "[camera.a]\nscene.seed = 1\ninterval = 10\nmask = [{points = [[0, 0], [1, 1], [2]]}]\n\
                [destination.s3]\nendpoint = \"https://cam-1.cos.ap-guangzhou.myqcloud.com\"\n\
                bucket = \"cam-1\"\ncredentials_file = \"nope\"\nsecret_key = \"x\"\n[[camera.b]]\n";
    let shown = config::parse(text, &device.config(), &device.context()).unwrap_err().to_string();
    for part in [
        "write a number and a unit",
        "has 1 entry",
        "write `https://cos.ap-guangzhou.myqcloud.com`",
        "/nope: No such file",
        "secrets are not written here",
        "write `[camera.b]`, with single brackets",
    ] {
        assert!(shown.contains(part), "`{part}` is not in\n{shown}");
    }
    let syntax = config::parse("[camera.a\nx = [1,\ny = 2\n", &device.config(), &device.context());
    assert_eq!(syntax.unwrap_err().errors.len(), 2);
}

#[test]
fn one_mistake_is_told_once() {
    let device = Device::new();
    for text in [
        "[camera.a]\nv4l.device = \"/dev/video0\"\n[destination]\ndir.path = \"x\"\n",
        "[camera.a]\nscene.seed = 1\n[destination.s3]\nendpoit = \"http://a\"\nbucket = \"abc\"\ncredentials_file = \"store.credentials\"\n",
        "[camera.a]\nscene.size = \"1x1\"\n[destination]\ndir.path = \"x\"\n",
        "[camera]\n[destination]\ndir.path = \"x\"\n",
        "[camera.a]\n[destination]\ndir.path = \"x\"\n",
        "[device]\nid = \"Gate 1\"\n[camera.a]\nscene.seed = 1\n[destination]\ndir.path = \"${device}\"\n",
    ] {
        let errors = config::parse(text, &device.config(), &device.context()).unwrap_err();
        assert_eq!(errors.errors.len(), 1, "{errors}");
    }
}

// ---- the shipped ones

/// The reference with every `#key` that `pick` takes uncommented; paragraphs that say "Default:" show
/// examples, the others defaults.
fn uncommented(text: &str, pick: impl Fn(bool) -> bool) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let example = paragraph.contains("Default:");
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest)
                if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[')
                    && pick(example) =>
            {
                rest.to_owned()
            }
            _ => line.to_owned(),
        };
        paragraph.lines().map(line).collect::<Vec<_>>().join("\n")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The reference with its alternatives in place of what they replace.
fn alternative(text: &str) -> String {
    let (head, tail) = text.split_once("[destination.s3]").unwrap();
    let (_, tail) = tail.split_once("# Or a local directory").unwrap();
    format!("{head}# {tail}").replace("\n#|", "\n")
}

#[test]
fn the_reference_is_valid_as_shipped_and_its_defaults_are_true() {
    let device = Device::new();
    let text = read("config/vedette.toml");
    let shipped = device.parse(&text);
    let spelt_out = uncommented(&text, |example| !example);
    assert!(spelt_out.contains("\nkeep = \"best\""), "nothing was uncommented");
    let mut spelt_out = device.parse(&spelt_out);
    spelt_out.identity = shipped.identity.clone();
    for (a, b) in spelt_out.cameras.iter_mut().zip(&shipped.cameras) {
        a.profile = b.profile.clone();
    }
    assert_eq!(spelt_out, shipped);
}

#[test]
fn the_reference_is_valid_with_everything_uncommented() {
    let device = Device::new();
    let text = read("config/vedette.toml");
    let all = device.parse(&uncommented(&text, |_| true));
    assert_eq!(all.cameras.len(), 6);
    assert_eq!(all.identity.device, "gate-1");
    assert!(!all.cameras[0].profile.masks.is_empty());
    let other = device.parse(&alternative(&text));
    assert!(matches!(other.upload.destination, DestinationSettings::Dir(_)));
}

#[test]
fn the_reference_shows_every_key_and_the_schemas_defaults() {
    let text = read("config/vedette.toml");
    let mut shown = BTreeSet::new();
    for text in [uncommented(&text, |_| true), alternative(&text)] {
        let tree: toml::Table = toml::from_str(&text).unwrap();
        let tree = serde_json::to_value(tree).unwrap();
        compare(config::schema(), &tree, "", &mut shown);
    }
    let mut known = BTreeSet::new();
    properties(config::schema(), "", &mut known);
    assert_eq!(known.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Collects the paths that `tree` shows and compares values with the schema's defaults.
fn compare(schema: &Value, tree: &Value, path: &str, shown: &mut BTreeSet<String>) {
    match (schema.get("properties"), schema.get("additionalProperties"), tree) {
        (Some(properties), _, Value::Object(table)) => {
            for (key, value) in table {
                let (property, path) = (&properties[key], format!("{path}/{key}"));
                if let Some(default) = property.get("default") {
                    let fraction =
                        value.as_f64().zip(default.as_f64()).is_some_and(|(a, b)| a == b);
                    assert!(
                        value == default || fraction,
                        "{path}: {value}, but the default is {default}"
                    );
                }
                compare(property, value, &path, shown);
                shown.insert(path);
            }
        }
        (None, Some(each), Value::Object(table)) => {
            table.values().for_each(|value| compare(each, value, &format!("{path}/*"), shown));
        }
        (_, _, Value::Array(items)) => {
            items.iter().for_each(|item| compare(&schema["items"], item, path, shown));
        }
        _ => {}
    }
}

fn properties(schema: &Value, path: &str, known: &mut BTreeSet<String>) {
    for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        let path = format!("{path}/{key}");
        assert!(property.get("description").is_some(), "{path} is not documented");
        properties(property, &path, known);
        known.insert(path);
    }
    schema
        .get("additionalProperties")
        .into_iter()
        .for_each(|s| properties(s, &format!("{path}/*"), known));
    schema.get("items").into_iter().for_each(|s| properties(s, path, known));
}

#[test]
fn the_schema_file_is_current() {
    let path = shipped("config/schema.json");
    if std::env::var_os("VEDETTE_UPDATE_SCHEMA").is_some() {
        fs::write(&path, config::schema_json()).unwrap();
    }
    let shipped = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        shipped == config::schema_json(),
        "config/schema.json is old; run VEDETTE_UPDATE_SCHEMA=1 cargo test --test config"
    );
}

#[test]
fn every_example_is_valid_and_tells_its_store() {
    let device = Device::new();
    let store = |name: &str| {
        let config = device.parse(&read(&format!("config/examples/{name}.toml")));
        match config.upload.destination {
            DestinationSettings::S3(s3) => (s3.provider, s3.style, s3.region),
            other => panic!("{name} has no bucket but {other}"),
        }
    };
    use {AddressStyle::*, Provider::*};
    assert_eq!(store("usb-webcam-minio"), (Generic, Path, "us-east-1".into()));
    assert_eq!(store("raspberry-pi"), (Generic, Path, "us-east-1".into()));
    assert_eq!(store("rtsp-camera"), (Generic, Path, "us-east-1".into()));
    assert_eq!(store("aws-s3"), (Aws, VirtualHost, "eu-central-1".into()));
    assert_eq!(store("tencent-cos"), (Cos, VirtualHost, "ap-guangzhou".into()));
    assert_eq!(fs::read_dir(shipped("config/examples")).unwrap().count(), 5);
    assert!(read("config/examples/tencent-cos.toml").contains("NOT YET PROVEN"));
}

#[test]
fn a_v4l2_camera_is_named_by_a_path_or_by_marks_and_told_what_is_wrong_with_it() {
    let device = Device::new();
    let small = |v4l2: &str| {
        let text = format!(
            "device.id = \"gate-1\"\n[camera.a.v4l2]\n{v4l2}\n[destination]\ndir.path = \"x\"\n"
        );
        config::parse(&text, &device.config(), &device.context())
    };
    for (v4l2, said) in [
        ("[camera.b.v4l2]", "camera.b.v4l2"),
        ("[camera.b.v4l2]", "camera.a.v4l2"),
        ("[camera.b.v4l2]", "a V4L2 camera without a name beside another"),
        ("[camera.b.v4l2]\nserial = \"A1\"", "camera.a.v4l2"),
        ("[camera.b.v4l2]\nserial = \"A1\"", "`vedette devices` shows what to write"),
        ("serial = \"A1\"\n[camera.b.v4l2]", "camera.b.v4l2"),
        (
            "device = \"/dev/video0\"\nserial = \"A1\"",
            "`device` and marks of the camera are both given",
        ),
        ("serial = \" \"", "`serial` is empty"),
        ("usb = \"46d:825\"", "`46d:825` is not a USB id"),
        ("card = \"x\"\nformat = \"mjpg\"", "did you mean `mjpeg`?"),
        ("card = \"x\"\nwarm_up = 301", "301 is too large"),
        (
            "card = \"x\"\ncontrols = { gain = 1.5 }",
            "a whole number, `true` or `false`, or text in quotes",
        ),
        ("card = \"x\"\ncontrols = { gain = [1] }", "found an array"),
    ] {
        let errors = small(v4l2).unwrap_err().render(false);
        assert!(errors.contains(said), "{v4l2}: {errors}");
    }
    assert!(small("[camera.b.scene]").is_ok(), "no V4L2 camera, and none to be mistaken for");
    assert!(small("serial = \"A1\"\n[camera.b.v4l2]\nserial = \"B2\"").is_ok());
    let Source::V4l2(first) = &small("").unwrap().cameras[0].source else { panic!() };
    assert_eq!(first.device.to_string(), "the first camera");
    let marks = "usb = \"046D:0825\"\nport = \"1-1.2\"\nformat = \"rggb10p\"\nwarm_up = 0\n\
                 controls = { gain = -3, hue_automatic = true, power_line_frequency = \"50 Hz\" }";
    let Source::V4l2(settings) = &small(marks).unwrap().cameras[0].source else { panic!() };
    assert_eq!(settings.device.to_string(), "usb 046d:0825 port 1-1.2");
    assert_eq!((settings.format.unwrap().name(), settings.warm_up), ("rggb10p", 0));
    let controls: Vec<_> = settings.controls.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(controls, ["gain=-3", "hue_automatic=true", "power_line_frequency=\"50 Hz\""]);
    let same = small("device = \"/dev/v4l/by-id/usb-x-video-index0\"").unwrap();
    assert!(
        same.cameras == small("device = \"/dev/v4l/by-id/usb-x-video-index0\"").unwrap().cameras
    );
}

#[test]
fn an_exec_camera_is_told_what_is_wrong_with_it() {
    let device = Device::new();
    let small = |exec: &str| {
        let text = format!("[camera.a.exec]\n{exec}\n[destination]\ndir.path = \"x\"\n");
        config::parse(&text, &device.config(), &device.context())
    };
    for (exec, said) in [
        ("command = []", "has 0 entries"),
        ("command = \"ffmpeg -i x\"", "expected an array"),
        ("command = [\"ffmpeg -i x\"]", "each word is a text of its own"),
        ("command = [\"./cam\"]", "neither an absolute path nor a name"),
        ("command = [\"cam\"]\nformat = \"yuyv\"", "add `size = \"1280x720\"`"),
        ("command = [\"cam\"]\nsize = \"64x48\"", "JPEG images tell their own size"),
        ("command = [\"cam\"]\nformat = \"yuyv\"\nsize = \"9000x9000\"", "larger than 32 MiB"),
        ("command = [\"cam\"]\nformat = \"yuyv\"\nsize = \"65x48\"", "is odd"),
        ("command = [\"cam\"]\nformat = \"nv12\"", "add `size = \"1280x720\"`"),
        ("command = [\"cam\"]\nformat = \"nv12\"\nsize = \"65x48\"", "give an even one: `66x48`"),
        (
            "command = [\"cam\"]\nformat = \"rggb8\"\nsize = \"64x47\"",
            "give a width that 2 divides",
        ),
        ("command = [\"cam\"]\nformat = \"rggb10p\"\nsize = \"66x48\"", "`68x48`"),
        ("command = [\"cam\"]\nformat = \"rgb24\"\nsize = \"4000x3000\"", "larger than 32 MiB"),
        ("command = [\"cam\"]\nformat = \"nv13\"", "did you mean `nv12`?"),
        ("command = [\"cam\", \"${nobody}\"]", "there is no `${nobody}`"),
    ] {
        let errors = small(exec).unwrap_err();
        assert!(errors.to_string().contains(said), "{said} is not in\n{errors}");
        assert_eq!(errors.errors.len(), 1, "{errors}");
    }
    let secret = small("command = [\"./cam\",\n  \"rtsp://me:HUSH@cam/1\"]").unwrap_err();
    assert!(!secret.to_string().contains("HUSH"), "{secret}");
    let config = small("command = [\"cam\", \"${device}\"]\nfps = 2\n").unwrap();
    let vedette::camera::Source::Exec(exec) = &config.cameras[0].source else { panic!("no exec") };
    assert_eq!(exec.command, ["cam", &config.identity.device]);
    let all = small("command = [\"cam\"]\nfps = 2\n[camera.a]\nmotion.keep = \"all\"").unwrap();
    assert_eq!(puts_a_day(&all), 200.0 * 20.0 * 2.0);
}

#[test]
fn one_camera_and_one_bucket_is_at_most_ten_lines() {
    let lines = read("config/examples/usb-webcam-minio.toml").lines().count();
    assert!(lines <= 10, "{lines} lines");
}

// ---- the broker

fn with_broker(lines: &str) -> String {
    format!("device.id = \"gate-1\"\n{SMALL}[mqtt]\n{lines}\n")
}

#[test]
fn a_broker_is_reached_over_tls_and_keeps_a_day_of_commands() {
    let device = Device::new();
    assert_eq!(device.parse(SMALL).mqtt, None);
    let config = device.parse(&with_broker("broker = \"mqtts://broker.example\""));
    let mqtt = config.mqtt.unwrap();
    assert_eq!(mqtt.address(), ("broker.example".to_owned(), 8883));
    assert_eq!((mqtt.device.as_str(), mqtt.prefix().as_str()), ("gate-1", "vedette/v1/gate-1"));
    assert_eq!((mqtt.keep_alive.as_secs(), mqtt.session_expiry.as_secs()), (60, 86_400));
    assert!(mqtt.is_secure() && !mqtt.reliable && !config.upload.reliable_notices);

    let plain = device.parse(&with_broker("broker = \"mqtt://[::1]\"\nreliable = true"));
    let mqtt = plain.mqtt.unwrap();
    assert_eq!(mqtt.address(), ("::1".to_owned(), 1883));
    assert!(!mqtt.is_secure() && mqtt.reliable && plain.upload.reliable_notices);
}

#[test]
fn a_broker_that_cannot_be_used_is_told_with_its_remedy() {
    let device = Device::new();
    let (certificate, ca) =
        (shipped("tests/fixtures/tls/server.pem"), shipped("tests/fixtures/tls/ca.pem"));
    let key = shipped("tests/fixtures/tls/server.key");
    let good = "broker = \"mqtts://b\"\n";
    let cases = [
        ("username = \"x\"".to_owned(), "broker", "broker"),
        ("broker = \"b:1883\"".into(), "mqtt.broker", "write `mqtts://b:1883`"),
        ("broker = \"wss://b/mqtt\"".into(), "mqtt.broker", "write `mqtts://b/mqtt`"),
        ("broker = \"mqtts://b/topic\"".into(), "mqtt.broker", "scheme, host and port only"),
        ("broker = \"mqtts://me:HUSH@b\"".into(), "mqtt.broker", "`password_file`"),
        (format!("{good}password = \"HUSH\""), "mqtt.password", "secrets are not written here"),
        (
            format!("{good}password_file = \"mqtt.password\""),
            "mqtt.password_file",
            "set `username`",
        ),
        (
            format!("{good}username = \"x\"\npassword_file = \"nope\""),
            "mqtt.password_file",
            "may read",
        ),
        (format!("{good}key_file = \"{key}\""), "mqtt.key_file", "set `certificate_file`"),
        (
            format!("{good}certificate_file = \"{certificate}\""),
            "mqtt.certificate_file",
            "set `key_file`",
        ),
        (
            format!("{good}certificate_file = \"{ca}\"\nkey_file = \"{key}\""),
            "mqtt.key_file",
            "cannot be used",
        ),
        (
            format!("{good}certificate_file = \"{key}\"\nkey_file = \"{key}\""),
            "mqtt.certificate_file",
            "no PEM certificate",
        ),
        (format!("broker = \"mqtt://b\"\nca_file = \"{ca}\""), "mqtt.ca_file", "write `mqtts://`"),
        (format!("{good}keep_alive = \"1s\""), "mqtt.keep_alive", "5s"),
        (format!("{good}session_expiry = \"31d\""), "mqtt.session_expiry", "30d"),
    ];
    for (lines, key, words) in cases {
        let text = with_broker(&lines);
        let errors = config::parse(&text, &device.config(), &device.context()).unwrap_err();
        let (shown, first) = (errors.to_string(), &errors.errors[0]);
        assert_eq!(errors.errors.len(), 1, "{shown}");
        assert!(first.key.ends_with(key) && first.line > 2, "{key}: {first:?}");
        assert!(shown.contains(words) && !shown.contains("HUSH"), "`{words}` is not in\n{shown}");
    }
}

// ---- variables, identity, cost

#[test]
fn device_and_site_stand_in_values_and_the_key() {
    let device = Device::new();
    let config = device.parse(
        "[device]\nid = \"gate-1\"\nsite = \"hall-2\"\nlabels.line = \"3\"\n[camera.a]\nscene.seed = 1\n\
         [destination]\ndir.path = \"/srv/${site}/${device}/$${x}\"\n\
         key = \"{site}/{device}/{label:line}/{camera}-{seq}-{sha16}.jpg\"\n",
    );
    let DestinationSettings::Dir(dir) = &config.upload.destination else { panic!("no dir") };
    assert_eq!(dir.path, Path::new("/srv/hall-2/gate-1/${x}"));
    let profile = &config.cameras[0].profile;
    assert_eq!(profile.key_template, "hall-2/gate-1/3/{camera}-{seq}-{sha16}.jpg");
    assert_eq!(
        (profile.meta["site"].as_str(), profile.meta["label-line"].as_str()),
        ("hall-2", "3")
    );
}

/// `vedette analyze` without a configuration uses the first pass's own defaults: what people tune with
/// has to be what runs.
#[test]
fn a_camera_that_sets_nothing_looks_as_analyze_does() {
    let text = "[camera.a]\nscene.seed = 1\n[destination]\ndir.path = \"x\"\n";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vedette.toml");
    fs::write(&file, text).unwrap();
    let context = Context {
        state_dir: dir.path().to_owned(),
        credentials_dir: None,
        roots: Roots::at(dir.path()),
    };
    let config = config::check(&file, &context).unwrap();
    assert_eq!(config.cameras[0].motion, Some(Default::default()));
}

#[test]
fn what_is_kept_of_an_event_is_as_set() {
    use vedette::firstpass::similarity::Likeness;
    use vedette::firstpass::trigger::{BurstLimit, Keep, PreEvent};
    let device = Device::new();
    let events = |lines: &str| {
        let text =
            format!("[camera.a]\nscene.seed = 1\n{lines}\n[destination]\ndir.path = \"x\"\n");
        let camera = device.parse(&text).cameras.remove(0);
        (camera.motion.unwrap().1, camera.drop_similar)
    };
    let (all, similar) = events(
        "drop_similar = \"alike\"\n[camera.a.motion]\nbest_within = \"3s\"\npre_event = \"4s\"\n\
         pre_event_fps = 0.5\nburst = { pictures = 5, per = \"1m\" }\ncool_down = \"1h\"\n[memory]\nring = \"1 MiB\"",
    );
    let seconds = std::time::Duration::from_secs;
    assert_eq!((all.keep, all.cool_down), (Keep::Best(seconds(3)), seconds(3600)));
    assert_eq!(all.burst, Some(BurstLimit { pictures: 5, per: seconds(60) }));
    assert_eq!(all.pre_event, Some(PreEvent { within: seconds(4), fps: 0.5, bytes: 1 << 20 }));
    assert_eq!(similar, Some(Likeness::Alike));
    assert_eq!(events("motion.keep = \"first\"").0.keep, Keep::First);
    assert_eq!(events("drop_similar = \"same\"").1, Some(Likeness::Same));
}

#[test]
fn pictures_from_before_an_event_cost_memory_and_are_of_jpeg_only() {
    let device = Device::new();
    let text = |format: &str, before: &str| {
        format!(
            "[camera.a]\nscene = {{ format = \"{format}\", size = \"1280x720\" }}\n\
             motion.pre_event = \"{before}\"\n[destination]\ndir.path = \"x\"\n"
        )
    };
    let memory = |before| cost(&device.parse(&text("mjpeg", before)), Assumptions::default());
    let (without, short, long) = (memory("0s"), memory("1s"), memory("60s"));
    assert_eq!(short.memory_bytes - without.memory_bytes, 2 * 1280 * 720 / 2);
    assert_eq!(long.memory_bytes - without.memory_bytes, 8 << 20, "no more than `memory.ring`");
    assert_eq!(short.puts_per_day, 200.0 * 3.0);
    assert!(short.to_string().contains("922 kB from before events"), "{short}");
    let raw = text("yuyv", "5s");
    let errors = config::parse(&raw, &device.config(), &device.context()).unwrap_err();
    let told = errors.to_string();
    assert!(
        told.contains("gives raw yuyv frames") && told.contains("leave `pre_event` out"),
        "{told}"
    );
    device.parse(&text("yuyv", "0s"));
}

#[test]
fn what_goes_by_the_clock_is_read_and_what_cannot_be_meant_is_told() {
    let device = Device::new();
    let text = |device: &str, camera: &str| {
        format!("{device}\n[camera.a]\nscene.seed = 1\n{camera}\n[destination]\ndir.path = \"x\"\n")
    };
    let zone = "[[camera.a.motion.zone]]\nkind = \"exclude\"\npoints = [[0, 0], [1, 0], [1, 1]]\n";
    let (zone_zone, by_sun) = (zone.repeat(2), format!("{zone}hours = [\"sunset to sunrise\"]"));
    let here =
        "device.location = { latitude = 52.5, longitude = 13.4 }\ndevice.time_zone = \"CET-1\"";
    let right = text(here, &format!("at = [\"sunrise\"]\n{zone_zone}{by_sun}"));
    let camera = device.parse(&right).cameras.remove(0);
    let numbers = camera.motion.unwrap().0.exclude.into_iter().map(|zone| zone.active);
    assert_eq!(numbers.collect::<Vec<_>>(), [None, None, Some(0)]);
    assert!(camera.clock.zones.len() == 1 && camera.clock.moments.is_some());

    for (device_table, camera, key, said) in [
        ("", "at = [\"08:00\", \"8\"]", "camera.a.at[1]", "`8` is not understood"),
        ("", "at = [\"sunrise\"]", "camera.a.at", "sunrise and sunset are not known here"),
        (
            "",
            "motion.hours = [\"8 to 9\"]",
            "camera.a.motion.hours[0]",
            "`8 to 9` is not understood",
        ),
        ("", &by_sun, "camera.a.motion.zone[0].hours", "add `location = {"),
        (
            "",
            "analyse_fps = 8\nactive_fps = 7.5",
            "camera.a.active_fps",
            "is less than `analyse_fps`",
        ),
    ] {
        let text = text(device_table, camera);
        let errors = config::parse(&text, &device.config(), &device.context()).unwrap_err();
        assert!(errors.errors.iter().any(|e| e.key == key), "{errors}");
        assert!(errors.to_string().contains(said), "{errors}");
    }
}

#[test]
fn so_many_frames_are_analysed_as_is_said() {
    let fps = |lines: &str| {
        let text =
            format!("[camera.a]\nscene.seed = 1\n{lines}\n[destination]\ndir.path = \"x\"\n");
        let fps = Device::new().parse(&text).cameras[0].analyse_fps.unwrap();
        (fps.quiet, fps.active)
    };
    assert_eq!(fps(""), (5.0, 10.0));
    assert_eq!(fps("analyse_fps = 25"), (25.0, 25.0));
    assert_eq!(fps("analyse_fps = 1\nactive_fps = 2"), (1.0, 2.0));
}

#[test]
fn pictures_at_set_times_are_reckoned() {
    let device = Device::new();
    let text = "[camera.a]\nat = [\"*/15 8-18 * * mon-fri\", \"sat 09:10\"]\nscene.size = \"1000x1000\"\n\
                motion.enabled = false\n[destination]\ndir.path = \"objects\"\n";
    let config = device.parse(text);
    let cost = cost(&config, Assumptions::default());
    assert_eq!(cost.puts_per_day, 221.0 / 7.0);
    assert!(cost.to_string().contains("32 pictures at set times a day, about"), "{cost}");
}

#[test]
fn the_cost_of_an_interval_is_exact() {
    let device = Device::new();
    let text = "[camera.a]\ninterval = \"1s\"\nscene.size = \"1000x1000\"\nmotion.enabled = false\n\
                [destination]\ndir.path = \"objects\"\n";
    let config = device.parse(text);
    let cost = cost(&config, Assumptions::default());
    assert_eq!((cost.puts_per_day, cost.bytes_per_day), (86_400.0, 86_400.0 * 150_000.0));
    assert_eq!(cost.flash_bytes_per_day, cost.bytes_per_day * 1.5);
    assert!(cost.to_string().contains("86,400 PUTs a day (2,592,000 a month)"), "{cost}");
    assert!(cost.to_string().contains("200 events a day"), "{cost}");
    let per_event = device.parse(&text.replace("enabled = false", "every = \"1s\""));
    assert_eq!(puts_a_day(&per_event), 86_400.0 + 200.0 * 21.0);
}

fn puts_a_day(config: &Config) -> f64 {
    cost(config, Assumptions::default()).puts_per_day
}

// ---- the last good one

#[test]
fn after_a_good_start_every_broken_file_runs_the_last_good_one() {
    let device = Device::new();
    let (file, context) = (device.config(), device.context());
    fs::write(&file, SMALL).unwrap();
    let good = config::load(&file, &context).unwrap();
    assert!(good.warning.is_none());
    config::remember(&good, &context).unwrap();
    vedette::identity::pin(&good.config.identity, &context.state_dir).unwrap();
    for broken in broken() {
        fs::copy(&broken, &file).unwrap();
        let loaded = config::load(&file, &context).unwrap();
        assert_eq!(loaded.config, good.config, "{}", broken.display());
        let warning = loaded.warning.clone().unwrap();
        assert!(!warning.errors.is_empty() && warning.to_string().contains("last-good.toml"));
        config::remember(&loaded, &context).unwrap();
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(config::load(&file, &context).unwrap().config, good.config);
}

#[test]
fn without_a_last_good_one_or_with_a_torn_one_the_errors_come_back() {
    let device = Device::new();
    let (file, context) = (device.config(), device.context());
    fs::write(&file, "nonsense").unwrap();
    assert!(!config::load(&file, &context).unwrap_err().is_empty());
    fs::write(&file, SMALL).unwrap();
    let good = config::load(&file, &context).unwrap();
    config::remember(&good, &context).unwrap();
    let snapshot = context.state_dir.join("last-good.toml");
    let text = fs::read_to_string(&snapshot).unwrap();
    fs::write(&snapshot, text.replace("seed = 7", "seed = 8")).unwrap();
    fs::write(&file, "nonsense").unwrap();
    assert!(config::load(&file, &context).is_err(), "an edited snapshot was run");
    assert_eq!(config::EX_CONFIG, 78);
}

#[test]
fn vanished_credentials_never_stop_capture() {
    let device = Device::new();
    let (file, context) = (device.config(), device.context());
    fs::write(&file, read("config/examples/usb-webcam-minio.toml")).unwrap();
    config::remember(&config::load(&file, &context).unwrap(), &context).unwrap();
    fs::remove_file(device.0.path().join("store.credentials")).unwrap();
    let loaded = config::load(&file, &context).unwrap();
    // The files themselves are right: they run, and not what was remembered.
    assert!(loaded.warning.is_none() && loaded.missing[0].contains("store.credentials"));
    assert!(loaded.lacks().unwrap().contains("then reload"), "{:?}", loaded.lacks());
    assert_eq!(loaded.config.cameras.len(), 1);
    // Where they are wrong too, the last good one runs without the keys.
    fs::write(&file, "nonsense").unwrap();
    let warning = config::load(&file, &context).unwrap().warning.unwrap();
    assert!(warning.missing[0].contains("store.credentials"), "{warning}");
}

#[test]
fn a_new_mask_holds_also_where_the_keys_cannot_be_read() {
    let device = Device::new();
    let (file, context) = (device.config(), device.context());
    let text = read("config/examples/usb-webcam-minio.toml");
    fs::write(&file, &text).unwrap();
    let good = config::load(&file, &context).unwrap();
    config::remember(&good, &context).unwrap();
    let snapshot = || fs::read_to_string(context.state_dir.join("last-good.toml")).unwrap();
    let before = snapshot();
    let camera = &good.config.cameras[0].profile.camera;
    let mask = format!("\n[[camera.{camera}.mask]]\npoints = [[0, 0], [1, 0], [0, 1]]\n");
    fs::write(&file, text + &mask).unwrap();
    fs::remove_file(device.0.path().join("store.credentials")).unwrap();
    let loaded = config::load(&file, &context).unwrap();
    assert_eq!(loaded.config.cameras[0].profile.masks.len(), 1);
    config::remember(&loaded, &context).unwrap();
    assert_eq!(snapshot(), before, "only what has everything is remembered");
    assert!(config::check(&file, &context).is_err(), "`vedette check` still says it");
}

#[test]
fn a_first_start_without_keys_runs_and_one_that_does_not_know_its_name_does_not() {
    let device = Device::new();
    let (file, context) = (device.config(), device.context());
    let text = read("config/examples/usb-webcam-minio.toml");
    fs::write(&file, &text).unwrap();
    fs::remove_file(device.0.path().join("store.credentials")).unwrap();
    let loaded = config::load(&file, &context).unwrap();
    assert!(loaded.lacks().unwrap().contains("store.credentials"));
    fs::write(&file, format!("device.certificate = \"none.pem\"\n{text}")).unwrap();
    let errors = config::load(&file, &context).unwrap_err();
    assert!(errors.to_string().contains("none.pem"), "{errors}");
    vedette::identity::pin(&loaded.config.identity, &context.state_dir).unwrap();
    assert_eq!(
        config::load(&file, &context).unwrap().config.identity.device,
        loaded.config.identity.device
    );
}

#[test]
fn the_snapshot_holds_no_secret_and_is_not_rewritten() {
    let device = Device::new();
    let (file, context) = (device.config(), device.context());
    fs::write(&file, read("config/examples/usb-webcam-minio.toml")).unwrap();
    let loaded = config::load(&file, &context).unwrap();
    config::remember(&loaded, &context).unwrap();
    let snapshot = context.state_dir.join("last-good.toml");
    let text = fs::read_to_string(&snapshot).unwrap();
    assert!(!text.contains("example/secret+key"));
    assert!(!format!("{loaded:?}").contains("example/secret+key"));
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&snapshot).unwrap());
    let before = inode();
    config::remember(&loaded, &context).unwrap();
    assert_eq!(inode(), before);
}

#[test]
fn what_a_reload_cannot_change_is_named() {
    let device = Device::new();
    let old = device.parse(&format!("{SMALL}device.id = \"a\"\n"));
    let new = device.parse(&format!("{SMALL}device.id = \"b\"\nspool.path = \"/srv/spool\"\n"));
    assert_eq!(old.restart_needed(&new), ["device.id", "spool.path"]);
    let new =
        device.parse(&format!("{SMALL}device.id = \"a\"\ncontrol.trigger_group = \"gpio\"\n"));
    assert_eq!(old.restart_needed(&new), ["control.trigger_group"]);
    assert!(old.restart_needed(&old).is_empty());
}

#[test]
fn the_trigger_socket_stands_beside_the_control_socket_unless_told_otherwise() {
    let device = Device::new();
    let sockets = |control: &str| {
        let config = device.parse(&format!("{SMALL}{control}"));
        (config.trigger_socket, config.trigger_group)
    };
    assert_eq!(sockets(""), ("/run/vedette/trigger.sock".into(), None));
    let moved = sockets("control.socket = \"/run/other/c.sock\"\n");
    assert_eq!(moved.0, Path::new("/run/other/trigger.sock"));
    let named = "control.trigger_socket = \"/run/t.sock\"\ncontrol.trigger_group = \"gpio\"\n";
    assert_eq!(sockets(named), ("/run/t.sock".into(), Some("gpio".into())));
    for wrong in ["trigger_socket = \"/run/vedette/control.sock\"", "trigger_group = \"a b\""] {
        let text = format!("{SMALL}control.{wrong}\n");
        let errors = config::parse(&text, &device.config(), &device.context()).unwrap_err();
        assert!(errors.to_string().contains(wrong.split(' ').next().unwrap()), "{errors}");
    }
}

// ---- hostile text

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn arbitrary_text_never_panics(
        bytes in prop_oneof![
            "\\PC{0,200}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..300),
        ],
    ) {
        let text = String::from_utf8_lossy(&bytes);
        let context = Context { state_dir: "/nonexistent".into(), credentials_dir: None, roots: Roots::at("/nonexistent") };
        let result = config::parse(&text, Path::new("x.toml"), &context);
        if let Err(errors) = result {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn a_good_file_with_bytes_changed_never_panics(at in 0_usize..8_000, cut in 0_usize..40, with in "[\\[\\]{}=\"'$#.,\\-\n0-9a-z\u{e9}]{0,8}") {
        let mut text = include_str!("../config/vedette.toml").replace("\n#", "\n");
        let floor = |mut i: usize| { i = i.min(text.len()); while !text.is_char_boundary(i) { i -= 1; } i };
        let (from, to) = (floor(at), floor(at + cut));
        text.replace_range(from..to, &with);
        let context = Context { state_dir: "/nonexistent".into(), credentials_dir: None, roots: Roots::at("/nonexistent") };
        if let Err(errors) = config::parse(&text, Path::new("x.toml"), &context) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }
}

#[test]
fn deep_wide_and_long_files_are_refused_in_bounded_time() {
    let device = Device::new();
    for text in [
        format!("{}b = 1\n", "a.".repeat(300_000)),
        format!("[{}b]\n", "a.".repeat(300_000)),
        format!("a = {}\n", "[".repeat(500_000)),
        format!("a = {}1{}\n", "{a=".repeat(200_000), "}".repeat(200_000)),
        (0..60_000).map(|i| format!("k{i} = {i}\n")).collect(),
        (0..60_000).map(|i| format!("k{i} = \n")).collect(),
        format!("a = \"{}\n", "x".repeat(900_000)),
        "=".repeat(900_000),
    ] {
        let errors = config::parse(&text, &device.config(), &device.context()).unwrap_err();
        assert!(errors.errors.len() <= 20);
        errors.to_string();
    }
}

#[test]
fn what_is_done_to_pictures_is_read_and_what_cannot_be_done_is_refused() {
    use vedette::still::privacy::Style;
    use vedette::still::text::{Caption, Corner};
    use vedette::still::transform::{Flip, Rotate, Turn};
    use vedette::still::{Crop, Look};
    let device = Device::new();
    let profile = |table: &str| {
        let text = format!(
            "{SMALL}[camera.front.picture]\n{table}\n[[camera.front.mask]]\nstyle = \"blur\"\npoints = [[0, 0], [1, 0], [0, 1]]\n"
        );
        device.parse(&text).cameras[0].profile.clone()
    };
    assert_eq!(profile("").look, Look::default());
    assert_eq!(profile("").masks[0].style, Style::Blur);
    let all = profile(
        "size = \"1280x720\"\nmax_bytes = \"150 KiB\"\nrotate = 90\nflip = \"vertical\"\n\
         text = \"Tür {time}\"\ntext_corner = \"top-right\"\nthumbnail = \"320x180\"\n\
         crop = \"subject\"\ncrop_margin = 0.5",
    );
    let text = Caption { template: "Tür {time}".into(), corner: Corner::TopRight };
    let expected = Look {
        size: Some((1280, 720)),
        max_bytes: Some(150 << 10),
        turn: Turn::new(Rotate::Right, Some(Flip::Vertical)),
        text: Some(text),
        thumbnail: Some((320, 180)),
        crop: Some(Crop { margin: 0.5 }),
    };
    assert_eq!(all.look, expected);
    for (table, said) in [
        ("rotate = 45", "give 0, 90, 180 or 270"),
        ("rotate = 360", "give 0 to 270"),
        ("text = \"{temperature}\"", "`{temperature}` is no field"),
        ("text = \"a\\nb\"", "line end"),
        ("thumbnail = \"640x480\"", "give at most `512x512`"),
        ("max_bytes = \"1 KiB\"", "too small"),
        ("crop = \"everything\"", "allowed: `subject`"),
    ] {
        let text = format!("{SMALL}[camera.front.picture]\n{table}\n");
        let errors = config::parse(&text, &device.config(), &device.context()).unwrap_err();
        assert!(errors.to_string().contains(said), "{table}: {errors}");
    }
}

#[test]
fn the_spools_limits_are_what_the_file_says_and_a_wrong_one_is_named() {
    use vedette::spool::retention::Limits;
    let device = Device::new();
    let limits = |table: &str| device.parse(&format!("{SMALL}[spool]\n{table}\n")).spool.limits;
    assert_eq!(limits(""), Limits::bytes(2 << 30));
    let all = "max_bytes = \"1 GiB\"\nkeep_free = \"64 MiB\"\nmax_age = \"30d\"\n\
               camera_max_bytes = { front = \"500 MiB\" }";
    let expected = Limits {
        max_bytes: 1 << 30,
        keep_free: Some(64 << 20),
        max_age: Some(Duration::from_secs(30 * 86_400)),
        cameras: [("front".to_owned(), 500 << 20)].into(),
    };
    assert_eq!(limits(all), expected);
    for (table, said) in [
        ("camera_max_bytes = { frnt = \"500 MiB\" }", "name one of these: front"),
        ("camera_max_bytes = { front = \"1 KiB\" }", "less than a frame of camera `front`"),
        ("max_age = \"1s\"", "give 1m to 3650d"),
        ("keep_free = \"100 TiB\"", "too large"),
    ] {
        let text = format!("{SMALL}[spool]\n{table}\n");
        let errors = config::parse(&text, &device.config(), &device.context()).unwrap_err();
        assert!(errors.to_string().contains(said), "{table}: {errors}");
    }
    let old = device.parse(&format!("{SMALL}device.id = \"a\"\n"));
    let new = device.parse(&format!("{SMALL}device.id = \"a\"\n[spool]\n{all}\n"));
    let changed = ["spool.max_bytes", "spool.keep_free", "spool.max_age", "spool.camera_max_bytes"];
    assert_eq!(old.restart_needed(&new), changed);
}

#[test]
fn pictures_are_written_at_once_unless_the_file_says_how_many_bytes_may_be_in_memory_only() {
    use vedette::config::cost::{Assumptions, cost, warnings};
    use vedette::spool::{Durability, Spill};
    let device = Device::new();
    let config =
        |table: &str| device.parse(&format!("{SMALL}device.id = \"a\"\n[spool]\n{table}\n"));
    assert_eq!(config("").spool.durability, Durability::Always);
    assert_eq!(config("spill_bytes = \"1 MiB\"").spool.durability, Durability::Always);
    let spill = |max_bytes, after| {
        Durability::Spill(Spill { max_bytes, after: Duration::from_secs(after) })
    };
    let own = "durability = \"spill\"\nspill_bytes = \"1 MiB\"\nspill_after = \"30s\"";
    assert_eq!(config("durability = \"spill\"").spool.durability, spill(8 << 20, 10));
    assert_eq!(config(own).spool.durability, spill(1 << 20, 30));
    for (table, said) in [
        ("durability = \"never\"", "`always`"),
        ("spill_bytes = \"100 KiB\"", "give 256 KiB to 256 MiB"),
        ("spill_bytes = \"1 GiB\"", "give 256 KiB to 256 MiB"),
        ("spill_after = \"10m\"", "give 1s to 5m"),
    ] {
        let text = format!("{SMALL}[spool]\n{table}\n");
        let errors = config::parse(&text, &device.config(), &device.context()).unwrap_err();
        assert!(errors.to_string().contains(said), "{table}: {errors}");
    }
    assert_eq!(config("").restart_needed(&config(own)), ["spool.durability"]);
    // What is at risk is said, in words and as a number, and is part of the memory.
    let reckoned = |table: &str| cost(&config(table), Assumptions::default());
    let (always, spilling) = (reckoned(""), reckoned(own));
    assert!(!always.to_string().contains("power cut"));
    assert!(spilling.to_string().contains("a power cut takes up to 1.0 MB"), "{spilling}");
    assert_eq!((always.at_risk_bytes, spilling.at_risk_bytes), (0, 1 << 20));
    assert_eq!(spilling.memory_bytes - always.memory_bytes, 1 << 20);
    let text = format!("camera.front.scene.seed = 7\n[spool]\n{own}\n");
    let nowhere = warnings(&device.parse(&text), &spilling);
    assert!(nowhere.iter().any(|w| w.contains("until a picture was stored")), "{nowhere:?}");
}
