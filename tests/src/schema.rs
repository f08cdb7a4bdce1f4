//! Requests of OTLP against the registry: schema URLs, names, types and presence of every attribute, kinds of metrics.

use std::collections::BTreeSet;

use eyepiece_semconv::{
    Attribute, EntityType, Event, Instrument, Metric, OTEL_SCHEMA_URL, SCHEMA_URL, Type, Usage, attribute,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric as Sent, NumberDataPoint};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// Returns the deviations of log records and their resource from the registry.
pub fn of_logs(request: &ExportLogsServiceRequest) -> BTreeSet<String> {
    let mut violations = BTreeSet::new();
    for of_resource in &request.resource_logs {
        check_resource(of_resource.resource.as_ref(), &of_resource.schema_url, &mut violations);
        of_resource.scope_logs.iter().for_each(|scope| check_scope(&scope.schema_url, &mut violations));
        for record in of_resource.scope_logs.iter().flat_map(|scope| &scope.log_records) {
            let name = &record.event_name;
            match Event::find(name) {
                Some(event) => {
                    check(name, event.attributes, &record.attributes, &mut violations);
                    check_entity(&record.attributes, &mut violations);
                }
                None => drop(violations.insert(format!("event {name:?} is not registered"))),
            }
        }
    }
    violations
}

/// The same of metrics.
pub fn of_metrics(request: &ExportMetricsServiceRequest) -> BTreeSet<String> {
    let mut violations = BTreeSet::new();
    for of_resource in &request.resource_metrics {
        check_resource(of_resource.resource.as_ref(), &of_resource.schema_url, &mut violations);
        of_resource.scope_metrics.iter().for_each(|scope| check_scope(&scope.schema_url, &mut violations));
        for sent in of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let Some(metric) = Metric::find(&sent.name) else {
                violations.insert(format!("metric {} is not registered", sent.name));
                continue;
            };
            if (sent.unit.as_str(), sent.description.as_str()) != (metric.unit, metric.description) {
                violations.insert(format!(
                    "metric {} has unit {} and description {:?}",
                    sent.name, sent.unit, sent.description
                ));
            }
            match points(sent, metric.instrument) {
                Some(points) => points
                    .into_iter()
                    .for_each(|attributes| check(metric.name, metric.attributes, attributes, &mut violations)),
                None => drop(violations.insert(format!("metric {} is no {:?}", sent.name, metric.instrument))),
            }
        }
    }
    violations
}

/// The attributes of the points of a metric whose data is of the instrument.
fn points(sent: &Sent, instrument: Instrument) -> Option<Vec<&[KeyValue]>> {
    let of_numbers = |points| <[NumberDataPoint]>::iter(points).map(|point| &*point.attributes).collect();
    match (sent.data.as_ref()?, instrument) {
        (Data::Gauge(gauge), Instrument::Gauge) => Some(of_numbers(&gauge.data_points)),
        (Data::Histogram(histogram), Instrument::Histogram) => {
            let has_temporality = histogram.aggregation_temporality() != AggregationTemporality::Unspecified;
            has_temporality.then(|| histogram.data_points.iter().map(|point| &*point.attributes).collect())
        }
        (Data::Sum(sum), Instrument::Counter | Instrument::UpDownCounter) => {
            // What may fall is always cumulative.
            let fits = match sum.aggregation_temporality() {
                AggregationTemporality::Cumulative => sum.is_monotonic == (instrument == Instrument::Counter),
                AggregationTemporality::Delta => sum.is_monotonic && instrument == Instrument::Counter,
                AggregationTemporality::Unspecified => false,
            };
            fits.then(|| of_numbers(&sum.data_points))
        }
        _ => None,
    }
}

fn check(of: &str, usages: &[Usage], attributes: &[KeyValue], violations: &mut BTreeSet<String>) {
    for attribute in attributes {
        if !usages.iter().any(|usage| usage.name == attribute.key) {
            violations.insert(format!("{of} has no attribute {}", attribute.key));
        }
        check_attribute(of, attribute, violations);
    }
    let names: BTreeSet<&str> = attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    if names.len() != attributes.len() {
        violations.insert(format!("{of}: an attribute is there twice: {names:?}"));
    }
    let missing = usages.iter().filter(|usage| usage.required && !names.contains(usage.name));
    violations.extend(missing.map(|usage| format!("{of} lacks {}", usage.name)));
}

