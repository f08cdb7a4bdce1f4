//! Clients get everything in order, or the exact count of what they lost.

use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use eyepiece::serve::monitor::limits::MAX_LISTENERS;
use eyepiece::serve::monitor::notification::{Endpoint, Notification};

use super::support::{Client, ReceivedPayloads, Server, SourceStep, TIMEOUT, eventually};

#[test]
fn no_byte_before_first_event() {
    let server = Server::start(Some(100), TIMEOUT);
    let mut client = server.client();
    server.wait_for_listeners(1);
    client.stream.set_nonblocking(true).unwrap();
    let nothing = client.stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    client.stream.set_nonblocking(false).unwrap();
    server.feed.order(SourceStep::Events { count: 1, more: 0 });
    client.read_until(|got| !got.numbers.is_empty());
    assert_eq!(client.got, ReceivedPayloads { numbers: vec![0], ..ReceivedPayloads::default() });
}

#[test]
fn losses_and_notifications_keep_order() {
    let server = Server::start(Some(1000), TIMEOUT);
    let mut client = server.client();
    server.wait_for_listeners(1);
    server.feed.order(SourceStep::Events { count: 2, more: 100 });
    server.feed.order(SourceStep::Lost { cpu: 5, count: 300 });
    server.feed.order(SourceStep::Events { count: 1, more: 100 });
    client.read_until(|got| got.numbers.len() == 3);
    assert_eq!((&client.got.numbers, &client.got.lost), (&vec![0, 1, 2], &vec![(5, 300, 2)]));
    server.notifier.send(Notification::EndpointCreated(Endpoint { id: 9, ..Endpoint::default() }));
    client.read_until(|got| !got.others.is_empty());
    let text = String::from_utf8_lossy(&client.got.others[0]).into_owned();
    assert!(client.got.others[0][0] == 130 && text.contains(r#"{"id":9}"#), "{text}");
}

/// Far more events than a client takes meanwhile. One reads at once, one slowly, and one when all are there.
#[test]
fn burst_arrives_whole_at_slow_clients() {
    const EVENTS: u64 = 100_000;
    let server = Server::start(None, TIMEOUT);
    let mut clients = [Duration::ZERO, Duration::from_millis(2)].map(|pause| (server.client(), pause));
    let mut late = server.client();
    server.wait_for_listeners(3);
    std::thread::scope(|scope| {
        for (client, pause) in &mut clients {
            scope.spawn(|| {
                client.read_until(|got| {
                    std::thread::sleep(*pause);
                    got.all() == EVENTS
                });
            });
        }
        server.feed.order(SourceStep::Events { count: EVENTS, more: 168 });
        server.feed.wait(EVENTS);
        late.read_until(|got| got.all() == EVENTS);
    });
    for client in clients.iter().map(|(client, _)| client).chain([&late]) {
        assert_eq!((client.got.numbers.len() as u64, client.got.lost_total()), (EVENTS, 0));
        in_order(&client.got);
    }
}

#[test]
fn queue_setting_bounds_events_exactly() {
    const EVENTS: u64 = 100_000;
    const QUEUE: usize = 2048;
    let server = Server::start(Some(QUEUE), TIMEOUT);
    let mut late = server.client();
    server.wait_for_listeners(1);
    server.feed.order(SourceStep::Events { count: EVENTS, more: 168 });
    server.feed.wait(EVENTS);
    assert_eq!(server.number("eyepiece.queue.capacity", "monitor_listener_0"), QUEUE as u64);
    // The writer may still fill the client's socket.
    assert!(server.number("eyepiece.queue.depth", "monitor_listener_0") <= QUEUE as u64);
    late.read_until(|got| got.all() == EVENTS);
    in_order(&late.got);
    let lost = late.got.lost_total();
    assert_eq!(server.number("eyepiece.monitor.listener.lost", "monitor_listener_0"), lost);
    // What its queue held, its socket, and the writer in between.
    assert!(lost > EVENTS / 2 && lost <= EVENTS - QUEUE as u64, "{lost}");
}

/// Checks nine reading clients, which get everything, beside an idle one: it gets queued events and the exact loss.
#[test]
fn slow_client_loses_alone() {
    const EVENTS: u64 = 200_000;
    const QUEUE: usize = 1000;
    let server = Server::start(Some(QUEUE), TIMEOUT);
    let mut slow = server.client();
    // Waits to be the first, for its number among the queues.
    server.wait_for_listeners(1);
    let readers: Vec<_> = (0..9).map(|_| server.client()).collect();
    server.wait_for_listeners(10);
    let threads: Vec<_> = readers
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                client.read_until(|got| got.all() == EVENTS);
                client
            })
        })
        .collect();
    for _ in 0..EVENTS / 500 {
        // As fast as the readers of a debug build take them.
        let before = server.feed.delivered();
        server.feed.order(SourceStep::Events { count: 500, more: 168 });
        server.feed.wait(before + 500);
    }
    for thread in threads {
        let client = thread.join().unwrap();
        let lost = server.number("eyepiece.monitor.listener.lost", "");
        assert_eq!(client.got.all(), EVENTS, "{:?} {lost}", client.got.lost);
        in_order(&client.got);
    }
    assert_eq!(slow.got, ReceivedPayloads::default());
    slow.read_until(|got| got.all() == EVENTS);
    in_order(&slow.got);
    let lost = slow.got.lost_total();
    assert!(lost > EVENTS / 2, "{lost}");
    assert_eq!(server.number("eyepiece.monitor.listener.lost", "monitor_listener_0"), lost);
    println!("slow: {} received + {lost} lost = {EVENTS}", slow.got.numbers.len());
}

