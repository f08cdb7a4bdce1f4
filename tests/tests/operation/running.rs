//! Checks operation: failing exports, patterns that match nothing, a second instance, the end by Ctrl-C.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use eyepiece_tests::eyepiece::binary;
use eyepiece_tests::traffic::{tcp, udp};
use eyepiece_tests::{Background, Behaviour, Collector, Eyepiece, Lab, Receiver, Uplink, eventually, needs_peers};
use nix::sys::signal::Signal;

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(30);

fn lab() -> Result<Lab> {
    Lab::builder().uplink(Uplink::None).build()
}

fn config(endpoint: &str, protocol: &str) -> String {
    format!(
        "[node]\ndrain = \"2s\"\n[otlp]\nendpoint = \"{endpoint}\"\nprotocol = \"{protocol}\"\ntimeout = \"1s\"\n\
         [otlp.metrics]\ninterval = \"300ms\"\n[otlp.logs]\ndelay = \"100ms\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\nreadiness = \"exporting\"\n"
    )
}

/// Starts it and waits for its admin listener only: if the export fails, it never becomes ready.
fn start(lab: &Lab, config: &str) -> Result<(Eyepiece, String)> {
    let mut eyepiece = Eyepiece::builder(config).launch(lab.node())?;
    let line = eyepiece.process.wait_for_line("admin listener on ", TIMEOUT)?;
    let address = line.rsplit(' ').next().context("no address")?.trim().to_owned();
    Ok((eyepiece, address))
}

/// Returns the output of `eyepiece status`.
fn status(lab: &Lab, address: &str) -> Result<String> {
    let mut command = Background::spawn(lab.node().command(binary()?).args(["status", "--address", address]))?;
    let code = command.wait(TIMEOUT)?.code();
    anyhow::ensure!(code == Some(0), "{}", command.stderr());
    Ok(command.stdout())
}

fn readyz(lab: &Lab, address: &str) -> Result<(u16, String)> {
    lab.node().get(address.parse()?, "/readyz")
}

/// A wrong endpoint: in the log at once, at the head of the status, and in /readyz.
fn fails(lab: &Lab, endpoint: &str, protocol: &str, expected: &str) -> Result<()> {
    let (mut eyepiece, address) = start(lab, &config(endpoint, protocol))?;
    udp(lab.endpoint("a"), lab.endpoint("b")).packets(100).run()?;
    for signal in ["logs", "metrics"] {
        let logged = eyepiece.process.wait_for_line(&format!("cannot export {signal}, "), TIMEOUT)?;
        assert!(logged.contains(expected) && logged.contains(endpoint), "{logged} / {expected}");
    }
    let text = status(lab, &address)?;
    let head: Vec<&str> = text.lines().take(2).collect();
    for (line, signal) in head.iter().zip(["logs", "metrics"]) {
        assert!(line.starts_with(&format!("export of {signal} FAILING for ")), "{text}");
        assert!(line.contains(expected), "{text} / {expected}");
    }
    let (code, body) = readyz(lab, &address)?;
    assert!(code == 503 && body.contains("FAILING") && body.contains(expected), "{code} {body}");
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    let errors = eyepiece.stderr();
    let left = errors.lines().find(|line| line.contains("ended with undelivered telemetry"));
    assert!(left.is_none_or(|line| line.contains(endpoint)), "{errors}");
    assert!(!errors.contains("no answer in time"), "{errors}");
    Ok(())
}

#[test]
fn wrong_endpoints_of_collector_are_explained() -> Result<()> {
    let [program] = &needs_peers!("otelcol");
    let lab = lab()?;
    let collector = Collector::start(program, lab.node())?;
    let (grpc, http) = (collector.grpc(), collector.http());
    let tls = |endpoint: &str| endpoint.replace("http://", "https://");
    for (endpoint, protocol, expected) in [
        (http.clone(), "grpc", ": is it the HTTP port (otlp.protocol = \"http/protobuf\")"),
        (grpc.clone(), "http/protobuf", "does not speak HTTP/1.1: is it the gRPC port (otlp.protocol = \"grpc\")"),
        (tls(&grpc), "grpc", "does not speak TLS: is it http://127.0.0.1:4317?"),
        (tls(&http), "http/protobuf", "does not speak TLS: is it http://127.0.0.1:4318?"),
        (format!("{http}/wrong"), "http/protobuf", "is the path right? OTLP's is /v1/"),
    ] {
        fails(&lab, &endpoint, protocol, expected).with_context(|| format!("{endpoint} {protocol}"))?;
    }
    Ok(())
}

