//! The compiled fields of a filter.

use std::net::IpAddr;

use eyepiece_flow::flow::{EVENT_L7, EVENT_SOCK, Flow, L4, Verdict};
use eyepiece_flow::l7::{Http, L7Record};
use eyepiece_flow::labels::{EndLabels, Labels};
use eyepiece_flow::lookup::{FlowEnd, NameLookup, end_entity};
use eyepiece_flow::metadata::Workload;
use eyepiece_flow::record::Observed;
use eyepiece_flow::text::hex;
use hashbrown::{Equivalent, HashSet};

use super::address::Addresses;
use super::cel::{EvaluationState, Programs};
use super::context::Context;
use super::expression::Regex;
use super::http::{StatusCodes, path, same_fold};
use super::names::NamePrefixes;
use super::pattern::{Fqdns, NodeNames};
use super::selector::Selector;

/// Monitor message type of agent events.
const EVENT_AGENT: i32 = 130;
/// Monitor message type of debug events.
const EVENT_DEBUG: i32 = 2;

/// One field, which matches if any of its entries does.
#[derive(Debug)]
pub(super) enum Matcher {
    /// All zero = flows without UUID.
    Uuid(HashSet<[u8; 16]>),
    EventType(Vec<EventTypes>),
    /// Bit set of the verdicts' numbers.
    Verdict(u32),
    DropReason(HashSet<u32>),
    /// Matches replies, matches others.
    Reply(bool, bool),
    /// Matches encrypted packets, matches others.
    Encrypted(bool, bool),
    Identity(FlowEnd, HashSet<u32>),
    Protocol(Protocols),
    Address(FlowEnd, Addresses),
    AddressTranslated(Addresses),
    Pod(FlowEnd, NamePrefixes),
    Service(FlowEnd, NamePrefixes),
    Workload(FlowEnd, Vec<(String, String)>),
    Cluster(FlowEnd, HashSet<String>),
    Fqdn(FlowEnd, Fqdns),
    DnsQuery(Regex),
    Label(FlowEnd, Vec<Selector>),
    NodeLabel(Vec<Selector>),
    Port(FlowEnd, HashSet<u16>),
    HttpStatus(StatusCodes),
    HttpMethod(Vec<String>),
    HttpPath(Regex),
    HttpUrl(Regex),
    HttpHeader(HashSet<(String, String)>),
    /// The flags that each entry requires.
    TcpFlags(Vec<u16>),
    NodeName(NodeNames),
    /// Bit set of the versions' numbers; 0 = no address.
    IpVersion(u32),
    TraceId(HashSet<String>),
    IpTraceId(HashSet<u64>),
    /// Bit set of the directions' numbers.
    Direction(u32),
    Interface(Vec<(u32, String)>),
    Cel(Programs),
}

/// An entry of `event_type`.
#[derive(Debug)]
pub(super) struct EventTypes {
    /// 0 = any.
    pub(super) kind: i32,
    /// `None` = any.
    pub(super) subtype: Option<i32>,
}

impl EventTypes {
    fn contains(&self, kind: i32, subtype: i32) -> bool {
        (self.kind == 0 || self.kind == kind) && self.subtype.is_none_or(|wanted| wanted == subtype)
    }
}

/// Protocols by name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Protocols {
    pub(super) icmp4: bool,
    pub(super) icmp6: bool,
    pub(super) tcp: bool,
    pub(super) udp: bool,
    pub(super) sctp: bool,
    pub(super) vrrp: bool,
    pub(super) igmp: bool,
    pub(super) dns: bool,
    pub(super) http: bool,
}

