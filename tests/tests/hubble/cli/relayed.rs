//! Checks flows with names (pods, services, workloads, domains, sockets) that eyepiece relays from Cilium's own server.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use eyepiece_hubble::proto::flow::layer4::Protocol;
use eyepiece_hubble::proto::flow::{
    CiliumEventType, Endpoint, Flow as Message, FlowType, Ip, IpVersion, Layer4, Service, Tcp, TcpFlags, Udp, Verdict,
    Workload,
};
use eyepiece_hubble::proto::observer::ExportEvent;
use eyepiece_hubble::proto::observer::export_event::ResponseTypes;
use eyepiece_tests::harness::observer::{ObserveServer, Options};
use eyepiece_tests::{Eyepiece, Hubble, Namespace, eventually};
use prost::Message as _;
use serde_json::{Value, json};

use super::TIMEOUT;
use super::flow::Flow;

/// The node of the server that eyepiece reads from.
pub(crate) const NODE: &str = "far/node-3";

/// A server, eyepiece that reads from it, and what it shows.
pub(crate) struct Relayed {
    pub(crate) hubble: Hubble,
    pub(crate) flows: Vec<Value>,
    /// A client of the server itself.
    original: Hubble,
    server: ObserveServer,
    _eyepiece: Eyepiece,
    _home: Namespace,
    _folder: tempfile::TempDir,
}

