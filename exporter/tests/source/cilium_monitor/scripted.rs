//! A server at a path that a test scripts, and a reader of the source under test.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use eyepiece::source::Source as _;
use eyepiece::source::cilium_monitor;
use eyepiece::source::cilium_monitor::connection::Reason;
use eyepiece::source::cilium_monitor::{CiliumMonitor, Config, Controls, STALL};
use eyepiece::support::telemetry::Telemetry;
use eyepiece_flow::event::Event;
use eyepiece_flow::gob::encode::{PAYLOAD_DESCRIPTOR, payload};
use eyepiece_flow::gob::{EVENT_SAMPLE, Payload, RECORD_LOST};

/// Timeout of expected events; only a failure takes that long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An event that the source has passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// CPU and payload.
    Raw(u16, Vec<u8>),
    /// CPU and count.
    Lost(Option<u16>, u64),
}

/// An event of this payload.
pub(crate) fn raw(cpu: u16, data: &[u8]) -> Seen {
    Seen::Raw(cpu, data.to_vec())
}

/// The source under test, its path, and what it has handed over.
pub(crate) struct Reader {
    pub(crate) path: PathBuf,
    pub(crate) telemetry: Telemetry,
    pub(crate) controls: Controls,
    pub(crate) seen: Vec<Seen>,
    source: CiliumMonitor,
    _folder: tempfile::TempDir,
}

impl Reader {
    /// Reads `m.sock` in its own folder.
    pub(crate) fn start() -> Self {
        Self::start_at("m.sock", STALL)
    }

    /// Reads a path below its own folder.
    pub(crate) fn start_at(path: &str, stall: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(path);
        let telemetry = Telemetry::default();
        // Each connection is a good one: what is tested here does not wait.
        let config = Config { socket: path.clone(), stall, stable_after: Duration::ZERO };
        let (mut source, controls) = cilium_monitor::build(config, &telemetry).expect("a source");
        source.start().expect("start");
        Self { path, telemetry, controls, seen: Vec::new(), source, _folder: folder }
    }

    /// One read of the source.
    pub(crate) fn read(&mut self, timeout: Duration) -> usize {
        let seen = &mut self.seen;
        let mut take = |event: &Event<'_>| {
            seen.push(match event {
                Event::Raw(raw) => {
                    assert!(raw.time > 1_600_000_000_000_000_000 && raw.traffic.is_none());
                    Seen::Raw(raw.cpu, raw.data.to_vec())
                }
                Event::Lost(lost) => Seen::Lost(lost.cpu, lost.count),
                other => panic!("{other:?}"),
            });
        };
        self.source.read(timeout, &mut take).expect("read")
    }

    /// Reads until something is so.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let found = eyepiece_tests::until(TIMEOUT, what, || {
            let found = is_so(self).then_some(());
            if found.is_none() {
                self.read(Duration::from_millis(20));
            }
            found
        });
        found.unwrap_or_else(|error| panic!("{error}: {:?}, {:?}", self.seen.last(), self.controls.view.get()));
    }

    /// Reads until `count` events have arrived, then takes them.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Seen> {
        self.until(&format!("{count} events"), |reader| reader.seen.len() >= count);
        std::mem::take(&mut self.seen)
    }

    /// Reads until the connection's state is this: `None` = connected, else the reason.
    pub(crate) fn until_reason(&mut self, reason: Option<&str>) {
        let is_so = |reader: &Self| reader.controls.view.get().reason.map(Reason::name) == reason;
        self.until(&format!("{reason:?}"), is_so);
    }

    /// The value of a number whose reason is this.
    pub(crate) fn number(&self, name: &str, reason: Option<&str>) -> u64 {
        let samples = self.telemetry.samples();
        let is_it = |attributes: &[(&str, String)]| {
            reason.is_none_or(|reason| attributes.iter().any(|(_, value)| value == reason))
        };
        let wanted = samples.iter().filter(|sample| sample.key.name == name && is_it(&sample.key.attributes));
        wanted.map(|sample| sample.value).sum()
    }

    /// Stops wanting events.
    pub(crate) fn stop(&mut self) {
        self.source.stop();
    }

    /// Wants them again.
    pub(crate) fn restart(&mut self) {
        self.source.start().expect("start");
    }
}

/// A server at a path.
pub(crate) struct Server(UnixListener);

impl Server {
    /// Listens.
    pub(crate) fn at(path: &Path) -> Self {
        Self(UnixListener::bind(path).expect("bind"))
    }

    /// The next connection; the reader reads meanwhile, which is how it connects.
    pub(crate) fn accept(&self, reader: &mut Reader) -> UnixStream {
        reader.until_reason(None);
        self.0.accept().expect("accept").0
    }
}

/// A reader and the server at its path.
pub(crate) fn served() -> (Reader, Server) {
    let reader = Reader::start();
    let server = Server::at(&reader.path);
    (reader, server)
}

/// A reader, its server, and the connection between them.
pub(crate) fn connected() -> (Reader, Server, UnixStream) {
    let (mut reader, server) = served();
    let stream = server.accept(&mut reader);
    (reader, server, stream)
}

/// The beginning of a stream.
pub(crate) fn descriptor() -> Vec<u8> {
    PAYLOAD_DESCRIPTOR.to_vec()
}

/// A message with an event.
pub(crate) fn sample(cpu: i64, data: &[u8]) -> Vec<u8> {
    message(Payload { data, cpu, lost: 0, kind: EVENT_SAMPLE })
}

/// A message with a loss.
pub(crate) fn lost(cpu: i64, lost: u64) -> Vec<u8> {
    message(Payload { data: &[], cpu, lost, kind: RECORD_LOST })
}

/// Any message.
pub(crate) fn message(value: Payload<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    payload(&mut out, &value);
    out
}

/// Sends all of these.
pub(crate) fn send(stream: &mut UnixStream, parts: &[Vec<u8>]) {
    stream.write_all(&parts.concat()).expect("write");
}
