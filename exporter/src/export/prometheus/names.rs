//! Translates names and units of OpenTelemetry to those of Prometheus.
//!
//! The rules are those of OpenTelemetry's specification, `compatibility/prometheus_and_openmetrics.md`: characters that
//! Prometheus discourages become `_`, and several of them one. A unit in UCUM becomes a word at the end of the name,
//! before the suffix of the kind.

use std::borrow::Cow;

/// The kind of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FamilyKind {
    /// A sum that only grows.
    Counter,
    /// A momentary value, or a sum that also falls.
    Gauge,
    /// A distribution.
    Histogram,
    /// Labels whose value is always 1.
    Info,
}

impl FamilyKind {
    /// The suffix of its samples' names.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// The name of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FamilyName {
    /// With the unit, without the suffix of the kind.
    pub(super) base: String,
    /// The unit as a word; empty without one.
    pub(super) unit: String,
}

impl FamilyName {
    /// Translates the name and the unit of a metric.
    pub(super) fn translate(name: &str, unit: &str, kind: FamilyKind) -> Self {
        let mut base = cleaned(name, |c| c == ':');
        if base.starts_with(|c: char| c.is_ascii_digit()) {
            base.insert(0, '_');
        }
        // The suffix of the kind comes after the unit.
        if base.ends_with(kind.suffix()) {
            base.truncate(base.len() - kind.suffix().len());
        }
        let unit = match (unit, kind) {
            ("1", FamilyKind::Gauge) => "ratio".to_owned(),
            _ => unit_words(unit),
        };
        let ends_with_unit =
            base.strip_suffix(unit.as_str()).is_some_and(|stem| stem.is_empty() || stem.ends_with('_'));
        if !unit.is_empty() && !ends_with_unit {
            base.push('_');
            base.push_str(&unit);
        }
        Self { base, unit }
    }
}

/// Translates the name of an attribute to a label. Empty for an empty name.
pub(super) fn label_name(name: &str) -> Cow<'_, str> {
    // Called for each label of each series.
    let has_double = name.as_bytes().windows(2).any(|pair| pair == b"__");
    let is_valid = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !has_double;
    let starts_with_digit = name.starts_with(|c: char| c.is_ascii_digit());
    match (is_valid, starts_with_digit) {
        (true, false) => name.into(),
        (_, false) => cleaned(name, |_| false).into(),
        // As the collector has it: no label starts with a digit.
        (_, true) => format!("key_{}", cleaned(name, |_| false)).into(),
    }
}

/// Replaces each run of characters other than ASCII letters, digits and the allowed ones by one `_`.
fn cleaned(name: &str, is_allowed: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || is_allowed(c) {
            text.push(c);
        } else if !text.ends_with('_') {
            text.push('_');
        }
    }
    text
}

/// Translates a unit in UCUM to words: `By/s` to `bytes_per_second`. Annotations (`{packet}`) have no words.
fn unit_words(unit: &str) -> String {
    let unit = without_annotations(unit);
    let (unit, divisor) = unit.split_once('/').unwrap_or((&unit, ""));
    let word = plural(unit).map_or_else(|| cleaned(unit, |_| false), str::to_owned);
    let per = singular(divisor).map_or_else(|| cleaned(divisor, |_| false), str::to_owned);
    let words = match (word.as_str(), per.as_str()) {
        (word, "") => word.to_owned(),
        ("", per) => format!("per_{per}"),
        (word, per) => format!("{word}_per_{per}"),
    };
    words.trim_matches('_').to_owned()
}

/// Removes what is in braces.
fn without_annotations(unit: &str) -> String {
    let mut depth = 0_usize;
    let is_outside = |c: &char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    unit.chars().filter(is_outside).collect()
}

/// The word of a unit that Prometheus has a word for; `1` has none.
fn plural(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "1" => "",
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tebibytes",
        "kBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        _ => return None,
    })
}

