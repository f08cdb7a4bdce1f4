//! What the dashboards show: three eyepieces of the lab's node, as three nodes of a cluster. One observes the lab, one
//! replays a recording with records of layer 7, and one gets the same events from an agent and names their ends.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use eyepiece_flow::event::{Event, RawEvent};
use eyepiece_flow::recording::format;
use eyepiece_tests::frame::{flags, protocol};
use eyepiece_tests::payload::{self, Packet, access_log, access_logs};
use eyepiece_tests::prometheus::Target;
use eyepiece_tests::traffic::{echo, tcp};
use eyepiece_tests::{Eyepiece, Family, Harness, Lab, drops, eventually};
use nix::sys::stat::Mode;
use serde_json::{Value, json};

/// Timeout of a connection between processes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The time of all recorded events, ns since the Unix epoch.
const TIME: u64 = 1_714_979_289_000_000_000;
/// The listeners for Prometheus, in the order of [`Sources`].
const PORTS: [u16; 3] = [9965, 9966, 9967];

/// What a scrape adds: the labels of Cilium's pod, and the cluster's, which its guide has for several clusters.
pub(super) const TARGETS: [Target<'static>; 3] = [
    target(PORTS[0], &[("cluster", "lab"), ("namespace", "kube-system"), ("pod", "cilium-datapath")]),
    target(PORTS[1], &[("cluster", "lab"), ("namespace", "kube-system"), ("pod", "cilium-replay")]),
    target(PORTS[2], &[("cluster", "lab"), ("namespace", "kube-system"), ("pod", "cilium-monitor")]),
];

const fn target(port: u16, labels: &'static [(&'static str, &'static str)]) -> Target<'static> {
    Target { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port), labels }
}

/// The handlers that the dashboards by namespace and workload need.
fn handlers_by_workload() -> Vec<String> {
    let ends = "sourceContext=workload-name|reserved-identity;destinationContext=workload-name|reserved-identity;\
                labelsContext=source_namespace,destination_namespace";
    let mut handlers: Vec<_> =
        ["drop:", "flow:", "tcp:", "icmp:", "dns:query;"].iter().map(|handler| format!("{handler}{ends}")).collect();
    handlers.push("port-distribution".to_owned());
    handlers.push(
        "httpV2:exemplars=true;labelsContext=source_ip,source_namespace,source_workload,destination_ip,\
         destination_namespace,destination_workload,traffic_direction"
            .to_owned(),
    );
    handlers
}

/// The handlers that the dashboard of nodes needs: the older one of HTTP, which excludes the newer one.
fn handlers_by_pod() -> Vec<String> {
    let ends = "sourceContext=pod|ip;destinationContext=pod|ip";
    let handlers = ["drop:", "flow:", "tcp:", "icmp:", "port-distribution:", "dns:query;", "http:"];
    handlers.iter().map(|handler| format!("{handler}{ends}")).collect()
}

fn config(port: u16, handlers: &[String], further: &str) -> String {
    format!(
        "[otlp.metrics]\nenabled = false\n[otlp.logs]\nenabled = false\n[prometheus]\nlisten = \"127.0.0.1:{port}\"\n\
         [metrics]\nhubble = {handlers:?}\n{further}"
    )
}

/// The file of names.
fn names(lab: &Lab) -> String {
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let name = |workload: &str, namespace: &str, addresses: &[String]| {
        format!(
            "[[name]]\nname = \"{workload}-1\"\naddresses = {addresses:?}\nnamespace = \"{namespace}\"\n\
             workload = \"{workload}\"\n"
        )
    };
    [
        name("front", "lab", &[a.v4.to_string(), a.v6.to_string()]),
        name("back", "lab", &[b.v4.to_string(), b.v6.to_string()]),
        name("client", "shop", &["10.9.1.1".to_owned()]),
        name("web", "shop", &["10.9.2.2".to_owned()]),
        name("coredns", "kube-system", &["10.9.3.3".to_owned()]),
    ]
    .concat()
}

