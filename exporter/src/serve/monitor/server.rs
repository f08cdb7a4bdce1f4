//! The monitor 1.2 socket: accepts clients, each a listener with a task of its own.

use std::sync::Arc;
use std::time::Duration;

use eyepiece_semconv::{attribute, metric};
use tokio::net::UnixStream;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, interval, sleep_until};

use super::agent::{Agent, ListenError};
use super::connection::{Connection, Ended};
use super::fanout::LISTENERS_MAX;
use crate::support::log_limit::{INTERVAL, LogLimit};
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Number, Telemetry};
use crate::support::unix_listener::Listener as Socket;

/// How long a write to a client may not move: one that is stopped for longer reads no live events any more, and holds
/// a queue for nothing.
pub const STALL: Duration = Duration::from_secs(60);
/// Pause after a failed accept (no file descriptors left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Clients that have a task at the same time: all listeners, and some that are just being refused or are leaving, each of
/// which may have a blocking thread. Who comes beyond is closed at once.
const CLIENTS_MAX: usize = LISTENERS_MAX + 8;
/// Lines about who comes and goes in a [`LogLimit`]'s interval: as many as when all listeners come at once. Of those who
/// could not come in one line says enough.
const VISITS: u32 = LISTENERS_MAX as u32;

/// What a server is made of.
pub struct Config {
    /// Where clients come in.
    pub socket: Socket,
    /// Payloads that wait for a client at most; `None`: only their memory is bounded.
    pub queue: Option<usize>,
    /// How long a write may not move; [`STALL`].
    pub stall: Duration,
    /// Who hands out events.
    pub agent: Agent,
    /// Our own counters.
    pub telemetry: Telemetry,
}

struct Shared {
    queue: Option<usize>,
    stall: Duration,
    agent: Agent,
    telemetry: Telemetry,
    sent: Number,
    stop: Stop,
    /// Lines about who comes and goes.
    visits: LogLimit,
    /// Lines about who could not come in.
    refusals: LogLimit,
}

impl Config {
    /// Serves clients until told to stop: then nobody new is accepted, the path is removed, and what is queued is
    /// written until the deadline.
    pub async fn run(self, mut stop: Stop) {
        let Self { socket, queue, stall, agent, telemetry } = self;
        let sent = telemetry.counter(metric::EYEPIECE_MONITOR_SENT.name, &[]);
        let (visits, refusals) = (LogLimit::new(VISITS), LogLimit::new(1));
        let stopped = stop.clone();
        let shared = Arc::new(Shared { queue, stall, agent, telemetry, sent, stop: stopped, visits, refusals });
        let mut connections = JoinSet::new();
        let mut unsaid = interval(INTERVAL);
        // None unless accepting has just failed.
        let mut resume = None::<Instant>;
        loop {
            tokio::select! {
                // In this order: a stop never waits, and whoever has left makes room before the next one comes in.
                biased;
                _ = shutdown::requested(&mut stop) => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => note(ended),
                _ = unsaid.tick() => shared.tell_unsaid(),
                () = sleep_until(resume.unwrap_or_else(Instant::now)), if resume.is_some() => resume = None,
                accepted = socket.socket().accept(), if resume.is_none() => match accepted {
                    Ok((stream, _)) if connections.len() < CLIENTS_MAX => {
                        let shared = Arc::clone(&shared);
                        connections.spawn(async move { shared.serve(stream).await });
                    }
                    Ok((stream, _)) => shared.refuse(pid(&stream), &ListenError::Full),
                    Err(error) => {
                        if shared.refusals.allows(std::time::Instant::now()) {
                            tracing::warn!(%error, path = %socket.path().display(), "cannot accept a monitor client");
                        }
                        resume = Some(Instant::now() + ACCEPT_PAUSE);
                    }
                },
            }
        }
        drop(socket);
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
        shared.tell_unsaid();
    }
}

/// Who is at the other end, where the kernel tells.
fn pid(stream: &UnixStream) -> Option<i32> {
    stream.peer_cred().ok().and_then(|peer| peer.pid())
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a monitor client's task was lost");
    }
}

impl Shared {
    /// One client, from its coming to its going.
    async fn serve(&self, stream: UnixStream) {
        let pid = pid(&stream);
        let (agent, queue) = (self.agent.clone(), self.queue);
        // Starting the reader waits for the pipeline, and ending a subscription for whoever starts it.
        let listener = match spawn_blocking(move || agent.listen(queue)).await {
            Ok(Ok(listener)) => listener,
            Ok(Err(error)) => return self.refuse(pid, &error),
            Err(error) => return note(Err(error)),
        };
        if self.visits.allows(std::time::Instant::now()) {
            tracing::info!(pid, listener = listener.slot(), "a monitor client listens");
        }
        let mut connection = Connection::new(&stream, self.stall, &self.sent);
        let ended = connection.run(&listener, self.stop.clone()).await;
        let left = listener.waiting() + connection.in_flight();
        self.count(&ended, left as u64);
        if self.visits.allows(std::time::Instant::now()) {
            tracing::info!(pid, listener = listener.slot(), ?ended, "a monitor client is gone");
        }
        note(spawn_blocking(move || drop(listener)).await);
    }

    /// Says how many lines were left out; counters have all that they would have told.
    fn tell_unsaid(&self) {
        let (visits, refusals) = (self.visits.take_suppressed(), self.refusals.take_suppressed());
        if visits > 0 || refusals > 0 {
            tracing::warn!(visits, refusals, "many monitor clients come and go: so many lines were left out");
        }
    }

    fn refuse(&self, pid: Option<i32>, error: &ListenError) {
        if self.refusals.allows(std::time::Instant::now()) {
            tracing::warn!(pid, %error, "a monitor client is refused");
        }
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
