//! Content a stream has had lately: from when on to ask after an interruption, and what comes twice then.
//!
//! A server is asked again for some seconds that we know: flows of several nodes come out of order, and one that comes
//! again proves that its node has forgotten none behind it. Only times of one node are compared with each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far events of a node may be out of order. Relay holds flows back for up to a second (1.20's default) to sort them.
pub(super) const WINDOW: Duration = Duration::from_secs(5);
/// A node that was not last_arrival for this long while others were had nothing under way any more: its last event's time is not
/// gone back to. By when events arrived, for clocks of nodes are not to be compared.
const QUIET: Duration = Duration::from_secs(600);
/// A time this far before the node's newest is none that came late: somebody has set its clock back.
const SET_BACK: Duration = Duration::from_secs(60);
/// How long after an interruption a node's old events are those that come again.
const REPLAY: Duration = Duration::from_secs(60);
/// Events that are recognised: as many as the largest ring of a server has, some 6 MiB.
const EVENTS: usize = 1 << 16;
/// Nodes that are told apart: more than a cluster has (Kubernetes is made for 5,000).
const NODES: usize = 1 << 13;

/// Content an event is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It has not been seen before.
    New,
    /// The same, and between it and what was seen last there may be others: the node did not tell what we know.
    NewBehindGap,
    /// It has been seen.
    Seen,
}

/// An event, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered<'a> {
    /// The node that observed it; empty where nobody says.
    pub(super) node: &'a str,
    /// When it happened, ns since the Unix epoch; 0 = not known.
    pub(super) time: u64,
    /// Content tells it from all others.
    pub(super) key: u128,
    /// Whether servers give it by time: losses come whatever time is asked for, and prove nothing.
    pub(super) is_timed: bool,
}

/// The window.
pub(super) struct Window {
    nodes: HashMap<Arc<str>, Node>,
    seen: HashSet<u128>,
    order: VecDeque<Seen>,
    /// Until when events may come again.
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
    /// The latest time among those that are not recognised any more.
    floor: u64,
    /// When its last event arrived.
    last_arrival: Instant,
    /// Its events may come again.
    replay: Option<Replay>,
}

struct Replay {
    /// The node's newest event when it was interrupted.
    newest: u64,
    until: Instant,
    /// It has told something that we know, or its gap was told.
    is_proven: bool,
}

impl Default for Window {
    fn default() -> Self {
        let (nodes, seen, order) = (HashMap::new(), HashSet::new(), VecDeque::new());
        Self { nodes, seen, order, replay: None, most: EVENTS }
    }
}

impl Window {
    /// From when on to ask, ns since the Unix epoch; none where nothing was seen. The time of the node whose clock is the
    /// furthest behind: a server that is asked for a later one drops all that this node tells. And none after `now`, the
    /// wall-clock time: a clock that was ahead may have been set right meanwhile.
    pub(super) fn since(&self, now: u64) -> Option<u64> {
        // Losses alone tell no time.
        let timed = self.nodes.values().filter(|node| node.newest > 0);
        let last_arrival = timed.clone().map(|node| node.last_arrival).max()?;
        timed.map(|node| node.complete_until(last_arrival)).min().map(|time| back(time.min(now), WINDOW))
    }

    /// The stream begins anew, from a time on that [`Window::since`] has said.
    pub(super) fn resumed(&mut self, since: Option<u64>, now: Instant) {
        let Some(since) = since else { return };
        self.replay = Some(now + REPLAY);
        for node in self.nodes.values_mut() {
            node.expect_replay(now, node.newest >= since);
        }
    }

    /// Something has become of a node behind a relay: its stream begins anew.
    pub(super) fn node_changed(&mut self, name: &str, now: Instant) {
        if let Some(node) = self.nodes.get_mut(name) {
            self.replay = Some(now + REPLAY);
            node.expect_replay(now, true);
        }
    }

    /// Takes note of an event.
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
            // Told again is nothing so late: the clock was set back while nobody looked, and what the node has told since was
            // taken for known.
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

    /// Forgets what came longer ago than events are out of order; while events come again, only for want of room.
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
        // A later one is from before its clock was set back.
        if let Some(node) = self.nodes.get_mut(&oldest.node).filter(|node| oldest.time <= node.newest) {
            node.floor = node.floor.max(oldest.time);
        }
    }
}

impl Node {
    /// Up to when it has told us everything, by its own clock, where `last_arrival` is when any node was last_arrival last.
    fn complete_until(&self, last_arrival: Instant) -> u64 {
        let silent = last_arrival.saturating_duration_since(self.last_arrival);
        // One that is quiet is as far on as its clock has gone since, be it ahead of ours or behind.
        if silent <= QUIET { self.newest } else { self.newest.saturating_add(nanos(silent)) }
    }

    fn expect_replay(&mut self, now: Instant, is_requested: bool) {
        let newest = self.replay.as_ref().map_or(self.newest, |replay| replay.newest.max(self.newest));
        // Whose last event is before the time that is asked for has nothing to prove itself by.
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
