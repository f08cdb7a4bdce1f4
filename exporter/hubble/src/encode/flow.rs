//! Encodes the fields of `flow.Flow`.

use eyepiece_flow::flow::{EVENT_L7, EVENT_SOCK, End, FileInfo, Flow};
use eyepiece_flow::labels::{EndLabels, Labels};
use eyepiece_flow::lookup::{EndEntity, FlowEnd, NameLookup, end_entity};
use eyepiece_flow::metadata::{Emitter, Metadata, Service};
use eyepiece_flow::{names, summary, text};

use super::field::{ascii, open_enum, time, wrapped};
use super::{l7, layers};
use crate::extension::kernel_reason;
use crate::wire::{boolean, message, number, signed, text, texts, written};

/// Name and version of the emitter, if a flow has none.
const EYEPIECE: (&str, &str) = ("eyepiece", env!("CARGO_PKG_VERSION"));

/// `flow.FlowType`, by number.
const TYPE_L3_L4: u8 = 1;
const TYPE_L7: u8 = 2;
const TYPE_SOCK: u8 = 3;

/// The context of all flows.
pub(super) struct Flows<'a> {
    pub(super) node: &'a str,
    pub(super) names: &'a dyn NameLookup,
}

impl Flows<'_> {
    /// Appends the flow's fields.
    pub(super) fn write(&self, flow: &Flow, out: &mut Vec<u8>) {
        let metadata = flow.metadata.as_deref();
        let kind = match flow.event_type.kind {
            EVENT_SOCK => TYPE_SOCK,
            EVENT_L7 => TYPE_L7,
            _ => TYPE_L3_L4,
        };
        time(out, 1, flow.time);
        open_enum(out, 2, flow.verdict as u8);
        number(out, 3, flow.drop_reason.into());
        if let Some(ethernet) = &flow.ethernet {
            layers::ethernet(ethernet, out);
        }
        if let Some(ip) = &flow.ip {
            let known = [!flow.no_source_address, !flow.no_destination_address];
            message(out, 5, |out| layers::ip(ip, known, flow.encrypted, out));
        }
        // Only events of packets have flags.
        layers::l4(&flow.l4, 6, kind == TYPE_L3_L4, out);
        let ends = [FlowEnd::Source, FlowEnd::Destination].map(|end| end_entity(flow, end, self.names));
        end(8, &flow.source, ends[0], EndLabels::of(flow, FlowEnd::Source, ends[0]), out);
        end(9, &flow.destination, ends[1], EndLabels::of(flow, FlowEnd::Destination, ends[1]), out);
        open_enum(out, 10, kind);
        let node = metadata.map_or("", |metadata| &metadata.node_name);
        text(out, 11, if node.is_empty() { self.node } else { node });
        if let Some(l7) = &flow.l7 {
            message(out, 15, |out| l7::write(l7, out));
        }
        self.event(flow, metadata, out);
        if flow.uuid != [0; 16] {
            ascii(out, 34, &text::uuid(&flow.uuid));
        }
        emitter(metadata.map(|metadata| &metadata.emitter), out);
        details(ends, out);
        texts(out, 37, metadata.map_or(&[][..], |metadata| &metadata.node_labels));
        trace_context(flow, metadata, out);
        self.summary(flow, metadata, out);
    }

    /// Appends the fields of the datapath's event.
    fn event(&self, flow: &Flow, metadata: Option<&Metadata>, out: &mut Vec<u8>) {
        if let Some(is_reply) = flow.is_reply {
            boolean(out, 16, is_reply);
            wrapped(out, 26, is_reply.into());
        }
        message(out, 19, |out| {
            open_enum(out, 1, flow.event_type.kind);
            open_enum(out, 2, flow.event_type.subtype);
        });
        open_enum(out, 22, flow.direction as u8);
        open_enum(out, 23, flow.policy_match);
        if let Some(point) = flow.observation_point {
            signed(out, 24, names::observation_point_number(point).into());
        }
        // The enum is open: reasons without a name are kept.
        number(out, 25, flow.drop_reason.into());
        open_enum(out, 27, flow.capture_point.unwrap_or(0));
        self.interface(flow, metadata, out);
        number(out, 29, flow.proxy_port.into());
        if let Some(sock) = &flow.sock {
            open_enum(out, 31, sock.point.number());
            number(out, 32, sock.cookie);
            number(out, 33, sock.cgroup);
        }
        open_enum(out, 35, flow.auth_type);
        if let Some(reason) = flow.trace_reason {
            signed(out, 36, names::trace_reason_number(reason).into());
        }
        self.file(flow, metadata, out);
        if let Some(tunnel) = &flow.tunnel {
            message(out, 39, |out| layers::tunnel(tunnel, out));
        }
        if flow.ip_trace_id != 0 {
            message(out, 40, |out| number(out, 1, flow.ip_trace_id));
        }
    }

    fn interface(&self, flow: &Flow, metadata: Option<&Metadata>, out: &mut Vec<u8>) {
        let known = metadata.map_or("", |metadata| metadata.interface_name.as_str());
        if flow.ifindex == 0 && known.is_empty() {
            return;
        }
        let mut name = String::new();
        // This machine cannot name an interface of another one.
        if known.is_empty() && metadata.is_none_or(|metadata| metadata.node_name.is_empty()) {
            self.names.interface(flow.ifindex, &mut name);
        }
        message(out, 28, |out| {
            number(out, 1, flow.ifindex.into());
            text(out, 2, if known.is_empty() { &name } else { known });
        });
    }

    /// Appends where a drop was decided: the kernel's symbol, or a file of Cilium's.
    fn file(&self, flow: &Flow, metadata: Option<&Metadata>, out: &mut Vec<u8>) {
        let known = metadata.map_or("", |metadata| metadata.file_name.as_str());
        if flow.file.is_none() && flow.kernel_drop.is_none() && known.is_empty() {
            return;
        }
        let FileInfo { id, line, release } = flow.file.unwrap_or_default();
        let mut symbol = String::new();
        if let Some(kernel) = flow.kernel_drop.filter(|_| known.is_empty()) {
            self.names.kernel_symbol(kernel.location, &mut symbol);
        }
        message(out, 38, |out| {
            match (known, symbol.as_str(), names::drop_file(id, release)) {
                ("", "", Some(name)) => text(out, 1, name),
                // Hubble's name for an unknown file.
                ("", "", None) => text(out, 1, &format!("unknown({id})")),
                ("", symbol, _) => text(out, 1, symbol),
                (known, ..) => text(out, 1, known),
            }
            number(out, 2, line.into());
        });
    }

    /// Appends the summary of the metadata, or ours. A drop of the kernel has its reason at the end, since no field has it.
    fn summary(&self, flow: &Flow, metadata: Option<&Metadata>, out: &mut Vec<u8>) {
        const SUMMARY: u32 = 100_000;
        if let Some(known) = metadata.map(|metadata| &metadata.summary).filter(|known| !known.is_empty()) {
            return text(out, SUMMARY, known);
        }
        let Some(reason) = kernel_reason(flow) else {
            // Writing to memory cannot fail.
            return written(out, SUMMARY, |out| summary::write(flow, out).unwrap_or_default());
        };
        let mut summary_text = String::new();
        summary::write(flow, &mut summary_text).unwrap_or_default();
        let open = if summary_text.is_empty() { "" } else { " (" };
        summary_text.push_str(open);
        let before = summary_text.len();
        self.names.kernel_reason(reason, &mut summary_text);
        if summary_text.len() == before && flow.kernel_drop.is_some() {
            summary_text.push_str("kernel reason ");
            text::decimal(&mut summary_text, reason.into());
        }
        // A file id without kernel drop may be of a newer Cilium: then it is not a reason of the kernel.
        if summary_text.len() == before {
            summary_text.truncate(before - open.len());
        } else if !open.is_empty() {
            summary_text.push(')');
        }
        text(out, SUMMARY, &summary_text);
    }
}

