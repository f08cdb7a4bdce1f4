//! Checks that events without room in the kernel's buffer are counted exactly, and that their packets still count.

use std::time::Duration;

use anyhow::Result;
use eyepiece_tests::traffic::udp;
use eyepiece_tests::{Count, Eyepiece, Family, Lab, Receiver, Uplink, drops, eventually};
use nix::sys::signal::Signal;

/// Longest wait for numbers to come together: they are read every second.
const QUIET: Duration = Duration::from_secs(15);

const OFFERED: &str = "eyepiece.datapath.offered";
const RECEIVED: &str = "eyepiece.events.received";
const LOST: &str = "eyepiece.events.lost";

/// Offered, received, lost.
type Balance = (u64, u64, u64);

fn balance(number: impl Fn(&str) -> Result<u64>) -> Result<Balance> {
    Ok((number(OFFERED)?, number(RECEIVED)?, number(LOST)?))
}

const fn is_even((offered, received, lost): Balance) -> bool {
    offered == received + lost
}

/// In dry mode: the kernel does not offer eyepiece's own notifications.
fn config(transport: &str, receiver: &Receiver) -> String {
    format!(
        "[node]\ndry_mode = true\n[datapath]\ntransport = \"{transport}\"\naggregation = \"none\"\nbuffer = \"4KiB\"\ncapture_bytes = 1024\n\
         [otlp]\nendpoint = \"{}\"\n[otlp.metrics]\ninterval = \"1s\"\n[otlp.logs]\nenabled = false\n",
        receiver.endpoint()
    )
}

#[test]
fn events_are_delivered_or_lost() -> Result<()> {
    for transport in ["ring", "perf"] {
        let lab = Lab::builder().uplink(Uplink::None).build()?;
        let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
        let receiver = Receiver::start(lab.node())?;
        let before = (lab.node().counters("ve-a")?, lab.node().counters("ve-b")?);
        let mut eyepiece = Eyepiece::start(lab.node(), &config(transport, &receiver))?;

        // While the reader is stopped: traffic and drops of both.
        eyepiece.process.signal(Signal::SIGSTOP)?;
        let sent = udp(a, b).packets(10_000).payload(1000).flows(20).run()?;
        assert_eq!(sent.received, sent.sent);
        // More than the buffer of any CPU holds: these may run on one that the flows did not.
        let mut dropped = drops::nft(&lab, a, b, Family::V4, 4_000)?;
        eyepiece.process.signal(Signal::SIGCONT)?;
        // While it runs. Paced: a veth does not count packets that the next link's backlog drops.
        udp(a, b).family(Family::V6).packets(20_000).payload(1000).flows(20).run()?;
        dropped.packets += drops::nft(&lab, a, b, Family::V6, 300)?.packets;

        let numbers = || balance(|name| eyepiece.number(name, &[]));
        let least = 2 * 30_000 + dropped.packets;
        let come_together = || numbers().ok().filter(|&now| is_even(now) && now.0 >= least);
        let while_it_runs = eventually(QUIET, "even", come_together);
        let while_it_runs = while_it_runs.map_err(|error| error.context(format!("{transport}: {:?}", numbers())))?;
        assert!(while_it_runs.2 > 10_000, "{transport}: a flood that a tiny buffer takes: {while_it_runs:?}");

        assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
        let last = balance(|name| Ok(receiver.sum(name, &[])))?;
        assert!(is_even(last) && last.0 >= while_it_runs.0, "{transport}: {last:?}, before {while_it_runs:?}");
        println!("{transport}: offered, received, lost: {last:?}");
        // Hubble's metric counts notices of the kernel's buffer, not events.
        assert!((1..last.2).contains(&receiver.sum("hubble.lost_events", &[])), "{transport}");
        assert_eq!(receiver.sum("eyepiece.datapath.lost", &[]), last.2, "{transport}");

        for (device, direction, expected) in [
            ("ve-a", "receive", (lab.node().counters("ve-a")? - before.0).rx()),
            ("ve-a", "transmit", (lab.node().counters("ve-a")? - before.0).tx()),
            ("ve-b", "receive", (lab.node().counters("ve-b")? - before.1).rx()),
            ("ve-b", "transmit", (lab.node().counters("ve-b")? - before.1).tx()),
        ] {
            let attributes = [("network.interface.name", device), ("network.io.direction", direction)];
            let counted = Count {
                packets: receiver.sum("hubble.interface.packets", &attributes),
                bytes: receiver.sum("hubble.interface.io", &attributes),
            };
            assert_eq!(counted, expected, "{transport} {device} {direction}");
        }
        let netns = dropped.netns.to_string();
        let attributes = [("hubble.drop.reason", dropped.reason), ("hubble.drop.netns", netns.as_str())];
        assert_eq!(receiver.sum("eyepiece.datapath.drops", &attributes), dropped.packets, "{transport}");
        let reported = receiver.sum("hubble.drop", &[]);
        println!("{transport}: {} packets dropped, {reported} drop events came through", dropped.packets);
        assert!(reported < dropped.packets, "{transport}: drop events are lost too in this test");
    }
    Ok(())
}

#[test]
fn losses_before_stop_are_reported() -> Result<()> {
    for transport in ["ring", "perf"] {
        let lab = Lab::builder().uplink(Uplink::None).build()?;
        let receiver = Receiver::start(lab.node())?;
        let mut eyepiece = Eyepiece::start(lab.node(), &config(transport, &receiver))?;
        eyepiece.process.signal(Signal::SIGSTOP)?;
        udp(lab.endpoint("a"), lab.endpoint("b")).packets(3000).payload(1000).run()?;
        // Both signals are there when it runs again.
        eyepiece.process.signal(Signal::SIGTERM)?;
        eyepiece.process.signal(Signal::SIGCONT)?;
        assert_eq!(eyepiece.exit_code()?, Some(0), "{}", eyepiece.stderr());
        let last = balance(|name| Ok(receiver.sum(name, &[])))?;
        println!("{transport}: offered, received, lost: {last:?}");
        assert!(is_even(last) && last.0 >= 6000 && last.2 > 0, "{transport}: {last:?}");
    }
    Ok(())
}
