//! Watches paths by inotify on their folders, through symbolic links: Kubernetes updates secrets by the link `..data`.

use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InotifyEvent, WatchDescriptor};
use tokio::time::{Instant, sleep, sleep_until};

use super::inotify::{Events, Readiness};

/// Events by which a name in a folder becomes another file, or the folder another folder.
const CHANGES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_ATTRIB);
/// Links that the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Interval of checks without an event: on a network file system inotify reports only changes of this machine.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// A program that writes several files does so within this time.
const QUIET: Duration = Duration::from_millis(50);
/// The longest wait for quiet: changes take effect within a second.
const MAX_SETTLE: Duration = Duration::from_millis(500);

/// Reports that one of some paths may have appeared, changed or gone. Where inotify is not available (the number of its
/// instances is limited) it reports nothing, and the owner depends on its own timer.
#[derive(Debug)]
pub struct PathWatcher {
    paths: Vec<PathBuf>,
    inotify: Option<Events>,
    watched: Vec<(WatchDescriptor, Place)>,
}

/// A name in a folder: a file, a link on the way to it, or the next folder on the way that does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    folder: PathBuf,
    name: OsString,
}

impl PathWatcher {
    /// Watches these paths, whether they exist or not.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let inotify = Events::new();
        if let Err(error) = &inotify {
            tracing::info!(%error, ?paths, "cannot watch files for changes; they are checked at intervals");
        }
        let mut watcher = Self { paths, inotify: inotify.ok(), watched: Vec::new() };
        watcher.arm();
        watcher
    }

    /// The descriptor for poll(2). `None` if nothing is watched.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(Events::descriptor)
    }

    /// Reads the pending events. Returns whether one concerns a path or a link or folder on the way to it.
    pub fn has_changed(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return false };
        let mut has_changed = false;
        match inotify.read(|event| has_changed |= self.concerns(&event)) {
            Ok(has_lost) => has_changed |= has_lost,
            Err(error) => {
                tracing::info!(%error, paths = ?self.paths, "cannot watch files any longer; they are checked at intervals");
                self.inotify = None;
            }
        }
        if has_changed {
            self.arm();
        }
        has_changed
    }

    fn concerns(&self, event: &InotifyEvent) -> bool {
        // An event without a name is about the folder itself.
        let is_at = |(descriptor, place): &(WatchDescriptor, Place)| {
            event.wd == *descriptor && event.name.as_ref().is_none_or(|name| *name == place.name)
        };
        self.watched.is_empty() || self.watched.iter().any(is_at)
    }

    /// Watches the folders of the current places.
    fn arm(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        let old = std::mem::take(&mut self.watched);
        // A place may have changed before its folder was watched, so places are looked up until they stay the same.
        for _ in 0..MAX_LINKS {
            let places: Vec<Place> = self.paths.iter().flat_map(|path| places(path)).collect();
            if self.watched.iter().map(|(_, place)| place).eq(&places) {
                break;
            }
            // A folder that is gone again is left out; the next round finds its parent.
            let watch = |place: Place| Some((inotify.watch(&place.folder, CHANGES).ok()?, place));
            self.watched = places.into_iter().filter_map(watch).collect();
        }
        for (unused, _) in old {
            if !self.watched.iter().any(|(descriptor, _)| *descriptor == unused) {
                inotify.unwatch(unused);
            }
        }
    }
}

/// The places of a file and of the links that lead to it.
fn places(path: &Path) -> Vec<Place> {
    let mut places = Vec::new();
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        // The deepest folder that exists.
        places.extend(steps(&path).find(|step| step.0.is_dir()).map(Place::from));
        // Folders on the way may be links as well.
        places.extend(steps(&path).skip(1).filter(|(folder, name)| folder.join(name).is_symlink()).map(Place::from));
        let Ok(target) = std::fs::read_link(&path) else { break };
        let folder = steps(&path).next().map_or(Path::new("."), |(folder, _)| folder);
        path = folder.join(target);
    }
    places
}

impl From<(&Path, &OsStr)> for Place {
    fn from((folder, name): (&Path, &OsStr)) -> Self {
        Self { folder: folder.to_owned(), name: name.to_owned() }
    }
}

/// The folders of a path from its own upwards, each with the name in it that leads to the path.
fn steps(path: &Path) -> impl Iterator<Item = (&Path, &OsStr)> {
    path.ancestors().filter_map(|path| {
        let folder = path.parent()?;
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Some((folder, path.file_name()?))
    })
}

/// Watches some files from a task.
#[derive(Debug)]
pub struct FileWatch {
    /// `None` if nothing is watched.
    ready: Option<Readiness>,
    watcher: PathWatcher,
}

