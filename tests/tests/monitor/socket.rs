//! The monitor socket with Cilium's own client: what it prints of our events, against the script and tcpdump.

use std::io::{ErrorKind, Read as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use eyepiece_tests::traffic::udp;
use eyepiece_tests::{Background, Capture, Eyepiece, Family, Lab, Uplink, drops, eventually, needs_peers};
use nix::sys::signal::Signal;

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Nothing is exported: the monitor's clients alone want events.
const NO_EXPORT: &str = "[otlp.logs]\nenabled = false\n[otlp.metrics]\nenabled = false\n";
/// Descriptors that come and go with looks into namespaces.
const SLACK_DESCRIPTORS: usize = 4;
/// Memory that may come and go with the allocator's habits, KiB.
const SLACK_KIB: u64 = 16 * 1024;

/// The product with a monitor socket.
struct Served {
    eyepiece: Eyepiece,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Served {
    fn start(lab: &Lab, settings: &str, datapath: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("monitor.sock");
        let config = config(&socket, settings, datapath);
        Ok(Self { eyepiece: Eyepiece::start(lab.node(), &config)?, socket, _folder: folder })
    }

    fn number(&self, name: &str) -> u64 {
        self.eyepiece.number(name, &[]).unwrap_or_default()
    }

    fn wait_for_listeners(&self, count: u64) -> Result<()> {
        let there = || (self.number("eyepiece.monitor.listeners") == count).then_some(());
        eventually(TIMEOUT, "listeners", there).with_context(|| self.eyepiece.stderr())
    }

    /// Open descriptors of a kind.
    fn open(&self, kind: &str) -> usize {
        let folder = format!("/proc/{}/fd", self.eyepiece.process.pid());
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .filter(|to| to.to_string_lossy().contains(kind))
            .count()
    }
}

fn config(socket: &Path, settings: &str, datapath: &str) -> String {
    format!("[monitor]\nsocket = \"{}\"\n{settings}\n[datapath]\n{datapath}\n{NO_EXPORT}", socket.display())
}

/// `cilium-dbg monitor` with arguments.
struct Dbg {
    arguments: String,
    process: Background,
}

impl Dbg {
    fn start(program: &Path, lab: &Lab, socket: &Path, arguments: &str) -> Result<Self> {
        let mut command = lab.node().command(program);
        command.arg("monitor").arg("--monitor-socket").arg(socket).args(arguments.split_whitespace());
        Ok(Self { arguments: arguments.to_owned(), process: Background::spawn(&mut command)? })
    }

    fn lines(&self) -> Vec<String> {
        self.process.stdout().lines().map(str::to_owned).collect()
    }

    /// Lines with all of these words.
    fn count(&self, words: &[&str]) -> u64 {
        self.lines().iter().filter(|line| words.iter().all(|word| line.contains(word))).count() as u64
    }

    /// Waits for so many lines with these words; then there must be no more, at the end of the test.
    fn wait(&self, words: &[&str], count: u64) -> Result<()> {
        let there = || (self.count(words) >= count).then_some(());
        eventually(TIMEOUT, "lines", there).with_context(|| self.describe(&format!("{words:?}: {}", self.count(words))))
    }

    fn check(&self, words: &[&str], count: u64) {
        assert_eq!(self.count(words), count, "{}", self.describe(&format!("{words:?}")));
    }

    fn describe(&self, what: &str) -> String {
        format!("{:?}: {what}\n{}\n{}", self.arguments, self.process.stdout(), self.process.stderr())
    }
}

/// The sent payloads, by their recognisable part.
struct Sent {
    /// Source and destination as the client prints them, without the source's port.
    ends: [String; 2],
    packets: u64,
}

impl Sent {
    fn new(source: &str, destination: &str, packets: u64) -> Self {
        Self { ends: [format!(" {source}:"), format!(" -> {destination} udp")], packets }
    }

    fn words<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        more.iter().copied().chain(self.ends.iter().map(String::as_str)).collect()
    }
}

/// The kernel's number of a drop reason.
fn reason_number(name: &str) -> Result<String> {
    let format = std::fs::read_to_string("/sys/kernel/tracing/events/skb/kfree_skb/format")?;
    let at = format.find(&format!(", \"{name}\"")).with_context(|| format!("no {name} in {format}"))?;
    let number = format[..at].rsplit(['{', ' ']).find(|text| !text.is_empty()).context("no number")?;
    Ok(number.to_owned())
}

#[test]
fn printed_lines_name_events() -> Result<()> {
    let [program] = &needs_peers!("cilium-dbg");
    let mut lab = Lab::new()?;
    // The address of the node is that by which it reaches others.
    lab.node().ip(&format!("route add default via {}", lab.outside().v4))?;
    let folder = tempfile::tempdir()?;
    let names = folder.path().join("names.toml");
    std::fs::write(
        &names,
        "[[name]]\nname = 'printer'\nnamespace = 'office'\naddresses = ['10.1.3.2']\nlabels = { floor = '2' }\n",
    )?;
    let names = format!("[metadata.file]\npath = \"{}\"", names.display());
    let served = Served::start(&lab, &names, "aggregation = \"none\"\ndebug = true")?;
    let clients = [
        "",
        "-v",
        "-vv",
        "--hex -vv",
        "-j",
        "-t drop",
        "-t trace",
        "-t capture",
        "-v -t debug",
        "-t agent",
        "--related-to 2",
        "--from 1",
        "--to 2",
        "-j -t drop",
    ]
    .map(|arguments| Dbg::start(program, &lab, &served.socket, arguments));
    let clients: Vec<Dbg> = clients.into_iter().collect::<Result<_>>()?;
    served.wait_for_listeners(clients.len() as u64)?;

    let capture = Capture::start_direction(lab.node(), "ve-a", "in", "udp")?;
    let (a, b, outside) = (lab.endpoint("a"), lab.endpoint("b"), lab.outside());
    udp(a, b).port(9000).packets(20).payload(65).run()?;
    udp(a, b).family(Family::V6).port(9001).packets(15).run()?;
    udp(a, outside).port(9002).packets(6).run()?;
    let dropped = [drops::nft(&lab, a, b, Family::V4, 7)?, drops::nft(&lab, a, b, Family::V6, 5)?];
    let captured = capture.stop()?;
    for (port, packets) in [(9000, 20), (9001, 15), (9002, 6), (7001, 12)] {
        assert_eq!(captured.count(&format!("udp dst port {port} or (ip6 and ip6[42:2] = {port})"))?.packets, packets);
    }
    let (a4, a6) = (a.v4.to_string(), format!("[{}]", a.v6));
    let v4 = Sent::new(&a4, &format!("{}:9000", b.v4), 20);
    let v6 = Sent::new(&a6, &format!("[{}]:9001", b.v6), 15);
    let out = Sent::new(&a4, &format!("{}:9002", outside.v4), 6);
    let lost4 = Sent::new(&a4, &format!("{}:7001", b.v4), 7);
    let lost6 = Sent::new(&a6, &format!("[{}]:7001", b.v6), 5);
    assert_eq!(dropped.map(|one| one.packets), [lost4.packets, lost6.packets]);
    let reason = format!("file <unknown-id-240>:{},", reason_number("NETFILTER_DROP")?);
    lab.add_endpoint("c")?;
    let agent = clients.iter().find(|client| client.arguments == "-t agent").context("an agent's client")?;
    agent.wait(&[">> IPCache entry upserted: ", "10.1.3.2/32", "printer"], 1)?;
    agent.wait(&[">> IPCache entry upserted: ", "fd00:1:3::2/128", "printer"], 1)?;
    lab.remove_endpoint("c")?;
    agent.wait(&[">> Endpoint deleted: {\"id\":3,"], 1)?;
    check_endpoint(agent, &lab.outside().gateway4.to_string());
    agent.check(&[" udp"], 0);

    // The observation point, by the client's own words.
    let (from_a, to_b) = ("<- endpoint 1 flow ", "-> endpoint 2 flow ");
    for client in &clients {
        let arguments = client.arguments.as_str();
        let (trace_from, trace_to, capture, drop) = match arguments {
            "" | "-v" => (1, 1, 1, 1),
            "-t trace" => (1, 1, 0, 0),
            "-t capture" => (0, 0, 1, 0),
            "-t drop" => (0, 0, 0, 1),
            "--from 1" => (1, 0, 0, 0),
            // A capture's source is the endpoint whose hook it was taken at.
            "--related-to 2" => (0, 1, 1, 0),
            "--to 2" => (0, 1, 0, 0),
            _ => continue,
        };
        for sent in [&v4, &v6] {
            client.wait(&sent.words(&[]), sent.packets * (trace_from + trace_to + capture))?;
            client.check(&sent.words(&[from_a, " ifindex ve-a "]), sent.packets * trace_from);
            client.check(&sent.words(&[from_a, " state new "]), trace_from);
            client.check(&sent.words(&[to_b, " ifindex ve-b "]), sent.packets * trace_to);
            client.check(&sent.words(&["-> ve-b: "]), sent.packets * capture);
            client.check(&sent.words(&[]), sent.packets * (trace_from + trace_to + capture));
        }
        client.wait(&out.words(&[]), out.packets * trace_from)?;
        client.check(&out.words(&[from_a]), out.packets * trace_from);
        for lost in [&lost4, &lost6] {
            client.wait(&lost.words(&[]), lost.packets * (trace_from + drop))?;
            client.check(&lost.words(&["xx drop ", &reason]), lost.packets * drop);
            client.check(&lost.words(&[from_a]), lost.packets * trace_from);
            client.check(&lost.words(&["-> ve-b: "]), 0);
        }
    }
    let of = |arguments: &str| clients.iter().find(|client| client.arguments == arguments).context("a client");
    of("")?.check(&out.words(&["-> network flow ", " ifindex up0 "]), out.packets);
    let debug = of("-v -t debug")?;
    for (endpoint, port) in [("FROM 1 ", " dport=9000 "), ("FROM 2 ", " dport=9000 "), ("FROM 1 ", " dport=7001 ")] {
        let connections = if port == " dport=7001 " { 2 } else { 1 };
        debug.wait(&[endpoint, "DEBUG: CT created", port, "nexthdr=17"], connections)?;
        debug.check(&[endpoint, "DEBUG: CT created", port, "nexthdr=17"], connections);
    }
    assert!(debug.lines().iter().filter(|line| line.starts_with("CPU")).all(|line| line.contains(" DEBUG: ")));
    // 14 + 20 + 8 + 65 bytes.
    let verbose = of("-vv")?;
    verbose.wait(&["FROM 2 to-endpoint: 107 bytes (107 captured), state ", "interface ve-b"], 20)?;
    verbose.check(&["FROM 1 from-endpoint: 107 bytes (107 captured), state ", "interface ve-a"], 20);
    verbose.check(&["FROM 2 DEBUG: 107 bytes, Delivery to ifindex "], 20);
    // The payload's bytes.
    let hex = of("--hex -vv")?;
    hex.wait(&["to-endpoint: 107 bytes (107 captured)"], 20)?;
    assert!(hex.count(&["75 75 75 75 75 75 75 75"]) >= 3 * 20, "{}", hex.describe("hex"));
    json(of("-j")?, of("-j -t drop")?, &a4)?;
    balance(&served, of("-t agent")?)
}

/// Checks the lines about an endpoint whose address has a name in the file of names.
fn check_endpoint(agent: &Dbg, host: &str) {
    let named = "\"labels\":[\"file:floor=2\"],\"pod-name\":\"printer\",\"namespace\":\"office\"";
    for line in [
        ">> Endpoint created: {\"id\":3,\"interface\":\"ve-c\"}".to_owned(),
        format!(">> Endpoint regenerated: {{\"id\":3,{named},\"interface\":\"ve-c\"}}"),
        format!(">> Endpoint deleted: {{\"id\":3,{named},\"interface\":\"ve-c\"}}"),
        format!(
            ">> IPCache entry upserted: {{\"cidr\":\"10.1.3.2/32\",\"id\":0,\"host-ip\":\"{host}\",\"encrypt-key\":0}}"
        ),
    ] {
        agent.check(&[&line], 1);
    }
    let named = format!("\"host-ip\":\"{host}\",\"encrypt-key\":0,\"namespace\":\"office\",\"pod-name\":\"printer\"}}");
    agent.check(&[">> IPCache entry upserted: {\"cidr\":\"10.1.3.2/32\",", "\"old-id\":0,", &named], 1);
    agent.check(&[">> IPCache entry deleted: {\"cidr\":\"10.1.3.2/32\",", &named], 1);
}

/// Checks the sum of delivered events against their fates; our own notifications come in addition.
fn balance(served: &Served, agent: &Dbg) -> Result<()> {
    let decoded = |kind| served.eyepiece.number("eyepiece.events.decoded", &[("eyepiece.event.kind", kind)]);
    let sides = || -> Result<[u64; 2]> {
        let became = ["eyepiece.flows.parsed", "eyepiece.events.skipped", "eyepiece.flows.failed"];
        let became = became.into_iter().map(|name| served.number(name)).sum::<u64>();
        Ok([served.number("eyepiece.events.received"), became + decoded("debug")?])
    };
    // Numbers are asked for one after the other, while a packet may come.
    let balanced = || sides().ok().filter(|[received, became]| received == became);
    let [received, _] = eventually(TIMEOUT, "balance", balanced).with_context(|| format!("{:?}", sides()))?;
    let notifications = decoded("agent")?;
    assert!(received > 0 && notifications > 0);
    agent.check(&[">> "], notifications);
    Ok(())
}

/// The JSON lines of the two clients that print them.
fn json(all: &Dbg, drops: &Dbg, source: &str) -> Result<()> {
    let parse = |client: &Dbg| -> Result<Vec<serde_json::Value>> {
        let lines = client.lines();
        lines.iter().filter(|line| line.starts_with('{')).map(|line| Ok(serde_json::from_str(line)?)).collect()
    };
    let is_sent = |event: &serde_json::Value, port: &str| {
        event["summary"]["l3"]["src"] == source && event["summary"]["l4"]["dst"] == port
    };
    let count = |events: &[serde_json::Value], kind: &str, point: Option<&str>, port: &str| {
        let wanted = |event: &&serde_json::Value| {
            event["type"] == kind
                && point.is_none_or(|point| event["observationPoint"] == point)
                && is_sent(event, port)
        };
        events.iter().filter(wanted).count()
    };
    all.wait(&["\"observationPoint\":\"to-endpoint\"", "\"dst\":\"9000\""], 20)?;
    let events = parse(all)?;
    for (kind, point, port, packets) in [
        ("trace", Some("from-endpoint"), "9000", 20),
        ("trace", Some("to-endpoint"), "9000", 20),
        ("trace", Some("to-network"), "9002", 6),
        ("trace", None, "7001", 7),
        ("drop", None, "7001", 7),
    ] {
        assert_eq!(count(&events, kind, point, port), packets, "{kind} {point:?} {port}\n{}", all.describe(""));
    }
    assert!(
        events.iter().any(|event| event["type"] == "debug") && events.iter().any(|event| event["type"] == "capture")
    );
    let events = parse(drops)?;
    assert_eq!(count(&events, "drop", None, "7001"), 7, "{}", drops.describe(""));
    assert!(events.iter().all(|event| event["type"] == "drop"), "{}", drops.describe(""));
    Ok(())
}

/// Events that a client printed, and those that it lost.
fn received(client: &Dbg) -> (u64, u64) {
    let lines = client.lines();
    let lost = lines.iter().filter_map(|line| line.split_once(": Lost ")?.1.split(' ').next()?.parse::<u64>().ok());
    let events = lines.iter().filter(|line| ["<- ", "-> ", "xx ", ">> "].iter().any(|mark| line.starts_with(mark)));
    (events.count() as u64, lost.sum())
}

#[test]
fn stopped_client_among_ten_loses_alone() -> Result<()> {
    let [program] = &needs_peers!("cilium-dbg");
    const PACKETS: u64 = 10_000;
    let lab = Lab::builder().uplink(Uplink::None).build()?;
    let served = Served::start(&lab, "queue = 4096", "aggregation = \"none\"")?;
    let clients: Vec<_> = (0..10).map(|_| Dbg::start(program, &lab, &served.socket, "")).collect::<Result<_>>()?;
    served.wait_for_listeners(10)?;
    lab.settle()?;
    let (before, memory) = (served.number("eyepiece.events.received"), served.eyepiece.process.rss_kib()?);
    let slow = &clients[0];
    slow.process.signal(Signal::SIGSTOP)?;
    udp(lab.endpoint("a"), lab.endpoint("b")).packets(PACKETS).rate(2000).run()?;
    let offered = || {
        lab.settle().ok()?;
        let now = served.number("eyepiece.events.received");
        (now == served.number("eyepiece.events.received") && now >= before + 2 * PACKETS).then_some(now - before)
    };
    let offered = eventually(TIMEOUT, "all events", offered)?;
    assert_eq!(served.number("eyepiece.events.lost"), 0, "the kernel's buffer had no room");
    for client in &clients[1..] {
        let all = || (received(client).0 >= offered).then_some(());
        eventually(TIMEOUT, "all events at a client that reads", all)
            .with_context(|| format!("{:?}", received(client)))?;
        assert_eq!(received(client), (offered, 0));
    }
    let grown = served.eyepiece.process.rss_kib()?.saturating_sub(memory);
    slow.process.signal(Signal::SIGCONT)?;
    let complete = || Some(received(slow)).filter(|(events, lost)| events + lost >= offered);
    let (events, lost) =
        eventually(TIMEOUT, "every event or its loss", complete).with_context(|| format!("{:?}", received(slow)))?;
    println!("offered {offered}; the stopped one: {events} received + {lost} lost; memory grew by {grown} KiB");
    assert_eq!(events + lost, offered);
    assert!(lost > 0 && grown < SLACK_KIB, "{lost} {grown}");
    let reason = [("eyepiece.reason", "listener_queue_full")];
    assert_eq!(served.eyepiece.number("eyepiece.monitor.lost", &reason)?, lost);
    Ok(())
}

#[test]
fn reader_runs_for_clients_only() -> Result<()> {
    let lab = Lab::builder().uplink(Uplink::None).build()?;
    let mut served = Served::start(&lab, "", "transport = \"perf\"\naggregation = \"none\"")?;
    let readers = |served: &Served| served.open("perf_event");
    assert_eq!(readers(&served), 0, "no client wants events");
    let idle = served.eyepiece.process.descriptors()?;
    udp(lab.endpoint("a"), lab.endpoint("b")).run()?;
    assert_eq!(served.number("eyepiece.events.received"), 0);
    let open = |count: bool| eventually(TIMEOUT, "the reader", || ((readers(&served) > 0) == count).then_some(()));
    let first = UnixStream::connect(&served.socket)?;
    open(true)?;
    let second = UnixStream::connect(&served.socket)?;
    served.wait_for_listeners(2)?;
    drop(first);
    served.wait_for_listeners(1)?;
    // The second one may still have been subscribing when the first one left.
    open(true)?;
    drop(second);
    open(false)?;

    let connect = |count| -> Result<()> {
        for _ in 0..count {
            drop(UnixStream::connect(&served.socket)?);
        }
        let all = || (served.number("eyepiece.monitor.listeners") == 0 && readers(&served) == 0).then_some(());
        eventually(TIMEOUT, "all have left", all)
    };
    // The first ones let buffers and tables grow to their size.
    connect(100)?;
    let memory = served.eyepiece.process.rss_kib()?;
    connect(1000)?;
    let few = || (served.eyepiece.process.descriptors().ok()? <= idle + SLACK_DESCRIPTORS).then_some(());
    let settled = eventually(TIMEOUT, "descriptors", few);
    let after = (served.eyepiece.process.descriptors()?, served.eyepiece.process.rss_kib()?);
    println!("before 1000 clients: {idle} descriptors, {memory} KiB; after: {after:?}");
    assert!(settled.is_ok() && after.1 < memory + SLACK_KIB, "{idle} {memory} {after:?}");

    // It works as before. A client waits behind the last of the crowd, and is refused while too many are being closed.
    let mut descriptor = [0; 14];
    let received = || {
        let mut client = UnixStream::connect(&served.socket).ok()?;
        client.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        loop {
            // A listener gets the next packet; a refused client reads the end.
            udp(lab.endpoint("a"), lab.endpoint("b")).run().ok()?;
            match client.read_exact(&mut descriptor) {
                Ok(()) => return Some(client),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    };
    let client = eventually(TIMEOUT, "a payload", received)?;
    assert_eq!(&descriptor[5..13], b"\x07Payload");
    served.wait_for_listeners(1)?;
    drop(client);
    assert_eq!(served.eyepiece.stop()?, 0, "{}", served.eyepiece.stderr());
    assert!(!served.socket.exists());
    Ok(())
}

#[test]
fn foreign_socket_is_refused() -> Result<()> {
    let lab = Lab::builder().uplink(Uplink::None).build()?;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("monitor.sock");
    let other = UnixListener::bind(&socket)?;
    let refused = |settings: &str, code: i32, words: &[&str]| -> Result<()> {
        let mut eyepiece = Eyepiece::builder(&config(&socket, settings, "")).launch(lab.node())?;
        assert_eq!(eyepiece.exit_code()?, Some(code), "{settings}: {}", eyepiece.stderr());
        let is_logged = || words.iter().all(|word| eyepiece.stderr().contains(word)).then_some(());
        eventually(TIMEOUT, "words", is_logged).with_context(|| eyepiece.stderr())
    };
    let path = socket.to_string_lossy().into_owned();
    refused("", 1, &["monitor.socket", &path, &format!("process {}", std::process::id())])?;
    assert!(UnixStream::connect(&socket).is_ok(), "the other's socket is still there");
    refused("group = \"no-such-group\"", 78, &["monitor.group", "no-such-group"])?;
    refused("mode = \"999\"", 78, &["monitor.mode", "999"])?;
    drop(other);
    std::fs::remove_file(&socket)?;
    std::fs::write(&socket, "precious")?;
    refused("", 78, &["monitor.socket", &path, "no socket"])?;
    assert_eq!(std::fs::read_to_string(&socket)?, "precious");

    // What a crash leaves is replaced.
    std::fs::remove_file(&socket)?;
    let mut eyepiece = Eyepiece::start(lab.node(), &config(&socket, "mode = \"0600\"", ""))?;
    eyepiece.kill()?;
    assert!(socket.exists());
    let mut eyepiece = Eyepiece::start(lab.node(), &config(&socket, "", ""))?;
    assert!(UnixStream::connect(&socket).is_ok());
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    assert!(!socket.exists());
    Ok(())
}
