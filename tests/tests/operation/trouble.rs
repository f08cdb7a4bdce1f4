//! Receivers that are away, refuse, stall or take parts: every record is delivered or counted, and metrics recover.

use std::time::Duration;

use anyhow::{Context, Result};
use eyepiece_tests::traffic::udp;
use eyepiece_tests::{Behaviour, Eyepiece, Lab, Receiver, Uplink, eventually};
use nix::sys::signal::Signal;
use tonic::Code;

/// Longest wait for a recovery: the longest pause between two attempts that these tests come to, and some more.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The duration of a receiver's trouble, and of a receiver's absence.
const TROUBLE: Duration = Duration::from_secs(5);
const ABSENCE: Duration = Duration::from_secs(30);
/// `node.drain` of these tests, and what a debug build on a busy machine may take beyond it.
const DRAIN: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_secs(10);

const RECORDS: &str = "eyepiece.export.records";
/// The warning about undelivered data at the end.
const UNDELIVERED: &str = "ended with undelivered telemetry";

fn config(logs: &str, metrics: &str) -> String {
    format!(
        "[node]\ndrain = \"3s\"\n[datapath]\naggregation = \"none\"\n[otlp]\ntimeout = \"1s\"\n\
         [otlp.metrics]\ninterval = \"500ms\"\nendpoint = \"{metrics}\"\n\
         [otlp.logs]\ndelay = \"100ms\"\nqueue_records = 2000\nbatch_records = 500\nevents = {{ agent = false, lost = false }}\nendpoint = \"{logs}\"\n"
    )
}

fn lab() -> Result<Lab> {
    Lab::builder().uplink(Uplink::None).build()
}

/// The fate of log records.
#[derive(Debug)]
struct Fate {
    parsed: u64,
    delivered: u64,
    dropped: u64,
}

impl Fate {
    /// From numbers of ours, by name and attributes.
    fn of(number: impl Fn(&str, &[(&str, &str)]) -> Result<u64>) -> Result<Self> {
        let records = |outcome| number(RECORDS, &[("eyepiece.signal", "logs"), ("eyepiece.outcome", outcome)]);
        let (delivered, dropped) = (records("delivered")?, records("dropped")?);
        Ok(Self { parsed: number("eyepiece.flows.parsed", &[])?, delivered, dropped })
    }

    /// Waits until the fate of all records so far is known. The lab is never quite still: more may follow.
    fn known(eyepiece: &Eyepiece) -> Result<Self> {
        let now = || Self::of(|name, attributes| eyepiece.number(name, attributes));
        let known = || now().ok().filter(|fate| fate.parsed == fate.delivered + fate.dropped);
        eventually(TIMEOUT, "the fate of all records is known", known)
            .with_context(|| format!("{:?}\n{}", now(), eyepiece.stderr()))
    }

    /// By the last numbers that an eyepiece sent before it left: these do not change any more.
    fn at_the_end(receiver: &Receiver) -> Result<Self> {
        Self::of(|name, attributes| Ok(receiver.sum(name, attributes)))
    }
}

/// A receiver's temporary behaviour, and the reason for dropping its records.
enum Trouble {
    Away,
    Behaves(Behaviour),
}

