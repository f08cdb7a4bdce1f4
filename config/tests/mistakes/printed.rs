//! Metrics on standard output: a table that must be switched on.

use crate::support::ok;

#[test]
fn unprinted_metrics_are_warned_about() {
    for (sets, is_warned) in [
        (&["otlp.protocol=stdout"][..], false),
        (&["otlp.protocol=stdout", "otlp.logs.enabled=false"], true),
        (&["otlp.protocol=stdout", "otlp.logs.enabled=false", "otlp.metrics.table=true"], false),
        (&["otlp.protocol=stdout", "otlp.logs.enabled=false", "otlp.metrics.enabled=false"], false),
        (&["otlp.metrics.protocol=stdout"], true),
        (&["otlp.metrics.protocol=stdout", "otlp.logs.protocol=stdout"], false),
        (&[], false),
    ] {
        let warnings: Vec<_> = ok("", &[], sets).warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings.iter().any(|warning| warning.starts_with("otlp.metrics.table ")),
            is_warned,
            "{sets:?} {warnings:?}"
        );
    }
}
