//! The contents of a page, and their order.

use eyepiece_semconv::{Instrument, Metric, SCHEMA_URL, attribute};

use super::exposition::{Exposition, Family};
use super::format::Format;
use super::help::hubble_help;
use super::labels::Labels;
use super::names::{FamilyKind, FamilyName};
use super::request_metrics::RequestMetrics;
use crate::pipeline::metrics::{Resolved, Series, SeriesValue};
use crate::support::telemetry::{Kind, Sample};

/// Labels of our own numbers: the scope that made them. Hubble's metrics have exactly Hubble's labels.
const SCOPE: [(&str, &str); 3] = [
    ("otel_scope_name", env!("CARGO_PKG_NAME")),
    ("otel_scope_schema_url", SCHEMA_URL),
    ("otel_scope_version", env!("CARGO_PKG_VERSION")),
];

/// What a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The metrics of flows, in Hubble's naming, and our own histograms. An attribute without a value is a label without a
    /// value.
    pub flows: &'a [Resolved],
    /// The metrics of requests to the endpoint and to Hubble's API.
    pub requests: &'a RequestMetrics,
    /// Our own numbers, in the order of their names. An attribute without a value is no label.
    pub samples: &'a [Sample],
    /// Names and values of the resource's attributes, for `target_info`.
    pub resource: &'a [(String, String)],
}

/// The series of a family.
enum Content<'a> {
    Series(&'a [Series]),
    Samples(&'a [Sample]),
    Resource(&'a [(String, String)]),
}

impl Page<'_> {
    /// Writes the page in a format.
    pub fn render(&self, format: Format) -> Vec<u8> {
        let requests = self.requests.resolve();
        let of_flows = self.flows.iter().chain(&requests).filter_map(of_series);
        let of_samples = self.samples.chunk_by(|a, b| a.key.name == b.key.name).filter_map(of_samples);
        let families = of_flows.chain(of_samples).chain(of_resource(self.resource));
        let mut families: Vec<_> = families.map(|(family, content)| (family.full_name(), family, content)).collect();
        families.sort_by(|a, b| a.0.cmp(&b.0));
        let mut page = Exposition::new(format);
        for (_, family, content) in &families {
            page.begin(family);
            write(&mut page, family, content);
        }
        page.finish()
    }
}

/// The family of a metric with at least one series.
fn of_series(metric: &Resolved) -> Option<(Family<'_>, Content<'_>)> {
    let kind = match metric.series.first()?.value {
        SeriesValue::Sum(..) => FamilyKind::Counter,
        SeriesValue::Histogram(_) => FamilyKind::Histogram,
    };
    let mut family =
        Family { name: FamilyName::translate(metric.name, metric.unit, kind), kind, help: metric.description };
    if let Some(help) = hubble_help(&family.full_name()) {
        family.help = help;
    }
    Some((family, Content::Series(&metric.series)))
}

/// The family of samples with one name.
fn of_samples(samples: &[Sample]) -> Option<(Family<'_>, Content<'_>)> {
    let first = samples.first()?;
    let metric = Metric::find(first.key.name);
    let kind = match (metric.map(|metric| metric.instrument), first.kind) {
        (Some(Instrument::Counter), _) | (None, Kind::Counter) => FamilyKind::Counter,
        (Some(_), _) | (None, Kind::Gauge) => FamilyKind::Gauge,
    };
    let (unit, help) = metric.map_or(("", ""), |metric| (metric.unit, metric.description));
    let name = FamilyName::translate(first.key.name, unit, kind);
    Some((Family { name, kind, help }, Content::Samples(samples)))
}

/// The family of the resource, if it has attributes.
fn of_resource(resource: &[(String, String)]) -> Option<(Family<'_>, Content<'_>)> {
    let kind = FamilyKind::Info;
    let family = Family { name: FamilyName::translate("target", "", kind), kind, help: "Target metadata" };
    (!resource.is_empty()).then_some((family, Content::Resource(resource)))
}

/// Writes the samples of a family.
fn write(page: &mut Exposition, family: &Family<'_>, content: &Content<'_>) {
    let (mut labels, mut text) = (Labels::default(), String::new());
    match content {
        Content::Series(series) => {
            // Hubble's metrics have exactly Hubble's labels.
            let scope = match hubble_help(&family.full_name()) {
                Some(_) => &[][..],
                None => &SCOPE[..],
            };
            let scope = || scope.iter().copied();
            for series in *series {
                match series.overflow {
                    true => labels.set([(attribute::OTEL_METRIC_OVERFLOW, "true")].into_iter().chain(scope())),
                    false => {
                        let own = series.attributes.iter().map(|(name, value)| (*name, &**value));
                        labels.set(own.chain(scope()));
                    }
                }
                text.clear();
                labels.write(&mut text);
                match &series.value {
                    SeriesValue::Sum(sum, exemplar) => page.value(family, &text, *sum, exemplar.as_ref()),
                    SeriesValue::Histogram(histogram) => page.histogram(family, &text, histogram),
                }
            }
        }
        Content::Samples(samples) => {
            for sample in *samples {
                let attributes = sample.key.attributes.iter().filter(|(_, value)| !value.is_empty());
                labels.set(attributes.map(|(name, value)| (*name, value.as_str())).chain(SCOPE));
                text.clear();
                labels.write(&mut text);
                page.value(family, &text, sample.value, None);
            }
        }
        Content::Resource(resource) => {
            labels.set(resource.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            labels.write(&mut text);
            page.value(family, &text, 1, None);
        }
    }
}

#[cfg(test)]
mod tests;
