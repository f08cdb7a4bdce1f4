//! Checks that an expression's cost for one flow is bounded in bytes and in time, whatever its steps do.

use std::time::Duration;

use eyepiece_flow::flow::{EventType, Flow};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::metadata::{EndMetadata, Metadata};
use eyepiece_flow::record::Observed;
use eyepiece_hubble::filter::{Context, Filters};
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::flow::FlowFilter;
use eyepiece_hubble::proto::flow::flow_filter::Experimental;
use nix::time::{ClockId, clock_gettime};

use crate::counting;

/// Bytes that one flow may take, beside its message: half of it is the expressions' own.
const BYTES: usize = 2 << 20;
/// Time that one flow may take: the bound of a build without optimization, and a step that is as dear as any.
const TIME: Duration = Duration::from_millis(200);

fn filters(expression: &str) -> Filters {
    let experimental = Some(Experimental { cel_expression: vec![expression.to_owned()] });
    Filters::compile(&[FlowFilter { experimental, ..FlowFilter::default() }], &[]).expect(expression)
}

/// Returns a flow with this many labels at each end.
fn flow(labels: usize) -> Observed {
    let labels: Vec<_> = (0..labels).map(|number| format!("k8s:label-number-{number:05}=value")).collect();
    let end = || EndMetadata { labels: labels.clone(), ..EndMetadata::default() };
    let metadata = Metadata { source: end(), destination: end(), ..Metadata::default() };
    Observed::Flow(Flow { metadata: Some(Box::new(metadata)), ..Flow::empty(EventType { kind: 4, subtype: 0 }) })
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock of this thread").into()
}

/// Returns whether an expression is true for a flow, within what one flow may take beyond what `true` takes.
fn matches_within_bounds(what: &str, expression: &str, flow: &Observed) -> bool {
    let node = Node::default();
    let context = Context { node: &node, names: &NoLookup, clock: thread_time };
    let (plain, filters) = (filters("true"), filters(expression));
    // A pattern's matcher makes itself room the first time that a thread uses it.
    filters.matches(flow, &context);
    let (_, message) = counting::peak(|| plain.matches(flow, &context));
    let start = thread_time();
    let (matches, bytes) = counting::peak(|| filters.matches(flow, &context));
    let time = thread_time() - start;
    println!("{what}: {} KiB, {time:?}", bytes.saturating_sub(message) >> 10);
    assert!(bytes < message + BYTES, "{what}: {bytes} bytes");
    assert!(time < TIME, "{what}: {time:?}");
    matches
}

/// A text that an expression makes of one of 4,000 bytes, in a variable `x`, and what is done with it.
fn with_long_text(body: &str) -> String {
    format!("['{}'].map(a, a+a).map(b, b+b).map(c, c+c).map(d, d+d).exists(x, {body})", "x".repeat(4000))
}

#[test]
fn copies_of_long_text_are_bounded() {
    let many = |element: &str, count: usize| vec![element; count].join(",");
    let text = "x".repeat(4000);
    let doubled = ".map(a, a+a).map(b, b+b).map(c, c+c).map(d, d+d).map(e, e+e)";
    let list = format!("[{}]", many("x", 3500));
    for (what, expression) in [
        ("a list of it", format!("['{text}']{doubled}.exists(x, size({list}) == 0)")),
        ("a map of it", format!("['{text}']{doubled}.exists(x, size({{{}}}) == 0)", many("1:x", 1900))),
        ("lists of lists of it", with_long_text(&format!("[{0}].map(y, [{0}]).size() == 0", many("x", 1500)))),
        ("a variable of it", with_long_text(&format!("[{}].all(y, x == '')", many("1", 3000)))),
        ("an element of it", with_long_text(&format!("[{0}].all(y, [x][0] == '')", many("1", 3000)))),
        ("a value of a map", with_long_text(&format!("[{}].all(y, {{'k': x}}.k == '')", many("1", 3000)))),
        ("a filter of it", with_long_text(&format!("[{}].filter(y, true).size() == 0", many("x", 3000)))),
        ("sums of it", with_long_text(&format!("{} == ''", vec!["x"; 35].join("+")))),
        ("bytes of it", with_long_text(&format!("[{}].map(y, bytes(x)).size() == 0", many("1", 3000)))),
        ("text of its bytes", with_long_text(&format!("[{}].map(y, string(bytes(x))) == []", many("1", 3000)))),
        ("lists joined", format!("[1]{}.size() == 0", ".map(x, [x, x] + [x, x])".repeat(30))),
    ] {
        assert!(!matches_within_bounds(what, &expression, &flow(2)), "{what}");
    }
}

