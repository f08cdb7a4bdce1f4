//! Waits until files may have changed: told by the kernel, and by a look every now and then.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, sleep_until};

use crate::support::path_watch::Watcher;

/// How often files are looked at that nobody tells of: on a network's file system inotify hears only of our own changes.
const LOOK: Duration = Duration::from_secs(10);
/// Who writes several files does so within this.
const QUIET: Duration = Duration::from_millis(50);
/// The longest that is waited for quiet: changes are to count within a second.
const PATIENCE: Duration = Duration::from_millis(500);

/// Some files that are watched.
#[derive(Debug)]
pub struct FileWatch {
    /// A second handle on what the watcher reads, so that it stays open for as long as the runtime knows it.
    ready: Option<AsyncFd<OwnedFd>>,
    watcher: Watcher,
}

impl FileWatch {
    /// Watches these files, whether they are there or not. Needs a tokio runtime.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let watcher = Watcher::changing(paths);
        let handle = watcher.descriptor().and_then(|descriptor| descriptor.try_clone_to_owned().ok());
        let ready = handle.and_then(|handle| {
            // SAFETY: an open descriptor that nobody else has, and that closes only when the `AsyncFd` is dropped.
            unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }.ok()
        });
        Self { ready, watcher }
    }

    /// Returns when something may have changed. What has changed, and whether it has, only a look at the files tells.
    pub async fn changed(&mut self) {
        let look = Instant::now() + LOOK;
        loop {
            tokio::select! {
                () = readable(self.ready.as_ref()) => if self.watcher.has_news() { break },
                () = sleep_until(look) => return,
            }
        }
        let patience = Instant::now() + PATIENCE;
        while Instant::now() < patience {
            sleep(QUIET).await;
            if !self.watcher.has_news() {
                break;
            }
        }
    }
}

/// Returns when there is something to read; never where nothing is watched.
async fn readable(ready: Option<&AsyncFd<OwnedFd>>) {
    let Some(ready) = ready else { return std::future::pending().await };
    match ready.readable().await {
        // Whoever asks reads it to its end.
        Ok(mut guard) => guard.clear_ready(),
        Err(error) => {
            tracing::debug!(%error, "watch for files");
            std::future::pending::<()>().await;
        }
    }
}
