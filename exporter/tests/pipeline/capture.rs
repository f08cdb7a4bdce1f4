//! Checks the bytes of a packet that the datapath has to capture.

use eyepiece::source::datapath::object::MIN_CAPTURE;
use eyepiece_flow::decode;
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::flow::{Flow, L4, TcpFlags};
use eyepiece_tests::notification::{ethernet, ipv6, padded, tag, tcp, trace};

fn decode(packet: &[u8]) -> Flow {
    let data = padded(trace(1).packet(packet));
    decode::decode_flow(&RawEvent { time: 0, cpu: 0, data: &data, traffic: None, kernel_drop: None })
        .expect("a good header")
}

#[test]
fn smallest_capture_shows_longest_headers() {
    let packet = ethernet(0x88a8, &tag(5, 0x8100, &tag(7, 0x86dd, &ipv6(6, &tcp(2)))));
    let capture = MIN_CAPTURE as usize;
    assert_eq!(packet.len(), capture + 1, "Ethernet, two VLAN tags, IPv6, TCP, and a byte of data");
    let flow = decode(&packet[..capture]);
    let syn = L4::Tcp { source_port: 1000, destination_port: 80, flags: TcpFlags(TcpFlags::SYN) };
    assert_eq!((flow.l4, flow.vlan, flow.ip.is_some()), (syn, Some(5), true));
    assert_eq!(decode(&packet[..capture - 1]).l4, L4::None, "one byte less shows no flags");
}
