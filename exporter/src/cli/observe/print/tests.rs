//! Texts of messages, row by row.

use eyepiece_hubble::arbitrary::any;
use eyepiece_hubble::json::read;
use eyepiece_hubble::proto::observer::get_flows_response::ResponseTypes;
use eyepiece_hubble::proto::observer::{
    GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsResponse, ServerStatusResponse,
};
use eyepiece_hubble::proto::peer::ChangeNotification;
use eyepiece_hubble::terminal::safe;
use proptest::prelude::*;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Any, Struct, Timestamp, Value};

use super::{Lines, Output, PrintConfig, Printer, TimeFormat, status};

const TIME: &str = r#""time":"2024-05-06T07:08:09.123456789Z""#;

fn response(flow: &str) -> GetFlowsResponse {
    read(&format!(r#"{{"flow":{{{TIME},"node_name":"n1",{flow}}},"node_name":"n1",{TIME}}}"#), true).unwrap()
}

fn printed(options: PrintConfig, messages: &[GetFlowsResponse]) -> Lines {
    let (mut printer, mut lines) = (Printer::new(options), Lines::default());
    for message in messages {
        printer.flows(message, &mut lines);
    }
    printer.finish(&mut lines);
    lines
}

fn compact(options: PrintConfig, flow: &str) -> String {
    printed(options, &[response(flow)]).out
}

const WHOLE: &str = r#""IP":{"source":"10.0.0.1","destination":"fd00::2"},"l4":{"TCP":{"source_port":1,"destination_port":80}},
    "source":{"identity":7,"namespace":"ns","pod_name":"pod"},"destination":{"identity":99999},"source_names":["x.org"],
    "destination_names":["a.org","b.org"],"event_type":{"type":4},"verdict":"FORWARDED","is_reply":false,"Summary":"TCP Flags: SYN""#;

#[test]
fn flow_prints_one_line() {
    let plain = PrintConfig::default();
    let line = "May  6 07:08:09.123: ns/pod:1 (kube-apiserver) -> a.org,b.org:80 (ID:99999) to-endpoint FORWARDED (TCP Flags: SYN)\n";
    assert_eq!(compact(plain, WHOLE), line);
    let numeric = PrintConfig { ip_translation: false, node_name: true, ..plain };
    let line = "May  6 07:08:09.123 [n1]: 10.0.0.1:1 (kube-apiserver) -> [fd00::2]:80 (ID:99999) to-endpoint FORWARDED (TCP Flags: SYN)\n";
    assert_eq!(compact(numeric, WHOLE), line);
    let reply = WHOLE.replace(r#""is_reply":false"#, r#""is_reply":true"#);
    assert!(compact(plain, &reply).contains(": a.org,b.org:80 (ID:99999) <- ns/pod:1 (kube-apiserver) to-endpoint"));
    let unknown = WHOLE.replace(r#""is_reply":false,"#, "");
    assert!(compact(plain, &unknown).contains(": ns/pod:1 (kube-apiserver) <> a.org"));
    let colors = PrintConfig { color: true, ..plain };
    let line =
        "May  6 07:08:09.123: \u{1b}[36mns/pod:\u{1b}[33m1\u{1b}[0m\u{1b}[0m \u{1b}[35m(kube-apiserver)\u{1b}[0m -> ";
    assert!(compact(colors, WHOLE).starts_with(line), "{}", compact(colors, WHOLE));
    assert!(compact(colors, WHOLE).contains(" \u{1b}[32mFORWARDED\u{1b}[0m (TCP"));
}

#[test]
fn ends_without_names_or_ip() {
    for (flow, expected) in [
        (
            r#""IP":{"source":"1.1.1.1","destination":"::2"},"l4":{"UDP":{"source_port":5}}"#,
            "1.1.1.1:5 (unknown) <> ::2 (unknown)",
        ),
        (
            r#""IP":{"source":"1.1.1.1"},"l4":{"ICMPv4":{}},"source_service":{"name":"s","namespace":"n"}"#,
            "n/s (unknown) <>  (unknown)",
        ),
        (
            r#""IP":{"source":"1.1.1.1"},"source":{"pod_name":"p"},"source_service":{"name":"s"}"#,
            "p (unknown) <>  (unknown)",
        ),
        (r#""ethernet":{"source":"aa:bb","destination":"cc:dd"}"#, "aa:bb (unknown) <> cc:dd (unknown)"),
        (r#""uuid":"u""#, " (unknown) <>  (unknown)"),
    ] {
        let line = compact(PrintConfig::default(), flow);
        assert!(line.contains(&format!(": {expected} UNKNOWN")), "{line}");
    }
}

#[test]
fn types_verdicts_and_summaries() {
    for (flow, expected) in [
        (r#""event_type":{"type":1,"sub_type":133},"verdict":"DROPPED""#, "Policy denied DROPPED ()"),
        (r#""event_type":{"type":1,"sub_type":255},"verdict":"DROPPED""#, "255, 0 DROPPED ()"),
        (r#""event_type":{"type":4,"sub_type":200},"verdict":77"#, "200 77 ()"),
        (
            r#""event_type":{"type":5},"verdict":"REDIRECTED","policy_match_type":2,"traffic_direction":"EGRESS""#,
            "policy-verdict:L3-L4 EGRESS ALLOWED ()",
        ),
        (
            r#""event_type":{"type":5},"verdict":"DROPPED","policy_match_type":99"#,
            "policy-verdict:unknown TRAFFIC_DIRECTION_UNKNOWN DENIED ()",
        ),
        (r#""event_type":{"type":5},"verdict":"AUDIT""#, "policy-verdict:none TRAFFIC_DIRECTION_UNKNOWN AUDITED ()"),
        (
            r#""event_type":{"type":3},"debug_capture_point":"DBG_CAPTURE_FROM_LB""#,
            "DBG_CAPTURE_FROM_LB VERDICT_UNKNOWN ()",
        ),
        (r#""event_type":{"type":7},"sock_xlate_point":3,"verdict":"TRACED""#, "pre-xlate-rev TRACED ()"),
        (r#""event_type":{"type":7}"#, "SOCK_XLATE_POINT_UNKNOWN VERDICT_UNKNOWN ()"),
        (r#""l7":{"type":"REQUEST","dns":{"observation_source":"proxy"}}"#, "dns-request proxy VERDICT_UNKNOWN ()"),
        (r#""l7":{"type":"RESPONSE","http":{}},"verdict":"ERROR""#, "http-response ERROR ()"),
        (r#""l7":{"type":55}"#, "l7-55 VERDICT_UNKNOWN ()"),
        (r#""auth_type":"SPIRE","Summary":"s""#, "UNKNOWN VERDICT_UNKNOWN (s; Auth: SPIRE)"),
        (r#""ip_trace_id":{"trace_id":"9"},"Summary":"s""#, "UNKNOWN VERDICT_UNKNOWN (IP Trace ID: 9; s)"),
    ] {
        let line = compact(PrintConfig::default(), flow);
        assert!(line.ends_with(&format!(" {expected}\n")), "{expected}: {line}");
    }
    let policies = PrintConfig { policy_names: true, ..PrintConfig::default() };
    let flow = r#""verdict":"FORWARDED","egress_allowed_by":[{"name":"p","namespace":"n","kind":"CNP"},{"name":"q"}]"#;
    assert!(
        compact(policies, flow).ends_with(" FORWARDED EGRESS ALLOWED BY CNP:n/p,q ()\n"),
        "{}",
        compact(policies, flow)
    );
}

#[test]
fn dict_prints_keys_and_values() {
    let lost: GetFlowsResponse =
        read(r#"{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"3"}}"#, true).unwrap();
    let options = PrintConfig { output: Output::Dict, node_name: true, ..PrintConfig::default() };
    let lines = printed(options, &[response(WHOLE), lost.clone()]);
    let expected = "  TIMESTAMP: May  6 07:08:09.123\n       NODE: n1\n     SOURCE: ns/pod:1\nDESTINATION: a.org,b.org:80\n\
        \x20      TYPE: to-endpoint\n    VERDICT: FORWARDED\n    SUMMARY: TCP Flags: SYN\n------------\n\
        \x20 TIMESTAMP: \n       NODE: \n     SOURCE: HUBBLE_RING_BUFFER\n       TYPE: EVENTS LOST\n    VERDICT: \n    SUMMARY: CPU(0) - 3\n";
    assert_eq!((lines.out.as_str(), lines.err.as_str()), (expected, ""));
    assert_eq!(printed(PrintConfig::default(), &[lost]).out, "EVENTS LOST: HUBBLE_RING_BUFFER CPU(0) 3\n");
}

#[test]
fn table_is_aligned_by_characters() {
    let options = PrintConfig { output: Output::Table, color: true, ..PrintConfig::default() };
    let short = response(r#""IP":{"source":"é","destination":"2"},"verdict":"DROPPED","Summary":"s""#);
    let lines = printed(options, &[response(WHOLE), short]);
    let expected = "TIMESTAMP             SOURCE     DESTINATION      TYPE          VERDICT     SUMMARY\n\
        May  6 07:08:09.123   ns/pod:1   a.org,b.org:80   to-endpoint   FORWARDED   TCP Flags: SYN\n\
        May  6 07:08:09.123   é          2                UNKNOWN       DROPPED     s\n";
    assert_eq!(lines.out, expected);
    assert_eq!(printed(options, &[]).out, "");
}

#[test]
fn node_states_go_to_standard_error() {
    let status = |state: &str, names: &str| -> GetFlowsResponse {
        let text = format!(
            r#"{{"node_status":{{"state_change":{state},"node_names":[{names}],"message":"a \"b\"\u001b"}},"node_name":"relay",{TIME}}}"#
        );
        read(&text, true).unwrap()
    };
    let quiet = PrintConfig::default();
    let debug = PrintConfig { debug: true, ..quiet };
    for (options, state, expected) in [
        (quiet, r#""NODE_CONNECTED""#, ""),
        (debug, r#""NODE_CONNECTED""#, "Receiving flows from 2 nodes: a, b"),
        (quiet, r#""NODE_UNAVAILABLE""#, "2 nodes are unavailable: a, b"),
        (debug, r#""NODE_GONE""#, "2 nodes removed from cluster: a, b"),
        (quiet, r#""NODE_ERROR""#, r#"Error "a \"b\"^[" on 2 nodes: a, b"#),
        (debug, "9", r#"9 of 2 nodes: a, b: "a \"b\"^[""#),
    ] {
        let lines = printed(options, &[status(state, r#""a","b""#)]);
        let expected =
            if expected.is_empty() { String::new() } else { format!("May  6 07:08:09.123 [relay]: {expected}\n") };
        assert_eq!((lines.out.as_str(), lines.err), ("", expected));
    }
    let many: Vec<_> = (10..30).map(|n| format!(r#""node-{n}""#)).collect();
    let lines = printed(quiet, &[status(r#""NODE_UNAVAILABLE""#, &many.join(","))]);
    assert!(lines.err.ends_with(": node-10, node-11, node-12, node-13, node-14 (and 15 more)\n"), "{}", lines.err);
    let dict = PrintConfig { output: Output::Dict, ..quiet };
    let lines = printed(dict, &[response(WHOLE), status(r#""NODE_ERROR""#, r#""a""#)]);
    assert!(lines.out.ends_with("\n------------\n"), "{}", lines.out);
    let expected =
        "  TIMESTAMP: May  6 07:08:09.123\n      STATE: NODE_ERROR\n      NODES: a\n    MESSAGE: \"a \\\"b\\\"^[\"\n";
    assert_eq!(lines.err, expected);
    let json = PrintConfig { output: Output::Json, ..quiet };
    assert!(printed(json, &[status(r#""NODE_ERROR""#, r#""a""#)]).err.starts_with(r#"{"node_status":{"#));
}

fn agent(output: Output, event: &str) -> String {
    let message: GetAgentEventsResponse =
        read(&format!(r#"{{"agent_event":{{{event}}},"node_name":"n1",{TIME}}}"#), true).unwrap();
    let (mut printer, mut lines) = (Printer::new(PrintConfig { output, ..PrintConfig::default() }), Lines::default());
    printer.agent_event(&message, &mut lines);
    printer.agent_event(&message, &mut lines);
    printer.finish(&mut lines);
    lines.out
}

#[test]
fn agent_events_in_every_form() {
    for (event, expected) in [
        (r#""unknown":{"type":"t","notification":"n"}"#, "AGENT_EVENT_UNKNOWN (type: t, notification: n)"),
        (
            r#""type":"AGENT_STARTED","agent_start":{"time":"2024-01-02T03:04:05Z"}"#,
            "AGENT_STARTED (start time: Jan  2 03:04:05.000)",
        ),
        (
            r#""type":"POLICY_DELETED","policy_update":{"labels":["a","b"],"revision":"7","rule_count":"-1"}"#,
            "POLICY_DELETED (labels: [a,b], revision: 7, count: -1)",
        ),
        (
            r#""type":"ENDPOINT_REGENERATE_FAILURE","endpoint_regenerate":{"id":"1","labels":["l"],"error":"e\n"}"#,
            "ENDPOINT_REGENERATE_FAILURE (id: 1, labels: [l], error: e\\n)",
        ),
        (
            r#""type":"ENDPOINT_CREATED","endpoint_update":{"id":"1","pod_name":"p","namespace":"n"}"#,
            "ENDPOINT_CREATED (id: 1, namespace: n, pod name: p)",
        ),
        (
            r#""type":"IPCACHE_UPSERTED","ipcache_update":{"cidr":"::/0","identity":2,"old_identity":0,"host_ip":"h"}"#,
            "IPCACHE_UPSERTED (cidr: ::/0, identity: 2, old identity: 0, host ip: h, encrypt key: 0)",
        ),
        (
            r#""type":"SERVICE_UPSERTED","service_upsert":{"id":3,"frontend_address":{"ip":"::1","port":80},"backend_addresses":[{"ip":"1.1.1.1"}],"type":"t","name":"n"}"#,
            "SERVICE_UPSERTED (id: 3, frontend: [::1]:80, backends: [1.1.1.1:0], type: t, name: n)",
        ),
        (r#""type":"SERVICE_DELETED","service_delete":{"id":3}"#, "SERVICE_DELETED (id: 3)"),
        (r#""type":"SERVICE_DELETED","agent_start":{}"#, "SERVICE_DELETED (UNKNOWN)"),
        (r#""type":99"#, "99 (UNKNOWN)"),
    ] {
        let line = format!("May  6 07:08:09.123: {expected}\n");
        assert_eq!(agent(Output::Compact, event), line.repeat(2));
    }
    let dict = "  TIMESTAMP: May  6 07:08:09.123\n       TYPE: 99\n    DETAILS: UNKNOWN\n";
    assert_eq!(agent(Output::Dict, r#""type":99"#), format!("{dict}------------\n{dict}"));
    assert!(
        agent(Output::Table, r#""type":99"#)
            .starts_with("TIMESTAMP             TYPE   DETAILS\nMay  6 07:08:09.123   99     UNKNOWN\n")
    );
}

#[test]
fn debug_messages_in_every_form() {
    let printed = |output, event: &str| {
        let message: GetDebugEventsResponse =
            read(&format!(r#"{{"debug_event":{{{event}}},"node_name":"n1",{TIME}}}"#), true).unwrap();
        let options = PrintConfig { output, node_name: output == Output::Compact, ..PrintConfig::default() };
        let (mut printer, mut lines) = (Printer::new(options), Lines::default());
        printer.debug_event(&message, &mut lines);
        printer.finish(&mut lines);
        lines.out
    };
    let event =
        r#""type":"DBG_ENCAP","source":{"ID":3,"namespace":"n","pod_name":"p"},"hash":48879,"cpu":1,"message":"m""#;
    assert_eq!(
        printed(Output::Compact, event),
        "May  6 07:08:09.123 [n1]: n/p (ID: 3) DBG_ENCAP MARK: 0xbeef CPU: 01 (m)\n"
    );
    let none = "  TIMESTAMP: May  6 07:08:09.123\n       TYPE: DBG_EVENT_UNKNOWN\n       FROM: N/A\n       MARK: N/A\n        CPU: N/A\n    MESSAGE: \n";
    assert_eq!(printed(Output::Dict, ""), none);
    let reserved = r#""source":{"ID":1,"labels":["reserved:host"]}"#;
    let table = "TIMESTAMP             FROM                       TYPE                CPU/MARK   MESSAGE\n\
        May  6 07:08:09.123   reserved:host (ID: 1)      DBG_EVENT_UNKNOWN   N/A N/A    \n";
    assert_eq!(printed(Output::Table, reserved), table);
}

#[test]
fn times_in_every_format() {
    let time = Timestamp { seconds: 1_714_979_289, nanos: 120_000_000 };
    let expected = [
        "May  6 07:08:09.120",
        "2024-05-06",
        "2024-05-06T07Z",
        "2024-05-06T07:08Z",
        "2024-05-06T07:08:09Z",
        "2024-05-06T07:08:09.12Z",
        "2024-05-06T07:08:09.12Z",
        "2024-05-06T07:08:09.12Z",
        "Mon, 06 May 2024 07:08:09 +0000",
    ];
    for ((name, format), expected) in TimeFormat::ALL.into_iter().zip(expected) {
        assert_eq!(format.text(Some(&time)), expected, "{name}");
        for none in [None, Some(Timestamp { seconds: 0, nanos: -1 }), Some(Timestamp { seconds: i64::MIN, nanos: 0 })] {
            assert_eq!(format.text(none.as_ref()), "N/A", "{name}");
        }
    }
    for (format, seconds, nanos, expected) in [
        (TimeFormat::Rfc3339Nano, -1, 0, "1969-12-31T23:59:59Z"),
        (TimeFormat::Rfc3339Nano, 253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z"),
        (TimeFormat::Rfc3339Micro, 0, 999_999_999, "1970-01-01T00:00:00.999999Z"),
        (TimeFormat::Rfc3339Milli, 0, 999, "1970-01-01T00:00:00Z"),
        (TimeFormat::StampMilli, 0, 999_999_999, "Jan  1 00:00:00.999"),
        (TimeFormat::Rfc1123Z, -62_135_596_800, 0, "Mon, 01 Jan 0001 00:00:00 +0000"),
        (TimeFormat::Rfc3339, -62_135_596_801, 0, "N/A"),
        (TimeFormat::Rfc3339, 253_402_300_800, 0, "N/A"),
    ] {
        assert_eq!(format.text(Some(&Timestamp { seconds, nanos })), expected);
    }
}

#[test]
fn control_characters_are_escaped() {
    assert_eq!(safe("plain é 漢"), "plain é 漢");
    assert_eq!(safe("\u{1b}[2J\r\n\t\u{7}\u{7f}\u{9b}\u{202e}x"), "^[[2J\\r\\n\\t\\x07\\x7f\\x9b\\u202ex");
    let flow = r#""IP":{"source":"\u001b]0;a\u0007","destination":"b\nc"},"node_name":"n\u009b","l7":{"dns":{"observation_source":"\u001b"}},"Summary":"\u001b[1m","source":{"pod_name":"p\u001b"},"destination_names":["d\u001b"]"#;
    let flow: GetFlowsResponse = read(&format!(r#"{{"flow":{{{flow}}}}}"#), true).unwrap();
    for output in [Output::Compact, Output::Dict, Output::Table, Output::Json] {
        let lines =
            printed(PrintConfig { output, node_name: true, ..PrintConfig::default() }, std::slice::from_ref(&flow));
        assert!(!lines.out.contains(|c: char| c.is_control() && c != '\n'), "{lines:?}");
    }
}

#[test]
fn server_status_in_every_form() {
    let of = |text: &str| read::<ServerStatusResponse>(text, true).unwrap();
    let node = of(
        r#"{"num_flows":"4095","max_flows":"4095","seen_flows":"1234567","uptime_ns":"3723500000000","version":"v"}"#,
    );
    assert_eq!(status::server(&node, Output::Compact), "Current/Max Flows: 4,095/4,095 (100.00%)\nFlows/s: 331.56\n");
    let relay = of(
        r#"{"num_flows":"1","max_flows":"3","num_connected_nodes":2,"num_unavailable_nodes":4,"unavailable_nodes":["b","a"],"flows_rate":1.5}"#,
    );
    let expected = "Current/Max Flows: 1/3 (33.33%)\nFlows/s: 1.50\nConnected Nodes: 2/6\nUnavailable Nodes: 4\n  - a\n  - b\n  - and 2 more...\n";
    assert_eq!(status::server(&relay, Output::Compact), expected);
    let dict = status::server(&node, Output::Dict);
    assert!(dict.starts_with("          NUM FLOWS: 4,095\n"), "{dict}");
    assert!(
        dict.contains("\n             UPTIME: 1h2m3.5s\n") && dict.contains("\n NUM UNAVAIL. NODES: N/A\n"),
        "{dict}"
    );
    let table = status::server(&of("{}"), Output::Table);
    assert!(table.starts_with("NUM FLOWS   MAX FLOWS   SEEN FLOWS   FLOWS PER SECOND   UPTIME   NUM CONNECTED NODES   NUM UNAVAILABLE NODES   VERSION\n0 "), "{table}");
    assert_eq!(status::server(&of("{}"), Output::Compact), "Current/Max Flows: 0/0\nFlows/s: N/A\n");
    assert_eq!(status::server(&relay, Output::Json).lines().count(), 1);
}

#[test]
fn lists_and_peers_are_printed() {
    let node = read(r#"{"name":"n","version":"v","address":"a:1","state":"NODE_CONNECTED","tls":{},"uptime_ns":"60400000000","num_flows":"1","max_flows":"4","seen_flows":"90"}"#, true).unwrap();
    let expected = "NAME   STATUS      AGE    FLOWS/S   CURRENT/MAX-FLOWS   VERSION   ADDRESS   TLS\n\
        n      Connected   1m0s   1.50      1/4 ( 25.00%)       v         a:1       Disabled\n";
    assert_eq!(status::nodes(&[node], true), expected);
    let namespaces = [
        read(r#"{"namespace":"b","cluster":"c"}"#, true).unwrap(),
        read(r#"{"namespace":"long-name"}"#, true).unwrap(),
    ];
    assert_eq!(status::namespaces(&namespaces, false), "NAMESPACE\nb\nlong-name\n");
    assert_eq!(status::namespaces(&namespaces, true), "NAMESPACE   CLUSTER\nb           c\nlong-name\n");
    assert_eq!(status::json_list(&namespaces[1..]), "[\n  {\n    \"namespace\": \"long-name\"\n  }\n]\n");
    let change = ChangeNotification {
        name: "n".to_owned(),
        address: "a:1".to_owned(),
        r#type: 1,
        tls: Some(Default::default()),
    };
    assert_eq!(status::peer(&change), "PEER_ADDED   a:1 n (TLS.ServerName: )\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_message_is_printed(seed: u64, format in 0..9_usize, bits: u8) {
        for output in [Output::Compact, Output::Dict, Output::Table, Output::Json] {
            let options = PrintConfig {
                output,
                time: TimeFormat::ALL[format].1,
                node_name: bits & 1 != 0,
                policy_names: bits & 2 != 0,
                ip_translation: bits & 4 != 0,
                color: false,
                debug: true,
            };
            let (mut printer, mut lines) = (Printer::new(options), Lines::default());
            printer.flows(&any(seed), &mut lines);
            printer.agent_event(&any(seed), &mut lines);
            printer.debug_event(&any(seed), &mut lines);
            printer.finish(&mut lines);
            prop_assert!(!lines.out.is_empty());
            prop_assert!(!lines.out.contains(|c: char| c.is_control() && c != '\n'), "{:?}", lines.out);
            prop_assert!(!lines.err.contains(|c: char| c.is_control() && c != '\n'), "{:?}", lines.err);
            drop(status::server(&any(seed), output));
        }
        drop(status::nodes(&[any(seed), any(seed ^ 1)], bits & 1 != 0));
        drop(status::namespaces(&[any(seed), any(seed ^ 1)], bits & 1 != 0));
    }
}

/// A line of a flow with these texts in the extension of our own server.
fn extended(options: PrintConfig, flow: &str, added: &[(&str, &str)]) -> String {
    let value = |text: &str| match text {
        "true" => Kind::BoolValue(true),
        text => Kind::StringValue(text.to_owned()),
    };
    let field = |&(name, text): &(&str, &str)| (name.to_owned(), Value { kind: Some(value(text)) });
    let value = Struct { fields: added.iter().map(field).collect() }.encode_to_vec();
    let mut response = response(flow);
    let Some(ResponseTypes::Flow(flow)) = &mut response.response_types else { panic!("no flow") };
    flow.extensions = Some(Any { type_url: "type.googleapis.com/google.protobuf.Struct".to_owned(), value });
    printed(options, &[response]).out
}

#[test]
fn own_names_fill_missing_names() {
    let names = &[("hubble.source.name", "veth\u{1b}0"), ("hubble.destination.name", "world")][..];
    let none = &[][..];
    let ends = r#""IP":{"source":"10.0.0.1","destination":"8.8.8.8"},
        "l4":{"UDP":{"source_port":5,"destination_port":53}},"destination":{"identity":2}"#;
    let pod =
        ends.replace(r#""destination":{"identity":2}"#, r#""source":{"pod_name":"p"},"destination":{"identity":9}"#);
    let plain = PrintConfig::default();
    let numeric = PrintConfig { ip_translation: false, ..plain };
    let [dict, table] = [Output::Dict, Output::Table].map(|output| PrintConfig { output, ..plain });
    for (options, flow, added, expected) in [
        (plain, ends, names, ": 10.0.0.1:5 (veth^[0) <> 8.8.8.8:53 (world) "),
        (plain, &pod, names, ": p:5 (unknown) <> 8.8.8.8:53 (world-ipv4) "),
        (plain, ends, none, ": 10.0.0.1:5 (unknown) <> 8.8.8.8:53 (world) "),
        (numeric, ends, names, ": 10.0.0.1:5 (unknown) <> 8.8.8.8:53 (world) "),
        (dict, ends, names, "SOURCE: 10.0.0.1:5 (veth^[0)\n"),
        (dict, ends, names, "DESTINATION: 8.8.8.8:53 (world)\n"),
        (dict, &pod, names, "SOURCE: p:5\n"),
        (table, ends, names, "10.0.0.1:5 (veth^[0)   8.8.8.8:53 (world)   "),
        (table, ends, none, "10.0.0.1:5   8.8.8.8:53   "),
    ] {
        let text = extended(options, flow, added);
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn extension_adds_reason_arp_and_repetition() {
    let drop = r#""event_type":{"type":1},"verdict":"DROPPED","Summary":"UDP (NO_SOCKET)""#;
    let denied = drop.replace(r#""type":1"#, r#""type":1,"sub_type":133"#);
    let trace = r#""event_type":{"type":4},"verdict":"FORWARDED","Summary":"Ethernet""#;
    let reason = &[("hubble.drop.reason", "NO_SOCKET")][..];
    let arp = &[("hubble.summary", "ARP: 10.0.0.1 asks for 10.0.0.2"), ("hubble.flow.observed_before", "true")][..];
    for (flow, added, expected) in [
        (drop, reason, " NO_SOCKET DROPPED (UDP (NO_SOCKET))\n"),
        (&denied, reason, " Policy denied DROPPED (UDP (NO_SOCKET))\n"),
        (drop, &[], " Success DROPPED (UDP (NO_SOCKET))\n"),
        (trace, arp, " to-endpoint again FORWARDED (ARP: 10.0.0.1 asks for 10.0.0.2)\n"),
        (trace, &[], " to-endpoint FORWARDED (Ethernet)\n"),
    ] {
        let line = extended(PrintConfig::default(), flow, added);
        assert!(line.ends_with(expected), "{expected}: {line}");
    }
}
