//! The watcher: the task that owns the table of interfaces and the address book.
//!
//! It subscribes before it lists, so no change is missed; a notification older than the list is followed by all newer
//! ones, so the state converges. Interfaces are listed again after lost notifications, and regularly.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use eyepiece_flow::interner::Symbols;
use libc::{RTM_DELLINK, RTM_NEWLINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_LINK};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::address_book::AddressBook;
use super::classify::Role;
use super::component::{Config, Links, LinksError, WatcherMetrics};
use super::inventory::Inventory;
use super::learner::{Hint, Learner};
use super::link::{Link, LinkEvent, PeerRef};
use super::link_info::LinkInfo;
use super::netlink::Message;
use super::notifier::EndpointNotifier;
use super::requests::{RequestError, Requests};
use super::snapshot::{self, RetiredLink};
use super::subscription::{Received, Subscription, Topics};
use super::survey::SurveyResult;
use super::table::LinkTable;
use crate::metadata::Publisher;
use crate::metadata::registry::GRACE;
use crate::support::backoff::Backoff;
use crate::support::clock::unix_now;
use crate::support::network_namespace;
use crate::support::telemetry::Telemetry;

mod state;
mod surveys;

use self::state::{Notice, SEARCH_PAUSES, Search, Watcher};

/// Capacity of the event queue. While it is full the watcher waits and the kernel queues notifications; once the kernel
/// drops some, lists are compared. So nothing is lost, and the size only saves wakeups.
pub const MAX_EVENTS: usize = 256;

const LINKS: Topics = Topics { groups: &[RTNLGRP_LINK], all_namespaces: false };
const ADDRESSES: Topics = Topics { groups: &[RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR], all_namespaces: true };

/// The interval between checks of the timers.
const TICK: Duration = Duration::from_secs(1);
/// The interval between lists of interfaces without a reported loss: a pair's peer that moves between other namespaces
/// causes no notification here.
const REVIEW: Duration = Duration::from_secs(30);
/// The interval between lists of addresses if notifications of other namespaces are not received.
const REVIEW_UNNOTIFIED: Duration = Duration::from_secs(5);
/// The time that a removed interface stays in the snapshot, as the entity at it does: the last totals of its connections
/// come later.
const RETIRED_TTL: Duration = GRACE;
/// The most removed interfaces that are kept.
const MAX_RETIRED: usize = 1024;

/// Starts a watcher of the network namespace that the calling thread is in; the runtime's threads must be in it, too.
///
/// # Errors
/// The kernel refused a socket.
pub fn build(
    runtime: &Handle,
    config: Config,
    symbols: Symbols,
    publisher: Publisher,
    telemetry: &Telemetry,
) -> Result<Links, LinksError> {
    let metrics = WatcherMetrics::new(telemetry);
    let (learner, hints) = Learner::new(metrics.hints_dropped.clone());
    let (sender, events) = mpsc::channel(MAX_EVENTS);
    let inventory = Inventory::default();
    let entered = runtime.enter();
    let watcher = Watcher {
        table: LinkTable::new(config.filter),
        address_book: AddressBook::default(),
        notifier: EndpointNotifier::new(config.observer),
        retired: Vec::new(),
        links: subscribe(LINKS)?,
        addresses: subscribe(ADDRESSES)?,
        requests: Some(Requests::open()?),
        surveyor: Some(Requests::open()?),
        surveys: JoinSet::new(),
        search_paths: config.search_paths,
        own_inode: network_namespace::own_inode().map_err(|source| LinksError::Subscribe { source })?,
        dirty: BTreeSet::from([None]),
        route_checks: BTreeSet::new(),
        search: Search { due: Instant::now(), backoff: Backoff::new(SEARCH_PAUSES, fastrand::Rng::new()) },
        inbox: Vec::new(),
        recheck: BTreeSet::new(),
        pending: Vec::new(),
        is_lost: false,
        is_stale: true,
        symbols,
        publisher,
        hints,
        events: sender,
        metrics: metrics.clone(),
        inventory: inventory.clone(),
    };
    drop(entered);
    let task = runtime.spawn(watcher.run());
    Ok(Links { events, learner, metrics, inventory, task })
}

/// The reason for a wakeup of the watcher.
enum Wake {
    Links(io::Result<Received>),
    Addresses(io::Result<Received>),
    Hint(Option<Hint>),
    Survey(Result<(Requests, SurveyResult), tokio::task::JoinError>),
    Tick,
    Closed,
}

