//! Checks the recording source: the events that it passes on can be played again, within its limits.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use eyepiece::metadata::{InterfaceInfo, LinkTables, Publisher};
use eyepiece::recording;
use eyepiece::recording::{Deps, End, KernelNameLookup, Open, Recording, Summary};
use eyepiece::source::{Source, Waker};
use eyepiece_flow::event::{Event, RawEvent};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::recording::format;
use eyepiece_wire::InterfaceKind;

use super::play::{events, open};
use eyepiece_tests::eventually;
use eyepiece_tests::owned_event::{Owned, text};

/// Delivers events, some each read.
struct Delivers(Vec<Owned>, usize, Waker);

impl Source for Delivers {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&mut self) {}

    fn read(&mut self, _: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let count = self.1.min(self.0.len());
        self.0.drain(..count).for_each(|event| sink(&event.event()));
        Ok(count)
    }

    fn waker(&self) -> Waker {
        self.2.clone()
    }
}

struct Words;

impl KernelNameLookup for Words {
    fn reason(&self, number: u32) -> String {
        format!("R{number}")
    }

    fn symbol(&self, address: u64) -> String {
        format!("s{address}")
    }
}

fn options(path: &Path) -> Open {
    Open { path: path.to_owned(), force: false, max_bytes: None }
}

/// Records events, with another snapshot in the middle.
fn record(options: Open, events: &[Owned]) -> (Vec<String>, Summary) {
    let symbols = Symbols::default();
    let publisher = Publisher::new(LinkTables::new(&symbols));
    let (chunks, pending) = recording::build(options).expect("a recording");
    let (writer, _) = pending.start().expect("a file");
    let context = Deps {
        publisher: publisher.clone(),
        kernel_names: Box::new(Words),
        origin: "program=test\nemitter=cilium\n".to_owned(),
        now: || 5,
    };
    let inner = Delivers(events.to_vec(), 97, Waker::new().expect("a waker"));
    let mut recording = Recording::new(Box::new(inner), context, chunks);
    recording.start().expect("start");
    let mut seen = Vec::new();
    while recording.read(Duration::ZERO, &mut |event| seen.push(text(event))).expect("read") > 0 {
        let mut links = LinkTables::new(&symbols);
        let (name, kind) = (symbols.intern("veth9"), InterfaceKind::Endpoint);
        links.add_interface(9, InterfaceInfo { name, kind, endpoint: 1 });
        links.add_endpoint_address([10, 0, 0, 9].into(), 1, true);
        links.add_namespace(77, 1);
        publisher.publish(links);
    }
    drop(recording);
    (seen, writer.finish(Duration::from_secs(60)))
}

fn texts(events: &[Owned]) -> Vec<String> {
    events.iter().map(|event| text(&event.event())).collect()
}

/// Returns whether a thread of this name holds no capability.
fn is_unprivileged(thread: &str) -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs").flatten();
    let statuses = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    let lines = [format!("Name:\t{thread}"), "CapEff:\t0000000000000000".into(), "CapPrm:\t0000000000000000".into()];
    statuses.into_iter().any(|status| lines.iter().all(|line| status.lines().any(|found| found == line)))
}

#[test]
fn recording_thread_holds_no_capabilities() {
    let folder = tempfile::tempdir().expect("a folder");
    let (chunks, pending) = recording::build(options(&folder.path().join("recording"))).expect("a recording");
    let (writer, _) = pending.start().expect("a file");
    let is_so = || is_unprivileged("recording").then_some(());
    eventually(Duration::from_secs(60), "the thread keeps capabilities", is_so).expect("no capability");
    drop(chunks);
    assert!(matches!(writer.finish(Duration::from_secs(60)).end, Ok(End::Done)));
}

