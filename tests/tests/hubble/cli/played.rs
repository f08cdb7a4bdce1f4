//! Checks payloads that our programs never make (proxies, policies, sockets, captures), sent by Cilium's monitor
//! server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eyepiece_flow::gob::encode::agent_notify;
use eyepiece_tests::frame::{flags, protocol};
use eyepiece_tests::harness::Harness;
use eyepiece_tests::payload::{Packet, access_log, access_logs, debug, socket, write};
use eyepiece_tests::{Eyepiece, Hubble, Namespace, eventually};
use serde_json::json;

/// Name of the node.
pub(crate) const NODE: &str = "node-2";
/// Name of the node's cluster.
pub(crate) const CLUSTER: &str = "west";
/// A trace id, as the client's header has it.
pub(crate) const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
/// Flows among the payloads (those of sockets are none without a known cgroup), notifications of the agent, debug messages.
pub(crate) const COUNTS: [usize; 3] = [16, 2, 2];

const TIMEOUT: Duration = Duration::from_secs(30);

/// Eyepieces that all read what one server sends.
pub(crate) struct Played {
    pub(crate) eyepieces: Vec<Eyepiece>,
    /// A client of each of them, over its unix socket.
    pub(crate) hubbles: Vec<Hubble>,
    pub(crate) home: Namespace,
    pub(crate) folder: tempfile::TempDir,
    _server: Harness,
}

impl Played {
    /// Starts as many as there are additions to `[hubble] listen = ["unix://…", …`: further addresses, `]` and settings.
    pub(crate) fn start(name: &str, listen: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let sockets = folder.path().join("agent");
        std::fs::create_dir(&sockets)?;
        let payloads = payloads()?;
        write(&folder.path().join("payloads"), &payloads)?;
        let mut server = Harness::monitor_server(&sockets, &folder.path().join("payloads"), &[])?;
        let home = Namespace::create(&format!("ep-{}-{name}", std::process::id()))?;
        let (mut eyepieces, mut hubbles) = (Vec::new(), Vec::new());
        for (number, listen) in listen.iter().enumerate() {
            let socket = format!("unix://{}/hubble-{number}.sock", folder.path().display());
            let config = format!(
                "[node]\nname = \"{NODE}\"\ncluster = \"{CLUSTER}\"\ndry_mode = true\n[source]\nkind = \"cilium-monitor\"\n\
                 [cilium_monitor]\nsocket = \"{}/monitor1_2.sock\"\nversion = \"1.15\"\n\
                 [otlp.logs]\nenabled = false\n[otlp.metrics]\nenabled = false\n\
                 [hubble]\nlisten = [\"{socket}\"{listen}\n",
                sockets.display()
            );
            eyepieces.push(Eyepiece::start(&home, &config)?);
            hubbles.push(Hubble::new(&socket, Some(&home))?);
        }
        let count = eyepieces.len();
        let all_listen = || (server.ask("listeners").ok()? == format!("listeners {count}")).then_some(());
        eventually(TIMEOUT, "not all eyepieces listen", all_listen)?;
        ensure!(server.ask(&format!("send {}", payloads.len()))? == format!("sent {} {count}", payloads.len()));
        for (hubble, eyepiece) in hubbles.iter().zip(&eyepieces) {
            let there = || {
                let count = |kind: &str| hubble.run(&["observe", kind, "--all", "-o", "jsonpb"]).ok()?.json().ok();
                let counts = [count("flows")?.len(), count("agent-events")?.len(), count("debug-events")?.len()];
                (counts == COUNTS).then_some(())
            };
            eventually(TIMEOUT, "not all events are there", there).with_context(|| {
                let printed = hubble.run(&["observe", "--all", "-o", "jsonpb"]);
                format!("{printed:?}\n{:#}\n{}", eyepiece.status().unwrap_or_default()["samples"], eyepiece.stderr())
            })?;
        }
        Ok(Self { eyepieces, hubbles, home, folder, _server: server })
    }
}

fn payloads() -> Result<Vec<Vec<u8>>> {
    let udp = Packet::new("10.9.1.1:41001", "10.9.2.2:9153", protocol::UDP, 0);
    let tcp = Packet::new("[fd00:9::1]:41002", "[fd00:9::2]:9154", protocol::TCP, flags::SYN | flags::ACK);
    let proxy = i32::from(15_001_u16.swap_bytes());
    let mut all = vec![
        // Towards an endpoint, established; from one, a reply; to the proxy; from the network.
        udp.trace(0, (101, 202), (30_001, 30_002), 1),
        tcp.trace(5, (101, 0), (30_001, 2), 2),
        tcp.trace(1, (101, 15_001), (30_001, 30_002), 0),
        udp.trace(10, (0, 0), (2, 30_002), 5),
        udp.drop(133, (30_001, 30_002)),
        udp.verdict(0, 1, 1, false),
        tcp.verdict(-133, 2, 0, false),
        udp.verdict(proxy, 2, 3, false),
        tcp.verdict(0, 1, 4, true),
        udp.capture(4, 4711),
        socket(1, 4431),
        socket(4, 4434),
    ];
    all.extend(proxied()?);
    for (kind, text) in [(2, json!({ "time": "2024-05-06T07:08:09Z" })), (8, json!({ "id": 106 }))] {
        let mut data = vec![130];
        agent_notify(&mut data, kind, &text.to_string());
        all.push(data);
    }
    all.extend([1, 2].map(|kind| debug(kind, 105, [17, 18, 0])));
    Ok(all)
}

/// Payloads of a proxy's records.
fn proxied() -> Result<Vec<Vec<u8>>> {
    let http = |code: u32, method: &str, path: &str| {
        json!({ "HTTP": {
            "Code": code, "Method": method, "Protocol": "HTTP/1.1",
            "URL": { "Scheme": "http", "Host": "web.shop:80", "Path": path, "RawQuery": "item=7" },
            "Headers": { "Traceparent": [format!("00-{TRACE_ID}-b7ad6b7169203331-01")] },
        } })
    };
    let question = json!({ "DNS": { "Query": "web.shop.", "ObservationSource": "proxy", "QTypes": [1, 28] } });
    let records = [
        access_log("Request", "Ingress", "Forwarded", http(0, "PUT", "/cart/7")),
        access_log("Response", "Ingress", "Forwarded", http(201, "PUT", "/cart/7")),
        access_log("Request", "Egress", "Denied", http(0, "GET", "/secret")),
        access_log("Response", "Egress", "Error", http(503, "POST", "/order")),
        access_log("Request", "Egress", "Redirected", question.clone()),
        access_log("Response", "Egress", "Forwarded", question),
    ];
    access_logs(&records.each_ref())
}
