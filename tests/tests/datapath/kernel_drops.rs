//! Drops of the kernel are reported with reason and addresses, and counted to the packet; nothing else is.

use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use eyepiece_tests::drops::{self, Dropped};
use eyepiece_tests::eyepiece::with_capabilities;
use eyepiece_tests::frame::{self, Pair};
use eyepiece_tests::packet_socket::PacketSocket;
use eyepiece_tests::traffic::{Close, tcp};
use eyepiece_tests::{Eyepiece, Family, Lab, Watch, eventually};

/// Timeout until the kernel's own count is read: that happens once a second.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Every maker of drops, one after the other.
fn make_all(lab: &Lab) -> Result<Vec<Dropped>> {
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let mut all = Vec::new();
    for family in Family::BOTH {
        all.push(drops::nft(lab, a, b, family, 40)?);
        all.push(drops::closed_udp(a, b, family, 41)?);
        all.push(drops::closed_tcp(a, b, family, 5)?);
    }
    all.push(drops::iptables(a, b, 42)?);
    all.push(drops::no_route(lab, a, 43)?);
    all.push(drops::rp_filter(lab, a, b, 44)?);
    all.push(drops::full_buffer(a, b, 45)?);
    all.push(drops::ttl_expired(lab, a, b, 46)?);
    all.push(drops::bad_udp_checksum(a, b, 47)?);
    all.push(drops::bad_ip_checksum(lab, a, b, 48)?);
    Ok(all)
}

/// Drops of the same reason, all namespaces or one.
fn packets(all: &[Dropped], reason: &str, netns: Option<u64>) -> u64 {
    let of = |one: &&Dropped| one.reason == reason && netns.is_none_or(|netns| one.netns == netns);
    all.iter().filter(of).map(|one| one.packets).sum()
}

fn every_drop(transport: &str, aggregation: &str) -> Result<()> {
    let lab = Lab::new()?;
    let watch = Watch::start(&lab, &[("datapath.transport", transport), ("datapath.aggregation", aggregation)])?;
    let all = make_all(&lab)?;
    for one in &all {
        let netns = one.netns.to_string();
        let labels = [("hubble.drop.reason", one.reason), ("hubble.drop.netns", netns.as_str())];
        let (counted, wanted) = (
            || watch.eyepiece.number("eyepiece.datapath.drops", &labels).unwrap_or_default(),
            packets(&all, one.reason, Some(one.netns)),
        );
        let in_time = eventually(TIMEOUT, "the kernel's count", || (counted() >= wanted).then_some(()));
        assert!(in_time.is_ok() && counted() == wanted, "{one:?}\n{:#}", watch.eyepiece.status()?["samples"]);
    }
    watch.stop()?.look(|received| {
        for one in &all {
            let (source, destination) = (one.source.to_string(), one.destination.to_string());
            let (netns, port) = (one.netns.to_string(), one.port.map(|port| port.to_string()).unwrap_or_default());
            let wanted = [
                ("hubble.verdict", "DROPPED"),
                ("hubble.drop.reason", one.reason),
                ("source.address", &source),
                ("destination.address", &destination),
                ("destination.port", &port),
                ("hubble.drop.netns", &netns),
            ];
            let records: Vec<_> = received.logs_with(&wanted).collect();
            assert_eq!(records.len() as u64, one.packets, "records: {one:?}");
            assert!(records.iter().all(|log| log.event == "hubble.flow" && log.severity == 13), "{one:?}");
            assert_eq!(
                received.sum("hubble.drop", &[("hubble.drop.reason", one.reason)]),
                packets(&all, one.reason, None)
            );
        }
        // The product's own connections on the loopback may lose a segment, as all do.
        let total: u64 = all.iter().map(|one| one.packets).sum();
        let own = [("hubble.source.name", "host"), ("hubble.destination.name", "host")];
        let series: Vec<_> = received.series("hubble.drop", &[]).collect();
        assert_eq!(received.sum("hubble.drop", &[]) - received.sum("hubble.drop", &own), total, "{series:#?}");
        let dropped = received.logs_with(&[("hubble.verdict", "DROPPED")]);
        assert_eq!(
            dropped.filter(|log| log.attributes.get("hubble.source.name").is_none_or(|name| name != "host")).count()
                as u64,
            total
        );
    });
    Ok(())
}

#[test]
fn ring_reports_every_drop() -> Result<()> {
    every_drop("ring", "medium")
}

#[test]
fn perf_buffer_reports_every_drop() -> Result<()> {
    every_drop("perf", "none")
}

