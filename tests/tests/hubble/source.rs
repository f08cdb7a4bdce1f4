//! The source `hubble` against Cilium's own observer and relay: every flow once, whole, and as log records; what is
//! missed is counted; the hubble CLI gets from us what it gets from them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use eyepiece_hubble::json;
use eyepiece_hubble::proto::flow::{Endpoint, Flow, LostEvent};
use eyepiece_hubble::proto::observer::ExportEvent;
use eyepiece_hubble::proto::observer::export_event::ResponseTypes;
use eyepiece_hubble::wire;
use eyepiece_tests::harness::observer::{ObserveServer, Options};
use eyepiece_tests::namespace::Namespace;
use eyepiece_tests::receiver::{Log, Receiver};
use eyepiece_tests::reference::vectors;
use eyepiece_tests::{Eyepiece, Hubble, Relay, eventually, harness, hubble, needs_peers, relay};
use prost::Message as _;
use prost_types::Timestamp;
use serde_json::Value;

/// Timeout of expected events; only a failure takes that long.
const TIMEOUT: Duration = Duration::from_secs(90);
/// Time of the first flow, s since the Unix epoch.
const START: i64 = 1_700_000_000;

/// Flows of every kind, as filters and metrics look at them, a millisecond apart, all of one node.
fn flows(node: &str) -> Result<Vec<Flow>> {
    let mut flows = Vec::new();
    for (number, line) in vectors::text("filters/flows.jsonl.gz").lines().enumerate() {
        let mut flow: Flow = json::read(line, true)?;
        flow.time =
            Some(Timestamp { seconds: START + number as i64 / 1000, nanos: (number % 1000) as i32 * 1_000_000 });
        node.clone_into(&mut flow.node_name);
        flows.push(flow);
    }
    ensure!(flows.len() == 4000, "{} flows", flows.len());
    Ok(flows)
}

/// As the observer takes it, the flow with an unknown field.
fn event(flow: &Flow) -> Vec<u8> {
    let mut bytes = flow.encode_to_vec();
    // Field 77,777 with the text "new".
    bytes.extend([0x8a, 0xfd, 0x25, 3, b'n', b'e', b'w']);
    let mut event = vec![0x0a];
    prost::encoding::encode_varint(bytes.len() as u64, &mut event);
    event.extend(bytes);
    let rest = ExportEvent { node_name: flow.node_name.clone(), time: flow.time, response_types: None };
    event.extend(rest.encode_to_vec());
    event
}

fn loss(count: u64) -> Vec<u8> {
    let event = LostEvent { source: 2, num_events_lost: count, ..LostEvent::default() };
    let time = Some(Timestamp { seconds: START + 5, nanos: 0 });
    let response_types = Some(ResponseTypes::LostEvents(event));
    ExportEvent { node_name: "one".to_owned(), time, response_types }.encode_to_vec()
}

fn feed<'a>(server: &mut ObserveServer, flows: impl IntoIterator<Item = &'a Flow>) -> Result<()> {
    flows.into_iter().try_for_each(|flow| server.event(&event(flow)))?;
    server.settle().map(drop)
}

fn observer(folder: &Path, node: &str, capacity: u32) -> Result<ObserveServer> {
    let path = folder.join(format!("{node}.sock"));
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    ObserveServer::start(&Options {
        listen: &format!("unix://{}", path.display()),
        node,
        capacity,
        ..Options::default()
    })
}

fn start(home: &Namespace, address: &str, folder: &Path, receiver: &Receiver) -> Result<Eyepiece> {
    let config = format!(
        "[source]\nkind = \"hubble\"\n[hubble_source]\naddress = \"{address}\"\n\
         [hubble]\nlisten = [\"unix://{}/eyepiece.sock\"]\nring = 16383\n\
         [otlp]\nendpoint = \"{}\"\n[otlp.logs]\ndelay = \"50ms\"\n",
        folder.display(),
        receiver.endpoint()
    );
    let eyepiece = Eyepiece::start(home, &config)?;
    wait_for(&eyepiece, "no connection", |status| status["connection"]["connected"] == true)?;
    Ok(eyepiece)
}

fn wait_for(eyepiece: &Eyepiece, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
    eventually(TIMEOUT, what, || eyepiece.status().ok().filter(&is_so).map(drop))
        .with_context(|| format!("{:?}\n{}", eyepiece.status(), eyepiece.stderr()))
}