impl Relayed {
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [theirs, ours] = ["theirs", "ours"].map(|name| format!("unix://{}/{name}.sock", folder.path().display()));
        let mut server = ObserveServer::start(&Options { listen: &theirs, ..Options::default() })?;
        // A follower of Cilium's ring gets nothing while it has few entries; and it hides its newest.
        let all = flows()?;
        for flow in &all {
            server.event(flow)?;
        }
        server.settle()?;
        let home = Namespace::create(&format!("ep-{}-relayed", std::process::id()))?;
        let config = format!(
            "[node]\nname = \"near\"\ndry_mode = true\n[source]\nkind = \"hubble\"\n[hubble_source]\naddress = \"{theirs}\"\n\
             [otlp.logs]\nenabled = false\n[otlp.metrics]\nenabled = false\n[hubble]\nlisten = [\"{ours}\"]\n"
        );
        let eyepiece = Eyepiece::start(&home, &config)?;
        let hubble = Hubble::new(&ours, None)?;
        let shown = |hubble: &Hubble| hubble.run(&["observe", "--all", "-o", "jsonpb"])?.json();
        // From which flow on it follows is up to it, so all are sent again until each has come.
        let is_there = |flows: &[Value]| {
            (0..8).all(|number| flows.iter().any(|line| Flow(line).port("source") == (41_000 + number).to_string()))
        };
        eventually(TIMEOUT, "every flow", || {
            all.iter().try_for_each(|flow| server.event(flow)).ok()?;
            server.settle().ok()?;
            shown(&hubble).is_ok_and(|flows| is_there(&flows)).then_some(())
        })
        .with_context(|| format!("{:#}\n{}", eyepiece.status().unwrap_or_default(), eyepiece.stderr()))?;
        // Nothing is sent any more, but some may be on its way.
        let mut before = 0;
        let flows = eventually(TIMEOUT, "an end of the flows", || {
            std::thread::sleep(std::time::Duration::from_millis(500));
            let flows = shown(&hubble).ok()?;
            let is_still = flows.len() == before;
            before = flows.len();
            is_still.then_some(flows)
        })?;
        let original = Hubble::new(&theirs, None)?;
        let originals = shown(&original)?;
        for line in &flows {
            ensure!(originals.contains(line), "{line}\nis none of\n{:#?}", originals.first());
        }
        Ok(Self { hubble, flows, original, server, _eyepiece: eyepiece, _home: home, _folder: folder })
    }

    /// Holds the namespaces against the server's own; then those, too, of flows whose times are hours away from now.
    pub(crate) fn check_namespaces(&mut self) -> Result<()> {
        let list = |hubble: &Hubble, form: &str| -> Result<String> {
            hubble.run(&["list", "namespaces", "-o", form])?.ok().map(str::to_owned)
        };
        for hubble in [&self.hubble, &self.original] {
            let table = list(hubble, "table")?;
            ensure!(table == "NAMESPACE\nbank\ndefault\nshop\n", "{table}");
        }
        let json: Value = serde_json::from_str(&list(&self.hubble, "json")?)?;
        ensure!(
            json == json!([{ "namespace": "bank" }, { "namespace": "default" }, { "namespace": "shop" }]),
            "{json}"
        );
        let far = Endpoint { cluster_name: "far".to_owned(), ..pod("yard", "gate", "gate") };
        let between = |number, hours: i64, source: Endpoint, destination: Endpoint| {
            let (source, destination) = (Some(source), Some(destination));
            let event_type = Some(CiliumEventType { r#type: 4, sub_type: 0 });
            encoded(number, now()? + hours * 3600, Message { source, destination, event_type, ..Message::default() })
        };
        let old = between(101, -2, pod("attic", "box", "box"), pod("bank", "vault-0", "vault"))?;
        let new = between(102, 2, pod("tomorrow", "dawn", "dawn"), far)?;
        // A server hides its newest.
        for event in [&old, &new, &old, &new] {
            self.server.event(event)?;
        }
        self.server.settle()?;
        let wanted = json!([
            { "namespace": "attic" }, { "namespace": "bank" }, { "namespace": "default" }, { "namespace": "shop" },
            { "namespace": "tomorrow" }, { "cluster": "far", "namespace": "yard" },
        ]);
        let ours = || serde_json::from_str::<Value>(&list(&self.hubble, "json").ok()?).ok();
        eventually(TIMEOUT, "namespaces", || (ours()? == wanted).then_some(()))
            .with_context(|| format!("{:?}", ours()))?;
        // Theirs have no clusters but the server's own.
        let (ours, theirs) = (list(&self.hubble, "table")?, list(&self.original, "table")?);
        ensure!(ours == theirs && ours.lines().count() == 7, "{ours}\n{theirs}");
        let wide = list(&self.hubble, "wide")?;
        let lines: Vec<Vec<&str>> = wide.lines().map(|line| line.split_whitespace().collect()).collect();
        ensure!(lines.first() == Some(&vec!["NAMESPACE", "CLUSTER"]), "{wide}");
        ensure!(lines.last() == Some(&vec!["yard", "far"]), "{wide}");
        Ok(())
    }
}

fn pod(namespace: &str, name: &str, workload: &str) -> Endpoint {
    Endpoint {
        id: 7,
        identity: 30_007,
        namespace: namespace.to_owned(),
        pod_name: name.to_owned(),
        workloads: vec![Workload { name: workload.to_owned(), kind: "Deployment".to_owned() }],
        labels: vec![format!("k8s:app={workload}")],
        ..Endpoint::default()
    }
}

/// Eight of them, with source ports from 41000 on.
fn flows() -> Result<Vec<Vec<u8>>> {
    let world = Endpoint { identity: 2, labels: vec!["reserved:world".to_owned()], ..Endpoint::default() };
    let (web, bank, plain) =
        (pod("shop", "web-6f7", "web"), pod("bank", "vault-0", "vault"), pod("default", "curl", "curl"));
    let service =
        |namespace: &str, name: &str| Some(Service { namespace: namespace.to_owned(), name: name.to_owned() });
    let names = |name: &str| vec![name.to_owned()];
    let between = |source: &Endpoint, destination: &Endpoint| Message {
        source: Some(source.clone()),
        destination: Some(destination.clone()),
        event_type: Some(CiliumEventType { r#type: 4, sub_type: 0 }),
        verdict: Verdict::Forwarded.into(),
        ..Message::default()
    };
    let socket = |verdict: Verdict| Message {
        verdict: verdict.into(),
        r#type: FlowType::Sock.into(),
        event_type: Some(CiliumEventType { r#type: 7, sub_type: 0 }),
        ..between(&plain, &world)
    };
    let all = [
        between(&web, &bank),
        between(&bank, &web),
        between(&plain, &bank),
        Message { destination_names: names("api.example.com"), ..between(&web, &world) },
        Message { source_names: names("cdn.example.org"), ..between(&world, &web) },
        Message {
            source_service: service("shop", "front"),
            destination_service: service("bank", "vault"),
            ..between(&web, &bank)
        },
        socket(Verdict::Traced),
        socket(Verdict::Translated),
    ];
    let now = now()?;
    (0_u32..).zip(all).map(|(number, flow)| encoded(number, now, flow)).collect()
}

/// s since the Unix epoch.
fn now() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?)
}

/// A flow as the server takes it, with what belongs to its number.
fn encoded(number: u32, seconds: i64, flow: Message) -> Result<Vec<u8>> {
    let time = Some(prost_types::Timestamp { seconds, nanos: i32::try_from(number)? * 1_000_000 });
    let protocol = if number.is_multiple_of(2) {
        let flags = Some(TcpFlags { syn: true, ..TcpFlags::default() });
        Protocol::Tcp(Tcp { source_port: 41_000 + number, destination_port: 443, flags })
    } else {
        Protocol::Udp(Udp { source_port: 41_000 + number, destination_port: 53 })
    };
    let flow = Message {
        time,
        uuid: format!("00000000-0000-4000-8000-{number:012}"),
        node_name: NODE.to_owned(),
        ip: Some(Ip {
            source: "10.8.0.1".to_owned(),
            destination: "10.8.0.2".to_owned(),
            ip_version: IpVersion::IPv4.into(),
            ..Ip::default()
        }),
        l4: Some(Layer4 { protocol: Some(protocol) }),
        ..flow
    };
    let response_types = Some(ResponseTypes::Flow(flow));
    Ok(ExportEvent { node_name: NODE.to_owned(), time, response_types }.encode_to_vec())
}