/// Numbers grow by one, and by the count of each loss.
fn in_order(got: &ReceivedPayloads) {
    let mut expected = 0;
    let mut losses = got.lost.iter().peekable();
    for (at, &number) in got.numbers.iter().enumerate() {
        while let Some((_, count, _)) = losses.next_if(|(_, _, before)| *before == at) {
            expected += count;
        }
        assert_eq!(number, expected, "event {at}; losses {:?}", got.lost);
        expected += 1;
    }
}

#[test]
fn listener_limit_holds() {
    let server = Server::start(Some(10), TIMEOUT);
    let clients: Vec<_> = (0..MAX_LISTENERS).map(|_| server.client()).collect();
    server.wait_for_listeners(MAX_LISTENERS as u64);
    let mut refused = server.client();
    refused.read_until(|_| false);
    assert_eq!(refused.got, ReceivedPayloads::default());
    assert_eq!(server.number("eyepiece.monitor.refused", "too_many_listeners"), 1);
    drop(clients);
    server.wait_for_listeners(0);
    let mut client: Client = server.client();
    server.wait_for_listeners(1);
    server.feed.order(SourceStep::Events { count: 5, more: 0 });
    client.read_until(|got| got.numbers.len() == 5);
}

/// Many that come and stay: no more than can listen have a task, a thread or a descriptor of ours.
#[test]
fn client_beyond_limit_is_closed() {
    const CLIENTS: usize = 200;
    let server = Server::start(Some(10), TIMEOUT);
    let before = server.runtime.metrics().num_alive_tasks();
    let mut most = 0;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let client = server.client();
            most = most.max(server.runtime.metrics().num_alive_tasks() - before);
            client
        })
        .collect();
    let refused = || server.number("eyepiece.monitor.refused", "too_many_listeners");
    eventually("all came in or were refused", || refused() == (CLIENTS - MAX_LISTENERS) as u64);
    server.wait_for_listeners(MAX_LISTENERS as u64);
    assert!(most <= MAX_LISTENERS + 8, "{most}");
    drop(clients);
    server.wait_for_listeners(0);
}

/// One that only writes, as fast as it can, is read slowly; it still gets its events, and is seen to leave with much of
/// what it sent unread.
#[test]
fn client_that_only_sends_is_throttled() {
    use std::io::Write as _;
    const MUCH: usize = 64 << 20;
    let server = Server::start(Some(100), TIMEOUT);
    let mut talker = server.client();
    server.wait_for_listeners(1);
    talker.stream.set_nonblocking(true).unwrap();
    let (mut sent, mut waits) = (0, 0);
    while sent < MUCH && waits < 50 {
        match talker.stream.write(&[7; 65_536]) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                waits += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
    assert!(sent < MUCH / 8, "{sent}");
    talker.stream.set_nonblocking(false).unwrap();
    server.feed.order(SourceStep::Events { count: 3, more: 0 });
    talker.read_until(|got| got.numbers.len() == 3);
    drop(talker);
    server.wait_for_listeners(0);
    assert_eq!(server.number("eyepiece.monitor.ended", "peer_closed"), 1);
}

#[test]
fn half_closed_client_still_receives() {
    use std::io::Write as _;
    let server = Server::start(Some(100), TIMEOUT);
    let mut talker = server.client();
    let mut half = server.client();
    server.wait_for_listeners(2);
    talker.stream.write_all(&[7; 100_000]).unwrap();
    half.stream.shutdown(std::net::Shutdown::Write).unwrap();
    server.feed.order(SourceStep::Events { count: 3, more: 0 });
    for client in [&mut talker, &mut half] {
        client.read_until(|got| got.numbers.len() == 3);
        assert_eq!(client.got.numbers, [0, 1, 2]);
    }
    // Both are seen to leave without any further event.
    drop((talker, half));
    server.wait_for_listeners(0);
    assert_eq!(server.number("eyepiece.monitor.ended", "peer_closed"), 2);
}

#[test]
fn stalled_write_ends_listener() {
    let server = Server::start(Some(64), Duration::from_millis(100));
    let mut stuck = server.client();
    server.wait_for_listeners(1);
    // However many of them find room in its queue: more come until its socket is full.
    eventually("the listener has ended", || {
        server.feed.order(SourceStep::Events { count: 100, more: 1000 });
        server.number("eyepiece.monitor.listeners", "") == 0
    });
    assert_eq!(server.number("eyepiece.monitor.ended", "write_stalled"), 1);
    stuck.read_until(|_| false);
    let (lost, sent) =
        (server.number("eyepiece.monitor.lost", "write_stalled"), server.number("eyepiece.monitor.sent", ""));
    assert_eq!(stuck.got.numbers.len() as u64, sent, "whatever is there to its last byte was sent, and nothing else");
    assert!(lost > 0 && !stuck.got.numbers.is_empty(), "{lost} {}", stuck.got.numbers.len());
}
