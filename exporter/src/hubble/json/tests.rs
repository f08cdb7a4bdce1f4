//! JSON there and back.

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};
use prost_types::{Any, Timestamp};

use super::{Named, descriptor, read, read_all, write};
use crate::proto::flow::{Flow, FlowFilter};
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::{
    ExportEvent, GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsResponse, ServerStatusResponse,
};

/// A message of any content: every field of every kind may be set, enums to numbers without a name too.
pub(in crate::hubble) fn any<M: Named>(seed: u64) -> M {
    let mut random = fastrand::Rng::with_seed(seed);
    let message = fill(&descriptor::<M>().unwrap(), &mut random, 0);
    M::decode(message.encode_to_vec().as_slice()).unwrap()
}

fn fill(descriptor: &MessageDescriptor, random: &mut fastrand::Rng, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if random.u8(..) < 100 || depth > 6 {
            continue;
        }
        let kind = field.kind();
        let value = if field.is_list() {
            Value::List((0..random.usize(0..3)).map(|_| value(&kind, random, depth)).collect())
        } else {
            value(&kind, random, depth)
        };
        message.set_field(&field, value);
    }
    message
}

fn value(kind: &Kind, random: &mut fastrand::Rng, depth: usize) -> Value {
    const TEXTS: [&str; 8] =
        ["", "pod", "a/b", "\u{1b}[31mred\u{9b}", "two\nlines\ttab\r", "é<&>\u{2028}\u{202e}", "::1", "reserved:x"];
    let small = random.bool();
    match kind {
        Kind::Bool => Value::Bool(random.bool()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Value::I32(if small { random.i32(0..9) } else { random.i32(..) })
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Value::I64(if small { random.i64(0..9) } else { random.i64(..) })
        }
        Kind::Uint32 | Kind::Fixed32 => Value::U32(if small { random.u32(0..9) } else { random.u32(..) }),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(if small { random.u64(0..9) } else { random.u64(..) }),
        Kind::Float => Value::F32(random.f32()),
        Kind::Double => Value::F64(if small { f64::INFINITY } else { f64::from(random.u16(..)) / 4.0 }),
        Kind::String => Value::String(random.choice(TEXTS).unwrap().to_owned()),
        Kind::Bytes => Value::Bytes(vec![random.u8(..); random.usize(0..9)].into()),
        Kind::Enum(_) => Value::EnumNumber(random.i32(-2..260)),
        Kind::Message(inner) => Value::Message(fill(inner, random, depth + 1)),
    }
}

fn text(message: &impl Named) -> String {
    let mut out = String::new();
    write(message, &mut out).unwrap();
    out
}

#[test]
fn the_form_is_hubbles() {
    let flow = r#"{"time":"2024-05-06T07:08:09.5Z","uuid":"u","verdict":"DROPPED","IP":{"source":"1.1.1.1","ipVersion":"IPv4"},"is_reply":false,"socket_cookie":"18446744073709551615","Summary":"a\u003cb\u003e\u0026"}"#;
    let whole = format!(r#"{{"flow":{flow},"node_name":"n","time":"2024-05-06T07:08:09.500000001Z"}}"#);
    let message: GetFlowsResponse = read(&whole, true).unwrap();
    // protobuf's JSON has no fraction, or one of three, six or nine digits.
    assert_eq!(text(&message), whole.replace("09.5Z", "09.500Z"));
    let Some(ResponseTypes::Flow(flow)) = message.response_types else { panic!("no flow") };
    assert_eq!((flow.is_reply, flow.socket_cookie, flow.summary.as_str()), (Some(false), u64::MAX, "a<b>&"));
}

#[test]
fn numbers_without_a_name_and_controls_are_kept() {
    let flow = Flow { verdict: 77, summary: "\u{1b}\u{7f}\u{9b}".to_owned(), ..Flow::default() };
    let message = GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), ..GetFlowsResponse::default() };
    let text = text(&message);
    assert_eq!(text, r#"{"flow":{"verdict":77,"Summary":"\u001b\u007f\u009b"}}"#);
    assert_eq!(read::<GetFlowsResponse>(&text, true).unwrap(), message);
}

#[test]
fn what_json_has_no_form_for_is_left_out() {
    let extensions = Some(Any { type_url: "type.googleapis.com/none.Such".to_owned(), value: vec![1] });
    let time = Some(Timestamp { seconds: i64::MAX, nanos: -1 });
    let flow = Flow { uuid: "u".to_owned(), time, extensions, ..Flow::default() };
    let message = GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), time, node_name: "n".to_owned() };
    assert_eq!(text(&message), r#"{"flow":{"uuid":"u"},"node_name":"n"}"#);
}

#[test]
fn several_messages_and_unknown_fields() {
    let filters: Vec<FlowFilter> = read_all(r#"{"source_pod":["a/"]} {"sourcePod":["b/"]}{}"#, true).unwrap();
    assert_eq!(filters.iter().map(|filter| filter.source_pod.join(",")).collect::<Vec<_>>(), ["a/", "b/", ""]);
    assert!(read::<FlowFilter>(r#"{"new":1}"#, true).is_err());
    assert_eq!(read::<FlowFilter>(r#"{"new":1}"#, false).unwrap(), FlowFilter::default());
    for wrong in ["", "{", "[]", "{} x", r#"{"verdict":"DROPPED"}"#, r#"{"source_pod":1}"#] {
        assert!(read::<FlowFilter>(wrong, false).is_err(), "{wrong}");
    }
}

fn there_and_back<M: Named + PartialEq>(seed: u64) {
    let message: M = any(seed);
    let written = text(&message);
    assert!(!written.contains(|c: char| c.is_control()), "{written:?}");
    let again: M = read(&written, true).unwrap();
    // serde_json reads a fraction to the last digit but one: there are only quarters here. The second time nothing is left out any more.
    assert_eq!(text(&again), written);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_message_is_written_and_read(seed: u64) {
        there_and_back::<GetFlowsResponse>(seed);
        there_and_back::<GetAgentEventsResponse>(seed);
        there_and_back::<GetDebugEventsResponse>(seed);
        there_and_back::<ExportEvent>(seed);
        there_and_back::<ServerStatusResponse>(seed);
    }

    #[test]
    fn any_text_is_read_or_refused(text: String, cut: prop::sample::Index, seed: u64) {
        drop(read::<ExportEvent>(&text, false));
        let whole = { let mut out = String::new(); write(&any::<ExportEvent>(seed), &mut out).unwrap(); out };
        let mut bytes = whole.into_bytes();
        let at = cut.index(bytes.len());
        bytes[at] = bytes[at].wrapping_add(1);
        drop(std::str::from_utf8(&bytes).map(|text| read::<ExportEvent>(text, true)));
    }
}
