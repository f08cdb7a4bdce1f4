//! The only wiring: builds the components, waits for the end, and ends them in order.

mod exports;
mod mapping;
mod names;
mod status;

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use eyepiece_config::{Protocol, Settings, SourceKind};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use self::exports::Shared;
use self::names::MachineNames;
use crate::admin::{self, Ready};
use crate::enrich::{Publisher, Tables};
use crate::metrics::Aggregation;
use crate::monitor::agent::{Agent, Subscription};
use crate::otlp::resource::Resource;
use crate::otlp::stop;
use crate::pipeline::{self, Sink};
use crate::source::datapath::clock::unix_now;
use crate::source::datapath::links::{self, Links};
use crate::source::datapath::object::LoadError;
use crate::source::datapath::{self, Datapath, DatapathError};
use crate::symbols::Symbols;
use crate::telemetry::Telemetry;

/// Threads of the runtime: exports and netlink wait more than they compute.
const WORKERS: usize = 2;
/// How long the first attachment may take before the program says that it is still at it.
const SYNC_PATIENCE: Duration = Duration::from_secs(10);
/// Time for our own numbers to leave once the fate of everything else is known: a request's time on a healthy network.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The kernel refused for want of a privilege.
    #[error("missing privilege: {operation}")]
    MissingPrivilege {
        /// What was refused, and what it needs.
        operation: String,
    },
    /// Anything else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl From<DatapathError> for AppError {
    fn from(error: DatapathError) -> Self {
        match error {
            DatapathError::Privileges(_) | DatapathError::Load(LoadError::Privilege { .. }) => {
                Self::MissingPrivilege { operation: error.to_string() }
            }
            other => Self::Failed(other.into()),
        }
    }
}

/// Runs until a signal ends it and what was queued is delivered.
///
/// # Errors
/// What kept it from starting, or from ending in time.
pub fn run(settings: Settings) -> Result<(), AppError> {
    let runtime = runtime()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let mut app = App::build(&runtime, settings)?;
    let end = runtime.block_on(app.wait(&mut signals));
    let finished = std::thread::scope(|scope| {
        let ending = scope.spawn(|| app.end(&runtime));
        // A second signal leaves at once.
        runtime.block_on(async {
            while !ending.is_finished() {
                tokio::select! {
                    heard = signals.next() => if heard == Heard::End {
                        tracing::warn!("second signal: leaving without delivering what is queued");
                        std::process::exit(1);
                    },
                    () = tokio::time::sleep(Duration::from_millis(10)) => {}
                }
            }
        });
        ending.join()
    });
    runtime.shutdown_background();
    match finished {
        Ok(result) => end.and(result).map_err(AppError::Failed),
        Err(_) => Err(AppError::Failed(anyhow::anyhow!("the shutdown panicked"))),
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("eyepiece")
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// The end of the log exporter, with what kept it from writing.
type LogsEnd = tokio::sync::oneshot::Receiver<std::io::Result<()>>;

/// The running program.
pub(crate) struct App {
    settings: Settings,
    admin: Option<admin::Admin>,
    attached: Attached,
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

/// The datapath and the watcher that feeds it; whoever drops it detaches everything.
struct Attached {
    links: tokio::task::JoinHandle<Result<(), links::LinksError>>,
    datapath: Option<Datapath>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        // The watcher's end is the attacher's: everything is detached then.
        self.links.abort();
        if let Some(datapath) = self.datapath.take() {
            datapath.stop();
        }
    }
}

impl App {
    /// Builds everything; whatever fails, nothing of ours is left on the machine.
    pub(crate) fn build(runtime: &Runtime, settings: Settings) -> Result<Self, AppError> {
        let SourceKind::Datapath = settings.source.kind;
        let telemetry = Telemetry::default();
        let symbols = Symbols::default();
        let publisher = Publisher::new(Tables::new(&symbols));
        let watch =
            links::Config { filter: mapping::filter(&settings.datapath.interfaces), ..links::Config::default() };
        let Links { events, learner, task, .. } =
            links::build(runtime.handle(), watch, symbols.clone(), publisher.clone(), &telemetry)
                .context("cannot watch interfaces")?;
        let built = datapath::build(&mapping::datapath(&settings), events, &telemetry)?;
        let (datapath, reader, synced) = built;
        let names = MachineNames::new(datapath.names().clone(), publisher.clone(), symbols.clone());
        let (hooks, mode) = (datapath.hooks().clone(), datapath.mode());
        // From here on whatever fails detaches: filters of clsact would stay behind.
        let attached = Attached { links: task, datapath: Some(datapath) };
        let resource = resource(&settings);
        let (stop, stopped) = stop::channel();
        let (end, ended) = stop::channel();
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
        let sinks: Vec<Box<dyn Sink>> = logs.iter().map(|logs| Box::new(logs.sink.clone()) as Box<dyn Sink>).collect();
        let mut learner = learner;
        let (handle, pipeline) = pipeline::spawn(pipeline::Parts {
            source: Box::new(reader),
            source_kind: settings.source.kind.name(),
            tables: publisher.reader(),
            learn: Box::new(move |ifindex, address, now| learner.learn(ifindex, address, now)),
            aggregation: Aggregation::new(mapping::aggregation(&settings.metrics), unix_now()),
            sinks,
            telemetry: telemetry.clone(),
            now: unix_now,
        })
        .context("cannot start the pipeline")?;
        let (mut tasks, mut numbers) = (JoinSet::new(), JoinSet::new());
        let guard = runtime.enter();
        let has_metrics = exports::metrics(&shared, &handle, &mut tasks, &mut numbers)?;
        drop(guard);
        let agent = Agent::new(handle.clone());
        let mut subscriptions = Vec::new();
        for _ in [logs.is_some(), has_metrics].into_iter().filter(|wants| *wants) {
            subscriptions.push(agent.subscribe().context("cannot read the kernel's buffer")?);
        }
        wait_for_hooks(runtime, synced);
        let ready = Ready::default();
        ready.set(true);
        let admin = status::serve(&settings, ready, hooks, mode, &telemetry)?;
        give_back_memory();
        tracing::info!(mode = mode.name(), "watching");
        let logs = logs.map(|logs| logs.done);
        Ok(Self { settings, admin, attached, handle, pipeline, subscriptions, logs, tasks, stop, numbers, end })
    }

    /// Waits for a signal, or for a component that fails.
    async fn wait(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(Duration::from_millis(200));
        let only_prints = only_prints(&self.settings);
        loop {
            tokio::select! {
                printed = ended(&mut self.logs), if only_prints && self.logs.is_some() => {
                    // Nobody reads what we print, and there is nothing else to do.
                    self.logs = None;
                    return printed.context("the printer of flows panicked")?.context("cannot write to standard output");
                }
                heard = signals.next() => match heard {
                    Heard::End => return Ok(()),
                    Heard::Hangup => {
                        tracing::warn!("SIGHUP: no setting of this version can be reloaded; restart to apply changes");
                    }
                },
                _ = look.tick() => {
                    if self.pipeline.is_finished() {
                        anyhow::bail!("the pipeline has ended");
                    }
                    if self.attached.links.is_finished() {
                        anyhow::bail!("the watcher of interfaces has ended");
                    }
                }
            }
        }
    }

    /// Ends in order: sources first, then what they fed, under the drain deadline.
    pub(crate) fn end(self, runtime: &Runtime) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.settings.node.drain;
        drop(self.attached);
        let drained = self.handle.drain();
        self.stop.send_replace(Some(deadline.into()));
        let (mut tasks, mut numbers, mut logs) = (self.tasks, self.numbers, self.logs);
        runtime.block_on(async {
            let late = tokio::time::sleep_until(deadline.into());
            let all = async {
                while tasks.join_next().await.is_some() {}
                match ended(&mut logs).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(%error, "cannot write flows to standard output"),
                    Err(_) => tracing::error!("the log exporter ended early"),
                }
            };
            // The components keep the deadline themselves; a little more time lets them count what they lost.
            tokio::select! {
                () = all => {}
                () = async { late.await; tokio::time::sleep(Duration::from_secs(1)).await } => {
                    tracing::error!("the drain deadline has passed");
                }
            }
            // Now our own numbers know what became of everything.
            let last = tokio::time::Instant::now() + LAST_WORD;
            self.end.send_replace(Some(last));
            let told = async { while numbers.join_next().await.is_some() {} };
            if tokio::time::timeout_at(last + LAST_WORD, told).await.is_err() {
                tracing::error!("the last export of our own numbers did not end");
            }
        });
        drop(self.subscriptions);
        drop(self.handle);
        drop(self.admin);
        match self.pipeline.join() {
            Ok(result) => result.context("the kernel's buffer can no longer be read")?,
            Err(_) => anyhow::bail!("the pipeline panicked"),
        }
        drained.context("the pipeline ended before everything was read")
    }
}

