//! Checks that a packet counts once per node if an overlay carries it inside other packets.

use std::time::Duration;

use anyhow::Result;
use eyepiece_tests::lab::{DEVICE, UPLINK};
use eyepiece_tests::overlay::{self, Overlay};
use eyepiece_tests::receiver::Received;
use eyepiece_tests::traffic::{echo, tcp, udp};
use eyepiece_tests::watch::counted;
use eyepiece_tests::{Capture, Count, Family, Host, Lab, Uplink, Watch, eventually};

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(30);
const NO_LOGS: (&str, &str) = ("otlp.logs.enabled", "false");
/// The node's own traffic is of the host, not of its processes.
const OF_HOST: (&str, &str) = ("metadata.cgroup.enabled", "off");

fn between(received: &Received, source: &str, destination: &str) -> Count {
    let ends = [("hubble.source.name", source), ("hubble.destination.name", destination)];
    Count { packets: received.sum("hubble.flow.packets", &ends), bytes: received.sum("hubble.flow.io", &ends) }
}

fn path(source: &Host, destination: &Host) -> String {
    let either = |side: &str, host: &Host| format!("({side} host {} or {side} host {})", host.v4, host.v6);
    format!("{} and {}", either("src", source), either("dst", destination))
}

/// An endpoint and the node, each with a pod across the overlay, both ways; and the node with the outside, without it.
fn send_everything(lab: &Lab, overlay: &Overlay) -> Result<()> {
    let (a, outside) = (lab.endpoint("a"), lab.outside());
    let node_outwards = lab.node_towards(outside);
    let pairs = [(a, &overlay.pod), (&overlay.pod, a), (&overlay.node, &overlay.pod), (&overlay.pod, &overlay.node)];
    for family in Family::BOTH {
        for (from, to) in pairs.into_iter().chain([(&node_outwards, outside)]) {
            tcp(from, to).family(family).connections(3).bytes(200_000).answer(70_000).run()?;
            udp(from, to).family(family).packets(1000).flows(2).run()?;
        }
        echo(a, &overlay.pod).family(family).run()?;
        echo(&overlay.node, &overlay.pod).family(family).run()?;
    }
    lab.settle()
}

/// Sends it all, and compares with what passed by the witnesses of both sides; beside it at most so many packets of
/// multicast groups.
fn once(lab: &Lab, watch: Watch, overlay: &Overlay, most_groups: u64) -> Result<()> {
    let (a, outside) = (lab.endpoint("a"), lab.outside());
    let at_a = Capture::start(&a.namespace, DEVICE, "")?;
    let at_overlay = Capture::start(&outside.namespace, overlay::DEVICE, "")?;
    let at_outside = Capture::start(&outside.namespace, DEVICE, "")?;
    send_everything(lab, overlay)?;
    let (at_a, at_overlay, at_outside) = (at_a.stop()?, at_overlay.stop()?, at_outside.stop()?);
    let node_outwards = lab.node_towards(outside);
    let outer = format!("not udp port {}", overlay::PORT);
    let plain = |from, to| at_outside.count(&format!("{} and {outer}", path(from, to)));
    let expected = [
        ("ve-a", "world", at_a.count(&path(a, &overlay.pod))?),
        ("world", "ve-a", at_a.count(&path(&overlay.pod, a))?),
        ("host", "world", at_overlay.count(&path(&overlay.node, &overlay.pod))? + plain(&node_outwards, outside)?),
        ("world", "host", at_overlay.count(&path(&overlay.pod, &overlay.node))? + plain(outside, &node_outwards)?),
    ];
    let carried = at_outside.count(&format!("udp port {}", overlay::PORT))?;
    let receiver = watch.stop()?;
    receiver.look(|received| {
        let series: Vec<_> =
            received.series("hubble.flow.packets", &[]).map(|(ends, point)| (ends, point.value)).collect();
        let mut total = Count::default();
        for (source, destination, count) in expected {
            assert!(count.packets > 0, "{source} → {destination}: nothing was sent");
            assert_eq!(
                between(received, source, destination),
                count,
                "{source} → {destination} of {series:#?}\n{expected:#?}"
            );
            total = total + count;
        }
        // A new device's group reports, without an address.
        let groups = between(received, "world", "world");
        let all =
            Count { packets: received.sum("hubble.flow.packets", &[]), bytes: received.sum("hubble.flow.io", &[]) };
        assert!(groups.packets <= most_groups, "{groups:?}");
        assert_eq!(all, total + groups, "something counts between other ends");
    });
    // The uplink's own totals still have the outer packets.
    let uplink = counted(&receiver, UPLINK);
    assert!(uplink.rx_packets + uplink.tx_packets >= carried.packets && carried.packets > 0, "{uplink:?} {carried:?}");
    Ok(())
}

#[test]
fn present_overlay_counts_once() -> Result<()> {
    for (uplink, aggregation) in [(Uplink::Macvlan, "medium"), (Uplink::Tap, "none")] {
        let lab = Lab::builder().uplink(uplink).build()?;
        let overlay = overlay::lay(&lab)?;
        // Connections of the outer packets that the programs meet as soon as they are attached.
        udp(lab.endpoint("a"), &overlay.pod).packets(10).run()?;
        let watch = Watch::start(&lab, &[OF_HOST, NO_LOGS, ("datapath.aggregation", aggregation)])?;
        once(&lab, watch, &overlay, 0)?;
    }
    Ok(())
}

#[test]
fn later_overlay_counts_once() -> Result<()> {
    let lab = Lab::new()?;
    let settings = [OF_HOST, NO_LOGS, ("datapath.interval", "1s"), ("datapath.timeout.udp", "1s")];
    let watch = Watch::start(&lab, &settings)?;
    let overlay = overlay::lay(&lab)?;
    let hooks =
        || {
            watch.eyepiece.hooks().ok().map(|hooks| {
                hooks.into_iter().filter(|hook| hook.interface == overlay::DEVICE && hook.attached).count()
            })
        };
    eventually(TIMEOUT, "no hooks at the overlay", || hooks().filter(|&count| count == 2))?;
    once(&lab, watch, &overlay, 8)
}

#[test]
fn excluded_overlay_counts_at_uplink() -> Result<()> {
    let lab = Lab::new()?;
    let overlay = overlay::lay(&lab)?;
    let settings = [OF_HOST, NO_LOGS, ("datapath.interfaces.exclude", overlay::DEVICE)];
    let watch = Watch::start(&lab, &settings)?;
    let outside = Capture::start(&lab.outside().namespace, DEVICE, "")?;
    udp(&overlay.node, &overlay.pod).packets(500).run()?;
    lab.settle()?;
    let outer = outside.stop()?.count(&format!("udp port {}", overlay::PORT))?;
    watch.stop()?.look(|received| {
        assert!(outer.packets >= 500, "{outer:?}");
        assert_eq!(between(received, "host", "world"), outer);
    });
    Ok(())
}
