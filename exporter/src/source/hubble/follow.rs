//! Follows a server: connects, requests unseen events, and passes them on, until it is aborted.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use eyepiece_hubble::proto::observer::{
    GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest, ServerStatusRequest,
};
use eyepiece_hubble::proto::relay::NodeStatusEvent;
use prost_types::Timestamp;
use tokio::sync::mpsc;
use tonic::{Code, Response, Status, Streaming};

use super::item::Item;
use super::liveness::{self, Activity, Probing};
use super::messages::{self, Content, Kind};
use super::reason;
use super::status::View;
use super::window::{Offer, Window};
use crate::client::address::Address;
use crate::client::config::ClientConfig;
use crate::client::error::{ClientError, status_text};
use crate::client::hubble::Connection;
use crate::source::Waker;
use crate::source::connection_log::ReconnectLog;
use crate::source::connection_metrics::ConnectionMetrics;
use crate::support::backoff::{Backoff, RECONNECT, STABLE_AFTER};
use crate::support::clock::unix_now;
use crate::support::lock::lock;

/// The interval between polls of a server without entries.
const EMPTY_RING_POLL: Duration = Duration::from_millis(500);

/// The metrics, shared by both threads.
#[derive(Clone)]
pub(super) struct SharedMetrics(Arc<Mutex<ConnectionMetrics>>);

impl SharedMetrics {
    pub(super) fn new(metrics: ConnectionMetrics) -> Self {
        Self(Arc::new(Mutex::new(metrics)))
    }

    pub(super) fn get(&self) -> MutexGuard<'_, ConnectionMetrics> {
        lock(&self.0)
    }
}

/// The channel to the pipeline's thread.
pub(super) struct ItemSender {
    pub(super) items: mpsc::Sender<Item>,
    /// The thread waits, or is about to.
    pub(super) is_waiting: Arc<AtomicBool>,
    pub(super) waker: Waker,
}

impl ItemSender {
    /// Waits for room: meanwhile nothing is read, and the server sees that we are slow.
    async fn send(&self, item: Item) {
        // If the receiver is gone, this task is about to be aborted.
        if self.items.send(item).await.is_ok() {
            // Either this task sees that the thread is about to wait, or the thread sees the item.
            fence(Ordering::SeqCst);
            if self.is_waiting.load(Ordering::Relaxed) && self.is_waiting.swap(false, Ordering::Relaxed) {
                self.waker.wake();
            }
        }
    }
}

/// A server to follow.
pub(super) struct Follower {
    pub(super) address: Address,
    pub(super) client: ClientConfig,
    pub(super) probing: Probing,
    pub(super) out: ItemSender,
    pub(super) view: View,
    pub(super) metrics: SharedMetrics,
    pub(super) random: fastrand::Rng,
}

/// The end of a stream or a connection.
struct End {
    reason: &'static str,
    why: String,
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self { reason: reason::of_stream(status.code()), why: status_text(&status) }
    }
}

/// A connection and its activity.
#[derive(Clone, Copy)]
struct Connected<'a> {
    connection: &'a Connection,
    activity: &'a Activity,
}

/// State that outlives a connection.
#[derive(Default)]
struct StreamState {
    flows: Window,
    agent_events: Window,
    debug_events: Window,
    /// Kinds that the server does not support, as already logged.
    missing: Vec<Kind>,
    /// There was a connection before.
    is_reconnect: bool,
}

impl Follower {
    /// Follows the server for ever.
    pub(super) async fn run(self) {
        let mut state = StreamState::default();
        let mut backoff = Backoff::new(RECONNECT, self.random.clone());
        let mut log = ReconnectLog::default();
        loop {
            match Connection::open(self.address.clone(), &self.client).await {
                Ok(connection) => {
                    let since = Instant::now();
                    self.connected(since, &mut log);
                    let end = self.follow_and_log(&connection, &mut state, &mut log).await;
                    state.is_reconnect = true;
                    // A silent connection lasts until it is detected, so its length proves nothing.
                    let is_stable = since.elapsed() >= STABLE_AFTER && end.reason != reason::NO_ANSWER;
                    if is_stable {
                        backoff.reset();
                    }
                    log.on_end(is_stable);
                    self.ended(&end, &mut log);
                }
                Err(error) => self.failed(&error, &mut log),
            }
            tokio::time::sleep(backoff.delay()).await;
            self.metrics.get().publish_away(Instant::now());
        }
    }

    fn connected(&self, since: Instant, log: &mut ReconnectLog) {
        self.metrics.get().connected(since);
        self.view.change(|now| {
            (now.since, now.reason) = (since, None);
            now.nodes.clear();
        });
        if log.on_connect() {
            tracing::info!(address = %self.address, "connected to the Hubble server");
        }
    }

