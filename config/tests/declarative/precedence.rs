//! The file among the other sources: above the defaults, in the place of OpenTelemetry's variables.

use eyepiece_config::Signal;

use crate::support::{file, ok};

const YAML: &str = "file_format: \"1.1\"\nlogger_provider:\n  processors:\n    - batch:\n        exporter:\n          \
                    otlp_grpc: {endpoint: \"http://declarative:1\"}\ndistribution:\n  eyepiece:\n    node: {cluster: \
                    declarative}\n";

#[test]
fn later_layer_wins() {
    let yaml = file(YAML);
    let name = yaml.path().display().to_string();
    let variable = format!("OTEL_CONFIG_FILE={name}");
    let own = "EYEPIECE_NODE__CLUSTER=own";
    for (toml, env, sets, cluster, origin) in [
        ("", &[][..], &[][..], "declarative", format!("{name}:9: distribution.eyepiece.node.cluster")),
        ("node.cluster = \"file\"", &[], &[], "file", String::new()),
        ("node.cluster = \"file\"", &[own], &[], "own", "EYEPIECE_NODE__CLUSTER".to_owned()),
        ("", &[own], &["node.cluster=flag"], "flag", "--set node.cluster".to_owned()),
    ] {
        let env: Vec<&str> = env.iter().copied().chain([variable.as_str()]).collect();
        let loaded = ok(toml, &env, sets);
        assert_eq!(loaded.settings.node.cluster, cluster);
        assert!(loaded.origins["node.cluster"].contains(&origin), "{:?}", loaded.origins);
    }
}

#[test]
fn stronger_general_key_replaces_exporter() {
    let yaml = file(YAML);
    let variable = format!("OTEL_CONFIG_FILE={}", yaml.path().display());
    for (toml, sets, logs, is_exported) in [
        ("", &[][..], "http://declarative:1", false),
        ("otlp.endpoint = \"http://file:1\"", &[], "http://file:1", false),
        ("", &["otlp.endpoint=http://flag:1"], "http://flag:1", false),
        ("otlp.metrics.enabled = true", &[], "http://declarative:1", true),
    ] {
        let otlp = ok(toml, &[&variable], sets).settings.otlp;
        assert_eq!(otlp.export(Signal::Logs).endpoint, logs, "{toml} {sets:?}");
        assert_eq!(otlp.export(Signal::Metrics).enabled, is_exported, "{toml} {sets:?}");
    }
}
