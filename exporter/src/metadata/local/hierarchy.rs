//! The trees of control groups of this machine: where they are mounted, and their folders.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The named hierarchy of systemd; runc joins it as well. Others may hold the containers of a machine without it.
const PREFERRED: [&str; 4] = ["name=systemd", "pids", "memory", "cpu"];

/// A mounted tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    /// Where it is mounted.
    pub(super) root: PathBuf,
    /// Whether it is that of cgroup v2, whose folders have the ids that the kernel reports of sockets.
    pub(super) is_unified: bool,
}

impl Tree {
    /// Finds the unified tree, and with cgroup v1 the one that systemd or else the container runtimes use.
    pub(super) fn all() -> Vec<Self> {
        fs::read_to_string("/proc/thread-self/mountinfo").map(|text| trees(&text)).unwrap_or_default()
    }

    /// The path of a folder below the root, as in `/proc/PID/cgroup`.
    pub(super) fn path_of<'a>(&self, folder: &'a Path) -> Option<&'a str> {
        folder.to_str()?.strip_prefix(self.root.to_str()?)
    }

    /// The folder of a path.
    pub(super) fn folder_of(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// The trees among the mounts of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
fn trees(mountinfo: &str) -> Vec<Tree> {
    let (mut unified, mut others) = (None, Vec::new());
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let (Some(root), Some(kind), Some(options)) =
            (before.split(' ').nth(4), after.split(' ').next(), after.split(' ').nth(2))
        else {
            continue;
        };
        match kind {
            "cgroup2" if unified.is_none() => unified = Some(root),
            "cgroup" => others.push((root, options)),
            _ => {}
        }
    }
    let with = |name: &str| others.iter().find(|(_, options)| options.split(',').any(|option| option == name));
    let other = PREFERRED.iter().find_map(|name| with(name)).or(others.first()).map(|(root, _)| *root);
    let tree = |root: &str, is_unified| Tree { root: PathBuf::from(root), is_unified };
    unified.map(|root| tree(root, true)).into_iter().chain(other.map(|root| tree(root, false))).collect()
}

/// The id of a control group of the unified tree: the inode of its folder (Linux `kernfs_id`, on 64-bit machines).
pub(super) fn id(folder: &Path) -> Option<u64> {
    fs::metadata(folder).ok().map(|metadata| metadata.ino())
}

/// Visits a folder and all below it, parents first, at most `max`. Returns whether that were all.
pub(super) fn walk(root: PathBuf, max: usize, mut visit: impl FnMut(&Path)) -> bool {
    let (mut rest, mut visited) = (vec![root], 0);
    while let Some(folder) = rest.pop() {
        if visited == max {
            return false;
        }
        visited += 1;
        visit(&folder);
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        rest.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
    true
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Tree, trees, walk};

    #[test]
    fn mounts_give_unified_and_one_more() {
        let v1 = |id: u32, name: &str, options: &str| {
            format!("{id} 20 0:{id} / /sys/fs/cgroup/{name} rw,relatime shared:9 - cgroup cgroup rw,{options}\n")
        };
        let v2 = "30 20 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let hybrid = "31 20 0:28 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n";
        let other = "22 1 0:20 / /proc rw - proc proc rw\nx - y\n\n";
        for (row, text, expected) in [
            ("v2", format!("{other}{v2}"), vec![("/sys/fs/cgroup", true)]),
            (
                "hybrid",
                format!("{}{}{hybrid}", v1(1, "pids", "pids"), v1(2, "systemd", "xattr,name=systemd")),
                vec![("/sys/fs/cgroup/unified", true), ("/sys/fs/cgroup/systemd", false)],
            ),
            (
                "v1 without systemd",
                format!("{}{}", v1(1, "cpu", "cpu,cpuacct"), v1(2, "memory", "memory")),
                vec![("/sys/fs/cgroup/memory", false)],
            ),
            ("one of v1", v1(1, "blkio", "blkio"), vec![("/sys/fs/cgroup/blkio", false)]),
            ("none", other.to_owned(), vec![]),
        ] {
            let found = trees(&text);
            let found: Vec<_> = found.iter().map(|tree| (tree.root.to_str().unwrap(), tree.is_unified)).collect();
            assert_eq!(found, expected, "{row}");
        }
    }

    #[test]
    fn paths_begin_below_the_root() {
        let tree = Tree { root: "/sys/fs/cgroup".into(), is_unified: true };
        assert_eq!(tree.path_of(Path::new("/sys/fs/cgroup/a/b")), Some("/a/b"));
        assert_eq!(tree.path_of(Path::new("/sys/fs/cgroup")), Some(""));
        assert_eq!(tree.folder_of("/a/b"), Path::new("/sys/fs/cgroup/a/b"));
    }

    #[test]
    fn walk_ends_at_limit() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::create_dir_all(folder.path().join("c")).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        for (max, expected, is_whole) in [(0, 0, false), (1, 1, false), (3, 3, false), (4, 4, true), (5, 4, true)] {
            let mut visited = 0;
            assert_eq!(walk(folder.path().to_owned(), max, |_| visited += 1), is_whole, "{max}");
            assert_eq!(visited, expected, "{max}");
        }
    }
}
