//! Each packet counts once per node in `hubble.flow.io` and `hubble.flow.packets`, between the right ends.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result};
use eyepiece_tests::lab::{DEVICE, UPLINK};
use eyepiece_tests::receiver::Received;
use eyepiece_tests::traffic::{echo, tcp, udp};
use eyepiece_tests::{Capture, Count, Family, Host, Lab, Uplink, Watch};

/// Server port of what the node itself sends to the outside; by it the witness there separates it from translated packets.
const OWN_PORT: u16 = 8100;
/// The node's port that leads to endpoint `a`.
const PUBLISHED: u16 = 8200;
/// The port of `a`'s server.
const SERVED: u16 = 8201;

/// Returns the counts between two ends.
fn between(received: &Received, source: &str, destination: &str) -> Count {
    let ends = [("hubble.source.name", source), ("hubble.destination.name", destination)];
    Count { packets: received.sum("hubble.flow.packets", &ends), bytes: received.sum("hubble.flow.io", &ends) }
}

/// A connection to the node's published port: a request of this many bytes, and as many back.
fn through_the_published_port(lab: &Lab, family: Family, bytes: usize) -> Result<()> {
    let (a, node) = (lab.endpoint("a"), lab.node_towards(lab.outside()));
    let listener = a.namespace.run(|| TcpListener::bind(SocketAddr::new(a.address(family), SERVED)))?;
    let target = SocketAddr::new(node.address(family), PUBLISHED);
    let mut client = lab.outside().namespace.run(|| TcpStream::connect(target)).context("the published port")?;
    let (mut server, _) = listener.accept()?;
    let mut buffer = vec![1; bytes];
    client.write_all(&buffer)?;
    server.read_exact(&mut buffer)?;
    server.write_all(&buffer)?;
    client.read_exact(&mut buffer)?;
    client.shutdown(Shutdown::Write)?;
    assert_eq!(server.read(&mut buffer)?, 0);
    Ok(())
}

fn publish(lab: &Lab) -> Result<()> {
    let a = lab.endpoint("a");
    lab.node().nft(&format!(
        "table inet published {{ chain c {{ type nat hook prerouting priority -100; \
         iif {UPLINK} tcp dport {PUBLISHED} dnat ip to {}:{SERVED}; \
         iif {UPLINK} tcp dport {PUBLISHED} dnat ip6 to [{}]:{SERVED}; }}; }}",
        a.v4, a.v6
    ))
}

/// All ways that packets can take through a node.
fn send_everything(lab: &Lab, family: Family) -> Result<()> {
    let (a, b, outside) = (lab.endpoint("a"), lab.endpoint("b"), lab.outside());
    let (node_inwards, node_outwards) = (lab.node_towards(a), lab.node_towards(outside));
    let transfer = |from, to| tcp(from, to).family(family).connections(3).bytes(200_000).answer(70_000);
    let datagrams = |from, to| udp(from, to).family(family).packets(1000).flows(2);
    // Between endpoints.
    transfer(a, b).run()?;
    datagrams(b, a).run()?;
    echo(a, b).family(family).run()?;
    // Out by translation, and in by the published port; in by a route.
    transfer(a, outside).run()?;
    datagrams(a, outside).run()?;
    through_the_published_port(lab, family, 100_000)?;
    transfer(outside, b).run()?;
    datagrams(outside, b).run()?;
    // The node itself.
    for (from, to) in [(&node_inwards, a), (a, &node_inwards)] {
        transfer(from, to).run()?;
        datagrams(from, to).run()?;
        echo(from, to).family(family).run()?;
    }
    for (from, to) in [(&node_outwards, outside), (outside, &node_outwards)] {
        transfer(from, to).port(OWN_PORT).run()?;
        datagrams(from, to).port(OWN_PORT).run()?;
        echo(from, to).family(family).run()?;
    }
    Ok(())
}

/// A filter for what has one of these addresses as its source, and one of those as its destination.
fn path(source: &Host, destination: &Host) -> String {
    let either = |side: &str, host: &Host| format!("({side} host {} or {side} host {})", host.v4, host.v6);
    format!("{} and {}", either("src", source), either("dst", destination))
}

