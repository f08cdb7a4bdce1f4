//! The monitor 1.2 socket: accepts clients, each a listener with a task of its own.

use std::sync::Arc;
use std::time::Duration;

use eyepiece_semconv::{attribute, metric};
use tokio::net::UnixStream;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::agent::{Agent, ListenError};
use super::connection::{Connection, Ended};
use crate::stop::{self, Stop};
use crate::telemetry::{Number, Telemetry};
use crate::unix_listener::Listener as Socket;

/// How long a write to a client may not move: one that is stopped for longer reads no live events any more, and holds
/// a queue for nothing.
pub const STALL: Duration = Duration::from_secs(60);
/// Pause after a failed accept (no file descriptors left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Possible CPUs are multiplied with this for the queue's size, up to [`QUEUE_MAX`] (Cilium `pkg/defaults`).
const QUEUE_PER_CPU: usize = 1024;
/// The largest queue by default.
const QUEUE_MAX: usize = 16_384;

/// Payloads of a listener's queue where the settings name no number, as Cilium counts.
pub const fn default_queue(possible_cpus: usize) -> usize {
    let queue = possible_cpus.saturating_mul(QUEUE_PER_CPU);
    if queue < QUEUE_MAX { queue } else { QUEUE_MAX }
}

/// What a server is made of.
pub struct Config {
    /// Where clients come in.
    pub socket: Socket,
    /// Payloads that wait for a client at most.
    pub queue: usize,
    /// How long a write may not move; [`STALL`].
    pub stall: Duration,
    /// Who hands out events.
    pub agent: Agent,
    /// Our own counters.
    pub telemetry: Telemetry,
}

struct Shared {
    queue: usize,
    stall: Duration,
    agent: Agent,
    telemetry: Telemetry,
    sent: Number,
    stop: Stop,
}

impl Config {
    /// Serves clients until told to stop: then nobody new is accepted, the path is removed, and what is queued is
    /// written until the deadline.
    pub async fn run(self, mut stop: Stop) {
        let Self { socket, queue, stall, agent, telemetry } = self;
        let sent = telemetry.counter(metric::EYEPIECE_MONITOR_SENT.name, &[]);
        let shared = Arc::new(Shared { queue, stall, agent, telemetry, sent, stop: stop.clone() });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                _ = stop::requested(&mut stop) => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => note(ended),
                accepted = socket.socket().accept() => match accepted {
                    Ok((stream, _)) => {
                        let shared = Arc::clone(&shared);
                        connections.spawn(async move { shared.serve(stream).await });
                    }
                    Err(error) => {
                        tracing::warn!(%error, path = %socket.path().display(), "cannot accept a monitor client");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(socket);
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a monitor client's task was lost");
    }
}

impl Shared {
    /// One client, from its coming to its going.
    async fn serve(&self, stream: UnixStream) {
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
        let (agent, queue) = (self.agent.clone(), self.queue);
        // Starting the reader waits for the pipeline, and ending a subscription for whoever starts it.
        let listener = match spawn_blocking(move || agent.listen(queue)).await {
            Ok(Ok(listener)) => listener,
            Ok(Err(error)) => return self.refuse(pid, &error),
            Err(error) => return note(Err(error)),
        };
        tracing::info!(pid, listener = listener.slot(), "a monitor client listens");
        let mut connection = Connection::new(&stream, self.stall, &self.sent);
        let ended = connection.run(&listener, self.stop.clone()).await;
        let left = listener.waiting() + connection.in_flight();
        self.count(&ended, left as u64);
        tracing::info!(pid, listener = listener.slot(), ?ended, "a monitor client is gone");
        note(spawn_blocking(move || drop(listener)).await);
    }

    fn refuse(&self, pid: Option<i32>, error: &ListenError) {
        tracing::warn!(pid, %error, "a monitor client is refused");
        let reason = match error {
            ListenError::Full => "too_many_listeners",
            ListenError::Start { .. } => "reader_failed",
        };
        self.counter(&metric::EYEPIECE_MONITOR_REFUSED, reason).add(1);
    }

    fn count(&self, ended: &Ended, left: u64) {
        self.counter(&metric::EYEPIECE_MONITOR_ENDED, ended.reason()).add(1);
        // Who left wants nothing more; from the others it was kept.
        if left > 0 && matches!(ended, Ended::Stalled | Ended::Deadline | Ended::Failed(_)) {
            self.counter(&metric::EYEPIECE_MONITOR_LOST, ended.reason()).add(left);
        }
    }

    fn counter(&self, metric: &eyepiece_semconv::Metric, reason: &str) -> Number {
        self.telemetry.counter(metric.name, &[(attribute::EYEPIECE_REASON, reason)])
    }
}
