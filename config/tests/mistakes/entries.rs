//! Values of the wrong type, and lists and tables with several wrong entries.

use crate::mistakes;
use crate::support::ok;

#[test]
fn every_wrong_entry_is_reported() {
    for (set, wrong) in [
        ("hubble.listen=:1,127.0.0.1:1,x,unix://y", &["\":1\" is no IP", "\"x\" is no IP", "in \"unix://y\""][..]),
        ("hubble.peers=b,c=d,e=f:0", &["\"b\" has no name", "\"e=f:0\" has the invalid port"]),
        ("hubble.peers_dns=10.0.0.1,a.b,::1", &["\"10.0.0.1\" is an", "\"::1\" has"]),
        (
            "datapath.interfaces.include=[1, \"a\", \"\", true]",
            &["in the list, 1", "the list has an empty", "in the list, true"],
        ),
        ("metrics.contexts.source=node|name|zone", &["\"node\" is not known", "\"zone\" is not known"]),
        (
            "metrics.hubble=drop:sourceContext=node drop drop tcp:labelsContext=zone http httpV2",
            &[
                "in \"drop:sourceContext=node\", \"node\" is none of name, ip",
                "in \"tcp:labelsContext=zone\", \"zone\" is none of source_ip",
                "drop is listed twice",
                "http and httpV2 exclude each other",
            ],
        ),
        ("metrics.hubble=[1, \"drop:sourceContext\"]", &["1 is a number", "in \"drop:sourceContext\", \"\""]),
        ("otlp.headers=a b=1,c=2,d e=3", &["entry 1 has no header", "entry 3 has no header"]),
    ] {
        let (key, _) = set.split_once('=').unwrap();
        let found = mistakes("", &[], &[set]);
        assert_eq!(found.len(), wrong.len(), "{set}: {found:#?}");
        for (found, wrong) in found.iter().zip(wrong) {
            assert!(found.starts_with(&format!("{key} (from --set {key}): {wrong}")), "{found} / {wrong}");
        }
    }
}

#[test]
fn wrong_types_are_reported() {
    for (text, message) in [
        (
            "[datapath]\ncapture_bytes = \"128\"",
            "datapath.capture_bytes (from FILE): \"128\" is a text; use a whole number from 82 to 1024",
        ),
        (
            "[datapath]\ncapture_bytes = 1.5",
            "datapath.capture_bytes (from FILE): 1.5 is a number with a fraction; use a whole number from 82 to 1024",
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
            "node (from FILE): it is a table of keys, not a value; set one of node.name, node.cluster, node.dry_mode, node.drain",
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
fn skipped_handlers_cause_warnings() {
    let loaded = ok("", &[], &["metrics.hubble=drop icmp flow-io kafka:sourceContext=topic"]);
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    let expected = "metrics.hubble (from --set metrics.hubble): \"kafka\" is no handler of Hubble's metrics, it is skipped; \
                    use drop, flow, tcp, flow-io, icmp, dns, http, httpV2, port-distribution, policy, flows-to-world, sctp";
    assert_eq!(warnings, [expected]);
}
