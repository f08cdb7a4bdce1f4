//! Requests of the streams, checked: what they ask for, or what is wrong with them.

use prost::Message as _;
use prost_types::Timestamp;
use tonic::Status;

use super::filter::{FilterError, Filters, MOST_ENTRIES, MOST_FILTERS};
use super::layout::{Layout, Masks};
use super::query::{Kind, Query};
use crate::hubble::extension;
use crate::hubble::mask::InvalidMask;
use crate::proto::observer::{GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest};
use crate::protobuf;

const NANOS: i128 = 1_000_000_000;
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
    #[error("more than {most} {what} in one request: {count}")]
    TooMany {
        /// Filters or entries of them.
        what: &'static str,
        /// How many there are.
        count: usize,
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

impl From<RequestError> for Status {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::FirstAndFollow => Self::invalid_argument(error.to_string()),
            RequestError::TooMany { .. } => Self::invalid_argument(error.to_string()),
            RequestError::Wire(_) => Self::internal(error.to_string()),
            // Hubble returns these as they are, and gRPC for Go knows no code of theirs.
            RequestError::Filter(_) | RequestError::Mask(_) | RequestError::Time { .. } => {
                Self::unknown(error.to_string())
            }
        }
    }
}

/// Fields of a request for flows that are filters, and the mask.
const BLACKLIST: u32 = 5;
const WHITELIST: u32 = 6;
const FIELD_MASK: u32 = 10;

/// Whether an encoded request for flows has filters, as far as it can be read.
pub fn has_filters(encoded: &[u8]) -> bool {
    protobuf::fields(encoded).any(|field| is_filter(&field.0))
}

/// Decodes a request for flows once it is known that it does not become much larger than its bytes: an empty filter takes
/// two of them, and a kilobyte when it is decoded.
///
/// # Errors
/// The bytes are no request, or hold more filters or entries than a request may.
pub fn decode(encoded: &[u8]) -> Result<GetFlowsRequest, RequestError> {
    let (mut filters, mut entries, mut end) = (0, 0, 0);
    for (field, value) in protobuf::fields(encoded) {
        end += field.end;
        let is_mask = field.number == FIELD_MASK && field.wire_type == protobuf::BYTES;
        if is_filter(&field) || is_mask {
            filters += usize::from(!is_mask);
            let mut read = 0;
            for (inner, _) in protobuf::fields(value) {
                read += inner.end;
                entries += 1;
            }
            if read < value.len() {
                return Err(RequestError::Wire(format!("field {} ends within another one", field.number)));
            }
        }
    }
    if end < encoded.len() {
        return Err(RequestError::Wire(format!("no field begins at byte {end}")));
    }
    for (what, count, most) in [("filters", filters, MOST_FILTERS), ("entries", entries, MOST_ENTRIES)] {
        if count > most {
            return Err(RequestError::TooMany { what, count, most });
        }
    }
    GetFlowsRequest::decode(encoded).map_err(|error| RequestError::Wire(error.to_string()))
}

const fn is_filter(field: &protobuf::Field) -> bool {
    matches!(field.number, BLACKLIST | WHITELIST) && field.wire_type == protobuf::BYTES
}

/// A request for flows, with the masks of those before it.
///
/// # Errors
/// What is wrong with it.
pub fn flows(masks: &Masks, request: &GetFlowsRequest) -> Result<(Query, Layout), RequestError> {
    let query = Query {
        kind: Kind::Flows,
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
    events(Kind::AgentEvents, (*number, *first, *follow), since.as_ref(), until.as_ref())
}

/// A request for debug messages.
///
/// # Errors
/// What is wrong with it.
pub fn debug_events(request: &GetDebugEventsRequest) -> Result<(Query, Layout), RequestError> {
    let GetDebugEventsRequest { number, first, follow, since, until } = request;
    events(Kind::DebugEvents, (*number, *first, *follow), since.as_ref(), until.as_ref())
}

fn events(
    kind: Kind,
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
    use prost::Message as _;

    use super::{MOST_ENTRIES, MOST_FILTERS, RequestError, decode, has_filters};
    use crate::proto::flow::FlowFilter;
    use crate::proto::observer::GetFlowsRequest;

    #[test]
    fn what_would_become_far_larger_than_its_bytes_is_not_decoded() {
        for (key, field) in [(0x2a, "blacklist"), (0x32, "whitelist")] {
            let empty = |filters: usize| [key, 0].repeat(filters);
            assert!(has_filters(&empty(1)) && decode(&empty(MOST_FILTERS)).is_ok(), "{field}");
            let error = decode(&empty(2 << 20)).unwrap_err();
            assert_eq!(error.to_string(), "more than 10000 filters in one request: 2097152");
            assert_eq!(tonic::Status::from(error).code(), tonic::Code::InvalidArgument);
        }
        let filter = |entries| FlowFilter { source_ip: vec![String::new(); entries], ..FlowFilter::default() };
        let request = |entries| GetFlowsRequest { whitelist: vec![filter(entries)], ..GetFlowsRequest::default() };
        assert_eq!(decode(&request(MOST_ENTRIES).encode_to_vec()).unwrap(), request(MOST_ENTRIES));
        let error = decode(&request(MOST_ENTRIES + 1).encode_to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "more than 100000 entries in one request: 100001");
    }

    #[test]
    fn nothing_is_hidden_from_the_count() {
        // A group, which decoders pass over, at the top and in a filter; a field that is cut short.
        for encoded in [&[0x0b, 0x0c, 0x32, 0][..], &[0x32, 4, 0x0b, 0x0c, 0x0a, 0], &[0x32, 3, 0x0a]] {
            let error = decode(encoded).unwrap_err();
            assert!(matches!(error, RequestError::Wire(_)), "{error}");
            assert_eq!(tonic::Status::from(error).code(), tonic::Code::Internal);
        }
        assert!(!has_filters(&[]) && decode(&[]).unwrap() == GetFlowsRequest::default());
    }
}
