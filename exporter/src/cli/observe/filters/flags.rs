//! The flags of filters: names, help, and the fields that they set.

use clap::{Arg, ArgAction, ArgMatches, Command, Error};
use eyepiece_hubble::proto::flow::{FlowFilter, IpVersion};

use super::values;

/// Returns a field of texts.
pub(super) type Texts = fn(&mut FlowFilter) -> &mut Vec<String>;
/// Parses a value into its field.
pub(super) type Put = fn(&str, &mut FlowFilter) -> Result<(), String>;

/// The effect of a flag's value on the filters.
#[derive(Clone, Copy)]
pub(super) enum Effect {
    /// Inverts the next flag.
    Not,
    /// A text about the flow, or about one end.
    Text(Texts),
    /// A text about either end.
    Either(Texts, Texts),
    /// A value about the flow, or about one end.
    Value(Put),
    /// A value about either end.
    EitherValue(Put, Put),
    /// A drop reason, of the API's enum or the kernel's.
    DropReason,
    /// A namespace, for pods and services that are named without one.
    Namespace(Namespaces),
}

/// The pods and services that a namespace applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespaces {
    Either,
    Source,
    Destination,
    EitherAll,
    SourceAll,
    DestinationAll,
}

/// A flag.
pub(super) struct Flag {
    pub(super) name: &'static str,
    short: Option<char>,
    /// The value's name in the help; `None` = the flag has no value.
    value: Option<&'static str>,
    help: &'static str,
    pub(super) effect: Effect,
}

const fn flag(name: &'static str, value: &'static str, help: &'static str, effect: Effect) -> Flag {
    Flag { name, short: None, value: Some(value), help, effect }
}

const fn alone(name: &'static str, help: &'static str, effect: Effect) -> Flag {
    Flag { name, short: None, value: None, help, effect }
}

impl Flag {
    const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }
}

use Effect::{DropReason, Either, EitherValue, Namespace, Not, Text, Value};

