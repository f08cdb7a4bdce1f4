//! Sends encoded requests over gRPC or HTTP and returns the receiver's answer.
//!
//! One HTTP client serves both protocols: a unary gRPC call is a POST over HTTP/2 with a five-byte frame and trailers.
//! So a request is neither encoded nor copied twice, and TLS, timeouts and errors share their code.

mod connection;
mod error;
mod failure;
mod grpc;
mod http;
mod tls;

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use eyepiece_config::{Compression, Export, Protocol, Signal};
use flate2::write::GzEncoder;
use tokio::time::timeout;

use self::connection::Connection;
use super::retry::Outcome;
use super::sdk_metrics::ExporterIdentity;

pub use error::ClientError;
pub use tls::TlsError;

/// A client of one signal. Cloning shares its connections; it must be used within a tokio runtime.
#[derive(Clone)]
pub struct Client {
    connection: Connection,
    protocol: Protocol,
    compression: Compression,
    timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("uri", &self.connection.uri()).field("protocol", &self.protocol).finish()
    }
}

impl Client {
    /// A client for a signal's settings. It connects with the first request.
    ///
    /// # Errors
    /// The protocol is `stdout`, or the endpoint, headers, certificates or keys cannot be used.
    pub fn new(export: &Export, signal: Signal) -> Result<Self, ClientError> {
        if export.protocol == Protocol::Stdout {
            return Err(ClientError::NoClient);
        }
        let Export { protocol, compression, timeout, .. } = *export;
        Ok(Self { connection: Connection::new(export, signal)?, protocol, compression, timeout })
    }

    /// How own metrics describe it.
    pub fn identity(&self) -> ExporterIdentity {
        let uri = self.connection.uri();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        // An IPv6 address has brackets in a URI alone.
        let server = uri.host().map(|host| (host.trim_matches(['[', ']']).to_owned(), port));
        ExporterIdentity { protocol: self.protocol, server }
    }

    /// Sends one encoded `Export…ServiceRequest`, once; waits no longer than the configured timeout.
    pub async fn send(&self, request: Bytes) -> Outcome {
        let body = match self.compression {
            Compression::None => request,
            Compression::Gzip => match gzip(&request) {
                Ok(body) => body,
                Err(error) => {
                    return Outcome::Refused { message: format!("gzip: {error}"), error_type: "compression".into() };
                }
            },
        };
        let attempt = async {
            match self.protocol {
                Protocol::Grpc => grpc::send(&self.connection, body, self.compression == Compression::Gzip).await,
                Protocol::HttpProtobuf | Protocol::Stdout => http::send(&self.connection, body).await,
            }
        };
        match timeout(self.timeout, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => self.connection.target.timed_out(self.timeout),
        }
    }
}

fn gzip(request: &[u8]) -> std::io::Result<Bytes> {
    // Flow records repeat themselves: the fast level already removes nine tenths.
    let mut encoder = GzEncoder::new(Vec::with_capacity(request.len() / 4), flate2::Compression::fast());
    encoder.write_all(request)?;
    encoder.finish().map(Bytes::from)
}
