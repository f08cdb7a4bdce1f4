//! Finds the inode of a container's network namespace.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use crate::support::network_namespace::{inode_of, own_inode};

/// The inode: that of the container's first process, else that of docker's file. `None` if neither is there, or it is
/// this program's own namespace.
pub(super) fn inode(id: &str, pid: Option<i64>, sandbox: Option<&str>) -> Option<u32> {
    let of_process = || {
        let folder = Path::new("/proc").join(pid.filter(|&pid| pid > 0)?.to_string());
        let inode = inode_at(&folder.join("ns/net"))?;
        // The process can have ended and its id be in use again, or the id is one of another pid namespace. Checked after
        // the inode was read: then the inode is that of the same process.
        is_in_container(&folder, id).then_some(inode)
    };
    let inode = of_process().or_else(|| inode_at(Path::new(sandbox.filter(|path| path.starts_with('/'))?)))?;
    (Some(inode) != own_inode().ok()).then_some(inode)
}

/// Returns whether the control group of a process names a container.
fn is_in_container(process: &Path, id: &str) -> bool {
    std::fs::read_to_string(process.join("cgroup")).is_ok_and(|groups| groups.contains(id))
}

/// The inode of a namespace's file; `None` for any other file.
fn inode_at(path: &Path) -> Option<u32> {
    let file = open(path).ok()?;
    let is_namespace = fstatfs(&file).is_ok_and(|system| system.filesystem_type() == NSFS_MAGIC);
    is_namespace.then(|| file.metadata().ok().map(|metadata| inode_of(&metadata))).flatten()
}

/// Opens a file for its metadata alone: opening a pipe or device would have an effect, or wait.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{inode, inode_at};

    #[test]
    fn only_namespaces_have_inodes() {
        for (path, is_there) in [
            ("/proc/self/ns/net", true),
            ("/proc/self/ns/mnt", true),
            ("/proc/self/status", false),
            ("/dev/null", false),
            ("/no/such/file", false),
            ("/", false),
        ] {
            assert_eq!(inode_at(Path::new(path)).is_some(), is_there, "{path}");
        }
    }

    #[test]
    fn foreign_process_falls_back_to_sandbox() {
        let (pid, id) = (i64::from(std::process::id()), "5".repeat(64));
        let other = inode_at(Path::new("/proc/self/ns/mnt"));
        for (name, pid, sandbox, expected) in [
            ("process outside of the container", Some(pid), None, None),
            ("process outside, file of a namespace", Some(pid), Some("/proc/self/ns/mnt"), other),
            ("no process", None, Some("/proc/self/ns/mnt"), other),
            ("negative id", Some(-1), None, None),
            ("zero id", Some(0), Some("/dev/null"), None),
            ("relative path", None, Some("proc/self/ns/mnt"), None),
            ("our own namespace", None, Some("/proc/self/ns/net"), None),
        ] {
            assert_eq!(inode(&id, pid, sandbox), expected, "{name}");
        }
    }
}