/// The word of a unit after `per`.
fn singular(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "s" => "second",
        "min" | "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use eyepiece_semconv::{Instrument, metric};

    use super::{FamilyKind, FamilyName, label_name};

    /// The name of the samples, and the unit.
    fn translated(name: &str, unit: &str, kind: FamilyKind) -> (String, String) {
        let FamilyName { base, unit } = FamilyName::translate(name, unit, kind);
        (format!("{base}{}", kind.suffix()), unit)
    }

    #[test]
    fn names_follow_specification() {
        use FamilyKind::{Counter, Gauge, Histogram, Info};
        for (name, unit, kind, expected, word) in [
            ("hubble.drop", "{flow}", Counter, "hubble_drop_total", ""),
            ("hubble.flows_processed", "{flow}", Counter, "hubble_flows_processed_total", ""),
            ("hubble.flow.io", "By", Counter, "hubble_flow_io_bytes_total", "bytes"),
            ("hubble.http_request_duration", "s", Histogram, "hubble_http_request_duration_seconds", "seconds"),
            ("eyepiece.datapath.unseen.bytes", "By", Counter, "eyepiece_datapath_unseen_bytes_total", "bytes"),
            ("eyepiece.uptime", "s", Gauge, "eyepiece_uptime_seconds", "seconds"),
            ("eyepiece.queue.depth", "{record}", Gauge, "eyepiece_queue_depth", ""),
            ("target", "", Info, "target_info", ""),
            ("a.total", "", Counter, "a_total", ""),
            ("a.total", "By", Counter, "a_bytes_total", "bytes"),
            ("a.bytes.total", "By", Counter, "a_bytes_total", "bytes"),
            ("a.megabytes", "By", Counter, "a_megabytes_bytes_total", "bytes"),
            ("seconds", "s", Gauge, "seconds", "seconds"),
            ("a.total", "", Gauge, "a_total", ""),
            ("a", "1", Gauge, "a_ratio", "ratio"),
            ("a.ratio", "1", Gauge, "a_ratio", "ratio"),
            ("a", "1", Counter, "a_total", ""),
            ("a", "%", Gauge, "a_percent", "percent"),
            ("a", "By/s", Gauge, "a_bytes_per_second", "bytes_per_second"),
            ("a", "{packet}/s", Gauge, "a_per_second", "per_second"),
            ("a", "{a}By{b}", Gauge, "a_bytes", "bytes"),
            ("a", "m/{b}", Gauge, "a_meters", "meters"),
            ("a", "By{b/s}", Gauge, "a_bytes", "bytes"),
            ("a", "km", Gauge, "a_km", "km"),
            ("a", "m2.s", Gauge, "a_m2_s", "m2_s"),
            ("a", "}", Gauge, "a", ""),
            ("a..b--c", "", Gauge, "a_b_c", ""),
            ("a:b", "", Gauge, "a:b", ""),
            ("1a", "", Gauge, "_1a", ""),
            ("é", "", Gauge, "_", ""),
        ] {
            assert_eq!(translated(name, unit, kind), (expected.to_owned(), word.to_owned()), "{name} {unit} {kind:?}");
        }
    }

    #[test]
    fn labels_follow_specification() {
        for (name, expected) in [
            ("source", "source"),
            ("source_k8s_pod", "source_k8s_pod"),
            ("eyepiece.reason", "eyepiece_reason"),
            ("a__b", "a_b"),
            ("__name__", "_name_"),
            ("a..b", "a_b"),
            ("a:b", "a_b"),
            ("1a", "key_1a"),
            ("1.a", "key_1_a"),
            ("é", "_"),
            ("", ""),
        ] {
            assert_eq!(label_name(name), expected, "{name}");
        }
    }

    /// Two metrics of one name would have two types, or their series would mix.
    #[test]
    fn names_of_registry_are_unique() {
        let mut known = BTreeMap::new();
        for metric in metric::ALL {
            let kind = match metric.instrument {
                Instrument::Counter => FamilyKind::Counter,
                Instrument::Histogram => FamilyKind::Histogram,
                Instrument::Gauge | Instrument::UpDownCounter => FamilyKind::Gauge,
            };
            let (name, _) = translated(metric.name, metric.unit, kind);
            assert!(!["target_info", "target"].contains(&name.as_str()), "{}", metric.name);
            assert!(!name.starts_with("hubble_metrics_http_handler_"), "{}", metric.name);
            for suffix in ["", "_bucket", "_count", "_sum"] {
                let is_used = suffix.is_empty() || kind == FamilyKind::Histogram;
                let known = is_used.then(|| known.insert(format!("{name}{suffix}"), metric.name)).flatten();
                assert_eq!(known, None, "{}", metric.name);
            }
        }
    }
}
