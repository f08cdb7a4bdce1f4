//! Watches the folders of control groups for new ones, by inotify.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, WatchDescriptor};

use super::groups::MAX_FOLDERS;
use super::hierarchy::walk;
use crate::support::inotify::{Events, Readiness};

/// Changes of folders that make or move a control group.
const CHANGES: AddWatchFlags =
    AddWatchFlags::IN_CREATE.union(AddWatchFlags::IN_MOVED_TO).union(AddWatchFlags::IN_ONLYDIR);

/// The watched folders.
pub(super) struct FolderWatch {
    inotify: Events,
    ready: Readiness,
    folders: HashMap<WatchDescriptor, PathBuf>,
    /// Whether a folder could not be watched: only scans see what is new in it.
    is_partial: bool,
}

impl FolderWatch {
    /// Watches nothing yet. Needs a tokio runtime.
    pub(super) fn new() -> std::io::Result<Self> {
        let inotify = Events::new()?;
        let ready = Readiness::new(&inotify)?;
        Ok(Self { inotify, ready, folders: HashMap::new(), is_partial: false })
    }

    /// Watches a folder and all below it, and returns them.
    pub(super) fn add(&mut self, root: &Path) -> Vec<PathBuf> {
        let mut added = Vec::new();
        let room = MAX_FOLDERS.saturating_sub(self.folders.len());
        let is_whole = walk(root.to_owned(), room, |folder| {
            // Watched before the folder is read: what is made meanwhile is an event.
            match self.inotify.watch(folder, CHANGES) {
                Ok(descriptor) => {
                    self.folders.insert(descriptor, folder.to_owned());
                }
                // The folder is gone again.
                Err(Errno::ENOENT) => return,
                Err(_) => self.is_partial = true,
            }
            added.push(folder.to_owned());
        });
        self.is_partial |= !is_whole;
        added
    }

    /// Returns whether folders have been left out since the last call.
    pub(super) fn take_partial(&mut self) -> bool {
        std::mem::take(&mut self.is_partial)
    }

    /// Returns the new folders, once there are any; `None` if events were lost, or if they cannot be read.
    pub(super) async fn created(&mut self) -> Option<Vec<PathBuf>> {
        loop {
            self.ready.ready().await.ok()?;
            let Self { inotify, folders, .. } = self;
            let mut created = Vec::new();
            let has_lost = inotify.read(|event| {
                if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                    folders.remove(&event.wd);
                } else if event.mask.contains(AddWatchFlags::IN_ISDIR)
                    && let (Some(folder), Some(name)) = (folders.get(&event.wd), event.name)
                {
                    created.push(folder.join(name));
                }
            });
            if has_lost.ok()? {
                return None;
            }
            if !created.is_empty() {
                return Some(created);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::FolderWatch;

    #[tokio::test]
    async fn new_folders_are_reported() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        let mut watch = FolderWatch::new().unwrap();
        let mut added = watch.add(root.path());
        added.sort();
        assert_eq!(added, [root.path().to_owned(), root.path().join("a")]);
        fs::write(root.path().join("a/file"), "").unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        let created = timeout(Duration::from_secs(10), watch.created()).await.unwrap();
        assert_eq!(created, Some(vec![root.path().join("a/b")]));
        fs::create_dir(root.path().join("a/b/c")).unwrap();
        assert_eq!(watch.add(&root.path().join("a/b")).len(), 2, "made before the watch");
        fs::remove_dir_all(root.path().join("a/b")).unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        let created = timeout(Duration::from_secs(10), watch.created()).await.unwrap();
        assert_eq!(created, Some(vec![root.path().join("d")]));
        assert_eq!(watch.folders.len(), 2, "removed folders are no longer watched");
        assert!(!watch.take_partial());
    }
}
