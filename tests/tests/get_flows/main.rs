//! Streams of the observer held against Cilium's own observer, which was fed the same events: equal answers.
//!
//! Cilium hides the newest entry of its ring until the next one is written. It is fed one more at the end, which nobody
//! sees; ours shows what it has. And whoever reads Cilium's ring from its oldest entry on, when it is full, is told of one
//! that was lost, though nobody writes meanwhile: ours tells of no such loss.

mod events;
mod servers;

use eyepiece::proto::flow::{FlowFilter, LostEventSource, Verdict};
use eyepiece::proto::observer::get_flows_response::ResponseTypes;
use eyepiece::proto::observer::{GetFlowsRequest, GetFlowsResponse};
use eyepiece_tests::harness::NAME;
use eyepiece_tests::{peer, skip};
use prost_types::Timestamp;

use self::events::{AGENT, DEBUG, FLOW, Item, LOST, items};
use self::servers::Servers;

/// A response, as far as both servers have to agree.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Flow { uuid: String, time: Option<Timestamp>, node: String },
    Lost { source: LostEventSource, count: u64, cpu: Option<i32> },
}

fn said(response: GetFlowsResponse) -> Said {
    match response.response_types {
        Some(ResponseTypes::Flow(flow)) => {
            assert_eq!(flow.time, response.time);
            Said::Flow { uuid: flow.uuid, time: response.time, node: response.node_name }
        }
        Some(ResponseTypes::LostEvents(lost)) => {
            Said::Lost { source: lost.source(), count: lost.num_events_lost, cpu: lost.cpu }
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
        ("nothing said", all.clone()),
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
    if let Err(why) = peer::find(NAME) {
        skip!("{why}");
    }
    let mut compared = 0;
    for (sequence, capacity, items) in sequences() {
        let mut servers = Servers::start(capacity).await;
        servers.feed(&items);
        servers.hide();
        for (name, request) in requests(items.len() as i64) {
            let [ours, ciliums] = servers.answers(&request).await.map(|answer| {
                let none = Said::Lost { source: LostEventSource::HubbleRingBuffer, count: 1, cpu: None };
                answer.map(|answer| answer.into_iter().map(said).filter(|said| *said != none).collect::<Vec<_>>())
            });
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
