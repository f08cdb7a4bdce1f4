//! Starts the exports: flows as log records, series as metrics, and our own metrics.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use eyepiece_config::{Export, Protocol, Settings, Signal, Temporality};
use eyepiece_flow::record::Batch;
use tokio::task::spawn_blocking;

use super::mapping;
use super::names::MachineNames;
use super::running::{LogsResult, Phase};
use crate::export::otlp::client::Client;
use crate::export::otlp::deltas;
use crate::export::otlp::deltas::Deltas;
use crate::export::otlp::metrics_sender::{Accepted, MetricsRequests, MetricsSender};
use crate::export::otlp::queue::LogSink;
use crate::export::otlp::resource::Resource;
use crate::export::otlp::{logs, metrics_sender, self_telemetry};
use crate::export::stdout::{flows, metrics};
use crate::pipeline;
use crate::pipeline::Sink;
use crate::pipeline::metrics::{Naming, ReaderKind, Resolved, Resolver};
use crate::support::lock::lock;
use crate::support::paint::Paint;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::task_thread::spawn_thread;
use crate::support::telemetry::Telemetry;

impl Sink for LogSink {
    fn send(&mut self, batch: Batch) {
        // The sink counts what finds no room.
        self.try_send(batch);
    }
}

/// The dependencies that all exports share.
pub(super) struct ExportContext<'a> {
    pub(super) settings: &'a Settings,
    pub(super) resource: &'a Resource,
    pub(super) names: &'a MachineNames,
    pub(super) telemetry: &'a Telemetry,
}

/// The running log exporter.
pub(super) struct Logs {
    /// Receives flows.
    pub(super) sink: LogSink,
    /// Completes when everything is delivered or counted, or standard output is closed.
    pub(super) result: LogsResult,
}

/// Starts the export of log records; returns `None` if it is off.
pub(super) fn logs(context: &ExportContext<'_>, stop: Stop) -> anyhow::Result<Option<Logs>> {
    let export = context.settings.otlp.export(Signal::Logs);
    if !export.enabled {
        return Ok(None);
    }
    let config = mapping::logs(context.settings);
    let names = Arc::new(context.names.clone());
    let (sink, done) = if export.protocol == Protocol::Stdout {
        let out = (io::stdout(), Paint::stdout());
        let (sink, printer) = flows::build(config.capacity, config.kinds, names, out, context.telemetry);
        (sink, spawn_thread("otlp-logs", move || printer.run(stop)))
    } else {
        let client = client(&export, Signal::Logs)?;
        let (sink, exporter) = logs::build(&config, context.resource, names, client, context.telemetry);
        let export = async move || {
            exporter.run(stop).await;
            Ok(())
        };
        (sink, spawn_thread("otlp-logs", export))
    };
    Ok(Some(Logs { sink, result: done.context("cannot start the thread of the log exporter")? }))
}

fn client(export: &Export, signal: Signal) -> anyhow::Result<Client> {
    Client::new(export, signal).with_context(|| format!("otlp.{}", signal.name()))
}

