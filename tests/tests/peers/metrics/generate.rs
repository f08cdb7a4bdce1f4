//! Flows from a seed, with all that Hubble's metrics read, as Cilium 1.20 sends them: each field has values of its range,
//! and fields that depend on each other agree.
//!
//! Nothing is generated that no Hubble of 1.20 sends: ports beyond 16 bits, a verdict without a name, layer 4 without a
//! protocol, DNS record types without a number, a deprecated field alone, layer 7 without its event type, IPv4-mapped
//! addresses.

use eyepiece_hubble::proto::flow as proto;
use proto::layer4::Protocol;
use proto::layer7::Record;

// Monitor message types.
const DROP: i32 = 1;
const CAPTURE: i32 = 3;
const TRACE: i32 = 4;
const POLICY_VERDICT: i32 = 5;
const SOCK: i32 = 7;
const L7: i32 = 129;
/// A message type that no release has so far.
const LATER: i32 = 250;

/// The numbers of `flow.Verdict`.
const FORWARDED: i32 = 1;
const DROPPED: i32 = 2;
const ALL_VERDICTS: std::ops::RangeInclusive<i32> = 0..=7;
/// Codes of drop reasons; the enumeration lacks some of them.
const DROP_REASONS: std::ops::RangeInclusive<i32> = 130..=210;
const POLICY_DENIED: i32 = 133;

/// One end of flows.
struct End {
    identity: u32,
    namespace: &'static str,
    pod: &'static str,
    /// Names and kinds.
    workloads: &'static [(&'static str, &'static str)],
    labels: &'static [&'static str],
    v4: &'static str,
    v6: &'static str,
}

#[rustfmt::skip]
static ENDS: [End; 18] = [
    End { identity: 30_001, namespace: "shop", pod: "web-7d4b9c-abcde", workloads: &[("web", "Deployment")], labels: &["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"], v4: "10.1.0.1", v6: "fd00:1::1" },
    End { identity: 30_002, namespace: "shop", pod: "db-0", workloads: &[("db", "StatefulSet")], labels: &["k8s:app.kubernetes.io/name=postgres", "k8s:k8s-app=db"], v4: "10.1.0.2", v6: "fd00:1::2" },
    End { identity: 30_003, namespace: "api", pod: "api-v2-1", workloads: &[("api-v2", "ReplicaSet"), ("api", "Deployment")], labels: &["k8s:k8s-app=api=v2"], v4: "10.1.0.3", v6: "fd00:1::3" },
    End { identity: 30_004, namespace: "batch", pod: "job-x", workloads: &[("", "Job")], labels: &["k8s:app=", "k8s:k8s-app=late"], v4: "10.1.0.4", v6: "fd00:1::4" },
    End { identity: 30_005, namespace: "shop", pod: "", workloads: &[("", "")], labels: &["k8s:tier=\"front\\end\""], v4: "10.1.0.5", v6: "fd00:1::5" },
    End { identity: 30_006, namespace: "", pod: "lonely", workloads: &[("lonely", "")], labels: &[], v4: "10.1.0.6", v6: "fd00:1::6" },
    End { identity: 30_007, namespace: "kube-system", pod: "coredns-5d78c9869d-x2x2x", workloads: &[("coredns", "Deployment")], labels: &["any:app=dns", "container:app=dns", "k8s:k8s-app=kube-dns"], v4: "10.1.0.7", v6: "fd00:1::7" },
    End { identity: 1, namespace: "", pod: "", workloads: &[], labels: &["reserved:host"], v4: "192.0.2.1", v6: "2001:db8::1" },
    End { identity: 1, namespace: "", pod: "", workloads: &[], labels: &["reserved:host", "reserved:kube-apiserver"], v4: "192.0.2.2", v6: "2001:db8::2" },
    End { identity: 2, namespace: "", pod: "", workloads: &[], labels: &["reserved:world"], v4: "198.51.100.1", v6: "2001:db8:f::1" },
    End { identity: 9, namespace: "", pod: "", workloads: &[], labels: &["reserved:world-ipv4"], v4: "198.51.100.2", v6: "64:ff9b::c633:6402" },
    End { identity: 10, namespace: "", pod: "", workloads: &[], labels: &["reserved:world-ipv6"], v4: "0.0.0.0", v6: "::" },
    End { identity: 16_777_217, namespace: "", pod: "", workloads: &[], labels: &["cidr:203.0.113.0/24", "reserved:world"], v4: "203.0.113.9", v6: "2001:db8:f::9" },
    End { identity: 4, namespace: "", pod: "", workloads: &[], labels: &["reserved:health"], v4: "10.1.0.200", v6: "fe80::1" },
    End { identity: 6, namespace: "", pod: "", workloads: &[], labels: &["reserved:remote-node"], v4: "192.0.2.3", v6: "fd00:1:0:0:1::" },
    End { identity: 7, namespace: "", pod: "", workloads: &[], labels: &["reserved:kube-apiserver", "reserved:remote-node"], v4: "192.0.2.4", v6: "::1" },
    End { identity: 3, namespace: "shop", pod: "static-1", workloads: &[], labels: &["reserved:unmanaged"], v4: "255.255.255.255", v6: "ff02::1" },
    End { identity: 0, namespace: "", pod: "", workloads: &[], labels: &[], v4: "127.0.0.1", v6: "2001:db8::1:0:0:1" },
];

