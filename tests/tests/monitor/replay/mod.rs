//! Every kind of payload, replayed to our monitor socket: what Cilium's own client prints, by the numbers put in.
//!
//! The client of 1.15 has its own rules: debug messages need -v, sockets need exactly -v and pass every filter,
//! --hex acts with -vv alone, losses pass every filter, policy verdicts have neither details nor JSON.

mod messages;
mod packets;
mod sample;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use eyepiece_flow::event::{Event, Lost, LostSource, RawEvent};
use eyepiece_flow::recording::format;
use eyepiece_tests::{Background, Eyepiece, Namespace, eventually, harness, needs_peers};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use serde_json::Value;

use sample::Sample;

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Time of all events, ns since the Unix epoch.
const TIME: u64 = 1_714_979_289_000_000_000;
/// Events that the source of the recording had lost.
const LOST: u64 = 7;
/// The CPU that lost them.
const LOST_CPU: u16 = 3;

/// The clients' flags; each of a type's filters is among them.
const CLIENTS: [&str; 22] = [
    "",
    "-v",
    "-vv",
    "--hex -vv",
    "-j",
    "-t policy-verdict",
    "-t trace-sock",
    "-v -t trace-sock",
    "-t l7",
    "-j -t l7",
    "-t debug",
    "-v -t debug",
    "-t capture",
    "-vv -t capture",
    "-t agent",
    "-j -t agent",
    "-t drop",
    "-t trace",
    "-j -t trace",
    "--related-to 202",
    "--from 101",
    "--to 207",
];

/// The flags of a client.
struct ClientRun<'a>(&'a str);

impl ClientRun<'_> {
    fn has(&self, option: &str) -> bool {
        self.0.split(' ').any(|word| word == option)
    }

    fn value<T: std::str::FromStr>(&self, option: &str) -> Option<T> {
        self.0.split(' ').skip_while(|&word| word != option).nth(1)?.parse().ok()
    }

    /// Returns whether the client prints a sample at all, some of them not at every verbosity.
    fn wants(&self, sample: &Sample) -> bool {
        let (source, destination) = sample.endpoints;
        let is = |option: &str, fits: &dyn Fn(u16) -> bool| self.value(option).is_none_or(fits);
        ["lost", "trace-sock"].contains(&sample.kind)
            || self.value::<String>("-t").is_none_or(|kind| kind == sample.kind)
                && is("--from", &|id| id == source)
                && is("--to", &|id| id == destination)
                && is("--related-to", &|id| id == source || id == destination)
    }
}

/// `cilium-dbg monitor`.
struct Client {
    asked: ClientRun<'static>,
    process: Background,
}

impl Client {
    fn start(program: &Path, home: &Namespace, socket: &Path, arguments: &'static str) -> Result<Self> {
        let mut command = home.command(program);
        command.arg("monitor").arg("--monitor-socket").arg(socket).args(arguments.split_whitespace());
        Ok(Self { asked: ClientRun(arguments), process: Background::spawn(&mut command)? })
    }

    /// Waits until it has printed all sent events, and returns its lines.
    fn finish(&mut self) -> Result<Vec<String>> {
        self.process.wait_for_line("connection closed", TIMEOUT)?;
        self.process.stop(Signal::SIGINT, TIMEOUT)?;
        Ok(self.process.stdout().lines().map(str::to_owned).collect())
    }

    fn check(&mut self, samples: &[Sample]) -> Result<usize> {
        let lines = self.finish()?;
        let wanted: Vec<_> = samples.iter().filter(|sample| self.asked.wants(sample)).collect();
        let printed = if self.asked.has("-vv") {
            detailed(&lines, &wanted, self.asked.has("--hex"))
        } else if self.asked.has("-j") {
            json(&lines, &wanted)
        } else {
            plain(&lines, &wanted, self.asked.has("-v"))
        };
        printed.with_context(|| format!("cilium-dbg monitor {}\n{}", self.asked.0, lines.join("\n")))
    }
}

