//! Attribution of packets, drops and sums: not by what a packet claims, nor by a number with an earlier owner.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use eyepiece_tests::frame::{self, Pair};
use eyepiece_tests::packet_socket::PacketSocket;
use eyepiece_tests::receiver::Received;
use eyepiece_tests::traffic::{frames, udp};
use eyepiece_tests::{Lab, Receiver, Uplink, Watch, eventually};
use nix::sys::signal::Signal;

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Packets a second.
const RATE: u64 = 20_000;

/// Packets that count between two ends.
fn between(received: &Received, source: &str, destination: &str) -> u64 {
    received.sum("hubble.flow.packets", &[("hubble.source.name", source), ("hubble.destination.name", destination)])
}

#[test]
fn spoofed_source_renames_no_flow() -> Result<()> {
    const SPOOFED: usize = 20;
    let lab = Lab::new()?;
    let (a, b, outside) = (lab.endpoint("a"), lab.endpoint("b"), lab.outside());
    let watch = Watch::start(&lab, &[("otlp.logs.enabled", "false")])?;
    let pair = Pair { source: outside.v4.into(), destination: b.v4.into() };
    let packet = frame::ip(pair, frame::protocol::UDP, &frame::udp(pair, (4000, 4001), &[0; 100]));
    let spoofed = frame::ethernet(a.gateway_mac, a.mac, &[], frame::IPV4, &packet);
    // Ten a second: learning an address takes milliseconds.
    frames(a)?.send(std::iter::repeat_n(spoofed.as_slice(), SPOOFED), 10)?;
    udp(b, outside).packets(500).run()?;
    udp(outside, b).packets(400).run()?;
    let node = lab.node_towards(outside);
    udp(outside, &node).packets(300).run()?;
    lab.settle()?;
    watch.stop()?.look(|received| {
        for (source, destination, packets) in [
            // Each spoofed packet meets a closed port, and is answered.
            ("ve-b", "world", 500 + SPOOFED as u64),
            ("world", "ve-b", 400),
            ("world", "host", 300),
            // At its own hook the sender has its own name.
            ("ve-a", "ve-b", SPOOFED as u64),
            ("ve-b", "ve-a", 0),
            ("ve-a", "host", 0),
        ] {
            assert_eq!(between(received, source, destination), packets, "{source} to {destination}");
        }
    });
    Ok(())
}

#[test]
fn routed_source_names_its_endpoint() -> Result<()> {
    let lab = Lab::new()?;
    let (a, outside) = (lab.endpoint("a"), lab.outside());
    // A network behind the endpoint, of which nothing is configured in its namespace.
    lab.node().ip(&format!("route add 203.0.113.0/24 via {} dev {}", a.v4, a.node_device))?;
    let watch = Watch::start(&lab, &[("otlp.logs.enabled", "false")])?;
    let inner = [203, 0, 113, 7].into();
    let frame = |source, destination, (to, from)| {
        let pair = Pair { source, destination };
        let packet = frame::ip(pair, frame::protocol::UDP, &frame::udp(pair, (4000, 4001), &[0; 100]));
        frame::ethernet(to, from, &[], frame::IPV4, &packet)
    };
    let (out, back) = (
        frame(inner, outside.v4.into(), (a.gateway_mac, a.mac)),
        frame(outside.v4.into(), inner, (outside.gateway_mac, outside.mac)),
    );
    frames(a)?.send([out.as_slice()], RATE)?;
    let mut probes = 0;
    eventually(TIMEOUT, "the route's endpoint", || {
        frames(outside).and_then(|socket| socket.send([back.as_slice()], RATE)).ok()?;
        probes += 1;
        (watch.receiver.look(|received| between(received, "world", "ve-a")) > 0).then_some(())
    })?;
    frames(outside)?.send(std::iter::repeat_n(back.as_slice(), 50), RATE)?;
    lab.settle()?;
    let receiver = watch.stop()?;
    let packets = receiver.look(|received| between(received, "world", "ve-a"));
    assert!((51..=50 + probes).contains(&packets), "{packets} packets, {probes} probes");
    Ok(())
}

