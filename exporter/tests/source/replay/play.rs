//! The source that plays: order, snapshots before the events that need them, ends of every kind.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eyepiece::metadata::{LinkTables, Publisher};
use eyepiece::source::replay::{Config, Controls, Deps, Replay, ReplayError};
use eyepiece::source::{Halt, Source as _, Waker, replay};
use eyepiece::support::telemetry::Telemetry;
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::recording::{format, metadata};
use eyepiece_tests::owned_event::{Owned, event, text};
use eyepiece_wire::InterfaceKind;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

/// Made anew from the same seed by each test.
pub(crate) fn events(count: usize) -> Vec<Owned> {
    let mut runner = TestRunner::deterministic();
    let strategy = event();
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("an event").current()).collect()
}

pub(crate) struct Played {
    pub(crate) publisher: Publisher,
    pub(crate) symbols: Symbols,
    pub(crate) telemetry: Telemetry,
    pub(crate) replay: Replay,
    pub(crate) controls: Controls,
}

pub(crate) fn open(path: &Path, speed: f64) -> Result<Played, ReplayError> {
    open_until(path, speed, &Halt::new(Waker::new().expect("a waker")))
}

fn open_until(path: &Path, speed: f64, leave: &Halt) -> Result<Played, ReplayError> {
    let (symbols, telemetry) = (Symbols::default(), Telemetry::default());
    let publisher = Publisher::new(LinkTables::new(&symbols));
    let parts = Deps { symbols: symbols.clone(), publisher: publisher.clone(), telemetry: &telemetry, shutdown: leave };
    let (mut replay, controls) = replay::build(&Config { path: path.display().to_string(), speed }, parts)?;
    replay.start().expect("start");
    Ok(Played { publisher, symbols, telemetry, replay, controls })
}

impl Played {
    /// Plays to the end; the events' texts.
    pub(crate) fn all(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        while self.controls.finished.try_recv().is_err() {
            self.replay.read(Duration::from_secs(1), &mut |event| seen.push(text(event))).expect("read");
        }
        assert_eq!(self.replay.read(Duration::ZERO, &mut |_| panic!("behind the end")).expect("read"), 0);
        seen
    }

    pub(crate) fn number(&self, name: &str, reason: &str) -> u64 {
        let samples = self.telemetry.samples();
        let is_it = |attributes: &[(&str, String)]| attributes.iter().any(|(_, value)| value == reason);
        samples.iter().filter(|one| one.key.name == name && is_it(&one.key.attributes)).map(|one| one.value).sum()
    }
}

fn file(folder: &tempfile::TempDir, records: &[u8]) -> PathBuf {
    let path = folder.path().join("recording");
    std::fs::write(&path, [&format::head()[..], records].concat()).expect("a file");
    path
}

fn records(events: &[Owned]) -> Vec<u8> {
    let mut out = Vec::new();
    events.iter().for_each(|event| format::write_event(&event.event(), 1, &mut out));
    out
}

fn texts(events: &[Owned]) -> Vec<String> {
    events.iter().map(|event| text(&event.event())).collect()
}

#[test]
fn events_in_order_then_end() {
    let folder = tempfile::tempdir().expect("a folder");
    for count in [0, 1, 4095, 4096, 4097, 20_000] {
        let events = events(count);
        let path = file(&folder, &records(&events));
        assert!(open(&path, 0.0).expect("open").all() == texts(&events), "{count}");
    }
}

#[test]
fn cut_tail_is_reported_rest_played() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = events(100);
    let bytes = records(&events);
    let mut played = open(&file(&folder, &bytes[..bytes.len() - 5]), 0.0).expect("open");
    assert_eq!(played.all(), texts(&events[..99]));
    assert!(played.number("eyepiece.source.discarded", "truncated") > 0);
    assert_eq!(played.number("eyepiece.source.damaged", "record_body"), 0);
}

#[test]
fn damage_costs_only_damaged_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = events(100);
    let mut bytes = records(&events[..50]);
    bytes[5] ^= 1;
    bytes.extend(vec![0x55; 300_000]);
    let at = bytes.len();
    bytes.extend(records(&events[50..]));
    bytes[at + format::RECORD_HEAD] ^= 1;
    let mut played = open(&file(&folder, &bytes), 0.0).expect("open");
    let mut expected = texts(&events);
    expected.remove(50);
    expected.remove(0);
    assert_eq!(played.all(), expected);
    assert!(played.number("eyepiece.source.damaged", "record_head") >= 2);
    assert_eq!(played.number("eyepiece.source.damaged", "record_body"), 1);
    assert!(played.number("eyepiece.source.discarded", "record_head") >= 300_000);
}

