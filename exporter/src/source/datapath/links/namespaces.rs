//! Network namespaces: finds the inode of a namespace by its id.
//!
//! The kernel can look up the id of an open namespace, but not the inode of an id. So all places where namespaces can
//! be found are walked; each new one is opened, looked up, and closed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::requests::{RequestError, Requests};
use crate::support::network_namespace::inode_of;

/// The paths that are searched for network namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPaths {
    /// Directories whose files are bind mounts of namespaces.
    pub directories: Vec<PathBuf>,
    /// procfs of the processes whose namespaces count: the machine's, not a container's.
    pub processes: PathBuf,
}

impl Default for SearchPaths {
    fn default() -> Self {
        // The directories of `ip netns` and CNI, and of Docker.
        let directories = vec!["/run/netns".into(), "/var/run/netns".into(), "/run/docker/netns".into()];
        Self { directories, processes: "/proc".into() }
    }
}

/// The inodes of the namespaces with these ids; an id whose namespace is not found is left out.
///
/// At most one namespace is open at a time, and none on return: an open one cannot end.
///
/// # Errors
/// The request failed; an unreadable path is skipped.
pub fn inodes(
    search_paths: &SearchPaths,
    wanted: &BTreeSet<i32>,
    requests: &mut Requests,
) -> Result<BTreeMap<i32, u32>, RequestError> {
    let mut found = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for path in candidates(search_paths) {
        if found.len() == wanted.len() {
            break;
        }
        // Cheap: without opening the file, this rules out nearly all processes.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if !seen.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        // The path may lead elsewhere now: the opened file is the one that the kernel looks up.
        let Ok(file) = open(&path) else { continue };
        let Ok(metadata) = file.metadata() else { continue };
        match requests.netns_id(file.as_fd()) {
            Ok(Some(id)) if wanted.contains(&id) => {
                found.insert(id, inode_of(&metadata));
            }
            // The kernel refuses a file that is no network namespace.
            Ok(_) | Err(RequestError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Opens a file without waiting: a named pipe would block until another process writes to it.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

fn candidates(search_paths: &SearchPaths) -> impl Iterator<Item = PathBuf> {
    let mounted = search_paths.directories.iter().flat_map(|directory| entries(directory));
    let of_processes = entries(&search_paths.processes).filter(|path| is_process(path)).map(|path| path.join("ns/net"));
    mounted.chain(of_processes)
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_process(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc;
    use std::time::Duration;

    use nix::sys::stat::Mode;

    use super::{Requests, SearchPaths, candidates, inodes};

    #[test]
    fn named_pipe_blocks_no_search() {
        let root = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&root.path().join("pipe"), Mode::S_IRWXU).unwrap();
        let search_paths = SearchPaths { directories: vec![root.path().into()], processes: root.path().join("none") };
        let (sender, found) = mpsc::channel();
        std::thread::spawn(move || {
            let found = inodes(&search_paths, &BTreeSet::from([1]), &mut Requests::open().unwrap());
            sender.send(found.unwrap()).unwrap();
        });
        assert!(found.recv_timeout(Duration::from_secs(20)).unwrap().is_empty());
    }

    #[test]
    fn files_and_processes_are_candidates() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for directory in ["netns", "proc/1", "proc/42", "proc/self", "proc/sys"] {
            std::fs::create_dir_all(path(directory)).unwrap();
        }
        std::fs::write(path("netns/blue"), "").unwrap();
        let search_paths = SearchPaths { directories: vec![path("netns"), path("missing")], processes: path("proc") };
        let mut found: Vec<_> = candidates(&search_paths).collect();
        found.sort();
        assert_eq!(found, [path("netns/blue"), path("proc/1/ns/net"), path("proc/42/ns/net")]);
    }
}
