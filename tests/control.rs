//! The sockets against callers of every kind: slow, mute, chatty, rude and gone; and who may call for what.

#![cfg(test)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use vedette::control::Ask;
use vedette::control::Reply;
use vedette::control::request::{Head, MAX_LINE, Request};
use vedette::control::socket::{AT_ONCE, Access, CallError, Group, Server, call};
use vedette::sys;

/// A served socket; every request is answered with a picture of three bytes.
struct Served {
    dir: TempDir,
    tasks: JoinSet<()>,
}

impl Served {
    fn start() -> Self {
        Self::with(&Access::owner())
    }

    fn with(access: &Access) -> Self {
        let dir = TempDir::new().unwrap();
        let (asks, mut asked) = mpsc::channel::<Ask>(AT_ONCE);
        let server = Server::bind(&dir.path().join("control.sock"), access).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(server.serve(asks));
        tasks.spawn(async move {
            while let Some((_, reply)) = asked.recv().await {
                reply.send(Reply::Picture(b"jpg".to_vec())).ok();
            }
        });
        Self { dir, tasks }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.path()).await.unwrap()
    }

    /// Says these bytes, hangs up its side, and gives the head and the body of the answer.
    async fn say(&self, bytes: &[u8]) -> (Head, Vec<u8>) {
        let mut stream = self.connect().await;
        // The server may answer and close before it has read everything.
        stream.write_all(bytes).await.ok();
        stream.shutdown().await.ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
        let end = answer.iter().position(|b| *b == b'\n').expect("an answer has a head");
        (serde_json::from_slice(&answer[..end]).unwrap(), answer[end + 1..].to_vec())
    }
}

const STATUS: &[u8] = b"{\"op\":\"status\"}\n";

#[tokio::test]
async fn callers_that_say_nothing_hold_up_nobody() {
    let served = Served::start();
    let mut mute = Vec::new();
    for _ in 1..AT_ONCE {
        mute.push(served.connect().await);
    }
    let (head, body) = served.say(STATUS).await;
    assert!(head.ok && body == b"jpg");
    for stream in mute {
        let error =
            stream.try_read(&mut [0; 1]).expect_err("it was not closed before its deadline");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[tokio::test]
async fn callers_that_leave_early_leave_the_socket_served() {
    let served = Served::start();
    for bytes in [&b""[..], b"{", STATUS, b"{\"op\":\"snap\",\"camera\":\"front\"}\n"] {
        let mut stream = served.connect().await;
        stream.write_all(bytes).await.unwrap();
        drop(stream);
    }
    assert!(served.say(STATUS).await.0.ok);
}

#[tokio::test]
async fn a_line_without_end_is_refused_with_words() {
    let served = Served::start();
    let (head, _) = served.say(&vec![b' '; MAX_LINE * 4]).await;
    assert!(!head.ok);
    assert!(head.error.unwrap().contains("the most is 4096"));
    assert!(served.say(STATUS).await.0.ok);
}

#[tokio::test]
async fn many_callers_at_once_are_all_answered() {
    let served = Served::start();
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE * 5 {
        let path = served.path();
        callers.spawn_blocking(move || call(&path, &Request::Status {}).unwrap());
    }
    while let Some(answer) = callers.join_next().await {
        assert_eq!(answer.unwrap(), b"jpg");
    }
}

#[test]
fn arbitrary_bytes_are_answered_and_never_end_the_server() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let mut served = Served::start();
    proptest!(ProptestConfig::with_cases(2_000), |(
        line in proptest::collection::vec(any::<u8>(), 0..200)
    )| {
        let (head, _) = runtime.block_on(served.say(&line));
        prop_assert!(!head.ok && head.error.is_some());
    });
    assert!(runtime.block_on(served.say(STATUS)).0.ok);
    assert!(served.tasks.try_join_next().is_none(), "both tasks go on");
}

#[tokio::test]
async fn the_trigger_socket_takes_triggers_and_says_so_to_all_else() {
    let served = Served::with(&Access::triggers(None));
    for refused in [STATUS, b"{\"op\":\"snap\",\"camera\":\"front\"}\n"] {
        let (head, body) = served.say(refused).await;
        assert_eq!((head.ok, head.code.as_deref(), body.len()), (false, Some("not-allowed"), 0));
        assert!(head.error.unwrap().contains("it takes `trigger`"));
    }
    let (head, _) = served.say(b"{}\n").await;
    assert_eq!(head.code.as_deref(), Some("bad-request"));
    assert!(!head.error.unwrap().contains("snap"), "what is not allowed is not offered");
    assert!(served.say(b"{\"op\":\"trigger\"}\n").await.0.ok);
    let everything = Served::start();
    assert!(everything.say(b"{\"op\":\"trigger\"}\n").await.0.ok);
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_group_has_its_socket_and_nobody_else() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trigger.sock");
    // Of the groups that this process may give a file to, one that a new file does not have by itself.
    let own = rustix::process::getegid();
    let all = rustix::process::getgroups().unwrap();
    let id = match rustix::process::geteuid().is_root() {
        true => 1, // daemon, on every system
        false => all.into_iter().find(|g| *g != own).unwrap_or(own).as_raw(),
    };
    let name = sys::group_name(id).unwrap().unwrap();
    let server = Server::bind(&path, &Access::triggers(Some(&name))).unwrap();
    assert_eq!(server.withheld(), None);
    assert_eq!(mode(&path), 0o660);
    assert_eq!(std::fs::metadata(&path).unwrap().gid(), id);
}

#[tokio::test]
async fn without_its_group_a_socket_is_its_owners_alone_and_says_why() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trigger.sock");
    let server = Server::bind(&path, &Access::triggers(Some("no-such-group"))).unwrap();
    assert_eq!(mode(&path), 0o600);
    let why = server.withheld().unwrap();
    assert!(why.contains("no-such-group") && why.contains("groupadd"), "{why}");
    drop(server);
    // Where nobody asked for the group, its absence is nothing to be alarmed at.
    let group = Some(Group { name: "no-such-group".to_owned(), asked: false });
    let server = Server::bind(&path, &Access { group, ..Access::triggers(None) }).unwrap();
    assert_eq!((mode(&path), server.withheld()), (0o600, None));
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_its_server() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    let server = Server::bind(&path, &Access::owner()).unwrap();
    assert_eq!(mode(&path), 0o600);
    let error = Server::bind(&path, &Access::owner()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    drop(server);
    assert!(!path.exists());
    assert!(matches!(call(&path, &Request::Status {}), Err(CallError::NotRunning { .. })));
}

#[tokio::test]
async fn the_socket_of_a_dead_agent_is_replaced_and_anything_else_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind by a kill");
    drop(Server::bind(&path, &Access::owner()).unwrap());
    std::fs::write(&path, "precious").unwrap();
    assert!(Server::bind(&path, &Access::owner()).unwrap_err().to_string().contains("no socket"));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    let nowhere = dir.path().join("missing/control.sock");
    assert_eq!(
        Server::bind(&nowhere, &Access::owner()).unwrap_err().kind(),
        std::io::ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_server_ends_when_nobody_takes_its_questions() {
    let dir = TempDir::new().unwrap();
    let (asks, asked) = mpsc::channel::<Ask>(1);
    let server = Server::bind(&dir.path().join("control.sock"), &Access::owner()).unwrap();
    drop(asked);
    tokio::time::timeout(Duration::from_secs(60), server.serve(asks)).await.unwrap();
}