/// Starts the export of metrics and of our own metrics; returns whether series are read.
pub(super) fn metrics(
    context: &ExportContext<'_>,
    pipeline: &pipeline::Handle,
    components: &mut Phase,
    own_metrics: &mut Phase,
) -> anyhow::Result<bool> {
    let export = context.settings.otlp.export(Signal::Metrics);
    if !export.enabled {
        return Ok(false);
    }
    let interval = context.settings.otlp.metrics.interval;
    let reader = SeriesReader::new(context, pipeline, (ReaderKind::Interval, context.settings.metrics.naming));
    let resource = context.resource.proto();
    let stop = components.stop.clone();
    if export.protocol == Protocol::Stdout {
        let is_printed = context.settings.otlp.metrics.table;
        if is_printed {
            components.tasks.spawn(print(reader, interval, stop));
        }
        return Ok(is_printed);
    }
    let client = client(&export, Signal::Metrics)?;
    // Both send to the same receiver, so its failures are logged once.
    let sender = MetricsSender::new(client, context.telemetry);
    let of_flows = sender.clone();
    let temporality = context.settings.otlp.metrics.temporality;
    let deltas = (temporality != Temporality::Cumulative).then(Deltas::default);
    let deltas = Arc::new(Mutex::new(deltas));
    components.tasks.spawn(async move {
        let produce = |accepted: Accepted| {
            let (reader, resource, deltas) = (reader.clone(), resource.clone(), Arc::clone(&deltas));
            let produce = move || reader.requests(&resource, lock(&deltas).as_mut(), &accepted);
            async move { spawn_blocking(produce).await.unwrap_or_default() }
        };
        metrics_sender::run(of_flows, interval, produce, stop).await;
    });
    let (telemetry, resource, stop) = (context.telemetry.clone(), context.resource.clone(), own_metrics.stop.clone());
    let deltas = match temporality {
        Temporality::Cumulative => None,
        Temporality::Delta => Some(Deltas::default()),
        // By the specification, counters that are observed stay cumulative.
        Temporality::LowMemory => Some(Deltas::of_histograms()),
    };
    own_metrics
        .tasks
        .spawn(async move { self_telemetry::run(telemetry, &resource, deltas, sender, interval, stop).await });
    Ok(true)
}

/// Reads the pipeline's series with their texts; clones share the state.
#[derive(Clone)]
pub(super) struct SeriesReader {
    pipeline: pipeline::Handle,
    names: MachineNames,
    kind: ReaderKind,
    naming: Naming,
    /// The state of the sums that this reader has exported.
    resolver: Arc<Mutex<Resolver>>,
}

impl SeriesReader {
    pub(super) fn new(
        context: &ExportContext<'_>,
        pipeline: &pipeline::Handle,
        (kind, naming): (ReaderKind, Naming),
    ) -> Self {
        let (pipeline, names, resolver) = (pipeline.clone(), context.names.clone(), Arc::default());
        Self { pipeline, names, kind, naming, resolver }
    }

    /// The metrics of now, with their time.
    ///
    /// # Errors
    /// The pipeline has ended.
    pub(super) fn resolve(&self) -> Result<(Vec<Resolved>, u64), pipeline::Ended> {
        // Held over both steps, so that a later call has the later snapshot.
        let mut resolver = lock(&self.resolver);
        let snapshot = self.pipeline.snapshot(self.kind)?;
        Ok((resolver.resolve(&snapshot, &self.names, self.naming), snapshot.time))
    }

    fn requests(
        &self,
        resource: &opentelemetry_proto::tonic::resource::v1::Resource,
        mut deltas: Option<&mut Deltas>,
        accepted: &[usize],
    ) -> MetricsRequests {
        if let Some(deltas) = &mut deltas {
            deltas.accept(accepted);
        }
        let Ok((metrics, time)) = self.resolve() else { return MetricsRequests::default() };
        let limit = crate::export::otlp::metrics::MAX_REQUEST;
        let encoded = crate::export::otlp::metrics::encode(&metrics, time, resource, limit);
        MetricsRequests { too_large: encoded.oversized, ..deltas::requests(deltas, encoded.requests) }
    }

    fn text(&self) -> String {
        self.resolve().map(|(metrics, _)| metrics::table(&metrics)).unwrap_or_default()
    }
}

/// Prints the table at every interval and at the end.
async fn print(reader: SeriesReader, interval: Duration, mut stop: Stop) {
    loop {
        let is_last = tokio::select! {
            () = tokio::time::sleep(interval) => false,
            _ = shutdown::requested(&mut stop) => true,
        };
        let reader = reader.clone();
        let written = spawn_blocking(move || io::stdout().lock().write_all(reader.text().as_bytes())).await;
        match written {
            Ok(Ok(())) if !is_last => {}
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                tracing::error!(%error, "cannot write metrics to standard output");
                return;
            }
            _ => return,
        }
    }
}
