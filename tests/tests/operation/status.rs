//! Checks the running product's answers: at its admin listener, to `eyepiece status`, to signals.

use std::time::Duration;

use anyhow::{Context as _, Result};
use eyepiece_tests::bpf::Objects;
use eyepiece_tests::eyepiece::binary;
use eyepiece_tests::traffic::udp;
use eyepiece_tests::{Background, Behaviour, Eyepiece, Lab, Receiver, Uplink, eventually};
use nix::sys::signal::Signal;

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(15);

fn lab() -> Result<Lab> {
    Lab::builder().uplink(Uplink::None).build()
}

fn config(receiver: &Receiver, drain: &str) -> String {
    let endpoint = receiver.endpoint();
    format!("[node]\ndrain = \"{drain}\"\n[otlp]\nendpoint = \"{endpoint}\"\n[otlp.logs]\ndelay = \"100ms\"\n")
}

/// Runs `eyepiece status` with arguments: exit code, output, errors.
fn status(lab: &Lab, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let mut command = Background::spawn(lab.node().command(binary()?).arg("status").args(arguments))?;
    let code = command.wait(TIMEOUT)?.code();
    Ok((code, command.stdout(), command.stderr()))
}

/// Mappings of the kernel's maps, and descriptors of perf buffers, that a process has.
fn reading(eyepiece: &Eyepiece) -> Result<(usize, usize)> {
    let folder = format!("/proc/{}", eyepiece.process.pid());
    let mapped = std::fs::read_to_string(format!("{folder}/maps"))?.matches("bpf-map").count();
    let links =
        std::fs::read_dir(format!("{folder}/fd"))?.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    Ok((mapped, links.filter(|link| link.to_string_lossy().contains("perf_event")).count()))
}

#[test]
fn unused_source_reads_nothing() -> Result<()> {
    let lab = lab()?;
    let receiver = Receiver::start(lab.node())?;
    for transport in ["ring", "perf"] {
        for wanted in [true, false] {
            let config = format!(
                "[datapath]\ntransport = \"{transport}\"\naggregation = \"none\"\n[otlp]\nendpoint = \"{}\"\n\
                 [otlp.logs]\nenabled = false\n[otlp.metrics]\nenabled = {wanted}\n",
                receiver.endpoint()
            );
            let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
            udp(lab.endpoint("a"), lab.endpoint("b")).packets(500).run()?;
            let (mapped, buffers) = reading(&eyepiece)?;
            let received = || eyepiece.number("eyepiece.events.received", &[]).ok();
            if wanted {
                eventually(TIMEOUT, "events", || received().filter(|&count| count >= 1000))?;
                assert!(if transport == "ring" { mapped > 0 } else { buffers > 0 }, "{transport}: {mapped} {buffers}");
            } else {
                assert_eq!((received(), mapped, buffers), (Some(0), 0, 0), "{transport}");
            }
            assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
        }
    }
    Ok(())
}

#[test]
fn hooks_and_numbers_are_shown() -> Result<()> {
    let lab = lab()?;
    let receiver = Receiver::start(lab.node())?;
    let mut eyepiece = Eyepiece::start(lab.node(), &config(&receiver, "5s"))?;
    udp(lab.endpoint("a"), lab.endpoint("b")).run()?;
    let received = || eyepiece.number("eyepiece.events.received", &[]).ok().filter(|&count| count > 0);
    eventually(TIMEOUT, "events", received)?;
    for (path, code, body) in [("/healthz", 200, "ok"), ("/readyz", 200, "ready"), ("/nothing", 404, "/status")] {
        let (answered, text) = eyepiece.get(path)?;
        assert!(answered == code && text.contains(body), "{path}: {answered} {text}");
    }
    let address = eyepiece.admin()?.to_string();
    let (code, text, errors) = status(&lab, &["--address", &address])?;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    for expected in [
        ["ve-a", "from-endpoint", "tcx", "attached"],
        ["ve-a", "to-endpoint", "tcx", "attached"],
        ["ve-b", "from-endpoint", "tcx", "attached"],
        ["ve-b", "to-endpoint", "tcx", "attached"],
    ] {
        assert!(rows.iter().any(|row| row[..] == expected), "{expected:?} is missing:\n{text}");
    }
    for tracepoint in ["kfree_skb", "inet_sock_set_state"] {
        let expected = ["(whole", "machine)", tracepoint, "tp_btf", "attached"];
        assert!(rows.iter().any(|row| row[..] == expected), "{tracepoint} is missing:\n{text}");
    }
    assert!(rows.iter().any(|row| row[..].starts_with(&["process", "current"])), "{text}");
    assert!(rows.iter().any(|row| row.first() == Some(&"eyepiece.events.received") && row[1] != "0"), "{text}");
    assert!(rows.iter().all(|row| row.get(1) != Some(&"0")), "zeros are left out: {text}");
    for family in ["ipv4", "ipv6"] {
        let capacity = eyepiece.number("eyepiece.datapath.connection.capacity", &[("network.type", family)])?;
        assert_eq!(capacity, 131_072, "{family}");
    }
    let (code, text, _) = status(&lab, &["--json", "--address", &address])?;
    let document: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!((code, &document["ready"]), (Some(0), &true.into()), "{text}");

    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    let (code, _, errors) = status(&lab, &["--address", &address])?;
    assert!(code == Some(1) && errors.contains(&address), "{code:?} {errors}");
    Ok(())
}

