//! Starts the registry of names and the providers that feed it, on threads of their own.

use std::sync::Arc;

use anyhow::Context as _;
use eyepiece_config::{Enabled, Settings, SourceKind, Switch};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::record::Observed;
use eyepiece_wire::Process;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::mapping;
use crate::export::otlp::queue::LogSink;
use crate::metadata::Publisher;
use crate::metadata::cilium::{CiliumObserver, CiliumProvider};
use crate::metadata::dns::{DnsObserver, DnsProvider};
use crate::metadata::docker::DockerProvider;
use crate::metadata::entity_events::report::report;
use crate::metadata::file::FileProvider;
use crate::metadata::kubernetes::Kubernetes;
use crate::metadata::local::{LocalProvider, ProcessObserver};
use crate::metadata::provider::ChangeReceiver;
use crate::metadata::registry::Registry;
use crate::pipeline::{EventHandler, LearnProcess, Next};
use crate::support::capabilities::Capabilities;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;
use crate::support::{capabilities, shutdown};

/// The running providers. They end with the drop.
pub(super) struct Providers {
    pub(super) registry: Arc<Registry>,
    runtime: Option<Runtime>,
    stop: watch::Sender<Option<Instant>>,
}

impl Providers {
    /// Reports entities as log records, if the settings ask for it.
    pub(super) fn report_entities(&self, settings: &Settings, logs: LogSink) {
        if let Some(runtime) = self.runtime.as_ref().filter(|_| reports_entities(settings)) {
            // The sink counts what finds no room.
            let send = move |events| {
                logs.send_entities(events);
            };
            let interval = settings.otlp.logs.entity_interval;
            runtime.spawn(report(Arc::clone(&self.registry), interval, send, self.stop.subscribe()));
        }
    }
}

/// Whether entities are log records: not in dry mode, as all that eyepiece notifies of itself.
fn reports_entities(settings: &Settings) -> bool {
    let logs = &settings.otlp.logs;
    logs.enabled && logs.events.entity && !settings.node.dry_mode
}

impl Drop for Providers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The hooks by which providers learn from the pipeline's events.
pub(super) struct Learners {
    pub(super) event_handler: Option<Box<dyn EventHandler>>,
    pub(super) process: LearnProcess,
}

/// Starts the providers of a source's flows. Another Hubble's flows carry their names, and a recording's are its own.
pub(super) fn start(
    settings: &Settings,
    symbols: &Symbols,
    publisher: &Publisher,
    telemetry: &Telemetry,
) -> anyhow::Result<(Providers, Learners)> {
    let wanted = mapping::handlers(&settings.metrics).wanted_texts();
    let registry = Registry::new(symbols.clone(), publisher.clone(), wanted);
    let (sender, stop) = shutdown::channel();
    let mut providers = Providers { registry: Arc::clone(&registry), runtime: None, stop: sender };
    let mut learners = Learners { event_handler: None, process: Box::new(|_| {}) };
    if reports_entities(settings) {
        registry.follow_entities();
    }
    let kind = settings.source.kind;
    if !matches!(kind, SourceKind::Datapath | SourceKind::CiliumMonitor) {
        return Ok((providers, learners));
    }
    let runtime = runtime(kept(settings)).context("cannot start the thread of metadata")?;
    runtime.spawn(Arc::clone(&registry).publish_changes());
    let deps = ProviderDeps { runtime: &runtime, registry, settings, telemetry, stop };
    deps.spawn_all();
    if kind == SourceKind::CiliumMonitor {
        learners.event_handler = Some(Box::new(deps.spawn_observed()));
    } else {
        let (mut observer, processes) = ProcessObserver::new(Arc::clone(&deps.registry), telemetry);
        deps.spawn_local(processes);
        learners.process = Box::new(move |process| observer.observe(process));
    }
    providers.runtime = Some(runtime);
    Ok((providers, learners))
}

/// The capabilities that the providers need: docker and cgroup look up the network namespaces of containers' processes,
/// which only `CAP_SYS_PTRACE` shows if a process has more privileges than ours.
fn kept(settings: &Settings) -> Capabilities {
    let metadata = &settings.metadata;
    let reads_namespaces = metadata.docker.enabled != Enabled::Off || metadata.cgroup.enabled == Switch::On;
    let is_needed = settings.source.kind == SourceKind::Datapath && reads_namespaces;
    if is_needed { Capabilities::SYS_PTRACE } else { Capabilities::NONE }
}

/// One thread: providers wait for sockets and files.
fn runtime(kept: Capabilities) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("metadata")
        .on_thread_start(move || capabilities::keep(kept))
        .enable_all()
        .build()
}

