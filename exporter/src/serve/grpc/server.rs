//! Accepts clients on all addresses, each with a task of its own, until told to stop.

use std::io;
use std::sync::Arc;

use http::HeaderValue;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout_at};
use tonic::service::Routes;

use super::connection::{Ended, Incoming};
use super::counters::{Counters, Present};
use super::health::Health;
use super::limits::{ACCEPT_PAUSE, Limits};
use super::listen::{self, Address, Bind, BindError, Listener};
use super::reason::Reason;
use super::reload::{Current, Reload};
use super::request::Budget;
use super::service::{Client, Places, Shared};
use super::tls::{Files, TlsError};
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// What a server is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: Vec<Bind>,
    /// Certificates of the IP addresses; none = plaintext.
    pub tls: Option<Files>,
    /// What clients may take.
    pub limits: Limits,
    /// What [`super::VERSION_HEADER`] says.
    pub version: HeaderValue,
    /// Our own counters.
    pub telemetry: Telemetry,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Addresses that are ours; whoever connects waits until it is served.
pub struct Bound {
    listeners: Vec<Listener>,
    tls: Option<(Reload, Current)>,
    limits: Limits,
    version: HeaderValue,
    counters: Counters,
}

impl Config {
    /// Reads the certificates and binds the addresses. Needs the runtime that will serve.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn bind(self) -> Result<Bound, ServerError> {
        let Self { listen, tls, limits, version, telemetry } = self;
        let tls = tls.map(Reload::new).transpose()?;
        let listeners = listen::bind(listen).await?;
        Ok(Bound { listeners, tls, limits, version, counters: Counters::new(&telemetry) })
    }
}

impl Bound {
    /// Where it listens, in the order of the settings.
    pub fn addresses(&self) -> Vec<Address> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Serves clients until told to stop: then nobody new is accepted, unix sockets' paths are removed, health says
    /// NOT_SERVING, clients are told to go, and what is being answered has until the deadline. Streams that do not end
    /// by themselves are ended with UNAVAILABLE in the middle of that time.
    pub async fn serve(self, routes: Routes, health: Option<Health>, mut stop: Stop) {
        let Self { listeners, tls, limits, version, counters } = self;
        let places = Places::new(limits.streams);
        let (tcp, unix) = (limits.tcp_connections, limits.unix_connections);
        let (tcp, unix) = (Arc::new(Semaphore::new(tcp)), Arc::new(Semaphore::new(unix)));
        let shared = Arc::new(Shared {
            routes: routes.prepare(),
            version,
            places: places.clone(),
            budget: Budget::new(limits.request_bytes),
            request_time: limits.request,
            counters: counters.clone(),
            stop: stop.clone(),
        });
        let mut tasks = JoinSet::new();
        let (reload, current) = tls.unzip();
        if let Some(reload) = reload {
            tasks.spawn(reload.run(counters.clone(), stop.clone()));
        }
        for listener in listeners {
            let places = if matches!(listener, Listener::Unix(_)) { &unix } else { &tcp };
            let acceptor = Acceptor {
                tls: current.clone(),
                limits: limits.clone(),
                shared: Arc::clone(&shared),
                places: Arc::clone(places),
                connections: JoinSet::new(),
                failed: 0,
            };
            tasks.spawn(acceptor.run(listener, stop.clone()));
        }
        let deadline = shutdown::requested(&mut stop).await;
        if let Some(health) = health {
            health.set(false).await;
        }
        while let Some(ended) = tasks.join_next().await {
            note(ended);
        }
        // Requests live a moment longer than their connections.
        if timeout_at(deadline, places.free()).await.is_err() {
            tracing::debug!("requests of clients that are gone are still there");
        }
    }
}

/// Accepts the clients of one address.
struct Acceptor {
    tls: Option<Current>,
    limits: Limits,
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    connections: JoinSet<()>,
    /// Attempts that failed since one did not.
    failed: u64,
}

impl Acceptor {
    async fn run(mut self, listener: Listener, mut stop: Stop) {
        loop {
            tokio::select! {
                _ = shutdown::requested(&mut stop) => break,
                Some(ended) = self.connections.join_next(), if !self.connections.is_empty() => note(ended),
                accepted = accept(&listener, self.tls.as_ref()) => match accepted {
                    Ok((incoming, client)) => {
                        let failed = std::mem::take(&mut self.failed);
                        if failed > 0 {
                            tracing::info!(failed, address = %listener.address(), "clients are accepted again");
                        }
                        self.admit(incoming, client);
                    }
                    Err(error) => {
                        // Told once: it fails ten times a second until something is changed.
                        if self.failed == 0 {
                            tracing::warn!(%error, address = %listener.address(), "cannot accept clients");
                        }
                        self.failed += 1;
                        self.shared.counters.refused(Reason::NotAccepted);
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        while let Some(ended) = self.connections.join_next().await {
            note(ended);
        }
    }

    fn admit(&mut self, incoming: Incoming, client: Client) {
        let counters = &self.shared.counters;
        counters.accepted.add(1);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::debug!(%client, "too many connections");
            return counters.refused(Reason::TooManyConnections);
        };
        let (shared, limits) = (Arc::clone(&self.shared), self.limits.clone());
        let present = Present::new(&counters.connections);
        self.connections.spawn(async move {
            let counters = shared.counters.clone();
            let ended = incoming.serve(client.clone(), &limits, shared).await;
            tracing::debug!(%client, ?ended, "a client is gone");
            match (ended, ended.reason()) {
                (Ended::Refused(reason), _) => counters.refused(reason),
                (_, Some(reason)) => counters.ended(reason),
                (_, None) => {}
            }
            drop((present, place));
        });
    }
}

async fn accept(listener: &Listener, tls: Option<&Current>) -> io::Result<(Incoming, Client)> {
    match listener {
        Listener::Unix(listener) => {
            let (stream, _) = listener.socket().accept().await?;
            let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
            Ok((Incoming::Unix(stream), Client::Unix(pid)))
        }
        Listener::Tcp(listener, _) => {
            let (stream, address) = listener.accept().await?;
            Ok((Incoming::Tcp(stream, tls.cloned()), Client::Tcp(address)))
        }
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task of the gRPC server was lost");
    }
}
