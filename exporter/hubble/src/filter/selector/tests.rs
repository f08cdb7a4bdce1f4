//! Selectors against labels, and invalid selectors.

use eyepiece_flow::labels::Labels;

use super::Selector;

const LABELS: [&str; 6] = [
    "k8s:app=web",
    "container:app=other",
    "k8s:app.kubernetes.io/name=deathstar",
    "k8s:replicas=5",
    "reserved:host",
    "cidr:1.1.1.1/32",
];

#[test]
fn selector_matches_labels() {
    let labels = LABELS.map(str::to_owned);
    for (selector, expected) in [
        ("", true),
        ("  ", true),
        ("app", true),
        ("!app", false),
        ("! missing", true),
        ("app=web", true),
        ("app==web", true),
        ("app = web", true),
        ("app=other", false),
        ("container:app=other", true),
        ("container:app!=web", true),
        ("k8s:app!=web", false),
        ("missing!=web", true),
        ("any:app=web", true),
        (":app=web", true),
        ("unspec:app=web", true),
        ("app in (a, web)", true),
        ("app in (a,,b)", false),
        ("app notin (a)", true),
        ("app notin (web)", false),
        ("missing notin (web)", true),
        ("missing in ()", false),
        ("reserved:host in ()", true),
        ("reserved:host in (,a)", true),
        ("reserved:host=", true),
        ("reserved:host=,app=web", true),
        ("reserved:host,app=web", true),
        ("host", true),
        ("reserved:host!=", false),
        ("app=web,!app", false),
        ("app.kubernetes.io/name=deathstar", true),
        ("k8s:app.kubernetes.io/name=deathstar", true),
        ("k8s.app=web", false),
        ("cidr:1.1.1.1/32", true),
        ("!cidr:1.1.1.1/32", false),
        ("replicas>4", true),
        ("replicas > 5", false),
        ("replicas<6", true),
        ("app>1", false),
        ("missing<1", false),
        ("in", false),
        ("notin notin (notin)", true),
        ("app in (in, web)", true),
        ("app=web\0 anything", false),
    ] {
        let parsed = Selector::parse(selector);
        if selector.contains('\0') {
            // A NUL ends the text, as in Kubernetes.
            assert_eq!(parsed, Selector::parse("app=web"));
            continue;
        }
        assert_eq!(parsed.expect(selector).matches(Labels::Given(&labels)), expected, "{selector}");
    }
}

#[test]
fn invalid_selector_is_rejected() {
    for (selector, why) in [
        ("((", "found '('"),
        ("a in (", "found '', expected: ',', ')' or identifier"),
        ("a in (b", "found '', expected: ',' or ')'"),
        ("a in b", "expected: '('"),
        ("a b", "expected: in, notin"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a,", "expected: identifier"),
        (",a", "expected: identifier"),
        ("a,,b", "expected: identifier"),
        ("a>b", "must be an integer"),
        ("a>", "must be an integer"),
        ("a=b:c", "Invalid value: \"b:c\""),
        ("a=-b", "Invalid value: \"-b\""),
        ("a=é", "Invalid value"),
        ("fqdn:*.example.com notin (a)", "Invalid value: \"fqdn.*.example.com\""),
        ("a.", "Invalid value: \"any.a.\""),
        ("$host", "Invalid value"),
        ("k8s:a:b", "Invalid value"),
        ("A/b/c", "Invalid value"),
        ("K8S:A/b", "prefix part"),
        ("/b", "prefix part"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a in (b,,)", "found ')'"),
        ("a!b", "expected: in, notin"),
    ] {
        let error = Selector::parse(selector).expect_err(selector);
        assert!(error.contains(why), "{selector}: {error}");
    }
    // The name may have four bytes less, since `any.` precedes it.
    assert!(Selector::parse(&"a".repeat(59)).is_ok());
    assert!(Selector::parse(&"a".repeat(60)).is_err());
    assert!(Selector::parse(&format!("a={}", "a".repeat(64))).is_err());
}
