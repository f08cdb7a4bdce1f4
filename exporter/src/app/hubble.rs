//! Hubble's API: its addresses before anything else, the ring behind the pipeline, the services once it can be read.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use eyepiece_config::{Listen, Settings};
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto;
use http::HeaderValue;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic::service::Routes;

use super::exports::Shared;
use super::{AppError, monitor};
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
use crate::source::datapath::clock::unix_now;
use crate::source::datapath::lock;
use crate::support::telemetry::Telemetry;
use crate::support::unix_listener::Options;

/// What is there before there is a source.
pub(super) struct Hubble {
    bound: Bound,
    ring: Arc<Ring>,
    writer: Writer,
    namespaces: Namespaces,
}

impl Hubble {
    /// Binds the addresses; none where it is switched off, or the default address is out of reach.
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
                make_folder(path);
            }
        }
        let config = grpc::Config {
            listen: addresses(settings)?,
            tls: certificates(settings),
            limits: Limits::default(),
            version: HeaderValue::from_str(&format!("{HUBBLE_VERSION}+{REVISION}")).context("the version's header")?,
            telemetry: telemetry.clone(),
        };
        let bound = match runtime.block_on(config.bind()) {
            Ok(bound) => bound,
            Err(ServerError::Tls(error)) => {
                let right = "use PEM files of a certificate and its key";
                return Err(AppError::Setting { key: "hubble.tls.cert", wrong: error.to_string(), right });
            }
            Err(error) if !hubble.listen_given => {
                // Nobody asked for this address: what else is wanted goes on without it.
                tracing::warn!(%error, "Hubble's API is not served; set hubble.listen to an address, or to [] for none");
                return Ok(None);
            }
            Err(error) => return Err(AppError::Failed(anyhow::Error::new(error).context("hubble.listen"))),
        };
        let (ring, writer) = Ring::new(hubble.ring);
        Ok(Some(Self { bound, ring, writer, namespaces: Namespaces::default() }))
    }

    /// Lets clients in. Returns who is to get what is observed.
    pub(super) fn serve(
        self,
        runtime: &Runtime,
        shared: &Shared<'_>,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Vec<Box<dyn Sink>>> {
        let Self { bound, ring, writer, namespaces } = self;
        let Shared { settings, names, telemetry, stop, .. } = *shared;
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
            tracing::info!(%address, entries = settings.hubble.ring, "Hubble's API");
        }
        runtime.spawn(ring.wake_followers());
        tasks.spawn_on(peers.run(stop.clone()), runtime.handle());
        tasks.spawn_on(bound.serve(routes, Some(health), stop.clone()), runtime.handle());
        Ok(sinks)
    }
}

fn node(settings: &Settings) -> Node {
    Node { name: settings.node.name.clone(), cluster: settings.node.cluster.clone() }
}

/// Who else observes.
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

/// Makes the folder of a socket where it is our own: one that a setting names may be the default's.
pub(super) fn make_folder(path: &Path) {
    if path.parent() == Some(Path::new(lock::FOLDER))
        && let Err(error) = DirBuilder::new().recursive(true).mode(0o755).create(lock::FOLDER)
    {
        // What follows from it is logged where the socket is bound.
        tracing::debug!(%error, folder = lock::FOLDER, "cannot make a socket's folder");
    }
}

fn addresses(settings: &Settings) -> Result<Vec<Bind>, AppError> {
    let hubble = &settings.hubble;
    let bind = |listen: &Listen| {
        Ok(match listen {
            Listen::Unix(path) => Bind::Unix(Options {
                path: path.clone(),
                mode: hubble.mode,
                group: monitor::group("hubble.group", &hubble.group)?,
            }),
            Listen::Tcp(address) => Bind::Tcp(*address),
        })
    };
    hubble.listen.iter().map(bind).collect()
}

/// The files of the API's certificates; none where it has none.
pub(super) fn certificates(settings: &Settings) -> Option<grpc::tls::TlsFiles> {
    let tls = &settings.hubble.tls;
    Some(grpc::tls::TlsFiles { cert: tls.cert.clone()?, key: tls.key.clone()?, client_ca: tls.client_ca.clone() })
}
