//! Packets and bytes by interface are exact: at every aggregation, over both transports, with and without offloads.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use eyepiece_tests::lab::{DEVICE, UPLINK};
use eyepiece_tests::traffic::{echo, mixed, script, tcp, udp};
use eyepiece_tests::watch::{all_counters, counted};
use eyepiece_tests::{Capture, Count, Counters, Family, Lab, Receiver, Uplink, Watch};
use nix::sys::signal::Signal;

/// Packets that cross the first endpoint's link at least.
const SCRIPT: u64 = 140_000;
/// Frames of all kinds from the outside, tags among them.
const FROM_OUTSIDE: u64 = 40_000;
/// Datagrams to the outside, of each family.
const TO_OUTSIDE: u64 = 10_000;

fn send_everything(lab: &Lab) -> Result<()> {
    let (a, b, outside) = (lab.endpoint("a"), lab.endpoint("b"), lab.outside());
    script(a, b, SCRIPT)?;
    mixed(outside, b).total(FROM_OUTSIDE).run()?;
    for family in Family::BOTH {
        udp(a, outside).family(family).packets(TO_OUTSIDE).payload(300).run()?;
        echo(outside, b).family(family).count(100).run()?;
    }
    lab.settle()
}

/// Sends the script and compares; returns the product's exports. A pause of the product meanwhile loses events.
fn check(settings: &[(&str, &str)], pause: bool) -> Result<Receiver> {
    let lab = Lab::builder().uplink(Uplink::Tap).build()?;
    let watch = Watch::start(&lab, &[&[("otlp.logs.enabled", "false")], settings].concat())?;
    let before = all_counters(&lab)?;
    if pause {
        watch.eyepiece.process.signal(Signal::SIGSTOP)?;
    }
    send_everything(&lab)?;
    if pause {
        watch.eyepiece.process.signal(Signal::SIGCONT)?;
    }
    let after = all_counters(&lab)?;
    let receiver = watch.stop()?;
    let mut total = 0;
    for ((device, before), after) in lab.node_devices().into_iter().zip(before).zip(after) {
        let passed = after - before;
        ensure!(passed.tx_dropped == 0, "{device} dropped: {passed:?}");
        // What the stack had no use for had passed the interface all the same.
        assert_eq!(counted(&receiver, device), Counters { rx_dropped: 0, ..passed }, "{device}");
        total += passed.rx_packets + passed.tx_packets;
    }
    assert!(total >= SCRIPT + FROM_OUTSIDE + 2 * TO_OUTSIDE, "{total}");
    println!("{settings:?}: {total} packets, {} events lost", receiver.sum("eyepiece.events.lost", &[]));
    Ok(receiver)
}

macro_rules! table {
    ($($name:ident: $transport:literal, $aggregation:literal;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            check(&[("datapath.transport", $transport), ("datapath.aggregation", $aggregation)], false).map(drop)
        }
    )*};
}

table! {
    ring_none: "ring", "none";
    ring_low: "ring", "low";
    ring_medium: "ring", "medium";
    ring_maximum: "ring", "maximum";
    perf_none: "perf", "none";
    perf_low: "perf", "low";
    perf_medium: "perf", "medium";
    perf_maximum: "perf", "maximum";
}

#[test]
fn totals_stay_exact_with_losses() -> Result<()> {
    for transport in ["ring", "perf"] {
        let settings =
            [("datapath.transport", transport), ("datapath.aggregation", "none"), ("datapath.buffer", "1MiB")];
        let receiver = check(&settings, true)?;
        assert!(receiver.sum("eyepiece.events.lost", &[]) > 100_000, "{transport}: too few were lost to test anything");
    }
    Ok(())
}

