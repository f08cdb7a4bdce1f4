//! Converts what arrives by OTLP for the screen: flows one by one, the last value of each series.

use std::collections::BTreeMap;

use eyepiece_semconv::{attribute, event};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;

use crate::export::stdout::row;
use crate::export::stdout::row::Row;

/// Attributes as texts.
pub(super) type Attributes = BTreeMap<String, String>;

/// The flows of a request, without records of other events.
pub(super) fn flows(request: ExportLogsServiceRequest) -> Vec<Row> {
    let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
    let records = scopes.flat_map(|scope| scope.log_records);
    let flows = records.filter(|record| record.event_name == event::HUBBLE_FLOW);
    flows.map(|record| flow(record.time_unix_nano, &attributes(record.attributes))).collect()
}

fn flow(time: u64, attributes: &Attributes) -> Row {
    let get = |name: &str| attributes.get(name).map(String::as_str).unwrap_or_default();
    let verdict = get(attribute::HUBBLE_VERDICT).to_owned();
    let flags = get(attribute::HUBBLE_TCP_FLAGS);
    let reason = get(attribute::HUBBLE_DROP_REASON);
    // The function without its offset.
    let function = get(attribute::HUBBLE_DROP_LOCATION).split('+').next().unwrap_or_default();
    let end = |name, address, port| {
        let mut text = String::new();
        row::end(get(name), get(address), get(port).parse().ok(), &mut text);
        text
    };
    Row {
        time,
        source: end(attribute::HUBBLE_SOURCE_NAME, attribute::SOURCE_ADDRESS, attribute::SOURCE_PORT),
        destination: end(
            attribute::HUBBLE_DESTINATION_NAME,
            attribute::DESTINATION_ADDRESS,
            attribute::DESTINATION_PORT,
        ),
        what: if flags.is_empty() { get(attribute::HUBBLE_SUMMARY).to_owned() } else { format!("TCP {flags}") },
        point: if reason.is_empty() { get(attribute::HUBBLE_OBSERVATION_POINT) } else { reason }.to_owned(),
        observed_before: get(attribute::HUBBLE_FLOW_OBSERVED_BEFORE) == "true",
        dropped_in: function.to_owned(),
        verdict,
    }
}

/// The last value of every series.
#[derive(Debug, Default)]
pub(super) struct Series(BTreeMap<(String, Attributes), u64>);

impl Series {
    /// Stores the sums of a request: they are cumulative, so the last value counts.
    pub(super) fn take(&mut self, request: ExportMetricsServiceRequest) {
        let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let Some(Data::Sum(sum)) = metric.data else { continue };
            for point in sum.data_points {
                if let Some(number_data_point::Value::AsInt(value)) = point.value {
                    let key = (metric.name.clone(), attributes(point.attributes));
                    self.0.insert(key, u64::try_from(value).unwrap_or(0));
                }
            }
        }
    }

    /// Sums of a metric by some of its attributes, summed over the others.
    pub(super) fn by<const N: usize>(&self, metric: &str, names: [&str; N]) -> BTreeMap<[String; N], u64> {
        let mut sums = BTreeMap::new();
        for ((_, attributes), value) in self.0.iter().filter(|((name, _), _)| name == metric) {
            let key = names.map(|name| attributes.get(name).cloned().unwrap_or_default());
            *sums.entry(key).or_default() += value;
        }
        sums
    }

    /// The number of series.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    pairs.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

/// A value as a text, without control characters: names must not control the terminal.
fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text.replace(char::is_control, "?"),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.into_iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum};

    use super::*;

    fn pair(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }

    fn string(key: &str, value: &str) -> KeyValue {
        pair(key, Value::StringValue(value.to_owned()))
    }

    #[test]
    fn drop_has_reason_and_function() {
        let pairs = vec![
            string(attribute::HUBBLE_VERDICT, "DROPPED"),
            string(attribute::HUBBLE_SOURCE_NAME, "a\u{1b}[31m"),
            string(attribute::SOURCE_ADDRESS, "fd00::1"),
            pair(attribute::SOURCE_PORT, Value::IntValue(7)),
            string(attribute::DESTINATION_ADDRESS, "10.0.0.1"),
            string(attribute::HUBBLE_SUMMARY, "UDP"),
            string(attribute::HUBBLE_DROP_REASON, "NO_SOCKET"),
            string(attribute::HUBBLE_DROP_LOCATION, "udp_rcv+0x1"),
            pair(attribute::HUBBLE_FLOW_OBSERVED_BEFORE, Value::BoolValue(true)),
        ];
        let expected = Row {
            time: 5,
            source: "a?[31m [fd00::1]:7".to_owned(),
            destination: "10.0.0.1".to_owned(),
            what: "UDP".to_owned(),
            verdict: "DROPPED".to_owned(),
            point: "NO_SOCKET".to_owned(),
            observed_before: true,
            dropped_in: "udp_rcv".to_owned(),
        };
        assert_eq!(flow(5, &attributes(pairs)), expected);
    }

    #[test]
    fn last_value_of_series_counts() {
        let mut series = Series::default();
        for (flag, value) in [("SYN", 1), ("FIN", 5), ("SYN", 3)] {
            let point = NumberDataPoint {
                attributes: vec![string("flag", flag)],
                value: Some(number_data_point::Value::AsInt(value)),
                ..NumberDataPoint::default()
            };
            let data = Some(Data::Sum(Sum { data_points: vec![point], ..Sum::default() }));
            let metric = Metric { name: "m".to_owned(), data, ..Metric::default() };
            let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
            let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
            series.take(ExportMetricsServiceRequest { resource_metrics: vec![resource] });
        }
        let by_flag = series.by("m", ["flag"]);
        assert_eq!(by_flag, BTreeMap::from([(["FIN".to_owned()], 5), (["SYN".to_owned()], 3)]));
        assert_eq!(series.by("m", []), BTreeMap::from([([], 8)]));
        assert_eq!((series.by("other", [""]).len(), series.len()), (0, 2));
    }
}