/// Waits for flows, and looks that each has come once.
fn wait_for_flows<'a>(
    receiver: &Receiver,
    eyepiece: &Eyepiece,
    flows: impl IntoIterator<Item = &'a Flow>,
) -> Result<()> {
    let wanted: BTreeSet<&str> = flows.into_iter().map(|flow| flow.uuid.as_str()).collect();
    let missing = || {
        let logs = receiver.logs();
        let here: BTreeSet<_> = logs.iter().filter_map(|log| log.attributes.get("log.record.uid")).collect();
        wanted.iter().filter(|uuid| !here.contains(&(**uuid).to_owned())).count()
    };
    eventually(TIMEOUT, "flows are missing", || (missing() == 0).then_some(()))
        .with_context(|| format!("{} of {} are missing\n{}", missing(), wanted.len(), eyepiece.stderr()))?;
    receiver.look(|received| {
        let flows = received.logs.iter().filter(|log| log.event == "hubble.flow");
        let uuids: Vec<_> = flows.filter_map(|log| log.attributes.get("log.record.uid")).collect();
        let unique: BTreeSet<_> = uuids.iter().collect();
        ensure!(uuids.len() == unique.len(), "{} records, {} flows", uuids.len(), unique.len());
        Ok(())
    })
}

/// Adds the attributes of an end that a record must have.
fn end_attributes(end: &str, endpoint: &Endpoint, wanted: &mut BTreeMap<String, String>) {
    let mut add = |name: String, value: &str| {
        if !value.is_empty() {
            wanted.insert(name, value.to_owned());
        }
    };
    add(format!("{end}.k8s.namespace.name"), &endpoint.namespace);
    add(format!("{end}.k8s.pod.name"), &endpoint.pod_name);
    add(format!("{end}.k8s.cluster.name"), &endpoint.cluster_name);
    add(format!("hubble.{end}.labels"), &endpoint.labels.join(","));
    if let [workload] = endpoint.workloads.as_slice()
        && workload.kind == "Deployment"
    {
        add(format!("{end}.k8s.deployment.name"), &workload.name);
    }
    if !endpoint.pod_name.is_empty() && !endpoint.namespace.is_empty() {
        add(format!("hubble.{end}.name"), &format!("{}/{}", endpoint.namespace, endpoint.pod_name));
    }
    if endpoint.identity != 0 {
        add(format!("hubble.{end}.identity"), &endpoint.identity.to_string());
    }
}

fn compare(flow: &Flow, log: &Log) -> Result<()> {
    let mut wanted = BTreeMap::new();
    for (end, endpoint) in [("source", &flow.source), ("destination", &flow.destination)] {
        if let Some(endpoint) = endpoint {
            end_attributes(end, endpoint, &mut wanted);
        }
    }
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            wanted.insert(name.to_owned(), value.to_owned());
        }
    };
    add("k8s.node.name", &flow.node_name);
    add("hubble.source.dns_names", &flow.source_names.join(","));
    add("hubble.destination.dns_names", &flow.destination_names.join(","));
    add("hubble.node.labels", &flow.node_labels.join(","));
    add("hubble.summary", &flow.summary);
    add("hubble.verdict", flow.verdict().as_str_name());
    add("hubble.emitter.name", flow.emitter.as_ref().map_or("", |emitter| &emitter.name));
    add("network.interface.name", flow.interface.as_ref().map_or("", |interface| &interface.name));
    for (name, value) in wanted {
        ensure!(log.attributes.get(&name) == Some(&value), "{name}={value}: {:?}, {flow:?}", log.attributes);
    }
    let time = flow.time.context("it has a time")?;
    ensure!(log.time == time.seconds as u64 * 1_000_000_000 + time.nanos as u64, "{}", log.time);
    ensure!(!log.attributes.contains_key("hubble.cpu"), "the server does not give it");
    Ok(())
}

