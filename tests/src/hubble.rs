//! The hubble CLI: runs the peer `hubble` (0.12.3) against a server, and returns its output.
//!
//! Properties of that release, from its source and from runs:
//! - `--server` takes `HOST:PORT`, `unix:///PATH`, `tls://HOST:PORT`; anything of it may come from `HUBBLE_…` variables
//!   and `~/.config/hubble/config.yaml`, too, which are kept away here.
//! - `observe [flows|agent-events|debug-events]`: without `--last`, `--first`, `--all`, `--since`, `--until` or `-f` it
//!   is `--last 20`. `-o compact|dict|json|jsonpb|table`; `json` is `jsonpb`: lines of `GetFlowsResponse`, flows only.
//!   Lost events are not shown at all, but with `--debug` as "unknown response type" on standard error, where node
//!   status goes, too. What this release does not know of a flow (`file`, `interface`, …) is left out.
//!   `--allowlist` and `--denylist` take `FlowFilter`s as JSON, but `observe` alone forgets them: `observe flows` it is;
//!   `--print-raw-filters` shows what the flags make, without a server. It has no flags for clusters, drop reasons,
//!   interfaces, translated addresses, URLs, headers of HTTP, DNS queries or CEL. It refuses `--first` with `--follow` and
//!   masks that name no field by itself.
//! - `status`: asks the health service and `ServerStatus`, exit code 1 if either fails. `list nodes` and `list
//!   namespaces` (`-o json|table|wide`); a Hubble server itself answers `GetNodes` with `Unimplemented`, relay answers.
//!   `watch peers`: lines `PEER_ADDED ADDRESS NAME`; relay has no Peer service. `record` needs a filter.
//! - Errors go to standard error as `rpc error: code = … desc = …`, with exit code 1.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::namespace::Inside;
use crate::peer;
use crate::process::Background;

/// The peer's name.
pub const NAME: &str = "hubble";

/// Timeout of a command that ends by itself; its own timeout of connecting is 5 s.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// The CLI with the server that it asks.
#[derive(Clone, Debug)]
pub struct Hubble {
    program: PathBuf,
    server: String,
    inside: Option<Inside>,
    further: Vec<String>,
}

/// The output of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
}

impl Hubble {
    /// The CLI in a namespace, or in that of the test.
    pub fn new(server: &str, inside: Option<&Inside>) -> Result<Self> {
        let program = peer::find(NAME).map_err(anyhow::Error::msg)?;
        Ok(Self { program, server: server.to_owned(), inside: inside.cloned(), further: Vec::new() })
    }

    /// The same with flags that every command gets: those of TLS.
    #[must_use]
    pub fn with(&self, further: &[&str]) -> Self {
        let further = self.further.iter().cloned().chain(further.iter().map(|&flag| flag.to_owned())).collect();
        Self { further, ..self.clone() }
    }

    /// Runs a command that ends by itself: `["observe", "--last", "5", "-o", "json"]`.
    pub fn run(&self, arguments: &[&str]) -> Result<Printed> {
        let mut process = self.start(arguments)?;
        let code = process.wait(COMMAND_TIMEOUT)?.code();
        Ok(Printed { stdout: process.stdout(), stderr: process.stderr(), code })
    }

    /// Starts a command that goes on: `["observe", "--follow"]`.
    pub fn start(&self, arguments: &[&str]) -> Result<Background> {
        let mut command = match &self.inside {
            Some(inside) => inside.command(&self.program),
            None => Command::new(&self.program),
        };
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.as_encoded_bytes().starts_with(b"HUBBLE_")) {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", "/nonexistent").env("HOME", "/nonexistent");
        Background::spawn(command.args(arguments).args(["--server", &self.server]).args(&self.further))
    }
}

impl Printed {
    /// Standard output, where the command went well.
    pub fn ok(&self) -> Result<&str> {
        ensure!(self.code == Some(0), "hubble: exit code {:?}: {}", self.code, self.stderr);
        Ok(&self.stdout)
    }

    /// The lines of `-o json`.
    pub fn json(&self) -> Result<Vec<Value>> {
        let lines = self.ok()?.lines().filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }
}
