//! Frees that are no drops, although the kernel reports them through the same tracepoint: the one list of them.

use eyepiece_wire::{QUIET_PLACES, Quiet};

use super::kernel_names::KernelNames;

/// A reason, a function, and why a free with that reason there is no drop.
type Rule = (&'static str, &'static str, &'static str);

/// Reasons that are never a drop: names as in the kernel's `enum skb_drop_reason` without prefix, and why.
pub(super) const NO_DROPS: &[(&str, &str)] =
    &[("CONSUMED", "the packet reached its reader"), ("NOT_DROPPED_YET", "the number 0: no decision was made")];

/// Reasons that are no drop in one function of the kernel.
pub(super) const QUIET: &[Rule] = &[
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

/// The places of rules in this kernel, as many as there is room for, and the rules (`reason in function`) that have none.
/// A reason that the kernel does not have cannot be reported, so its rules are not missed.
pub(super) fn places(names: &KernelNames, rules: &[Rule]) -> (Vec<Quiet>, Vec<String>) {
    let (mut places, mut unmatched) = (Vec::new(), Vec::new());
    for (reason, function, _) in rules {
        let Some(number) = names.number(reason) else { continue };
        let before = places.len();
        let free = (QUIET_PLACES as usize).saturating_sub(before);
        let found = names.function(function).take(free);
        places.extend(found.map(|(start, end)| Quiet { start, end, reason: u64::from(number) }));
        if places.len() == before {
            unmatched.push(format!("{reason} in {function}"));
        }
    }
    (places, unmatched)
}

#[cfg(test)]
mod tests {
    use eyepiece_wire::{QUIET_PLACES, Quiet};

    use super::places;
    use crate::source::datapath::kernel_names::KernelNames;

    #[test]
    fn unmatched_rules_are_returned() {
        let names = KernelNames::of(&[(2, "NOT_SPECIFIED")], "100 t igmp_rcv.isra.0\n180 T next\n1c0 T last\n");
        let rules = [
            ("NOT_SPECIFIED", "igmp_rcv", "a copy of the compiler's"),
            ("NOT_SPECIFIED", "tcp_v4_rcv", "not there"),
            ("UNHEARD_OF", "next", "a reason of another kernel"),
        ];
        let (found, unmatched) = places(&names, &rules);
        assert_eq!(found, [Quiet { start: 0x100, end: 0x180, reason: 2 }]);
        assert_eq!(unmatched, ["NOT_SPECIFIED in tcp_v4_rcv"]);
    }

    #[test]
    fn rules_without_room_are_returned() {
        let pieces: String = (0..=QUIET_PLACES).map(|n| format!("{:x} t igmp_rcv.part.{n}\n", 0x100 + n)).collect();
        let names = KernelNames::of(&[(2, "NOT_SPECIFIED")], &(pieces + "900 T next\na00 T last\n"));
        let rules = [("NOT_SPECIFIED", "igmp_rcv", "many pieces"), ("NOT_SPECIFIED", "next", "one too many")];
        let (found, unmatched) = places(&names, &rules);
        assert_eq!(found.len(), QUIET_PLACES as usize);
        assert_eq!(unmatched, ["NOT_SPECIFIED in next"]);
    }
}
