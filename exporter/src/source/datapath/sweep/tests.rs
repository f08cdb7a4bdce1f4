//! Scans of a real kernel table: which entries count, and when.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use eyepiece_flow::event::Transport;
use eyepiece_wire::{AnsweredBy, Connection, Half, Hook, Key4, Tunnel, map};

use super::criteria::Criteria;
use super::totals::transport;
use super::{Totals, scan};
use crate::source::datapath::btf::Btf;
use crate::source::datapath::object::{Object, ProgramConfig};
use crate::source::datapath::sys;
use crate::source::datapath::sys::BatchReader;

const KEY: Key4 =
    Key4 { address: [1, 2], port: [7, 4789_u16.to_be()], ifindex: 9, protocol: 17, kind: 0, vlan: 0, pad: 0 };
const VXLAN: Tunnel = Tunnel { port: 4789, protocol: 17, pad: 0 };

fn criteria(tunnels: &[Tunnel]) -> Criteria {
    Criteria {
        now: 1000,
        interval: 10,
        hold: 10,
        tcp: 10_000,
        udp: 10_000,
        other: 10_000,
        interfaces: HashSet::from([KEY.ifindex]),
        tunnels: tunnels.iter().copied().collect(),
    }
}

/// An entry of an uplink that holds three packets.
fn entry(dead: bool, answered_by: AnsweredBy) -> Connection {
    let half =
        Half { packets: 3, bytes: 300, last: 999, reported: 995, hook: Hook::ToNetwork as u8 + 1, ..Half::default() };
    Connection {
        half: [half, Half::default()],
        dead: u32::from(dead),
        answered_by: answered_by as u8,
        ..Connection::default()
    }
}

/// Makes a map read-only for user space (`BPF_MAP_FREEZE`).
fn freeze(map: BorrowedFd<'_>) {
    let attributes = [u64::from(map.as_raw_fd().cast_unsigned()), 0];
    // SAFETY: the attributes live longer than the call, and their size is passed.
    let frozen = unsafe { libc::syscall(libc::SYS_bpf, 22, attributes.as_ptr(), size_of_val(&attributes)) };
    assert_eq!(frozen, 0, "{}", std::io::Error::last_os_error());
}

fn packets(totals: &[Totals]) -> u64 {
    totals.iter().map(|totals| totals.traffic.packets).sum()
}

#[test]
fn removed_entry_counts_once() {
    if !nix::unistd::geteuid().is_root() {
        eyepiece_tests::skip!("loading kernel programs needs root");
    }
    let object = Object::load(&ProgramConfig::default(), &Btf::from_kernel().expect("BTF")).expect("programs");
    let map = object.map(map::CONNECTIONS4).expect("the table");
    let mut reader = BatchReader::<Key4, Connection>::new(1);
    let mut totals = Vec::new();

    sys::update(map.as_fd(), &KEY, &entry(true, AnsweredBy::Local)).expect("an entry");
    scan(&mut reader, map.as_fd(), &criteria(&[]), false, &mut totals).expect("a look");
    scan(&mut reader, map.as_fd(), &criteria(&[]), false, &mut totals).expect("a look");
    assert_eq!((totals.len(), packets(&totals)), (1, 3), "once");

    // An entry that cannot be removed is read again, so it must not count.
    totals.clear();
    sys::update(map.as_fd(), &KEY, &entry(true, AnsweredBy::Local)).expect("an entry");
    freeze(map.as_fd());
    for last in [false, true] {
        assert!(scan(&mut reader, map.as_fd(), &criteria(&[]), last, &mut totals).is_err());
        assert_eq!(packets(&totals), 0);
    }
}

#[test]
fn entry_older_than_tunnel_is_tunnels() {
    if !nix::unistd::geteuid().is_root() {
        eyepiece_tests::skip!("loading kernel programs needs root");
    }
    let object = Object::load(&ProgramConfig::default(), &Btf::from_kernel().expect("BTF")).expect("programs");
    let map = object.map(map::CONNECTIONS4).expect("the table");
    let mut reader = BatchReader::<Key4, Connection>::new(1);
    let other = Tunnel { port: 8472, ..VXLAN };
    for (answered_by, tunnels, is_killed, expected) in [
        (AnsweredBy::Local, &[VXLAN][..], true, AnsweredBy::Tunnel),
        (AnsweredBy::Local, &[other], false, AnsweredBy::Local),
        (AnsweredBy::Unknown, &[], false, AnsweredBy::Local),
        (AnsweredBy::Tunnel, &[VXLAN], false, AnsweredBy::Tunnel),
    ] {
        let mut totals = Vec::new();
        sys::update(map.as_fd(), &KEY, &entry(false, answered_by)).expect("an entry");
        let found = scan(&mut reader, map.as_fd(), &criteria(tunnels), false, &mut totals).expect("a look");
        let killed = if is_killed { vec![(KEY, u64::MAX)] } else { vec![] };
        assert_eq!(found.kill, killed, "{answered_by:?} {tunnels:?}");
        scan(&mut reader, map.as_fd(), &criteria(tunnels), true, &mut totals).expect("the last look");
        let answers: Vec<_> = totals.iter().map(|totals| totals.traffic.answered_by).collect();
        assert_eq!(answers, [expected], "{answered_by:?} {tunnels:?}");
    }
    // At an endpoint's hook it is the endpoint's own traffic.
    let mut inside = entry(false, AnsweredBy::Unknown);
    inside.half[0].hook = Hook::FromEndpoint as u8 + 1;
    sys::update(map.as_fd(), &KEY, &inside).expect("an entry");
    let found = scan(&mut reader, map.as_fd(), &criteria(&[VXLAN]), false, &mut Vec::new()).expect("a look");
    assert_eq!(found.kill, []);
}

#[test]
fn transport_follows_half_and_opener() {
    let (low, high) = (53_u16, 40_000_u16);
    for (protocol, half, origin, ports, is_reply) in [
        (17, 0, 0, (low, high), false),
        (17, 1, 0, (high, low), true),
        (17, 0, 1, (low, high), true),
        (6, 1, 1, (high, low), false),
        (132, 1, 0, (high, low), true),
        // The echo identifier is no port.
        (1, 0, 0, (0, 0), false),
    ] {
        let found = transport(protocol, [low.to_be(), high.to_be()], half, origin);
        assert_eq!(found, Transport { protocol, ports, is_reply }, "{protocol} {half} {origin}");
    }
}
