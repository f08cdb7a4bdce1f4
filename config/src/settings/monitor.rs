//! Settings of monitor sockets, Cilium's and our own, and of recordings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::mode;
use crate::units::path;

/// A running Cilium agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CiliumMonitor {
    /// Path of its monitor 1.2 socket.
    pub socket: String,
    /// The agent's release (`1.18`), for payloads that do not show it; empty = the newest known one.
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
    /// The factor of the recorded speed; zero = as fast as possible.
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
    /// Its absolute path; `None` = off.
    #[serde(with = "path")]
    pub socket: Option<PathBuf>,
    /// The most payloads that wait for a client; 0 = only their memory is bounded.
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
