//! SYN, SYN-ACK, FIN and RST by interface and direction are those that tcpdump saw there.

use anyhow::Result;
use eyepiece_tests::frame::flags::{ACK, FIN, RST, SYN};
use eyepiece_tests::lab::UPLINK;
use eyepiece_tests::receiver::Received;
use eyepiece_tests::traffic::{Close, tcp};
use eyepiece_tests::{Capture, Family, Lab, Watch, drops};

/// Hubble's name, the flags that are set, those that are not.
const KINDS: [(&str, u8, u8); 4] = [("SYN", SYN, ACK), ("SYN-ACK", SYN | ACK, 0), ("FIN", FIN, 0), ("RST", RST, 0)];

/// Returns the records of an interface's observation point whose segments have these flags, and not those.
fn flag_packets(received: &Received, interface: &str, point: &str, (set, clear): (u8, u8)) -> u64 {
    let names = [("FIN", FIN), ("SYN", SYN), ("RST", RST), ("ACK", ACK)];
    let flags = |text: &str| {
        text.split(',').filter_map(|name| names.iter().find(|known| known.0 == name)).fold(0, |sum, (_, bit)| sum | bit)
    };
    let wanted = [("network.interface.name", interface), ("hubble.observation_point", point)];
    received
        .logs_with(&wanted)
        .filter_map(|log| log.attributes.get("hubble.tcp.flags"))
        .filter(|text| flags(text) & (set | clear) == set)
        .count() as u64
}

fn every_flag(transport: &str, aggregation: &str) -> Result<()> {
    let lab = Lab::builder().nat().build()?;
    let (a, b, outside) = (lab.endpoint("a"), lab.endpoint("b"), lab.outside());
    let watch = Watch::start(&lab, &[("datapath.transport", transport), ("datapath.aggregation", aggregation)])?;
    // Directions as tcpdump and the product name them.
    let endpoint = [("in", "from-endpoint"), ("out", "to-endpoint")];
    let network = [("in", "from-network"), ("out", "to-network")];
    let mut witnesses = Vec::new();
    for (device, points) in [("ve-a", endpoint), ("ve-b", endpoint), (UPLINK, network)] {
        for (direction, point) in points {
            witnesses.push((device, point, Capture::start_direction(lab.node(), device, direction, "")?));
        }
    }
    for family in Family::BOTH {
        for (from, to) in [(a, b), (b, a), (a, outside), (b, outside)] {
            for (connections, close) in [(7, Close::Fin), (3, Close::Rst)] {
                tcp(from, to).family(family).connections(connections).bytes(20_000).close(close).run()?;
            }
        }
        // Answered by RST.
        drops::closed_tcp(a, b, family, 4)?;
        drops::closed_tcp(a, outside, family, 2)?;
    }
    lab.settle()?;
    let mut expected = Vec::new();
    for (device, point, capture) in witnesses {
        let captured = capture.stop()?;
        for (kind, set, clear) in KINDS {
            expected.push((device, point, kind, (set, clear), captured.tcp_flags(set, clear)?));
        }
    }
    watch.stop()?.look(|received| {
        for (device, point, kind, flags, packets) in &expected {
            assert_eq!(flag_packets(received, device, point, *flags), *packets, "{kind} at {device} {point}");
        }
        // The metric counts what all interfaces saw.
        for (kind, ..) in KINDS {
            let all: u64 = expected.iter().filter(|one| one.2 == kind).map(|one| one.4).sum();
            assert!(all > 0, "no {kind}, so nothing was tested");
            assert_eq!(received.sum("hubble.tcp_flags", &[("hubble.tcp.flag", kind)]), all, "{kind}");
        }
        // Between the endpoints: 20 connections each way and family, seen at both interfaces.
        let ends = [("hubble.tcp.flag", "SYN"), ("hubble.source.name", "ve-b"), ("hubble.destination.name", "ve-a")];
        assert_eq!(received.sum("hubble.tcp_flags", &ends), 2 * 2 * 10);
    });
    Ok(())
}

#[test]
fn ring_at_maximum_reports_tcp_flags() -> Result<()> {
    every_flag("ring", "maximum")
}

#[test]
fn perf_at_medium_reports_tcp_flags() -> Result<()> {
    every_flag("perf", "medium")
}