#[test]
fn foreign_drop_names_no_interface() -> Result<()> {
    let lab = Lab::builder().uplink(Uplink::None).build()?;
    let (a, node) = (lab.endpoint("a"), lab.node());
    // A second interface in one namespace, with an index that the node has given to another.
    let index = node.ifindex("ve-b")?;
    node.ip(&format!("link add ve-second up type veth peer name eth1 index {index} netns {}", a.namespace.name()))?;
    a.namespace.ip_batch("link set eth1 address 02:00:00:00:07:02 up\naddr add 10.77.0.2/24 dev eth1\n")?;
    let watch = Watch::start(&lab, &[])?;
    let pair = Pair { source: [10, 77, 0, 1].into(), destination: [10, 77, 0, 2].into() };
    let packet = frame::ip(pair, frame::protocol::UDP, &frame::udp(pair, (4000, 4001), &[0; 100]));
    let bytes = frame::ethernet([2, 0, 0, 0, 7, 2], [2, 0, 0, 0, 7, 1], &[], frame::IPV4, &packet);
    PacketSocket::open(&node.inside(), "ve-second")?.send(std::iter::repeat_n(bytes.as_slice(), 5), RATE)?;
    // Beside it a drop of the node's own, whose interface is known.
    node.nft("table inet own { chain c { type filter hook forward priority 0; udp dport 4444 drop; }; }")?;
    udp(a, lab.endpoint("b")).port(4444).packets(5).send()?;
    lab.settle()?;
    watch.stop()?.look(|received| {
        let interfaces = |address: &str| -> Vec<Option<String>> {
            let wanted = [("hubble.verdict", "DROPPED"), ("destination.address", address)];
            let records = received.logs_with(&wanted);
            records.map(|log| log.attributes.get("network.interface.name").cloned()).collect()
        };
        assert_eq!(interfaces("10.77.0.2"), vec![None; 5]);
        assert_eq!(interfaces(&lab.endpoint("b").v4.to_string()), vec![Some("ve-a".to_owned()); 5]);
    });
    Ok(())
}

#[test]
fn drop_after_end_names_no_interface() -> Result<()> {
    type Leave = fn(&mut Lab) -> Result<()>;
    const DROPS: usize = 5;
    let moved: Leave = |lab| {
        let (a, other) = (lab.endpoint("a"), &lab.endpoint("b").namespace);
        lab.node().ip(&format!("link set {} netns {}", a.node_device, other.name())).map(drop)
    };
    let removed: Leave = |lab| lab.remove_endpoint("a");
    for (name, leave) in [("moved", moved), ("removed", removed)] {
        let mut lab = Lab::builder().uplink(Uplink::None).build()?;
        let Watch { mut eyepiece, receiver } = Watch::start(&lab, &[])?;
        let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
        let address = a.v4.to_string();
        let pair = Pair { source: b.v4.into(), destination: a.v4.into() };
        let packet = frame::ip(pair, frame::protocol::UDP, &frame::udp(pair, (4000, 4001), &[0; 100]));
        let bytes = frame::ethernet(b.gateway_mac, b.mac, &[], frame::IPV4, &packet);
        // The drops, at a closed port in the endpoint's namespace, are read after the endpoint has left.
        eyepiece.process.signal(Signal::SIGSTOP)?;
        frames(b)?.send(std::iter::repeat_n(bytes.as_slice(), DROPS), RATE)?;
        lab.settle()?;
        leave(&mut lab)?;
        eyepiece.process.signal(Signal::SIGCONT)?;
        let wanted = [("hubble.verdict", "DROPPED"), ("destination.address", address.as_str())];
        receiver.wait(TIMEOUT, "the drops", |received| received.logs_with(&wanted).count() >= DROPS)?;
        receiver.look(|received| {
            for log in received.logs_with(&wanted) {
                for attribute in ["network.interface.name", "hubble.interface.index"] {
                    assert_eq!(log.attributes.get(attribute), None, "{name}: {attribute}");
                }
            }
        });
        assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    }
    Ok(())
}

