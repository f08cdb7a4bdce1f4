//! The two connection tables behind one trait: their keys, and the items of the sweep program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use eyepiece_wire::{AnsweredBy, Key4, Key6, SWEEP_ALIVE, SweepItem4, SweepItem6, SweepTotals, Tunnel};

use super::super::sys::Plain;

/// The key of one of the two tables.
pub(super) trait ConnectionKey: Plain + Default {
    type Item: Copy + Default;
    const FAMILY: u32;
    fn item(self, last: u64) -> Self::Item;
    fn taken(item: &Self::Item) -> Option<(Self, [SweepTotals; 2], AnsweredBy)>;
    fn addresses(&self, half: usize) -> Option<(IpAddr, IpAddr)>;
    fn protocol(&self) -> u8;
    /// In network byte order, the smaller end's first; meaningless for protocols without ports.
    fn ports(&self) -> [u16; 2];
    fn ifindex(&self) -> u32;
    /// The tunnel that the packets of a half would belong to.
    fn tunnel(&self, half: usize) -> Tunnel {
        tunnel(self.protocol(), self.ports(), half)
    }
}

/// The methods of [`ConnectionKey`] that have the same text for both keys.
macro_rules! shared {
    ($item:ident) => {
        type Item = $item;

        fn item(self, last: u64) -> $item {
            $item { key: self, last, ..$item::default() }
        }

        fn taken(item: &$item) -> Option<(Self, [SweepTotals; 2], AnsweredBy)> {
            (item.result == SWEEP_ALIVE).then_some((item.key, item.totals, AnsweredBy::from_u8(item.answered_by as u8)))
        }

        fn protocol(&self) -> u8 {
            self.protocol
        }

        fn ports(&self) -> [u16; 2] {
            self.port
        }

        fn ifindex(&self) -> u32 {
            self.ifindex
        }
    };
}

impl ConnectionKey for Key4 {
    const FAMILY: u32 = 4;

    shared!(SweepItem4);

    fn addresses(&self, half: usize) -> Option<(IpAddr, IpAddr)> {
        let [low, high] = self.address.map(|address| IpAddr::V4(Ipv4Addr::from(address.to_ne_bytes())));
        (self.kind == 0).then_some(if half == 0 { (low, high) } else { (high, low) })
    }
}

impl ConnectionKey for Key6 {
    const FAMILY: u32 = 6;

    shared!(SweepItem6);

    fn addresses(&self, half: usize) -> Option<(IpAddr, IpAddr)> {
        let [low, high] = self.address.map(|words| {
            let mut bytes = [0; 16];
            for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
                chunk.copy_from_slice(&word.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        });
        Some(if half == 0 { (low, high) } else { (high, low) })
    }
}

/// Half 0 goes to the second port of a key; ports are in network byte order there.
const fn tunnel(protocol: u8, ports: [u16; 2], half: usize) -> Tunnel {
    let [low, high] = ports;
    Tunnel { port: u16::from_be(if half == 0 { high } else { low }), protocol, pad: 0 }
}
