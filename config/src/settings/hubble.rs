//! Settings of Hubble's gRPC API: our own server, and another server as the source.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::addresses::{Listen, Peer, PeerDomain};
use crate::mode;
use crate::units::{duration, path};

/// Hubble's gRPC API as we serve it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hubble {
    /// Its addresses; empty = off.
    pub listen: Vec<Listen>,
    /// Whether the addresses were set. If the default one cannot be bound, the program continues without it.
    #[serde(skip)]
    pub listen_given: bool,
    /// Permission bits of unix sockets, at most 0o777.
    #[serde(with = "mode")]
    pub mode: u32,
    /// Group of unix sockets; empty = the process's.
    pub group: String,
    /// Events that the ring holds: 2^n − 1.
    pub ring: u32,
    /// Certificates of the TCP addresses.
    pub tls: ServerTls,
    /// Other nodes.
    pub peers: Vec<Peer>,
    /// A file with more of them, read again when it changes.
    #[serde(with = "path")]
    pub peers_file: Option<PathBuf>,
    /// DNS names that resolve to other nodes.
    pub peers_dns: Vec<PeerDomain>,
    /// The interval between look-ups of these names and of our own address.
    #[serde(with = "duration")]
    pub peers_refresh: Duration,
}

impl Default for Hubble {
    fn default() -> Self {
        Self {
            listen: vec![Listen::Unix("/run/eyepiece/hubble.sock".into())],
            listen_given: false,
            // Flows are for root and a group only, as with Cilium's socket.
            mode: 0o660,
            group: String::new(),
            // Hubble's default.
            ring: 4095,
            tls: ServerTls::default(),
            peers: Vec::new(),
            peers_file: None,
            peers_dns: Vec::new(),
            // The TTL of cluster DNS (CoreDNS's `ttl 30`).
            peers_refresh: Duration::from_secs(30),
        }
    }
}

/// Files with PEM certificates and keys, read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// Our certificate and its chain; `None` = plaintext.
    #[serde(with = "path")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[serde(with = "path")]
    pub key: Option<PathBuf>,
    /// Authorities of client certificates; `None` = clients need none.
    #[serde(with = "path")]
    pub client_ca: Option<PathBuf>,
}

/// Another Hubble's gRPC API as the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubbleSource {
    /// `unix://` and a path, or host and port.
    pub address: String,
    /// Certificates; plaintext if none of them is set.
    pub tls: SourceTls,
}

impl Default for HubbleSource {
    fn default() -> Self {
        Self { address: "unix:///var/run/cilium/hubble.sock".to_owned(), tls: SourceTls::default() }
    }
}

/// Files with PEM certificates and keys, and the server's name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceTls {
    /// Authorities that the server's certificate is checked against.
    #[serde(with = "path")]
    pub ca: Option<PathBuf>,
    /// Our client certificate.
    #[serde(with = "path")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[serde(with = "path")]
    pub key: Option<PathBuf>,
    /// Name in the server's certificate; empty = the address's host.
    pub server_name: String,
}
