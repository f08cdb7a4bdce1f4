//! Variables: those that the file refers to, and those that it replaces.

use std::ffi::OsString;
use std::fs::{Permissions, set_permissions};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use eyepiece_config::{LogLevel, Signal, Sources, load};

use crate::support::{file, ok};
use crate::try_read;

const HEAD: &str = "file_format: \"1.1\"\n";

#[test]
fn references_become_settings() {
    let yaml = format!(
        "{HEAD}disabled: ${{OFF:-false}}\nlog_level: ${{env:LEVEL}}\nresource:\n  attributes_list: ${{ATTRIBUTES}}\n  \
         attributes:\n    - name: text\n      value: \"${{NUMBER}}\"\n    - name: escaped\n      value: $${{NUMBER}}\n    \
         - name: once\n      value: ${{REFERENCE}}\n    - name: unset\n      value: ${{NONE}}\n\
         logger_provider:\n  processors:\n    - batch:\n        schedule_delay: ${{NUMBER}}\n        export_timeout: \
         ${{NONE}}\n        exporter:\n          otlp_http:\n            endpoint: \
         ${{BASE:-http://localhost:4318}}/v1/logs\n            headers_list: ${{HEADERS}}\n"
    );
    let env = [
        "LEVEL=warn",
        "NUMBER=7",
        "REFERENCE=${NUMBER}$$",
        "ATTRIBUTES=a=b%20c,service.name=mine",
        "BASE=https://c:1",
        "HEADERS=authorization=Bearer%20s3cret",
    ];
    let loaded = try_read(&yaml, &env).expect("a good file").loaded;
    let otlp = &loaded.settings.otlp;
    let attributes: Vec<_> =
        otlp.resource_attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("a", "b c"), ("escaped", "${NUMBER}"), ("once", "${NUMBER}$$"), ("text", "7")];
    assert_eq!((attributes.as_slice(), otlp.service_name.as_str()), (&expected[..], "mine"));
    assert_eq!((loaded.settings.log.level, otlp.logs.delay), (LogLevel::Warn, Duration::from_millis(7)));
    let export = otlp.export(Signal::Logs);
    assert_eq!((export.enabled, export.endpoint.as_str()), (true, "https://c:1/v1/logs"));
    assert_eq!(export.timeout, Duration::from_secs(10));
    assert_eq!(export.headers["authorization"].expose(), "Bearer s3cret");
    assert!(!loaded.print().contains("s3cret"));
}

#[test]
fn invalid_reference_names_node() {
    for (yaml, message) in [
        (
            "resource:\n  attributes:\n    - name: a\n      value: ${A:?s3cret}",
            "resource.attributes[0].value (from FILE:5): it has an invalid reference to a variable; write ${NAME}, \
             ${env:NAME} or ${NAME:-default}; $$ stands for one $",
        ),
        ("log_level: ${1A}", "log_level (from FILE:2): it has an invalid reference to a variable; "),
        // A variable holds a value, not structure.
        ("logger_provider: ${TREE}", "logger_provider (from FILE:2): it is a text; use a mapping"),
    ] {
        let found = try_read(&format!("{HEAD}{yaml}"), &["TREE={processors: []}"]).map(drop).expect_err(yaml);
        assert!(found.len() == 1 && found[0].starts_with(message), "{yaml}\n{found:#?}");
        assert!(!found[0].contains("s3cret"), "{found:?}");
    }
}

