//! Follows a server: connects, asks for what is not known yet, and hands on what comes, until it is aborted.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use eyepiece_hubble::proto::observer::{
    GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest, ServerStatusRequest,
};
use eyepiece_hubble::proto::relay::NodeStatusEvent;
use prost_types::Timestamp;
use tokio::sync::mpsc;
use tonic::{Code, Response, Status, Streaming};

use super::alive::{self, Probing, Signs};
use super::messages::{self, Kind, What};
use super::status::View;
use super::window::{Offer, Window};
use super::{Item, reason};
use crate::client::address::Address;
use crate::client::hubble;
use crate::client::hubble::{ClientError, Connection, Options};
use crate::source::Waker;
use crate::source::connection_log::{GOOD, Said};
use crate::source::connection_stats::Numbers;
use crate::source::datapath::clock::unix_now;
use crate::support::backoff::{Backoff, RECONNECT};

/// How often a server without entries is looked at.
const EMPTY: Duration = Duration::from_millis(500);

/// The counters, which both threads have.
#[derive(Clone)]
pub(super) struct Counters(Arc<Mutex<Numbers>>);

impl Counters {
    pub(super) fn new(numbers: Numbers) -> Self {
        Self(Arc::new(Mutex::new(numbers)))
    }

    pub(super) fn get(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to the pipeline's thread.
pub(super) struct Out {
    pub(super) items: mpsc::Sender<Item>,
    /// The thread waits, or is about to.
    pub(super) is_asleep: Arc<AtomicBool>,
    pub(super) waker: Waker,
}

impl Out {
    /// Waits for room: as long as there is none nothing is read, and the server sees that we are slow.
    async fn send(&self, item: Item) {
        // Nobody takes any more: whoever ended that aborts this task.
        if self.items.send(item).await.is_ok() {
            // Either we see that it is about to sleep, or it sees what was sent.
            fence(Ordering::SeqCst);
            if self.is_asleep.load(Ordering::Relaxed) && self.is_asleep.swap(false, Ordering::Relaxed) {
                self.waker.wake();
            }
        }
    }
}

/// A server that is followed.
pub(super) struct Follower {
    pub(super) address: Address,
    pub(super) options: Options,
    pub(super) probing: Probing,
    pub(super) out: Out,
    pub(super) view: View,
    pub(super) counters: Counters,
    pub(super) random: fastrand::Rng,
}

/// Why a stream, or a connection, is over.
struct End {
    reason: &'static str,
    why: String,
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self { reason: reason::of_stream(status.code()), why: hubble::told(&status) }
    }
}

/// A connection, and what it tells.
#[derive(Clone, Copy)]
struct Connected<'a> {
    connection: &'a Connection,
    signs: &'a Signs,
}

/// What goes on from one connection to the next.
#[derive(Default)]
struct Known {
    flows: Window,
    agent_events: Window,
    debug_events: Window,
    /// Kinds that the server does not have, as the log says already.
    missing: Vec<Kind>,
    /// There was a connection before.
    is_again: bool,
}

impl Follower {
    /// Does it.
    pub(super) async fn run(self) {
        let mut known = Known::default();
        let mut backoff = Backoff::new(RECONNECT, self.random.clone());
        let mut said = Said::default();
        loop {
            match Connection::open(self.address.clone(), &self.options).await {
                Ok(connection) => {
                    let since = Instant::now();
                    self.connected(since, &mut said);
                    let end = self.follow_told(&connection, &mut known, &mut said).await;
                    known.is_again = true;
                    // One that fell silent lasts as long as it takes to notice.
                    let is_good = since.elapsed() >= GOOD && end.reason != reason::NO_ANSWER;
                    if is_good {
                        backoff.reset();
                    }
                    said.over(is_good);
                    self.ended(&end, &mut said);
                }
                Err(error) => self.failed(&error, &mut said),
            }
            tokio::time::sleep(backoff.delay()).await;
            self.counters.get().away(Instant::now());
        }
    }

