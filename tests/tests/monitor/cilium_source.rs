//! Cilium's own monitor server in front of our source: a million payloads of all types, restarts, garbage.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use eyepiece::source::Source as _;
use eyepiece::source::cilium_monitor;
use eyepiece::source::cilium_monitor::{CiliumMonitor, Config, Controls, STABLE_AFTER, STALL};
use eyepiece::support::telemetry::Telemetry;
use eyepiece_flow::event::Event;
use eyepiece_flow::gob::encode::agent_notify;
use eyepiece_flow::gob::{EVENT_SAMPLE, PayloadDecoder, RECORD_LOST};
use eyepiece_tests::harness::{Harness, NAME, pipe, read_frame};
use eyepiece_tests::payload;
use eyepiece_tests::{Eyepiece, Namespace, eventually, needs_peers};

/// Payloads that the server sends at full speed.
const PAYLOADS: u64 = 1_000_000;
/// The number of CPUs that the server claims to have.
const CPUS: u64 = 8;
/// Timeout of expected events; only a failure takes that long.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Payloads of every type: those of the datapath with random content, agent events and Go's own access log.
fn payloads() -> Result<Vec<Vec<u8>>> {
    let mut random = fastrand::Rng::with_seed(11);
    let mut all = Vec::new();
    for kind in 1..=7_u8 {
        for _ in 0..100 {
            let mut data = vec![kind];
            data.extend((0..random.usize(19..300)).map(|_| random.u8(..)));
            all.push(data);
        }
    }
    for kind in 1..=12 {
        let mut data = vec![130];
        agent_notify(&mut data, kind, "{\"time\":\"2026-01-01T00:00:00Z\"}");
        all.push(data);
    }
    let values = pipe(
        &["values", "-count", "50", "-seed", "3"],
        |_| Ok(()),
        |output| {
            let (mut data, mut nature, mut values) = (Vec::new(), Vec::new(), Vec::new());
            while read_frame(output, &mut data)? && read_frame(output, &mut nature)? {
                values.push(data.clone());
            }
            Ok(values)
        },
    )?;
    ensure!(values.len() == 50, "{} values", values.len());
    all.extend(values);
    random.shuffle(&mut all);
    Ok(all)
}

/// A folder for the socket that is not below /run, a file of payloads, and the server.
fn server(payloads: &[Vec<u8>]) -> Result<(tempfile::TempDir, Harness)> {
    let folder = tempfile::tempdir()?;
    let sockets = folder.path().join("sockets");
    std::fs::create_dir(&sockets)?;
    let file = folder.path().join("payloads");
    payload::write(&file, payloads)?;
    let server = Harness::monitor_server(&sockets, &file, &[])?;
    Ok((folder, server))
}

struct Reader {
    source: CiliumMonitor,
    controls: Controls,
    telemetry: Telemetry,
}

impl Reader {
    fn start(folder: &tempfile::TempDir) -> Result<Self> {
        let telemetry = Telemetry::default();
        let config =
            Config { socket: folder.path().join("sockets/monitor1_2.sock"), stall: STALL, stable_after: STABLE_AFTER };
        let (mut source, controls) = cilium_monitor::build(config, &telemetry)?;
        source.start()?;
        Ok(Self { source, controls, telemetry })
    }

    /// Reads until a condition holds; returns the number of payloads and checks that they repeat in order.
    fn until(&mut self, expected: &[Vec<u8>], next: &mut u64, is_so: impl Fn(&Controls, u64) -> bool) -> Result<()> {
        let end = Instant::now() + TIMEOUT;
        while !is_so(&self.controls, *next) {
            ensure!(Instant::now() < end, "{next} payloads, {:?}", self.controls.view.get());
            let mut wrong = None;
            self.source.read(Duration::from_millis(50), &mut |event| match event {
                Event::Raw(raw) => {
                    let data = &expected[usize::try_from(*next).unwrap_or(usize::MAX) % expected.len()];
                    if (raw.data, u64::from(raw.cpu)) != (data, *next % CPUS) && wrong.is_none() {
                        wrong = Some(format!("payload {next} on CPU {}: {:x?}", raw.cpu, raw.data));
                    }
                    *next += 1;
                }
                other => wrong = Some(format!("{other:?}")),
            })?;
            if let Some(wrong) = wrong {
                anyhow::bail!(wrong);
            }
        }
        Ok(())
    }
}

