//! Collects encoded records into requests with a limit of records and of bytes.

use bytes::Bytes;
use eyepiece_flow::flow::Flow;
use eyepiece_flow::record::Observed;
use eyepiece_semconv::{OTEL_SCHEMA_URL, SCHEMA_URL};

use super::entity;
use super::flow::FlowEncoder;
use super::limits::{AttributeLimits, Limiter};
use super::wire::{bytes, bytes_len, tag_bytes, varint, varint_len};
use crate::export::otlp::resource::Resource;
use crate::metadata::entity_events::event::EntityEvent;

/// An encoded `ExportLogsServiceRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsRequest {
    /// The bytes.
    pub body: Bytes,
    /// Number of records; never 0.
    pub records: usize,
}

/// The outcome of adding a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is in the request.
    Added,
    /// It does not fit: finish this request, then push it again.
    Full,
    /// It does not fit into an empty request: it cannot be sent.
    TooLarge,
}

/// Bytes of the longest length prefix: requests are far below 2^35 bytes.
const LENGTH: usize = 5;

/// Builds one request after another. The records are written first. The message's head is written into reserved room
/// before them once their length is known.
pub struct RequestBuilder {
    /// The fields beside the records, with tags and lengths: `resource` and `schema_url` of `ResourceLogs`, `scope` and
    /// `schema_url` of `ScopeLogs`. The order of fields is free.
    resource: Vec<u8>,
    scope: Vec<u8>,
    max_records: usize,
    /// Bytes of all records of a request, including tags and lengths.
    max_payload: usize,
    /// Reserved room, then `ScopeLogs.log_records`.
    out: Vec<u8>,
    records: usize,
    /// Buffer of the current record.
    record: Vec<u8>,
    limiter: Option<Limiter>,
}

impl RequestBuilder {
    /// Builds requests of at most `max_records` (at least 1) and `max_bytes`.
    pub fn new(resource: &Resource, max_records: usize, max_bytes: usize) -> Self {
        let mut resource_field = Vec::new();
        bytes(&mut resource_field, 1, &resource.encoded());
        bytes(&mut resource_field, 3, OTEL_SCHEMA_URL.as_bytes());
        let mut instrumentation_scope = Vec::new();
        bytes(&mut instrumentation_scope, 1, env!("CARGO_PKG_NAME").as_bytes());
        bytes(&mut instrumentation_scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
        let mut scope = Vec::new();
        bytes(&mut scope, 1, &instrumentation_scope);
        bytes(&mut scope, 3, SCHEMA_URL.as_bytes());
        let overhead = Self::room(&resource_field, &scope);
        Self {
            resource: resource_field,
            scope,
            max_records: max_records.max(1),
            max_payload: max_bytes.saturating_sub(overhead),
            out: Vec::new(),
            records: 0,
            record: Vec::with_capacity(1024),
            limiter: None,
        }
    }

    /// Limits the attributes of records.
    pub fn with_limits(self, limits: AttributeLimits) -> Self {
        Self { limiter: Limiter::new(limits), ..self }
    }

    /// The most bytes before the records.
    fn room(resource: &[u8], scope: &[u8]) -> usize {
        1 + LENGTH + resource.len() + 1 + LENGTH + scope.len()
    }

    /// Number of records in the current request.
    pub const fn records(&self) -> usize {
        self.records
    }

    /// Appends a flow's record. `observed` is when we received it, ns since the Unix epoch.
    pub fn push(&mut self, encoder: &mut FlowEncoder, flow: &Flow, observed: u64) -> Pushed {
        self.push_record(|record| encoder.record(flow, observed, record))
    }

    /// Appends the record of a flow, an event or a loss. `observed` is when we received it, ns since the Unix epoch.
    pub fn push_observed(&mut self, encoder: &mut FlowEncoder, each: &Observed, observed: u64) -> Pushed {
        match each {
            Observed::Flow(flow) => self.push(encoder, flow, observed),
            other => self.push_record(|record| encoder.event(other, observed, record)),
        }
    }

    /// Appends the record of an entity event. `observed` is when we received it, ns since the Unix epoch.
    pub fn push_entity(&mut self, event: &EntityEvent, observed: u64) -> Pushed {
        self.push_record(|record| entity::write(event, observed, record))
    }

    #[inline]
    fn push_record(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Pushed {
        if self.records == self.max_records {
            return Pushed::Full;
        }
        self.record.clear();
        encode(&mut self.record);
        if let Some(limiter) = &mut self.limiter {
            limiter.apply(&mut self.record);
        }
        let length = bytes_len(self.record.len());
        if length > self.max_payload {
            // Frees the buffer of a record of megabytes.
            self.record.shrink_to(1024);
            return Pushed::TooLarge;
        }
        let room = Self::room(&self.resource, &self.scope);
        if self.records == 0 {
            self.out.resize(room, 0);
        }
        if self.out.len() - room + length > self.max_payload {
            return Pushed::Full;
        }
        bytes(&mut self.out, 2, &self.record);
        self.records += 1;
        Pushed::Added
    }

    /// Returns the request of all records since the last call. `None` without a record.
    pub fn finish(&mut self) -> Option<LogsRequest> {
        if self.records == 0 {
            return None;
        }
        let room = Self::room(&self.resource, &self.scope);
        let payload = self.out.len() - room;
        let scope_logs = self.scope.len() + payload;
        let resource_logs = self.resource.len() + bytes_len(scope_logs);
        let mut header = Vec::with_capacity(room);
        header.push(tag_bytes(1));
        varint(&mut header, resource_logs as u64);
        header.extend_from_slice(&self.resource);
        header.push(tag_bytes(2));
        varint(&mut header, scope_logs as u64);
        header.extend_from_slice(&self.scope);
        debug_assert_eq!(header.len(), 1 + varint_len(resource_logs as u64) + resource_logs - payload);
        let start = room - header.len();
        self.out[start..room].copy_from_slice(&header);
        // The next request has about the same length.
        let next = Vec::with_capacity(self.out.len() + self.out.len() / 8);
        let body = Bytes::from(std::mem::replace(&mut self.out, next)).slice(start..);
        let records = std::mem::take(&mut self.records);
        Some(LogsRequest { body, records })
    }
}
