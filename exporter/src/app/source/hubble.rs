//! The wiring of another Hubble, an agent or a relay, as the source.

use anyhow::Context as _;
use eyepiece_config::{HubbleSource, SourceTls};

use super::{Emitter, Feed, Halted, Parts, Running};
use crate::app::AppError;
use crate::app::names::{Kernel, MachineNames};
use crate::client::address::{Address, AddressError};
use crate::client::hubble::{Options, TlsOptions};
use crate::serve::admin::{ConnectionStatus, NodeStatus};
use crate::source::hubble;
use crate::source::hubble::Config;
use crate::source::hubble::status::View;

/// Makes the source; the server may come later.
pub(super) fn build(parts: &Parts<'_>) -> Result<Feed, AppError> {
    let settings = &parts.settings.hubble_source;
    let config = config(settings)?;
    let peer = config.address.to_string();
    let runtime = parts.runtime.handle().clone();
    let (source, controls) =
        hubble::build(config, runtime, parts.telemetry).context("cannot read from the Hubble server")?;
    let names = MachineNames::new(Kernel::Unknown, parts.publisher.clone(), parts.symbols.clone());
    let mut feed = Feed::new(source, names, Running::Halted(Halted(controls.halt)));
    feed.connection = Some(Box::new(move || connection(&peer, &controls.view)));
    // Each flow says whose it is.
    feed.emitter = Emitter { name: String::new(), version: String::new() };
    Ok(feed)
}

/// Whether the files can be used was checked before; later they may come and go: each connection reads them anew.
fn config(settings: &HubbleSource) -> Result<Config, AppError> {
    let address: Address = settings.address.parse().map_err(|error: AddressError| AppError::Setting {
        key: "hubble_source.address",
        wrong: error.to_string(),
        right: "use unix:// and a path, or a host and a port",
    })?;
    Ok(Config { address, options: Options { tls: tls(&settings.tls), ..Options::default() } })
}

/// Plaintext where none of the keys is set.
fn tls(settings: &SourceTls) -> Option<TlsOptions> {
    let SourceTls { ca, cert, key, server_name } = settings;
    let identity = cert.clone().zip(key.clone());
    let server_name = Some(server_name.clone()).filter(|name| !name.is_empty());
    (ca.is_some() || identity.is_some() || server_name.is_some()).then(|| TlsOptions {
        ca: ca.iter().cloned().collect(),
        identity,
        server_name,
        allow_insecure: false,
    })
}

/// The connection as it is now.
fn connection(peer: &str, view: &View) -> ConnectionStatus {
    let now = view.get();
    let nodes = now.nodes.into_iter().map(|(name, node)| NodeStatus {
        name,
        state: node.state.to_owned(),
        since_seconds: node.since.elapsed().as_secs(),
        message: node.message,
    });
    ConnectionStatus {
        peer: peer.to_owned(),
        connected: now.reason.is_none(),
        reason: now.reason.map(str::to_owned),
        since_seconds: now.since.elapsed().as_secs(),
        interruptions: now.interruptions,
        nodes: nodes.collect(),
    }
}
