//! Cilium's Hubble server and observer with the events and peers that it is handed: tests/peers/harness/observe.go.

use anyhow::{Context, Result, ensure};

use super::{Harness, write_tagged};

/// The options of a server.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// `HOST:PORT` (port 0 for any) or `unix:///PATH`.
    pub listen: &'a str,
    /// Events that its ring holds: 1, 3, 7 … 65535.
    pub capacity: u32,
    /// The node's name.
    pub node: &'a str,
    /// The cluster's name; `default` counts as none.
    pub cluster: &'a str,
}

impl Default for Options<'_> {
    fn default() -> Self {
        // The capacity is Cilium's own default.
        Self { listen: "127.0.0.1:0", capacity: 4095, node: "node", cluster: "default" }
    }
}

/// A running server without TLS: Observer, Peer, health, reflection. Errors are the pipe's, which ends with the
/// harness.
///
/// The ring hides its newest event until the next one is written, and `--last` counts events of every kind where there
/// is no filter: both are Cilium's own.
#[derive(Debug)]
pub struct ObserveServer {
    harness: Harness,
    address: String,
    settled: u64,
}

impl ObserveServer {
    /// Starts it and waits until it listens.
    pub fn start(options: &Options<'_>) -> Result<Self> {
        let capacity = options.capacity.to_string();
        let Options { listen, node, cluster, .. } = options;
        let arguments = ["-listen", listen, "-capacity", &capacity, "-node", node, "-cluster", cluster];
        let mut harness = Harness::start(&[&["observe-server"], &arguments[..]].concat())?;
        let line = harness.line()?;
        let address = line.strip_prefix("listening ").with_context(|| line.clone())?.to_owned();
        Ok(Self { harness, address, settled: 0 })
    }

    /// Returns its address in the form of [`Options::listen`], as `hubble --server` takes it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Puts an event, an encoded `observer.ExportEvent`, into the ring as it is.
    pub fn event(&mut self, event: &[u8]) -> Result<()> {
        self.write(b'E', event)
    }

    /// Keeps an event for [`repeat`](Self::repeat).
    pub fn keep(&mut self, event: &[u8]) -> Result<()> {
        self.write(b'L', event)
    }

    /// Puts that many events into the ring, those kept over and over, that many a second, or as fast as it goes for 0.
    pub fn repeat(&mut self, count: u64, per_second: u64) -> Result<()> {
        self.write(b'R', &[count.to_le_bytes(), per_second.to_le_bytes()].concat())
    }

    /// Sends a change of peers, an encoded `peer.ChangeNotification`, to present and later watchers.
    pub fn peer_change(&mut self, change: &[u8]) -> Result<()> {
        self.write(b'P', change)
    }

    /// Announces a peer without TLS. Relay takes `IP:PORT`, `HOST:PORT`, a bare `IP` (port 4244 then) and `unix:///PATH`;
    /// it takes `/PATH.sock`, too, but then fails to connect ("missing port in address").
    pub fn add_peer(&mut self, name: &str, address: &str) -> Result<()> {
        let change = PeerAdded { name: name.to_owned(), address: address.to_owned(), kind: 1 };
        self.peer_change(&prost::Message::encode_to_vec(&change))
    }

    /// Waits until all of the above has happened; returns the number of events ever put in the ring.
    pub fn settle(&mut self) -> Result<u64> {
        self.settled += 1;
        let marker = self.settled.to_string();
        self.write(b'M', marker.as_bytes())?;
        self.harness.flush()?;
        let line = self.harness.line()?;
        let words: Vec<&str> = line.split(' ').collect();
        ensure!(words.len() == 3 && words[..2] == ["marker", &marker], "{line:?} is not the answer to {marker}");
        Ok(words[2].parse()?)
    }

    /// CPU time, memory: see [`Harness::pid`].
    pub fn pid(&self) -> u32 {
        self.harness.pid()
    }

    fn write(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        write_tagged(self.harness.input()?, kind, body)
    }
}

/// The fields of `peer.ChangeNotification` that a peer without TLS needs.
#[derive(Clone, PartialEq, prost::Message)]
struct PeerAdded {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    address: String,
    /// `PEER_ADDED` is 1.
    #[prost(int32, tag = "3")]
    kind: i32,
}
