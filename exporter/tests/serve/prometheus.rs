//! The Prometheus endpoint with real sockets: formats, gzip, TLS, shared pages, slow and many clients.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use eyepiece::export::prometheus::{Format, Page, RequestMetrics};
use eyepiece::serve::http::{CONNECTION_TIMEOUT, Server, ServerError};
use eyepiece::serve::prometheus::{Config, Pages};
use eyepiece::serve::tls::TlsFiles;
use eyepiece::support::capabilities::Capabilities;
use eyepiece::support::server_runtime::raise_descriptors;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_tests::eventually;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::grpc::pki::{NAME, Pki};

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Timeout of every wait on a busy machine; passing tests never wait that long.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A running endpoint with its telemetry.
struct Endpoint {
    server: Server,
    telemetry: Telemetry,
}

impl Endpoint {
    fn start(pages: impl Pages) -> Self {
        Self::with_tls(pages, None)
    }

    fn with_tls(pages: impl Pages, tls: Option<TlsFiles>) -> Self {
        let telemetry = Telemetry::default();
        let config = Config { listen: ANY, tls, telemetry: telemetry.clone() };
        Self { server: config.bind().unwrap().serve(pages).unwrap(), telemetry }
    }

    fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// How many connections were refused for a reason.
    fn refused(&self, reason: &str) -> u64 {
        let samples = self.telemetry.samples();
        let found = samples
            .iter()
            .find(|sample| sample.key.name == "eyepiece.prometheus.refused" && sample.key.attributes[0].1 == reason);
        found.map_or(0, |sample| sample.value)
    }

    fn wait_for_refused(&self, reason: &str, least: u64) {
        eventually(TIMEOUT, &format!("{least} refused: {reason}"), || (self.refused(reason) >= least).then_some(()))
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.telemetry.samples()));
    }

    fn get(&self, path: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(self.addr()).unwrap();
        request(&mut stream, &format!("GET {path}"), headers)
    }
}

/// A head with lower-case names, and a body; both empty without an answer.
#[derive(Debug)]
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> &str {
        self.head.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// The text without its encoding.
    fn decoded(&self) -> String {
        if self.header("content-encoding").is_none() {
            return self.text().to_owned();
        }
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*self.body).read_to_string(&mut text).unwrap();
        text
    }
}

/// Sends a request and reads until the other side closes; what a reset leaves unread does not count.
fn request(stream: &mut (impl Read + Write), request: &str, headers: &str) -> Answer {
    // The endpoint may have refused and closed before all of it is sent.
    drop(stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let body = answer.split_off(end);
    Answer { head: String::from_utf8_lossy(&answer).into_owned(), body }
}

/// A page that is the same in both formats.
fn fixed(_: Format, _: &RequestMetrics) -> Result<Vec<u8>, String> {
    Ok(b"a_metric 1\n".to_vec())
}

/// The page of the endpoint's own requests.
fn own(format: Format, requests: &RequestMetrics) -> Result<Vec<u8>, String> {
    Ok(Page { flows: &[], requests, samples: &[], resource: &[] }.render(format))
}

#[test]
fn paths_and_methods() {
    let endpoint = Endpoint::start(fixed);
    for (asked, expected) in [
        ("GET /metrics", "200"),
        ("HEAD /metrics", "200"),
        ("GET /metrics?name=x", "200"),
        ("GET /", "200"),
        ("HEAD /", "200"),
        ("POST /metrics", "405"),
        ("DELETE /", "405"),
        ("GET /metrics/", "404"),
        ("GET /other", "404"),
        ("POST /other", "404"),
        ("GET /../metrics", "404"),
    ] {
        let mut stream = TcpStream::connect(endpoint.addr()).unwrap();
        let answer = request(&mut stream, asked, "");
        assert_eq!(answer.status(), expected, "{asked}");
        assert_eq!(answer.header("allow"), (expected == "405").then_some("GET, HEAD"), "{asked}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{asked}");
        assert_eq!(answer.body.is_empty(), asked.starts_with("HEAD"), "{asked}");
    }
    assert!(endpoint.get("/", "").text().contains("href=\"/metrics\""));
    let mut stream = TcpStream::connect(endpoint.addr()).unwrap();
    assert_eq!(request(&mut stream, "HEAD /metrics", "").header("content-length"), Some("11"));
}

#[test]
fn format_and_encoding_follow_headers() {
    let endpoint = Endpoint::start(|format: Format, _: &RequestMetrics| Ok(format!("{format:?}\n").into_bytes()));
    let (text, open) = (Format::Text.content_type(), Format::OpenMetrics.content_type());
    for (headers, content_type, encoding, expected) in [
        ("", text, None, "Text\n"),
        ("Accept: */*\r\n", text, None, "Text\n"),
        ("Accept: application/openmetrics-text; version=1.0.0, */*; q=0.1\r\n", open, None, "OpenMetrics\n"),
        ("Accept-Encoding: gzip\r\n", text, Some("gzip"), "Text\n"),
        ("Accept: application/openmetrics-text\r\nAccept-Encoding: gzip\r\n", open, Some("gzip"), "OpenMetrics\n"),
        ("Accept-Encoding: gzip;q=0\r\n", text, None, "Text\n"),
    ] {
        let answer = endpoint.get("/metrics", headers);
        assert_eq!(answer.header("content-type"), Some(content_type), "{headers}");
        assert_eq!(answer.header("content-encoding"), encoding, "{headers}");
        assert_eq!(answer.header("vary"), Some("accept, accept-encoding"), "{headers}");
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()), "{headers}");
        assert_eq!(answer.decoded(), expected, "{headers}");
    }
}

