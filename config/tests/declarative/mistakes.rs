//! The text of each mistake, with its node and line.

use std::path::PathBuf;

use eyepiece_config::{Sources, load};

use crate::{logs, metrics, mistakes, pull, try_read};

/// The node of a batch processor's exporter.
const EXPORTER: &str = "logger_provider.processors[0].batch.exporter";

#[test]
fn every_mistake_names_its_node() {
    const TEXT: &str = "use a text, in quotes if it looks like something else";
    let grpc = |fields: &str| logs(&format!("otlp_grpc: {{{fields}}}"), "");
    let batch = |fields: &str| logs("otlp_grpc: ", fields);
    let attribute = |fields: &str| format!("resource: {{attributes: [{{name: a, {fields}}}]}}");
    let own = |tree: &str| format!("distribution: {{eyepiece: {tree}}}");
    let at = |node: &str, message: &str| format!("{node} (from FILE:2): {message}");
    let exporter = |node: &str, message: &str| format!("{EXPORTER}.{node} (from FILE:2): {message}");
    let processor =
        |node: &str, message: &str| format!("logger_provider.processors[0].batch.{node} (from FILE:2): {message}");
    for (nodes, message) in [
        ("log_level: verbose".to_owned(), at("log_level", "\"verbose\" is not known; use trace, trace2, ")),
        ("disabled: yes".to_owned(), at("disabled", "it is a text; use true or false")),
        ("logger_provider: [a]".to_owned(), at("logger_provider", "it is a list; use a mapping")),
        (
            "logger_provider: {}".to_owned(),
            at("logger_provider", "it has no processors; add the node processors, or leave logger_provider out"),
        ),
        (
            "logger_provider: {processors: []}".to_owned(),
            at("logger_provider.processors", "the list is empty; add an item, or leave the node out"),
        ),
        (
            "logger_provider: {processors: [{batch: {schedule_delay: 1}}]}".to_owned(),
            at("logger_provider.processors[0].batch", "it has no exporter; add the node exporter"),
        ),
        (
            "logger_provider: {processors: [{bach: {exporter: {console: }}}]}".to_owned(),
            at("logger_provider.processors[0].bach", "no such node; did you mean batch?"),
        ),
        (
            "meter_provider: {readers: [{push: }]}".to_owned(),
            at("meter_provider.readers[0].push", "no such node; known here: periodic, pull"),
        ),
        (
            "meter_provider: {readers: [{pull: {exporter: {statsd: }}}]}".to_owned(),
            at(
                "meter_provider.readers[0].pull.exporter.statsd",
                "no such node; known here: prometheus/development",
            ),
        ),
        (logs("zipkin: ", ""), exporter("zipkin", "no such node; known here: otlp_grpc, otlp_http, console")),
        (logs("otlp_htp: ", ""), exporter("otlp_htp", "no such node; did you mean otlp_http?")),
        (
            logs("otlp_grpc: , console: ", ""),
            at(EXPORTER, "it has several names; leave one of them"),
        ),
        (batch("schedule_dealy: 1"), processor("schedule_dealy", "no such node; did you mean schedule_delay?")),
        (
            batch("schedule_delay: soon"),
            processor("schedule_delay", "it is a text; use a whole number of milliseconds"),
        ),
        (
            batch("export_timeout: -1"),
            processor("export_timeout", "it is negative; use a whole number of milliseconds"),
        ),
        (
            batch("max_queue_size: 1.5"),
            processor("max_queue_size", "it is a number with a fraction; use a whole number"),
        ),
        (
            batch("max_queue_size: 0"),
            "otlp.logs.queue_records (from FILE:2: logger_provider.processors[0].batch.max_queue_size): 0 is too small; \
             use a whole number from 1 to 16777216"
                .to_owned(),
        ),
        (grpc("compression: zstd"), exporter("otlp_grpc.compression", "\"zstd\" is not known; use none, gzip")),
        (
            grpc("tls: {ca_file: ca.pem}"),
            exporter(
                "otlp_grpc.tls.ca_file",
                "\"ca.pem\" is no absolute path; use the absolute path of a PEM file",
            ),
        ),
        (grpc("tls: {insecure: 1}"), exporter("otlp_grpc.tls.insecure", "it is a whole number; use true or false")),
        (grpc("endpoint: 4317"), exporter("otlp_grpc.endpoint", &format!("it is a whole number; {TEXT}"))),
        (
            grpc("headers_list: s3cret"),
            exporter(
                "otlp_grpc.headers_list",
                "entry 1 has no name=value form; use name=value,name=value with values percent-encoded",
            ),
        ),
        (
            grpc("headers: [{name: a}]"),
            exporter("otlp_grpc.headers[0]", "it has no name or no value; write both; an empty value leaves"),
        ),
        (
            grpc("headers: [{name: a, value: b, type: c}]"),
            exporter("otlp_grpc.headers[0].type", "no such node; known here: name, value"),
        ),
        (
            grpc("headers: [{name: a b, value: s3cret}]"),
            exporter("otlp_grpc.headers[0].value", "it has no header name; use letters, digits and -"),
        ),
        (
            grpc("headers: [{name: Basic s3cret==, value: a}]"),
            exporter("otlp_grpc.headers[0].value", "it has no header name; use letters, digits and -"),
        ),
        (
            grpc("headers_list: \"a=b,Basic s3cret==\""),
            exporter("otlp_grpc.headers_list", "entry 2 has no header name; use letters, digits and -"),
        ),
        (
            grpc("tls.ca_file: /ca.pem"),
            exporter("otlp_grpc.tls.ca_file", "no such node; known here: compression, endpoint, headers, "),
        ),
        (
            grpc("headers: [{name: a, value: 53637}]"),
            exporter("otlp_grpc.headers[0].value", &format!("it is a whole number; {TEXT}")),
        ),
        (
            logs("otlp_http: {tls: {insecure: true}}", ""),
            exporter("otlp_http.tls.insecure", "no such node; known here: ca_file, cert_file, key_file"),
        ),
        (
            logs("otlp_http: {endpoint: \"c:4318\"}", ""),
            format!(
                "otlp.logs.endpoint (from FILE:2: {EXPORTER}.otlp_http.endpoint): \"c:4318\" does not begin with http:// \
                 or https://; use a URL"
            ),
        ),
        (logs("console: {pretty: true}", ""), exporter("console.pretty", "no such node; leave it out")),
        (
            metrics("otlp_grpc: ", "interval: 0"),
            at(
                "meter_provider.readers[0].periodic.interval",
                "it is not above 0; use a whole number of milliseconds above 0",
            ),
        ),
        (
            metrics("otlp_grpc: ", "intervall: 5"),
            at("meter_provider.readers[0].periodic.intervall", "no such node; did you mean interval?"),
        ),
        (
            pull("host: collector"),
            at(
                "meter_provider.readers[0].pull.exporter.prometheus/development.host",
                "invalid host \"collector\": expected localhost or an IP address of this machine; correct it, or leave it out",
            ),
        ),
        (
            pull("port: 70000"),
            at(
                "meter_provider.readers[0].pull.exporter.prometheus/development.port",
                "invalid port: expected 0 to 65535; correct it, or leave it out",
            ),
        ),
        (
            attribute("value: 1"),
            at(
                "resource.attributes[0].value",
                "it is a whole number, and the type is string; set the type of the attribute to that of its value",
            ),
        ),
        (
            attribute("value: [1, b], type: int_array"),
            at("resource.attributes[0].value", "it is a list, and the type is int_array; "),
        ),
        (
            attribute("value: b, type: text"),
            at("resource.attributes[0].type", "\"text\" is no type of attributes; use string, bool, int, "),
        ),
        (
            "resource: {attributes: [{name: a=b, value: c}]}".to_owned(),
            at("resource.attributes[0].value", "\"a=b\" is not supported as a name of an attribute; "),
        ),
        (
            "resource: {attributes_list: a}".to_owned(),
            at("resource.attributes_list", "entry 1 has no name=value form; "),
        ),
        (
            "resource: {attribute: []}".to_owned(),
            at("resource.attribute", "no such node; did you mean attributes?"),
        ),
        (own("1"), at("distribution.eyepiece", "it is a whole number; use a mapping")),
        (
            own("{datapath: {intervl: 5s}}"),
            "datapath.intervl (from FILE:2: distribution.eyepiece.datapath.intervl): no such key; did you mean \
             datapath.interval?"
                .to_owned(),
        ),
        (
            own("{datapath: {intervl: , interval: , interfaces: }, otlp: {headers.a: , headers: {b: }}}"),
            "datapath.intervl (from FILE:2: distribution.eyepiece.datapath.intervl): no such key; did you mean \
             datapath.interval?"
                .to_owned(),
        ),
        (
            own(&format!("{{{}: {{a: 1, b: {{c: 2}}}}}}", "x".repeat(100))),
            format!("{0} (from FILE:2: distribution.eyepiece.{0}): no such key; ", "x".repeat(100)),
        ),
        (
            own("{otlp: 5}"),
            "otlp (from FILE:2: distribution.eyepiece.otlp): it is a table of keys, not a value; ".to_owned(),
        ),
        // Not ignored, as an unknown word of a variable is.
        (
            own("{otlp: {protocol: http/json}}"),
            "otlp.protocol (from FILE:2: distribution.eyepiece.otlp.protocol): \"http/json\" is not known; use grpc, \
             http/protobuf, stdout"
                .to_owned(),
        ),
    ] {
        let found = mistakes(&nodes);
        assert!(found.len() == 1 && found[0].starts_with(&message), "{nodes}\n{found:#?}\n{message}");
        assert!(!found[0].contains("s3cret") && !found[0].contains("53637"), "{found:?}");
    }
}

