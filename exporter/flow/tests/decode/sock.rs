//! Socket events of both forms.

use eyepiece_flow::cilium_release::{Producer, Release};
use eyepiece_flow::decode;
use eyepiece_flow::decode::{HeaderError, Message};
use eyepiece_flow::flow::{Flow, L4, Sock, TcpFlags, TranslationPoint, Verdict};

use crate::{event, summary};

/// An event from 1.19 on: point, protocol, flags, port 443, cookie 5, control group 9001, address 10.0.0.2.
fn new(point: u8, protocol: u8, flags: u8, address: [u8; 16]) -> Vec<u8> {
    let port = 443_u16.to_le_bytes();
    let mut data = vec![7, point, protocol, flags, port[0], port[1], 0, 0];
    data.extend(5_u64.to_le_bytes());
    data.extend(9001_u64.to_le_bytes());
    data.extend(address);
    data
}

/// The same of 1.18 and before.
fn old(point: u8, protocol: u8, flags: u8, address: [u8; 16]) -> Vec<u8> {
    let mut data = vec![7, point];
    data.extend(address);
    data.extend(443_u16.to_le_bytes());
    data.extend(5_u64.to_le_bytes());
    data.extend(9001_u64.to_le_bytes());
    data.extend([protocol, flags]);
    data
}

const V4: [u8; 16] = [10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

fn decode_flow(data: &[u8], producer: Producer) -> Result<Flow, HeaderError> {
    decode::decode_flow_from(&event(data), producer)
}

fn padded(mut data: Vec<u8>) -> Vec<u8> {
    data.resize(44, 0xee);
    data
}

#[test]
fn both_forms_give_same_flow() {
    let (v1_18, v1_19) = (Producer::from(Release::V1_18), Producer::from(Release::V1_19));
    let guess = Producer { guess_sock: true, ..Producer::default() };
    for (point, protocol, flags, address) in [(1, 1, 0, V4), (2, 2, 0, V4), (3, 1, 1, V6), (4, 2, 1, V6), (1, 0, 0, V4)]
    {
        let ours = decode_flow(&new(point, protocol, flags, address), v1_19).unwrap();
        for (data, producer) in [
            (padded(new(point, protocol, flags, address)), v1_19),
            (old(point, protocol, flags, address), v1_18),
            (padded(old(point, protocol, flags, address)), v1_18),
            (padded(old(point, protocol, flags, address)), guess),
            (padded(new(point, protocol, flags, address)), guess),
            (old(point, protocol, flags, address), guess),
        ] {
            assert_eq!(decode_flow(&data, producer), Ok(ours.clone()), "{data:x?} {producer:?}");
        }
    }
}

#[test]
fn ends_verdicts_and_ports() {
    let tcp = |source_port, destination_port| L4::Tcp { source_port, destination_port, flags: TcpFlags(0) };
    for (point, l4, verdict, name) in [
        (0, tcp(0, 443), Verdict::Unknown, Some("SOCK_XLATE_POINT_UNKNOWN")),
        (1, tcp(0, 443), Verdict::Traced, Some("SOCK_XLATE_POINT_PRE_DIRECTION_FWD")),
        (2, tcp(0, 443), Verdict::Translated, Some("SOCK_XLATE_POINT_POST_DIRECTION_FWD")),
        (3, tcp(443, 0), Verdict::Traced, Some("SOCK_XLATE_POINT_PRE_DIRECTION_REV")),
        (4, tcp(443, 0), Verdict::Translated, Some("SOCK_XLATE_POINT_POST_DIRECTION_REV")),
        (9, tcp(0, 443), Verdict::Unknown, None),
    ] {
        let flow = decode_flow(&new(point, 1, 0, V4), Producer::default()).unwrap();
        let is_reverse = matches!(point, 3 | 4);
        assert_eq!((flow.verdict, flow.l4), (verdict, l4), "{point}");
        let sock = Sock { point: TranslationPoint::from_number(point), cookie: 5, cgroup: 9001 };
        assert_eq!((flow.sock, sock.point.number(), sock.point.name()), (Some(sock), point, name));
        // The socket's own address is not in the event.
        assert_eq!((flow.no_source_address, flow.no_destination_address), (!is_reverse, is_reverse));
        let ip = flow.ip.unwrap();
        assert_eq!((if is_reverse { ip.source } else { ip.destination }, ip.version), ([10, 0, 0, 2].into(), 4));
        assert_eq!((flow.is_reply, summary(&flow).as_str()), (None, "TCP"));
    }
    for (protocol, text) in [(2, "UDP"), (0, "Unknown"), (3, "Unknown")] {
        assert_eq!(summary(&decode_flow(&new(1, protocol, 0, V4), Producer::default()).unwrap()), text);
    }
}

#[test]
fn cut_forms_are_incomplete() {
    for (data, producer) in
        [(new(1, 1, 0, V4), Producer::default()), (old(1, 1, 0, V4), Producer::from(Release::V1_15))]
    {
        for have in 1..data.len() {
            let expected = HeaderError::Incomplete { message: Message::Sock, needed: data.len(), have };
            assert_eq!(decode_flow(&data[..have], producer), Err(expected));
        }
    }
}
