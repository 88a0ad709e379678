//! The control socket: a unix stream socket, mode 0600, one request line and one answer a connection.
//!
//! The server is one task with a bounded number of connections under it, each with its deadlines, so
//! that a caller who sends nothing holds up nobody. The mode is set before anybody can connect. A stale
//! socket of a dead agent is replaced; a file that is no socket never is.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::request::{self, Head, MAX_LINE, Request};
use super::{Ask, Job, Reply};

/// Connections that the kernel lets wait.
const BACKLOG: i32 = 16;

/// Connections served at once; further ones wait to be accepted.
pub const AT_ONCE: usize = 8;

/// Longest time for a caller to send its line.
const LINE: Duration = Duration::from_secs(5);

/// Longest time for a whole conversation.
const DEADLINE: Duration = Duration::from_secs(15);

/// The bound socket; its file is removed on drop.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Binds `path` with mode 0600, replacing the socket of an agent that is gone.
    ///
    /// # Errors
    /// The directory is missing or not ours, something else is there, or another agent listens there.
    pub fn bind(path: &Path) -> std::io::Result<Self> {
        make_way(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        // Until `listen` everybody is turned away, whatever mode the umask gave.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        net::listen(&socket, BACKLOG)?;
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Self { listener, path: path.to_owned() })
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
                Ok((stream, _)) => drop(served.spawn(serve_one(stream, asks.clone()))),
                Err(error) => {
                    warn!(%error, "Control socket could not accept; will retry.");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

/// Removes the socket of an agent that is gone.
fn make_way(path: &Path) -> std::io::Result<()> {
    use std::io::{Error, ErrorKind};
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

async fn serve_one(stream: UnixStream, asks: mpsc::Sender<Ask>) {
    match tokio::time::timeout(DEADLINE, answer(stream, &asks)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "Control connection ended early."),
        Err(_) => debug!("Control connection was too slow."),
    }
}

async fn answer(stream: UnixStream, asks: &mpsc::Sender<Ask>) -> std::io::Result<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    let mut line = Vec::new();
    let mut limited = (&mut stream).take(MAX_LINE as u64 + 1);
    tokio::time::timeout(LINE, limited.read_until(b'\n', &mut line)).await??;
    let reply = match request::parse(&line) {
        Err(error) => Reply::failed("bad-request", error),
        Ok(request) => {
            let (tx, rx) = oneshot::channel();
            match asks.try_send((Job::from(request), tx)) {
                Ok(()) => {
                    rx.await.unwrap_or_else(|_| Reply::failed("busy", "the agent gave no answer"))
                }
                Err(_) => Reply::failed("busy", "the agent is busy; ask again"),
            }
        }
    };
    let (head, body) = match reply {
        Reply::Status(status) => (None, serde_json::to_vec(&status).unwrap_or_default()),
        Reply::Picture(jpeg) => (None, jpeg),
        Reply::Taken(taken) => (None, serde_json::to_vec(&taken).unwrap_or_default()),
        Reply::Done => (None, Vec::new()),
        Reply::Failed(reason) => (Some(reason.text), Vec::new()),
    };
    let head = Head { ok: head.is_none(), error: head, len: body.len() as u64 };
    let mut out = serde_json::to_vec(&head).unwrap_or_default();
    out.push(b'\n');
    let stream = stream.get_mut();
    stream.write_all(&out).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
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
    #[error("{0}")]
    Refused(String),
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
        return Err(CallError::Refused(head.error.unwrap_or_else(|| "no reason given".into())));
    }
    let mut body = Vec::new();
    reader.take(head.len).read_to_end(&mut body).map_err(broken)?;
    if body.len() as u64 != head.len {
        return Err(CallError::Broken(format!("{} of {} bytes", body.len(), head.len)));
    }
    Ok(body)
}