/// An end of an access-log record.
fn end(address: &str, port: u16, identity: u32, label: &str) -> Value {
    json!({ "IPv4": address, "Port": port, "Identity": identity, "Labels": [label] })
}

fn client() -> Value {
    end("10.9.1.1", 41_001, 30_001, "k8s:app=client")
}

/// A record between two ends, a number of ms after the first one.
fn record(kind: &str, point: &str, ends: [&Value; 2], ms: u32, name: &str, fields: &Value) -> Value {
    let transport = if name == "DNS" { protocol::UDP } else { protocol::TCP };
    let fields = json!({
        "SourceEndpoint": ends[0], "DestinationEndpoint": ends[1], "TransportProtocol": transport,
        "Timestamp": format!("2024-05-06T07:08:09.{ms:03}Z"), name: fields,
    });
    access_log(kind, point, "Forwarded", fields)
}

/// A request and its response as both ends' proxies see them, with success and without.
fn http_records() -> Vec<Value> {
    let (client, web) = (client(), end("10.9.2.2", 80, 30_002, "k8s:app=web"));
    let mut records = Vec::new();
    for (point, code, ms) in [("Egress", 200, 20), ("Egress", 503, 300), ("Ingress", 200, 10), ("Ingress", 503, 200)] {
        let http = |code: u32| {
            json!({
                "Code": code, "Method": "GET", "Protocol": "HTTP/1.1",
                "URL": { "Scheme": "http", "Host": "web.shop", "Path": "/cart" },
                "Headers": { "X-Request-Id": [format!("{point}-{ms}")] },
            })
        };
        records.push(record("Request", point, [&client, &web], 0, "HTTP", &http(0)));
        records.push(record("Response", point, [&web, &client], ms, "HTTP", &http(code)));
    }
    records
}

/// A name that is found, one that does not exist, and a question without an answer.
fn dns_records() -> Vec<Value> {
    let (client, server) = (client(), end("10.9.3.3", 53, 30_003, "k8s:k8s-app=kube-dns"));
    let question = |name: &str, kind: u16| json!({ "Query": name, "ObservationSource": "proxy", "QTypes": [kind] });
    let (found, gone, lost) = (question("web.shop.", 1), question("gone.shop.", 28), question("lost.shop.", 1));
    let (mut address, mut error) = (found.clone(), gone.clone());
    (address["IPs"], address["TTL"], address["AnswerTypes"]) = (json!(["10.9.2.2"]), json!(30), json!([1]));
    error["RCode"] = json!(3);
    let asks = |fields| record("Request", "Egress", [&client, &server], 0, "DNS", fields);
    let answers = |fields| record("Response", "Egress", [&server, &client], 1, "DNS", fields);
    vec![asks(&found), answers(&address), asks(&gone), answers(&error), asks(&lost)]
}

/// The events of the recording: records of layer 7, a packet that a policy denies, and one that passes.
fn payloads() -> Result<Vec<Vec<u8>>> {
    let records = [http_records(), dns_records()].concat();
    let mut payloads = access_logs(&records.iter().collect::<Vec<_>>())?;
    let packet = Packet::new("10.9.1.1:41002", "10.9.2.2:80", protocol::TCP, flags::SYN);
    payloads.push(packet.drop(133, (30_001, 30_002)));
    payloads.push(packet.trace(5, (101, 0), (30_001, 30_002), 0));
    Ok(payloads)
}

/// The three products and what they read.
#[derive(Debug)]
pub(super) struct Sources {
    datapath: Eyepiece,
    replay: Eyepiece,
    monitor: Eyepiece,
    /// A pipe, so that the recording has no end.
    recording: File,
    server: Harness,
    payloads: Vec<Vec<u8>>,
    _folder: tempfile::TempDir,
}