#[test]
fn steps_over_long_text_are_bounded() {
    let many = |element: &str, count: usize| vec![element; count].join(",");
    let ones = format!("[{}]", many("1", 3000));
    let key = "k".repeat(4000);
    for (what, expression) in [
        ("compared", with_long_text(&format!("!{ones}.all(y, x == 'x' + x)"))),
        ("compared in lists", with_long_text("!['a', 'b', 'c', 'd'].all(y, [x,x,x,x,x,x] == [x,x,x,x,x,x])")),
        ("compared with made ones", with_long_text(&format!("{ones}.all(y, [x + ''] == ['' + x])"))),
        ("ordered", with_long_text(&format!("{ones}.all(y, x <= x)"))),
        ("looked for in a list", with_long_text(&format!("{ones}.all(y, !(x + 'y' in [{}]))", many("x+'x'", 100)))),
        ("searched", with_long_text(&format!("{ones}.all(y, !x.contains('{}y'))", "x".repeat(100)))),
        ("counted", with_long_text(&format!("{ones}.all(y, x.size() > 0)"))),
        ("read as a number", with_long_text(&format!("{ones}.exists(y, double('1' + x) > 0.0)"))),
        ("long names of fields", format!("{ones}.exists(y, dyn(_flow).{key} == 1)")),
        ("long keys", format!("[{{'{key}': 1}}].exists(m, !{ones}.all(y, m.{key} == 1))")),
        ("long maps", format!("[{{{}}}].all(m, {ones}.all(y, m.z == 1))", many("'a': 1", 1000))),
        ("messages", format!("!{ones}.all(y, _flow == _flow)")),
        ("labels", "!_flow.source.labels.all(l, _flow.destination.labels.exists(m, l + m == ''))".to_owned()),
        ("sorted labels", "_flow.source.labels.all(l, l in _flow.destination.labels)".to_owned()),
    ] {
        matches_within_bounds(what, &expression, &flow(3000));
    }
}

#[test]
fn patterns_are_charged_by_their_size() {
    let heavy = r"[ab]*a[ab]{900}z";
    let ones = format!("[{}]", "1,".repeat(3000));
    for (what, expression) in [
        ("a heavy pattern", format!("{ones}.all(y, !('ab'.matches(r'{heavy}')))")),
        ("on long text", with_long_text(r"x.matches(r'(x?){900}x{900}(x?){900}z')")),
        ("on a text of two", with_long_text(r"(x.contains('y') ? '' : x + x).matches(r'(x|xx|xxx){900}y')")),
        ("over and over", with_long_text(&format!(r"{ones}.exists(y, x.matches(r'\pL{{10}}\pN'))"))),
        ("in labels", r"_flow.source.labels.all(l, !l.matches(r'(\pL\pN\pS){3}'))".to_owned()),
        ("of many states", {
            let text = "ab".repeat(2000);
            format!("{ones}.all(y, !'{text}'.matches(r'{heavy}'))")
        }),
    ] {
        matches_within_bounds(what, &expression, &flow(3000));
    }
}

#[test]
fn ordinary_expressions_stay_true() {
    let flow = flow(40);
    let names: Vec<_> = (0..300).map(|name| format!("'k8s:app=service-{name}'")).collect();
    for expression in [
        "_flow.source.labels.exists(l, l.matches('label-number-000[0-9]{2}=value$'))".to_owned(),
        r"_flow.source.labels.exists(l, l.matches(r'number-00039=\pL+$'))".to_owned(),
        format!("!_flow.source.labels.exists(l, l in [{}])", names.join(",")),
        "_flow.source.labels.all(l, l in _flow.destination.labels)".to_owned(),
        "_flow.source.labels.filter(l, l.contains('00039')) == ['k8s:label-number-00039=value']".to_owned(),
        "_flow.source == _flow.source && _flow.l4.TCP == _flow.l4.TCP".to_owned(),
    ] {
        let what = &expression[..expression.len().min(60)];
        assert!(matches_within_bounds(what, &expression, &flow), "{expression}");
    }
}