#[test]
fn flows_come_once_despite_restarts() -> Result<()> {
    needs_peers!(harness::NAME);
    let home = Namespace::create(&format!("ep-{}-hubsrc", std::process::id()))?;
    let folder = tempfile::tempdir()?;
    let receiver = Receiver::start(&home)?;
    let flows = flows("one")?;
    let mut server = observer(folder.path(), "one", 16_383)?;
    // A ring that has had something; its newest entry is hidden until the next one.
    feed(&mut server, &flows[..3])?;
    let address = server.address().to_owned();
    let mut eyepiece = start(&home, &address, folder.path(), &receiver)?;
    wait_for_flows(&receiver, &eyepiece, &flows[1..2])?;
    feed(&mut server, &flows[3..3500])?;
    server.event(&loss(7))?;
    feed(&mut server, &flows[3500..3501])?;
    wait_for_flows(&receiver, &eyepiece, &flows[1..3499])?;
    let lost = |count: u64| {
        eventually(TIMEOUT, "losses", || {
            let lost = eyepiece.number("eyepiece.events.lost", &[("eyepiece.reason", "observer_queue")]).ok()?;
            (lost == count).then_some(())
        })
    };
    lost(7)?;
    let logs: BTreeMap<_, _> = receiver
        .logs()
        .into_iter()
        .filter_map(|log| Some((log.attributes.get("log.record.uid")?.clone(), log)))
        .collect();
    flows[1..3499].iter().try_for_each(|flow| compare(flow, logs.get(&flow.uuid).context("no record")?))?;

    // The server dies, and comes back with the last of what it had, the loss too, and new flows.
    drop(server);
    wait_for(&eyepiece, "no end", |status| status["connection"]["connected"] == false)?;
    let mut server = observer(folder.path(), "one", 16_383)?;
    feed(&mut server, &flows[3000..3500])?;
    server.event(&loss(7))?;
    feed(&mut server, &flows[3500..3700])?;
    wait_for_flows(&receiver, &eyepiece, &flows[1..3699])?;
    lost(7)?;
    assert_eq!(eyepiece.number("eyepiece.source.gaps", &[])?, 0);
    assert!(eyepiece.number("eyepiece.events.skipped", &[("eyepiece.reason", "seen_before")])? > 400);

    // And once more, without anything that we know.
    drop(server);
    wait_for(&eyepiece, "no end", |status| status["connection"]["interruptions"].as_u64() >= Some(2))?;
    let mut server = observer(folder.path(), "one", 16_383)?;
    feed(&mut server, &flows[3800..4000])?;
    wait_for_flows(&receiver, &eyepiece, &flows[3800..3999])?;
    assert_eq!(eyepiece.number("eyepiece.source.gaps", &[("eyepiece.reason", "passed_on")])?, 1);
    assert_eq!(eyepiece.stop()?, 0);
    Ok(())
}

#[test]
fn cli_output_matches_ciliums_observer() -> Result<()> {
    needs_peers!(harness::NAME, hubble::NAME);
    let home = Namespace::create(&format!("ep-{}-hubchain", std::process::id()))?;
    let folder = tempfile::tempdir()?;
    let receiver = Receiver::start(&home)?;
    let flows = flows("one")?;
    let mut server = observer(folder.path(), "one", 16_383)?;
    feed(&mut server, &flows[..2])?;
    let address = server.address().to_owned();
    let mut eyepiece = start(&home, &address, folder.path(), &receiver)?;
    wait_for_flows(&receiver, &eyepiece, &flows[..1])?;
    feed(&mut server, &flows[2..])?;
    wait_for_flows(&receiver, &eyepiece, &flows[..3999])?;
    let ask = |server: &str| -> Result<String> {
        let printed = Hubble::new(server, None)?.run(&["observe", "--all", "-o", "jsonpb"])?;
        printed.ok().map(str::to_owned)
    };
    let (theirs, ours) = (ask(&address)?, ask(&format!("unix://{}/eyepiece.sock", folder.path().display()))?);
    let (theirs, ours): (Vec<_>, Vec<_>) = (theirs.lines().collect(), ours.lines().collect());
    assert_eq!((theirs.len(), ours.len()), (3999, 3999));
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(theirs, ours);
    }
    // The CLI leaves out what it does not know; the bytes have it.
    let calls = [address.clone(), format!("unix://{}/eyepiece.sock", folder.path().display())];
    let request =
        eyepiece_hubble::proto::observer::GetFlowsRequest { number: 100, ..Default::default() }.encode_to_vec();
    let [theirs, ours] = calls.map(|address| {
        harness::load::call(&address, "/observer.Observer/GetFlows", &request, &[]).map(|answer| answer.responses)
    });
    let (theirs, ours) = (theirs?, ours?);
    let flow = |response: &Vec<u8>| raw_flow(response).map(<[u8]>::to_vec);
    let theirs: Vec<_> = theirs.iter().filter_map(flow).collect();
    let ours: Vec<_> = ours.iter().filter_map(flow).collect();
    assert_eq!((theirs.len(), ours.len()), (100, 100));
    assert!(theirs == ours && ours.iter().all(|flow| flow.ends_with(b"new")));
    assert_eq!(eyepiece.stop()?, 0);
    Ok(())
}

