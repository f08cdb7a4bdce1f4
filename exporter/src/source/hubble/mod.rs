//! The source `hubble`: follows flows, agent and debug events of a Hubble server or relay; reconnects after each end.
//!
//! After an interruption it requests events from the last seen ones on, and leaves out those seen twice. Events that
//! the server no longer has are missed; their number is unknown, so such gaps are counted. If this client is too slow,
//! the server loses events in its own ring and reports how many.

pub mod status;

mod follow;
mod item;
mod liveness;
mod messages;
mod reason;
mod window;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::liveness::Probing;
use eyepiece_flow::event::{Event, TakeOnce, Undecodable};

use self::follow::{Follower, ItemSender, SharedMetrics};
use self::item::Item;
use self::status::{NOT_STARTED, View};
use super::{Halt, Source, Waker, wait};
use crate::client::address::Address;
use crate::client::config::ClientConfig;
use crate::source::connection_metrics::ConnectionMetrics;
use crate::support::telemetry::Telemetry;

/// Capacity of the channel to the pipeline: a pause of 40 ms at 100,000 events a second, some 8 MiB. While it is full
/// the stream is not read, and the server's ring buffers events.
const CAPACITY: usize = 4096;

/// Configuration of the source.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's address.
    pub address: Address,
    /// The connection's settings.
    pub client: ClientConfig,
}

/// The source.
pub struct Hubble {
    config: Config,
    runtime: Handle,
    probing: Probing,
    following: Option<Following>,
    is_waiting: Arc<AtomicBool>,
    metrics: SharedMetrics,
    view: View,
    waker: Waker,
    halt: Halt,
}

/// The running stream.
struct Following {
    items: mpsc::Receiver<Item>,
    task: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Controls of the source outside of the pipeline's thread.
#[derive(Clone, Debug)]
pub struct Controls {
    /// Ends the source.
    pub halt: Halt,
    /// The connection's state.
    pub view: View,
}

/// Builds a stopped source; its connection runs on `runtime`.
///
/// # Errors
/// No descriptor is left. A missing server is no error: it may start later.
pub fn build(config: Config, runtime: Handle, telemetry: &Telemetry) -> io::Result<(Hubble, Controls)> {
    let waker = Waker::new()?;
    let (halt, view) = (Halt::new(waker.clone()), View::new());
    let source = Hubble {
        config,
        runtime,
        probing: Probing::default(),
        following: None,
        is_waiting: Arc::default(),
        metrics: SharedMetrics::new(ConnectionMetrics::new(telemetry)),
        view: view.clone(),
        waker,
        halt: halt.clone(),
    };
    Ok((source, Controls { halt, view }))
}

impl Hubble {
    /// Sets how a silent server is probed.
    #[must_use]
    pub fn probing(self, probing: Probing) -> Self {
        Self { probing, ..self }
    }

    fn take(&mut self, sink: &mut dyn FnMut(&Event<'_>)) -> usize {
        let Some(following) = &mut self.following else { return 0 };
        let mut count = 0;
        // At most one channel's capacity: bounds the pipeline's reaction to commands.
        while count < CAPACITY {
            match following.items.try_recv() {
                Ok(Item::Observed(observed)) => sink(&Event::Observed(&TakeOnce::new(observed))),
                Ok(Item::Undecodable { time, data }) => {
                    sink(&Event::Undecodable(Undecodable { reason: "protobuf", time, data: &data }));
                }
                Err(_) => break,
            }
            count += 1;
        }
        count
    }

    fn end(&self) {
        self.metrics.get().stopped(Instant::now());
        self.view.change(|now| (now.since, now.reason) = (Instant::now(), Some(NOT_STARTED)));
    }
}

impl Source for Hubble {
    fn start(&mut self) -> io::Result<()> {
        if self.following.is_none() && !self.halt.is_requested() {
            self.metrics.get().started(Instant::now());
            let (sender, items) = mpsc::channel(CAPACITY);
            let out = ItemSender { items: sender, is_waiting: Arc::clone(&self.is_waiting), waker: self.waker.clone() };
            let follower = Follower {
                address: self.config.address.clone(),
                client: self.config.client.clone(),
                probing: self.probing,
                out,
                view: self.view.clone(),
                metrics: self.metrics.clone(),
                random: fastrand::Rng::new(),
            };
            self.following = Some(Following { items, task: self.runtime.spawn(follower.run()) });
        }
        Ok(())
    }

    fn stop(&mut self) {
        if self.following.take().is_some() {
            self.end();
        }
    }

    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        if self.halt.is_requested()
            && let Some(following) = &mut self.following
            && !following.items.is_closed()
        {
            // Items that have arrived stay readable and no more come, so the drain ends.
            following.task.abort();
            following.items.close();
            self.end();
        }
        let count = self.take(sink);
        if count > 0 {
            return Ok(count);
        }
        self.is_waiting.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let count = self.take(sink);
        if count == 0 {
            wait(&self.waker, [None; 2], timeout)?;
        }
        self.is_waiting.store(false, Ordering::Relaxed);
        Ok(if count == 0 { self.take(sink) } else { count })
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