const DNS_NAMES: [&[&str]; 5] =
    [&[], &[], &["example.com"], &["one.example.com", "two.example.com"], &["db.shop.svc.cluster.local"]];
const PORTS: [u32; 7] = [0, 53, 80, 443, 8080, 32_768, 65_535];
const QUERIES: [&str; 5] = ["", "example.com.", "db.shop.svc.cluster.local.", "_ldap._tcp.example.com.", "."];
const QUESTION_TYPES: [&[&str]; 7] = [&["A"], &["AAAA"], &["A", "AAAA"], &["AAAA", "AAAA"], &["PTR"], &["HTTPS"], &[]];
const ANSWER_TYPES: [&[&str]; 6] = [&[], &["A"], &["CNAME", "A"], &["A", "A"], &["SOA"], &["SRV", "OPT", "TXT"]];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", ""];
const HTTP_VERSIONS: [&str; 4] = ["HTTP/1.1", "HTTP/2", "HTTP/1.0", ""];
const CODES: [u32; 8] = [0, 200, 201, 301, 404, 429, 500, 503];
/// The bounds of the histogram's buckets, ns.
const BOUNDS: [u64; 5] = [5_000_000, 25_000_000, 100_000_000, 1_000_000_000, 10_000_000_000];
const ICMP4_TYPES: [u32; 10] = [0, 3, 4, 5, 8, 11, 12, 13, 14, 40];
const ICMP6_TYPES: [u32; 11] = [1, 2, 3, 4, 128, 129, 133, 134, 135, 136, 143];

