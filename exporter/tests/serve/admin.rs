//! The admin endpoint with real sockets: answers, strangers, slow and many clients.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use eyepiece::client::admin::{AdminClientError, fetch};
use eyepiece::serve::admin::{Config, Ready};
use eyepiece::serve::http::{Server, ServerError};
use eyepiece::support::status::{HookStatus, SampleStatus, Status};
use eyepiece::support::telemetry::Telemetry;

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn status() -> Status {
    let telemetry = Telemetry::default();
    telemetry.counter("eyepiece.events.lost", &[("eyepiece.reason", "ring")]).add(u64::MAX);
    Status {
        version: "1.0".to_owned(),
        node: "n".to_owned(),
        hooks: vec![HookStatus { error: Some("why".to_owned()), ..HookStatus::default() }],
        samples: telemetry.samples().into_iter().map(SampleStatus::from).collect(),
        ..Status::default()
    }
}

fn config(listen: SocketAddr) -> Config {
    Config { listen, hosts: vec!["node1.example".to_owned()] }
}

fn admin() -> (Server, Ready) {
    let ready = Ready::default();
    (config(ANY).build(ready.clone(), status).expect("a free port"), ready)
}

/// Sends bytes and reads until the other side closes; what a reset leaves unread does not count.
fn talk(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    // The endpoint may have refused and closed before all of it is sent.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn line(addr: SocketAddr, request: &str) -> String {
    let answer = talk(addr, format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn paths_and_methods() {
    let (admin, ready) = admin();
    for (request, expected) in [
        ("GET /healthz", "HTTP/1.1 200 OK"),
        ("HEAD /healthz", "HTTP/1.1 200 OK"),
        ("GET /healthz?verbose", "HTTP/1.1 200 OK"),
        ("GET /readyz", "HTTP/1.1 503 Service Unavailable"),
        ("GET /status", "HTTP/1.1 200 OK"),
        ("POST /status", "HTTP/1.1 405 Method Not Allowed"),
        ("DELETE /healthz", "HTTP/1.1 405 Method Not Allowed"),
        ("GET /", "HTTP/1.1 404 Not Found"),
        ("GET /status/", "HTTP/1.1 404 Not Found"),
        ("GET /lookup?q=shop%2Fweb", "HTTP/1.1 200 OK"),
        ("GET /lookup?q=", "HTTP/1.1 400 Bad Request"),
        ("GET /lookup?x=1", "HTTP/1.1 400 Bad Request"),
        ("GET /lookup", "HTTP/1.1 400 Bad Request"),
        ("DELETE /lookup?q=a", "HTTP/1.1 405 Method Not Allowed"),
        ("POST /other", "HTTP/1.1 404 Not Found"),
        ("GET /../healthz", "HTTP/1.1 404 Not Found"),
    ] {
        assert_eq!(line(admin.addr, request), expected, "{request}");
    }
    ready.set(true);
    assert_eq!(line(admin.addr, "GET /readyz"), "HTTP/1.1 200 OK");
    assert!(talk(admin.addr, b"PUT /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").contains("\r\nallow: GET, HEAD\r\n"));
    let head = talk(admin.addr, b"HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n") && head.contains("content-type: application/json"), "{head}");
}

/// Sends a browser's request from a web page whose name resolves to this machine.
#[test]
fn foreign_host_is_refused() {
    let (admin, _) = admin();
    for (host, expected) in [
        ("evil.example", "HTTP/1.1 421 Misdirected Request"),
        ("evil.example:9966", "HTTP/1.1 421 Misdirected Request"),
        ("node1.example", "HTTP/1.1 200 OK"),
        ("127.0.0.1:9966", "HTTP/1.1 200 OK"),
        ("[::1]", "HTTP/1.1 200 OK"),
    ] {
        for path in ["/status", "/healthz"] {
            let answer = talk(admin.addr, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
            assert_eq!(answer.lines().next(), Some(expected), "{host}");
            assert_eq!(
                answer.contains("eyepiece.events.lost"),
                expected.ends_with("OK") && path == "/status",
                "{answer}"
            );
        }
    }
    assert!(talk(admin.addr, b"GET /status HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(talk(admin.addr, b"GET /healthz HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
}

#[test]
fn obstacle_keeps_readyz_at_503() {
    let failing = Arc::new(AtomicBool::new(false));
    let obstacle = Arc::clone(&failing);
    let ready = Ready::unless(move || obstacle.load(Ordering::Relaxed).then(|| "export of logs FAILING".to_owned()));
    let admin = config(ANY).build(ready.clone(), status).expect("a free port");
    for (is_started, is_failing, expected) in [
        (false, false, "HTTP/1.1 503 Service Unavailable"),
        (true, false, "HTTP/1.1 200 OK"),
        (true, true, "HTTP/1.1 503 Service Unavailable"),
        (true, false, "HTTP/1.1 200 OK"),
    ] {
        ready.set(is_started);
        failing.store(is_failing, Ordering::Relaxed);
        let answer = talk(admin.addr, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(answer.starts_with(expected), "{is_started} {is_failing}: {answer}");
        assert_eq!(answer.contains("not ready: export of logs FAILING"), is_failing, "{answer}");
        assert_eq!(fetch(admin.addr).unwrap().1.ready, is_started && !is_failing);
    }
}

#[test]
fn client_reads_source_status() {
    let (admin, ready) = admin();
    ready.set(true);
    let (text, fetched) = fetch(admin.addr).unwrap();
    assert_eq!(fetched, Status { ready: true, ..status() });
    assert!(text.contains("18446744073709551615"), "{text}");
}

#[test]
fn address_in_use_names_key() {
    let (admin, _) = admin();
    let error = config(admin.addr).build(Ready::default(), status).unwrap_err();
    assert!(matches!(error, ServerError::Bind { .. }));
    let expected = format!(
        "admin.listen: cannot listen on {}: Address already in use (os error 98): process {} (",
        admin.addr,
        std::process::id()
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn dropped_server_frees_address() {
    let (admin, _) = admin();
    let addr = admin.addr;
    assert_eq!(line(addr, "GET /healthz"), "HTTP/1.1 200 OK");
    drop(admin);
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let again = config(addr).build(Ready::default(), status).unwrap();
    assert_eq!(line(again.addr, "GET /healthz"), "HTTP/1.1 200 OK");
}

#[test]
fn malformed_requests_leave_server_usable() {
    let (admin, _) = admin();
    let many_headers = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
    let large = format!("GET /healthz HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(64 << 10));
    let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(64 << 10));
    for (bytes, expected) in [
        (&b"\0\xff\x16\x03\x01garbage\r\n\r\n"[..], "HTTP/1.1 400 Bad Request"),
        (b"GET\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"GET /healthz HTTP/9.9\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (many_headers.as_bytes(), "HTTP/1.1 431 Request Header Fields Too Large"),
        // A reset may overtake the answer to what was too large to be read.
        (large.as_bytes(), ""),
        (long_path.as_bytes(), ""),
    ] {
        let answer = talk(admin.addr, bytes);
        assert!(answer.starts_with(expected) && !answer.contains(" 200 "), "{answer}");
        assert_eq!(line(admin.addr, "GET /healthz"), "HTTP/1.1 200 OK");
    }
}

#[test]
fn request_body_is_not_read() {
    let (admin, _) = admin();
    let answer =
        talk(admin.addr, b"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nabc");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 405 "), "{answer}");
    let twice = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2);
    assert!(talk(admin.addr, &twice).matches("HTTP/1.1").count() <= 1);
    assert_eq!(line(admin.addr, "GET /healthz"), "HTTP/1.1 200 OK");
}

#[test]
fn slow_clients_are_disconnected() {
    let (admin, _) = admin();
    // More than are served at once; each sends half a head and then waits.
    let slow: Vec<_> = (0..80)
        .map(|_| {
            let mut stream = TcpStream::connect(admin.addr).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost:").unwrap();
            stream
        })
        .collect();
    assert_eq!(line(admin.addr, "GET /healthz"), "HTTP/1.1 200 OK");
    for mut stream in slow {
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    }
}

#[test]
fn parallel_clients_are_all_served() {
    let (admin, _) = admin();
    let addr = admin.addr;
    let client = || thread::spawn(move || (0..25).filter(|_| fetch(addr).is_ok()).count());
    let clients: Vec<_> = (0..16).map(|_| client()).collect();
    assert_eq!(clients.into_iter().map(|client| client.join().unwrap()).sum::<usize>(), 400);
}

#[test]
fn idle_connections_are_closed() {
    let (admin, _) = admin();
    for _ in 0..200 {
        TcpStream::connect(admin.addr).unwrap().shutdown(Shutdown::Both).unwrap();
    }
    assert_eq!(line(admin.addr, "GET /healthz"), "HTTP/1.1 200 OK");
}

/// A listener that answers one connection with these bytes, after it has read the request.
fn stranger(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(ANY).expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        if let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 1024];
            drop(stream.read(&mut request));
            drop(stream.write_all(answer));
        }
    });
    addr
}

#[test]
fn client_rejects_other_servers() {
    for (answer, wrong) in [
        (&b""[..], "it is not HTTP"),
        (b"\xff\xff", "it is not HTTP"),
        (b"HTTP/1.0 200 OK\r\n\r\n\xff\xff", "it is not UTF-8"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it is not HTTP"),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", "it is 404 Not Found"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", "expected value at line 1 column 1"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", "it names no version"),
    ] {
        let error = fetch(stranger(answer)).unwrap_err();
        assert!(matches!(&error, AdminClientError::Answer { wrong: found, .. } if found == wrong), "{error}");
    }
}
