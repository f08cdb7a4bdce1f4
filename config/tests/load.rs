//! Layers and mistakes, as tables.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::Duration;

use eyepiece_config::{ConfigError, Context, HIDDEN, Loaded, LogLevel, Protocol, Set, Signal, Sources, load};
use tempfile::NamedTempFile;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("room for it");
    file
}

/// Loads a file's text, variables as `NAME=value`, and flags as `key=value`.
fn try_load(text: &str, env: &[&str], sets: &[&str]) -> Result<Loaded, ConfigError> {
    let file = file(text);
    let split = |pair: &&str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a pair");
    let env = env.iter().map(split).map(|(name, value)| (name.into(), value.into())).collect();
    let set = |(key, value): (String, String)| Set { origin: format!("--set {key}"), key, value };
    let sets = sets.iter().map(split).map(set).collect();
    load(&Sources { env, file: Some(file.path().to_owned()), default_file: None, sets, hostname: "host1".to_owned() })
}

fn ok(text: &str, env: &[&str], sets: &[&str]) -> Loaded {
    try_load(text, env, sets).unwrap_or_else(|error| panic!("{error}"))
}

/// The mistakes, the file's name as FILE.
fn mistakes(text: &str, env: &[&str], sets: &[&str]) -> Vec<String> {
    let Err(error) = try_load(text, env, sets) else { return Vec::new() };
    let temporary = std::env::temp_dir();
    let shorten = |text: &str| {
        let words = text.split_inclusive([' ', ')', ':']);
        words
            .map(|word| {
                if word.contains(temporary.to_str().expect("UTF-8")) {
                    "FILE".to_owned() + &word[word.len() - 1..]
                } else {
                    word.to_owned()
                }
            })
            .collect()
    };
    error.problems.iter().map(|problem| shorten(&problem.to_string())).collect()
}

