//! Messages to JSON and back.

use proptest::prelude::*;
use prost::Name;
use prost_types::{Any, Timestamp};

use super::{read, read_all, write};
use crate::arbitrary::any;
use crate::proto::flow::{Flow, FlowFilter};
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::{
    ExportEvent, GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsRequest, GetFlowsResponse,
    ServerStatusResponse, get_flows_request,
};

fn text(message: &impl Name) -> String {
    let mut out = String::new();
    write(message, &mut out).unwrap();
    out
}

#[test]
fn json_has_hubbles_form() {
    let flow = r#"{"time":"2024-05-06T07:08:09.5Z","uuid":"u","verdict":"DROPPED","IP":{"source":"1.1.1.1","ipVersion":"IPv4"},"is_reply":false,"socket_cookie":"18446744073709551615","Summary":"a\u003cb\u003e\u0026"}"#;
    let whole = format!(r#"{{"flow":{flow},"node_name":"n","time":"2024-05-06T07:08:09.500000001Z"}}"#);
    let message: GetFlowsResponse = read(&whole, true).unwrap();
    // Protobuf's JSON has a fraction of three, six or nine digits, or none.
    assert_eq!(text(&message), whole.replace("09.5Z", "09.500Z"));
    let Some(ResponseTypes::Flow(flow)) = message.response_types else { panic!("no flow") };
    assert_eq!((flow.is_reply, flow.socket_cookie, flow.summary.as_str()), (Some(false), u64::MAX, "a<b>&"));
}

#[test]
fn unnamed_numbers_and_controls_are_kept() {
    let flow = Flow { verdict: 77, summary: "\u{1b}\u{7f}\u{9b}".to_owned(), ..Flow::default() };
    let message = GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), ..GetFlowsResponse::default() };
    let text = text(&message);
    assert_eq!(text, r#"{"flow":{"verdict":77,"Summary":"\u001b\u007f\u009b"}}"#);
    assert_eq!(read::<GetFlowsResponse>(&text, true).unwrap(), message);
}

#[test]
fn fields_without_json_form_are_omitted() {
    let extensions = Some(Any { type_url: "type.googleapis.com/none.Such".to_owned(), value: vec![1] });
    let time = Some(Timestamp { seconds: i64::MAX, nanos: -1 });
    let flow = Flow { uuid: "u".to_owned(), time, extensions, ..Flow::default() };
    let message = GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), time, node_name: "n".to_owned() };
    assert_eq!(text(&message), r#"{"flow":{"uuid":"u"},"node_name":"n"}"#);
}

#[test]
fn messages_and_unknown_fields_are_read() {
    let filters: Vec<FlowFilter> = read_all(r#"{"source_pod":["a/"]} {"sourcePod":["b/"]}{}"#, true).unwrap();
    assert_eq!(filters.iter().map(|filter| filter.source_pod.join(",")).collect::<Vec<_>>(), ["a/", "b/", ""]);
    assert!(read::<FlowFilter>(r#"{"new":1}"#, true).is_err());
    assert_eq!(read::<FlowFilter>(r#"{"new":1}"#, false).unwrap(), FlowFilter::default());
    for wrong in ["", "{", "[]", "{} x", r#"{"verdict":"DROPPED"}"#, r#"{"source_pod":1}"#] {
        assert!(read::<FlowFilter>(wrong, false).is_err(), "{wrong}");
    }
}

#[test]
fn enum_is_read_by_either_form() {
    for text in [r#"{"verdict":["DROPPED"]}"#, r#"{"verdict":[2]}"#] {
        assert_eq!(read::<FlowFilter>(text, true).unwrap().verdict, [2]);
    }
    assert!(read::<FlowFilter>(r#"{"verdict":["X"]}"#, true).is_err());
}

#[test]
fn mask_of_old_clients_is_read() {
    let request: GetFlowsRequest = read(r#"{"experimental":{"field_mask":"time,source.podName"}}"#, true).unwrap();
    let get_flows_request::Experimental { field_mask } = request.experimental.unwrap();
    assert_eq!(field_mask.unwrap().paths, ["time", "source.pod_name"]);
}

fn check_round_trip<M: Name + Default>(seed: u64) {
    let message: M = any(seed);
    let written = text(&message);
    assert!(!written.contains(|c: char| c.is_control()), "{written:?}");
    let again: M = read(&written, true).unwrap();
    // The first text omits fields without a JSON form, so the texts are compared. Fractions are quarters, since serde_json
    // reads others inexactly.
    assert_eq!(text(&again), written);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_message_survives_json(seed: u64) {
        check_round_trip::<GetFlowsResponse>(seed);
        check_round_trip::<GetAgentEventsResponse>(seed);
        check_round_trip::<GetDebugEventsResponse>(seed);
        check_round_trip::<ExportEvent>(seed);
        check_round_trip::<ServerStatusResponse>(seed);
    }

    #[test]
    fn any_text_is_read_or_rejected(text: String, cut: prop::sample::Index, seed: u64) {
        drop(read::<ExportEvent>(&text, false));
        let whole = { let mut out = String::new(); write(&any::<ExportEvent>(seed), &mut out).unwrap(); out };
        let mut bytes = whole.into_bytes();
        let at = cut.index(bytes.len());
        bytes[at] = bytes[at].wrapping_add(1);
        drop(std::str::from_utf8(&bytes).map(|text| read::<ExportEvent>(text, true)));
    }
}
