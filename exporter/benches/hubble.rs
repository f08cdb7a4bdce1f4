//! The cost of a flow as `observer.GetFlowsResponse`, whole and masked; compared with prost's encoding of the message.

#[allow(dead_code, reason = "each bench uses a part")]
mod measured;

use eyepiece_flow::flow::{End, Ethernet};
use eyepiece_flow::lookup::NameLookup;
use eyepiece_flow::metadata::{EndMetadata, Metadata};
use eyepiece_flow::record::Observed;
use eyepiece_hubble::encode::Encoder;
use eyepiece_hubble::field_mask::Mask;
use eyepiece_hubble::proto::observer::GetFlowsResponse;
use prost::Message as _;

use eyepiece_tests::bench_report::{Goal, goal, heading, row};
use eyepiece_tests::sample;
use measured::Micro;

/// Flows of a round.
const BATCH: usize = 1024;
/// ns, for a response of 371 B and more.
const GOAL: f64 = 300.0;

/// The fields that `hubble observe` requests by default.
const COMPACT: &[&str] = &[
    "time",
    "source.identity",
    "source.namespace",
    "source.pod_name",
    "destination.identity",
    "destination.namespace",
    "destination.pod_name",
    "source_service",
    "destination_service",
    "l4",
    "IP",
    "ethernet",
    "l7",
    "Type",
    "node_name",
    "is_reply",
    "event_type",
    "verdict",
    "Summary",
];

struct Interfaces;

impl NameLookup for Interfaces {
    fn interface(&self, _: u32, out: &mut String) {
        out.push_str("lxc0a1b2c3d4e5f");
    }
}

/// TCP over IPv4, as the datapath reports it, or with pods at both ends.
fn flows(pods: bool) -> Vec<Observed> {
    let metadata = |name: &str| EndMetadata {
        namespace: "default".into(),
        pod_name: format!("{name}-6d8f9c7b5-x2x4z"),
        labels: vec![format!("k8s:app={name}")],
        ..EndMetadata::default()
    };
    let flow = |number: usize| {
        let mut flow = sample::established(number);
        flow.ethernet = Some(Ethernet { source: [2, 0, 0, 0, 0, 7], destination: [2, 0, 0, 0, 0, 4] });
        flow.source = End { endpoint: 0, identity: 2, ..End::default() };
        flow.destination = End { endpoint: 1234, identity: if pods { 45_678 } else { 0 }, ..End::default() };
        flow.metadata = pods.then(|| {
            Box::new(Metadata { source: metadata("xwing"), destination: metadata("deathstar"), ..Metadata::default() })
        });
        Observed::Flow(flow)
    };
    (0..BATCH).map(flow).collect()
}

fn main() {
    let mut micro = Micro::new("hubble");
    let encoder = Encoder::new("kind/worker-1", &Interfaces);
    let compact = Mask::of_flow(COMPACT).expect("paths of a flow");
    let mut out = Vec::new();
    heading("observer.GetFlowsResponse, encoded", &["ns a flow", "B a flow", "x prost"]);
    for (what, pods) in [("without names", false), ("with pods at both ends", true)] {
        let flows = flows(pods);
        let mut size = 0;
        let mut encode = |mask: &Mask, name: &str| {
            let figures = micro.measure(&format!("{name}, {what}"), BATCH, || {
                out.clear();
                for flow in &flows {
                    assert!(encoder.flows_response(flow, mask, &mut out));
                }
                size = out.len() / BATCH;
                size
            });
            (figures.map(|figures| figures.best), size)
        };
        let ours = encode(&Mask::ALL, "eyepiece");
        let masked = encode(&compact, "eyepiece, compact mask");
        let messages: Vec<GetFlowsResponse> = flows
            .iter()
            .map(|flow| {
                let mut one = Vec::new();
                assert!(encoder.flows_response(flow, &Mask::ALL, &mut one));
                GetFlowsResponse::decode(one.as_slice()).expect("a response")
            })
            .collect();
        let mut buffer = Vec::new();
        let prost = micro.measure(&format!("prost, {what}"), BATCH, || {
            buffer.clear();
            for message in &messages {
                message.encode(&mut buffer).expect("a buffer that grows");
            }
            buffer.len()
        });
        let (Some(prost), (Some(all), bytes), (Some(some), fewer)) = (prost, ours, masked) else { continue };
        row(&format!("eyepiece, {what}"), &[all, bytes as f64, all / prost.best]);
        row(&format!("eyepiece, {what}, compact mask"), &[some, fewer as f64, some / prost.best]);
        row(&format!("prost, {what}, message at hand"), &[prost.best, bytes as f64, 1.0]);
        if pods {
            goal("response with a flow, encoded", all, "ns", Goal::AtMost(GOAL));
        }
    }
}