impl Sources {
    pub(super) fn start(lab: &Lab) -> Result<Self> {
        // Its echo requests have no replies.
        for key in ["net.ipv4.icmp_echo_ignore_all", "net.ipv6.icmp.echo_ignore_all"] {
            lab.endpoint("b").namespace.sysctl(key, "1")?;
        }
        let folder = tempfile::tempdir()?;
        let [names_file, sockets, file, pipe] =
            ["names.toml", "agent", "payloads", "recording"].map(|name| folder.path().join(name));
        std::fs::write(&names_file, names(lab))?;
        let payloads = payloads()?;
        payload::write(&file, &payloads)?;
        std::fs::create_dir(&sockets)?;
        let mut server = Harness::monitor_server(&sockets, &file, &[])?;
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU)?;
        // Open for both: neither side waits for the other.
        let mut recording = OpenOptions::new().read(true).write(true).open(&pipe)?;
        let mut bytes = format::head().to_vec();
        format::write_origin("emitter=cilium\nemitter-version=1.15.19\n", TIME, &mut bytes);
        recording.write_all(&bytes)?;

        let names = format!("[metadata.file]\npath = \"{}\"\n", names_file.display());
        let of_lab = format!("[datapath]\naggregation = \"none\"\n{names}");
        let of_recording = format!("[source]\nkind = \"replay\"\n[replay]\npath = \"{}\"\nspeed = 0\n", pipe.display());
        let of_agent = format!(
            "[source]\nkind = \"cilium-monitor\"\n[cilium_monitor]\nsocket = \"{}/monitor1_2.sock\"\n\
             version = \"1.15\"\n{names}",
            sockets.display()
        );
        let (by_workload, by_pod) = (handlers_by_workload(), handlers_by_pod());
        let datapath = Eyepiece::start(lab.node(), &config(PORTS[0], &by_workload, &of_lab))?;
        let replay = Eyepiece::start(lab.node(), &config(PORTS[1], &by_pod, &of_recording))?;
        let monitor = Eyepiece::start(lab.node(), &config(PORTS[2], &by_workload, &of_agent))?;
        let is_connected = || (server.ask("listeners").ok()? == "listeners 1").then_some(());
        eventually(TIMEOUT, "eyepiece does not listen", is_connected).with_context(|| monitor.stderr())?;
        Ok(Self { datapath, replay, monitor, recording, server, payloads, _folder: folder })
    }

    /// Sends a round of packets and events.
    pub(super) fn send(&mut self, lab: &Lab) -> Result<()> {
        let (a, b, outside) = (lab.endpoint("a"), lab.endpoint("b"), lab.outside());
        for family in Family::BOTH {
            tcp(a, b).family(family).run()?;
            echo(a, outside).family(family).count(2).run()?;
            echo(a, b).family(family).count(2).send()?;
        }
        // A SYN without SYN-ACK.
        drops::closed_tcp(a, b, Family::V4, 1)?;
        drops::nft(lab, a, b, Family::V4, 5)?;
        let mut bytes = Vec::new();
        for data in self.payloads.iter().map(Vec::as_slice) {
            let event = RawEvent { time: TIME, cpu: 0, data, traffic: None, kernel_drop: None };
            format::write_event(&Event::Raw(event), TIME, &mut bytes);
        }
        self.recording.write_all(&bytes)?;
        let count = self.payloads.len();
        let answer = self.server.ask(&format!("send {count}"))?;
        ensure!(answer == format!("sent {count} 1"), "{answer}");
        Ok(())
    }

    /// The logs of the products.
    pub(super) fn logs(&self) -> String {
        [&self.datapath, &self.replay, &self.monitor].map(Eyepiece::stderr).join("\n")
    }

    pub(super) fn stop(self) -> Result<()> {
        let Self { mut datapath, mut replay, mut monitor, recording, .. } = self;
        drop(recording);
        ensure!(replay.exit_code()? == Some(0), "{}", replay.stderr());
        for eyepiece in [&mut datapath, &mut monitor] {
            ensure!(eyepiece.stop()? == 0, "{}", eyepiece.stderr());
        }
        Ok(())
    }
}
