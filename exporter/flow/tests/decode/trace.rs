//! Trace notifications.

use std::net::IpAddr;

use eyepiece_flow::cilium_release::Release;
use eyepiece_flow::decode;
use eyepiece_flow::decode::Message;
use eyepiece_flow::flow::{Direction, Verdict};

use crate::{check_cuts, decode_flow, event};
use eyepiece_tests::notification::{ethernet, ipv4, ipv6, tcp, trace};

fn tcp4() -> Vec<u8> {
    ethernet(0x0800, &ipv4(6, &tcp(2)))
}

#[test]
fn headers_of_every_version() {
    check_cuts(&trace(0).bytes(), Message::Trace, &[(32, 32)]);
    check_cuts(&trace(1).bytes(), Message::Trace, &[(32, 32), (48, 48)]);
    check_cuts(&trace(2).bytes(), Message::Trace, &[(32, 32), (56, 56)]);
    for version in 0..=2 {
        let header = trace(version)
            .set(1, &[11])
            .set(2, &[0x34, 0x12])
            .set(16, &[1, 0, 0, 1])
            .set(20, &[2, 0, 0, 0])
            .set(28, &[7, 0, 0, 0]);
        let flow = decode_flow(&header.packet(&tcp4())).unwrap();
        assert_eq!(flow.verdict, Verdict::Forwarded);
        assert_eq!(flow.datapath_endpoint, 0x1234);
        assert_eq!((flow.source.identity, flow.destination.identity), (0x0100_0001, 2));
        assert_eq!((flow.observation_point, flow.ifindex, flow.proxy_port), (Some(11), 7, 0));
        assert_eq!(flow.l4.ports(), Some((1000, 80)), "version {version}: the packet is behind the header");
    }
}

#[test]
fn ip_trace_id_needs_newest_version() {
    for (version, expected) in [(1, 0), (2, 0x0807_0605_0403_0201)] {
        let length = trace(version).bytes().len();
        let flow = decode_flow(&trace(version).set(length - 8, &[1, 2, 3, 4, 5, 6, 7, 8]).packet(&[])).unwrap();
        assert_eq!(flow.ip_trace_id, expected, "version {version}");
    }
}

#[test]
fn reason_byte_gives_reply_and_encryption() {
    for (byte, reason, encrypted, is_reply) in [
        (0, 0, false, Some(false)),
        (1, 1, false, Some(false)),
        (2, 2, false, Some(true)),
        (0x82, 2, true, Some(true)),
        (3, 3, false, Some(false)),
        (5, 5, false, None),
        (0x85, 5, true, None),
        (6, 6, false, None),
        (7, 7, false, None),
        (8, 8, false, Some(false)),
        (0x7f, 0x7f, false, Some(false)),
    ] {
        let flow = decode_flow(&trace(0).set(26, &[byte]).packet(&tcp4())).unwrap();
        assert_eq!(
            (flow.trace_reason, flow.encrypted, flow.is_reply),
            (Some(reason), encrypted, is_reply),
            "{byte:#x}"
        );
    }
}

/// The reason 8 does not decide on a reply only if it is an encapsulation; other reasons are equal in all releases.
#[test]
fn reason_8_depends_on_release() {
    use Release::{V1_15, V1_16, V1_17, V1_18, V1_19, V1_20};
    for release in [V1_15, V1_16, V1_17, V1_18, V1_19, V1_20] {
        for reason in 0..=9 {
            let expected = match reason {
                5..=7 => None,
                8 if release <= V1_18 => None,
                _ => Some(reason == 2),
            };
            for byte in [reason, reason | 0x80] {
                let data = trace(1).set(26, &[byte]).packet(&tcp4());
                let flow = decode::decode_flow_from(&event(&data), release.into()).unwrap();
                assert_eq!((flow.trace_reason, flow.is_reply), (Some(reason), expected), "{release:?} {byte}");
            }
        }
    }
}

#[test]
fn proxy_traces_have_destination_port() {
    for (point, port) in [(0, 0), (1, 10_000), (2, 0)] {
        let flow = decode_flow(&trace(1).set(1, &[point]).set(24, &[0x10, 0x27]).packet(&[])).unwrap();
        assert_eq!((flow.observation_point, flow.proxy_port), (Some(point), port));
    }
}

#[test]
fn addresses_before_translation() {
    const V4: [u8; 16] = [192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
    let tcp6 = ethernet(0x86dd, &ipv6(6, &tcp(2)));
    for (flags, original, packet, is_reported, source, translated) in [
        (0, [0; 16], tcp4(), false, "10.0.0.1", None),
        (0, V4, tcp4(), true, "192.0.2.1", Some("10.0.0.1")),
        // The same address: nothing was translated, but the datapath reports it.
        (0, [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], tcp4(), true, "10.0.0.1", None),
        // The header's flag decides about the form, not the packet.
        (0, V4, tcp6.clone(), true, "192.0.2.1", Some("fd00::1")),
        (1, V4, tcp6.clone(), true, "c000:201::9", Some("fd00::1")),
        (1, MAPPED, tcp6, true, "::ffff:192.0.2.1", Some("fd00::1")),
    ] {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let flow = decode_flow(&trace(1).set(2, &[9]).set(27, &[flags]).set(32, &original).packet(&packet)).unwrap();
        let ip = flow.ip.unwrap();
        assert_eq!((ip.source, ip.source_translated), (address(source), translated.map(address)));
        assert_eq!((flow.original_ip, flow.direction == Direction::Egress), (is_reported, is_reported));
    }
}

#[test]
fn translated_address_needs_packet() {
    let flow = decode_flow(&trace(1).set(2, &[9]).set(32, &[1; 16]).packet(&[])).unwrap();
    assert_eq!((flow.ip, flow.original_ip, flow.direction), (None, true, Direction::Egress));
}