    fn failed(&self, error: &ClientError, log: &mut ReconnectLog) {
        let reason = reason::of_connecting(error);
        {
            let mut metrics = self.metrics.get();
            metrics.failed(reason);
            metrics.publish_away(Instant::now());
        }
        self.view.change(|now| now.reason = Some(reason));
        if log.on_disconnect(reason) {
            tracing::warn!(reason, %error, "cannot connect to the Hubble server; retrying");
        }
    }

    fn ended(&self, end: &End, log: &mut ReconnectLog) {
        let now = Instant::now();
        self.metrics.get().ended(end.reason, 0, now);
        self.view.change(|view| {
            view.interruptions += 1;
            (view.since, view.reason) = (now, Some(end.reason));
        });
        let End { reason, why } = end;
        if log.on_disconnect(end.reason) {
            tracing::warn!(address = %self.address, reason, why, "the stream of the Hubble server has ended; reconnecting");
        }
    }

    /// Reads until the end; logs the connection once it is stable.
    async fn follow_and_log(&self, connection: &Connection, state: &mut StreamState, log: &mut ReconnectLog) -> End {
        let mut follow = pin!(self.follow(connection, state));
        tokio::select! {
            end = &mut follow => return end,
            () = tokio::time::sleep(STABLE_AFTER) => {}
        }
        if let Some(suppressed) = log.on_stable() {
            tracing::info!(address = %self.address, suppressed, "the connection to the Hubble server is stable again");
        }
        follow.await
    }

    /// Reads all streams until one of them ends.
    async fn follow(&self, connection: &Connection, state: &mut StreamState) -> End {
        let StreamState { flows, agent_events, debug_events, missing, is_reconnect } = state;
        let missing = Mutex::new(missing);
        let activity = Activity::default();
        let connected = Connected { connection, activity: &activity };
        let mut flows = pin!(self.flows(connected, flows, *is_reconnect));
        let mut agent = pin!(self.follow_events(connected, Kind::AgentEvents, agent_events, &missing));
        let mut debug = pin!(self.follow_events(connected, Kind::DebugEvents, debug_events, &missing));
        let mut silent = pin!(liveness::until_silent(connection, &activity, self.probing));
        tokio::select! {
            end = &mut flows => end,
            end = &mut agent => end,
            end = &mut debug => end,
            () = &mut silent => silence(self.probing),
        }
    }