#[test]
fn invalid_file_is_rejected() {
    const FORMAT: &str = "use \"1.1\", and the nodes of OpenTelemetry's configuration schema of that version";
    let file = |message: &str| format!("FILE (from OTEL_CONFIG_FILE): {message}");
    let format = |message: &str| format!("file_format (from FILE:1): {message}; {FORMAT}");
    for (yaml, message) in [
        ("", file("is not YAML: it is empty; correct the file")),
        ("file_format: [1", file("is not YAML: line ")),
        ("file_format: \"1.1\"\na: &a [*a]", file("is not YAML: line 2: an alias refers to ")),
        ("file_format: \"1.1\"\ndisabled: true\ndisabled: true", file("is not YAML: line 3: the mapping has ")),
        ("- a", file(&format!("has no nodes: it is a list; {FORMAT}"))),
        ("disabled: true", file(&format!("has no node file_format; {FORMAT}"))),
        ("file_format: 1", format("it is a whole number")),
        ("file_format: latest", format("invalid version \"latest\": expected major.minor")),
        ("file_format: \"0.4\"", format("the version \"0.4\" is not supported")),
        ("file_format: \"2.0\"", format("the version \"2.0\" is not supported")),
    ] {
        let found = try_read(yaml, &[]).map(drop).expect_err(yaml);
        assert!(found.len() == 1 && found[0].starts_with(&message), "{yaml}\n{found:#?}\n{message}");
    }
    for version in ["1.0", "1.1", "\"1.0\"", "\"1.1\"", "1.0-rc.2"] {
        assert!(try_read(&format!("file_format: {version}"), &[]).is_ok(), "{version}");
    }
}

