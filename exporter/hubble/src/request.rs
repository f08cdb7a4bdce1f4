//! Checks the requests of the streams, and compiles them to queries and layouts.

use eyepiece_flow::text::truncate;
use prost::{Message as _, Name as _};
use prost_reflect::{Kind, MessageDescriptor};
use prost_types::Timestamp;

use crate::field_mask::InvalidMask;
use crate::filter::{FilterError, Filters, MAX_ENTRIES, MAX_FILTERS};
use crate::layout::{Layout, Masks};
use crate::proto::flow::FlowFilter;
use crate::proto::observer::{GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest};
use crate::query::{self, Query};
use crate::{extension, proto, wire};

const NANOS: i128 = 1_000_000_000;
/// Bytes of an error in the response's header: texts of the request may be in it.
const SHOWN: usize = 2048;
/// The range of seconds of a protobuf timestamp: the years 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// An invalid request. Codes are those of Hubble's own server.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The oldest entries and new ones are requested together.
    #[error("first cannot be specified with follow")]
    FirstAndFollow,
    /// An invalid filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// An invalid field mask.
    #[error(transparent)]
    Mask(#[from] InvalidMask),
    /// A bound is exceeded.
    #[error("more than {most} {what} in one request")]
    TooMany {
        /// `filters`, or `entries` of them and of masks.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// The bytes are not a request.
    #[error("invalid request: {0}")]
    Wire(String),
    /// An invalid time.
    #[error("invalid {field}: expected a time of the years 1 to 9999, got {seconds} s and {nanos} ns")]
    Time {
        /// `since` or `until`.
        field: &'static str,
        /// Its seconds.
        seconds: i64,
        /// Its nanoseconds.
        nanos: i32,
    },
}

impl RequestError {
    /// The status code of the response (`google/rpc/code.proto`).
    pub const fn grpc_code(&self) -> i32 {
        match self {
            Self::FirstAndFollow | Self::TooMany { .. } => code::INVALID_ARGUMENT,
            Self::Wire(_) => code::INTERNAL,
            // Hubble returns these errors without a code.
            Self::Filter(_) | Self::Mask(_) | Self::Time { .. } => code::UNKNOWN,
        }
    }

    /// The message of the response: at most about 2 KiB.
    pub fn message(&self) -> String {
        truncate(self.to_string(), SHOWN)
    }
}

/// Status codes of gRPC.
mod code {
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const INTERNAL: i32 = 13;
}

/// Bytes of an encoded request up to which its filters are compiled on the serving thread, if none is a pattern.
const QUICK: usize = 4 << 10;
/// Names of the fields of filters that are compiled to programs.
const PATTERNS: [&str; 7] =
    ["source_fqdn", "destination_fqdn", "dns_query", "http_path", "http_url", "node_name", "experimental"];

/// The content of an encoded request, counted before it is decoded.
#[derive(Debug, Default)]
struct Content {
    filters: usize,
    /// Elements of the lists in filters and masks.
    entries: usize,
    has_patterns: bool,
}

impl Content {
    fn of_flows_request(encoded: &[u8]) -> Result<Self, RequestError> {
        let name = GetFlowsRequest::full_name();
        let message = proto::descriptor(&name).ok_or_else(|| RequestError::Wire(format!("unknown message {name}")))?;
        let mut content = Self::default();
        content.count(&message, encoded)?;
        Ok(content)
    }

    /// Counts the content of a message and its inner messages.
    fn count(&mut self, message: &MessageDescriptor, encoded: &[u8]) -> Result<(), RequestError> {
        let mut end = 0;
        for (field, value) in wire::fields(encoded) {
            end += field.end;
            // Unknown fields are skipped when the request is decoded.
            let Some(known) = message.get_field(field.number) else { continue };
            let kind = known.kind();
            self.has_patterns |= PATTERNS.contains(&known.name());
            match &kind {
                Kind::Message(inner) if inner.full_name() == FlowFilter::full_name() => self.filters += 1,
                _ if known.is_list() => self.entries += elements(&kind, &field, value),
                _ => {}
            }
            self.check()?;
            if let (Kind::Message(inner), wire::BYTES) = (&kind, field.wire_type) {
                self.count(inner, value)?;
            }
        }
        let error = || RequestError::Wire(format!("no field of {} starts at its byte {end}", message.full_name()));
        if end < encoded.len() { Err(error()) } else { Ok(()) }
    }

    fn check(&self) -> Result<(), RequestError> {
        for (what, count, most) in [("filters", self.filters, MAX_FILTERS), ("entries", self.entries, MAX_ENTRIES)] {
            if count > most {
                return Err(RequestError::TooMany { what, most });
            }
        }
        Ok(())
    }
}

/// Returns the elements of a list in one field: one, or those packed into it.
fn elements(kind: &Kind, field: &wire::Field, value: &[u8]) -> usize {
    match kind {
        Kind::Message(_) | Kind::String | Kind::Bytes => 1,
        _ if field.wire_type != wire::BYTES => 1,
        Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => value.len() / 4,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => value.len() / 8,
        // The last byte of each varint is below 0x80.
        _ => value.iter().filter(|byte| **byte < 0x80).count(),
    }
}

/// Returns whether an encoded request for flows compiles quickly.
pub fn is_quick(encoded: &[u8]) -> bool {
    encoded.len() <= QUICK && Content::of_flows_request(encoded).is_ok_and(|content| !content.has_patterns)
}

/// Decodes a request for flows after counting its content: an empty filter has 2 bytes, a decoded one a kilobyte.
///
/// # Errors
/// The bytes are not a request, or it has too many filters or entries.
pub fn decode(encoded: &[u8]) -> Result<GetFlowsRequest, RequestError> {
    Content::of_flows_request(encoded)?;
    GetFlowsRequest::decode(encoded).map_err(|error| RequestError::Wire(error.to_string()))
}

/// Compiles a request for flows.
///
/// # Errors
/// The request is invalid.
pub fn flows(masks: &Masks, request: &GetFlowsRequest) -> Result<(Query, Layout), RequestError> {
    let query = Query {
        kind: query::Kind::Flows,
        number: request.number,
        first: request.first,
        follow: request.follow,
        since: time("since", request.since.as_ref())?,
        until: time("until", request.until.as_ref())?,
        filters: Filters::compile(&request.whitelist, &request.blacklist)?,
    };
    // Clients before 1.16 set the experimental mask.
    let old = request.experimental.as_ref().and_then(|old| old.field_mask.as_ref());
    let extension = extension::is_requested(request.extensions.as_ref());
    let layout = masks.layout(request.field_mask.as_ref().or(old), extension)?;
    Ok((checked(query)?, layout))
}

/// Compiles a request for notifications of the agent.
///
/// # Errors
/// The request is invalid.
pub fn agent_events(request: &GetAgentEventsRequest) -> Result<(Query, Layout), RequestError> {
    let GetAgentEventsRequest { number, first, follow, since, until } = request;
    events(query::Kind::AgentEvents, (*number, *first, *follow), since.as_ref(), until.as_ref())
}

/// Compiles a request for debug messages.
///
/// # Errors
/// The request is invalid.
pub fn debug_events(request: &GetDebugEventsRequest) -> Result<(Query, Layout), RequestError> {
    let GetDebugEventsRequest { number, first, follow, since, until } = request;
    events(query::Kind::DebugEvents, (*number, *first, *follow), since.as_ref(), until.as_ref())
}

fn events(
    kind: query::Kind,
    (number, first, follow): (u64, bool, bool),
    since: Option<&Timestamp>,
    until: Option<&Timestamp>,
) -> Result<(Query, Layout), RequestError> {
    let (since, until) = (time("since", since)?, time("until", until)?);
    let query = Query { kind, number, first, follow, since, until, filters: Filters::default() };
    Ok((checked(query)?, Layout::event(kind)))
}

fn checked(query: Query) -> Result<Query, RequestError> {
    if query.first && query.follow { Err(RequestError::FirstAndFollow) } else { Ok(query) }
}

/// Converts a time to ns since the Unix epoch; times before it or after the year 2554 saturate.
fn time(field: &'static str, time: Option<&Timestamp>) -> Result<Option<u64>, RequestError> {
    let Some(&Timestamp { seconds, nanos }) = time else { return Ok(None) };
    let parts = i128::from(nanos);
    if !SECONDS.contains(&seconds) || !(0..NANOS).contains(&parts) {
        return Err(RequestError::Time { field, seconds, nanos });
    }
    let time = i128::from(seconds) * NANOS + parts;
    Ok(Some(time.clamp(0, u64::MAX.into()) as u64))
}

#[cfg(test)]
mod tests {
    use crate::proto::flow::flow_filter::Experimental;
    use crate::proto::flow::{FlowFilter, HttpHeader, Workload};
    use crate::proto::observer::{GetFlowsRequest, get_flows_request};
    use prost::Message as _;
    use prost_types::FieldMask;

    use super::{MAX_ENTRIES, MAX_FILTERS, QUICK, RequestError, code, decode, flows, is_quick};
    use crate::layout::Masks;

    fn filtered(filter: FlowFilter) -> GetFlowsRequest {
        GetFlowsRequest { whitelist: vec![filter], ..GetFlowsRequest::default() }
    }

    #[test]
    fn too_many_filters_are_not_decoded() {
        for (key, field) in [(0x2a, "blacklist"), (0x32, "whitelist")] {
            let empty = |filters: usize| [key, 0].repeat(filters);
            assert!(is_quick(&empty(1)) && decode(&empty(MAX_FILTERS)).is_ok(), "{field}");
            let error = decode(&empty(2 << 20)).unwrap_err();
            assert_eq!(error.to_string(), "more than 10000 filters in one request");
            assert_eq!(error.grpc_code(), code::INVALID_ARGUMENT);
        }
    }

    #[test]
    fn entries_are_counted_before_decoding() {
        let empty = FlowFilter::default;
        let texts = |count| vec![String::new(); count];
        let mask = |count| Some(FieldMask { paths: texts(count) });
        let none = GetFlowsRequest::default;
        type Make<'a> = &'a dyn Fn(usize) -> GetFlowsRequest;
        let requests: [(&str, Make<'_>); 9] = [
            ("texts", &|count| filtered(FlowFilter { source_ip: texts(count), ..empty() })),
            ("packed numbers", &|count| filtered(FlowFilter { verdict: vec![1; count], ..empty() })),
            ("packed identities", &|count| filtered(FlowFilter { source_identity: vec![u32::MAX; count], ..empty() })),
            ("packed booleans", &|count| filtered(FlowFilter { reply: vec![true; count], ..empty() })),
            ("workloads", &|count| {
                filtered(FlowFilter { source_workload: vec![Workload::default(); count], ..empty() })
            }),
            ("headers", &|count| filtered(FlowFilter { http_header: vec![HttpHeader::default(); count], ..empty() })),
            ("expressions", &|count| {
                let experimental = Some(Experimental { cel_expression: texts(count) });
                filtered(FlowFilter { experimental, ..empty() })
            }),
            ("mask", &|count| GetFlowsRequest { field_mask: mask(count), ..none() }),
            ("old mask", &|count| {
                let experimental = Some(get_flows_request::Experimental { field_mask: mask(count) });
                GetFlowsRequest { experimental, ..none() }
            }),
        ];
        for (what, request) in requests {
            let most = request(MAX_ENTRIES);
            assert_eq!(decode(&most.encode_to_vec()).expect(what), most, "{what}");
            let error = decode(&request(MAX_ENTRIES + 1).encode_to_vec()).expect_err(what);
            assert_eq!(error.to_string(), "more than 100000 entries in one request", "{what}");
        }
    }

    #[test]
    fn uncountable_request_is_rejected() {
        // A group, which decoders skip, at the top, in a filter and in its field; a truncated field.
        for encoded in [
            &[0x0b, 0x0c, 0x32, 0][..],
            &[0x32, 4, 0x0b, 0x0c, 0x0a, 0],
            &[0x32, 7, 0xba, 0x3e, 4, 0x0b, 0x0c, 0x0a, 0],
            &[0x32, 3, 0x0a],
        ] {
            let error = decode(encoded).unwrap_err();
            assert!(matches!(error, RequestError::Wire(_)), "{error}");
            assert_eq!(error.grpc_code(), code::INTERNAL);
        }
        assert_eq!(decode(&[]).unwrap(), GetFlowsRequest::default());
    }

    #[test]
    fn patterns_and_length_prevent_quick() {
        let texts = |text: &str| vec![text.to_owned()];
        let quick = |request: &GetFlowsRequest| is_quick(&request.encode_to_vec());
        assert!(quick(&GetFlowsRequest::default()));
        assert!(quick(&filtered(FlowFilter { source_pod: texts("default/web"), ..FlowFilter::default() })));
        let long = texts(&"x".repeat(QUICK));
        assert!(!quick(&filtered(FlowFilter { source_pod: long.clone(), ..FlowFilter::default() })));
        let mask = Some(FieldMask { paths: long });
        assert!(!quick(&GetFlowsRequest { field_mask: mask, ..GetFlowsRequest::default() }));
        for filter in [
            FlowFilter { http_path: texts("x"), ..FlowFilter::default() },
            FlowFilter { node_name: texts("x*"), ..FlowFilter::default() },
            FlowFilter { experimental: Some(Experimental { cel_expression: texts("true") }), ..FlowFilter::default() },
        ] {
            assert!(!quick(&filtered(filter)));
        }
    }

    #[test]
    fn error_of_long_text_is_truncated() {
        let long = vec!["(".repeat(60_000)];
        let mask = Some(FieldMask { paths: long.clone() });
        for request in [
            GetFlowsRequest { field_mask: mask, ..GetFlowsRequest::default() },
            filtered(FlowFilter { http_path: long, ..FlowFilter::default() }),
        ] {
            let error = flows(&Masks::default(), &request).unwrap_err();
            assert_eq!(error.grpc_code(), code::UNKNOWN);
            assert!(error.message().len() < 2100 && !error.message().is_empty(), "{}", error.message().len());
        }
    }
}
