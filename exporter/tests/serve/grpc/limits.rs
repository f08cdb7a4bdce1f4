//! Checks the limits of a client: each is reached, and other clients are still served.

use std::time::Duration;

use eyepiece::serve::grpc::{Limits, MAX_MESSAGE_BYTES};
use eyepiece::services::peer::peer_client::PeerClient;
use eyepiece_hubble::proto::peer::NotifyRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::pki::Pki;
use super::support::{Setup, TIMEOUT, health, unix};

/// Short enough to wait for, long enough for a busy machine to do what is in time.
const SHORT: Duration = Duration::from_millis(300);

/// Reads until the other side ends the connection.
async fn until_ended(stream: &mut TcpStream) -> usize {
    let mut answer = Vec::new();
    timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.expect("it is ended").unwrap_or_default();
    answer.len()
}

#[tokio::test]
async fn connection_without_handshake_is_closed() {
    let pki = Pki::new();
    for tls in [None, Some(pki.files(None))] {
        let limits = Limits { handshake_timeout: SHORT, ..Limits::default() };
        let server = Setup { tls, limits, ..Setup::default() }.start().await;
        for (number, text) in [&b""[..], b"PRI * HTTP/2.0\r\n", &[0x16, 0x03, 0x01, 0x02, 0x00]].iter().enumerate() {
            let mut stream = TcpStream::connect(server.tcp()).await.unwrap();
            stream.write_all(text).await.unwrap();
            until_ended(&mut stream).await;
            server.until("accepted", "", number as u64 + 1).await;
        }
        server.until("connections", "", 0).await;
        assert!(server.number("refused", "handshake_timeout") >= 1);
        server.ask_to_end(TIMEOUT);
        server.ended().await;
    }
}

#[tokio::test]
async fn connection_without_pong_is_closed() {
    let limits = Limits { ping_interval: SHORT, ping_timeout: SHORT, handshake_timeout: SHORT, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let answering = server.channel().await;
    let mut silent = TcpStream::connect(server.tcp()).await.unwrap();
    // The preface, empty settings, and nothing any more.
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    assert!(until_ended(&mut silent).await > 0, "settings and a ping came");
    server.until("ended", "ping_unanswered", 1).await;
    assert_eq!(health(answering, "").await.unwrap(), 1);
    assert_eq!(server.number("ended", "ping_unanswered"), 1);
}

#[tokio::test]
async fn connection_slots_are_per_listener_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hubble.sock");
    let limits = Limits { tcp_connections: 2, ..Limits::default() };
    let mut setup = Setup { limits, ..Setup::default() };
    setup.listen.push(unix(&path));
    let server = setup.start().await;
    let (first, second) = (server.channel().await, server.channel().await);
    assert_eq!(health(second, "").await.unwrap(), 1);
    let mut third = TcpStream::connect(server.tcp()).await.unwrap();
    assert_eq!(until_ended(&mut third).await, 0);
    server.until("refused", "too_many_connections", 1).await;
    let local = super::support::connect(&format!("unix://{}", path.display()), None).await.unwrap();
    assert_eq!(health(local.clone(), "").await.unwrap(), 1, "the network does not lock this machine out");
    server.until("connections", "", 2).await;
    drop(first);
    server.until("connections", "", 1).await;
    assert_eq!(health(server.channel().await, "").await.unwrap(), 1, "a place is free again");
}

#[tokio::test]
async fn requests_have_places_over_all_connections() {
    let limits = Limits { streams: 2, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let (one, other) = (server.channel().await, server.channel().await);
    let held = PeerClient::new(one).notify(NotifyRequest {}).await.unwrap();
    let second = PeerClient::new(other.clone()).notify(NotifyRequest {}).await.unwrap();
    let refused = health(other.clone(), "").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(server.number("refused", "too_many_streams"), 1);
    drop(held);
    server.until("streams", "", 1).await;
    assert_eq!(health(other, "").await.unwrap(), 1);
    drop(second);
    server.until("streams", "", 0).await;
    assert_eq!(server.number("requests", ""), 4);
}

#[tokio::test]
async fn requests_of_connection_are_queued() {
    let limits = Limits { streams_per_connection: 1, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let channel = server.channel().await;
    // With the first answer the settings have arrived, and with them the limit.
    assert_eq!(health(channel.clone(), "").await.unwrap(), 1);
    let mut held = PeerClient::new(channel.clone()).notify(NotifyRequest {}).await.unwrap().into_inner();
    assert_eq!(held.message().await.unwrap().unwrap().name, "us");
    let waiting = tokio::spawn(health(channel, ""));
    assert_eq!(health(server.channel().await, "").await.unwrap(), 1, "others are not kept waiting");
    assert!(!waiting.is_finished());
    drop(held);
    assert_eq!(timeout(TIMEOUT, waiting).await.unwrap().unwrap().unwrap(), 1);
}

#[tokio::test]
async fn oversized_messages_and_headers_are_refused() {
    let server = Setup::default().start().await;
    let mut client = HealthClient::new(server.channel().await);
    let fits = HealthCheckRequest { service: "x".repeat(MAX_MESSAGE_BYTES - 16) };
    assert_eq!(client.check(fits).await.unwrap_err().code(), Code::NotFound, "no such service");
    let large = HealthCheckRequest { service: "x".repeat(MAX_MESSAGE_BYTES) };
    assert_eq!(client.check(large).await.unwrap_err().code(), Code::OutOfRange);
    let mut request = Request::new(HealthCheckRequest::default());
    request.metadata_mut().insert("x", "y".repeat(15 << 10).parse().unwrap());
    assert!(client.check(request).await.is_ok());
    let mut request = Request::new(HealthCheckRequest::default());
    request.metadata_mut().insert("x", "y".repeat(17 << 10).parse().unwrap());
    assert!(client.check(request).await.is_err());
    // The connection is good for the next one.
    assert!(client.check(HealthCheckRequest::default()).await.is_ok());
    assert_eq!(server.number("accepted", ""), 1);
}

#[tokio::test]
async fn idle_connections_get_goaway() {
    let limits = Limits { idle_timeout: SHORT, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let busy = server.channel().await;
    let mut stream = PeerClient::new(busy).notify(NotifyRequest {}).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().name, "us");
    let idle = server.channel().await;
    server.until("ended", "idle", 1).await;
    assert_eq!(server.number("connections", ""), 1, "a connection with a stream stays");
    assert_eq!(health(idle, "").await.unwrap(), 1, "a client comes again by itself");
    assert_eq!(server.number("streams", ""), 1);
}
