//! A disk that forgets whatever was not flushed: `disk.c` writes down what the spool tells the system, and this
//! side makes from it a directory as a power cut may leave it.
//!
//! Stricter than any one file system, as POSIX promises no more: a file's bytes are there when the *file* was
//! flushed, its name when its *directory* was, and each of the two without the other. What was not flushed is there
//! or not, piece by piece: writes are cut at 4 KiB, each name by itself. So a name without bytes, bytes without a
//! name, the later of two writes without the earlier, and a removed file that is back, all come.
//!
//! Not seen: what is written through a mapping (SQLite's `-shm`, which no start believes), and `syncfs`, which goes
//! past the C library (only a rebuilt index asks for it; here none is ever rebuilt).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const BLOCK: u64 = 4096;

/// Compiles `disk.c` into `dir`; what a process needs in its environment to be watched below `root`.
pub(crate) fn watch(dir: &Path, root: &Path, log: &Path) -> Vec<(&'static str, PathBuf)> {
    let (source, library) =
        (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machine/disk.c"), dir.join("disk.so"));
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    let out = cc.output().expect("cc runs: tools/setup test installs it");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    vec![
        ("LD_PRELOAD", library),
        ("VEDETTE_DISK_ROOT", root.to_owned()),
        ("VEDETTE_DISK_LOG", log.to_owned()),
    ]
}

/// One thing the disk was told.
#[derive(Debug)]
struct Record {
    kind: u64,
    inode: u64,
    at: u64,
    path: String,
    data: Vec<u8>,
}

/// The log.
#[derive(Debug)]
pub(crate) struct Log(PathBuf);

impl Log {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Its length now: a moment, while nobody writes.
    pub(crate) fn now(&self) -> u64 {
        fs::metadata(&self.0).unwrap().len()
    }

    fn read(&self, from: u64, to: u64) -> Vec<Record> {
        let mut file = fs::File::open(&self.0).unwrap();
        file.seek(SeekFrom::Start(from)).unwrap();
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        file.read_exact(&mut bytes).unwrap();
        let (mut rest, mut records) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let mut number = || {
                let (n, after) = rest.split_at(8);
                rest = after;
                u64::from_le_bytes(n.try_into().unwrap())
            };
            let [kind, inode, at, path, data] = std::array::from_fn(|_| number());
            let (path, after) = rest.split_at(usize::try_from(path).unwrap());
            let (data, after) = after.split_at(usize::try_from(data).unwrap());
            rest = after;
            let path = String::from_utf8(path.to_vec()).unwrap();
            records.push(Record { kind, inode, at, path, data: data.to_vec() });
        }
        records
    }

    /// A moment between these two, after some record: `share` of 255 of them.
    pub(crate) fn between(&self, from: u64, to: u64, share: u8) -> u64 {
        let records = self.read(from, to);
        let many = records.len() * usize::from(share) / 255;
        let size = |r: &Record| 40 + r.path.len() + r.data.len();
        from + records[..many].iter().map(size).sum::<usize>() as u64
    }

    /// Forgets all, while nobody writes.
    pub(crate) fn clear(&self) {
        fs::OpenOptions::new().write(true).open(&self.0).unwrap().set_len(0).unwrap();
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Node {
    File(usize),
    Dir(usize),
}

/// What a name becomes: `None`, nothing.
type Naming = Vec<(String, Option<Node>)>;

#[derive(Debug, Default)]
struct Dir {
    flushed: BTreeMap<String, Node>,
    now: BTreeMap<String, Node>,
    since: Vec<Naming>,
}

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

#[derive(Debug, Default)]
struct Content {
    flushed: Vec<u8>,
    since: Vec<Change>,
}

/// A spool's directory, flushed and not.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    files: Vec<Content>,
    dirs: Vec<Dir>,
    inodes: HashMap<u64, usize>,
}

impl Disk {
    /// The directory as it is, all of it flushed.
    pub(crate) fn new(root: &Path) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            files: Vec::new(),
            dirs: Vec::new(),
            inodes: HashMap::new(),
        };
        disk.take_in(root);
        disk
    }

    fn take_in(&mut self, path: &Path) -> usize {
        let dir = self.dirs.len();
        self.dirs.push(Dir::default());
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let node = if entry.file_type().unwrap().is_dir() {
                Node::Dir(self.take_in(&entry.path()))
            } else {
                let file = self.make(entry.metadata().unwrap().ino());
                self.files[file].flushed = fs::read(entry.path()).unwrap();
                Node::File(file)
            };
            self.dirs[dir].flushed.insert(entry.file_name().into_string().unwrap(), node);
        }
        self.dirs[dir].now = self.dirs[dir].flushed.clone();
        dir
    }

    /// A new file; its inode's number may have been another's.
    fn make(&mut self, inode: u64) -> usize {
        self.files.push(Content::default());
        self.inodes.insert(inode, self.files.len() - 1);
        self.files.len() - 1
    }

    /// What the disk was told from one moment of the log to another.
    pub(crate) fn hear(&mut self, log: &Log, from: u64, to: u64) {
        log.read(from, to).into_iter().for_each(|record| self.take(record));
    }

    fn take(&mut self, record: Record) {
        let Record { kind, inode, at, path, data } = record;
        let below = |path: &str| Path::new(path).strip_prefix(&self.root).ok().map(PathBuf::from);
        match kind {
            1 => {
                let Some(path) = below(&path) else { return };
                let file = self.make(inode);
                self.name(&path, Some(Node::File(file)));
            }
            2 => {
                let Some(file) = self.inodes.get(&inode) else { return };
                let mut at = at;
                let mut rest = data.as_slice();
                while !rest.is_empty() {
                    let len = usize::try_from(BLOCK - at % BLOCK).unwrap().min(rest.len());
                    let (piece, after) = rest.split_at(len);
                    self.files[*file].since.push(Change::Write(at, piece.to_vec()));
                    (rest, at) = (after, at + len as u64);
                }
            }
            3 => {
                let Some(file) = self.inodes.get(&inode) else { return };
                self.files[*file].since.push(Change::Cut(at));
            }
            4 => {
                let Some(file) = self.inodes.get(&inode) else { return };
                self.files[*file].flush(|| true);
            }
            5 => {
                let Some(path) = below(&path) else { return };
                let Some(Node::Dir(dir)) = self.find(&path) else { return };
                let dir = &mut self.dirs[dir];
                (dir.flushed, dir.since) = (dir.now.clone(), Vec::new());
            }
            6 => {
                let Some(path) = below(&path) else { return };
                self.dirs.push(Dir::default());
                self.name(&path, Some(Node::Dir(self.dirs.len() - 1)));
            }
            7 => {
                let to = String::from_utf8(data).unwrap();
                let (Some(from), Some(to)) = (below(&path), below(&to)) else { return };
                assert_eq!(from.parent(), to.parent(), "names move within a directory only");
                let node = self.find(&from);
                let of = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
                self.set(&to, vec![(of(&from), None), (of(&to), node)]);
            }
            8 | 9 => {
                let Some(path) = below(&path) else { return };
                self.name(&path, None);
            }
            other => panic!("record of kind {other}"),
        }
    }

    fn find(&self, path: &Path) -> Option<Node> {
        path.iter().try_fold(Node::Dir(0), |node, name| match node {
            Node::Dir(dir) => self.dirs[dir].now.get(name.to_str()?).copied(),
            Node::File(_) => None,
        })
    }

    fn name(&mut self, path: &Path, node: Option<Node>) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        self.set(path, vec![(name, node)]);
    }

    /// In the directory of `path`.
    fn set(&mut self, path: &Path, naming: Naming) {
        let Some(Node::Dir(dir)) = self.find(path.parent().unwrap()) else { return };
        let dir = &mut self.dirs[dir];
        apply(&mut dir.now, &naming);
        dir.since.push(naming);
    }

    /// The power goes: lays down into `to` what is left. Nothing of what was not flushed, all of it, or a part.
    pub(crate) fn cut_power(mut self, to: &Path, rng: &mut fastrand::Rng) {
        for dir in &mut self.dirs {
            let share = share(rng);
            let kept: Vec<_> = dir.since.drain(..).filter(|_| rng.f64() < share).collect();
            kept.iter().for_each(|naming| apply(&mut dir.flushed, naming));
        }
        for file in &mut self.files {
            let share = share(rng);
            file.flush(|| rng.f64() < share);
        }
        self.lay_down(0, to);
    }

    fn lay_down(&self, dir: usize, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for (name, node) in &self.dirs[dir].flushed {
            match node {
                Node::Dir(dir) => self.lay_down(*dir, &to.join(name)),
                Node::File(_) if name.ends_with("-shm") => {}
                Node::File(file) => fs::write(to.join(name), &self.files[*file].flushed).unwrap(),
            }
        }
    }
}

impl Content {
    /// Of what was written since the last flush, that which is kept is flushed; the rest is gone.
    fn flush(&mut self, mut keep: impl FnMut() -> bool) {
        for change in self.since.drain(..) {
            if !keep() {
                continue;
            }
            match change {
                Change::Cut(len) => self.flushed.resize(usize::try_from(len).unwrap(), 0),
                Change::Write(at, data) => {
                    let (at, end) = (usize::try_from(at).unwrap(), data.len());
                    let end = at + end;
                    if self.flushed.len() < end {
                        self.flushed.resize(end, 0);
                    }
                    self.flushed[at..end].copy_from_slice(&data);
                }
            }
        }
    }
}

fn apply(names: &mut BTreeMap<String, Node>, naming: &Naming) {
    for (name, node) in naming {
        match node {
            Some(node) => drop(names.insert(name.clone(), *node)),
            None => drop(names.remove(name)),
        }
    }
}

fn share(rng: &mut fastrand::Rng) -> f64 {
    [1.0, 0.0, 0.0, 0.1, 0.5, 0.9][rng.usize(..6)]
}
