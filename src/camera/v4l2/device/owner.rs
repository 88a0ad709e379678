//! Who may open a device that we may not, and how to become one of them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Read and write for the group.
const GROUP_RW: u32 = 0o060;

/// Why the device's own permissions keep us out, in words.
pub(super) fn words(device: &Path) -> String {
    let Ok(node) = fs::metadata(device) else {
        return format!(
            "no permission to use {}: a directory above it may not be entered",
            device.display()
        );
    };
    let groups = fs::read("/etc/group").unwrap_or_default();
    explain(
        &device.display().to_string(),
        node.mode(),
        &group(&String::from_utf8_lossy(&groups), node.gid()),
    )
}

/// The group's name, or its number where it has none.
fn group(table: &str, gid: u32) -> String {
    let mut lines = table.lines().map(|line| line.split(':'));
    lines
        .find_map(|mut fields| {
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
        })
        .unwrap_or_else(|| gid.to_string())
}

fn explain(device: &str, mode: u32, group: &str) -> String {
    if mode & GROUP_RW == GROUP_RW && group != "root" {
        return format!(
            "no permission to use {device}: it belongs to group {group}; add the user that runs vedette \
             to it (sudo usermod -aG {group} USER), and log in again or restart the service"
        );
    }
    format!(
        "no permission to use {device}: its mode {:04o} lets nobody but its owner in; have udev give it to \
         group video (SUBSYSTEM==\"video4linux\", GROUP=\"video\", MODE=\"0660\" in a file of \
         /etc/udev/rules.d), and plug it in again",
        mode & 0o7777
    )
}

/// Why the device's permissions would let us in and the system does not, in words.
pub(super) fn forbidden(device: &Path) -> String {
    let d = device.display();
    format!(
        "the system forbids {d} to this process, whatever its group: under systemd add \
         `DeviceAllow=char-video4linux rw` to the service; in a container, hand the device in \
         (--device {d})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "root:x:0:\nbroken\nvideo:x:44:anna,ben\ncameras:x:1003:\n";

    #[test]
    fn the_group_that_owns_the_node_is_named_with_the_way_into_it() {
        let text = explain("/dev/video7", 0o020_660, &group(TABLE, 44));
        assert!(text.contains("belongs to group video"), "{text}");
        assert!(text.contains("sudo usermod -aG video USER"), "{text}");
        let text = explain("/dev/video7", 0o020_660, &group(TABLE, 1003));
        assert!(text.contains("usermod -aG cameras USER"), "{text}");
        assert!(explain("/dev/video7", 0o660, &group(TABLE, 55)).contains("belongs to group 55;"));
    }

    #[test]
    fn nobody_is_sent_into_a_group_that_does_not_help() {
        for (mode, gid) in [(0o020_600, 44), (0o020_640, 44), (0o020_660, 0)] {
            let text = explain("/dev/video7", mode, &group(TABLE, gid));
            assert!(text.contains("udev") && !text.contains("usermod"), "{text}");
        }
        assert!(explain("/dev/video7", 0o020_600, "video").contains("its mode 0600"));
    }

    #[test]
    fn what_is_there_and_what_is_not_both_have_an_answer() {
        assert!(words(Path::new("/dev/null")).contains("/dev/null"));
        assert!(words(Path::new("/no/such/node")).contains("directory"));
    }
}
