//! Numbers as texts of a page.

use std::fmt::Write as _;

use super::format::Format;

const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_MILLISECOND: u64 = 1_000_000;

/// Writes a whole number.
pub(super) fn push_integer(out: &mut String, value: u64) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// Writes the shortest text that stands for this number alone. In OpenMetrics it has a point or an exponent.
pub(super) fn push_float(out: &mut String, value: f64, format: Format) {
    let _ = match (value, format) {
        (f64::INFINITY, _) => write!(out, "+Inf"),
        (f64::NEG_INFINITY, _) => write!(out, "-Inf"),
        (_, Format::Text) => write!(out, "{value}"),
        (_, Format::OpenMetrics) => write!(out, "{value:?}"),
    };
}

/// Writes nanoseconds as seconds.
pub(super) fn push_seconds(out: &mut String, ns: u64, format: Format) {
    push_float(out, ns as f64 / NS_PER_SECOND as f64, format);
}

/// Writes a time in ns since the Unix epoch as seconds, with milliseconds: Prometheus stores no more.
pub(super) fn push_time(out: &mut String, ns: u64) {
    let _ = write!(out, "{}.{:03}", ns / NS_PER_SECOND, ns % NS_PER_SECOND / NS_PER_MILLISECOND);
}

#[cfg(test)]
mod tests {
    use super::{Format, push_float, push_integer, push_seconds, push_time};

    fn written(push: impl FnOnce(&mut String)) -> String {
        let mut text = String::new();
        push(&mut text);
        text
    }

    #[test]
    fn floats_are_short_and_exact() {
        for (value, text, open) in [
            (0.0, "0", "0.0"),
            (1.0, "1", "1.0"),
            (10.0, "10", "10.0"),
            (0.005, "0.005", "0.005"),
            (2.5, "2.5", "2.5"),
            (0.1 + 0.2, "0.30000000000000004", "0.30000000000000004"),
            (1_000_000.0, "1000000", "1000000.0"),
            (1e16, "10000000000000000", "1e16"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!(written(|out| push_float(out, value, Format::Text)), text);
            assert_eq!(written(|out| push_float(out, value, Format::OpenMetrics)), open);
        }
        assert_eq!(written(|out| push_integer(out, u64::MAX)), "18446744073709551615");
    }

    #[test]
    fn nanoseconds_are_seconds() {
        for (ns, text, open) in [
            (0, "0", "0.0"),
            (1, "0.000000001", "1e-9"),
            (300_000_000, "0.3", "0.3"),
            (2_000_000_000, "2", "2.0"),
            (11_000_000, "0.011", "0.011"),
        ] {
            assert_eq!(written(|out| push_seconds(out, ns, Format::Text)), text);
            assert_eq!(written(|out| push_seconds(out, ns, Format::OpenMetrics)), open);
        }
        for (ns, time) in [(0, "0.000"), (7_000_000, "0.007"), (1_700_000_000_123_999_999, "1700000000.123")] {
            assert_eq!(written(|out| push_time(out, ns)), time);
        }
    }
}