fn once(lab: &Lab, settings: &[(&str, &str)]) -> Result<()> {
    publish(lab)?;
    let (a, b, outside) = (lab.endpoint("a"), lab.endpoint("b"), lab.outside());
    let (node_inwards, node_outwards) = (lab.node_towards(a), lab.node_towards(outside));
    // The node's own traffic is of the host, not of its processes.
    let fixed = [("otlp.logs.enabled", "false"), ("metadata.cgroup.enabled", "off")];
    let watch = Watch::start(lab, &[&fixed, settings].concat())?;
    let [at_a, at_b, at_outside] = [a, b, outside].map(|host| Capture::start(&host.namespace, DEVICE, ""));
    let (at_a, at_b, at_outside) = (at_a?, at_b?, at_outside?);
    for family in Family::BOTH {
        send_everything(lab, family)?;
    }
    lab.settle()?;
    let (at_a, at_b, at_outside) = (at_a.stop()?, at_b.stop()?, at_outside.stop()?);
    let own = |from, to| format!("{} and (port {OWN_PORT} or icmp or icmp6)", path(from, to));
    let expected = [
        ("ve-a", "ve-b", at_a.count(&path(a, b))?),
        ("ve-b", "ve-a", at_a.count(&path(b, a))?),
        ("ve-a", "world", at_a.count(&path(a, outside))?),
        ("world", "ve-a", at_a.count(&path(outside, a))?),
        ("ve-b", "world", at_b.count(&path(b, outside))?),
        ("world", "ve-b", at_b.count(&path(outside, b))?),
        ("host", "ve-a", at_a.count(&path(&node_inwards, a))?),
        ("ve-a", "host", at_a.count(&path(a, &node_inwards))?),
        ("host", "world", at_outside.count(&own(&node_outwards, outside))?),
        ("world", "host", at_outside.count(&own(outside, &node_outwards))?),
    ];
    watch.stop()?.look(|received| {
        let mut total = Count::default();
        for (source, destination, count) in expected {
            assert!(count.packets > 0, "{source} → {destination}: nothing was sent");
            assert_eq!(between(received, source, destination), count, "{source} → {destination} {settings:?}");
            total = total + count;
        }
        let all =
            Count { packets: received.sum("hubble.flow.packets", &[]), bytes: received.sum("hubble.flow.io", &[]) };
        assert_eq!(all, total, "something counts between other ends");
    });
    Ok(())
}

#[test]
fn routed_packets_count_once() -> Result<()> {
    let lab = Lab::builder().nat().build()?;
    once(&lab, &[("datapath.aggregation", "medium")])?;
    lab.node().nft("delete table inet published")?;
    once(&lab, &[("datapath.aggregation", "none"), ("datapath.transport", "perf")])
}

#[test]
fn bridged_packets_count_once() -> Result<()> {
    let lab = Lab::builder().bridge().uplink(Uplink::Tap).nat().build()?;
    once(&lab, &[("datapath.aggregation", "maximum")])
}

#[test]
fn forwarded_packets_count_once() -> Result<()> {
    // A connection from one endpoint to another by an address of the node: translated in between, and by one that it
    // publishes for itself: in and out at the same interface.
    for client in ["b", "a"] {
        let lab = Lab::builder().uplink(Uplink::None).build()?;
        let (a, from) = (lab.endpoint("a"), lab.endpoint(client));
        lab.node().nft(&format!(
            "table ip hairpin {{ chain d {{ type nat hook prerouting priority -100; \
             tcp dport {PUBLISHED} dnat to {}:{SERVED}; }}; \
             chain s {{ type nat hook postrouting priority 100; tcp dport {SERVED} masquerade; }}; }}",
            a.v4
        ))?;
        let watch = Watch::start(&lab, &[("otlp.logs.enabled", "false")])?;
        let witness = Capture::start_direction(&from.namespace, &from.device, "out", "")?;
        let served = Capture::start_direction(&a.namespace, &a.device, "out", &format!("src port {SERVED}"))?;
        let listener = a.namespace.run(|| TcpListener::bind(SocketAddr::new(a.v4.into(), SERVED)))?;
        let mut stream = from.namespace.run(|| TcpStream::connect((from.gateway4, PUBLISHED)))?;
        let (mut server, _) = listener.accept()?;
        stream.write_all(&[1; 50_000])?;
        server.read_exact(&mut [0; 50_000])?;
        server.write_all(&[2; 5000])?;
        stream.read_exact(&mut [0; 5000])?;
        drop((server, stream));
        lab.settle()?;
        let asked = witness.stop()?.count(&format!("dst port {PUBLISHED}"))?;
        let expected = asked + served.stop()?.count("")?;
        let receiver = watch.stop()?;
        receiver.look(|received| {
            let count =
                Count { packets: received.sum("hubble.flow.packets", &[]), bytes: received.sum("hubble.flow.io", &[]) };
            let series: Vec<_> =
                received.series("hubble.flow.packets", &[]).map(|(ends, point)| (ends, point.value)).collect();
            assert_eq!(count, expected, "from {client}: {series:?}");
        });
    }
    Ok(())
}

#[test]
fn short_intervals_and_timeouts_change_nothing() -> Result<()> {
    let lab = Lab::builder().nat().build()?;
    let timeouts = [("datapath.timeout.tcp", "1s"), ("datapath.timeout.udp", "1s"), ("datapath.timeout.other", "1s")];
    once(&lab, &[&[("datapath.interval", "1s")], &timeouts[..]].concat())
}
