//! The connection to a Hubble server, and its services' clients.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use tonic::client::Grpc;
use tonic::codegen::InterceptedService;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::address::Address;
use super::raw::RawCodec;
use super::tls;
use crate::serve::grpc::health::OBSERVER as HEALTH_SERVICE;
use crate::services::observer::observer_client::ObserverClient;
use crate::services::peer::peer_client::PeerClient;
use crate::support::error_chain::{causes, error_chain};

/// Bytes of a message that we take. A flow has some hundred, with L7 headers and policies some thousand; the answer about
/// the nodes of a large cluster is the largest. More than gRPC's 4 MiB, so that the largest cluster passes.
const MAX_MESSAGE: usize = 16 << 20;
/// A silent connection is asked for a sign of life this often while a call is open: `--follow` sees a server that is gone
/// (the source `hubble` sees it sooner, by [`Connection::answers_within`]).
/// Not more often than gRPC servers for Go bear (their minimum is 5 minutes): they end the connection otherwise.
const KEEP_ALIVE: Duration = Duration::from_secs(301);
/// How long the sign of life may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of a stream that may wait for us.
const STREAM_WINDOW: u32 = 512 << 10;
/// The same for all streams of a connection: more than they can use together. The crate `h2` ends a connection on which
/// too many small frames wait, and half of this is how much it bears of what they lack in size to 256 bytes; a window
/// full of messages of 20 bytes lacks 6 MiB.
const CONNECTION_WINDOW: u32 = 48 << 20;

/// What a client needs besides the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// TLS; none = plaintext, unless the address asks for TLS.
    pub tls: Option<TlsOptions>,
    /// How long connecting may take, with the handshake.
    pub timeout: Duration,
    /// Name and password, sent with each call; TLS only.
    pub basic_auth: Option<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        // As Hubble's command line.
        Self { tls: None, timeout: Duration::from_secs(5), basic_auth: None }
    }
}

/// Whom the client trusts and who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM files with authorities; none = those of the system.
    pub ca: Vec<PathBuf>,
    /// PEM files with the client's certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have, where it is not the address's host.
    pub server_name: Option<String>,
    /// Take any certificate.
    pub allow_insecure: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens, or it can't be reached.
    #[error("cannot reach {address}: {message}{hint}")]
    Connect {
        /// The address.
        address: Address,
        /// What went wrong, with its causes.
        message: String,
        /// What to look at.
        hint: &'static str,
        /// What the system said, where it did.
        kind: Option<std::io::ErrorKind>,
    },
    /// It took too long.
    #[error("cannot reach {address}: no answer within {timeout:?}")]
    Timeout {
        /// The address.
        address: Address,
        /// The time.
        timeout: Duration,
    },
    /// A file with a certificate or key.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// TLS can't be set up.
    #[error("TLS: {message}")]
    Tls {
        /// What went wrong.
        message: String,
    },
    /// What is asked for does not go together.
    #[error("{0}")]
    Options(&'static str),
}

/// A server that has been reached.
#[derive(Clone, Debug)]
pub struct Connection {
    channel: InterceptedService<Channel, Credentials>,
    /// Where it is.
    pub address: Address,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Options that do not go together, files that can't be used, or a server that can't be reached; all name it.
    pub async fn open(address: Address, options: &Options) -> Result<Self, ClientError> {
        let (endpoint, is_tls) = endpoint(&address, options)?;
        let credentials = Credentials::new(options.basic_auth.as_ref(), is_tls)?;
        let channel = match tokio::time::timeout(options.timeout, endpoint.connect()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => {
                let (message, kind) = (error_chain(&error), kind(&error));
                let hint = hint(&address, is_tls, kind);
                return Err(ClientError::Connect { address, message, hint, kind });
            }
            Err(_) => return Err(ClientError::Timeout { address, timeout: options.timeout }),
        };
        Ok(Self { channel: InterceptedService::new(channel, credentials), address })
    }

    /// Flows, events, nodes, namespaces and the server's status.
    pub fn observer(&self) -> ObserverClient<InterceptedService<Channel, Credentials>> {
        ObserverClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// A stream of one of the API's calls, its messages as they came: a decoded one has lost what its server knows and we
    /// do not. `path` is `/package.Service/Method`.
    ///
    /// # Errors
    /// What the server answers. Hubble's answers with its first message, so that this waits for it.
    pub async fn stream<R: prost::Message + 'static>(
        &self,
        path: &'static str,
        request: R,
    ) -> Result<tonic::Response<tonic::Streaming<Bytes>>, Status> {
        let mut client = Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        client.ready().await.map_err(|error| Status::unavailable(error_chain(&error)))?;
        let path = http::uri::PathAndQuery::from_static(path);
        client.server_streaming(Request::new(request), path, RawCodec::default()).await
    }

