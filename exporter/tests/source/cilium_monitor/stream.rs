//! Checks that a healthy agent's events arrive unchanged, and that the drain ends.

use std::io::Write as _;
use std::time::Duration;

use eyepiece_flow::gob::Payload;

use super::scripted::{Seen, connected, descriptor, lost, message, raw, sample, send};

#[test]
fn payloads_losses_and_cpus() {
    let (mut reader, _server, mut stream) = connected();
    let big = vec![4; 65_531];
    let messages =
        [sample(0, &[4, 0, 255]), sample(3, &[1; 100]), lost(5, 300), sample(-1, &[2]), lost(-1, 7), sample(1, &big)];
    send(&mut stream, &[descriptor(), messages.concat()]);
    let expected = [
        raw(0, &[4, 0, 255]),
        raw(3, &[1; 100]),
        Seen::Lost(Some(5), 300),
        raw(0, &[2]),
        Seen::Lost(None, 7),
        raw(1, &big),
    ];
    assert_eq!(reader.take(6), expected);
    send(&mut stream, &[message(Payload { kind: 4, ..Payload::default() }), sample(9, &[])]);
    assert_eq!(reader.take(1), [raw(9, &[])]);
    assert_eq!(reader.number("eyepiece.events.skipped", Some("unknown_payload")), 1);
    assert_eq!(reader.number("eyepiece.source.connected", None), 1);
    assert_eq!(reader.number("eyepiece.source.interruptions", None), 0);
}

#[test]
fn implausible_cpu_costs_no_event() {
    let (mut reader, _server, mut stream) = connected();
    send(&mut stream, &[descriptor()]);
    for (cpu, expected) in [(65_535, Some(65_535)), (65_536, None), (i64::MAX, None), (i64::MIN, None), (-1, None)] {
        send(&mut stream, &[sample(cpu, &[1]), lost(cpu, 2)]);
        assert_eq!(reader.take(2), [raw(expected.unwrap_or(0), &[1]), Seen::Lost(expected, 2)], "{cpu}");
    }
}

#[test]
fn single_bytes_give_whole_events() {
    let (mut reader, _server, mut stream) = connected();
    for byte in [descriptor(), sample(1, &[7; 40]), lost(2, 3), sample(1, &[])].concat() {
        stream.write_all(&[byte]).expect("write");
        reader.read(Duration::from_millis(1));
    }
    assert_eq!(reader.take(3), [raw(1, &[7; 40]), Seen::Lost(Some(2), 3), raw(1, &[])]);
}

#[test]
fn paused_source_reads_nothing() {
    let (mut reader, server, mut stream) = connected();
    send(&mut stream, &[descriptor(), sample(1, &[1])]);
    assert_eq!(reader.take(1).len(), 1);
    reader.stop();
    assert_eq!(reader.number("eyepiece.source.connected", None), 0);
    assert!(stream.write_all(&sample(1, &[2])).is_err(), "the connection is closed");
    assert_eq!(reader.read(Duration::ZERO), 0);
    reader.restart();
    let mut stream = server.accept(&mut reader);
    send(&mut stream, &[descriptor(), sample(1, &[3])]);
    assert_eq!(reader.take(1), [raw(1, &[3])]);
    assert_eq!(reader.number("eyepiece.source.interruptions", None), 0, "we left by ourselves");
}

#[test]
fn drain_takes_arrived_events_and_ends() {
    let (mut reader, _server, mut stream) = connected();
    send(&mut stream, &[descriptor(), sample(0, &[0])]);
    assert_eq!(reader.take(1).len(), 1);
    for number in 1..=100 {
        send(&mut stream, &[sample(0, &[number])]);
    }
    reader.controls.halt.request();
    let agent = std::thread::spawn(move || {
        let mut sent = 0;
        while stream.write_all(&sample(1, &[255; 1000])).is_ok() {
            sent += 1;
        }
        sent
    });
    let mut reads = 0;
    while reader.read(Duration::ZERO) > 0 {
        reads += 1;
        assert!(reads < 100_000, "no end");
    }
    let before: Vec<_> = (1..=100).map(|number| raw(0, &[number])).collect();
    assert_eq!(reader.seen[..100], before);
    let sent: usize = agent.join().expect("the agent");
    let after = reader.seen.len() - 100;
    assert!(after <= sent + 1, "{after} of {sent}");
    assert_eq!(reader.number("eyepiece.source.interruptions", None), 0);
    assert_eq!(reader.read(Duration::ZERO), 0);
}
