//! Signals: caught before anything is built, until the program is gone, whatever its other threads wait for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use eyepiece_config::format_time;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::source::{Halt, Waker};
use crate::support::capabilities;
use crate::support::capabilities::Capabilities;

/// Signals closer together than this count as one: timeout(1) signals the process, and then its whole group.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// The thread that catches INT, TERM and HUP, and the requested shutdown. The drop ends the thread.
pub(super) struct Signals {
    shutdown: Arc<watch::Sender<bool>>,
    halt: Halt,
    /// Its drop ends the listening thread.
    _listening: oneshot::Sender<()>,
}

impl Signals {
    /// Catches signals from now on; `drain` is the longest time of a shutdown to deliver queued telemetry.
    pub(super) fn listen(drain: Duration) -> anyhow::Result<Self> {
        let shutdown = Arc::new(watch::channel(false).0);
        let halt = Halt::new(Waker::new().context("cannot catch signals")?);
        // A runtime of its own: a second signal must work even if main and the other runtimes are stuck.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.context("cannot catch signals")?;
        let set = runtime.block_on(async { SignalSet::new() })?;
        let (listening, mut end) = oneshot::channel();
        let listener = Listener { shutdown: Arc::clone(&shutdown), halt: halt.clone(), drain };
        let listen = move || {
            capabilities::keep(Capabilities::NONE);
            runtime.block_on(async {
                tokio::select! {
                    () = listener.run(set) => {}
                    _ = &mut end => {}
                }
            });
        };
        std::thread::Builder::new().name("signals".into()).spawn(listen).context("cannot catch signals")?;
        Ok(Self { shutdown, halt, _listening: listening })
    }

    /// Returns once a shutdown is requested.
    pub(super) async fn requested(&self) {
        // It cannot fail: the sender lives in `self`.
        let mut shutdown = self.shutdown.subscribe();
        drop(shutdown.wait_for(|requested| *requested).await);
    }

    /// Ends waits for a descriptor during the start.
    pub(super) const fn halt(&self) -> &Halt {
        &self.halt
    }

    /// Marks the shutdown as begun, for whatever reason: the next signal ends the program at once.
    pub(super) fn begin_shutdown(&self) {
        self.shutdown.send_replace(true);
    }
}

/// The listening thread's state.
struct Listener {
    shutdown: Arc<watch::Sender<bool>>,
    halt: Halt,
    drain: Duration,
}

impl Listener {
    async fn run(self, mut set: SignalSet) {
        let mut debounce = SignalDebounce::default();
        loop {
            match set.next().await {
                SignalAction::Reload => {
                    tracing::warn!("SIGHUP: no setting of this version can be reloaded; restart to apply changes");
                }
                SignalAction::ShutDown(name) => {
                    if !debounce.accept(Instant::now()) {
                        continue;
                    }
                    if self.shutdown.send_replace(true) {
                        tracing::warn!("second signal: exiting without delivering queued telemetry");
                        std::process::exit(1);
                    }
                    tracing::info!("{}", announcement(self.drain, name));
                    self.halt.request();
                }
            }
        }
    }
}

/// The message of the first signal; `name` is the signal's.
fn announcement(drain: Duration, name: &str) -> String {
    format!("delivering what is queued, up to {}; {name} again to leave now", format_time(drain))
}

/// Joins signals in quick succession.
#[derive(Default)]
struct SignalDebounce {
    last: Option<Instant>,
}

impl SignalDebounce {
    /// Returns whether a signal is not a repetition of the last accepted one.
    fn accept(&mut self, now: Instant) -> bool {
        let is_new = self.last.is_none_or(|last| now.saturating_duration_since(last) >= DEBOUNCE);
        if is_new {
            self.last = Some(now);
        }
        is_new
    }
}

/// The signals that are caught.
struct SignalSet {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl SignalSet {
    fn new() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.interrupt.recv() => SignalAction::ShutDown("Ctrl-C"),
            _ = self.terminate.recv() => SignalAction::ShutDown("SIGTERM"),
            _ = self.hangup.recv() => SignalAction::Reload,
        }
    }
}

/// The action that a signal requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SignalAction {
    /// By the signal's name.
    ShutDown(&'static str),
    Reload,
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{DEBOUNCE, SignalDebounce, announcement};

    #[test]
    fn first_signal_announces_delivery() {
        for (drain, name, expected) in [
            (5, "Ctrl-C", "delivering what is queued, up to 5 s; Ctrl-C again to leave now"),
            (150, "SIGTERM", "delivering what is queued, up to 2m30s; SIGTERM again to leave now"),
        ] {
            assert_eq!(announcement(Duration::from_secs(drain), name), expected);
        }
    }

    #[test]
    fn repeated_signal_counts_once() {
        let (mut debounce, start) = (SignalDebounce::default(), Instant::now());
        let short = Duration::from_nanos(1);
        assert!(debounce.accept(start));
        assert!(!debounce.accept(start) && !debounce.accept(start + DEBOUNCE - short));
        // Counted from the accepted signal, not from its repetition.
        assert!(debounce.accept(start + DEBOUNCE));
        assert!(!debounce.accept(start + DEBOUNCE + short));
    }
}
