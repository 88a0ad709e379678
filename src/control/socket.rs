//! The unix stream sockets that people and programs on this device ask through: one request line and one
//! answer a connection.
//!
//! Served by `agent`, called by `cli`. Who may connect, and for what, is each socket's [`Access`]: the
//! control socket is its owner's alone and takes everything, the trigger socket is a group's too and takes
//! triggers only. Each server is one task with a bounded number of connections under it, each with its
//! deadlines, so that a caller who sends nothing holds up nobody. Mode and group are set before anybody can
//! connect; a group that cannot be given leaves the socket its owner's alone ([`Server::withheld`]). A
//! stale socket of a dead agent is replaced; a file that is no socket never is.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::request::{self, Head, MAX_LINE, Op, Request};
use super::{Ask, Job, Reply, Taken};
use crate::contract::command::Reason;
use crate::sys;

/// Connections that the kernel lets wait.
const BACKLOG: i32 = 16;

/// Connections served at once; further ones wait to be accepted.
pub const AT_ONCE: usize = 8;

/// Longest time for a caller to send its line.
const LINE: Duration = Duration::from_secs(5);

/// Longest time for the agent to answer: longer than a trigger's picture may take, and within the whole
/// conversation, so that the caller is told.
const ANSWER: Duration = Duration::from_secs(14);

/// Longest time for a whole conversation.
const DEADLINE: Duration = Duration::from_secs(15);

/// The group whose members may trigger, unless the configuration names another.
pub const TRIGGER_GROUP: &str = "vedette-trigger";

/// Who may connect to a socket, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Mode of the socket, once the group has it.
    pub mode: u32,
    /// Group of the socket; `None`: its owner's own, and the mode is 0600.
    pub group: Option<Group>,
    /// What may be asked for.
    pub allows: &'static [Op],
}

/// A group that is to have a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Somebody asked for it: that this system has no such group is worth an alarm.
    pub asked: bool,
}

impl Access {
    /// The control socket's: its owner alone, for everything.
    #[must_use]
    pub fn owner() -> Self {
        Self { mode: OWNER, group: None, allows: &Op::ALL }
    }

    /// The trigger socket's: its owner and a group, for triggers. Without a name it is
    /// [`TRIGGER_GROUP`], where this system has one.
    #[must_use]
    pub fn triggers(group: Option<&str>) -> Self {
        let name = group.unwrap_or(TRIGGER_GROUP).to_owned();
        let group = Some(Group { name, asked: group.is_some() });
        Self { mode: 0o660, group, allows: &[Op::Trigger] }
    }
}

/// Mode of a socket that is its owner's alone.
const OWNER: u32 = 0o600;

/// The bound socket; its file is removed on drop.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    allows: &'static [Op],
    withheld: Option<String>,
}

impl Server {
    /// Binds `path` for those that `access` names, replacing the socket of an agent that is gone.
    ///
    /// # Errors
    /// The directory is missing or not ours, something else is there, or another agent listens there.
    pub fn bind(path: &Path, access: &Access) -> std::io::Result<Self> {
        make_way(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        // Until `listen` everybody is turned away, whatever mode the umask gave.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(OWNER))?;
        let withheld = match &access.group {
            Some(group) => share(path, access.mode, group),
            None => None,
        };
        net::listen(&socket, BACKLOG)?;
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Self { listener, path: path.to_owned(), allows: access.allows, withheld })
    }

    /// Why the group does not have the socket, which is then its owner's alone: the text of an alarm.
    #[must_use]
    pub fn withheld(&self) -> Option<&str> {
        self.withheld.as_deref()
    }

    /// Serves until the receiving end of `asks` is gone.
    pub async fn serve(self, asks: mpsc::Sender<Ask>) {
        let mut served = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = asks.closed() => return,
                Some(_) = served.join_next() => continue, // each told of its own failure
                accepted = self.listener.accept(), if served.len() < AT_ONCE => accepted,
            };
            match accepted {
                Ok((stream, _)) => drop(served.spawn(serve_one(stream, asks.clone(), self.allows))),
                Err(error) => {
                    warn!(%error, "Control socket could not accept; will retry.");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

/// Gives the socket to a group and then opens its mode; gives the reason where that cannot be.
fn share(path: &Path, mode: u32, group: &Group) -> Option<String> {
    let name = &group.name;
    let given = match sys::group_id(name) {
        Ok(Some(id)) => hand_over(path, id)
            .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))),
        Ok(None) if !group.asked => {
            info!(path = %path.display(), "No group {name} here: only the agent's user may trigger.");
            return None;
        }
        Ok(None) => Err(Error::new(ErrorKind::NotFound, "there is no such group")),
        Err(error) => Err(error),
    };
    given.err().map(|error| {
        format!(
            "group {name} cannot have {}: {error}. Only the agent's user may use it; make the group \
             (`groupadd --system {name}`) and let the service run in it (`Group={name}`)",
            path.display()
        )
    })
}

/// Asks for nothing where the group has the file by itself: under its unit, the agent's own group is the
/// only one that it could give a file to, and chown(2) is not among its calls.
fn hand_over(path: &Path, group: u32) -> std::io::Result<()> {
    if std::fs::symlink_metadata(path)?.gid() == group {
        return Ok(());
    }
    std::os::unix::fs::lchown(path, None, Some(group))
}

