//! Events and requests from a seed: of fields and values that Cilium 1.15 knows.
//!
//! Nothing is generated for known differences of 1.15, whose code answers here, from 1.20, which we follow:
//! - keys of selectors with a dot and without a source: to 1.15, what is before the dot is the source;
//! - keys that begin with `-` or `_` or are longer than 59 bytes, and values with colons, which 1.20 checks otherwise;
//! - IPv4-mapped addresses and ranges: 1.15 takes them for IPv4; prefix lengths with zeros before them, and zones;
//! - the protocols kafka (1.15 alone), vrrp and igmp (1.20 alone).

use eyepiece_hubble::proto::flow as proto;
use eyepiece_hubble::proto::observer::export_event::ResponseTypes;
use eyepiece_hubble::proto::observer::{ExportEvent, GetFlowsRequest};

const ADDRESSES: [&str; 8] =
    ["10.0.0.1", "10.0.1.2", "192.168.0.1", "255.255.255.255", "::1", "fd00::1", "fd00::1:0:0:1", "2001:db8::"];
const ADDRESS_FILTERS: [&str; 16] = [
    "10.0.0.1",
    "10.0.1.2",
    "fd00::1",
    "FD00::1",
    "fd00:0::1",
    "10.0.0.0/24",
    "10.0.0.7/8",
    "0.0.0.0/0",
    "::/0",
    "fd00::/16",
    "fd00::1/127",
    "192.168.0.1/32",
    "10.0.0.1/33",
    "10.0.0",
    "",
    "a/8",
];
const LABELS: [&str; 12] = [
    "k8s:app=web",
    "k8s:app=db",
    "container:app=web",
    "app=other",
    "reserved:host",
    "reserved:world",
    "cidr:10.0.0.0/8",
    "k8s:io.kubernetes.pod.namespace=default",
    "k8s:replicas=5",
    "k8s:replicas=x",
    "$odd",
    "k8s:class",
];
const SELECTORS: [&str; 34] = [
    "",
    "app",
    "!app",
    "app=web",
    "app==db",
    "app != web",
    "k8s:app=web",
    "container:app",
    "any:app=other",
    "unspec:app",
    "!k8s:app",
    "k8s:app in (web, db)",
    "k8s:app notin (web)",
    "app in ()",
    "app in (,)",
    "app in (web,,db)",
    "app in (web,,)",
    "replicas>4",
    "k8s:replicas<5",
    "replicas > x",
    "reserved:host",
    "reserved:host=",
    "!reserved:host, app=web",
    "cidr:10.0.0.0/8",
    "!cidr:10.0.0.0/8",
    "k8s:io.kubernetes.pod.namespace=default",
    "k8s:io.kubernetes.pod.namespace notin (default)",
    "odd",
    "class",
    "class=",
    "in",
    "notin in (in)",
    "((",
    "a in (",
];
const PLAIN_SELECTORS: [&str; 6] =
    ["app=web", "app in (web, db)", "!app,x!=y", "replicas>4", "app notin (web),class", "app"];