#[test]
fn refused_export_shows_until_recovery() -> Result<()> {
    let lab = lab()?;
    let mut receiver = Receiver::start(lab.node())?;
    receiver.away();
    let (mut eyepiece, address) = start(&lab, &config(&receiver.endpoint(), "grpc"))?;
    udp(lab.endpoint("a"), lab.endpoint("b")).packets(500).run()?;
    let refused = format!("connection refused ({})", receiver.endpoint());
    for signal in ["logs", "metrics"] {
        eyepiece.process.wait_for_line(&format!("cannot export {signal}, retrying: {refused}"), TIMEOUT)?;
    }
    let failing = || {
        let text = status(&lab, &address).ok()?;
        let line = text.lines().next()?.to_owned();
        (line.starts_with("export of logs FAILING for ") && line.ends_with(" queued")).then_some(line)
    };
    let line = eventually(TIMEOUT, "a failing export", failing).with_context(|| eyepiece.stderr())?;
    assert!(line.contains(&format!("s: {refused}; ")), "{line}");
    let queued = line.rsplit("; ").next().and_then(|text| text.split(' ').next()).context("no number")?;
    assert!(queued.replace(',', "").parse::<u64>()? > 0, "{line}");
    assert_eq!(readyz(&lab, &address)?.0, 503);
    receiver.back()?;
    for signal in ["logs", "metrics"] {
        eyepiece.process.wait_for_line(&format!("export of {signal} works again, after "), TIMEOUT)?;
    }
    eventually(TIMEOUT, "ready", || (readyz(&lab, &address).ok()?.0 == 200).then_some(()))?;
    let text = status(&lab, &address)?;
    assert!(text.starts_with("eyepiece ") && !text.contains("FAILING"), "{text}");
    // A receiver that refuses for good is one that fails, too.
    receiver.behave(Behaviour::Refuse(tonic::Code::Unauthenticated));
    let logged = eyepiece.process.wait_for_line("are otlp.headers right?", TIMEOUT)?;
    assert!(logged.contains(&receiver.endpoint()), "{logged}");
    eventually(TIMEOUT, "not ready", || (readyz(&lab, &address).ok()?.0 == 503).then_some(()))?;
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    Ok(())
}

#[test]
fn interrupt_announces_delivery_names_cause() -> Result<()> {
    let lab = lab()?;
    let mut receiver = Receiver::start(lab.node())?;
    receiver.away();
    let (mut eyepiece, _) = start(&lab, &config(&receiver.endpoint(), "grpc"))?;
    udp(lab.endpoint("a"), lab.endpoint("b")).packets(100).run()?;
    eyepiece.process.wait_for_line("cannot export logs", TIMEOUT)?;
    assert_eq!(eyepiece.process.stop(Signal::SIGINT, TIMEOUT)?, 0, "{}", eyepiece.stderr());
    let errors = eyepiece.stderr();
    assert!(errors.contains("delivering what is queued, up to 2 s; Ctrl-C again to leave now"), "{errors}");
    let refused = format!("connection refused ({})", receiver.endpoint());
    for signal in ["logs", "metrics"] {
        let named =
            |line: &&str| line.contains("ended with undelivered telemetry") && line.contains(&format!("\"{signal}\""));
        let line = errors.lines().find(named).with_context(|| errors.clone())?;
        assert!(line.contains(&refused), "{line}");
    }
    assert!(!errors.contains("no answer in time"), "{errors}");
    Ok(())
}

#[test]
fn start_names_unmatched_patterns() -> Result<()> {
    let lab = lab()?;
    let receiver = Receiver::start(lab.node())?;
    let interfaces = "[datapath.interfaces]\ninclude = [\"ve-?\", \"eth9\"]\nexclude = [\"ve-b\", \"wlan*\"]\n";
    let config = format!("{}{interfaces}", config(&receiver.endpoint(), "grpc"));
    let (mut eyepiece, address) = start(&lab, &config)?;
    let line = eyepiece.process.wait_for_line("watching ", TIMEOUT)?;
    assert!(line.contains("watching 1 interface: 1 endpoint, 0 uplinks"), "{line}");
    let unmatched = |key: &str, pattern: &str| format!("datapath.interfaces.{key} \"{pattern}\" matches no interface");
    for text in [unmatched("include", "eth9"), unmatched("exclude", "wlan*")] {
        eyepiece.process.wait_for_line(&text, TIMEOUT)?;
    }
    let text = status(&lab, &address)?;
    assert!(text.contains(&unmatched("include", "eth9")) && text.contains("1 watched   "), "{text}");
    assert!(!text.contains("\"ve-?\" matches") && !text.contains("\"ve-b\" matches"), "{text}");
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());

    let nothing = config.replace("\"ve-?\", ", "");
    let (mut eyepiece, _) = start(&lab, &nothing)?;
    eyepiece.process.wait_for_line("watching 0 interfaces: 0 endpoints, 0 uplinks", TIMEOUT)?;
    let line = eyepiece.process.wait_for_line("no interface is watched", TIMEOUT)?;
    assert!(line.contains("not included by name"), "{line}");
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    Ok(())
}

