//! Attributes of flows without a field in `flow.Flow`, on request: names of source and destination, the kernel's drop
//! reason, whether the packet was observed before.
//!
//! Requests and flows of the API have `extensions`. A request with the `extensions` of [`request`] gets flows with a
//! `google.protobuf.Struct` in theirs, with fields named as the attributes of our log records. Other clients get none.

use std::fmt::Write as _;

use eyepiece_flow::flow::{Flow, Layer};
use eyepiece_flow::lookup::NameLookup;
use eyepiece_flow::names;
use eyepiece_flow::node_dedup::observed_before;
use eyepiece_semconv::attribute;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Any, Struct};

use crate::wire::{boolean, bytes, message, text};

/// `extensions` of `flow.Flow`.
const EXTENSIONS: u32 = 150_000;
/// The type of a request's `extensions`; its content is empty.
const REQUEST: &str = "type.googleapis.com/eyepiece.FlowAttributes";
/// The type of a flow's `extensions`, which every protobuf library can show.
const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";

/// Returns the `extensions` of a request for them.
pub fn request() -> Any {
    Any { type_url: REQUEST.to_owned(), value: Vec::new() }
}

/// Returns whether a request has them.
pub fn is_requested(extensions: Option<&Any>) -> bool {
    extensions.is_some_and(|extensions| extensions.type_url == REQUEST)
}

/// Appends a flow's `extensions`, or nothing if there are no attributes.
pub(super) fn write(flow: &Flow, names: &dyn NameLookup, out: &mut Vec<u8>) {
    let mut fields = Vec::new();
    let mut put = |name: &str, write: &dyn Fn(&mut String)| {
        let mut value = String::new();
        write(&mut value);
        if !value.is_empty() {
            entry(&mut fields, name, |out| text(out, 3, &value));
        }
    };
    put(attribute::HUBBLE_SOURCE_NAME, &|out| names.end(&flow.source, out));
    put(attribute::HUBBLE_DESTINATION_NAME, &|out| names.end(&flow.destination, out));
    if let Some(reason) = kernel_reason(flow) {
        put(attribute::HUBBLE_DROP_REASON, &|out| names.kernel_reason(reason, out));
    }
    if let Layer::Arp(arp) = flow.last_layer {
        // Writing to a String can't fail.
        put(attribute::HUBBLE_SUMMARY, &|out| write!(out, "{arp}").unwrap_or_default());
    }
    if observed_before(flow, |ifindex| names.interface_kind(ifindex)) {
        entry(&mut fields, attribute::HUBBLE_FLOW_OBSERVED_BEFORE, |out| boolean(out, 4, true));
    }
    if !fields.is_empty() {
        message(out, EXTENSIONS, |out| {
            text(out, 1, STRUCT);
            bytes(out, 2, &fields);
        });
    }
}

/// Appends an entry of a `google.protobuf.Struct`; `value` writes a `google.protobuf.Value`.
fn entry(out: &mut Vec<u8>, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    message(out, 1, |out| {
        text(out, 1, name);
        message(out, 2, value);
    });
}

/// Returns the kernel's drop reason, from our own datapath or from a drop's file id.
pub(super) fn kernel_reason(flow: &Flow) -> Option<u32> {
    flow.kernel_drop.map(|kernel| kernel.reason).or_else(|| flow.file.and_then(names::kernel_reason))
}

/// The content of a flow's `extensions`; empty if they are missing or of another type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extension {
    /// Name of the source: its interface, `host` or `world`.
    pub source_name: String,
    /// Name of the destination.
    pub destination_name: String,
    /// The kernel's drop reason.
    pub drop_reason: String,
    /// Operation and addresses of an ARP packet.
    pub summary: String,
    /// The packet was observed on its node before, at its ingress interface.
    pub observed_before: bool,
}

