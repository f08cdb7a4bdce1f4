//! Decoding payloads of every kind beside Hubble's own parser, in one run: ns at the best of many rounds, and the ratio.

#[path = "../tests/parser/payloads.rs"]
mod payloads;
#[allow(unreachable_pub, reason = "a module of the tests' library, which this program must not depend on")]
#[path = "../../tests/src/peer.rs"]
mod peer;
#[allow(dead_code, reason = "each bench uses a part")]
mod report;

use std::hint::black_box;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use eyepiece::event::RawEvent;
use eyepiece::gob::encode::agent_notify;
use eyepiece::parser::{Pairing, decode, parse};
use eyepiece::release::Producer;
use report::{Goal, goal};

/// Rounds, and operations of a round, as the harness has them: noise only adds, so the best round is told.
const ROUNDS: usize = 1000;
const OPERATIONS: usize = 1000;

fn main() {
    let payloads = every_kind();
    let theirs = hubble(&payloads).unwrap_or_else(|why| {
        println!("Hubble: left out, {why:#}");
        Vec::new()
    });
    println!(
        "{:<24}{:>10}{:>10}{:>9}{:>18}",
        "ns a payload, at best", "eyepiece", "Hubble", "ratio", "Hubble, CPU time"
    );
    for (number, (name, payload)) in payloads.iter().enumerate() {
        let ours = measure(payload);
        match theirs.get(number) {
            Some([best, mean]) => {
                println!("{name:<24}{ours:>10.1}{best:>10.1}{:>8.1}x{mean:>18.1}", best / ours);
                if name.starts_with("trace") {
                    goal(&format!("decode: {name}, Hubble's best beside ours"), best / ours, "x", Goal::AtLeast(25.0));
                }
            }
            None => println!("{name:<24}{ours:>10.1}"),
        }
    }
}

/// Those that Cilium 1.15, which the harness is built from, reads too.
fn every_kind() -> Vec<(&'static str, Vec<u8>)> {
    let mut payloads = payloads::usual();
    payloads.retain(|(name, _)| name.starts_with("trace TCP") || name.starts_with("capture"));
    payloads.push(("debug message", [&[2, 40][..], &[1; 18]].concat()));
    let mut agent = vec![130];
    agent_notify(&mut agent, 9, r#"{"cidr":"10.0.0.1/32","id":7,"old-id":0,"encrypt-key":0}"#);
    payloads.push(("agent event", agent));
    payloads
}

/// The best round of our decoder, as the pipeline calls it.
fn measure(payload: &[u8]) -> f64 {
    let mut pairing = Pairing::default();
    let is_frequent = matches!(payload[0], 1 | 3 | 4 | 5);
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..OPERATIONS {
            let event = RawEvent { time: 1, cpu: 2, data: black_box(payload), meter: None, kernel_drop: None };
            if is_frequent {
                black_box(parse(&event).is_ok());
            } else {
                black_box(decode(&event, Producer::default(), &mut pairing).is_ok());
            }
        }
        best = best.min(start.elapsed().as_nanos() as f64 / OPERATIONS as f64);
    }
    best
}

/// What Hubble's parser takes for each, by the peer `harness`: at best, and in the mean of CPU time, which has the
/// garbage collector's part. Events of the agent reach it decoded: it has no figure
/// for those.
fn hubble(payloads: &[(&'static str, Vec<u8>)]) -> Result<Vec<[f64; 2]>> {
    let harness = peer::find("harness").map_err(anyhow::Error::msg)?;
    let mut child = Command::new(harness).arg("bench").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no pipe")?;
    for (_, payload) in payloads.iter().filter(|(_, payload)| payload[0] < 128) {
        input.write_all(&u32::try_from(payload.len())?.to_le_bytes())?;
        input.write_all(payload)?;
    }
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the harness: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let figures = text.lines().filter(|line| line.starts_with("parse-"));
    let figure =
        |line: &str, place| Ok::<f64, anyhow::Error>(line.split(' ').nth(place).context("no figure")?.parse()?);
    figures.map(|line| Ok([figure(line, 1)?, figure(line, 2)?])).collect()
}
