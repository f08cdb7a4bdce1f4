//! Layers and values, as tables.

mod opentelemetry;
#[path = "../support/setting.rs"]
mod setting;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::time::Duration;

use eyepiece_config::{Context, Enabled, HandlerName, Kubernetes, PodScope, Protocol, Signal};
use support::{ok, try_load};

#[test]
fn later_layer_wins() {
    let text = "[otlp]\nendpoint = \"http://file:1\"";
    let otel = "OTEL_EXPORTER_OTLP_ENDPOINT=http://otel:1";
    let own = "EYEPIECE_OTLP__ENDPOINT=http://own:1";
    let flag = "otlp.endpoint=http://flag:1";
    for (text, env, sets, endpoint, origin) in [
        ("", &[][..], &[][..], "http://localhost:4317", None),
        ("", &[otel], &[], "http://otel:1", Some("OTEL_EXPORTER_OTLP_ENDPOINT")),
        (text, &[otel], &[], "http://file:1", None),
        (text, &[otel, own], &[], "http://own:1", Some("EYEPIECE_OTLP__ENDPOINT")),
        (text, &[own, otel], &[flag], "http://flag:1", Some("--set otlp.endpoint")),
        ("", &[otel], &[flag, "otlp.endpoint=http://last:1"], "http://last:1", Some("--set otlp.endpoint")),
    ] {
        let loaded = ok(text, env, sets);
        assert_eq!(loaded.settings.otlp.endpoint, endpoint);
        if let Some(origin) = origin {
            assert_eq!(loaded.origins["otlp.endpoint"], origin);
        }
    }
}

#[test]
fn docker_section_loads() {
    let text = "[metadata.docker]\nenabled = \"on\"\nsocket = \"/run/podman/podman.sock\"";
    for (text, enabled, socket) in
        [("", Enabled::Auto, "/var/run/docker.sock"), (text, Enabled::On, "/run/podman/podman.sock")]
    {
        let docker = ok(text, &[], &[]).settings.metadata.docker;
        assert_eq!((docker.enabled, docker.socket.as_str()), (enabled, socket));
    }
}

