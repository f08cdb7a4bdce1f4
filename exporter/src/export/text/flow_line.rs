//! Formats a flow as one line, like `hubble observe`.

use std::fmt::Write as _;
use std::sync::Arc;

use eyepiece_flow::flow::{
    EVENT_CAPTURE, EVENT_DROP, EVENT_L7, EVENT_POLICY_VERDICT, EVENT_RECORDER_CAPTURE, EVENT_SOCK, EVENT_TRACE, End,
    Flow, Layer, TcpFlags,
};
use eyepiece_flow::l7::{L7Kind, L7Record};
use eyepiece_flow::lookup::{BatchNames, EndEntity, FlowEnd, NameLookup, end_entity};
use eyepiece_flow::node_dedup::observed_before;
use eyepiece_flow::{names, summary, text};
use eyepiece_wire::InterfaceKind;
use foldhash::HashMap;
use foldhash::HashMapExt as _;

/// Entries of a name cache before it is cleared. A machine has far fewer names, but pods come and go.
const CACHE: usize = 4096;

/// The texts of one flow that are looked up or formatted. The buffers are reused for the next flow.
#[derive(Debug, Default)]
pub struct FlowTexts {
    /// Source address, or empty.
    pub source: String,
    /// Destination address, or empty.
    pub destination: String,
    /// Name of the source; empty if unknown.
    pub source_name: Arc<str>,
    /// Name of the destination.
    pub destination_name: Arc<str>,
    /// Name of the interface.
    pub interface: Arc<str>,
    /// Drop reason by name, or by number if it has none. Empty for other flows.
    pub drop_reason: String,
    /// Kernel symbol of the drop.
    pub drop_location: Arc<str>,
    /// Short summary: Hubble's, or the addresses of an ARP request.
    pub summary: String,
    /// Whether this node observed the packet before, at another interface.
    pub observed_before: bool,
}

/// Looks up the texts of flows, and caches those of the machine.
pub struct FlowTextLookup {
    names: Arc<dyn NameLookup>,
    /// Names of the current batch.
    batch: Option<Arc<dyn BatchNames>>,
    interfaces: HashMap<u32, Arc<str>>,
    reasons: HashMap<u32, Arc<str>>,
    locations: HashMap<u64, Arc<str>>,
    kinds: HashMap<u32, InterfaceKind>,
}

impl FlowTextLookup {
    /// The names of this machine, used if a batch lacks one.
    pub fn new(names: Arc<dyn NameLookup>) -> Self {
        let (interfaces, kinds) = (HashMap::new(), HashMap::new());
        let (reasons, locations) = (HashMap::new(), HashMap::new());
        Self { names, batch: None, interfaces, reasons, locations, kinds }
    }

    /// Sets the names that the next flows refer to.
    pub fn enter(&mut self, batch: Option<&Arc<dyn BatchNames>>) {
        self.batch = batch.map(Arc::clone);
    }

    /// Clears cached names that may change, since interface indexes are reused; to be called periodically.
    pub fn refresh(&mut self) {
        self.interfaces.clear();
        self.kinds.clear();
    }