impl FileWatch {
    /// Watches these files, whether they exist or not. Needs a tokio runtime.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let watcher = PathWatcher::new(paths);
        let ready = watcher.inotify.as_ref().and_then(|events| Readiness::new(events).ok());
        Self { ready, watcher }
    }

    /// Returns when a file may have changed, and at least every `POLL_INTERVAL`. The caller compares the contents.
    pub async fn changed(&mut self) {
        let poll = Instant::now() + POLL_INTERVAL;
        loop {
            tokio::select! {
                () = readable(self.ready.as_ref()) => if self.watcher.has_changed() { break },
                () = sleep_until(poll) => return,
            }
        }
        let settled = Instant::now() + MAX_SETTLE;
        while Instant::now() < settled {
            sleep(QUIET).await;
            if !self.watcher.has_changed() {
                break;
            }
        }
    }
}

/// Returns when there are events; never if nothing is watched.
async fn readable(ready: Option<&Readiness>) {
    let Some(ready) = ready else { return std::future::pending().await };
    if let Err(error) = ready.ready().await {
        tracing::debug!(%error, "cannot wait for changes of files");
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{PathWatcher, steps};

    #[test]
    fn steps_lead_upwards() {
        let steps = |path| steps(Path::new(path)).map(|(a, b)| format!("{} {}", a.display(), b.display())).collect();
        let all: Vec<String> = steps("/run/cilium/m.sock");
        assert_eq!(all, ["/run/cilium m.sock", "/run cilium", "/ run"]);
        let all: Vec<String> = steps("m.sock");
        assert_eq!(all, [". m.sock"]);
    }

    #[test]
    fn missing_folders_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/m.sock");
        let mut watcher = PathWatcher::new(vec![path.clone()]);
        assert!(watcher.descriptor().is_some());
        assert!(!watcher.has_changed());
        std::fs::write(folder.path().join("other"), "").unwrap();
        assert!(!watcher.has_changed(), "another file");
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert!(watcher.has_changed(), "a");
        std::fs::create_dir(folder.path().join("a/b")).unwrap();
        assert!(watcher.has_changed(), "b");
        std::fs::write(folder.path().join("a/b/other"), "").unwrap();
        assert!(!watcher.has_changed(), "another file");
        std::fs::write(&path, "").unwrap();
        assert!(watcher.has_changed(), "the path");
        std::fs::write(folder.path().join("a/b/new"), "").unwrap();
        assert!(!watcher.has_changed());
        std::fs::rename(folder.path().join("a/b/new"), &path).unwrap();
        assert!(watcher.has_changed(), "replaced");
        std::fs::remove_dir_all(folder.path().join("a")).unwrap();
        assert!(watcher.has_changed(), "gone");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(watcher.has_changed(), "again");
        std::fs::write(&path, "").unwrap();
        assert!(watcher.has_changed(), "the path again");
    }

    /// A secret as Kubernetes mounts it: `..data` is a link to a folder and is replaced as a whole.
    #[test]
    fn swapped_links_are_changes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let version = |name: &str, text: &str| {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("tls.crt"), text).unwrap();
            std::os::unix::fs::symlink(name, at("..data_tmp")).unwrap();
            std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        version("..1", "1");
        std::os::unix::fs::symlink("..data/tls.crt", at("tls.crt")).unwrap();
        std::fs::write(at("plain"), "1").unwrap();
        let mut watcher = PathWatcher::new(vec![at("tls.crt"), at("plain"), at("later")]);
        assert!(!watcher.has_changed());
        for round in 2..4 {
            version(&format!("..{round}"), "2");
            assert!(watcher.has_changed(), "swapped");
            assert!(!watcher.has_changed());
        }
        std::fs::write(at("..data/tls.crt"), "3").unwrap();
        assert!(watcher.has_changed(), "written behind the links");
        std::fs::write(at("..1/tls.crt"), "3").unwrap();
        std::fs::write(at("other"), "3").unwrap();
        assert!(!watcher.has_changed(), "other files");
        std::fs::write(at("plain"), "2").unwrap();
        assert!(watcher.has_changed(), "written");
        std::fs::remove_file(at("plain")).unwrap();
        assert!(watcher.has_changed(), "gone");
        std::fs::write(at("later"), "1").unwrap();
        assert!(watcher.has_changed(), "new");
    }

    #[test]
    fn circular_links_end() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("b")).unwrap();
        let mut watcher = PathWatcher::new(vec![folder.path().join("a")]);
        assert!(!watcher.has_changed());
    }
}
