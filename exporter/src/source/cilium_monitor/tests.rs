//! Reconnection to an agent that comes and goes: back-off and logging.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use eyepiece_flow::gob::encode::{PAYLOAD_DESCRIPTOR, payload};
use eyepiece_flow::gob::{EVENT_SAMPLE, Payload};

use super::{CiliumMonitor, Config, Reason, STABLE_AFTER, STALL, State, build};
use crate::source::Source as _;
use crate::support::telemetry::Telemetry;

/// Connections that deliver one event each.
const ROUNDS: u32 = 6;

/// Runs that many unstable or stable connections; returns the wait that follows.
fn flap(stable_after: Duration) -> (CiliumMonitor, Duration, u64) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("m.sock");
    let server = UnixListener::bind(&socket).unwrap();
    let (mut source, controls) = build(Config { socket, stall: STALL, stable_after }, &Telemetry::default()).unwrap();
    source.start().unwrap();
    let (mut events, mut wait) = (0, Duration::ZERO);
    for round in 1..=u64::from(ROUNDS) {
        let mut read = |source: &mut CiliumMonitor| source.read(Duration::from_millis(20), &mut |_| events += 1);
        while !matches!(source.state, State::Connected(_)) {
            read(&mut source).unwrap();
        }
        let (mut stream, _) = server.accept().unwrap();
        let mut bytes = PAYLOAD_DESCRIPTOR.to_vec();
        payload(&mut bytes, &Payload { data: &[1], cpu: 0, lost: 0, kind: EVENT_SAMPLE });
        stream.write_all(&bytes).unwrap();
        drop(stream);
        while controls.view.get().interruptions < round {
            read(&mut source).unwrap();
        }
        let State::Away { next } = source.state else { panic!("connected") };
        wait = next - controls.view.get().since;
    }
    (source, wait, events)
}

/// One wait reports both the end of the stream and another socket at its path.
#[test]
fn replaced_path_after_end_reconnects() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("m.sock");
    let _server = UnixListener::bind(&socket).unwrap();
    let (mut source, controls) =
        build(Config { socket, stall: STALL, stable_after: STABLE_AFTER }, &Telemetry::default()).unwrap();
    source.start().unwrap();
    let connect = |source: &mut CiliumMonitor| {
        let end = Instant::now() + Duration::from_secs(60);
        while !matches!(source.state, State::Connected(_)) {
            assert!(Instant::now() < end, "{:?}", controls.view.get());
            source.read(Duration::from_millis(20), &mut |_| ()).unwrap();
        }
    };
    connect(&mut source);
    source.end(Reason::Closed, "closed", &mut |_| ());
    source.end(Reason::Replaced, "replaced", &mut |_| ());
    assert_eq!(controls.view.get().interruptions, 1);
    connect(&mut source);
}

#[test]
fn one_event_is_no_stable_connection() {
    let (mut source, wait, events) = flap(STABLE_AFTER * 360);
    // At least half of 20 ms that have doubled five times.
    assert!(wait >= Duration::from_millis(320), "{wait:?}");
    assert_eq!(events, u64::from(ROUNDS), "each event is delivered");
    assert!(!source.reconnect_log.on_connect() && !source.reconnect_log.on_disconnect("closed"), "already logged");
}

#[test]
fn attempt_after_stable_connection_is_immediate() {
    let (mut source, wait, _) = flap(Duration::ZERO);
    assert!(wait <= Duration::from_millis(20), "{wait:?}");
    assert!(source.reconnect_log.on_connect(), "logged again");
}
