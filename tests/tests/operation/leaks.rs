//! Starts and stops, and interfaces that come and go: nothing piles up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use eyepiece_tests::bpf::Objects;
use eyepiece_tests::drops::closed_udp;
use eyepiece_tests::packet_socket::PacketSocket;
use eyepiece_tests::receiver::Received;
use eyepiece_tests::traffic::{RATE, connections, frames, udp};
use eyepiece_tests::{Eyepiece, Family, Inside, Lab, Receiver, Uplink, Watch, eventually, frame};
use nix::sys::signal::Signal;

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Starts and stops.
const RUNS: usize = 20;
/// Interfaces that come and go.
const INTERFACES: usize = 500;
/// Descriptors that come and go with connections and looks into namespaces; a leak of one an interface would be 500.
const SLACK_DESCRIPTORS: usize = 4;
/// Endpoints that are there at once before all of them go.
const ENDPOINTS: usize = 8;
/// Packets that each of them drops.
const DROPS: u64 = 30;
/// Maps by interface, with the index's offset in their keys: `Key4`, `Key6` and `UntrackedKey` of ebpf/wire.
const BY_INTERFACE: [(&str, usize); 4] =
    [("EP_CONN4", 12), ("EP_CONN6", 36), ("EP_UNTRACKED", 0), ("EP_INTERFACES", 0)];
/// Maps by namespace, with the inode's offset in their keys: `DropKey` of ebpf/wire.
const BY_NAMESPACE: [(&str, usize); 2] = [("EP_DROPS", 4), ("EP_NAMESPACES", 0)];
/// Memory that may come and go with the allocator's habits, KiB.
const SLACK_KIB: u64 = 8 * 1024;

fn config(attach: &str, receiver: &Receiver) -> String {
    format!(
        "[datapath]\nattach = \"{attach}\"\naggregation = \"none\"\n[otlp]\nendpoint = \"{}\"\n\
         [otlp.metrics]\ninterval = \"200ms\"\n[otlp.logs]\ndelay = \"100ms\"\n",
        receiver.endpoint()
    )
}

