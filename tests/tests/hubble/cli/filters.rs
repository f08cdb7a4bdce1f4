//! The table of the filter flags: the flows of a scene that each shows, and a value for which it shows none.

use super::flow::Flow;
use super::live::{NODE, PORTS};
use super::played::{self, TRACE_ID};

/// The origin of a row's flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// Traffic that the datapath has seen.
    Live,
    /// Payloads that Cilium's monitor server has sent.
    Played,
    /// Flows of another Hubble server.
    Relayed,
}

type Wanted = Box<dyn Fn(&Flow<'_>) -> bool>;

/// One use of a flag.
pub(crate) struct Row {
    pub(crate) flag: &'static str,
    pub(crate) scene: Scene,
    /// The arguments that show some of the flows.
    pub(crate) positive: Vec<String>,
    /// Arguments with the same flag that show none.
    pub(crate) negative: Vec<String>,
    pub(crate) wanted: Wanted,
    /// Whether the flag's value fits each of the flows.
    pub(crate) fits_all: bool,
}

fn row(scene: Scene, flag: &'static str, value: &str, none: &str, wanted: impl Fn(&Flow<'_>) -> bool + 'static) -> Row {
    let arguments = |value: &str| vec![flag.to_owned(), value.to_owned()];
    Row {
        flag,
        scene,
        positive: arguments(value),
        negative: arguments(none),
        wanted: Box::new(wanted),
        fits_all: false,
    }
}

