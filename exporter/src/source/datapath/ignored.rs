//! Frees that are no drops, although the kernel reports them through the same tracepoint: the one list of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd as _;

use eyepiece_wire::{
    FUNCTION_LEN, IGNORE_ALWAYS, IGNORE_IN_FUNCTIONS, IGNORE_RECEIVER, IgnoredFunction, MAX_RECEIVERS, Receiver, map,
};
use http::Uri;

use super::error::DatapathError;
use super::kernel_names::KernelNames;
use super::object::Object;
use super::sys;

/// Reasons that are never a drop: names as in the kernel's `enum skb_drop_reason` without prefix, and why.
const NO_DROPS: &[(&str, &str)] = &[
    ("CONSUMED", "the packet reached its reader"),
    ("NOT_DROPPED_YET", "the number 0: no decision was made"),
    ("IPV6DISABLED", "multicast of the neighbours on an interface without IPv6, which has no address to send to"),
    ("TCP_ABORT_ON_DATA", "data that arrived after a local program had closed its connection; a reset answers it"),
];

/// Reasons that are no drop between the loopback and a receiver of our own exports: reason, and why.
const OF_RECEIVERS: &[(&str, &str)] =
    &[("NO_SOCKET", "attempts of our own exports to reach a receiver that is not there: failed exports are counted")];

/// Reasons that are no drop in one function of the kernel: reason, function, and why.
const IN_FUNCTIONS: &[(&str, &str, &str)] = &[
    ("NOT_SPECIFIED", "ip6_mc_input", "IPv6 multicast of a group that no local socket joined: every host receives it"),
    (
        "NOT_SPECIFIED",
        "ip_rcv_finish_core",
        "IPv4 multicast of such a group; failures of routing have reasons of their own",
    ),
    ("NO_SOCKET", "ping_rcv", "echo replies: raw sockets, which most ping programs use, got their copies before"),
    ("NOT_SPECIFIED", "bpf_prog_test_run_skb", "the made-up packets of test runs; our own sweep is one"),
    (
        "NOT_SPECIFIED",
        "inet_rtm_getroute",
        "the made-up packet of a route look-up; our own attribution asks for routes",
    ),
    ("QUEUE_PURGE", "sk_stream_kill_queues", "data that arrived and was not read before its socket was closed"),
    ("QUEUE_PURGE", "inet_sock_destruct", "the same for sockets without streams"),
    (
        "NOT_SPECIFIED",
        "tcp_v4_rcv",
        "segments of a connection whose local end is closed: TIME_WAIT has read them, and answered where it must",
    ),
    ("NOT_SPECIFIED", "tcp_v6_rcv", "the same over IPv6"),
    ("NOT_SPECIFIED", "igmp_rcv", "membership reports of other hosts, which only a multicast router reads"),
];

/// Writes the rules into the kernel maps: the lists above, `ignored` reasons of the configuration, and the receivers of
/// our own exports, by their URLs.
pub(super) fn install(
    object: &Object,
    names: &KernelNames,
    ignored: &[String],
    receiver_urls: &[String],
) -> Result<(), DatapathError> {
    let mut rules: BTreeMap<u32, u32> = BTreeMap::new();
    for name in ignored {
        let reason = names.number(name).ok_or_else(|| DatapathError::UnknownReason { name: name.clone() })?;
        rules.insert(reason, IGNORE_ALWAYS);
    }
    // A reason that this kernel does not have is one that it cannot report.
    let mut add = |name, rule| {
        let reason = names.number(name)?;
        *rules.entry(reason).or_default() |= rule;
        Some(reason)
    };
    for (name, _) in NO_DROPS {
        add(name, IGNORE_ALWAYS);
    }
    for (name, _) in OF_RECEIVERS {
        add(name, IGNORE_RECEIVER);
    }
    let mut functions = Vec::new();
    for (name, function, _) in IN_FUNCTIONS {
        let Some(reason) = add(name, IGNORE_IN_FUNCTIONS) else { continue };
        functions.push((rule(reason, function), *name, *function));
    }
    let missing = missing_functions(names, functions.iter().map(|(_, reason, function)| (*reason, *function)));
    if !missing.is_empty() {
        tracing::warn!(
            rules = missing.join(", "),
            "this kernel has no functions of these names; any frees there are reported as drops"
        );
    }
    let functions: Vec<_> = functions.into_iter().map(|(rule, ..)| (rule, 1)).collect();
    let receivers: Vec<_> = receivers(receiver_urls).into_iter().map(|receiver| (receiver, 1)).collect();
    fill(object, map::FUNCTIONS, &functions)?;
    fill(object, map::RECEIVERS, &receivers)?;
    fill(object, map::IGNORED, &rules.into_iter().collect::<Vec<_>>())
}

