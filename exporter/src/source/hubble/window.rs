//! The window of a stream's recent events: the time to resume from after an interruption, and which events were seen.
//!
//! A resumed stream overlaps by some seconds, since flows of several nodes are out of order. A repeated event proves
//! that its node has lost none after it. Only times of one node are compared with each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest disorder of a node's events. Relay holds flows back for up to a second (1.20's default) to sort them.
pub(super) const WINDOW: Duration = Duration::from_secs(5);
/// After this silence, while other nodes sent events, a node has no late events: its last event's time is not resumed
/// from. Measured by arrival, as clocks of nodes are not comparable.
const QUIET: Duration = Duration::from_secs(600);
/// An event this far before the node's newest is not late: the node's clock was set back.
const SET_BACK: Duration = Duration::from_secs(60);
/// The time after an interruption in which old events of a node are repeated ones.
const REPLAY: Duration = Duration::from_secs(60);
/// The most events that are remembered: as many as the largest ring of a server has, some 6 MiB.
const EVENTS: usize = 1 << 16;
/// The most nodes that are distinguished: more than a cluster has (Kubernetes is made for 5,000).
const NODES: usize = 1 << 13;

/// The outcome of [`Window::offer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Not seen before.
    New,
    /// Not seen before, and events before it may be missing: the node repeated no known event.
    NewBehindGap,
    /// Seen before.
    Seen,
}

/// The fields of an event that the window needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered<'a> {
    /// The node that observed it; empty if unknown.
    pub(super) node: &'a str,
    /// Time of the event, ns since the Unix epoch; 0 = unknown.
    pub(super) time: u64,
    /// Identifies the event.
    pub(super) key: u128,
    /// Whether the server selects it by time. It does not do so for losses, whose times therefore prove nothing.
    pub(super) is_timed: bool,
}

/// The window.
pub(super) struct Window {
    nodes: HashMap<Arc<str>, Node>,
    seen: HashSet<u128>,
    order: VecDeque<Seen>,
    /// Until when events may be repeated.
    replay: Option<Instant>,
    most: usize,
}

struct Seen {
    node: Arc<str>,
    time: u64,
    key: u128,
    arrived: Instant,
}

struct Node {
    /// The latest time of its events.
    newest: u64,
    /// The latest time among its forgotten events.
    floor: u64,
    /// Arrival of its last event.
    last_arrival: Instant,
    /// Set while its events may be repeated.
    replay: Option<Replay>,
}

struct Replay {
    /// The node's newest event at the interruption.
    newest: u64,
    until: Instant,
    /// The node has repeated a known event, or its gap was reported.
    is_proven: bool,
}

impl Default for Window {
    fn default() -> Self {
        let (nodes, seen, order) = (HashMap::new(), HashSet::new(), VecDeque::new());
        Self { nodes, seen, order, replay: None, most: EVENTS }
    }
}

impl Window {
    /// The time to resume from, ns since the Unix epoch; `None` if no event was seen. It is that of the node whose
    /// clock is the furthest behind: a server asked for a later time drops all events of this node. It is not after
    /// `now`, the wall-clock time: a clock that was ahead may have been corrected meanwhile.
    pub(super) fn since(&self, now: u64) -> Option<u64> {
        // Losses have no usable time.
        let timed = self.nodes.values().filter(|node| node.newest > 0);
        let last_arrival = timed.clone().map(|node| node.last_arrival).max()?;
        timed.map(|node| node.complete_until(last_arrival)).min().map(|time| back(time.min(now), WINDOW))
    }

    /// The stream resumes, from a time that [`Window::since`] returned.
    pub(super) fn resumed(&mut self, since: Option<u64>, now: Instant) {
        let Some(since) = since else { return };
        self.replay = Some(now + REPLAY);
        for node in self.nodes.values_mut() {
            node.expect_replay(now, node.newest >= since);
        }
    }

    /// A node behind a relay changed its state: its stream begins anew.
    pub(super) fn node_changed(&mut self, name: &str, now: Instant) {
        if let Some(node) = self.nodes.get_mut(name) {
            self.replay = Some(now + REPLAY);
            node.expect_replay(now, true);
        }
    }