/// A flag whose every value shows something: with one more flag it shows nothing.
fn but(
    scene: Scene,
    flag: &'static str,
    value: &str,
    further: &[&str],
    wanted: impl Fn(&Flow<'_>) -> bool + 'static,
) -> Row {
    let row = row(scene, flag, value, value, wanted);
    let further = further.iter().map(|&argument| argument.to_owned());
    Row { negative: row.negative.into_iter().chain(further).collect(), ..row }
}

fn is(path: &'static [&'static str], wanted: &str) -> impl Fn(&Flow<'_>) -> bool + 'static {
    let wanted = wanted.to_owned();
    move |flow| flow.text(path) == wanted
}

fn either(of: impl Fn(&Flow<'_>, &str) -> bool + 'static) -> impl Fn(&Flow<'_>) -> bool + 'static {
    move |flow| flow.either(&of)
}

/// The values of the traffic that the rows contain.
#[derive(Default)]
pub(crate) struct LiveValues {
    /// Addresses of both endpoints, of IPv4 and IPv6.
    pub(crate) a: [String; 2],
    /// See [`a`](Self::a).
    pub(crate) b: [String; 2],
    /// One of the flows.
    pub(crate) uuid: String,
}

/// Every filter flag but `--not`, which is tried with each of the rows.
pub(crate) fn rows(values: &LiveValues) -> Vec<Row> {
    let mut rows = addresses(values);
    rows.extend(kinds(values));
    rows.extend(proxies());
    rows.extend(names());
    rows
}

fn addresses(values: &LiveValues) -> Vec<Row> {
    use Scene::Live as L;
    let ([a4, a6], [b4, b6]) = (&values.a, &values.b);
    let [(_, tcp4, udp4), (_, tcp6, _)] = PORTS;
    let ip = |end: &'static str, wanted: &str| {
        let wanted = wanted.to_owned();
        move |flow: &Flow<'_>| flow.ip(end) == wanted
    };
    let port = |end: &'static str, wanted: u16| move |flow: &Flow<'_>| flow.port(end) == wanted.to_string();
    let below = |end: &'static str, start: &'static str| move |flow: &Flow<'_>| flow.ip(end).starts_with(start);
    let version = |wanted: &'static str| is(&["IP", "ipVersion"], wanted);
    let (net4, net6) = ("10.1.1.0/24", "fd00:1:2::/64");
    let either_ip = a6.clone();
    let no_v4 = |flag: &'static str, from: &str| vec![flag.to_owned(), "--from-ip".to_owned(), from.to_owned()];
    vec![
        row(L, "--from-ip", a4, "203.0.113.9", ip("source", a4)),
        row(L, "--from-ip", net4, "203.0.113.0/24", below("source", "10.1.1.")),
        row(L, "--to-ip", b6, "2001:db8::9", ip("destination", b6)),
        row(L, "--to-ip", net6, "2001:db8::/32", below("destination", "fd00:1:2:")),
        row(L, "--ip", a6, "2001:db8::9", either(move |flow, end| flow.ip(end) == either_ip)),
        row(L, "--from-port", &tcp4.to_string(), "1", port("source", tcp4)),
        row(L, "--to-port", &udp4.to_string(), "1", port("destination", udp4)),
        row(L, "--port", &tcp6.to_string(), "1", either(move |flow, end| flow.port(end) == tcp6.to_string())),
        row(L, "--ip-version", "v6", "none", version("IPv6")),
        row(L, "--ip-version", "v4", "none", version("IPv4")),
        Row {
            positive: vec!["--ipv4".to_owned()],
            negative: no_v4("--ipv4", a6),
            ..row(L, "--ipv4", "", "", version("IPv4"))
        },
        Row { positive: vec!["-6".to_owned()], negative: no_v4("-6", b4), ..row(L, "--ipv6", "", "", version("IPv6")) },
    ]
}

fn kinds(values: &LiveValues) -> Vec<Row> {
    use Scene::{Live as L, Played as P};
    let uuid = &values.uuid;
    let flag = |name: &'static str| move |flow: &Flow<'_>| flow.at(&["l4", "TCP", "flags", name]) == true;
    let both = move |flow: &Flow<'_>| flag("SYN")(flow) && flag("ACK")(flow);
    let is_type = |kind: &'static str| is(&["event_type", "type"], kind);
    let point = |wanted: &'static str| is(&["trace_observation_point"], wanted);
    vec![
        row(L, "--protocol", "tcp", "sctp", |flow| flow.has_l4(&["TCP"])),
        row(L, "--protocol", "UDP", "http", |flow| flow.has_l4(&["UDP"])),
        row(L, "--protocol", "icmp", "dns", |flow| flow.has_l4(&["ICMPv4", "ICMPv6"])),
        row(L, "--protocol", "icmpv6", "sctp", |flow| flow.has_l4(&["ICMPv6"])),
        row(P, "--protocol", "http", "icmp", |flow| flow.at(&["l7", "http"]).is_object()),
        row(P, "--protocol", "dns", "sctp", |flow| flow.at(&["l7", "dns"]).is_object()),
        row(L, "--tcp-flags", "syn", "urg", flag("SYN")),
        row(L, "--tcp-flags", "syn,ack", "cwr", both),
        row(L, "--verdict", "DROPPED", "TRACED", is(&["verdict"], "DROPPED")),
        row(L, "--verdict", "FORWARDED", "AUDIT", is(&["verdict"], "FORWARDED")),
        but(P, "--verdict", "REDIRECTED", &["--type", "drop"], is(&["verdict"], "REDIRECTED")),
        but(P, "--verdict", "AUDIT", &["--type", "drop"], is(&["verdict"], "AUDIT")),
        but(P, "--verdict", "ERROR", &["--type", "drop"], is(&["verdict"], "ERROR")),
        but(Scene::Relayed, "--verdict", "TRACED", &["--type", "drop"], is(&["verdict"], "TRACED")),
        but(Scene::Relayed, "--verdict", "TRANSLATED", &["--type", "drop"], is(&["verdict"], "TRANSLATED")),
        row(L, "--type", "trace", "l7", is_type("4")),
        row(L, "--type", "trace:to-endpoint", "trace:to-proxy", point("TO_ENDPOINT")),
        row(L, "--type", "trace:from-endpoint", "trace:from-overlay", point("FROM_ENDPOINT")),
        row(L, "-t", "drop", "capture", is_type("1")),
        row(P, "--type", "l7", "trace:to-overlay", is_type("129")),
        row(P, "--type", "policy-verdict", "trace:to-host", is_type("5")),
        row(P, "--type", "capture", "trace:from-host", is_type("3")),
        row(Scene::Relayed, "--type", "trace-sock", "policy-verdict", is_type("7")),
        row(P, "--type", "trace:to-proxy", "trace:to-network", point("TO_PROXY")),
        row(P, "--type", "trace:from-network", "trace:from-proxy", point("FROM_NETWORK")),
        row(P, "--type", "drop", "trace:from-stack", is_type("1")),
        row(L, "--uuid", uuid, "00000000-0000-0000-0000-000000000000", is(&["uuid"], uuid)),
        Row { fits_all: true, ..row(L, "--node-name", NODE, "other", |_| true) },
        Row { fits_all: true, ..row(L, "--node-name", "node-*.example", "node-*.com", |_| true) },
        Row { fits_all: true, ..row(L, "--node-name", &format!("default/{NODE}"), "west/", |_| true) },
        Row { fits_all: true, ..row(P, "--node-name", &format!("{}/*", played::CLUSTER), "default/*", |_| true) },
        Row { fits_all: true, ..row(P, "--node-name", played::NODE, "node-1", |_| true) },
        but(P, "--traffic-direction", "ingress", &["--type", "capture"], is(&["traffic_direction"], "INGRESS")),
        but(P, "--traffic-direction", "egress", &["--type", "capture"], is(&["traffic_direction"], "EGRESS")),
    ]
}

fn proxies() -> Vec<Row> {
    use Scene::Played as P;
    let identity = |end: &'static str, wanted: &'static str| is_at(end, "identity", wanted);
    let code = |start: &'static str| move |flow: &Flow<'_>| flow.http("code").starts_with(start);
    vec![
        row(P, "--http-status", "201", "404", code("201")),
        row(P, "--http-status", "5+", "4+", code("5")),
        row(P, "--http-method", "get", "delete", |flow| flow.http("method") == "GET"),
        row(P, "--http-path", "/cart/\\d+", "/cart/[a-z]", |flow| flow.http("url").contains("/cart/7")),
        row(
            P,
            "--trace-id",
            TRACE_ID,
            "00000000000000000000000000000001",
            is(&["trace_context", "parent", "trace_id"], TRACE_ID),
        ),
        row(P, "--from-identity", "30001", "30009", identity("source", "30001")),
        row(P, "--from-identity", "world", "health", identity("source", "2")),
        row(P, "--to-identity", "30002", "30009", identity("destination", "30002")),
        row(P, "--identity", "30001", "30009", either(|flow, end| flow.text(&[end, "identity"]) == "30001")),
        row(P, "--from-label", "app=client", "app=none", |flow| flow.has_label("source", "k8s:app=client")),
        row(P, "--from-label", "k8s:env in (test,live)", "k8s:env in (live)", |flow| {
            flow.has_label("source", "k8s:env=test")
        }),
        row(P, "--to-label", "k8s:app=web", "reserved:app=web", |flow| flow.has_label("destination", "k8s:app=web")),
        row(P, "--label", "app=web", "app=web,env=test", either(|flow, end| flow.has_label(end, "k8s:app=web"))),
    ]
}

fn is_at(end: &'static str, name: &'static str, wanted: &'static str) -> impl Fn(&Flow<'_>) -> bool + 'static {
    move |flow| flow.text(&[end, name]) == wanted
}

/// Names of pods, services, workloads and domains: no source of our own gives them yet.
fn names() -> Vec<Row> {
    use Scene::Relayed as T;
    let is_pod = |flow: &Flow<'_>, end: &str, namespace: &str, start: &str| {
        flow.text(&[end, "namespace"]) == namespace && flow.text(&[end, "pod_name"]).starts_with(start)
    };
    let pod = |end: &'static str, namespace: &'static str, start: &'static str| {
        move |flow: &Flow<'_>| is_pod(flow, end, namespace, start)
    };
    let any_pod =
        |namespace: &'static str, start: &'static str| either(move |flow, end| is_pod(flow, end, namespace, start));
    let is_service = |flow: &Flow<'_>, end: &str, namespace: &str, start: &str| {
        let of = |name: &str| flow.text(&[&format!("{end}_service"), name]);
        of("namespace") == namespace && of("name").starts_with(start)
    };
    let service = |end: &'static str, namespace: &'static str, start: &'static str| {
        move |flow: &Flow<'_>| is_service(flow, end, namespace, start)
    };
    let workload = |end: &str, flow: &Flow<'_>| flow.at(&[end, "workloads"])[0]["name"] == "web";
    let named = |end: &str, name: &str, flow: &Flow<'_>| flow.at(&[&format!("{end}_names")])[0] == name;
    vec![
        row(T, "--pod", "shop/web", "shop/curl", any_pod("shop", "web")),
        row(T, "--from-pod", "bank/", "web", pod("source", "bank", "")),
        row(T, "--from-pod", "cu", "shop/vault", pod("source", "default", "cu")),
        row(T, "--to-pod", "shop/web-6f7", "shop/eb", pod("destination", "shop", "web-6f7")),
        row(T, "--namespace", "default", "nowhere", any_pod("default", "")),
        row(T, "--from-namespace", "shop", "sho", pod("source", "shop", "")),
        row(T, "--to-namespace", "bank", "default", pod("destination", "bank", "")),
        row(T, "--service", "bank/vault", "vault", either(move |flow, end| is_service(flow, end, "bank", "vault"))),
        row(T, "--from-service", "shop/fro", "bank/vault", service("source", "shop", "fro")),
        row(T, "--to-service", "bank/vault", "shop/front", service("destination", "bank", "vault")),
        row(T, "--workload", "web", "we", either(move |flow, end| workload(end, flow))),
        row(T, "--from-workload", "web", "nothing", move |flow| workload("source", flow)),
        row(T, "--to-workload", "web", "curl", move |flow| workload("destination", flow)),
        row(T, "--fqdn", "api.example.com", "example.com", move |flow| named("destination", "api.example.com", flow)),
        row(T, "--from-fqdn", "*.example.org", "*.example.com", move |flow| named("source", "cdn.example.org", flow)),
        row(T, "--to-fqdn", "API.example.*", "cdn.*", move |flow| named("destination", "api.example.com", flow)),
        Row { fits_all: true, ..row(T, "--node-name", "far/*", "default/*", |_| true) },
    ]
}