#[test]
fn other_variables_are_ignored_and_named() {
    let yaml = format!(
        "{HEAD}disabled: ${{OTEL_SDK_DISABLED}}\n\
         resource: {{detection/development: {{detectors: [{{service: }}]}}}}"
    );
    let env = [
        "OTEL_SDK_DISABLED=true",
        "OTEL_SERVICE_NAME=mine",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://otel:1",
        "OTEL_LOG_LEVEL=loud",
        "OTEL_METRICS_EXPORTER=",
    ];
    let read = try_read(&yaml, &env).expect("a good file");
    assert_eq!(
        read.warnings,
        ["OTEL_CONFIG_FILE: the file replaces other variables of OpenTelemetry, so these are ignored: \
          OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_LOG_LEVEL; unset them, or refer to them in the file as \
          ${OTEL_EXPORTER_OTLP_ENDPOINT}"]
    );
    let settings = read.loaded.settings;
    assert_eq!((settings.otlp.service_name.as_str(), settings.log.level), ("mine", LogLevel::Info));
    assert_eq!(settings.otlp.endpoint, "http://localhost:4317");
    assert!(!settings.otlp.logs.enabled);
}

#[test]
fn empty_variable_names_no_file() {
    let loaded = ok("", &["OTEL_CONFIG_FILE= ", "OTEL_SERVICE_NAME=mine"], &[]);
    assert_eq!((loaded.settings.otlp.service_name.as_str(), loaded.warnings.len()), ("mine", 0));
}

#[test]
fn readable_file_with_secret_header_warns() {
    let exporter = |header: &str| {
        format!("logger_provider: {{processors: [{{batch: {{exporter: {{otlp_grpc: {{{header}}}}}}}}}]}}")
    };
    let own = |headers: &str| format!("disabled: true\ndistribution: {{eyepiece: {{otlp: {{headers: {headers}}}}}}}");
    for (nodes, is_warned) in [
        (exporter("headers: [{name: Authorization, value: Bearer x}]"), true),
        (exporter("headers: [{name: authorization, value: \"${TOKEN}\"}]"), false),
        (exporter("headers: [{name: authorization, value: \"${NONE:-Bearer s3cret}\"}]"), true),
        (exporter("headers: [{name: authorization, value: \"${TOKEN:-Bearer s3cret}\"}]"), true),
        (exporter("headers: [{name: authorization, value: \"${SCHEME:-Bearer} ${TOKEN}\"}]"), false),
        (exporter("headers: [{name: x-scope-orgid, value: tenant}]"), false),
        (exporter("headers_list: x-api-key=x"), true),
        (exporter("headers_list: \"${TOKEN}\""), false),
        (own("{authorization: Bearer x}"), true),
        (own("x-api-key=x"), true),
        (own("{authorization: \"${TOKEN}\"}"), false),
        (own("{authorization: \"${NONE:-Bearer s3cret}\"}"), true),
    ] {
        let file = file(&format!("{HEAD}{nodes}"));
        set_permissions(file.path(), Permissions::from_mode(0o644)).expect("our own file");
        let variable = format!("OTEL_CONFIG_FILE={}", file.path().display());
        let loaded = ok("", &[&variable, "TOKEN=x-api-key=x"], &[]);
        let start = format!("{}: every user of this machine can read the file", file.path().display());
        let found = loaded.warnings.iter().filter(|warning| warning.to_string().starts_with(&start)).count();
        assert_eq!(found, usize::from(is_warned), "{nodes}: {:?}", loaded.warnings);
    }
}

#[test]
fn file_replaces_variable_without_utf8() {
    let yaml = file(&format!("{HEAD}disabled: true\n"));
    let variable = |name: &str| (OsString::from(name), OsString::from_vec(vec![0xff]));
    let opentelemetry = (OsString::from("OTEL_CONFIG_FILE"), OsString::from(yaml.path()));
    let env = vec![variable("OTEL_SERVICE_NAME"), opentelemetry.clone()];
    let warnings = load(&Sources { env, ..Sources::default() }).expect("a good file").warnings;
    assert!(warnings.len() == 1 && warnings[0].wrong.ends_with(": OTEL_SERVICE_NAME"), "{warnings:?}");
    for env in [vec![variable("OTEL_SERVICE_NAME")], vec![variable("EYEPIECE_NODE__NAME"), opentelemetry]] {
        assert!(load(&Sources { env, ..Sources::default() }).is_err());
    }
}
