//! Payloads without a packet: sockets, debug messages, access logs, agent notifications; and the lines that Cilium 1.15's
//! client makes of them.

use std::net::IpAddr;

use anyhow::Result;
use eyepiece_flow::gob::encode::agent_notify;
use eyepiece_tests::payload::{self, access_log};
use serde_json::{Value, json};

use super::sample::{Head, Sample};

pub(crate) fn sockets() -> Vec<Sample> {
    let v6 = IpAddr::from([0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    let v4 = IpAddr::from([10, 9, 3, 4]);
    let table = [
        (1, "pre-xlate-fwd", v4, (1, "tcp")),
        (2, "post-xlate-fwd", v6, (2, "udp")),
        (3, "pre-xlate-rev", v6, (1, "tcp")),
        (4, "post-xlate-rev", v4, (2, "udp")),
    ];
    let one = |(point, name, address, (protocol, word)): (u8, &str, IpAddr, (u8, &str))| {
        let (port, cookie, cgroup) = (4430 + u16::from(point), 1 << 40 | u64::from(point), 90_001_u64);
        let mut data = vec![7, point];
        match address {
            IpAddr::V4(address) => data.extend([&address.octets()[..], &[0; 12]].concat()),
            IpAddr::V6(address) => data.extend(address.octets()),
        }
        data.extend(port.to_le_bytes());
        data.extend(cookie.to_le_bytes());
        data.extend(cgroup.to_le_bytes());
        data.extend([protocol, u8::from(address.is_ipv6())]);
        assert_eq!(data.len(), 38);
        // A perf sample's length is a multiple of 8 less 4; what fills it is left from before.
        data.resize(44, 0xaa);
        let verbose =
            format!("CPU 07: [{name}] cgroup_id: {cgroup} sock_cookie: {cookie}, dst [{address}]:{port} {word} ");
        Sample { verbose, ..Sample::new("trace-sock", 7, data) }
    };
    table.into_iter().map(one).collect()
}

pub(crate) fn debug_messages() -> Vec<Sample> {
    let address = |octets: [u8; 4]| u32::from_le_bytes(octets);
    let (from, to) = (address([10, 9, 1, 1]), address([10, 9, 2, 2]));
    let ports = |low: u16, high: u16| u32::from(high) << 16 | u32::from(low);
    let table = [
        (1, [17, 18, 0], "No message, arg1=17 (0x11) arg2=18 (0x12)".to_owned()),
        (2, [202, 30_001, 0], "Attempting local delivery for container id 202 from seclabel 30001".to_owned()),
        (5, [30_001, 30_002, 0], "Policy evaluation would deny packet from 30001 to 30002".to_owned()),
        (15, [1, u32::from(77_u16.swap_bytes()), 0], "CT verdict: Established, revnat=77".to_owned()),
        (38, [from, to, 0], "Loopback SNAT from=10.9.1.1 to=10.9.2.2".to_owned()),
        (45, [u32::from(443_u16.swap_bytes()), 1, 0], "Resolved L4 policy to: 443 / ingress".to_owned()),
        (48, [from, to, ports(41_001, 53)], "Conntrack lookup 1/2: src=10.9.1.1:41001 dst=10.9.2.2:53".to_owned()),
        (49, [17 << 8 | 1, 1, 2], "Conntrack lookup 2/2: nexthdr=17 flags=1 dir=1 scope=2".to_owned()),
        (58, [from, 30_001, 0], "Successfully mapped addr=10.9.1.1 to identity=30001".to_owned()),
        (65, [from, to, 15_001], "L7 LB from 10.9.1.1 to 10.9.2.2: proxy port 15001".to_owned()),
        (200, [1, 2, 0], "Unknown message type=200 arg1=1 arg2=2".to_owned()),
    ];
    let one = |(kind, arguments, message): (u8, [u32; 3], String)| {
        let head = Head { kind: 2, subtype: kind, endpoint: 105, hash: 0xdb_0000 + u32::from(kind), cpu: 5 };
        let mut data = head.bytes();
        data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
        assert_eq!(data.len(), 20);
        let verbose = format!("CPU 05: MARK {:#x} FROM 105 DEBUG: {message}", head.hash);
        Sample {
            endpoints: (105, 0),
            detailed: verbose.clone(),
            json: json!({ "cpu": "CPU 05:", "type": "debug", "message": message }),
            verbose,
            ..Sample::new("debug", 5, data)
        }
    };
    table.into_iter().map(one).collect()
}

pub(crate) fn agent_notifications() -> Vec<Sample> {
    let table = [
        (2, "Cilium agent started", json!({ "time": "2024-05-06T07:08:09.000000001Z" })),
        (3, "Endpoint regenerated", json!({ "id": 106, "labels": ["k8s:app=web"] })),
        (4, "Failed endpoint regeneration", json!({ "id": 106, "error": "no such map" })),
        (5, "Policy updated", json!({ "labels": ["k8s:name=deny"], "revision": 9, "rule_count": 2 })),
        (6, "Policy deleted", json!({ "revision": 10, "rule_count": 1 })),
        (7, "Endpoint created", json!({ "id": 106, "pod-name": "web-1", "namespace": "shop" })),
        (8, "Endpoint deleted", json!({ "id": 106 })),
        (9, "IPCache entry upserted", json!({ "cidr": "10.9.4.4/32", "id": 30_004, "old-id": 0, "encrypt-key": 3 })),
        (10, "IPCache entry deleted", json!({ "cidr": "fd00:9::4/128", "id": 30_004, "encrypt-key": 0 })),
        (
            11,
            "Service upserted",
            json!({ "id": 44, "frontend-address": { "ip": "10.9.5.5", "port": 80 }, "backend-addresses": [] }),
        ),
        (12, "Service deleted", json!({ "id": 44 })),
    ];
    let one = |(kind, words, text): (u32, &str, Value)| {
        let mut data = vec![130];
        agent_notify(&mut data, kind, &text.to_string());
        let line = format!(">> {words}: {text}");
        let json = json!({ "type": "agent", "subtype": words, "message": text });
        Sample { detailed: line.clone(), line, json, ..Sample::new("agent", 0, data) }
    };
    table.into_iter().map(one).collect()
}

/// Access-log records, encoded by Cilium's own types.
pub(crate) fn access_logs() -> Result<Vec<Sample>> {
    let url = json!({ "Scheme": "http", "Host": "web.shop:80", "Path": "/cart", "RawQuery": "item=7" });
    let http = |code| json!({ "HTTP": { "Code": code, "Method": "PUT", "URL": url, "Protocol": "HTTP/1.1" } });
    let question = json!({ "DNS": { "Query": "web.shop.", "ObservationSource": "proxy", "QTypes": [1, 28] } });
    let answer = json!({ "DNS": {
        "Query": "web.shop.", "ObservationSource": "proxy", "QTypes": [1], "IPs": ["10.9.2.2", "fd00:9::2"], "TTL": 30,
        "CNAMEs": ["web.cluster.", "a.cluster."],
    } });
    let (labels, label) = ("[k8s:app=client k8s:env=test]", "[k8s:app=web]");
    let identities = "identity 30001->30002";
    let asked = |proto, verdict| {
        format!("Request {proto} from 107 ({labels}) to 207 ({label}), {identities}, verdict {verdict}")
    };
    let answered = |proto, verdict| {
        format!("Response {proto} to 207 ({label}) from 107 ({labels}), {identities}, verdict {verdict}")
    };
    let cart = "PUT http://web.shop:80/cart?item=7";
    let table = [
        (
            access_log("Request", "Ingress", "Forwarded", http(0)),
            "http",
            format!("<- {} {cart} => 0", asked("http", "Forwarded")),
        ),
        (
            access_log("Response", "Ingress", "Forwarded", http(201)),
            "http",
            format!("<- {} {cart} => 201", answered("http", "Forwarded")),
        ),
        (
            access_log("Request", "Egress", "Denied", http(403)),
            "http",
            format!("-> {} {cart} => 403", asked("http", "Denied")),
        ),
        (
            access_log("Request", "Egress", "Redirected", question),
            "dns",
            format!("-> {} DNS proxy: web.shop. A,AAAA", asked("dns", "Redirected")),
        ),
        (
            access_log("Response", "Egress", "Forwarded", answer),
            "dns",
            format!(
                "-> {} DNS proxy: web.shop. A TTL: 30 Answer: '10.9.2.2,fd00:9::2' CNAMEs: web.cluster.,a.cluster.",
                answered("dns", "Forwarded")
            ),
        ),
    ];
    let payloads = payload::access_logs(&table.each_ref().map(|(record, ..)| record))?;
    let samples = table.into_iter().zip(payloads).map(|((record, proto, line), data)| {
        let mut json = json!({
            "type": "logRecord", "observationPoint": record["ObservationPoint"], "flowType": record["Type"],
            "l7Proto": proto, "srcEpID": 107, "srcEpLabels": record["SourceEndpoint"]["Labels"], "srcIdentity": 30_001, "dstEpID": 207,
            "dstEpLabels": record["DestinationEndpoint"]["Labels"], "dstIdentity": 30_002, "verdict": record["Verdict"],
        });
        json[proto] = record[proto.to_uppercase()].clone();
        Sample { endpoints: (107, 207), detailed: line.clone(), line, json, ..Sample::new("l7", 0, data) }
    });
    Ok(samples.collect())
}
