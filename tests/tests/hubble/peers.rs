//! Hubble's peers among themselves, so that they can be trusted as counterparts of ours: the CLI, relay and the harness's
//! clients against Cilium's own server, filled with events that are made here.

use std::time::Duration;

use anyhow::Result;
use eyepiece_tests::harness::filters::filter;
use eyepiece_tests::harness::load::{Load, Streams, call};
use eyepiece_tests::harness::observer::{ObserveServer, Options};
use eyepiece_tests::{Hubble, Relay, harness, hubble, needs_peers, relay};
use prost::Message;
use serde_json::Value;

/// The parts of Hubble's messages that are needed here.
#[derive(Clone, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Addresses {
    #[prost(string, tag = "1")]
    source: String,
}

#[derive(Clone, PartialEq, Message)]
struct Endpoint {
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, Message)]
struct Flow {
    #[prost(message, tag = "1")]
    time: Option<Time>,
    #[prost(int32, tag = "2")]
    verdict: i32,
    #[prost(message, tag = "5")]
    addresses: Option<Addresses>,
    #[prost(message, tag = "8")]
    source: Option<Endpoint>,
    #[prost(string, tag = "11")]
    node_name: String,
    #[prost(string, tag = "5000")]
    of_a_later_release: String,
}

#[derive(Clone, PartialEq, Message)]
struct Typed {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint64, tag = "2")]
    count: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ExportEvent {
    #[prost(message, tag = "1")]
    flow: Option<Flow>,
    #[prost(message, tag = "3")]
    lost: Option<Typed>,
    #[prost(message, tag = "4")]
    agent: Option<Typed>,
    #[prost(message, tag = "5")]
    debug: Option<Typed>,
    #[prost(message, tag = "1001")]
    time: Option<Time>,
}

#[derive(Clone, PartialEq, Message)]
struct Filter {
    #[prost(string, repeated, tag = "1")]
    source_ip: Vec<String>,
    #[prost(string, repeated, tag = "9")]
    http_status_code: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(message, repeated, tag = "5")]
    blacklist: Vec<Filter>,
    #[prost(message, repeated, tag = "6")]
    whitelist: Vec<Filter>,
}

/// The seconds of the first event's time.
const START: i64 = 1_700_000_000;

fn flow(number: u8, node: &str) -> Vec<u8> {
    let time = Some(Time { seconds: START + i64::from(number) });
    let flow = Flow {
        time: time.clone(),
        verdict: 1,
        addresses: Some(Addresses { source: format!("10.0.0.{number}") }),
        source: Some(Endpoint { namespace: format!("space-{}", number % 2) }),
        node_name: node.to_owned(),
        of_a_later_release: "unknown here".to_owned(),
    };
    ExportEvent { flow: Some(flow), time, ..ExportEvent::default() }.encode_to_vec()
}

fn agent_event(kind: i32) -> Vec<u8> {
    let agent = Some(Typed { kind, count: 0 });
    ExportEvent { agent, time: Some(Time { seconds: START + 50 }), ..ExportEvent::default() }.encode_to_vec()
}

fn debug_event(kind: i32) -> Vec<u8> {
    let debug = Some(Typed { kind, count: 0 });
    ExportEvent { debug, time: Some(Time { seconds: START + 51 }), ..ExportEvent::default() }.encode_to_vec()
}

fn lost(count: u64) -> Vec<u8> {
    // The source is the events queue.
    let lost = Some(Typed { kind: 2, count });
    ExportEvent { lost, time: Some(Time { seconds: START + 52 }), ..ExportEvent::default() }.encode_to_vec()
}

fn of_source(source: &str) -> Filter {
    Filter { source_ip: vec![source.to_owned()], ..Filter::default() }
}

fn whitelist(filters: &[Filter]) -> Vec<u8> {
    Request { whitelist: filters.to_vec(), ..Request::default() }.encode_to_vec()
}

/// The sources' last numbers of lines of JSON.
fn numbers(lines: &[Value]) -> Vec<u8> {
    let source = |line: &Value| line["flow"]["IP"]["source"].as_str()?.rsplit('.').next()?.parse().ok();
    lines.iter().filter_map(source).collect()
}

fn server(node: &str, listen: &str) -> ObserveServer {
    ObserveServer::start(&Options { listen, node, capacity: 63, ..Options::default() }).expect("a server")
}

/// Ten flows, then one event of each other kind, then a flow: the ring hides its newest event.
fn fill(server: &mut ObserveServer, node: &str) -> Result<()> {
    (0..10).try_for_each(|number| server.event(&flow(number, node)))?;
    for event in [agent_event(2), debug_event(1), lost(7), flow(99, node)] {
        server.event(&event)?;
    }
    assert_eq!(server.settle()?, 14);
    Ok(())
}

