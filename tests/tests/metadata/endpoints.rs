//! Endpoints and entities under the running program: what clients and a receiver are shown when real containers come,
//! are named, and go.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eyepiece_tests::receiver::{Log, Received};
use eyepiece_tests::traffic::udp;
use eyepiece_tests::{Dockerd, Eyepiece, Hubble, Inside, Lab, Receiver, Uplink, eventually, hubble, needs_peers, skip};
use serde_json::Value;

/// How long a change may take to arrive on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Containers of the churn.
const ROUNDS: usize = 4;

/// The program with Hubble's API, and its receiver of log records.
struct Served {
    eyepiece: Eyepiece,
    hubble: Hubble,
    receiver: Receiver,
    _folder: tempfile::TempDir,
}

impl Served {
    fn start(inside: &Inside, settings: &str) -> Result<Self> {
        let (receiver, folder) = (Receiver::start(inside)?, tempfile::tempdir()?);
        let socket = format!("unix://{}/hubble.sock", folder.path().display());
        let config = format!(
            "[hubble]\nlisten = [\"{socket}\"]\n[otlp]\nendpoint = \"{}\"\nmetrics.enabled = false\n[otlp.logs]\n\
             delay = \"50ms\"\nevents.entity = true\nentity_interval = \"2s\"\n{settings}",
            receiver.endpoint()
        );
        let eyepiece = Eyepiece::start(inside, &config)?;
        Ok(Self { eyepiece, hubble: Hubble::new(&socket, None)?, receiver, _folder: folder })
    }

    /// The agent's events, as Hubble's client prints them.
    fn agent_events(&self) -> Result<Vec<Value>> {
        let lines = self.hubble.run(&["observe", "agent-events", "--all", "-o", "json"])?.json()?;
        Ok(lines.into_iter().map(|line| line["agent_event"].clone()).collect())
    }

    /// Waits for an event.
    fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(PATIENCE, what, || self.agent_events().ok()?.into_iter().find(&is_it))
            .with_context(|| format!("{:?}\n{}", self.agent_events(), self.eyepiece.stderr()))
    }
}

/// Whether an event is of an endpoint with a label.
fn has_label(event: &Value, label: &str) -> bool {
    let of = ["endpoint_update", "endpoint_regenerate"].map(|name| event[name]["labels"].as_array());
    of.into_iter().flatten().flatten().any(|known| known == label)
}

/// The id of an event's endpoint.
fn id(event: &Value) -> Option<&str> {
    ["endpoint_update", "endpoint_regenerate"].iter().find_map(|name| event[name]["id"].as_str())
}

#[test]
fn container_is_created_named_deleted() -> Result<()> {
    needs_peers!(hubble::NAME);
    if let Err(why) = Dockerd::available() {
        skip!("{why}");
    }
    let dockerd = Dockerd::start()?;
    dockerd.docker("network create --subnet 10.77.1.0/24 front")?;
    let docker = format!("[metadata.docker]\nenabled = \"on\"\nsocket = \"{}\"", dockerd.socket().display());
    let mut served = Served::start(dockerd.inside(), &docker)?;
    let mut containers = Vec::new();
    for round in 0..ROUNDS {
        let name = format!("web-{round}");
        let compose = "--label com.docker.compose.project=shop --label com.docker.compose.service=web";
        containers.push(dockerd.sleep(&format!("--name {name} --network front {compose}"))?);
        let label = format!("container:name={name}");
        let is_named = |event: &Value| event["type"] == "ENDPOINT_REGENERATE_SUCCESS" && has_label(event, &label);
        served.wait_for("a name", is_named)?;
        let is_address = |event: &Value| event["ipcache_update"]["pod_name"] == *name;
        let address = served.wait_for("an address", is_address)?;
        ensure!(address["type"] == "IPCACHE_UPSERTED" && address["ipcache_update"]["namespace"] == "shop", "{address}");
        if round == 0 {
            // The same again, after its interval.
            let is_repeated = |received: &Received| of_entity(received, &containers[0]).len() >= 2;
            served.receiver.wait(PATIENCE, "another report", is_repeated)?;
        }
        dockerd.docker(&format!("rm -f {name}"))?;
        let deleted =
            served.wait_for("an end", |event| event["type"] == "ENDPOINT_DELETED" && has_label(event, &label))?;
        let update = &deleted["endpoint_update"];
        ensure!(update["pod_name"] == *name && update["namespace"] == "shop", "{deleted}");
    }
    check_order(&served.agent_events()?)?;
    let is_gone = |received: &Received| containers.iter().all(|id| is_deleted(&of_entity(received, id)));
    served.receiver.wait(PATIENCE, "the ends of all containers", is_gone)?;
    ensure!(served.eyepiece.stop()? == 0, "{}", served.eyepiece.stderr());
    served.receiver.look(|received| check_records(received, &containers))
}

