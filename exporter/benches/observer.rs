//! Hubble's observer: what a flow costs the ring's writer, what a full ring holds, and flows per second to one
//! client, beside Cilium's server with the same flows and the same client.

#[allow(dead_code, reason = "each bench uses a part")]
mod measured;
mod observer_client;
mod served;

use std::sync::Arc;

use eyepiece::metadata::{InterfaceInfo, LinkTables, NameSnapshot};
use eyepiece::serve::grpc::Limits;
use eyepiece::serve::observer::ring::{MAX_CAPACITY, Ring, Writer};
use eyepiece::support::{server_runtime, shutdown};
use eyepiece_flow::flow::{EventType, Flow, L4, Layer, TcpFlags, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::lookup::{BatchNames, NoLookup};
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_hubble::encode::Encoder;
use eyepiece_hubble::field_mask::Mask;
use eyepiece_hubble::proto::flow::FlowFilter;
use eyepiece_hubble::proto::observer::GetFlowsRequest;
use eyepiece_hubble::proto::observer::get_flows_request::Experimental;
use eyepiece_tests::harness::observer::{ObserveServer, Options};
use eyepiece_tests::peer;
use eyepiece_wire::InterfaceKind;
use prost_types::FieldMask;

use eyepiece_tests::bench_report::{Goal, goal, heading, row};
use eyepiece_tests::sample;
use measured::Micro;

/// Flows of a batch, as the pipeline sends under load.
const BATCH: u64 = 512;
/// Answers of each server, in turns; the best is shown.
const ANSWERS: usize = 8;

fn main() {
    write();
    memory();
    answers();
}

/// A TCP segment between two endpoints, as our datapath reports it.
fn flow(number: u64) -> Observed {
    let mut flow = Flow::empty(EventType { kind: 4, subtype: 0 });
    flow.time = 1_700_000_000_000_000_000 + number * 1000;
    flow.uuid = (u128::from(number) << 64 | 1).to_be_bytes();
    flow.verdict = if number.is_multiple_of(10) { Verdict::Dropped } else { Verdict::Forwarded };
    flow.observation_point = Some(0);
    flow.trace_reason = Some(1);
    flow.is_reply = Some(number.is_multiple_of(2));
    let address = |last: u64| [10, 0, (last >> 8) as u8, last as u8];
    let (source, destination) = (address(number % 500), address(7));
    flow.ip = Some(sample::ip(source, destination));
    let source_port = 40_000 + (number % 1000) as u16;
    flow.l4 = L4::Tcp { source_port, destination_port: 443, flags: TcpFlags(TcpFlags::ACK) };
    flow.last_layer = Layer::L4;
    flow.ifindex = 4;
    (flow.source.endpoint, flow.source.identity, flow.destination.identity) = (12, 1, 2);
    Observed::Flow(flow)
}

fn batch(first: u64) -> Vec<Observed> {
    (first..first + BATCH).map(flow).collect()
}

/// Another snapshot of names each time, as of a machine that changes.
fn names() -> Arc<dyn BatchNames> {
    let mut links = LinkTables::new(&Symbols::default());
    let name = links.intern("veth0");
    links.add_interface(4, InterfaceInfo { name, kind: InterfaceKind::Endpoint, endpoint: 12 });
    Arc::new(NameSnapshot::from(links))
}

/// Writing batches to the ring compared with dropping them: both free what they make.
fn write() {
    let mut micro = Micro::new("ring");
    let (template, names) = (batch(0), names());
    let (_ring, mut writer) = Ring::new(MAX_CAPACITY);
    let dropped = micro.measure("a batch dropped", BATCH as usize, || drop(Batch::new(template.clone())));
    let written = micro.measure("a batch to the ring", BATCH as usize, || {
        writer.write(&Batch::with_names(template.clone(), Arc::clone(&names)));
    });
    let single = vec![flow(1)];
    let one = micro.measure("one flow dropped", 1, || drop(Batch::new(single.clone())));
    let alone = micro
        .measure("one flow to the ring", 1, || writer.write(&Batch::with_names(single.clone(), Arc::clone(&names))));
    let (Some(dropped), Some(written), Some(one), Some(alone)) = (dropped, written, one, alone) else { return };
    heading("a flow into a full ring, ns", &["dropped", "to the ring", "the ring's"]);
    for (name, dropped, written) in [("in batches of 512", dropped, written), ("alone", one, alone)] {
        row(name, &[dropped.mean, written.mean, written.mean - dropped.mean]);
    }
    goal("ring: write, in batches", written.mean - dropped.mean, "ns", Goal::AtMost(50.0));
    goal("ring: write, a batch of one", alone.mean - one.mean, "ns", Goal::AtMost(50.0));
}

/// Bytes that the allocator has handed out.
fn allocated() -> f64 {
    // SAFETY: takes nothing, returns numbers.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as f64
}

fn fill(writer: &mut Writer, entries: u64) {
    for first in (0..entries).step_by(BATCH as usize) {
        writer.write(&Batch::with_names(batch(first), names()));
    }
}

fn memory() {
    let before = allocated();
    let (ring, mut writer) = Ring::new(MAX_CAPACITY);
    fill(&mut writer, 2 * u64::from(MAX_CAPACITY));
    let full = (allocated() - before) / f64::from(1 << 20);
    heading("a full ring of 65,535 flows", &["MiB"]);
    row("records", &[full]);
    drop((ring, writer));
    goal("ring: memory, full", full, "MiB", Goal::AtMost(40.0));
}

fn request(filters: Vec<FlowFilter>) -> GetFlowsRequest {
    GetFlowsRequest { number: u64::MAX, whitelist: filters, ..GetFlowsRequest::default() }
}

/// Five filters, of which only the last one matches anything, so that every flow is asked all of them.
fn five() -> Vec<FlowFilter> {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    vec![
        FlowFilter { source_ip: texts(&["192.168.0.0/16"]), ..FlowFilter::default() },
        FlowFilter { destination_port: texts(&["80", "8080"]), ..FlowFilter::default() },
        FlowFilter { source_pod: texts(&["kube-system/"]), ..FlowFilter::default() },
        FlowFilter { destination_label: texts(&["k8s:app=web"]), ..FlowFilter::default() },
        FlowFilter { protocol: texts(&["tcp"]), ..FlowFilter::default() },
    ]
}

/// As Hubble's command line asks for lines of text.
fn masked() -> GetFlowsRequest {
    let fields = [
        "time",
        "IP",
        "l4",
        "ethernet",
        "l7",
        "Type",
        "node_name",
        "is_reply",
        "event_type",
        "verdict",
        "Summary",
        "source.identity",
        "source.namespace",
        "source.pod_name",
        "destination.identity",
        "destination.namespace",
        "destination.pod_name",
        "traffic_direction",
    ];
    let mask = Some(FieldMask { paths: fields.map(ToOwned::to_owned).to_vec() });
    // Servers of 1.15 read the second.
    GetFlowsRequest {
        field_mask: mask.clone(),
        experimental: Some(Experimental { field_mask: mask }),
        ..request(Vec::new())
    }
}

/// Flows per second to one client that counts messages without decoding.
fn answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ours.sock");
    let (ring, mut writer) = Ring::new(MAX_CAPACITY);
    fill(&mut writer, MAX_CAPACITY.into());
    let runtime = server_runtime::runtime().expect("a runtime");
    let (stop, stopped) = shutdown::channel();
    let server = runtime.block_on(served::serve(&path, ring, Limits::default(), stopped));
    let cilium = ciliums(&folder.path().join("cilium.sock"));
    let requests = [("unfiltered", request(Vec::new())), ("five filters", request(five())), ("with a mask", masked())];
    let mut best = [[0.0_f64; 2]; 3];
    for _ in 0..ANSWERS {
        for ((_, request), best) in requests.iter().zip(&mut best) {
            best[0] = best[0].max(observer_client::flows_per_second(&path, request));
            if let Some((_, path)) = &cilium {
                best[1] = best[1].max(observer_client::flows_per_second(path, request));
            }
        }
    }
    heading("GetFlows to one client, flows per second", &["ours", "Cilium's", "ratio"]);
    for ((name, _), [ours, ciliums]) in requests.iter().zip(best) {
        row(name, &[ours, ciliums, ours / ciliums]);
        if cilium.is_some() {
            goal(&format!("GetFlows, {name}: over Cilium's"), ours / ciliums, "x", Goal::AtLeast(5.0));
        }
    }
    stop.send_replace(Some(tokio::time::Instant::now()));
    runtime.block_on(server).expect("the server");
}

/// Cilium's server with the same flows in its ring; `None` if the harness is missing.
fn ciliums(path: &std::path::Path) -> Option<(ObserveServer, std::path::PathBuf)> {
    if let Err(why) = peer::find(eyepiece_tests::harness::NAME) {
        println!("\nCilium's figures are left out: {why}");
        return None;
    }
    let listen = format!("unix://{}", path.display());
    let options = Options { listen: &listen, capacity: MAX_CAPACITY, node: "node", ..Options::default() };
    let mut server = ObserveServer::start(&options).expect("Cilium's server");
    let encoder = Encoder::new("node", &NoLookup);
    // The newest one is hidden: one more shows as many as ours has.
    for number in 0..=u64::from(MAX_CAPACITY) {
        let mut event = Vec::new();
        encoder.export_event(&flow(number), &Mask::ALL, &mut event);
        server.event(&event).expect("fed");
    }
    server.settle().expect("settled");
    Some((server, path.to_owned()))
}
