//! The watcher's configuration, metrics, errors and handles.

use std::io;

use eyepiece_semconv::{attribute, metric};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::glob::Filter;
use super::inventory::Inventory;
use super::learner::Learner;
use super::link::LinkEvent;
use super::namespaces::SearchPaths;
use super::notifier::EndpointObserver;
use super::requests::RequestError;
use crate::support::telemetry::{Number, Telemetry};

/// Configuration of the watcher.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The watched interfaces, by name patterns.
    pub filter: Filter,
    /// The paths that are searched for namespaces.
    pub search_paths: SearchPaths,
    /// Notified when endpoints come and go.
    pub observer: EndpointObserver,
}

/// Metrics of the watcher.
#[derive(Clone, Debug)]
pub struct WatcherMetrics {
    /// Lists made because notifications were lost.
    pub resyncs: Number,
    /// Requests about interfaces, addresses or namespaces that failed.
    pub failures: Number,
    /// Source-address hints dropped because their queue was full.
    pub hints_dropped: Number,
    /// Source addresses refused because an endpoint has too many.
    pub learned_refused: Number,
    /// Endpoints without id, because all ids were in use.
    pub without_id: Number,
}

impl WatcherMetrics {
    /// Registers the metrics, with value 0.
    pub fn new(telemetry: &Telemetry) -> Self {
        let of = |reason| {
            telemetry.counter(metric::EYEPIECE_INTERFACES_INCIDENTS.name, &[(attribute::EYEPIECE_REASON, reason)])
        };
        Self {
            resyncs: of("resync"),
            failures: of("failure"),
            hints_dropped: of("hint_dropped"),
            learned_refused: of("address_refused"),
            without_id: of("without_id"),
        }
    }
}

/// The error of starting the watcher, or of its end.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum LinksError {
    /// The kernel refused the subscription to notifications.
    #[error("cannot subscribe to interfaces: {source}")]
    Subscribe { source: io::Error },
    /// The interfaces cannot be listed.
    #[error("cannot list interfaces: {source}")]
    List {
        #[from]
        source: RequestError,
    },
    /// A blocking task ended without a result.
    #[error("cannot finish a request to the kernel: {source}")]
    Thread {
        #[from]
        source: tokio::task::JoinError,
    },
}

/// A running watcher. It ends when `events` is dropped.
#[derive(Debug)]
pub struct Links {
    /// All interfaces, then [`LinkEvent::Synced`], then changes. Snapshots are published before their events are sent.
    pub events: mpsc::Receiver<LinkEvent>,
    /// Sends new addresses from the pipeline's thread.
    pub learner: Learner,
    /// Metrics.
    pub metrics: WatcherMetrics,
    /// The interfaces by role; complete when [`LinkEvent::Synced`] is sent.
    pub inventory: Inventory,
    /// Ends with an error if requests to the kernel fail for good.
    pub task: JoinHandle<Result<(), LinksError>>,
}
