//! The wiring of another Hubble, an agent or a relay, as the source.

use anyhow::Context as _;
use eyepiece_config::{HubbleSource, SourceTls};

use crate::app::error::{AppError, SettingError};
use crate::app::feed::{Emitter, Feed, HaltOnDrop, SourceDeps};
use crate::app::names::{KernelNameSource, MachineNames};
use crate::client::config::{ClientConfig, TlsConfig};
use crate::source::hubble;
use crate::source::hubble::Config;
use crate::source::hubble::status::View;
use crate::support::status::{ConnectionStatus, NodeStatus};

/// Builds the source; the server may start later.
pub(super) fn build(deps: &SourceDeps<'_>) -> Result<Feed, AppError> {
    let config = config(&deps.settings.hubble_source)?;
    let peer = config.address.to_string();
    let runtime = deps.runtime.handle().clone();
    let (source, controls) =
        hubble::build(config, runtime, deps.telemetry).context("cannot read from the Hubble server")?;
    let names = MachineNames::new(KernelNameSource::Unknown, deps.publisher.clone());
    let mut feed = Feed::new(source, names, HaltOnDrop(controls.halt));
    feed.control.views.connection = Some(Box::new(move || connection(&peer, &controls.view)));
    // Each flow names its own emitter.
    feed.emitter = Emitter { name: String::new(), version: String::new() };
    Ok(feed)
}

/// The preflight has checked the files. They may change later: each connection reads them anew.
fn config(settings: &HubbleSource) -> Result<Config, SettingError> {
    let address = settings.address.parse().map_err(|error| SettingError::hubble_address(&error))?;
    Ok(Config { address, client: ClientConfig { tls: tls(&settings.tls), ..ClientConfig::default() } })
}

/// Returns `None`, plaintext, if none of the keys is set.
fn tls(settings: &SourceTls) -> Option<TlsConfig> {
    let SourceTls { ca, cert, key, server_name } = settings;
    let identity = cert.clone().zip(key.clone());
    let server_name = Some(server_name.clone()).filter(|name| !name.is_empty());
    (ca.is_some() || identity.is_some() || server_name.is_some()).then(|| TlsConfig {
        ca: ca.iter().cloned().collect(),
        identity,
        server_name,
        allow_insecure: false,
    })
}

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
