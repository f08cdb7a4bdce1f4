//! The lab's own tests: what its generators report is what tcpdump and the interfaces saw.

use std::time::Duration;

use anyhow::Result;
use eyepiece_tests::frame::flags::{ACK, FIN, RST, SYN};
use eyepiece_tests::lab::{DEVICE, UPLINK};
use eyepiece_tests::traffic::{self, Close, connections, echo, mixed, script, tcp, udp};
use eyepiece_tests::{Capture, Count, Eyepiece, Family, Lab, Uplink, drops, frame};

#[test]
fn datagrams_match_witnesses() -> Result<()> {
    let lab = Lab::new()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    for (family, packets, payload) in
        [(Family::V4, 0, 10), (Family::V4, 1, 0), (Family::V4, 3000, 1472), (Family::V6, 3000, 7)]
    {
        let (before_a, before_b) = (lab.node().counters("ve-a")?, lab.node().counters("ve-b")?);
        let capture = Capture::start(&b.namespace, DEVICE, "udp")?;
        let report = udp(a, b).family(family).packets(packets).payload(payload).flows(3).run()?;
        assert_eq!(report.received, report.sent, "{family:?}");
        assert_eq!(report.sent.packets, packets);
        assert_eq!(capture.stop()?.count("")?, report.sent, "{family:?}");
        assert_eq!((lab.node().counters("ve-a")? - before_a).rx(), report.sent, "{family:?}");
        assert_eq!((lab.node().counters("ve-b")? - before_b).tx(), report.sent, "{family:?}");
    }
    Ok(())
}

#[test]
fn frames_match_witnesses() -> Result<()> {
    for builder in [Lab::builder(), Lab::builder().bridge()] {
        let lab = builder.uplink(Uplink::None).build()?;
        let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
        let before = lab.node().counters("ve-a")?;
        let capture = Capture::start(lab.node(), "ve-a", "ether src 02:00:00:00:00:01")?;
        let sent = mixed(a, b).total(20_000).run()?;
        let captured = capture.stop()?;
        assert_eq!(sent.total.packets, 20_000);
        assert_eq!(captured.count("")?.packets, sent.total.packets);
        assert_eq!(captured.count("")?.bytes, sent.total.bytes);
        for (kind, filter) in [
            ("vlan", "ether proto 0x8100"),
            ("vlan-twice", "ether proto 0x88a8"),
            ("arp", "arp"),
            ("igmp", "igmp"),
            ("experiment", "ether proto 0x88b5"),
            ("sctp4", "ip proto 132"),
            ("extensions6", "ip6[6] = 0"),
            ("options4", "ip[0] = 0x47"),
            ("fragment6-rest", "ip6[6] = 44 and ip6[42:2] & 0xfff8 != 0"),
            ("fragment4-first", "ip[6:2] = 0x2000"),
        ] {
            assert_eq!(captured.count(filter)?, sent.kinds[kind], "{kind}");
        }
        // The stack of `a` sends too: RST and unreachable are answers to what `b` answers.
        let counted = (lab.node().counters("ve-a")? - before).rx();
        assert!(counted.packets >= sent.total.packets, "{counted:?}");
    }
    Ok(())
}

#[test]
fn transfers_carry_stated_bytes() -> Result<()> {
    let lab = Lab::builder().nat().build()?;
    let (a, b, outside) = (lab.endpoint("a"), lab.endpoint("b"), lab.outside());
    for (from, to, family, close) in [
        (a, b, Family::V4, Close::Fin),
        (a, b, Family::V6, Close::Rst),
        (a, outside, Family::V4, Close::Fin),
        (b, outside, Family::V6, Close::Rst),
    ] {
        let capture = Capture::start(&to.namespace, DEVICE, "")?;
        let report = tcp(from, to).family(family).connections(5).bytes(100_000).answer(3000).close(close).run()?;
        assert_eq!((report.connections, report.sent, report.answered), (5, 500_000, 15_000));
        let captured = capture.stop()?;
        assert_eq!(captured.tcp_flags(SYN, ACK)?, 5, "{family:?} SYN\n{}", captured.text("")?);
        assert_eq!(captured.tcp_flags(SYN | ACK, 0)?, 5, "{family:?} SYN-ACK");
        let (fins, resets) = if close == Close::Fin { (10, 0) } else { (0, 5) };
        assert_eq!(captured.tcp_flags(FIN, 0)?, fins, "{family:?} FIN\n{}", captured.text("")?);
        assert_eq!(captured.tcp_flags(RST, 0)?, resets, "{family:?} RST");
    }
    Ok(())
}

