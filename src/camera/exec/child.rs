//! The command as a process: found, started in a group of its own, and ended with all that it started.
//!
//! Used by `exec` alone. A [`Child`] is stopped when dropped, within [`TERM_WAIT`] and [`KILL_WAIT`]:
//! SIGTERM to the group, its pipes read empty so that nothing blocks on them, SIGKILL to what is left,
//! and the child reaped. It is never reaped before: as long as it is not, the number of its group cannot
//! become somebody else's.
//!
//! What leaves the group (`setsid`) is not found again; under systemd it ends with the service.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};

use crate::camera::OpenError;

/// Time to end after SIGTERM; with [`KILL_WAIT`] below the 3 s that a camera thread has to stop.
const TERM_WAIT: Duration = Duration::from_secs(2);

/// Time to be gone after SIGKILL; only a process that hangs in the kernel takes longer.
const KILL_WAIT: Duration = Duration::from_millis(300);

/// Between two looks at a process that is to end.
const LOOK: Duration = Duration::from_millis(10);

/// What is asked of the pipe, halved until the kernel gives it: its limit without privileges is usually
/// this.
const PIPE: usize = 1 << 20;

/// Words of our own environment that are for us alone, and beginnings of such words.
const OURS: [&str; 3] = ["CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "JOURNAL_STREAM"];
const OUR_PREFIXES: [&str; 3] = ["WATCHDOG_", "LISTEN_", "AWS_"];

/// Where programs are looked for when there is no PATH.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Processes that hung in the kernel when they were killed, to be reaped when they are gone.
static LEFT: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A running command, stopped when dropped.
#[derive(Debug)]
pub(super) struct Child {
    /// The command's own process, which leads its group. Not reaped before the drop.
    pid: Pid,
    pub(super) stdout: Pipe<ChildStdout>,
    pub(super) stderr: Pipe<ChildStderr>,
    /// The program's name without its directory.
    pub(super) name: String,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Status(i32),
    Signal(i32),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(f, "ended with status {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

impl Child {
    /// Starts `command`, whose first word is an absolute path or a name to be found on PATH.
    pub(super) fn start(command: &[String]) -> Result<Self, OpenError> {
        left().retain(|pid| !reap(*pid));
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| OpenError::settings("the command is empty", "name a program"))?;
        let path = find(program, std::env::var_os("PATH").as_deref())?;
        let mut starter = Command::new(&path);
        starter.args(arguments).current_dir("/").process_group(0);
        starter.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (word, _) in std::env::vars_os().filter(|(word, _)| is_ours(word)) {
            starter.env_remove(word);
        }
        let mut process = starter.spawn().map_err(|error| explain(&path, &error))?;
        let child = Self {
            pid: Pid::from_child(&process),
            stdout: Pipe(process.stdout.take()),
            stderr: Pipe(process.stderr.take()),
            name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        };
        child.stdout.prepare().and_then(|()| child.stderr.prepare()).map_err(|error| {
            OpenError::Io(format!("the pipes of {} cannot be set up: {error}", child.name))
        })?;
        child.stdout.widen();
        child.volunteer();
        Ok(child)
    }

    /// Where memory runs out, the kernel is to end the command and not the agent. Advice only.
    fn volunteer(&self) {
        let file = format!("/proc/{}/oom_score_adj", self.pid.as_raw_nonzero());
        std::fs::write(file, "300").ok(); // a kernel that refuses chooses for itself
    }

    /// How it ended, if it has; it stays to be reaped.
    pub(super) fn ended(&self) -> Option<Ended> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = rustix::process::waitid(WaitId::Pid(self.pid), look).ok()??;
        let code = status.exit_status().map(Ended::Status);
        code.or_else(|| status.terminating_signal().map(Ended::Signal))
    }

    /// Waits until one of the pipes has something to read or is closed, at most `timeout`. May return
    /// early.
    pub(super) fn wait(&self, timeout: Duration) {
        match (self.stdout.poll_fd(), self.stderr.poll_fd()) {
            (Some(out), Some(err)) => pause(&mut [out, err], timeout),
            (Some(one), None) | (None, Some(one)) => pause(&mut [one], timeout),
            (None, None) => pause(&mut [], timeout),
        }
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process_group(self.pid, signal).ok(); // all of it may have ended
    }

    /// Waits until the child has ended and nobody holds its pipes; what comes out of them is thrown
    /// away, so that nobody blocks in writing a farewell.
    fn has_left(&mut self, limit: Duration) -> bool {
        let (deadline, mut waste) = (Instant::now() + limit, [0; 16 << 10]);
        loop {
            // A bounded number of reads: somebody may write faster than it is thrown away.
            for _ in 0..256 {
                if self.stdout.read(&mut waste) + self.stderr.read(&mut waste) == 0 {
                    break;
                }
            }
            if self.stdout.at_end() && self.stderr.at_end() && self.ended().is_some() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.wait(left.min(LOOK));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        self.has_left(TERM_WAIT);
        // Also when the child has ended: others of its group may not have.
        self.signal(Signal::KILL);
        let deadline = Instant::now() + KILL_WAIT;
        while !reap(self.pid) {
            if Instant::now() >= deadline {
                let pid = self.pid.as_raw_nonzero();
                tracing::warn!(program = self.name, pid, "The command hangs in the kernel.");
                left().push(self.pid);
                return;
            }
            pause(&mut [], LOOK);
        }
    }
}

/// A pipe from the child that is read without waiting; empty once it is at its end.
#[derive(Debug)]
pub(super) struct Pipe<R>(Option<R>);

impl<R: Read + AsFd> Pipe<R> {
    /// Reads what has come, 0 when there is nothing now or nothing any more: see [`Pipe::at_end`].
    pub(super) fn read(&mut self, into: &mut [u8]) -> usize {
        let Some(pipe) = &mut self.0 else { return 0 };
        match pipe.read(into) {
            Ok(n) if n > 0 => n,
            Err(e)
                if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
            {
                0
            }
            _ => {
                self.0 = None;
                0
            }
        }
    }

    pub(super) fn at_end(&self) -> bool {
        self.0.is_none()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }

    fn poll_fd(&self) -> Option<PollFd<'_>> {
        self.0.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN))
    }

    fn prepare(&self) -> rustix::io::Result<()> {
        let Some(fd) = self.fd() else { return Err(Errno::BADF) };
        fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)
    }

    /// Makes room for more frames while nobody reads.
    fn widen(&self) {
        let sizes = std::iter::successors(Some(PIPE), |size| Some(size / 2));
        let Some(fd) = self.fd() else { return };
        sizes
            .take_while(|size| *size > 64 << 10)
            .find(|size| rustix::pipe::fcntl_setpipe_size(fd, *size).is_ok());
    }
}