#[test]
fn failed_page_is_503_with_reason() {
    let calls = AtomicUsize::new(0);
    let endpoint = Endpoint::start(move |format: Format, requests: &RequestMetrics| {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err("the pipeline has ended".to_owned());
        }
        own(format, requests)
    });
    let failed = endpoint.get("/metrics", "Accept-Encoding: gzip\r\n");
    assert_eq!((failed.status(), failed.text()), ("503", "cannot render the metrics: the pipeline has ended\n"));
    let page = endpoint.get("/metrics", "");
    let counted = "hubble_metrics_http_handler_requests_total{code=\"503\"} 1\n";
    assert!(page.status() == "200" && page.text().contains(counted), "{page:?}");
    assert!(!page.text().contains("code=\"200\""), "a request is counted when it is over");
    let counted = "hubble_metrics_http_handler_request_duration_seconds_count{code=\"200\"} ";
    let has_counted = || endpoint.get("/metrics", "").text().contains(counted).then_some(());
    eventually(TIMEOUT, "the page counts answered requests", has_counted).unwrap();
}

#[test]
fn parallel_scrapes_share_rendering() {
    let rendered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&rendered);
    let endpoint = Endpoint::start(move |_: Format, _: &RequestMetrics| {
        Ok((count.fetch_add(1, Ordering::Relaxed) + 1).to_string().into_bytes())
    });
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    assert_eq!(endpoint.get("/metrics", "").status(), "200");
                }
            });
        }
    });
    let most = start.elapsed().as_secs() as usize + 1;
    assert!(rendered.load(Ordering::Relaxed) <= most, "{rendered:?} renderings for 200 scrapes");
    let last = endpoint.get("/metrics", "").body;
    let has_changed = || (endpoint.get("/metrics", "").body != last).then_some(());
    eventually(TIMEOUT, "a new page", has_changed).unwrap();
}

#[test]
fn slow_rendering_delays_only_scrapes() {
    let (started, has_started) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let goes = Mutex::new(goes);
    let endpoint = Endpoint::start(move |_: Format, _: &RequestMetrics| {
        started.send(()).unwrap();
        goes.lock().unwrap().recv().unwrap();
        Ok(b"done".to_vec())
    });
    thread::scope(|scope| {
        let scrape = scope.spawn(|| endpoint.get("/metrics", ""));
        has_started.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(endpoint.get("/", "").status(), "200");
        assert!(!scrape.is_finished());
        go.send(()).unwrap();
        assert_eq!(scrape.join().unwrap().text(), "done");
    });
}

#[test]
fn rendering_thread_has_no_capabilities() {
    let endpoint = Endpoint::start(|_: Format, _: &RequestMetrics| {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let name = thread::current().name().map(str::to_owned);
        Ok(format!("{name:?} {:?}", Capabilities::of_status(&status, "CapPrm")).into_bytes())
    });
    let expected = format!("{:?} {:?}", Some("prometheus"), Some(Capabilities::NONE));
    assert_eq!(endpoint.get("/metrics", "").text(), expected);
}