    /// Writes the texts of a flow.
    pub fn read(&mut self, flow: &Flow, texts: &mut FlowTexts) {
        texts.source.clear();
        texts.destination.clear();
        if let Some(ip) = &flow.ip {
            if !flow.no_source_address {
                text::address(&mut texts.source, ip.source);
            }
            if !flow.no_destination_address {
                text::address(&mut texts.destination, ip.destination);
            }
        }
        texts.source_name = self.text(flow.source);
        texts.destination_name = self.text(flow.destination);
        texts.interface = match &flow.metadata {
            // The index belongs to another node.
            Some(metadata) => metadata.interface_name.as_str().into(),
            None => self.interface(flow.ifindex),
        };
        let names = &self.names;
        texts.drop_reason.clear();
        texts.drop_location = Arc::default();
        if let Some(kernel) = &flow.kernel_drop {
            let reason = cached(&mut self.reasons, kernel.reason, |out| names.kernel_reason(kernel.reason, out));
            texts.drop_reason.push_str(&reason);
            if reason.is_empty() {
                text::decimal(&mut texts.drop_reason, u64::from(kernel.reason));
            }
            texts.drop_location =
                cached(&mut self.locations, kernel.location, |out| names.kernel_symbol(kernel.location, out));
        } else if flow.event_type.kind == EVENT_DROP || flow.drop_reason != 0 {
            match names::drop_reason_name(flow.drop_reason) {
                Some(name) => texts.drop_reason.push_str(name),
                None => text::decimal(&mut texts.drop_reason, u64::from(flow.drop_reason)),
            }
        }
        texts.observed_before = self.observed_before(flow);
        texts.summary.clear();
        let given = flow.metadata.as_ref().map(|metadata| metadata.summary.as_str()).filter(|text| !text.is_empty());
        // Writing to a String cannot fail.
        match (given, flow.last_layer) {
            (Some(given), _) => texts.summary.push_str(given),
            (None, Layer::Arp(arp)) => write!(texts.summary, "{arp}").unwrap_or_default(),
            (None, _) => summary::write(flow, &mut texts.summary).unwrap_or_default(),
        }
    }

    fn observed_before(&mut self, flow: &Flow) -> bool {
        let Self { batch, names, kinds, .. } = self;
        if kinds.len() >= CACHE {
            kinds.clear();
        }
        observed_before(flow, |index| match batch.as_ref().and_then(|batch| batch.interface(index)) {
            Some((_, kind)) => kind,
            None => *kinds.entry(index).or_insert_with(|| names.interface_kind(index)),
        })
    }

    /// Name of an interface; empty if unknown.
    pub(super) fn interface(&mut self, ifindex: u32) -> Arc<str> {
        let names = &self.names;
        match (ifindex, self.batch.as_ref().and_then(|batch| batch.interface(ifindex))) {
            (0, _) => Arc::default(),
            (_, Some((name, _))) => Arc::clone(name),
            (index, None) => cached(&mut self.interfaces, index, |out| names.interface(index, out)),
        }
    }

    /// Returns the entities of source and destination.
    pub(in crate::export) fn entities<'a>(&'a self, flow: &'a Flow) -> [Option<EndEntity<'a>>; 2] {
        [FlowEnd::Source, FlowEnd::Destination].map(|end| match &self.batch {
            Some(batch) if flow.metadata.is_none() => {
                batch.entity(if end == FlowEnd::Source { &flow.source } else { &flow.destination })
            }
            _ => end_entity(flow, end, &*self.names),
        })
    }

    /// Name of an end; empty if unknown.
    pub(in crate::export) fn text(&self, end: End) -> Arc<str> {
        if let Some(name) = self.batch.as_ref().and_then(|batch| batch.end(&end)) {
            return Arc::clone(name);
        }
        let mut name = String::new();
        self.names.end(&end, &mut name);
        name.into()
    }
}

fn cached<K>(cache: &mut HashMap<K, Arc<str>>, key: K, fill: impl FnOnce(&mut String)) -> Arc<str>
where
    K: Copy + Eq + std::hash::Hash,
{
    if let Some(text) = cache.get(&key) {
        return Arc::clone(text);
    }
    if cache.len() >= CACHE {
        cache.clear();
    }
    let mut text = String::new();
    fill(&mut text);
    let text: Arc<str> = text.into();
    cache.insert(key, Arc::clone(&text));
    text
}

/// Names of TCP flags, in the order of their bits.
pub(in crate::export) const TCP_FLAGS: [(u16, &str); 9] = [
    (TcpFlags::FIN, "FIN"),
    (TcpFlags::SYN, "SYN"),
    (TcpFlags::RST, "RST"),
    (TcpFlags::PSH, "PSH"),
    (TcpFlags::ACK, "ACK"),
    (TcpFlags::URG, "URG"),
    (TcpFlags::ECE, "ECE"),
    (TcpFlags::CWR, "CWR"),
    (TcpFlags::NS, "NS"),
];