#[test]
fn second_instance_names_first_and_conflict() -> Result<()> {
    let (lab, folder) = (lab()?, tempfile::tempdir()?);
    let receiver = Receiver::start(lab.node())?;
    let socket = folder.path().join("hubble.sock");
    let with = |admin: &str, socket: &Path| {
        format!(
            "[admin]\nlisten = \"{admin}\"\n[hubble]\nlisten = [\"unix://{}\"]\n[datapath]\nattach = \"clsact\"\n\
             [otlp]\nendpoint = \"{}\"\n",
            socket.display(),
            receiver.endpoint()
        )
    };
    let (mut first, address) = start(&lab, &with("127.0.0.1:0", &socket))?;
    let owner = format!("another eyepiece (process {}, listening on {address})", first.process.pid());
    let other = folder.path().join("other.sock");
    for (config, conflict) in [
        (with(&address, &other), format!("admin.listen: cannot listen on {address}: Address already in use")),
        (with("127.0.0.1:0", &socket), format!("{}: {owner} listens there already", socket.display())),
        (with("127.0.0.1:0", &other), format!("{owner} is attached by clsact in this network namespace")),
    ] {
        let mut second = Eyepiece::builder(&config).launch(lab.node())?;
        assert_eq!(second.exit_code()?, Some(1), "{}", second.stderr());
        let errors = second.stderr();
        assert!(errors.contains(&conflict) && errors.contains(&owner), "{errors} / {conflict} {owner}");
    }
    assert_eq!(first.stop()?, 0, "{}", first.stderr());
    Ok(())
}

/// Bytes of the kernel's two connection tables, by what the kernel charges for the maps of this many entries.
fn table_bytes(pid: nix::unistd::Pid, entries: u64) -> Result<u64> {
    let mut maps = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let text = std::fs::read_to_string(entry?.path()).unwrap_or_default();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        if let (Some(most), Some(id), Some(bytes)) = (field("max_entries:"), field("map_id:"), field("memlock:"))
            && most == entries
        {
            maps.insert(id, bytes);
        }
    }
    anyhow::ensure!(maps.len() == 2, "{maps:?}");
    Ok(maps.values().sum())
}

/// Records of a short TCP connection that passes two watched interfaces, at each level, as the reference has them.
const RECORDS: [(&str, u64); 4] = [("none", 20), ("low", 17), ("medium", 14), ("maximum", 8)];
/// Bytes of kernel memory for an entry of the connection tables, as the reference has them.
const ENTRY_BYTES: u64 = 482;

#[test]
fn documented_figures_hold() -> Result<()> {
    const CONNECTIONS: u64 = 20;
    const ENTRIES: u64 = 100_003;
    let lab = lab()?;
    for (aggregation, expected) in RECORDS {
        let receiver = Receiver::start(lab.node())?;
        let config = format!(
            "[datapath]\naggregation = \"{aggregation}\"\nmax_connections = {ENTRIES}\n[otlp]\nendpoint = \"{}\"\n",
            receiver.endpoint()
        );
        let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
        let bytes = table_bytes(eyepiece.process.pid(), ENTRIES)? / ENTRIES;
        tcp(lab.endpoint("a"), lab.endpoint("b")).connections(CONNECTIONS).bytes(1000).run()?;
        assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
        let records = receiver.look(|received| received.logs_with(&[("network.transport", "tcp")]).count()) as f64;
        let each = records / CONNECTIONS as f64;
        println!("{aggregation}: {each} records of a connection, {bytes} bytes an entry");
        assert!((each - expected as f64).abs() <= 2.0, "{aggregation}: {each} records, documented are {expected}");
        assert!(bytes.abs_diff(ENTRY_BYTES) <= 100, "{bytes} bytes an entry, documented are {ENTRY_BYTES}");
    }
    Ok(())
}

#[test]
fn reference_has_documented_figures() {
    let lines = include_str!("../../../config/reference.toml").lines();
    let text: Vec<_> = lines.map(|line| line.trim_start_matches("# ")).collect();
    let text = text.join(" ");
    let mut figures: Vec<_> = RECORDS.iter().map(|(level, records)| format!("{records} ({level})")).collect();
    figures.push(format!("{ENTRY_BYTES} bytes of kernel memory"));
    for figure in figures {
        assert!(text.contains(&figure), "config/reference.toml lacks {figure:?}");
    }
}
