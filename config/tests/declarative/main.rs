//! The file of `OTEL_CONFIG_FILE`: OpenTelemetry's declarative configuration.

mod examples;
mod mistakes;
mod nodes;
mod precedence;
#[path = "../support/setting.rs"]
mod setting;
#[path = "../support/mod.rs"]
mod support;
mod unsupported;
mod variables;

use eyepiece_config::{Loaded, Problem};
use support::{file, try_load};

/// A loaded file: its warnings, with FILE for its name.
struct Read {
    loaded: Loaded,
    warnings: Vec<String>,
}

/// Loads a file with variables as `NAME=value`, or returns its mistakes.
fn try_read(yaml: &str, env: &[&str]) -> Result<Read, Vec<String>> {
    let file = file(yaml);
    let name = file.path().to_str().expect("UTF-8");
    let variable = format!("OTEL_CONFIG_FILE={name}");
    let env: Vec<&str> = env.iter().copied().chain([variable.as_str()]).collect();
    let shown = |problems: &[Problem]| -> Vec<String> {
        problems.iter().map(|problem| problem.to_string().replace(name, "FILE")).collect()
    };
    match try_load("", &env, &[]) {
        Ok(mut loaded) => {
            loaded.origins.values_mut().for_each(|origin| *origin = origin.replace(name, "FILE"));
            let warnings = shown(&loaded.warnings);
            Ok(Read { loaded, warnings })
        }
        Err(error) => Err(shown(&error.problems)),
    }
}

/// Loads nodes below the version, which must be valid.
fn read(nodes: &str) -> Read {
    let yaml = format!("file_format: \"1.1\"\n{nodes}\n");
    try_read(&yaml, &[]).unwrap_or_else(|mistakes| panic!("{nodes}: {mistakes:#?}"))
}

/// The mistakes of nodes below the version.
fn mistakes(nodes: &str) -> Vec<String> {
    match try_read(&format!("file_format: \"1.1\"\n{nodes}\n"), &[]) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes,
    }
}

/// A `logger_provider` with an exporter, and fields of its batch processor.
fn logs(exporter: &str, fields: &str) -> String {
    format!("logger_provider: {{processors: [{{batch: {{exporter: {{{exporter}}}, {fields}}}}}]}}")
}

/// A `meter_provider` with an exporter, and fields of its periodic reader.
fn metrics(exporter: &str, fields: &str) -> String {
    format!("meter_provider: {{readers: [{{periodic: {{exporter: {{{exporter}}}, {fields}}}}}]}}")
}

/// A `meter_provider` with an endpoint of Prometheus.
fn pull(fields: &str) -> String {
    format!("meter_provider: {{readers: [{{pull: {{exporter: {{prometheus/development: {{{fields}}}}}}}}}]}}")
}