fn check(trouble: &Trouble, at_start: bool, time: Duration, reason: Option<&str>) -> Result<()> {
    let lab = lab()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let mut receiver = Receiver::start(lab.node())?;
    let config = config(&receiver.endpoint(), &receiver.endpoint());
    let begin = |receiver: &mut Receiver| match *trouble {
        Trouble::Away => receiver.away(),
        Trouble::Behaves(behaviour) => receiver.behave(behaviour),
    };
    if at_start {
        begin(&mut receiver);
    }
    let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
    if !at_start {
        udp(a, b).packets(100).run()?;
        receiver.wait(TIMEOUT, "flows before", |received| received.unique_logs() >= 200)?;
        begin(&mut receiver);
    }
    let busy = eyepiece.process.cpu_time()?;
    // More than the queue and the requests under way can hold, in pieces.
    for _ in 0..5 {
        udp(a, b).packets(500).run()?;
        std::thread::sleep(time / 5);
    }
    let busy = eyepiece.process.cpu_time()?.saturating_sub(busy);
    // The flows themselves cost a part of a second in a debug build, whatever the time.
    let most = if time >= ABSENCE { time / 10 } else { time / 2 };
    assert!(busy < most, "a busy loop: {busy:?} of CPU time in {time:?}");
    match *trouble {
        Trouble::Away => receiver.back()?,
        Trouble::Behaves(_) => receiver.behave(Behaviour::Accept),
    }
    let fate = Fate::known(&eyepiece)?;
    println!("{fate:?}, {busy:?} of CPU time in trouble");
    assert!(fate.parsed >= 5000, "{fate:?}");
    // Metrics are cumulative: all that passed is in the newest ones.
    for (device, counted) in
        [("ve-a", lab.node().counters("ve-a")?.rx_packets), ("ve-b", lab.node().counters("ve-b")?.tx_packets)]
    {
        let direction = if device == "ve-a" { "receive" } else { "transmit" };
        let attributes = [("network.interface.name", device), ("network.io.direction", direction)];
        receiver.wait(TIMEOUT, "metrics after", |received| {
            let unseen = received.sum("eyepiece.datapath.unseen.packets", &attributes);
            received.sum("hubble.interface.packets", &attributes) + unseen == counted
        })?;
    }
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    let fate = Fate::at_the_end(&receiver)?;
    assert_eq!(fate.parsed, fate.delivered + fate.dropped, "{fate:?}");
    let (all, unique) = receiver.look(|received| (received.logs.len(), received.unique_logs()));
    assert_eq!(unique as u64, fate.delivered, "{all} records with replays, {fate:?}");
    if let Some(reason) = reason {
        let attributes = [("eyepiece.signal", "logs"), ("eyepiece.outcome", "dropped"), ("eyepiece.reason", reason)];
        assert_eq!(receiver.sum(RECORDS, &attributes), fate.dropped, "{fate:?}");
        assert!(fate.dropped > 0, "{fate:?}");
    } else {
        assert_eq!(fate.dropped, 0, "{fate:?}");
    }
    Ok(())
}

macro_rules! troubles {
    ($($name:ident: $trouble:expr, $at_start:literal, $time:ident, $reason:expr;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            check(&$trouble, $at_start, $time, $reason)
        }
    )*};
}

troubles! {
    away_at_the_start: Trouble::Away, true, TROUBLE, Some("queue_full");
    away_for_a_while: Trouble::Away, false, ABSENCE, Some("queue_full");
    unavailable: Trouble::Behaves(Behaviour::Refuse(Code::Unavailable)), false, TROUBLE, Some("queue_full");
    throttling: Trouble::Behaves(Behaviour::Throttle(Duration::from_secs(2))), false, TROUBLE, Some("queue_full");
    hanging: Trouble::Behaves(Behaviour::Hang), false, TROUBLE, Some("queue_full");
    slow: Trouble::Behaves(Behaviour::Slow(Duration::from_millis(300))), false, TROUBLE, None;
    refusing_for_good: Trouble::Behaves(Behaviour::Refuse(Code::InvalidArgument)), false, TROUBLE, Some("rejected");
    taking_parts: Trouble::Behaves(Behaviour::Partial(10)), false, TROUBLE, Some("partial_success");
}

#[test]
fn metrics_only_export_recovers() -> Result<()> {
    let lab = lab()?;
    let mut receiver = Receiver::start(lab.node())?;
    let config =
        config(&receiver.endpoint(), &receiver.endpoint()).replace("[otlp.logs]", "[otlp.logs]\nenabled = false");
    let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
    let counted = |receiver: &Receiver| -> Result<()> {
        let packets = lab.node().counters("ve-a")?.rx_packets;
        let attributes = [("network.interface.name", "ve-a"), ("network.io.direction", "receive")];
        receiver.wait(TIMEOUT, "all packets", |received| {
            let unseen = received.sum("eyepiece.datapath.unseen.packets", &attributes);
            received.sum("hubble.interface.packets", &attributes) + unseen == packets
        })
    };
    udp(lab.endpoint("a"), lab.endpoint("b")).packets(500).run()?;
    counted(&receiver)?;
    receiver.away();
    udp(lab.endpoint("a"), lab.endpoint("b")).packets(500).run()?;
    let missed = || eyepiece.stderr().matches("cannot export metrics").count();
    eventually(TIMEOUT, "a warning of the failed export", || (missed() > 0).then_some(()))?;
    // Further failures are not logged.
    std::thread::sleep(TROUBLE);
    assert_eq!(missed(), 1, "{}", eyepiece.stderr());
    receiver.back()?;
    counted(&receiver)?;
    // What passes while it leaves is in the last values, for which it has to try more than once.
    receiver.behave(Behaviour::Refuse(Code::Unavailable));
    udp(lab.endpoint("a"), lab.endpoint("b")).packets(500).run()?;
    eyepiece.process.signal(Signal::SIGTERM)?;
    std::thread::sleep(Duration::from_secs(1));
    receiver.behave(Behaviour::Accept);
    assert_eq!(eyepiece.process.wait(DRAIN + SLACK)?.code(), Some(0), "{}", eyepiece.stderr());
    counted(&receiver)?;
    assert!(receiver.look(|received| received.logs.is_empty()));
    assert!(!eyepiece.stderr().contains(UNDELIVERED), "{}", eyepiece.stderr());
    Ok(())
}

