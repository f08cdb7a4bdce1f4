//! Connections that come faster than the table can hold them, and leave it while more come, lose no packet.

use anyhow::{Result, ensure};
use eyepiece_tests::traffic::{RATE, connections};
use eyepiece_tests::watch::{all_counters, counted};
use eyepiece_tests::{Lab, Uplink, Watch};

/// Packets of connections that only one interface saw.
struct Flood {
    passed: u64,
    untracked: u64,
    /// `hubble.flow.packets` from the sender to the receiver.
    by_ends: u64,
}

/// Sends a packet on each of so many connections, so many times; all of them are in the interfaces' totals.
fn flood(distinct: u32, passes: u32, settings: &[(&str, &str)]) -> Result<Flood> {
    let lab = Lab::builder().uplink(Uplink::None).build()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let watch = Watch::start(&lab, &[&[("otlp.logs.enabled", "false")], settings].concat())?;
    let before = all_counters(&lab)?;
    for _ in 0..passes {
        connections(a, b, distinct, RATE)?;
    }
    lab.settle()?;
    // An answer of the kernel's may be late on a busy machine, and pass before the stop or after it.
    let after = all_counters(&lab)?;
    let receiver = watch.stop()?;
    let at_end = all_counters(&lab)?;
    let mut passed = 0;
    for (((device, before), after), at_end) in lab.node_devices().into_iter().zip(before).zip(after).zip(at_end) {
        let [delta, delta_at_end] = [after - before, at_end - before];
        ensure!(delta_at_end.tx_dropped == 0, "{device} dropped: {delta_at_end:?}");
        let counted = counted(&receiver, device);
        assert!(counted == delta || counted == delta_at_end, "{device}: {counted:?}, {delta:?} to {delta_at_end:?}");
        passed += delta.rx_packets + delta.tx_packets;
    }
    let untracked = receiver.sum("eyepiece.datapath.untracked.packets", &[]);
    println!("{settings:?}: {passed} packets, {untracked} untracked");
    assert!(passed >= 2 * u64::from(distinct * passes), "{passed}");
    let ends = [("hubble.source.name", a.node_device.as_str()), ("hubble.destination.name", b.node_device.as_str())];
    let by_ends = receiver.sum("hubble.flow.packets", &ends);
    Ok(Flood { passed, untracked, by_ends })
}

const SMALL: (&str, &str) = ("datapath.max_connections", "1000");
const SHORT: [(&str, &str); 2] = [("datapath.timeout.udp", "1s"), ("datapath.timeout.other", "1s")];

#[test]
fn full_table_counts_untracked() -> Result<()> {
    for aggregation in ["medium", "maximum"] {
        let flood = flood(200_000, 1, &[SMALL, ("datapath.aggregation", aggregation)])?;
        // Each direction of each interface of a connection once; the answers' few connections have many packets.
        assert!(flood.untracked >= 2 * 200_000 - 1000, "{} untracked", flood.untracked);
        assert!(flood.untracked < flood.passed, "nothing was tracked");
    }
    Ok(())
}

#[test]
fn full_table_with_expiry_stays_exact() -> Result<()> {
    for transport in ["ring", "perf"] {
        let flood = flood(200_000, 1, &[SMALL, SHORT[0], SHORT[1], ("datapath.transport", transport)])?;
        assert!(flood.untracked > 0, "the table was never full");
        assert!(flood.untracked < 2 * 200_000 - 1000, "no entry left the table during the flood");
    }
    Ok(())
}

#[test]
fn packets_meeting_dead_entries_are_counted() -> Result<()> {
    let flood = flood(100_000, 2, &[("datapath.max_connections", "500000"), SHORT[0], ("datapath.interval", "1s")])?;
    // They are reported one by one, so that their ends count them too; what found no room in the ring is untracked.
    assert!(flood.by_ends + flood.untracked >= 200_000, "{} by their ends, {} not", flood.by_ends, flood.untracked);
    assert!(flood.by_ends > 100_000, "{} by their ends", flood.by_ends);
    Ok(())
}