impl Watcher {
    async fn run(mut self) -> Result<(), LinksError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut reviewed, mut addresses_reviewed) = (Instant::now(), Instant::now());
        self.list().await?;
        self.pending.push(LinkEvent::Synced);
        loop {
            if self.flush().await.is_err() {
                return Ok(());
            }
            if self.recheck().await? {
                continue;
            }
            self.start_survey();
            match self.wait(&mut tick).await {
                Wake::Links(Ok(Received::Messages)) => self.read_inbox(),
                Wake::Links(_) => {
                    self.resync()?;
                    self.relist().await?;
                }
                Wake::Addresses(Ok(Received::Messages)) => {}
                Wake::Addresses(_) => {
                    self.metrics.resyncs.add(1);
                    self.addresses = subscribe(ADDRESSES)?;
                    self.review_addresses();
                }
                Wake::Hint(hint) => hint.into_iter().for_each(|hint| self.learn(hint)),
                Wake::Survey(result) => {
                    let (requests, result) = result?;
                    self.surveyor = Some(requests);
                    self.apply(result);
                }
                Wake::Tick => {
                    let now = Instant::now();
                    self.expire(now);
                    let every = if self.addresses.listens_all() { REVIEW } else { REVIEW_UNNOTIFIED };
                    if now.duration_since(addresses_reviewed) >= every {
                        addresses_reviewed = now;
                        self.review_addresses();
                    }
                    if now.duration_since(reviewed) >= REVIEW || self.is_lost {
                        reviewed = now;
                        self.relist().await?;
                    }
                }
                Wake::Closed => return Ok(()),
            }
        }
    }

    async fn wait(&mut self, tick: &mut tokio::time::Interval) -> Wake {
        let (inbox, dirty) = (&mut self.inbox, &mut self.dirty);
        let is_surveying = !self.surveys.is_empty();
        tokio::select! {
            received = self.links.receive(|_, message| inbox.extend(notice(message))) => Wake::Links(received),
            received = self.addresses.receive(|netns, _| { dirty.insert(netns); }) => Wake::Addresses(received),
            hint = self.hints.recv(), if !self.hints.is_closed() => Wake::Hint(hint),
            Some(result) = self.surveys.join_next(), if is_surveying => Wake::Survey(result),
            _ = tick.tick() => Wake::Tick,
            () = self.events.closed() => Wake::Closed,
        }
    }

    /// Recovers from lost notifications by a list and a new subscription: older notifications of the old one would undo
    /// the list.
    fn resync(&mut self) -> Result<(), LinksError> {
        self.metrics.resyncs.add(1);
        self.inbox.clear();
        self.links = subscribe(LINKS)?;
        self.is_lost = true;
        self.review_addresses();
        Ok(())
    }

    /// Lists all interfaces, and applies the differences.
    async fn list(&mut self) -> Result<(), LinksError> {
        let list = self.request(Requests::links).await?;
        let start = self.pending.len();
        self.table.replace(&list, &mut self.pending);
        self.apply_events(start);
        if std::mem::take(&mut self.is_lost) {
            self.pending.push(LinkEvent::Synced);
        }
        Ok(())
    }

    /// As [`Self::list`], but a failed list is repeated at the next tick.
    async fn relist(&mut self) -> Result<(), LinksError> {
        match self.list().await {
            Err(LinksError::List { source }) => {
                tracing::warn!(error = %source, "cannot list interfaces");
                Ok(())
            }
            result => result,
        }
    }

    fn read_inbox(&mut self) {
        for notice in std::mem::take(&mut self.inbox) {
            let start = self.pending.len();
            match notice {
                Notice::Is(info) => {
                    // The other side may have come back to this namespace: request its state.
                    let other = info.link.filter(|_| info.link_netns.is_none()).and_then(|link| self.table.get(link));
                    let has_moved = |peer: PeerRef| peer.elsewhere || peer.ifindex != info.ifindex;
                    if let Some(other) = other.filter(|other| other.peer.is_some_and(has_moved)) {
                        self.recheck.insert(other.ifindex);
                    }
                    self.table.update(&info, &mut self.pending);
                }
                Notice::Gone(ifindex) => {
                    // The kernel sends no notification about the other side of a pair when this one leaves for another
                    // namespace.
                    self.recheck.extend(self.table.pair_of(ifindex));
                    self.table.remove(ifindex, &mut self.pending);
                }
            }
            self.apply_events(start);
        }
    }

    /// Keeps interfaces that left the table, and the addresses behind them, in the snapshot for [`RETIRED_TTL`].
    fn retire_links(&mut self) {
        let until = Instant::now() + RETIRED_TTL;
        let at = unix_now();
        for link in self.table.take_retired() {
            let addresses = self.address_book.endpoint(link.ifindex).map(|(address, _)| address).collect();
            if self.retired.len() == MAX_RETIRED {
                self.retired.remove(0);
            }
            self.retired.push(RetiredLink { at, until, link, addresses });
        }
    }

    /// Updates the watcher's state for the events from `start` on.
    fn apply_events(&mut self, start: usize) {
        self.retire_links();
        for event in &self.pending[start..] {
            self.is_stale = true;
            if let LinkEvent::Appeared(link) = event {
                // Together with the message of its attachment, this dates both.
                tracing::debug!(interface = link.name, role = ?link.role, "interface appeared");
            }
            match event {
                LinkEvent::Appeared(link) | LinkEvent::Changed(link) if link.role == Role::Endpoint => {
                    if link.endpoint == 0 {
                        self.metrics.without_id.add(1);
                    }
                    self.address_book.add(link.ifindex);
                    self.dirty.extend(link.peer.and_then(|peer| peer.netns).map(Some));
                    if link.peer.is_some_and(|peer| peer.inode.is_none()) {
                        self.search.due = Instant::now();
                        self.search.backoff.reset();
                    }
                }
                LinkEvent::Appeared(Link { ifindex, .. })
                | LinkEvent::Changed(Link { ifindex, .. })
                | LinkEvent::Gone { ifindex, .. } => {
                    self.address_book.remove(*ifindex);
                }
                LinkEvent::Synced => {}
            }
        }
    }

    /// Publishes the new snapshot, then sends the events.
    async fn flush(&mut self) -> Result<(), mpsc::error::SendError<LinkEvent>> {
        if std::mem::take(&mut self.is_stale) {
            let Self { symbols, own_inode, table, address_book, retired, .. } = self;
            self.publisher.publish(snapshot::links(symbols, *own_inode, table, address_book, retired));
            self.notifier.update(&self.table, &self.address_book);
            self.inventory.set(self.table.interfaces());
        }
        for event in self.pending.drain(..) {
            self.events.send(event).await?;
        }
        Ok(())
    }

    /// Requests interfaces that changed without a notification; returns whether there were any.
    async fn recheck(&mut self) -> Result<bool, LinksError> {
        let has_requested = !self.recheck.is_empty();
        while let Some(ifindex) = self.recheck.pop_first() {
            match self.request(move |requests| requests.link(ifindex)).await {
                Ok(Some(info)) => self.inbox.push(Notice::Is(info)),
                // Gone: its own notification follows.
                Ok(None) => {}
                Err(LinksError::List { source }) => {
                    tracing::warn!(error = %source, ifindex, "cannot look up an interface");
                    self.is_lost = true;
                }
                Err(error) => return Err(error),
            }
        }
        self.read_inbox();
        Ok(has_requested)
    }

    /// Sends a request on a thread that may block: the kernel answers under a lock that others may hold for long.
    async fn request<T: Send + 'static>(
        &mut self,
        question: impl FnOnce(&mut Requests) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<T, LinksError> {
        let mut requests = match self.requests.take() {
            Some(requests) => requests,
            None => Requests::open()?,
        };
        let task = tokio::task::spawn_blocking(move || {
            let answer = question(&mut requests);
            (requests, answer)
        });
        let (requests, answer) = task.await?;
        if answer.is_ok() {
            self.requests = Some(requests);
        } else {
            // Dropped with its socket: a new one has no late answers.
            self.metrics.failures.add(1);
        }
        Ok(answer?)
    }
}

fn subscribe(topics: Topics) -> Result<Subscription, LinksError> {
    Subscription::open(topics).map_err(|source| LinksError::Subscribe { source })
}

fn notice(message: &Message<'_>) -> Option<Notice> {
    let info = LinkInfo::parse(message.payload);
    match message.kind {
        RTM_NEWLINK => info.map(Notice::Is),
        RTM_DELLINK => info.map(|info| Notice::Gone(info.ifindex)),
        _ => None,
    }
}