#[test]
fn newer_version_may_have_unknown_nodes() {
    let yaml = format!("file_format: \"1.7\"\n{}", logs("otlp_grpc: {brand_new: 1}", ""));
    let found = try_read(&yaml, &[]).expect("a file of a newer version").warnings;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("file_format (from FILE:1): \"1.7\" is newer than 1.1: "), "{found:?}");
    let start = format!("{EXPORTER}.otlp_grpc.brand_new (from FILE:2): no known node, it is ignored; ");
    assert!(found[1].starts_with(&start), "{found:?}");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let nodes = "log_level: loud\nresource: {attributes: [{name: a}]}\nlogger_provider: {processors: []}\n\
                 meter_provider: {readers: [{periodic: {exporter: {otlp_grpc: {endpoint: \"${1}\"}}}}]}";
    let found = mistakes(nodes);
    let starts = ["log_level ", "logger_provider.processors ", "meter_provider.", "resource.attributes[0] "];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    assert!(found.iter().zip(starts).all(|(found, start)| found.starts_with(start)), "{found:#?}");
}

#[test]
fn unreadable_file_is_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let (missing, large) = (folder.path().join("none.yaml"), folder.path().join("large.yaml"));
    std::fs::write(&large, "#".repeat((256 << 10) + 1)).expect("our own folder");
    let latin = folder.path().join("latin.yaml");
    std::fs::write(&latin, b"file_format: \"1.1\" # \xe9").expect("our own folder");
    let found = |path: &PathBuf| {
        let env = vec![("OTEL_CONFIG_FILE".into(), path.into())];
        load(&Sources { env, ..Sources::default() }).expect_err("a mistake").problems[0].to_string()
    };
    for (path, cause) in [
        (&missing, "No such file or directory (os error 2)"),
        (&folder.path().to_owned(), "Is a directory (os error 21)"),
        (&large, "it has more than 256 KiB"),
        (&latin, "it is not UTF-8"),
    ] {
        let path_name = path.display();
        let expected = format!("{path_name} (from OTEL_CONFIG_FILE): cannot be read: {cause}; name a readable file");
        assert_eq!(found(path), expected);
    }
}

#[test]
fn bombs_are_rejected() {
    let mut laughs = "file_format: \"1.1\"\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let deep = format!("file_format: \"1.1\"\na: {}{}", "[".repeat(200), "]".repeat(200));
    let keys: String = (0..5000).map(|number| format!("\n    k{number}: 1")).collect();
    let keys = format!("file_format: \"1.1\"\ndistribution:\n  eyepiece:{keys}");
    for (yaml, wrong) in [
        (laughs, "with its aliases and variables it is too large"),
        (deep, "it has more than 64 levels"),
        (keys, "it has more than 1000 settings"),
    ] {
        let found = try_read(&yaml, &[]).map(drop).expect_err("a bomb");
        assert!(found.iter().any(|found| found.contains(wrong)), "{}", found[0]);
    }
}
