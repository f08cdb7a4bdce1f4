//! Sources of events: kernel datapath, Cilium monitor, Hubble server, recording. All produce `eyepiece_flow::event`.

use std::io;
use std::time::Duration;

use eyepiece_flow::event::Event;

pub mod buffer;
pub mod cilium_monitor;
mod connection_log;
mod connection_metrics;
pub mod datapath;
pub mod hubble;
pub mod replay;
mod wait;

pub use wait::{Halt, Waker};
pub(crate) use wait::{poll, poll_entry, wait};

/// A source of events, owned by the pipeline's thread.
pub trait Source: Send {
    /// Starts reading, because a consumer of events exists. Without effect if already started.
    ///
    /// # Errors
    /// The system's error.
    fn start(&mut self) -> io::Result<()>;

    /// Stops reading and frees its resources: no consumer of events is left.
    fn stop(&mut self);

    /// Calls `sink` with available events, after a wait of at most `timeout` if there are none. Returns their number. A
    /// stopped source only waits, and passes on totals.
    ///
    /// # Errors
    /// The system's error; the source is unusable from then on.
    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize>;

    /// A waker that ends a wait in [`Source::read`].
    fn waker(&self) -> Waker;
}
