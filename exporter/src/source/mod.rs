//! Where events come from. Every source feeds the same seam: `eyepiece_flow::event`.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eyepiece_flow::event::Event;
use nix::sys::eventfd::{EfdFlags, EventFd};

pub mod buffer;
pub mod cilium_monitor;
mod connection_log;
mod connection_metrics;
pub mod datapath;
pub mod hubble;
pub mod replay;

/// What the pipeline asks of a source. One thread owns it.
pub trait Source: Send {
    /// Somebody wants events: begin to read them. Starting twice changes nothing.
    ///
    /// # Errors
    /// What the system said.
    fn start(&mut self) -> io::Result<()>;

    /// Nobody wants events any more: let go of what reading needs.
    fn stop(&mut self);

    /// Hands over what is there, waiting at most `timeout` for something. Gives how many events there were. A source
    /// that is stopped only waits, and hands over totals.
    ///
    /// # Errors
    /// What the system said; the source is of no use any more.
    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize>;

    /// Something that ends a wait in [`Source::read`].
    fn waker(&self) -> Waker;
}

/// Ends the wait of the thread that owns a source.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// A waker of its own.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self(Arc::new(event)))
    }

    /// Ends the wait, now or the next one.
    pub fn wake(&self) {
        // It fails only when it is set 2^64 times already: then the reader wakes anyway.
        if let Err(error) = self.0.write(1) {
            tracing::trace!(%error, "waker");
        }
    }

    /// Forgets that it was woken.
    pub fn reset(&self) {
        // Nothing to read is the usual case.
        if let Err(error) = self.0.read()
            && error != nix::errno::Errno::EAGAIN
        {
            tracing::trace!(%error, "waker");
        }
    }

    /// For `poll`.
    pub fn descriptor(&self) -> RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&*self.0)
    }
}

/// Tells a source that the program ends: it hands over what has reached it already, and from then on nothing.
#[derive(Clone, Debug)]
pub struct Halt {
    asked: Arc<AtomicBool>,
    waker: Waker,
}

impl Halt {
    /// For the source that this wakes.
    pub fn new(waker: Waker) -> Self {
        Self { asked: Arc::default(), waker }
    }

    /// The program ends.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it does.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

/// Waits until a descriptor can be read or has ended, the waker was woken, or `timeout` has passed; tells which
/// descriptors. Forgets that the waker was woken.
pub(crate) fn wait(waker: &Waker, descriptors: [Option<RawFd>; 2], timeout: Duration) -> io::Result<[bool; 2]> {
    // poll(2) leaves out what is negative.
    let [first, second] = descriptors.map(|fd| poll_entry(fd.unwrap_or(-1)));
    let mut polled = [poll_entry(waker.descriptor()), first, second];
    poll(waker, &mut polled, timeout)?;
    Ok([polled[1].revents != 0, polled[2].revents != 0])
}

/// An entry of [`poll`] for a descriptor that is to be read.
pub(crate) const fn poll_entry(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// Waits for one of the entries, the waker's among them, or for `timeout`; a signal ends the wait and is no error. Resets
/// the waker.
pub(crate) fn poll(waker: &Waker, polled: &mut [libc::pollfd], timeout: Duration) -> io::Result<()> {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos().cast_signed()),
    };
    // SAFETY: entries and timeout live until the call returns; without a mask none is changed.
    let result = unsafe { libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, &timeout, std::ptr::null()) };
    // Taken before anything else is called that says how it went.
    let error = io::Error::last_os_error();
    waker.reset();
    if result < 0 && error.kind() != io::ErrorKind::Interrupted { Err(error) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::thread::JoinHandleExt as _;
    use std::time::Duration;

    use super::{Waker, wait};

    extern "C" fn nothing(_: libc::c_int) {}

    /// What a wait returns that a signal interrupts.
    pub(super) fn interrupted<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
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
    fn a_signal_ends_a_wait_and_is_no_error() {
        let found = interrupted(|| wait(&Waker::new().unwrap(), [None; 2], Duration::from_secs(3600)));
        assert_eq!(found.unwrap(), [false; 2]);
    }
}
