//! http/protobuf against a receiver of a few lines: paths, headers, gzip, statuses and `Retry-After`.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use eyepiece::export::otlp::client::Client;
use eyepiece::export::otlp::logs::LogsConfig;
use eyepiece_config::{Compression, Protocol, Secret, Signal};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Running, TIMEOUT, batch, config, numbers, settings, sums};

/// A request: its first line and headers in lower case, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// The head after `HTTP/1.1 `, and the body.
type Answer = (&'static str, Vec<u8>);

/// Requests that were seen, and answers until everything is taken.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Receiver {
    pub(crate) async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(receiver.clone().serve(stream));
            }
        });
        address
    }

    /// Answers requests until the connection closes.
    pub(crate) async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut bytes = Vec::new();
        loop {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return;
                }
                continue;
            };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
            let mut body = bytes.split_off(end + 4);
            while body.len() < length {
                assert!(stream.read_buf(&mut body).await.unwrap() > 0);
            }
            bytes = body.split_off(length);
            self.seen.lock().unwrap().push(Seen { head, body });
            let (head, body) = self.answers.lock().unwrap().pop_front().unwrap_or(("200 OK", Vec::new()));
            let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        }
    }

    fn requests(&self) -> Vec<ExportLogsServiceRequest> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|seen| ExportLogsServiceRequest::decode(seen.body.as_slice()).unwrap()).collect()
    }
}

#[tokio::test]
async fn records_arrive_once() {
    let receiver = Receiver::default();
    let mut settings = settings(format!("http://{}/base", receiver.start().await), Protocol::HttpProtobuf);
    settings.headers.insert("x-tenant".into(), Secret::new("t"));
    let client = Client::new(&settings, Signal::Logs).unwrap();
    let running = Running::start(&config(), client);
    running.sink.try_send(batch(0..45));
    let counters = running.end(TIMEOUT).await;
    assert_eq!(sums(&counters), (45, [0; 5]));
    assert_eq!(numbers(&receiver.requests()), (0..45).collect::<Vec<_>>());
    for seen in receiver.seen.lock().unwrap().iter() {
        assert!(seen.head.starts_with("POST /base/v1/logs HTTP/1.1\r\n"), "{}", seen.head);
        assert!(seen.head.contains("\r\ncontent-type: application/x-protobuf\r\n"));
        assert!(seen.head.contains("\r\nx-tenant: t\r\n"));
        assert!(!seen.head.contains("content-encoding"));
    }
}

#[tokio::test]
async fn gzip_setting_compresses_requests() {
    let receiver = Receiver::default();
    let mut settings = settings(format!("http://{}", receiver.start().await), Protocol::HttpProtobuf);
    settings.compression = Compression::Gzip;
    let client = Client::new(&settings, Signal::Logs).unwrap();
    let running = Running::start(&config(), client);
    running.sink.try_send(batch(0..10));
    assert_eq!(sums(&running.end(TIMEOUT).await), (10, [0; 5]));
    let seen = receiver.seen.lock().unwrap()[0].clone();
    assert!(seen.head.contains("\r\ncontent-encoding: gzip\r\n"));
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(seen.body.as_slice()).read_to_end(&mut body).unwrap();
    assert!(seen.body.len() < body.len());
    assert_eq!(numbers(&[ExportLogsServiceRequest::decode(body.as_slice()).unwrap()]), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn status_decides_retry_or_rejection() {
    let partial_success = Some(ExportLogsPartialSuccess { rejected_log_records: 4, error_message: "bad".into() });
    let partial = ExportLogsServiceResponse { partial_success }.encode_to_vec();
    // The head, the body; delivered, rejected, partial_success of the first 10 of 15 records; attempts.
    let cases = [
        ("200 OK", Vec::new(), (15, 0, 0), 2),
        ("202 Accepted", Vec::new(), (15, 0, 0), 2),
        ("200 OK", b"\xff\xffnot protobuf".to_vec(), (15, 0, 0), 2),
        ("200 OK", partial, (11, 0, 4), 2),
        ("200 OK", vec![0; 200_000], (15, 0, 0), 2),
        ("301 Moved\r\nlocation: http://127.0.0.1:1/", Vec::new(), (5, 10, 0), 2),
        ("400 Bad", b"\xff\xff".to_vec(), (5, 10, 0), 2),
        ("401 Unauthorized", Vec::new(), (5, 10, 0), 2),
        ("413 Too Large", Vec::new(), (5, 10, 0), 2),
        ("500 Error", Vec::new(), (5, 10, 0), 2),
        ("501 Not Implemented", Vec::new(), (5, 10, 0), 2),
        ("429 Slow\r\nretry-after: 0", Vec::new(), (15, 0, 0), 3),
        ("502 Bad Gateway", Vec::new(), (15, 0, 0), 3),
        ("503 Away\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT", Vec::new(), (15, 0, 0), 3),
        ("503 Away\r\nretry-after: later", Vec::new(), (15, 0, 0), 3),
        ("504 Timeout", Vec::new(), (15, 0, 0), 3),
    ];
    for (head, body, (delivered, rejected, partial_success), attempts) in cases {
        let receiver = Receiver::default();
        receiver.answers.lock().unwrap().push_back((head, body));
        let settings = settings(format!("http://{}", receiver.start().await), Protocol::HttpProtobuf);
        let client = Client::new(&settings, Signal::Logs).unwrap();
        let running = Running::start(&LogsConfig { in_flight: 1, ..config() }, client);
        running.sink.try_send(batch(0..15));
        let counters = running.end(TIMEOUT).await;
        assert_eq!(sums(&counters), (delivered, [0, rejected, partial_success, 0, 0]), "{head}");
        assert_eq!(receiver.seen.lock().unwrap().len(), attempts, "{head}");
    }
}
