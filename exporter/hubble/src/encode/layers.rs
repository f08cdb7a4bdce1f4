//! Encodes link, network and transport layer, and tunnels.

use eyepiece_flow::flow::{Ethernet, Ip, L4, TcpFlags, Tunnel};
use eyepiece_flow::{names, text};

use super::field::{ascii, open_enum};
use crate::wire::{boolean, message, number, signed, written};

pub(super) fn ethernet(ethernet: &Ethernet, out: &mut Vec<u8>) {
    message(out, 4, |out| {
        ascii(out, 1, &text::mac(&ethernet.source));
        ascii(out, 2, &text::mac(&ethernet.destination));
    });
}

/// Appends the fields of an `IP`; `known` = the addresses are known.
pub(super) fn ip(ip: &Ip, known: [bool; 2], encrypted: bool, out: &mut Vec<u8>) {
    if known[0] {
        written(out, 1, |out| text::address(out, ip.source));
    }
    if known[1] {
        written(out, 2, |out| text::address(out, ip.destination));
    }
    let version = match ip.version {
        4 => 1,
        6 => 2,
        _ => 0,
    };
    open_enum(out, 3, version);
    boolean(out, 4, encrypted);
    if let Some(address) = ip.source_translated {
        written(out, 5, |out| text::address(out, address));
    }
}

/// Appends the fields of a `Tunnel`.
pub(super) fn tunnel(tunnel: &Tunnel, out: &mut Vec<u8>) {
    open_enum(out, 1, tunnel.protocol);
    // Only tunnels of other servers may lack outer addresses.
    if tunnel.ip.version != 0 {
        message(out, 2, |out| ip(&tunnel.ip, [true; 2], false, out));
    }
    l4(&tunnel.l4, 3, true, out);
    number(out, 4, tunnel.vni.into());
}

/// Appends a `Layer4`, if there is one; `is_packet` = with TCP flags.
pub(super) fn l4(l4: &L4, field: u32, is_packet: bool, out: &mut Vec<u8>) {
    match *l4 {
        L4::None => {}
        L4::Tcp { source_port, destination_port, flags } => nested(field, 1, out, |out| {
            ports(source_port, destination_port, out);
            if is_packet {
                message(out, 3, |out| tcp_flags(flags, out));
            }
        }),
        L4::Udp { source_port, destination_port } => {
            nested(field, 2, out, |out| ports(source_port, destination_port, out));
        }
        L4::Icmp4 { kind, code } => nested(field, 3, out, |out| icmp(kind, code, out)),
        L4::Icmp6 { kind, code } => nested(field, 4, out, |out| icmp(kind, code, out)),
        L4::Sctp { source_port, destination_port, chunk_type } => nested(field, 5, out, |out| {
            ports(source_port, destination_port, out);
            signed(out, 3, names::sctp_chunk_number(chunk_type).into());
        }),
        L4::Vrrp { kind, vrid, priority } => nested(field, 6, out, |out| {
            number(out, 1, kind.into());
            number(out, 2, vrid.into());
            number(out, 3, priority.into());
        }),
        L4::Igmp { kind, group } => nested(field, 7, out, |out| {
            number(out, 1, kind.into());
            written(out, 2, |out| text::address(out, group.into()));
        }),
    }
}

/// Appends a protocol's message in its `Layer4`.
#[inline]
fn nested(field: u32, protocol: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    message(out, field, |out| message(out, protocol, body));
}

fn ports(source: u16, destination: u16, out: &mut Vec<u8>) {
    number(out, 1, source.into());
    number(out, 2, destination.into());
}

fn icmp(kind: u8, code: u8, out: &mut Vec<u8>) {
    number(out, 1, kind.into());
    number(out, 2, code.into());
}

/// Appends `TCPFlags`: its field numbers are the bits from FIN on.
fn tcp_flags(flags: TcpFlags, out: &mut Vec<u8>) {
    for bit in 0..9 {
        boolean(out, bit + 1, flags.has(1 << bit));
    }
}
