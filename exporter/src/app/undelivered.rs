//! Logs what a shutdown leaves undelivered, by signal and reason, with the endpoint.

use std::collections::BTreeMap;

use eyepiece_config::{Protocol, Settings, Signal};
use eyepiece_semconv::{attribute, metric};

use crate::export::otlp::metrics_sender::NO_ANSWER;
use crate::support::telemetry::Telemetry;

/// Records dropped so far, by signal and reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped(BTreeMap<(String, String), u64>);

impl Dropped {
    /// Reads our own metrics.
    pub(super) fn so_far(telemetry: &Telemetry) -> Self {
        let mut dropped = BTreeMap::new();
        for sample in telemetry.samples() {
            let of = |name| {
                let mut found = sample.key.attributes.iter().filter(|(known, _)| *known == name);
                found.next().map(|(_, value)| value.clone())
            };
            if sample.key.name == metric::EYEPIECE_EXPORT_RECORDS.name
                && let (Some(signal), Some(reason)) = (of(attribute::EYEPIECE_SIGNAL), of(attribute::EYEPIECE_REASON))
            {
                *dropped.entry((signal, reason)).or_default() += sample.value;
            }
        }
        Self(dropped)
    }

    /// Records dropped since `before`: the sum and the reasons of each signal.
    fn since(&self, before: &Self) -> BTreeMap<&str, (u64, Vec<String>)> {
        let mut signals: BTreeMap<&str, (u64, Vec<String>)> = BTreeMap::new();
        for (key, now) in &self.0 {
            let records = now.saturating_sub(before.0.get(key).copied().unwrap_or_default());
            if records > 0 {
                let (sum, reasons) = signals.entry(&key.0).or_default();
                *sum += records;
                reasons.push(format!("{}={records}", key.1));
            }
        }
        signals
    }
}

/// Logs the records dropped since `before`.
pub(super) fn log(before: &Dropped, telemetry: &Telemetry, settings: &Settings) {
    for (signal, (records, reasons)) in Dropped::so_far(telemetry).since(before) {
        let exported = Signal::ALL.into_iter().find(|known| known.name() == signal);
        let endpoint = exported.map_or_else(String::new, |signal| destination(settings, signal));
        let error = error(telemetry, signal, &reasons);
        let reasons = reasons.join(" ");
        tracing::warn!(signal, records, reasons, endpoint, error, "ended with undelivered telemetry");
    }
}

/// The error of the last request; `None` if the counters' reasons explain the loss.
fn error(telemetry: &Telemetry, signal: &str, reasons: &[String]) -> Option<String> {
    let mut reports = telemetry.exports().list().into_iter();
    let failure = reports.find(|report| report.signal == signal).and_then(|report| report.failure);
    let unanswered = || reasons.iter().any(|reason| reason.starts_with("shutdown=")).then(|| NO_ANSWER.to_owned());
    failure.map(|failure| failure.error).or_else(unanswered)
}

/// Returns the destination of a signal's export: an endpoint, or standard output.
pub(super) fn destination(settings: &Settings, signal: Signal) -> String {
    let export = settings.otlp.export(signal);
    if export.protocol == Protocol::Stdout { "standard output".to_owned() } else { export.endpoint }
}

#[cfg(test)]
mod tests {
    use super::{Dropped, destination};
    use crate::export::otlp::counters::ExportCounters;
    use crate::support::telemetry::Telemetry;
    use eyepiece_config::Signal;

    #[test]
    fn drops_are_by_signal_and_reason() {
        let telemetry = Telemetry::default();
        let [logs, metrics] = [Signal::Logs, Signal::Metrics].map(|signal| ExportCounters::new(&telemetry, signal));
        logs.queue_full.add(5);
        metrics.rejected.add(7);
        let before = Dropped::so_far(&telemetry);
        assert_eq!(Dropped::so_far(&telemetry).since(&before).len(), 0);
        logs.delivered.add(100);
        logs.shutdown.add(3);
        logs.queue_full.add(1);
        metrics.shutdown.add(2);
        let now = Dropped::so_far(&telemetry);
        let found: Vec<_> = now.since(&before).into_iter().collect();
        let text = |reasons: &[&str]| reasons.iter().map(|&reason| reason.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            found,
            [("logs", (4, text(&["queue_full=1", "shutdown=3"]))), ("metrics", (2, text(&["shutdown=2"])))]
        );
    }

    #[test]
    fn endpoint_is_of_signal() {
        let mut settings = eyepiece_config::Settings::default();
        settings.otlp.logs.overrides.endpoint = Some("http://logs:4317".to_owned());
        settings.otlp.metrics.overrides.protocol = Some(eyepiece_config::Protocol::Stdout);
        assert_eq!(destination(&settings, Signal::Logs), "http://logs:4317");
        assert_eq!(destination(&settings, Signal::Metrics), "standard output");
    }
}
