//! Recorder captures.

use eyepiece_flow::decode::Message;
use eyepiece_flow::flow::{Direction, EventType, L4, Verdict};

use crate::{check_cuts, decode_flow};
use eyepiece_tests::notification::{ethernet, ipv4, udp};

fn capture(direction: u8, packet: &[u8], captured: u32) -> Vec<u8> {
    let mut data = vec![6, direction, 7, 0, 0, 0, 0, 0];
    data.extend(123_u64.to_le_bytes());
    data.extend(captured.to_le_bytes());
    data.extend(1500_u32.to_le_bytes());
    data.extend(packet);
    data
}

#[test]
fn recorder_capture_has_rule() {
    let packet = ethernet(0x0800, &ipv4(17, &udp(b"query")));
    for (number, direction) in [(1, Direction::Ingress), (2, Direction::Egress), (0, Direction::Egress)] {
        let flow = decode_flow(&capture(number, &packet, packet.len() as u32)).unwrap();
        assert_eq!((flow.direction, flow.recorder_rule, flow.verdict), (direction, 7, Verdict::Unknown));
        assert_eq!(flow.event_type, EventType { kind: 6, subtype: number });
        assert_eq!(flow.l4, L4::Udp { source_port: 1000, destination_port: 53 });
    }
    // What stands behind the captured length is padding.
    assert!(decode_flow(&capture(1, &packet, 14)).unwrap().ip.is_none());
    assert!(decode_flow(&capture(1, &packet, u32::MAX)).unwrap().ip.is_some());
}

#[test]
fn cut_headers_are_incomplete() {
    check_cuts(&capture(1, &[], 0), Message::RecorderCapture, &[(usize::MAX, 24)]);
}
