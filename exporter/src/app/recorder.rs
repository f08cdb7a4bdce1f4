//! The wiring of `eyepiece record`: the source that writes what it delivers, and what ends it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use eyepiece_config::{Settings, SourceKind};
use tokio::sync::oneshot;

use super::names::MachineNames;
use super::source::{Emitter, Feed};
use crate::enrich::Publisher;
use crate::source::datapath::clock::unix_now;
use crate::source::recording::{self, KernelWords, Open, Recording, Summary, Writer};
use crate::symbols::Symbols;

/// Key of a recording's origin: whose events it holds.
pub(super) const EMITTER_NAME: &str = "emitter";
/// Key of a recording's origin: the version of whose events it holds.
pub(super) const EMITTER_VERSION: &str = "emitter-version";

/// What to record.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file.
    pub file: PathBuf,
    /// Whether a file that is there may be replaced.
    pub force: bool,
    /// How long; none = until a signal.
    pub duration: Option<Duration>,
    /// The most bytes of the file; none = no limit.
    pub max_bytes: Option<u64>,
    /// Whether to export too, and to serve the admin endpoint, as `run` does.
    pub export: bool,
}

impl Options {
    /// Without exports nothing is sent, and a program that runs already keeps its ports.
    pub(super) fn settings(&self, mut settings: Settings) -> Settings {
        if !self.export {
            settings.otlp.logs.enabled = false;
            settings.otlp.metrics.enabled = false;
            settings.admin.listen = None;
            settings.hubble.listen.clear();
        }
        settings
    }
}

/// A recording that runs.
pub(super) struct Recorder {
    writer: Writer,
    file: PathBuf,
    pub(super) duration: Option<Duration>,
    /// Hears when the file can take no more.
    pub(super) full: Option<oneshot::Receiver<()>>,
}

impl KernelWords for MachineNames {
    fn reason(&self, number: u32) -> String {
        crate::metrics::KernelNames::reason(self, number).into_owned()
    }

    fn symbol(&self, address: u64) -> String {
        let mut name = String::new();
        crate::names::Names::kernel_symbol(self, address, &mut name);
        name
    }
}

impl Recorder {
    /// Makes the file, and lets the feed's source write to it.
    pub(super) fn build(
        options: &Options,
        feed: Feed,
        settings: &Settings,
        publisher: &Publisher,
        symbols: &Symbols,
    ) -> anyhow::Result<(Self, Feed)> {
        if settings.source.kind == SourceKind::Hubble {
            anyhow::bail!(
                "source.kind: flows of another Hubble come decoded, and a recording holds payloads of a monitor; record from datapath or cilium-monitor"
            );
        }
        let open = Open { path: options.file.clone(), force: options.force, max_bytes: options.max_bytes };
        let built = recording::build(open).with_context(|| {
            let hint = if options.force { "" } else { " (a file that is there is only replaced with --force)" };
            format!("cannot make the recording {}{hint}", options.file.display())
        });
        let (chunks, writer, full) = built?;
        let context = recording::Context {
            publisher: publisher.clone(),
            symbols: symbols.clone(),
            words: Box::new(feed.names.clone()),
            origin: origin(settings, &feed.emitter),
            now: unix_now,
        };
        let source = Box::new(Recording::new(feed.source, context, chunks));
        let recorder = Self { writer, file: options.file.clone(), duration: options.duration, full: Some(full) };
        Ok((recorder, Feed { source, ..feed }))
    }

    /// Tells that it has begun.
    pub(super) fn announce(&self) {
        tracing::info!("recording to {}", self.file.display());
    }

    /// Waits until everything is on the disk; the pipeline must have ended.
    pub(super) fn finish(self) -> anyhow::Result<Summary> {
        self.writer.finish().context("cannot finish the recording")
    }
}

fn origin(settings: &Settings, emitter: &Emitter) -> String {
    let lines = [
        ("program", concat!("eyepiece ", env!("CARGO_PKG_VERSION"))),
        ("source", settings.source.kind.name()),
        ("node", &settings.node.name),
        (EMITTER_NAME, &emitter.name),
        (EMITTER_VERSION, &emitter.version),
    ];
    lines.map(|(key, value)| format!("{key}={value}\n")).concat()
}