/// Each endpoint is created, named and deleted, in this order.
fn check_order(events: &[Value]) -> Result<()> {
    let ids: BTreeSet<&str> = events.iter().filter_map(id).collect();
    let mut lives = 0;
    for wanted in ids {
        let of_id: Vec<&Value> = events.iter().filter(|event| id(event) == Some(wanted)).collect();
        for life in of_id.chunks(3) {
            let kinds: Vec<_> = life.iter().filter_map(|event| event["type"].as_str()).collect();
            let expected = ["ENDPOINT_CREATED", "ENDPOINT_REGENERATE_SUCCESS", "ENDPOINT_DELETED"];
            ensure!(kinds == expected, "{life:?}");
            lives += 1;
        }
    }
    ensure!(lives == ROUNDS, "{lives} endpoints: {events:?}");
    let addresses: Vec<_> = events.iter().filter(|event| event["ipcache_update"]["cidr"].is_string()).collect();
    for life in addresses.chunk_by(|event, _| event["type"] != "IPCACHE_DELETED") {
        let kinds: Vec<_> = life.iter().filter_map(|event| event["type"].as_str()).collect();
        // The name may be there before the address.
        let expected = ["IPCACHE_UPSERTED", "IPCACHE_UPSERTED", "IPCACHE_DELETED"];
        ensure!(kinds == expected || kinds == expected[1..], "{life:?}");
        let [unnamed @ .., named, deleted] = life else { unreachable!("at least two") };
        let (named, deleted) = (&named["ipcache_update"], &deleted["ipcache_update"]);
        ensure!(named["identity"].as_u64() > Some(0), "{named}");
        ensure!(unnamed.is_empty() || named["old_identity"] == 0, "{named}");
        ensure!(deleted["identity"] == named["identity"] && deleted["pod_name"] == named["pod_name"], "{deleted}");
    }
    Ok(())
}

/// The records of an entity whose id has a text.
fn of_entity<'a>(received: &'a Received, id: &str) -> Vec<&'a Log> {
    let is_of = |log: &&Log| log.attributes.get("entity.id").is_some_and(|of| of.contains(id));
    received.logs.iter().filter(is_of).collect()
}

fn is_deleted(records: &[&Log]) -> bool {
    records.last().is_some_and(|log| log.event == "entity.delete")
}

/// Checks that the records of all events are as in the registry, and agree with the script.
fn check_records(received: &Received, containers: &[String]) -> Result<()> {
    assert_eq!(received.violations, BTreeSet::new());
    for (round, id) in containers.iter().enumerate() {
        let records = of_entity(received, id);
        let (deleted, states) = records.split_last().context("no record")?;
        ensure!(deleted.event == "entity.delete" && !states.is_empty(), "{records:?}");
        for state in states {
            ensure!(state.event == "entity.state", "{state:?}");
            ensure!(state.attributes["entity.type"] == "container", "{state:?}");
            ensure!(state.attributes["entity.report.interval"] == "2", "{state:?}");
            let description = &state.attributes["entity.description"];
            ensure!(description.contains(&format!("\"container.name\": \"web-{round}\"")), "{state:?}");
        }
    }
    // The service of compose, which outlives none of its containers here.
    let services = of_entity(received, "\"service.namespace\": \"shop\"");
    ensure!(
        is_deleted(&services) && services.iter().all(|log| log.attributes["entity.type"] == "service"),
        "{services:?}"
    );
    let named = received.logs_with(&[("hubble.agent_event.type", "ENDPOINT_REGENERATE_SUCCESS")]);
    let names: Vec<_> = named.filter_map(|log| log.attributes.get("k8s.pod.name")).collect();
    ensure!(names == ["web-0", "web-1", "web-2", "web-3"], "{names:?}");
    Ok(())
}

#[test]
fn dry_mode_notifies_nothing() -> Result<()> {
    needs_peers!(hubble::NAME);
    let mut lab = Lab::builder().uplink(Uplink::None).build()?;
    let served = Served::start(lab.node(), "[node]\ndry_mode = true")?;
    lab.add_endpoint("c")?;
    let is_flow = |log: &Log| log.event == "hubble.flow" && log.body.contains("10.1.3.2");
    eventually(PATIENCE, "flows of the new endpoint", || {
        udp(lab.endpoint("c"), lab.endpoint("a")).run().ok()?;
        served.receiver.look(|received| received.logs.iter().any(is_flow)).then_some(())
    })?;
    ensure!(served.agent_events()?.is_empty(), "{:?}", served.agent_events());
    served.receiver.look(|received| {
        let is_notification = |log: &&Log| log.event == "hubble.agent_event" || log.event.starts_with("entity.");
        let notifications: Vec<_> = received.logs.iter().filter(is_notification).collect();
        ensure!(notifications.is_empty(), "{notifications:?}");
        Ok(())
    })
}
