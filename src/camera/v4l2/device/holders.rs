//! Who holds a device that is busy, as far as `/proc` lets us see.
//!
//! A service that systemd confines with `ProtectProc=invisible`, as ours, sees its own processes only;
//! any user without privileges sees the files of his own. So nothing found means nothing known.

use std::fs;
use std::path::Path;

use super::printable;

/// Open files looked at, at most: a busy server has some ten thousand.
const MAX_FILES: usize = 100_000;

/// More names than this help nobody.
const MAX_NAMED: usize = 3;

/// A process that has the device open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pid: u32,
    command: String,
}

/// Why a device is busy, in words. `proc` is `/proc`, and `own` the process that asks.
pub(super) fn words(proc: &Path, device: &Path, own: u32) -> String {
    explain(&device.display().to_string(), &find(proc, device), own)
}

/// The other processes that have the device open, by name and number.
pub(super) fn others(proc: &Path, device: &Path, own: u32) -> Vec<String> {
    let others = find(proc, device).into_iter().filter(|holder| holder.pid != own);
    others.map(|holder| format!("{} (process {})", holder.command, holder.pid)).collect()
}

/// All processes that have the device open, by number.
fn find(proc: &Path, device: &Path) -> Vec<Holder> {
    // The kernel shows the name a file was opened by, links followed.
    let device = fs::canonicalize(device).unwrap_or_else(|_| device.to_owned());
    let mut left = MAX_FILES;
    let mut found: Vec<_> = fs::read_dir(proc)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let files = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
            let held = files.take(left).any(|file| {
                left -= 1;
                fs::read_link(file.path()).is_ok_and(|target| target == device)
            });
            held.then(|| {
                let comm = fs::read(entry.path().join("comm")).unwrap_or_default();
                Holder { pid, command: printable(comm.trim_ascii_end()) }
            })
        })
        .collect();
    found.sort_by_key(|holder| holder.pid);
    found
}

fn explain(device: &str, holders: &[Holder], own: u32) -> String {
    let others: Vec<_> = holders.iter().filter(|holder| holder.pid != own).collect();
    if others.is_empty() {
        return if holders.is_empty() {
            format!(
                "{device} is in use by another program, which this one may not see: \
                 `sudo fuser -v {device}` says which; stop it"
            )
        } else {
            format!(
                "{device} is in use by this very process: does another camera of the configuration name \
                 the same device?"
            )
        };
    }
    let mut names: Vec<_> = others
        .iter()
        .take(MAX_NAMED)
        .map(|holder| format!("{} (process {})", holder.command, holder.pid))
        .collect();
    if others.len() > MAX_NAMED {
        names.push("others".to_owned());
    }
    let first = others.first().map_or(0, |holder| holder.pid);
    format!(
        "{device} is in use by {}: stop it (`sudo kill {first}`, or the service that runs it)",
        names.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A /proc with these processes: number, command, the files they have open.
    fn proc(processes: &[(u32, &str, &[&str])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (pid, command, files) in processes {
            let fd = root.path().join(pid.to_string()).join("fd");
            fs::create_dir_all(&fd).unwrap();
            fs::write(fd.with_file_name("comm"), format!("{command}\n")).unwrap();
            for (n, target) in files.iter().enumerate() {
                symlink(target, fd.join(n.to_string())).unwrap();
            }
        }
        fs::create_dir(root.path().join("sys")).unwrap();
        fs::create_dir(root.path().join("4711")).unwrap(); // Another user's: no fd to be seen.
        root
    }

    const CAMERA: &str = "/dev/video-of-a-test";

    fn said(processes: &[(u32, &str, &[&str])]) -> String {
        words(proc(processes).path(), Path::new(CAMERA), 100)
    }

    #[test]
    fn whoever_holds_the_device_is_named_with_number_and_command() {
        let text = said(&[
            (7, "bash", &["/dev/null", "/dev/video1"]),
            (812, "ffmpeg", &["/dev/null", CAMERA, CAMERA]),
        ]);
        assert_eq!(
            text,
            "/dev/video-of-a-test is in use by ffmpeg (process 812): stop it (`sudo kill 812`, or the \
             service that runs it)"
        );
        let many: Vec<(u32, &str, &[&str])> =
            (1..=5).map(|pid| (pid, "cam\x1bera", &[CAMERA] as &[&str])).collect();
        let text = said(&many);
        assert!(text.contains("cam?era (process 1) and cam?era (process 2)"), "{text}");
        assert!(text.contains("(process 3) and others: stop"), "{text}");
    }

    #[test]
    fn a_device_that_we_hold_ourselves_is_told_from_one_of_others() {
        let ours = (100, "vedette", &[CAMERA] as &[&str]);
        assert!(said(&[ours]).contains("this very process"));
        assert!(said(&[ours, (3, "motion", &[CAMERA])]).contains("motion (process 3):"));
    }

    #[test]
    fn holders_that_cannot_be_seen_are_found_by_the_command_that_can() {
        let text = said(&[(7, "bash", &["/dev/null"])]);
        assert!(text.contains("`sudo fuser -v /dev/video-of-a-test`"), "{text}");
        let nothing = words(Path::new("/no/such/proc"), Path::new(CAMERA), 1);
        assert!(nothing.contains("may not see"), "{nothing}");
    }

    #[test]
    fn a_stable_name_is_followed_to_the_node_that_processes_show() {
        let dir = tempfile::tempdir().unwrap();
        let node = dir.path().canonicalize().unwrap().join("video0");
        fs::write(&node, "").unwrap();
        let link = dir.path().join("by-id");
        symlink(&node, &link).unwrap();
        let root = proc(&[(9, "guvcview", &[node.to_str().unwrap()])]);
        assert!(words(root.path(), &link, 1).contains("guvcview (process 9)"));
    }
}