fn plain(lines: &[String], wanted: &[&Sample], is_verbose: bool) -> Result<usize> {
    let line = |sample: &&Sample| match is_verbose && !sample.verbose.is_empty() {
        true => sample.verbose.clone(),
        false => sample.line.clone(),
    };
    let expected: Vec<String> = wanted.iter().map(line).filter(|line| !line.is_empty()).collect();
    for (line, expected) in lines.iter().zip(&expected) {
        ensure!(line == expected, "printed:  {line}\nexpected: {expected}");
    }
    ensure!(lines.len() == expected.len(), "{} lines printed, {} expected", lines.len(), expected.len());
    Ok(lines.len())
}

fn json(lines: &[String], wanted: &[&Sample]) -> Result<usize> {
    let expected: Vec<_> = wanted.iter().map(|sample| &sample.json).filter(|json| !json.is_null()).collect();
    for (line, expected) in lines.iter().zip(&expected) {
        let holds = match expected {
            Value::String(expected) => line == expected,
            expected => contains(&serde_json::from_str(line).with_context(|| line.clone())?, expected),
        };
        ensure!(holds, "printed:  {line}\nexpected: {expected}");
    }
    ensure!(lines.len() == expected.len(), "{} lines printed, {} expected", lines.len(), expected.len());
    Ok(lines.len())
}

/// Returns whether a value has at least these members.
fn contains(value: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(members) => members.iter().all(|(name, member)| contains(&value[name], member)),
        Value::Array(elements) => {
            let found = value.as_array().map_or(&[][..], Vec::as_slice);
            found.len() == elements.len() && found.iter().zip(elements).all(|(one, other)| contains(one, other))
        }
        _ => value == expected,
    }
}

/// A line, and the packet's layers or its bytes: after it for a capture, before it for a drop and a trace, whose line
/// the client holds back.
fn detailed(lines: &[String], wanted: &[&Sample], is_hex: bool) -> Result<usize> {
    // Lines that begin so have what the client's decoder does not know: what UDP and TCP carry.
    let is_decoded = |line: &&String| !(line.starts_with("  ") || line.starts_with("---"));
    let mut lines = lines.iter().filter(is_decoded);
    let mut count = 0;
    for sample in wanted.iter().filter(|sample| !sample.detailed.is_empty()) {
        let size = if is_hex { sample.packet.len().div_ceil(16) } else { sample.layers.len() };
        let mut block: Vec<_> = lines.by_ref().take(size + 1).collect();
        if sample.kind != "capture" {
            block.rotate_right(1);
        }
        let Some((line, packet)) = block.split_first() else { bail!("expected: {}", sample.detailed) };
        ensure!(**line == sample.detailed, "printed:  {line}\nexpected: {}", sample.detailed);
        if is_hex {
            let bytes: Vec<u8> = packet.iter().flat_map(|line| bytes(line)).collect();
            ensure!(bytes == sample.packet, "{line}\nprinted:  {bytes:x?}\nexpected: {:x?}", sample.packet);
        } else {
            let is = packet.iter().zip(&sample.layers).all(|(line, expected)| line.contains(expected));
            ensure!(is && packet.len() == size, "{line}\nprinted:  {packet:#?}\nexpected: {:#?}", sample.layers);
        }
        count += 1;
    }
    let rest: Vec<_> = lines.collect();
    ensure!(rest.is_empty(), "not expected: {rest:?}");
    Ok(count)
}

/// The bytes of a line of `hexdump -C`.
fn bytes(line: &str) -> Vec<u8> {
    let columns = line.split('|').next().unwrap_or_default().split_whitespace().skip(1);
    columns.filter_map(|digits| u8::from_str_radix(digits, 16).ok()).collect()
}

