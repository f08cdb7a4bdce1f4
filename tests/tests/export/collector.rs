//! The real OpenTelemetry Collector takes what the product ships: its Prometheus page and its file show the script.

use std::time::Duration;

use anyhow::Result;
use eyepiece_tests::collector::attribute;
use eyepiece_tests::traffic::{echo, tcp, udp};
use eyepiece_tests::{Collector, Eyepiece, Family, Lab, drops, eventually, needs_peers};

/// Timeout until a value shows: exports each second, the collector's own batches, a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Name of a metric, labels, and the value that the script makes.
pub(crate) type Row = (&'static str, &'static [(&'static str, &'static str)], f64);

/// Hubble's own metrics of [`send_script`].
#[rustfmt::skip]
pub(crate) const HUBBLE: &[Row] = &[
    ("hubble_drop_total", &[("source", "ve-a")], 27.0),
    ("hubble_drop_total", &[("reason", "NETFILTER_DROP"), ("protocol", "UDP"), ("source", "ve-a"), ("destination", "ve-b")], 20.0),
    ("hubble_drop_total", &[("reason", "NO_SOCKET"), ("protocol", "UDP"), ("source", "ve-a"), ("destination", "ve-b")], 7.0),
    // Five connections of each family, seen at both interfaces; both sides close.
    ("hubble_tcp_flags_total", &[("flag", "SYN"), ("family", "IPv4"), ("source", "ve-a"), ("destination", "ve-b")], 10.0),
    ("hubble_tcp_flags_total", &[("flag", "SYN"), ("family", "IPv6")], 10.0),
    ("hubble_tcp_flags_total", &[("flag", "SYN-ACK"), ("family", "IPv4"), ("source", "ve-b"), ("destination", "ve-a")], 10.0),
    ("hubble_tcp_flags_total", &[("flag", "FIN"), ("source", "ve-a"), ("destination", "ve-b")], 20.0),
    ("hubble_tcp_flags_total", &[("flag", "FIN"), ("source", "ve-b"), ("destination", "ve-a")], 20.0),
    // Each packet is an event at each interface that it passes: those that nft dropped passed one, the others two.
    ("hubble_flows_processed_total", &[("type", "Drop"), ("verdict", "DROPPED"), ("protocol", "UDP")], 27.0),
    ("hubble_flows_processed_total", &[("type", "Trace"), ("subtype", "from-endpoint"), ("verdict", "FORWARDED"), ("protocol", "UDP"), ("destination", "ve-b")], 327.0),
    ("hubble_flows_processed_total", &[("type", "Trace"), ("subtype", "to-endpoint"), ("verdict", "FORWARDED"), ("protocol", "UDP"), ("destination", "ve-b")], 307.0),
    // Requests and replies of ten echoes, at both interfaces; over IPv4 seven times port unreachable, too.
    ("hubble_flows_processed_total", &[("type", "Trace"), ("protocol", "ICMPv6")], 40.0),
    ("hubble_flows_processed_total", &[("type", "Trace"), ("protocol", "ICMPv4")], 54.0),
];

/// The same in our own names.
const SEMCONV: &[Row] = &[
    ("hubble_drop_total", &[("hubble_drop_reason", "NETFILTER_DROP"), ("hubble_protocol", "UDP")], 20.0),
    ("hubble_drop_total", &[("hubble_drop_reason", "NO_SOCKET"), ("hubble_source_name", "ve-a")], 7.0),
    ("hubble_tcp_flags_total", &[("hubble_tcp_flag", "SYN"), ("network_type", "ipv6")], 10.0),
    ("hubble_flows_processed_total", &[("hubble_event_type", "Drop"), ("hubble_verdict", "DROPPED")], 27.0),
    ("hubble_flows_processed_total", &[("hubble_event_subtype", "from-endpoint"), ("hubble_protocol", "UDP")], 327.0),
];

/// Flows of the script at least: datagrams at both interfaces, echoes, drops.
const FLOWS: u64 = 327 + 307 + 94 + 27;