#[test]
fn offloaded_write_crosses_as_one_packet() -> Result<()> {
    for (uplink, offloads) in
        [(Uplink::Macvlan, true), (Uplink::Macvlan, false), (Uplink::Tap, true), (Uplink::Tap, false)]
    {
        let builder = Lab::builder().endpoints(["a"]).uplink(uplink);
        let lab = if offloads { builder.offloads() } else { builder }.build()?;
        let capture = Capture::start(lab.node(), UPLINK, "tcp and greater 2000")?;
        tcp(lab.endpoint("a"), lab.outside()).bytes(1_000_000).write(60_000).run()?;
        let large = capture.stop()?.count("")?.packets;
        assert_eq!(large > 0, offloads, "{uplink:?} offloads {offloads}: {large} packets over 2000 bytes");
    }
    Ok(())
}

#[test]
fn every_echo_request_is_answered() -> Result<()> {
    let lab = Lab::builder().uplink(Uplink::Tap).nat().build()?;
    for to in [lab.endpoint("b"), lab.outside()] {
        for family in Family::BOTH {
            let before = lab.node().counters(&to.node_device)?;
            let report = echo(lab.endpoint("a"), to).family(family).count(50).run()?;
            assert_eq!((report.requests, report.replies), (50, 50), "{} {family:?}", to.name);
            let counted = lab.node().counters(&to.node_device)? - before;
            let both = Count { packets: 50, bytes: 50 * report.frame };
            assert_eq!((counted.rx(), counted.tx()), (both, both), "{} {family:?}", to.name);
        }
    }
    Ok(())
}

#[test]
fn uplink_counts_every_packet() -> Result<()> {
    for (uplink, kind) in [(Uplink::Macvlan, "macvlan"), (Uplink::Tap, "tun")] {
        let lab = Lab::builder().uplink(uplink).nat().build()?;
        assert_eq!(lab.node().link(UPLINK)?["linkinfo"]["info_kind"], kind);
        let (a, outside) = (lab.endpoint("a"), lab.outside());
        for family in Family::BOTH {
            let before = lab.node().counters(UPLINK)?;
            let report = udp(a, outside).family(family).packets(20_000).payload(100).run()?;
            assert_eq!(report.received, report.sent, "{uplink:?} {family:?}");
            lab.settle()?;
            assert_eq!((lab.node().counters(UPLINK)? - before).tx(), report.sent, "{uplink:?} {family:?}");
        }
        let before = lab.node().counters(UPLINK)?;
        let sent = connections(outside, a, 3000, traffic::RATE)?;
        lab.settle()?;
        let counted = lab.node().counters(UPLINK)? - before;
        assert_eq!(counted.rx(), sent, "{uplink:?}");
    }
    Ok(())
}

#[test]
fn script_sends_at_least_requested() -> Result<()> {
    let lab = Lab::new()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    for total in [0, 1, 20_000] {
        let before = lab.node().counters("ve-a")?;
        let script = script(a, b, total)?;
        lab.settle()?;
        let counted = lab.node().counters("ve-a")? - before;
        assert!(counted.rx_packets + counted.tx_packets >= total, "{total}: {counted:?}");
        assert!(counted.rx_packets >= script.sent_at_least.packets, "{total}: {counted:?} {script:?}");
        assert_eq!(counted.tx_dropped, 0, "{counted:?}");
    }
    Ok(())
}

#[test]
fn node_is_host() -> Result<()> {
    for builder in [Lab::builder(), Lab::builder().bridge()] {
        let lab = builder.build()?;
        for host in [lab.endpoint("a"), lab.outside()] {
            let node = lab.node_towards(host);
            for family in Family::BOTH {
                let before = lab.node().counters(&host.node_device)?;
                let report = udp(&node, host).family(family).packets(100).run()?;
                assert_eq!(report.received, report.sent, "{} {family:?}", host.name);
                let counted = lab.node().counters(&host.node_device)? - before;
                assert_eq!(counted.tx(), report.sent, "{} {family:?}", host.name);
                assert_eq!(echo(host, &node).family(family).count(3).run()?.replies, 3, "{} {family:?}", host.name);
            }
        }
    }
    Ok(())
}