#[test]
fn each_layer_wins_over_the_ones_before() {
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
fn every_kind_of_value_from_file_variable_and_flag() {
    let from_file = ok(
        "[datapath]\ncapture_bytes = 14\ndrops = false\ninterval = \"1m30s\"\nbuffer = \"16MiB\"\n\
         interfaces.include = [\"a\", \"b*\"]\nattach = \"tcx\"\n[metrics]\ncontexts.source = \"name|ip\"\n\
         [otlp.resource_attributes]\na.b = \"c\"\n\"d\" = \"1\"\n[admin]\nlisten = \"[::1]:0\"",
        &[],
        &[],
    );
    let names = [
        ("datapath.capture_bytes", "14"),
        ("datapath.drops", "false"),
        ("datapath.interval", "1m30s"),
        ("datapath.buffer", "16MiB"),
        ("datapath.interfaces.include", "a, b*"),
        ("datapath.attach", "tcx"),
        ("metrics.contexts.source", "name|ip"),
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
    assert_eq!(settings.datapath.capture_bytes, 14);
    assert_eq!(settings.datapath.interval, Duration::from_secs(90));
    assert_eq!(settings.datapath.interfaces.include, ["a", "b*"]);
    assert_eq!(settings.metrics.contexts.source, [Context::Name, Context::Ip]);
    assert_eq!(settings.otlp.resource_attributes["a.b"], "c");
    assert_eq!(settings.admin.listen.unwrap().to_string(), "[::1]:0");
}

#[test]
fn texts_stay_texts_whatever_they_look_like() {
    let loaded = ok("", &["EYEPIECE_NODE__NAME=0123", "EYEPIECE_NODE__CLUSTER=true"], &["otlp.service_name=[x]"]);
    let settings = loaded.settings;
    assert_eq!((settings.node.name.as_str(), settings.node.cluster.as_str()), ("0123", "true"));
    assert_eq!(settings.otlp.service_name, "[x]");
}

#[test]
fn lists_of_flags_may_be_toml_or_empty() {
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
fn entries_of_a_table_are_added_one_by_one_and_a_text_replaces_it() {
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
fn opentelemetrys_variables() {
    let settings = ok(
        "",
        &[
            "OTEL_EXPORTER_OTLP_ENDPOINT=https://c:4318/base",
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            "OTEL_EXPORTER_OTLP_HEADERS=Api-Key = secret%2C1 ,x=y",
            "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
            "OTEL_EXPORTER_OTLP_TIMEOUT=1500",
            "OTEL_EXPORTER_OTLP_CERTIFICATE=/ca.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=/cert.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY=/key.pem",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=https://logs:1/own",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS=z=1",
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=20",
            "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE=/m.pem",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=not ours",
            "OTEL_SERVICE_NAME=mine",
            "OTEL_RESOURCE_ATTRIBUTES=service.name=other,a=b%20c, d=e",
            "OTEL_METRIC_EXPORT_INTERVAL=2000",
            "OTEL_LOG_LEVEL=DEBUG",
        ],
        &[],
    )
    .settings;
    let (logs, metrics) = (settings.otlp.export(Signal::Logs), settings.otlp.export(Signal::Metrics));
    assert_eq!(
        (logs.endpoint.as_str(), metrics.endpoint.as_str()),
        ("https://logs:1/own", "https://c:4318/base/v1/metrics")
    );
    assert_eq!((logs.timeout, metrics.timeout), (Duration::from_millis(1500), Duration::from_millis(20)));
    assert_eq!((logs.tls.ca, metrics.tls.ca), (Some(PathBuf::from("/ca.pem")), Some(PathBuf::from("/m.pem"))));
    assert_eq!((logs.tls.cert, logs.tls.key), (Some(PathBuf::from("/cert.pem")), Some(PathBuf::from("/key.pem"))));
    assert_eq!(logs.headers.keys().collect::<Vec<_>>(), ["z"]);
    assert_eq!(metrics.headers["api-key"].expose(), "secret,1");
    assert_eq!(settings.otlp.service_name, "mine");
    assert_eq!(
        settings.otlp.resource_attributes,
        [("a", "b c"), ("d", "e")].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
    );
    assert_eq!(settings.otlp.metrics.interval, Duration::from_secs(2));
    assert_eq!(settings.log.level, LogLevel::Debug);
    assert_eq!(metrics.protocol, Protocol::HttpProtobuf);
}

#[test]
fn service_name_out_of_the_resource_attributes() {
    let otlp = ok("", &["OTEL_RESOURCE_ATTRIBUTES=service.name=other"], &[]).settings.otlp;
    assert_eq!((otlp.service_name.as_str(), otlp.resource_attributes.len()), ("other", 0));
}

#[test]
fn endpoints_without_a_scheme_and_empty_variables() {
    for (env, endpoint) in [
        (&["OTEL_EXPORTER_OTLP_ENDPOINT=c:4317"][..], "https://c:4317"),
        (&["OTEL_EXPORTER_OTLP_ENDPOINT=c:4317", "OTEL_EXPORTER_OTLP_INSECURE=TRUE"], "http://c:4317"),
        (&["OTEL_EXPORTER_OTLP_ENDPOINT=https://c:4317", "OTEL_EXPORTER_OTLP_INSECURE=true"], "https://c:4317"),
        (&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=c:1", "OTEL_EXPORTER_OTLP_INSECURE=true"], "http://c:1"),
        (
            &[
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=c:1",
                "OTEL_EXPORTER_OTLP_INSECURE=true",
                "OTEL_EXPORTER_OTLP_LOGS_INSECURE=false",
            ],
            "https://c:1",
        ),
        (
            &["OTEL_EXPORTER_OTLP_ENDPOINT= ", "OTEL_EXPORTER_OTLP_TIMEOUT=", "OTEL_EXPORTER_OTLP_PROTOCOL="],
            "http://localhost:4317",
        ),
    ] {
        assert_eq!(ok("", env, &[]).settings.otlp.export(Signal::Logs).endpoint, endpoint, "{env:?}");
    }
}

#[test]
fn the_default_port_follows_the_protocol() {
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
fn one_mistake_one_line() {
    const DURATION: &str = "use a duration such as 250ms, 5s or 1m";
    const URL: &str = "use a URL such as http://localhost:4317 or https://collector.example:4317";
    const ADDRESS: &str =
        "use an IP address and a port, such as 127.0.0.1:9966 or [::1]:9966, or an empty text for off";
    for (set, message) in [
        ("otlp.endpont=x", "no such key; did you mean otlp.endpoint?"),
        ("oltp.endpoint=x", "no such key; did you mean otlp.endpoint?"),
        ("hubble.listen=x", "no such key; known here: node, source, datapath, metrics, otlp, admin, log"),
        ("admin.x=x", "no such key; known here: admin.listen"),
        ("log=x", "it is a table of keys, not a value; set one of log.level, log.format"),
        ("node.name.x=x", "it is a table; use a text"),
        ("node.cluster= ", "it is empty; use a text that is not empty"),
        ("datapath.drops=yes", "\"yes\" is a text; use true or false"),
        ("datapath.capture_bytes=x", "\"x\" is a text; use a whole number from 14 to 1024"),
        ("datapath.capture_bytes=13", "13 is too small; use a whole number from 14 to 1024"),
        ("datapath.capture_bytes=1025", "1025 is too large; use a whole number from 14 to 1024"),
        ("datapath.capture_bytes=-1", "-1 is too small; use a whole number from 14 to 1024"),
        ("datapath.max_connections=0", "0 is too small; use a whole number from 1 to 16777216"),
        ("datapath.buffer=1", "\"1\" has no unit; use a size from 4KiB to 2GiB, such as 8MiB"),
        ("datapath.buffer=4095B", "\"4095B\" is too small; use a size from 4KiB to 2GiB, such as 8MiB"),
        ("datapath.buffer=3GiB", "\"3GiB\" is too large; use a size from 4KiB to 2GiB, such as 8MiB"),
        ("datapath.interval=0s", &format!("\"0s\" is no time at all; {DURATION}")),
        ("datapath.interval=5", &format!("\"5\" has no unit; {DURATION}")),
        ("otlp.logs.timeout=0s", &format!("\"0s\" is no time at all; {DURATION}")),
        ("datapath.attach=xdp", "\"xdp\" is not known; use auto, tcx, clsact"),
        ("source.kind=hubble", "\"hubble\" is not known; use datapath"),
        ("otlp.logs.protocol=http/json", "\"http/json\" is not known; use grpc, http/protobuf, stdout"),
        (
            "metrics.contexts.source=name|pod",
            "\"pod\" is not known; use name, ip, identity, reserved-identity; several with | between them",
        ),
        (
            "metrics.contexts.source=",
            "\"\" is not known; use name, ip, identity, reserved-identity; several with | between them",
        ),
        (
            "datapath.interfaces.include=a,,b",
            "the list has an empty text; use a list of texts, such as [\"eth*\", \"veth?\"]",
        ),
        (
            "datapath.interfaces.include=[1]",
            "in the list, 1 is a number; use a list of texts, such as [\"eth*\", \"veth?\"]",
        ),
        (
            "datapath.interfaces.include=",
            "the list is empty, so nothing would be watched; name the interfaces to watch, or \"*\" for all",
        ),
        ("otlp.endpoint=localhost:4317", &format!("\"localhost:4317\" does not begin with http:// or https://; {URL}")),
        ("otlp.endpoint=grpc://c:1", &format!("\"grpc://c:1\" has the scheme \"grpc\"; {URL}")),
        ("otlp.endpoint=http://", &format!("\"http://\" names no host; {URL}")),
        ("otlp.endpoint=http://:4317", &format!("\"http://:4317\" names no host; {URL}")),
        ("otlp.endpoint=http://c:65536", &format!("\"http://c:65536\" has a port that is none; {URL}")),
        ("otlp.endpoint=http://c:0", &format!("\"http://c:0\" has a port that is none; {URL}")),
        ("otlp.endpoint=http://c?a=b", &format!("\"http://c?a=b\" has a query or a fragment; {URL}")),
        (
            "otlp.endpoint=http://me:pass@c",
            "the URL holds credentials; send them in otlp.headers, which is kept secret",
        ),
        (
            "otlp.endpoint=http://c:4317/v1/logs",
            "a gRPC endpoint has no path, this one has \"/v1/logs\"; leave the path out, or set the protocol to http/protobuf",
        ),
        ("otlp.headers=abc", "entry 1 has no name=value form; use a table of texts, or a text name=value,name=value"),
        (
            "otlp.headers=a=%zz",
            "the value of \"a\" is not percent-encoded UTF-8; use a table of texts, or a text name=value,name=value",
        ),
        ("otlp.headers.a b=c", "\"a b\" is no header name; use a table of texts, or a text name=value,name=value"),
        (
            "otlp.headers.a=b\nc",
            "the value of \"a\" is no header value; use a table of texts, or a text name=value,name=value",
        ),
        (
            "otlp.headers.a=<hidden>",
            "the value of \"a\" is what stands for a secret in a printed configuration; use a table of texts, or a text name=value,name=value",
        ),
        (
            "otlp.resource_attributes.service.name=x",
            "service.name has a key of its own, otlp.service_name; use a table of texts, or a text name=value,name=value",
        ),
        ("otlp.logs.tls.key=/k", "a key without its client certificate; set otlp.logs.tls.cert too"),
        (
            "otlp.tls.ca=/ca",
            "the endpoint begins with http://, so nothing is encrypted; use an https:// endpoint, or leave it out",
        ),
        (
            "otlp.logs.tls.ca=/ca",
            "the endpoint begins with http://, so nothing is encrypted; use an https:// endpoint, or leave it out",
        ),
        ("otlp.logs.batch_records=65537", "65537 is more than otlp.logs.queue_records holds; use at most 65536"),
        (
            "metrics.idle_expiry=9s",
            "series would be dropped before they are exported; use at least otlp.metrics.interval, or 0s for never",
        ),
        ("admin.listen=localhost:9966", &format!("\"localhost:9966\" is no IP address with a port; {ADDRESS}")),
        ("admin.listen=127.0.0.1:65536", &format!("\"127.0.0.1:65536\" is no IP address with a port; {ADDRESS}")),
    ] {
        let (key, _) = set.split_once('=').unwrap();
        // An entry of a table is a mistake of the table.
        let table = ["otlp.headers", "otlp.resource_attributes"].into_iter().find(|table| key.starts_with(table));
        let shown = match key {
            "node.name.x" => "node.name",
            "log" => "log",
            key => table.unwrap_or(key),
        };
        assert_eq!(mistakes("", &[], &[set]), [format!("{shown} (from --set {key}): {message}")]);
    }
}

#[test]
fn types_of_a_file() {
    for (text, message) in [
        (
            "[datapath]\ncapture_bytes = \"128\"",
            "datapath.capture_bytes (from FILE): \"128\" is a text; use a whole number from 14 to 1024",
        ),
        (
            "[datapath]\ncapture_bytes = 1.5",
            "datapath.capture_bytes (from FILE): 1.5 is a number with a fraction; use a whole number from 14 to 1024",
        ),
        (
            "[datapath]\ninterval = 5",
            "datapath.interval (from FILE): 5 is a number; use a duration such as 250ms, 5s or 1m",
        ),
        ("[node]\nname = true", "node.name (from FILE): true is no text or number; use a text"),
        (
            "[otlp]\nheaders = [\"secret\"]",
            "otlp.headers (from FILE): it is a list; use a table of texts, or a text name=value,name=value",
        ),
        (
            "[otlp]\nheaders = { a = 5 }",
            "otlp.headers (from FILE): the value of \"a\" is no text; use a table of texts, or a text name=value,name=value",
        ),
        (
            "node = 5",
            "node (from FILE): it is a table of keys, not a value; set one of node.name, node.cluster, node.drain",
        ),
        ("[nod]", "nod (from FILE): no such key; did you mean node?"),
        (
            "[otlp]\nheaders = { a = \"secret }",
            "FILE: is not TOML: line 2, column 26: invalid basic string; see `eyepiece config reference` for the form",
        ),
    ] {
        assert_eq!(mistakes(text, &[], &[]), [message], "{text}");
    }
}

#[test]
fn variables_are_named() {
    for (env, message) in [
        (
            "EYEPIECE_OTLP_ENDPOINT=x",
            "otlp_endpoint (from EYEPIECE_OTLP_ENDPOINT): no such key; did you mean otlp.endpoint?",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT=10s",
            "OTEL_EXPORTER_OTLP_TIMEOUT: \"10s\" is no number of milliseconds; use a whole number without a unit, such as 10000",
        ),
        (
            "OTEL_METRIC_EXPORT_INTERVAL=0",
            "otlp.metrics.interval (from OTEL_METRIC_EXPORT_INTERVAL): \"0ms\" is no time at all; use a duration such as 250ms, 5s or 1m",
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
            "otlp.protocol (from OTEL_EXPORTER_OTLP_PROTOCOL): \"http/json\" is not known; use grpc, http/protobuf, stdout",
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS=secret",
            "otlp.logs.headers (from OTEL_EXPORTER_OTLP_LOGS_HEADERS): entry 1 has no name=value form; use a table of texts, or a text name=value,name=value",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES=a=b,c",
            "OTEL_RESOURCE_ATTRIBUTES: entry 2 has no name=value form; use name=value,name=value with values percent-encoded",
        ),
    ] {
        assert_eq!(mistakes("", &[env], &[]), [message]);
    }
}

#[test]
fn what_is_overridden_is_no_mistake_and_what_orchestrators_inject_neither() {
    let env = [
        "OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
        "EYEPIECE_SERVICE_HOST=10.0.0.1",
        "EYEPIECE_SERVICE_PORT_ADMIN=9966",
        "EYEPIECE_PORT=tcp://10.0.0.1:9966",
        "EYEPIECE_PORT_9966_TCP_ADDR=10.0.0.1",
        "PATH=/bin",
    ];
    assert_eq!(mistakes("[otlp]\nprotocol = \"grpc\"", &env, &[]), [""; 0]);
}

#[test]
fn all_mistakes_at_once() {
    let found = mistakes(
        "[datapath]\nattach = \"xdp\"\ncapture = 1\n[otlp]\ntls.cert = \"/c\"",
        &["EYEPIECE_ADMIN__LISTEN=nowhere", "OTEL_EXPORTER_OTLP_TIMEOUT=x"],
        &["log.level=loud", "otlp.logs.batch_records=0"],
    );
    let starts = [
        "OTEL_EXPORTER_OTLP_TIMEOUT: \"x\"",
        "admin.listen (from EYEPIECE_ADMIN__LISTEN): ",
        "datapath.attach (from FILE): ",
        "datapath.capture (from FILE): no such key",
        "log.level (from --set log.level): ",
        "otlp.logs.batch_records (from --set otlp.logs.batch_records): 0 is too small",
        "otlp.tls.cert (from FILE): a client certificate without its key",
        "otlp.tls.cert (from FILE): the endpoint begins with http://",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found} / {start}");
    }
    let text = try_load("x = 1\ny = 2", &[], &[]).unwrap_err().to_string();
    assert!(text.starts_with("the configuration has 2 mistakes:\n  x (from "), "{text}");
}

#[test]
fn files_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml");
    let named = load(&Sources { file: Some(missing.clone()), ..Sources::default() }).unwrap_err();
    assert_eq!(
        named.problems[0].to_string(),
        format!("{}: cannot be read: No such file or directory (os error 2); name a readable file", missing.display())
    );
    assert!(load(&Sources { default_file: Some(missing), ..Sources::default() }).is_ok());
    let present = file("[node]\nname = \"n\"");
    let both = Sources { default_file: Some(present.path().to_owned()), ..Sources::default() };
    assert_eq!(load(&both).unwrap().settings.node.name, "n");
    let other = file("[node]\nname = \"other\"");
    assert_eq!(load(&Sources { file: Some(other.path().to_owned()), ..both }).unwrap().settings.node.name, "other");
}

#[test]
fn a_variable_that_is_no_utf8() {
    let bytes = OsString::from_vec(vec![0xff]);
    let env = vec![("EYEPIECE_NODE__NAME".into(), bytes.clone()), ("OTHER".into(), bytes.clone()), (bytes, "x".into())];
    let problems = load(&Sources { env, ..Sources::default() }).unwrap_err().problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(
        problems[0].to_string(),
        "EYEPIECE_NODE__NAME: the variable is not UTF-8; set it to UTF-8 text or unset it"
    );
}

#[test]
fn the_hosts_name_where_none_is_given() {
    assert_eq!(ok("", &[], &[]).settings.node.name, "host1");
    assert_eq!(ok("", &[], &["node.name="]).settings.node.name, "host1");
    assert_eq!(ok("", &[], &["node.name=n"]).settings.node.name, "n");
}

#[test]
fn secrets_are_never_shown() {
    let loaded = ok("", &["OTEL_EXPORTER_OTLP_HEADERS=k=s3cret"], &["otlp.logs.headers.authorization=s3cret"]);
    let (debug, printed) = (format!("{loaded:?}"), loaded.print());
    let export = format!("{:?}", loaded.settings.otlp.export(Signal::Logs));
    for text in [&debug, &printed, &export] {
        assert!(!text.contains("s3cret") && text.contains(HIDDEN), "{text}");
    }
    assert!(
        printed.contains("headers = { \"authorization\" = \"<hidden>\" } # --set otlp.logs.headers.authorization\n")
    );
    for set in
        ["otlp.headers=s3cret", "otlp.headers=a=s3cret%", "otlp.headers.a=s3cret\n", "otlp.endpoint=http://a:s3cret@c"]
    {
        let found = mistakes("", &[], &[set]);
        assert!(found.len() == 1 && !found[0].contains("s3cret"), "{found:?}");
    }
    let found = mistakes("[otlp]\nheaders = { a = \"s3cret\" ", &[], &[]);
    assert!(found.len() == 1 && !found[0].contains("s3cret"), "{found:?}");
}

#[test]
fn what_is_printed_reads_back_with_its_origins() {
    let loaded = ok("[node]\nname = \"quoted \\\" # \\\\\"", &["EYEPIECE_LOG__LEVEL=warn"], &["datapath.buffer=3MiB"]);
    let printed = loaded.print();
    assert!(printed.contains("level = \"warn\" # EYEPIECE_LOG__LEVEL\n"), "{printed}");
    assert!(printed.contains("buffer = \"3MiB\" # --set datapath.buffer\n"), "{printed}");
    assert!(printed.contains("format = \"text\"\n"), "{printed}");
    assert_eq!(ok(&printed, &[], &[]).settings, loaded.settings);
}
