//! A local directory as the object store: the embedded default.
//!
//! Called by the uploader, on the blocking pool. The same states and the same contract as a bucket: an
//! object appears under its final name at once and whole, create-only, durable before it is called
//! stored, with its metadata beside it in `<key>.json`.
//!
//! Order: metadata, then the object (temporary name, fsync, rename that replaces nothing), then fsync of
//! the directory. Whoever watches for objects finds the metadata there. The temporary name is made from
//! the key, so a crash leaves at most one file a key, and the retry writes over it.
//!
//! The root is never made here: a root that is missing is a disk that is not mounted, and pictures
//! written into the empty mount point would fill the wrong disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::Item;
use super::classify::{Parked, Verdict};
use crate::grant::check_key;

/// Stores one object.
#[must_use]
pub fn store(root: &Path, item: &Item) -> Verdict {
    if let Err(e) = check_key(&item.key) {
        return Verdict::Quarantine { why: e.to_string() };
    }
    match try_store(root, item) {
        Ok(()) => Verdict::Stored,
        Err(e) => verdict(root, &e),
    }
}

fn try_store(root: &Path, item: &Item) -> io::Result<()> {
    let path = root.join(&item.key);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    make_dirs(root, dir)?;
    if path.is_dir() {
        // "It exists" means stored, and what is stored is deleted here.
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let name = name.to_string_lossy();
    let part = |what: &str| dir.join(format!(".{name}.{what}"));
    if !path.try_exists()? {
        let sidecar = dir.join(format!("{name}.json"));
        write_durably(&part("json.part"), &metadata_json(item))?;
        fs::rename(part("json.part"), sidecar)?;
        write_durably(&part("part"), &item.body)?;
        publish(&part("part"), &path)?;
    }
    File::open(dir)?.sync_all()
}

/// Makes the directories below `root`; each new name is durable before anything is put into it.
fn make_dirs(root: &Path, dir: &Path) -> io::Result<()> {
    if !root.is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let missing: Vec<&Path> = dir.ancestors().take_while(|d| !d.is_dir()).collect();
    for dir in missing.into_iter().rev() {
        match fs::create_dir(dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => File::open(dir.parent().unwrap_or(root))?.sync_all()?,
        }
    }
    Ok(())
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives the file its final name, replacing nothing. Some file systems (vfat, some FUSE and NFS) know
/// no such rename and no hard link; there a look before a plain rename is enough, because nobody else
/// writes under this device's prefix.
fn publish(part: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, part, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => fs::remove_file(part),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match path.try_exists()? {
            true => fs::remove_file(part),
            false => fs::rename(part, path),
        },
        Err(e) => Err(e.into()),
    }
}

fn metadata_json(item: &Item) -> Vec<u8> {
    let meta: serde_json::Map<String, serde_json::Value> =
        item.meta.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
    let object = serde_json::json!({
        "key": item.key,
        "size": item.body.len(),
        "content_type": item.facts.content_type,
        "sha256": item.facts.sha256,
        "metadata": meta,
    });
    let mut text = format!("{object:#}").into_bytes();
    text.push(b'\n');
    text
}

fn verdict(root: &Path, e: &io::Error) -> Verdict {
    let why = format!("{}: {e}", root.display());
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Verdict::Park(Parked::Quota(why))
        }
        io::ErrorKind::NotFound if !root.is_dir() => Verdict::Park(Parked::Directory(format!(
            "{} is not there: is the disk mounted?",
            root.display()
        ))),
        // The service may write below /var/lib/vedette only, until it is told otherwise.
        io::ErrorKind::ReadOnlyFilesystem => Verdict::Park(Parked::Directory(format!(
            "{why}; for a service, name it in ReadWritePaths= (systemd/local-store.conf)"
        ))),
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => {
            Verdict::Park(Parked::Directory(why))
        }
        io::ErrorKind::InvalidFilename
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::IsADirectory => Verdict::Quarantine { why },
        _ => Verdict::Retry { after: None, why },
    }
}

