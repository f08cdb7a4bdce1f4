//! Any bytes give a flow or an error.

use eyepiece::flow::{EVENT_CAPTURE, EVENT_DROP, EVENT_POLICY_VERDICT, EVENT_TRACE};
use eyepiece::parser::ParseError;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::{prop_assert, proptest};

use crate::payloads::{drop, ethernet, geneve, ipv4, ipv6, tcp, trace, udp_ports, usual, vxlan};
use crate::{parse, summary};

proptest! {
    #[test]
    fn any_bytes(data in vec(any::<u8>(), 0..600)) {
        match parse(&data) {
            Ok(flow) => prop_assert!(summary(&flow).len() < 100),
            Err(error) => prop_assert!(!error.reason().is_empty()),
        }
    }

    #[test]
    fn any_packet_behind_a_good_header(
        header in prop_oneof![
            (0..=2u8, any::<u8>()).prop_map(|(version, flags)| trace(version).set(27, &[flags])),
            (2..=3u8, any::<u8>()).prop_map(|(version, flags)| drop(version).set(36, &[flags])),
        ],
        packet in prop_oneof![
            vec(any::<u8>(), 0..300),
            // Headers that lead deeper than chance does.
            (select(vec![0x0800u16, 0x86dd, 0x8100, 0x6558]), vec(any::<u8>(), 0..300))
                .prop_map(|(ethertype, payload)| ethernet(ethertype, &payload)),
            (any::<u8>(), vec(any::<u8>(), 0..300)).prop_map(|(next, payload)| ethernet(0x86dd, &ipv6(next, &payload))),
            (any::<u8>(), vec(any::<u8>(), 0..300)).prop_map(|(next, payload)| ethernet(0x0800, &ipv4(next, &payload))),
            (0..64u8, vec(any::<u8>(), 0..300)).prop_map(|(options, payload)| {
                ethernet(0x0800, &ipv4(17, &udp_ports(1, 2, &geneve(1, options, 0x6558, &payload))))
            }),
        ],
    ) {
        let flow = parse(&header.packet(&packet));
        prop_assert!(flow.is_ok_and(|flow| summary(&flow).len() < 100));
    }

    #[test]
    fn messages_of_other_types(kind: u8, rest in vec(any::<u8>(), 0..100)) {
        let known = [EVENT_DROP, EVENT_CAPTURE, EVENT_TRACE, EVENT_POLICY_VERDICT].contains(&kind);
        let refused = match parse(&[&[kind][..], &rest].concat()) {
            Err(ParseError::Invalid { offset, value, .. }) => offset == 0 && value == kind,
            _ => false,
        };
        prop_assert!(known || refused);
    }
}

#[test]
fn cut_at_every_length() {
    for (name, payload) in usual() {
        let header = payload.len() - usize::from(u16::from_le_bytes([payload[12], payload[13]]));
        for length in 0..=payload.len() {
            // At most 7 bytes of `header` are padding.
            let cut = parse(&payload[..length]);
            assert!(cut.is_ok() || length < header, "{name} cut to {length} of {}: {cut:?}", payload.len());
        }
    }
}

#[test]
fn packets_in_packets_end() {
    // As deep as a captured length can tell: no recursion, so no stack to run out of.
    let mut packet = Vec::new();
    while packet.len() < 65_000 {
        packet.splice(0..0, ipv4(4, &[]));
        packet[2..4].fill(0);
    }
    assert!(parse(&trace(1).set(27, &[2]).packet(&packet)).unwrap().ip.is_some());
    let mut packet = ethernet(0x0800, &ipv4(6, &tcp(2)));
    while packet.len() < 60_000 {
        packet = ethernet(0x0800, &ipv4(17, &udp_ports(1, 4789, &vxlan(1, &packet))));
    }
    assert_eq!(parse(&trace(1).set(27, &[4]).packet(&packet)).unwrap().l4.ports(), Some((1000, 80)));
}
