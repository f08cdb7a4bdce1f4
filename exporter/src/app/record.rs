//! The wiring of `eyepiece record`: the source that writes what it delivers, and what ends it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eyepiece_config::{Settings, SourceKind};
use eyepiece_flow::interner::Symbols;
use tokio::sync::oneshot;

use super::AppError;
use super::names::MachineNames;
use super::source::{Emitter, Feed};
use crate::metadata::Publisher;
use crate::recording;
use crate::recording::{KernelNameLookup, Open, Pending, Recording, Summary, Writer};
use crate::source::datapath::clock::unix_now;

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
    /// Whether to export too, and to serve what `run` does: the admin endpoint, the monitor's socket, Hubble's API.
    pub export: bool,
}

impl Options {
    /// Without exports nothing is sent, and a program that runs already keeps its ports and sockets.
    ///
    /// # Errors
    /// A source that can't be recorded.
    pub fn settings(&self, mut settings: Settings) -> Result<Settings, AppError> {
        if settings.source.kind == SourceKind::Hubble {
            let wrong = "flows of another Hubble come decoded, and a recording holds payloads of a monitor".to_owned();
            let right = "record from datapath or cilium-monitor";
            return Err(AppError::Setting { key: "source.kind", wrong, right });
        }
        if !self.export {
            settings.otlp.logs.enabled = false;
            settings.otlp.metrics.enabled = false;
            settings.admin.listen = None;
            settings.monitor.socket = None;
            settings.hubble.listen.clear();
        }
        Ok(settings)
    }
}

/// A recording.
pub(super) struct Recorder {
    file: PathBuf,
    state: State,
    pub(super) duration: Option<Duration>,
    /// Hears when the file can take no more.
    pub(super) full: Option<oneshot::Receiver<()>>,
}

enum State {
    /// There is no file yet.
    Pending(Pending),
    Running(Writer),
}

impl KernelNameLookup for MachineNames {
    fn reason(&self, number: u32) -> String {
        crate::pipeline::metrics::KernelNames::reason(self, number).into_owned()
    }

    fn symbol(&self, address: u64) -> String {
        let mut name = String::new();
        eyepiece_flow::lookup::NameLookup::kernel_symbol(self, address, &mut name);
        name
    }
}

impl Recorder {
    /// Lets the feed's source write to a file that [`Self::start`] makes.
    pub(super) fn build(
        options: &Options,
        feed: Feed,
        settings: &Settings,
        publisher: &Publisher,
        symbols: &Symbols,
    ) -> anyhow::Result<(Self, Feed)> {
        let Options { file, force, duration, max_bytes, .. } = options.clone();
        let open = Open { path: file.clone(), force, max_bytes };
        let (chunks, pending) = recording::build(open).map_err(|error| cannot_make(error, &file))?;
        let context = recording::Deps {
            publisher: publisher.clone(),
            symbols: symbols.clone(),
            kernel_names: Box::new(feed.names.clone()),
            origin: origin(settings, &feed.emitter),
            now: unix_now,
        };
        let source = Box::new(Recording::new(feed.source, context, chunks));
        Ok((Self { file, state: State::Pending(pending), duration, full: None }, Feed { source, ..feed }))
    }

    /// Makes the file: once everything else has worked, or a try that failed would stand in the way of the next one.
    pub(super) fn start(self) -> anyhow::Result<Self> {
        let Self { file, state: State::Pending(pending), duration, .. } = self else { return Ok(self) };
        let (writer, full) = pending.start().map_err(|error| cannot_make(error, &file))?;
        Ok(Self { file, state: State::Running(writer), duration, full: Some(full) })
    }

    /// Tells that it has begun.
    pub(super) fn announce(&self) {
        tracing::info!("recording to {}", self.file.display());
    }

    /// Waits until everything is on the disk, for so long at most; the pipeline must have ended.
    pub(super) fn finish(self, patience: Duration) -> Option<Summary> {
        match self.state {
            State::Running(writer) => Some(writer.finish(patience)),
            State::Pending(_) => None,
        }
    }
}

fn cannot_make(error: io::Error, file: &Path) -> anyhow::Error {
    let is_there = error.kind() == io::ErrorKind::AlreadyExists;
    let hint = if is_there { " (a file that is there is only replaced with --force)" } else { "" };
    anyhow::Error::new(error).context(format!("cannot make the recording {}{hint}", file.display()))
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::path::PathBuf;

    use eyepiece_config::{Listen, Settings, SourceKind};

    use super::super::AppError;
    use super::Options;

    /// As a machine has it where an eyepiece runs that serves everything.
    fn everything() -> Settings {
        let mut settings = Settings::default();
        settings.admin.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        settings.monitor.socket = Some(PathBuf::from("m.sock"));
        settings.hubble.listen = vec![Listen::Unix(PathBuf::from("h.sock"))];
        settings
    }

    fn options(export: bool) -> Options {
        Options { file: PathBuf::new(), force: false, duration: None, max_bytes: None, export }
    }

    #[test]
    fn what_a_running_one_serves_stays_its_own_unless_export_is_asked_for() {
        for export in [false, true] {
            let settings = options(export).settings(everything()).unwrap();
            assert_eq!(settings.admin.listen.is_some(), export);
            assert_eq!(settings.monitor.socket.is_some(), export);
            assert_eq!(!settings.hubble.listen.is_empty(), export);
        }
    }

    #[test]
    fn a_source_that_comes_decoded_is_a_wrong_key() {
        let mut settings = Settings::default();
        settings.source.kind = SourceKind::Hubble;
        assert!(matches!(options(false).settings(settings), Err(AppError::Setting { key: "source.kind", .. })));
    }
}
