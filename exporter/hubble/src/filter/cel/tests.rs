//! Expressions against flows, and invalid expressions.

use eyepiece_flow::flow::{EventType, Flow};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::metadata::Metadata;
use eyepiece_flow::record::Observed;
use prost::Message as _;

use super::{EvaluationState, ProgramBudget, Programs};
use crate::filter::pattern_budget::PatternBudget;
use crate::filter::{Context, Filters, no_clock};
use crate::node::Node;
use crate::proto::flow as proto;

/// A flow from another server.
fn observed(flow: &proto::Flow) -> Observed {
    let metadata = Metadata { encoded: flow.encode_to_vec().into(), ..Metadata::default() };
    Observed::Flow(Flow { metadata: Some(Box::new(metadata)), ..Flow::empty(EventType::default()) })
}

fn example() -> proto::Flow {
    let end = |identity, labels: &[&str]| proto::Endpoint {
        identity,
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        ..proto::Endpoint::default()
    };
    proto::Flow {
        verdict: proto::Verdict::Dropped.into(),
        ip: Some(proto::Ip { source: "10.0.0.1".to_owned(), ..proto::Ip::default() }),
        source: Some(end(1, &["reserved:host"])),
        destination: Some(end(2000, &["k8s:app=a", "k8s:io.kubernetes.pod.namespace=b"])),
        time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5 }),
        is_reply: Some(false),
        ..proto::Flow::default()
    }
}

fn compile(texts: &[String]) -> Result<Programs, (&str, String)> {
    Programs::new(texts, &mut ProgramBudget::default(), &mut PatternBudget::default())
}

/// The error of an invalid expression.
fn error(text: &str) -> Option<String> {
    compile(&[text.to_owned()]).err().map(|(_, error)| error)
}

/// Returns whether any of the expressions is true for a flow.
fn matches(texts: &[&str], observed: &Observed) -> bool {
    let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
    let programs = compile(&texts).expect("expressions");
    programs.matches(
        observed,
        &Context { node: &Node::default(), names: &NoLookup, clock: no_clock },
        &EvaluationState::new(no_clock),
    )
}

#[test]
fn expression_is_true() {
    let observed = observed(&example());
    for text in [
        "true",
        "_flow.verdict == Verdict.DROPPED",
        "_flow.verdict == flow.Verdict.DROPPED",
        "_flow.verdict == .flow.Verdict.DROPPED",
        "_flow.verdict == 2",
        "_flow.verdict in [Verdict.AUDIT, Verdict.DROPPED]",
        "_flow.tunnel.protocol == Tunnel.Protocol.UNKNOWN",
        "_flow.IP.source.startsWith('10.') && _flow.IP.source.endsWith('.1')",
        "_flow.IP.source.contains('0.0') && _flow.IP.source.matches('^10[.]')",
        "matches(_flow.IP.source, r'\\.1$')",
        "_flow.l4.TCP.destination_port == uint(0)",
        "_flow.l4.TCP.destination_port == 0u",
        "!has(_flow.l4) && !has(_flow.l4.TCP) && has(_flow.IP) && !has(_flow.uuid)",
        "_flow.uuid == ''",
        "_flow.is_reply == false",
        "false == _flow.is_reply",
        "!_flow.is_reply",
        "_flow.source.labels == ['reserved:host']",
        "_flow.destination.labels.exists(l, l.startsWith('k8s:app'))",
        "_flow.destination.labels.all(l, l.startsWith('k8s:'))",
        "_flow.destination.labels.exists_one(l, l == 'k8s:app=a')",
        "_flow.destination.labels.filter(l, l.contains('app')).size() == 1",
        "_flow.destination.labels.map(l, size(l)) == [9, 33]",
        "_flow.destination.labels.map(l, l.contains('app'), 1) == [1]",
        "'reserved:host' in _flow.source.labels",
        "_flow.source.labels[0] == 'reserved:host'",
        "_flow.time > timestamp('2023-01-01T00:00:00Z')",
        "_flow.time - timestamp(1700000000) < duration('1s')",
        "timestamp('2023-01-01T00:00:00Z') + duration('1h') == timestamp('2023-01-01T01:00:00Z')",
        "1 + 2 * 3 == 7 && 7 / 2 == 3 && -7 % 3 == -1 && 1.5 + 1.5 == 3.0",
        "1 / 0 == 1 || true",
        "true || 1 / 0 == 1",
        "!(false && 1 / 0 == 1)",
        "!(1 / 0 == 1 && false)",
        "[0, 1].exists(x, 1 / x == 1)",
        "true ? true : 1 / 0 == 1",
        "{'a': 1}.a == 1 && {'a': 1}['a'] == 1 && 'a' in {'a': 1} && has({'a': 1}.a) && !has({'a': 1}.b)",
        "{1: 2} == {1: 2} && [1, 'a', 2u] == [1, 'a', 2u]",
        "dyn(1) == 1u && dyn(1) == 1.0 && dyn('a') != 1",
        "string(1) == '1' && string(true) == 'true' && int('7') == 7 && uint(7) == 7u && double('1.5') == 1.5",
        "int(1.9) == 1 && bytes('a') == b'a' && string(b'a') == 'a' && bool('true') && b'a' + b'b' == b'ab'",
        "'a' < 'b' && false < true && 1u < 2u && b'a' < b'b'",
        "size('é') == 1 && size([1, 2]) == 2 && size(b'é') == 2",
        "[1] + [2] == [1, 2] && 'a' + 'b' == 'ab'",
        "[1, 2].map(x, [3].map(y, x * y)) == [[3], [6]]",
        "[[1], [2]].all(x, x.all(x, x > 0))",
        "_flow.l7 != null",
        "_flow.extensions == null",
        "[_flow.source, _flow.destination].exists(e, e.identity == 2000u)",
        "_flow.source == _flow.source && _flow.source != _flow.destination",
        "!(_flow.socket_cookie > 0u) // a comment",
    ] {
        assert!(matches(&[text], &observed), "{text}");
    }
}

