//! Starts the registry of names and the providers that feed it, on threads of their own.

use std::sync::Arc;

use anyhow::Context as _;
use eyepiece_config::{Settings, SourceKind};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::record::Observed;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::metadata::Publisher;
use crate::metadata::cilium::{CiliumObserver, CiliumProvider};
use crate::metadata::dns::{DnsObserver, DnsProvider};
use crate::metadata::docker;
use crate::metadata::file::FileProvider;
use crate::metadata::kubernetes::Kubernetes;
use crate::metadata::local::LocalProvider;
use crate::metadata::provider::ChangeReceiver;
use crate::metadata::registry::Registry;
use crate::pipeline::{Hook, Next};
use crate::support::capabilities::Capabilities;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;
use crate::support::{capabilities, shutdown};

/// The running providers. They end with the drop.
pub(super) struct Providers {
    pub(super) registry: Arc<Registry>,
    runtime: Option<Runtime>,
    _stop: watch::Sender<Option<Instant>>,
}

impl Drop for Providers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts the providers of a source's flows. Another Hubble's flows carry their names, and a recording's are its own.
///
/// Returns also the hook by which the pipeline feeds providers that learn from events.
pub(super) fn start(
    settings: &Settings,
    symbols: &Symbols,
    publisher: &Publisher,
    telemetry: &Telemetry,
) -> anyhow::Result<(Providers, Option<Box<dyn Hook>>)> {
    let contexts = &settings.metrics.contexts;
    let contexts = contexts.source.iter().chain(&contexts.destination).copied().collect();
    let registry = Registry::new(symbols.clone(), publisher.clone(), contexts);
    let (sender, stop) = shutdown::channel();
    let mut providers = Providers { registry: Arc::clone(&registry), runtime: None, _stop: sender };
    let kind = settings.source.kind;
    if !matches!(kind, SourceKind::Datapath | SourceKind::CiliumMonitor) {
        return Ok((providers, None));
    }
    let runtime = runtime(kind).context("cannot start the thread of metadata")?;
    runtime.spawn(Arc::clone(&registry).publish_changes());
    let receiver: Arc<dyn ChangeReceiver> = registry;
    spawn(&runtime, settings, &receiver, telemetry, &stop);
    let hook = (kind == SourceKind::CiliumMonitor).then(|| observers(&runtime, settings, &receiver, telemetry, &stop));
    providers.runtime = Some(runtime);
    Ok((providers, hook.map(|hook| Box::new(hook) as _)))
}

/// One thread: providers wait for sockets and files. Processes with more privileges than ours have namespaces that only
/// `CAP_SYS_PTRACE` shows.
fn runtime(kind: SourceKind) -> std::io::Result<Runtime> {
    let kept = if kind == SourceKind::Datapath { Capabilities::SYS_PTRACE } else { Capabilities::NONE };
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("metadata")
        .on_thread_start(move || capabilities::keep(kept))
        .enable_all()
        .build()
}

fn spawn(
    runtime: &Runtime,
    settings: &Settings,
    receiver: &Arc<dyn ChangeReceiver>,
    telemetry: &Telemetry,
    stop: &Stop,
) {
    let receiver = || Arc::clone(receiver);
    let metadata = &settings.metadata;
    if let Some(file) = FileProvider::new(&metadata.file, receiver(), telemetry) {
        runtime.spawn(file.run(stop.clone()));
    }
    if let Some(task) = docker::build(&metadata.docker, receiver(), telemetry, stop.clone()) {
        runtime.spawn(task);
    }
    let (node, cluster) = (&settings.node.name, &settings.node.cluster);
    if let Some(kubernetes) = Kubernetes::new(&metadata.kubernetes, node, cluster, receiver(), telemetry) {
        runtime.spawn(kubernetes.run(stop.clone()));
    }
    if settings.source.kind == SourceKind::Datapath
        && let Some(local) = LocalProvider::new(&metadata.cgroup, receiver(), telemetry)
    {
        runtime.spawn(local.run(stop.clone()));
    }
}

/// Starts the providers that learn from events, and returns what hands them the events.
fn observers(
    runtime: &Runtime,
    settings: &Settings,
    receiver: &Arc<dyn ChangeReceiver>,
    telemetry: &Telemetry,
    stop: &Stop,
) -> Observers {
    let (provider, cilium) = CiliumProvider::new(Arc::clone(receiver), telemetry);
    runtime.spawn(provider.run(stop.clone()));
    let dns = DnsProvider::new(&settings.metadata.dns, Arc::clone(receiver), telemetry).map(|(provider, dns)| {
        runtime.spawn(provider.run(stop.clone()));
        dns
    });
    Observers { cilium, dns }
}

/// Hands events to the providers that learn from them.
struct Observers {
    cilium: CiliumObserver,
    dns: Option<DnsObserver>,
}

impl Hook for Observers {
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