#[test]
fn hangup_is_survived_and_logged() -> Result<()> {
    let lab = lab()?;
    let receiver = Receiver::start(lab.node())?;
    let mut eyepiece = Eyepiece::start(lab.node(), &config(&receiver, "5s"))?;
    for _ in 0..3 {
        eyepiece.process.signal(Signal::SIGHUP)?;
    }
    eyepiece.process.wait_for_line("SIGHUP", TIMEOUT)?;
    assert_eq!(eyepiece.get("/readyz")?.0, 200);
    udp(lab.endpoint("a"), lab.endpoint("b")).run()?;
    receiver.wait(TIMEOUT, "flows after a hangup", |received| received.unique_logs() > 0)?;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        assert_eq!(eyepiece.process.stop(signal, TIMEOUT)?, 0, "{signal} {}", eyepiece.stderr());
        eyepiece = Eyepiece::start(lab.node(), &config(&receiver, "5s"))?;
    }
    Ok(())
}

#[test]
fn second_signal_ends_at_once() -> Result<()> {
    let lab = lab()?;
    let receiver = Receiver::start(lab.node())?;
    receiver.behave(Behaviour::Hang);
    // The wait for its end is far shorter than its drain.
    let mut eyepiece = Eyepiece::start(lab.node(), &config(&receiver, "10m"))?;
    udp(lab.endpoint("a"), lab.endpoint("b")).run()?;
    receiver.wait(TIMEOUT, "a request that hangs", |received| received.requests > 0)?;
    let held = Objects::of(eyepiece.process.pid())?;
    eyepiece.process.signal(Signal::SIGTERM)?;
    let links = Objects { links: held.links.clone(), ..Objects::default() };
    eventually(TIMEOUT, "detached", || links.left().is_empty().then_some(()))?;
    assert!(eyepiece.process.ended()?.is_none(), "it still delivers: {}", eyepiece.stderr());
    // What follows at once would be the first one's echo.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(eyepiece.process.stop(Signal::SIGTERM, TIMEOUT)?, 1, "{}", eyepiece.stderr());
    assert!(eyepiece.stderr().contains("second signal"), "{}", eyepiece.stderr());
    eventually(TIMEOUT, "freed", || held.left().is_empty().then_some(()))
}

/// The capabilities of a process's threads by name, as the kernel has them: effective and permitted.
fn capabilities(eyepiece: &Eyepiece) -> Result<Vec<(String, u64)>> {
    let mut threads = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{}/task", eyepiece.process.pid()))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim).unwrap_or_default().to_owned()
        };
        let set = |name| u64::from_str_radix(&field(name), 16);
        assert_eq!((field("NoNewPrivs").as_str(), set("CapBnd")?, set("CapInh")?), ("1", 0, 0), "{status}");
        threads.push((field("Name"), set("CapEff")? | set("CapPrm")?));
    }
    Ok(threads)
}

#[test]
fn threads_hold_needed_capabilities() -> Result<()> {
    const NET_ADMIN: u64 = 1 << 12;
    const SYS_PTRACE: u64 = 1 << 19;
    const BPF: u64 = 1 << 39;
    let lab = lab()?;
    let receiver = Receiver::start(lab.node())?;
    const OFF: &str = "[metadata]\ndocker.enabled = \"off\"\ncgroup.enabled = \"off\"\n";
    for (kind, providers, attacher, links, metadata) in [
        ("datapath", "", NET_ADMIN | BPF, NET_ADMIN | SYS_PTRACE, SYS_PTRACE),
        ("datapath", OFF, NET_ADMIN | BPF, NET_ADMIN | SYS_PTRACE, 0),
        ("cilium-monitor", "", 0, 0, 0),
    ] {
        let config = format!("[source]\nkind = \"{kind}\"\n{providers}{}", config(&receiver, "5s"));
        let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
        let needed = |name: &str| match name {
            "attacher" => attacher,
            "links" => links,
            "metadata" => metadata,
            _ => 0,
        };
        // A new thread drops them as its first step.
        let all_hold_needed = || {
            let threads = capabilities(&eyepiece).ok()?;
            (threads.len() > 5 && threads.iter().all(|(name, held)| *held == needed(name))).then_some(())
        };
        eventually(TIMEOUT, "a thread holds others", all_hold_needed)
            .with_context(|| format!("{kind} {providers}: {:x?}", capabilities(&eyepiece)))?;
        let shown = &eyepiece.status()?["privileges"];
        assert!(shown["no_new_privs"] == true && shown["dumpable"] == false, "{shown:#}");
        let text = status(&lab, &["--address", &eyepiece.admin()?.to_string()])?.1;
        for word in if attacher == 0 { &["none"][..] } else { &["none", "NET_ADMIN BPF", "NET_ADMIN SYS_PTRACE"] } {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
        assert!(!eyepiece.stderr().contains("cannot drop"), "{}", eyepiece.stderr());
    }
    Ok(())
}
