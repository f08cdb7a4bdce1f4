//! Socket translations (message type 7): Cilium `bpf/bpf_sock.c`, `struct trace_sock_notify`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bytes::{array, u16_le};
use super::error::{HeaderError, Message};
use super::header;
use crate::cilium_release::{Producer, Release};
use crate::flow::{Flow, Ip, L4, Sock, TcpFlags, TranslationPoint, Verdict};

/// Bytes of the packed form up to Cilium 1.18.
const OLD_LEN: usize = 38;
/// Bytes of the form from Cilium 1.19 on, with its fields in another order.
const NEW_LEN: usize = 40;

/// Bit of the flags: the address is IPv6.
const IPV6: u8 = 1;
/// `l4_proto`: TCP.
const TCP: u8 = 1;
/// `l4_proto`: UDP.
const UDP: u8 = 2;

/// The fields of both forms, which have no version.
struct Notification {
    point: u8,
    protocol: u8,
    flags: u8,
    port: u16,
    cookie: u64,
    cgroup: u64,
    address: [u8; 16],
}

/// Fills a flow from a socket event. It has no address of the socket itself, which is marked as unknown.
///
/// # Errors
/// The event is incomplete.
pub(super) fn decode(data: &[u8], producer: Producer, flow: &mut Flow) -> Result<(), HeaderError> {
    let notification = if is_old(data, producer) { old(data)? } else { new(data)? };
    let peer = notification.peer();
    let point = TranslationPoint::from_number(notification.point);
    let (source_port, destination_port) =
        if point.is_reverse() { (notification.port, 0) } else { (0, notification.port) };
    flow.verdict = match point {
        TranslationPoint::PreForward | TranslationPoint::PreReverse => Verdict::Traced,
        TranslationPoint::PostForward | TranslationPoint::PostReverse => Verdict::Translated,
        TranslationPoint::Unknown | TranslationPoint::Other(_) => Verdict::Unknown,
    };
    let version = if notification.flags & IPV6 == 0 { 4 } else { 6 };
    flow.ip = Some(Ip { source: peer, source_translated: None, destination: peer, version });
    flow.no_source_address = !point.is_reverse();
    flow.no_destination_address = point.is_reverse();
    flow.l4 = match notification.protocol {
        TCP => L4::Tcp { source_port, destination_port, flags: TcpFlags(0) },
        UDP => L4::Udp { source_port, destination_port },
        _ => L4::None,
    };
    flow.sock = Some(Sock { point, cookie: notification.cookie, cgroup: notification.cgroup });
    Ok(())
}

/// Returns whether an event has the old form. Both arrive as 44 bytes: the producer's release decides, or, if a guess is
/// configured, values that the new form never has.
fn is_old(data: &[u8], producer: Producer) -> bool {
    if !producer.guess_sock {
        return producer.release < Release::V1_19;
    }
    match data.first_chunk::<NEW_LEN>() {
        Some(head) => head[2] > UDP || head[3] > IPV6 || u16_le(head, 6) != 0 || array::<NEW_LEN, 8>(head, 8) == [0; 8],
        None => true,
    }
}

fn new(data: &[u8]) -> Result<Notification, HeaderError> {
    let head = header::take::<NEW_LEN>(data, Message::Sock)?;
    Ok(Notification {
        point: head[1],
        protocol: head[2],
        flags: head[3],
        port: u16_le(head, 4),
        cookie: u64::from_le_bytes(array(head, 8)),
        cgroup: u64::from_le_bytes(array(head, 16)),
        address: array(head, 24),
    })
}

fn old(data: &[u8]) -> Result<Notification, HeaderError> {
    let head = header::take::<OLD_LEN>(data, Message::Sock)?;
    Ok(Notification {
        point: head[1],
        protocol: head[36],
        flags: head[37],
        port: u16_le(head, 18),
        cookie: u64::from_le_bytes(array(head, 20)),
        cgroup: u64::from_le_bytes(array(head, 28)),
        address: array(head, 2),
    })
}

impl Notification {
    /// The peer's address; IPv4 in the first four bytes.
    fn peer(&self) -> IpAddr {
        if self.flags & IPV6 == 0 {
            IpAddr::V4(Ipv4Addr::from(array::<16, 4>(&self.address, 0)))
        } else {
            IpAddr::V6(Ipv6Addr::from(self.address))
        }
    }
}
