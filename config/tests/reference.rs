//! The committed files: the reference is what the program prints and means the defaults, the examples load.

use std::path::PathBuf;

use eyepiece_config::{Loaded, Protocol, Settings, Signal, Sources, load, reference};

fn here(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> Loaded {
    load(&Sources { file: Some(here(name)), ..Sources::default() }).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `EYEPIECE_WRITE_REFERENCE=1 cargo test -p eyepiece-config` writes the file anew.
#[test]
fn the_reference_file_is_the_generated_text() {
    let (path, generated) = (here("reference.toml"), reference());
    if std::env::var_os("EYEPIECE_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), generated);
}

#[test]
fn the_reference_file_means_the_defaults() {
    let mut settings = read("reference.toml").settings;
    // Who takes the file for his own has asked for what is in it.
    assert!(std::mem::take(&mut settings.hubble.listen_given));
    assert_eq!(settings, Settings::default());
    assert_eq!(load(&Sources::default()).unwrap().settings, Settings::default());
}

#[test]
fn every_line_of_the_reference_has_at_most_120_columns() {
    let text = reference();
    assert_eq!(text.lines().find(|line| line.chars().count() > 120), None);
}

#[test]
fn vm_example() {
    let settings = read("examples/vm.toml").settings;
    assert_eq!(settings.otlp.export(Signal::Logs).endpoint, "http://collector.example:4317");
    assert_eq!(settings.node.cluster, "vms");
}

#[test]
fn http_example() {
    let otlp = read("examples/http.toml").settings.otlp;
    let (logs, metrics) = (otlp.export(Signal::Logs), otlp.export(Signal::Metrics));
    assert_eq!(logs.protocol, Protocol::HttpProtobuf);
    assert_eq!(logs.endpoint, "https://otlp.example/v1/logs");
    assert_eq!(metrics.endpoint, "https://metrics.example/otlp/v1/metrics");
    assert_eq!(logs.headers["authorization"].expose(), "Bearer replace-me");
}

#[test]
fn metrics_example() {
    let settings = read("examples/metrics-only.toml").settings;
    assert!(!settings.otlp.export(Signal::Logs).enabled);
    assert!(settings.otlp.export(Signal::Metrics).enabled);
}

#[test]
fn there_is_a_test_for_each_example() {
    let mut names: Vec<_> =
        std::fs::read_dir(here("examples")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["http.toml", "metrics-only.toml", "vm.toml"]);
}
