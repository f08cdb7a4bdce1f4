//! Any bytes give a flow or an error.

use eyepiece_flow::agent_event::AgentEventKind;
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::decode::{EVENT_DEBUG, HeaderError, Pairing};
use eyepiece_flow::flow::{EVENT_DROP, EVENT_SOCK};
use eyepiece_flow::gob::encode::agent_notify;
use eyepiece_flow::record::Observed;
use eyepiece_flow::{debug_text, decode};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq, proptest};

use crate::{decode_flow, event, summary};
use eyepiece_tests::notification::{drop, ethernet, geneve, ipv4, ipv6, tcp, trace, udp_ports, usual, vxlan};

proptest! {
    #[test]
    fn any_bytes_of_any_kind(kind in select(vec![2u8, 6, 7, 129, 130]), rest in vec(any::<u8>(), 0..300)) {
        let data = [&[kind][..], &rest].concat();
        for guess_sock in [false, true] {
            let producer = Producer { guess_sock, ..Producer::default() };
            match decode::decode(&event(&data), producer, &mut Pairing::new(1)) {
                Ok(Observed::Flow(flow)) => prop_assert!(summary(&flow).len() < 10 * data.len() + 100),
                Ok(Observed::Debug(event)) => {
                    let mut message = String::new();
                    debug_text::write(&event, &mut |_, _| Ok(()), &mut message).expect("a String takes every text");
                    prop_assert!(!message.is_empty() && message.len() < 200);
                }
                Ok(Observed::Agent(_)) => {}
                Ok(Observed::Lost(lost)) => prop_assert!(false, "{lost:?}"),
                Err(error) => prop_assert!(!error.reason().is_empty()),
            }
        }
    }

    #[test]
    fn agent_texts_never_panic(kind in 0..14u32, text in prop_oneof![
        "[ -~]{0,80}",
        Just(r#"{"id":1,"labels":[],"cidr":"::/0","old-id":0,"backend-addresses":[{}],"time":""}"#.to_owned()),
        Just("{}".to_owned()),
        Just("[null]".to_owned()),
    ]) {
        let mut data = vec![130];
        agent_notify(&mut data, kind, &text);
        let decoded = decode::decode(&event(&data), Producer::default(), &mut Pairing::new(1));
        match decoded {
            Ok(Observed::Agent(event)) => prop_assert_eq!(event.kind == AgentEventKind::Unknown, !(2..=10).contains(&kind)),
            Ok(other) => prop_assert!(false, "{other:?}"),
            Err(error) => prop_assert!((2..=10).contains(&kind) && error.reason() == "record_json"),
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(data in vec(any::<u8>(), 0..600)) {
        match decode_flow(&data) {
            Ok(flow) => prop_assert!(summary(&flow).len() < 100),
            Err(error) => prop_assert!(!error.reason().is_empty()),
        }
    }

    #[test]
    fn any_packet_behind_header_decodes(
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
        let flow = decode_flow(&header.packet(&packet));
        prop_assert!(flow.is_ok_and(|flow| summary(&flow).len() < 100));
    }

    #[test]
    fn messages_of_other_types(kind: u8, rest in vec(any::<u8>(), 0..100)) {
        let known = (EVENT_DROP..=EVENT_SOCK).contains(&kind) && kind != EVENT_DEBUG;
        let refused = match decode_flow(&[&[kind][..], &rest].concat()) {
            Err(HeaderError::Invalid { offset, value, .. }) => offset == 0 && value == kind,
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
            let cut = decode_flow(&payload[..length]);
            assert!(cut.is_ok() || length < header, "{name} cut to {length} of {}: {cut:?}", payload.len());
        }
    }
}

#[test]
fn packets_in_packets_end() {
    // As deep as a captured length allows: no recursion, so no stack to run out of.
    let mut packet = Vec::new();
    while packet.len() < 65_000 {
        packet.splice(0..0, ipv4(4, &[]));
        packet[2..4].fill(0);
    }
    assert!(decode_flow(&trace(1).set(27, &[2]).packet(&packet)).unwrap().ip.is_some());
    let mut packet = ethernet(0x0800, &ipv4(6, &tcp(2)));
    while packet.len() < 60_000 {
        packet = ethernet(0x0800, &ipv4(17, &udp_ports(1, 4789, &vxlan(1, &packet))));
    }
    assert_eq!(decode_flow(&trace(1).set(27, &[4]).packet(&packet)).unwrap().l4.ports(), Some((1000, 80)));
}
