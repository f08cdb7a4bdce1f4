//! Compares with Hubble's own command line: the same requests of the same flags, the same texts of Cilium's server.
//!
//! The peer is the command line 0.12.3, made of Cilium 1.14. Where ours differs by intent the tests state it: what
//! newer command lines do better, and what is a fault of all of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use eyepiece_flow::names::{drop_reason_text, observation_point_text};
use eyepiece_hubble::json;
use eyepiece_hubble::proto::flow::{Flow, LostEvent};
use eyepiece_hubble::proto::observer::ExportEvent;
use eyepiece_hubble::proto::observer::export_event::ResponseTypes;
use eyepiece_tests::harness::observer::{ObserveServer, Options};
use eyepiece_tests::reference::vectors;
use eyepiece_tests::{harness, needs_peers};
use prost::Message as _;
use prost_types::Timestamp;
use serde_json::Value;

use super::{of, texts};

fn run(program: impl AsRef<OsStr>, arguments: &[&str]) -> (i32, String, String) {
    // Hubble's command line wants to know where its configuration would be.
    texts(&Command::new(program).args(arguments).env_clear().env("HOME", "/nonexistent").output().unwrap())
}

const OURS: &str = env!("CARGO_BIN_EXE_eyepiece");

#[test]
fn flags_make_filters_as_hubble() {
    let [hubble, _] = &needs_peers!("hubble", harness::NAME);
    let rows = [
        "",
        "--pod a --not --verdict DROPPED -4 -t trace:to-endpoint",
        "--identity world --workload Deployment/x --tcp-flags syn,ack",
        "--from-pod x/y --to-ip 10.0.0.0/8 --port 80 --not --port 443 --not --protocol udp",
        "-n d --not --from-namespace e",
        "--fqdn *.example.com -t drop -t l7 -t 4:3 -t policy-verdict -t agent:endpoint-created -t capture -t trace-sock",
        "--label a=b,'c' --http-path /a<b>& --http-status 5+ --http-method get",
        "--from-identity 0x10 --to-identity host --trace-id abc --node-name k8s* --uuid u -6 --ip-version none",
        "--traffic-direction Egress --verdict FORWARDED --verdict AUDIT --from-identity 017 --from-identity 0b1",
        "--from-namespace a --to-namespace b --from-label x --to-label reserved:world --namespace=q",
        "--from-namespace a --from-namespace b --to-namespace c",
        "--service x --from-workload w --to-workload Kind/ --to-workload",
        "--service x/y --pod x/z",
        "--ip 1.2.3.4 --not -4 --not --ip 1.2.3.5 --ip-version v6",
        "--from-fqdn a.b --to-fqdn c.d --from-port 1 --to-port 2 --from-service s --to-service t",
        "--ipv4 --ipv6 --ipv4=v4 --label it's --protocol tcp --protocol http",
        "--allowlist {\"source_pod\":[\"x/\"]}{\"event_type\":[{\"type\":1}]} --denylist {\"verdict\":[\"DROPPED\"]}",
        "--pod a --allowlist {\"uuid\":[\"u\"]}",
        // What does not go together, or is no value.
        "--pod a --from-pod b",
        "--ip 1.1.1.1 --namespace a",
        "--not --not --pod a",
        "--pod a --not",
        "--verdict MAYBE",
        "--type bla",
        "--type trace:to-nowhere",
        "--tcp-flags syn,foo",
        "--identity foo",
        "--traffic-direction up",
        "--first 1 --last 2",
        "--first 1 --follow",
        "--last 1 --all",
        "--since yesterday",
        "--output xml",
        "--nonsense",
    ];
    for row in rows {
        let flags: Vec<_> =
            ["observe", "flows", "--print-raw-filters"].into_iter().chain(row.split_whitespace()).collect();
        let (theirs, ours) = (run(hubble, &flags), run(OURS, &flags));
        assert_eq!((ours.0 == 0, &ours.1), (theirs.0 == 0, &theirs.1), "{row}: {} {}", theirs.2, ours.2);
    }
}

/// Events of Cilium's own parser, each at a different time: flows, and agent and debug events.
fn events() -> Vec<ExportEvent> {
    let text = vectors::text("flows-world.jsonl.gz");
    let events =
        text.lines().step_by(7).filter(|line| !line.starts_with("{\"error\"")).enumerate().map(|(at, line)| {
            let at = i64::try_from(at).unwrap();
            let time = Timestamp {
                seconds: 1_700_000_000 + at,
                nanos: i32::try_from(at * 1_234_567 % 1_000_000_000).unwrap(),
            };
            let is_event = line.starts_with("{\"agent_event\"") || line.starts_with("{\"debug_event\"");
            let mut event: ExportEvent = if is_event { of(line) } else { of(&format!("{{\"flow\":{line}}}")) };
            if let Some(ResponseTypes::Flow(flow)) = &mut event.response_types {
                (flow.time, flow.node_name) = (Some(time), format!("node-{}", at % 3));
            }
            event.time = Some(time);
            event
        });
    events.collect()
}