#[test]
fn connection_end_is_no_drop() -> Result<()> {
    let lab = Lab::new()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let watch = Watch::start(&lab, &[])?;
    for family in Family::BOTH {
        for close in [Close::Fin, Close::Rst] {
            tcp(a, b).family(family).connections(10).bytes(100_000).close(close).run()?;
        }
        // The server ends first: what the client sends then meets what the kernel keeps of a closed connection.
        let listener = b.namespace.run(|| TcpListener::bind(SocketAddr::new(b.address(family), 0)))?;
        let mut clients = Vec::new();
        for _ in 0..10 {
            let mut client = a.namespace.run(|| TcpStream::connect(listener.local_addr()?))?;
            drop(listener.accept()?);
            assert_eq!(client.read(&mut [0; 1])?, 0);
            clients.push(client);
        }
        // The acknowledgement of the server's end goes first.
        lab.settle()?;
        drop(clients);
        lab.settle()?;
    }
    assert_eq!(watch.eyepiece.number("eyepiece.datapath.drops", &[])?, 0, "{:#}", watch.eyepiece.status()?["samples"]);
    watch.stop()?.look(|received| {
        let dropped: Vec<_> = received.logs_with(&[("hubble.verdict", "DROPPED")]).map(|log| &log.body).collect();
        assert!(dropped.is_empty(), "{dropped:#?}");
        assert_eq!(received.sum("hubble.tcp_flags", &[("hubble.tcp.flag", "SYN")]), 2 * 2 * 30);
    });
    Ok(())
}

#[test]
fn idle_lab_drops_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let watch = Watch::start(&lab, &[])?;
    // Ten exports without a drop.
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(watch.eyepiece.number("eyepiece.datapath.drops", &[])?, 0, "{:#}", watch.eyepiece.status()?);
    watch.stop()?.look(|received| {
        assert_eq!(received.series("hubble.drop", &[]).count(), 0);
        assert_eq!(received.logs_with(&[("hubble.verdict", "DROPPED")]).count(), 0);
        assert!(received.requests > 5, "nothing was exported, so nothing was tested");
    });
    Ok(())
}

#[test]
fn drop_of_tagged_packet_has_tag() -> Result<()> {
    const TAG: u16 = 7;
    let lab = Lab::new()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    // The node's stack has lifted the tag when the firewall of the interface looks.
    lab.node()
        .nft("table netdev tagged { chain c { type filter hook ingress device ve-a priority 0; vlan id 7 drop; }; }")?;
    let pair = Pair { source: a.v4.into(), destination: b.v4.into() };
    let packet = frame::ip(pair, frame::protocol::UDP, &frame::udp(pair, (4000, 4001), &[0; 100]));
    let frame = frame::ethernet(a.gateway_mac, a.mac, &[(frame::VLAN, TAG)], frame::IPV4, &packet);
    let watch = Watch::start(&lab, &[])?;
    let sent = PacketSocket::open(&a.namespace, &a.device)?.send((0..20).map(|_| frame.as_slice()), 10_000)?;
    assert_eq!(sent, 20);
    let dropped = || watch.eyepiece.number("eyepiece.datapath.drops", &[("hubble.drop.reason", "NETFILTER_DROP")]);
    eventually(TIMEOUT, "the kernel's count", || dropped().is_ok_and(|count| count == 20).then_some(()))?;
    watch.stop()?.look(|received| {
        let tag = TAG.to_string();
        let to = b.v4.to_string();
        let wanted = [("hubble.verdict", "DROPPED"), ("hubble.vlan.id", tag.as_str()), ("destination.address", &to)];
        let all: Vec<_> = received.logs_with(&[("hubble.verdict", "DROPPED")]).map(|log| &log.attributes).collect();
        assert_eq!(received.logs_with(&wanted).count(), 20, "{all:#?}");
    });
    Ok(())
}

/// Waits for the kernel's count of a namespace's drops, and looks again after a while: it must be exactly this.
fn expect_drops(eyepiece: &Eyepiece, netns: u64, wanted: u64) -> Result<()> {
    let netns = netns.to_string();
    let counted = || eyepiece.number("eyepiece.datapath.drops", &[("hubble.drop.netns", &netns)]);
    let enough = || counted().is_ok_and(|count| count >= wanted).then_some(());
    eventually(TIMEOUT, "the kernel's count", enough).with_context(|| eyepiece.stderr())?;
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(counted()?, wanted, "{:#}", eyepiece.status()?["samples"]);
    Ok(())
}

#[test]
fn drops_without_syslog_are_exact() -> Result<()> {
    let (lab, folder) = (Lab::new()?, tempfile::tempdir()?);
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let watch = Watch::start_program(&lab, &[], &with_capabilities(folder.path(), "-syslog")?)?;
    // Its own test runs free a packet a second; an echo reply is freed when raw sockets have it.
    std::thread::sleep(Duration::from_secs(3));
    a.namespace.exec(&format!("ping -c 3 -i 0.2 {}", b.v4))?;
    expect_drops(&watch.eyepiece, lab.node().inode()?, 0)?;
    expect_drops(&watch.eyepiece, a.namespace.inode()?, 0)?;
    let dropped = drops::closed_udp(a, b, Family::V4, 20)?;
    expect_drops(&watch.eyepiece, dropped.netns, 20)?;
    watch.stop().map(drop)
}

