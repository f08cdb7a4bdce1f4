//! The real Prometheus scrapes the product, and its promtool checks the page.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use eyepiece_tests::prometheus::{Prometheus, Target, lint};
use eyepiece_tests::{Eyepiece, Lab, eventually, peer, skip};

use crate::collector::{HUBBLE, send_script};

/// Timeout until a value shows: a scrape each second, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 9965);

/// All handlers, those by default with the ends as the collector's test has them.
const HANDLERS: &str = "drop:sourceContext=name;destinationContext=name flow:destinationContext=name \
                        tcp:sourceContext=name;destinationContext=name icmp dns:query httpV2:exemplars=true policy sctp \
                        port-distribution:labelsContext=traffic_direction flows-to-world:any-drop;port";

#[test]
fn prometheus_scrapes_what_hubble_counts() -> Result<()> {
    if let Err(why) = peer::installed(&[("prometheus", "prometheus"), ("promtool", "prometheus")]) {
        skip!("{why}");
    }
    let lab = Lab::new()?;
    let address = SocketAddr::from(ADDRESS);
    let config = format!(
        "[otlp.metrics]\nenabled = false\n[otlp.logs]\nenabled = false\n[datapath]\naggregation = \"none\"\n\
         [prometheus]\nlisten = \"{address}\"\n[metrics]\nhubble = {:?}\n",
        HANDLERS.split_whitespace().collect::<Vec<_>>()
    );
    let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
    let prometheus = Prometheus::start(lab.node(), &[Target { address, labels: &[] }])?;
    send_script(&lab)?;
    for (name, labels, expected) in HUBBLE {
        let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
        check(&prometheus, &format!("sum({name}{{{}}})", labels.join(",")), *expected)?;
    }
    // Ten echoes of each family with their replies, at both interfaces.
    check(&prometheus, "hubble_icmp_total{type=\"EchoRequest\",family=\"IPv4\"}", 20.0)?;
    check(&prometheus, "sum(hubble_icmp_total{family=\"IPv6\"})", 40.0)?;
    // Five connections of each family to one port, and all datagrams, at both interfaces.
    check(&prometheus, "sum(hubble_port_distribution_total{protocol=\"UDP\"})", 634.0)?;
    // Of a source that never loses here; its series is there all the same.
    check(&prometheus, "hubble_lost_events_total{source=\"observer_events_queue\"}", 0.0)?;
    check(&prometheus, "count(target_info{service_name=\"eyepiece\"})", 1.0)?;
    ensure!(prometheus.health()? == Some((true, String::new())), "{:?}\n{}", prometheus.health()?, prometheus.log());
    let log = prometheus.log();
    ensure!(!log.contains("level=warn") && !log.contains("level=error"), "{log}");
    let (code, page) = lab.node().get(address, "/metrics")?;
    ensure!(code == 200, "{code}");
    let found = lint(&page)?;
    ensure!(found.is_empty(), "{found}");
    ensure!(page.contains("hubble_metrics_http_handler_requests_total{code=\"200\"}"), "{page}");
    ensure!(eyepiece.stop()? == 0, "{}", eyepiece.stderr());
    Ok(())
}

/// Waits until a query returns a value.
fn check(prometheus: &Prometheus, query: &str, expected: f64) -> Result<()> {
    let shown = || prometheus.query(query).ok().flatten();
    let right = eventually(TIMEOUT, "the value", || (shown() == Some(expected)).then_some(()));
    right.with_context(|| format!("{query}: {:?} instead of {expected}\n{}", shown(), prometheus.log()))
}