/// Returns whether the peer prints a flow differently: with unknown parts, or with less detail than newer versions.
fn is_newer(event: &ExportEvent) -> bool {
    let flow = match &event.response_types {
        Some(ResponseTypes::Flow(flow)) => flow,
        // The last type that the peer has a name for.
        Some(ResponseTypes::DebugEvent(event)) => return event.r#type > 64,
        _ => return false,
    };
    let kind = flow.event_type.unwrap_or_default();
    let words = match kind.r#type {
        // Codes below 130 are no drops; of these and of the last ones the texts have changed since.
        1 => !(130..=194).contains(&kind.sub_type) || matches!(kind.sub_type, 136 | 153 | 154 | 161 | 186),
        4 => kind.sub_type > 11 && observation_point_text(kind.sub_type as u8).is_some(),
        _ => false,
    };
    let identities = [&flow.source, &flow.destination].into_iter().flatten().any(|end| matches!(end.identity, 9 | 10));
    words || identities || flow.ip_trace_id.is_some()
}

/// Runs what is to be done with Cilium's server, which has these events.
fn with_server(events: &[ExportEvent], work: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let listen = format!("unix://{}", folder.path().join("hubble.sock").display());
    let mut server =
        ObserveServer::start(&Options { listen: &listen, capacity: 16_383, node: "here", ..Options::default() })?;
    for event in events {
        server.event(&event.encode_to_vec())?;
    }
    // The newest event is seen only when another one follows it.
    let last = ResponseTypes::LostEvents(LostEvent { source: 3, num_events_lost: 1, ..LostEvent::default() });
    server.event(&ExportEvent { response_types: Some(last), ..ExportEvent::default() }.encode_to_vec())?;
    server.settle()?;
    work(&listen)
}

/// Both outputs, which have the same lines.
fn same(hubble: &Path, address: &str, flags: &[&str]) -> Result<usize> {
    let arguments = [&["observe"], flags, &["--server", address]].concat();
    let (theirs, mut ours) = (run(hubble, &arguments), run(OURS, &arguments));
    ensure!(theirs.0 == 0 && ours.0 == 0, "{flags:?}: {} {}", theirs.2, ours.2);
    if flags.contains(&"dict") {
        // 0.12.3 leaves out the authentication in this form, newer ones do not.
        ours.1 =
            ours.1.lines().map(|line| format!("{}\n", line.split("; Auth: ").next().unwrap_or_default())).collect();
    }
    let different = theirs.1.lines().zip(ours.1.lines()).find(|(theirs, ours)| theirs != ours);
    ensure!(different.is_none(), "{flags:?}: {different:#?}");
    ensure!(theirs.1 == ours.1, "{flags:?}: {} lines, ours {}", theirs.1.lines().count(), ours.1.lines().count());
    Ok(ours.1.lines().count())
}

#[test]
fn server_output_matches_hubble() -> Result<()> {
    let [hubble, _] = &needs_peers!("hubble", harness::NAME);
    let (mut newer, known): (Vec<_>, Vec<_>) = events().into_iter().partition(is_newer);
    newer.retain(|event| matches!(event.response_types, Some(ResponseTypes::Flow(_))));
    ensure!(known.len() > 1_500 && newer.len() > 20, "{} {}", known.len(), newer.len());
    with_server(&known, |address| {
        let mut lines = 0;
        for form in ["compact", "table"] {
            for flags in [
                &[][..],
                &["--print-node-name"],
                &["--numeric"],
                &["--ip-translation=false", "--print-node-name"],
                &["--time-format", "RFC3339Nano"],
                &["--color", "always"],
            ] {
                lines += same(hubble, address, &[&["flows", "--all", "-o", form], flags].concat())?;
            }
        }
        lines += same(hubble, address, &["--all", "-o", "dict", "--print-node-name", "--color", "always"])?;
        for format in [
            "StampMilli",
            "YearMonthDay",
            "YearMonthDayHour",
            "YearMonthDayHourMinute",
            "RFC3339",
            "RFC3339Milli",
            "RFC3339Micro",
            "RFC1123Z",
        ] {
            lines += same(hubble, address, &["--last", "200", "--time-format", format])?;
        }
        for flags in [
            &["--first", "7"][..],
            &["--last", "7"],
            &[],
            &["--since", "2023-11-14T22:20:00Z", "--until", "2023-11-14T22:25:00Z"],
            &["--verdict", "DROPPED", "--all"],
            &["--all", "--not", "--protocol", "tcp", "-t", "trace:to-stack"],
            &["--all", "--pod", "kube-system/", "--not", "-6"],
            &["--all", "--denylist", "{\"event_type\":[{\"type\":4}]}"],
        ] {
            lines += same(hubble, address, &[&["flows"], flags].concat())?;
        }
        for kind in ["agent-events", "debug-events"] {
            for flags in [&["-o", "compact"][..], &["-o", "compact", "--print-node-name"], &["-o", "table"]] {
                lines += same(hubble, address, &[&[kind, "--all"], flags].concat())?;
            }
        }
        ensure!(lines > 30_000, "{lines} lines");
        json_is_the_same(hubble, address)?;
        status_is_the_same(hubble, address)
    })?;
    newer_words_are_ours(hubble, &newer)
}