impl Protocols {
    fn contains(self, flow: &Flow) -> bool {
        let l4 = match flow.l4 {
            L4::None => false,
            L4::Tcp { .. } => self.tcp,
            L4::Udp { .. } => self.udp,
            L4::Sctp { .. } => self.sctp,
            L4::Icmp4 { .. } => self.icmp4,
            L4::Icmp6 { .. } => self.icmp6,
            L4::Vrrp { .. } => self.vrrp,
            L4::Igmp { .. } => self.igmp,
        };
        l4 || match flow.l7.as_ref().map(|l7| &l7.record) {
            Some(L7Record::Dns(_)) => self.dns,
            Some(L7Record::Http(_)) => self.http,
            _ => false,
        }
    }
}

/// One filter: every field has to match. Without fields it matches everything.
#[derive(Debug)]
pub(super) struct Filter(pub(super) Box<[Matcher]>);

impl Filter {
    pub(super) fn matches(&self, observed: &Observed, context: &Context<'_>, shared: &EvaluationState) -> bool {
        self.0.iter().all(|matcher| matcher.matches(observed, context, shared))
    }
}

/// A borrowed key of a set of pairs of owned texts.
#[derive(Hash)]
struct Pair<'a>(&'a str, &'a str);

impl Equivalent<(String, String)> for Pair<'_> {
    fn equivalent(&self, (first, second): &(String, String)) -> bool {
        self.0 == first && self.1 == second
    }
}

impl Matcher {
    /// The estimated cost: cheap fields of a filter are matched first.
    pub(super) const fn cost(&self) -> u8 {
        match self {
            Self::Verdict(_) | Self::Direction(_) | Self::IpVersion(_) | Self::Reply(..) | Self::Encrypted(..) => 0,
            Self::Protocol(_) | Self::TcpFlags(_) | Self::EventType(_) => 1,
            Self::Identity(..) | Self::Port(..) | Self::DropReason(_) | Self::IpTraceId(_) | Self::Uuid(_) => 2,
            Self::HttpStatus(_) | Self::HttpMethod(_) | Self::HttpHeader(_) => 3,
            Self::Address(..) | Self::AddressTranslated(_) | Self::TraceId(_) | Self::Cluster(..) => 4,
            Self::Pod(..) | Self::Service(..) | Self::Workload(..) | Self::Fqdn(..) | Self::NodeName(_) => 5,
            Self::Label(..) | Self::NodeLabel(_) | Self::Interface(_) => 6,
            Self::DnsQuery(_) | Self::HttpPath(_) | Self::HttpUrl(_) => 7,
            Self::Cel(_) => 8,
        }
    }

    /// Returns whether an entry matches.
    pub(super) fn matches(&self, observed: &Observed, context: &Context<'_>, shared: &EvaluationState) -> bool {
        if let Self::Cel(programs) = self {
            return programs.matches(observed, context, shared);
        }
        match observed {
            Observed::Flow(flow) => self.flow(flow, context),
            Observed::Agent(event) => self.event(EVENT_AGENT, event.kind as i32),
            Observed::Debug(event) => self.event(EVENT_DEBUG, i32::from(event.kind)),
            Observed::Lost(_) => true,
        }
    }

    /// Matches an event other than a flow: it has a type only. Some fields match it as an empty flow, as upstream does.
    fn event(&self, kind: i32, subtype: i32) -> bool {
        match self {
            Self::EventType(types) => types.iter().any(|types| types.contains(kind, subtype)),
            Self::TraceId(ids) => ids.contains(""),
            Self::IpTraceId(ids) => ids.contains(&0),
            Self::Label(_, selectors) | Self::NodeLabel(selectors) => {
                selectors.iter().any(|selector| selector.matches(Labels::NONE))
            }
            _ => false,
        }
    }

