//! Checks the texts for real traffic: standard output in the demo's columns, and `eyepiece observe`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eyepiece_tests::eyepiece::binary;
use eyepiece_tests::traffic::{frames, udp};
use eyepiece_tests::{Background, Eyepiece, Family, Host, Lab, Uplink, drops, eventually};

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The socket of Hubble's API, in the test's folder.
const SOCKET: &str = "hubble.sock";

/// A packet from a to b, a drop at b, and an ARP request of a for its gateway.
fn make_traffic(lab: &Lab) -> Result<()> {
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    udp(a, b).packets(1).port(7100).run()?;
    drops::closed_udp(a, b, Family::V4, 1)?;
    let mut frame = [&[0xff; 6][..], &a.mac, &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1], &a.mac].concat();
    frame.extend(a.v4.octets());
    frame.extend([0; 6]);
    frame.extend(a.gateway4.octets());
    frames(a)?.send([frame.as_slice()], 0)?;
    Ok(())
}

/// The ARP request of a for its gateway.
fn arp(a: &Host) -> String {
    format!("ARP: {} asks for {}", a.v4, a.gateway4)
}

fn lab() -> Result<Lab> {
    Lab::builder().uplink(Uplink::None).build()
}

#[test]
fn stdout_has_demo_columns() -> Result<()> {
    let mut lab = lab()?;
    let mut eyepiece = Eyepiece::builder("[datapath]\naggregation = \"none\"\n[otlp.metrics]\ninterval = \"100ms\"\n")
        .argument("--protocol")
        .argument("stdout")
        .start(lab.node())?;
    make_traffic(&lab)?;
    let created = format!(" at {}", lab.add_endpoint("c")?.node_device);
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let ends = |arrow: &str, port: u16| {
        (format!("{} {}:", a.node_device, a.v4), format!(" {arrow} {} {}:{port} ", b.node_device, b.v4))
    };
    let has =
        |words: &[&str]| eyepiece.process.stdout().lines().any(|line| words.iter().all(|word| line.contains(word)));
    let ((from, to), (_, dropped)) = (ends("→", 7100), ends("✗", 7003));
    for words in [
        &[from.as_str(), &to, " UDP ", "FORWARDED from-endpoint"][..],
        &[&from, &to, " UDP ", "FORWARDED to-endpoint again"],
        &[&from, &dropped, " UDP ", "DROPPED NO_SOCKET"],
        &["└─ in the kernel's "],
        &[&a.node_device, &arp(a), "FORWARDED from-endpoint"],
        &["ENDPOINT_CREATED: endpoint ", &created],
    ] {
        eventually(TIMEOUT, &format!("no line with {words:?}"), || has(words).then_some(()))
            .with_context(|| format!("{}{}", eyepiece.process.stdout(), eyepiece.stderr()))?;
    }
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    let text = eyepiece.process.stdout();
    let again: Vec<_> = text.lines().filter(|line| line.contains(&to) && line.ends_with(" again")).collect();
    assert_eq!(again.len(), 1, "{text}");
    assert!(!text.contains("hubble."), "no table of metrics\n{text}");
    Ok(())
}

#[test]
fn stdout_table_is_printed_if_asked() -> Result<()> {
    let lab = lab()?;
    let mut eyepiece =
        Eyepiece::builder("").argument("--protocol").argument("stdout").argument("--table").start(lab.node())?;
    make_traffic(&lab)?;
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    let text = eyepiece.process.stdout();
    assert!(text.lines().any(|line| line.starts_with("hubble.flow.io ")), "{text}");
    Ok(())
}

/// Runs `eyepiece observe` with arguments.
fn observe(lab: &Lab, folder: &tempfile::TempDir, arguments: &[&str]) -> Result<String> {
    let server = format!("unix://{}", folder.path().join(SOCKET).display());
    let mut command = lab.node().command(binary()?);
    let mut command = Background::spawn(command.args(["observe", "--all", "--server", &server]).args(arguments))?;
    let code = command.wait(TIMEOUT)?.code();
    ensure!(code == Some(0), "{arguments:?}: {code:?} {}", command.stderr());
    Ok(command.stdout())
}

#[test]
fn observe_shows_same_as_stdout() -> Result<()> {
    let (lab, folder) = (lab()?, tempfile::tempdir()?);
    let config = format!(
        "[datapath]\naggregation = \"none\"\n[hubble]\nlisten = [\"unix://{}\"]\n[otlp.logs]\nenabled = false\n\
         [otlp.metrics]\nenabled = false\n",
        folder.path().join(SOCKET).display()
    );
    let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
    make_traffic(&lab)?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let to = |port: u16| format!("{}:{port} ({}) ", b.v4, b.node_device);
    let from = format!(" ({}) ", a.node_device);
    for words in [
        &[from.as_str(), &to(7100), " from-endpoint FORWARDED (UDP)"][..],
        &[&from, &to(7100), " to-endpoint again FORWARDED (UDP)"],
        &[&from, &to(7003), " NO_SOCKET DROPPED (UDP (NO_SOCKET))"],
        &[&from, " from-endpoint FORWARDED (", &arp(a)],
    ] {
        let shown = || {
            let text = observe(&lab, &folder, &[]).ok()?;
            text.lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
        };
        eventually(TIMEOUT, &format!("no line with {words:?}"), shown)
            .with_context(|| format!("{:?}{}", observe(&lab, &folder, &[]), eyepiece.stderr()))?;
    }
    let dropped = observe(&lab, &folder, &["--drop-reason-desc", "NO_SOCKET"])?;
    assert!(dropped.lines().count() > 0 && dropped.lines().all(|line| line.contains("(NO_SOCKET)")), "{dropped}");
    let others = observe(&lab, &folder, &["--not", "--drop-reason-desc", "NO_SOCKET"])?;
    assert!(others.lines().count() > 0 && !others.contains("NO_SOCKET"), "{others}");
    // A client that does not ask gets what Hubble has.
    let json = observe(&lab, &folder, &["-o", "json"])?;
    assert!(json.lines().count() > 0 && !json.contains("extensions"), "{json}");
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    Ok(())
}
