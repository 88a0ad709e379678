//! The test harness itself: a child's end is seen, its output kept, and the footage is what it says.

#[path = "support/footage.rs"]
mod footage;
#[path = "support/process.rs"]
mod process;

use std::fs;
use std::process::Command;
use std::time::Duration;

use process::Process;
use rustix::process::Signal;

const PLENTY: Duration = Duration::from_secs(60);

#[test]
fn child_is_waited_for_signalled_and_heard() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "trap 'echo told; exit 7' TERM; echo up; : >\"$0\"; while :; do read -r x; done",
    ]);
    let mut child = Process::spawn(shell.arg(&pipe), dir.path(), "child");

    // Opening the pipe's other end returns once the child has set its trap.
    drop(fs::File::open(&pipe).unwrap());
    assert_eq!(child.wait(Duration::ZERO), None, "still running");
    child.signal(Signal::TERM);
    let ended = child.wait(PLENTY).unwrap();
    assert_eq!(ended.code(), Some(7));
    assert_eq!(child.output(), "up\ntold\n");
    child.signal(Signal::KILL);
}

#[test]
fn clip_is_made_of_as_many_jpegs_as_it_says() {
    let clip = fs::read(footage::vtest()).unwrap();
    let jpegs =
        clip.windows(12).filter(|w| w.starts_with(b"00dc") && w.ends_with(b"\xff\xd8\xff\xdb"));
    assert_eq!(jpegs.count(), footage::VTEST_FRAMES);
}
