//! Every kind of mistake and its text, as tables.

mod entries;
mod opentelemetry;
mod printed;
mod secrets;
mod sources;
#[path = "../support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use eyepiece_config::{Sources, load};
use support::{file, ok, try_load};

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
fn every_mistake_has_its_line() {
    const DURATION: &str = "use a duration such as 250ms, 5s or 1m";
    const URL: &str = "use a URL such as http://localhost:4317 or https://collector.example:4317";
    const MODE: &str = "use permissions in octal, such as \"0660\"";
    const AGENT: &str = "use an absolute path such as /run/eyepiece/monitor1_2.sock";
    const SOCKET: &str = "use an absolute path such as /run/eyepiece/monitor1_2.sock, or an empty text for off";
    const LISTEN: &str =
        "use unix:///run/eyepiece/hubble.sock, 127.0.0.1:4245, 0.0.0.0:4244 or [::]:4244; [] or an empty text for off";
    const PEER: &str = "use name=address, such as \"b=10.0.0.2:4244\" or \"cluster/b=b.example:4244\"";
    const ADDRESS: &str =
        "use an IP address and a port, such as 127.0.0.1:9966 or [::1]:9966, or an empty text for off";
    for (set, message) in [
        ("otlp.endpont=x", "no such key; did you mean otlp.endpoint?"),
        ("oltp.endpoint=x", "no such key; did you mean otlp.endpoint?"),
        ("hubbel=x", "no such key; did you mean hubble?"),
        (
            "statsd.listen=x",
            "no such key; known here: node, source, datapath, cilium_monitor, hubble_source, replay, monitor, hubble, metadata, metrics, otlp, prometheus, admin, log",
        ),
        ("admin.x=x", "no such key; known here: admin.listen, admin.hosts, admin.example_bytes, admin.readiness"),
        ("log=x", "it is a table of keys, not a value; set one of log.level, log.format"),
        ("node.name.x=x", "it is a table; use a text"),
        ("node.cluster= ", "it is empty; use a text that is not empty"),
        ("datapath.drops=yes", "\"yes\" is a text; use true or false"),
        ("datapath.capture_bytes=x", "\"x\" is a text; use a whole number from 82 to 1024"),
        ("datapath.capture_bytes=81", "81 is too small; use a whole number from 82 to 1024"),
        ("datapath.capture_bytes=1025", "1025 is too large; use a whole number from 82 to 1024"),
        ("datapath.capture_bytes=-1", "-1 is too small; use a whole number from 82 to 1024"),
        ("datapath.max_connections=0", "0 is too small; use a whole number from 1 to 16777216"),
        ("datapath.buffer=1", "\"1\" has no unit; use a size from 4KiB to 2GiB, such as 8MiB"),
        ("datapath.buffer=4095B", "\"4095B\" is too small; use a size from 4KiB to 2GiB, such as 8MiB"),
        ("datapath.buffer=3GiB", "\"3GiB\" is too large; use a size from 4KiB to 2GiB, such as 8MiB"),
        ("datapath.interval=0s", &format!("\"0s\" is no time at all; {DURATION}")),
        ("datapath.interval=5", &format!("\"5\" has no unit; {DURATION}")),
        ("otlp.logs.timeout=0s", &format!("\"0s\" is no time at all; {DURATION}")),
        ("datapath.attach=xdp", "\"xdp\" is not known; use auto, tcx, clsact"),
        ("source.kind=relay", "\"relay\" is not known; use datapath, cilium-monitor, hubble, replay"),
        ("cilium_monitor.socket=", &format!("it is empty; {AGENT}")),
        ("cilium_monitor.socket=cilium/m.sock", &format!("\"cilium/m.sock\" is no absolute path; {AGENT}")),
        (
            &format!("cilium_monitor.socket=/{}", "x".repeat(107)),
            &format!("the path has 108 bytes, and a socket's at most 107; {AGENT}"),
        ),
        (
            "cilium_monitor.version=v1.18",
            "\"v1.18\" is no release; use a release such as \"1.18\", \"guess\", or an empty text for the newest",
        ),
        (
            "cilium_monitor.version=1.18.4.1",
            "\"1.18.4.1\" is no release; use a release such as \"1.18\", \"guess\", or an empty text for the newest",
        ),
        ("replay.speed=fast", "\"fast\" is a text; use a number from 0 to 1000000, such as 1.0"),
        ("replay.speed=-0.5", "-0.5 is out of range; use a number from 0 to 1000000, such as 1.0"),
        ("replay.speed=1000001", "1000001 is out of range; use a number from 0 to 1000000, such as 1.0"),
        ("replay.speed=nan", "\"nan\" is a text; use a number from 0 to 1000000, such as 1.0"),
        ("monitor.queue=1048577", "1048577 is too large; use a whole number from 0 to 1048576"),
        ("monitor.mode=660 ", &format!("\"660 \" is not of three or four octal digits; {MODE}")),
        ("monitor.mode=4755", &format!("\"4755\" sets more than permissions; {MODE}")),
        ("monitor.socket=run/x.sock", &format!("\"run/x.sock\" is no absolute path; {SOCKET}")),
        ("monitor.socket=/run/", &format!("\"/run/\" names a folder; {SOCKET}")),
        (
            &format!("monitor.socket=/{}", "x".repeat(107)),
            &format!("the path has 108 bytes, and a socket's at most 107; {SOCKET}"),
        ),
        ("metadata.docker.enabled=yes", "\"yes\" is not known; use auto, on, off"),
        ("metadata.docker.socket=docker.sock", &format!("\"docker.sock\" is no absolute path; {AGENT}")),
        ("metadata.docker.socket=", &format!("it is empty; {AGENT}")),
        ("hubble.listen=:4244", &format!("\":4244\" is no IP address with a port, and no unix:// path; {LISTEN}")),
        ("hubble.listen=unix://x", &format!("in \"unix://x\", \"x\" is no absolute path; {LISTEN}")),
        ("hubble.listen=127.0.0.1:1,", &format!("the list has an empty text; {LISTEN}")),
        ("hubble.listen=127.0.0.1:1,127.0.0.1:1", "127.0.0.1:1 is listed twice; leave one of them out"),
        ("hubble.ring=0", "0 is no 2^n - 1 of these; use 1, or another 2^n - 1 from 1 to 65535"),
        ("hubble.ring=2", "2 is no 2^n - 1 of these; use 3, or another 2^n - 1 from 1 to 65535"),
        ("hubble.ring=4096", "4096 is no 2^n - 1 of these; use 4095, or another 2^n - 1 from 1 to 65535"),
        ("hubble.ring=65536", "65536 is no 2^n - 1 of these; use 65535, or another 2^n - 1 from 1 to 65535"),
        ("hubble.ring=many", "\"many\" is a text; use 4095, or another 2^n - 1 from 1 to 65535"),
        ("hubble.mode=9", &format!("\"9\" is not of three or four octal digits; {MODE}")),
        ("hubble.peers=b", &format!("\"b\" has no name=address form; {PEER}")),
        ("hubble.peers=a/b/c=d", &format!("\"a/b/c=d\" has more than one / in its name; {PEER}")),
        ("hubble.peers=b=c:0", &format!("\"b=c:0\" has the invalid port \"0\": expected 1 to 65535; {PEER}")),
        ("hubble.peers=b=c,b=d", "b is listed twice; leave one of them out"),
        (
            "hubble.peers_dns=10.0.0.1",
            "\"10.0.0.1\" is an address, not a name; use a DNS name and a port, such as \"eyepiece.kube-system.svc:4244\"",
        ),
        ("hubble.tls.cert=/c", "a certificate without its key; set hubble.tls.key too"),
        ("hubble.tls.key=/k", "a key without its certificate; set hubble.tls.cert too"),
        ("prometheus.tls.cert=/c", "a certificate without its key; set prometheus.tls.key too"),
        (
            "prometheus.tls.client_ca=/ca",
            "without a certificate of our own there is no TLS, and no client is asked for one; set prometheus.tls.cert and prometheus.tls.key too",
        ),
        (
            "hubble.tls.client_ca=/ca",
            "without a certificate of our own there is no TLS, and no client is asked for one; set hubble.tls.cert and hubble.tls.key too",
        ),
        (
            "hubble_source.address=http://c:1",
            "\"http://c:1\" has \"http://c\" for a host, which is no name of one; use unix:///var/run/cilium/hubble.sock, or a host and a port such as hubble-relay:4245",
        ),
        ("hubble_source.tls.cert=/c", "a client certificate without its key; set hubble_source.tls.key too"),
        (
            "hubble_source.tls.ca=/ca",
            "hubble_source.address is a unix socket, which is never encrypted; leave hubble_source.tls out, or name a host and a port",
        ),
        ("node.dry_mode=1", "\"1\" is a text; use true or false"),
        ("otlp.logs.protocol=http/json", "\"http/json\" is not known; use grpc, http/protobuf, stdout"),
        (
            "metrics.contexts.source=name|node",
            "\"node\" is not known; use name, ip, identity, reserved-identity, namespace, pod, pod-name, workload, \
             workload-name, app, container, unit, dns; several with | between them",
        ),
        (
            "metrics.contexts.source=",
            "\"\" is not known; use name, ip, identity, reserved-identity, namespace, pod, pod-name, workload, \
             workload-name, app, container, unit, dns; several with | between them",
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
        (
            "otlp.endpoint=http://c:65536",
            &format!("\"http://c:65536\" has an invalid port: expected 1 to 65535; {URL}"),
        ),
        ("otlp.endpoint=http://c:0", &format!("\"http://c:0\" has an invalid port: expected 1 to 65535; {URL}")),
        ("otlp.endpoint=http://c?a=b", &format!("the URL has a query or a fragment; {URL}")),
        ("otlp.endpoint=c:4317?token=b", &format!("the URL has a query or a fragment; {URL}")),
        ("otlp.endpoint=grpc://c#b", &format!("the URL has a query or a fragment; {URL}")),
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
            "the value of entry 1 is not percent-encoded UTF-8; use a table of texts, or a text name=value,name=value",
        ),
        (
            "otlp.headers.a b=c",
            "entry \"a b\" has no header name; use a table of texts, or a text name=value,name=value",
        ),
        (
            "otlp.headers=a=b,,Basic s3cret==",
            "entry 2 has no header name; use a table of texts, or a text name=value,name=value",
        ),
        (
            "otlp.headers.a=b\nc",
            "the value of entry \"a\" is no header value; use a table of texts, or a text name=value,name=value",
        ),
        (
            "otlp.headers.a=<hidden>",
            "the value of entry \"a\" is the placeholder of a secret in a printed configuration; use a table of texts, or a text name=value,name=value",
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
        (
            "otlp.logs.attribute_count_limit=all",
            "\"all\" is a text; use a whole number from 0 to 4294967295, or an empty text for no limit",
        ),
        (
            "otlp.logs.attribute_value_length_limit=-1",
            "-1 is too small; use a whole number from 0 to 4294967295, or an empty text for no limit",
        ),
        ("otlp.logs.batch_records=65537", "65537 is more than otlp.logs.queue_records holds; use at most 65536"),
        (
            "metrics.idle_expiry=9s",
            "series would be dropped before they are exported; use at least otlp.metrics.interval, or 0s for never",
        ),
        ("admin.listen=localhost:9966", &format!("\"localhost:9966\" is no IP address with a port; {ADDRESS}")),
        ("admin.hosts=a,b:80", "\"b:80\" is no DNS name; use a DNS name without a port, such as \"node1.example\""),
        ("admin.example_bytes=65", "65 is too large; use a whole number from 0 to 64"),
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
fn open_hubble_addresses_are_warned_about() {
    let open = |address: &str| {
        format!(
            "hubble.listen (from --set hubble.listen): {address} is reached from other machines, and without TLS: every \
             client sees all flows; set hubble.tls.cert and hubble.tls.key, or listen on 127.0.0.1 or a unix socket"
        )
    };
    let unused = "hubble.tls.cert (from --set hubble.tls.cert): hubble.listen has only unix sockets, which are never \
                  encrypted; add an address such as 0.0.0.0:4244 to hubble.listen, or leave the certificate out";
    let tls = ["hubble.tls.cert=/c", "hubble.tls.key=/k"];
    for (listen, tls, expected) in [
        ("hubble.listen=0.0.0.0:4244,10.0.0.1:1", &[][..], vec![open("0.0.0.0:4244"), open("10.0.0.1:1")]),
        ("hubble.listen=[::]:4244", &[], vec![open("[::]:4244")]),
        ("hubble.listen=127.0.0.1:4245,[::1]:4245,unix:///x", &[], Vec::new()),
        ("hubble.listen=0.0.0.0:4244", &tls, Vec::new()),
        ("hubble.listen=unix:///x", &tls, vec![unused.to_owned()]),
        ("hubble.listen=", &tls, Vec::new()),
    ] {
        let loaded = ok("", &[], &[&[listen], tls].concat());
        let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, expected, "{listen}");
        assert!(loaded.settings.hubble.listen_given);
    }
    assert!(!ok("", &[], &[]).settings.hubble.listen_given);
    assert!(ok("[hubble]\nlisten = []", &[], &[]).settings.hubble.listen_given, "[] sets the key");
}

#[test]
fn replay_without_file_is_rejected() {
    let missing = "replay.path (from --set source.kind): source.kind is replay, and there is no file; \
                   name the file that `eyepiece record --raw` wrote, or \"-\" for standard input";
    assert_eq!(mistakes("", &[], &["source.kind=replay"]), [missing]);
    assert_eq!(mistakes("", &[], &["source.kind=replay", "replay.path=-"]), [""; 0]);
}

#[test]
fn mistake_names_its_variable() {
    for (env, message) in [
        (
            "EYEPIECE_OTLP_ENDPOINT=x",
            "otlp_endpoint (from EYEPIECE_OTLP_ENDPOINT): no such key; two underscores: EYEPIECE_OTLP__ENDPOINT",
        ),
        (
            "EYEPIECE_DATAPATH_MAX_CONNECTIONS=1",
            "datapath_max_connections (from EYEPIECE_DATAPATH_MAX_CONNECTIONS): no such key; two underscores: \
             EYEPIECE_DATAPATH__MAX_CONNECTIONS",
        ),
        (
            "EYEPIECE_OTLP__LOGS_TLS__CA=x",
            "otlp.logs_tls.ca (from EYEPIECE_OTLP__LOGS_TLS__CA): no such key; two underscores: EYEPIECE_OTLP__LOGS__TLS__CA",
        ),
        (
            "EYEPIECE_OTLP_ENDPONT=x",
            "otlp_endpont (from EYEPIECE_OTLP_ENDPONT): no such key; did you mean otlp.endpoint?",
        ),
        (
            "EYEPIECE_=x",
            "EYEPIECE_: the variable names no key; write the key after it, __ between levels, such as EYEPIECE_OTLP__ENDPOINT",
        ),
        (
            "EYEPIECE_OTLP__PROTOCOL=http/json",
            "otlp.protocol (from EYEPIECE_OTLP__PROTOCOL): \"http/json\" is not known; use grpc, http/protobuf, stdout",
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS=secret",
            "otlp.logs.headers (from OTEL_EXPORTER_OTLP_LOGS_HEADERS): entry 1 has no name=value form; use a table of texts, or a text name=value,name=value",
        ),
    ] {
        assert_eq!(mistakes("", &[env], &[]), [message]);
    }
}

#[test]
fn overridden_and_injected_variables_are_ignored() {
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
fn own_settings_are_never_ignored() {
    for set in ["otlp.protocol=http/json", "otlp.tls.ca=/ca", "otlp.endpoint=http://c:4317/path", "log.level=verbose"] {
        let variable = set.split_once('=').map(|(key, value)| (key.to_uppercase().replace('.', "__"), value));
        let variable = variable.map(|(key, value)| format!("EYEPIECE_{key}={value}")).expect("a pair");
        for found in [mistakes("", &[], &[set]), mistakes("", &[&variable], &[])] {
            assert_eq!(found.len(), 1, "{set}: {found:?}");
        }
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = mistakes(
        "[datapath]\nattach = \"xdp\"\ncapture = 1\n[otlp]\ntls.cert = \"/c\"",
        &["EYEPIECE_ADMIN__LISTEN=nowhere", "OTEL_EXPORTER_OTLP_HEADERS=x"],
        &["log.level=loud", "otlp.logs.batch_records=0"],
    );
    let starts = [
        "admin.listen (from EYEPIECE_ADMIN__LISTEN): ",
        "datapath.attach (from FILE): ",
        "datapath.capture (from FILE): no such key",
        "log.level (from --set log.level): ",
        "otlp.headers (from OTEL_EXPORTER_OTLP_HEADERS): entry 1",
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
fn only_named_file_must_exist() {
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
fn variable_without_utf8_is_rejected() {
    let bytes = OsString::from_vec(vec![0xff]);
    let env = vec![("EYEPIECE_NODE__NAME".into(), bytes.clone()), ("OTHER".into(), bytes.clone()), (bytes, "x".into())];
    let problems = load(&Sources { env, ..Sources::default() }).unwrap_err().problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(
        problems[0].to_string(),
        "EYEPIECE_NODE__NAME: the variable is not UTF-8; set it to UTF-8 text or unset it"
    );
}