#[test]
fn vlan_tag_counts_by_device_kind() -> Result<()> {
    for (uplink, bytes) in [(Uplink::Tap, 6400), (Uplink::Macvlan, 6000)] {
        let lab = Lab::builder().uplink(uplink).build()?;
        for (host, bytes) in [(lab.endpoint("a"), 6400), (lab.outside(), bytes)] {
            let frame = frame::ethernet(host.gateway_mac, host.mac, &[(frame::VLAN, 5)], frame::EXPERIMENT, &[0; 46]);
            let before = lab.node().counters(&host.node_device)?;
            traffic::frames(host)?.send(std::iter::repeat_n(frame.as_slice(), 100), traffic::RATE)?;
            lab.settle()?;
            let counted = lab.node().counters(&host.node_device)? - before;
            assert_eq!(counted.rx(), Count { packets: 100, bytes }, "{uplink:?} {}", host.name);
        }
    }
    Ok(())
}

#[test]
fn product_starts_answers_and_stops() -> Result<()> {
    let lab = Lab::builder().endpoints([]).uplink(Uplink::None).build()?;
    // A stand-in for the program: a listener of this test's, and a script with its address.
    let listener = lab.node().run(|| std::net::TcpListener::bind("127.0.0.1:0"))?;
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("stand-in");
    let script = format!(
        "#!/bin/sh\ntrap 'exit 3' TERM\necho \"INFO admin listener on {}\" >&2\necho \"$@ $MARK\" >&2\n\
         while :; do sleep 0.05; done\n",
        listener.local_addr()?
    );
    std::fs::write(&program, script)?;
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let server = std::thread::spawn(move || {
        for status in ["503 No", "200 OK", "200 OK"] {
            let (mut stream, _) = listener.accept()?;
            let read = std::io::Read::read(&mut stream, &mut [0; 1024])?;
            assert!(read > 0);
            std::io::Write::write_all(&mut stream, format!("HTTP/1.1 {status}\r\n\r\n{{\"a\":1}}").as_bytes())?;
        }
        anyhow::Ok(())
    });
    let builder = Eyepiece::builder("[node]").program(&program).argument("--set").variable("MARK", "marked");
    let mut eyepiece = builder.start(lab.node())?;
    assert_eq!(eyepiece.status()?["a"], 1);
    server.join().expect("the listener")?;
    assert!(eyepiece.process.rss_kib()? > 0 && eyepiece.process.descriptors()? >= 3);
    assert!(eyepiece.stderr().contains("run --config") && eyepiece.stderr().contains("--set marked"));
    assert_eq!(eyepiece.stop()?, 3);
    let failed = Eyepiece::builder("").program("/bin/false".as_ref()).start(lab.node());
    assert!(failed.is_err_and(|error| format!("{error:#}").contains("before it ended")));
    Ok(())
}

#[test]
fn endpoint_is_added_and_removed() -> Result<()> {
    let mut lab = Lab::builder().endpoints(["a"]).bridge().uplink(Uplink::None).build()?;
    lab.add_endpoint("late")?;
    assert_eq!(lab.node_devices(), ["ve-a", "ve-late"]);
    assert_eq!(echo(lab.endpoint("a"), lab.endpoint("late")).count(3).run()?.replies, 3);
    lab.remove_endpoint("late")?;
    assert!(lab.node().counters("ve-late").is_err());
    Ok(())
}

#[test]
fn drops_match_kernel_counters() -> Result<()> {
    let lab = Lab::new()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let kernel = oracle::KernelDrops::start()?;
    for family in Family::BOTH {
        kernel.check(&drops::nft(&lab, a, b, family, 40)?)?;
        kernel.check(&drops::closed_udp(a, b, family, 41)?)?;
        kernel.check(&drops::closed_tcp(a, b, family, 5)?)?;
    }
    kernel.check(&drops::iptables(a, b, 42)?)?;
    kernel.check(&drops::no_route(&lab, a, 43)?)?;
    kernel.check(&drops::rp_filter(&lab, a, b, 44)?)?;
    kernel.check(&drops::full_buffer(a, b, 45)?)?;
    kernel.check(&drops::ttl_expired(&lab, a, b, 46)?)?;
    kernel.check(&drops::bad_udp_checksum(a, b, 47)?)?;
    kernel.check(&drops::bad_ip_checksum(&lab, a, b, 48)?)?;
    Ok(())
}