#[test]
fn other_files_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other");
    assert!(matches!(open(&path, 0.0), Err(ReplayError::Open { .. })));
    std::fs::write(&path, "[source]\nkind = \"replay\"\n").expect("a file");
    let error = open(&path, 0.0).err().expect("an error").to_string();
    assert_eq!(error, format!("invalid recording {}: expected a file of eyepiece record", path.display()));
    std::fs::write(&path, &format::head()[..9]).expect("a file");
    let error = open(&path, 0.0).err().expect("an error").to_string();
    assert_eq!(error, format!("invalid recording {}: expected a head of 16 bytes, found 9", path.display()));
}

#[test]
fn snapshot_precedes_its_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = events(3);
    let mut bytes = Vec::new();
    for (ifindex, event) in (1..).zip(&events) {
        let mut body = Vec::new();
        let name = format!("veth{ifindex}");
        let entry =
            metadata::MetadataEntry::Interface { ifindex, kind: InterfaceKind::Endpoint, endpoint: 1, name: &name };
        metadata::write(&entry, &mut body);
        assert!(format::write_metadata(&body, 1, &mut bytes));
        format::write_event(&event.event(), 1, &mut bytes);
    }
    format::write_reason(2, "NETFILTER_DROP", 1, &mut bytes);
    format::write_symbol(99, "nf_hook_slow", 1, &mut bytes);
    let mut played = open(&file(&folder, &bytes), 0.0).expect("open");
    let mut names = Vec::new();
    while played.controls.finished.try_recv().is_err() {
        // As the pipeline: the snapshot is taken before a read, and serves all of it.
        let links = played.publisher.links();
        let (symbols, names) = (&played.symbols, &mut names);
        let mut take = |_: &eyepiece_flow::event::Event<'_>| {
            names.extend(links.interfaces().map(|(_, info)| symbols.text(info.name).to_string()));
        };
        played.replay.read(Duration::from_secs(1), &mut take).expect("read");
    }
    assert_eq!(names, ["veth1", "veth2", "veth3"]);
    assert_eq!(played.controls.names.reason(2), "NETFILTER_DROP");
    assert_eq!(played.controls.names.reason(3), "3");
    assert_eq!(played.controls.names.symbol(99).as_deref(), Some("nf_hook_slow"));
}

fn raw_at(time: u64) -> Owned {
    Owned::Raw(vec![4], RawEvent { time, cpu: 0, data: &[], traffic: None, kernel_drop: None })
}

#[test]
fn event_of_next_hour_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = 1_700_000_000_000_000_000;
    let hour = 3_600_000_000_000;
    // The clock was set back in between: what is earlier is due.
    let events = [raw_at(start), raw_at(start - hour), raw_at(start + hour)];
    let path = file(&folder, &records(&events));
    let mut played = open(&path, 1.0).expect("open");
    let mut count = 0;
    for _ in 0..20 {
        count += played.replay.read(Duration::from_millis(1), &mut |_| ()).expect("read");
    }
    assert_eq!(count, 2);
    assert!(played.controls.finished.try_recv().is_err());
    // After the stop it plays no more.
    played.controls.halt.request();
    assert_eq!(played.replay.read(Duration::from_secs(3600), &mut |_| ()).expect("read"), 0);
    assert_eq!(open(&path, 1e6).expect("open").all().len(), 3, "an hour in 3.6 ms");
}

#[test]
fn pipe_is_played_while_filled() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = pipe(&folder);
    let events = events(500);
    let bytes = [&format::head()[..], &records(&events)].concat();
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut pipe = std::fs::OpenOptions::new().write(true).open(path).expect("open");
            bytes.chunks(777).for_each(|chunk| pipe.write_all(chunk).expect("write"));
        })
    };
    assert_eq!(open(&path, 0.0).expect("open").all(), texts(&events));
    writer.join().expect("the writer");
}

/// Makes a pipe in a folder.
fn pipe(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).expect("a pipe");
    path
}

#[test]
fn empty_pipe_is_left_on_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = pipe(&folder);
    let left = |leave: &Halt| matches!(open_until(&path, 0.0, leave), Err(ReplayError::Interrupted));
    let leave = || Halt::new(Waker::new().expect("a waker"));
    // It has no writer.
    let asked = leave();
    asked.request();
    assert!(left(&asked));
    // Its writer sends only the head; stopped while it waits.
    let mut writer = File::options().read(true).write(true).open(&path).expect("open");
    writer.write_all(&format::head()).expect("write");
    let asked = leave();
    let asks = std::thread::spawn({
        let asked = asked.clone();
        move || asked.request()
    });
    assert!(left(&asked));
    asks.join().expect("the thread that asks");
}
