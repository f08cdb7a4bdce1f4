//! Binds an address and serves it on a thread of its own.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};

use super::connection;
use super::connection::Handler;
use super::places::{Limits, Places};
use super::refusal::Refusals;
use crate::serve::tls::{CurrentTls, TlsError, TlsFiles, TlsReloader};
use crate::support::accept::{AcceptRetry, log_panic};
use crate::support::capabilities::{self, Capabilities};
use crate::support::{shutdown, socket_owner};

/// HTTP/1.1 in ALPN (RFC 7301, 6).
const ALPN: &[u8] = b"http/1.1";

/// The configuration of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of its thread, and its own in the log.
    pub name: &'static str,
    /// The key of the address in the settings, for errors.
    pub key: &'static str,
    /// The address; port 0 selects a free one.
    pub listen: SocketAddr,
    /// Certificates; `None`: plaintext.
    pub tls: Option<TlsFiles>,
    /// The most connections.
    pub limits: Limits,
    /// Counts connections without an answer.
    pub refusals: Refusals,
}

/// The error of building a server.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum ServerError {
    /// The address is in use, not of this machine, or not permitted.
    #[error("{key}: cannot listen on {listen}: {source}{owner}; use another address, or \"\" for none")]
    Bind {
        /// The key in the settings.
        key: &'static str,
        /// The address.
        listen: SocketAddr,
        /// The process that holds the address, after a colon; empty if it is not in use.
        owner: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The thread or its runtime could not be started.
    #[error("cannot start the {name} thread: {source}")]
    Start { name: &'static str, source: io::Error },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A running server; stops on drop.
#[derive(Debug)]
pub struct Server {
    /// The bound address.
    pub addr: SocketAddr,
    name: &'static str,
    /// `Some` until the drop.
    task: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<Infallible>>,
}

/// A bound address; clients wait in the kernel's queue until it is served.
pub struct Bound {
    /// The address.
    pub addr: SocketAddr,
    name: &'static str,
    listener: std::net::TcpListener,
    tls: Option<(TlsReloader, CurrentTls)>,
    limits: Limits,
    refusals: Refusals,
}

impl Config {
    /// Reads the certificates and binds the address.
    ///
    /// # Errors
    /// The certificates cannot be used, or the address cannot be bound.
    pub fn bind(self) -> Result<Bound, ServerError> {
        let Self { name, key, listen, tls, limits, refusals } = self;
        let tls = tls.map(|files| TlsReloader::new(files, ALPN)).transpose()?;
        let bound = std::net::TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        match bound {
            Ok((addr, listener)) => Ok(Bound { addr, name, listener, tls, limits, refusals }),
            Err(source) => {
                let owner = socket_owner::describe_conflict(&source, listen);
                Err(ServerError::Bind { key, listen, owner, source })
            }
        }
    }
}

impl Bound {
    /// Serves the address on a thread without capabilities, which also runs `background` until the drop.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn serve<H: Handler>(
        self,
        handler: H,
        background: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Server, ServerError> {
        let Self { addr, name, listener, tls, limits, refusals } = self;
        let start = |source| ServerError::Start { name, source };
        // Threads for blocking work have its name too.
        let runtime = Builder::new_current_thread().thread_name(name).enable_all().build().map_err(start)?;
        let listener = {
            let _guard = runtime.enter();
            TcpListener::from_std(listener).map_err(start)?
        };
        let (reloader, tls) = tls.unzip();
        let acceptor = Acceptor {
            name,
            handler: Arc::new(handler),
            tls,
            places: Places::new(limits),
            refusals,
            connections: JoinSet::new(),
            retry: AcceptRetry::new(name, &addr),
        };
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            capabilities::keep(Capabilities::NONE);
            runtime.block_on(async {
                // Tasks end with the runtime.
                let (_deadline, stop) = shutdown::channel();
                if let Some(reloader) = reloader {
                    tokio::spawn(reloader.run(|_| {}, stop));
                }
                tokio::spawn(background);
                tokio::select! {
                    ended = tokio::spawn(acceptor.run(listener)) => log_panic(name, ended),
                    // Ends when the sender is dropped.
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        };
        let task = std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(start)?;
        Ok(Server { addr, name, task: Some(task), stop: Some(stop) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(task) = self.task.take()
            && task.join().is_err()
        {
            tracing::error!(server = self.name, "a server's thread panicked");
        }
    }
}

/// Accepts the clients of one address.
struct Acceptor<H> {
    name: &'static str,
    handler: Arc<H>,
    tls: Option<CurrentTls>,
    places: Places,
    refusals: Refusals,
    connections: JoinSet<()>,
    retry: AcceptRetry,
}

impl<H: Handler> Acceptor<H> {
    async fn run(mut self, listener: TcpListener) {
        loop {
            tokio::select! {
                Some(ended) = self.connections.join_next(), if !self.connections.is_empty() => {
                    log_panic(self.name, ended);
                }
                (stream, peer) = self.retry.next(|| listener.accept()) => self.admit(stream, peer.ip()),
            }
            // Connections read before the next one is accepted: a burst displaces none that has sent its request.
            yield_now().await;
        }
    }

    fn admit(&mut self, stream: TcpStream, address: IpAddr) {
        let name = self.name;
        let place = match self.places.admit(address) {
            Ok(place) => place,
            Err(reason) => {
                tracing::debug!(server = name, %address, ?reason, "a connection was refused");
                return self.refusals.count(reason);
            }
        };
        let (tls, handler, refusals) = (self.tls.clone(), Arc::clone(&self.handler), self.refusals.clone());
        self.connections.spawn(async move {
            if let Err(reason) = connection::serve(stream, tls, place, handler).await {
                tracing::debug!(server = name, %address, ?reason, "a connection ended without its answer");
                refusals.count(reason);
            }
        });
    }
}
