//! A node with two endpoints under eyepiece, and traffic of every kind between them: what it was, and what was shown.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eyepiece_tests::traffic::{echo, tcp, udp};
use eyepiece_tests::{Eyepiece, Family, Hubble, Lab, drops, eventually};
use serde_json::Value;

use super::filters::LiveValues;
use super::flow::Flow;

/// The node's name.
pub(crate) const NODE: &str = "node-1.example";
/// eyepiece's address in the node's namespace besides its unix socket.
pub(crate) const TCP: &str = "127.0.0.1:4244";
/// Ports of the servers of TCP and UDP, by family.
pub(crate) const PORTS: [(Family, u16, u16); 2] = [(Family::V4, 8004, 9004), (Family::V6, 8006, 9006)];
/// The port that a rule of the node's firewall drops, and the one without a listener: those of `drops`.
pub(crate) const DROPPED: [(u16, &str); 2] = [(7001, "firewall"), (7004, "closed")];
/// Datagrams, requests for an echo, datagrams into the firewall, connections to the closed port; in each family.
const COUNTS: [u64; 4] = [3, 2, 2, 1];

/// Timeout of the flows.
const TIMEOUT: Duration = Duration::from_secs(30);

/// All of it, and the flows that are in the ring since.
pub(crate) struct Live {
    pub(crate) hubble: Hubble,
    pub(crate) flows: Vec<Value>,
    _eyepiece: Eyepiece,
    pub(crate) lab: Lab,
    _folder: tempfile::TempDir,
}

impl Live {
    /// Makes it, sends, and waits until the flows are there; then nothing is sent any more.
    pub(crate) fn start() -> Result<Self> {
        let lab = Lab::builder().uplink(eyepiece_tests::Uplink::None).build()?;
        let folder = tempfile::tempdir()?;
        let socket = format!("unix://{}/hubble.sock", folder.path().display());
        let config = format!(
            "[node]\nname = \"{NODE}\"\n[datapath]\naggregation = \"none\"\n[hubble]\nlisten = [\"{socket}\", \"{TCP}\"]\n\
             [otlp.logs]\nenabled = false\n[otlp.metrics]\nenabled = false\n"
        );
        let eyepiece = Eyepiece::start(lab.node(), &config)?;
        for endpoint in lab.endpoints() {
            eyepiece.wait_for_hooks(&endpoint.node_device, true)?;
        }
        let hubble = Hubble::new(&socket, None)?;
        send(&lab)?;
        let mut live = Self { hubble, flows: Vec::new(), _eyepiece: eyepiece, lab, _folder: folder };
        live.flows = eventually(TIMEOUT, "the flows of the traffic", || {
            let flows = live.all().ok()?;
            check(&live.lab, &flows).is_ok().then_some(flows)
        })
        .or_else(|error| {
            let flows = live.all()?;
            check(&live.lab, &flows).context(error)?;
            Ok::<_, anyhow::Error>(flows)
        })?;
        Ok(live)
    }

    /// Every flow of the ring.
    pub(crate) fn all(&self) -> Result<Vec<Value>> {
        self.hubble.run(&["observe", "--all", "-o", "jsonpb"])?.json()
    }

    /// Returns the values of the traffic that the table of filters contains.
    pub(crate) fn values(&self) -> LiveValues {
        let of = |name: &str| Family::BOTH.map(|family| self.lab.endpoint(name).address(family).to_string());
        let uuid = self.flows.get(self.flows.len() / 2).map(|line| Flow(line).uuid()).unwrap_or_default();
        LiveValues { a: of("a"), b: of("b"), uuid }
    }
}

fn send(lab: &Lab) -> Result<()> {
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let [datagrams, requests, dropped, connections] = COUNTS;
    for (family, tcp_port, udp_port) in PORTS {
        tcp(a, b).family(family).port(tcp_port).bytes(200).run()?;
        udp(a, b).family(family).port(udp_port).packets(datagrams).run()?;
        echo(a, b).family(family).count(u16::try_from(requests)?).run()?;
        drops::nft(lab, a, b, family, dropped)?;
        drops::closed_tcp(a, b, family, connections)?;
    }
    Ok(())
}

/// Holds the flows against what was sent.
fn check(lab: &Lab, flows: &[Value]) -> Result<()> {
    let [datagrams, requests, dropped, connections] = COUNTS;
    for (family, tcp_port, udp_port) in PORTS {
        let (a, b) = (lab.endpoint("a").address(family).to_string(), lab.endpoint("b").address(family).to_string());
        let count = |from: &str, to: &str, verdict: &str, port: u16, is: &dyn Fn(&Flow<'_>) -> bool| {
            let is_of = |flow: &Flow<'_>| {
                flow.ip("source") == from
                    && flow.ip("destination") == to
                    && flow.text(&["verdict"]) == verdict
                    && (port == 0 || flow.port("destination") == port.to_string())
                    && is(flow)
            };
            flows.iter().map(Flow).filter(is_of).count() as u64
        };
        let icmp = if family == Family::V4 { ("ICMPv4", 8, 0) } else { ("ICMPv6", 128, 129) };
        let echo = |kind: u64| {
            move |flow: &Flow<'_>| {
                flow.at(&["l4", icmp.0])["type"].as_u64().unwrap_or(0) == kind && flow.has_l4(&[icmp.0])
            }
        };
        let syn = |flow: &Flow<'_>| {
            flow.at(&["l4", "TCP", "flags", "SYN"]) == true && flow.at(&["l4", "TCP", "flags", "ACK"]) != true
        };
        // A packet that is forwarded passes two interfaces of the node: it comes from an endpoint and goes to one.
        for (what, found, wanted) in [
            ("datagrams", count(&a, &b, "FORWARDED", udp_port, &|_| true), 2 * datagrams),
            ("connections", count(&a, &b, "FORWARDED", tcp_port, &syn), 2),
            ("requests", count(&a, &b, "FORWARDED", 0, &echo(icmp.1)), 2 * requests),
            ("replies", count(&b, &a, "FORWARDED", 0, &echo(icmp.2)), 2 * requests),
            ("into the firewall", count(&a, &b, "FORWARDED", DROPPED[0].0, &|_| true), dropped),
            ("dropped by it", count(&a, &b, "DROPPED", DROPPED[0].0, &|_| true), dropped),
            ("to the closed port", count(&a, &b, "FORWARDED", DROPPED[1].0, &syn), 2 * connections),
            ("dropped there", count(&a, &b, "DROPPED", DROPPED[1].0, &|_| true), connections),
        ] {
            ensure!(found == wanted, "{family:?}: {what}: {found} flows, not {wanted}");
        }
    }
    Ok(())
}
