//! Limits of attributes: what a receiver decodes from limited records, and that other records are not changed.

use std::sync::Arc;

use bytes::Bytes;
use eyepiece::export::otlp::encode::{AttributeLimits, FlowEncoder, Pushed, RequestBuilder};
use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification};
use eyepiece_flow::l7::{Dns, L7, L7Kind, L7Record};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::record::Observed;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use proptest::prelude::*;
use prost::Message as _;

use crate::support::{flow, records, resource};

fn body(all: &[Observed], limits: AttributeLimits) -> Bytes {
    let mut encoder = FlowEncoder::new(Arc::new(NoLookup));
    let mut builder = RequestBuilder::new(&resource(), 100, usize::MAX).with_limits(limits);
    for observed in all {
        assert_eq!(builder.push_observed(&mut encoder, observed, 9), Pushed::Added);
    }
    builder.finish().unwrap().body
}

fn decoded(all: &[Observed], limits: AttributeLimits) -> Vec<LogRecord> {
    let request = ExportLogsServiceRequest::decode(body(all, limits)).unwrap();
    assert_eq!(request.resource_logs[0].resource, Some(resource().proto()), "resources are exempt");
    records(&request).cloned().collect()
}

/// Cuts the texts of a value.
fn cut(value: &mut AnyValue, length: usize) {
    match value.value.as_mut() {
        Some(Value::StringValue(text)) => *text = text.chars().take(length).collect(),
        Some(Value::ArrayValue(list)) => list.values.iter_mut().for_each(|value| cut(value, length)),
        Some(Value::KvlistValue(map)) => {
            map.values.iter_mut().filter_map(|entry| entry.value.as_mut()).for_each(|value| cut(value, length));
        }
        _ => {}
    }
}

/// Limits a decoded record, by the specification.
fn limited(mut record: LogRecord, limits: AttributeLimits) -> LogRecord {
    let kept = record.attributes.len().min(limits.count.map_or(usize::MAX, |count| count as usize));
    record.dropped_attributes_count = (record.attributes.len() - kept) as u32;
    record.attributes.truncate(kept);
    if let Some(length) = limits.value_length {
        let values = record.attributes.iter_mut().filter_map(|KeyValue { value, .. }| value.as_mut());
        values.for_each(|value| cut(value, length as usize));
    }
    record
}

/// A flow of a DNS answer and an agent event, with texts and lists of texts.
fn observed(texts: &[String]) -> Vec<Observed> {
    let mut flow = flow(7);
    let query = texts.first().cloned().unwrap_or_default();
    let dns = Dns { query, cnames: texts.to_vec(), ips: texts.to_vec(), ..Dns::default() };
    flow.l7 = Some(Box::new(L7 { kind: L7Kind::Response, record: L7Record::Dns(dns), ..L7::default() }));
    let notification = Notification::Policy { labels: texts.to_vec(), revision: u64::MAX, rule_count: -1 };
    let kind = AgentEventKind::PolicyUpdated;
    let event = AgentEvent { time: 5, uuid: [0; 16], kind, notification };
    vec![Observed::Flow(flow), Observed::Agent(Box::new(event))]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the texts and the limits: the record is that of the specification.
    #[test]
    fn limited_records_follow_specification(
        texts in prop::collection::vec(".{0,200}", 0..5),
        count in prop::option::of(0_u32..40),
        value_length in prop::option::of(0_u32..250),
    ) {
        let (all, limits) = (observed(&texts), AttributeLimits { count, value_length });
        let whole = decoded(&all, AttributeLimits::default());
        let found = decoded(&all, limits);
        prop_assert_eq!(whole.len(), found.len());
        for (whole, found) in whole.into_iter().zip(found) {
            let all_attributes = whole.attributes.len();
            prop_assert_eq!(found.attributes.len() + found.dropped_attributes_count as usize, all_attributes);
            prop_assert!(count.is_none_or(|count| found.attributes.len() <= count as usize));
            prop_assert_eq!(limited(whole, limits), found);
        }
    }
}

#[test]
fn distant_limits_change_no_byte() {
    let all = observed(&["é".repeat(300), String::new(), "web.example".to_owned()]);
    let unlimited = body(&all, AttributeLimits::default());
    for limits in [
        AttributeLimits { count: Some(128), value_length: None },
        AttributeLimits { count: None, value_length: Some(2_000) },
        AttributeLimits { count: Some(u32::MAX), value_length: Some(u32::MAX) },
    ] {
        assert!(body(&all, limits) == unlimited, "{limits:?}");
    }
}
