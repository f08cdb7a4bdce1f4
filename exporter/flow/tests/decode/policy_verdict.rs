//! Policy verdicts.

use eyepiece_flow::cilium_release::Release;
use eyepiece_flow::decode;
use eyepiece_flow::decode::{HeaderError, Message};
use eyepiece_flow::flow::{Direction, Verdict};

use crate::{decode_flow, event};
use eyepiece_tests::notification::{ethernet, ipv4, ipv6, padded, tcp, verdict};

#[test]
fn number_gives_verdict_and_reason() {
    for (number, flags, expected, drop_reason, is_reply) in [
        (0, 0, Verdict::Forwarded, 0, Some(false)),
        (0, 0x40, Verdict::Audit, 0, Some(false)),
        (0x901f, 0x40, Verdict::Redirected, 0, Some(false)),
        (i32::MAX, 0, Verdict::Redirected, 0, Some(false)),
        (-133, 0, Verdict::Dropped, 133, None),
        (-181, 0x40, Verdict::Dropped, 181, None),
        (i32::MIN, 0, Verdict::Dropped, 1 << 31, None),
    ] {
        let flow = decode_flow(&verdict(40).set(20, &number.to_le_bytes()).set(27, &[flags]).bytes()).unwrap();
        assert_eq!((flow.verdict, flow.drop_reason, flow.is_reply), (expected, drop_reason, is_reply), "{number}");
        assert_eq!((flow.file, flow.proxy_port), (None, 0));
    }
}

#[test]
fn flags_give_direction_and_match() {
    for (flags, direction, policy_match) in [
        (0x00, Direction::Egress, 0),
        (0x01, Direction::Ingress, 0),
        (0x02, Direction::Egress, 0),
        (0x03, Direction::Egress, 0),
        (0x39, Direction::Ingress, 7),
        (0x12, Direction::Egress, 2),
    ] {
        let flow = decode_flow(&verdict(40).set(16, &[9]).set(27, &[flags, 1]).bytes()).unwrap();
        assert_eq!((flow.direction, flow.policy_match, flow.auth_type), (direction, policy_match, 1));
        let remote = if direction == Direction::Ingress { (9, 0) } else { (0, 9) };
        assert_eq!((flow.source.identity, flow.destination.identity), remote, "{flags:#x}");
    }
}

#[test]
fn both_forms_with_any_padding() {
    let packet = ethernet(0x0800, &ipv4(6, &tcp(2)));
    for form in [32, 40] {
        for padding in 0..8 {
            let mut data = verdict(form).packet(&packet);
            data.resize(data.len() + padding, 0xee);
            let flow = decode_flow(&data).unwrap();
            assert_eq!(flow.l4.ports(), Some((1000, 80)), "{form} bytes, {padding} of padding");
        }
    }
}

#[test]
fn ambiguous_form_is_newest() {
    let incomplete = |needed, have| Err(HeaderError::Incomplete { message: Message::PolicyVerdict, needed, have });
    let data = verdict(40).packet(&ethernet(0x0800, &ipv4(6, &tcp(2))));
    for have in [1, 31] {
        assert_eq!(decode_flow(&data[..have]), incomplete(32, have));
    }
    // Cut inside the header, as the captured length states.
    for have in [32, 39] {
        assert_eq!(decode_flow(&data[..have]), incomplete(40, have));
    }
    assert!(decode_flow(&data[..40]).is_ok());
    // Cut inside the packet: what is left of it decodes.
    assert!(decode_flow(&data[..60]).unwrap().ethernet.is_some());
}

#[test]
fn cut_header_without_packet_is_refused() {
    let from = |data: &[u8], release: Release| decode::decode_flow_from(&event(data), release.into());
    let data = verdict(40).bytes();
    for have in 32..40 {
        for release in [Release::V1_19, Release::V1_20] {
            let incomplete = HeaderError::Incomplete { message: Message::PolicyVerdict, needed: 40, have };
            assert_eq!(from(&data[..have], release), Err(incomplete));
        }
        // Up to 1.18 these are whole headers.
        assert!(from(&data[..have], Release::V1_18).is_ok(), "{have}");
    }
}

#[test]
fn devices_without_ethernet() {
    for (flags, packet, version) in [
        (0x80, ipv4(6, &tcp(2)), 4),
        (0x84, ipv6(6, &tcp(2)), 6),
        (0x04, ethernet(0x86dd, &ipv6(6, &tcp(2))), 6),
        // With Ethernet the ethertype decides.
        (0x04, ethernet(0x0800, &ipv4(6, &tcp(2))), 4),
    ] {
        let flow = decode_flow(&padded(verdict(40).set(27, &[flags]).packet(&packet))).unwrap();
        assert_eq!(flow.ip.map(|ip| ip.version), Some(version), "{flags:#x}");
        assert_eq!(flow.ethernet.is_some(), flags & 0x80 == 0);
    }
}
