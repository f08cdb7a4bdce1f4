//! Makes the configurations of components from the settings.

use std::time::Duration;

use eyepiece_config as config;
use eyepiece_config::{Settings, Signal, Switch};

use crate::export::otlp::encode::AttributeLimits;
use crate::export::otlp::logs::LogsConfig;
use crate::pipeline::metrics;
use crate::pipeline::metrics::{Context, Handlers};
use crate::source::datapath;

/// Returns the configuration of the datapath.
pub(super) fn datapath(all: &Settings) -> datapath::Config {
    let settings = &all.datapath;
    // SAFETY: asks for a number.
    let page = u32::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    datapath::Config {
        programs: datapath::object::ProgramConfig {
            transport: settings.transport,
            aggregation: settings.aggregation,
            interval: settings.interval,
            capture_bytes: settings.capture_bytes,
            buffer: settings.buffer_bytes(page),
            max_connections: settings.max_connections,
            drops: settings.drops,
            processes: all.metadata.cgroup.enabled == Switch::On,
            debug: settings.debug,
            ..datapath::object::ProgramConfig::default()
        },
        attach: settings.attach,
        drops_ignore: settings.drops_ignore.clone(),
        receivers: Signal::ALL.map(|signal| all.otlp.export(signal).endpoint).into(),
        timeouts: settings.timeout,
        grace: grace(&all.metrics),
    }
}

/// Returns the time that our own metrics of interfaces and namespaces outlive them: an idle series' time. If series
/// never expire it is the default, as interfaces have no cap.
fn grace(settings: &config::Metrics) -> Duration {
    if settings.idle_expiry.is_zero() { config::Metrics::default().idle_expiry } else { settings.idle_expiry }
}

/// Returns the configuration of the pipeline's series.
pub(super) fn aggregation(settings: &Settings) -> metrics::Config {
    // The totals of a recording must stay complete, however long it plays.
    let never_expires = settings.source.kind == config::SourceKind::Replay;
    // A last value is exported once more if its first request fails.
    let export = &settings.otlp.metrics;
    let exports = if export.enabled { export.interval.saturating_mul(2) } else { Duration::ZERO };
    let settings = &settings.metrics;
    let never_expires = never_expires || settings.idle_expiry.is_zero();
    metrics::Config {
        handlers: handlers(settings),
        max_series: settings.max_series as usize,
        idle_expiry: if never_expires { Duration::ZERO } else { settings.idle_expiry.max(exports) },
        gone_expiry: metrics::GONE_EXPIRY.max(exports),
        flow_detail: settings.flow_detail,
    }
}

/// Returns the handlers in use: those of the settings, else the usual ones with the general contexts.
pub(super) fn handlers(settings: &config::Metrics) -> Handlers {
    let general = &settings.contexts;
    Handlers::of(&settings.hubble, &Context::of(&general.source), &Context::of(&general.destination))
}

/// Returns the configuration of the log exporter.
pub(super) fn logs(settings: &Settings) -> LogsConfig {
    let logs = &settings.otlp.logs;
    LogsConfig {
        capacity: logs.queue_records as usize,
        max_records: logs.batch_records as usize,
        max_bytes: usize::try_from(logs.batch_bytes).unwrap_or(usize::MAX),
        flush_delay: logs.delay,
        in_flight: logs.in_flight as usize,
        kinds: logs.events,
        attribute_limits: AttributeLimits {
            count: logs.attribute_count_limit,
            value_length: logs.attribute_value_length_limit,
        },
        ..LogsConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eyepiece_config::{Settings, SourceKind};

    use super::aggregation;

    #[test]
    fn series_outlive_two_exports() {
        // In seconds.
        for (name, interval, is_exported, idle, expected) in [
            ("default", 10, true, 300, (300, 60)),
            ("rare exports", 90, true, 100, (180, 180)),
            ("rare exports of lasting series", 90, true, 300, (300, 180)),
            ("no exports", 90, false, 100, (100, 60)),
            ("no expiry", 90, true, 0, (0, 180)),
        ] {
            let mut settings = Settings::default();
            settings.otlp.metrics.interval = Duration::from_secs(interval);
            settings.otlp.metrics.enabled = is_exported;
            settings.metrics.idle_expiry = Duration::from_secs(idle);
            let config = aggregation(&settings);
            assert_eq!((config.idle_expiry.as_secs(), config.gone_expiry.as_secs()), expected, "{name}");
        }
        let mut settings = Settings::default();
        settings.source.kind = SourceKind::Replay;
        assert_eq!(aggregation(&settings).idle_expiry, Duration::ZERO, "a replay");
    }
}