    fn connected(&self, since: Instant, said: &mut Said) {
        self.counters.get().connected(since);
        self.view.change(|now| {
            (now.since, now.reason) = (since, None);
            now.nodes.clear();
        });
        if said.connected() {
            tracing::info!(address = %self.address, "connected to the Hubble server");
        }
    }

    fn failed(&self, error: &ClientError, said: &mut Said) {
        let reason = reason::of_connecting(error);
        {
            let mut numbers = self.counters.get();
            numbers.failed(reason);
            numbers.away(Instant::now());
        }
        self.view.change(|now| now.reason = Some(reason));
        if said.away(reason) {
            tracing::warn!(reason, %error, "cannot connect to the Hubble server; will go on trying");
        }
    }

    fn ended(&self, end: &End, said: &mut Said) {
        let now = Instant::now();
        self.counters.get().ended(end.reason, 0, now);
        self.view.change(|view| {
            view.interruptions += 1;
            (view.since, view.reason) = (now, Some(end.reason));
        });
        let End { reason, why } = end;
        if said.away(end.reason) {
            tracing::warn!(address = %self.address, reason, why, "the stream of the Hubble server has ended; will connect again");
        }
    }

    /// Reads until the end, and says it where a connection lasts that was not told of.
    async fn follow_told(&self, connection: &Connection, known: &mut Known, said: &mut Said) -> End {
        let mut follow = pin!(self.follow(connection, known));
        tokio::select! {
            end = &mut follow => return end,
            () = tokio::time::sleep(GOOD) => {}
        }
        if let Some(unsaid) = said.lasts() {
            tracing::info!(address = %self.address, unsaid, "the connection to the Hubble server lasts again");
        }
        follow.await
    }

    /// Reads all streams until one of them ends.
    async fn follow(&self, connection: &Connection, known: &mut Known) -> End {
        let Known { flows, agent_events, debug_events, missing, is_again } = known;
        let missing = Mutex::new(missing);
        let signs = Signs::default();
        let connected = Connected { connection, signs: &signs };
        let mut flows = pin!(self.flows(connected, flows, *is_again));
        let mut agent = pin!(self.beside(connected, Kind::AgentEvents, agent_events, &missing));
        let mut debug = pin!(self.beside(connected, Kind::DebugEvents, debug_events, &missing));
        let mut silent = pin!(alive::until_silent(connection, &signs, self.probing));
        tokio::select! {
            end = &mut flows => end,
            end = &mut agent => end,
            end = &mut debug => end,
            () = &mut silent => silence(self.probing),
        }
    }

