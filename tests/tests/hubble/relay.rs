//! Hubble Relay over three eyepieces on three nodes, of which one dies and comes back: plain, and with TLS both ways.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eyepiece_tests::traffic::udp;
use eyepiece_tests::{Background, Eyepiece, Hubble, Lab, Pki, Relay, Uplink, eventually, hubble, needs_peers, relay};
use serde_json::Value;

/// The nodes: each is a host of the lab, with eyepiece on its interface.
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// The port of each eyepiece.
const PORT: u16 = 4244;
/// The traffic's port: the API's own packets are observed as well, and never asked for.
const TRAFFIC: u16 = 9100;
/// Datagrams from each node to each other one, in a round.
const DATAGRAMS: usize = 2;
/// Timeout of expected events: relay tries a lost peer again after seconds, doubled each time.
const TIMEOUT: Duration = Duration::from_secs(90);

struct Cluster {
    lab: Lab,
    eyepieces: Vec<Eyepiece>,
    settings: String,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// `tls` is what `[hubble]` has of it.
    fn start(tls: &str) -> Result<Self> {
        let lab = Lab::builder().endpoints(NODES).uplink(Uplink::None).build()?;
        let peers: Vec<String> =
            NODES.iter().map(|name| format!("\"{name}={}:{PORT}\"", lab.endpoint(name).v4)).collect();
        let settings = format!(
            "peers = [{}]\n{tls}[datapath]\naggregation = \"none\"\ndrops = false\n[otlp.logs]\nenabled = false\n\
             [otlp.metrics]\nenabled = false\n",
            peers.join(", ")
        );
        let mut cluster = Self { lab, eyepieces: Vec::new(), settings, folder: tempfile::tempdir()? };
        for name in NODES {
            let eyepiece = cluster.eyepiece(name)?;
            cluster.eyepieces.push(eyepiece);
        }
        Ok(cluster)
    }

    fn socket(&self, name: &str) -> String {
        format!("unix://{}/{name}.sock", self.folder.path().display())
    }

    fn eyepiece(&self, name: &str) -> Result<Eyepiece> {
        let host = self.lab.endpoint(name);
        let names = self.folder.path().join(format!("{name}.toml"));
        // Each node has a pod of one workload, and the labels in another order.
        let labels =
            if name == NODES[0] { "tier = \"front\", app = \"web\"" } else { "app = \"web\", tier = \"front\"" };
        let address = host.v4;
        std::fs::write(
            &names,
            format!(
                "[[name]]\nname = \"web-{name}\"\nnamespace = \"shop\"\nworkload = \"web\"\n\
                 addresses = [\"{address}\"]\nlabels = {{ {labels} }}\n"
            ),
        )?;
        let config = format!(
            "[node]\nname = \"{name}\"\n[hubble]\nlisten = [\"{}\", \"{}:{PORT}\"]\n{}\
             [metadata.file]\npath = \"{}\"\n",
            self.socket(name),
            host.v4,
            self.settings,
            names.display()
        );
        let eyepiece = Eyepiece::start(&host.namespace, &config)?;
        eyepiece.wait_for_hooks(&host.device, true)?;
        Ok(eyepiece)
    }

    /// Each node sends to each other one; returns the expected flows of each observer: one a datagram.
    fn traffic(&self) -> Result<usize> {
        let pairs =
            NODES.iter().flat_map(|from| NODES.iter().map(move |to| (from, to))).filter(|(from, to)| from != to);
        let mut sent = 0;
        for (from, to) in pairs {
            let (from, to) = (self.lab.endpoint(from), self.lab.endpoint(to));
            let report = udp(from, to).port(TRAFFIC).packets(DATAGRAMS as u64).run()?;
            ensure!(report.received == report.sent, "{report:?}");
            sent += DATAGRAMS;
        }
        Ok(2 * sent / NODES.len())
    }
}

/// Relay and its clients, in the first node's namespace.
struct Clients {
    hubble: Hubble,
    relay: Relay,
}

impl Clients {
    fn start(cluster: &Cluster, service: &str, flags: &[&str]) -> Result<Self> {
        let inside = &cluster.lab.endpoint(NODES[0]).namespace;
        let mut relay = Relay::start(service, Some(inside), flags)?;
        for name in NODES {
            relay.wait_for_peer(name)?;
        }
        let hubble = Hubble::new(&relay.address().to_string(), Some(inside))?;
        Ok(Self { hubble, relay })
    }