#[test]
fn filter_peer_answers_or_fails() {
    needs_peers!(harness::NAME);
    let events = [flow(1, "n"), flow(2, "n"), agent_event(2), debug_event(1), lost(1), flow(3, "n")];
    let two = [of_source("10.0.0.2/31")];
    let requests = [
        whitelist(&[]),
        whitelist(&two),
        Request { blacklist: two.to_vec(), ..Request::default() }.encode_to_vec(),
        whitelist(&[of_source("10.0.0.1"), of_source("10.0.0.3")]),
        whitelist(&[of_source("no address")]),
        whitelist(&[Filter { http_status_code: vec!["6+".to_owned()], ..Filter::default() }]),
        b"\xff".to_vec(),
    ];
    let found = filter(&events, &requests).expect("answers");
    let bits = |text: &str| Ok(text.chars().map(|bit| bit == '1').collect::<Vec<_>>());
    assert_eq!(found[..4], [bits("111111"), bits("010001"), bits("101110"), bits("100001")]);
    for (answer, why) in found[4..].iter().zip(["invalid IP address", "status code", "proto"]) {
        assert!(answer.as_ref().is_err_and(|error| error.contains(why)), "{answer:?} lacks {why:?}");
    }
}

#[test]
fn cli_shows_flows_of_server() {
    needs_peers!(harness::NAME, hubble::NAME);
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = server("one", &format!("unix://{}/hubble.sock", folder.path().display()));
    fill(&mut server, "one").expect("events");
    let hubble = Hubble::new(server.address(), None).expect("the CLI");
    let json = |arguments: &[&str]| {
        let printed = hubble.run(&[arguments, &["-o", "jsonpb"]].concat()).expect("an end");
        printed.json().expect("lines")
    };

    let all = json(&["observe", "--all"]);
    assert_eq!(numbers(&all), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(all[3]["time"], "2023-11-14T22:13:23Z");
    assert_eq!(all[3]["node_name"], "one");
    // This CLI has no form for losses, and prints a message.
    let debug = hubble.run(&["observe", "--all", "-o", "json", "--debug"]).expect("an end");
    assert!(debug.stderr.contains("unknown response type") && debug.stderr.contains("num_events_lost:7"), "{debug:?}");
    // No filter: the agent's and the debug event are two of the five.
    assert_eq!(numbers(&json(&["observe", "--last", "5"])), [7, 8, 9]);
    assert_eq!(numbers(&json(&["observe", "--last", "5", "--verdict", "FORWARDED"])), [5, 6, 7, 8, 9]);
    assert_eq!(numbers(&json(&["observe", "--first", "2"])), [0, 1]);
    assert_eq!(numbers(&json(&["observe", "--all", "--from-ip", "10.0.0.4"])), [4]);
    assert_eq!(json(&["observe", "agent-events", "--all"])[0]["agent_event"]["type"], "AGENT_STARTED");
    assert_eq!(json(&["observe", "debug-events", "--all"])[0]["debug_event"]["type"], "DBG_GENERIC");

    let text = |arguments: &[&str]| hubble.run(arguments).expect("an end");
    let status = text(&["status"]);
    assert!(status.ok().expect("well").contains("Current/Max Flows: 14/63"), "{status:?}");
    assert_eq!(text(&["list", "namespaces"]).ok().expect("well"), "NAMESPACE\nspace-0\nspace-1\n");
    let nodes = text(&["list", "nodes"]);
    assert_eq!(nodes.code, Some(1));
    assert!(nodes.stderr.contains("code = Unimplemented"), "{nodes:?}");
}

#[test]
fn relay_merges_flows_of_peers() {
    needs_peers!(harness::NAME, hubble::NAME, relay::NAME);
    let folder = tempfile::tempdir().expect("a folder");
    let mut one = server("one", &format!("unix://{}/hubble.sock", folder.path().display()));
    let mut two = server("two", "127.0.0.1:0");
    for number in 0..10 {
        let (to, node) = if number % 2 == 0 { (&mut one, "one") } else { (&mut two, "two") };
        to.event(&flow(number, node)).expect("an event");
    }
    let own = one.address().to_owned();
    one.add_peer("one", &own).expect("a peer");
    one.add_peer("two", two.address()).expect("a peer");
    assert_eq!([one.settle().expect("events"), two.settle().expect("events")], [5, 5]);

    let mut relay = Relay::start(&own, None, &["--disable-client-tls", "--disable-server-tls"]).expect("relay");
    for name in ["one", "two"] {
        relay.wait_for_peer(name).expect("a connection");
    }
    let hubble = Hubble::new(&relay.address().to_string(), None).expect("the CLI");
    let printed = hubble.run(&["observe", "--all", "-o", "json"]).expect("an end");
    // Each ring hides its newest.
    assert_eq!(numbers(&printed.json().expect("lines")), [0, 1, 2, 3, 4, 5, 6, 7]);
    let nodes = hubble.run(&["list", "nodes"]).expect("an end");
    let nodes = nodes.ok().expect("nodes");
    assert!(nodes.lines().filter(|line| line.contains("Connected")).count() == 2, "{nodes}");
}

#[test]
fn client_peer_reports_flows_losses_ends() {
    needs_peers!(harness::NAME);
    let mut server = server("one", "127.0.0.1:0");
    let streams = Streams {
        unread: 2,
        filtered: 1,
        entries: 300,
        resets: 2,
        reset_after: 5,
        per_connection: 3,
        ..Streams::default()
    };
    let mut load = Load::start(server.address(), &streams).expect("clients");
    server.keep(&flow(1, "one")).expect("a flow");
    // A follower sees what comes after it has been let in, which only flows show.
    let mut rounds = 0;
    while !load.wait(20, Duration::from_millis(10)).expect("an answer") {
        server.repeat(10, 0).expect("flows");
        server.settle().expect("flows");
        rounds += 1;
        assert!(rounds < 3000, "{:?}", load.report());
    }
    server.event(&lost(7)).expect("a loss");
    // More than the ring holds behind the loss for none, and enough to be seen.
    server.repeat(10, 0).expect("flows");
    server.settle().expect("flows");
    let seen = |load: &mut Load| {
        let reports = load.report().expect("reports");
        let has = |group: &str| {
            reports
                .iter()
                .filter(|report| report.group == group)
                .all(|report| report.lost.contains_key("OBSERVER_EVENTS_QUEUE"))
        };
        (has("read") && has("filtered")).then_some(reports)
    };
    let reports = eyepiece_tests::eventually(Duration::from_secs(20), "the loss", || seen(&mut load)).expect("a loss");
    let groups: Vec<&str> = reports.iter().map(|report| report.group.as_str()).collect();
    assert_eq!(groups, ["read", "unread", "unread", "filtered", "reset", "reset"]);
    for at in [0, 3] {
        let report = &reports[at];
        assert!(report.flows + report.lost.values().sum::<u64>() >= 20 && report.end.is_none(), "{report:?}");
        assert_eq!(report.lost["OBSERVER_EVENTS_QUEUE"], 7);
    }
    assert_eq!([reports[1].responses, reports[2].responses], [0, 0]);
    load.reset().expect("done");
    load.read_all().expect("done");
    let done = |load: &mut Load| {
        let reports = load.report().expect("reports");
        let canceled = |at: usize| reports[at].end.as_ref().is_some_and(|(code, _)| code == "Canceled");
        (reports[1].flows > 0 && reports[2].flows > 0 && canceled(4) && canceled(5)).then_some(())
    };
    eyepiece_tests::eventually(Duration::from_secs(20), "flows and ends", || done(&mut load)).expect("all of it");
}

#[test]
fn call_peer_reports_status_code() {
    needs_peers!(harness::NAME);
    let mut server = server("one", "127.0.0.1:0");
    (0..10).try_for_each(|number| server.event(&flow(number, "one"))).expect("flows");
    server.settle().expect("flows");
    let address = server.address().to_owned();
    let ask =
        |method: &str, message: &[u8], further: &[&str]| call(&address, method, message, further).expect("an answer");

    let unknown = ask("/observer.Observer/Nothing", &[], &[]);
    assert_eq!((unknown.code.as_str(), unknown.responses.len()), ("Unimplemented", 0));
    let long = ask("/observer.Observer/ServerStatus", &[], &["-size=5000000"]);
    assert_eq!(long.code, "ResourceExhausted");
    assert!(long.message.contains("larger than max"), "{long:?}");
    let padded = ask("/observer.Observer/ServerStatus", &[], &["-size=1000"]);
    assert_eq!((padded.code.as_str(), padded.responses.len()), ("OK", 1));
    let request = Request { number: 3, ..Request::default() }.encode_to_vec();
    let flows = ask("/observer.Observer/GetFlows", &request, &[]);
    assert_eq!((flows.code.as_str(), flows.responses.len()), ("OK", 3));
    assert_eq!(flows.header["content-type"][0], "application/grpc+proto");
    let reset = ask("/observer.Observer/GetFlows", &request, &["-responses=1"]);
    assert_eq!((reset.code.as_str(), reset.responses.len()), ("Canceled", 1));
}
