//! Own histograms in the form that exporters and pages write.

use eyepiece_semconv::Metric;

use crate::pipeline::metrics::{DURATION_BUCKETS, HistogramValue, Resolved, Series, SeriesValue};
use crate::support::telemetry::{DurationSample, Telemetry};

/// Returns all histograms, ordered by name.
pub fn resolve(telemetry: &Telemetry) -> Vec<Resolved> {
    let samples = telemetry.durations();
    let of_metric = samples.chunk_by(|a, b| a.key.name == b.key.name).filter_map(|samples| {
        let name = samples.first()?.key.name;
        let (unit, description) = Metric::find(name).map_or(("", ""), |metric| (metric.unit, metric.description));
        Some(Resolved { name, unit, description, series: samples.iter().map(series).collect() })
    });
    of_metric.collect()
}

fn series(sample: &DurationSample) -> Series {
    let attributes = sample.key.attributes.iter().map(|(name, value)| (*name, value.clone().into())).collect();
    let durations = sample.durations;
    let exemplars = [const { None }; DURATION_BUCKETS];
    let histogram = HistogramValue { sum_ns: durations.sum_ns, buckets: durations.buckets, exemplars };
    let value = SeriesValue::Histogram(Box::new(histogram));
    Series { attributes, overflow: false, start: sample.start, value }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eyepiece_semconv::{attribute, metric};

    use super::resolve;
    use crate::export::prometheus::{Format, Page, RequestMetrics};
    use crate::support::telemetry::Telemetry;

    #[test]
    fn pages_show_own_histograms() {
        let telemetry = Telemetry::default();
        assert!(resolve(&telemetry).is_empty());
        let name = metric::OTEL_SDK_EXPORTER_OPERATION_DURATION.name;
        for (error, milliseconds) in [(None, 30), (None, 300), (Some("503"), 11_000)] {
            let error = error.map(|error| (attribute::ERROR_TYPE, error));
            let attributes: Vec<_> = [(attribute::OTEL_COMPONENT_NAME, "x/0")].into_iter().chain(error).collect();
            telemetry.observe(name, &attributes, Duration::from_millis(milliseconds));
        }
        let (flows, requests) = (resolve(&telemetry), RequestMetrics::default());
        let page = Page { flows: &flows, requests: &requests, samples: &[], resource: &[] };
        let page = String::from_utf8(page.render(Format::Text)).unwrap();
        let (name, version) = ("otel_sdk_exporter_operation_duration_seconds", env!("CARGO_PKG_VERSION"));
        let url = eyepiece_semconv::SCHEMA_URL;
        let scope = format!(
            "otel_component_name=\"x/0\",otel_scope_name=\"eyepiece\",otel_scope_schema_url=\"{url}\",\
             otel_scope_version=\"{version}\""
        );
        for line in [
            format!("# TYPE {name} histogram"),
            format!("{name}_bucket{{{scope},le=\"0.05\"}} 1"),
            format!("{name}_bucket{{{scope},le=\"+Inf\"}} 2"),
            format!("{name}_sum{{{scope}}} 0.33"),
            format!("{name}_count{{error_type=\"503\",{scope}}} 1"),
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
    }
}