/// Random flows, one after the other.
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

    fn texts(&mut self, all: &[&[&str]]) -> Vec<String> {
        self.one(all).iter().map(|&text| text.to_owned()).collect()
    }

    /// True once in so many times.
    fn once_in(&mut self, times: u8) -> bool {
        self.0.u8(..times) == 0
    }

    pub(crate) fn flow(&mut self) -> proto::Flow {
        let all =
            [TRACE, TRACE, TRACE, TRACE, DROP, DROP, DROP, POLICY_VERDICT, POLICY_VERDICT, L7, L7, L7, CAPTURE, SOCK];
        let kind = if self.once_in(50) { LATER } else { self.one(&all) };
        let is_l7 = kind == L7;
        let event_type = proto::CiliumEventType { r#type: kind, sub_type: self.0.i32(0..=14) };
        let is_v6 = self.once_in(3);
        let ends = [self.0.usize(..ENDS.len()), self.0.usize(..ENDS.len())].map(|place| &ENDS[place]);
        let is_reply = self.one(&[None, Some(false), Some(false), Some(true)]);
        let mut flow = proto::Flow {
            verdict: self.verdict(kind),
            // Only one without layer 7 may lack its type.
            event_type: (is_l7 || !self.once_in(60)).then_some(event_type),
            r#type: if is_l7 { 2 } else { 1 },
            ip: self.ip(ends, is_v6),
            l4: self.l4(is_l7, is_v6),
            l7: if is_l7 { Some(self.l7()) } else { None },
            source: self.endpoint(ends[0]),
            destination: self.endpoint(ends[1]),
            source_names: self.texts(&DNS_NAMES),
            destination_names: self.texts(&DNS_NAMES),
            traffic_direction: self.0.i32(0..=2),
            is_reply,
            reply: is_reply == Some(true),
            node_name: "default/node-1".to_owned(),
            ..proto::Flow::default()
        };
        if flow.verdict == DROPPED && !is_l7 {
            let code = if self.once_in(3) { POLICY_DENIED } else { self.0.i32(DROP_REASONS) };
            (flow.drop_reason_desc, flow.drop_reason) = (code, code.cast_unsigned());
        }
        if kind == POLICY_VERDICT {
            // One more than there are.
            flow.policy_match_type = self.0.u32(0..=7);
            self.add_policies(&mut flow);
        }
        if is_l7 && self.0.bool() {
            let trace_id = format!("{:032x}", self.0.u128(1..));
            flow.trace_context = Some(proto::TraceContext { parent: Some(proto::TraceParent { trace_id }) });
        }
        flow
    }

    fn verdict(&mut self, kind: i32) -> i32 {
        match kind {
            DROP => DROPPED,
            _ if self.0.bool() => FORWARDED,
            _ => self.0.i32(ALL_VERDICTS),
        }
    }

    /// The rules behind a verdict, which no metric shows.
    fn add_policies(&mut self, flow: &mut proto::Flow) {
        let policy = proto::Policy { name: "allow-web".to_owned(), namespace: "shop".to_owned(), ..Default::default() };
        match self.0.u8(..5) {
            0 => flow.egress_allowed_by.push(policy),
            1 => flow.ingress_allowed_by.push(policy),
            2 => flow.egress_denied_by.push(policy),
            3 => flow.ingress_denied_by.push(policy),
            _ => {}
        }
    }

    fn endpoint(&mut self, end: &End) -> Option<proto::Endpoint> {
        let workload = |&(name, kind): &(&str, &str)| proto::Workload { name: name.to_owned(), kind: kind.to_owned() };
        let endpoint = proto::Endpoint {
            id: self.0.u32(..2000),
            identity: end.identity,
            cluster_name: "default".to_owned(),
            namespace: end.namespace.to_owned(),
            labels: end.labels.iter().map(|&label| label.to_owned()).collect(),
            pod_name: end.pod.to_owned(),
            workloads: end.workloads.iter().map(workload).collect(),
        };
        (!self.once_in(40)).then_some(endpoint)
    }

    fn ip(&mut self, ends: [&End; 2], is_v6: bool) -> Option<proto::Ip> {
        let [source, destination] = ends.map(|end| if is_v6 { end.v6 } else { end.v4 });
        let ip = proto::Ip {
            source: if self.once_in(40) { String::new() } else { source.to_owned() },
            destination: if self.once_in(40) { String::new() } else { destination.to_owned() },
            ip_version: if self.once_in(60) { 0 } else { 1 + i32::from(is_v6) },
            ..proto::Ip::default()
        };
        (!self.once_in(20)).then_some(ip)
    }

    fn l4(&mut self, is_l7: bool, is_v6: bool) -> Option<proto::Layer4> {
        let (source_port, destination_port) = (self.one(&PORTS), self.one(&PORTS));
        // Only the first ones have records of layer 7.
        let number = self.0.u8(..if is_l7 { 12 } else { 24 });
        let protocol = match number {
            0 => return None,
            1..8 => {
                let flags = (!is_l7 && !self.once_in(10)).then(|| self.flags());
                Protocol::Tcp(proto::Tcp { source_port, destination_port, flags })
            }
            8..12 => Protocol::Udp(proto::Udp { source_port, destination_port }),
            12..15 => Protocol::Sctp(proto::Sctp { source_port, destination_port, chunk_type: self.0.i32(0..=6) }),
            15..21 => self.icmp(is_v6),
            21 | 22 => Protocol::Vrrp(proto::Vrrp { r#type: 1, vrid: self.0.u32(..256), priority: 100 }),
            _ => Protocol::Igmp(proto::Igmp { r#type: 0x16, group_address: "224.0.0.22".to_owned() }),
        };
        Some(proto::Layer4 { protocol: Some(protocol) })
    }

    fn flags(&mut self) -> proto::TcpFlags {
        let mut flag = || self.0.u8(..3) == 0;
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

    /// Messages of all types and codes, most of them known.
    fn icmp(&mut self, is_v6: bool) -> Protocol {
        let known = if is_v6 { self.one(&ICMP6_TYPES) } else { self.one(&ICMP4_TYPES) };
        let kind = if self.once_in(10) { self.0.u32(..256) } else { known };
        let code = if self.once_in(10) { self.0.u32(..256) } else { self.0.u32(..4) };
        match is_v6 {
            true => Protocol::IcmPv6(proto::IcmPv6 { r#type: kind, code }),
            false => Protocol::IcmPv4(proto::IcmPv4 { r#type: kind, code }),
        }
    }

    fn l7(&mut self) -> proto::Layer7 {
        let record = match self.0.u8(..20) {
            0 => None,
            1 => Some(Record::Kafka(proto::Kafka { topic: "orders".to_owned(), ..proto::Kafka::default() })),
            2..10 => Some(Record::Dns(self.dns())),
            _ => Some(Record::Http(self.http())),
        };
        let latency_ns = match self.0.u8(..4) {
            0 => 0,
            1 => self.one(&BOUNDS) + self.0.u64(..3) - 1,
            2 => self.0.u64(..1_000_000_000),
            _ => self.0.u64(..20_000_000_000),
        };
        proto::Layer7 { r#type: self.one(&[1, 1, 2, 2, 2, 0, 3]), latency_ns, record }
    }

    fn dns(&mut self) -> proto::Dns {
        proto::Dns {
            query: self.text(&QUERIES),
            ips: (0..self.0.u8(..4)).map(|number| format!("10.1.0.{number}")).collect(),
            ttl: 30,
            observation_source: "proxy".to_owned(),
            rcode: self.0.u32(..26),
            qtypes: self.texts(&QUESTION_TYPES),
            rrtypes: self.texts(&ANSWER_TYPES),
            ..proto::Dns::default()
        }
    }

    fn http(&mut self) -> proto::Http {
        proto::Http {
            code: self.one(&CODES),
            method: self.text(&METHODS),
            url: "http://web.shop/cart".to_owned(),
            protocol: self.text(&HTTP_VERSIONS),
            headers: vec![proto::HttpHeader { key: "X-Request-Id".to_owned(), value: "1".to_owned() }],
        }
    }
}
