//! The client of /status: one request over a plain socket, bounded in time and size.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::serve::admin::Status;

/// Time for the whole request: the endpoint answers at once or not at all.
const TIME: Duration = Duration::from_secs(5);
/// Bytes of an answer: some 50,000 numbers.
const MAX_ANSWER: usize = 16 << 20;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens, or it can't be reached.
    #[error("nothing answers on {addr} (admin.listen): {source}; is eyepiece running, with this address?")]
    Connect {
        /// The address.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The connection broke or took too long.
    #[error("no answer from {addr} (admin.listen): {source}")]
    Read {
        /// The address.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something else listens there.
    #[error("the answer from {addr} (admin.listen) is none of eyepiece's: {wrong}; does something else listen there?")]
    Answer {
        /// The address.
        addr: SocketAddr,
        /// What is wrong with it.
        wrong: String,
    },
}

/// Asks the endpoint that listens on an address, for the JSON text and what it says.
///
/// # Errors
/// Nothing listens, it does not answer in time, or it is something else.
pub fn fetch(listen: SocketAddr) -> Result<(String, Status), ClientError> {
    let addr = reachable(listen);
    let deadline = Instant::now() + TIME;
    let stream = TcpStream::connect_timeout(&addr, TIME).map_err(|source| ClientError::Connect { addr, source })?;
    let answer = exchange(stream, addr, deadline).map_err(|source| ClientError::Read { addr, source })?;
    let wrong = |wrong: String| ClientError::Answer { addr, wrong };
    let answer = String::from_utf8(answer).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| wrong("it is not HTTP".to_owned()))?;
    let line = head.lines().next().unwrap_or_default();
    if line.split(' ').nth(1) != Some("200") {
        return Err(wrong(format!("{line:?}")));
    }
    let status: Status = serde_json::from_str(body).map_err(|error| wrong(error.to_string()))?;
    if status.version.is_empty() {
        return Err(wrong("it names no version".to_owned()));
    }
    Ok((body.to_owned(), status))
}

/// An unspecified address is listened on, and not connected to.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

/// HTTP/1.0, so that the answer ends with the connection and comes in one piece.
fn exchange(mut stream: TcpStream, addr: SocketAddr, deadline: Instant) -> io::Result<Vec<u8>> {
    stream.set_write_timeout(Some(TIME))?;
    stream.write_all(format!("GET /status HTTP/1.0\r\nHost: {addr}\r\n\r\n").as_bytes())?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 16 << 10]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"));
        }
        stream.set_read_timeout(Some(left))?;
        let n = match stream.read(&mut chunk) {
            // What a socket's time limit gives on Linux.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"));
            }
            other => other?,
        };
        if n == 0 {
            return Ok(answer);
        }
        answer.extend_from_slice(&chunk[..n]);
        if answer.len() > MAX_ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too large"));
        }
    }
}
