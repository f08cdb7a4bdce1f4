//! The text for people.

use std::time::Duration;

use crate::support::status::{
    ConnectionStatus, ExampleStatus, ExportStatus, HookStatus, InterfacesStatus, NodeStatus, PrivilegesStatus,
    ProviderStatus, SampleStatus, Status,
};
use crate::support::telemetry::Telemetry;

#[test]
fn report_shows_every_section() {
    let telemetry = Telemetry::default();
    telemetry.counter("eyepiece.events.received", &[]).add(12345);
    telemetry.counter("eyepiece.events.lost", &[("cpu", "0")]).add(7);
    telemetry.gauge("eyepiece.queue.depth", &[("queue", "logs")]).set(3);
    telemetry.counter("eyepiece.flows.failed", &[]);
    let logs = ("eyepiece.signal", "logs");
    telemetry.counter("eyepiece.export.records", &[logs, ("eyepiece.outcome", "delivered")]).add(1_234_567);
    telemetry.counter("eyepiece.export.records", &[logs, ("eyepiece.outcome", "dropped")]);
    telemetry.observe("otel.duration", &[("error.type", "503")], Duration::from_nanos(2_500_001));
    telemetry.observe("otel.duration", &[("error.type", "503")], Duration::from_nanos(1_500_001));
    let hook = |hook: &str, interface: &str, error: Option<&str>| HookStatus {
        hook: hook.to_owned(),
        interface: interface.to_owned(),
        attached: error.is_none(),
        by: "tcx".to_owned(),
        error: error.map(str::to_owned),
        ..HookStatus::default()
    };
    let status = Status {
        version: "1.2.3".to_owned(),
        node: "host1".to_owned(),
        uptime_seconds: 90,
        ready: true,
        privileges: PrivilegesStatus::default(),
        pid: 7,
        source: "datapath".to_owned(),
        exports: vec![
            ExportStatus {
                signal: "logs".to_owned(),
                failing: true,
                since_seconds: 50,
                attempts: 6,
                error: Some("connection refused (http://127.0.0.1:4317)".to_owned()),
                queued: 1307,
            },
            ExportStatus { signal: "metrics".to_owned(), ..ExportStatus::default() },
        ],
        interfaces: Some(InterfacesStatus {
            endpoints: 1,
            uplinks: 2,
            left_out: [("loopback".to_owned(), 1)].into(),
            unmatched: ["include \"eth9\"", "exclude \"wlan*\""]
                .map(|rest| format!("datapath.interfaces.{rest}"))
                .into(),
        }),
        connection: Some(ConnectionStatus {
            peer: "/run/m.sock".to_owned(),
            reason: Some("not_there".to_owned()),
            since_seconds: 61,
            interruptions: 2,
            nodes: vec![NodeStatus {
                name: "node-1".to_owned(),
                state: "unavailable".to_owned(),
                since_seconds: 3,
                message: "no route".to_owned(),
            }],
            ..ConnectionStatus::default()
        }),
        undecodable: vec![ExampleStatus {
            reason: "short".to_owned(),
            seconds_ago: 5,
            length: 3,
            bytes: "040000".to_owned(),
        }],
        settings: [("datapath.capture_bytes", "128"), ("datapath.interval", "5s")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        metadata: vec![
            ProviderStatus {
                provider: "docker".to_owned(),
                state: "stale".to_owned(),
                objects: 12,
                stale_seconds: 40,
                error: Some("connection refused".to_owned()),
            },
            ProviderStatus {
                provider: "cgroup".to_owned(),
                state: "current".to_owned(),
                objects: 3,
                ..ProviderStatus::default()
            },
        ],
        hooks: vec![hook("from-endpoint", "veth\u{1b}1", None), hook("kfree_skb", "", Some("no BTF"))],
        samples: telemetry
            .samples()
            .into_iter()
            .map(SampleStatus::from)
            .chain(telemetry.durations().into_iter().map(SampleStatus::from))
            .collect(),
    };
    let expected = "\
export of logs FAILING for 50 s: connection refused (http://127.0.0.1:4317); 1,307 queued
/run/m.sock not connected for 61 s: not_there
names of docker STALE for 40 s: connection refused
hook kfree_skb (whole machine) NOT ATTACHED: no BTF
datapath.interfaces.include \"eth9\" matches no interface

eyepiece 1.2.3 on host1: ready, up 1m30s, source datapath

In short
  events   received      12,345  lost     7
  logs     delivered  1,234,567  dropped  0  queued  1,307
  metrics  delivered          0  dropped  0

Connection
  /run/m.sock  not connected (not_there) for 1m1s  interrupted 2 times

Nodes
  node-1  unavailable for 3s  no route

Interfaces
  3 watched   1 endpoint, 2 uplinks
  1 left out  loopback
  unmatched   datapath.interfaces.exclude \"wlan*\"

Names
  docker  stale for 40 s  12 known  connection refused
  cgroup  current         3 known

Hooks
  veth\u{fffd}1           from-endpoint  tcx  attached
  (whole machine)  kfree_skb      tcx  not attached: no BTF

Not decoded, the last of each reason
  short  5s ago  3 bytes  040000

Settings
  datapath.capture_bytes  128
  datapath.interval       5s

Counted since the start
  eyepiece.events.lost              7  cpu=0
  eyepiece.events.received     12,345
  eyepiece.export.records   1,234,567  eyepiece.outcome=delivered eyepiece.signal=logs
  otel.duration                     2  error.type=503 mean=2ms

Now
  eyepiece.queue.depth  3  queue=logs

2 numbers are 0 and left out; --json has them
";
    assert_eq!(status.to_string(), expected);
}

#[test]
fn unmatched_exclude_pattern_is_no_alarm() {
    for (key, is_alarm) in [("include", true), ("exclude", false)] {
        let unmatched = vec![format!("datapath.interfaces.{key} \"x*\"")];
        let interfaces = Some(InterfacesStatus { uplinks: 1, unmatched, ..InterfacesStatus::default() });
        let text = Status { interfaces, ..Status::default() }.to_string();
        assert_eq!(text.starts_with(&format!("datapath.interfaces.{key}")), is_alarm, "{text}");
        assert_eq!(text.contains("\n  unmatched   datapath"), !is_alarm, "{text}");
    }
}

#[test]
fn healthy_status_begins_with_its_head() {
    assert!(Status::default().to_string().starts_with("eyepiece  on : not ready"));
}
