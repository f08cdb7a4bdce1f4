//! Decoding of responses, and encoding and decoding of all records.

use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification, ServiceAddress, Timestamp};
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::event::{Lost, LostSource};
use eyepiece_flow::flow::{EventType, Flow};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::record::Observed;
use proptest::prelude::*;
use prost::Message as _;

use super::{FlowsResponse, agent, debug, flows_response, lost};
use crate::encode::Encoder;
use crate::field_mask::Mask;
use crate::proto::flow as proto;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::{GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsResponse};
use crate::proto::relay::NodeStatusEvent;

fn encoder() -> Encoder<'static> {
    Encoder::new("kind/node", &NoLookup)
}

#[test]
fn foreign_flow_is_forwarded_unchanged() {
    let flow = proto::Flow { verdict: 9, policy_log: vec!["x".into()], uuid: "no uuid".into(), ..Default::default() };
    let mut own = flow.encode_to_vec();
    // Of a later release: field 30000, a number.
    own.extend_from_slice(&[0x80, 0xd3, 0x0e, 5]);
    let mut encoded = Vec::new();
    crate::wire::bytes(&mut encoded, 1, &own);
    crate::wire::text(&mut encoded, 1000, "other");
    crate::wire::message(&mut encoded, 1001, |out| crate::wire::number(out, 1, 7));
    let Ok(FlowsResponse::Observed(observed)) = flows_response(&encoded) else { panic!("a flow") };
    assert_eq!(observed.time(), 7_000_000_000);
    let mut again = Vec::new();
    assert!(encoder().flows_response(&observed, &Mask::ALL, &mut again));
    assert_eq!(again, encoded);
    // A flow in two parts, which are merged.
    let merged = [encoded.as_slice(), &encoded].concat();
    let Ok(FlowsResponse::Observed(Observed::Flow(observed))) = flows_response(&merged) else { panic!("a flow") };
    let metadata = observed.metadata.expect("metadata");
    assert_eq!(proto::Flow::decode(&*metadata.encoded).expect("a flow").policy_log, ["x", "x"]);
    assert_eq!(metadata.node_name, "other");
}

#[test]
fn response_without_flow_is_decoded() {
    let response = |response_types| GetFlowsResponse { response_types, ..Default::default() }.encode_to_vec();
    assert_eq!(flows_response(&response(None)).expect("a response"), FlowsResponse::Unknown);
    let event = NodeStatusEvent { message: "m".into(), ..Default::default() };
    let encoded = response(Some(ResponseTypes::NodeStatus(event.clone())));
    assert_eq!(flows_response(&encoded).expect("a response"), FlowsResponse::NodeStatus(event));
    assert!(flows_response(&[0xff]).is_err());
}

#[test]
fn loss_survives_encoding() {
    let time = 3_000_000_001;
    for (source, cpu, encoded_cpu) in [
        (LostSource::KernelBuffer, Some(3), Some(3)),
        (LostSource::KernelBuffer, None, None),
        (LostSource::ObserverQueue, None, Some(0)),
        (LostSource::HubbleRing, None, None),
    ] {
        let mut out = Vec::new();
        let one = Lost { source, cpu, count: 300, time };
        assert!(encoder().flows_response(&Observed::Lost(one), &Mask::of_flow(&["uuid"]).expect("a mask"), &mut out));
        let response = GetFlowsResponse::decode(out.as_slice()).expect("a response");
        assert_eq!(
            (response.node_name.as_str(), response.time.map(super::number::nanoseconds)),
            ("kind/node", Some(time))
        );
        assert_eq!(
            flows_response(&out).expect("a response"),
            FlowsResponse::Observed(Observed::Lost(Lost { cpu: encoded_cpu, ..one }))
        );
        let Some(ResponseTypes::LostEvents(event)) = response.response_types else { panic!("a loss") };
        let at = (source != LostSource::KernelBuffer).then_some(time);
        assert_eq!((event.first.map(super::number::nanoseconds), event.last.map(super::number::nanoseconds)), (at, at));
    }
    let mut out = Vec::new();
    encoder().overrun(9, 1, 2, &mut out);
    let response = GetFlowsResponse::decode(out.as_slice()).expect("a response");
    let Some(ResponseTypes::LostEvents(event)) = response.response_types else { panic!("a loss") };
    assert_eq!(
        (event.first.map(super::number::nanoseconds), event.last.map(super::number::nanoseconds)),
        (Some(1), Some(2))
    );
    assert_eq!(lost(&event, 77), Lost { source: LostSource::HubbleRing, cpu: None, count: 9, time: 2 });
}

