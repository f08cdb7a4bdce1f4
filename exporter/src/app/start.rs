//! Starts the program in three steps: binds listeners, wires source, pipeline and sinks, and serves.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use eyepiece_config::Settings;
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::interner::Symbols;
use eyepiece_semconv::metric;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use super::error::AppError;
use super::exports::ExportContext;
use super::feed::{Feed, SourceControl, SourceDeps};
use super::hubble::Hubble;
use super::metadata::{Learners, Providers};
use super::monitor::Monitor;
use super::record::{RecordConfig, Recorder};
use super::running::{App, LogsResult, Phase};
use super::signals::Signals;
use super::{exports, identity, mapping, metadata, prometheus, source, status};
use crate::metadata::{LinkTables, Publisher};
use crate::pipeline;
use crate::pipeline::metrics::Aggregation;
use crate::pipeline::{Learn, Sink};
use crate::serve;
use crate::serve::admin;
use crate::serve::admin::table::{counted, kinds};
use crate::serve::http::Server;
use crate::serve::monitor::notifier::Inbox;
use crate::source::Source;
use crate::source::datapath::links::inventory::Inventory;
use crate::support::capabilities::Capabilities;
use crate::support::clock::unix_now;
use crate::support::telemetry::Telemetry;
use crate::support::{capabilities, server_runtime};

/// The time of the first attachment before a warning.
const SYNC_WARNING_DELAY: Duration = Duration::from_secs(10);

/// The inputs of a start besides the settings.
pub(super) struct StartDeps<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) signals: &'a Signals,
    /// `None` without a recording.
    pub(super) record: Option<&'a RecordConfig>,
}

/// Starts everything. After an error nothing of ours is left on the machine.
pub(super) fn start(settings: Settings, deps: &StartDeps<'_>) -> Result<App, AppError> {
    let telemetry = Telemetry::default();
    telemetry.age(metric::EYEPIECE_UPTIME.name);
    let bound = bind(&settings, &telemetry)?;
    let wired = wire(bound, &settings, deps, &telemetry)?;
    serve(wired, settings, deps, telemetry)
}

/// The listeners.
struct Bound {
    admin: Option<admin::Bound>,
    /// Serves the clients of the monitor and of Hubble.
    serving: Runtime,
    monitor: Monitor,
    inbox: Inbox,
    hubble: Option<Hubble>,
    prometheus: Option<serve::prometheus::Bound>,
}

/// Binds the listeners first: an address in use is no reason to touch interfaces.
fn bind(settings: &Settings, telemetry: &Telemetry) -> Result<Bound, AppError> {
    let admin = status::bind(settings)?;
    let serving = server_runtime::runtime().context("cannot start the runtime that serves clients")?;
    let (monitor, inbox) = Monitor::bind(&serving, settings, telemetry)?;
    let hubble = Hubble::bind(&serving, settings, telemetry)?;
    let prometheus = prometheus::bind(settings, telemetry)?;
    Ok(Bound { admin, serving, monitor, inbox, hubble, prometheus })
}

/// The pipeline between the source and its consumers, which are not subscribed yet.
struct Wired {
    admin: Option<admin::Bound>,
    serving: Runtime,
    monitor: Monitor,
    recorder: Option<Recorder>,
    source: SourceControl,
    providers: Providers,
    handle: pipeline::Handle,
    pipeline: JoinHandle<io::Result<()>>,
    logs: Option<LogsResult>,
    prometheus: Option<Server>,
    /// Consumers of events: exports, the recorder, the observer, Prometheus.
    consumers: usize,
    components: Phase,
    own_metrics: Phase,
}

