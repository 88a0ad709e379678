//! Asks another program of this system (`systemctl`, `journalctl`), or a disk, within a time and a size.
//!
//! What hangs in the kernel cannot be ended, not even by a kill: it is left behind.

use std::io::{self, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a program may take to be gone once it has said all, or was killed.
const GONE: Duration = Duration::from_secs(1);

/// What `ask` finds, on a thread of its own; `None` when that takes longer than `limit`. A thread that hangs
/// ends with the process.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (to, from) = mpsc::sync_channel(1);
    std::thread::spawn(move || to.send(ask()).ok()); // nobody waits any more
    from.recv_timeout(limit).ok()
}

/// How it ended; `None` when it does not.
fn ended(mut child: Child) -> Option<io::Result<ExitStatus>> {
    within(GONE, move || child.wait())
}

/// What `program` writes to its standard output, at most `most` bytes of it.
///
/// # Errors
/// It is not there, failed and wrote nothing (its own words), or took longer than `limit`; it is ended
/// then.
pub(crate) fn output(
    program: &str,
    arguments: &[&str],
    limit: Duration,
    most: u64,
) -> io::Result<Vec<u8>> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .env("SYSTEMD_PAGER", "")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (tx, rx) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = out.map(|out| out.take(most).read_to_end(&mut text));
        let mut words = String::new();
        if text.len() as u64 != most {
            err.map(|err| err.take(1024).read_to_string(&mut words));
        }
        tx.send((text, words, read)).ok(); // nobody waits any more
    });
    let Ok((text, words, _)) = rx.recv_timeout(limit) else {
        child.kill().ok(); // already gone
        ended(child);
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{program} gives no answer")));
    };
    if text.len() as u64 == most {
        child.kill().ok(); // already gone
        ended(child);
        return Ok(text);
    }
    if !text.is_empty() {
        ended(child);
        return Ok(text);
    }
    if ended(child).transpose()?.is_some_and(|status| status.success()) {
        return Ok(text);
    }
    Err(io::Error::other(words.trim().lines().next().unwrap_or("it failed").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_bounded_in_time_and_size() {
        let run = |script, most| output("sh", &["-c", script], Duration::from_secs(20), most);
        assert_eq!(run("echo well", 100).unwrap(), b"well\n");
        assert_eq!(run("echo bad >&2; exit 3", 100).unwrap_err().to_string(), "bad");
        assert_eq!(run("echo found; exit 1", 100).unwrap(), b"found\n");
        assert_eq!(run("yes", 6).unwrap(), b"y\ny\ny\n");
        let hung = output("sleep", &["60"], Duration::from_millis(20), 100).unwrap_err();
        assert_eq!(hung.kind(), io::ErrorKind::TimedOut);
        // It closed its outputs and lives on.
        let began = std::time::Instant::now();
        assert!(run("exec >&- 2>&-; exec sleep 60", 100).is_err());
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert_eq!(within(Duration::from_millis(20), std::thread::park), None);
        assert_eq!(within(Duration::from_secs(20), || 7), Some(7));
    }

    #[test]
    fn a_command_that_is_not_there_is_told_as_that() {
        let none = output("no-such-program", &[], Duration::from_secs(1), 1).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }
}