/// Numbers in the keys of maps: interfaces, or namespaces.
fn subjects(objects: &Objects, maps: &[(&'static str, usize)]) -> Result<BTreeSet<(&'static str, u32)>> {
    let mut subjects = BTreeSet::new();
    for &(map, offset) in maps {
        for key in objects.keys(map)? {
            let number = key.get(offset..offset + 4).context("a short key")?.try_into()?;
            subjects.insert((map, u32::from_ne_bytes(number)));
        }
    }
    Ok(subjects)
}

/// Interfaces of the node, by the kernel.
fn indices(inside: &Inside) -> Result<BTreeSet<u32>> {
    let list: serde_json::Value = serde_json::from_str(&inside.ip("-j link show")?)?;
    let index = |link: &serde_json::Value| u32::try_from(link["ifindex"].as_u64()?).ok();
    Ok(list.as_array().context("no list")?.iter().filter_map(index).collect())
}

/// Series in /status that name one of these as interface or namespace.
fn series_of(eyepiece: &Eyepiece, is_gone: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let status = eyepiece.status()?;
    let samples = status["samples"].as_array().context("no samples")?.iter();
    let names = ["network.interface.name", "hubble.drop.netns"];
    let of_gone = |sample: &&serde_json::Value| {
        names.iter().any(|name| sample["attributes"][name].as_str().is_some_and(&is_gone))
    };
    Ok(samples.filter(of_gone).map(ToString::to_string).collect())
}

/// Waits until the kernel's maps know only interfaces that there are.
fn only_those_there(lab: &Lab, objects: &Objects) -> Result<()> {
    let strangers = || -> Result<Vec<(&str, u32)>> {
        let there = indices(lab.node())?;
        Ok(subjects(objects, &BY_INTERFACE)?.into_iter().filter(|(_, index)| !there.contains(index)).collect())
    };
    let gone = eventually(TIMEOUT, "keys of gone interfaces", || strangers().ok()?.is_empty().then_some(()));
    gone.with_context(|| format!("{:?}", strangers()))
}

fn freed(held: &Objects) -> Result<()> {
    let freed = eventually(TIMEOUT, "freed", || held.left().is_empty().then_some(()));
    freed.with_context(|| format!("{:?}", held.left()))
}

/// Returns other traces of a run: our filters and queueing disciplines, processes in the namespace.
fn remains(inside: &Inside) -> Result<Vec<String>> {
    let mut remains = Vec::new();
    for device in ["ve-a", "ve-b"] {
        for side in ["ingress", "egress"] {
            let shown = inside.exec(&format!("tc filter show dev {device} {side}"))?;
            remains.extend(shown.lines().filter(|line| line.contains("eyepiece")).map(str::to_owned));
        }
    }
    let shown = inside.exec("tc qdisc show")?;
    remains.extend(shown.lines().filter(|line| line.contains("clsact")).map(str::to_owned));
    remains.extend(inside.processes()?.iter().map(|pid| format!("process {pid}")));
    Ok(remains)
}

#[test]
fn twenty_runs_leave_nothing() -> Result<()> {
    let lab = Lab::builder().uplink(Uplink::None).build()?;
    let receiver = Receiver::start(lab.node())?;
    for run in 0..RUNS {
        let attach = if run % 2 == 0 { "tcx" } else { "clsact" };
        let mut eyepiece = Eyepiece::start(lab.node(), &config(attach, &receiver))?;
        udp(lab.endpoint("a"), lab.endpoint("b")).run()?;
        let held = Objects::of(eyepiece.process.pid())?;
        assert!(!held.programs.is_empty() && !held.maps.is_empty(), "{held:?}");
        assert_eq!(eyepiece.stop()?, 0, "run {run}: {}", eyepiece.stderr());
        freed(&held)?;
        assert_eq!(remains(lab.node())?, [""; 0], "run {run}");
    }
    // Both directions of both hooks' packets, every run: the flows came out.
    assert!(receiver.look(Received::unique_logs) >= RUNS * 200);
    let mut eyepiece = Eyepiece::start(lab.node(), &config("tcx", &receiver))?;
    let held = Objects::of(eyepiece.process.pid())?;
    eyepiece.kill()?;
    freed(&held)?;
    assert_eq!(remains(lab.node())?, [""; 0]);
    Ok(())
}

#[test]
fn removed_interfaces_leave_nothing() -> Result<()> {
    let lab = Lab::builder().uplink(Uplink::None).build()?;
    let receiver = Receiver::start(lab.node())?;
    for attach in ["tcx", "clsact"] {
        let config = config(attach, &receiver) + "[metrics]\nidle_expiry = \"1s\"\n";
        let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
        let before_hooks = eyepiece.hooks()?;
        // The first ones let buffers and tables grow to their size.
        churn(&lab, &eyepiece, INTERFACES / 5)?;
        let before = (eyepiece.process.descriptors()?, eyepiece.process.rss_kib()?);
        let (held, open_before) = (Objects::of(eyepiece.process.pid())?, kinds(&eyepiece)?);
        churn(&lab, &eyepiece, INTERFACES)?;
        let settled = || (eyepiece.process.descriptors().ok()? <= before.0 + SLACK_DESCRIPTORS).then_some(());
        let settled = eventually(TIMEOUT, "descriptors", settled);
        let after = (eyepiece.process.descriptors()?, eyepiece.process.rss_kib()?);
        println!("{attach}: descriptors and KiB before {INTERFACES} interfaces: {before:?}, after: {after:?}");
        let open = kinds(&eyepiece)?;
        assert!(settled.is_ok(), "{attach}: descriptors {before:?} {after:?}: {open_before:?} {open:?}");
        assert!(after.1 < before.1 + SLACK_KIB, "{attach}: {before:?} {after:?}");
        assert_eq!(eyepiece.hooks()?, before_hooks, "{attach}");
        let now = Objects::of(eyepiece.process.pid())?;
        only_those_there(&lab, &now)?;
        let left = || series_of(&eyepiece, |name| name.starts_with("churn"));
        eventually(TIMEOUT, "telemetry of gone interfaces", || left().ok()?.is_empty().then_some(()))
            .with_context(|| format!("{attach}: {:?}", left()))?;
        assert_eq!((now.programs, now.maps, now.links.len()), (held.programs, held.maps, held.links.len()), "{attach}");
        assert_eq!(eyepiece.stop()?, 0, "{attach}: {}", eyepiece.stderr());
    }
    Ok(())
}

#[test]
fn counts_of_removed_interfaces_expire() -> Result<()> {
    let mut lab = Lab::builder().uplink(Uplink::None).build()?;
    // A table that is full, so that newcomers are untracked.
    let settings =
        [("datapath.max_connections", "1000"), ("metrics.idle_expiry", "1s"), ("otlp.logs.enabled", "false")];
    let Watch { mut eyepiece, receiver } = Watch::start(&lab, &settings)?;
    connections(lab.endpoint("a"), lab.endpoint("b"), 2000, RATE)?;
    let objects = Objects::of(eyepiece.process.pid())?;
    let names: Vec<_> = (0..ENDPOINTS).map(|number| format!("gone{number}")).collect();
    let mut inodes = BTreeSet::new();
    for name in &names {
        lab.add_endpoint(name)?;
        eyepiece.wait_for_hooks(&format!("ve-{name}"), true)?;
        inodes.insert(u32::try_from(lab.endpoint(name).namespace.inode()?)?);
    }
    let there = || {
        subjects(&objects, &BY_NAMESPACE)
            .ok()
            .map(|keys| inodes.iter().all(|&inode| keys.contains(&("EP_NAMESPACES", inode))))
    };
    eventually(TIMEOUT, "namespaces", || there()?.then_some(()))?;
    let before: BTreeSet<u32> =
        names.iter().map(|name| lab.node().ifindex(&format!("ve-{name}"))).collect::<Result<_>>()?;
    let untracked_before = eyepiece.number("eyepiece.datapath.untracked.packets", &[])?;
    for name in &names {
        closed_udp(lab.endpoint("a"), lab.endpoint(name), Family::V4, DROPS)?;
    }
    let keys = subjects(&objects, &BY_NAMESPACE)?;
    assert!(inodes.iter().all(|&inode| keys.contains(&("EP_DROPS", inode))), "{inodes:?}: {keys:?}");
    let keys = subjects(&objects, &BY_INTERFACE)?;
    assert!(before.iter().all(|&index| keys.contains(&("EP_UNTRACKED", index))), "{before:?}: {keys:?}");
    // What was counted last is read after they are gone.
    for name in &names {
        lab.remove_endpoint(name)?;
    }
    only_those_there(&lab, &objects)?;
    let strangers = || -> Result<Vec<(&str, u32)>> {
        Ok(subjects(&objects, &BY_NAMESPACE)?.into_iter().filter(|(_, inode)| inodes.contains(inode)).collect())
    };
    eventually(TIMEOUT, "keys of gone namespaces", || strangers().ok()?.is_empty().then_some(()))
        .with_context(|| format!("{:?}", strangers()))?;
    let is_gone = |name: &str| name.starts_with("ve-gone") || inodes.iter().any(|inode| inode.to_string() == name);
    let silent = || series_of(&eyepiece, is_gone).is_ok_and(|left| left.is_empty()).then_some(());
    eventually(TIMEOUT, "telemetry of gone ones", silent)
        .with_context(|| format!("{:?}", series_of(&eyepiece, is_gone)))?;
    for inode in &inodes {
        let labels = [("hubble.drop.netns", &*inode.to_string()), ("hubble.drop.reason", "NO_SOCKET")];
        assert_eq!(receiver.sum("eyepiece.datapath.drops", &labels), DROPS, "{inode}");
    }
    let untracked = eyepiece.number("eyepiece.datapath.untracked.packets", &[])? - untracked_before;
    let sent = ENDPOINTS as u64 * DROPS;
    println!("{untracked} packets untracked at the hooks of {ENDPOINTS} endpoints, to which {sent} were sent");
    assert!(untracked >= sent, "{untracked} of {sent}");
    // Nor do exports have them any more, once their series have been idle for long enough.
    let silent = || {
        receiver.clear();
        // Whole exports: their absence is to be seen.
        std::thread::sleep(Duration::from_secs(2));
        receiver.look(|received| {
            let has = |wanted: &str| {
                let mut values = received.points.keys().flat_map(|(_, attributes)| attributes.values());
                values.any(|value| value.starts_with(wanted))
            };
            (has("ve-a") && !has("ve-gone")).then_some(())
        })
    };
    eventually(TIMEOUT * 2, "an export without those that are gone", silent)?;
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    Ok(())
}

/// Counts the open descriptors of the process by kind: `socket`, `anon_inode:bpf-prog` …
fn kinds(eyepiece: &Eyepiece) -> Result<BTreeMap<String, usize>> {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{}/fd", eyepiece.process.pid()))? {
        // One may be closed while we look.
        let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
        let kind = target.to_string_lossy().split(":[").next().unwrap_or_default().to_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    Ok(kinds)
}

/// Makes interfaces and removes them, and waits until the product has noticed that all are gone.
fn churn(lab: &Lab, eyepiece: &Eyepiece, count: usize) -> Result<()> {
    let peers = lab.endpoint("a").namespace.name();
    let hooks =
        || -> Option<Vec<String>> { Some(eyepiece.hooks().ok()?.into_iter().map(|hook| hook.interface).collect()) };
    for first in (0..count).step_by(10) {
        let add: String = (first..first + 10)
            .map(|number| format!("link add churn{number} up type veth peer name peer{number} netns {peers}\n"))
            .collect();
        lab.node().ip_batch(&add)?;
        let up: String = (first..first + 10).map(|number| format!("link set peer{number} up\n")).collect();
        lab.endpoint("a").namespace.ip_batch(&up)?;
        let last = format!("churn{}", first + 9);
        eventually(TIMEOUT, "attached", || hooks()?.contains(&last).then_some(()))?;
        // Each leaves a connection, a series and a name behind.
        for number in first..first + 10 {
            let device = format!("peer{number}");
            let [from, to] = [[2, 0, 0, 0, 9, 1], [2, 0, 0, 0, 9, 2]];
            let bytes = frame::ethernet(to, from, &[], frame::EXPERIMENT, &[0; 46]);
            PacketSocket::open(&lab.endpoint("a").namespace, &device)?.send([bytes.as_slice()], RATE)?;
        }
        let remove: String = (first..first + 10).map(|number| format!("link del churn{number}\n")).collect();
        lab.node().ip_batch(&remove)?;
    }
    let left = || hooks()?.iter().all(|name| !name.starts_with("churn")).then_some(());
    eventually(TIMEOUT, "gone", left).with_context(|| format!("{:?}", hooks()))
}

/// Returns the counts of an interface's direction: by the hooks, and before they existed.
fn counted(receiver: &Receiver, device: &str, direction: &str) -> (u64, u64) {
    let attributes = [("network.interface.name", device), ("network.io.direction", direction)];
    let sum = |name| receiver.sum(name, &attributes);
    (sum("hubble.interface.packets"), sum("eyepiece.datapath.unseen.packets"))
}

#[test]
fn new_interface_is_attached_soon() -> Result<()> {
    let mut lab = Lab::builder().endpoints(["a"]).uplink(Uplink::None).build()?;
    let receiver = Receiver::start(lab.node())?;
    let config = config("auto", &receiver) + "[log]\nlevel = \"debug\"\n";
    let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
    let peers = lab.endpoint("a").namespace.name().to_owned();
    let mut latest = 0_f64;
    for number in 0..10 {
        let device = format!("soon{number}");
        lab.node().ip(&format!("link add {device} type veth peer name late netns {peers}"))?;
        let mut when = |line: &str| -> Result<f64> {
            let line = eyepiece.process.wait_for_line(line, TIMEOUT)?;
            // 2026-01-01T00:00:12.345678Z: what of it counts here is the time within its minute.
            Ok(line.get(17..26).context("a time")?.parse()?)
        };
        let heard = when(&format!("interface appeared interface=\"{device}\""))?;
        let attached = when(&format!("attached interface=\"{device}\" hook=\"to-endpoint\""))?;
        latest = latest.max((attached - heard).rem_euclid(60.0));
        lab.node().ip(&format!("link del {device}"))?;
    }
    println!("longest from the netlink message to both hooks attached: {:.1} ms", latest * 1000.0);

    // Before hooks are attached; then with hooks.
    eyepiece.process.signal(Signal::SIGSTOP)?;
    lab.add_endpoint("quiet")?;
    let host = lab.endpoint("quiet");
    let bytes = frame::ethernet(host.gateway_mac, host.mac, &[], frame::EXPERIMENT, &[0; 46]);
    let send = |packets| frames(host)?.send(std::iter::repeat_n(bytes.as_slice(), packets), RATE);
    send(300)?;
    let before = lab.node().counters("ve-quiet")?.rx_packets;
    eyepiece.process.signal(Signal::SIGCONT)?;
    eyepiece.wait_for_hooks("ve-quiet", true)?;
    send(500)?;
    let is_counted = || (counted(&receiver, "ve-quiet", "receive") == (500, before)).then_some(());
    eventually(TIMEOUT, "counted", is_counted)
        .with_context(|| format!("{:?}", counted(&receiver, "ve-quiet", "receive")))?;

    // Under way while the hooks are attached: none is counted twice; those of the moment itself may be missing.
    eyepiece.process.signal(Signal::SIGSTOP)?;
    lab.add_endpoint("busy")?;
    let host = lab.endpoint("busy");
    let send = || frames(host)?.send(std::iter::repeat_n(bytes.as_slice(), 50_000), RATE);
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(send);
        let is_under_way = || (lab.node().counters("ve-busy").ok()?.rx_packets >= 1000).then_some(());
        eventually(TIMEOUT, "packets under way", is_under_way)?;
        eyepiece.process.signal(Signal::SIGCONT)?;
        sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let passed = lab.node().counters("ve-busy")?.rx_packets;
    assert!(passed >= sent, "{passed} of {sent}");
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    let (hooks, unseen) = counted(&receiver, "ve-busy", "receive");
    println!("of {passed} packets: {hooks} counted, {unseen} unseen");
    assert!(hooks > 0 && unseen > 0 && hooks + unseen <= passed, "{hooks} {unseen} {passed}");
    Ok(())
}
