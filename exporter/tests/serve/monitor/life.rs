//! Clients connect and leave: the reader runs while there are any, and nothing stays behind.

use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;

use eyepiece::support::telemetry::Sample;

use super::support::{Server, SourceStep, TIMEOUT, eventually};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn reader_runs_while_clients_listen() {
    let server = Server::start(Some(100), TIMEOUT);
    let running = || server.feed.running.load(Ordering::Acquire);
    assert!(!running());
    let first = server.client();
    eventually("the first starts it", running);
    let second = server.client();
    server.wait_for_listeners(2);
    drop(first);
    server.wait_for_listeners(1);
    assert!(running());
    drop(second);
    eventually("the last stops it", || !running());
    assert_eq!(server.feed.starts.load(Ordering::Acquire), 1);
    let consumer = server.agent.subscribe().unwrap();
    let third = server.client();
    server.wait_for_listeners(1);
    drop(third);
    server.wait_for_listeners(0);
    eventually("two have left", || server.agent.subscribers() == 1);
    assert!(running(), "a consumer still wants events");
    drop(consumer);
    eventually("the consumer was the last", || !running());
}

#[test]
fn thousand_short_clients_leave_nothing() {
    let server = Server::start(Some(100), TIMEOUT);
    let before = server.runtime.metrics().num_alive_tasks();
    let mut open = 0;
    for round in 0..1000 {
        if round == 10 {
            // The first ones may open what stays: threads, wakers.
            server.wait_for_listeners(0);
            eventually("all have left", || server.agent.subscribers() == 0);
            open = descriptors();
        }
        let client = UnixStream::connect(&server.path).unwrap();
        if round % 3 == 0 {
            server.feed.order(SourceStep::Events { count: 3, more: 1000 });
        }
        drop(client);
    }
    // Some find the places of others that are just leaving still taken.
    let gone = || server.number("eyepiece.monitor.ended", "") + server.number("eyepiece.monitor.refused", "");
    eventually("all came and went", || gone() == 1000);
    let mut last = server.client();
    server.wait_for_listeners(1);
    server.feed.order(SourceStep::Events { count: 1, more: 0 });
    last.read_until(|got| !got.numbers.is_empty());
    drop(last);
    server.wait_for_listeners(0);
    eventually("all have left", || server.agent.subscribers() == 0);
    eventually("the reader has stopped", || !server.feed.running.load(Ordering::Acquire));
    eventually("descriptors are closed", || descriptors() <= open);
    eventually("tasks have ended", || server.runtime.metrics().num_alive_tasks() <= before);
    // The slots' losses alone stay: sums, which never fall.
    let is_of_listener =
        |sample: &Sample| sample.key.attributes.iter().any(|(_, value)| value.starts_with("monitor_listener"));
    let stays = |sample: &Sample| sample.key.name == "eyepiece.monitor.listener.lost" && sample.value > 0;
    let others: Vec<_> = server.telemetry.samples().into_iter().filter(is_of_listener).filter(|s| !stays(s)).collect();
    assert!(others.is_empty(), "{others:?}");
    // By the end of the connections, and by nothing else.
    assert_eq!(gone(), 1001);
    assert_eq!(server.number("eyepiece.monitor.ended", "write_failed"), 0);
}