/// A thousand clients that send half a head, from the address of the scrape.
#[test]
fn half_open_connections_delay_no_scrape() {
    raise_descriptors();
    let endpoint = Endpoint::start(fixed);
    let half_open: Vec<_> = (0..1000)
        .map(|_| {
            let mut stream = TcpStream::connect(endpoint.addr()).unwrap();
            // The endpoint may have closed it for a newer one.
            drop(stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:"));
            stream
        })
        .collect();
    let start = Instant::now();
    assert_eq!(endpoint.get("/metrics", "").status(), "200");
    // In the order of their arrival, 16 at a time, they would take two minutes.
    assert!(start.elapsed() < CONNECTION_TIMEOUT, "{:?}", start.elapsed());
    let ended = || (endpoint.refused("displaced") + endpoint.refused("timeout") >= 1000).then_some(());
    eventually(TIMEOUT, "all are ended and counted", ended).unwrap();
    assert!(endpoint.refused("displaced") > 0);
    for mut stream in half_open {
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    }
}

/// Clients of one address that read nothing but the first byte of a page which fills all buffers.
#[tokio::test]
async fn slow_readers_exclude_only_their_address() {
    let endpoint = Endpoint::start(|_: Format, _: &RequestMetrics| Ok(vec![b'#'; 64 << 20]));
    let mut slow: Vec<_> = (0..16).map(|_| TcpStream::connect(endpoint.addr()).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    let refused = endpoint.get("/", "");
    assert_eq!((refused.status(), endpoint.refused("too_many_of_address")), ("", 1));
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = socket.connect(endpoint.addr()).await.unwrap().into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    assert_eq!(request(&mut &stream, "GET /", "").status(), "200");
    // They are cut off in time, and their address is served again.
    endpoint.wait_for_refused("timeout", 16);
    assert_eq!(endpoint.get("/", "").status(), "200");
}

/// Scrapes by TLS; `None` without an answer.
fn tls_get(addr: SocketAddr, config: Arc<ClientConfig>) -> Option<Answer> {
    let connection = ClientConnection::new(config, ServerName::try_from(NAME).unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(addr).unwrap());
    let answer = request(&mut stream, "GET /metrics", "");
    (!answer.head.is_empty()).then_some(answer)
}

#[test]
fn tls_needs_certificates_on_both_sides() {
    let (pki, clients, other) = (Pki::new(), Pki::new(), Pki::new());
    let endpoint = Endpoint::with_tls(fixed, Some(pki.files(Some(&clients.ca))));
    let (good, bad) = (clients.sign("client"), other.sign("client"));
    let mut refused = 0;
    for (name, config, is_served) in [
        ("good", pki.raw(&TLS13, b"http/1.1", Some(&good)), true),
        ("no certificate", pki.raw(&TLS13, b"http/1.1", None), false),
        ("other authority", pki.raw(&TLS13, b"http/1.1", Some(&bad)), false),
        ("server not trusted", other.raw(&TLS13, b"http/1.1", Some(&good)), false),
        ("HTTP/2 only", pki.raw(&TLS13, b"h2", Some(&good)), false),
        ("old version", pki.raw(&TLS12, b"http/1.1", Some(&good)), false),
    ] {
        let answer = tls_get(endpoint.addr(), config);
        assert_eq!(
            answer.map(|answer| answer.text().to_owned()),
            is_served.then(|| "a_metric 1\n".to_owned()),
            "{name}"
        );
        refused += u64::from(!is_served);
        endpoint.wait_for_refused("tls", refused);
    }
    assert_eq!(endpoint.get("/metrics", "").status(), "", "plaintext");
    endpoint.wait_for_refused("tls", refused + 1);
}

#[test]
fn changed_certificates_are_used() {
    let (old, new) = (Pki::new(), Pki::new());
    let endpoint = Endpoint::with_tls(fixed, Some(old.files(None)));
    assert!(tls_get(endpoint.addr(), old.raw(&TLS13, b"http/1.1", None)).is_some());
    old.write(&new.sign(NAME));
    let get = || tls_get(endpoint.addr(), new.raw(&TLS13, b"http/1.1", None)).map(drop);
    eventually(TIMEOUT, "the new certificate is used", get).unwrap();
}

#[test]
fn unusable_certificate_fails_start() {
    let pki = Pki::new();
    let files = TlsFiles { cert: pki.path("missing"), ..pki.files(None) };
    let config = Config { listen: ANY, tls: Some(files), telemetry: Telemetry::default() };
    let error = config.bind().err().expect("no endpoint");
    assert!(matches!(error, ServerError::Tls(_)) && error.to_string().contains("missing: "), "{error}");
}

#[test]
fn address_in_use_names_key() {
    let listener = TcpListener::bind(ANY).unwrap();
    let listen = listener.local_addr().unwrap();
    let config = Config { listen, tls: None, telemetry: Telemetry::default() };
    let error = config.bind().err().expect("no endpoint");
    let expected =
        format!("prometheus.listen: cannot listen on {listen}: Address already in use (os error 98): process");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn dropped_endpoint_frees_address_and_pages() {
    let pages = Arc::new(());
    let held = Arc::clone(&pages);
    let endpoint = Endpoint::start(move |_: Format, _: &RequestMetrics| {
        let _held = &held;
        Ok(Vec::new())
    });
    assert_eq!(endpoint.get("/metrics", "").status(), "200");
    let addr = endpoint.addr();
    drop(endpoint);
    assert!(TcpStream::connect(addr).is_err());
    eventually(TIMEOUT, "the pages are dropped", || (Arc::strong_count(&pages) == 1).then_some(())).unwrap();
}
