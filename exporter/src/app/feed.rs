//! The dependencies of a source, and the handles of a built one.

use eyepiece_config::Settings;
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::interner::Symbols;
use eyepiece_semconv::attribute;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::names::MachineNames;
use crate::metadata::Publisher;
use crate::pipeline::Learn;
use crate::source::datapath::attach::{Hooks, Mode};
use crate::source::datapath::links::inventory::Inventory;
use crate::source::datapath::links::notifier::EndpointObserver;
use crate::source::{Halt, Source};
use crate::support::capabilities::Capabilities;
use crate::support::status::ConnectionStatus;
use crate::support::telemetry::Telemetry;

/// Key of a recording's origin: the name of the emitter.
pub(super) const EMITTER_NAME: &str = "emitter";
/// Key of a recording's origin: the version of the emitter.
pub(super) const EMITTER_VERSION: &str = "emitter-version";
/// Name of Cilium's agent as an emitter.
pub(super) const CILIUM: &str = "cilium";

/// The dependencies of a source.
pub(super) struct SourceDeps<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) settings: &'a Settings,
    pub(super) symbols: &'a Symbols,
    /// Publishes the names of addresses that the source knows.
    pub(super) publisher: &'a Publisher,
    pub(super) telemetry: &'a Telemetry,
    /// Notified of endpoints that come and go.
    pub(super) endpoint_observer: EndpointObserver,
    /// Asked when a signal ends the program during its start.
    pub(super) halt: &'a Halt,
}

/// Returns the state of a connection.
pub(super) type ConnectionView = Box<dyn Fn() -> ConnectionStatus + Send + Sync>;

/// The views of a source that /status shows.
#[derive(Default)]
pub(super) struct SourceViews {
    /// The datapath's hooks and how they are attached; `None` for other sources.
    pub(super) hooks: Option<(Hooks, Mode)>,
    /// The datapath's interfaces; `None` for other sources.
    pub(super) interfaces: Option<Inventory>,
    /// The connection to an agent or a server; `None` for sources without one.
    pub(super) connection: Option<ConnectionView>,
}

/// A source that is ready to be read.
pub(super) struct Feed {
    /// Delivers the events to the pipeline.
    pub(super) source: Box<dyn Source>,
    /// Receives new addresses from the pipeline.
    pub(super) learn: Learn,
    /// The machine's names, as far as the source knows them.
    pub(super) names: MachineNames,
    /// The program that emits the events.
    pub(super) emitter: Emitter,
    /// The capabilities that reading it takes.
    pub(super) reads_with: Capabilities,
    pub(super) control: SourceControl,
}

/// The handles of a source besides the pipeline's part.
pub(super) struct SourceControl {
    pub(super) views: SourceViews,
    /// Completes when every interface of the start is attached; `None` if there is nothing to wait for.
    pub(super) synced: Option<oneshot::Receiver<()>>,
    /// Completes at the source's end; `None` if it has none.
    pub(super) finished: Option<oneshot::Receiver<()>>,
    pub(super) guard: Box<dyn SourceGuard>,
}

impl Feed {
    /// A source without addresses to learn, without an end, and with our own events.
    pub(super) fn new(source: impl Source + 'static, names: MachineNames, guard: impl SourceGuard + 'static) -> Self {
        Self {
            source: Box::new(source),
            learn: Box::new(|_, _, _| {}),
            names,
            emitter: Emitter::default(),
            reads_with: Capabilities::NONE,
            control: SourceControl {
                views: SourceViews::default(),
                synced: None,
                finished: None,
                guard: Box::new(guard),
            },
        }
    }
}

/// The program that emits events, for the resource and the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Emitter {
    pub(super) name: String,
    /// Empty if unknown.
    pub(super) version: String,
}

impl Emitter {
    /// The release by which payloads are decoded if they do not show it; the newest for anything but a release of Cilium.
    pub(super) fn producer(&self) -> Producer {
        if self.name == CILIUM { self.version.parse().unwrap_or_default() } else { Producer::default() }
    }

    /// As attributes of the resource.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (String, String)> {
        let both = [(attribute::HUBBLE_EMITTER_NAME, &self.name), (attribute::HUBBLE_EMITTER_VERSION, &self.version)];
        both.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), value.clone()))
    }
}

impl Default for Emitter {
    fn default() -> Self {
        Self { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// Ends a source's other threads by its drop. The pipeline still reads then: the last events go to it.
pub(super) trait SourceGuard {
    /// Returns the part that has ended without a shutdown.
    fn failure(&self) -> Option<&'static str> {
        None
    }
}

/// Requests a source's end on drop: it passes on received events, and no more.
pub(super) struct HaltOnDrop(pub(super) Halt);

impl SourceGuard for HaltOnDrop {}

impl Drop for HaltOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}