/// Polls, or only lets time pass; an interrupted wait is a short one.
fn pause(fds: &mut [PollFd<'_>], timeout: Duration) {
    poll(fds, Timespec::try_from(timeout).ok().as_ref()).ok(); // the next read tells what there is
}

/// Reaps a child that has ended; true also when there is no such child of ours.
fn reap(pid: Pid) -> bool {
    match rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
        Ok(None) | Err(Errno::INTR) => false,
        Ok(Some(_)) | Err(_) => true,
    }
}

fn left() -> MutexGuard<'static, Vec<Pid>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_ours(word: &OsStr) -> bool {
    let word = word.to_string_lossy();
    OURS.contains(&&*word) || OUR_PREFIXES.iter().any(|prefix| word.starts_with(prefix))
}

/// The program's file.
fn find(program: &str, path: Option<&OsStr>) -> Result<PathBuf, OpenError> {
    if program.contains('/') {
        let file = PathBuf::from(program);
        return runnable(&file).map(|()| file);
    }
    let path = path.unwrap_or(OsStr::new(USUAL_PATH));
    let mut refused = None;
    for file in std::env::split_paths(path).filter(|d| d.is_absolute()).map(|d| d.join(program)) {
        match runnable(&file) {
            Ok(()) => return Ok(file),
            Err(OpenError::NotFound(_)) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        OpenError::NotFound(format!(
            "there is no program {program} in {}; install it, or give its absolute path",
            path.to_string_lossy()
        ))
    }))
}

