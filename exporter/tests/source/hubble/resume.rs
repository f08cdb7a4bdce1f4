//! Interruptions: what comes twice is left out, what is missed is counted.

use eyepiece_hubble::proto::relay::NodeState;
use tonic::Status;

use super::scripted::{Reader, Seen, Server, agent, connected, flow, lost, nodes};

#[test]
fn first_request_asks_new_flows() {
    let (_server, mut reader, call) = connected();
    assert!(call.request.follow && call.request.number == 0 && call.request.since.is_none());
    assert!(call.request.field_mask.is_none() && call.request.whitelist.is_empty());
    call.flows(0..100);
    reader.expect(0..100);
    assert_eq!(reader.controls.view.get().reason, None);
}

#[test]
fn reconnect_delivers_nothing_twice() {
    let (mut server, mut reader, call) = connected();
    call.flows(0..100);
    reader.expect(0..100);
    drop(call);
    let call = server.call();
    assert_eq!(call.since(), Some(99 - 5));
    call.flows(90..120);
    reader.expect(100..120);
    call.fail(Status::unavailable("the server is shutting down"));
    let call = server.call();
    assert_eq!(call.since(), Some(119 - 5));
    call.flows(114..121);
    reader.expect([120]);
    for (name, reason, value) in [
        ("eyepiece.source.interruptions", "closed", 1),
        ("eyepiece.source.interruptions", "unavailable", 1),
        ("eyepiece.events.skipped", "seen_before", 10 + 6),
    ] {
        assert_eq!(reader.number(name, Some(reason)), value, "{name} {reason}");
    }
    assert_eq!((reader.gaps(), reader.controls.view.get().interruptions), (0, 2));
}

#[test]
fn reconnect_survives_clock_differences() {
    const HOUR: u64 = 3600;
    let (mut server, mut reader, call) = connected();
    // What a relay sends: a second's events of a node that is an hour ahead, one that is right, one an hour behind.
    let nodes = [("future", 2 * HOUR), ("now", HOUR), ("past", 0)];
    let second = |number: u64| nodes.map(|(node, clock)| (node, clock + number));
    for (node, number) in (0..20).flat_map(second) {
        call.send(flow(node, number));
    }
    assert_eq!(reader.take(60).len(), 60);
    drop(call);
    let call = server.call();
    assert_eq!(call.since(), Some(19 - 5));
    let since = call.since().and_then(|since| u64::try_from(since).ok()).expect("a number");
    // As servers do: nothing from before the requested time.
    for (node, number) in (0..22).flat_map(second).filter(|(_, number)| *number >= since) {
        call.send(flow(node, number));
    }
    reader.expect((20..22).flat_map(second).map(|(_, number)| number));
    assert_eq!((reader.gaps(), reader.number("eyepiece.events.skipped", Some("seen_before"))), (0, 20 + 20 + 6));
    drop(call);
    let call = server.call();
    // Now they have forgotten: each has a gap.
    for (node, number) in second(500) {
        call.send(flow(node, number));
    }
    reader.expect(second(500).map(|(_, number)| number));
    assert_eq!(reader.number("eyepiece.source.gaps", Some("passed_on")), 3);
}

#[test]
fn restarted_server_is_counted_gap() {
    let mut server = Server::start();
    let mut reader = Reader::start(&server.address.to_string());
    drop(server.call());
    // No flow has come yet: the time to resume from is unknown.
    let call = server.call();
    assert_eq!(call.since(), None);
    call.flows(0..10);
    reader.expect(0..10);
    assert_eq!(reader.number("eyepiece.source.gaps", Some("nothing_seen")), 1);
    drop(call);
    let call = server.call();
    call.flows(50..60);
    reader.expect(50..60);
    assert_eq!((reader.number("eyepiece.source.gaps", Some("passed_on")), reader.gaps()), (1, 2));
}

#[test]
fn server_losses_are_delivered_once() {
    let (mut server, mut reader, call) = connected();
    call.flows(0..3);
    call.send(lost(2, 77));
    call.flows([3]);
    assert_eq!(reader.take(5)[3..], [Seen::Lost(77), Seen::Flow(3)]);
    drop(call);
    let call = server.call();
    call.flows(0..3);
    call.send(lost(2, 77));
    call.send(lost(3, 5));
    call.flows(3..5);
    assert_eq!(reader.take(2), [Seen::Lost(5), Seen::Flow(4)]);
    assert_eq!(reader.gaps(), 0);
}

#[test]
fn relay_nodes_are_resumed_each() {
    let (mut server, mut reader, call) = connected();
    call.send(nodes(NodeState::NodeConnected, &["a", "b"]));
    for number in 0..20 {
        call.send(flow("a", number));
        call.send(flow("b", number));
    }
    reader.take(40);
    call.send(nodes(NodeState::NodeUnavailable, &["b"]));
    call.send(flow("a", 20));
    call.send(nodes(NodeState::NodeConnected, &["b"]));
    call.send(flow("b", 21));
    reader.expect([20, 21]);
    // It had something behind 19 that we did not get, perhaps.
    assert_eq!(reader.gaps(), 1);
    drop(call);
    let call = server.call();
    // Unsorted, as relay sends them if a node is slow.
    for (node, number) in [("b", 16), ("b", 21), ("a", 15), ("a", 21), ("b", 22), ("a", 20), ("b", 20), ("a", 22)] {
        call.send(flow(node, number));
    }
    reader.expect([21, 22, 20, 22]);
    assert_eq!(reader.gaps(), 1);
    call.send(nodes(NodeState::NodeGone, &["b"]));
    call.send(flow("a", 23));
    reader.expect([23]);
    let nodes = reader.controls.view.get().nodes;
    assert_eq!((nodes.len(), nodes["b"].state, &*nodes["b"].message), (1, "gone", "as it is"));
}

#[test]
fn agent_events_have_own_stream() {
    let mut server = Server::start_at("127.0.0.1:0", true, None);
    let mut reader = Reader::start(&server.address.to_string());
    let (call, events) = (server.call(), server.agent_call());
    let send = |events: &tokio::sync::mpsc::Sender<_>, number| {
        events.blocking_send(Ok(eyepiece_hubble::proto::Encoded(agent(number)))).expect("the source reads");
    };
    send(&events, 1);
    send(&events, 2);
    assert_eq!(reader.take(2), [Seen::Agent, Seen::Agent]);
    call.flows([1]);
    reader.expect([1]);
    // One of them ends: both are begun anew.
    drop(events);
    let (call, events) = (server.call(), server.agent_call());
    assert_eq!(call.since(), Some(1 - 5));
    (1..4).for_each(|number| send(&events, number));
    call.flows(1..3);
    let mut seen = reader.take(2);
    seen.sort_by_key(|seen| matches!(seen, Seen::Agent));
    assert_eq!(seen, [Seen::Flow(2), Seen::Agent]);
    assert_eq!(reader.gaps(), 0);
}
