//! An inotify instance, whose events are read without waiting, or awaited by a task.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The instance. The number of instances of a user is limited.
#[derive(Debug)]
pub struct Events(Inotify);

impl Events {
    /// Creates an instance that watches nothing yet.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn new() -> nix::Result<Self> {
        Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map(Self)
    }

    /// Watches a file or folder, or changes its watch.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn watch(&self, path: &Path, changes: AddWatchFlags) -> nix::Result<WatchDescriptor> {
        self.0.add_watch(path, changes)
    }

    /// Ends a watch.
    pub fn unwatch(&self, watch: WatchDescriptor) {
        if let Err(error) = self.0.rm_watch(watch) {
            // The watch of a deleted folder is gone already.
            tracing::trace!(%error, "cannot remove a watch");
        }
    }

    /// The descriptor for poll(2).
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Calls `each` with all pending events. Returns whether events were lost.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn read(&self, mut each: impl FnMut(InotifyEvent)) -> nix::Result<bool> {
        let mut has_lost = false;
        loop {
            match self.0.read_events() {
                Ok(events) => {
                    for event in events {
                        has_lost |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                        each(event);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(has_lost),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Awaits the events of an instance.
#[derive(Debug)]
pub struct Readiness {
    /// A second handle on the descriptor, so that it stays open as long as the runtime knows it.
    handle: AsyncFd<OwnedFd>,
}

impl Readiness {
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// The system's error.
    pub fn new(events: &Events) -> io::Result<Self> {
        let handle = events.descriptor().try_clone_to_owned()?;
        // SAFETY: an open descriptor of our own that closes only when the `AsyncFd` is dropped.
        let handle = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }?;
        Ok(Self { handle })
    }

    /// Returns when there are events, all of which the caller reads.
    ///
    /// # Errors
    /// The system's error.
    pub async fn ready(&self) -> io::Result<()> {
        self.handle.readable().await?.clear_ready();
        Ok(())
    }
}