    fn flow(&self, flow: &Flow, context: &Context<'_>) -> bool {
        match self {
            Self::Uuid(ids) => ids.contains(&flow.uuid),
            Self::EventType(types) => {
                let (kind, subtype) = (i32::from(flow.event_type.kind), i32::from(flow.event_type.subtype));
                kind != 0 && types.iter().any(|types| types.contains(kind, subtype))
            }
            Self::Verdict(bits) => bits & 1 << flow.verdict as u32 != 0,
            Self::DropReason(reasons) => flow.verdict == Verdict::Dropped && reasons.contains(&flow.drop_reason),
            Self::Reply(replies, others) => match flow.is_reply {
                Some(is_reply) => *if is_reply { replies } else { others },
                None => *others && flow.verdict == Verdict::Dropped,
            },
            Self::Encrypted(true, true) => true,
            Self::Encrypted(encrypted, _) => *encrypted == (flow.encrypted && flow.ip.is_some()),
            Self::Identity(side, ids) => ids.contains(&side.of(&flow.source, &flow.destination).identity),
            Self::Protocol(protocols) => protocols.contains(flow),
            Self::Address(side, addresses) => address(flow, *side).is_some_and(|address| addresses.contains(address)),
            Self::AddressTranslated(addresses) => {
                flow.ip.and_then(|ip| ip.source_translated).is_some_and(|address| addresses.contains(address))
            }
            Self::Label(side, selectors) => {
                let labels = end_labels(flow, *side, context.names).labels;
                selectors.iter().any(|selector| selector.matches(labels))
            }
            Self::Cluster(side, names) => names.contains(end_labels(flow, *side, context.names).cluster()),
            Self::Port(side, ports) => {
                flow.l4.ports().is_some_and(|(source, destination)| ports.contains(&side.of(source, destination)))
            }
            Self::TcpFlags(entries) => {
                tcp_flags(flow).is_some_and(|flags| entries.iter().any(|set| flags & set == *set))
            }
            Self::NodeName(names) => match flow.metadata.as_ref().map_or("", |metadata| metadata.node_name.as_str()) {
                "" => names.matches_node(context.node.cluster().unwrap_or("default"), &context.node.name),
                name => names.matches(name),
            },
            Self::IpVersion(bits) => bits & 1 << version(flow) != 0,
            Self::TraceId(ids) => trace_id(flow, |id| ids.contains(id)),
            Self::IpTraceId(ids) => ids.contains(&flow.ip_trace_id),
            Self::Direction(bits) => bits & 1 << flow.direction as u32 != 0,
            Self::Interface(wanted) => interface(flow, wanted, context),
            // Matched by the caller.
            Self::Cel(_) => false,
            Self::DnsQuery(_)
            | Self::HttpStatus(_)
            | Self::HttpMethod(_)
            | Self::HttpPath(_)
            | Self::HttpUrl(_)
            | Self::HttpHeader(_) => self.l7(flow),
            Self::Pod(..) | Self::Service(..) | Self::Workload(..) | Self::Fqdn(..) | Self::NodeLabel(_) => {
                self.metadata(flow, context.names)
            }
        }
    }

    fn l7(&self, flow: &Flow) -> bool {
        let record = flow.l7.as_ref().map(|l7| &l7.record);
        let http = |test: &dyn Fn(&Http) -> bool| matches!(record, Some(L7Record::Http(http)) if test(http));
        match self {
            Self::DnsQuery(query) => matches!(record, Some(L7Record::Dns(dns)) if query.is_match(dns.query.as_str())),
            Self::HttpStatus(codes) => http(&|http| codes.contains(http.code)),
            Self::HttpMethod(methods) => {
                http(&|http| !http.method.is_empty() && methods.iter().any(|method| same_fold(method, &http.method)))
            }
            Self::HttpPath(paths) => http(&|http| path(&http.url).is_some_and(|path| paths.is_match(&*path))),
            Self::HttpUrl(urls) => http(&|http| !http.url.is_empty() && urls.is_match(http.url.as_str())),
            Self::HttpHeader(headers) => {
                http(&|http| http.headers.iter().any(|(key, value)| headers.contains(&Pair(key, value))))
            }
            _ => false,
        }
    }