#[test]
fn packets_before_attach_are_unseen() -> Result<()> {
    let mut lab = Lab::new()?;
    let send = |lab: &Lab, from: &str| -> Result<()> {
        udp(lab.endpoint(from), lab.endpoint("b")).packets(300).run()?;
        udp(lab.endpoint("b"), lab.endpoint(from)).family(Family::V6).packets(200).payload(700).run()?;
        lab.settle()
    };
    send(&lab, "a")?;
    let watch = Watch::start(&lab, &[("otlp.logs.enabled", "false")])?;
    send(&lab, "a")?;
    // An interface that comes, and carries packets before hooks are attached.
    watch.eyepiece.process.signal(Signal::SIGSTOP)?;
    lab.add_endpoint("late")?;
    send(&lab, "late")?;
    watch.eyepiece.process.signal(Signal::SIGCONT)?;
    watch.eyepiece.wait_for_hooks("ve-late", true)?;
    send(&lab, "late")?;
    let receiver = watch.stop()?;
    for (device, counters) in lab.node_devices().into_iter().zip(all_counters(&lab)?) {
        for (direction, all, seen) in [
            ("receive", counters.rx(), counted(&receiver, device).rx()),
            ("transmit", counters.tx(), counted(&receiver, device).tx()),
        ] {
            let attributes = [("network.interface.name", device), ("network.io.direction", direction)];
            let sum = |metric: &str| receiver.sum(metric, &attributes);
            let unseen = Count {
                packets: sum("eyepiece.datapath.unseen.packets"),
                bytes: sum("eyepiece.datapath.unseen.bytes"),
            };
            assert_eq!(unseen + seen, all, "{device} {direction}: unseen {unseen:?}, seen {seen:?}");
            if device != UPLINK {
                assert!(unseen.packets >= 200 && seen.packets >= 200, "{device} {direction}: {unseen:?}, {seen:?}");
            }
        }
    }
    Ok(())
}

/// The number of the last byte that a host sent, from tcpdump's text: bytes that were sent twice count once.
fn last_byte(text: &str, from: IpAddr) -> Option<u64> {
    let sent = text.lines().filter(|line| line.contains(&format!(": {from}.")));
    let ends = sent.filter_map(|line| line.split_once(" seq ")?.1.split_once(',')?.0.split_once(':'));
    ends.filter_map(|(_, end)| Some(end.parse::<u64>().ok()? - 1)).max()
}

#[test]
fn super_packet_counts_as_segments() -> Result<()> {
    const PAYLOAD: u64 = 20_000_000;
    const ANSWER: u64 = 3000;
    for (far, leaves_by) in [("b", "ve-b"), ("outside", UPLINK)] {
        let lab = Lab::builder().offloads().build()?;
        let a = lab.endpoint("a");
        let to = if far == "b" { lab.endpoint("b") } else { lab.outside() };
        // The last link splits what came this far in one piece.
        lab.node().offloads(leaves_by, false)?;
        to.namespace.offloads(DEVICE, false)?;
        let settings = [("otlp.logs.enabled", "false")];
        for family in Family::BOTH {
            let watch = Watch::start(&lab, &settings)?;
            let large = Capture::start(lab.node(), "ve-a", "greater 2000")?;
            let witness = Capture::start(&to.namespace, DEVICE, "")?;
            tcp(a, to).family(family).bytes(PAYLOAD).write(60_000).answer(ANSWER).run()?;
            lab.settle()?;
            let witness = witness.stop()?;
            assert!(
                large.stop()?.count("")?.packets > 100,
                "{far} {family:?}: no super-packets, so nothing was tested"
            );
            let receiver = watch.stop()?;
            let (source, answers) = (a.address(family), to.address(family));
            let sent = witness.count(&format!("src host {source}"))?;
            let answered = witness.count(&format!("src host {answers}"))?;
            assert!(sent.packets > PAYLOAD / 1448, "{far} {family:?}: the far end saw super-packets");
            let near = counted(&receiver, "ve-a");
            let last = counted(&receiver, leaves_by);
            assert_eq!((near.rx(), near.tx()), (sent, answered), "{far} {family:?} ve-a");
            assert_eq!((last.tx(), last.rx()), (sent, answered), "{far} {family:?} {leaves_by}");
            let there = if far == "b" { "ve-b" } else { "world" };
            for (ends, count) in [(["ve-a", there], sent), ([there, "ve-a"], answered)] {
                let ends = [("hubble.source.name", ends[0]), ("hubble.destination.name", ends[1])];
                assert_eq!(receiver.sum("hubble.flow.packets", &ends), count.packets, "{ends:?} {family:?}");
                assert_eq!(receiver.sum("hubble.flow.io", &ends), count.bytes, "{ends:?} {family:?}");
            }
            let text = witness.text("")?;
            for (from, payload) in [(source, PAYLOAD), (answers, ANSWER)] {
                assert_eq!(last_byte(&text, from), Some(payload), "{far} {family:?} from {from}");
            }
        }
    }
    Ok(())
}
