//! The only wiring: builds the components, waits for the end, and ends them in order.

mod exports;
mod hubble;
mod identity;
mod mapping;
mod monitor;
mod names;
pub mod preflight;
pub mod record;
mod signals;
mod source;
mod status;
mod undelivered;

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use eyepiece_config::{Protocol, Settings};
use eyepiece_flow::interner::Symbols;
use eyepiece_semconv::metric;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use self::exports::Shared;
use self::hubble::Hubble;
use self::monitor::Monitor;
use self::record::Recorder;
use self::signals::Signals;
use self::source::{Feed, Running};
use self::undelivered::Dropped;
use crate::metadata::{Publisher, Tables};
use crate::pipeline;
use crate::pipeline::Sink;
use crate::pipeline::metrics::Aggregation;
use crate::recording::Summary;
use crate::serve::admin;
use crate::serve::admin::report::{counted, kinds};
use crate::serve::monitor::agent::Subscription;
use crate::source::datapath::DatapathError;
use crate::source::datapath::clock::unix_now;
use crate::source::datapath::links::inventory::{Interfaces, Inventory};
use crate::source::datapath::object::LoadError;
use crate::support::capabilities::Capabilities;
use crate::support::telemetry::Telemetry;
use crate::support::{capabilities, server_runtime, shutdown};

/// Threads of the runtime: exports and netlink wait more than they compute.
const WORKERS: usize = 2;
/// How long the first attachment may take before the program says that it is still at it.
const SYNC_PATIENCE: Duration = Duration::from_secs(10);
/// Time for our own numbers to leave once the fate of everything else is known: a request's time on a healthy network.
const LAST_WORD: Duration = Duration::from_secs(1);
/// The part of the drain that our own numbers may take of it, where the drain is short.
const LAST_WORD_SHARE: u32 = 5;
/// What components may take to end beyond the time that they were given.
const SLACK: Duration = Duration::from_millis(500);

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The kernel refused for want of a privilege.
    #[error("missing privilege: {operation}")]
    MissingPrivilege {
        /// What was refused, and what it needs.
        operation: String,
    },
    /// A setting does not go with this machine.
    #[error("{key}: {wrong}; {right}")]
    Setting {
        /// Path of the key.
        key: &'static str,
        /// What is wrong.
        wrong: String,
        /// What would be right.
        right: &'static str,
    },
    /// A signal came while it started, and nothing of ours is there: no failure.
    #[error("told to leave while it started")]
    Left,
    /// Anything else.
    #[error("{}", said(.0))]
    Failed(#[from] anyhow::Error),
}

/// An error with its causes. Some of ours name their cause themselves: what has been said is not said again.
fn said(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| match cause.to_string() {
        cause if said.is_empty() => cause,
        cause if said.contains(&cause) => said,
        cause => format!("{said}: {cause}"),
    })
}

impl From<DatapathError> for AppError {
    fn from(error: DatapathError) -> Self {
        match error {
            DatapathError::Privileges(_) | DatapathError::Load(LoadError::Privilege { .. }) => {
                Self::MissingPrivilege { operation: error.to_string() }
            }
            DatapathError::UnknownReason { name } => Self::Setting {
                key: "datapath.drops_ignore",
                wrong: format!("this kernel has no drop reason {name:?}"),
                right: "use the names that `reason` has in metrics, such as NO_SOCKET",
            },
            other => Self::Failed(other.into()),
        }
    }
}

/// Runs until a signal, or the end of its source, and until what was queued is delivered.
///
/// # Errors
/// What kept it from starting, or from ending in time.
pub fn run(settings: Settings) -> Result<(), AppError> {
    run_with(settings, None)?.result
}

/// Records what the source delivers until a signal, a limit, or the end of the source. What kept the file from being
/// written is in the summary.
///
/// # Errors
/// What kept it from starting, and the file from being made.
pub fn record(settings: Settings, options: &record::Options) -> Result<Ended, AppError> {
    run_with(options.settings(settings)?, Some(options))
}

/// How a run that had begun has ended.
#[derive(Debug)]
pub struct Ended {
    /// What became of the recording, whatever else failed; none where there is no file.
    pub summary: Option<Summary>,
    /// What failed, or did not end in time.
    pub result: Result<(), AppError>,
}

