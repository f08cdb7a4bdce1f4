//! The watcher's state, which its two halves share.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use eyepiece_flow::interner::Symbols;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::address_book::AddressBook;
use super::super::component::WatcherMetrics;
use super::super::inventory::Inventory;
use super::super::learner::Hint;
use super::super::link::LinkEvent;
use super::super::link_info::LinkInfo;
use super::super::namespaces::SearchPaths;
use super::super::notifier::EndpointNotifier;
use super::super::requests::Requests;
use super::super::routes::RouteCheck;
use super::super::snapshot::RetiredLink;
use super::super::subscription::Subscription;
use super::super::survey::SurveyResult;
use super::super::table::LinkTable;
use crate::metadata::Publisher;
use crate::support::backoff::{Backoff, BackoffRange};

/// The pauses between searches for a missing namespace.
pub(super) const SEARCH_PAUSES: BackoffRange =
    BackoffRange { initial: Duration::from_secs(1), max: Duration::from_secs(60) };

/// The time of the next search for namespaces.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) due: Instant,
    pub(super) backoff: Backoff,
}

/// A notification about an interface.
pub(super) enum Notice {
    Is(LinkInfo),
    Gone(u32),
}

pub(super) struct Watcher {
    pub(super) table: LinkTable,
    pub(super) address_book: AddressBook,
    pub(super) notifier: EndpointNotifier,
    pub(super) retired: Vec<RetiredLink>,
    pub(super) links: Subscription,
    pub(super) addresses: Subscription,
    /// The socket of requests that the watcher waits for; `None` while one is running.
    pub(super) requests: Option<Requests>,
    /// The socket of surveys beside the watcher; `None` while one is running.
    pub(super) surveyor: Option<Requests>,
    pub(super) surveys: JoinSet<(Requests, SurveyResult)>,
    pub(super) search_paths: SearchPaths,
    pub(super) own_inode: u32,
    /// Namespaces whose addresses are to be listed; `None` = our own.
    pub(super) dirty: BTreeSet<Option<i32>>,
    /// Learned addresses to compare with the host's tables.
    pub(super) route_checks: BTreeSet<RouteCheck>,
    pub(super) search: Search,
    pub(super) inbox: Vec<Notice>,
    /// Interfaces to request, because the other side of their pair came or went.
    pub(super) recheck: BTreeSet<u32>,
    pub(super) pending: Vec<LinkEvent>,
    /// Notifications about interfaces were lost, and no list has been read since.
    pub(super) is_lost: bool,
    /// The published snapshot is older than the table or the address book.
    pub(super) is_stale: bool,
    pub(super) symbols: Symbols,
    pub(super) publisher: Publisher,
    pub(super) hints: mpsc::Receiver<Hint>,
    pub(super) events: mpsc::Sender<LinkEvent>,
    pub(super) metrics: WatcherMetrics,
    pub(super) inventory: Inventory,
}
