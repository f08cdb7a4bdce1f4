//! Waits of the thread that owns a source, and what ends them.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Ends the wait of the thread that owns a source.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Creates a waker.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self(Arc::new(event)))
    }

    /// Ends the current wait, or the next one.
    pub fn wake(&self) {
        // Fails only if the counter is full: then the reader wakes anyway.
        if let Err(error) = self.0.write(1) {
            tracing::trace!(%error, "cannot wake a source");
        }
    }

    /// Clears the wake-up.
    pub fn reset(&self) {
        // Usually there is nothing to read.
        if let Err(error) = self.0.read()
            && error != nix::errno::Errno::EAGAIN
        {
            tracing::trace!(%error, "cannot reset a waker");
        }
    }

    /// The descriptor to poll.
    pub fn descriptor(&self) -> RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&*self.0)
    }
}

/// Requests a source's end: it passes on the events that it has received, and then no more.
#[derive(Clone, Debug)]
pub struct Halt {
    is_requested: Arc<AtomicBool>,
    pub(super) waker: Waker,
}

impl Halt {
    /// A halt of the source that this waker wakes.
    pub fn new(waker: Waker) -> Self {
        Self { is_requested: Arc::default(), waker }
    }

    /// Requests the end.
    pub fn request(&self) {
        self.is_requested.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Returns whether the end is requested.
    pub fn is_requested(&self) -> bool {
        self.is_requested.load(Ordering::Acquire)
    }
}

/// Waits until a descriptor is readable or closed, the waker is woken, or `timeout` has passed. Resets the waker;
/// returns which descriptors are ready.
pub(crate) fn wait(waker: &Waker, descriptors: [Option<RawFd>; 2], timeout: Duration) -> io::Result<[bool; 2]> {
    // poll(2) ignores negative descriptors.
    let [first, second] = descriptors.map(|fd| poll_entry(fd.unwrap_or(-1)));
    let mut polled = [poll_entry(waker.descriptor()), first, second];
    poll(waker, &mut polled, timeout)?;
    Ok([polled[1].revents != 0, polled[2].revents != 0])
}

/// An entry of [`poll`] that waits for a readable descriptor.
pub(crate) const fn poll_entry(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// Waits for one of the entries (one is the waker's) or `timeout`; a signal is no error. Resets the waker.
pub(crate) fn poll(waker: &Waker, polled: &mut [libc::pollfd], timeout: Duration) -> io::Result<()> {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos().cast_signed()),
    };
    // SAFETY: entries and timeout live until the call returns; without a mask the signal mask stays.
    let result = unsafe { libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, &timeout, std::ptr::null()) };
    // Read at once: the next call may change it.
    let error = io::Error::last_os_error();
    waker.reset();
    if result < 0 && error.kind() != io::ErrorKind::Interrupted { Err(error) } else { Ok(()) }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::thread::JoinHandleExt as _;
    use std::time::Duration;

    use super::{Waker, wait};

    extern "C" fn nothing(_: libc::c_int) {}

    /// The result of a wait that signals interrupt.
    pub(in crate::source) fn interrupted<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
        let handler: extern "C" fn(libc::c_int) = nothing;
        // SAFETY: the handler does nothing, and no other code uses this signal.
        unsafe { libc::signal(libc::SIGUSR2, handler as *const () as libc::sighandler_t) };
        let waits = std::thread::spawn(wait);
        while !waits.is_finished() {
            // SAFETY: the thread has not been joined, so its id is its own.
            unsafe { libc::pthread_kill(waits.as_pthread_t(), libc::SIGUSR2) };
            std::thread::sleep(Duration::from_millis(5));
        }
        waits.join().unwrap()
    }

    #[test]
    fn signal_ends_wait_without_error() {
        let found = interrupted(|| wait(&Waker::new().unwrap(), [None; 2], Duration::from_secs(3600)));
        assert_eq!(found.unwrap(), [false; 2]);
    }
}