/// All payloads, with a loss among them.
fn samples() -> Result<Vec<Sample>> {
    let line = format!("CPU 03: Lost {LOST} events");
    let lost = Sample { line, ..Sample::new("lost", LOST_CPU, Vec::new()) }.same_with_details();
    let mut all = [
        packets::drops(),
        packets::traces(),
        packets::verdicts(),
        vec![lost],
        packets::captures(),
        messages::sockets(),
        messages::debug_messages(),
        messages::access_logs()?,
        messages::agent_notifications(),
    ]
    .concat();
    // Kinds follow each other in any order; the seed makes it the same one each time.
    fastrand::Rng::with_seed(4).shuffle(&mut all);
    Ok(all)
}

fn write_samples(file: &mut File, samples: &[Sample]) -> Result<()> {
    let mut bytes = Vec::new();
    for sample in samples {
        let event = if sample.data.is_empty() {
            Event::Lost(Lost { source: LostSource::KernelBuffer, cpu: Some(sample.cpu), count: LOST, time: TIME })
        } else {
            let (cpu, data) = (sample.cpu, sample.data.as_slice());
            Event::Raw(RawEvent { time: TIME, cpu, data, traffic: None, kernel_drop: None })
        };
        format::write_event(&event, TIME, &mut bytes);
    }
    Ok(file.write_all(&bytes)?)
}

/// The product, which plays what is written to the recording: it waits for more until that is closed.
struct Player {
    eyepiece: Eyepiece,
    recording: File,
    socket: PathBuf,
    home: Namespace,
    _folder: tempfile::TempDir,
}

impl Player {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (path, socket) = (folder.path().join("recording"), folder.path().join("monitor.sock"));
        nix::unistd::mkfifo(&path, Mode::S_IRWXU)?;
        // Open for both: neither side waits for the other.
        let mut recording = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut bytes = format::head().to_vec();
        format::write_origin("emitter=cilium\nemitter-version=1.15.19\n", TIME, &mut bytes);
        recording.write_all(&bytes)?;
        let config = format!(
            "[source]\nkind = \"replay\"\n[replay]\npath = \"{}\"\nspeed = 0\n[monitor]\nsocket = \"{}\"\n\
             [otlp.logs]\nenabled = false\n[otlp.metrics]\nenabled = false\n",
            path.display(),
            socket.display(),
        );
        let home = Namespace::create(&format!("ep-{}-replay", std::process::id()))?;
        let eyepiece = Eyepiece::start(&home, &config)?;
        Ok(Self { eyepiece, recording, socket, home, _folder: folder })
    }

    fn wait_for(&self, name: &str, count: u64) -> Result<()> {
        let there = || (self.eyepiece.number(name, &[]).ok()? == count).then_some(());
        eventually(TIMEOUT, name, there).with_context(|| self.eyepiece.stderr())
    }
}

#[test]
fn printed_lines_match_payloads() -> Result<()> {
    let [program, _] = &needs_peers!("cilium-dbg", harness::NAME);
    let samples = samples()?;
    let mut player = Player::start()?;
    let start = |arguments| Client::start(program, &player.home, &player.socket, arguments);
    let mut clients = CLIENTS.into_iter().map(start).collect::<Result<Vec<_>>>()?;
    player.wait_for("eyepiece.monitor.listeners", clients.len() as u64)?;
    write_samples(&mut player.recording, &samples)?;
    player.wait_for("eyepiece.events.received", samples.len() as u64 - 1)?;
    player.wait_for("eyepiece.events.lost", LOST)?;
    assert_eq!(player.eyepiece.number("eyepiece.flows.failed", &[])?, 0, "we decode them all");
    assert_eq!(player.eyepiece.number("eyepiece.monitor.lost", &[])?, 0);
    let Player { mut eyepiece, recording, home: _home, .. } = player;
    drop(recording);
    ensure!(eyepiece.exit_code()? == Some(0), "{}", eyepiece.stderr());
    for client in &mut clients {
        let printed = client.check(&samples)?;
        println!("{:20} {printed} events of {}", client.asked.0, samples.len());
        // Without -v there is neither a debug message nor a socket, but the loss.
        assert!(printed > usize::from(!["-t debug", "-t trace-sock"].contains(&client.asked.0)), "{}", client.asked.0);
    }
    Ok(())
}
