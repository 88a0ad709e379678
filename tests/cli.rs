//! The built binary as people meet it: what it prints, what it writes, how it exits.

#![cfg(test)]

#[path = "support/process.rs"]
mod process;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use process::Process;
use serde_json::Value;
use tempfile::TempDir;

const FRAME: &[u8] = include_bytes!("data/uvc-frame.mjpeg");

fn temp() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
    command.args(args).stdin(Stdio::null());
    command
}

fn vedette(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    out(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_jpeg(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    bytes.starts_with(b"\xff\xd8\xff") && bytes.ends_with(b"\xff\xd9")
}

/// `n` times the same frame of a UVC camera.
fn clip(dir: &Path, n: usize) -> PathBuf {
    let path = dir.join("clip.mjpeg");
    fs::write(&path, FRAME.repeat(n)).unwrap();
    path
}

/// A configuration with one camera, all of whose files are in `dir`.
fn config(dir: &Path, camera: &str) -> PathBuf {
    let path = dir.join("vedette.toml");
    fs::create_dir_all(dir.join("store")).unwrap();
    let text = format!(
        "[device]\nid = \"cam1\"\n{camera}\n[destination.dir]\npath = \"store\"\n\
         [spool]\npath = \"spool\"\n[control]\nsocket = \"control.sock\"\n\
         [clock]\ntrust = \"always\"\n[log]\nformat = \"text\"\n"
    );
    fs::write(&path, text).unwrap();
    path
}

const SCENE: &str =
    "[camera.yard]\ninterval = \"1s\"\nscene = { size = \"320x240\", pace = \"fast\" }";

#[test]
fn demo_ends_with_an_account_that_adds_up_and_a_contact_sheet() {
    let dir = temp();
    // An emulated processor needs four seconds for the street's first frame alone.
    let watched = if cfg!(target_arch = "x86_64") { "4s" } else { "20s" };
    let ended = vedette(&["demo", "--for", watched, "--dir", text(dir.path())]);
    let said = out(&ended);
    assert!(ended.status.success(), "{said}\n{}", err(&ended));
    assert!(is_jpeg(&dir.path().join("contact-sheet.jpg")));
    for part in ["chosen ", "= kept ", "= stored ", "queued 0", "lost 0", "Both sums hold", "Next"]
    {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    assert!(
        !said.contains('✗') && !said.contains('\x1b'),
        "plain lines without a terminal: {said}"
    );
    let pictures: Vec<_> = said.lines().filter(|l| l.contains("  v1/demo/cam/")).collect();
    assert!(!pictures.is_empty(), "{said}");
    for line in pictures {
        assert!(line.chars().count() <= 100, "{line}");
        let key = line.split_whitespace().last().unwrap();
        assert!(is_jpeg(&dir.path().join("store").join(key)));
    }
}

#[test]
fn demo_of_a_clip_in_which_nothing_moves_says_so() {
    let dir = temp();
    let clip = clip(dir.path(), 20);
    let made = dir.path().join("made");
    let ended = vedette(&["demo", "--clip", text(&clip), "--dir", text(&made)]);
    let said = out(&ended);
    assert!(ended.status.success(), "{said}\n{}", err(&ended));
    assert!(said.contains("The clip ended after 20 frames, before any event began."), "{said}");
    assert!(said.contains("1 picture kept"), "{said}");
}

#[test]
fn demo_of_a_camera_that_is_not_there_fails_at_once_and_leaves_nothing_behind() {
    let dir = temp();
    let made = dir.path().join("made");
    for source in [["--device", "/dev/video-none"], ["--clip", "/nowhere/clip.avi"]] {
        let ended = vedette(&["demo", source[0], source[1], "--dir", text(&made)]);
        assert_eq!(ended.status.code(), Some(1));
        assert!(err(&ended).contains(source[1]), "{}", err(&ended));
        assert!(!made.exists());
    }
}

#[test]
fn demo_that_is_interrupted_still_closes_its_account() {
    let dir = temp();
    let mut demo = Process::spawn(
        &mut command(&["demo", "--for", "1h", "--dir", text(&dir.path().join("made"))]),
        dir.path(),
        "demo",
    );
    wait_for("a stored picture", || demo.output().contains("  v1/demo/cam/"));
    demo.signal(rustix::process::Signal::INT);
    let ended = demo.wait(Duration::from_secs(60)).unwrap();
    assert!(ended.success() && demo.output().contains("Both sums hold"), "{}", demo.output());
}

/// Asks until `is`; two minutes without it fail the test.
fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is() {
        assert!(Instant::now() < deadline, "waited for {what}");
        std::thread::yield_now();
    }
}

#[test]
fn analyze_prints_a_line_a_frame_in_the_promised_shape_and_a_summary() {
    let dir = temp();
    let ended = vedette(&["analyze", "--json", text(&clip(dir.path(), 3))]);
    assert!(ended.status.success(), "{}", err(&ended));
    let lines = lines(&ended);
    assert_eq!(lines.len(), 4);
    for (n, line) in lines[..3].iter().enumerate() {
        assert_eq!(line["frame"], n);
        assert!(line["t"].is_f64() && line["score"].is_f64(), "{line}");
        assert!(line["motion"].is_boolean() && line["kept"].is_boolean(), "{line}");
        assert!(line["boxes"].is_array() && line["quality"].is_object(), "{line}");
        for key in ["event", "reason"] {
            let value = line.get(key).unwrap();
            assert!(value.is_null() || value.is_string(), "{line}");
        }
    }
    let summary = &lines[3]["summary"];
    assert_eq!((&summary["frames"], &summary["analysed"]), (&Value::from(3), &Value::from(3)));
    assert!(summary["cpu_ms_per_frame"].is_f64(), "{summary}");
    assert!(summary["events"].is_u64() && summary["kept"].is_u64(), "{summary}");
}

/// The JPEGs of an AVI, by the lengths that stand before them.
fn film(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let mut at = bytes.windows(4).position(|w| w == b"movi").unwrap() + 4;
    let mut frames = Vec::new();
    while &bytes[at..at + 4] == b"00dc" {
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        frames.push(bytes[at + 8..at + 8 + length].to_vec());
        at += 8 + length + length % 2;
    }
    assert_eq!(&bytes[at..at + 4], b"idx1");
    frames
}

#[test]
fn analyze_tune_writes_what_a_person_looks_at_and_a_film_that_can_be_read() {
    let dir = temp();
    let made = dir.path().join("a/b");
    let clip = clip(dir.path(), 30);
    let ended = vedette(&["analyze", "--json", "--tune", text(&made), text(&clip)]);
    assert!(ended.status.success(), "{}", err(&ended));
    let told = lines(&ended);
    assert_eq!(told.len(), 32);
    let advice = &told[30]["tune"];
    assert_eq!(
        (advice["suggestions"].as_array().map(Vec::len), &advice["toml"]),
        (Some(0), &"".into())
    );
    assert!(!advice["remarks"].as_array().unwrap().is_empty(), "{advice}");
    assert_eq!(told[31]["summary"]["frames"], 30, "the summary stays the last line");
    assert!(is_jpeg(&made.join("sheet.jpg")));
    let page = fs::read_to_string(made.join("index.html")).unwrap();
    assert!(page.contains("Nothing is to be changed") && page.contains("sheet.jpg"), "{page}");
    assert!(fs::read_to_string(made.join("score.svg")).unwrap().ends_with("</svg>\n"));
    assert_eq!(film(&made.join("clip.avi")).len(), 30);
    let again = vedette(&["analyze", "--json", text(&made.join("clip.avi"))]);
    let again = lines(&again);
    assert_eq!(again.last().unwrap()["summary"]["analysed"], 30, "the film is a clip itself");
}

#[test]
fn analyze_tune_shows_nothing_that_is_masked() {
    let dir = temp();
    let mask = "[[camera.yard.mask]]\npoints = [[0, 0], [1, 0], [1, 1], [0, 1]]";
    let path = config(dir.path(), &format!("{SCENE}\n{mask}"));
    let (clip, made) = (clip(dir.path(), 12), dir.path().join("made"));
    let args =
        ["analyze", "--camera", "yard", "--tune", text(&made), "-c", text(&path), text(&clip)];
    let ended = vedette(&args);
    assert!(ended.status.success(), "{}", err(&ended));
    assert!(out(&ended).contains("index.html"), "{}", out(&ended));
    for frame in film(&made.join("clip.avi")) {
        let shown = turbojpeg::decompress(&frame, turbojpeg::PixelFormat::GRAY).unwrap();
        let (x, y) = (shown.width / 2 + 5, (shown.height - 72) / 2);
        let middle = shown.pixels[y * shown.pitch + x];
        assert!(middle < 40, "{middle}");
    }
}

#[test]
fn analyze_boxes_what_moves_in_raw_frames() {
    let dir = temp();
    let path = dir.path().join("clip.yuyv");
    let (width, height) = (320_usize, 240_usize);
    let mut bytes = Vec::new();
    for n in 0..60_usize {
        let x0 = n.saturating_sub(30) * 6;
        for y in 0..height {
            for x in 0..width {
                let inside = n >= 30 && (80..160).contains(&y) && (x0..x0 + 60).contains(&x);
                bytes.extend([if inside { 220 } else { 60 }, 128]);
            }
        }
    }
    fs::write(&path, bytes).unwrap();
    let ended = vedette(&["analyze", "--json", "--size", "320x240", text(&path)]);
    assert!(ended.status.success(), "{}", err(&ended));
    let lines = lines(&ended);
    let moving = lines.iter().find(|l| l["motion"] == true).expect("something moves");
    assert!(moving["frame"].as_u64().unwrap() >= 30, "{moving}");
    let first = moving["boxes"][0].as_array().unwrap();
    assert!(first.len() == 4 && first.iter().all(Value::is_u64), "{moving}");
    assert_eq!(lines.last().unwrap()["summary"]["events"], 1);
    assert!(lines.iter().any(|l| l["kept"] == true && l["event"].is_string()));
}

#[test]
fn analyze_reads_directories_and_tells_what_it_cannot_read() {
    let dir = temp();
    let pictures = dir.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    let ended = vedette(&["analyze", text(&pictures)]);
    assert_eq!(ended.status.code(), Some(1), "an empty directory");
    for n in 0..2 {
        fs::write(pictures.join(format!("{n}.jpg")), FRAME).unwrap();
    }
    let ended = vedette(&["analyze", text(&pictures)]);
    assert!(ended.status.success() && out(&ended).contains("2 frames"), "{}", err(&ended));

    let garbage = dir.path().join("garbage.bin");
    fs::write(&garbage, [7; 5000]).unwrap();
    for wrong in [text(&garbage), "/nowhere.avi"] {
        let ended = vedette(&["analyze", "--json", wrong]);
        assert_eq!((ended.status.code(), out(&ended).as_str()), (Some(1), ""));
        assert!(err(&ended).contains(wrong), "{}", err(&ended));
    }
}

#[test]
fn a_closed_pipe_ends_analyze_without_a_word() {
    let dir = temp();
    let clip = clip(dir.path(), 2000);
    let mut child = command(&["analyze", "--json", text(&clip)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(first.starts_with("{\"frame\":0,"));
    assert_eq!((ended.status.code(), err(&ended).as_str()), (Some(1), ""));
}

#[test]
fn check_says_of_every_example_what_it_costs() {
    let dir = temp();
    fs::write(
        dir.path().join("store.credentials"),
        "[default]\naws_access_key_id = a\naws_secret_access_key = b\n",
    )
    .unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut checked = 0;
    for example in fs::read_dir(examples).unwrap() {
        let example = example.unwrap().path();
        // A certificate is the one file that is not made here.
        let body = fs::read_to_string(&example)
            .unwrap()
            .replace("certificate = \"/etc/vedette/device.pem\"", "id = \"cam1\"");
        let path = dir.path().join(example.file_name().unwrap());
        fs::write(&path, body).unwrap();
        let args = ["check", "--config", text(&path), "--state-dir", text(dir.path())];
        let ended = vedette(&args);
        assert!(ended.status.success(), "{}", err(&ended));
        for part in ["is right", "PUTs a day", "uploaded a day", "flash a day", "memory"] {
            assert!(out(&ended).contains(part), "{part} in\n{}", out(&ended));
        }
        let json = &lines(&vedette(&[&args[..], &["--json"]].concat()))[0];
        assert_eq!(json["ok"], true);
        assert!(json["cost"]["puts_per_day"].as_f64().unwrap() > 0.0, "{json}");
        checked += 1;
    }
    assert!(checked >= 4);
}

#[test]
fn check_tells_people_and_programs_what_is_wrong() {
    let dir = temp();
    let path = config(dir.path(), "[camera.yard]\nintervall = \"1s\"\nscene = {}");
    let args = ["check", "--config", text(&path)];
    let ended = vedette(&args);
    assert_eq!(ended.status.code(), Some(78));
    assert!(err(&ended).contains("vedette.toml:4:1") && err(&ended).ends_with('\n'));
    let ended = vedette(&[&args[..], &["--json"]].concat());
    assert_eq!((ended.status.code(), err(&ended).as_str()), (Some(78), ""));
    let json = &lines(&ended)[0];
    assert_eq!((&json["ok"], &json["errors"][0]["line"]), (&Value::from(false), &Value::from(4)));
    assert!(json["errors"][0]["help"].as_str().unwrap().contains("interval"), "{json}");
}

#[test]
fn check_warns_of_what_is_right_and_may_not_be_meant() {
    let dir = temp();
    let camera = "[camera.yard]\ninterval = \"100ms\"\nscene = { size = \"640x480\" }\n\
                  [memory]\nin_hand = \"320 kB\"";
    let ended = vedette(&["check", "--config", text(&config(dir.path(), camera))]);
    let said = out(&ended);
    assert!(ended.status.success(), "{}", err(&ended));
    for part in ["warning: `memory.in_hand`", "more than one a second", "warning: the spool"] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    let camera = "[camera.yard]\nscene = {}\nmotion.enabled = false\n\
                  [mqtt]\nbroker = \"mqtt://broker.example\"";
    let ended = vedette(&["check", "--config", text(&config(dir.path(), camera))]);
    let said = out(&ended);
    assert!(ended.status.success(), "{}", err(&ended));
    assert!(said.contains("warning: camera yard takes a picture only when it is asked"), "{said}");
    assert!(said.contains("warning: the broker broker.example is spoken to without"), "{said}");
}

#[test]
fn snap_takes_a_picture_without_an_agent() {
    let dir = temp();
    let played = format!("[camera.yard.files]\npath = \"{}\"", clip(dir.path(), 3).display());
    for camera in [SCENE, &played] {
        let path = config(dir.path(), camera);
        let picture = dir.path().join("snap.jpg");
        let ended = vedette(&["snap", "--config", text(&path), "-o", text(&picture)]);
        assert!(ended.status.success(), "{}", err(&ended));
        assert!(is_jpeg(&picture) && out(&ended).contains("no agent runs"), "{}", out(&ended));
        fs::remove_file(&picture).unwrap();
        let ended = vedette(&["snap", "--config", text(&path), "--camera", "gate"]);
        assert_eq!(ended.status.code(), Some(1));
        assert!(err(&ended).contains("there is: yard"), "{}", err(&ended));
    }
}

#[test]
fn who_may_not_read_the_keys_gets_a_picture_all_the_same() {
    let dir = temp();
    let path = dir.path().join("vedette.toml");
    let text_of_it = format!(
        "[camera.yard.scene]\nsize = \"160x120\"\n[control]\nsocket = \"{}\"\n[destination.s3]\n\
         endpoint = \"https://s3.example\"\nbucket = \"abc\"\ncredentials_file = \"none.credentials\"\n",
        dir.path().join("control.sock").display()
    );
    fs::write(&path, text_of_it).unwrap();
    let picture = dir.path().join("snap.jpg");
    let snapped = vedette(&["snap", "--config", text(&path), "-o", text(&picture)]);
    assert!(snapped.status.success() && is_jpeg(&picture), "{}", err(&snapped));
    let asked = vedette(&["trigger", "--config", text(&path), "--camera", "yard"]);
    assert!(err(&asked).contains("is the agent started"), "{}", err(&asked));
}

#[test]
fn a_running_agent_answers_status_and_snap() {
    let dir = temp();
    let path = config(dir.path(), &SCENE.replace("fast", "own"));
    let socket = dir.path().join("control.sock");
    let state = dir.path().join("state");
    let run = ["run", "--config", text(&path), "--state-dir", text(&state)];
    let mut agent = Process::spawn(&mut command(&run), dir.path(), "agent");
    let status = ["status", "--socket", text(&socket)];
    let json =
        || serde_json::from_str::<Value>(&out(&vedette(&[&status[..], &["--json"]].concat())));
    wait_for("a stored picture", || {
        json().is_ok_and(|s| s["upload"]["stored"].as_u64().is_some_and(|n| n > 0))
    });

    let words = out(&vedette(&status));
    for part in
        ["cam1, healthy", "trusted (machine)", "yard: streaming mjpeg 320x240", "last stored"]
    {
        assert!(words.contains(part), "{part} in\n{words}");
    }
    let healthy = vedette(&[&status[..], &["--healthy"]].concat());
    assert_eq!((healthy.status.code(), out(&healthy).as_str()), (Some(0), ""));
    let picture = dir.path().join("snap.jpg");
    let snapped = vedette(&["snap", "--config", text(&path), "-o", text(&picture)]);
    assert!(snapped.status.success() && is_jpeg(&picture), "{}", err(&snapped));
    assert!(out(&snapped).contains("through the running agent"));

    // A broken file and SIGHUP: an alarm, and everything runs on.
    fs::write(&path, "camera = 1\n").unwrap();
    agent.signal(rustix::process::Signal::HUP);
    let unwell = || vedette(&[&status[..], &["--healthy"]].concat()).status.code() == Some(1);
    wait_for("the alarm", unwell);
    let words = out(&vedette(&status));
    assert!(words.contains("NOT WELL") && words.contains("ALARM  config: "), "{words}");
    assert!(words.contains("yard: streaming"), "{words}");

    agent.signal(rustix::process::Signal::TERM);
    assert!(agent.wait(Duration::from_secs(60)).unwrap().success(), "{}", agent.output());
}

#[test]
fn status_without_an_agent_says_what_helps() {
    let ended = vedette(&["status", "--socket", "/nowhere/control.sock"]);
    assert_eq!(ended.status.code(), Some(1));
    let said = err(&ended);
    assert!(said.contains("/nowhere/control.sock") && said.contains("--socket`"), "{said}");
    assert_eq!(said.matches("os error").count(), 1, "said once: {said}");
    let healthy = vedette(&["status", "--healthy", "--socket", "/nowhere/control.sock"]);
    assert_eq!((healthy.status.code(), err(&healthy).as_str()), (Some(1), ""));
}

#[test]
fn wrong_usage_exits_2() {
    for args in [
        &["demo", "--for", "soon"][..],
        &["fly"],
        &["analyze"],
        &["analyze", "--fps", "0", "clip.avi"],
        &["status", "--jason"],
    ] {
        assert_eq!(vedette(args).status.code(), Some(2), "{args:?}");
    }
}
