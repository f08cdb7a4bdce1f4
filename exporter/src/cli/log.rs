//! Our own log: to standard error, as text or JSON.

use std::io::IsTerminal as _;

use eyepiece_config::{Log, LogFormat, LogLevel};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

use super::error::CliError;

/// Sets up the log of the process, once.
pub(super) fn init(log: &Log) -> Result<(), CliError> {
    let filter = filter(log.level);
    let result = match log.format {
        LogFormat::Text => {
            let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
            registry().with(layer.with_filter(filter)).try_init()
        }
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry().with(layer.with_filter(filter)).try_init()
        }
    };
    result.map_err(|source| CliError::Log { source })
}

/// Libraries log from warnings on; with `trace` they log everything, too. But bollard logs docker's answers as they are,
/// with the environment of containers and the passwords in it. Warnings of kube hold whole answers of the server, and the
/// provider logs its failures itself.
fn filter(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let libraries = if level == LogLevel::Trace { own } else { own.min(LevelFilter::WARN) };
    let kube = if level == LogLevel::Trace { own } else { own.min(LevelFilter::ERROR) };
    let targets = Targets::new().with_default(libraries).with_target("eyepiece", own);
    let targets = targets.with_target("kube_client", kube).with_target("kube_runtime", kube);
    targets.with_target("bollard", LevelFilter::OFF)
}

#[cfg(test)]
mod tests {
    use eyepiece_config::LogLevel;
    use tracing_subscriber::filter::LevelFilter;

    use super::filter;

    #[test]
    fn libraries_log_from_warnings_on() {
        for (level, own, library, kube) in [
            (LogLevel::Off, LevelFilter::OFF, LevelFilter::OFF, LevelFilter::OFF),
            (LogLevel::Error, LevelFilter::ERROR, LevelFilter::ERROR, LevelFilter::ERROR),
            (LogLevel::Info, LevelFilter::INFO, LevelFilter::WARN, LevelFilter::ERROR),
            (LogLevel::Debug, LevelFilter::DEBUG, LevelFilter::WARN, LevelFilter::ERROR),
            (LogLevel::Trace, LevelFilter::TRACE, LevelFilter::TRACE, LevelFilter::TRACE),
        ] {
            let filter = filter(level);
            for (target, limit) in [
                ("eyepiece::otlp", own),
                ("h2::codec", library),
                ("kube_client::client", kube),
                ("bollard::docker", LevelFilter::OFF),
            ] {
                for step in
                    [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE]
                {
                    let enabled = step.into_level().is_some_and(|step| filter.would_enable(target, &step));
                    assert_eq!(enabled, step <= limit, "{level} {target} {step}");
                }
            }
        }
    }
}
