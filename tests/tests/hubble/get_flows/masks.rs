//! Masks: answers held against Cilium's own, which knows them by the number that they had before.

use eyepiece_hubble::proto::flow::{Flow, Verdict};
use eyepiece_hubble::proto::observer::get_flows_request::Experimental;
use eyepiece_hubble::proto::observer::get_flows_response::ResponseTypes;
use eyepiece_hubble::proto::observer::{GetFlowsRequest, GetFlowsResponse};
use eyepiece_tests::harness::NAME;
use eyepiece_tests::needs_peers;
use prost_types::FieldMask;

use super::events::{self, AGENT, FLOW, LOST, items};
use super::servers::{Answer, Ours, Servers};
use super::verdict;

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() }
}

fn as_it_was(paths: &[&str], request: &GetFlowsRequest) -> GetFlowsRequest {
    GetFlowsRequest { experimental: Some(Experimental { field_mask: Some(mask(paths)) }), ..request.clone() }
}

/// The part of a response in which both servers have to agree: the whole flow, or the number of lost events.
#[derive(Debug, PartialEq)]
enum Masked {
    Flow(Box<Flow>),
    Lost(u64),
}

fn masked(response: GetFlowsResponse) -> Masked {
    match response.response_types {
        Some(ResponseTypes::Flow(flow)) => Masked::Flow(Box::new(flow)),
        Some(ResponseTypes::LostEvents(lost)) => Masked::Lost(lost.num_events_lost),
        other => panic!("{other:?}"),
    }
}

/// Masks that are taken, with whether the flow's time and its node are in it.
const MASKS: [(&[&str], bool, bool); 9] = [
    (&["uuid"], false, false),
    (&["verdict"], false, false),
    (&["time"], true, false),
    (&["node_name"], false, true),
    (&["time", "node_name", "uuid", "verdict"], true, true),
    (&["event_type"], false, false),
    (&["event_type.type", "uuid"], false, false),
    (&["source.pod_name", "uuid"], false, false),
    (&["uuid", "uuid", "time"], true, false),
];

/// Masks that are refused.
const REFUSED: [&[&str]; 5] =
    [&["nothing"], &["uuid", "source.nothing"], &["source.labels.x"], &["uuid.x"], &["verdict."]];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn masked_flows_match_ciliums_observer() {
    needs_peers!(NAME);
    let mut servers = Servers::start(63).await;
    servers.feed(&items(&[FLOW, FLOW, LOST, FLOW, AGENT, FLOW, FLOW, FLOW]));
    servers.hide();
    let all = GetFlowsRequest::default();
    let requests = [
        ("all", GetFlowsRequest { number: u64::MAX, ..all.clone() }),
        ("last 2", GetFlowsRequest { number: 2, ..all.clone() }),
        // What is masked is still there for the filter.
        ("drops", GetFlowsRequest { whitelist: verdict(Verdict::Dropped), ..all.clone() }),
    ];
    for (paths, has_time, has_node) in MASKS {
        for (name, request) in &requests {
            let name = format!("{paths:?}, {name}");
            let [ours, ciliums] = servers.answers(&as_it_was(paths, request)).await.map(|answer| answer.expect(&name));
            let today = GetFlowsRequest { field_mask: Some(mask(paths)), ..request.clone() };
            let today = servers.ours(&today).await.expect(&name);
            assert_eq!(ours, today, "{name}: by either number");
            assert!(!ours.is_empty(), "{name}");
            for (ours, ciliums) in ours.iter().zip(&ciliums) {
                // Cilium's have the masked flow's, if the mask has any. Ours are always there, for relay sorts by them.
                let is_lost = matches!(ours.response_types, Some(ResponseTypes::LostEvents(_)));
                let (time, node) = (has_time || is_lost, has_node || is_lost);
                assert_eq!(ciliums.time, ours.time.filter(|_| time), "{name}");
                assert_eq!(ciliums.node_name, if node { &*ours.node_name } else { "" }, "{name}");
                assert!(ours.time.is_some() && ours.node_name == "node", "{name}");
            }
            let [ours, ciliums] = [ours, ciliums].map(|answer| answer.into_iter().map(masked).collect::<Vec<_>>());
            assert_eq!(ours, ciliums, "{name}");
        }
    }
    for paths in REFUSED {
        let refused = |answer: Answer| answer.expect_err(&format!("{paths:?}"));
        let [ours, ciliums] = servers.answers(&as_it_was(paths, &all)).await.map(refused);
        assert_eq!(ours.0, ciliums.0, "{paths:?}: {ours:?} {ciliums:?}");
        for message in [ours.1, ciliums.1] {
            assert!(message.contains("invalid fieldmask"), "{paths:?}: {message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mask_keeps_time_and_node() {
    let mut servers = Ours::start(15).await;
    servers.feed(&items(&[FLOW, LOST, FLOW]));
    let old = Experimental { field_mask: Some(mask(&["uuid"])) };
    for (name, request, has_verdict) in [
        ("now", GetFlowsRequest { field_mask: Some(mask(&["verdict"])), ..GetFlowsRequest::default() }, true),
        ("as it was", GetFlowsRequest { experimental: Some(old.clone()), ..GetFlowsRequest::default() }, false),
        (
            "both",
            GetFlowsRequest {
                experimental: Some(old),
                field_mask: Some(mask(&["verdict"])),
                ..GetFlowsRequest::default()
            },
            true,
        ),
    ] {
        let answer = servers.answer(&request).await.expect(name);
        assert_eq!(answer.len(), 3, "{name}");
        for response in answer {
            assert_eq!(response.node_name, "node", "{name}");
            assert!(response.time.is_some_and(|time| time.seconds >= events::START), "{name}");
            match response.response_types {
                Some(ResponseTypes::Flow(flow)) => {
                    assert_eq!((flow.verdict != 0, flow.uuid.is_empty()), (has_verdict, has_verdict), "{name}");
                    assert_eq!((flow.time, flow.node_name.as_str(), flow.event_type), (None, "", None), "{name}");
                }
                Some(ResponseTypes::LostEvents(lost)) => assert_eq!(lost.num_events_lost, 2, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
