//! The running program: waits for its end, then shuts the components down in order.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use eyepiece_config::{Protocol, Settings, Signal};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::feed::SourceGuard;
use super::metadata::Providers;
use super::record::Recorder;
use super::signals::Signals;
use super::undelivered;
use super::undelivered::{Dropped, destination};
use crate::pipeline;
use crate::recording::Summary;
use crate::serve::http::Server;
use crate::serve::monitor::agent::Subscription;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// The interval between checks of the pipeline and the source for a failure.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Time for the last export of our own metrics, which count everything else: a request's time on a busy machine.
const LAST_EXPORT: Duration = Duration::from_secs(2);
/// The last export gets at most this part of the drain.
const LAST_EXPORT_SHARE: u32 = 5;
/// The time for components to end after their deadline.
const SLACK: Duration = Duration::from_millis(500);

/// The result of the log exporter's thread.
pub(super) type LogsResult = oneshot::Receiver<io::Result<()>>;

/// Tasks that a shutdown ends together.
pub(super) struct Phase {
    pub(super) tasks: JoinSet<()>,
    /// Seen by the tasks.
    pub(super) stop: Stop,
    deadline: watch::Sender<Option<Instant>>,
}

impl Default for Phase {
    fn default() -> Self {
        let (deadline, stop) = shutdown::channel();
        Self { tasks: JoinSet::new(), stop, deadline }
    }
}

impl Phase {
    /// Sends the deadline to the tasks.
    fn stop_by(&self, deadline: Instant) {
        self.deadline.send_replace(Some(deadline));
    }

    async fn join(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The running program.
pub(super) struct App {
    pub(super) settings: Settings,
    pub(super) telemetry: Telemetry,
    pub(super) admin: Option<Server>,
    /// Holds a handle of the pipeline.
    pub(super) prometheus: Option<Server>,
    pub(super) source: Box<dyn SourceGuard>,
    /// Held until the end.
    pub(super) _providers: Providers,
    pub(super) recorder: Option<Recorder>,
    pub(super) serving: Runtime,
    /// Receives the reason of an end from inside: the source's end, a recording's limit.
    pub(super) end_reasons: mpsc::Receiver<&'static str>,
    pub(super) handle: pipeline::Handle,
    pub(super) pipeline: JoinHandle<io::Result<()>>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) logs: Option<LogsResult>,
    pub(super) components: Phase,
    /// Exports our own metrics; ends after the components, and counts their losses.
    pub(super) own_metrics: Phase,
}

impl App {
    /// Waits for a signal, an end from inside, or a component that fails.
    pub(super) async fn wait(&mut self, signals: &Signals) -> anyhow::Result<()> {
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        let only_prints = only_prints(&self.settings);
        loop {
            tokio::select! {
                printed = logs_result(&mut self.logs), if only_prints && self.logs.is_some() => {
                    // Standard output is closed, and there is nothing else to do.
                    self.logs = None;
                    return printed.context("the printer of flows panicked")?.context("cannot write to standard output");
                }
                () = signals.requested() => return Ok(()),
                Some(reason) = self.end_reasons.recv() => {
                    tracing::info!(reason, "shutting down");
                    return Ok(());
                }
                _ = check.tick() => {
                    if self.pipeline.is_finished() {
                        anyhow::bail!("the pipeline has ended");
                    }
                    if let Some(failure) = self.source.failure() {
                        anyhow::bail!(failure);
                    }
                }
            }
        }
    }

    /// Ends the source, then its consumers, then our own metrics and the recording, all under the drain deadline.
    pub(super) fn shut_down(mut self, runtime: &Runtime) -> (Option<Summary>, anyhow::Result<()>) {
        let drain = self.settings.node.drain;
        let deadline = Instant::now() + drain;
        let last_export = LAST_EXPORT.min(drain / LAST_EXPORT_SHARE);
        let before = Dropped::so_far(&self.telemetry);
        drop(self.source);
        let drained = self.handle.drain();
        self.components.stop_by(deadline - last_export);
        runtime.block_on(async {
            join_components(&mut self.components, self.logs, &self.settings, deadline).await;
            let last = deadline.max(Instant::now() + last_export / 2);
            self.own_metrics.stop_by(last);
            if timeout_at(last + SLACK, self.own_metrics.join()).await.is_err() {
                let receiver = destination(&self.settings, Signal::Metrics);
                tracing::error!(receiver, "cannot deliver the last values of our own metrics in time");
            }
        });
        // Cuts off what has not ended: the pipeline ends when nothing holds its handle.
        drop(self.components);
        self.serving.shutdown_background();
        undelivered::log(&before, &self.telemetry, &self.settings);
        drop(self.subscriptions);
        let waker = self.handle.waker();
        drop(self.handle);
        drop(self.admin);
        drop(self.prometheus);
        waker.wake();
        let read = match self.pipeline.join() {
            Ok(result) => result.context("cannot read the source any more"),
            Err(_) => Err(anyhow::anyhow!("the pipeline panicked")),
        };
        let drained = drained.context("the pipeline ended before everything was read");
        // The pipeline has dropped its end of the recording; a disk that takes no more is not waited for.
        let patience = deadline.saturating_duration_since(Instant::now()).max(SLACK);
        let summary = self.recorder.and_then(|recorder| recorder.finish(patience));
        (summary, read.and(drained))
    }
}

/// Waits for the components. They keep the deadline themselves; the slack lets them count losses.
async fn join_components(components: &mut Phase, mut logs: Option<LogsResult>, settings: &Settings, deadline: Instant) {
    let all = async {
        components.join().await;
        match logs_result(&mut logs).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "cannot write flows to standard output"),
            Err(_) => {
                let receiver = destination(settings, Signal::Logs);
                tracing::error!(receiver, "the exporter of log records ended before it had sent all");
            }
        }
    };
    if timeout_at(deadline + SLACK, all).await.is_err() {
        tracing::error!(drain = ?settings.node.drain, "components did not end within node.drain and are stopped");
    }
}

/// Returns whether standard output is the only destination of exports.
fn only_prints(settings: &Settings) -> bool {
    let exports = Signal::ALL.map(|signal| settings.otlp.export(signal));
    exports.iter().filter(|export| export.enabled).all(|export| export.protocol == Protocol::Stdout)
}

/// Waits for the end of the log exporter; returns at once without one.
async fn logs_result(logs: &mut Option<LogsResult>) -> Result<io::Result<()>, oneshot::error::RecvError> {
    match logs {
        Some(logs) => logs.await,
        None => Ok(Ok(())),
    }
}
