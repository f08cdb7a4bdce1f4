//! The product behind Cilium's monitor server, which sends any number of events, without a packet.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::frame::protocol;
use crate::harness::Harness;
use crate::payload::{Packet, write};
use crate::{Eyepiece, Hubble, Namespace, eventually};

/// Timeout of events on their way through the product.
const TIMEOUT: Duration = Duration::from_secs(120);

/// All of it, running.
#[derive(Debug)]
pub struct Fed {
    /// The product.
    pub eyepiece: Eyepiece,
    /// Its network namespace.
    pub home: Namespace,
    server: Harness,
    socket: String,
    sent: u64,
    _folder: tempfile::TempDir,
}

impl Fed {
    /// Starts both. The product listens on a unix socket; `further` follows it: more addresses, `]`, settings of
    /// `[hubble]`. Without any: `]`.
    pub fn start(name: &str, further: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let sockets = folder.path().join("agent");
        std::fs::create_dir(&sockets)?;
        let file = folder.path().join("payloads");
        let packet = Packet::new("10.9.1.1:41001", "10.9.2.2:9153", protocol::UDP, 0);
        // Towards an endpoint, of a connection that is there.
        write(&file, &[packet.trace(0, (101, 202), (30_001, 30_002), 1)])?;
        let mut server = Harness::monitor_server(&sockets, &file, &[])?;
        let home = Namespace::create(&format!("ep-{}-{name}", std::process::id()))?;
        let socket = format!("unix://{}/hubble.sock", folder.path().display());
        let config = format!(
            "[node]\nname = \"fed\"\ndry_mode = true\n[source]\nkind = \"cilium-monitor\"\n\
             [cilium_monitor]\nsocket = \"{}/monitor1_2.sock\"\nversion = \"1.15\"\n\
             [otlp.logs]\nenabled = false\n[otlp.metrics]\nenabled = false\n\
             [hubble]\nlisten = [\"{socket}\"{further}\n",
            sockets.display()
        );
        let eyepiece = Eyepiece::start(&home, &config)?;
        let is_connected = || (server.ask("listeners").ok()? == "listeners 1").then_some(());
        eventually(TIMEOUT, "eyepiece does not listen", is_connected)?;
        Ok(Self { eyepiece, home, server, socket, sent: 0, _folder: folder })
    }

    /// Returns the address of Hubble's API: `unix://…`.
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// The CLI on that socket.
    pub fn hubble(&self) -> Result<Hubble> {
        Hubble::new(&self.socket, None)
    }

    /// Returns the number of sent events; each is a flow.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends, and waits until the product has taken them.
    pub fn send(&mut self, count: u64) -> Result<()> {
        let answer = self.server.ask(&format!("send {count}"))?;
        ensure!(answer == format!("sent {count} 1"), "{answer}");
        self.sent += count;
        let received = |eyepiece: &Eyepiece| eyepiece.number("eyepiece.events.received", &[]);
        eventually(TIMEOUT, "events are missing", || (received(&self.eyepiece).ok()? >= self.sent).then_some(()))
            .with_context(|| format!("{:?} of {}\n{}", received(&self.eyepiece), self.sent, self.eyepiece.stderr()))
    }
}