/// The directory's last word: the name of the "bucket" in announcements.
#[must_use]
pub fn bucket_name(root: &Path) -> String {
    let root: PathBuf = root.components().collect();
    root.file_name().map_or_else(|| "local".to_owned(), |n| n.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::{BootId, BootTime};
    use crate::contract::{Class, Facts, Trigger};
    use crate::frame::Stamp;

    fn item(key: &str, body: &'static [u8]) -> Item {
        let facts = Facts {
            boot: BootId("0a1b2c3d".into()),
            seq: 1,
            captured: BootTime(0),
            stamp: Stamp::Driver,
            wall: None,
            device: "cam-7".into(),
            camera: "door".into(),
            trigger: Trigger::Motion,
            event: None,
            event_final: false,
            command: None,
            class: Class::Best,
            content_type: "image/jpeg".into(),
            len: body.len() as u64,
            sha256: "00".repeat(32),
            meta: std::collections::BTreeMap::new(),
            key_template: String::new(),
        };
        let meta = vec![("device".to_owned(), "cam-7".to_owned())];
        Item { key: key.into(), facts, wall: None, body: Bytes::from_static(body), meta }
    }

    #[test]
    fn an_object_that_exists_is_stored_and_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(store(root.path(), &item("v1/a/b.jpg", b"first")), Verdict::Stored);
        assert_eq!(store(root.path(), &item("v1/a/b.jpg", b"second")), Verdict::Stored);
        assert_eq!(fs::read(root.path().join("v1/a/b.jpg")).unwrap(), b"first");
        let part = root.path().join("part");
        fs::write(&part, b"late").unwrap();
        publish(&part, &root.path().join("v1/a/b.jpg")).unwrap();
        assert_eq!(fs::read(root.path().join("v1/a/b.jpg")).unwrap(), b"first");
        assert!(!part.exists());
    }

    #[test]
    fn what_a_crash_left_behind_is_written_over() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(".a.jpg.part"), b"half a pict").unwrap();
        assert_eq!(store(root.path(), &item("a.jpg", b"whole")), Verdict::Stored);
        assert_eq!(fs::read(root.path().join("a.jpg")).unwrap(), b"whole");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn no_key_leaves_the_root() {
        let root = tempfile::tempdir().unwrap();
        for key in ["../a.jpg", "/etc/a.jpg", "a/../../b", "a b", ""] {
            let verdict = store(root.path(), &item(key, b"x"));
            assert!(matches!(verdict, Verdict::Quarantine { .. }), "{key:?}: {verdict:?}");
        }
    }

    #[test]
    fn a_file_in_the_way_parks_and_a_name_too_long_is_set_aside() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("v1"), b"").unwrap();
        let verdict = store(root.path(), &item("v1/a.jpg", b"x"));
        assert!(matches!(verdict, Verdict::Park(Parked::Directory(_))), "{verdict:?}");
        let verdict = store(root.path(), &item(&"a".repeat(300), b"x"));
        assert!(matches!(verdict, Verdict::Quarantine { .. }), "{verdict:?}");
    }

    #[test]
    fn a_directory_under_the_objects_name_is_not_the_object() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("v1/a.jpg")).unwrap();
        let verdict = store(root.path(), &item("v1/a.jpg", b"x"));
        assert!(matches!(verdict, Verdict::Quarantine { .. }), "{verdict:?}");
    }

    #[test]
    fn a_directory_that_the_service_may_not_write_parks_with_the_remedy() {
        let verdict = verdict(Path::new("/srv/pictures"), &Errno::ROFS.into());
        let Verdict::Park(Parked::Directory(why)) = verdict else { panic!("{verdict:?}") };
        assert!(
            why.contains("/srv/pictures: Read-only") && why.contains("ReadWritePaths"),
            "{why}"
        );
    }

    #[test]
    fn a_full_disk_parks_as_quota() {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            let verdict = verdict(Path::new("/"), &errno.into());
            assert!(matches!(verdict, Verdict::Park(Parked::Quota(_))), "{errno:?}: {verdict:?}");
        }
        let verdict = verdict(Path::new("/"), &Errno::IO.into());
        assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
    }
}