fn run_with(settings: Settings, record: Option<&record::Options>) -> Result<Ended, AppError> {
    server_runtime::raise_descriptors();
    capabilities::confine();
    let signals = Signals::listen(settings.node.drain)?;
    let runtime = runtime()?;
    let mut app = match App::build(&runtime, settings, record, &signals) {
        Err(AppError::Left) => return Ok(Ended { summary: None, result: Ok(()) }),
        built => built?,
    };
    let waited = runtime.block_on(app.wait(&signals));
    signals.leaving();
    let (summary, ended) = app.end(&runtime);
    runtime.shutdown_background();
    Ok(Ended { summary, result: waited.and(ended).map_err(AppError::Failed) })
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("eyepiece")
        .on_thread_start(|| capabilities::keep(Capabilities::NONE))
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// The end of the log exporter, with what kept it from writing.
type LogsEnd = oneshot::Receiver<std::io::Result<()>>;

/// The running program.
pub(crate) struct App {
    settings: Settings,
    telemetry: Telemetry,
    admin: Option<admin::Admin>,
    running: Running,
    recorder: Option<Recorder>,
    serving: Runtime,
    /// Hears why to leave: the source's end, a recording's limit.
    leave: mpsc::Receiver<&'static str>,
    handle: pipeline::Handle,
    pipeline: JoinHandle<std::io::Result<()>>,
    subscriptions: Vec<Subscription>,
    logs: Option<LogsEnd>,
    tasks: JoinSet<()>,
    stop: tokio::sync::watch::Sender<Option<tokio::time::Instant>>,
    /// Exports our own numbers; ended by `end`.
    numbers: JoinSet<()>,
    end: tokio::sync::watch::Sender<Option<tokio::time::Instant>>,
}

impl App {
    /// Builds everything; whatever fails, nothing of ours is left on the machine.
    fn build(
        runtime: &Runtime,
        settings: Settings,
        record: Option<&record::Options>,
        signals: &Signals,
    ) -> Result<Self, AppError> {
        let telemetry = Telemetry::default();
        telemetry.age(metric::EYEPIECE_UPTIME.name);
        // First what can fail without a trace: an address in use is no reason to touch interfaces.
        let listener = status::listen(&settings)?;
        let serving = server_runtime::runtime().context("cannot start the runtime that serves clients")?;
        let (monitor, inbox) = Monitor::bind(&serving, &settings, &telemetry)?;
        let hubble = Hubble::bind(&serving, &settings, &telemetry)?;
        let symbols = Symbols::default();
        let publisher = Publisher::new(Tables::new(&symbols));
        let parts = source::Parts {
            runtime,
            settings: &settings,
            symbols: &symbols,
            publisher: &publisher,
            telemetry: &telemetry,
            told: monitor.told(),
            leave: signals.halt(),
        };
        let mut feed = source::build(&parts)?;
        let mut recorder = None;
        if let Some(options) = record {
            let built = Recorder::build(options, feed, &settings, &publisher, &symbols)?;
            (recorder, feed) = (Some(built.0), built.1);
        }
        let Feed {
            source,
            learn,
            names,
            emitter,
            reads_with,
            hooks,
            interfaces,
            connection,
            synced,
            finished,
            running,
        } = feed;
        // What takes privileges is done: files and sockets are open. Threads that start from here on have no others.
        capabilities::keep(reads_with);
        let resource = identity::resource(&settings, &emitter);
        let (stop, stopped) = shutdown::channel();
        let (end, ended) = shutdown::channel();
        let shared = Shared {
            settings: &settings,
            resource: &resource,
            symbols: &symbols,
            names: &names,
            telemetry: &telemetry,
            stop: &stopped,
            end: &ended,
        };
        let logs = exports::logs(&shared)?;
        let mut sinks: Vec<Box<dyn Sink>> =
            logs.iter().map(|logs| Box::new(logs.sink.clone()) as Box<dyn Sink>).collect();
        let (mut tasks, mut numbers) = (JoinSet::new(), JoinSet::new());
        let has_observer = hubble.is_some();
        if let Some(hubble) = hubble {
            sinks.extend(hubble.serve(&serving, &shared, &mut tasks)?);
        }
        let (handle, pipeline) = pipeline::spawn(pipeline::Deps {
            source: monitor.tap(source, inbox),
            producer: emitter.producer(),
            source_kind: settings.source.kind.name(),
            tables: publisher.reader(),
            symbols: symbols.clone(),
            learn,
            aggregation: Aggregation::new(mapping::aggregation(&settings), unix_now()),
            hooks: Vec::new(),
            sinks,
            telemetry: telemetry.clone(),
            now: unix_now,
        })
        .context("cannot start the pipeline")?;
        let guard = runtime.enter();
        let has_metrics = exports::metrics(&shared, &handle, &mut tasks, &mut numbers)?;
        drop(guard);
        let agent = monitor.agent(handle.clone());
        let mut subscriptions = Vec::new();
        for _ in [logs.is_some(), has_metrics, recorder.is_some(), has_observer].into_iter().filter(|wants| *wants) {
            subscriptions.push(agent.subscribe().context("cannot read the source")?);
        }
        let mut recorder = recorder.map(Recorder::start).transpose()?;
        let starting = monitor.serve(&serving, agent, &mut tasks, stopped.clone());
        if let Some(synced) = synced {
            wait_for_hooks(runtime, synced, signals);
        }
        let ready = status::readiness(&settings, &telemetry);
        ready.set(true);
        let mode = hooks.as_ref().map(|(_, mode)| mode.name());
        let watched = interfaces.as_ref().map(Inventory::get);
        let views = status::Views { hooks, interfaces, connection };
        let admin = status::serve(listener, &settings, ready, views, &telemetry)?;
        let leave = watch_for_ends(runtime, finished, recorder.as_mut());
        capabilities::keep(Capabilities::NONE);
        give_back_memory();
        watching(&settings, mode, watched.as_ref());
        starting.finish();
        if let Some(recorder) = &recorder {
            recorder.announce();
        }
        let logs = logs.map(|logs| logs.done);
        Ok(Self {
            settings,
            admin,
            running,
            recorder,
            serving,
            leave,
            telemetry,
            handle,
            pipeline,
            subscriptions,
            logs,
            tasks,
            stop,
            numbers,
            end,
        })
    }

    /// Waits for a signal, or for a component that fails.
    async fn wait(&mut self, signals: &Signals) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(Duration::from_millis(200));
        let only_prints = only_prints(&self.settings);
        loop {
            tokio::select! {
                printed = ended(&mut self.logs), if only_prints && self.logs.is_some() => {
                    // Nobody reads what we print, and there is nothing else to do.
                    self.logs = None;
                    return printed.context("the printer of flows panicked")?.context("cannot write to standard output");
                }
                () = signals.asked() => return Ok(()),
                Some(why) = self.leave.recv() => {
                    tracing::info!(why, "leaving");
                    return Ok(());
                }
                _ = look.tick() => {
                    if self.pipeline.is_finished() {
                        anyhow::bail!("the pipeline has ended");
                    }
                    if let Some(what) = self.running.failed() {
                        anyhow::bail!(what);
                    }
                }
            }
        }
    }

    /// Ends in order: sources first, then what they fed, then our own numbers and the recording, all under the drain
    /// deadline.
    fn end(self, runtime: &Runtime) -> (Option<Summary>, anyhow::Result<()>) {
        let drain = self.settings.node.drain;
        let deadline = tokio::time::Instant::now() + drain;
        let last_word = LAST_WORD.min(drain / LAST_WORD_SHARE);
        let before = Dropped::so_far(&self.telemetry);
        drop(self.running);
        let drained = self.handle.drain();
        self.stop.send_replace(Some(deadline - last_word));
        let (mut tasks, mut numbers, mut logs) = (self.tasks, self.numbers, self.logs);
        runtime.block_on(async {
            let all = async {
                while tasks.join_next().await.is_some() {}
                match ended(&mut logs).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(%error, "cannot write flows to standard output"),
                    Err(_) => tracing::error!("the log exporter ended early"),
                }
            };
            // The components keep the deadline themselves; a little more time lets them count what they lost.
            if timeout_at(deadline + SLACK, all).await.is_err() {
                tracing::error!("the drain deadline has passed");
            }
            // Now our own numbers know what became of everything.
            let last = deadline.max(tokio::time::Instant::now() + last_word / 2);
            self.end.send_replace(Some(last));
            let told = async { while numbers.join_next().await.is_some() {} };
            if timeout_at(last + SLACK, told).await.is_err() {
                tracing::error!("the last export of our own numbers did not end");
            }
        });
        // Whatever has not ended by now is cut off: the pipeline ends with the last hand on it.
        drop(tasks);
        self.serving.shutdown_background();
        undelivered::tell(&before, &self.telemetry, &self.settings);
        drop(self.subscriptions);
        let waker = self.handle.waker();
        drop(self.handle);
        drop(self.admin);
        waker.wake();
        let read = match self.pipeline.join() {
            Ok(result) => result.context("the source can no longer be read"),
            Err(_) => Err(anyhow::anyhow!("the pipeline panicked")),
        };
        let drained = drained.context("the pipeline ended before everything was read");
        // The pipeline has let go of its end; a file that takes no more is not waited for.
        let patience = deadline.saturating_duration_since(tokio::time::Instant::now()).max(SLACK);
        let summary = self.recorder.and_then(|recorder| recorder.finish(patience));
        (summary, read.and(drained))
    }
}

