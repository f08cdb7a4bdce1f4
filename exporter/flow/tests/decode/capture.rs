//! Debug captures.

use eyepiece_flow::decode::Message;
use eyepiece_flow::flow::{Direction, Verdict};

use crate::{check_cuts, decode_flow};
use eyepiece_tests::notification::{capture, ethernet, ipv6, udp};

#[test]
fn capture_header_cut_is_incomplete() {
    check_cuts(&capture(4).bytes(), Message::Capture, &[(24, 24)]);
    // No version is checked, no flag is read: always Ethernet.
    let flow = decode_flow(&capture(4).set(14, &[9, 9]).packet(&ethernet(0x86dd, &ipv6(17, &udp(b"")))));
    let flow = flow.unwrap();
    assert_eq!((flow.verdict, flow.direction, flow.is_reply), (Verdict::Unknown, Direction::Unknown, None));
    assert_eq!((flow.capture_point, flow.l4.ports()), (Some(4), Some((1000, 53))));
}

#[test]
fn capture_argument_depends_on_point() {
    for (point, ifindex, proxy_port) in [
        (0, 0, 0),
        (3, 0, 0),
        (4, 0x0000_901f, 0),
        (5, 0x0000_901f, 0),
        (6, 0x0000_901f, 0),
        (7, 0x0000_901f, 0),
        (8, 0, 0x1f90_0000),
        (9, 0, 0x1f90_0000),
        (10, 0x0000_901f, 0),
        (11, 0x0000_901f, 0),
        (12, 0, 0),
    ] {
        // Port 8080 in network order.
        let flow = decode_flow(&capture(point).set(16, &[0x1f, 0x90, 0, 0]).packet(&[])).unwrap();
        assert_eq!((flow.ifindex, flow.proxy_port), (ifindex, proxy_port), "{point}");
        assert_eq!(flow.capture_point, Some(point));
    }
}
