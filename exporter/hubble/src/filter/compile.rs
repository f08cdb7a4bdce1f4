//! Compiles `flow.FlowFilter` to matchers, in upstream's order of fields, so that it reports the same first error.

use std::fmt::Display;

use eyepiece_flow::flow::{EVENT_L7, TcpFlags};
use eyepiece_flow::lookup::FlowEnd;
use hashbrown::HashSet;

use super::address::Addresses;
use super::cel::{self, ProgramBudget, Programs};
use super::error::FilterError;
use super::expression::{Regex, any_of};
use super::http::StatusCodes;
use super::matcher::{EventTypes, Filter, Matcher, Protocols};
use super::names::NamePrefixes;
use super::pattern::{Fqdns, NodeNames};
use super::pattern_budget::PatternBudget;
use super::selector::Selector;
use crate::proto::flow::{FlowFilter, TcpFlags as ProtoTcpFlags, Workload};

/// Filters of a request, both lists together. Clients send a handful; scripts one for each pod.
pub const MAX_FILTERS: usize = 10_000;
/// Entries of a request, all fields of all filters together.
pub const MAX_ENTRIES: usize = 100_000;
/// Bytes of all texts of a request: no more than a gRPC message has by default.
const MAX_BYTES: usize = 4 << 20;

/// Bytes of texts that cost about as much as an entry.
const BYTES_PER_ENTRY_COST: usize = 16;

/// Bytes of a compiled entry beside its text.
const ENTRY_BYTES: usize = 64;

/// Compiles the filters of one request and counts their memory.
#[derive(Default)]
pub(super) struct Compiler {
    filters: usize,
    entries: usize,
    bytes: usize,
    patterns: PatternBudget,
    programs: ProgramBudget,
}

/// The matchers of the filter that is being compiled.
struct Fields<'a> {
    matchers: Vec<Matcher>,
    compiler: &'a mut Compiler,
}

impl Compiler {
    /// Compiles a list of filters.
    pub(super) fn filters(&mut self, list: &'static str, filters: &[FlowFilter]) -> Result<Vec<Filter>, FilterError> {
        self.filters += filters.len();
        bounded(list, "filters", self.filters, MAX_FILTERS)?;
        filters.iter().map(|filter| self.filter(filter)).collect()
    }

    /// The estimated cost of matching all filters: texts are read byte by byte.
    pub(super) fn weight(&self) -> usize {
        self.filters + self.entries + self.bytes / BYTES_PER_ENTRY_COST + self.programs.used() * cel::WEIGHT
    }

    /// Bytes that the compiled filters hold, estimated.
    pub(super) fn size(&self) -> usize {
        let entries = self.filters * size_of::<Filter>() + self.entries * ENTRY_BYTES;
        entries + self.bytes + self.patterns.used_bytes() + self.programs.used_bytes()
    }

    fn filter(&mut self, filter: &FlowFilter) -> Result<Filter, FilterError> {
        let mut fields = Fields { matchers: Vec::new(), compiler: self };
        fields.plain(filter)?;
        fields.addresses(filter)?;
        fields.names(filter)?;
        fields.patterns(filter)?;
        fields.labels(filter)?;
        fields.ports(filter)?;
        fields.http(filter)?;
        fields.rest(filter)?;
        let mut matchers = fields.matchers;
        matchers.sort_by_key(Matcher::cost);
        Ok(Filter(matchers.into_boxed_slice()))
    }
}

/// Checks a bound of a request.
fn bounded(field: &'static str, what: &str, count: usize, most: usize) -> Result<(), FilterError> {
    if count <= most {
        return Ok(());
    }
    Err(FilterError::new(field, &count.to_string(), format!("more than {most} {what} in one request")))
}

/// Returns a bit set of an enum's numbers. No flow has numbers beyond it.
fn bits(numbers: &[i32]) -> u32 {
    numbers.iter().filter_map(|&number| 1u32.checked_shl(u32::try_from(number).ok()?)).fold(0, |all, bit| all | bit)
}

