//! Formats metrics as a table: one line for each series.

use std::fmt::Write as _;

use crate::pipeline::metrics::{Resolved, SeriesValue};

/// Formats all series as a table. Empty without a series.
pub fn table(metrics: &[Resolved]) -> String {
    let mut text = String::new();
    for metric in metrics {
        for series in &metric.series {
            let known = series.attributes.iter().filter(|(_, value)| !value.is_empty());
            let mut attributes: Vec<_> = known.map(|(name, value)| format!("{name}={value}")).collect();
            if series.overflow {
                attributes.push("(all others)".to_owned());
            }
            let value = match &series.value {
                SeriesValue::Sum(sum, _) => sum.to_string(),
                SeriesValue::Histogram(histogram) => {
                    attributes.push(format!("({} in all)", series.value.count()));
                    format!("{:.3}", histogram.sum_ns as f64 / 1e9)
                }
            };
            let attributes = attributes.join(" ");
            // Writing to a String cannot fail.
            if writeln!(text, "{:<24} {value:>14} {:<8} {attributes}", metric.name, metric.unit).is_err() {
                return text;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::pipeline::metrics::{HistogramValue, Resolved, Series, SeriesValue};

    #[test]
    fn each_series_is_a_line() {
        let series = |attributes, overflow| Series { attributes, overflow, start: 0, value: SeriesValue::Sum(7, None) };
        let metrics = [Resolved {
            name: "m",
            unit: "By",
            description: "",
            series: vec![
                series(vec![("a", "x".into()), ("b", "y".into()), ("c", "".into())], false),
                series(vec![], true),
            ],
        }];
        let text = table(&metrics);
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines, ["m 7 By a=x b=y", "m 7 By (all others)"]);
        assert_eq!(table(&[]), "");
        let mut buckets = [0; 12];
        buckets[3] = 5;
        let histogram = HistogramValue { sum_ns: 1_234_567_890, buckets, exemplars: Default::default() };
        let value = SeriesValue::Histogram(Box::new(histogram));
        let series = vec![Series { value, ..series(vec![("a", "x".into())], false) }];
        let text = table(&[Resolved { name: "d", unit: "s", description: "", series }]);
        assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), "d 1.235 s a=x (5 in all)");
    }
}
