//! The control socket: a unix stream socket, mode 0600, one request line and one answer a connection.
//!
//! The server is one task; each connection is served in turn with a deadline, so that a caller who
//! sends nothing holds up nobody for long. A stale socket file of a dead agent is replaced.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use super::Reply;
use super::command::{self, Head, MAX_LINE, Request};

/// A request and where its answer goes.
pub type Ask = (Request, oneshot::Sender<Reply>);

/// Longest time for a caller to send its line, and for the agent to answer.
const DEADLINE: Duration = Duration::from_secs(15);

/// The bound socket; its file is removed on drop.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Binds `path` with mode 0600, replacing the file of an agent that is gone.
    ///
    /// # Errors
    /// The directory is missing or not ours, or another agent listens there.
    pub fn bind(path: &Path) -> std::io::Result<Self> {
        if path.exists() {
            if StdStream::connect(path).is_ok() {
                return Err(std::io::Error::new(
                    std::io::ErrorKind::AddrInUse,
                    format!("another agent listens on {}", path.display()),
                ));
            }
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves until the receiving end of `asks` is gone.
    pub async fn serve(self, asks: mpsc::Sender<Ask>) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "Control socket could not accept; will retry.");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            if asks.is_closed() {
                return;
            }
            match tokio::time::timeout(DEADLINE, answer(stream, &asks)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "Control connection ended early."),
                Err(_) => debug!("Control connection was too slow."),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok(); // best effort: the next start replaces it
    }
}

async fn answer(stream: UnixStream, asks: &mpsc::Sender<Ask>) -> std::io::Result<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    let mut line = Vec::new();
    (&mut stream).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).await?;
    let reply = match command::parse(&line) {
        Err(error) => Reply::Failed(error),
        Ok(request) => {
            let (tx, rx) = oneshot::channel();
            match asks.try_send((request, tx)) {
                Ok(()) => {
                    rx.await.unwrap_or_else(|_| Reply::Failed("the agent is stopping".into()))
                }
                Err(_) => Reply::Failed("the agent is busy; ask again".into()),
            }
        }
    };
    let (head, body) = match reply {
        Reply::Status(status) => (None, serde_json::to_vec(&status).unwrap_or_default()),
        Reply::Picture(jpeg) => (None, jpeg),
        Reply::Done => (None, Vec::new()),
        Reply::Failed(error) => (Some(error), Vec::new()),
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