impl Fields<'_> {
    /// Returns whether a field is set. Counts its entries and the bytes of their texts.
    fn has<T>(&mut self, field: &'static str, entries: &[T], bytes: impl Fn(&T) -> usize) -> Result<bool, FilterError> {
        let compiler = &mut *self.compiler;
        compiler.entries += entries.len();
        bounded(field, "entries", compiler.entries, MAX_ENTRIES)?;
        compiler.bytes += entries.iter().map(bytes).sum::<usize>();
        bounded(field, "bytes of patterns", compiler.bytes, MAX_BYTES)?;
        Ok(!entries.is_empty())
    }

    fn has_numbers<T>(&mut self, field: &'static str, entries: &[T]) -> Result<bool, FilterError> {
        self.has(field, entries, |_| 0)
    }

    fn has_texts(&mut self, field: &'static str, entries: &[String]) -> Result<bool, FilterError> {
        self.has(field, entries, String::len)
    }

    /// Compiles fields of numbers and the like.
    fn plain(&mut self, filter: &FlowFilter) -> Result<(), FilterError> {
        if self.has_texts("uuid", &filter.uuid)? {
            self.matchers.push(Matcher::Uuid(filter.uuid.iter().filter_map(|text| uuid(text)).collect()));
        }
        if self.has_numbers("event_type", &filter.event_type)? {
            let types = filter.event_type.iter().map(|entry| EventTypes {
                kind: entry.r#type,
                subtype: entry.match_sub_type.then_some(entry.sub_type),
            });
            self.matchers.push(Matcher::EventType(types.collect()));
        }
        if self.has_numbers("verdict", &filter.verdict)? {
            self.matchers.push(Matcher::Verdict(bits(&filter.verdict)));
        }
        if self.has_numbers("drop_reason_desc", &filter.drop_reason_desc)? {
            let reasons = filter.drop_reason_desc.iter().map(|reason| reason.cast_unsigned()).collect();
            self.matchers.push(Matcher::DropReason(reasons));
        }
        if self.has_numbers("reply", &filter.reply)? {
            self.matchers.push(Matcher::Reply(filter.reply.contains(&true), filter.reply.contains(&false)));
        }
        if self.has_numbers("encrypted", &filter.encrypted)? {
            self.matchers.push(Matcher::Encrypted(filter.encrypted.contains(&true), filter.encrypted.contains(&false)));
        }
        for (side, field, entries) in [
            (FlowEnd::Source, "source_identity", &filter.source_identity),
            (FlowEnd::Destination, "destination_identity", &filter.destination_identity),
        ] {
            if self.has_numbers(field, entries)? {
                self.matchers.push(Matcher::Identity(side, entries.iter().copied().collect()));
            }
        }
        if self.has_texts("protocol", &filter.protocol)? {
            let mut protocols = Protocols::default();
            for entry in &filter.protocol {
                let error = || format!("invalid protocol filter: unknown protocol: {entry:?}");
                add_protocol(&mut protocols, entry).ok_or_else(|| FilterError::new("protocol", entry, error()))?;
            }
            self.matchers.push(Matcher::Protocol(protocols));
        }
        Ok(())
    }

    fn addresses(&mut self, filter: &FlowFilter) -> Result<(), FilterError> {
        for (side, field, entries) in [
            (Some(FlowEnd::Source), "source_ip", &filter.source_ip),
            (Some(FlowEnd::Destination), "destination_ip", &filter.destination_ip),
            (None, "source_ip_xlated", &filter.source_ip_xlated),
        ] {
            if !self.has_texts(field, entries)? {
                continue;
            }
            let mut addresses = Addresses::default();
            each(field, "", entries, |entry| addresses.add(entry))?;
            self.matchers.push(match side {
                Some(side) => Matcher::Address(side, addresses),
                None => Matcher::AddressTranslated(addresses),
            });
        }
        Ok(())
    }

    /// Compiles names of pods, workloads and services.
    fn names(&mut self, filter: &FlowFilter) -> Result<(), FilterError> {
        for (side, field, entries) in [
            (FlowEnd::Source, "source_pod", &filter.source_pod),
            (FlowEnd::Destination, "destination_pod", &filter.destination_pod),
        ] {
            if self.has_texts(field, entries)? {
                self.matchers.push(Matcher::Pod(side, names(field, "", entries)?));
            }
        }
        for (side, field, entries) in [
            (FlowEnd::Source, "source_workload", &filter.source_workload),
            (FlowEnd::Destination, "destination_workload", &filter.destination_workload),
        ] {
            if self.has(field, entries, |entry: &Workload| entry.name.len() + entry.kind.len())? {
                let entries = entries.iter().map(|entry| (entry.name.clone(), entry.kind.clone()));
                self.matchers.push(Matcher::Workload(side, entries.collect()));
            }
        }
        for (side, field, start, entries) in [
            (FlowEnd::Source, "source_service", "invalid source service filter: ", &filter.source_service),
            (
                FlowEnd::Destination,
                "destination_service",
                "invalid destination service filter: ",
                &filter.destination_service,
            ),
        ] {
            if self.has_texts(field, entries)? {
                self.matchers.push(Matcher::Service(side, names(field, start, entries)?));
            }
        }
        Ok(())
    }

    /// Compiles patterns of DNS names.
    fn patterns(&mut self, filter: &FlowFilter) -> Result<(), FilterError> {
        for (side, field, entries) in [
            (FlowEnd::Source, "source_fqdn", &filter.source_fqdn),
            (FlowEnd::Destination, "destination_fqdn", &filter.destination_fqdn),
        ] {
            if self.has_texts(field, entries)? {
                let fqdns = Fqdns::new(entries, &mut self.compiler.patterns);
                self.matchers.push(Matcher::Fqdn(side, field_error(field, "", fqdns)?));
            }
        }
        self.expression(
            "dns_query",
            "invalid DNS query filter: failed to compile regexp: ",
            &filter.dns_query,
            Matcher::DnsQuery,
        )
    }

    fn labels(&mut self, filter: &FlowFilter) -> Result<(), FilterError> {
        for (side, field, start, entries) in [
            (Some(FlowEnd::Source), "source_label", "invalid source label filter: ", &filter.source_label),
            (
                Some(FlowEnd::Destination),
                "destination_label",
                "invalid destination label filter: ",
                &filter.destination_label,
            ),
            (None, "node_labels", "invalid node label filter: ", &filter.node_labels),
        ] {
            if !self.has_texts(field, entries)? {
                continue;
            }
            let selectors = collect(field, start, entries, Selector::parse)?;
            self.matchers.push(match side {
                Some(side) => Matcher::Label(side, selectors),
                None => Matcher::NodeLabel(selectors),
            });
        }
        Ok(())
    }

    fn ports(&mut self, filter: &FlowFilter) -> Result<(), FilterError> {
        for (side, field, start, entries) in [
            (FlowEnd::Source, "source_port", "invalid source port filter: ", &filter.source_port),
            (FlowEnd::Destination, "destination_port", "invalid destination port filter: ", &filter.destination_port),
        ] {
            if self.has_texts(field, entries)? {
                let ports: Vec<u16> = collect(field, start, entries, port)?;
                self.matchers.push(Matcher::Port(side, ports.into_iter().collect()));
            }
        }
        Ok(())
    }

    /// Compiles fields of HTTP, which an `event_type` without access-log records excludes.
    fn http(&mut self, filter: &FlowFilter) -> Result<(), FilterError> {
        let has_l7 =
            filter.event_type.is_empty() || filter.event_type.iter().any(|entry| entry.r#type == i32::from(EVENT_L7));
        let needs_l7 = |field: &'static str, what: &str| {
            let error = || format!("filtering by {what} requires the event type filter to only match 'l7' events");
            if has_l7 { Ok(()) } else { Err(FilterError::new(field, "", error())) }
        };
        if self.has_texts("http_status_code", &filter.http_status_code)? {
            needs_l7("http_status_code", "http status code")?;
            let mut codes = StatusCodes::default();
            let start = "invalid http status code filter: ";
            each("http_status_code", start, &filter.http_status_code, |entry| codes.add(entry))?;
            self.matchers.push(Matcher::HttpStatus(codes));
        }
        if self.has_texts("http_method", &filter.http_method)? {
            needs_l7("http_method", "http method")?;
            self.matchers.push(Matcher::HttpMethod(filter.http_method.clone()));
        }
        if !filter.http_path.is_empty() {
            needs_l7("http_path", "http path")?;
            self.expression("http_path", "invalid http path filter: ", &filter.http_path, Matcher::HttpPath)?;
        }
        if !filter.http_url.is_empty() {
            needs_l7("http_url", "http url")?;
            self.expression("http_url", "invalid http url filter: ", &filter.http_url, Matcher::HttpUrl)?;
        }
        if self.has("http_header", &filter.http_header, |entry| entry.key.len() + entry.value.len())? {
            needs_l7("http_header", "http headers")?;
            let headers = filter.http_header.iter().map(|header| (header.key.clone(), header.value.clone()));
            self.matchers.push(Matcher::HttpHeader(headers.collect()));
        }
        Ok(())
    }

    /// Compiles the fields that upstream reads last.
    fn rest(&mut self, filter: &FlowFilter) -> Result<(), FilterError> {
        if self.has_numbers("tcp_flags", &filter.tcp_flags)? {
            self.matchers.push(Matcher::TcpFlags(filter.tcp_flags.iter().map(flags).collect()));
        }
        if self.has_texts("node_name", &filter.node_name)? {
            let names = NodeNames::new(&filter.node_name, &mut self.compiler.patterns);
            self.matchers.push(Matcher::NodeName(field_error("node_name", "", names)?));
        }
        for (side, field, entries) in [
            (FlowEnd::Source, "source_cluster_name", &filter.source_cluster_name),
            (FlowEnd::Destination, "destination_cluster_name", &filter.destination_cluster_name),
        ] {
            if self.has_texts(field, entries)? {
                let error = "invalid filter, name must not be empty".to_owned();
                let names: Vec<_> = collect(field, "", entries, |entry| {
                    if entry.is_empty() { Err(error.clone()) } else { Ok(entry.to_owned()) }
                })?;
                self.matchers.push(Matcher::Cluster(side, names.into_iter().collect()));
            }
        }
        if self.has_numbers("ip_version", &filter.ip_version)? {
            self.matchers.push(Matcher::IpVersion(bits(&filter.ip_version)));
        }
        if self.has_texts("trace_id", &filter.trace_id)? {
            self.matchers.push(Matcher::TraceId(filter.trace_id.iter().cloned().collect()));
        }
        if self.has_numbers("ip_trace_id", &filter.ip_trace_id)? {
            self.matchers.push(Matcher::IpTraceId(filter.ip_trace_id.iter().copied().collect::<HashSet<_>>()));
        }
        if self.has_numbers("traffic_direction", &filter.traffic_direction)? {
            self.matchers.push(Matcher::Direction(bits(&filter.traffic_direction)));
        }
        if self.has("interface", &filter.interface, |entry| entry.name.len())? {
            let interfaces = filter.interface.iter().map(|entry| (entry.index, entry.name.clone()));
            self.matchers.push(Matcher::Interface(interfaces.collect()));
        }
        if let Some(experimental) = &filter.experimental {
            let entries = &experimental.cel_expression;
            if self.has_texts("experimental.cel_expression", entries)? {
                let Compiler { programs, patterns, .. } = &mut *self.compiler;
                let programs = Programs::new(entries, programs, patterns);
                let start = "error compiling CEL expression: ";
                self.matchers.push(Matcher::Cel(field_error("experimental.cel_expression", start, programs)?));
            }
        }
        Ok(())
    }

    /// Compiles a field of regular expressions.
    fn expression(
        &mut self,
        field: &'static str,
        start: &str,
        entries: &[String],
        matcher: fn(Regex) -> Matcher,
    ) -> Result<(), FilterError> {
        if self.has_texts(field, entries)? {
            let expression = any_of(entries, &mut self.compiler.patterns);
            self.matchers.push(matcher(field_error(field, start, expression)?));
        }
        Ok(())
    }
}