#[test]
fn recording_replays_delivered_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording");
    let events = events(2000);
    let (seen, summary) = record(options(&path), &events);
    assert_eq!(seen, texts(&events));
    let metadata = std::fs::metadata(&path).expect("the file");
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (summary.bytes, 0o600));
    assert!(matches!(summary.end, Ok(End::Done)));
    let raw = events.iter().filter(|event| matches!(event, Owned::Raw(..))).count() as u64;
    let counts = summary.written;
    assert_eq!((counts.events, counts.events + counts.totals + counts.losses), (raw, 2000));
    assert_eq!((summary.unrecorded, summary.beyond), Default::default());

    let mut played = open(&path, 0.0).expect("open");
    assert_eq!(played.controls.origin["emitter"], "cilium");
    assert_eq!(played.all(), texts(&events));
    let links = played.publisher.links();
    let end = links.end(&[10, 0, 0, 9].into());
    assert_eq!((&*played.symbols.text(end.name), end.endpoint, end.learned), ("veth9", 1, true));
    assert_eq!(links.namespace(77), Some(1));
    assert_eq!(&*played.symbols.text(links.end(&[10, 0, 0, 8].into()).name), "world");
    let drops = events.iter().filter_map(|event| match event {
        Owned::Raw(_, event) => event.kernel_drop,
        _ => None,
    });
    let mut count = 0;
    for drop in drops {
        count += 1;
        assert_eq!(played.controls.names.reason(drop.reason), format!("R{}", drop.reason));
        assert_eq!(played.controls.names.symbol(drop.location).as_deref(), Some(&*format!("s{}", drop.location)));
    }
    assert!(count > 100);
}

#[test]
fn existing_file_needs_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording");
    std::fs::write(&path, vec![1; 1 << 20]).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("mode");
    let error = recording::build(options(&path)).expect_err("it is there");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    let late = folder.path().join("late");
    let (_, pending) = recording::build(options(&late)).expect("it is not there yet");
    std::fs::write(&late, "precious").expect("a file");
    assert_eq!(pending.start().expect_err("it is there").kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&late).expect("the file"), b"precious");
    assert_eq!(std::fs::metadata(&path).expect("the file").len(), 1 << 20);
    let (_, summary) = record(Open { force: true, ..options(&path) }, &events(10));
    let metadata = std::fs::metadata(&path).expect("the file");
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (summary.bytes, 0o600));
}

#[test]
fn limit_holds_and_rest_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = events(3000);
    let all = record(options(&folder.path().join("all")), &events).1;
    for (name, max) in [("head", 16), ("half", all.bytes / 2), ("whole", all.bytes)] {
        let path = folder.path().join(name);
        let (seen, summary) = record(Open { max_bytes: Some(max), ..options(&path) }, &events);
        assert_eq!(seen.len(), 3000, "the pipeline gets everything");
        assert!(summary.bytes <= max && std::fs::metadata(&path).expect("the file").len() == summary.bytes);
        let played = open(&path, 0.0).expect("open").all();
        let total = |counts: recording::Counts| counts.events + counts.totals + counts.losses;
        assert_eq!(played, texts(&events[..played.len()]));
        assert_eq!(played.len() as u64, total(summary.written));
        assert_eq!(total(summary.written) + total(summary.beyond) + total(summary.unrecorded), 3000);
        assert_eq!(matches!(summary.end, Ok(End::Limit)), name != "whole", "{name}");
    }
}

#[test]
fn full_disk_is_error() {
    let (_, pending) = recording::build(Open { force: true, ..options(Path::new("/dev/full")) }).expect("no file yet");
    let error = pending.start().expect_err("no room");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn old_file_stays_until_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording");
    drop(recording::build(options(&path)).expect("a recording"));
    assert!(!path.exists());
    std::fs::write(&path, "precious").expect("a file");
    let (_, pending) = recording::build(Open { force: true, ..options(&path) }).expect("a recording");
    assert_eq!(std::fs::read(&path).expect("the file"), b"precious");
    drop(pending.start().expect("a file"));
    assert_eq!(std::fs::metadata(&path).expect("the file").len(), format::HEAD as u64);
}

#[test]
fn limit_cuts_between_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = events(300);
    let all = record(options(&folder.path().join("all")), &events).1;
    let longest = 28 + 56 + 16 + 300 + 1000;
    for max in [all.bytes / 3, all.bytes - 1] {
        let path = folder.path().join(max.to_string());
        let summary = record(Open { max_bytes: Some(max), ..options(&path) }, &events).1;
        assert!(summary.bytes <= max && summary.bytes + longest > max, "{} of {max}", summary.bytes);
        assert_eq!(open(&path, 0.0).expect("open").all().len() as u64, summary.written.records());
    }
}

#[test]
fn own_notifications_are_not_recorded() {
    let mut out = Vec::new();
    let raw = RawEvent { time: 1, cpu: 0, data: &[130], traffic: None, kernel_drop: None };
    format::write_event(&Event::Notification(raw), 1, &mut out);
    assert!(out.is_empty());
}