impl Extension {
    /// Reads a flow's `extensions`.
    pub fn read(extensions: Option<&Any>) -> Self {
        let extensions = extensions.filter(|extensions| extensions.type_url == STRUCT);
        let decoded = extensions.map(|extensions| Struct::decode(&*extensions.value));
        let Some(Ok(mut fields)) = decoded else { return Self::default() };
        let mut take = |name: &str| fields.fields.remove(name).and_then(|value| value.kind);
        let mut text = |name: &str| match take(name) {
            Some(Kind::StringValue(text)) => text,
            _ => String::new(),
        };
        Self {
            source_name: text(attribute::HUBBLE_SOURCE_NAME),
            destination_name: text(attribute::HUBBLE_DESTINATION_NAME),
            drop_reason: text(attribute::HUBBLE_DROP_REASON),
            summary: text(attribute::HUBBLE_SUMMARY),
            observed_before: matches!(take(attribute::HUBBLE_FLOW_OBSERVED_BEFORE), Some(Kind::BoolValue(true))),
        }
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::event::KernelDrop;
    use eyepiece_flow::flow::{Arp, End, EventType, Flow, Layer};
    use eyepiece_flow::interner::{Symbol, Symbols};
    use eyepiece_flow::lookup::NameLookup;
    use eyepiece_tests::sample;
    use eyepiece_wire::{Hook, InterfaceKind};
    use prost::Message as _;
    use prost_types::Any;

    use super::{Extension, STRUCT, is_requested, request};
    use crate::encode::Encoder;
    use crate::field_mask::Mask;
    use crate::proto::flow as proto;

    /// Has one name, reason 5, and interface 7 of an endpoint.
    struct Machine(Symbols);

    impl NameLookup for Machine {
        fn kernel_reason(&self, reason: u32, out: &mut String) {
            out.push_str(if reason == 5 { "NO_SOCKET" } else { "" });
        }

        fn end(&self, end: &End, out: &mut String) {
            if end.name != Symbol::EMPTY {
                out.push_str(&self.0.text(end.name));
            }
        }

        fn interface_kind(&self, ifindex: u32) -> InterfaceKind {
            if ifindex == 7 { InterfaceKind::Endpoint } else { InterfaceKind::Other }
        }
    }

    fn flow(symbols: &Symbols) -> Flow {
        let mut flow = Flow::empty(EventType { kind: 1, subtype: 0 });
        (flow.source.name, flow.destination.name) = (symbols.intern("veth0"), symbols.intern("world"));
        flow.kernel_drop = Some(KernelDrop { reason: 5, location: 0, netns: 1 });
        flow.last_layer = Layer::Arp(Arp { operation: 1, sender: [10, 0, 0, 1].into(), target: [10, 0, 0, 2].into() });
        flow.traffic = Some(sample::traffic(Hook::ToEndpoint, (8, 7), (1, 60)));
        flow
    }

    fn sent(symbols: &Symbols, flow: &Flow, mask: &Mask) -> proto::Flow {
        let mut out = Vec::new();
        Encoder::new("n", &Machine(symbols.clone())).flow(flow, mask, &mut out);
        proto::Flow::decode(out.as_slice()).unwrap()
    }

    #[test]
    fn extension_is_sent_on_request() {
        let symbols = Symbols::default();
        let flow = flow(&symbols);
        let mut extended = sent(&symbols, &flow, &Mask::ALL.with_extension(true));
        let expected = Extension {
            source_name: "veth0".to_owned(),
            destination_name: "world".to_owned(),
            drop_reason: "NO_SOCKET".to_owned(),
            summary: "ARP: 10.0.0.1 asks for 10.0.0.2".to_owned(),
            observed_before: true,
        };
        assert_eq!(Extension::read(extended.extensions.as_ref()), expected);
        let plain = sent(&symbols, &flow, &Mask::ALL);
        assert_eq!(plain.extensions, None);
        extended.extensions = None;
        assert_eq!(extended, plain, "nothing else differs");
        let mask = |paths: &[&str]| Mask::of_flow(paths).unwrap();
        assert_eq!(
            sent(&symbols, &flow, &mask(&["uuid", "extensions"])).extensions,
            None,
            "a mask alone is not a request"
        );
        let masked = sent(&symbols, &flow, &mask(&["uuid", "extensions"]).with_extension(true));
        assert_eq!(Extension::read(masked.extensions.as_ref()), expected);
        assert_eq!(sent(&symbols, &flow, &mask(&["uuid"]).with_extension(true)).extensions, None);
        // There are no attributes.
        let bare = Flow::empty(EventType { kind: 4, subtype: 0 });
        assert_eq!(sent(&symbols, &bare, &Mask::ALL.with_extension(true)).extensions, None);
    }

    #[test]
    fn other_extensions_are_ignored() {
        let other = |type_url: &str, value: &[u8]| Any { type_url: type_url.to_owned(), value: value.to_vec() };
        for extensions in [None, Some(other("of.another", &[])), Some(other(STRUCT, &[0xff])), Some(other(STRUCT, &[]))]
        {
            assert_eq!(Extension::read(extensions.as_ref()), Extension::default(), "{extensions:?}");
            assert!(!is_requested(extensions.as_ref()), "{extensions:?}");
        }
        assert!(is_requested(Some(&request())));
    }
}