    /// Records an event; returns whether it is new.
    pub(super) fn offer(&mut self, event: &Offered<'_>, now: Instant) -> Offer {
        self.forget(now);
        let is_seen = self.seen.contains(&event.key);
        if event.time == 0 {
            if is_seen {
                return Offer::Seen;
            }
            self.remember(event, Arc::from(event.node), now);
            return Offer::New;
        }
        let (name, node) = self.node(event, now);
        node.last_arrival = now;
        let mut is_gap = false;
        match &mut node.replay {
            // No server repeats events this late: the clock was set back while no connection was there, and the node's
            // newer events were taken for known ones.
            Some(replay) if !is_seen && event.is_timed && event.time <= node.floor && now >= replay.until => {
                (node.newest, node.floor, node.replay) = (event.time, 0, None);
                is_gap = true;
            }
            Some(replay) => {
                if is_seen || event.time <= node.floor {
                    replay.is_proven |= event.is_timed;
                    return Offer::Seen;
                }
                if event.is_timed {
                    is_gap = !std::mem::replace(&mut replay.is_proven, true);
                    if event.time > replay.newest || now >= replay.until {
                        node.replay = None;
                    }
                }
            }
            None if is_seen => return Offer::Seen,
            None if event.time < back(node.newest, SET_BACK) => (node.newest, node.floor) = (event.time, 0),
            None => {}
        }
        if event.is_timed {
            node.newest = node.newest.max(event.time);
        }
        self.remember(event, name, now);
        if is_gap { Offer::NewBehindGap } else { Offer::New }
    }

    fn node(&mut self, event: &Offered<'_>, now: Instant) -> (Arc<str>, &mut Node) {
        let known = self.nodes.get_key_value(event.node).map(|(name, _)| Arc::clone(name));
        let name = known.unwrap_or_else(|| {
            if self.nodes.len() >= NODES {
                let longest =
                    self.nodes.iter().min_by_key(|(_, node)| node.last_arrival).map(|(name, _)| Arc::clone(name));
                longest.and_then(|name| self.nodes.remove(&name));
            }
            event.node.into()
        });
        let newest = if event.is_timed { event.time } else { 0 };
        let new = || Node { newest, floor: 0, last_arrival: now, replay: None };
        (Arc::clone(&name), self.nodes.entry(name).or_insert_with(new))
    }

    fn remember(&mut self, event: &Offered<'_>, node: Arc<str>, now: Instant) {
        if self.order.len() >= self.most {
            self.forget_oldest();
        }
        self.seen.insert(event.key);
        self.order.push_back(Seen { node, time: event.time, key: event.key, arrived: now });
    }

    /// Forgets events older than [`WINDOW`]; while events may be repeated, only if the window is full.
    fn forget(&mut self, now: Instant) {
        if self.replay.is_some_and(|until| now < until) {
            return;
        }
        self.replay = None;
        while self.order.front().is_some_and(|seen| now.saturating_duration_since(seen.arrived) > WINDOW) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else { return };
        self.seen.remove(&oldest.key);
        // A later time is from before the clock was set back.
        if let Some(node) = self.nodes.get_mut(&oldest.node).filter(|node| oldest.time <= node.newest) {
            node.floor = node.floor.max(oldest.time);
        }
    }
}

impl Node {
    /// The time by the node's own clock until which its events are complete; `last_arrival` is the last of any node.
    fn complete_until(&self, last_arrival: Instant) -> u64 {
        let silent = last_arrival.saturating_duration_since(self.last_arrival);
        // A quiet node's clock has advanced since, whether it is ahead or behind.
        if silent <= QUIET { self.newest } else { self.newest.saturating_add(nanos(silent)) }
    }

    fn expect_replay(&mut self, now: Instant, is_requested: bool) {
        let newest = self.replay.as_ref().map_or(self.newest, |replay| replay.newest.max(self.newest));
        // A node whose last event is before the requested time has nothing to repeat.
        self.replay = Some(Replay { newest, until: now + REPLAY, is_proven: !is_requested });
    }
}

fn back(time: u64, by: Duration) -> u64 {
    time.saturating_sub(nanos(by))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
