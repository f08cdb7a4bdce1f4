//! Protobuf's JSON of the messages, as Hubble's clients and flow logs have it: both ways.

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};

use super::FILE_DESCRIPTOR_SET;

/// Why a message has no JSON, or a text is none of a message.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// No message of that name in the API.
    #[error("no message {name}")]
    NoMessage {
        /// Its full name.
        name: String,
    },
    /// The bytes are no message of that type.
    #[error("not encoded as {name}: {source}")]
    Encoding {
        /// The message's full name.
        name: String,
        /// What is wrong.
        source: prost::DecodeError,
    },
    /// The text is no JSON of that type, or the message has none: an `Any` of an unknown type.
    #[error("JSON of {name}: {source}")]
    Json {
        /// The message's full name.
        name: String,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
}

/// The descriptors of all packages. They are part of the program; a test holds them against the protobuf files.
static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap_or_default());

/// The descriptor of a message, by its full name: `flow.Flow`.
///
/// # Errors
/// There is none of that name.
pub fn descriptor(name: &str) -> Result<MessageDescriptor, JsonError> {
    POOL.get_message_by_name(name).ok_or_else(|| JsonError::NoMessage { name: name.to_owned() })
}

/// Names as in the protobuf files, enums by name, 64-bit integers as texts, and nothing of what is not set.
const WRITTEN: SerializeOptions = SerializeOptions::new().use_proto_field_name(true);

/// One line of JSON.
///
/// # Errors
/// It holds an `Any` of a type that is not in the API.
pub fn write<M: Message + Name>(message: &M) -> Result<String, JsonError> {
    write_encoded(&M::full_name(), &message.encode_to_vec())
}

/// One line of JSON of an encoded message, by the message's full name.
///
/// # Errors
/// The bytes are no such message, or it holds an `Any` of a type that is not in the API.
pub fn write_encoded(name: &str, encoded: &[u8]) -> Result<String, JsonError> {
    let message = DynamicMessage::decode(descriptor(name)?, encoded)
        .map_err(|source| JsonError::Encoding { name: name.to_owned(), source })?;
    let json = |source| JsonError::Json { name: name.to_owned(), source };
    let mut out = Vec::new();
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut out), &WRITTEN).map_err(json)?;
    String::from_utf8(out).map_err(|error| json(serde::ser::Error::custom(error)))
}

/// Reads a text; names as in the protobuf files or in lower camel case, enums by name or number.
///
/// # Errors
/// No JSON, or not of this message: a field that it has not, a value of another type.
pub fn read<M: Message + Name + Default>(text: &str) -> Result<M, JsonError> {
    let name = M::full_name();
    let json = |source| JsonError::Json { name: name.clone(), source };
    let descriptor = descriptor(&name)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let message =
        DynamicMessage::deserialize_with_options(descriptor, &mut reader, &DeserializeOptions::new()).map_err(json)?;
    reader.end().map_err(json)?;
    message.transcode_to().map_err(|source| JsonError::Encoding { name, source })
}

#[cfg(test)]
mod tests {
    use prost_types::{Any, Timestamp};

    use super::{JsonError, read, write, write_encoded};
    use crate::proto::flow::{DropReason, Flow, FlowFilter, Ip, IpVersion, Verdict};
    use crate::proto::observer::get_flows_response::ResponseTypes;
    use crate::proto::observer::{GetFlowsRequest, GetFlowsResponse, get_flows_request};

    #[test]
    fn names_numbers_and_times_are_as_the_original_has_them() {
        let flow = Flow {
            time: Some(Timestamp { seconds: 1, nanos: 500_000_000 }),
            verdict: Verdict::Dropped.into(),
            drop_reason_desc: DropReason::PolicyDenied.into(),
            ip: Some(Ip { source: "10.0.0.1".into(), ip_version: IpVersion::IPv4.into(), ..Ip::default() }),
            is_reply: Some(false),
            socket_cookie: u64::MAX,
            trace_reason: 77,
            summary: "TCP".into(),
            ..Flow::default()
        };
        let response = GetFlowsResponse {
            node_name: "a/b".into(),
            response_types: Some(ResponseTypes::Flow(flow)),
            ..GetFlowsResponse::default()
        };
        let text = write(&response).unwrap();
        let expected = concat!(
            r#"{"flow":{"time":"1970-01-01T00:00:01.500Z","verdict":"DROPPED","#,
            r#""IP":{"source":"10.0.0.1","ipVersion":"IPv4"},"drop_reason_desc":"POLICY_DENIED","is_reply":false,"#,
            r#""socket_cookie":"18446744073709551615","trace_reason":77,"Summary":"TCP"},"node_name":"a/b"}"#,
        );
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&text), value(expected), "{text}");
        assert_eq!(read::<GetFlowsResponse>(&text).unwrap(), response);
    }

    #[test]
    fn filters_are_read_in_either_spelling() {
        for text in [r#"{"source_pod":["a/b"],"verdict":["DROPPED"]}"#, r#"{"sourcePod":["a/b"],"verdict":[2]}"#] {
            let filter: FlowFilter = read(text).unwrap();
            assert_eq!((filter.source_pod, filter.verdict), (vec!["a/b".to_owned()], vec![2]));
        }
        for text in
            ["", "{", "[]", r#"{"no_such_field":1}"#, r#"{"verdict":"DROPPED"}"#, "{} {}", r#"{"verdict":["X"]}"#]
        {
            assert!(matches!(read::<FlowFilter>(text), Err(JsonError::Json { .. })), "{text}");
        }
    }

    #[test]
    fn the_mask_of_old_clients_is_readable() {
        let request: GetFlowsRequest = read(r#"{"experimental":{"field_mask":"time,source.podName"}}"#).unwrap();
        let get_flows_request::Experimental { field_mask } = request.experimental.unwrap();
        assert_eq!(field_mask.unwrap().paths, ["time", "source.pod_name"]);
    }

    #[test]
    fn what_has_no_json_is_an_error() {
        assert!(matches!(write_encoded("flow.Flow", &[0xff]), Err(JsonError::Encoding { .. })));
        assert!(matches!(write_encoded("flow.None", &[]), Err(JsonError::NoMessage { .. })));
        let extensions = Some(Any { type_url: "type.googleapis.com/of.nobody".into(), value: vec![1] });
        assert!(matches!(write(&Flow { extensions, ..Flow::default() }), Err(JsonError::Json { .. })));
    }
}