#[test]
fn million_payloads_arrive_in_order() -> Result<()> {
    needs_peers!(NAME);
    let payloads = payloads()?;
    let (folder, mut server) = server(&payloads)?;
    let mut reader = Reader::start(&folder)?;
    let mut next = 0;
    reader.until(&payloads, &mut next, |controls, _| controls.view.get().reason.is_none())?;
    eventually(TIMEOUT, "no listener", || (server.ask("listeners").ok()? == "listeners 1").then_some(()))?;
    let sender = std::thread::spawn(move || server.ask(&format!("send {PAYLOADS}")).map(|answer| (answer, server)));
    reader.until(&payloads, &mut next, |_, count| count >= PAYLOADS)?;
    let (answer, mut server) = sender.join().map_err(|_| anyhow::anyhow!("the sender has panicked"))??;
    // Its queue holds more than all of them, so it has dropped none.
    assert_eq!((answer, next), (format!("sent {PAYLOADS} 1"), PAYLOADS));
    let failed = reader.telemetry.samples().into_iter().filter(|sample| {
        ["eyepiece.source.interruptions", "eyepiece.source.discarded"].contains(&sample.key.name) && sample.value > 0
    });
    assert_eq!(failed.count(), 0);
    server.ask("stop")?;
    Ok(())
}

#[test]
fn server_restart_and_garbage_are_survived() -> Result<()> {
    needs_peers!(NAME);
    let payloads = payloads()?;
    let (folder, mut server) = server(&payloads)?;
    let home = Namespace::create(&format!("ep-{}-cilium", std::process::id()))?;
    let socket = folder.path().join("sockets/monitor1_2.sock");
    let config = format!(
        "[source]\nkind = \"cilium-monitor\"\n[cilium_monitor]\nsocket = \"{}\"\nversion = \"1.20\"\n\
         [otlp]\nendpoint = \"http://127.0.0.1:9\"\n",
        socket.display()
    );
    let mut eyepiece = Eyepiece::start(&home, &config)?;
    let mut sent = 0;
    let received = |eyepiece: &Eyepiece| {
        eyepiece.number("eyepiece.events.received", &[("eyepiece.source.kind", "cilium-monitor")])
    };
    for round in 0..6_u64 {
        eventually(TIMEOUT, "no listener", || (server.ask("listeners").ok()? == "listeners 1").then_some(()))?;
        assert_eq!(server.ask("send 20000")?, "sent 20000 1");
        assert_eq!(server.ask(&format!("lost 3 {}", round + 1))?, "lost 1");
        sent += 20_000;
        eventually(TIMEOUT, "events are missing", || (received(&eyepiece).ok()? == sent).then_some(()))
            .with_context(|| format!("round {round}: {:?} of {sent}\n{}", received(&eyepiece), eyepiece.stderr()))?;
        match round {
            1 => assert_eq!(server.ask("garbage 0212345678")?, "garbage"),
            3 => assert_eq!(server.ask("garbage ff")?, "garbage"),
            _ => assert_eq!(server.ask("stop")?, "stopped"),
        }
        let ends = |eyepiece: &Eyepiece| eyepiece.number("eyepiece.source.interruptions", &[]);
        let wanted = match round {
            // The server's end, then the one with garbage.
            0 => 1,
            1 => 3,
            2 => 4,
            3 => 6,
            _ => round + 3,
        };
        eventually(TIMEOUT, "no end", || (ends(&eyepiece).ok()? >= wanted).then_some(())).with_context(|| {
            let connection = eyepiece.status().map(|status| status["connection"].to_string());
            format!("round {round}: {:?} of {wanted}, {connection:?}\n{}", ends(&eyepiece), eyepiece.stderr())
        })?;
        let status = eyepiece.status()?;
        assert_eq!(status["connection"]["connected"], false, "{status}");
        assert_eq!(server.ask("start")?, "started");
    }
    let lost = eyepiece.number("eyepiece.events.lost", &[("eyepiece.reason", "kernel_buffer")])?;
    assert_eq!(lost, (1..=6).sum::<u64>());
    // Payloads of random bytes: some are of no version, and the last of them are shown, by default without their bytes.
    let status = eyepiece.status()?;
    let examples = status["undecodable"].as_array().context("no examples")?;
    assert!(
        !examples.is_empty() && examples.iter().all(|example| example["bytes"] == "" && example["length"] != 0),
        "{status}"
    );
    assert_eq!(status["hooks"].as_array().map(Vec::len), Some(0), "{status}");
    eyepiece.stop()?;
    Ok(())
}

