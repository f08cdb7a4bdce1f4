//! Checks requests, output and exit codes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use eyepiece_hubble::extension::is_requested;
use eyepiece_hubble::json;
use eyepiece_hubble::proto::observer::{
    GetFlowsResponse, GetNamespacesResponse, GetNodesResponse, Namespace, Node, ServerStatusResponse,
};
use eyepiece_hubble::proto::peer::ChangeNotification;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tonic::Status;

use super::server::{Answers, Server, StreamEnd, flow};
use super::{eyepiece, observe, of, texts};

fn flows(summaries: &[&str]) -> Answers {
    Answers { flows: summaries.iter().map(|summary| flow(summary)).collect(), ..Answers::default() }
}

fn line(summary: &str) -> String {
    format!("N/A:  (unknown) <>  (unknown) UNKNOWN VERDICT_UNKNOWN ({summary})\n")
}

#[test]
fn flags_make_request_answers_make_lines() {
    let server = Server::start(flows(&["a", "b"]));
    assert_eq!(texts(&observe(&server.address, &[])), (0, line("a") + &line("b"), String::new()));
    for flags in [
        &["--all"][..],
        &["--first", "3", "flows"],
        &["--last", "4", "--last", "5", "--since", "2024-05-06", "--until", "2024-05-07T08Z"],
        &["-f", "--until", "1h"],
        &["--pod", "a", "--not", "-4", "--denylist", "{\"uuid\":[\"u\"]}", "--use-default-field-masks"],
        &["-o", "json", "--field-mask", "IP,l4", "--field-mask", "time"],
    ] {
        // As in `observe flows`, what belongs to the sub-command stands behind it.
        let flags: Vec<_> = if flags.contains(&"flows") {
            vec!["flows", "--first", "3", "--server", &server.address]
        } else {
            [&["--server", server.address.as_str()], flags].concat()
        };
        let output = eyepiece(&[&["observe"], &flags[..]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{flags:?}: {output:?}");
    }
    let asked = server.asked.lock().unwrap();
    let range = |at: usize| {
        let request = &asked.flows[at];
        let seconds = |time: &Option<prost_types::Timestamp>| time.map(|time| time.seconds);
        (request.number, request.first, request.follow, seconds(&request.since), seconds(&request.until))
    };
    assert_eq!(range(0), (20, false, false, None, None));
    assert_eq!(range(1), (u64::MAX, false, false, None, None));
    assert_eq!(range(2), (3, true, false, None, None));
    assert_eq!(range(3), (5, false, false, Some(1_714_953_600), Some(1_715_068_800)));
    assert_eq!(range(4), (0, false, true, None, None));
    let filters = &asked.flows[5];
    assert_eq!((filters.whitelist.len(), filters.blacklist.len()), (2, 2));
    assert_eq!(filters.blacklist[1].uuid, ["u"]);
    let mask = filters.field_mask.clone().unwrap();
    assert!(mask.paths.iter().any(|path| path == "source.pod_name") && mask.paths.iter().any(|path| path == "time"));
    assert_eq!(filters.experimental.clone().unwrap().field_mask, Some(mask));
    assert_eq!(asked.flows[6].field_mask.clone().unwrap().paths, ["IP", "l4", "time"]);
    assert!(asked.flows[0].field_mask.is_none() && asked.flows[0].experimental.is_none());
    // Names of the ends and the like; JSON is what Hubble's own command line prints.
    assert!(
        is_requested(asked.flows[0].extensions.as_ref())
            && filters.field_mask.clone().unwrap().paths.contains(&"extensions".to_owned())
    );
    assert!(asked.flows[6].extensions.is_none());
}

#[test]
fn usage_errors_precede_connection() {
    for (flags, expected) in [
        (&["--first", "1", "--last", "2"][..], "--first and --last can't be combined"),
        (&["--first", "1", "-f"], "--first and --follow can't be combined"),
        (&["--all", "--last", "1"], "cannot be used with"),
        (&["-o", "table", "-f"], "-o table is written at the end"),
        (&["--since", "yesterday"], "--since: \"yesterday\" is no time"),
        (&["-f", "--until", "x"], "--until: \"x\" is no time"),
        (&["--field-mask", "IP"], "--field-mask is for -o json"),
        (&["--allowlist", "{"], "--allowlist: \"{\" is no flow.FlowFilter in JSON"),
        (&["--denylist", "{\"x\":1}"], "--denylist"),
        (&["--pod", "a", "--not"], "--not has no filter after it"),
        (&["-o", "xml"], "possible values: compact, dict, json, table"),
        (&["--time-format", "x"], "StampMilli"),
        (&["--server", "ftp://x"], "--server: invalid address of a Hubble server \"ftp://x\""),
        (&["--timeout", "5"], "--timeout: \"5\" is no duration"),
        (&["--tls-client-key-file", "x"], "belong together"),
        (&["--server", "x:1", "--basic-auth-username", "x"], "belong together"),
        (&["--server", "x:1", "--basic-auth-username", "x", "--basic-auth-password", "y"], "basic auth needs TLS"),
        (&["--server", "/x.sock", "--tls"], "a unix socket is plaintext"),
        (&["--input-file", "-", "--ip", "x"], "invalid IP address"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let (code, out, err) = texts(&eyepiece(&[&["observe"], flags].concat()).output().unwrap());
        assert_eq!((code, out.as_str()), (64, ""), "{flags:?} {err}");
        assert!(err.contains(expected), "{flags:?} {err}");
    }
}

#[test]
fn every_form_goes_to_standard_output() {
    let lost: GetFlowsResponse =
        of(r#"{"lost_events":{"source":"PERF_EVENT_RING_BUFFER","num_events_lost":"7","cpu":2}}"#);
    let status: GetFlowsResponse =
        of(r#"{"node_status":{"state_change":"NODE_UNAVAILABLE","node_names":["n2"]},"node_name":"relay"}"#);
    let server = Server::start(Answers { flows: vec![flow("a\u{1b}[2J"), lost, status], ..Answers::default() });
    let notice = "N/A [relay]: 1 nodes are unavailable: n2\n";
    let compact = line("a^[[2J") + "EVENTS LOST: PERF_EVENT_RING_BUFFER CPU(2) 7\n";
    assert_eq!(texts(&observe(&server.address, &[])), (0, compact.clone(), notice.to_owned()));
    assert_eq!(texts(&observe(&server.address, &["-s"])), (0, compact, String::new()));
    let (_, table, _) =
        texts(&observe(&server.address, &["-o", "tab", "--print-node-name", "--time-format", "rfc3339"]));
    assert!(
        table.starts_with("TIMESTAMP   NODE   SOURCE                   DESTINATION   TYPE          VERDICT"),
        "{table}"
    );
    let (_, dict, err) = texts(&observe(&server.address, &["-o", "dict"]));
    assert!(
        dict.contains("       TYPE: EVENTS LOST\n") && err.contains("      STATE: NODE_UNAVAILABLE\n"),
        "{dict} {err}"
    );
    for form in ["json", "jsonpb", "JSON"] {
        let (_, out, err) = texts(&observe(&server.address, &["-o", form]));
        let messages: Vec<GetFlowsResponse> =
            out.lines().chain(err.lines()).map(|line| json::read(line, true).unwrap()).collect();
        assert_eq!(messages.len(), 3, "{out}");
    }
    let (_, colors, _) = texts(&observe(&server.address, &["--color", "always"]));
    assert!(colors.contains("\u{1b}[35m(unknown)\u{1b}[0m"), "{colors:?}");
    let (_, _, debug) = texts(&observe(&server.address, &["-D"]));
    assert!(debug.contains("connected to unix://") && debug.contains("the server is 1.20.2+gtest"), "{debug}");
}

#[test]
fn events_nodes_namespaces_and_peers() {
    let answers = Answers {
        agent: vec![of(r#"{"agent_event":{"type":"AGENT_STARTED"}}"#)],
        debug: vec![of(r#"{"debug_event":{"message":"m"}}"#)],
        nodes: Some(GetNodesResponse {
            nodes: vec![Node { name: "b".into(), ..Node::default() }, Node { name: "a".into(), ..Node::default() }],
        }),
        namespaces: GetNamespacesResponse {
            namespaces: vec![Namespace { namespace: "ns".into(), cluster: "c".into() }],
        },
        peers: vec![ChangeNotification { name: "n".into(), address: "a:1".into(), r#type: 2, tls: None }],
        ..Answers::default()
    };
    let server = Server::start(answers);
    let run = |command: &[&str]| {
        texts(&eyepiece(&[&["observe"], command, &["--server", &server.address]].concat()).output().unwrap())
    };
    assert_eq!(run(&["agent-events", "--first", "3"]), (0, "N/A: AGENT_STARTED (UNKNOWN)\n".into(), String::new()));
    assert_eq!(
        run(&["debug-events", "--all"]),
        (0, "N/A: N/A DBG_EVENT_UNKNOWN MARK: N/A CPU: N/A (m)\n".into(), String::new())
    );
    assert!(run(&["nodes"]).1.starts_with("NAME   STATUS    AGE   FLOWS/S   CURRENT/MAX-FLOWS\na      Unknown   N/A"));
    assert_eq!(
        run(&["nodes", "-o", "json"]).1,
        "[\n  {\n    \"name\": \"a\"\n  },\n  {\n    \"name\": \"b\"\n  }\n]\n"
    );
    assert_eq!(run(&["namespaces", "-o", "wide"]).1, "NAMESPACE   CLUSTER\nns          c\n");
    assert_eq!(run(&["peers"]).1, "PEER_DELETED a:1 n\n");
    let asked = server.asked.lock().unwrap();
    assert_eq!((asked.agent[0].number, asked.agent[0].first, asked.debug[0].number), (3, true, u64::MAX));
}

#[test]
fn follow_continues_until_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let server = Server::start(Answers { then: StreamEnd::Wait, ..flows(&["a"]) });
        let mut command = eyepiece(&["observe", "--server", &server.address, "--follow"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        // What is there is written although nothing follows it.
        assert_eq!(first, line("a"));
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), rest.as_str(), output.stderr.as_slice()), (Some(0), "", &b""[..]));
    }
}

#[test]
fn signal_ends_blocked_output() {
    let server = Server::start(Answers { then: StreamEnd::Again, ..flows(&["a"]) });
    let mut command = eyepiece(&["observe", "--server", &server.address, "--follow"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    // It runs, and soon the pipe is full.
    out.read_exact(&mut [0; 100]).unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // The first signal stops the stream, the second what waits to be written.
    while child.try_wait().unwrap().is_none() {
        kill(pid, Signal::SIGINT).unwrap();
        std::thread::yield_now();
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn closed_output_pipe_is_no_error() {
    let server = Server::start(Answers { then: StreamEnd::Again, ..flows(&["a"]) });
    for form in ["compact", "json", "dict"] {
        let script = format!(
            "{} observe --server {} -f -o {form} | head -n 3; exit ${{PIPESTATUS[0]}}",
            env!("CARGO_BIN_EXE_eyepiece"),
            server.address
        );
        let (code, out, err) = texts(&Command::new("bash").args(["-c", &script]).output().unwrap());
        assert_eq!((code, out.lines().count(), err.as_str()), (0, 3, ""), "{form}");
    }
}

#[test]
fn server_error_follows_received_flows() {
    for (status, expected) in [
        (Status::unknown("invalid filter\u{1b}"), "eyepiece: the server answers: invalid filter^[\n"),
        (Status::unavailable("gone"), "eyepiece: the server answers: The service is currently unavailable: gone\n"),
    ] {
        let server = Server::start(Answers { then: StreamEnd::Fail(status), ..flows(&["a"]) });
        assert_eq!(texts(&observe(&server.address, &[])), (1, line("a"), expected.to_owned()));
    }
    let server = Server::start(Answers::default());
    let output = eyepiece(&["observe", "nodes", "--server", &server.address]).output().unwrap();
    assert!(texts(&output).2.contains("GetNodes not implemented"), "{output:?}");
}

#[test]
fn status_shows_server() {
    let status =
        ServerStatusResponse { num_flows: 1, max_flows: 2, uptime_ns: 1, flows_rate: 3.0, ..Default::default() };
    let server = Server::start(Answers { status: status.clone(), ..Answers::default() });
    let run = |flags: &[&str]| {
        texts(&eyepiece(&[&["status", "--hubble", &server.address], flags].concat()).output().unwrap())
    };
    let expected =
        format!("Healthcheck (via {}): Ok\nCurrent/Max Flows: 1/2 (50.00%)\nFlows/s: 3.00\n", server.address);
    assert_eq!(run(&[]), (0, expected, String::new()));
    assert!(run(&["-o", "dict"]).1.starts_with("          NUM FLOWS: 1\n"));
    assert_eq!(json::read::<ServerStatusResponse>(run(&["--json"]).1.trim_end(), true).unwrap(), status);
    let nodes = Some(GetNodesResponse { nodes: vec![Node { name: "a".into(), ..Node::default() }] });
    let relay = Server::start(Answers { status, nodes, ..Answers::default() });
    let (_, out, _) = texts(&eyepiece(&["status", "--hubble", &relay.address]).output().unwrap());
    assert!(
        out.contains("\n\nNAME   STATUS    AGE   FLOWS/S   CURRENT/MAX-FLOWS   VERSION   ADDRESS   TLS\na "),
        "{out}"
    );
    let sick = Server::start(Answers { is_sick: true, ..Answers::default() });
    let output = texts(&eyepiece(&["status", "--hubble", &sick.address]).output().unwrap());
    assert_eq!(output, (1, String::new(), "eyepiece: the server is not healthy: NOT_SERVING\n".to_owned()));
}
