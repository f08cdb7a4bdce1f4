//! Filters for flows: any request, as protobuf or as texts of single fields, is rejected or compiled, and matching the
//! same flows twice gives the same result.
#![no_main]

use std::sync::LazyLock;

use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification};
use eyepiece_flow::flow::{EventType, Flow, Ip, L4, TcpFlags, Verdict};
use eyepiece_flow::l7::{Dns, Http, L7, L7Record};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::metadata::Metadata;
use eyepiece_flow::record::Observed;
use eyepiece_hubble::filter::{Context, Filters, no_clock};
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::flow::FlowFilter;
use eyepiece_hubble::proto::flow::flow_filter::Experimental;
use libfuzzer_sys::fuzz_target;
use prost::Message;

static EVENTS: LazyLock<Vec<Observed>> = LazyLock::new(|| {
    let metadata = || {
        let mut metadata = Metadata { node_name: "kind/node".to_owned(), ..Metadata::default() };
        metadata.source.labels = vec!["k8s:app=web".to_owned(), "reserved:host".to_owned()];
        metadata.source_names = vec!["www.example.com".to_owned()];
        metadata.node_labels = vec!["os=linux".to_owned()];
        Some(Box::new(metadata))
    };
    let flow = |kind, l7: Option<L7Record>| Flow {
        verdict: Verdict::Dropped,
        ip: Some(Ip {
            source: [10, 0, 0, 1].into(),
            source_translated: None,
            destination: [0xfd00, 0, 0, 0, 0, 0, 0, 1].into(),
            version: 4,
        }),
        l4: L4::Tcp { source_port: 1, destination_port: 80, flags: TcpFlags(TcpFlags::SYN) },
        l7: l7.map(|record| Box::new(L7 { record, ..L7::default() })),
        ..Flow::empty(EventType { kind, subtype: 0 })
    };
    let url = "http://u:p@[fe80::1%25e]:80/a%20b?c#d".to_owned();
    let headers = vec![("A".to_owned(), "1".to_owned())];
    let http = Http { code: 404, method: "GET".to_owned(), url, headers, ..Http::default() };
    let notification = Notification::AgentStart { time: None };
    vec![
        Observed::Flow(flow(4, None)),
        Observed::Flow(Flow { metadata: metadata(), ..flow(1, None) }),
        Observed::Flow(Flow { metadata: metadata(), ..flow(129, Some(L7Record::Http(http))) }),
        Observed::Flow(flow(129, Some(L7Record::Dns(Dns { query: "a.example.com.".to_owned(), ..Dns::default() })))),
        Observed::Agent(Box::new(AgentEvent {
            time: 1,
            uuid: [0; 16],
            kind: AgentEventKind::AgentStarted,
            notification,
        })),
    ]
});

/// A filter of one text field, which the first byte selects; its entries are separated by NULs.
fn of_texts(input: &[u8]) -> Option<FlowFilter> {
    let (field, texts) = input.split_first()?;
    let texts: Vec<String> = str::from_utf8(texts).ok()?.split('\0').map(str::to_owned).collect();
    let mut filter = FlowFilter::default();
    let entries = match field {
        b'c' => &mut filter.experimental.insert(Experimental::default()).cel_expression,
        b'l' => &mut filter.source_label,
        b'L' => &mut filter.node_labels,
        b'f' => &mut filter.source_fqdn,
        b'n' => &mut filter.node_name,
        b'p' => &mut filter.http_path,
        b'q' => &mut filter.dns_query,
        b's' => &mut filter.http_status_code,
        b'i' => &mut filter.source_ip,
        b'o' => &mut filter.source_pod,
        b'u' => &mut filter.uuid,
        b't' => &mut filter.destination_port,
        _ => return None,
    };
    *entries = texts;
    Some(filter)
}

fuzz_target!(|input: &[u8]| {
    let Some(filter) = of_texts(input).or_else(|| FlowFilter::decode(input).ok()) else { return };
    let node = Node { name: "node".to_owned(), cluster: "kind".to_owned() };
    let context = Context { node: &node, names: &NoLookup, clock: no_clock };
    let filter = std::slice::from_ref(&filter);
    let (allowed, denied) = match (Filters::compile(filter, &[]), Filters::compile(&[], filter)) {
        (Ok(allowed), Ok(denied)) => (allowed, denied),
        (Err(one), Err(two)) => {
            assert_eq!(one, two);
            assert!(!one.cause.is_empty() && one.value.len() < 200);
            return;
        }
        other => panic!("{other:?}"),
    };
    for event in EVENTS.iter() {
        let is_matched = allowed.matches(event, &context);
        assert_eq!(is_matched, allowed.matches(event, &context));
        assert_eq!(is_matched, !denied.matches(event, &context));
    }
});
