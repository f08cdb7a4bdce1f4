//! Reads the values of a recording from the front of its bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::event::{KernelDrop, TrafficDelta, Transport};
use eyepiece_wire::{AnsweredBy, Hook};

/// The bytes that are left.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    pub(super) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(front)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn traffic(&mut self) -> Option<TrafficDelta> {
        let (hook, answered_by, _) = (Hook::from_u8(self.u8()?)?, AnsweredBy::from_u8(self.u8()?), self.u16()?);
        let (ifindex, ingress_ifindex, _) = (self.u32()?, self.u32()?, self.u32()?);
        let (packets, bytes) = (self.u64()?, self.u64()?);
        let (held_packets, held_bytes, cgroup) = (self.u64()?, self.u64()?, self.u64()?);
        let none = TrafficDelta::none(hook, ifindex, ingress_ifindex);
        Some(TrafficDelta { answered_by, packets, bytes, held_packets, held_bytes, cgroup, ..none })
    }

    pub(super) fn kernel_drop(&mut self) -> Option<KernelDrop> {
        Some(KernelDrop { reason: self.u32()?, netns: self.u32()?, location: self.u64()? })
    }

    pub(super) fn transport(&mut self) -> Option<Transport> {
        let (protocol, is_reply) = (self.u8()?, self.u8()? != 0);
        Some(Transport { protocol, ports: (self.u16()?, self.u16()?), is_reply })
    }

    pub(super) fn address(&mut self) -> Option<IpAddr> {
        let (family, octets) = (self.u8()?, self.take::<16>()?);
        let [a, b, c, d, ..] = octets;
        match family {
            4 => Some(Ipv4Addr::new(a, b, c, d).into()),
            6 => Some(Ipv6Addr::from(octets).into()),
            _ => None,
        }
    }
}
