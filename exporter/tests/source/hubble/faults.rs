//! Checks servers that are missing, that end, that send invalid messages, and slow readers.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use tonic::Status;

use super::scripted::{Reader, Seen, Server, connected, flow};

#[test]
fn late_server_is_found() {
    let server = Server::start();
    let address = server.address.to_string();
    drop(server);
    let mut reader = Reader::start(&address);
    reader.until_reason("refused");
    assert!(reader.number("eyepiece.source.attempts", Some("refused")) > 0);
    let mut server = Server::start_at(&address, false, None);
    let call = server.call();
    call.flows([1]);
    reader.expect([1]);
    assert_eq!((reader.number("eyepiece.source.connected", None), reader.gaps()), (1, 0));
}

#[test]
fn missing_socket_is_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut reader = Reader::start(&format!("unix://{}/hubble.sock", folder.path().display()));
    reader.until_reason("not_there");
}

#[test]
fn lost_server_is_found_again() {
    let mut server = Server::start();
    let address = server.address.to_string();
    let mut reader = Reader::start(&address);
    let call = server.call();
    call.flows(0..10);
    reader.expect(0..10);
    drop((call, server));
    reader.until("an interruption", |reader| reader.controls.view.get().interruptions > 0);
    let mut server = Server::start_at(&address, false, None);
    let call = server.call();
    assert_eq!(call.since(), Some(4));
    call.flows(9..11);
    reader.expect([10]);
    assert_eq!(reader.gaps(), 0);
}

#[test]
fn non_grpc_server_is_logged() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The client may be gone already.
            (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap_or_default();
        }
    });
    let mut reader = Reader::start(&address.to_string());
    reader.until("an end", |reader| reader.number("eyepiece.source.interruptions", None) > 0);
    assert!(reader.controls.view.get().interruptions > 0);
}

#[test]
fn undecodable_message_keeps_stream() {
    let (_server, mut reader, call) = connected();
    call.flows([1]);
    let cut = flow("node", 2).slice(..20);
    call.send(cut.clone());
    // A message without anything, as a kind of the future is to us.
    call.send(bytes::Bytes::new());
    call.flows([3]);
    assert_eq!(reader.take(3), [Seen::Flow(1), Seen::Undecodable(cut.to_vec()), Seen::Flow(3)]);
    assert_eq!(reader.number("eyepiece.events.skipped", Some("unknown_message")), 1);
    assert_eq!(reader.controls.view.get().interruptions, 0);
}

#[test]
fn refusal_is_logged_and_retried() {
    let mut server = Server::start();
    let mut reader = Reader::start(&server.address.to_string());
    server.call().fail(Status::permission_denied("not you"));
    server.call().flows([1]);
    reader.expect([1]);
    assert_eq!(reader.number("eyepiece.source.interruptions", Some("permission_denied")), 1);
}

#[test]
fn slow_reader_loses_nothing() {
    const FLOWS: u64 = 100_000;
    let mut server = Server::start();
    let mut reader = Reader::start(&server.address.to_string());
    let sender = server.call().send_until_full(FLOWS, Duration::from_secs(1));
    reader.expect(0..FLOWS);
    drop(sender.join().expect("it sends"));
}

#[test]
fn arrived_flows_are_delivered_at_end() {
    let (_server, mut reader, call) = connected();
    call.flows(0..100);
    reader.until("the first", |reader| !reader.seen.is_empty());
    reader.controls.halt.request();
    while reader.read(Duration::ZERO) > 0 {}
    let count = reader.seen.len() as u64;
    assert_eq!(reader.seen, (0..count).map(Seen::Flow).collect::<Vec<_>>());
    assert_eq!(reader.controls.view.get().reason, Some("not_started"));
    reader.restart();
    assert_eq!(reader.read(Duration::ZERO), 0);
}

#[test]
fn resumed_reader_gets_new_events() {
    let (mut server, mut reader, call) = connected();
    call.flows([1]);
    reader.expect([1]);
    reader.stop();
    assert_eq!(reader.number("eyepiece.source.connected", None), 0);
    reader.restart();
    let call = server.call();
    assert_eq!(call.since(), None);
    call.flows([5]);
    reader.expect([5]);
    assert_eq!((reader.gaps(), reader.controls.view.get().interruptions), (0, 0));
}
