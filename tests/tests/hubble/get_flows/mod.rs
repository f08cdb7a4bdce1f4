//! Streams of the observer held against Cilium's own observer, which was fed the same events: equal answers.
//!
//! Cilium hides the newest entry of its ring until the next one is written. It is fed one more at the end, which is not
//! shown; ours shows what it has. And a reader of Cilium's full ring from its oldest entry on gets the loss of one event
//! before anything else, without any write meanwhile: ours must report no loss at all.

mod events;
mod masks;
mod servers;

use std::time::Duration;

use eyepiece_hubble::proto::flow::{FlowFilter, LostEventSource, Verdict};
use eyepiece_hubble::proto::observer::get_flows_response::ResponseTypes;
use eyepiece_hubble::proto::observer::{
    GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest, GetFlowsResponse,
};
use eyepiece_tests::harness::NAME;
use eyepiece_tests::needs_peers;
use prost_types::{FieldMask, Timestamp};
use tonic::{Code, Streaming};

/// Longest wait for a response.
const TIMEOUT: Duration = Duration::from_secs(60);

use self::events::{AGENT, DEBUG, FLOW, Item, LOST, items};
use self::servers::{Answer, Ours, Servers};

/// A response, as far as both servers have to agree.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Response {
    Flow { uuid: String, time: Option<Timestamp>, node: String },
    Lost { source: LostEventSource, count: u64, cpu: Option<i32> },
}

/// The loss that Cilium's ring reports, one for each entry, and one without entries.
const OF_RING: Response = Response::Lost { source: LostEventSource::HubbleRingBuffer, count: 1, cpu: None };

fn response(response: GetFlowsResponse) -> Response {
    match response.response_types {
        Some(ResponseTypes::Flow(flow)) => {
            assert_eq!(flow.time, response.time);
            Response::Flow { uuid: flow.uuid, time: response.time, node: response.node_name }
        }
        Some(ResponseTypes::LostEvents(lost)) => {
            Response::Lost { source: lost.source(), count: lost.num_events_lost, cpu: lost.cpu }
        }
        other => panic!("{other:?}"),
    }
}

/// The time of the n-th event, and so many seconds later.
fn at(n: i64, seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: events::START + n + seconds, nanos: 0 })
}

fn verdict(verdict: Verdict) -> Vec<FlowFilter> {
    vec![FlowFilter { verdict: vec![verdict.into()], ..FlowFilter::default() }]
}

/// Requests that do not follow, with a name each.
fn requests(count: i64) -> Vec<(&'static str, GetFlowsRequest)> {
    let all = GetFlowsRequest::default();
    let dropped = verdict(Verdict::Dropped);
    vec![
        ("no filter", all.clone()),
        ("last 1", GetFlowsRequest { number: 1, ..all.clone() }),
        ("last 5", GetFlowsRequest { number: 5, ..all.clone() }),
        ("last of all", GetFlowsRequest { number: u64::MAX, ..all.clone() }),
        ("first", GetFlowsRequest { first: true, ..all.clone() }),
        ("first 1", GetFlowsRequest { first: true, number: 1, ..all.clone() }),
        ("first 7", GetFlowsRequest { first: true, number: 7, ..all.clone() }),
        ("since the middle", GetFlowsRequest { since: at(count / 2, 0), ..all.clone() }),
        ("since just after the middle", GetFlowsRequest { since: at(count / 2, 1), ..all.clone() }),
        ("since before everything", GetFlowsRequest { since: at(0, -100), ..all.clone() }),
        ("since the epoch's other side", GetFlowsRequest { since: at(0, -events::START - 5), ..all.clone() }),
        ("since after everything", GetFlowsRequest { since: at(count, 100), ..all.clone() }),
        ("since, last 3", GetFlowsRequest { since: at(count / 2, 0), number: 3, ..all.clone() }),
        ("since, first 3", GetFlowsRequest { since: at(count / 3, 0), first: true, number: 3, ..all.clone() }),
        ("until the middle", GetFlowsRequest { until: at(count / 2, 0), ..all.clone() }),
        ("until before everything", GetFlowsRequest { until: at(0, -1), ..all.clone() }),
        ("until the middle, last 4", GetFlowsRequest { until: at(count / 2, 0), number: 4, ..all.clone() }),
        (
            "until the middle, first 4",
            GetFlowsRequest { until: at(count / 2, 0), first: true, number: 4, ..all.clone() },
        ),
        ("since and until", GetFlowsRequest { since: at(count / 3, 0), until: at(count / 2, 0), ..all.clone() }),
        ("until before since", GetFlowsRequest { since: at(count / 2, 0), until: at(count / 3, 0), ..all.clone() }),
        ("drops", GetFlowsRequest { whitelist: dropped.clone(), ..all.clone() }),
        ("last 2 drops", GetFlowsRequest { whitelist: dropped.clone(), number: 2, ..all.clone() }),
        ("first 2 drops", GetFlowsRequest { whitelist: dropped.clone(), number: 2, first: true, ..all.clone() }),
        ("no drops", GetFlowsRequest { blacklist: dropped.clone(), ..all.clone() }),
        ("last 2 without drops", GetFlowsRequest { blacklist: dropped.clone(), number: 2, ..all.clone() }),
        (
            "drops since the middle",
            GetFlowsRequest { whitelist: dropped.clone(), since: at(count / 2, 0), ..all.clone() },
        ),
        ("all but all", GetFlowsRequest { blacklist: vec![FlowFilter::default()], ..all.clone() }),
        ("an empty filter", GetFlowsRequest { whitelist: vec![FlowFilter::default()], number: 3, ..all.clone() }),
    ]
}

