//! Settings of monitor sockets, a running Cilium's and our own, and of recordings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::mode;

/// A running Cilium agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CiliumMonitor {
    /// Path of its monitor 1.2 socket.
    pub socket: String,
    /// The agent's release (`1.18`), where payloads do not tell; empty = the newest that is known.
    pub version: String,
}

impl Default for CiliumMonitor {
    fn default() -> Self {
        Self { socket: "/var/run/cilium/monitor1_2.sock".to_owned(), version: String::new() }
    }
}

/// A file of recorded events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The file; `-` is standard input.
    pub path: String,
    /// How many times faster than recorded; zero = as fast as it goes.
    pub speed: f64,
}

impl Default for Replay {
    fn default() -> Self {
        Self { path: String::new(), speed: 1.0 }
    }
}

/// The monitor 1.2 socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monitor {
    /// Where it listens, an absolute path; none = nowhere.
    #[serde(with = "super::path")]
    pub socket: Option<PathBuf>,
    /// Payloads that wait for a client at most; 0 = only their memory is bounded.
    pub queue: u32,
    /// Group of the socket; empty = the process's.
    pub group: String,
    /// Permission bits of the socket, at most 0o777.
    #[serde(with = "mode")]
    pub mode: u32,
}

impl Default for Monitor {
    fn default() -> Self {
        // The mode of Cilium's own socket.
        Self { socket: None, queue: 0, group: String::new(), mode: 0o660 }
    }
}
