//! Our gob against Go's: payload streams both ways, values, and Cilium's own monitor server.

mod natures;
mod script;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use eyepiece_flow::gob::encode::{PAYLOAD_DESCRIPTOR, agent_notify, payload};
use eyepiece_flow::gob::{EVENT_SAMPLE, Payload, PayloadDecoder, RECORD_LOST};
use eyepiece_tests::harness::{Harness, NAME, Record, pipe, read_frame, write_frame};
use eyepiece_tests::{needs_peers, skip};

use script::Script;

/// Payloads of a stream.
const PAYLOADS: usize = 1_000_000;
/// Restarts of Cilium's server, which sends a share of the payloads each time.
const ROUNDS: usize = 4;
/// Values with descriptors of their own.
const VALUES: usize = 20_000;

/// Reads a stream of gob up to its end; returns each payload, and the error.
fn each_payload(input: &mut impl Read, mut take: impl FnMut(&Payload<'_>) -> Result<()>) -> Result<()> {
    let mut decoder = PayloadDecoder::default();
    let (mut buffer, mut start, mut end) = (vec![0; 1 << 16], 0, 0);
    loop {
        while let Some((payload, used)) = decoder.decode(&buffer[start..end])? {
            take(&payload)?;
            start += used;
        }
        buffer.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        ensure!(decoder.needed() <= decoder.longest(), "{} bytes are needed", decoder.needed());
        buffer.resize(buffer.len().max(decoder.needed()), 0);
        match input.read(&mut buffer[end..])? {
            0 if end == 0 => return Ok(()),
            0 => anyhow::bail!("the stream ends inside a message, {end} bytes"),
            read => end += read,
        }
    }
}

#[test]
fn go_reads_our_gob() {
    needs_peers!(NAME);
    let write = |out: &mut _| {
        let mut bytes = PAYLOAD_DESCRIPTOR.to_vec();
        let mut script = Script::new(1);
        for _ in 0..PAYLOADS {
            payload(&mut bytes, &script.payload());
            if bytes.len() >= 1 << 16 {
                Write::write_all(out, &bytes)?;
                bytes.clear();
            }
        }
        Ok(Write::write_all(out, &bytes)?)
    };
    let read = |input: &mut _| {
        let mut script = Script::new(1);
        let (mut frame, mut count) = (Vec::new(), 0);
        while read_frame(input, &mut frame)? {
            let Record { data, cpu, lost, kind } = Record::read(&frame)?;
            ensure!(Payload { data: &data, cpu, lost, kind } == script.payload(), "payload {count}");
            count += 1;
        }
        Ok(count)
    };
    assert_eq!(pipe(&["gob-decode"], write, read).expect("a stream"), PAYLOADS);
}

#[test]
fn our_gob_reads_go() {
    needs_peers!(NAME);
    we_read(&["gob-encode"]);
}

#[test]
fn we_read_other_ids_and_fields() {
    needs_peers!(NAME);
    we_read(&["gob-encode", "-shift", "9"]);
    we_read(&["gob-encode", "-foreign"]);
    we_read(&["gob-encode", "-shift", "300", "-foreign"]);
}

fn we_read(arguments: &[&str]) {
    let write = |out: &mut _| {
        let mut script = Script::new(2);
        for _ in 0..PAYLOADS {
            let Payload { data, cpu, lost, kind } = script.payload();
            Record { data: data.to_vec(), cpu, lost, kind }.write(out)?;
        }
        Ok(())
    };
    let read = |input: &mut _| {
        let mut script = Script::new(2);
        let mut count = 0;
        each_payload(input, |payload| {
            ensure!(*payload == script.payload(), "payload {count}: {payload:?}");
            count += 1;
            Ok(())
        })?;
        Ok(count)
    };
    assert_eq!(pipe(arguments, write, read).expect("a stream"), PAYLOADS, "{arguments:?}");
}

#[test]
fn our_gob_reads_go_values() {
    needs_peers!(NAME);
    let count = VALUES.to_string();
    for further in [&["-seed", "1"][..], &["-seed", "2", "-shift", "70"]] {
        let arguments = [&["values", "-count", &count], further].concat();
        let read = |input: &mut _| {
            let (mut data, mut nature, mut count) = (Vec::new(), Vec::new(), 0);
            while read_frame(input, &mut data)? {
                ensure!(read_frame(input, &mut nature)?, "a value without its nature");
                natures::compare(&data, &nature).with_context(|| format!("value {count}"))?;
                count += 1;
            }
            Ok(count)
        };
        assert_eq!(pipe(&arguments, |_| Ok(()), read).expect("values"), VALUES);
    }
}

#[test]
fn go_reads_our_agent_events() {
    needs_peers!(NAME);
    let text = |number: u32| format!(r#"{{"number":{number},"text":"{}"}}"#, "é".repeat(number as usize % 300));
    // Numbers that Cilium has no words for: its parser hands the text on as it is.
    let kind = |number: u32| 1000 + number * number;
    let write = |out: &mut _| {
        for number in 0..1000 {
            let mut data = vec![130];
            agent_notify(&mut data, kind(number), &text(number));
            write_frame(out, &data)?;
        }
        Ok(())
    };
    let read = |input: &mut _| {
        let mut lines = String::new();
        Read::read_to_string(input, &mut lines)?;
        for (line, number) in lines.lines().zip(0..) {
            let found: serde_json::Value = serde_json::from_str(line)?;
            let unknown = &found["agent_event"]["unknown"];
            let kind = kind(number).to_string();
            ensure!(unknown["type"] == kind, "{line}");
            ensure!(unknown["notification"] == text(number), "{line}");
        }
        Ok(lines.lines().count())
    };
    assert_eq!(pipe(&["parse"], write, read).expect("agent events"), 1000);
}

/// Writes the file that Cilium's server sends; returns its path and frames.
fn payload_file(folder: &std::path::Path) -> Result<(std::path::PathBuf, Vec<Vec<u8>>)> {
    let mut script = Script::new(3);
    let payloads: Vec<Vec<u8>> = (0..5000).map(|_| [&[4], script.payload().data].concat()).collect();
    let path = folder.join("payloads");
    let mut file = std::fs::File::create(&path)?;
    for payload in &payloads {
        write_frame(&mut file, payload)?;
    }
    Ok((path, payloads))
}

/// Checks a round of a server: events from number `first` on, then 300 lost ones; returns the number of events.
fn read_round(connection: &mut UnixStream, payloads: &[Vec<u8>], first: usize) -> Result<usize> {
    let (mut next, mut lost) = (first, false);
    let end = each_payload(connection, |payload| {
        // The last of a round. The server can't be asked for the end: it closes with what is still in its queue.
        if payload.kind == RECORD_LOST {
            lost = *payload == Payload { data: &[], cpu: 5, lost: 300, kind: RECORD_LOST };
            anyhow::bail!("enough");
        }
        let data = &payloads[next % payloads.len()];
        let expected = Payload { data, cpu: i64::try_from(next % 8)?, lost: 0, kind: EVENT_SAMPLE };
        ensure!(*payload == expected, "payload {next}");
        next += 1;
        Ok(())
    });
    match end {
        Err(error) if lost && error.to_string() == "enough" => Ok(next - first),
        other => other.and(Err(anyhow::anyhow!("no lost events"))),
    }
}

#[test]
fn gob_survives_restarts_of_server() {
    needs_peers!(NAME);
    if !nix::unistd::geteuid().is_root() {
        skip!("a mount namespace needs root");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (file, payloads) = payload_file(folder.path()).expect("a file");
    let socket = folder.path().join("monitor1_2.sock");
    let mut server = Harness::monitor_server(folder.path(), &file, &["-shift", "5"]).expect("a server");
    for round in 0..ROUNDS {
        let mut connection = UnixStream::connect(&socket).expect("connect");
        while server.ask("listeners").expect("an answer") != "listeners 1" {
            std::thread::yield_now();
        }
        let events = PAYLOADS / ROUNDS;
        let found = std::thread::scope(|scope| {
            let reader = scope.spawn(|| read_round(&mut connection, &payloads, round * events));
            assert_eq!(server.ask(&format!("send {events}")).expect("an answer"), format!("sent {events} 1"));
            assert_eq!(server.ask("lost 5 300").expect("an answer"), "lost 1");
            reader.join().expect("no panic")
        });
        assert_eq!(found.expect("payloads"), events, "round {round}");
        assert_eq!(server.ask("stop").expect("an answer"), "stopped");
        assert!(UnixStream::connect(&socket).is_err(), "the socket is gone");
        assert_eq!(server.ask("start").expect("an answer"), "started");
    }
    assert_eq!(server.ask("garbage 0aff80010304").expect("an answer"), "garbage");
    let mut connection = UnixStream::connect(&socket).expect("connect");
    let error = each_payload(&mut connection, |_| Ok(())).expect_err("garbage");
    assert_eq!(error.to_string(), "the stream ends inside a message, 6 bytes");
    server.wait().expect("an end");
}