#[test]
fn end_is_timely_despite_receiver() -> Result<()> {
    let lab = lab()?;
    let metrics = Receiver::start(lab.node())?;
    for behaviour in [None, Some(Behaviour::Hang), Some(Behaviour::Refuse(Code::Unavailable))] {
        metrics.clear();
        let mut logs = Receiver::start(lab.node())?;
        // The last values get a part of it, which must suffice on a busy machine.
        let config = config(&logs.endpoint(), &metrics.endpoint()).replace("drain = \"3s\"", "drain = \"10s\"");
        match behaviour {
            Some(behaviour) => logs.behave(behaviour),
            None => logs.away(),
        }
        let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
        udp(lab.endpoint("a"), lab.endpoint("b")).packets(500).run()?;
        let parsed = || eyepiece.number("eyepiece.flows.parsed", &[]).ok().filter(|&parsed| parsed >= 1000);
        eventually(TIMEOUT, "flows", parsed)?;
        assert_eq!(eyepiece.process.stop(Signal::SIGTERM, 2 * SLACK)?, 0, "{behaviour:?}: {}", eyepiece.stderr());
        let parsed = metrics.sum("eyepiece.flows.parsed", &[]);
        let attributes =
            [("eyepiece.signal", "logs"), ("eyepiece.outcome", "dropped"), ("eyepiece.reason", "shutdown")];
        let shutdown = metrics.sum(RECORDS, &attributes);
        let (errors, reason) = (eyepiece.stderr(), format!("shutdown={shutdown}"));
        assert!(parsed >= 1000 && shutdown == parsed, "{behaviour:?}: {shutdown} of {parsed}: {errors}");
        let is_summary = |line: &&str| [UNDELIVERED, &reason, &logs.endpoint()].iter().all(|word| line.contains(word));
        assert_eq!(errors.lines().filter(is_summary).count(), 1, "{behaviour:?}: {errors}");
    }
    Ok(())
}

#[test]
fn absent_receivers_at_end_are_counted() -> Result<()> {
    let lab = lab()?;
    let mut receiver = Receiver::start(lab.node())?;
    let mut eyepiece = Eyepiece::start(lab.node(), &config(&receiver.endpoint(), &receiver.endpoint()))?;
    for behaviour in [None, Some(Behaviour::Hang)] {
        match behaviour {
            Some(behaviour) => receiver.behave(behaviour),
            None => receiver.away(),
        }
        udp(lab.endpoint("a"), lab.endpoint("b")).packets(500).run()?;
        let begun = std::time::Instant::now();
        assert_eq!(eyepiece.process.stop(Signal::SIGTERM, DRAIN + SLACK)?, 0, "{behaviour:?}: {}", eyepiece.stderr());
        println!("{behaviour:?}: {:?} with a drain of {DRAIN:?}", begun.elapsed());
        let errors = eyepiece.stderr();
        for signal in ["logs", "metrics"] {
            let is_summary = |line: &&str| line.contains(UNDELIVERED) && line.contains(&format!("signal=\"{signal}\""));
            assert_eq!(errors.lines().filter(is_summary).count(), 1, "{behaviour:?}, {signal}: {errors}");
            let refused = format!("connection refused ({})", receiver.endpoint());
            let names_cause = |line: &str| line.contains(if behaviour.is_none() { &refused } else { "no answer" });
            assert!(errors.lines().filter(is_summary).all(names_cause), "{behaviour:?}, {signal}: {errors}");
        }
        assert!(!errors.contains("InternalFailure"), "{errors}");
        receiver = Receiver::start(lab.node())?;
        eyepiece = Eyepiece::start(lab.node(), &config(&receiver.endpoint(), &receiver.endpoint()))?;
    }
    Ok(())
}