/// Converts the error of an entry; `start` is the start of upstream's text.
fn field_error<T>(field: &'static str, start: &str, result: Result<T, (&str, String)>) -> Result<T, FilterError> {
    result.map_err(|(entry, error)| FilterError::new(field, entry, format_args!("{start}{error}")))
}

/// Calls a function for each entry of a field.
fn each(
    field: &'static str,
    start: &str,
    entries: &[String],
    mut call: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), FilterError> {
    entries.iter().try_for_each(|entry| field_error(field, start, call(entry).map_err(|error| (entry.as_str(), error))))
}

/// Parses each entry of a field.
fn collect<T, E: Display>(
    field: &'static str,
    start: &str,
    entries: &[String],
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, FilterError> {
    let one =
        |entry: &String| field_error(field, start, read(entry).map_err(|error| (entry.as_str(), error.to_string())));
    entries.iter().map(one).collect()
}

fn names(field: &'static str, start: &str, entries: &[String]) -> Result<NamePrefixes, FilterError> {
    field_error(field, start, NamePrefixes::new(entries).map_err(|error| ("", error)))
}

/// Parses a UUID in the form of flows. No flow has another form; an empty text matches flows without UUID.
fn uuid(text: &str) -> Option<[u8; 16]> {
    if text.is_empty() {
        return Some([0; 16]);
    }
    let is_hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let mut digits = [0; 32];
    let mut count = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'-' if is_hyphen(at) => continue,
            b'0'..=b'9' | b'a'..=b'f' if !is_hyphen(at) => {}
            _ => return None,
        }
        *digits.get_mut(count)? = byte;
        count += 1;
    }
    if text.len() != 36 {
        return None;
    }
    let value = u128::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?;
    (value != 0).then(|| value.to_be_bytes())
}

