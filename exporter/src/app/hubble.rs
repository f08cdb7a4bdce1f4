//! The wiring of Hubble's API: binds its addresses, puts the ring behind the pipeline, then serves.

use std::sync::Arc;

use anyhow::Context as _;
use eyepiece_config::{Listen, Settings};
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto;
use http::HeaderValue;
use tokio::runtime::Runtime;
use tonic::service::Routes;

use super::certificates::Certificates;
use super::error::AppError;
use super::exports::ExportContext;
use super::running::Phase;
use super::socket;
use crate::pipeline::Sink;
use crate::serve::grpc::health::Health;
use crate::serve::grpc::{Address, Bind, Bound, Limits, MAX_MESSAGE_BYTES, ServerError};
use crate::serve::observer::namespaces::Namespaces;
use crate::serve::observer::ring::{Ring, Writer};
use crate::serve::observer::service::{HUBBLE_VERSION, ObserverService, REVISION};
use crate::serve::observer::{Deps, Observer};
use crate::serve::peer::Peers;
use crate::serve::{grpc, peer};
use crate::services::observer::observer_server::ObserverServer;
use crate::support::clock::unix_now;
use crate::support::telemetry::Telemetry;
use crate::support::unix_listener;

/// The bound addresses, and the ring that the pipeline will write to.
pub(super) struct Hubble {
    bound: Bound,
    ring: Arc<Ring>,
    writer: Writer,
    namespaces: Namespaces,
}

impl Hubble {
    /// Binds the addresses; returns `None` if the API is off, or the default address cannot be bound.
    pub(super) fn bind(
        runtime: &Runtime,
        settings: &Settings,
        telemetry: &Telemetry,
    ) -> Result<Option<Self>, AppError> {
        let hubble = &settings.hubble;
        if hubble.listen.is_empty() {
            return Ok(None);
        }
        for listen in &hubble.listen {
            if let Listen::Unix(path) = listen {
                socket::make_folder(path);
            }
        }
        let config = grpc::Config {
            listen: addresses(settings)?,
            tls: Certificates::of_hubble(settings).files(),
            limits: Limits::default(),
            version: HeaderValue::from_str(&format!("{HUBBLE_VERSION}+{REVISION}"))
                .context("cannot make the header of the version")?,
            telemetry: telemetry.clone(),
        };
        let bound = match runtime.block_on(config.bind()) {
            Ok(bound) => bound,
            Err(ServerError::Tls(error)) => return Err(Certificates::of_hubble(settings).error(&error).into()),
            Err(error) if !hubble.listen_given => {
                // The address is only a default: the program continues without it.
                tracing::warn!(%error, "Hubble's API is not served; set hubble.listen to an address, or to [] for none");
                return Ok(None);
            }
            Err(error) => return Err(AppError::Failed(anyhow::Error::new(error).context("hubble.listen"))),
        };
        let (ring, writer) = Ring::new(hubble.ring);
        Ok(Some(Self { bound, ring, writer, namespaces: Namespaces::default() }))
    }

    /// Serves clients; returns the sinks that the pipeline feeds.
    pub(super) fn serve(
        self,
        runtime: &Runtime,
        context: &ExportContext<'_>,
        components: &mut Phase,
    ) -> anyhow::Result<Vec<Box<dyn Sink>>> {
        let Self { bound, ring, writer, namespaces } = self;
        let ExportContext { settings, names, telemetry, .. } = *context;
        let stop = &components.stop;
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(writer), Box::new(namespaces.recorder(unix_now))];
        let observer = Observer::new(Deps {
            ring: Arc::clone(&ring),
            namespaces,
            node: node(settings),
            names: Arc::new(names.clone()),
            telemetry: telemetry.clone(),
            stop: stop.clone(),
            now: unix_now,
        });
        let service = ObserverServer::new(ObserverService(observer)).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let peers = peers(settings, bound.addresses(), telemetry);
        let routes = Routes::new(service).add_service(peers.service.clone().server());
        let (health, routes) = runtime.block_on(Health::add_to(routes, proto::served()))?;
        for address in bound.addresses() {
            tracing::info!(%address, entries = settings.hubble.ring, "serving Hubble's API");
        }
        runtime.spawn(ring.wake_followers());
        let (peers, server) = (peers.run(stop.clone()), bound.serve(routes, Some(health), stop.clone()));
        components.tasks.spawn_on(peers, runtime.handle());
        components.tasks.spawn_on(server, runtime.handle());
        Ok(sinks)
    }
}

fn node(settings: &Settings) -> Node {
    Node { name: settings.node.name.clone(), cluster: settings.node.cluster.clone() }
}

/// The registry of the other nodes.
fn peers(settings: &Settings, addresses: Vec<Address>, telemetry: &Telemetry) -> Peers {
    let hubble = &settings.hubble;
    let config = peer::Config {
        node: node(settings),
        addresses,
        tls: hubble.tls.cert.is_some(),
        peers: hubble.peers.clone(),
        file: hubble.peers_file.clone(),
        domains: hubble.peers_dns.clone(),
        refresh: hubble.peers_refresh,
        resolve: peer::system(),
        telemetry: telemetry.clone(),
    };
    config.build()
}

fn addresses(settings: &Settings) -> Result<Vec<Bind>, AppError> {
    let hubble = &settings.hubble;
    let bind = |listen: &Listen| {
        Ok(match listen {
            Listen::Unix(path) => Bind::Unix(unix_listener::Config {
                path: path.clone(),
                mode: hubble.mode,
                group: socket::group("hubble.group", &hubble.group)?,
            }),
            Listen::Tcp(address) => Bind::Tcp(*address),
        })
    };
    hubble.listen.iter().map(bind).collect()
}