/// Whether standard output is all that anything goes to.
fn only_prints(settings: &Settings) -> bool {
    let exports =
        [eyepiece_config::Signal::Logs, eyepiece_config::Signal::Metrics].map(|signal| settings.otlp.export(signal));
    exports.iter().filter(|export| export.enabled).all(|export| export.protocol == Protocol::Stdout)
}

/// Waits for the end of the log exporter; none has ended.
async fn ended(logs: &mut Option<LogsEnd>) -> Result<std::io::Result<()>, oneshot::error::RecvError> {
    match logs {
        Some(logs) => logs.await,
        None => Ok(Ok(())),
    }
}

/// The kernel's types and symbols take tens of megabytes while they are read; the allocator would keep them.
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; returns free pages to the system.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Logs that the start is over, and what is watched.
fn watching(settings: &Settings, mode: Option<&str>, watched: Option<&Interfaces>) {
    let source = settings.source.kind.name();
    let Some(watched) = watched else { return tracing::info!(source, "watching") };
    let (endpoints, uplinks) = (watched.endpoints, watched.uplinks);
    let kinds = kinds(endpoints, uplinks);
    tracing::info!(source, mode, "watching {}: {kinds}", counted(endpoints + uplinks, "interface"));
    watched.log();
}

/// What ends the program from inside, as one channel.
fn watch_for_ends(
    runtime: &Runtime,
    finished: Option<oneshot::Receiver<()>>,
    recorder: Option<&mut Recorder>,
) -> mpsc::Receiver<&'static str> {
    // The first that comes is the only one that counts.
    let (sender, leave) = mpsc::channel(1);
    let duration = recorder.as_ref().and_then(|recorder| recorder.duration);
    let full = recorder.and_then(|recorder| recorder.full.take());
    for (end, why) in [(finished, "the source has come to its end"), (full, "the recording can take no more")] {
        let (Some(end), sender) = (end, sender.clone()) else { continue };
        runtime.spawn(async move {
            if end.await.is_ok() {
                // Whoever waited may have left for another reason.
                sender.try_send(why).unwrap_or_default();
            }
        });
    }
    if let Some(duration) = duration {
        runtime.spawn(async move {
            tokio::time::sleep(duration).await;
            sender.try_send("the time is over").unwrap_or_default();
        });
    }
    leave
}

/// Waits until the interfaces that were there are attached.
fn wait_for_hooks(runtime: &Runtime, synced: oneshot::Receiver<()>, signals: &Signals) {
    runtime.block_on(async {
        tokio::select! {
            () = signals.asked() => {}
            result = tokio::time::timeout(SYNC_PATIENCE, synced) => if result.is_err() {
                tracing::warn!("attaching to the interfaces takes long; it goes on");
            },
        }
    });
}