/// Appends `source -> destination point verdict (summary)`, like the compact output of `hubble observe`. A reply's arrow
/// points back to the client; `<>` stands for an unknown direction.
pub fn write(flow: &Flow, texts: &FlowTexts, out: &mut String) {
    let ports = flow.l4.ports();
    let source = (&texts.source, ports.map(|ports| ports.0), &texts.source_name);
    let destination = (&texts.destination, ports.map(|ports| ports.1), &texts.destination_name);
    let (left, arrow, right) = match flow.is_reply {
        Some(false) => (source, " -> ", destination),
        Some(true) => (destination, " <- ", source),
        None => (source, " <> ", destination),
    };
    if flow.ip.is_some() {
        write_end(left, out);
        out.push_str(arrow);
        write_end(right, out);
        out.push(' ');
    }
    write_point(flow, texts, out);
    out.push_str(if texts.observed_before { " again " } else { " " });
    out.push_str(flow.verdict.name());
    if !texts.summary.is_empty() {
        out.push_str(" (");
        out.push_str(&texts.summary);
        out.push(')');
    }
}

fn write_end((address, port, name): (&String, Option<u16>, &Arc<str>), out: &mut String) {
    match port {
        _ if address.is_empty() => out.push('?'),
        Some(port) if address.contains(':') => {
            out.push('[');
            out.push_str(address);
            out.push_str("]:");
            text::decimal(out, u64::from(port));
        }
        Some(port) => {
            out.push_str(address);
            out.push(':');
            text::decimal(out, u64::from(port));
        }
        None => out.push_str(address),
    }
    if !name.is_empty() {
        out.push_str(" (");
        out.push_str(name);
        out.push(')');
    }
}

/// Appends the observation point, the reason of a drop, or the match of a policy verdict.
pub(in crate::export) fn write_point(flow: &Flow, texts: &FlowTexts, out: &mut String) {
    match flow.event_type.kind {
        EVENT_TRACE => out.push_str(flow.observation_point.and_then(names::observation_point_text).unwrap_or("trace")),
        EVENT_DROP => out.push_str(&texts.drop_reason),
        EVENT_POLICY_VERDICT => {
            out.push_str("policy-verdict:");
            out.push_str(names::policy_match_text(flow.policy_match).unwrap_or("unknown"));
        }
        EVENT_CAPTURE => out.push_str(flow.capture_point.and_then(names::capture_point_name).unwrap_or("capture")),
        EVENT_RECORDER_CAPTURE => out.push_str("recorder-capture"),
        EVENT_SOCK => out.push_str(flow.sock.and_then(|sock| sock.point.text()).unwrap_or("socket")),
        EVENT_L7 => write_l7(flow, out),
        kind => {
            out.push_str("type-");
            text::decimal(out, u64::from(kind));
        }
    }
}