fn fill<K: sys::Plain>(object: &Object, name: &'static str, entries: &[(K, u32)]) -> Result<(), DatapathError> {
    let map = object.map(name)?;
    for (key, value) in entries {
        sys::update(map.as_fd(), key, value).map_err(DatapathError::system("the list of ignored drop reasons"))?;
    }
    Ok(())
}

/// Returns the rules, each a reason and a function, whose function the kernel lacks; none if it hides its symbols.
fn missing_functions<'a>(names: &KernelNames, rules: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let missing = rules.filter(|(_, function)| names.has_functions() && !names.has_function(function));
    missing.map(|(reason, function)| format!("{reason} in {function}")).collect()
}

/// The rule for a reason in a function; a name that is too long is cut, and matches nothing.
fn rule(reason: u32, name: &str) -> IgnoredFunction {
    let mut rule = IgnoredFunction { reason, name: [0; FUNCTION_LEN] };
    rule.name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    rule
}

/// Addresses and ports in these URLs: IP addresses and `localhost` (RFC 6761) only, as names are not looked up.
fn receivers(urls: &[String]) -> BTreeSet<Receiver> {
    let uris = urls.iter().filter_map(|url| url.parse::<Uri>().ok());
    let all = uris.flat_map(|uri| {
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let addresses = match host.as_str() {
            "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            host => host.parse().into_iter().collect(),
        };
        addresses.into_iter().map(move |address| receiver(address, port))
    });
    all.take(MAX_RECEIVERS).collect()
}

fn receiver(address: IpAddr, port: u16) -> Receiver {
    let mut octets = [0; 16];
    match address.to_canonical() {
        IpAddr::V4(address) => octets[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => octets = address.octets(),
    }
    let mut words = octets.chunks_exact(4).map(|word| u32::from_ne_bytes(*word.first_chunk().unwrap_or(&[0; 4])));
    Receiver { address: std::array::from_fn(|_| words.next().unwrap_or(0)), port: port.to_be(), pad: 0 }
}

#[cfg(test)]
mod tests {
    use eyepiece_wire::FUNCTION_LEN;

    use super::{IN_FUNCTIONS, KernelNames, missing_functions, receiver, receivers, rule};

    #[test]
    fn rules_without_function_are_missing() {
        const RULES: [(&str, &str); 3] =
            [("NOT_SPECIFIED", "ip_rcv"), ("NO_SOCKET", "ping_rcv"), ("QUEUE_PURGE", "tcp_v4_rcv")];
        for (name, symbols, expected) in [
            (
                "one is there, one in pieces",
                "ffffffff81000010 T ip_rcv\nffffffff81000020 t ping_rcv.isra.0\nffffffff81000030 T tcp_v4_rcv_more\n",
                &["QUEUE_PURGE in tcp_v4_rcv"][..],
            ),
            (
                "none is there",
                "ffffffff81000010 T other\n",
                &["NOT_SPECIFIED in ip_rcv", "NO_SOCKET in ping_rcv", "QUEUE_PURGE in tcp_v4_rcv"],
            ),
            ("hidden addresses", "0000000000000000 T other\n", &[]),
            ("no symbols", "", &[]),
        ] {
            let names = KernelNames::of(&[], symbols);
            assert_eq!(missing_functions(&names, RULES.into_iter()), expected, "{name}");
        }
    }

    #[test]
    fn function_names_fit_into_rules() {
        assert_eq!(rule(3, "ip_rcv").name[..7], *b"ip_rcv\0");
        for (_, name, _) in IN_FUNCTIONS {
            // The kernel ends the name that it writes with a zero.
            assert!(name.len() < FUNCTION_LEN && !name.contains('.'), "{name}");
        }
    }

    #[test]
    fn receivers_are_literal_or_localhost() {
        for (url, expected) in [
            ("http://127.0.0.1:4317", &[("127.0.0.1", 4317)][..]),
            ("https://[::1]/v1/logs", &[("::1", 443)]),
            ("http://[::ffff:10.0.0.1]", &[("10.0.0.1", 80)]),
            ("http://LocalHost:4318/", &[("127.0.0.1", 4318), ("::1", 4318)]),
            ("http://collector:4317", &[]),
            ("no url", &[]),
        ] {
            let expected = expected.iter().map(|(address, port)| receiver(address.parse().unwrap(), *port)).collect();
            assert_eq!(receivers(&[url.to_owned()]), expected, "{url}");
        }
        assert_eq!(receiver([1, 2, 3, 4].into(), 0x0102).address[0].to_ne_bytes(), [1, 2, 3, 4]);
        assert_eq!(receiver([1, 2, 3, 4].into(), 0x0102).port.to_ne_bytes(), [1, 2]);
    }
}
