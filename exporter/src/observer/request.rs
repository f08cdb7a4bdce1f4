//! Requests of the streams, checked: what they ask for, or what is wrong with them.

use prost_types::Timestamp;
use tonic::Status;

use super::filter::{FilterError, Filters};
use super::layout::{Layout, Masks};
use super::query::{Kind, Query};
use crate::hubble::mask::InvalidMask;
use crate::proto::observer::{GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest};

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
            // Hubble returns these as they are, and gRPC for Go knows no code of theirs.
            RequestError::Filter(_) | RequestError::Mask(_) | RequestError::Time { .. } => {
                Self::unknown(error.to_string())
            }
        }
    }
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
    let layout = masks.layout(request.field_mask.as_ref().or(old))?;
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