/// Parses a decimal number without sign.
fn port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let cause = if digits { "value out of range" } else { "invalid syntax" };
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or_else(|| format!("invalid port {text:?}: strconv.ParseUint: parsing {text:?}: {cause}"))
}

fn add_protocol(protocols: &mut Protocols, text: &str) -> Option<()> {
    match text.to_lowercase().as_str() {
        "icmp" => (protocols.icmp4, protocols.icmp6) = (true, true),
        "icmpv4" => protocols.icmp4 = true,
        "icmpv6" => protocols.icmp6 = true,
        "tcp" => protocols.tcp = true,
        "udp" => protocols.udp = true,
        "sctp" => protocols.sctp = true,
        "vrrp" => protocols.vrrp = true,
        "igmp" => protocols.igmp = true,
        "dns" => protocols.dns = true,
        "http" => protocols.http = true,
        _ => return None,
    }
    Some(())
}

fn flags(flags: &ProtoTcpFlags) -> u16 {
    [
        (flags.fin, TcpFlags::FIN),
        (flags.syn, TcpFlags::SYN),
        (flags.rst, TcpFlags::RST),
        (flags.psh, TcpFlags::PSH),
        (flags.ack, TcpFlags::ACK),
        (flags.urg, TcpFlags::URG),
        (flags.ece, TcpFlags::ECE),
        (flags.cwr, TcpFlags::CWR),
        (flags.ns, TcpFlags::NS),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |all, (_, flag)| all | flag)
}