    async fn flows(&self, connected: Connected<'_>, window: &mut Window, is_reconnect: bool) -> End {
        let Connected { connection, activity } = connected;
        let number = match self.wait_for_entries(connection).await {
            Ok(number) => number,
            Err(status) => return status.into(),
        };
        let since = self.resume(window, is_reconnect);
        let mut stream = match open(connection, Kind::Flows, since, number).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return status.into(),
        };
        loop {
            match stream.message().await {
                Ok(Some(message)) => {
                    activity.received();
                    self.message(Kind::Flows, &message, window).await;
                    activity.forwarded();
                }
                Ok(None) => return closed(),
                Err(status) => return status.into(),
            }
        }
    }

    /// Waits until the server's ring has two entries. Cilium's server (1.20.2 and before) makes a client that follows
    /// an emptier ring wait until the ring is full, and loses those entries. Returns how many came during the wait,
    /// else 0.
    async fn wait_for_entries(&self, connection: &Connection) -> Result<u64, Status> {
        let mut has_waited = false;
        loop {
            match connection.observer().server_status(ServerStatusRequest {}).await {
                Ok(status) => match status.get_ref() {
                    status if status.num_flows < 2 && status.max_flows > 1 => has_waited = true,
                    status => return Ok(if has_waited { status.num_flows } else { 0 }),
                },
                Err(status) if matches!(status.code(), Code::Unavailable | Code::Cancelled) => return Err(status),
                // A server without status can still be followed.
                Err(_) => return Ok(0),
            }
            tokio::time::sleep(EMPTY_RING_POLL).await;
        }
    }

    /// Reads events other than flows. A server without them is followed for its flows only.
    async fn follow_events(
        &self,
        connected: Connected<'_>,
        kind: Kind,
        window: &mut Window,
        missing: &Mutex<&mut Vec<Kind>>,
    ) -> End {
        let Connected { connection, activity } = connected;
        let since = window.since(unix_now());
        window.resumed(since, Instant::now());
        let opened = open(connection, kind, since, 0).await;
        let (mut stream, first) = match opened {
            Ok(response) => {
                let mut stream = response.into_inner();
                let first = stream.message().await;
                (stream, first)
            }
            Err(status) => {
                // If the server is gone, the flow stream reports it.
                if !matches!(status.code(), Code::Unavailable | Code::Cancelled) {
                    self.report_unsupported(kind, &status, missing);
                }
                return std::future::pending().await;
            }
        };
        let mut next = first;
        let mut has_come = false;
        loop {
            match next {
                Ok(Some(message)) => {
                    has_come = true;
                    activity.received();
                    self.message(kind, &message, window).await;
                    activity.forwarded();
                }
                Ok(None) => return closed(),
                Err(status) if has_come || matches!(status.code(), Code::Unavailable | Code::Cancelled) => {
                    return status.into();
                }
                Err(status) => {
                    self.report_unsupported(kind, &status, missing);
                    return std::future::pending().await;
                }
            }
            next = stream.message().await;
        }
    }

    fn report_unsupported(&self, kind: Kind, status: &Status, missing: &Mutex<&mut Vec<Kind>>) {
        let mut missing = lock(missing);
        if !missing.contains(&kind) {
            missing.push(kind);
            let (call, why) = (kind.path(), status_text(status));
            tracing::info!(address = %self.address, call, why, "the server does not serve these events; only its flows are read");
        }
    }

    /// The time to request events from, by the window. Without one, events since the interruption are missed.
    fn resume(&self, window: &mut Window, is_reconnect: bool) -> Option<u64> {
        let since = window.since(unix_now());
        window.resumed(since, Instant::now());
        if is_reconnect && since.is_none() {
            self.metrics.get().gap("nothing_seen");
        }
        since
    }

    async fn message(&self, kind: Kind, message: &Bytes, window: &mut Window) {
        let decoded = match messages::read(kind, message) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::debug!(address = %self.address, %error, call = kind.path(), "cannot decode a message");
                let item = Item::Undecodable { time: unix_now(), data: message.clone() };
                return self.out.send(item).await;
            }
        };
        match &decoded.content {
            Content::Item(_) => {}
            Content::NodeStatus(event) => return self.nodes(event, window),
            Content::Nothing => return self.metrics.get().skipped("unknown_message"),
        }
        let now = Instant::now();
        match window.offer(&decoded.offered(), now) {
            Offer::New => {}
            // All streams of a server share one ring: only the flow stream reports gaps.
            Offer::NewBehindGap if kind != Kind::Flows => {}
            Offer::NewBehindGap => {
                self.metrics.get().gap("passed_on");
                tracing::warn!(
                    address = %self.address,
                    node = decoded.offered().node,
                    "the server's ring no longer has the events of the interruption: they are missed"
                );
            }
            Offer::Seen => return self.metrics.get().skipped("seen_before"),
        }
        if let Content::Item(item) = decoded.content {
            self.out.send(item).await;
        }
    }

    fn nodes(&self, event: &NodeStatusEvent, window: &mut Window) {
        let state = self.view.nodes(event);
        let now = Instant::now();
        event.node_names.iter().for_each(|name| window.node_changed(name, now));
        let (nodes, message, address) = (event.node_names.join(" "), &event.message, &self.address);
        if state == "connected" {
            tracing::info!(%address, state, nodes, message, "the relay reported a state of nodes");
        } else {
            tracing::warn!(%address, state, nodes, message, "the relay reported a state of nodes");
        }
    }
}

fn closed() -> End {
    End { reason: reason::CLOSED, why: "the server ended it".to_owned() }
}

fn silence(probing: Probing) -> End {
    let why = format!("no message, and no answer to a call within {:?}", probing.timeout);
    End { reason: reason::NO_ANSWER, why }
}

/// Opens a stream that follows: from a time on, else with `number` earlier flows.
async fn open(
    connection: &Connection,
    kind: Kind,
    since: Option<u64>,
    number: u64,
) -> Result<Response<Streaming<Bytes>>, Status> {
    let since = since.map(|time| Timestamp {
        seconds: i64::try_from(time / 1_000_000_000).unwrap_or(i64::MAX),
        nanos: (time % 1_000_000_000) as i32,
    });
    let path = kind.path();
    match kind {
        Kind::Flows => {
            let number = if since.is_some() { 0 } else { number };
            let request = GetFlowsRequest { number, follow: true, since, ..GetFlowsRequest::default() };
            connection.stream(path, request).await
        }
        Kind::AgentEvents => {
            let request = GetAgentEventsRequest { follow: true, since, ..GetAgentEventsRequest::default() };
            connection.stream(path, request).await
        }
        Kind::DebugEvents => {
            let request = GetDebugEventsRequest { follow: true, since, ..GetDebugEventsRequest::default() };
            connection.stream(path, request).await
        }
    }
}
