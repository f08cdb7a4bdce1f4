//! The committed files: the reference is generated and holds the defaults, and the examples load.

use std::path::PathBuf;

use eyepiece_config::{FlowDetail, Loaded, Protocol, Settings, Signal, Sources, load, reference};

fn here(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> Loaded {
    load(&Sources { file: Some(here(name)), ..Sources::default() }).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `EYEPIECE_REGENERATE=1 cargo test -p eyepiece-config --test reference` writes the file.
#[test]
fn reference_file_is_generated() {
    let (path, generated) = (here("reference.toml"), reference());
    if std::env::var_os("EYEPIECE_REGENERATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), generated);
}

#[test]
fn reference_file_holds_defaults() {
    let mut settings = read("reference.toml").settings;
    // A file sets the key.
    assert!(std::mem::take(&mut settings.hubble.listen_given));
    assert_eq!(settings, Settings::default());
    assert_eq!(load(&Sources::default()).unwrap().settings, Settings::default());
}

#[test]
fn reference_has_120_columns() {
    let text = reference();
    assert_eq!(text.lines().find(|line| line.chars().count() > 120), None);
}

#[test]
fn vm_example_loads() {
    let settings = read("examples/vm.toml").settings;
    assert_eq!(settings.otlp.export(Signal::Logs).endpoint, "http://collector.example:4317");
    assert_eq!(settings.node.cluster, "vms");
}

#[test]
fn http_example_loads() {
    let otlp = read("examples/http.toml").settings.otlp;
    let (logs, metrics) = (otlp.export(Signal::Logs), otlp.export(Signal::Metrics));
    assert_eq!(logs.protocol, Protocol::HttpProtobuf);
    assert_eq!(logs.endpoint, "https://otlp.example/v1/logs");
    assert_eq!(metrics.endpoint, "https://metrics.example/otlp/v1/metrics");
    assert_eq!(logs.headers["authorization"].expose(), "Bearer replace-me");
}

#[test]
fn metrics_example_loads() {
    let settings = read("examples/metrics-only.toml").settings;
    assert!(!settings.otlp.export(Signal::Logs).enabled);
    assert!(settings.otlp.export(Signal::Metrics).enabled);
}

#[test]
fn declarative_example_loads() {
    let load = |variables: &[(&str, &str)]| {
        let env = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let env = env.chain([("OTEL_CONFIG_FILE".into(), here("examples/otel.yaml").into())]).collect();
        load(&Sources { env, ..Sources::default() }).unwrap_or_else(|error| panic!("{error}"))
    };
    let loaded = load(&[]);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let otlp = &loaded.settings.otlp;
    assert_eq!(otlp.resource_attributes["deployment.environment.name"], "production");
    assert_eq!(loaded.settings.prometheus.listen.map(|address| address.port()), Some(9465));
    assert_eq!(loaded.settings.metrics.flow_detail, FlowDetail::Transport);
    let variables = [("COLLECTOR", "https://c:1"), ("COLLECTOR_AUTHORIZATION", "Bearer x")];
    let set = load(&variables).settings.otlp;
    for signal in Signal::ALL {
        let (plain, set) = (otlp.export(signal), set.export(signal));
        assert_eq!((plain.endpoint.as_str(), plain.headers.len()), ("http://localhost:4317", 0));
        assert_eq!((set.endpoint.as_str(), set.headers["authorization"].expose()), ("https://c:1", "Bearer x"));
    }
}

#[test]
fn every_example_has_a_test() {
    let mut names: Vec<_> =
        std::fs::read_dir(here("examples")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    // The provider of names reads names.toml in its own tests.
    assert_eq!(names, ["http.toml", "metrics-only.toml", "names.toml", "otel.yaml", "vm.toml"]);
}