/// In the order of the help.
pub(super) const FLAGS: &[Flag] = &[
    alone("not", "Inverts the next flag: --not --port 53", Not),
    flag(
        "pod",
        "[NAMESPACE/]PREFIX",
        "From or to pods with this prefix of their name; without a namespace in `default`",
        Either(|f| &mut f.source_pod, |f| &mut f.destination_pod),
    ),
    flag("from-pod", "[NAMESPACE/]PREFIX", "From such pods", Text(|f| &mut f.source_pod)),
    flag("to-pod", "[NAMESPACE/]PREFIX", "To such pods", Text(|f| &mut f.destination_pod)),
    flag(
        "namespace",
        "NAME",
        "From or to this namespace; names of pods and services are meant in it",
        Namespace(Namespaces::Either),
    )
    .short('n'),
    flag("from-namespace", "NAME", "From this namespace", Namespace(Namespaces::Source)),
    flag("to-namespace", "NAME", "To this namespace", Namespace(Namespaces::Destination)),
    alone(
        "all-namespaces",
        "From or to any namespace; names of pods and services are meant in each",
        Namespace(Namespaces::EitherAll),
    )
    .short('A'),
    alone("from-all-namespaces", "From any namespace", Namespace(Namespaces::SourceAll)),
    alone("to-all-namespaces", "To any namespace", Namespace(Namespaces::DestinationAll)),
    flag(
        "service",
        "[NAMESPACE/]PREFIX",
        "From or to services with this prefix of their name",
        Either(|f| &mut f.source_service, |f| &mut f.destination_service),
    ),
    flag("from-service", "[NAMESPACE/]PREFIX", "From such services", Text(|f| &mut f.source_service)),
    flag("to-service", "[NAMESPACE/]PREFIX", "To such services", Text(|f| &mut f.destination_service)),
    flag(
        "workload",
        "[KIND/]NAME",
        "From or to this workload: Deployment/web, Deployment/ or web",
        EitherValue(values::source_workload, values::destination_workload),
    ),
    flag("from-workload", "[KIND/]NAME", "From this workload", Value(values::source_workload)),
    flag("to-workload", "[KIND/]NAME", "To this workload", Value(values::destination_workload)),
    flag(
        "label",
        "SELECTOR",
        "From or to endpoints with these labels: app=web, 'tier in (a,b)', reserved:world",
        Either(|f| &mut f.source_label, |f| &mut f.destination_label),
    )
    .short('l'),
    flag("from-label", "SELECTOR", "From such endpoints", Text(|f| &mut f.source_label)),
    flag("to-label", "SELECTOR", "To such endpoints", Text(|f| &mut f.destination_label)),
    flag(
        "identity",
        "ID",
        "From or to this security identity: a number, or host, world, kube-apiserver …",
        EitherValue(values::source_identity, values::destination_identity),
    ),
    flag("from-identity", "ID", "From this security identity", Value(values::source_identity)),
    flag("to-identity", "ID", "To this security identity", Value(values::destination_identity)),
    flag(
        "ip",
        "ADDRESS",
        "From or to this IP address or CIDR range",
        Either(|f| &mut f.source_ip, |f| &mut f.destination_ip),
    ),
    flag("from-ip", "ADDRESS", "From this IP address or CIDR range", Text(|f| &mut f.source_ip)),
    flag("to-ip", "ADDRESS", "To this IP address or CIDR range", Text(|f| &mut f.destination_ip)),
    flag("snat-ip", "ADDRESS", "Translated to this source address or CIDR range", Text(|f| &mut f.source_ip_xlated)),
    alone("ipv4", "IPv4 only", Value(|_, f| put(&mut f.ip_version, IpVersion::IPv4 as i32))).short('4'),
    alone("ipv6", "IPv6 only", Value(|_, f| put(&mut f.ip_version, IpVersion::IPv6 as i32))).short('6'),
    flag("ip-version", "VERSION", "v4, v6, or none for other packets, such as ARP", Value(values::ip_version)),
    flag(
        "fqdn",
        "PATTERN",
        "From or to hosts with this DNS name, * for any part: *.example.com",
        Either(|f| &mut f.source_fqdn, |f| &mut f.destination_fqdn),
    ),
    flag("from-fqdn", "PATTERN", "From such hosts", Text(|f| &mut f.source_fqdn)),
    flag("to-fqdn", "PATTERN", "To such hosts", Text(|f| &mut f.destination_fqdn)),
    flag("port", "PORT", "From or to this port", Either(|f| &mut f.source_port, |f| &mut f.destination_port)),
    flag("from-port", "PORT", "From this port", Text(|f| &mut f.source_port)),
    flag("to-port", "PORT", "To this port", Text(|f| &mut f.destination_port)),
    flag(
        "protocol",
        "NAME",
        "tcp, udp, sctp, icmp, icmpv4, icmpv6, vrrp, igmp, dns or http",
        Text(|f| &mut f.protocol),
    ),
    flag("tcp-flags", "FLAGS", "With all of these TCP flags set: syn,ack", Value(values::tcp_flags)),
    flag(
        "verdict",
        "VERDICT",
        "FORWARDED, DROPPED, AUDIT, REDIRECTED, ERROR, TRACED or TRANSLATED",
        Value(values::verdict),
    ),
    flag(
        "drop-reason-desc",
        "REASON",
        "Dropped for this reason, of Cilium's or the kernel's: POLICY_DENIED, NO_SOCKET …",
        DropReason,
    ),
    flag(
        "type",
        "TYPE[:SUBTYPE]",
        "drop, trace, trace:to-endpoint …, policy-verdict, capture, trace-sock, l7, or numbers",
        Value(values::event_type),
    )
    .short('t'),
    flag("traffic-direction", "DIRECTION", "ingress or egress", Value(values::traffic_direction)),
    flag("reply", "BOOL", "Replies (true), or other flows (false)", Value(values::reply)),
    flag("interface", "NAME", "Seen at this network interface", Value(values::interface)),
    alone("encrypted", "Encrypted packets", Value(|_, f| put(&mut f.encrypted, true))),
    alone("unencrypted", "Packets that are not encrypted", Value(|_, f| put(&mut f.encrypted, false))),
    flag(
        "http-status",
        "CODE",
        "HTTP responses with this status or its beginning: 404, 5+",
        Text(|f| &mut f.http_status_code),
    ),
    flag("http-method", "METHOD", "HTTP with this method: get, post …", Text(|f| &mut f.http_method)),
    flag("http-path", "REGEX", "HTTP with a matching path: /page/\\d+", Text(|f| &mut f.http_path)),
    flag("http-url", "REGEX", "HTTP with a matching URL", Text(|f| &mut f.http_url)),
    flag("http-header", "NAME:VALUE", "HTTP with this header", Value(values::http_header)),
    flag("dns-query", "REGEX", "DNS with a matching query", Text(|f| &mut f.dns_query)),
    flag("trace-id", "ID", "With this trace id, as in traceparent", Text(|f| &mut f.trace_id)),
    flag("ip-trace-id", "NUMBER", "With this trace id in the IP options", Value(values::ip_trace_id)),
    flag("uuid", "ID", "The one flow with this id", Text(|f| &mut f.uuid)),
    flag(
        "node-name",
        "[CLUSTER/]PATTERN",
        "Seen by nodes of this name, * for any part: k8s*, prod/*.example.com",
        Text(|f| &mut f.node_name),
    ),
    flag("node-label", "SELECTOR", "Seen by nodes with these labels", Text(|f| &mut f.node_labels)),
    flag(
        "cluster",
        "NAME",
        "From or to this cluster",
        Either(|f| &mut f.source_cluster_name, |f| &mut f.destination_cluster_name),
    ),
    flag("from-cluster", "NAME", "From this cluster", Text(|f| &mut f.source_cluster_name)),
    flag("to-cluster", "NAME", "To this cluster", Text(|f| &mut f.destination_cluster_name)),
    flag(
        "cel-expression",
        "EXPRESSION",
        "For which this expression in CEL is true: '_flow.l4.TCP.destination_port > 1024u'",
        Value(values::cel),
    ),
];

