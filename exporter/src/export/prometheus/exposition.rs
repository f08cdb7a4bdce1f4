//! Writes families and their samples in a format.

use super::format::Format;
use super::labels::{push_escaped, push_value};
use super::names::{FamilyKind, FamilyName};
use super::numbers::{push_float, push_integer, push_seconds, push_time};
use crate::pipeline::metrics::{DURATION_BOUNDS, Exemplar, HistogramValue};

/// The label of an exemplar's trace, as Hubble has it.
const TRACE: &str = "traceID";
/// The most characters of names and values of an exemplar's labels, by OpenMetrics.
const MAX_EXEMPLAR: usize = 128;

/// A metric with its name in Prometheus.
#[derive(Clone, Debug)]
pub(super) struct Family<'a> {
    pub(super) name: FamilyName,
    pub(super) kind: FamilyKind,
    /// Empty without a text.
    pub(super) help: &'a str,
}

impl Family<'_> {
    /// The name of its samples; of a histogram, without the samples' own suffixes.
    pub(super) fn full_name(&self) -> String {
        format!("{}{}", self.name.base, self.kind.suffix())
    }
}

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Exposition {
    out: String,
    format: Format,
}

impl Exposition {
    pub(super) const fn new(format: Format) -> Self {
        Self { out: String::new(), format }
    }

    /// Returns the whole page.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out.into_bytes()
    }

    /// Writes the comments of a family, whose samples follow. Those of OpenMetrics have no suffix of the kind.
    pub(super) fn begin(&mut self, family: &Family<'_>) {
        let Family { name, kind, help } = family;
        let (suffix, quote) = match self.format {
            Format::Text => (kind.suffix(), "\""),
            Format::OpenMetrics => ("", "\\\""),
        };
        let kind = match (kind, self.format) {
            (FamilyKind::Counter, _) => "counter",
            (FamilyKind::Histogram, _) => "histogram",
            (FamilyKind::Info, Format::OpenMetrics) => "info",
            (FamilyKind::Gauge | FamilyKind::Info, _) => "gauge",
        };
        let name_and_suffix = [name.base.as_str(), suffix];
        if !help.is_empty() {
            self.push_all(["# HELP "].into_iter().chain(name_and_suffix).chain([" "]));
            push_escaped(&mut self.out, help, quote);
            self.out.push('\n');
        }
        self.push_all(["# TYPE "].into_iter().chain(name_and_suffix).chain([" ", kind, "\n"]));
        if self.format == Format::OpenMetrics && !name.unit.is_empty() {
            self.push_all(["# UNIT "].into_iter().chain(name_and_suffix).chain([" ", name.unit.as_str(), "\n"]));
        }
    }

    /// Writes the sample of a counter, a gauge or an info metric.
    pub(super) fn value(&mut self, family: &Family<'_>, labels: &str, value: u64, exemplar: Option<&Exemplar>) {
        self.push_name(family, family.kind.suffix(), labels, None);
        push_integer(&mut self.out, value);
        self.end(exemplar);
    }

    /// Writes the samples of a histogram.
    pub(super) fn histogram(&mut self, family: &Family<'_>, labels: &str, histogram: &HistogramValue) {
        let HistogramValue { sum_ns, buckets, exemplars } = histogram;
        let bounds = DURATION_BOUNDS.into_iter().chain([f64::INFINITY]);
        let mut count: u64 = 0;
        for ((bound, bucket), exemplar) in bounds.zip(buckets).zip(exemplars) {
            count = count.saturating_add(*bucket);
            self.push_name(family, "_bucket", labels, Some(bound));
            push_integer(&mut self.out, count);
            self.end(exemplar.as_ref());
        }
        self.push_name(family, "_sum", labels, None);
        push_seconds(&mut self.out, *sum_ns, self.format);
        self.end(None);
        self.push_name(family, "_count", labels, None);
        push_integer(&mut self.out, count);
        self.end(None);
    }

    /// Writes the name and the labels of a sample, and the space behind them.
    fn push_name(&mut self, family: &Family<'_>, suffix: &str, labels: &str, bound: Option<f64>) {
        self.push_all([family.name.base.as_str(), suffix]);
        if !labels.is_empty() || bound.is_some() {
            self.push_all(["{", labels]);
            if let Some(bound) = bound {
                self.out.push_str(if labels.is_empty() { "le=\"" } else { ",le=\"" });
                push_float(&mut self.out, bound, self.format);
                self.out.push('"');
            }
            self.out.push('}');
        }
        self.out.push(' ');
    }

    /// Ends a sample with its exemplar, which only OpenMetrics has. One with a trace that is too long is left out.
    fn end(&mut self, exemplar: Option<&Exemplar>) {
        let is_fit = |exemplar: &&Exemplar| {
            let length = exemplar.trace_id.chars().count();
            length > 0 && length <= MAX_EXEMPLAR - TRACE.len()
        };
        if let Some(exemplar) = exemplar.filter(is_fit)
            && self.format == Format::OpenMetrics
        {
            self.push_all([" # {", TRACE, "=\""]);
            push_value(&mut self.out, &exemplar.trace_id);
            self.out.push_str("\"} ");
            push_float(&mut self.out, exemplar.value, self.format);
            self.out.push(' ');
            push_time(&mut self.out, exemplar.time);
        }
        self.out.push('\n');
    }

    fn push_all<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        self.out.extend(texts);
    }
}
