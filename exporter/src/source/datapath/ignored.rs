//! Frees that are no drops, although the kernel reports them through the same tracepoint: the one list of them.

use eyepiece_wire::{FUNCTION_LEN, IgnoredFunction};

/// Reasons that are never a drop: names as in the kernel's `enum skb_drop_reason` without prefix, and why.
pub(super) const NO_DROPS: &[(&str, &str)] = &[
    ("CONSUMED", "the packet reached its reader"),
    ("NOT_DROPPED_YET", "the number 0: no decision was made"),
    ("IPV6DISABLED", "multicast of the neighbours on an interface without IPv6, which has no address to send to"),
    ("TCP_ABORT_ON_DATA", "data that arrived after a local program had closed its connection; a reset answers it"),
];

/// Reasons that are no drop of a packet that this process sent over the loopback: reason, and why.
pub(super) const OF_OWN_LOOPBACK: &[(&str, &str)] =
    &[("NO_SOCKET", "attempts of our own exports to reach a receiver that is not there: failed exports are counted")];

/// Reasons that are no drop in one function of the kernel: reason, function, and why.
pub(super) const QUIET: &[(&str, &str, &str)] = &[
    (
        "NOT_SPECIFIED",
        "ip6_mc_input",
        "IPv6 multicast of a group that nobody here joined: every host hears its neighbours'",
    ),
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
    ("QUEUE_PURGE", "sk_stream_kill_queues", "data that arrived, and was not read when its socket was closed"),
    ("QUEUE_PURGE", "inet_sock_destruct", "the same for sockets without streams"),
    (
        "NOT_SPECIFIED",
        "tcp_v4_rcv",
        "what the other end says after our own end of a connection: TIME_WAIT has read it, and answered where it must",
    ),
    ("NOT_SPECIFIED", "tcp_v6_rcv", "the same over IPv6"),
    ("NOT_SPECIFIED", "igmp_rcv", "membership reports of others, which only a multicast router reads"),
];

/// The rule for a reason in a function; a name that is too long is cut, and matches nothing.
pub(super) fn function(reason: u32, name: &str) -> IgnoredFunction {
    let mut rule = IgnoredFunction { reason, name: [0; FUNCTION_LEN] };
    rule.name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    rule
}

#[cfg(test)]
mod tests {
    use eyepiece_wire::FUNCTION_LEN;

    use super::{QUIET, function};

    #[test]
    fn names_of_functions_fit_into_rules() {
        assert_eq!(function(3, "ip_rcv").name[..7], *b"ip_rcv\0");
        for (_, name, _) in QUIET {
            // The kernel ends the name that it writes with a zero.
            assert!(name.len() < FUNCTION_LEN && !name.contains('.'), "{name}");
        }
    }
}
