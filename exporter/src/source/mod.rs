//! Where events come from. Every source feeds the same seam: `crate::event`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::event::Event;

pub mod datapath;
pub mod tap;

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
    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(Event<'_>)) -> io::Result<usize>;

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
    pub fn descriptor(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&*self.0)
    }
}