/// The bytes of a response's flow.
fn raw_flow(response: &[u8]) -> Option<&[u8]> {
    let mut rest = response;
    while let Some(field) = wire::field(rest) {
        if field.number == 1 {
            return rest.get(field.value..field.end);
        }
        rest = rest.get(field.end..)?;
    }
    None
}

#[test]
fn relay_is_read_with_its_nodes() -> Result<()> {
    needs_peers!(harness::NAME, relay::NAME);
    let home = Namespace::create(&format!("ep-{}-hubrelay", std::process::id()))?;
    let folder = tempfile::tempdir()?;
    let receiver = Receiver::start(&home)?;
    let mut one = observer(folder.path(), "one", 4095)?;
    let mut two = observer(folder.path(), "two", 4095)?;
    let of_node = |node: &str, odd: usize| -> Result<Vec<Flow>> {
        Ok(flows(node)?.into_iter().skip(odd).step_by(2).take(400).collect())
    };
    let (ones, twos) = (of_node("one", 0)?, of_node("two", 1)?);
    for (server, flows) in [(&mut one, &ones), (&mut two, &twos)] {
        feed(server, &flows[..3])?;
    }
    let own = one.address().to_owned();
    one.add_peer("one", &own)?;
    one.add_peer("two", two.address())?;
    one.settle()?;
    let flags = ["--disable-client-tls", "--disable-server-tls"];
    let mut relay = Relay::start(&own, Some(&home), &flags)?;
    relay.wait_for_peer("one")?;
    relay.wait_for_peer("two")?;
    let mut eyepiece = start(&home, &relay.address().to_string(), folder.path(), &receiver)?;
    let states = |status: &Value, wanted: &str| {
        let nodes = status["connection"]["nodes"].as_array();
        nodes.is_some_and(|nodes| nodes.len() == 2 && nodes.iter().any(|node| node["state"] == wanted))
    };
    wait_for(&eyepiece, "no nodes", |status| states(status, "connected"))?;
    feed(&mut one, &ones[3..200])?;
    feed(&mut two, &twos[3..200])?;
    wait_for_flows(&receiver, &eyepiece, ones[3..199].iter().chain(&twos[3..199]))?;
    // Relay is killed; another one on another port is none of ours, so the nodes' streams end alone: one of them.
    drop(two);
    wait_for(&eyepiece, "no node is away", |status| {
        ["unavailable", "error", "gone"].iter().any(|state| states(status, state))
    })
    .with_context(|| relay.log())?;
    feed(&mut one, &ones[200..])?;
    wait_for_flows(&receiver, &eyepiece, &ones[3..399])?;
    assert_eq!(eyepiece.number("eyepiece.source.interruptions", &[])?, 0);
    // It has neither events of the agent nor debug events, which ends nothing.
    assert!(eyepiece.stderr().contains("does not serve these events"), "{}", eyepiece.stderr());
    assert_eq!(eyepiece.stop()?, 0);
    Ok(())
}

#[test]
fn ring_overwrite_is_reported_as_loss() -> Result<()> {
    needs_peers!(harness::NAME);
    let home = Namespace::create(&format!("ep-{}-hublost", std::process::id()))?;
    let folder = tempfile::tempdir()?;
    let receiver = Receiver::start(&home)?;
    let flows = flows("one")?;
    // The smallest rings are overrun by a fast writer.
    let mut server = observer(folder.path(), "one", 7)?;
    feed(&mut server, &flows[..3])?;
    let address = server.address().to_owned();
    let mut eyepiece = start(&home, &address, folder.path(), &receiver)?;
    wait_for_flows(&receiver, &eyepiece, &flows[1..2])?;
    flows[3..1000].iter().try_for_each(|flow| server.keep(&event(flow)))?;
    server.repeat(200_000, 0)?;
    server.settle()?;
    let lost = |eyepiece: &Eyepiece| eyepiece.number("eyepiece.events.lost", &[("eyepiece.reason", "hubble_ring")]);
    // It reports at a next event, a second later at the soonest.
    eventually(TIMEOUT, "no loss is reported", || {
        feed(&mut server, &flows[1000..1001]).ok()?;
        (lost(&eyepiece).ok()? > 0).then_some(())
    })?;
    let is_reported = |log: &Log| log.event == "hubble.lost_events";
    receiver.wait(TIMEOUT, "a record of losses", |received| received.logs.iter().any(is_reported))?;
    assert_eq!(eyepiece.stop()?, 0);
    Ok(())
}