/// Appends `http-request`, `dns-response`, like `hubble observe`.
fn write_l7(flow: &Flow, out: &mut String) {
    let Some(l7) = &flow.l7 else { return };
    out.push_str(match l7.record {
        L7Record::Dns(_) => "dns",
        L7Record::Http(_) => "http",
        L7Record::Kafka(_) => "kafka",
        L7Record::Generic(_) | L7Record::None => "l7",
    });
    out.push_str(match l7.kind {
        L7Kind::Request => "-request",
        L7Kind::Response => "-response",
        L7Kind::Sample => "-sample",
        L7Kind::Unknown => "",
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eyepiece_flow::event::KernelDrop;
    use eyepiece_flow::flow::{Arp, EventType, Flow, L4, Layer, TcpFlags, Verdict};
    use eyepiece_flow::interner::Symbols;
    use eyepiece_flow::lookup::{BatchNames, NameLookup};
    use eyepiece_tests::sample;

    use super::{FlowTextLookup, FlowTexts, write};
    use crate::metadata::{LinkTables, NameSnapshot};

    struct Fixed;

    impl NameLookup for Fixed {
        fn interface(&self, ifindex: u32, out: &mut String) {
            out.push_str(["", "lo", "veth0"][ifindex as usize]);
        }

        fn kernel_reason(&self, reason: u32, out: &mut String) {
            out.push_str(if reason == 6 { "NETFILTER_DROP" } else { "" });
        }

        fn kernel_symbol(&self, _: u64, out: &mut String) {
            out.push_str("nf_hook_slow+0x9c");
        }
    }

    fn line(change: impl FnOnce(&mut Flow, &mut LinkTables)) -> String {
        let mut flow = Flow::empty(EventType { kind: 4, subtype: 0 });
        flow.verdict = Verdict::Forwarded;
        flow.observation_point = Some(0);
        flow.last_layer = Layer::L4;
        flow.ip = Some(sample::ip([10, 0, 0, 1], [10, 0, 0, 2]));
        flow.l4 = L4::Tcp { source_port: 40_000, destination_port: 80, flags: TcpFlags(TcpFlags::SYN) };
        let mut links = LinkTables::new(&Symbols::default());
        change(&mut flow, &mut links);
        let names: Arc<dyn BatchNames> = Arc::new(NameSnapshot::from(links));
        let mut texts = FlowTexts::default();
        let mut lookup = FlowTextLookup::new(Arc::new(Fixed));
        lookup.enter(Some(&names));
        lookup.read(&flow, &mut texts);
        let mut out = String::new();
        write(&flow, &texts, &mut out);
        out
    }

    #[test]
    fn lines_of_each_event_type() {
        let ends = "10.0.0.1:40000 <> 10.0.0.2:80";
        assert_eq!(line(|_, _| {}), format!("{ends} to-endpoint FORWARDED (TCP Flags: SYN)"));
        let named = line(|flow, links| {
            flow.is_reply = Some(true);
            flow.source.name = links.intern("veth0");
            flow.destination.name = links.intern("world");
        });
        let expected = "10.0.0.2:80 (world) <- 10.0.0.1:40000 (veth0) to-endpoint FORWARDED (TCP Flags: SYN)";
        assert_eq!(named, expected);
        let v6 = line(|flow, _| {
            flow.is_reply = Some(false);
            flow.ip = Some(sample::ip(std::net::Ipv6Addr::LOCALHOST, std::net::Ipv6Addr::LOCALHOST));
            flow.l4 = L4::Udp { source_port: 1, destination_port: 53 };
        });
        assert_eq!(v6, "[::1]:1 -> [::1]:53 to-endpoint FORWARDED (UDP)");
        let drop = |reason, kernel: Option<u32>| {
            line(move |flow, _| {
                flow.event_type = EventType { kind: 1, subtype: reason as u8 };
                flow.verdict = Verdict::Dropped;
                flow.drop_reason = reason;
                flow.kernel_drop = kernel.map(|reason| KernelDrop { reason, location: 1, netns: 2 });
            })
        };
        let tail = "DROPPED (TCP Flags: SYN)";
        assert_eq!(drop(133, None), format!("{ends} POLICY_DENIED {tail}"));
        assert_eq!(drop(1, None), format!("{ends} 1 {tail}"));
        assert_eq!(drop(0, Some(6)), format!("{ends} NETFILTER_DROP {tail}"));
        assert_eq!(drop(0, Some(99)), format!("{ends} 99 {tail}"));
        let arp = line(|flow, _| {
            let (sender, target) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
            (flow.ip, flow.l4) = (None, L4::None);
            flow.last_layer = Layer::Arp(Arp { operation: 1, sender, target });
        });
        assert_eq!(arp, "to-endpoint FORWARDED (ARP: 10.0.0.1 asks for 10.0.0.2)");
        let bare = |kind| line(move |flow, _| *flow = Flow::empty(EventType { kind, subtype: 0 }));
        assert_eq!(bare(8), "type-8 VERDICT_UNKNOWN");
        assert_eq!(bare(6), "recorder-capture VERDICT_UNKNOWN");
        assert_eq!(bare(7), "socket VERDICT_UNKNOWN");
    }
}