#[test]
fn expression_is_false_or_fails() {
    let observed = observed(&example());
    for text in [
        "false",
        "_flow.verdict == Verdict.FORWARDED",
        "1 / 0 == 1",
        "9223372036854775807 + 1 > 0",
        "0u - 1u > 0u",
        "-9223372036854775808 / -1 > 0",
        "-(-9223372036854775808) > 0",
        "_flow.source.labels[1] == ''",
        "{'a': 1}['b'] == 1",
        "int('x') == 1",
        "uint(-1) == 1u",
        "int(1e300) == 1",
        "timestamp('x') == timestamp(0)",
        "[0, 1].all(x, 1 / x == 1)",
        "[0].map(x, 1 / x) == []",
        "dyn(1) < dyn('a')",
        "dyn('a').b == 1",
    ] {
        assert!(!matches(&[text], &observed), "{text}");
        let negated = format!("!({text})");
        // The negation of a failing expression fails too.
        let fails =
            text.contains('/') || text.contains('[') || text.contains('(') || text.contains('+') || text.contains("- ");
        assert!(fails || matches(&[&negated], &observed), "{negated}");
    }
    // The first one that fails ends the list.
    assert!(!matches(&["1 / 0 == 1", "true"], &observed));
    assert!(matches(&["false", "true", "1 / 0 == 1"], &observed));
    let unset = self::observed(&proto::Flow::default());
    assert!(!matches(&["!_flow.is_reply"], &unset), "null is not a bool");
    assert!(matches(&["_flow.is_reply == null && !has(_flow.is_reply)"], &unset));
}

#[test]
fn other_events_are_empty_flows() {
    let observed = Observed::Debug(Box::new(eyepiece_flow::debug_event::DebugEvent {
        time: 1,
        uuid: [0; 16],
        cpu: 0,
        kind: 1,
        source: eyepiece_flow::flow::End::default(),
        hash: 0,
        arg1: 0,
        arg2: 0,
        arg3: 0,
    }));
    assert!(matches(&["_flow.verdict == Verdict.VERDICT_UNKNOWN"], &observed));
    assert!(!matches(&["has(_flow.source)"], &observed));
}

