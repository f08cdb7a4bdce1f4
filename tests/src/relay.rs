//! Hubble Relay: runs the peer `hubble-relay` (1.15.19) in front of a peer service.
//!
//! Properties of that release, from its source and from runs:
//! - `--peer-service`: `unix:///PATH` is asked without TLS whatever the settings; anything else (`HOST:PORT`) over TCP,
//!   with TLS unless `--disable-client-tls`, with a certificate for `hubble-peer.CLUSTER.hubble-grpc.cilium.io`
//!   (`--cluster-name`, `default`; dots become dashes). TLS 1.3 at least, in both directions.
//! - A peer's address: `IP:PORT`, a bare `IP` (port 4244), `HOST:PORT` (resolved once), `unix:///PATH`; an empty one is a
//!   peer without connection. A bare `/PATH.sock` is taken for a path, and then dialled as TCP, in vain.
//! - With client TLS each peer must come with a server name, without it with none: the peer is refused with "missing TLS
//!   `ServerName`" or "unexpected TLS `ServerName`", and tried again after 1 s, doubled up to 60 s.
//! - A peer service that is lost is asked again after `--retry-timeout` (30 s); peers stay.
//! - It serves Observer, health and reflection on `--listen-address` (`:4245`), health without reflection on
//!   `--health-listen-address` (`:4222`), no Peer service. Health is SERVING with the peer service and at least one peer,
//!   looked at at the start and every 5 s only. Where no TLS for clients is wanted: `--disable-server-tls`.
//! - `--gops` (on) listens on 127.0.0.1:9893. `--sort-buffer-len-max` (100) and `--sort-buffer-drain-timeout` (1 s) hold
//!   flows back. Its log is on standard error.
//! - Its settings also come from /etc/hubble-relay/config.yaml, keys as the flags: cluster-name, dial-timeout,
//!   disable-client-tls, disable-server-tls, gops, gops-port, health-listen-address, listen-address,
//!   metrics-listen-address, peer-service, pprof, pprof-address, pprof-port, retry-timeout, sort-buffer-drain-timeout,
//!   sort-buffer-len-max, tls-hubble-client-cert-file, tls-hubble-client-key-file, tls-hubble-server-ca-files,
//!   tls-relay-client-ca-files, tls-relay-server-cert-file, tls-relay-server-key-file.
//! - SIGTERM ends its server but not the process: the one for health goes on. So it is killed here.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::namespace::Inside;
use crate::peer;
use crate::process::Background;

/// The peer's name.
pub const NAME: &str = "hubble-relay";

/// Timeout until it listens, and until a peer is connected.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    process: Background,
    address: SocketAddr,
    health: SocketAddr,
}

impl Relay {
    /// Starts it on the loopback of a namespace, or of the test's, and waits until it listens. `further` are flags: of
    /// TLS, else `--disable-client-tls` and `--disable-server-tls`.
    pub fn start(peer_service: &str, inside: Option<&Inside>, further: &[&str]) -> Result<Self> {
        let program = peer::find(NAME).map_err(anyhow::Error::msg)?;
        let (mut command, [address, health]) = match inside {
            Some(inside) => (inside.command(program), inside.run(free_addresses)?),
            None => (Command::new(program), free_addresses()?),
        };
        command.args(["serve", "--gops=false", "--peer-service", peer_service]);
        command.arg(format!("--listen-address={address}")).arg(format!("--health-listen-address={health}"));
        let process = Background::spawn(command.args(further))?;
        let relay = Self { process, address, health };
        for port in [address, health] {
            let connect = || TcpStream::connect(port).is_ok();
            let listens = || inside.map_or_else(connect, |inside| inside.run(connect)).then_some(());
            crate::eventually(TIMEOUT, &format!("relay does not listen on {port}"), listens)
                .with_context(|| relay.process.stderr())?;
        }
        Ok(relay)
    }

    /// Returns the address of Observer, health and reflection.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of health alone.
    pub const fn health(&self) -> SocketAddr {
        self.health
    }

    /// Waits for the log line of a connected peer.
    pub fn wait_for_peer(&mut self, name: &str) -> Result<()> {
        let is_of_peer = |line: &str| line.contains("msg=Connected ") && line.contains(&format!(" peer={name} "));
        let connected = || self.process.stderr().lines().any(is_of_peer).then_some(());
        crate::eventually(TIMEOUT, &format!("relay has no connection to {name}"), connected)
            .with_context(|| self.process.stderr())
    }

    /// Returns its log.
    pub fn log(&self) -> String {
        self.process.stderr()
    }
}

/// Two addresses without a listener. Another process may take them before relay does: it then ends with a message.
fn free_addresses() -> Result<[SocketAddr; 2]> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([listeners[0].local_addr()?, listeners[1].local_addr()?])
}