    /// Matches fields of metadata, or of entities.
    fn metadata(&self, flow: &Flow, lookup: &dyn NameLookup) -> bool {
        let end = |end: &FlowEnd| end_entity(flow, *end, lookup);
        match self {
            Self::Pod(side, names) => {
                end(side).is_some_and(|end| names.contains(&end.metadata.namespace, end.pod_name))
            }
            Self::Service(side, names) => end(side)
                .and_then(|end| end.service)
                .is_some_and(|service| names.contains(&service.namespace, &service.name)),
            Self::Workload(side, wanted) => end(side).is_some_and(|end| {
                let fits = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
                let is_wanted = |workload: &Workload| {
                    wanted.iter().any(|(name, kind)| fits(name, &workload.name) && fits(kind, &workload.kind))
                };
                end.metadata.workloads.iter().any(is_wanted)
            }),
            Self::Fqdn(side, names) => {
                end(side).is_some_and(|end| end.dns_names.iter().any(|name| names.matches(name)))
            }
            Self::NodeLabel(selectors) => {
                // A selector may require that a label is missing.
                let given = flow.metadata.as_deref().map(|metadata| Labels::Given(&metadata.node_labels));
                selectors.iter().any(|selector| selector.matches(given.unwrap_or(Labels::NONE)))
            }
            _ => false,
        }
    }
}

/// Returns the address of a source or destination, if it is known.
fn address(flow: &Flow, side: FlowEnd) -> Option<IpAddr> {
    let ip = flow.ip?;
    let missing = side.of(flow.no_source_address, flow.no_destination_address);
    (!missing).then(|| side.of(ip.source, ip.destination))
}

/// Returns the TCP flags of a packet. Access-log records and socket events have ports only.
fn tcp_flags(flow: &Flow) -> Option<u16> {
    match flow.l4 {
        L4::Tcp { flags, .. } if !matches!(flow.event_type.kind, EVENT_L7 | EVENT_SOCK) => Some(flags.0),
        _ => None,
    }
}

/// Returns the labels of a source or destination, and their cluster.
fn end_labels<'a>(flow: &'a Flow, end: FlowEnd, names: &'a dyn NameLookup) -> EndLabels<'a> {
    EndLabels::of(flow, end, end_entity(flow, end, names))
}

/// Returns the number in Hubble's `flow.IPVersion`.
fn version(flow: &Flow) -> u32 {
    match flow.ip.map(|ip| ip.version) {
        Some(4) => 1,
        Some(6) => 2,
        _ => 0,
    }
}

/// Calls a function with the trace id in hexadecimal digits, or an empty text.
fn trace_id(flow: &Flow, call: impl FnOnce(&str) -> bool) -> bool {
    let known = flow.metadata.as_ref().map_or("", |metadata| metadata.trace_id.as_str());
    match flow.l7.as_ref().and_then(|l7| l7.trace()) {
        Some(id) if known.is_empty() => str::from_utf8(&hex(id)).is_ok_and(call),
        _ => call(known),
    }
}

/// Matches interfaces by index, name or both. The name of this machine's interface is looked up if an entry needs it.
fn interface(flow: &Flow, wanted: &[(u32, String)], context: &Context<'_>) -> bool {
    let given = flow.metadata.as_ref().map_or("", |metadata| metadata.interface_name.as_str());
    if flow.ifindex == 0 && given.is_empty() {
        return false;
    }
    // This machine cannot name an interface of another one.
    let is_ours = flow.metadata.as_ref().is_none_or(|metadata| metadata.node_name.is_empty());
    let mut found = String::new();
    let mut is_looked_up = false;
    wanted.iter().any(|(index, name)| {
        if *index != 0 && *index != flow.ifindex {
            return false;
        }
        if name.is_empty() || !given.is_empty() {
            return name.is_empty() || name == given;
        }
        if !std::mem::replace(&mut is_looked_up, true) && is_ours {
            context.names.interface(flow.ifindex, &mut found);
        }
        *name == found
    })
}