/// Whether standard output is all that anything goes to.
fn only_prints(settings: &Settings) -> bool {
    let exports =
        [eyepiece_config::Signal::Logs, eyepiece_config::Signal::Metrics].map(|signal| settings.otlp.export(signal));
    exports.iter().filter(|export| export.enabled).all(|export| export.protocol == Protocol::Stdout)
}

/// Waits for the end of the log exporter; none has ended.
async fn ended(logs: &mut Option<LogsEnd>) -> Result<std::io::Result<()>, tokio::sync::oneshot::error::RecvError> {
    match logs {
        Some(logs) => logs.await,
        None => Ok(Ok(())),
    }
}

fn resource(settings: &Settings) -> Resource {
    let otlp = &settings.otlp;
    // Names this run: two of the same process id are a reboot apart.
    let instance = format!("{}-{}", settings.node.name, std::process::id());
    let attributes = otlp.resource_attributes.iter().map(|(name, value)| (name.clone(), value.clone()));
    Resource::new(&settings.node.name, &instance, attributes, Some(&otlp.service_name))
}

/// The kernel's types and symbols take tens of megabytes while they are read; the allocator would keep them.
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; returns free pages to the system.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Waits until the interfaces that were there are attached.
fn wait_for_hooks(runtime: &Runtime, synced: tokio::sync::oneshot::Receiver<()>) {
    let result = runtime.block_on(async { tokio::time::timeout(SYNC_PATIENCE, synced).await });
    if result.is_err() {
        tracing::warn!("attaching to the interfaces takes long; it goes on");
    }
}

/// What can end or change the program from outside.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.interrupt.recv() => Heard::End,
            _ = self.terminate.recv() => Heard::End,
            _ = self.hangup.recv() => Heard::Hangup,
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    End,
    Hangup,
}