pub(crate) fn send_script(lab: &Lab) -> Result<()> {
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    for (family, datagrams) in [(Family::V4, 100), (Family::V6, 200)] {
        tcp(a, b).family(family).connections(5).bytes(10_000).run()?;
        udp(a, b).family(family).packets(datagrams).run()?;
        echo(a, b).family(family).count(10).run()?;
    }
    drops::nft(lab, a, b, Family::V4, 20)?;
    drops::closed_udp(a, b, Family::V4, 7)?;
    Ok(())
}

fn check_page(collector: &Collector, rows: &[Row]) -> Result<()> {
    for (name, labels, expected) in rows {
        let shown = || collector.sample(name, labels).ok().flatten();
        let right = eventually(TIMEOUT, "the page", || (shown() == Some(*expected)).then_some(()));
        assert!(right.is_ok(), "{name} {labels:?}: {:?} instead of {expected}\n{}", shown(), collector.page()?);
    }
    Ok(())
}

fn check_records(collector: &Collector, eyepiece: &Eyepiece) -> Result<()> {
    // Records that the receiver has acknowledged, by the product's own count.
    let delivered = || {
        eyepiece.number("eyepiece.export.records", &[("eyepiece.signal", "logs"), ("eyepiece.outcome", "delivered")])
    };
    let same = || {
        let (records, acknowledged) = (collector.records().ok()?.len() as u64, delivered().ok()?);
        (records == acknowledged && acknowledged >= FLOWS).then_some(())
    };
    let settled = eventually(TIMEOUT, "as many records as were delivered", same);
    let records = collector.records()?;
    assert!(settled.is_ok(), "{} records, {} delivered", records.len(), delivered()?);
    let names = ["hubble.flow", "hubble.agent_event", "hubble.lost_events"];
    let strange = records.iter().find(|record| !names.iter().any(|name| record["eventName"] == *name));
    assert_eq!(strange, None);
    for (wanted, count) in [
        (
            &[("hubble.drop.reason", "NETFILTER_DROP"), ("source.address", "10.1.1.2"), ("destination.port", "7001")][..],
            20,
        ),
        (&[("hubble.drop.reason", "NO_SOCKET"), ("destination.address", "10.1.2.2"), ("network.transport", "udp")], 7),
        (
            &[
                ("hubble.observation_point", "from-endpoint"),
                ("source.address", "fd00:1:1::2"),
                ("network.transport", "udp"),
            ],
            200,
        ),
        (
            &[
                ("hubble.observation_point", "to-endpoint"),
                ("network.interface.name", "ve-b"),
                ("hubble.icmp.type", "8"),
            ],
            10,
        ),
    ] {
        let has =
            |record: &&serde_json::Value| wanted.iter().all(|(name, value)| attribute(record, name) == Some(value));
        assert_eq!(records.iter().filter(has).count(), count, "{wanted:?}");
    }
    Ok(())
}

fn ships(program: &std::path::PathBuf, protocol: &str, naming: &str, temporality: &str, rows: &[Row]) -> Result<()> {
    let lab = Lab::new()?;
    let collector = Collector::start(program, lab.node())?;
    let endpoint = if protocol == "grpc" { collector.grpc() } else { collector.http() };
    let config = format!(
        "[otlp]\nendpoint = \"{endpoint}\"\nprotocol = \"{protocol}\"\n[otlp.metrics]\ninterval = \"1s\"\n\
         temporality = \"{temporality}\"\n\
         [metrics]\nnaming = \"{naming}\"\n[datapath]\naggregation = \"none\"\n"
    );
    let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
    send_script(&lab)?;
    check_page(&collector, rows)?;
    check_records(&collector, &eyepiece)?;
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    Ok(())
}

macro_rules! table {
    ($($name:ident: $protocol:literal, $naming:literal, $temporality:literal, $rows:expr;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            let [program] = &needs_peers!("otelcol");
            ships(program, $protocol, $naming, $temporality, $rows)
        }
    )*};
}

table! {
    over_grpc_with_hubbles_labels: "grpc", "hubble", "cumulative", HUBBLE;
    over_http_with_hubbles_labels: "http/protobuf", "hubble", "cumulative", HUBBLE;
    over_grpc_with_our_own_names: "grpc", "semconv", "lowmemory", SEMCONV;
    over_grpc_as_deltas: "grpc", "hubble", "delta", HUBBLE;
}