/// Fields that came after the peer.
const NEWER_FIELDS: &[&str] = &[
    "emitter",
    "tunnel",
    "node_labels",
    "trace_reason",
    "file",
    "ip_trace_id",
    "egress_denied_by",
    "ingress_denied_by",
    "egress_allowed_by",
    "ingress_allowed_by",
    "policy_log",
    "aggregate",
    "cluster_name",
    "source_xlated",
    "chunk_type",
    "VRRP",
    "IGMP",
    "kind",
    "socket_cookie",
    "cgroup_id",
];

/// Removes fields that are newer than the peer; returns the places of other differences.
fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, _| !NEWER_FIELDS.contains(&name.as_str()));
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Returns whether values are the same; an enum's number may be the peer's for a name that it does not know yet.
fn agree(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            theirs.len() == ours.len()
                && theirs.iter().all(|(name, value)| ours.get(name).is_some_and(|other| agree(value, other)))
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(one, other)| agree(one, other))
        }
        (Value::Number(_), Value::String(name)) => {
            name.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
        }
        _ => theirs == ours,
    }
}

fn json_is_the_same(hubble: &Path, address: &str) -> Result<()> {
    let mut equal = 0;
    for command in [&["flows", "--all"][..], &["agent-events", "--all"], &["debug-events", "--all"]] {
        let arguments = [&["observe"], command, &["-o", "jsonpb", "--server", address]].concat();
        let (theirs, ours) = (run(hubble, &arguments).1, run(OURS, &arguments).1);
        // Losses, which newer ones print.
        let theirs: Vec<_> = theirs.lines().collect();
        let ours: Vec<_> = ours.lines().filter(|line| !line.starts_with("{\"lost_events\"")).collect();
        ensure!(theirs.len() == ours.len() && !ours.is_empty(), "{command:?}: {} {}", theirs.len(), ours.len());
        for (theirs, ours) in theirs.into_iter().zip(ours) {
            if theirs == ours {
                equal += 1;
                continue;
            }
            let (mut theirs, mut ours): (Value, Value) = (serde_json::from_str(theirs)?, serde_json::from_str(ours)?);
            strip(&mut ours);
            strip(&mut theirs);
            ensure!(agree(&theirs, &ours), "{command:?}:\n{theirs}\n{ours}");
        }
    }
    ensure!(equal > 100, "only {equal} lines are equal as texts");
    Ok(())
}

/// The peer knows no rate, which newer ones take from the server.
fn status_is_the_same(hubble: &Path, address: &str) -> Result<()> {
    for form in ["compact", "dict"] {
        let theirs = run(hubble, &["status", "--server", address, "-o", form]).1;
        let ours = run(OURS, &["status", "--hubble", address, "-o", form]).1;
        let fields = |text: &str| -> BTreeMap<String, String> {
            let fields = text.lines().filter_map(|line| line.split_once(": "));
            let fields = fields.map(|(name, value)| (name.trim().to_owned(), value.to_owned()));
            fields.filter(|(name, _)| !["Flows/s", "FLOWS PER SECOND", "UPTIME"].contains(&name.as_str())).collect()
        };
        let (theirs, ours) = (fields(&theirs), fields(&ours));
        ensure!(theirs == ours && ours.len() > 1, "{theirs:?}\n{ours:?}");
    }
    for command in ["namespaces", "nodes"] {
        for form in ["table", "wide", "json"] {
            let theirs = run(hubble, &["list", command, "--server", address, "-o", form]);
            let ours = run(OURS, &["observe", command, "--server", address, "-o", form]);
            ensure!((theirs.0, &theirs.1) == (ours.0, &ours.1), "{command} {form}: {theirs:?} {ours:?}");
        }
    }
    Ok(())
}

