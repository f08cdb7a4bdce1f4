//! The client of /status and /lookup: one request, bounded in time and size.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Collected, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::time::timeout;

use super::error::is_unexpected_message;
use crate::support::lookup::Lookup;
use crate::support::status::Status;

/// Time for the whole request: the endpoint answers at once or never.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer: some 50,000 samples.
const MAX_ANSWER: usize = 16 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The error of fetching the status.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum AdminClientError {
    /// Nothing listens, or it cannot be reached.
    #[error("cannot connect to {addr} (admin.listen): {source}; is eyepiece running with this address?")]
    Connect { addr: SocketAddr, source: std::io::Error },
    /// The connection broke or took too long.
    #[error("cannot read the answer of {addr} (admin.listen): {source}")]
    Read { addr: SocketAddr, source: BoxError },
    /// Another program listens there.
    #[error("invalid answer from {addr} (admin.listen): {wrong}; does another program listen there?")]
    Answer { addr: SocketAddr, wrong: String },
}

/// Fetches /status from the endpoint that listens on an address; returns the JSON text and its value.
///
/// # Errors
/// Nothing listens, the endpoint does not answer in time, or another program answers.
pub fn fetch(listen: SocketAddr) -> Result<(String, Status), AdminClientError> {
    let addr = reachable(listen);
    let (text, status): (_, Status) = document(addr, "/status")?;
    if status.version.is_empty() {
        return Err(AdminClientError::Answer { addr, wrong: "it names no version".to_owned() });
    }
    Ok((text, status))
}

/// Looks up an address or a name in the tables of names; returns the JSON text and its value.
///
/// # Errors
/// As [`fetch`].
pub fn look_up(listen: SocketAddr, query: &str) -> Result<(String, Lookup), AdminClientError> {
    let pair = form_urlencoded::Serializer::new(String::new()).append_pair("q", query).finish();
    document(reachable(listen), &format!("/lookup?{pair}"))
}

fn document<T: DeserializeOwned>(addr: SocketAddr, path: &str) -> Result<(String, T), AdminClientError> {
    let read = |source: BoxError| AdminClientError::Read { addr, source };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| read(error.into()))?;
    let body = runtime
        .block_on(async { timeout(TIMEOUT, get(addr, path)).await })
        .map_err(|_| read(format!("nothing within {TIMEOUT:?}").into()))??;
    let wrong = |wrong: String| AdminClientError::Answer { addr, wrong };
    let text = String::from_utf8(body.into()).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
    let value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    Ok((text, value))
}

/// The loopback address in place of an unspecified one, which nothing connects to.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

async fn get(addr: SocketAddr, path: &str) -> Result<Bytes, AdminClientError> {
    let failed = |error: hyper::Error| match error.is_parse()
        || error.is_incomplete_message()
        || is_unexpected_message(&error)
    {
        true => AdminClientError::Answer { addr, wrong: "it is not HTTP".to_owned() },
        false => AdminClientError::Read { addr, source: error.into() },
    };
    let connect = |source| AdminClientError::Connect { addr, source };
    let stream =
        timeout(TIMEOUT, TcpStream::connect(addr)).await.map_err(|late| connect(late.into()))?.map_err(connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Its errors reach the request, too.
    tokio::spawn(connection);
    let request = Request::get(path).header(header::HOST, addr.to_string()).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| AdminClientError::Read { addr, source: error.into() })?;
    let response = sender.send_request(request).await.map_err(failed)?;
    if response.status() != StatusCode::OK {
        return Err(AdminClientError::Answer { addr, wrong: format!("it is {}", response.status()) });
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    body.map(Collected::to_bytes).map_err(|source| AdminClientError::Read { addr, source })
}
