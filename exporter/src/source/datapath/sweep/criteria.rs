//! Decides which entries of the connection tables are due.

use std::collections::HashSet;

use eyepiece_flow::protocol;
use eyepiece_wire::{AnsweredBy, Connection, Half, Hook, Tunnel};

use super::key::ConnectionKey;

/// The limits that entries are compared with; times in jiffies.
pub(super) struct Criteria {
    pub(super) now: u64,
    pub(super) interval: u64,
    pub(super) hold: u64,
    pub(super) tcp: u64,
    pub(super) udp: u64,
    pub(super) other: u64,
    /// Interfaces that may pass packets.
    pub(super) interfaces: HashSet<u32>,
    /// Outer packets of tunnel devices.
    pub(super) tunnels: HashSet<Tunnel>,
}

impl Criteria {
    /// Returns whether an entry at an uplink is a tunnel's, and was made before the kernel programs knew the tunnel.
    pub(super) fn is_mistaken<K: ConnectionKey>(&self, key: &K, entry: &Connection) -> bool {
        let half = usize::from(entry.origin & 1);
        let hook = entry.half[half].hook.checked_sub(1).and_then(Hook::from_u8);
        entry.answered_by != AnsweredBy::Tunnel as u8
            && matches!(hook, Some(Hook::FromNetwork | Hook::ToNetwork))
            && self.tunnels.contains(&key.tunnel(half))
    }

    /// Returns whether totals of a half have waited long enough, or held totals can be released.
    pub(super) const fn is_due(&self, entry: &Connection, half: &Half) -> bool {
        let reportable = half.packets > 0 && half.reported + self.interval <= self.now;
        let released = entry.answered_by != AnsweredBy::Unknown as u8 || entry.created + self.hold < self.now;
        reportable || (half.held_packets > 0 && released)
    }

    pub(super) const fn timeout(&self, protocol: u8, closing: bool) -> u64 {
        match protocol {
            protocol::TCP if !closing => self.tcp,
            protocol::UDP | protocol::DCCP | protocol::SCTP | protocol::UDPLITE => self.udp,
            _ => self.other,
        }
    }
}