/// Checks the maps of an entity event against the type of its entity: all of its id are texts, as the specification has it.
fn check_entity(attributes: &[KeyValue], violations: &mut BTreeSet<String>) {
    let Some(Value::StringValue(of)) = find(attributes, attribute::ENTITY_TYPE) else { return };
    let Some(kind) = EntityType::find(of) else {
        violations.insert(format!("entity {of} is not registered"));
        return;
    };
    let entries = |name| match find(attributes, name) {
        Some(Value::KvlistValue(list)) => list.values.as_slice(),
        _ => &[],
    };
    let (id, description) = (entries(attribute::ENTITY_ID), entries(attribute::ENTITY_DESCRIPTION));
    if kind.identifying.first().is_none_or(|first| find(id, first).is_none()) {
        violations.insert(format!("entity {of} lacks {:?}", kind.identifying));
    }
    for (entries, registered) in [(id, kind.identifying), (description, kind.descriptive)] {
        let unknown = entries.iter().filter(|entry| !registered.contains(&entry.key.as_str()));
        violations.extend(unknown.map(|entry| format!("entity {of} has no attribute {}", entry.key)));
    }
    for entry in id {
        if !matches!(find(id, &entry.key), Some(Value::StringValue(text)) if !text.is_empty()) {
            violations.insert(format!("entity {of}: {} is no text", entry.key));
        }
    }
    description.iter().for_each(|entry| check_attribute(of, entry, violations));
}

/// The value of an attribute.
fn find<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?.value.as_ref()
}

/// Checks the attributes of a resource, which are OpenTelemetry's, as its schema is.
fn check_resource(resource: Option<&Resource>, schema_url: &str, violations: &mut BTreeSet<String>) {
    if schema_url != OTEL_SCHEMA_URL {
        violations.insert(format!("resource has the schema {schema_url:?}"));
    }
    for attribute in resource.map(|resource| resource.attributes.as_slice()).unwrap_or_default() {
        check_attribute("resource", attribute, violations);
    }
}

fn check_scope(schema_url: &str, violations: &mut BTreeSet<String>) {
    if schema_url != SCHEMA_URL {
        violations.insert(format!("scope has the schema {schema_url:?}"));
    }
}

