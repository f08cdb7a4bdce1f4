//! Accepts clients on all addresses until a shutdown; each connection has its own task.

use std::io;
use std::sync::Arc;

use http::HeaderValue;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tonic::service::Routes;

use super::connection::{ConnectionEnd, Incoming};
use super::extensions::Client;
use super::health::Health;
use super::limits::Limits;
use super::listen::{self, Address, Bind, BindError, Listener};
use super::metrics::{GaugeGuard, ServerMetrics};
use super::refusal::RefusalReason;
use super::service::{RequestSlots, ServerState};
use crate::serve::tls::{CurrentTls, TlsError, TlsFiles, TlsReloader};
use crate::support::accept::{AcceptRetry, log_panic};
use crate::support::byte_budget::ByteBudget;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// Its name in the log.
const SERVER: &str = "gRPC";
/// HTTP/2 in ALPN (RFC 9113, 3.2).
const ALPN: &[u8] = b"h2";

/// The configuration of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on.
    pub listen: Vec<Bind>,
    /// Certificates of the IP addresses; `None`: plaintext.
    pub tls: Option<TlsFiles>,
    /// Limits on what clients use.
    pub limits: Limits,
    /// Value of [`crate::services::VERSION_HEADER`].
    pub version: HeaderValue,
    /// The registry of our own metrics.
    pub telemetry: Telemetry,
}

/// The error of building a server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A server with bound addresses; clients wait in the kernel's queue until it serves.
pub struct Bound {
    listeners: Vec<Listener>,
    tls: Option<(TlsReloader, CurrentTls)>,
    limits: Limits,
    version: HeaderValue,
    metrics: ServerMetrics,
}

impl Config {
    /// Reads the certificates and binds the addresses. Call it on the runtime that will serve.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn bind(self) -> Result<Bound, ServerError> {
        let Self { listen, tls, limits, version, telemetry } = self;
        let tls = tls.map(|files| TlsReloader::new(files, ALPN)).transpose()?;
        let listeners = listen::bind(listen).await?;
        Ok(Bound { listeners, tls, limits, version, metrics: ServerMetrics::new(&telemetry) })
    }
}

impl Bound {
    /// The bound addresses, in the order of [`Config::listen`].
    pub fn addresses(&self) -> Vec<Address> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Serves clients until a shutdown. Then the server accepts no client, removes its unix sockets, sets health to
    /// NOT_SERVING and sends GOAWAY; requests in progress have until the deadline. Streams that do not end by
    /// themselves end with UNAVAILABLE in the middle of that time.
    pub async fn serve(self, routes: Routes, health: Option<Health>, mut stop: Stop) {
        let Self { listeners, tls, limits, version, metrics } = self;
        if let Some(health) = &health {
            health.register_methods(&metrics.calls);
        }
        let slots = RequestSlots::new(limits.streams);
        let (tcp, unix) = (limits.tcp_connections, limits.unix_connections);
        let (tcp, unix) = (Arc::new(Semaphore::new(tcp)), Arc::new(Semaphore::new(unix)));
        let shared = Arc::new(ServerState {
            routes: routes.prepare(),
            version,
            slots: slots.clone(),
            budget: ByteBudget::new(limits.request_bytes),
            request_timeout: limits.request_timeout,
            metrics: metrics.clone(),
            stop: stop.clone(),
        });
        let mut tasks = JoinSet::new();
        let (reloader, current) = tls.unzip();
        if let Some(reloader) = reloader {
            let reloads = metrics.clone();
            tasks.spawn(reloader.run(move |outcome| reloads.count_reload(outcome), stop.clone()));
        }
        for listener in listeners {
            let slots = if matches!(listener, Listener::Unix(_)) { &unix } else { &tcp };
            let acceptor = Acceptor {
                tls: current.clone(),
                limits: limits.clone(),
                shared: Arc::clone(&shared),
                slots: Arc::clone(slots),
                connections: JoinSet::new(),
                retry: AcceptRetry::new(SERVER, &listener.address()),
            };
            tasks.spawn(acceptor.run(listener, stop.clone()));
        }
        let deadline = shutdown::requested(&mut stop).await;
        if let Some(health) = health {
            health.set(false).await;
        }
        while let Some(ended) = tasks.join_next().await {
            log_panic(SERVER, ended);
        }
        // Requests outlive their connections for a moment.
        if timeout_at(deadline, slots.all_free()).await.is_err() {
            tracing::debug!("requests of closed connections have not ended by the shutdown's deadline");
        }
    }
}

/// Accepts the clients of one address.
struct Acceptor {
    tls: Option<CurrentTls>,
    limits: Limits,
    shared: Arc<ServerState>,
    slots: Arc<Semaphore>,
    connections: JoinSet<()>,
    retry: AcceptRetry,
}

impl Acceptor {
    async fn run(mut self, listener: Listener, mut stop: Stop) {
        loop {
            tokio::select! {
                _ = shutdown::requested(&mut stop) => break,
                Some(ended) = self.connections.join_next(), if !self.connections.is_empty() => log_panic(SERVER, ended),
                (incoming, client) = self.retry.next(|| accept(&listener, self.tls.as_ref(), &self.shared.metrics)) => {
                    self.admit(incoming, client);
                }
            }
        }
        drop(listener);
        while let Some(ended) = self.connections.join_next().await {
            log_panic(SERVER, ended);
        }
    }

    fn admit(&mut self, incoming: Incoming, client: Client) {
        let metrics = &self.shared.metrics;
        metrics.accepted.add(1);
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            tracing::debug!(%client, "too many gRPC connections");
            return metrics.count_refused(RefusalReason::TooManyConnections);
        };
        let (shared, limits) = (Arc::clone(&self.shared), self.limits.clone());
        let gauge = GaugeGuard::new(&metrics.connections);
        self.connections.spawn(async move {
            let metrics = shared.metrics.clone();
            let ended = incoming.serve(client.clone(), &limits, shared).await;
            tracing::debug!(%client, ?ended, "a gRPC connection ended");
            match (ended, ended.reason()) {
                (ConnectionEnd::Refused(reason), _) => metrics.count_refused(reason),
                (_, Some(reason)) => metrics.count_ended(reason),
                (_, None) => {}
            }
            drop((gauge, slot));
        });
    }
}

/// Accepts a client, or counts the failure.
async fn accept(
    listener: &Listener,
    tls: Option<&CurrentTls>,
    metrics: &ServerMetrics,
) -> io::Result<(Incoming, Client)> {
    let accepted = match listener {
        Listener::Unix(listener) => listener.socket().accept().await.map(|(stream, _)| {
            let peer = stream.peer_cred().ok();
            let client = Client::Unix { pid: peer.and_then(|peer| peer.pid()), uid: peer.map(|peer| peer.uid()) };
            (Incoming::Unix(stream), client)
        }),
        Listener::Tcp(listener, _) => {
            let accepted = listener.accept().await;
            accepted.map(|(stream, address)| (Incoming::Tcp(stream, tls.cloned()), Client::Tcp(address)))
        }
    };
    accepted.inspect_err(|_| metrics.count_refused(RefusalReason::NotAccepted))
}