fn texts() -> Vec<String> {
    vec!["a".into(), String::new(), "b".repeat(200)]
}

#[test]
fn agent_event_survives_encoding() {
    let text = || "text".to_owned();
    let address = |port| ServiceAddress { ip: "10.0.0.1".into(), port };
    let time = Some(Timestamp { seconds: -62_135_596_800, nanos: 999_999_999 });
    let service = Notification::ServiceUpsert {
        id: 1,
        frontend: address(0),
        backends: vec![address(80), ServiceAddress::default()],
        kind: text(),
        traffic_policy: "1".into(),
        ext_traffic_policy: "2".into(),
        int_traffic_policy: "3".into(),
        name: "4".into(),
        namespace: "5".into(),
    };
    let ipcache = |old_identity| Notification::Ipcache {
        cidr: text(),
        identity: u32::MAX,
        old_identity,
        host_ip: "h".into(),
        old_host_ip: "o".into(),
        encrypt_key: 3,
        namespace: "n".into(),
        pod_name: "p".into(),
    };
    let endpoint = |labels, error, pod_name: &str, namespace: &str| Notification::Endpoint {
        id: u64::MAX,
        labels,
        error,
        pod_name: pod_name.into(),
        namespace: namespace.into(),
        interface: String::new(),
    };
    let table = [
        (AgentEventKind::Unknown, Notification::Unknown { kind: 70, notification: "{}".into() }),
        (AgentEventKind::AgentStarted, Notification::AgentStart { time }),
        (AgentEventKind::AgentStarted, Notification::AgentStart { time: None }),
        (AgentEventKind::PolicyUpdated, Notification::Policy { labels: texts(), revision: 5, rule_count: -1 }),
        (AgentEventKind::PolicyDeleted, Notification::Policy { labels: vec![], revision: 0, rule_count: 0 }),
        (AgentEventKind::EndpointRegenerateFailure, endpoint(texts(), text(), "", "")),
        (AgentEventKind::EndpointRegenerateSuccess, endpoint(vec![], text(), "", "")),
        (AgentEventKind::EndpointCreated, endpoint(texts(), text(), "p", "n")),
        (AgentEventKind::IpcacheUpserted, ipcache(Some(0))),
        (AgentEventKind::IpcacheDeleted, ipcache(None)),
        (AgentEventKind::ServiceUpserted, service),
        (AgentEventKind::ServiceDeleted, Notification::ServiceDelete { id: 3 }),
    ];
    for (kind, notification) in table {
        let event = AgentEvent { time: 5, uuid: [0; 16], kind, notification };
        let mut out = Vec::new();
        encoder().agent_events_response(&event, &mut out);
        let response = GetAgentEventsResponse::decode(out.as_slice()).expect("a response");
        assert_eq!(response.node_name, "kind/node");
        assert_eq!(agent(response.agent_event.expect("an event"), 5), event);
    }
    let event =
        AgentEvent { time: 0, uuid: [0; 16], kind: AgentEventKind::Unknown, notification: super::events::unknown() };
    assert_eq!(agent(proto::AgentEvent { r#type: 99, notification: None }, 0), event);
}

#[test]
fn debug_event_survives_encoding() {
    let mut event = DebugEvent {
        time: 9,
        uuid: [0; 16],
        cpu: 300,
        kind: 200,
        source: eyepiece_flow::flow::End { endpoint: 7, identity: 1, ..Default::default() },
        hash: 0,
        arg1: 1,
        arg2: u32::MAX,
        arg3: 0,
    };
    for endpoint in [7, 0] {
        (event.source.endpoint, event.source.identity) = (endpoint, u32::from(endpoint != 0));
        let mut out = Vec::new();
        encoder().debug_events_response(&event, &mut out);
        let response = GetDebugEventsResponse::decode(out.as_slice()).expect("a response");
        let decoded = response.debug_event.expect("an event");
        assert_eq!(decoded.hash, Some(0));
        assert!(!decoded.message.is_empty());
        assert_eq!(debug(&decoded, 9), event);
        assert!(!encoder().flows_response(&Observed::Debug(event.into()), &Mask::ALL, &mut out));
    }
}

proptest! {
    #[test]
    fn any_flow_becomes_a_record(numbers in prop::array::uniform8(any::<u32>()), text in ".{0,40}", seconds: i64, nanos: i32) {
        let [a, b, c, d, e, f, g, h] = numbers;
        let signed = |number: u32| number.cast_signed();
        let header = || proto::Ip {
            source: text.clone(), source_xlated: text.clone(), destination: text.clone(), ip_version: signed(a), encrypted: true,
        };
        let tcp = proto::Tcp { source_port: a, destination_port: b, flags: None };
        let l4 = || proto::Layer4 { protocol: Some(proto::layer4::Protocol::Tcp(tcp)) };
        let message = proto::Flow {
            time: Some(prost_types::Timestamp { seconds, nanos }),
            uuid: text.clone(),
            verdict: signed(a),
            drop_reason: b,
            drop_reason_desc: signed(c),
            auth_type: signed(d),
            ethernet: Some(proto::Ethernet { source: text.clone(), destination: text.clone() }),
            ip: Some(header()),
            l4: Some(l4()),
            tunnel: Some(proto::Tunnel { protocol: signed(e), ip: Some(header()), l4: Some(l4()), vni: f }),
            source: Some(proto::Endpoint { id: g, identity: h, ..Default::default() }),
            r#type: signed(a),
            event_type: Some(proto::CiliumEventType { r#type: signed(b), sub_type: signed(c) }),
            traffic_direction: signed(d),
            policy_match_type: e,
            trace_observation_point: signed(f),
            trace_reason: signed(g),
            file: Some(proto::FileInfo { name: text.clone(), line: h }),
            debug_capture_point: signed(a),
            sock_xlate_point: signed(b),
            trace_context: Some(proto::TraceContext { parent: Some(proto::TraceParent { trace_id: text.clone() }) }),
            l7: Some(proto::Layer7 { r#type: signed(c), ..Default::default() }),
            summary: text.clone(),
            ..Default::default()
        };
        let own = super::flow(message, Box::default());
        let mut out = Vec::new();
        encoder().flow(&own, &Mask::ALL, &mut out);
        // A second round changes nothing.
        let again = super::flow(proto::Flow::decode(out.as_slice()).expect("a flow"), Box::default());
        let mut twice = Vec::new();
        encoder().flow(&again, &Mask::ALL, &mut twice);
        prop_assert_eq!(proto::Flow::decode(&*twice).expect("a flow"), proto::Flow::decode(&*out).expect("a flow"));
    }

    #[test]
    fn any_bytes_give_response_or_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = flows_response(&bytes);
        let mut encoded = Vec::new();
        crate::wire::bytes(&mut encoded, 1, &bytes);
        if let Ok(FlowsResponse::Observed(observed)) = flows_response(&encoded) {
            let mut out = Vec::new();
            encoder().flows_response(&observed, &Mask::of_flow(&["IP.source", "l4.TCP.flags"]).expect("a mask"), &mut out);
            prop_assert!(GetFlowsResponse::decode(out.as_slice()).is_ok());
        }
    }
}

#[test]
fn empty_flow_has_ends_and_type() {
    let mut out = Vec::new();
    encoder().flow(&Flow::empty(EventType::default()), &Mask::ALL, &mut out);
    let flow = proto::Flow::decode(out.as_slice()).expect("a flow");
    assert_eq!((flow.source, flow.destination), (Some(Default::default()), Some(Default::default())));
    assert_eq!(flow.event_type, Some(Default::default()));
    assert_eq!(flow.node_name, "kind/node");
    assert_eq!(flow.emitter.map(|emitter| emitter.name).as_deref(), Some("eyepiece"));
}