/// Appends an `Endpoint`.
pub(super) fn end(field: u32, end: &End, entity: Option<EndEntity<'_>>, labels: EndLabels<'_>, out: &mut Vec<u8>) {
    message(out, field, |out| {
        number(out, 1, end.endpoint.into());
        number(out, 2, end.identity.into());
        text(out, 3, entity.map_or("", |entity| &entity.metadata.namespace));
        match labels.labels {
            Labels::Given(labels) => texts(out, 4, labels),
            Labels::Reserved(label) => text(out, 4, label.unwrap_or_default()),
        }
        if let Some(entity) = entity {
            text(out, 5, entity.pod_name);
            for workload in &entity.metadata.workloads {
                message(out, 6, |out| {
                    text(out, 1, &workload.name);
                    text(out, 2, &workload.kind);
                });
            }
        }
        text(out, 7, labels.cluster());
    });
}

fn emitter(known: Option<&Emitter>, out: &mut Vec<u8>) {
    let (name, version) = match known {
        Some(Emitter { name, version }) if !(name.is_empty() && version.is_empty()) => {
            (name.as_str(), version.as_str())
        }
        _ => EYEPIECE,
    };
    message(out, 41, |out| {
        text(out, 1, name);
        text(out, 2, version);
    });
}

/// Appends DNS names and services of both ends.
fn details([source, destination]: [Option<EndEntity<'_>>; 2], out: &mut Vec<u8>) {
    texts(out, 13, source.map_or(&[][..], |end| end.dns_names));
    texts(out, 14, destination.map_or(&[][..], |end| end.dns_names));
    for (field, end) in [(20, source), (21, destination)] {
        if let Some(Service { name, namespace }) = end.and_then(|end| end.service) {
            message(out, field, |out| {
                text(out, 1, name);
                text(out, 2, namespace);
            });
        }
    }
}

fn trace_context(flow: &Flow, metadata: Option<&Metadata>, out: &mut Vec<u8>) {
    let known = metadata.map_or("", |metadata| metadata.trace_id.as_str());
    let own = flow.l7.as_ref().and_then(|l7| l7.trace());
    if known.is_empty() && own.is_none() {
        return;
    }
    message(out, 30, |out| {
        message(out, 1, |out| match own {
            Some(id) if known.is_empty() => ascii(out, 1, &text::hex(id)),
            _ => text(out, 1, known),
        });
    });
}
