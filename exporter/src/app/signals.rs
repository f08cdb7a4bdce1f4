//! Signals, heard from before anything is built until the program is gone, whatever its other threads wait for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::source::{Halt, Waker};
use crate::support::capabilities;
use crate::support::capabilities::Capabilities;
use crate::support::export_health;

/// Signals so close together are one wish: timeout(1) sends its signal to the process, and then to the whole group.
const SAME: Duration = Duration::from_millis(50);

/// Whether somebody has asked the program to leave.
pub(super) struct Signals {
    asked: Arc<watch::Sender<bool>>,
    halt: Halt,
    /// Its drop ends the thread that listens.
    _listening: oneshot::Sender<()>,
}

impl Signals {
    /// Catches signals from here on; `drain` is how long what is queued may take.
    pub(super) fn listen(drain: Duration) -> anyhow::Result<Self> {
        let asked = Arc::new(watch::channel(false).0);
        let halt = Halt::new(Waker::new().context("cannot catch signals")?);
        // A runtime of its own: where main and the other runtimes are stuck, a second signal must still be heard.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.context("cannot catch signals")?;
        let caught = runtime.block_on(async { Caught::new() })?;
        let (listening, mut end) = oneshot::channel();
        let listener = Listener { asked: Arc::clone(&asked), halt: halt.clone(), drain };
        let listen = move || {
            capabilities::keep(Capabilities::NONE);
            runtime.block_on(async {
                tokio::select! {
                    () = listener.run(caught) => {}
                    _ = &mut end => {}
                }
            });
        };
        std::thread::Builder::new().name("signals".into()).spawn(listen).context("cannot catch signals")?;
        Ok(Self { asked, halt, _listening: listening })
    }

    /// Returns once a signal asks to leave.
    pub(super) async fn asked(&self) {
        // The sender is here, so there is no other end.
        let mut asked = self.asked.subscribe();
        drop(asked.wait_for(|asked| *asked).await);
    }

    /// Tells who waits for a descriptor while the program starts.
    pub(super) const fn halt(&self) -> &Halt {
        &self.halt
    }

    /// The program is leaving, whoever asked for it: the next signal ends it at once.
    pub(super) fn leaving(&self) {
        self.asked.send_replace(true);
    }
}

/// The thread's.
struct Listener {
    asked: Arc<watch::Sender<bool>>,
    halt: Halt,
    drain: Duration,
}

impl Listener {
    async fn run(self, mut caught: Caught) {
        let mut wishes = Wishes::default();
        loop {
            match caught.next().await {
                Heard::Hangup => {
                    tracing::warn!("SIGHUP: no setting of this version can be reloaded; restart to apply changes");
                }
                Heard::End(name) => {
                    if !wishes.is_new(Instant::now()) {
                        continue;
                    }
                    if self.asked.send_replace(true) {
                        tracing::warn!("second signal: leaving without delivering what is queued");
                        std::process::exit(1);
                    }
                    let drain = export_health::time(self.drain);
                    tracing::info!("delivering what is queued, up to {drain}; {name} again to leave now");
                    self.halt.ask();
                }
            }
        }
    }
}

/// Tells wishes from signals.
#[derive(Default)]
struct Wishes {
    last: Option<Instant>,
}

impl Wishes {
    /// Whether a signal is not the echo of the one that made the last wish.
    fn is_new(&mut self, now: Instant) -> bool {
        let is_new = self.last.is_none_or(|last| now.saturating_duration_since(last) >= SAME);
        if is_new {
            self.last = Some(now);
        }
        is_new
    }
}

/// What can end or change the program from outside.
struct Caught {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Caught {
    fn new() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.interrupt.recv() => Heard::End("Ctrl-C"),
            _ = self.terminate.recv() => Heard::End("SIGTERM"),
            _ = self.hangup.recv() => Heard::Hangup,
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// By the signal's name.
    End(&'static str),
    Hangup,
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{SAME, Wishes};

    #[test]
    fn an_echo_is_no_second_wish() {
        let (mut wishes, start) = (Wishes::default(), Instant::now());
        let short = Duration::from_nanos(1);
        assert!(wishes.is_new(start));
        assert!(!wishes.is_new(start) && !wishes.is_new(start + SAME - short));
        // Counted from the wish, not from its echo: who insists is heard.
        assert!(wishes.is_new(start + SAME));
        assert!(!wishes.is_new(start + SAME + short));
    }
}
