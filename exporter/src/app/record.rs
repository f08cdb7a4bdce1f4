//! The wiring of `eyepiece record`: a source that also writes its events, and the end of the recording.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eyepiece_config::{Settings, SourceKind};
use tokio::sync::oneshot;

use super::error::{AppError, SettingError};
use super::feed::{EMITTER_NAME, EMITTER_VERSION, Emitter, Feed, SourceDeps};
use super::names::MachineNames;
use crate::recording;
use crate::recording::{KernelNameLookup, Open, Pending, Recording, Summary, Writer};
use crate::support::clock::unix_now;

/// The settings of a recording.
#[derive(Clone, Debug)]
pub struct RecordConfig {
    /// The file.
    pub file: PathBuf,
    /// Whether to replace an existing file.
    pub force: bool,
    /// The duration; `None` = until a signal.
    pub duration: Option<Duration>,
    /// The most bytes of the file; `None` = no limit.
    pub max_bytes: Option<u64>,
    /// Whether to export as well, and to serve as `run` does: the admin endpoint, the monitor's socket, Hubble's API.
    pub export: bool,
}

impl RecordConfig {
    /// Switches off exports and listeners unless [`Self::export`] is set: a running eyepiece keeps its ports and sockets.
    ///
    /// # Errors
    /// The source cannot be recorded.
    pub fn apply(&self, mut settings: Settings) -> Result<Settings, AppError> {
        if settings.source.kind == SourceKind::Hubble {
            let wrong = "flows of another Hubble are decoded, and a recording holds payloads of a monitor".to_owned();
            let right = "record from datapath or cilium-monitor";
            return Err(SettingError { key: "source.kind", wrong, right }.into());
        }
        if !self.export {
            settings.otlp.logs.enabled = false;
            settings.otlp.metrics.enabled = false;
            settings.admin.listen = None;
            settings.prometheus.listen = None;
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
    /// Completes when the file can take no more.
    pub(super) full: Option<oneshot::Receiver<()>>,
}

enum State {
    /// There is no file yet.
    Pending(Pending),
    Running(Writer),
}

impl KernelNameLookup for MachineNames {
    fn reason(&self, number: u32) -> String {
        crate::pipeline::metrics::DropReasonNames::reason(self, number).into_owned()
    }

    fn symbol(&self, address: u64) -> String {
        let mut name = String::new();
        eyepiece_flow::lookup::NameLookup::kernel_symbol(self, address, &mut name);
        name
    }
}

impl Recorder {
    /// Wraps the feed's source: events also go to a file that [`Self::start`] creates.
    pub(super) fn build(config: &RecordConfig, feed: Feed, deps: &SourceDeps<'_>) -> anyhow::Result<(Self, Feed)> {
        let RecordConfig { file, force, duration, max_bytes, .. } = config.clone();
        let open = Open { path: file.clone(), force, max_bytes };
        let (chunks, pending) = recording::build(open).map_err(|error| cannot_create(error, &file))?;
        let deps = recording::Deps {
            publisher: deps.publisher.clone(),
            kernel_names: Box::new(feed.names.clone()),
            origin: origin(deps.settings, &feed.emitter),
            now: unix_now,
        };
        let source = Box::new(Recording::new(feed.source, deps, chunks));
        Ok((Self { file, state: State::Pending(pending), duration, full: None }, Feed { source, ..feed }))
    }

    /// Creates the file, after everything else has started: a failed start leaves no file in the way of the next.
    pub(super) fn start(self) -> anyhow::Result<Self> {
        let Self { file, state: State::Pending(pending), duration, .. } = self else { return Ok(self) };
        let (writer, full) = pending.start().map_err(|error| cannot_create(error, &file))?;
        Ok(Self { file, state: State::Running(writer), duration, full: Some(full) })
    }

    pub(super) fn log_start(&self) {
        tracing::info!("recording to {}", self.file.display());
    }

    /// Waits until everything is on the disk, for at most `patience`; the pipeline must have ended.
    pub(super) fn finish(self, patience: Duration) -> Option<Summary> {
        match self.state {
            State::Running(writer) => Some(writer.finish(patience)),
            State::Pending(_) => None,
        }
    }
}

fn cannot_create(error: io::Error, file: &Path) -> anyhow::Error {
    let is_there = error.kind() == io::ErrorKind::AlreadyExists;
    let hint = if is_there { " (only --force replaces an existing file)" } else { "" };
    anyhow::Error::new(error).context(format!("cannot create the recording {}{hint}", file.display()))
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

    use super::RecordConfig;
    use crate::app::{AppError, SettingError};

    /// Settings that serve everything.
    fn everything() -> Settings {
        let mut settings = Settings::default();
        settings.admin.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        settings.monitor.socket = Some(PathBuf::from("m.sock"));
        settings.hubble.listen = vec![Listen::Unix(PathBuf::from("h.sock"))];
        settings
    }

    fn config(export: bool) -> RecordConfig {
        RecordConfig { file: PathBuf::new(), force: false, duration: None, max_bytes: None, export }
    }

    #[test]
    fn listeners_are_off_without_export() {
        for export in [false, true] {
            let settings = config(export).apply(everything()).unwrap();
            assert_eq!(settings.admin.listen.is_some(), export);
            assert_eq!(settings.monitor.socket.is_some(), export);
            assert_eq!(!settings.hubble.listen.is_empty(), export);
        }
    }

    #[test]
    fn decoded_source_is_refused() {
        let mut settings = Settings::default();
        settings.source.kind = SourceKind::Hubble;
        let refused = config(false).apply(settings);
        assert!(matches!(refused, Err(AppError::Setting(SettingError { key: "source.kind", .. }))));
    }
}