fn check_attribute(of: &str, attribute: &KeyValue, violations: &mut BTreeSet<String>) {
    let key = &attribute.key;
    let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
    let Some(known) = Attribute::find(key) else {
        violations.insert(format!("{of}: attribute {key} is not registered"));
        return;
    };
    let is_text = |value: &Option<Value>| matches!(value, Some(Value::StringValue(_)));
    let is_right = match (known.r#type, value) {
        (Type::String, Some(Value::StringValue(text))) => !text.is_empty(),
        (Type::Strings, Some(Value::ArrayValue(list))) => {
            !list.values.is_empty() && list.values.iter().all(|value| is_text(&value.value))
        }
        (Type::Int, Some(Value::IntValue(_))) | (Type::Boolean, Some(Value::BoolValue(_))) => true,
        (Type::Map, Some(Value::KvlistValue(map))) => !map.values.is_empty(),
        _ => false,
    };
    if !is_right {
        violations.insert(format!("{of}: {key} is {value:?}, not {:?}", known.r#type));
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_semconv::{event, metric};
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValueList};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, ResourceMetrics, ScopeMetrics, Sum};

    use super::*;

    fn pair(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }

    fn text(text: &str) -> Value {
        Value::StringValue(text.to_owned())
    }

    fn log(event_name: &str, attributes: Vec<KeyValue>) -> BTreeSet<String> {
        let record = LogRecord { event_name: event_name.to_owned(), attributes, ..LogRecord::default() };
        of_logs(&request(record, OTEL_SCHEMA_URL, SCHEMA_URL))
    }

    fn request(record: LogRecord, of_resource: &str, of_scope: &str) -> ExportLogsServiceRequest {
        let schema_url = of_scope.to_owned();
        let scope_logs = vec![ScopeLogs { log_records: vec![record], schema_url, ..ScopeLogs::default() }];
        let resource = Resource { attributes: vec![pair(attribute::SERVICE_NAME, text("x"))], ..Resource::default() };
        let schema_url = of_resource.to_owned();
        let resource_logs = vec![ResourceLogs { resource: Some(resource), scope_logs, schema_url }];
        ExportLogsServiceRequest { resource_logs }
    }

    #[test]
    fn other_schema_is_found() {
        for (of_resource, of_scope, expected) in [
            (SCHEMA_URL, SCHEMA_URL, format!("resource has the schema {SCHEMA_URL:?}")),
            (OTEL_SCHEMA_URL, "", "scope has the schema \"\"".to_owned()),
        ] {
            let violations = of_logs(&request(LogRecord::default(), of_resource, of_scope));
            assert!(violations.contains(&expected), "{violations:?}");
        }
    }

    fn lost(further: &[KeyValue]) -> BTreeSet<String> {
        let mut attributes = vec![
            pair(attribute::LOG_RECORD_UID, text("u")),
            pair(attribute::HUBBLE_LOST_SOURCE, text("s")),
            pair(attribute::HUBBLE_LOST_COUNT, Value::IntValue(1)),
        ];
        attributes.extend_from_slice(further);
        log(event::HUBBLE_LOST_EVENTS, attributes)
    }

    #[test]
    fn every_violation_is_found() {
        assert_eq!(lost(&[pair(attribute::HUBBLE_CPU, Value::IntValue(0))]), BTreeSet::new());
        for (further, expected) in [
            (pair("hubble.no", text("x")), "attribute hubble.no is not registered"),
            (pair(attribute::HUBBLE_VERDICT, text("x")), "has no attribute hubble.verdict"),
            (pair(attribute::HUBBLE_CPU, text("0")), "hubble.cpu is Some(StringValue"),
            (pair(attribute::LOG_RECORD_UID, text("u")), "there twice"),
        ] {
            let violations = lost(std::slice::from_ref(&further));
            assert!(violations.iter().any(|violation| violation.contains(expected)), "{expected}: {violations:?}");
        }
        let missing = log(event::HUBBLE_LOST_EVENTS, Vec::new());
        assert_eq!(missing.len(), 3, "{missing:?}");
        assert_eq!(log("hubble.no", Vec::new()).len(), 1);
    }

    #[test]
    fn entity_of_other_form_is_found() {
        let map = |values| Value::KvlistValue(KeyValueList { values });
        let pid = |value| pair(attribute::PROCESS_PID, value);
        let name = pair(attribute::PROCESS_EXECUTABLE_NAME, text("sshd"));
        for (kind, id, description, expected) in [
            ("process", vec![pid(text("7"))], name.clone(), None),
            ("no.such", vec![pid(text("7"))], name.clone(), Some("entity no.such is not registered")),
            ("process", vec![pid(Value::IntValue(7))], name.clone(), Some("entity process: process.pid is no text")),
            ("container", vec![pid(text("7"))], name.clone(), Some("entity container lacks [\"container.id\"]")),
            ("process", vec![pid(text("7"))], pid(Value::IntValue(7)), Some("process has no attribute process.pid")),
            ("process", vec![], name, Some("entity.id is Some(KvlistValue")),
        ] {
            let attributes = vec![
                pair(attribute::ENTITY_TYPE, text(kind)),
                pair(attribute::ENTITY_ID, map(id)),
                pair(attribute::ENTITY_DESCRIPTION, map(vec![description])),
                pair(attribute::ENTITY_REPORT_INTERVAL, Value::IntValue(0)),
            ];
            let violations = log(event::ENTITY_STATE, attributes);
            match expected {
                Some(expected) => assert!(violations.iter().any(|found| found.contains(expected)), "{violations:?}"),
                None => assert_eq!(violations, BTreeSet::new()),
            }
        }
    }

    #[test]
    fn metric_of_other_kind_is_found() {
        let right = &metric::EYEPIECE_QUEUE_DEPTH;
        let point = |value| NumberDataPoint {
            attributes: vec![pair(attribute::EYEPIECE_QUEUE_NAME, value)],
            ..NumberDataPoint::default()
        };
        let gauge = |value| Data::Gauge(Gauge { data_points: vec![point(value)] });
        let sum = Data::Sum(Sum { data_points: vec![point(text("q"))], ..Sum::default() });
        for (name, unit, data, expected) in [
            (right.name, right.unit, gauge(text("q")), 0),
            (right.name, "By", gauge(text("q")), 1),
            (right.name, right.unit, gauge(text("")), 1),
            (right.name, right.unit, sum, 1),
            ("hubble.no", right.unit, gauge(text("q")), 1),
        ] {
            let (name, unit, description) = (name.to_owned(), unit.to_owned(), right.description.to_owned());
            let metrics = vec![Sent { name, unit, description, data: Some(data), ..Sent::default() }];
            let schema_url = SCHEMA_URL.to_owned();
            let scope_metrics = vec![ScopeMetrics { metrics, schema_url, ..ScopeMetrics::default() }];
            let schema_url = OTEL_SCHEMA_URL.to_owned();
            let resource_metrics = vec![ResourceMetrics { resource: None, scope_metrics, schema_url }];
            let violations = of_metrics(&ExportMetricsServiceRequest { resource_metrics });
            assert_eq!(violations.len(), expected, "{violations:?}");
        }
    }
}