fn runnable(file: &Path) -> Result<(), OpenError> {
    let shown = file.display();
    let meta = file.metadata().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => OpenError::NotFound(format!(
            "there is no program {shown}; install it, or correct its path"
        )),
        _ => OpenError::from_io(file, &error),
    })?;
    if !meta.is_file() {
        return Err(OpenError::settings(&format!("{shown} is not a program"), "name one"));
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(OpenError::Permission(format!(
            "{shown} may not be run; make it executable: chmod a+x {shown}"
        )));
    }
    Ok(())
}

/// Why a program that is there could not be started.
fn explain(file: &Path, error: &io::Error) -> OpenError {
    let shown = file.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => OpenError::Permission(format!(
            "{shown}: permission denied; let the user that runs vedette read and run it"
        )),
        io::ErrorKind::NotFound => OpenError::NotFound(format!(
            "{shown} needs an interpreter or a loader that is not here; see its first line"
        )),
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            OpenError::Unsupported(format!(
                "{shown} is no program for this machine; a script begins with a line such as #!/bin/sh"
            ))
        }
        _ => OpenError::Io(format!("{shown} cannot be started: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_words_are_not_handed_on() {
        for word in ["CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"] {
            assert!(is_ours(OsStr::new(word)), "{word}");
        }
        for word in ["PATH", "HOME", "LANG", "GST_PLUGIN_PATH", "MY_LISTEN_X"] {
            assert!(!is_ours(OsStr::new(word)), "{word}");
        }
    }

    #[test]
    fn programs_are_found_on_the_path_or_by_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cam");
        let path =
            std::env::join_paths([Path::new("/nowhere"), Path::new("."), dir.path()]).unwrap();
        let on_path = |name: &str| find(name, Some(&path)).map_err(|e| e.to_string());
        let said = on_path("cam").unwrap_err();
        assert!(said.contains("no program cam in /nowhere:") && said.contains("install"), "{said}");
        std::fs::write(&file, "echo").unwrap();
        let said = on_path("cam").unwrap_err();
        assert!(said.contains("chmod a+x"), "{said}");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(on_path("cam"), Ok(file.clone()));
        assert_eq!(on_path(file.to_str().unwrap()), Ok(file));
        assert!(on_path("/").unwrap_err().contains("not a program"));
        assert!(on_path("/nowhere/cam").unwrap_err().contains("correct its path"));
    }

    #[test]
    fn a_file_that_is_no_program_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let start = |text: &str| {
            let file = dir.path().join("cam");
            // By another process: while this one has it open for writing, a child that another thread starts
            // holds it open too, and the answer would be "text file busy".
            let write = "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"";
            let made = Command::new("sh").args(["-c", write, "sh", text]).arg(&file).status();
            assert!(made.unwrap().success());
            Child::start(&[file.to_str().unwrap().to_owned()]).unwrap_err().to_string()
        };
        assert!(start("no shebang").contains("no program for this machine"));
        assert!(start("#!/nowhere/sh\n").contains("interpreter"));
    }

    #[test]
    fn what_hung_is_reaped_later() {
        let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&sleeper);
        left().push(pid);
        drop(Child::start(&["true".to_owned()]).unwrap());
        assert!(left().contains(&pid), "it has not ended yet");
        sleeper.kill().unwrap();
        rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            .unwrap();
        drop(Child::start(&["true".to_owned()]).unwrap());
        assert!(!left().contains(&pid));
        assert!(sleeper.wait().is_err(), "nothing is left to be reaped");
    }
}