#[test]
fn multicast_without_ipv6_is_no_drop() -> Result<()> {
    let lab = Lab::new()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let watch = Watch::start(&lab, &[])?;
    b.namespace.sysctl(&format!("net.ipv6.conf.{}.disable_ipv6", b.device), "1")?;
    let pair = Pair { source: a.v6.into(), destination: "ff02::fb".parse()? };
    let packet = frame::ip(pair, frame::protocol::UDP, &frame::udp(pair, (5353, 5353), &[0; 40]));
    let frame = frame::ethernet([0x33, 0x33, 0, 0, 0, 0xfb], b.gateway_mac, &[], frame::IPV6, &packet);
    let sent = PacketSocket::open(lab.node(), &b.node_device)?.send((0..30).map(|_| frame.as_slice()), 10_000)?;
    assert_eq!(sent, 30);
    let dropped = drops::closed_udp(a, b, Family::V4, 20)?;
    expect_drops(&watch.eyepiece, dropped.netns, 20)?;
    watch.stop().map(drop)
}

#[test]
fn data_after_close_is_no_drop() -> Result<()> {
    let lab = Lab::new()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let watch = Watch::start(&lab, &[])?;
    let listener = b.namespace.run(|| TcpListener::bind((b.v4, 0)))?;
    for _ in 0..10 {
        let client = a.namespace.run(|| TcpStream::connect(listener.local_addr()?))?;
        let (mut server, _) = listener.accept()?;
        drop(client);
        // The server sends although it knows of the client's end.
        assert_eq!(server.read(&mut [0; 1])?, 0);
        server.write_all(b"late")?;
    }
    let dropped = drops::closed_udp(b, a, Family::V4, 20)?;
    expect_drops(&watch.eyepiece, dropped.netns, 20)?;
    watch.stop().map(drop)
}

#[test]
fn own_refused_exports_are_no_drops() -> Result<()> {
    let lab = Lab::new()?;
    let listen = || lab.node().run(|| TcpListener::bind("127.0.0.1:0"));
    // Both at once, so that their ports differ.
    let listeners = [listen()?, listen()?];
    let (closed, other) = (listeners[0].local_addr()?, listeners[1].local_addr()?);
    drop(listeners);
    let config = format!("[otlp]\nendpoint = \"http://{closed}\"\n[otlp.metrics]\ninterval = \"1s\"\n");
    let eyepiece = Eyepiece::start(lab.node(), &config)?;
    eventually(TIMEOUT, "a refused export", || eyepiece.stderr().contains("refused").then_some(()))?;
    expect_drops(&eyepiece, lab.node().inode()?, 0)?;
    // The packet decides, not the process: another program's packet to the receiver is no drop, to another port it is.
    assert!(lab.node().run(|| TcpStream::connect(closed)).is_err());
    expect_drops(&eyepiece, lab.node().inode()?, 0)?;
    assert!(lab.node().run(|| TcpStream::connect(other)).is_err());
    expect_drops(&eyepiece, lab.node().inode()?, 1)
}

#[test]
fn drops_inside_tcp_sockets_are_reported() -> Result<()> {
    const SEGMENTS: u64 = 12;
    let lab = Lab::new()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let watch = Watch::start(&lab, &[])?;
    let listener = b.namespace.run(|| TcpListener::bind((b.v4, 0)))?;
    let client = a.namespace.run(|| TcpStream::connect(listener.local_addr()?))?;
    let (mut server, _) = listener.accept()?;
    // Data that the receiver has had already is old, whatever the numbers of this connection are: far off its window.
    let pair = Pair { source: a.v4.into(), destination: b.v4.into() };
    let ports = (client.local_addr()?.port(), listener.local_addr()?.port());
    let segments: Vec<_> = (0..SEGMENTS as u32)
        .map(|index| frame::tcp(pair, ports, 0x18, (index << 28, 1), &[0x64; 40]))
        .map(|segment| frame::ip(pair, frame::protocol::TCP, &segment))
        .map(|packet| frame::ethernet(a.gateway_mac, a.mac, &[], frame::IPV4, &packet))
        .collect();
    PacketSocket::open(&a.namespace, &a.device)?.send(segments.iter().map(Vec::as_slice), 1000)?;
    expect_drops(&watch.eyepiece, b.namespace.inode()?, SEGMENTS)?;
    server.write_all(b"it lives")?;
    let filtered = drops::nft(&lab, a, b, Family::V4, 20)?;
    expect_drops(&watch.eyepiece, filtered.netns, 20)?;
    let receiver = watch.stop()?;
    receiver.look(|received| {
        let (source, port) = (a.v4.to_string(), ports.1.to_string());
        let wanted = [("hubble.verdict", "DROPPED"), ("source.address", &*source), ("destination.port", &*port)];
        let reasons: Vec<_> =
            received.logs_with(&wanted).filter_map(|log| log.attributes.get("hubble.drop.reason")).collect();
        assert_eq!(reasons.len() as u64, SEGMENTS, "{reasons:?}");
        assert!(reasons.iter().all(|reason| reason.starts_with("TCP_")), "{reasons:?}");
        let filtered = received.logs_with(&[("hubble.drop.reason", "NETFILTER_DROP")]).count();
        assert_eq!(filtered, 20);
    });
    Ok(())
}
