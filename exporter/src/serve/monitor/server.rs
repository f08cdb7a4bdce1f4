//! The monitor 1.2 socket: accepts clients; each is a listener with its own task.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eyepiece_semconv::{attribute, metric};
use tokio::net::UnixStream;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::interval;

use super::agent::{Agent, ListenError};
use super::connection::{Connection, ConnectionEnd};
use super::limits::MAX_LISTENERS;
use crate::support::accept::{AcceptRetry, log_panic};
use crate::support::log_limit::{INTERVAL, LogLimit};
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Number, Telemetry};
use crate::support::unix_listener::Listener as Socket;

/// Time after which a client that takes no byte is disconnected: its queue holds memory for nothing.
pub const STALL: Duration = Duration::from_secs(60);
/// Its name in the log.
const SERVER: &str = "monitor";
/// Clients with a task at the same time: all listeners, and some that are being refused or disconnected, each of which
/// may use a blocking thread. Further clients are closed at once.
const MAX_CLIENTS: usize = MAX_LISTENERS + 8;
/// Log lines about connections in a [`LogLimit`]'s interval: one for each listener. Refusals get one line.
const CONNECTION_LINES: u32 = MAX_LISTENERS as u32;

/// The dependencies and settings of a server.
pub struct Config {
    /// The bound socket.
    pub socket: Socket,
    /// Payloads that wait for a client at most; `None`: only their memory is bounded.
    pub queue: Option<usize>,
    /// [`STALL`]; shorter in tests.
    pub stall: Duration,
    /// The agent that clients subscribe to.
    pub agent: Agent,
    /// The registry of our own metrics.
    pub telemetry: Telemetry,
}

struct ServerState {
    queue: Option<usize>,
    stall: Duration,
    agent: Agent,
    telemetry: Telemetry,
    sent: Number,
    stop: Stop,
    /// Limits log lines about connections.
    connection_lines: LogLimit,
    /// Limits log lines about refusals.
    refusal_lines: LogLimit,
}

impl Config {
    /// Serves clients until a shutdown: then accepts no client, removes the socket, and writes queues until the
    /// deadline.
    pub async fn run(self, mut stop: Stop) {
        let Self { socket, queue, stall, agent, telemetry } = self;
        let sent = telemetry.counter(metric::EYEPIECE_MONITOR_SENT.name, &[]);
        let (connection_lines, refusal_lines) = (LogLimit::new(CONNECTION_LINES), LogLimit::new(1));
        let stopped = stop.clone();
        let shared = Arc::new(ServerState {
            queue,
            stall,
            agent,
            telemetry,
            sent,
            stop: stopped,
            connection_lines,
            refusal_lines,
        });
        let mut connections = JoinSet::new();
        let mut suppressed_log = interval(INTERVAL);
        let mut retry = AcceptRetry::new(SERVER, &socket.path().display());
        loop {
            tokio::select! {
                // In this order: a shutdown never waits, and disconnected clients make room for the next one.
                biased;
                _ = shutdown::requested(&mut stop) => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => log_panic(SERVER, ended),
                _ = suppressed_log.tick() => shared.log_suppressed(),
                (stream, _) = retry.next(|| socket.socket().accept()) => if connections.len() < MAX_CLIENTS {
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move { shared.serve(stream).await });
                } else {
                    shared.refuse(pid(&stream), &ListenError::Full);
                },
            }
        }
        drop(socket);
        while let Some(ended) = connections.join_next().await {
            log_panic(SERVER, ended);
        }
        shared.log_suppressed();
    }
}

/// The client's process id, if the kernel has it.
fn pid(stream: &UnixStream) -> Option<i32> {
    stream.peer_cred().ok().and_then(|peer| peer.pid())
}

impl ServerState {
    /// Serves one client until it disconnects.
    async fn serve(&self, stream: UnixStream) {
        let pid = pid(&stream);
        let (agent, queue) = (self.agent.clone(), self.queue);
        // Starting the source waits for the pipeline; ending a subscription waits for a start in progress.
        let listener = match spawn_blocking(move || agent.listen(queue)).await {
            Ok(Ok(listener)) => listener,
            Ok(Err(error)) => return self.refuse(pid, &error),
            Err(error) => return log_panic(SERVER, Err(error)),
        };
        if self.connection_lines.allows(Instant::now()) {
            tracing::info!(pid, listener = listener.slot(), "monitor client connected");
        }
        let mut connection = Connection::new(&stream, self.stall, &self.sent);
        let ended = connection.run(&listener, self.stop.clone()).await;
        let unsent = listener.waiting() + connection.in_flight();
        self.count_end(&ended, unsent as u64);
        if self.connection_lines.allows(Instant::now()) {
            tracing::info!(pid, listener = listener.slot(), ?ended, "monitor client disconnected");
        }
        log_panic(SERVER, spawn_blocking(move || drop(listener)).await);
    }

    /// Logs the number of suppressed lines; counters have their content.
    fn log_suppressed(&self) {
        let (connections, refusals) = (self.connection_lines.take_suppressed(), self.refusal_lines.take_suppressed());
        if connections > 0 || refusals > 0 {
            tracing::warn!(connections, refusals, "suppressed log lines about monitor clients");
        }
    }

    fn refuse(&self, pid: Option<i32>, error: &ListenError) {
        if self.refusal_lines.allows(Instant::now()) {
            tracing::warn!(pid, %error, "refused a monitor client");
        }
        let reason = match error {
            ListenError::Full => "too_many_listeners",
            ListenError::Start { .. } => "reader_failed",
        };
        self.counter(&metric::EYEPIECE_MONITOR_REFUSED, reason).add(1);
    }

    fn count_end(&self, ended: &ConnectionEnd, unsent: u64) {
        self.counter(&metric::EYEPIECE_MONITOR_ENDED, ended.reason()).add(1);
        // A client that disconnected itself loses nothing.
        if unsent > 0 && matches!(ended, ConnectionEnd::Stalled | ConnectionEnd::Deadline | ConnectionEnd::Failed(_)) {
            self.counter(&metric::EYEPIECE_MONITOR_LOST, ended.reason()).add(unsent);
        }
    }

    fn counter(&self, metric: &eyepiece_semconv::Metric, reason: &str) -> Number {
        self.telemetry.counter(metric.name, &[(attribute::EYEPIECE_REASON, reason)])
    }
}
