//! The admin endpoint: its configuration and its answers.

use std::future::{pending, ready};
use std::net::SocketAddr;

use http::request::Parts;
use http::{Method, StatusCode, Uri};
use serde::Serialize;

use super::host;
use super::ready::Ready;
use crate::serve::http::{
    Answer, Bound as HttpBound, Config as HttpConfig, Handler, Limits, Refusals, Server, ServerError,
    method_not_allowed, response, text,
};
use crate::support::lookup::Lookup;
use crate::support::status::Status;

/// Probes and people need a handful of connections, all from one address.
const LIMITS: Limits = Limits { connections: 64, per_address: 64 };
/// The longest text that /lookup looks for.
const MAX_QUERY: usize = 512;

/// The configuration of the admin endpoint.
#[derive(Clone, Debug)]
pub struct Config {
    /// `admin.listen`; port 0 selects a free one.
    pub listen: SocketAddr,
    /// `admin.hosts`: allowed names in a request's `Host`, beside IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// The documents that the endpoint serves. Called on the admin thread, once per request.
pub trait Documents: Send + Sync + 'static {
    /// The current status.
    fn status(&self) -> Status;

    /// Returns the entries of an address or a name.
    fn lookup(&self, query: &str) -> Lookup {
        Lookup { query: query.to_owned(), ..Lookup::default() }
    }
}

impl<F: Fn() -> Status + Send + Sync + 'static> Documents for F {
    fn status(&self) -> Status {
        self()
    }
}

/// A bound address; clients wait in the kernel's queue until it is served.
pub struct Bound {
    server: HttpBound,
    hosts: Vec<String>,
}

impl Config {
    /// Binds the address.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(self) -> Result<Bound, ServerError> {
        let Self { listen, hosts } = self;
        let (name, key, refusals) = ("admin", "admin.listen", Refusals::default());
        let server = HttpConfig { name, key, listen, tls: None, limits: LIMITS, refusals }.bind()?;
        Ok(Bound { server, hosts })
    }

    /// Binds the address and serves it.
    ///
    /// # Errors
    /// The address cannot be bound, or the thread cannot be started.
    pub fn build(self, ready: Ready, documents: impl Documents) -> Result<Server, ServerError> {
        self.bind()?.serve(ready, documents)
    }
}

impl Bound {
    /// Serves the address.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn serve(self, ready: Ready, documents: impl Documents) -> Result<Server, ServerError> {
        let Self { server, hosts } = self;
        server.serve(AdminState { ready, documents, hosts }, pending())
    }
}

struct AdminState<D> {
    ready: Ready,
    documents: D,
    hosts: Vec<String>,
}

impl<D: Documents> Handler for AdminState<D> {
    fn respond(&self, head: Parts) -> impl Future<Output = Answer> + Send {
        ready(respond(&head, self))
    }
}

fn respond(head: &Parts, shared: &AdminState<impl Documents>) -> Answer {
    match host::check(&head.uri, head.version, &head.headers, &shared.hosts) {
        Ok(()) => {}
        Err(StatusCode::BAD_REQUEST) => return text(StatusCode::BAD_REQUEST, "invalid Host: expected one\n"),
        Err(code) => return text(code, "invalid Host: expected an IP address, localhost or a name of admin.hosts\n"),
    }
    let known = matches!(head.uri.path(), "/healthz" | "/readyz" | "/status" | "/lookup");
    match (&head.method, head.uri.path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET | &Method::HEAD, "/readyz") => match shared.ready.why_not() {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        },
        (&Method::GET | &Method::HEAD, "/status") => {
            json(&Status { ready: shared.ready.get(), ..shared.documents.status() })
        }
        (&Method::GET | &Method::HEAD, "/lookup") => match query(&head.uri) {
            Some(query) => json(&shared.documents.lookup(&query)),
            None => text(StatusCode::BAD_REQUEST, "invalid query: expected /lookup?q=ADDRESS or /lookup?q=NAME\n"),
        },
        _ if known => method_not_allowed(),
        _ => text(StatusCode::NOT_FOUND, "invalid path: expected /healthz, /readyz, /status or /lookup\n"),
    }
}

/// The value of `q`.
fn query(uri: &Uri) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    let (_, value) = pairs.find(|(name, _)| name == "q")?;
    (!value.is_empty() && value.len() <= MAX_QUERY).then(|| value.into_owned())
}

fn json(document: &impl Serialize) -> Answer {
    match serde_json::to_vec(document) {
        Ok(body) => response(StatusCode::OK, "application/json", body.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpStream};
    use std::sync::Arc;
    use std::sync::Mutex;

    use super::{Config, Ready, Status};
    use crate::support::capabilities::Capabilities;

    #[test]
    fn admin_thread_has_no_capabilities() {
        let held = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&held);
        let status = move || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            *seen.lock().unwrap() = Capabilities::of_status(&status, "CapPrm");
            Status::default()
        };
        let config = Config { listen: (Ipv4Addr::LOCALHOST, 0).into(), hosts: Vec::new() };
        let admin = config.build(Ready::default(), status).unwrap();
        let mut stream = TcpStream::connect(admin.addr).unwrap();
        stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(*held.lock().unwrap(), Some(Capabilities::NONE));
    }
}