fn put<T>(field: &mut Vec<T>, value: T) -> Result<(), String> {
    field.push(value);
    Ok(())
}

/// The flags that were given, in their order, with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli::observe) struct FilterFlags(pub(super) Vec<(&'static str, String)>);

impl clap::Args for FilterFlags {
    fn augment_args(command: Command) -> Command {
        FLAGS.iter().fold(command, |command, flag| command.arg(argument(flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(flag: &Flag) -> Arg {
    let argument =
        Arg::new(flag.name).long(flag.name).help(flag.help).help_heading("Filters").action(ArgAction::Append);
    let argument = match flag.short {
        Some(letter) => argument.short(letter),
        None => argument,
    };
    match flag.value {
        // As Hubble's own flags: the next word is the value, whatever it is.
        Some(name) => argument.value_name(name).allow_hyphen_values(true),
        // An option, so that each occurrence has a position; Hubble's help shows `--ipv4=v4`.
        None => argument
            .value_name("true")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true),
    }
}

impl clap::FromArgMatches for FilterFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut given = Vec::new();
        for flag in FLAGS {
            let (Some(values), Some(places)) = (matches.get_many::<String>(flag.name), matches.indices_of(flag.name))
            else {
                continue;
            };
            given.extend(places.zip(values).map(|(place, value)| (place, flag.name, value.clone())));
        }
        given.sort_by_key(|&(place, ..)| place);
        Ok(Self(given.into_iter().map(|(_, name, value)| (name, value)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
