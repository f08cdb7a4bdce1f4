//! What leaves by OTLP: flows as log records, series as metrics, our own numbers; each with its client and its end.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use eyepiece_config::{Export, Protocol, Settings, Signal};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::record::Batch;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};

use super::mapping;
use super::names::MachineNames;
use crate::export::otlp::client::Client;
use crate::export::otlp::metrics_sender::{Due, MetricsSender};
use crate::export::otlp::queue::LogSink;
use crate::export::otlp::resource::Resource;
use crate::export::otlp::{logs, metrics_sender, self_telemetry};
use crate::export::stdout::{flows, metrics};
use crate::pipeline;
use crate::pipeline::Sink;
use crate::pipeline::metrics::{Naming, Resolved, Resolver, SeriesNames};
use crate::support::paint::Paint;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

impl Sink for LogSink {
    fn send(&mut self, batch: Batch) {
        // What found no room is counted by the sink.
        self.try_send(batch);
    }
}

/// What all exports share.
pub(super) struct Shared<'a> {
    pub(super) settings: &'a Settings,
    pub(super) resource: &'a Resource,
    pub(super) symbols: &'a Symbols,
    pub(super) names: &'a MachineNames,
    pub(super) telemetry: &'a Telemetry,
    pub(super) stop: &'a Stop,
    /// For our own numbers, which are the last to leave.
    pub(super) end: &'a Stop,
}

/// The log exporter at work.
pub(super) struct Logs {
    /// Where flows go.
    pub(super) sink: LogSink,
    /// Ends when everything is delivered or counted, or nobody takes it any more.
    pub(super) done: oneshot::Receiver<io::Result<()>>,
}

/// Starts the export of log records; none where it is switched off.
pub(super) fn logs(shared: &Shared<'_>) -> anyhow::Result<Option<Logs>> {
    let export = shared.settings.otlp.export(Signal::Logs);
    if !export.enabled {
        return Ok(None);
    }
    let options = mapping::logs(shared.settings);
    let (symbols, names) = (shared.symbols.clone(), Arc::new(shared.names.clone()));
    let stop = shared.stop.clone();
    let (sink, done) = if export.protocol == Protocol::Stdout {
        let out = (io::stdout(), Paint::stdout());
        let (sink, printer) = flows::build(options.capacity, options.kinds, symbols, names, out, shared.telemetry);
        (sink, logs::spawn_thread("otlp-logs", move || printer.run(stop)))
    } else {
        let client = client(&export, Signal::Logs)?;
        let (sink, exporter) = logs::build(&options, shared.resource, symbols, names, client, shared.telemetry);
        let export = async move || {
            exporter.run(stop).await;
            Ok(())
        };
        (sink, logs::spawn_thread("otlp-logs", export))
    };
    Ok(Some(Logs { sink, done: done.context("cannot start the thread of the log exporter")? }))
}

fn client(export: &Export, signal: Signal) -> anyhow::Result<Client> {
    Client::new(export, signal).with_context(|| format!("otlp.{}", signal.name()))
}

/// Starts the export of metrics and of our own numbers, where it is switched on.
pub(super) fn metrics(
    shared: &Shared<'_>,
    pipeline: &pipeline::Handle,
    tasks: &mut JoinSet<()>,
    numbers: &mut JoinSet<()>,
) -> anyhow::Result<bool> {
    let export = shared.settings.otlp.export(Signal::Metrics);
    if !export.enabled {
        return Ok(false);
    }
    let interval = shared.settings.otlp.metrics.interval;
    let producer = Producer {
        pipeline: pipeline.clone(),
        symbols: shared.symbols.clone(),
        names: shared.names.clone(),
        naming: shared.settings.metrics.naming,
        resolver: Arc::default(),
        resource: shared.resource.proto(),
    };
    let stop = shared.stop.clone();
    if export.protocol == Protocol::Stdout {
        let is_printed = shared.settings.otlp.metrics.table;
        if is_printed {
            tasks.spawn(print(producer, interval, stop));
        }
        return Ok(is_printed);
    }
    let client = client(&export, Signal::Metrics)?;
    // Both send to the same receiver: what is the matter with it is told once.
    let sender = MetricsSender::new(client, shared.telemetry);
    let of_flows = sender.clone();
    tasks.spawn(async move {
        let produce = || {
            let producer = producer.clone();
            async move { spawn_blocking(move || producer.due()).await.unwrap_or_default() }
        };
        metrics_sender::run(of_flows, interval, produce, stop).await;
    });
    let (telemetry, resource, stop) = (shared.telemetry.clone(), shared.resource.clone(), shared.end.clone());
    numbers.spawn(async move { self_telemetry::run(telemetry, &resource, sender, interval, stop).await });
    Ok(true)
}

/// Makes requests of the pipeline's series.
#[derive(Clone)]
struct Producer {
    pipeline: pipeline::Handle,
    symbols: Symbols,
    names: MachineNames,
    naming: Naming,
    /// What this reader was told before.
    resolver: Arc<Mutex<Resolver>>,
    resource: opentelemetry_proto::tonic::resource::v1::Resource,
}

impl Producer {
    /// The metrics now, and the time of it.
    fn look(&self) -> Option<(Vec<Resolved>, u64)> {
        // Held over both: of two looks the later one has the later snapshot.
        let mut resolver = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.pipeline.snapshot().ok()?;
        let names = SeriesNames { symbols: &self.symbols, kernel: &self.names, interfaces: &self.names };
        Some((resolver.resolve(&snapshot, &names, self.naming), snapshot.time))
    }

    fn due(&self) -> Due {
        let Some((metrics, time)) = self.look() else { return Due::default() };
        let limit = crate::export::otlp::metrics::MAX_REQUEST;
        let encoded = crate::export::otlp::metrics::encode(&metrics, time, &self.resource, limit);
        Due { requests: encoded.requests.iter().map(Into::into).collect(), too_large: encoded.oversized }
    }

    fn text(&self) -> String {
        self.look().map(|(metrics, _)| metrics::table(&metrics)).unwrap_or_default()
    }
}

/// Prints the table at every interval, and once more at the end.
async fn print(producer: Producer, interval: Duration, mut stop: Stop) {
    loop {
        let ends = tokio::select! {
            () = tokio::time::sleep(interval) => false,
            _ = shutdown::requested(&mut stop) => true,
        };
        let producer = producer.clone();
        let written = spawn_blocking(move || io::stdout().lock().write_all(producer.text().as_bytes())).await;
        match written {
            Ok(Ok(())) if !ends => {}
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                tracing::error!(%error, "cannot write metrics to standard output");
                return;
            }
            _ => return,
        }
    }
}
