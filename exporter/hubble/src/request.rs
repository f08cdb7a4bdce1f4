//! Requests of the streams, checked: what they ask for, or what is wrong with them.

use eyepiece_flow::text::truncate;
use prost::{Message as _, Name as _};
use prost_reflect::{Kind, MessageDescriptor};
use prost_types::Timestamp;

use crate::field_mask::InvalidMask;
use crate::filter::{FilterError, Filters, MOST_ENTRIES, MOST_FILTERS};
use crate::layout::{Layout, Masks};
use crate::proto::flow::FlowFilter;
use crate::proto::observer::{GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest};
use crate::query::{self, Query};
use crate::{extension, proto, wire};

const NANOS: i128 = 1_000_000_000;
/// Bytes of an error that the answer's header has at most: texts of the request may be in it.
const SHOWN: usize = 2048;
/// The first and the last second that a protobuf timestamp can say: the years 1 and 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// What is wrong with a request. Codes are those of Hubble's own server.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The oldest entries, and those to come.
    #[error("first cannot be specified with follow")]
    FirstAndFollow,
    /// A filter that cannot be.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A field mask that fits no flow.
    #[error(transparent)]
    Mask(#[from] InvalidMask),
    /// More than a request may have.
    #[error("more than {most} {what} in one request")]
    TooMany {
        /// Filters, or entries of them and of masks.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// Bytes that are no request.
    #[error("the request is no message: {0}")]
    Wire(String),
    /// A time that is none.
    #[error("invalid {field}: {seconds} s and {nanos} ns are no time between the years 1 and 9999")]
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
    /// The status code of gRPC that the answer has (`google/rpc/code.proto`).
    pub const fn grpc_code(&self) -> i32 {
        match self {
            Self::FirstAndFollow | Self::TooMany { .. } => code::INVALID_ARGUMENT,
            Self::Wire(_) => code::INTERNAL,
            // Hubble returns these as they are, and gRPC for Go knows no code of theirs.
            Self::Filter(_) | Self::Mask(_) | Self::Time { .. } => code::UNKNOWN,
        }
    }

    /// The text that the answer has: at most about 2 KiB.
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

/// Bytes of an encoded request up to which its filters are compiled while others wait, where none of them is a pattern.
const QUICK: usize = 4 << 10;
/// Fields of filters that are compiled to programs, by their names.
const PATTERNS: [&str; 7] =
    ["source_fqdn", "destination_fqdn", "dns_query", "http_path", "http_url", "node_name", "experimental"];

/// What an encoded request holds, counted before anything of it is decoded.
#[derive(Debug, Default)]
struct Content {
    filters: usize,
    /// Elements of lists, the filters' lists and those of masks.
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

    /// Counts what is in a message, and in those within it.
    fn count(&mut self, message: &MessageDescriptor, encoded: &[u8]) -> Result<(), RequestError> {
        let mut end = 0;
        for (field, value) in wire::fields(encoded) {
            end += field.end;
            // What is unknown is passed over when it is decoded.
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
        let error = || RequestError::Wire(format!("no field of {} begins at its byte {end}", message.full_name()));
        if end < encoded.len() { Err(error()) } else { Ok(()) }
    }

    fn check(&self) -> Result<(), RequestError> {
        for (what, count, most) in [("filters", self.filters, MOST_FILTERS), ("entries", self.entries, MOST_ENTRIES)] {
            if count > most {
                return Err(RequestError::TooMany { what, most });
            }
        }
        Ok(())
    }
}

/// Elements of a list in one of its fields: one, or those that are packed into it.
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

/// Whether an encoded request for flows is compiled in no time, whatever is in it.
pub fn is_quick(encoded: &[u8]) -> bool {
    encoded.len() <= QUICK && Content::of_flows_request(encoded).is_ok_and(|content| !content.has_patterns)
}

/// Decodes a request for flows once it is known that it does not become much larger than its bytes: an empty filter takes
/// two of them, and a kilobyte when it is decoded.
///
/// # Errors
/// The bytes are no request, or hold more filters or entries than a request may.
pub fn decode(encoded: &[u8]) -> Result<GetFlowsRequest, RequestError> {
    Content::of_flows_request(encoded)?;
    GetFlowsRequest::decode(encoded).map_err(|error| RequestError::Wire(error.to_string()))
}

/// A request for flows, with the masks of those before it.
///
/// # Errors
/// What is wrong with it.
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
    // What clients before 1.16 called experimental counts where nothing else is said.
    let old = request.experimental.as_ref().and_then(|old| old.field_mask.as_ref());
    let extension = extension::is_asked(request.extensions.as_ref());
    let layout = masks.layout(request.field_mask.as_ref().or(old), extension)?;
    Ok((checked(query)?, layout))
}

/// A request for notifications of the agent.
///
/// # Errors
/// What is wrong with it.
pub fn agent_events(request: &GetAgentEventsRequest) -> Result<(Query, Layout), RequestError> {
    let GetAgentEventsRequest { number, first, follow, since, until } = request;
    events(query::Kind::AgentEvents, (*number, *first, *follow), since.as_ref(), until.as_ref())
}

/// A request for debug messages.
///
/// # Errors
/// What is wrong with it.
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

/// A time as ns since the Unix epoch; before it and after the year 2554 are its ends.
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

    use super::{MOST_ENTRIES, MOST_FILTERS, QUICK, RequestError, code, decode, flows, is_quick};
    use crate::layout::Masks;

    fn filtered(filter: FlowFilter) -> GetFlowsRequest {
        GetFlowsRequest { whitelist: vec![filter], ..GetFlowsRequest::default() }
    }

    #[test]
    fn what_would_become_far_larger_than_its_bytes_is_not_decoded() {
        for (key, field) in [(0x2a, "blacklist"), (0x32, "whitelist")] {
            let empty = |filters: usize| [key, 0].repeat(filters);
            assert!(is_quick(&empty(1)) && decode(&empty(MOST_FILTERS)).is_ok(), "{field}");
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
            ("packed truth values", &|count| filtered(FlowFilter { reply: vec![true; count], ..empty() })),
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
            let most = request(MOST_ENTRIES);
            assert_eq!(decode(&most.encode_to_vec()).expect(what), most, "{what}");
            let error = decode(&request(MOST_ENTRIES + 1).encode_to_vec()).expect_err(what);
            assert_eq!(error.to_string(), "more than 100000 entries in one request", "{what}");
        }
    }

    #[test]
    fn nothing_is_hidden_from_the_count() {
        // A group, which decoders pass over, at the top, in a filter and in what is in one; a field that is cut short.
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
    fn patterns_and_long_requests_are_not_quick() {
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
    fn errors_of_long_texts_are_short() {
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
