//! Shutdown: the queue is written, the path is removed, and no client is waited for beyond the deadline.

use std::time::Duration;

use super::support::{Server, SourceStep, TIMEOUT};

#[test]
fn queue_is_written_before_end() {
    const EVENTS: u64 = 5000;
    let mut server = Server::start(Some(EVENTS as usize), TIMEOUT);
    let mut client = server.client();
    server.wait_for_listeners(1);
    server.feed.order(SourceStep::Events { count: EVENTS, more: 500 });
    server.feed.wait(EVENTS);
    let reader = std::thread::spawn(move || {
        client.read_until(|_| false);
        client
    });
    server.stop(TIMEOUT);
    let client = reader.join().unwrap();
    assert_eq!(client.got.numbers.len() as u64, EVENTS);
    assert!(client.got.lost.is_empty() && !server.path.exists());
    assert_eq!(server.number("eyepiece.monitor.ended", "shutdown"), 1);
}

#[test]
fn stalled_client_ends_at_deadline() {
    const EVENTS: u64 = 5000;
    let mut server = Server::start(Some(EVENTS as usize), TIMEOUT);
    let mut stuck = server.client();
    server.wait_for_listeners(1);
    server.feed.order(SourceStep::Events { count: EVENTS, more: 500 });
    server.feed.wait(EVENTS);
    server.stop(Duration::from_millis(50));
    assert!(!server.path.exists());
    assert_eq!(server.number("eyepiece.monitor.ended", "shutdown_deadline"), 1);
    let lost = server.number("eyepiece.monitor.lost", "shutdown_deadline");
    let sent = server.number("eyepiece.monitor.sent", "");
    assert_eq!(sent + lost, EVENTS);
    stuck.read_until(|_| false);
    assert!(lost > 0, "{lost}");
    assert_eq!(stuck.got.numbers.len() as u64, sent, "whatever is there to its last byte was sent, and nothing else");
}

#[test]
fn idle_server_ends_at_once() {
    let mut server = Server::start(Some(10), TIMEOUT);
    let mut client = server.client();
    server.wait_for_listeners(1);
    server.stop(TIMEOUT);
    client.read_until(|_| false);
    assert!(client.got.numbers.is_empty() && !server.path.exists());
    assert_eq!(server.agent.subscribers(), 0);
}