    /// Who else observes.
    pub fn peers(&self) -> PeerClient<InterceptedService<Channel, Credentials>> {
        PeerClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// What the server says of its own health: of the observer service, as Hubble's command line asks.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn health(&self, timeout: Duration) -> Result<ServingStatus, Status> {
        let mut request = Request::new(HealthCheckRequest { service: HEALTH_SERVICE.to_owned() });
        request.set_timeout(timeout);
        let answer = HealthClient::new(self.channel.clone()).check(request).await?.into_inner();
        Ok(ServingStatus::try_from(answer.status).unwrap_or(ServingStatus::Unknown))
    }

    /// Whether the server answers a call at all; that it does not know the call is an answer, too, and so is the end of the
    /// connection, which its streams tell. It is asked for its health: for a status a relay asks all of its nodes, and one
    /// of them may keep it waiting.
    pub async fn answers_within(&self, timeout: Duration) -> bool {
        let request = HealthCheckRequest { service: HEALTH_SERVICE.to_owned() };
        let mut client = HealthClient::new(self.channel.clone());
        tokio::time::timeout(timeout, client.check(request)).await.is_ok()
    }
}

fn endpoint(address: &Address, options: &Options) -> Result<(Endpoint, bool), ClientError> {
    let (uri, is_tls) = match address {
        Address::Unix(_) if options.tls.is_some() => {
            return Err(ClientError::Options("TLS is for TCP: a unix socket is plaintext"));
        }
        Address::Unix(path) => (format!("unix://{}", path.display()), false),
        Address::Tcp { host, port, tls } => {
            let is_tls = *tls || options.tls.is_some();
            let scheme = if is_tls { "https" } else { "http" };
            (
                if host.contains(':') {
                    format!("{scheme}://[{host}]:{port}")
                } else {
                    format!("{scheme}://{host}:{port}")
                },
                is_tls,
            )
        }
    };
    let endpoint = Endpoint::from_shared(uri).map_err(|error| ClientError::Connect {
        address: address.clone(),
        message: error_chain(&error),
        hint: "",
        kind: None,
    })?;
    let endpoint = endpoint
        .connect_timeout(options.timeout)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .user_agent(concat!("eyepiece/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| ClientError::Tls { message: error_chain(&error) })?;
    if is_tls {
        let tls = options.tls.clone().unwrap_or_default();
        return Ok((tls::secured(endpoint, &tls)?, true));
    }
    Ok((endpoint, false))
}

/// What to look at, by what the kernel said.
fn hint(address: &Address, is_tls: bool, kind: Option<std::io::ErrorKind>) -> &'static str {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    match (address, kind) {
        (Address::Unix(_), Some(NotFound)) => {
            ": is its server running? eyepiece's own listens where hubble.listen says"
        }
        (Address::Unix(_), Some(ConnectionRefused)) => ": its server has gone",
        (Address::Unix(_), Some(PermissionDenied)) => ": root may, and the socket's group",
        (Address::Tcp { .. }, Some(ConnectionRefused)) => ": does a Hubble server listen there?",
        (Address::Tcp { .. }, _) if is_tls => {
            ": does it speak TLS, and is its certificate of an authority that is trusted (--tls-ca-cert-files, \
             hubble_source.tls.ca), for the name that is asked for (--tls-server-name, hubble_source.tls.server_name)?"
        }
        _ => "",
    }
}

/// What the system said.
fn kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind))
}

/// How the connection broke, where that is what ended a call, and no server.
pub fn broke(status: &Status) -> Option<String> {
    let source = std::error::Error::source(status)?;
    let cause = causes(source).find_map(|cause| cause.downcast_ref::<tonic::transport::Error>());
    cause.map(|_| format!("the connection broke: {}", error_chain(source)))
}

/// What a call's end says to a person: `Unknown` is what Go's servers answer where they name no code.
pub fn told(status: &Status) -> String {
    if let Some(broke) = broke(status) {
        return broke;
    }
    match (status.code(), status.message()) {
        (Code::Unknown, message) if !message.is_empty() => eyepiece_hubble::terminal::safe(message).into_owned(),
        (code, "") => code.description().to_owned(),
        (code, message) => format!("{}: {}", code.description(), eyepiece_hubble::terminal::safe(message)),
    }
}

/// The server's version, where it names one in its answer's header: a server's, else a relay's.
pub fn version(header: &MetadataMap) -> Option<&str> {
    let value = header.get(crate::serve::grpc::VERSION_HEADER).or_else(|| header.get("hubble-relay-version"))?;
    value.to_str().ok()
}

/// The header `authorization`, on every call.
#[derive(Clone, Debug)]
pub struct Credentials(Option<MetadataValue<Ascii>>);

impl Credentials {
    fn new(basic: Option<&(String, String)>, is_tls: bool) -> Result<Self, ClientError> {
        let Some((name, password)) = basic else { return Ok(Self(None)) };
        if !is_tls {
            return Err(ClientError::Options("basic auth needs TLS: it would send the password for all to read"));
        }
        let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")));
        let mut value: MetadataValue<Ascii> =
            text.parse().map_err(|_| ClientError::Options("basic auth: the password fits in no header"))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}