/// Where the words differ, and how: theirs and ours.
fn newer_words_are_ours(hubble: &Path, newer: &[ExportEvent]) -> Result<()> {
    with_server(newer, |address| {
        let arguments = ["observe", "--all", "--server", address];
        let (theirs, ours) = (run(hubble, &arguments).1, run(OURS, &arguments).1);
        let ours: Vec<_> = ours.lines().filter(|line| !line.starts_with("EVENTS LOST")).collect();
        ensure!(theirs.lines().count() == ours.len() && ours.len() == newer.len(), "{theirs}");
        for ((theirs, ours), event) in theirs.lines().zip(ours).zip(newer) {
            let Some(ResponseTypes::Flow(flow)) = &event.response_types else { continue };
            ensure!(explained(theirs, flow) == ours, "{theirs}\n{ours}\n{:?}", json_of(event));
        }
        Ok(())
    })
}

fn json_of(event: &ExportEvent) -> String {
    let mut out = String::new();
    json::write(event, &mut out).map(|()| out).unwrap_or_default()
}

/// A line of the peer with the newer words in it.
fn explained(theirs: &str, flow: &Flow) -> String {
    let kind = flow.event_type.unwrap_or_default();
    let sub = u32::try_from(kind.sub_type).unwrap_or_default();
    let mut line = theirs.replace("(ID:9)", "(world-ipv4)").replace("(ID:10)", "(world-ipv6)");
    let rest = match line.rsplit_once(" (") {
        Some((before, summary)) => (before.to_owned(), summary.to_owned()),
        None => return line,
    };
    let verdict = rest.0.rsplit(' ').next().unwrap_or_default().to_owned();
    // What stands between the second identity and the verdict.
    let Some(before) = rest.0.strip_suffix(&format!(" {verdict}")) else { return line };
    let identity = before.rfind(") ").map_or(0, |at| at + 2);
    let text = match kind.r#type {
        1 => drop_reason_text(sub).map_or_else(|| format!("{sub}, 0"), ToOwned::to_owned),
        4 => observation_point_text(sub as u8).map_or_else(|| sub.to_string(), ToOwned::to_owned),
        _ => before[identity..].to_owned(),
    };
    let trace = flow.ip_trace_id.filter(|trace| trace.trace_id > 0);
    let trace = trace.map(|trace| format!("IP Trace ID: {}; ", trace.trace_id)).unwrap_or_default();
    line = format!("{}{text} {verdict} ({trace}{}", &before[..identity], rest.1);
    line
}

#[test]
fn known_faults_of_hubble_are_absent() -> Result<()> {
    let [hubble, _] = &needs_peers!("hubble", harness::NAME);
    let time = r#""time":"2024-05-06T07:08:09Z""#;
    let events = [
        format!(r#"{{"agent_event":{{"type":"AGENT_STARTED"}},{time}}}"#),
        format!(r#"{{"agent_event":{{"type":"AGENT_STARTED"}},{time}}}"#),
        format!(r#"{{"flow":{{"Summary":"\u001b[31mred\nforged: line","auth_type":"SPIRE",{time}}},{time}}}"#),
        format!(
            r#"{{"flow":{{"IP":{{}},"source":{{"pod_name":"p","namespace":"n"}},"source_service":{{"name":"s","namespace":"other"}},{time}}},{time}}}"#
        ),
    ];
    let events: Vec<ExportEvent> = events.iter().map(|event| of(event)).collect();
    with_server(&events, |address| {
        let both = |arguments: &[&str]| {
            let arguments = [&["observe"], arguments, &["--server", address]].concat();
            (run(hubble, &arguments).1, run(OURS, &arguments).1)
        };
        // A separator without its line's end.
        let (theirs, ours) = both(&["agent-events", "-o", "dict"]);
        ensure!(
            theirs.contains("------------  TIMESTAMP") && ours.contains("------------\n  TIMESTAMP"),
            "{theirs}{ours}"
        );
        let (theirs, ours) = both(&[]);
        // Control characters of peers (newer ones neutralise ESC and CR), and lines that peers forge.
        ensure!(theirs.contains("\u{1b}[31mred\nforged") && ours.contains("^[[31mred\\nforged"), "{theirs}{ours}");
        // A pod in the namespace of its service.
        ensure!(theirs.contains("other/p ") && ours.contains("n/p "), "{theirs}{ours}");
        // Who authenticated, in this form too (as newer ones).
        let (theirs, ours) = both(&["-o", "dict"]);
        ensure!(!theirs.contains("Auth: SPIRE") && ours.contains("; Auth: SPIRE\n"), "{theirs}{ours}");
        Ok(())
    })
    .context("the peer behaves differently")
}
