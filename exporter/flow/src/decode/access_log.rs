//! Access-log records (message type 129): a gob value of Cilium's `accesslog.LogRecord`. It brings its descriptor, so the
//! layouts of all releases are decoded.

mod fields;
mod record;
mod trace_context;
mod url;

use std::net::IpAddr;

use super::error::RecordError;
use super::pairing::Pairing;
use crate::event::RawEvent;
use crate::flow::{Direction, End, EventType, Flow, Ip, L4, TcpFlags, Verdict};
use crate::gob;
use crate::l7::{L7, L7Kind, L7Record};
use crate::protocol;
use crate::rfc3339::rfc3339;
use fields::Fields;

/// `IPVersion`: IPv4.
const IPV4: u64 = 0;
/// `IPVersion`: IPv6.
const IPV6: u64 = 1;
/// The header that correlates a response with its request; header names are in Go's canonical form.
const REQUEST_ID: &str = "X-Request-Id";
/// The header with the trace context.
const TRACEPARENT: &str = "Traceparent";

/// Decodes an access-log record, and finds the request of a response.
///
/// # Errors
/// The bytes are not gob, a field has another type, or the time is invalid.
pub(super) fn decode(event: &RawEvent<'_>, pairing: &mut Pairing) -> Result<Flow, RecordError> {
    let (value, _) = gob::value(event.data.get(1..).unwrap_or_default())?;
    let record = Fields::of(&value, "LogRecord")?;
    let mut flow = Flow::empty(EventType { kind: event.data[0], subtype: 0 });
    flow.time = event.time;
    flow.cpu = event.cpu;
    flow.verdict = match record.text("Verdict")? {
        "Forwarded" => Verdict::Forwarded,
        "Denied" => Verdict::Dropped,
        "Error" => Verdict::Error,
        "Redirected" => Verdict::Redirected,
        _ => Verdict::Unknown,
    };
    flow.direction = match record.text("ObservationPoint")? {
        "Ingress" => Direction::Ingress,
        "Egress" => Direction::Egress,
        _ => Direction::Unknown,
    };
    let ends = (record.part("SourceEndpoint")?, record.part("DestinationEndpoint")?);
    let mut l7 = L7 { kind: kind(record.text("Type")?), ..L7::default() };
    l7.time = Some(rfc3339(record.text("Timestamp")?).ok_or(RecordError::Time)?);
    addresses(&record, &ends, &mut flow)?;
    transport(&record, &ends, &mut flow)?;
    (flow.source, l7.source_labels) = end(ends.0.as_ref())?;
    (flow.destination, l7.destination_labels) = end(ends.1.as_ref())?;
    l7.record = record::decode(&record, l7.kind)?;
    flow.is_reply = Some(l7.kind == L7Kind::Response);
    pair(&mut l7, pairing);
    flow.l7 = Some(Box::new(l7));
    Ok(flow)
}

fn kind(text: &str) -> L7Kind {
    match text {
        "Request" => L7Kind::Request,
        "Response" => L7Kind::Response,
        "Sample" => L7Kind::Sample,
        _ => L7Kind::Unknown,
    }
}

/// The fields of a record's source and destination endpoints.
type EndFields<'a> = (Option<Fields<'a>>, Option<Fields<'a>>);

/// Sets the addresses of the record's IP version. The proxy leaves unknown addresses empty.
fn addresses(record: &Fields<'_>, ends: &EndFields<'_>, flow: &mut Flow) -> Result<(), RecordError> {
    let (field, version) = match record.uint("IPVersion")? {
        IPV4 => ("IPv4", 4),
        IPV6 => ("IPv6", 6),
        _ => return Ok(()),
    };
    let address = |end: &Option<Fields<'_>>| -> Result<Option<IpAddr>, RecordError> {
        let text = end.as_ref().map_or(Ok(""), |end| end.text(field))?;
        Ok(text.parse().ok())
    };
    let (source, destination) = (address(&ends.0)?, address(&ends.1)?);
    flow.no_source_address = source.is_none();
    flow.no_destination_address = destination.is_none();
    let unknown = IpAddr::from([0; 4]);
    flow.ip = Some(Ip {
        source: source.unwrap_or(unknown),
        source_translated: None,
        destination: destination.unwrap_or(unknown),
        version,
    });
    Ok(())
}

fn transport(record: &Fields<'_>, ends: &EndFields<'_>, flow: &mut Flow) -> Result<(), RecordError> {
    // Ports have 16 bits and protocols eight; Cilium truncates wider values too.
    let port = |end: &Option<Fields<'_>>| end.as_ref().map_or(Ok(0), |end| end.uint("Port")).map(|port| port as u16);
    let (source_port, destination_port) = (port(&ends.0)?, port(&ends.1)?);
    flow.l4 = match record.uint("TransportProtocol")? as u8 {
        protocol::TCP => L4::Tcp { source_port, destination_port, flags: TcpFlags(0) },
        protocol::UDP => L4::Udp { source_port, destination_port },
        protocol::SCTP => L4::Sctp { source_port, destination_port, chunk_type: None },
        _ => L4::None,
    };
    Ok(())
}

/// Returns the source or destination, and the sorted labels of its identity.
fn end(fields: Option<&Fields<'_>>) -> Result<(End, Vec<String>), RecordError> {
    let Some(fields) = fields else { return Ok(Default::default()) };
    // Endpoint ids have 16 bits and identities 32; the fields are wider.
    let endpoint = u16::try_from(fields.uint("ID")?).unwrap_or(0);
    let identity = fields.uint("Identity")? as u32;
    let mut labels = fields.labels("Labels")?;
    labels.sort_unstable();
    Ok((End { endpoint, identity, ..End::default() }, labels))
}

/// Sets latency and trace context, by the request's id.
fn pair(l7: &mut L7, pairing: &mut Pairing) {
    let L7Record::Http(http) = &l7.record else { return };
    let Some(time) = l7.time else { return };
    let header = |name| http.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value);
    let id = header(REQUEST_ID);
    let trace = match l7.kind {
        L7Kind::Request => {
            let trace = trace_context::parse(header(TRACEPARENT));
            pairing.request(id, time, trace);
            trace
        }
        L7Kind::Response => {
            let paired = pairing.response(id, time);
            l7.latency_ns = paired.latency_ns;
            paired.trace
        }
        L7Kind::Sample | L7Kind::Unknown => None,
    };
    (l7.trace_id, l7.span_id) = trace.unwrap_or_default();
}