#[test]
fn general_key_overrides_weaker_signal_key() {
    let otel = ["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://otel:1", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/protobuf"];
    let own = "EYEPIECE_OTLP__LOGS__ENDPOINT=http://own:1";
    let text = "[otlp]\nendpoint = \"http://file:1\"";
    for (text, env, sets, logs, protocol) in [
        ("", &otel[..], &[][..], "http://otel:1/", Protocol::HttpProtobuf),
        ("", &otel, &["otlp.protocol=stdout"], "http://otel:1", Protocol::Stdout),
        ("", &otel, &["otlp.endpoint=http://flag:1"], "http://flag:1/v1/logs", Protocol::HttpProtobuf),
        (text, &otel, &["otlp.protocol=grpc"], "http://file:1", Protocol::Grpc),
        (text, &[own], &[], "http://own:1", Protocol::Grpc),
        (text, &[own, otel[0]], &["otlp.endpoint=http://flag:1"], "http://flag:1", Protocol::Grpc),
        // In the same or a stronger layer, the signal's own value wins.
        ("", &[], &["otlp.endpoint=http://a:1", "otlp.logs.endpoint=http://b:1"], "http://b:1", Protocol::Grpc),
        (text, &[otel[1]], &["otlp.logs.endpoint=http://b:1"], "http://b:1/", Protocol::HttpProtobuf),
    ] {
        let loaded = ok(text, env, sets);
        let export = loaded.settings.otlp.export(Signal::Logs);
        assert_eq!((export.endpoint.as_str(), export.protocol), (logs, protocol), "{text} {env:?} {sets:?}");
    }
    // Overridden values are neither shown nor checked; headers and certificates, too.
    let env = ["OTEL_EXPORTER_OTLP_METRICS_HEADERS=nonsense", "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE=/weak"];
    let loaded = ok("", &env, &["otlp.endpoint=https://c:1", "otlp.headers=a=b", "otlp.tls.ca=/strong"]);
    let export = loaded.settings.otlp.export(Signal::Metrics);
    assert_eq!(export.headers.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(export.tls.ca, Some(PathBuf::from("/strong")));
    assert!(!loaded.origins.keys().any(|key| key.starts_with("otlp.metrics")), "{:?}", loaded.origins);
}

#[test]
fn every_kind_from_every_source() {
    let from_file = ok(
        "[datapath]\ncapture_bytes = 96\ndrops = false\ninterval = \"1m30s\"\nbuffer = \"16MiB\"\n\
         interfaces.include = [\"a\", \"b*\"]\nattach = \"tcx\"\n[metrics]\ncontexts.source = \"name|ip\"\n\
         hubble = [\"drop:sourceContext=pod|ip flow\", \"tcp:labelsContext=source_pod,source_ip\"]\n\
         [otlp.resource_attributes]\na.b = \"c\"\n\"d\" = \"1\"\n[admin]\nlisten = \"[::1]:0\"",
        &[],
        &[],
    );
    let names = [
        ("datapath.capture_bytes", "96"),
        ("datapath.drops", "false"),
        ("datapath.interval", "1m30s"),
        ("datapath.buffer", "16MiB"),
        ("datapath.interfaces.include", "a, b*"),
        ("datapath.attach", "tcx"),
        ("metrics.contexts.source", "name|ip"),
        ("metrics.hubble", "drop:sourceContext=pod|ip  flow\ttcp:labelsContext=source_pod,source_ip"),
        ("otlp.resource_attributes", "a.b=c,d=%31"),
        ("admin.listen", "[::1]:0"),
    ];
    let env: Vec<_> = names
        .iter()
        .map(|(key, value)| format!("EYEPIECE_{}={value}", key.to_uppercase().replace('.', "__")))
        .collect();
    let sets: Vec<_> = names.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let env: Vec<_> = env.iter().map(String::as_str).collect();
    let sets: Vec<_> = sets.iter().map(String::as_str).collect();
    assert_eq!(from_file.settings, ok("", &env, &[]).settings);
    assert_eq!(from_file.settings, ok("", &[], &sets).settings);
    let settings = from_file.settings;
    assert_eq!(settings.datapath.capture_bytes, 96);
    assert_eq!(settings.datapath.interval, Duration::from_secs(90));
    assert_eq!(settings.datapath.interfaces.include, ["a", "b*"]);
    assert_eq!(settings.metrics.contexts.source, [Context::Name, Context::Ip]);
    let handlers: Vec<_> = settings.metrics.hubble.iter().map(|handler| handler.name).collect();
    assert_eq!(handlers, [HandlerName::Drop, HandlerName::Flow, HandlerName::Tcp].map(Some));
    assert_eq!(settings.metrics.hubble[0].contexts.source.any, [Context::Pod, Context::Ip]);
    assert_eq!(settings.otlp.resource_attributes["a.b"], "c");
    assert_eq!(settings.admin.listen.unwrap().to_string(), "[::1]:0");
}

#[test]
fn kubernetes_runs_by_settings() {
    let kubernetes = |text: &str, env: &[&str]| ok(text, env, &[]).settings.metadata.kubernetes;
    assert_eq!(kubernetes("", &[]), Kubernetes::default());
    let set = Kubernetes { enabled: Enabled::On, kubeconfig: Some("/etc/kube".into()), scope: PodScope::Cluster };
    let text = "[metadata.kubernetes]\nenabled = \"on\"\nkubeconfig = \"/etc/kube\"\nscope = \"cluster\"";
    assert_eq!(kubernetes(text, &[]), set);
    let env = ["EYEPIECE_METADATA__KUBERNETES__ENABLED=off", "EYEPIECE_METADATA__KUBERNETES__KUBECONFIG="];
    assert_eq!(kubernetes(text, &env), Kubernetes { enabled: Enabled::Off, kubeconfig: None, ..set });
    for wrong in ["enabled = \"yes\"", "enabled = true", "scope = \"pod\"", "kubeconfig = 1", "node = \"x\""] {
        assert!(try_load(&format!("[metadata.kubernetes]\n{wrong}"), &[], &[]).is_err(), "{wrong}");
    }
}

#[test]
fn number_like_texts_stay_texts() {
    let loaded = ok("", &["EYEPIECE_NODE__NAME=0123", "EYEPIECE_NODE__CLUSTER=true"], &["otlp.service_name=[x]"]);
    let settings = loaded.settings;
    assert_eq!((settings.node.name.as_str(), settings.node.cluster.as_str()), ("0123", "true"));
    assert_eq!(settings.otlp.service_name, "[x]");
}

#[test]
fn list_flags_may_be_toml() {
    for (set, expected) in [
        ("datapath.interfaces.exclude=", &[][..]),
        ("datapath.interfaces.exclude=a", &["a"]),
        ("datapath.interfaces.exclude=[\"a,b\", \"c\"]", &["a,b", "c"]),
    ] {
        assert_eq!(
            ok("[datapath]\ninterfaces.exclude=[\"z\"]", &[], &[set]).settings.datapath.interfaces.exclude,
            expected
        );
    }
}

#[test]
fn entries_extend_and_text_replaces_table() {
    let text = "[otlp]\nheaders = { A = \"1\", b = \"2\" }";
    let headers = |env: &[&str], sets: &[&str]| {
        let headers = ok(text, env, sets).settings.otlp.headers;
        headers.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(headers(&[], &[]), "a=1 b=2");
    assert_eq!(headers(&["OTEL_EXPORTER_OTLP_HEADERS=x=y"], &[]), "a=1 b=2");
    assert_eq!(headers(&["EYEPIECE_OTLP__HEADERS__X_Y=3,4=%"], &[]), "a=1 b=2 x_y=3,4=%");
    assert_eq!(headers(&[], &["otlp.headers.c.d=5"]), "a=1 b=2 c.d=5");
    assert_eq!(headers(&["EYEPIECE_OTLP__HEADERS=c=Basic%20x%3D"], &[]), "c=Basic x=");
}

#[test]
fn default_port_follows_protocol() {
    for (sets, logs, metrics) in [
        (&[][..], "http://localhost:4317", "http://localhost:4317"),
        (&["otlp.protocol=http/protobuf"], "http://localhost:4318/v1/logs", "http://localhost:4318/v1/metrics"),
        (&["otlp.logs.protocol=http/protobuf"], "http://localhost:4318/v1/logs", "http://localhost:4317"),
        (
            &["otlp.protocol=http/protobuf", "otlp.logs.protocol=grpc"],
            "http://localhost:4317",
            "http://localhost:4318/v1/metrics",
        ),
        (
            &["otlp.protocol=http/protobuf", "otlp.endpoint=http://localhost:4317"],
            "http://localhost:4317/v1/logs",
            "http://localhost:4317/v1/metrics",
        ),
    ] {
        let otlp = ok("", &[], sets).settings.otlp;
        assert_eq!(otlp.export(Signal::Logs).endpoint, logs);
        assert_eq!(otlp.export(Signal::Metrics).endpoint, metrics);
    }
}

#[test]
fn node_name_defaults_to_host() {
    assert_eq!(ok("", &[], &[]).settings.node.name, "host1");
    assert_eq!(ok("", &[], &["node.name="]).settings.node.name, "host1");
    assert_eq!(ok("", &[], &["node.name=n"]).settings.node.name, "n");
}

#[test]
fn printed_settings_load_again() {
    let loaded = ok("[node]\nname = \"quoted \\\" # \\\\\"", &["EYEPIECE_LOG__LEVEL=warn"], &["datapath.buffer=3MiB"]);
    let printed = loaded.print();
    assert!(printed.contains("level = \"warn\" # EYEPIECE_LOG__LEVEL\n"), "{printed}");
    assert!(printed.contains("buffer = \"3MiB\" # --set datapath.buffer\n"), "{printed}");
    assert!(printed.contains("format = \"text\"\n"), "{printed}");
    let mut read = ok(&printed, &[], &[]).settings;
    // A file sets the key.
    assert!(std::mem::take(&mut read.hubble.listen_given) && !loaded.settings.hubble.listen_given);
    assert_eq!(read, loaded.settings);
}