#[test]
fn dropped_lab_leaves_nothing() -> Result<()> {
    let names = |lab: &Lab| -> Vec<String> {
        lab.endpoints()
            .iter()
            .map(|host| host.namespace.name().to_owned())
            .chain([lab.node().name().to_owned()])
            .collect()
    };
    let exists = |name: &String| std::path::Path::new("/run/netns").join(name).exists();
    let lab = Lab::new()?;
    let left = names(&lab);
    let sleeper = eyepiece_tests::Background::spawn(lab.node().command("sleep").arg("1000"))?;
    assert_eq!(lab.node().processes()?, [sleeper.pid().as_raw()]);
    assert!(left.iter().all(exists));
    drop(lab);
    assert!(!left.iter().any(exists));
    let mut sleeper = sleeper;
    sleeper.wait(Duration::from_secs(5))?;

    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let lab = Lab::new().expect("a lab");
        sender.send(names(&lab)).expect("someone listens");
        lab.endpoint("unknown");
    });
    let left = receiver.recv()?;
    assert!(panicked.join().is_err());
    assert!(!left.iter().any(exists));

    // A run that was killed leaves its namespaces: the next lab removes them. No process has this number.
    let dead = format!("ep-{}-0-node", i32::MAX);
    std::mem::forget(eyepiece_tests::Namespace::create(&dead)?);
    assert!(exists(&dead));
    drop(Lab::builder().endpoints([]).uplink(Uplink::None).build()?);
    assert!(!exists(&dead));
    Ok(())
}

mod oracle {
    //! The kernel's own trace of drops, in its own trace instance.

    use std::path::PathBuf;
    use std::time::Duration;

    use anyhow::{Context, Result};
    use eyepiece_tests::drops::Dropped;
    use eyepiece_tests::eventually;

    pub(super) struct KernelDrops {
        folder: PathBuf,
    }

    impl KernelDrops {
        pub(super) fn start() -> Result<Self> {
            let tracing = PathBuf::from("/sys/kernel/tracing");
            if !tracing.join("instances").exists() {
                nix::mount::mount(
                    Some("tracefs"),
                    &tracing,
                    Some("tracefs"),
                    nix::mount::MsFlags::empty(),
                    None::<&str>,
                )
                .context("mount tracefs")?;
            }
            for entry in std::fs::read_dir(tracing.join("instances"))? {
                let path = entry?.path();
                let owner = path.file_name().and_then(|name| name.to_str()?.strip_prefix("ep-"));
                // Of a run that was killed.
                if owner.is_some_and(|pid| !PathBuf::from("/proc").join(pid).exists()) {
                    std::fs::remove_dir(&path)?;
                }
            }
            let folder = tracing.join("instances").join(format!("ep-{}", std::process::id()));
            std::fs::create_dir(&folder).context("a trace instance")?;
            let drops = Self { folder };
            drops.write("trace_clock", "mono")?;
            drops.write("buffer_size_kb", "4096")?;
            drops.write("events/skb/kfree_skb/enable", "1")?;
            Ok(drops)
        }

        fn write(&self, file: &str, text: &str) -> Result<()> {
            std::fs::write(self.folder.join(file), text).with_context(|| file.to_owned())
        }

        /// The trace holds that many drops of that reason since the last check; labs beside this one may add others.
        pub(super) fn check(&self, dropped: &Dropped) -> Result<()> {
            let wanted = format!("reason: {}", dropped.reason);
            let read = || std::fs::read_to_string(self.folder.join("trace")).unwrap_or_default();
            let count = || read().lines().filter(|line| line.trim_end().ends_with(&wanted)).count() as u64;
            let enough = || (count() >= dropped.packets).then_some(());
            let seen = eventually(Duration::from_secs(3), "drops", enough);
            assert!(seen.is_ok(), "{dropped:?}: the kernel traced {} of them\n{}", count(), read());
            self.write("trace", "")
        }
    }

    impl Drop for KernelDrops {
        fn drop(&mut self) {
            if let Err(error) = std::fs::remove_dir(&self.folder) {
                eprintln!("{}: {error}", self.folder.display());
            }
        }
    }
}