/// Builds the source and connects it to the pipeline and the sinks.
fn wire(bound: Bound, settings: &Settings, deps: &StartDeps<'_>, telemetry: &Telemetry) -> Result<Wired, AppError> {
    let Bound { admin, serving, mut monitor, inbox, hubble, prometheus } = bound;
    let symbols = Symbols::default();
    let publisher = Publisher::new(LinkTables::new(&symbols));
    let source_deps = SourceDeps {
        runtime: deps.runtime,
        settings,
        symbols: &symbols,
        publisher: &publisher,
        telemetry,
        endpoint_observer: monitor.endpoint_observer(&publisher),
        halt: deps.signals.halt(),
    };
    let (feed, recorder) = build_source(&source_deps, deps.record)?;
    // Looks at the first process's network namespace, which takes capabilities that are given up next.
    let resource = identity::resource(settings, &feed.emitter, hubble.is_some());
    let (providers, learners) = metadata::start(settings, &symbols, &publisher, telemetry)?;
    // Files and sockets are open. Threads that start from here on hold no other capabilities.
    capabilities::keep(feed.reads_with);
    let Feed { source, learn, names, emitter, control, .. } = feed;
    let (mut components, mut own_metrics) = (Phase::default(), Phase::default());
    let context = ExportContext { settings, resource: &resource, names: &names, telemetry };
    let has_observer = hubble.is_some();
    let (sinks, logs) = start_sinks(&context, &providers, hubble, &serving, &mut components)?;
    let source = monitor.tap(source, inbox);
    let (handle, pipeline) = spawn_pipeline(&source_deps, source, (learn, learners), emitter.producer(), sinks)?;
    let guard_runtime = deps.runtime.enter();
    let has_metrics = exports::metrics(&context, &handle, &mut components, &mut own_metrics)?;
    drop(guard_runtime);
    let prometheus = prometheus.map(|bound| prometheus::serve(bound, &context, &handle)).transpose()?;
    let consumers = [logs.is_some(), has_metrics, recorder.is_some(), has_observer, prometheus.is_some()];
    let consumers = consumers.into_iter().filter(|is_there| *is_there).count();
    Ok(Wired {
        admin,
        serving,
        monitor,
        recorder,
        source: control,
        providers,
        handle,
        pipeline,
        logs,
        prometheus,
        consumers,
        components,
        own_metrics,
    })
}

/// The receivers of the pipeline's batches.
type Sinks = Vec<Box<dyn Sink>>;

/// Starts the consumers that get batches: the log exporter and the observer.
fn start_sinks(
    context: &ExportContext<'_>,
    providers: &Providers,
    hubble: Option<Hubble>,
    serving: &Runtime,
    components: &mut Phase,
) -> Result<(Sinks, Option<LogsResult>), AppError> {
    let logs = exports::logs(context, components.stop.clone())?;
    if let Some(logs) = &logs {
        providers.report_entities(context.settings, logs.sink.clone());
    }
    let mut sinks: Sinks = logs.iter().map(|logs| Box::new(logs.sink.clone()) as _).collect();
    if let Some(hubble) = hubble {
        sinks.extend(hubble.serve(serving, context, components)?);
    }
    Ok((sinks, logs.map(|logs| logs.result)))
}

/// Spawns the pipeline behind a source.
fn spawn_pipeline(
    deps: &SourceDeps<'_>,
    source: Box<dyn Source>,
    (learn, learners): (Learn, Learners),
    producer: Producer,
    sinks: Sinks,
) -> Result<(pipeline::Handle, JoinHandle<io::Result<()>>), AppError> {
    let SourceDeps { settings, symbols, publisher, telemetry, .. } = *deps;
    let spawned = pipeline::spawn(pipeline::Deps {
        source,
        producer,
        source_kind: settings.source.kind.name(),
        names: publisher.reader(),
        symbols: symbols.clone(),
        learn,
        learn_process: learners.process,
        aggregation: Aggregation::new(mapping::aggregation(settings), unix_now()),
        event_handlers: learners.event_handler.into_iter().collect(),
        sinks,
        telemetry: telemetry.clone(),
        now: unix_now,
    });
    Ok(spawned.context("cannot start the pipeline")?)
}

/// Builds the source, and the recorder around it if there is one.
fn build_source(deps: &SourceDeps<'_>, record: Option<&RecordConfig>) -> Result<(Feed, Option<Recorder>), AppError> {
    let feed = source::build(deps)?;
    let Some(config) = record else { return Ok((feed, None)) };
    let (recorder, feed) = Recorder::build(config, feed, deps)?;
    Ok((feed, Some(recorder)))
}

