//! Hears of cameras that are plugged in: inotify on `/dev` and on udev's links, no socket of udev's.
//!
//! Made by `capture` for a camera's thread, which polls [`Watch`] beside its stop while the camera is lost,
//! and asks [`Watch::arrived`] whether it is worth a try. What counts is decided by [`matters`], purely.
//! Events that came since the last [`Watch::forget`] count, so that a camera which comes between a failed
//! opening and the wait is not missed.
//!
//! A node appears first, then udev gives it its group and permissions, then it makes the links: the
//! permissions count too (IN_ATTRIB), and the directories of links are watched as soon as there are some.
//! Where inotify cannot be had, there is no watch, and the thread tries again by its backoff alone.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::name::{Named, nodes};

/// Directories of udev's links below `/dev`, each the way to the next.
const BELOW: [&str; 3] = ["v4l", "v4l/by-id", "v4l/by-path"];

/// Room for some events; more are read in turns.
const BUFFER: usize = 4096;

/// A watch on the directories where a camera's node and links appear.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
    dev: PathBuf,
    named: Named,
    /// Directories by their watch.
    dirs: Vec<(i32, PathBuf)>,
}

impl Watch {
    /// Watches for this camera below `dev` (`/dev`). `None` where the system has no more watches, or no
    /// such directory.
    #[must_use]
    pub fn new(named: &Named, dev: &Path) -> Option<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        let inotify = inotify.inspect_err(untold).ok()?;
        let mut watch =
            Self { inotify, dev: dev.to_owned(), named: named.clone(), dirs: Vec::new() };
        watch.add(dev).inspect_err(untold).ok()?;
        watch.add_links();
        Some(watch)
    }

    fn add(&mut self, dir: &Path) -> Result<(), Errno> {
        let what = WatchFlags::CREATE | WatchFlags::ATTRIB | WatchFlags::MOVED_TO;
        let number = inotify::add_watch(&self.inotify, dir, what | WatchFlags::ONLYDIR)?;
        self.dirs.retain(|(n, d)| *n != number && d != dir);
        self.dirs.push((number, dir.to_owned()));
        Ok(())
    }

    /// Watches the directories of links that there are; adding one again changes nothing.
    fn add_links(&mut self) {
        for below in BELOW {
            let dir = self.dev.join(below);
            self.add(&dir).ok(); // not there yet: its own appearing is heard of
        }
    }

    /// Lets go of what happened so far; called before each opening.
    pub fn forget(&mut self) {
        self.arrived();
    }

    /// Takes what happened since it was called last: did something appear that may be this camera?
    pub fn arrived(&mut self) -> bool {
        let (mut arrived, mut links) = (false, false);
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = events.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                (arrived, links) = (true, true);
                continue;
            }
            let dir = self.dirs.iter().find(|(n, _)| *n == event.wd()).map(|(_, dir)| dir);
            let (Some(dir), Some(name)) = (dir, event.file_name()) else { continue };
            let name = OsStr::from_bytes(name.to_bytes());
            links |= event.events().contains(ReadFlags::ISDIR);
            arrived |= matters(&self.named, &self.dev, dir, name);
        }
        if links {
            self.add_links();
            // What was made in a new directory before it was watched has told nobody.
            arrived |= matches!(&self.named, Named::Path(path) if path.exists());
        }
        arrived
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

fn untold(error: &Errno) {
    tracing::debug!(%error, "New devices are not heard of; a lost camera is tried again by the clock.");
}

/// May this camera be behind a name that appeared in a directory, or whose permissions changed?
fn matters(named: &Named, dev: &Path, dir: &Path, name: &OsStr) -> bool {
    match named {
        // Its own name only; a link is made after its node is ready.
        Named::Path(path) => path.parent() == Some(dir) && path.file_name() == Some(name),
        Named::First | Named::Marks(_) => {
            dir == dev && name.to_str().and_then(nodes::number).is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use tempfile::TempDir;

    use super::super::name::Marks;
    use super::*;

    fn marks() -> Named {
        Named::Marks(Marks { serial: Some("A1".into()), ..Marks::default() })
    }

    fn watch(dev: &TempDir, named: &Named) -> Watch {
        Watch::new(named, dev.path()).unwrap()
    }

    fn link(dev: &Path) -> Named {
        Named::Path(dev.join("v4l/by-id/usb-cam-video-index0"))
    }

    #[test]
    fn a_node_that_appears_wakes_who_waits_and_other_devices_do_not() {
        let dev = TempDir::new().unwrap();
        let mut watch = watch(&dev, &marks());
        fs::write(dev.path().join("ttyUSB0"), "").unwrap();
        fs::write(dev.path().join("video"), "").unwrap();
        assert!(!watch.arrived());
        fs::write(dev.path().join("video3"), "").unwrap();
        let mut fds = [PollFd::new(&watch, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        assert_eq!(poll(&mut fds, Some(&at_once)), Ok(1));
        assert!(watch.arrived());
        assert!(!watch.arrived(), "told once");
    }

    #[test]
    fn permissions_that_come_later_wake_again() {
        let dev = TempDir::new().unwrap();
        let node = dev.path().join("video0");
        fs::write(&node, "").unwrap();
        let mut watch = watch(&dev, &Named::Path(node.clone()));
        fs::set_permissions(&node, fs::Permissions::from_mode(0o660)).unwrap();
        assert!(watch.arrived());
    }

    #[test]
    fn a_link_is_heard_of_even_when_its_directories_come_with_it() {
        let dev = TempDir::new().unwrap();
        let mut watch = watch(&dev, &link(dev.path()));
        fs::write(dev.path().join("video0"), "").unwrap();
        assert!(!watch.arrived(), "another camera's node");
        let by_id = dev.path().join("v4l/by-id");
        fs::create_dir_all(&by_id).unwrap();
        symlink("../../video0", by_id.join("usb-cam-video-index0")).unwrap();
        assert!(watch.arrived(), "made before its directory was watched");
        fs::remove_file(by_id.join("usb-cam-video-index0")).unwrap();
        assert!(!watch.arrived());
        symlink("../../video0", by_id.join("usb-other-video-index0")).unwrap();
        assert!(!watch.arrived());
        symlink("../../video0", by_id.join("usb-cam-video-index0")).unwrap();
        assert!(watch.arrived(), "and after");
    }

    #[test]
    fn directories_of_links_that_went_and_came_again_are_watched_again() {
        let dev = TempDir::new().unwrap();
        let by_id = dev.path().join("v4l/by-id");
        fs::create_dir_all(&by_id).unwrap();
        let mut watch = watch(&dev, &link(dev.path()));
        fs::remove_dir_all(dev.path().join("v4l")).unwrap();
        assert!(!watch.arrived());
        fs::create_dir_all(&by_id).unwrap();
        assert!(!watch.arrived());
        symlink("../../video1", by_id.join("usb-cam-video-index0")).unwrap();
        assert!(watch.arrived());
    }

    #[test]
    fn what_was_before_is_forgotten_and_what_came_since_is_not() {
        let dev = TempDir::new().unwrap();
        let mut watch = watch(&dev, &marks());
        fs::write(dev.path().join("video0"), "").unwrap();
        watch.forget();
        assert!(!watch.arrived());
        fs::write(dev.path().join("video1"), "").unwrap();
        assert!(watch.arrived());
    }

    #[test]
    fn without_the_directory_there_is_no_watch() {
        let dev = TempDir::new().unwrap();
        assert!(Watch::new(&marks(), &dev.path().join("none")).is_none());
    }
}
