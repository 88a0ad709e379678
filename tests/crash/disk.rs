//! Mounting: a logged disk for the process that is watched, and replayed states of it.
//!
//! `nbd` (memory) ▸ `nbdfuse` (a file) ▸ loop (a block device) ▸ ext4. All of it is inside this process's
//! own mount namespace, so that whatever ends this process also unmounts everything.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::nbd::{self, Log, Op};

/// The file system's size: small, because each state is a copy of it.
const SIZE: u64 = 32 << 20;

/// How the file system is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Journal {
    /// ext4 as it comes.
    Ordered,
    /// File data may reach the disk after the metadata that tells of it, and commits come every second.
    Writeback,
}

impl Journal {
    fn options(self) -> &'static str {
        match self {
            Self::Ordered => "loop",
            Self::Writeback => "loop,data=writeback,commit=1",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Writeback => "writeback",
        }
    }
}

/// An empty file system.
pub(crate) fn format(work: &Path) -> Vec<u8> {
    let path = work.join("base.img");
    fs::File::create(&path).unwrap().set_len(SIZE).unwrap();
    // Nothing is left to be written later by the kernel.
    let lazy = "lazy_itable_init=0,lazy_journal_init=0";
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-b", "4096", "-E", lazy]).arg(&path));
    let image = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    image
}

/// A mounted disk that logs.
pub(crate) struct Logged {
    pub(crate) log: Log,
    place: PathBuf,
    fuse: Child,
}

impl Logged {
    /// Mounts this image; `place` is an empty directory for it.
    pub(crate) fn mount(place: PathBuf, image: Vec<u8>, journal: Journal) -> Self {
        let log = Log::default();
        let (socket, ready, file) = (place.join("nbd"), place.join("ready"), place.join("fuse"));
        for dir in [&place, &file, &place.join("mnt")] {
            fs::create_dir(dir).unwrap();
        }
        nbd::serve(&socket, image, log.clone()).unwrap();
        run(Command::new("mkfifo").arg(&ready));
        let fuse = Command::new("nbdfuse")
            .arg("-P")
            .arg(&ready)
            .arg(file.join("disk"))
            .arg("--unix")
            .arg(&socket)
            .spawn()
            .expect("nbdfuse runs: tools/setup test installs it");
        // It writes its process id when the file is there; a pipe's other end waits for that.
        let mut pid = String::new();
        fs::File::open(&ready).unwrap().read_to_string(&mut pid).unwrap();
        let logged = Self { log, place, fuse };
        mount(&file.join("disk"), &logged.root(), journal);
        logged
    }

    /// The mounted file system.
    pub(crate) fn root(&self) -> PathBuf {
        self.place.join("mnt")
    }

    /// Everything the disk was told so far; then it is taken away.
    pub(crate) fn unmount(mut self) -> Vec<Op> {
        let ops = self.log.take();
        umount(&self.root());
        umount(&self.place.join("fuse"));
        self.fuse.wait().unwrap();
        fs::remove_dir_all(&self.place).unwrap();
        ops
    }
}

pub(crate) fn mount(file: &Path, at: &Path, journal: Journal) {
    run(Command::new("mount").args(["-t", "ext4", "-o", journal.options()]).arg(file).arg(at));
}

pub(crate) fn umount(at: &Path) {
    run(Command::new("umount").arg(at));
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) {
    let out = command.stdin(Stdio::null()).output();
    let out = out.unwrap_or_else(|e| panic!("{command:?}: {e}; tools/setup test installs it"));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {} {said}", out.status);
}