    fn flows(&self) -> Result<Vec<Value>> {
        self.hubble.run(&["observe", "--all", "--to-port", &TRAFFIC.to_string(), "-o", "json"])?.json()
    }

    /// Checks that all nodes give a workload one identity, by which its flows are found.
    fn check_identity(&self) -> Result<()> {
        let port = TRAFFIC.to_string();
        let observe = |filter: [&str; 2]| {
            self.hubble.run(&[&["observe", "--all", "--to-port", &port, "-o", "json"], &filter[..]].concat())
        };
        let flows = observe(["--workload", "web"])?.json()?;
        ensure!(counts(&flows).iter().all(|&count| count > 0), "{:?}: {:#?}", counts(&flows), self.flows());
        let ends = flows.iter().flat_map(|line| ["source", "destination"].map(|end| &line["flow"][end]));
        let of_web = ends.filter(|end| end["namespace"] == "shop");
        let identities: BTreeSet<u64> = of_web.map(|end| end["identity"].as_u64().unwrap_or_default()).collect();
        ensure!(identities.len() == 1 && !identities.contains(&0), "{identities:?}");
        let identity = identities.first().context("an identity")?.to_string();
        let found = observe(["--identity", &identity])?.json()?;
        ensure!(counts(&found) == counts(&flows), "{identity}: {:?} instead of {:?}", counts(&found), counts(&flows));
        Ok(())
    }

    /// Waits until each of some nodes has given as many flows as it must; they are sorted by time.
    fn wait_for_flows(&self, wanted: [usize; 3]) -> Result<()> {
        let mut last = Ok(Vec::new());
        let found = eventually(TIMEOUT, "each node's flows", || {
            last = self.flows();
            (counts(last.as_ref().ok()?) == wanted).then_some(())
        });
        found.with_context(|| {
            format!("{:?} instead of {wanted:?}\n{}", last.as_deref().map(counts), self.relay.log())
        })?;
        let flows = last?;
        let times: Vec<_> = flows.iter().map(|line| line["time"].as_str().unwrap_or_default()).collect();
        ensure!(times.is_sorted(), "{times:?}");
        for line in &flows {
            let flow = &line["flow"];
            ensure!(flow["l4"]["UDP"]["destination_port"] == TRAFFIC && flow["verdict"] == "FORWARDED", "{line}");
            ensure!(flow["node_name"] == line["node_name"] && flow["time"] == line["time"], "{line}");
        }
        Ok(())
    }

    /// `list nodes`: name and state of each, and the name of its certificate.
    fn nodes(&self) -> Result<Vec<[String; 3]>> {
        let printed = self.hubble.run(&["list", "nodes", "-o", "json"])?;
        let nodes: Value = serde_json::from_str(printed.ok()?).with_context(|| printed.stdout.clone())?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let nodes = nodes.as_array().context("no list")?.iter();
        Ok(nodes.map(|node| [text(&node["name"]), text(&node["state"]), text(&node["tls"]["server_name"])]).collect())
    }

    fn wait_for_states(&self, wanted: [&str; 3]) -> Result<()> {
        let mut last = Ok(Vec::new());
        let is_so = eventually(TIMEOUT, "states of the nodes", || {
            last = self.nodes();
            let nodes = last.as_ref().ok()?;
            let is_all = nodes.len() == NODES.len()
                && nodes
                    .iter()
                    .zip(NODES.iter().zip(wanted))
                    .all(|(node, (name, state))| node[0] == **name && node[1] == state);
            is_all.then_some(())
        });
        is_so.with_context(|| format!("{last:?} instead of {wanted:?}\n{}", self.relay.log()))
    }

    fn status(&self, parts: &[&str]) -> Result<()> {
        let mut last = Ok(String::new());
        let is_so = eventually(TIMEOUT, "status", || {
            last = self.hubble.run(&["status"]).map(|printed| printed.stdout + &printed.stderr);
            parts.iter().all(|part| last.as_ref().is_ok_and(|text| text.contains(part))).then_some(())
        });
        is_so.with_context(|| format!("{parts:?}: {last:?}"))
    }
}

/// Flows of each node.
fn counts(flows: &[Value]) -> [usize; 3] {
    NODES.map(|name| flows.iter().filter(|line| line["node_name"] == name).count())
}

fn followed(process: &Background) -> [usize; 3] {
    counts(&process.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>())
}

