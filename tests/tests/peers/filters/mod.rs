//! Our filters against Cilium's own code: each request gives the same answer for each event, and errors where it errs.

mod generate;

use eyepiece_flow::lookup::NoLookup;
use eyepiece_hubble::filter::{Context, Filters, no_clock};
use eyepiece_hubble::json;
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::observer::export_event::ResponseTypes;
use eyepiece_hubble::proto::observer::{ExportEvent, GetFlowsRequest};
use eyepiece_tests::harness::{NAME, filters};
use eyepiece_tests::needs_peers;
use eyepiece_tests::reference::record;
use prost::{Message, Name};

use generate::Generator;

/// Flows and events.
const EVENTS: usize = 2000;
/// Requests, each of which is held against every event.
const REQUESTS: usize = 6000;

fn line<M: Message + Name>(message: &M) -> String {
    let mut line = String::new();
    json::write(message, &mut line).expect("JSON");
    line
}

#[test]
fn requests_filter_as_hubble() {
    needs_peers!(NAME);
    let mut generator = Generator::new(1);
    let events: Vec<ExportEvent> = (0..EVENTS).map(|_| generator.event()).collect();
    let requests: Vec<GetFlowsRequest> = (0..REQUESTS).map(|_| generator.request()).collect();
    let encoded: Vec<_> = events.iter().map(Message::encode_to_vec).collect();
    let asked: Vec<_> = requests.iter().map(Message::encode_to_vec).collect();
    let theirs = filters::filter(&encoded, &asked).expect("answers");

    let records: Vec<_> = events
        .iter()
        .map(|event| match event.response_types.as_ref().expect("an event") {
            ResponseTypes::Flow(flow) => record::flow(flow),
            ResponseTypes::AgentEvent(event) => record::agent_event(event),
            ResponseTypes::DebugEvent(event) => record::debug_event(event),
            other => panic!("{other:?}"),
        })
        .collect();
    let node = Node::default();
    let context = Context { node: &node, names: &NoLookup, clock: no_clock };
    let (mut differences, mut refused, mut matched) = (Vec::new(), 0, 0);
    for (request, theirs) in requests.iter().zip(theirs) {
        let ours = Filters::compile(&request.whitelist, &request.blacklist);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                for ((record, event), theirs) in records.iter().zip(&events).zip(theirs) {
                    let ours = ours.matches(record, &context);
                    matched += usize::from(ours);
                    if ours != theirs {
                        differences.push(format!("{}\n  {}\n  ours {ours}", line(request), line(event)));
                        break;
                    }
                }
            }
            (Err(_), Err(_)) => refused += 1,
            (Ok(_), Err(theirs)) => differences.push(format!("{}\n  they refuse: {theirs}", line(request))),
            (Err(ours), Ok(_)) => differences.push(format!("{}\n  we refuse: {ours}", line(request))),
        }
    }
    let pairs = EVENTS * (REQUESTS - refused);
    eprintln!("{pairs} pairs, {matched} matches, {refused} requests refused");
    let shown = differences[..differences.len().min(40)].join("\n");
    assert!(differences.is_empty(), "{} differ:\n{shown}", differences.len());
    assert!(pairs > 1_000_000 && matched > pairs / 50 && refused > REQUESTS / 20);
}
