//! Resident memory of a running release build of eyepiece: idle, under load, and with a receiver that is away.

use std::time::Duration;

use anyhow::{Context, Result};
use eyepiece_tests::bench_report::{Goal, goal, heading, row};
use eyepiece_tests::receiver::Received;
use eyepiece_tests::traffic::{connections, udp};
use eyepiece_tests::{Eyepiece, Lab, Receiver, Uplink};

/// Longest wait for records.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Long enough for every periodic work to have been done.
const IDLE: Duration = Duration::from_secs(3);
/// Packets of each load; each makes an event at both endpoints.
const PACKETS: u64 = 200_000;
/// Packets a second: more than a real node's events, less than this machine can send and receive at once.
const RATE: u64 = 20_000;
/// Connections of the last load: more than there are ports of one pair of hosts.
const CONNECTIONS: u32 = 100_000;

fn main() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("memory bench: skipped, needs root");
        return Ok(());
    }
    heading("resident memory of `eyepiece run`, two endpoints", &["MiB", "peak MiB"]);
    let lab = Lab::builder().uplink(Uplink::None).build()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let mut receiver = Receiver::start(lab.node())?;
    let config = format!("[datapath]\naggregation = \"none\"\n[otlp]\nendpoint = \"{}\"\n", receiver.endpoint());
    let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
    eyepiece.wait_for_hooks("ve-b", true)?;
    let show = |name: &str, eyepiece: &Eyepiece| -> Result<f64> {
        let (now, peak) = (mebibytes(eyepiece, "VmRSS:")?, mebibytes(eyepiece, "VmHWM:")?);
        row(name, &[now, peak]);
        Ok(now)
    };

    std::thread::sleep(IDLE);
    goal("memory: idle", show("idle", &eyepiece)?, "MiB", Goal::AtMost(64.0));

    udp(a, b).packets(PACKETS).flows(1000).rate(RATE).run()?;
    let records = usize::try_from(PACKETS)?;
    receiver.wait(TIMEOUT, "log records", |received: &Received| received.unique_logs() >= records)?;
    let name = format!("after {PACKETS} packets in 1,000 flows, an event and a record each");
    goal("memory: after load", show(&name, &eyepiece)?, "MiB", Goal::AtMost(64.0));

    connections(a, b, CONNECTIONS, RATE)?;
    std::thread::sleep(IDLE);
    let name = format!("after {CONNECTIONS} connections of one packet");
    goal("memory: after new connections", show(&name, &eyepiece)?, "MiB", Goal::AtMost(64.0));

    receiver.away();
    udp(a, b).packets(PACKETS).flows(1000).rate(RATE).run()?;
    show("the receiver away, its queue full", &eyepiece)?;
    eyepiece.kill()
}

/// A line of /proc/PID/status.
fn mebibytes(eyepiece: &Eyepiece, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", eyepiece.process.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kibibytes / 1024.0)
}
