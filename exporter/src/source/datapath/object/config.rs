//! Configuration of the kernel programs.

use std::time::Duration;

use eyepiece_config::{Aggregation, Transport};

/// The smallest packet prefix: Ethernet 14 + two VLAN tags 2 × 4 + IPv6 40 + TCP 20. The configuration allows no less.
pub const MIN_CAPTURE: u32 = 82;

/// Configuration of the programs, fixed before they are loaded.
#[derive(Clone, Debug)]
pub struct ProgramConfig {
    /// The buffer that carries events.
    pub transport: Transport,
    /// The aggregation of packets into events.
    pub aggregation: Aggregation,
    /// A live connection reports at least this often.
    pub interval: Duration,
    /// Bytes of a packet in a record.
    pub capture_bytes: u32,
    /// Bytes of the ring buffer, a power of two times the page size.
    pub buffer: u32,
    /// Entries of each of the two connection tables (IPv4, IPv6).
    pub max_connections: u32,
    /// Load the drop program.
    pub drops: bool,
    /// Load the programs that follow sockets to their processes.
    pub processes: bool,
    /// Debug and capture notifications.
    pub debug: bool,
    /// The time that an unanswered connection at an uplink is held back from the once-per-node totals.
    pub hold: Duration,
}

impl Default for ProgramConfig {
    fn default() -> Self {
        Self {
            transport: Transport::Ring,
            aggregation: Aggregation::Medium,
            interval: Duration::from_secs(5),
            capture_bytes: 128,
            buffer: 8 << 20,
            max_connections: 131_072,
            drops: true,
            processes: true,
            debug: false,
            hold: Duration::from_secs(10),
        }
    }
}