#[test]
fn reused_index_has_its_own_sum() -> Result<()> {
    let lab = Lab::builder().endpoints(["a"]).uplink(Uplink::None).build()?;
    let peers = &lab.endpoint("a").namespace;
    let Watch { mut eyepiece, receiver } = Watch::start(&lab, &[("otlp.logs.enabled", "false")])?;
    let packets = |device: &str| {
        let labels = [("network.interface.name", device), ("network.io.direction", "receive")];
        receiver.sum("hubble.interface.packets", &labels)
    };
    let bytes = frame::ethernet([2, 0, 0, 0, 9, 1], [2, 0, 0, 0, 9, 2], &[], frame::EXPERIMENT, &[0; 46]);
    for (device, count) in [("first", 3000), ("second", 200)] {
        lab.node().ip(&format!("link add {device} index 7777 up type veth peer name late netns {}", peers.name()))?;
        peers.ip("link set late up")?;
        eyepiece.wait_for_hooks(device, true)?;
        PacketSocket::open(peers, "late")?.send(std::iter::repeat_n(bytes.as_slice(), count), RATE)?;
        let count = count as u64;
        eventually(TIMEOUT, "counted", || (packets(device) >= count).then_some(()))
            .with_context(|| format!("{device}: {}", packets(device)))?;
        lab.node().ip(&format!("link del {device}"))?;
    }
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    let (first, second) = (packets("first"), packets("second"));
    assert!((3000..3200).contains(&first), "{first}");
    // A few may be the stack's own.
    assert!((200..400).contains(&second), "{second}");
    assert_eq!(receiver.look(|received| received.fallen.clone()), [""; 0]);
    Ok(())
}

/// The start and the value of the only series of a metric with these attributes.
fn point(receiver: &Receiver, metric: &str, attributes: &[(&str, &str)]) -> Option<(u64, u64)> {
    receiver.look(|received| {
        let mut series = received.series(metric, attributes).map(|(_, point)| (point.start, point.value as u64));
        series.next().filter(|_| series.next().is_none())
    })
}

/// The eyepiece has exported everything that it had at the time of the call.
fn wait_for_export(receiver: &Receiver) -> Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos() as u64;
    receiver.wait(TIMEOUT, "an export", |received| {
        received.series("eyepiece.flows.parsed", &[]).any(|(_, point)| point.time > now)
    })
}

#[test]
fn own_sums_never_fall() -> Result<()> {
    const METRIC: &str = "eyepiece.datapath.unseen.packets";
    let mut lab = Lab::builder().endpoints(["a"]).uplink(Uplink::None).build()?;
    let settings = [("metrics.idle_expiry", "1s"), ("otlp.logs.enabled", "false")];
    let Watch { mut eyepiece, receiver } = Watch::start(&lab, &settings)?;
    let unseen = [("network.interface.name", "ve-x"), ("network.io.direction", "receive")];
    let mut points = Vec::new();
    for packets in [300, 20] {
        // Packets before the hooks are attached.
        eyepiece.process.signal(Signal::SIGSTOP)?;
        let host = lab.add_endpoint("x")?;
        let bytes = frame::ethernet(host.gateway_mac, host.mac, &[], frame::EXPERIMENT, &[0; 46]);
        frames(host)?.send(std::iter::repeat_n(bytes.as_slice(), packets), RATE)?;
        eyepiece.process.signal(Signal::SIGCONT)?;
        eyepiece.wait_for_hooks("ve-x", true)?;
        // The receiver still has the last point of the round before.
        let exported = || {
            point(&receiver, METRIC, &unseen).filter(|(_, value)| (packets..packets + 50).contains(&(*value as usize)))
        };
        points.push(eventually(TIMEOUT, "the sum", exported)?);
        lab.remove_endpoint("x")?;
        let is_gone = || (eyepiece.number(METRIC, &unseen).ok()? == 0).then_some(());
        eventually(TIMEOUT, "the end of the sum", is_gone)?;
        wait_for_export(&receiver)?;
    }
    let [(first_start, first), (second_start, second)] = points[..] else { unreachable!("two rounds") };
    assert!(second < first && second_start > first_start, "a smaller sum starts later: {points:?}");
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    assert_eq!(receiver.look(|received| received.fallen.clone()), [""; 0]);
    Ok(())
}
