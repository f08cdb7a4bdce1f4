//! Formats metrics as a table: one line for each series.

use std::fmt::Write as _;

use crate::pipeline::metrics::Resolved;

/// Formats all series as a table. Empty without a series.
pub fn table(metrics: &[Resolved]) -> String {
    let mut text = String::new();
    for metric in metrics {
        for series in &metric.series {
            let known = series.attributes.iter().filter(|(_, value)| !value.is_empty());
            let attributes: Vec<_> = known.map(|(name, value)| format!("{name}={value}")).collect();
            let attributes = if series.overflow { "(all others)".to_owned() } else { attributes.join(" ") };
            // Writing to a String cannot fail.
            if writeln!(text, "{:<24} {:>14} {:<8} {attributes}", metric.name, series.value, metric.unit).is_err() {
                return text;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::pipeline::metrics::{Resolved, Series};

    #[test]
    fn each_series_is_a_line() {
        let series = |attributes, overflow| Series { attributes, overflow, start: 0, value: 7 };
        let metrics = [Resolved {
            name: "m",
            unit: "By",
            description: "",
            series: vec![
                series(vec![("a", "x".to_owned()), ("b", "y".to_owned()), ("c", String::new())], false),
                series(vec![], true),
            ],
        }];
        let text = table(&metrics);
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines, ["m 7 By a=x b=y", "m 7 By (all others)"]);
        assert_eq!(table(&[]), "");
    }
}
