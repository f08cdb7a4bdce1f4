//! Tells when a path appears, or when files change, by inotify on folders; through links, as Kubernetes swaps them.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

/// What makes a path appear, or makes the folder another one.
const APPEARS: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF);
/// What makes a file another one: it is written to its end, goes, or may be read at last.
const CHANGES: AddWatchFlags = APPEARS
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_ATTRIB);
/// Links that lead to one another, as the kernel counts them (path_resolution(7)).
const LINKS: usize = 40;

/// Watches paths. Without inotify (its instances are limited) it never tells, and attempts go by time alone.
#[derive(Debug)]
pub struct Watcher {
    paths: Vec<PathBuf>,
    of: Of,
    inotify: Option<Inotify>,
    watched: Vec<Watched>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Appearing,
    Changing,
}

#[derive(Debug)]
struct Watched {
    descriptor: WatchDescriptor,
    place: Place,
}

/// A name in a folder: a file, a link on the way to it, or the next folder on the way that is not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    folder: PathBuf,
    name: OsString,
}

impl Watcher {
    /// Tells when this path, or a folder on the way to it, is new.
    pub fn appearing(path: &Path) -> Self {
        Self::new(vec![path.to_owned()], Of::Appearing)
    }

    /// Tells when one of these files has changed, has gone or is new, also where a link on the way leads elsewhere.
    pub fn changing(paths: Vec<PathBuf>) -> Self {
        Self::new(paths, Of::Changing)
    }

    fn new(paths: Vec<PathBuf>, of: Of) -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        if let Err(error) = &inotify {
            tracing::info!(%error, ?paths, "cannot watch for changes of files; they are looked at every now and then");
        }
        let mut watcher = Self { paths, of, inotify: inotify.ok(), watched: Vec::new() };
        watcher.arm();
        watcher
    }

    /// For poll(2); none where nothing is watched.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(Inotify::as_fd)
    }

    /// Takes what has happened: whether it concerns one of the paths, or something on the way to it.
    pub fn has_news(&mut self) -> bool {
        let mut news = false;
        while let Some(inotify) = &self.inotify {
            match inotify.read_events() {
                Ok(events) => news |= events.iter().any(|event| self.concerns(event)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(error) => {
                    tracing::info!(%error, paths = ?self.paths, "the watch for changes of files has ended");
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
        // An event without a name is about the folder itself, or says that events were lost.
        let is_of = |watched: &Watched| {
            event.wd == watched.descriptor && event.name.as_ref().is_none_or(|name| *name == watched.place.name)
        };
        self.watched.is_empty() || self.watched.iter().any(is_of) || event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)
    }

    /// Watches the folders that matter now.
    fn arm(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        let flags = if self.of == Of::Appearing { APPEARS } else { CHANGES };
        let old = std::mem::take(&mut self.watched);
        // What came before its folder was watched is looked for once more; a way has few folders and links.
        for _ in 0..LINKS {
            let places = self.places();
            if self.watched.iter().map(|watched| &watched.place).eq(&places) {
                break;
            }
            let watch = |place: Place| {
                // One that is gone again is seen by the next round.
                inotify.add_watch(&place.folder, flags).ok().map(|descriptor| Watched { descriptor, place })
            };
            self.watched = places.into_iter().filter_map(watch).collect();
        }
        for gone in old.iter().map(|old| old.descriptor) {
            if !self.watched.iter().any(|watched| watched.descriptor == gone)
                && let Err(error) = inotify.rm_watch(gone)
            {
                // A folder that is gone has lost its watch already.
                tracing::trace!(%error, "watch");
            }
        }
    }

    /// Where something has to happen.
    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for path in &self.paths {
            match self.of {
                Of::Appearing => places.extend(nearest(path)),
                Of::Changing => follow(path, &mut places),
            }
        }
        places
    }
}

/// A path's place in the deepest folder of its way that is there.
fn nearest(path: &Path) -> Option<Place> {
    let (folder, name) = steps(path).find(|(folder, _)| folder.is_dir())?;
    Some(Place { folder: folder.to_owned(), name: name.to_owned() })
}

/// The places of a file and of the links that lead to it.
fn follow(path: &Path, places: &mut Vec<Place>) {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        places.extend(nearest(&path));
        // Folders of its way may be links too.
        for (folder, name) in steps(&path).skip(1) {
            if folder.join(name).is_symlink() {
                places.push(Place { folder: folder.to_owned(), name: name.to_owned() });
            }
        }
        let Ok(target) = std::fs::read_link(&path) else { break };
        let folder = steps(&path).next().map_or(Path::new("."), |(folder, _)| folder);
        path = folder.join(target);
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
        let mut watcher = Watcher::appearing(&path);
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

    /// A secret as Kubernetes mounts it: `..data` is a link to a folder, and is replaced as a whole.
    #[test]
    fn files_that_change_or_are_swapped_by_links() {
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
        let mut watcher = Watcher::changing(vec![at("tls.crt"), at("plain"), at("later")]);
        assert!(!watcher.has_news());
        for round in 2..4 {
            version(&format!("..{round}"), "2");
            assert!(watcher.has_news(), "swapped");
            assert!(!watcher.has_news());
        }
        std::fs::write(at("..data/tls.crt"), "3").unwrap();
        assert!(watcher.has_news(), "written behind the links");
        std::fs::write(at("..1/tls.crt"), "3").unwrap();
        std::fs::write(at("other"), "3").unwrap();
        assert!(!watcher.has_news(), "no file of ours");
        std::fs::write(at("plain"), "2").unwrap();
        assert!(watcher.has_news(), "written");
        std::fs::remove_file(at("plain")).unwrap();
        assert!(watcher.has_news(), "gone");
        std::fs::write(at("later"), "1").unwrap();
        assert!(watcher.has_news(), "new");
    }

    #[test]
    fn links_in_a_circle_end() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("b")).unwrap();
        let mut watcher = Watcher::changing(vec![folder.path().join("a")]);
        assert!(!watcher.has_news());
    }
}