/// Longest wait of a test with few payloads.
const SHORT: Duration = Duration::from_secs(30);

/// CPU, kind, losses and data.
type Received = (i64, i64, u64, Vec<u8>);

/// Reads so many payloads of a monitor socket.
fn read_payloads(stream: &mut UnixStream, count: usize) -> Result<Vec<Received>> {
    let (mut decoder, mut bytes, mut found) = (PayloadDecoder::default(), Vec::new(), Vec::new());
    let mut chunk = vec![0; 1 << 16];
    while found.len() < count {
        let read = stream.read(&mut chunk).with_context(|| format!("{} of {count}", found.len()))?;
        ensure!(read > 0, "closed after {} of {count}", found.len());
        bytes.extend(&chunk[..read]);
        let mut at = 0;
        while let Some((payload, length)) = decoder.decode(&bytes[at..])? {
            found.push((payload.cpu, payload.kind, payload.lost, payload.data.to_vec()));
            at += length;
        }
        bytes.drain(..at);
    }
    Ok(found)
}

#[test]
fn agent_payloads_reach_clients_unchanged() -> Result<()> {
    needs_peers!(NAME);
    // Faster than a client of a debug build reads.
    const ROUND: usize = 50_000;
    let payloads = payloads()?;
    let (folder, mut server) = server(&payloads)?;
    let home = Namespace::create(&format!("ep-{}-hand-on", std::process::id()))?;
    let (theirs, ours) = (folder.path().join("sockets/monitor1_2.sock"), folder.path().join("ours.sock"));
    let config = format!(
        "[source]\nkind = \"cilium-monitor\"\n[cilium_monitor]\nsocket = \"{}\"\n[monitor]\nsocket = \"{}\"\n\
         [otlp.logs]\nenabled = false\n[otlp.metrics]\nenabled = false\n",
        theirs.display(),
        ours.display()
    );
    let mut eyepiece = Eyepiece::start(&home, &config)?;
    assert_eq!(server.ask("listeners")?, "listeners 0", "we listen without a use");
    let mut client = UnixStream::connect(&ours)?;
    client.set_read_timeout(Some(SHORT))?;
    eventually(SHORT, "no listener", || (server.ask("listeners").ok()? == "listeners 1").then_some(()))?;
    assert_eq!(server.ask(&format!("send {ROUND}"))?, format!("sent {ROUND} 1"));
    assert_eq!(server.ask("lost 3 17")?, "lost 1");
    assert_eq!(server.ask(&format!("send {ROUND}"))?, format!("sent {ROUND} 1"));
    let found = read_payloads(&mut client, 2 * ROUND + 1)?;
    let (before, rest) = found.split_at(ROUND);
    assert_eq!(rest[0], (3, RECORD_LOST, 17, Vec::new()));
    for (number, payload) in before.iter().chain(&rest[1..]).enumerate() {
        let cpu = i64::try_from(number as u64 % CPUS)?;
        assert_eq!(payload, &(cpu, EVENT_SAMPLE, 0, payloads[number % payloads.len()].clone()), "payload {number}");
    }
    drop(client);
    // Its server finds out by writing that we have left.
    let left = || (server.ask("send 1").is_ok() && server.ask("listeners").ok()? == "listeners 0").then_some(());
    eventually(SHORT, "still a listener", left)?;
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    Ok(())
}