/// Sends until what is followed has more flows of each of some nodes.
fn follow_on(cluster: &Cluster, process: &Background, nodes: [bool; 3]) -> Result<[usize; 3]> {
    let before = followed(process);
    eventually(TIMEOUT, "flows that are followed", || {
        cluster.traffic().ok()?;
        let now = followed(process);
        (0..3).all(|at| !nodes[at] || now[at] > before[at]).then_some(now)
    })
    .with_context(|| format!("{before:?}, {:?}\n{}", followed(process), process.stderr()))
}

fn one_dies_and_comes_back(cluster: &mut Cluster, clients: &Clients, server_name: bool) -> Result<()> {
    const CONNECTED: &str = "NODE_CONNECTED";
    let each = cluster.traffic()?;
    clients.wait_for_flows([each; 3])?;
    clients.check_identity()?;
    clients.wait_for_states([CONNECTED; 3])?;
    for [name, _, certificate] in clients.nodes()? {
        let wanted = if server_name { format!("{name}.default.hubble-grpc.cilium.io") } else { String::new() };
        ensure!(certificate == wanted, "{name}: {certificate:?}");
    }
    clients.status(&["): Ok", "/12,285 (", "Connected Nodes: 3/3"])?;

    let port = TRAFFIC.to_string();
    let following = clients.hubble.start(&["observe", "-f", "--to-port", &port, "-o", "json", "--debug"])?;
    follow_on(cluster, &following, [true; 3])?;
    cluster.eyepieces[1].kill()?;
    clients.wait_for_states([CONNECTED, "NODE_UNAVAILABLE", CONNECTED])?;
    clients.status(&["): Ok", "/8,190 (", "Connected Nodes: 2/3"])?;
    // The others go on, for followers and for new requests.
    follow_on(cluster, &following, [true, false, true])?;
    let flows = counts(&clients.flows()?);
    ensure!(flows[0] > each && flows[1] == 0 && flows[2] > each, "{flows:?}");
    // Relay gathers errors for ten seconds.
    let is_reported = |line: &str| line.contains("NODE_ERROR") && line.contains("n2");
    eventually(TIMEOUT, "an error of the node", || following.stderr().lines().any(is_reported).then_some(()))
        .with_context(|| following.stderr())?;

    cluster.eyepieces[1] = cluster.eyepiece(NODES[1])?;
    clients.wait_for_states([CONNECTED; 3])?;
    clients.status(&["/12,285 (", "Connected Nodes: 3/3"])?;
    let count = followed(&following);
    let now = follow_on(cluster, &following, [true; 3])?;
    ensure!(now[1] > count[1], "{count:?} {now:?}");
    let again = counts(&clients.flows()?);
    ensure!(again.iter().all(|&count| count > 0), "{again:?}");
    for eyepiece in &mut cluster.eyepieces {
        ensure!(eyepiece.stop()? == 0, "{}", eyepiece.stderr());
    }
    Ok(())
}

#[test]
fn relay_merges_three_nodes() -> Result<()> {
    needs_peers!(hubble::NAME, relay::NAME);
    let mut cluster = Cluster::start("")?;
    let socket = cluster.socket(NODES[0]);
    let clients = Clients::start(&cluster, &socket, &["--disable-client-tls", "--disable-server-tls"])?;
    one_dies_and_comes_back(&mut cluster, &clients, false)
}

#[test]
fn relay_merges_three_nodes_with_tls() -> Result<()> {
    needs_peers!(hubble::NAME, relay::NAME);
    let (servers, clients) = (Pki::new()?, Pki::new()?);
    let pair = servers.sign(&["*.default.hubble-grpc.cilium.io"])?;
    let relay = clients.sign(&["relay"])?;
    let mut cluster = Cluster::start(&format!(
        "tls.cert = \"{}\"\ntls.key = \"{}\"\ntls.client_ca = \"{}\"\n",
        pair.cert,
        pair.key,
        clients.ca()
    ))?;
    let service = format!("{}:{PORT}", cluster.lab.endpoint(NODES[0]).v4);
    let ca = format!("--tls-hubble-server-ca-files={}", servers.ca());
    let cert = format!("--tls-hubble-client-cert-file={}", relay.cert);
    let key = format!("--tls-hubble-client-key-file={}", relay.key);
    let clients = Clients::start(&cluster, &service, &[&ca, &cert, &key, "--disable-server-tls"])?;
    one_dies_and_comes_back(&mut cluster, &clients, true)
}