/// Sequences of events: what each of them is about, and their kinds.
fn sequences() -> Vec<(&'static str, u32, Vec<Item>)> {
    let mixed = |count: usize| -> Vec<u8> {
        let pattern = [FLOW, FLOW, AGENT, FLOW, LOST, FLOW, DEBUG, FLOW, FLOW, FLOW, AGENT];
        pattern.into_iter().cycle().take(count).collect()
    };
    vec![
        ("nothing", 15, items(&[])),
        ("one flow", 15, items(&[FLOW])),
        ("one loss", 15, items(&[LOST])),
        ("a few flows", 15, items(&[FLOW; 9])),
        ("flows to the brim", 15, items(&[FLOW; 15])),
        ("one too many", 15, items(&[FLOW; 16])),
        ("flows over and over", 15, items(&[FLOW; 200])),
        ("of all kinds", 31, items(&mixed(20))),
        ("of all kinds, over and over", 31, items(&mixed(150))),
        ("many", 1023, items(&mixed(2500))),
        ("the smallest ring", 1, items(&mixed(7))),
        ("out of order", 63, events::shuffled(&mixed(40))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_ciliums_observer() {
    needs_peers!(NAME);
    let mut compared = 0;
    for (sequence, capacity, items) in sequences() {
        let mut servers = Servers::start(capacity).await;
        servers.feed(&items);
        servers.hide();
        for (name, request) in requests(items.len() as i64) {
            let all = |answer: Answer| answer.map(|answer| answer.into_iter().map(response).collect::<Vec<_>>());
            let [ours, mut ciliums] = servers.answers(&request).await.map(all);
            // With the hidden one its ring is full.
            if items.len() >= capacity as usize
                && let Ok(ciliums) = &mut ciliums
                && ciliums.first() == Some(&OF_RING)
            {
                ciliums.remove(0);
            }
            assert_eq!(ours, ciliums, "{sequence}: {name}");
            compared += 1;
        }
        let [ours, ciliums] = servers.statuses().await;
        assert_eq!(ours.max_flows, ciliums.max_flows, "{sequence}");
        assert_eq!(ours.num_flows, ciliums.num_flows.min(items.len() as u64), "{sequence}: but for the hidden one");
        let flows = items.iter().filter(|item| item.kind == FLOW).count() as u64;
        assert_eq!(ours.seen_flows, flows, "{sequence}");
    }
    println!("{compared} answers compared");
}

/// The next responses of a stream, until this many flows have come.
async fn flows(stream: &mut Streaming<GetFlowsResponse>, count: usize) -> Vec<Response> {
    let mut found = Vec::new();
    while found.iter().filter(|found| matches!(found, Response::Flow { .. })).count() < count {
        let next = tokio::time::timeout(TIMEOUT, stream.message()).await.expect("nothing comes");
        found.push(response(next.expect("a response").expect("the stream goes on")));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_match_ciliums_observer() {
    needs_peers!(NAME);
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let dropped = verdict(Verdict::Dropped);
    // The request, flows that it has of those that are there, and of those that come, and whether it ends by itself.
    let cases = [
        ("from now on, and the newest", follow.clone(), 1, 41, false),
        ("the last five first", GetFlowsRequest { number: 5, ..follow.clone() }, 5, 41, false),
        ("since the middle", GetFlowsRequest { since: at(10, 0), ..follow.clone() }, 10, 41, false),
        ("since a time to come", GetFlowsRequest { since: at(35, 0), ..follow.clone() }, 0, 26, false),
        ("since the last", GetFlowsRequest { since: at(60, 0), ..follow.clone() }, 0, 1, false),
        ("until a time to come", GetFlowsRequest { until: at(30, 0), ..follow.clone() }, 1, 11, true),
        (
            "since the middle, until a time to come",
            GetFlowsRequest { since: at(10, 0), until: at(30, 0), ..follow.clone() },
            10,
            11,
            true,
        ),
        ("between times to come", GetFlowsRequest { since: at(35, 0), until: at(40, 0), ..follow.clone() }, 0, 6, true),
        (
            "the last five first, until a time to come",
            GetFlowsRequest { number: 5, until: at(25, 0), ..follow.clone() },
            5,
            6,
            true,
        ),
        (
            "drops until a time to come",
            GetFlowsRequest { whitelist: dropped.clone(), number: 2, until: at(31, 0), ..follow.clone() },
            2,
            4,
            true,
        ),
        ("drops only", GetFlowsRequest { whitelist: dropped.clone(), number: 2, ..follow.clone() }, 2, 14, false),
    ];
    let mut servers = Servers::start(255).await;
    let there = items(&[FLOW; 20]);
    let coming: Vec<Item> = items(&[FLOW; 61]).split_off(20);
    servers.feed(&there);
    servers.hide();
    let hidden = events::hidden_uuid();
    let mut streams = Vec::new();
    for (name, request, before, after, ends) in cases {
        let (mut ours, mut ciliums) = servers.started(&request).await;
        if before > 0 {
            // It has begun before anything comes. Those that begin later have a time to begin from.
            let stream = ciliums.await.expect("no panic");
            ciliums = tokio::spawn(std::future::ready(stream));
        }
        // Ours is there at once; Cilium's answer to followers shows with the next event.
        let seen = flows(&mut ours, before).await;
        streams.push((name, (ours, ciliums), seen, before + after, ends));
    }
    servers.feed(&coming);
    servers.hide();
    for (name, (mut ours, ciliums), mut seen, count, ends) in streams {
        let mut ciliums = ciliums.await.expect("no panic");
        let left = count - seen.len();
        seen.extend(flows(&mut ours, left).await);
        // What was hidden comes into sight with what follows, and is none of the events.
        let mut theirs: Vec<Response> = Vec::new();
        while theirs.len() < count {
            let next = flows(&mut ciliums, 1).await;
            theirs.extend(
                next.into_iter().filter(|found| !matches!(found, Response::Flow { uuid, .. } if *uuid == hidden)),
            );
        }
        assert_eq!(seen, theirs, "{name}");
        if ends {
            for (server, stream) in [("ours", &mut ours), ("Cilium's", &mut ciliums)] {
                let next = tokio::time::timeout(TIMEOUT, stream.message()).await;
                let next = next.unwrap_or_else(|_| panic!("{name}: {server} does not end"));
                assert_eq!(next.expect("an end"), None, "{name}: {server}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_requests_fail_as_in_cilium() {
    needs_peers!(NAME);
    let none = GetFlowsRequest::default;
    let mask = |path: &str| Some(FieldMask { paths: vec![path.to_owned()] });
    let ip = |ip: &str| vec![FlowFilter { source_ip: vec![ip.to_owned()], ..FlowFilter::default() }];
    let mut servers = Servers::start(15).await;
    for (name, request, text) in [
        ("first and follow", GetFlowsRequest { first: true, follow: true, ..none() }, "first cannot be specified"),
        ("a filter", GetFlowsRequest { whitelist: ip("1.2.3"), ..none() }, "1.2.3"),
        ("a filter of the blacklist", GetFlowsRequest { blacklist: ip("x"), ..none() }, "x"),
    ] {
        let [ours, ciliums] = servers.answers(&request).await.map(|answer| answer.expect_err(name));
        assert_eq!(ours.0, ciliums.0, "{name}: {ours:?} {ciliums:?}");
        assert!(ours.1.contains(text), "{name}: {ours:?}");
    }
    // 1.15 has no mask of this number, and takes every time.
    for (name, request, text) in [
        ("a mask", GetFlowsRequest { field_mask: mask("source.nothing"), ..none() }, "invalid fieldmask"),
        ("a mask into a list", GetFlowsRequest { field_mask: mask("source.labels.x"), ..none() }, "invalid fieldmask"),
        ("a time", GetFlowsRequest { since: Some(Timestamp { seconds: i64::MAX, nanos: 0 }), ..none() }, "since"),
        ("nanoseconds", GetFlowsRequest { until: Some(Timestamp { seconds: 0, nanos: -1 }), ..none() }, "until"),
    ] {
        let [ours, _] = servers.answers(&request).await;
        let (code, message) = ours.expect_err(name);
        assert_eq!(code, Code::Unknown, "{name}: {message}");
        assert!(message.contains(text), "{name}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_requests_get_no_losses() {
    let mut servers = Ours::start(63).await;
    let kinds = [FLOW, AGENT, LOST, DEBUG, FLOW, AGENT, FLOW, FLOW, DEBUG, FLOW, AGENT, FLOW, FLOW];
    servers.feed(&items(&kinds));
    for (number, first, expected) in
        [(0, false, &[1, 5, 10][..]), (2, false, &[5, 10]), (2, true, &[1, 5]), (9, false, &[1, 5, 10])]
    {
        let request = GetAgentEventsRequest { number, first, ..GetAgentEventsRequest::default() };
        assert_eq!(servers.agent_events(request).await, times(expected), "{number} {first}");
    }
    let since = GetAgentEventsRequest { since: at(5, 0), until: at(9, 0), ..GetAgentEventsRequest::default() };
    assert_eq!(servers.agent_events(since).await, times(&[5]));
    let last = GetDebugEventsRequest { number: 1, ..GetDebugEventsRequest::default() };
    assert_eq!(servers.debug_events(last).await, times(&[8]));
    assert_eq!(servers.debug_events(GetDebugEventsRequest::default()).await, times(&[3, 8]));
}

fn times(numbers: &[i64]) -> Vec<Option<Timestamp>> {
    numbers.iter().map(|&number| at(number, 0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_follower_gets_exact_loss() {
    const COUNT: usize = 60_000;
    let mut servers = Ours::start(1023).await;
    let follow = GetFlowsRequest { follow: true, first: false, number: 1, ..GetFlowsRequest::default() };
    servers.feed(&items(&[FLOW]));
    // Two streams of one connection would share its window.
    let mut slow = servers.connected().await.get_flows(follow.clone()).await.expect("a stream").into_inner();
    let mut quick = servers.stream(&follow).await;
    let coming = items(&[FLOW; COUNT]).split_off(1);
    let mut read = flows(&mut quick, 1).await;
    for part in coming.chunks(500) {
        servers.feed(part);
        read.extend(flows(&mut quick, part.len()).await);
    }
    let losses = read.iter().filter(|found| matches!(found, Response::Lost { .. })).count();
    assert_eq!((losses, read.len()), (0, COUNT), "a reader loses nothing");
    let (mut flows, mut lost) = (0, 0);
    while flows + lost < COUNT as u64 {
        let next = tokio::time::timeout(TIMEOUT, slow.message()).await.expect("nothing comes");
        match response(next.expect("a response").expect("the stream goes on")) {
            Response::Flow { .. } => flows += 1,
            Response::Lost { source, count, cpu } => {
                assert_eq!((source, cpu), (LostEventSource::HubbleRingBuffer, None));
                lost += count;
            }
        }
    }
    assert_eq!(flows + lost, COUNT as u64);
    assert!(lost > 0, "it was not slow enough to lose anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_match_ciliums_observer() {
    const COUNT: usize = 60_000;
    needs_peers!(NAME);
    let mut servers = Servers::start(1023).await;
    let mut all = items(&[FLOW; COUNT + 1]);
    let next = all.split_off(COUNT);
    servers.feed(&all[..2]);
    servers.hide();
    let mut streams = servers.streams(&GetFlowsRequest { follow: true, number: 1, ..GetFlowsRequest::default() }).await;
    for stream in &mut streams {
        let first = flows(stream, 1).await;
        assert!(matches!(&first[..], [Response::Flow { time, .. }] if *time == at(1, 0)), "{first:?}");
    }
    // Neither stream is read meanwhile.
    servers.feed(&all[2..]);
    servers.hide();
    let [ours, ciliums] = &mut streams;
    // Cilium's includes what was hidden between them.
    for (server, stream, left) in [("ours", ours, COUNT as u64 - 2), ("Cilium's", ciliums, COUNT as u64 - 1)] {
        let (mut shown, mut lost) = (0, 0);
        while shown + lost < left {
            let next = tokio::time::timeout(TIMEOUT, stream.message()).await.expect("nothing comes");
            match response(next.expect("a response").expect("the stream goes on")) {
                Response::Flow { .. } => shown += 1,
                Response::Lost { source: LostEventSource::HubbleRingBuffer, count, cpu: None } => lost += count,
                other @ Response::Lost { .. } => panic!("{server}: {other:?}"),
            }
        }
        println!("{server}: {shown} shown, {lost} lost");
        assert!(shown + lost == left && lost > 0, "{server}: {shown} shown, {lost} lost of {left}");
    }
    // And of nothing more than these.
    servers.feed(&next);
    servers.hide();
    let hidden = events::hidden_uuid();
    for stream in &mut streams {
        let mut seen = flows(stream, 1).await;
        if matches!(&seen[..], [Response::Flow { uuid, .. }] if *uuid == hidden) {
            seen = flows(stream, 1).await;
        }
        assert!(matches!(&seen[..], [Response::Flow { time, .. }] if *time == at(COUNT as i64, 0)), "{seen:?}");
    }
}
