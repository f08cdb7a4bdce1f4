//! Tells when the socket's path appears, by inotify on its folder, or on what there is of it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

/// What makes a path appear, or makes the folder another one.
const APPEARS: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF);

/// Watches for a path. Without inotify (its instances are limited) it never tells, and attempts go by time alone.
#[derive(Debug)]
pub(super) struct Watcher {
    path: PathBuf,
    inotify: Option<Inotify>,
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    descriptor: WatchDescriptor,
    /// What has to appear in the watched folder: the socket, or the next folder on the way to it.
    name: OsString,
}

impl Watcher {
    /// Watches for this path.
    pub(super) fn new(path: &Path) -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        if let Err(error) = &inotify {
            tracing::info!(%error, "cannot watch for the monitor's socket; it is looked for every now and then");
        }
        let mut watcher = Self { path: path.to_owned(), inotify: inotify.ok(), watched: None };
        watcher.arm();
        watcher
    }

    /// For poll(2); none where nothing is watched.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.inotify.as_ref().map(|inotify| inotify.as_fd().as_raw_fd())
    }

    /// Takes what has happened: whether something on the way to the path, or the path itself, is new.
    pub(super) fn has_news(&mut self) -> bool {
        let mut news = false;
        while let Some(inotify) = &self.inotify {
            match inotify.read_events() {
                Ok(events) => news |= events.iter().any(|event| self.concerns(event)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(error) => {
                    tracing::info!(%error, "the watch for the monitor's socket has ended");
                    self.inotify = None;
                }
            }
        }
        if news {
            self.arm();
        }
        news
    }

    fn concerns(&self, event: &InotifyEvent) -> bool {
        let Some(watched) = &self.watched else { return true };
        // An event without a name is about the folder itself, or says that events were lost.
        event.wd == watched.descriptor && event.name.as_ref().is_none_or(|name| *name == watched.name)
            || event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)
    }

    /// Watches the folder, or the nearest one above it that is there.
    fn arm(&mut self) {
        // A folder that came before the one above it was watched is looked for once more; a path has few folders.
        for _ in 0..self.path.components().count() {
            if self.arm_once() {
                return;
            }
        }
    }

    /// False where what it waits for is a folder that is there already.
    fn arm_once(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return true };
        let old = self.watched.take();
        let mut is_settled = true;
        for (above, (folder, name)) in steps(&self.path).enumerate() {
            // The socket's own folder comes first, so what is found is the deepest.
            if let Ok(descriptor) = inotify.add_watch(folder, APPEARS) {
                is_settled = above == 0 || !folder.join(name).exists();
                self.watched = Some(Watched { descriptor, name: name.to_owned() });
                break;
            }
        }
        let now = self.watched.as_ref().map(|watched| watched.descriptor);
        if let Some(old) = old.filter(|old| Some(old.descriptor) != now)
            && let Err(error) = inotify.rm_watch(old.descriptor)
        {
            // A folder that is gone has lost its watch already.
            tracing::trace!(%error, "watch");
        }
        is_settled
    }
}

/// Folders from the path's own upwards, each with the name that has to appear in it.
fn steps(path: &Path) -> impl Iterator<Item = (&Path, &OsStr)> {
    path.ancestors().filter_map(|path| {
        let folder = path.parent()?;
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Some((folder, path.file_name()?))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Watcher, steps};

    #[test]
    fn the_way_to_a_path() {
        let way = |path| steps(Path::new(path)).map(|(a, b)| format!("{} {}", a.display(), b.display())).collect();
        let all: Vec<String> = way("/run/cilium/m.sock");
        assert_eq!(all, ["/run/cilium m.sock", "/run cilium", "/ run"]);
        let all: Vec<String> = way("m.sock");
        assert_eq!(all, [". m.sock"]);
    }

    #[test]
    fn folders_that_come_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/m.sock");
        let mut watcher = Watcher::new(&path);
        assert!(watcher.descriptor().is_some());
        assert!(!watcher.has_news());
        std::fs::write(folder.path().join("other"), "").unwrap();
        assert!(!watcher.has_news(), "another file");
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert!(watcher.has_news(), "a");
        std::fs::create_dir(folder.path().join("a/b")).unwrap();
        assert!(watcher.has_news(), "b");
        std::fs::write(folder.path().join("a/b/other"), "").unwrap();
        assert!(!watcher.has_news(), "another file");
        std::fs::write(&path, "").unwrap();
        assert!(watcher.has_news(), "the path");
        std::fs::write(folder.path().join("a/b/new"), "").unwrap();
        assert!(!watcher.has_news());
        std::fs::rename(folder.path().join("a/b/new"), &path).unwrap();
        assert!(watcher.has_news(), "replaced");
        std::fs::remove_dir_all(folder.path().join("a")).unwrap();
        assert!(watcher.has_news(), "gone");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(watcher.has_news(), "again");
        std::fs::write(&path, "").unwrap();
        assert!(watcher.has_news(), "the path again");
    }
}
