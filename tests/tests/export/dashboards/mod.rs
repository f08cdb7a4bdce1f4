//! Hubble's published dashboards: each of their queries has data in a real Prometheus that scrapes eyepiece.

mod queries;
mod sources;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use eyepiece_tests::harness::{self, metrics};
use eyepiece_tests::prometheus::Prometheus;
use eyepiece_tests::{Lab, eventually, needs_peers, peer, skip, until};

use queries::{Dashboard, Values, label_query, other_exporter, substitute};
use sources::{Sources, TARGETS};

/// Timeout of data for all queries: rates need several scrapes.
const TIMEOUT: Duration = Duration::from_secs(90);
/// The dashboards that Cilium 1.20 publishes of Hubble.
const DASHBOARDS: usize = 4;
/// The value of a variable that has all values.
const ALL: &str = ".*";
/// The variables that Grafana itself sets.
const OF_GRAFANA: [(&str, &str); 2] = [("__rate_interval", "1m"), ("__interval", "1m")];

/// Returns the variables of a dashboard with all values selected, or the first one, and adds those without values to
/// `missing`.
fn set_variables(dashboard: &Dashboard, prometheus: &Prometheus, missing: &mut Vec<String>) -> Result<Values> {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut values: Values = OF_GRAFANA.map(own).into();
    for variable in &dashboard.variables {
        let query = substitute(&variable.query, &values);
        let mut found = Vec::new();
        if other_exporter(&query).is_none() {
            let (label, selector) = label_query(&query).context("no query of label values")?;
            found = prometheus.label_values(label, selector)?;
            found.retain(|value| !value.is_empty());
            if found.is_empty() {
                missing.push(format!("{}: variable {}\n    {query}", dashboard.file, variable.name));
            }
        }
        let first = found.into_iter().next().unwrap_or_default();
        values.insert(variable.name.clone(), if variable.has_all { ALL.to_owned() } else { first });
    }
    Ok(values)
}

/// Returns the queries without data; not those of other exporters' metrics.
fn missing_data(dashboards: &[Dashboard], prometheus: &Prometheus) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for dashboard in dashboards {
        let values = set_variables(dashboard, prometheus, &mut missing)?;
        for panel in dashboard.panels.iter().filter(|panel| other_exporter(&panel.query).is_none()) {
            let query = substitute(&panel.query, &values);
            let found = prometheus.values(&query)?;
            if found.iter().all(|value| value.is_nan()) {
                missing.push(format!("{}: {}: {found:?}\n    {query}", dashboard.file, panel.title));
            }
        }
    }
    Ok(missing)
}

/// The names of Hubble's metrics that Prometheus has of each target.
fn metrics_by_target(prometheus: &Prometheus) -> String {
    let mut lines = String::new();
    for target in TARGETS {
        let pod = target.labels.iter().find(|(name, _)| *name == "pod").map_or("", |(_, pod)| *pod);
        let names = prometheus.label_values("__name__", Some(&format!("{{pod={pod:?}}}")));
        let names = names.map(|names| names.into_iter().filter(|name| name.starts_with("hubble_")).collect::<Vec<_>>());
        lines += &format!("{pod}: {names:?}\n");
    }
    lines
}

#[test]
fn every_query_has_data() -> Result<()> {
    if let Err(why) = peer::installed(&[("prometheus", "prometheus")]) {
        skip!("{why}");
    }
    needs_peers!(harness::NAME, metrics::NAME);
    let found = metrics::dashboards()?;
    let dashboards = found.iter().map(|(file, content)| Dashboard::read(file, content)).collect::<Result<Vec<_>>>()?;
    ensure!(dashboards.len() == DASHBOARDS, "{:?}", found.keys());
    let lab = Lab::new()?;
    let mut sources = Sources::start(&lab)?;
    let prometheus = Prometheus::start(lab.node(), &TARGETS)?;
    let mut missing = Vec::new();
    let complete = until(TIMEOUT, "queries without data", || {
        match sources.send(&lab).and_then(|()| missing_data(&dashboards, &prometheus)) {
            Ok(list) => {
                missing = list;
                missing.is_empty().then_some(Ok(()))
            }
            Err(error) => Some(Err(error)),
        }
    });
    let state = || {
        let (metrics, health) = (metrics_by_target(&prometheus), prometheus.health());
        format!("{}\n{metrics}{health:?}\n{}\n{}", missing.join("\n"), prometheus.log(), sources.logs())
    };
    complete.flatten().with_context(state)?;
    // A single scrape may take longer than Prometheus waits.
    let healthy = || (prometheus.health().ok()? == Some((true, String::new()))).then_some(());
    eventually(TIMEOUT, "healthy targets", healthy).with_context(|| format!("{:?}", prometheus.health()))?;
    for dashboard in &dashboards {
        let others = dashboard.panels.iter().filter_map(|panel| Some((&panel.title, other_exporter(&panel.query)?)));
        let others: Vec<_> = others.collect();
        eprintln!("{}: {} queries, without {others:?}", dashboard.file, dashboard.panels.len() - others.len());
        ensure!(others.len() < dashboard.panels.len() / 2, "{}: {others:?}", dashboard.file);
    }
    sources.stop()
}
