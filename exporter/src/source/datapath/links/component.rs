//! What goes into the watcher and what comes out of it.

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

/// What the watcher is to look at.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Which interfaces, by name.
    pub filter: Filter,
    /// Where namespaces are found.
    pub search_paths: SearchPaths,
    /// Who is told of endpoints that come and go.
    pub observer: EndpointObserver,
}

/// What the watcher metrics.
#[derive(Clone, Debug)]
pub struct WatcherMetrics {
    /// Lists that were made because notifications were lost.
    pub resyncs: Number,
    /// Questions about interfaces, addresses or namespaces that the kernel did not answer.
    pub failures: Number,
    /// Hints about source addresses that found no room on their way.
    pub hints_dropped: Number,
    /// Source addresses that an endpoint with too many of them was not given.
    pub learned_refused: Number,
    /// Endpoints without id, because all ids were in use.
    pub without_id: Number,
}

impl WatcherMetrics {
    /// The numbers, in the registry from the start.
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

/// Why there is no watcher, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    /// The kernel's notifications cannot be had.
    #[error("cannot subscribe to interfaces: {source}")]
    Subscribe {
        /// What the system call said.
        source: io::Error,
    },
    /// The interfaces cannot be listed.
    #[error("cannot list interfaces: {source}")]
    List {
        /// What was asked and how it failed.
        #[from]
        source: RequestError,
    },
    /// A thread of the runtime was lost.
    #[error("a request to the kernel was cut off: {source}")]
    Thread {
        /// Panicked or cancelled.
        #[from]
        source: tokio::task::JoinError,
    },
}

/// A running watcher. It ends when `events` is dropped.
#[derive(Debug)]
pub struct Links {
    /// All interfaces, then [`LinkEvent::Synced`], then what changes. The snapshot knows an interface before it is
    /// told here.
    pub events: mpsc::Receiver<LinkEvent>,
    /// For the pipeline's thread.
    pub learner: Learner,
    /// What is counted.
    pub metrics: WatcherMetrics,
    /// The interfaces by role; complete when [`LinkEvent::Synced`] is sent.
    pub inventory: Inventory,
    /// Ends with an error where the kernel can't be asked any more.
    pub task: JoinHandle<Result<(), LinksError>>,
}
