//! Drop notifications.

use eyepiece_flow::cilium_release::Release;
use eyepiece_flow::decode::Message;
use eyepiece_flow::event::{KernelDrop, RawEvent};
use eyepiece_flow::flow::{FileInfo, Verdict};
use eyepiece_flow::{decode, names};

use crate::{check_cuts, decode_flow};
use eyepiece_tests::notification::{drop, ethernet, ipv4, ipv6, tcp};

fn tcp4() -> Vec<u8> {
    ethernet(0x0800, &ipv4(6, &tcp(2)))
}

#[test]
fn headers_of_every_version() {
    check_cuts(&drop(0).bytes(), Message::Drop, &[(36, 36)]);
    check_cuts(&drop(1).bytes(), Message::Drop, &[(36, 36)]);
    check_cuts(&drop(2).bytes(), Message::Drop, &[(36, 36), (40, 40)]);
    check_cuts(&drop(3).bytes(), Message::Drop, &[(36, 36), (48, 48)]);
    for version in 0..=3 {
        let header = drop(version)
            .set(2, &[0x34, 0x12])
            .set(16, &[1, 0, 0, 1])
            .set(20, &[2, 0, 0, 0])
            .set(28, &[0x39, 0x05, 2])
            .set(32, &[7, 0, 0, 0]);
        let flow = decode_flow(&header.packet(&tcp4())).unwrap();
        assert_eq!((flow.verdict, flow.drop_reason), (Verdict::Dropped, 133));
        assert_eq!(flow.datapath_endpoint, 0x1234);
        assert_eq!((flow.source.identity, flow.destination.identity), (0x0100_0001, 2));
        assert_eq!(flow.file, Some(FileInfo { id: 2, line: 1337, release: Release::V1_20 }));
        assert_eq!((flow.is_reply, flow.observation_point, flow.trace_reason), (None, None, None));
        assert_eq!(flow.ifindex, 0, "Cilium's drops show no interface");
        assert_eq!(flow.l4.ports(), Some((1000, 80)), "version {version}: the packet is behind the header");
    }
}

#[test]
fn ip_trace_id_needs_newest_version() {
    let flow = decode_flow(&drop(3).set(40, &[1, 2, 3, 4, 5, 6, 7, 8]).packet(&[])).unwrap();
    assert_eq!(flow.ip_trace_id, 0x0807_0605_0403_0201);
}

#[test]
fn flags_from_version_2_on() {
    for (version, flags, packet, version_of_ip) in [
        (2, 2, ipv4(6, &tcp(2)), Some(4)),
        (2, 3, ipv6(6, &tcp(2)), Some(6)),
        (3, 2, ipv4(6, &tcp(2)), Some(4)),
        (3, 0, tcp4(), Some(4)),
    ] {
        let flow = decode_flow(&drop(version).set(36, &[flags]).packet(&packet)).unwrap();
        assert_eq!(flow.ip.map(|ip| ip.version), version_of_ip);
        assert_eq!(flow.ethernet.is_some(), flags & 2 == 0);
    }
    // Version 1 ends before them: this byte is the packet's.
    let flow = decode_flow(&drop(1).packet(&tcp4())).unwrap();
    assert_eq!(flow.ethernet.map(|ethernet| ethernet.destination), Some([2, 0, 0, 0, 0, 2]));
}

#[test]
fn kernel_drop_has_own_reason() {
    let kernel_drop = Some(KernelDrop { reason: 0x1_0009, location: 1, netns: 2 });
    let data = drop(0).set(1, &[0]).set(28, &[9, 0, 241]).set(32, &[7, 0, 0, 0]).packet(&tcp4());
    let flow = decode::decode_flow(&RawEvent { time: 0, cpu: 0, data: &data, traffic: None, kernel_drop }).unwrap();
    assert_eq!((flow.drop_reason, flow.kernel_drop, flow.ifindex), (0, kernel_drop, 7));
    assert_eq!(flow.file.and_then(names::kernel_reason), Some(0x1_0009));
}