/// The settings and handles from which providers are built.
struct ProviderDeps<'a> {
    runtime: &'a Runtime,
    registry: Arc<Registry>,
    settings: &'a Settings,
    telemetry: &'a Telemetry,
    stop: Stop,
}

impl ProviderDeps<'_> {
    /// Spawns the providers that follow something outside of the program.
    fn spawn_all(&self) {
        let (metadata, node) = (&self.settings.metadata, &self.settings.node);
        let (receiver, telemetry, stop) = (|| self.receiver(), self.telemetry, || self.stop.clone());
        self.spawn(FileProvider::new(&metadata.file, receiver(), telemetry).map(|file| file.run(stop())));
        self.spawn(DockerProvider::new(&metadata.docker, receiver(), telemetry).map(|docker| docker.run(stop())));
        let kubernetes = Kubernetes::new(&metadata.kubernetes, &node.name, &node.cluster, receiver(), telemetry);
        self.spawn(kubernetes.map(|kubernetes| kubernetes.run(stop())));
    }

    /// Spawns the provider of the machine that our own datapath observes.
    fn spawn_local(&self, processes: mpsc::Receiver<Process>) {
        let local = LocalProvider::new(&self.settings.metadata.cgroup, processes, self.receiver(), self.telemetry);
        self.spawn(local.map(|local| local.run(self.stop.clone())));
    }

    /// Spawns the providers that learn from events, and returns the event handler that sends them the events.
    fn spawn_observed(&self) -> Observers {
        let (provider, cilium) = CiliumProvider::new(self.receiver(), self.telemetry);
        self.spawn(Some(provider.run(self.stop.clone())));
        let dns = DnsProvider::new(&self.settings.metadata.dns, self.receiver(), self.telemetry);
        let (provider, dns) = dns.unzip();
        self.spawn(provider.map(|provider| provider.run(self.stop.clone())));
        Observers { cilium, dns }
    }

    fn receiver(&self) -> Arc<dyn ChangeReceiver> {
        Arc::<Registry>::clone(&self.registry)
    }

    /// Spawns a provider, unless the settings leave it out.
    fn spawn(&self, provider: Option<impl Future<Output = ()> + Send + 'static>) {
        if let Some(provider) = provider {
            self.runtime.spawn(provider);
        }
    }
}

/// Sends events to the providers that learn from them.
struct Observers {
    cilium: CiliumObserver,
    dns: Option<DnsObserver>,
}

impl EventHandler for Observers {
    fn name(&self) -> &'static str {
        "metadata"
    }

    fn on_event(&mut self, observed: &Observed) -> Next {
        match observed {
            Observed::Agent(event) => self.cilium.observe(event),
            Observed::Flow(flow) => {
                if let (Some(dns), Some(l7)) = (&self.dns, &flow.l7) {
                    dns.observe_l7(l7);
                }
            }
            Observed::Debug(_) | Observed::Lost(_) => {}
        }
        Next::Continue
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_config::{Enabled, Settings, SourceKind, Switch};

    use super::{kept, reports_entities};
    use crate::support::capabilities::Capabilities;

    #[test]
    fn providers_of_namespaces_keep_ptrace() {
        for (kind, docker, cgroup, is_kept) in [
            (SourceKind::Datapath, Enabled::Auto, Switch::On, true),
            (SourceKind::Datapath, Enabled::On, Switch::Off, true),
            (SourceKind::Datapath, Enabled::Off, Switch::On, true),
            (SourceKind::Datapath, Enabled::Off, Switch::Off, false),
            (SourceKind::CiliumMonitor, Enabled::On, Switch::On, false),
        ] {
            let mut settings = Settings::default();
            settings.source.kind = kind;
            (settings.metadata.docker.enabled, settings.metadata.cgroup.enabled) = (docker, cgroup);
            let expected = if is_kept { Capabilities::SYS_PTRACE } else { Capabilities::NONE };
            assert_eq!(kept(&settings), expected, "{kind:?} {docker:?} {cgroup:?}");
        }
    }

    #[test]
    fn dry_mode_reports_no_entities() {
        for (enabled, entity, dry_mode, expected) in [
            (true, true, false, true),
            (true, true, true, false),
            (true, false, false, false),
            (false, true, false, false),
        ] {
            let mut settings = Settings::default();
            settings.node.dry_mode = dry_mode;
            (settings.otlp.logs.enabled, settings.otlp.logs.events.entity) = (enabled, entity);
            assert_eq!(reports_entities(&settings), expected, "{enabled} {entity} {dry_mode}");
        }
        assert!(!reports_entities(&Settings::default()), "off by default");
    }
}
