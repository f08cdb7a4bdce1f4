//! The connection to a Hubble server, and the clients of its services.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use tonic::client::Grpc;
use tonic::codegen::InterceptedService;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::address::Address;
use super::config::ClientConfig;
use super::error::ClientError;
use super::raw::RawCodec;
use super::tls;
use crate::services::HEALTH_SERVICE;
use crate::services::observer::observer_client::ObserverClient;
use crate::services::peer::peer_client::PeerClient;
use crate::support::error_chain::error_chain;

/// The largest message that is accepted, in bytes. A flow has some hundred, with L7 headers and policies some thousand. The
/// largest answer lists the nodes of a cluster; it may exceed gRPC's default of 4 MiB.
const MAX_MESSAGE: usize = 16 << 20;
/// The interval of HTTP/2 pings on a silent connection during a call: `--follow` detects a lost server. The source
/// `hubble` does so sooner, by [`Connection::answers_within`]. Go's gRPC servers end a connection that pings more often
/// than every 5 minutes.
const KEEP_ALIVE: Duration = Duration::from_secs(301);
/// Timeout of the answer to a ping.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// HTTP/2 flow control window of a stream, in bytes.
const STREAM_WINDOW: u32 = 512 << 10;
/// The window of a connection, in bytes: more than its streams can use together. The crate `h2` ends a connection with
/// too many waiting small frames: their lack to 256 bytes each may add up to half of this window. A window full of
/// messages of 20 bytes lacks 6 MiB.
const CONNECTION_WINDOW: u32 = 48 << 20;

/// A connection to a server.
#[derive(Clone, Debug)]
pub struct Connection {
    channel: InterceptedService<Channel, Credentials>,
    /// The server's address.
    pub address: Address,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Settings that exclude each other, files that cannot be used, or a server that cannot be reached.
    pub async fn open(address: Address, config: &ClientConfig) -> Result<Self, ClientError> {
        let (endpoint, is_tls) = endpoint(&address, config)?;
        let credentials = Credentials::new(config.basic_auth.as_ref(), is_tls)?;
        let channel = match tokio::time::timeout(config.timeout, endpoint.connect()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return Err(ClientError::connect(address, is_tls, &error)),
            Err(_) => return Err(ClientError::Timeout { address, timeout: config.timeout }),
        };
        Ok(Self { channel: InterceptedService::new(channel, credentials), address })
    }

    /// The client for flows, events, nodes, namespaces and the server's status.
    pub fn observer(&self) -> ObserverClient<InterceptedService<Channel, Credentials>> {
        ObserverClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// A stream of encoded messages of a call: decoding would lose unknown fields. `path` is `/package.Service/Method`.
    ///
    /// # Errors
    /// The server's status. Hubble's answers with its first message, so this waits for it.
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

    /// The client for notifications of other nodes.
    pub fn peers(&self) -> PeerClient<InterceptedService<Channel, Credentials>> {
        PeerClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// The server's health: that of the observer service, as Hubble's command line asks.
    ///
    /// # Errors
    /// The server's status.
    pub async fn health(&self, timeout: Duration) -> Result<ServingStatus, Status> {
        let mut request = Request::new(HealthCheckRequest { service: HEALTH_SERVICE.to_owned() });
        request.set_timeout(timeout);
        let answer = HealthClient::new(self.channel.clone()).check(request).await?.into_inner();
        Ok(ServingStatus::try_from(answer.status).unwrap_or(ServingStatus::Unknown))
    }

    /// Returns whether the server answers a health check in time: for a status, a relay waits for all of its nodes. An
    /// unknown call is an answer, and so is the connection's end, which the streams report.
    pub async fn answers_within(&self, timeout: Duration) -> bool {
        let request = HealthCheckRequest { service: HEALTH_SERVICE.to_owned() };
        let mut client = HealthClient::new(self.channel.clone());
        tokio::time::timeout(timeout, client.check(request)).await.is_ok()
    }
}

fn endpoint(address: &Address, config: &ClientConfig) -> Result<(Endpoint, bool), ClientError> {
    let (uri, is_tls) = match address {
        Address::Unix(_) if config.tls.is_some() => {
            return Err(ClientError::Config("TLS is for TCP: a unix socket is plaintext"));
        }
        Address::Unix(path) => (format!("unix://{}", path.display()), false),
        Address::Tcp { host, port, tls } => {
            let is_tls = *tls || config.tls.is_some();
            let scheme = if is_tls { "https" } else { "http" };
            let uri = if host.contains(':') {
                format!("{scheme}://[{host}]:{port}")
            } else {
                format!("{scheme}://{host}:{port}")
            };
            (uri, is_tls)
        }
    };
    let endpoint = Endpoint::from_shared(uri).map_err(|error| ClientError::Connect {
        address: address.clone(),
        message: error_chain(&error),
        hint: "",
        kind: None,
    })?;
    let endpoint = endpoint
        .connect_timeout(config.timeout)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .user_agent(concat!("eyepiece/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| ClientError::Tls { message: error_chain(&error) })?;
    if is_tls {
        let tls = config.tls.clone().unwrap_or_default();
        return Ok((tls::secured(endpoint, &tls)?, true));
    }
    Ok((endpoint, false))
}

/// The version in an answer's header: a server's, else a relay's.
pub fn version(header: &MetadataMap) -> Option<&str> {
    let value = header.get(crate::services::VERSION_HEADER).or_else(|| header.get("hubble-relay-version"))?;
    value.to_str().ok()
}

/// Sends the header `authorization` with every call.
#[derive(Clone, Debug)]
pub struct Credentials(Option<MetadataValue<Ascii>>);

impl Credentials {
    fn new(basic: Option<&(String, String)>, is_tls: bool) -> Result<Self, ClientError> {
        let Some((name, password)) = basic else { return Ok(Self(None)) };
        if !is_tls {
            return Err(ClientError::Config("basic auth needs TLS: without it the password is readable on the way"));
        }
        let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")));
        let mut value: MetadataValue<Ascii> = text
            .parse()
            .map_err(|_| ClientError::Config("basic auth: the password has a character that no header allows"))?;
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