const NAMESPACES: [&str; 4] = ["", "default", "kube-system", "n"];
const NAMES: [&str; 6] = ["", "web", "web-1", "db-0", "w", "coredns"];
const NAME_FILTERS: [&str; 14] = [
    "web",
    "default/",
    "default/web",
    "/web",
    "/",
    "kube-system/core",
    "n/w/x",
    "//",
    "db-0",
    "n/",
    "default/web-",
    "/w",
    "x",
    "",
];
const KINDS: [&str; 3] = ["", "Deployment", "DaemonSet"];
const FQDNS: [&str; 9] = [
    "example.com",
    "www.example.com",
    "a_b.com",
    "Example.com",
    "",
    "com",
    "x-1.example.com",
    "one.one.one.one",
    "é.com",
];
const FQDN_FILTERS: [&str; 15] = [
    "example.com",
    " Example.COM. ",
    "*",
    "*.com",
    "*.example.com",
    "www*",
    "a_b.com",
    "*_*",
    "a*b.com",
    "one.*.one",
    "*e*e*",
    "",
    ".",
    "a..",
    "a b",
];
const NODES: [&str; 7] = ["", "k8s1", "default/k8s1", "kind/k8s1", "kind/k8s2.example", "Kind/k8s1", "kind/"];
const NODE_FILTERS: [&str; 14] = [
    "k8s1",
    "default/k8s1",
    "kind/",
    "/k8s1",
    "/",
    "*",
    "k*/k8s1",
    "*/k*",
    "kind/*.example",
    "KIND/k8s1.",
    "",
    "a/b/c",
    "kind|/",
    "*/",
];
const PORTS: [u32; 6] = [0, 53, 80, 443, 8080, 65535];
const PORT_FILTERS: [&str; 12] = ["0", "53", "80", "080", "443", "65535", "65536", "-1", "+80", "http", "", "8 0"];
const STATUS_FILTERS: [&str; 12] = ["200", "404", "4+", "40+", "5+", "50+", "1+", "600", "+", "4", "40++", ""];
const CODES: [u32; 9] = [0, 99, 100, 200, 404, 403, 503, 1000, 4040];
const METHODS: [&str; 6] = ["", "GET", "get", "POST", "PUT", "K"];
const METHOD_FILTERS: [&str; 5] = ["GET", "pOst", "", "put", "\u{212a}"];
const URLS: [&str; 22] = [
    "",
    "/",
    "/a/b?c=d",
    "/a%20b",
    "/a%2fb#x",
    "http://example.com/a/b",
    "http://example.com",
    "http://u:p@h:80/x y",
    "https://[::1]:8/a",
    "http://h:x/a",
    "http://%41/a",
    "//h/a",
    "a/b",
    "mailto:x",
    "*",
    "/%ff",
    "/%zz",
    "/a\nb",
    "http://h/é",
    "1x:/a",
    "/a;b",
    "http://[fe80::1%25e]/z",
];
const EXPRESSIONS: [&str; 40] = [
    "",
    ".*",
    "a",
    "^/a",
    "/b$",
    "example",
    "^$",
    "[a-z]+",
    r"\d",
    r"\bexample\b",
    r"\w+\.com",
    "(?i)EXAMPLE",
    "a|b",
    "(a)(b)?",
    "^https?://",
    "[^/]$",
    r"\.com\.?$",
    "(?P<n>a)",
    "a{2}",
    "a{,2}",
    "a{1,2}",
    r"\Qa.b\E",
    r"\pL",
    r"[\d/]+",
    "(",
    ")",
    "[",
    "*",
    "a**",
    r"\",
    r"\1",
    "(?x)a",
    "a{1001}",
    r"\C",
    "[[:alpha:]]b",
    "[[:foo:]]",
    "(?=a)",
    "x*?",
    r"\x{41}",
    "(?s).",
];
const QUERIES: [&str; 5] = ["", "example.com.", "www.example.com.", "AB12", "a.b"];
const HEADERS: [(&str, &str); 4] = [("A", "1"), ("a", "1"), ("A", "2"), ("", "")];
const UUIDS: [&str; 4] = [
    "",
    "01234567-89ab-4cde-8f01-23456789abcd",
    "fedcba98-7654-4321-8012-345678901234",
    "00000000-0000-4000-8000-000000000001",
];
const UUID_FILTERS: [&str; 6] = [
    "",
    "01234567-89ab-4cde-8f01-23456789abcd",
    "01234567-89AB-4CDE-8F01-23456789ABCD",
    "0123456789ab4cde8f0123456789abcd",
    "x",
    "00000000-0000-4000-8000-000000000001",
];
const TRACES: [&str; 3] = ["", "4bf92f3577b34da6a3ce929d0e0e4736", "4BF92F3577B34DA6A3CE929D0E0E4736"];
const PROTOCOLS: [&str; 13] =
    ["tcp", "UDP", "icmp", "ICMPv4", "icmpv6", "sctp", "Dns", "http", "HTTP", "tCp", "quic", "", "tcp "];
const IDENTITIES: [u32; 6] = [0, 1, 2, 4711, 16_777_217, u32::MAX];

