//! Delta temporality: what arrives adds up to what happened, also with a receiver that fails every third request.

use std::time::Duration;

use anyhow::Result;
use eyepiece_tests::{Behaviour, Eyepiece, Lab, Receiver};
use tonic::Code;

use crate::collector::{HUBBLE, send_script};

/// Timeout until all values are there: exports five times a second, a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

fn adds_up(temporality: &str, are_own_deltas: bool) -> Result<()> {
    let lab = Lab::new()?;
    let receiver = Receiver::start(lab.node())?;
    receiver.behave(Behaviour::RefuseEach(3, Code::Unavailable));
    let config = format!(
        "[otlp]\nendpoint = \"{}\"\n[otlp.metrics]\ninterval = \"200ms\"\ntemporality = \"{temporality}\"\n\
         [otlp.logs]\nenabled = false\n[metrics]\nnaming = \"hubble\"\n[datapath]\naggregation = \"none\"\n",
        receiver.endpoint()
    );
    let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
    send_script(&lab)?;
    // Their names on a Prometheus page: dots become underscores, and sums end in _total.
    let metric = |name: &str| name.trim_end_matches("_total").replacen('_', ".", 1);
    for (name, labels, expected) in HUBBLE {
        let is_there = receiver.wait(TIMEOUT, name, |received| received.sum(&metric(name), labels) == *expected as u64);
        assert!(is_there.is_ok(), "{name} {labels:?}: {} instead of {expected}", receiver.sum(&metric(name), labels));
    }
    receiver.wait(TIMEOUT, "failed requests", |received| received.refused > 3)?;
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    for (name, labels, expected) in HUBBLE {
        assert_eq!(receiver.sum(&metric(name), labels), *expected as u64, "{name} {labels:?} at the end");
    }
    receiver.look(|received| {
        let of = |name: &str| received.series(name, &[]).map(|(_, point)| point.delta).collect::<Vec<_>>();
        assert!(of("hubble.flows_processed").iter().all(|is_delta| *is_delta));
        let own_durations = of("otel.sdk.exporter.operation.duration");
        assert!(!own_durations.is_empty() && own_durations.iter().all(|is_delta| *is_delta), "{own_durations:?}");
        let own = of("eyepiece.flows.parsed");
        assert!(!own.is_empty() && own.iter().all(|is_delta| *is_delta == are_own_deltas), "{own:?}");
    });
    Ok(())
}

#[test]
fn deltas_add_up_with_failing_receiver() -> Result<()> {
    adds_up("delta", true)
}

#[test]
fn own_sums_stay_cumulative_in_low_memory() -> Result<()> {
    adds_up("lowmemory", false)
}
