//! Endpoints that are wrong: the outcome of a request names the endpoint and the likely mistake.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use eyepiece::export::otlp::client::Client;
use eyepiece::export::otlp::retry::Outcome;
use eyepiece_config::{Export, Protocol, Signal};
use hyper::service::service_fn;
use tonic::transport::{Identity, ServerTlsConfig};

use crate::support::{Received, grpc, settings};
use crate::tls::Pki;

/// Returns the result of a single request.
async fn outcome(settings: Export) -> Outcome {
    let client = Client::new(&settings, Signal::Logs).unwrap();
    client.send(Bytes::new()).await
}

fn with_ca(ca: std::path::PathBuf, mut settings: Export) -> Export {
    settings.tls.ca = Some(ca);
    settings
}

async fn message(url: &str, protocol: Protocol) -> String {
    match outcome(settings(url.to_owned(), protocol)).await {
        Outcome::Retry { message, .. } | Outcome::Refused { message, .. } => message,
        taken => panic!("{url}: {taken:?}"),
    }
}

/// A real HTTP/1.1 server that answers with a status.
async fn http_server(status: u16) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = service_fn(move |_| async move {
                let mut response = http::Response::new(http_body_util::Full::new(Bytes::from("page not found\nsorry")));
                *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
                Ok::<_, std::convert::Infallible>(response)
            });
            let stream = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, answer));
        }
    });
    address
}

/// A server that reads something, answers these bytes, and closes: with an answer only when the client does.
fn stranger(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            drop(stream.read(&mut [0; 1024]));
            drop(stream.write_all(answer));
            if !answer.is_empty() {
                drop(stream.read_to_end(&mut Vec::new()));
            }
        }
    });
    address
}

#[tokio::test]
async fn wrong_port_names_other_protocol() {
    let http = http_server(200).await;
    let (grpc, _) = grpc(&Received::default(), "127.0.0.1:0", None).await;
    // The server closes: its answer and a write that fails for it race.
    let found = message(&format!("http://{http}"), Protocol::Grpc).await;
    assert!(found.starts_with(&format!("http://{http} ")), "{found}");
    assert!(found.contains(": is it the HTTP port (otlp.protocol = \"http/protobuf\")"), "{found}");
    // A stranger that reads on: the first bytes of its answer are no frame.
    let http = stranger(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(
        message(&format!("http://{http}"), Protocol::Grpc).await,
        format!("http://{http} does not speak gRPC: is it the HTTP port (otlp.protocol = \"http/protobuf\")?")
    );
    // It sends its settings at once, so they may come before the request is on its way.
    let found = message(&format!("http://{grpc}"), Protocol::HttpProtobuf).await;
    assert!(found.starts_with(&format!("http://{grpc} ")), "{found}");
    assert!(found.contains(": is it the gRPC port (otlp.protocol = \"grpc\")"), "{found}");
    let grpc = stranger(b"\0\0\0\x04\0\0\0\0\0");
    assert_eq!(
        message(&format!("http://{grpc}"), Protocol::HttpProtobuf).await,
        format!(
            "http://{grpc} does not speak HTTP/1.1: is it the gRPC port (otlp.protocol = \"grpc\"), or does it expect TLS \
             (https://)?"
        )
    );
}

#[tokio::test]
async fn tls_against_plaintext_names_http() {
    let http = http_server(200).await;
    let (grpc, _) = grpc(&Received::default(), "127.0.0.1:0", None).await;
    let pki = Pki::new();
    for (address, protocol) in [(http, Protocol::HttpProtobuf), (grpc, Protocol::Grpc)] {
        let url = format!("https://{address}");
        let settings = with_ca(pki.path("ca"), settings(url, protocol));
        let Outcome::Retry { message, .. } = outcome(settings).await else { panic!("a decided outcome") };
        assert_eq!(message, format!("https://{address} does not speak TLS: is it http://{address}?"), "{protocol:?}");
    }
}

#[tokio::test]
async fn untrusted_certificate_names_setting() {
    let (pki, other) = (Pki::new(), Pki::new());
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(&pki.server.0, &pki.server.1));
    let (address, _) = grpc(&Received::default(), "127.0.0.1:0", Some(tls)).await;
    let settings = with_ca(other.path("ca"), settings(format!("https://{address}"), Protocol::Grpc));
    let Outcome::Retry { message, .. } = outcome(settings).await else { panic!("a decided outcome") };
    assert!(message.starts_with(&format!("https://{address} has a certificate")), "{message}");
}

#[tokio::test]
async fn plaintext_against_tls_names_https() {
    let pki = Pki::new();
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(&pki.server.0, &pki.server.1));
    let (address, _) = grpc(&Received::default(), "127.0.0.1:0", Some(tls)).await;
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let message = message(&format!("http://{address}"), protocol).await;
        assert!(
            message.contains(&format!("http://{address}")) && message.contains("https://"),
            "{protocol:?}: {message}"
        );
    }
}

#[tokio::test]
async fn wrong_path_names_right_path() {
    let address = http_server(404).await;
    assert_eq!(
        message(&format!("http://{address}/wrong"), Protocol::HttpProtobuf).await,
        format!(
            "HTTP status 404: page not found (http://{address}/wrong/v1/logs): is the path right? OTLP's is /v1/logs"
        )
    );
    let forbidden = http_server(403).await;
    let message = message(&format!("http://{forbidden}"), Protocol::HttpProtobuf).await;
    assert!(message.ends_with(&format!("(http://{forbidden}/v1/logs): are otlp.headers right?")), "{message}");
}

#[tokio::test]
async fn unreachable_endpoint_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let message = message(&format!("http://{address}"), protocol).await;
        assert_eq!(message, format!("connection refused (http://{address})"), "{protocol:?}");
    }
    let closes = stranger(b"");
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let message = message(&format!("http://{closes}"), protocol).await;
        let expected = format!("http://{closes} closed the connection without an answer (");
        assert!(message.starts_with(&expected) && message.ends_with("does it expect TLS (https://)?"), "{message}");
    }
}