/// Random events and requests, one after the other.
pub(crate) struct Generator(fastrand::Rng);

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.0.usize(..all.len())]
    }

    fn text(&mut self, all: &[&str]) -> String {
        self.one(all).to_owned()
    }

    /// None to two of them.
    fn some(&mut self, all: &[&str], most: usize) -> Vec<String> {
        (0..self.0.usize(..=most)).map(|_| self.text(all)).collect()
    }

    /// One to three entries of a field; of the errors there are most come with one alone.
    fn entries<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.one(&[1, 1, 1, 2, 3])).map(|_| one(self)).collect()
    }

    fn texts(&mut self, all: &[&str]) -> Vec<String> {
        self.entries(|generator| generator.text(all))
    }

    /// One of them, often with a few characters that do not belong there.
    fn odd(&mut self, all: &[&str], alphabet: &str) -> String {
        let mut text: Vec<char> = self.one(all).chars().collect();
        let alphabet: Vec<char> = alphabet.chars().collect();
        for _ in 0..self.one(&[0, 0, 1, 2, 3]) {
            let at = self.0.usize(..=text.len());
            if self.0.u8(..3) == 0 && at < text.len() {
                text.remove(at);
            } else {
                text.insert(at, self.one(&alphabet));
            }
        }
        text.into_iter().collect()
    }

    /// An event: one in ten is no flow.
    pub(crate) fn event(&mut self) -> ExportEvent {
        let response = match self.0.u8(..20) {
            0 => ResponseTypes::AgentEvent(proto::AgentEvent {
                r#type: self.0.i32(2..=12),
                ..proto::AgentEvent::default()
            }),
            1 => ResponseTypes::DebugEvent(proto::DebugEvent {
                r#type: self.0.i32(0..=66),
                ..proto::DebugEvent::default()
            }),
            _ => ResponseTypes::Flow(self.flow()),
        };
        ExportEvent { response_types: Some(response), ..ExportEvent::default() }
    }

    fn flow(&mut self) -> proto::Flow {
        let kind = self.one(&[1, 3, 4, 4, 5, 7, 129, 129]);
        let is_l7 = kind == 129;
        let event_type = proto::CiliumEventType { r#type: kind, sub_type: self.0.i32(0..=12) };
        let ip = (self.0.u8(..10) > 0).then(|| proto::Ip {
            source: self.text(&ADDRESSES),
            destination: self.text(&ADDRESSES),
            ip_version: self.0.i32(0..=2),
            ..proto::Ip::default()
        });
        let trace = self.text(&TRACES);
        proto::Flow {
            uuid: self.text(&UUIDS),
            verdict: self.0.i32(0..=7),
            // One in thirty flows of packets has none.
            event_type: (is_l7 || kind == 7 || self.0.u8(..30) > 0).then_some(event_type),
            ip,
            l4: self.l4(!is_l7 && kind != 7),
            source: Some(self.endpoint()),
            destination: Some(self.endpoint()),
            node_name: self.text(&NODES),
            source_names: self.some(&FQDNS, 2),
            destination_names: self.some(&FQDNS, 2),
            l7: if is_l7 { Some(self.l7()) } else { None },
            source_service: self.service(),
            destination_service: self.service(),
            traffic_direction: self.0.i32(0..=2),
            is_reply: self.one(&[None, Some(false), Some(true)]),
            trace_context: (!trace.is_empty())
                .then_some(proto::TraceContext { parent: Some(proto::TraceParent { trace_id: trace }) }),
            ..proto::Flow::default()
        }
    }

    fn endpoint(&mut self) -> proto::Endpoint {
        let workloads = (0..self.0.usize(..3)).map(|_| self.workload()).collect();
        proto::Endpoint {
            identity: self.one(&IDENTITIES),
            namespace: self.text(&NAMESPACES),
            labels: self.some(&LABELS, 5),
            pod_name: self.text(&NAMES),
            workloads,
            ..proto::Endpoint::default()
        }
    }

    fn workload(&mut self) -> proto::Workload {
        proto::Workload { name: self.text(&NAMES), kind: self.text(&KINDS) }
    }

    fn service(&mut self) -> Option<proto::Service> {
        let service = proto::Service { name: self.text(&NAMES), namespace: self.text(&NAMESPACES) };
        self.0.bool().then_some(service)
    }

    fn l4(&mut self, has_flags: bool) -> Option<proto::Layer4> {
        use proto::layer4::Protocol;
        let (source_port, destination_port) = (self.one(&PORTS), self.one(&PORTS));
        let protocol = match self.0.u8(..8) {
            0 => return None,
            1..4 => {
                let flags = has_flags.then(|| self.flags());
                Protocol::Tcp(proto::Tcp { source_port, destination_port, flags })
            }
            4 => Protocol::Udp(proto::Udp { source_port, destination_port }),
            5 => Protocol::Sctp(proto::Sctp { source_port, destination_port, ..proto::Sctp::default() }),
            6 => Protocol::IcmPv4(proto::IcmPv4::default()),
            _ => Protocol::IcmPv6(proto::IcmPv6::default()),
        };
        Some(proto::Layer4 { protocol: Some(protocol) })
    }

    fn flags(&mut self) -> proto::TcpFlags {
        let mut flag = || self.0.u8(..4) == 0;
        proto::TcpFlags {
            fin: flag(),
            syn: flag(),
            rst: flag(),
            psh: flag(),
            ack: flag(),
            urg: flag(),
            ece: flag(),
            cwr: flag(),
            ns: flag(),
        }
    }

    fn l7(&mut self) -> proto::Layer7 {
        use proto::layer7::Record;
        let headers = (0..self.0.usize(..3)).map(|_| self.header()).collect();
        let record = match self.0.u8(..6) {
            0 => None,
            1 | 2 => Some(Record::Dns(proto::Dns { query: self.text(&QUERIES), ..proto::Dns::default() })),
            _ => Some(Record::Http(proto::Http {
                code: self.one(&CODES),
                method: self.text(&METHODS),
                url: self.odd(&URLS, "/:%?#@[] a2é\u{7f}"),
                headers,
                ..proto::Http::default()
            })),
        };
        proto::Layer7 { record, ..proto::Layer7::default() }
    }

    fn header(&mut self) -> proto::HttpHeader {
        let (key, value) = self.one(&HEADERS);
        proto::HttpHeader { key: key.to_owned(), value: value.to_owned() }
    }

    /// A request: mostly of one filter.
    pub(crate) fn request(&mut self) -> GetFlowsRequest {
        let (allowed, denied) = self.one(&[(1, 0), (1, 0), (1, 0), (0, 1), (2, 0), (1, 1), (3, 2), (0, 0)]);
        GetFlowsRequest {
            whitelist: (0..allowed).map(|_| self.filter()).collect(),
            blacklist: (0..denied).map(|_| self.filter()).collect(),
            ..GetFlowsRequest::default()
        }
    }

    fn filter(&mut self) -> proto::FlowFilter {
        let mut filter = proto::FlowFilter::default();
        for _ in 0..self.one(&[0, 1, 1, 1, 1, 2, 3]) {
            self.field(&mut filter);
        }
        filter
    }

    /// A selector of the pool, or one made of another at random, without what the releases differ in.
    fn selector(&mut self) -> String {
        if self.0.bool() { self.text(&SELECTORS) } else { self.odd(&PLAIN_SELECTORS, "()!,=<> ainot9A/\t") }
    }

    fn expression(&mut self) -> String {
        self.odd(&EXPRESSIONS, r"()[]{}|*+?.^$\-,:0123abdzQEpPLNi<>&~# é")
    }

    fn field(&mut self, filter: &mut proto::FlowFilter) {
        let event_type = |generator: &mut Self| proto::EventTypeFilter {
            r#type: generator.one(&[0, 1, 2, 4, 129, 130, -1]),
            match_sub_type: generator.0.bool(),
            sub_type: generator.0.i32(0..=12),
        };
        match self.0.u8(..31) {
            0 => filter.uuid = self.texts(&UUID_FILTERS),
            1 => filter.source_ip = self.texts(&ADDRESS_FILTERS),
            2 => filter.destination_ip = self.texts(&ADDRESS_FILTERS),
            3 => filter.source_pod = self.texts(&NAME_FILTERS),
            4 => filter.destination_pod = self.texts(&NAME_FILTERS),
            5 => filter.source_fqdn = self.entries(|generator| generator.odd(&FQDN_FILTERS, "*._-aB1 /é")),
            6 => filter.destination_fqdn = self.texts(&FQDN_FILTERS),
            7 => filter.source_label = self.entries(Self::selector),
            8 => filter.destination_label = self.entries(Self::selector),
            9 => filter.source_service = self.texts(&NAME_FILTERS),
            10 => filter.destination_service = self.texts(&NAME_FILTERS),
            11 => filter.source_workload = self.entries(Self::workload),
            12 => filter.destination_workload = self.entries(Self::workload),
            13 => filter.traffic_direction = self.entries(|generator| generator.0.i32(-1..=3)),
            14 => filter.verdict = self.entries(|generator| generator.0.i32(-1..=8)),
            15 => filter.event_type = self.entries(event_type),
            16 => filter.http_status_code = self.texts(&STATUS_FILTERS),
            17 => filter.protocol = self.texts(&PROTOCOLS),
            18 => filter.source_port = self.texts(&PORT_FILTERS),
            19 => filter.destination_port = self.texts(&PORT_FILTERS),
            20 => filter.reply = self.entries(|generator| generator.0.bool()),
            21 => filter.dns_query = self.entries(Self::expression),
            22 => filter.source_identity = self.entries(|generator| generator.one(&IDENTITIES)),
            23 => filter.destination_identity = self.entries(|generator| generator.one(&IDENTITIES)),
            24 => filter.http_method = self.texts(&METHOD_FILTERS),
            25 => filter.http_path = self.entries(Self::expression),
            26 => filter.http_url = self.entries(Self::expression),
            27 => filter.http_header = self.entries(Self::header),
            28 => filter.tcp_flags = self.entries(Self::flags),
            29 => filter.node_name = self.entries(|generator| generator.odd(&NODE_FILTERS, "*./-k1 K")),
            _ => {
                filter.ip_version = self.entries(|generator| generator.0.i32(0..=3));
                if self.0.bool() {
                    filter.trace_id = self.texts(&TRACES);
                    filter.ip_version.clear();
                }
            }
        }
    }
}