/// Subscribes the consumers, waits for the interfaces, and lets clients of monitor and admin in.
fn serve(wired: Wired, settings: Settings, deps: &StartDeps<'_>, telemetry: Telemetry) -> Result<App, AppError> {
    let Wired { admin, serving, monitor, recorder, source, providers, handle, pipeline, logs, consumers, .. } = wired;
    let Wired { mut components, own_metrics, prometheus, .. } = wired;
    let SourceControl { views, synced, finished, guard } = source;
    let agent = monitor.agent(handle.clone());
    let mut subscriptions = Vec::new();
    for _ in 0..consumers {
        subscriptions.push(agent.subscribe().context("cannot read the source")?);
    }
    let mut recorder = recorder.map(Recorder::start).transpose()?;
    let started = monitor.serve(&serving, agent, &mut components);
    if let Some(synced) = synced {
        wait_for_interfaces(deps, synced);
    }
    let ready = status::readiness(&settings, &telemetry);
    ready.set(true);
    let mode = views.hooks.as_ref().map(|(_, mode)| mode.name());
    let interfaces = views.interfaces.clone();
    let registry = Arc::clone(&providers.registry);
    let admin = status::serve(admin, &settings, ready, views, registry, &telemetry)?;
    let end_reasons = collect_end_reasons(deps.runtime, finished, recorder.as_mut());
    capabilities::keep(Capabilities::NONE);
    trim_heap();
    log_start(&settings, mode, interfaces.as_ref());
    started.notify();
    if let Some(recorder) = &recorder {
        recorder.log_start();
    }
    Ok(App {
        settings,
        telemetry,
        admin,
        prometheus,
        source: guard,
        _providers: providers,
        recorder,
        serving,
        end_reasons,
        handle,
        pipeline,
        subscriptions,
        logs,
        components,
        own_metrics,
    })
}

/// Waits until the interfaces that exist at the start are attached, or a signal ends the program.
fn wait_for_interfaces(deps: &StartDeps<'_>, synced: oneshot::Receiver<()>) {
    deps.runtime.block_on(async {
        tokio::select! {
            () = deps.signals.requested() => {}
            result = tokio::time::timeout(SYNC_WARNING_DELAY, synced) => if result.is_err() {
                tracing::warn!("attaching to the interfaces takes more than {SYNC_WARNING_DELAY:?}; continuing");
            },
        }
    });
}

/// Joins the ends of the program from inside into one channel of reasons.
fn collect_end_reasons(
    runtime: &Runtime,
    finished: Option<oneshot::Receiver<()>>,
    recorder: Option<&mut Recorder>,
) -> mpsc::Receiver<&'static str> {
    // Only the first reason counts.
    let (sender, end_reasons) = mpsc::channel(1);
    let duration = recorder.as_ref().and_then(|recorder| recorder.duration);
    let full = recorder.and_then(|recorder| recorder.full.take());
    for (end, reason) in [(finished, "the source has ended"), (full, "the recording can take no more")] {
        let (Some(end), sender) = (end, sender.clone()) else { continue };
        runtime.spawn(async move {
            if end.await.is_ok() {
                // The program may be shutting down already.
                sender.try_send(reason).unwrap_or_default();
            }
        });
    }
    if let Some(duration) = duration {
        runtime.spawn(async move {
            tokio::time::sleep(duration).await;
            sender.try_send("the duration is over").unwrap_or_default();
        });
    }
    end_reasons
}

/// Returns free pages to the system: reading the kernel's types and symbols takes tens of megabytes.
fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Logs the end of the start and the interfaces that are watched.
fn log_start(settings: &Settings, mode: Option<&str>, interfaces: Option<&Inventory>) {
    let source = settings.source.kind.name();
    let Some(watched) = interfaces.map(Inventory::get) else { return tracing::info!(source, "watching") };
    let (endpoints, uplinks) = (watched.endpoints, watched.uplinks);
    let kinds = kinds(endpoints, uplinks);
    tracing::info!(source, mode, "watching {}: {kinds}", counted(endpoints + uplinks, "interface"));
    watched.log();
}
