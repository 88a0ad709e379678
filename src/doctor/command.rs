//! Asks another program of this system (`systemctl`, `journalctl`), within a time and a size.

use std::io::{self, Read as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

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
        child.kill()?;
        child.wait()?;
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{program} gives no answer")));
    };
    if text.len() as u64 == most {
        child.kill()?;
        child.wait()?;
        return Ok(text);
    }
    if child.wait()?.success() || !text.is_empty() {
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
        let none = output("no-such-program", &[], Duration::from_secs(1), 1).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }
}
