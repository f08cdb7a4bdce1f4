//! Builds the configured source, and what only it has.

mod cilium_monitor;
mod datapath;
mod hubble;
mod replay;

use eyepiece_config::{Settings, SourceKind};
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::interner::Symbols;
use eyepiece_semconv::attribute;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::AppError;
use super::names::MachineNames;
use crate::metadata::Publisher;
use crate::pipeline::Learn;
use crate::serve::admin::ConnectionStatus;
use crate::source::datapath::attach::{Hooks, Mode};
use crate::source::datapath::links::inventory::Inventory;
use crate::source::datapath::links::notifier::EndpointObserver;
use crate::source::{Halt, Source};
use crate::support::capabilities::Capabilities;
use crate::support::telemetry::Telemetry;

/// What a source is built with.
pub(super) struct Parts<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) settings: &'a Settings,
    pub(super) symbols: &'a Symbols,
    /// Where a source that knows who is who says so.
    pub(super) publisher: &'a Publisher,
    pub(super) telemetry: &'a Telemetry,
    /// Who is told of endpoints.
    pub(super) told: EndpointObserver,
    /// Asked where the program is to leave before it has started.
    pub(super) leave: &'a Halt,
}

/// Tells how a connection is now.
pub(super) type Connection = Box<dyn Fn() -> ConnectionStatus + Send + Sync>;

/// A source that is ready to be read.
pub(super) struct Feed {
    /// The pipeline's.
    pub(super) source: Box<dyn Source>,
    /// Where the pipeline tells new addresses.
    pub(super) learn: Learn,
    /// The machine's names, as far as the source knows them.
    pub(super) names: MachineNames,
    /// Whose events these are.
    pub(super) emitter: Emitter,
    /// The capabilities that reading it takes.
    pub(super) reads_with: Capabilities,
    /// The hooks of the datapath and how they are attached; none from other sources.
    pub(super) hooks: Option<(Hooks, Mode)>,
    /// The interfaces of the datapath; none from other sources.
    pub(super) interfaces: Option<Inventory>,
    /// How the connection to an agent or a server is; none where there is none to have.
    pub(super) connection: Option<Connection>,
    /// Hears when the source is all there; none where there is nothing to wait for.
    pub(super) synced: Option<oneshot::Receiver<()>>,
    /// Hears when the source has come to its end; none where it has none.
    pub(super) finished: Option<oneshot::Receiver<()>>,
    /// What feeds the source; whoever drops it ends that.
    pub(super) running: Running,
}

impl Feed {
    /// A source that knows nobody, has no end, and whose events are our own.
    fn new(source: impl Source + 'static, names: MachineNames, running: Running) -> Self {
        Self {
            source: Box::new(source),
            learn: Box::new(|_, _, _| {}),
            names,
            emitter: Emitter::default(),
            reads_with: Capabilities::NONE,
            hooks: None,
            interfaces: None,
            connection: None,
            synced: None,
            finished: None,
            running,
        }
    }
}

/// Name of Cilium's agent as an emitter.
pub(super) const CILIUM: &str = "cilium";

/// Whose events are exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Emitter {
    pub(super) name: String,
    /// Empty where it is unknown.
    pub(super) version: String,
}

impl Emitter {
    /// What its payloads are read as, where they do not tell themselves.
    pub(super) fn producer(&self) -> Producer {
        // Anything but a release is nobody's whose layouts are known: the newest.
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

/// What feeds a source beside the pipeline's thread. Dropped while the pipeline still reads: the last events go to it.
pub(super) enum Running {
    /// Kernel programs, and the watcher of interfaces.
    Datapath(datapath::Attached),
    /// Nothing: the source reads a file or a socket by itself.
    Halted(#[expect(dead_code, reason = "its drop is what it is for")] Halted),
}

impl Running {
    /// What has ended though nobody asked it to.
    pub(super) fn failed(&self) -> Option<&'static str> {
        match self {
            Self::Datapath(attached) => attached.has_ended().then_some("the watcher of interfaces has ended"),
            Self::Halted(_) => None,
        }
    }
}

/// Asks a source to hand over what it has, and no more.
pub(super) struct Halted(Halt);

impl Drop for Halted {
    fn drop(&mut self) {
        self.0.ask();
    }
}

/// Builds the source that the settings name; whatever fails, nothing of ours is left on the machine.
pub(super) fn build(parts: &Parts<'_>) -> Result<Feed, AppError> {
    match parts.settings.source.kind {
        SourceKind::Datapath => datapath::build(parts),
        SourceKind::CiliumMonitor => cilium_monitor::build(parts),
        SourceKind::Replay => replay::build(parts),
        SourceKind::Hubble => hubble::build(parts),
    }
}
