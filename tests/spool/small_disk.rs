//! A small ext4 file system of its own, in a file, mounted for as long as a test needs it. Needs root.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub(crate) struct SmallDisk {
    dir: TempDir,
    mounted: PathBuf,
}

impl SmallDisk {
    /// So many MiB.
    pub(crate) fn ext4(mib: u64) -> Self {
        Self::make(mib, &[])
    }

    /// So many MiB, and no more files than that.
    pub(crate) fn with_inodes(mib: u64, inodes: u32) -> Self {
        Self::make(mib, &["-N", &inodes.to_string()])
    }

    fn make(mib: u64, options: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let (image, mounted) = (dir.path().join("disk"), dir.path().join("mounted"));
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        fs::create_dir(&mounted).unwrap();
        // All is made at once: the kernel writes nothing of its own later.
        let at_once = ["-E", "lazy_itable_init=0,lazy_journal_init=0"];
        run(Command::new("mkfs.ext4")
            .args(["-q", "-m", "0"])
            .args(at_once)
            .args(options)
            .arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mounted));
        Self { dir, mounted }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mounted
    }

    fn filler(&self) -> PathBuf {
        self.mounted.join("filler")
    }

    /// Takes whatever is free, to the last block.
    pub(crate) fn fill(&self) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        for block in [1 << 20, 4096, 1] {
            let block = vec![7; block];
            while file.write_all(&block).and_then(|()| file.sync_data()).is_ok() {}
        }
    }

    /// Takes whatever is free but this much.
    pub(crate) fn fill_but(&self, left: u64) {
        let free = rustix::fs::statvfs(&self.mounted).unwrap();
        let more = (free.f_bavail * free.f_frsize).saturating_sub(left);
        let mut file = OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        file.write_all(&vec![7; usize::try_from(more).unwrap()]).unwrap();
        file.sync_all().unwrap();
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
        File::open(&self.mounted).unwrap().sync_all().unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A panic may leave files open: lazily, so that nothing stays behind.
        let done = Command::new("umount").arg("-l").arg(&self.mounted).status();
        assert!(done.is_ok_and(|s| s.success()), "{} stays mounted", self.dir.path().display());
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
