//! The source `hubble`: follows flows, agent and debug events of a Hubble server or a relay, and finds it again whatever
//! happens.
//!
//! What was seen last says from when on to ask after an interruption; what comes twice is left out. What the server does
//! not have any more is missed, and nobody knows how much that is: such gaps are counted. A server that we are too slow
//! for loses events in its own ring, and says how many.

pub mod status;

mod alive;
mod follow;
mod messages;
mod reason;
mod window;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::alive::Probing;
use eyepiece_flow::event::{Event, TakeOnce, Undecodable};
use eyepiece_flow::record::Observed;

use self::follow::{Counters, Follower, Out};
use self::status::{NOT_STARTED, View};
use super::{Halt, Source, Waker, wait};
use crate::client::address::Address;
use crate::client::config::ClientConfig;
use crate::source::connection_stats::Numbers;
use crate::support::telemetry::Telemetry;

/// Events between the stream and the pipeline: a pause of 40 ms at 100,000 events a second, some 8 MiB. Full = the stream
/// is not read, and the server's ring takes what comes.
const CAPACITY: usize = 4096;

/// Whose flows are read.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the server is.
    pub address: Address,
    /// How to connect.
    pub options: ClientConfig,
}

/// What the stream hands to the pipeline's thread.
enum Item {
    Observed(Box<Observed>),
    Undecodable { time: u64, data: Bytes },
}

/// The source.
pub struct Hubble {
    config: Config,
    runtime: Handle,
    probing: Probing,
    following: Option<Following>,
    is_asleep: Arc<AtomicBool>,
    counters: Counters,
    view: View,
    waker: Waker,
    halt: Halt,
}

/// The stream while somebody wants events.
struct Following {
    items: mpsc::Receiver<Item>,
    task: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What belongs to the source outside of the pipeline's thread.
#[derive(Clone, Debug)]
pub struct Controls {
    /// Ends it.
    pub halt: Halt,
    /// How the connection is.
    pub view: View,
}

/// Makes a source that does not read yet; its connection lives on `runtime`.
///
/// # Errors
/// No descriptor is left. That nobody listens is no error: the server may come later.
pub fn build(config: Config, runtime: Handle, telemetry: &Telemetry) -> io::Result<(Hubble, Controls)> {
    let waker = Waker::new()?;
    let (halt, view) = (Halt::new(waker.clone()), View::new());
    let source = Hubble {
        config,
        runtime,
        probing: Probing::default(),
        following: None,
        is_asleep: Arc::default(),
        counters: Counters::new(Numbers::new(telemetry)),
        view: view.clone(),
        waker,
        halt: halt.clone(),
    };
    Ok((source, Controls { halt, view }))
}

impl Hubble {
    /// With another patience for a server that tells nothing.
    #[must_use]
    pub fn probing(self, probing: Probing) -> Self {
        Self { probing, ..self }
    }

    fn take(&mut self, sink: &mut dyn FnMut(&Event<'_>)) -> usize {
        let Some(following) = &mut self.following else { return 0 };
        let mut count = 0;
        // No more than it holds: the pipeline gets a word in.
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
        self.counters.get().stopped(Instant::now());
        self.view.change(|now| (now.since, now.reason) = (Instant::now(), Some(NOT_STARTED)));
    }
}

impl Source for Hubble {
    fn start(&mut self) -> io::Result<()> {
        if self.following.is_none() && !self.halt.is_asked() {
            self.counters.get().started(Instant::now());
            let (sender, items) = mpsc::channel(CAPACITY);
            let out = Out { items: sender, is_asleep: Arc::clone(&self.is_asleep), waker: self.waker.clone() };
            let follower = Follower {
                address: self.config.address.clone(),
                options: self.config.options.clone(),
                probing: self.probing,
                out,
                view: self.view.clone(),
                counters: self.counters.clone(),
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
        if self.halt.is_asked()
            && let Some(following) = &mut self.following
            && !following.items.is_closed()
        {
            // What has arrived stays readable, and no more comes: the drain has an end.
            following.task.abort();
            following.items.close();
            self.end();
        }
        let count = self.take(sink);
        if count > 0 {
            return Ok(count);
        }
        self.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let count = self.take(sink);
        if count == 0 {
            wait(&self.waker, [None; 2], timeout)?;
        }
        self.is_asleep.store(false, Ordering::Relaxed);
        Ok(if count == 0 { self.take(sink) } else { count })
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