    async fn flows(&self, connected: Connected<'_>, window: &mut Window, is_again: bool) -> End {
        let Connected { connection, signs } = connected;
        let number = match self.wait_for_entries(connection).await {
            Ok(number) => number,
            Err(status) => return status.into(),
        };
        let since = self.resume(window, is_again);
        let mut stream = match open(connection, Kind::Flows, since, number).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return status.into(),
        };
        loop {
            match stream.message().await {
                Ok(Some(message)) => {
                    signs.came();
                    self.message(Kind::Flows, &message, window).await;
                    signs.handed_on();
                }
                Ok(None) => return closed(),
                Err(status) => return status.into(),
            }
        }
    }

    /// Waits until the server's ring has two entries: Cilium's (1.20.2, and those before) lets who follows an emptier one
    /// wait until the ring has filled, and loses all that. Gives how many came meanwhile; 0 where there was no wait.
    async fn wait_for_entries(&self, connection: &Connection) -> Result<u64, Status> {
        let mut has_waited = false;
        loop {
            match connection.observer().server_status(ServerStatusRequest {}).await {
                Ok(status) => match status.get_ref() {
                    status if status.num_flows < 2 && status.max_flows > 1 => has_waited = true,
                    status => return Ok(if has_waited { status.num_flows } else { 0 }),
                },
                Err(status) if matches!(status.code(), Code::Unavailable | Code::Cancelled) => return Err(status),
                // Who does not tell may be read all the same.
                Err(_) => return Ok(0),
            }
            tokio::time::sleep(EMPTY).await;
        }
    }

    /// Reads events beside the flows. A server that does not give them is one without them.
    async fn beside(
        &self,
        connected: Connected<'_>,
        kind: Kind,
        window: &mut Window,
        missing: &Mutex<&mut Vec<Kind>>,
    ) -> End {
        let Connected { connection, signs } = connected;
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
                // The server's end is the flows' too: they tell.
                if !matches!(status.code(), Code::Unavailable | Code::Cancelled) {
                    self.does_without(kind, &status, missing);
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
                    signs.came();
                    self.message(kind, &message, window).await;
                    signs.handed_on();
                }
                Ok(None) => return closed(),
                Err(status) if has_come || matches!(status.code(), Code::Unavailable | Code::Cancelled) => {
                    return status.into();
                }
                Err(status) => {
                    self.does_without(kind, &status, missing);
                    return std::future::pending().await;
                }
            }
            next = stream.message().await;
        }
    }

    fn does_without(&self, kind: Kind, status: &Status, missing: &Mutex<&mut Vec<Kind>>) {
        let mut missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
        if !missing.contains(&kind) {
            missing.push(kind);
            let (call, why) = (kind.path(), hubble::told(status));
            tracing::info!(address = %self.address, call, why, "the server does not give these events; its flows are read");
        }
    }

    /// From when on to ask, as the window has it. Without anything to go by, what came meanwhile is missed.
    fn resume(&self, window: &mut Window, is_again: bool) -> Option<u64> {
        let since = window.since(unix_now());
        window.resumed(since, Instant::now());
        if is_again && since.is_none() {
            self.counters.get().gap("nothing_seen");
        }
        since
    }

    async fn message(&self, kind: Kind, message: &Bytes, window: &mut Window) {
        let read = match messages::read(kind, message) {
            Ok(read) => read,
            Err(error) => {
                tracing::debug!(%error, call = kind.path(), "a message that is none");
                let item = Item::Undecodable { time: unix_now(), data: message.clone() };
                return self.out.send(item).await;
            }
        };
        match &read.what {
            What::Item(_) => {}
            What::NodeStatus(event) => return self.nodes(event, window),
            What::Nothing => return self.counters.get().skipped("unknown_message"),
        }
        let now = Instant::now();
        match window.offer(&read.offered(), now) {
            Offer::New => {}
            // All streams of a server are of one ring: the flows tell for all how far back it goes.
            Offer::NewBehindGap if kind != Kind::Flows => {}
            Offer::NewBehindGap => {
                self.counters.get().gap("passed_on");
                tracing::warn!(
                    node = read.offered().node,
                    "the server has passed on since the interruption: events are missed"
                );
            }
            Offer::Seen => return self.counters.get().skipped("seen_before"),
        }
        if let What::Item(item) = read.what {
            self.out.send(item).await;
        }
    }

    fn nodes(&self, event: &NodeStatusEvent, window: &mut Window) {
        let state = self.view.nodes(event);
        let now = Instant::now();
        event.node_names.iter().for_each(|name| window.node_changed(name, now));
        let (nodes, message) = (event.node_names.join(" "), &event.message);
        if state == "connected" {
            tracing::info!(state, nodes, message, "nodes of the relay");
        } else {
            tracing::warn!(state, nodes, message, "nodes of the relay");
        }
    }
}

fn closed() -> End {
    End { reason: reason::CLOSED, why: "the server ended it".to_owned() }
}

fn silence(probing: Probing) -> End {
    let why = format!("it tells nothing, and has not answered a call within {:?}", probing.timeout);
    End { reason: reason::NO_ANSWER, why }
}

/// Asks for a stream that goes on: from a time on, else with so many flows before new ones.
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
