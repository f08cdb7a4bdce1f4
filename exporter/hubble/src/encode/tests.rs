//! Encoding of flows of our own datapath, with names of this machine and the kernel's drop reasons.

use eyepiece_flow::event::KernelDrop;
use eyepiece_flow::flow::{EVENT_DROP, End, EventType, FileInfo, Flow, L4, Layer, TcpFlags, Verdict};
use eyepiece_flow::lookup::NameLookup;
use eyepiece_flow::metadata::Metadata;
use eyepiece_flow::names::KERNEL_FILES;
use eyepiece_flow::record::Observed;
use prost::Message as _;

use super::Encoder;
use crate::field_mask::Mask;
use crate::proto::flow as proto;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;

/// Has interface 7, reason 5 and address 0xff.
struct Machine;

impl NameLookup for Machine {
    fn interface(&self, ifindex: u32, out: &mut String) {
        out.push_str(if ifindex == 7 { "eth0" } else { "" });
    }

    fn kernel_reason(&self, reason: u32, out: &mut String) {
        out.push_str(if reason == 5 { "NETFILTER_DROP" } else { "" });
    }

    fn kernel_symbol(&self, address: u64, out: &mut String) {
        out.push_str(if address == 0xff { "nf_hook_slow+0x9c" } else { "" });
    }
}

fn encoded(flow: &Flow) -> proto::Flow {
    let mut out = Vec::new();
    Encoder::new("node", &Machine).flow(flow, &Mask::ALL, &mut out);
    proto::Flow::decode(out.as_slice()).expect("a flow")
}

fn dropped(reason: u32, location: u64, last_layer: Layer) -> Flow {
    Flow {
        verdict: Verdict::Dropped,
        kernel_drop: Some(KernelDrop { reason, location, netns: 1 }),
        file: Some(FileInfo { id: KERNEL_FILES, line: reason as u16, ..FileInfo::default() }),
        l4: L4::Tcp { source_port: 1, destination_port: 2, flags: TcpFlags(TcpFlags::SYN) },
        last_layer,
        ..Flow::empty(EventType { kind: EVENT_DROP, subtype: 0 })
    }
}

#[test]
fn kernel_drop_has_reason_and_symbol() {
    for (reason, location, layer, summary, file) in [
        (5, 0xff, Layer::L4, "TCP Flags: SYN (NETFILTER_DROP)", "nf_hook_slow+0x9c"),
        (5, 1, Layer::None, "NETFILTER_DROP", "unknown(240)"),
        (6, 0xff, Layer::L4, "TCP Flags: SYN (kernel reason 6)", "nf_hook_slow+0x9c"),
    ] {
        let got = encoded(&dropped(reason, location, layer));
        assert_eq!(got.summary, summary);
        assert_eq!(got.file, Some(proto::FileInfo { name: file.into(), line: reason }));
    }
    // From a recording: the file id and line suffice for the reason.
    let got = encoded(&Flow { kernel_drop: None, ..dropped(5, 0, Layer::L4) });
    assert_eq!(got.summary, "TCP Flags: SYN (NETFILTER_DROP)");
    let got = encoded(&Flow { kernel_drop: None, ..dropped(6, 0, Layer::L4) });
    assert_eq!(got.summary, "TCP Flags: SYN");
}

#[test]
fn interface_name_of_metadata_is_preferred() {
    let of = |ifindex, interface_name: &str, node_name: &str| {
        let (interface_name, node_name) = (interface_name.to_owned(), node_name.to_owned());
        let metadata = Some(Box::new(Metadata { interface_name, node_name, ..Metadata::default() }));
        let got = encoded(&Flow { ifindex, metadata, ..Flow::empty(EventType::default()) });
        got.interface.map(|interface| (interface.index, interface.name))
    };
    assert_eq!(of(0, "", ""), None);
    assert_eq!(of(7, "", ""), Some((7, "eth0".to_owned())));
    assert_eq!(of(8, "", ""), Some((8, String::new())));
    assert_eq!(of(7, "lxc1", ""), Some((7, "lxc1".to_owned())));
    assert_eq!(of(7, "", "another"), Some((7, String::new())));
    assert_eq!(of(0, "lxc1", "another"), Some((0, "lxc1".to_owned())));
}

#[test]
fn reserved_identity_has_label() {
    for (identity, expected) in [
        (0, None),
        (1, Some("reserved:host")),
        (6, Some("reserved:remote-node")),
        (10, Some("reserved:world-ipv6")),
        (11, None),
        (u32::MAX, None),
    ] {
        let source = End { identity, ..End::default() };
        let mut flow = Flow { source, ..Flow::empty(EventType::default()) };
        let labels = |flow: &Flow| encoded(flow).source.expect("an end").labels;
        assert_eq!(labels(&flow), Vec::from_iter(expected.map(str::to_owned)), "{identity}");
        // Metadata without labels replaces the label.
        flow.metadata = Some(Box::default());
        assert_eq!(labels(&flow), Vec::<String>::new(), "{identity}");
    }
}

#[test]
fn masked_response_has_time_and_node() {
    let flow = Flow { time: 5, ..Flow::empty(EventType::default()) };
    let mut out = Vec::new();
    let mask = Mask::of_flow(&["verdict"]).expect("a mask");
    assert!(Encoder::new("node", &Machine).flows_response(&Observed::Flow(flow), &mask, &mut out));
    let response = GetFlowsResponse::decode(out.as_slice()).expect("a response");
    assert_eq!(response.response_types, Some(ResponseTypes::Flow(proto::Flow::default())));
    assert_eq!((response.node_name.as_str(), response.time.map(|time| time.nanos)), ("node", Some(5)));
}