#[test]
fn invalid_expression_is_rejected() {
    for (text, why) in [
        ("", "mismatched input"),
        ("1 + 1", "got \"int\", wanted \"bool\""),
        ("_flow.is_reply", "got \"wrapper(bool)\", wanted \"bool\""),
        ("_flow.is_reply.value", "type 'wrapper(bool)' does not support field selection"),
        ("_flow.nosuch", "undefined field 'nosuch'"),
        ("has(_flow.nosuch)", "undefined field 'nosuch'"),
        ("_flow.l4.tcp.x == 1", "undefined field 'tcp'"),
        ("flow.verdict == 2", "undeclared reference to 'flow'"),
        ("Verdict.NONE == 2", "undeclared reference to 'Verdict'"),
        ("nosuch(1)", "undeclared reference to 'nosuch'"),
        ("_flow.source.identity == 1", "found no matching overload for '_==_' applied to '(uint, int)'"),
        ("1 < 1u", "'_<_' applied to '(int, uint)'"),
        ("_flow == 1", "found no matching overload"),
        ("_flow.verdict == 'DROPPED'", "'(int, string)'"),
        ("!1", "'!_' applied to '(int)'"),
        ("1 && true", "_&&_"),
        ("true ? 1 : 'a'", "_?_:_"),
        ("has(_flow)", "has()"),
        ("[1].all(1, true)", "not an identifier"),
        ("[1].all(x, 1)", "expected type 'bool'"),
        ("1.all(x, true)", "cannot be range"),
        ("x", "undeclared reference to 'x'"),
        ("[1].all(x, true) && x == 1", "undeclared reference to 'x'"),
        ("'a'.matches('(')", "missing closing )"),
        ("'a'.matches(_flow.uuid)", "has to be a literal"),
        ("type(1) == int", "undeclared reference"),
        ("{1.5: 1} == {}", "unsupported key type"),
        ("Flow{} == _flow", "messages can't be made"),
        ("'a'.size(1) == 1", "no matching overload"),
        ("startsWith('a', 'b')", "undeclared reference"),
    ] {
        let error = error(text).expect(text);
        assert!(error.contains(why), "{text}: {error}");
    }
    assert!(error(&"a".repeat(20_000)).is_some());
    assert!(compile(&vec!["true".to_owned(); 33]).is_err());
    let patterns = format!("true{}", " && 'a'.matches('a')".repeat(65));
    assert!(error(&patterns).expect("too many").contains("in one request"));
}

#[test]
fn evaluation_is_bounded_by_budget() {
    let observed = observed(&example());
    let list = format!("[{}]", "1,".repeat(200));
    let doubled = format!("['a']{}.size() > 0", ".map(x, x + x)".repeat(30));
    let shared = format!("['a']{0} == ['a']{0}", ".map(x, [x, x])".repeat(16));
    for text in [
        format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, true))))"),
        format!("!{list}.exists(a, {list}.exists(b, {list}.exists(c, 1 / 0 == a)))"),
        format!("{list}.map(a, {list}).map(b, b + b + b + b).map(c, c == c).size() > 0"),
        format!("_flow.destination.labels.all(l, {list}.all(x, {list}.all(y, l + l + l != '')))"),
        doubled,
        shared,
    ] {
        // Without bounds, some of these would take years and others all memory.
        assert!(!matches(&[&text], &observed), "{text}");
    }
}

#[test]
fn filters_share_the_budget() {
    let (observed, node) = (observed(&example()), Node::default());
    let context = Context { node: &node, names: &NoLookup, clock: no_clock };
    let list = format!("[{}]", "1,".repeat(200));
    let filter = |text: &str| proto::FlowFilter {
        experimental: Some(proto::flow_filter::Experimental { cel_expression: vec![text.to_owned()] }),
        ..proto::FlowFilter::default()
    };
    let matches = |filters: &[proto::FlowFilter]| {
        Filters::compile(filters, &[]).expect("expressions").matches(&observed, &context)
    };
    let greedy = filter(&format!("!{list}.all(a, {list}.all(b, {list}.all(c, true)))"));
    let short = format!("[{}]", "1,".repeat(60));
    let (most, yes) = (filter(&format!("!{short}.all(a, {short}.all(b, b > 0))")), filter("true"));
    assert!(matches(&[yes.clone(), greedy.clone()]), "the filter before is evaluated first");
    assert!(!matches(&[greedy.clone(), yes.clone()]), "nothing is left");
    assert!(matches(&[most.clone(), yes.clone()]), "what is left is enough");
    assert!(!matches(&[most.clone(), most, yes]), "and here it is not");
}