/// Removes the socket of an agent that is gone.
fn make_way(path: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(there) if !there.file_type().is_socket() => {
            Err(Error::new(ErrorKind::AlreadyExists, "something that is no socket is in its place"))
        }
        Ok(_) if somebody_listens(path)? => {
            Err(Error::new(ErrorKind::AddrInUse, "another agent listens there"))
        }
        Ok(_) => std::fs::remove_file(path),
    }
}

/// Does not wait: a full backlog is somebody too.
fn somebody_listens(path: &Path) -> std::io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(Errno::CONNREFUSED) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok(); // best effort: the next start replaces it
    }
}

async fn serve_one(stream: UnixStream, asks: mpsc::Sender<Ask>, allows: &[Op]) {
    match tokio::time::timeout(DEADLINE, converse(stream, &asks, allows)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "Control connection ended early."),
        Err(_) => debug!("Control connection was too slow."),
    }
}

async fn converse(
    stream: UnixStream,
    asks: &mpsc::Sender<Ask>,
    allows: &[Op],
) -> std::io::Result<()> {
    let began = tokio::time::Instant::now();
    let mut stream = tokio::io::BufReader::new(stream);
    let mut line = Vec::new();
    let mut limited = (&mut stream).take(MAX_LINE as u64 + 1);
    tokio::time::timeout(LINE, limited.read_until(b'\n', &mut line)).await??;
    let reply = match request::parse(&line, allows) {
        Err(reason) => Reply::Failed(reason),
        Ok(job) => ask(job, asks, began + ANSWER).await,
    };
    let (head, body) = answer(reply);
    let mut out = serde_json::to_vec(&head).unwrap_or_default();
    out.push(b'\n');
    let stream = stream.get_mut();
    stream.write_all(&out).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}

async fn ask(job: Job, asks: &mpsc::Sender<Ask>, until: tokio::time::Instant) -> Reply {
    let (tx, rx) = oneshot::channel();
    if asks.try_send((job, tx)).is_err() {
        return Reply::failed("busy", "the agent is busy; ask again");
    }
    match tokio::time::timeout_at(until, rx).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => Reply::failed("busy", "the agent gave no answer"),
        // What it does is not undone: its disk may only be slow.
        Err(_) => Reply::failed(
            "timed-out",
            "the agent has not answered yet; its disk may be slow, and a picture may still be kept",
        ),
    }
}

/// A reply as it is sent.
fn answer(reply: Reply) -> (Head, Vec<u8>) {
    let body = match reply {
        Reply::Status(status) => serde_json::to_vec(&status).unwrap_or_default(),
        Reply::Picture(jpeg) => jpeg,
        Reply::Taken(Taken { kept: 0, fault, camera }) => {
            let none =
                || Reason::new("not-kept", format!("no picture of camera {camera} was kept"));
            return (Head::failed(fault.unwrap_or_else(none)), Vec::new());
        }
        Reply::Taken(taken) => {
            let mut line = serde_json::to_vec(&taken).unwrap_or_default();
            line.push(b'\n'); // for those who read lines
            line
        }
        Reply::Spool(told) => serde_json::to_vec(&told).unwrap_or_default(),
        Reply::Done => Vec::new(),
        Reply::Failed(reason) => return (Head::failed(reason), Vec::new()),
    };
    (Head::done(body.len()), body)
}

/// Why the agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens: no agent runs (or not here).
    #[error("no agent listens on {path}")]
    NotRunning {
        /// The socket.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The agent answered that it could not be done.
    #[error("{}", .0.text)]
    Refused(Reason),
    /// The conversation broke off.
    #[error("the agent's answer broke off: {0}")]
    Broken(String),
}

/// Asks the agent behind `path` and gives the bytes it answers with. Blocks for at most 20 s.
///
/// # Errors
/// See [`CallError`].
pub fn call(path: &Path, request: &Request) -> Result<Vec<u8>, CallError> {
    let broken = |e: std::io::Error| CallError::Broken(e.to_string());
    let mut stream = StdStream::connect(path)
        .map_err(|source| CallError::NotRunning { path: path.display().to_string(), source })?;
    stream.set_read_timeout(Some(DEADLINE + Duration::from_secs(5))).map_err(broken)?;
    let mut line = serde_json::to_vec(request).map_err(|e| CallError::Broken(e.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(broken)?;
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    (&mut reader).take(64 * 1024).read_until(b'\n', &mut head).map_err(broken)?;
    let head: Head = serde_json::from_slice(&head).map_err(|e| CallError::Broken(e.to_string()))?;
    if !head.ok {
        let code = head.code.unwrap_or_default();
        let text = head.error.unwrap_or_else(|| "no reason given".into());
        return Err(CallError::Refused(Reason { code, text }));
    }
    let mut body = Vec::new();
    reader.take(head.len).read_to_end(&mut body).map_err(broken)?;
    if body.len() as u64 != head.len {
        return Err(CallError::Broken(format!("{} of {} bytes", body.len(), head.len)));
    }
    Ok(body)
}
