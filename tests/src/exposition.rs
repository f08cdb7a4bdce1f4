//! Pages of metrics as Prometheus reads them: their series, and in what two pages differ.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

/// The relative difference of two sums of the same durations: Hubble adds seconds as floats, we add ns.
const TOLERANCE: f64 = 1e-9;

/// The content of a page, in the text format or in OpenMetrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    /// Values by the name and the labels of their series.
    pub series: BTreeMap<String, f64>,
    /// The labels and the value of exemplars, without their time, by the name and the labels of their series.
    pub exemplars: BTreeMap<String, (String, f64)>,
    /// The lines with a help or a type.
    pub heads: BTreeSet<String>,
}

impl Exposition {
    /// Reads a page. Series that `rename` makes equal are added up.
    ///
    /// # Errors
    /// A line is neither a comment nor a sample.
    pub fn read(page: &str, rename: impl Fn(&str) -> String) -> Result<Self> {
        let mut exposition = Self::default();
        for line in page.lines().filter(|line| !line.is_empty()) {
            if line.starts_with('#') {
                if line.starts_with("# HELP ") || line.starts_with("# TYPE ") {
                    exposition.heads.insert(line.to_owned());
                }
                continue;
            }
            exposition.add(line, &rename).with_context(|| line.to_owned())?;
        }
        Ok(exposition)
    }

    fn add(&mut self, line: &str, rename: impl Fn(&str) -> String) -> Result<()> {
        let (sample, exemplar) = line.split_once(" # {").map_or((line, None), |(sample, rest)| (sample, Some(rest)));
        let (name, value) = sample.rsplit_once(' ').context("no value")?;
        let name = rename(name);
        if let Some(exemplar) = exemplar {
            let (labels, numbers) = exemplar.rsplit_once("} ").context("no end of the exemplar's labels")?;
            let value = numbers.split(' ').next().unwrap_or_default();
            let value = value.parse::<f64>().context("an exemplar without a number")?;
            self.exemplars.insert(name.clone(), (labels.to_owned(), value));
        }
        *self.series.entry(name).or_default() += value.parse::<f64>().context("a value that is no number")?;
        Ok(())
    }

    /// Returns in what this page differs from an expected one: a line for each difference, none if they are equal.
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        compare(&self.series, &expected.series, |own, value| is_near(*own, *value), &mut lines);
        let is_same = |own: &(String, f64), other: &(String, f64)| own.0 == other.0 && is_near(own.1, other.1);
        compare(&self.exemplars, &expected.exemplars, is_same, &mut lines);
        lines.extend(expected.heads.difference(&self.heads).map(|head| format!("missing: {head}")));
        lines.extend(self.heads.difference(&expected.heads).map(|head| format!("further: {head}")));
        lines
    }
}

fn is_near(own: f64, expected: f64) -> bool {
    (own - expected).abs() <= expected.abs() * TOLERANCE
}

/// Adds a line for each entry that only one side has, or whose values are not the same.
fn compare<V: std::fmt::Debug>(
    own: &BTreeMap<String, V>,
    expected: &BTreeMap<String, V>,
    is_same: impl Fn(&V, &V) -> bool,
    lines: &mut Vec<String>,
) {
    for (name, value) in expected {
        match own.get(name) {
            None => lines.push(format!("missing: {name} {value:?}")),
            Some(own) if !is_same(own, value) => lines.push(format!("other:   {name} {own:?} instead of {value:?}")),
            Some(_) => {}
        }
    }
    let further = own.iter().filter(|(name, _)| !expected.contains_key(*name));
    lines.extend(further.map(|(name, value)| format!("further: {name} {value:?}")));
}

#[cfg(test)]
mod tests {
    use super::Exposition;

    const PAGE: &str = "# HELP hubble_drop_total Number of drops\n# TYPE hubble_drop_total counter\n# UNIT x y\n\
                        hubble_drop_total{protocol=\"TCP\",reason=\"a } b\"} 2\nhubble_icmp_total 1.5\n# EOF\n";

    fn read(page: &str) -> Exposition {
        Exposition::read(page, str::to_owned).expect(page)
    }

    #[test]
    fn lines_are_series_exemplars_and_heads() {
        let page = read(PAGE);
        assert_eq!(page.series["hubble_drop_total{protocol=\"TCP\",reason=\"a } b\"}"], 2.0);
        assert_eq!((page.series["hubble_icmp_total"], page.series.len(), page.heads.len()), (1.5, 2, 2));
        let page = read("a_bucket{le=\"1.0\"} 3 # {traceID=\"ab\"} 0.25 1.7e+09\na_count 3\n");
        assert_eq!(page.exemplars["a_bucket{le=\"1.0\"}"], ("traceID=\"ab\"".to_owned(), 0.25));
        assert_eq!((page.series["a_bucket{le=\"1.0\"}"], page.exemplars.len()), (3.0, 1));
        let joined = Exposition::read("a{b=\"1\"} 2\na{b=\"2\"} 3\n", |name| name.replace('2', "1")).expect("a page");
        assert_eq!((joined.series["a{b=\"1\"}"], joined.series.len()), (5.0, 1));
        for broken in ["a", "a b", "a 1 # {x 1", "a 1 # {x=\"y\"} z"] {
            Exposition::read(broken, str::to_owned).expect_err(broken);
        }
    }

    #[test]
    fn differences_name_their_series() {
        let exemplar = "a 1 # {b=\"c\"} 1.0 1700.5";
        for (own, expected, differences) in [
            (PAGE, PAGE, &[][..]),
            ("a 1.5", "a 1.5000000000001", &[]),
            ("a 1.5\nb 1", "a 1.6\nc 1", &["other:   a 1.5 instead of 1.6", "missing: c 1.0", "further: b 1.0"]),
            (exemplar, "a 1 # {b=\"c\"} 1.0 7", &[]),
            (exemplar, "a 1", &["further: a (\"b=\\\"c\\\"\", 1.0)"]),
            ("# TYPE a gauge", "# TYPE a counter", &["missing: # TYPE a counter", "further: # TYPE a gauge"]),
        ] {
            let mut found = read(own).differences(&read(expected));
            let mut differences = differences.to_vec();
            found.sort();
            differences.sort_unstable();
            assert_eq!(found, differences, "{own} {expected}");
        }
    }
}
