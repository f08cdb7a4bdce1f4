//! Filters of flags, as JSON.

use clap::{Args as _, Command, FromArgMatches as _};
use eyepiece_flow::event::KernelDrop;
use eyepiece_flow::flow::{EVENT_DROP, EVENT_TRACE, EventType, Flow, Layer, Verdict};
use eyepiece_flow::lookup::NameLookup;
use eyepiece_flow::record::Observed;
use eyepiece_hubble::filter::{Context, no_clock};
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::flow::FlowFilter;
use eyepiece_hubble::{filter, json};

use super::{FilterFlags, build, note};

fn flags(arguments: &[&str]) -> Result<FilterFlags, String> {
    let command = FilterFlags::augment_args(Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
    FilterFlags::from_arg_matches(&matches).map_err(|error| error.to_string())
}

fn text(filters: &[FlowFilter]) -> String {
    let text = |filter| {
        let mut out = String::new();
        json::write(filter, &mut out).unwrap();
        out
    };
    filters.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn flags_make_filters() {
    for (arguments, allow, deny) in [
        ("", "", ""),
        ("--uuid a --uuid b", r#"{"uuid":["a","b"]}"#, ""),
        ("--pod a", r#"{"source_pod":["a"]} {"destination_pod":["a"]}"#, ""),
        (
            "--pod a --verdict dropped",
            r#"{"source_pod":["a"],"verdict":["DROPPED"]} {"destination_pod":["a"],"verdict":["DROPPED"]}"#,
            "",
        ),
        ("--from-pod a --to-pod b", r#"{"source_pod":["a"],"destination_pod":["b"]}"#, ""),
        ("--not --port 53 -4", r#"{"ip_version":["IPv4"]}"#, r#"{"source_port":["53"]} {"destination_port":["53"]}"#),
        ("-4 --not -4 -6", r#"{"ip_version":["IPv4","IPv6"]}"#, r#"{"ip_version":["IPv4"]}"#),
        (
            "--not --from-ip 1.1.1.1 --not --to-ip 2.2.2.2",
            "",
            r#"{"source_ip":["1.1.1.1"],"destination_ip":["2.2.2.2"]}"#,
        ),
        ("-n a", r#"{"source_pod":["a/"]} {"destination_pod":["a/"]}"#, ""),
        ("-n a -n b --pod x", r#"{"source_pod":["a/x","b/x"]} {"destination_pod":["a/x","b/x"]}"#, ""),
        ("-A --service x", r#"{"source_service":["/x"]} {"destination_service":["/x"]}"#, ""),
        ("--from-namespace a --to-namespace b --from-pod p", r#"{"source_pod":["a/p"],"destination_pod":["b/"]}"#, ""),
        ("--from-all-namespaces --to-all-namespaces", r#"{"source_pod":["/"],"destination_pod":["/"]}"#, ""),
        (
            "--workload Deployment/w",
            r#"{"source_workload":[{"name":"w","kind":"Deployment"}]} {"destination_workload":[{"name":"w","kind":"Deployment"}]}"#,
            "",
        ),
        ("--from-identity 0x10 --to-identity world", r#"{"source_identity":[16],"destination_identity":[2]}"#, ""),
        ("--from-identity 017 --from-identity 0b11 --from-identity 99999", r#"{"source_identity":[15,3,99999]}"#, ""),
        ("--tcp-flags syn,ACK", r#"{"tcp_flags":[{"SYN":true,"ACK":true}]}"#, ""),
        (
            "-t drop -t trace:to-host -t trace:7 -t 4:from-stack -t agent:endpoint-created -t 9:2",
            r#"{"event_type":[{"type":1},{"type":4,"match_sub_type":true,"sub_type":2},{"type":4,"match_sub_type":true,"sub_type":7},{"type":4,"match_sub_type":true,"sub_type":8},{"type":130,"match_sub_type":true,"sub_type":7},{"type":9,"match_sub_type":true,"sub_type":2}]}"#,
            "",
        ),
        ("--drop-reason-desc policy_denied", r#"{"drop_reason_desc":["POLICY_DENIED"]}"#, ""),
        (
            "--drop-reason-desc no_socket --from-port 5",
            r#"{"source_port":["5"],"experimental":{"cel_expression":["_flow.verdict == Verdict.DROPPED \u0026\u0026 _flow.event_type.type == 1 \u0026\u0026 (_flow.Summary == 'NO_SOCKET' || _flow.Summary.endsWith('(NO_SOCKET)'))"]}}"#,
            "",
        ),
        (
            "--not --drop-reason-desc SKB_DROP_REASON_NO_SOCKET",
            "",
            r#"{"experimental":{"cel_expression":["_flow.verdict == Verdict.DROPPED \u0026\u0026 _flow.event_type.type == 1 \u0026\u0026 (_flow.Summary == 'NO_SOCKET' || _flow.Summary.endsWith('(NO_SOCKET)'))"]}}"#,
        ),
        (
            "--traffic-direction EGRESS --reply true --reply false",
            r#"{"traffic_direction":["EGRESS"],"reply":[true,false]}"#,
            "",
        ),
        (
            "--interface eth0 --http-header a:b:c",
            r#"{"interface":[{"name":"eth0"}],"http_header":[{"key":"a","value":"b:c"}]}"#,
            "",
        ),
        (
            "--encrypted --ip-trace-id 5 --cel-expression x",
            r#"{"ip_trace_id":["5"],"encrypted":[true],"experimental":{"cel_expression":["x"]}}"#,
            "",
        ),
        (
            "--unencrypted --snat-ip 1.1.1.1 --node-label a=b --dns-query q",
            r#"{"source_ip_xlated":["1.1.1.1"],"dns_query":["q"],"node_labels":["a=b"],"encrypted":[false]}"#,
            "",
        ),
        (
            "--cluster c --label -x",
            r#"{"source_label":["-x"],"source_cluster_name":["c"]} {"destination_label":["-x"],"destination_cluster_name":["c"]}"#,
            "",
        ),
        ("--ip-version none --ipv4=v4", r#"{"ip_version":["IP_NOT_USED","IPv4"]}"#, ""),
    ] {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        let filters = build(&flags(&arguments).unwrap()).unwrap();
        assert_eq!((text(&filters.allow).as_str(), text(&filters.deny).as_str()), (allow, deny), "{arguments:?}");
    }
}

#[test]
fn invalid_flags_are_rejected() {
    for (arguments, expected) in [
        ("--pod a --from-pod b", "--from-pod and --pod can't be combined"),
        ("--ip 1.1.1.1 --namespace a", "--namespace and --ip can't be combined"),
        ("-A --to-service b", "--to-service and --all-namespaces can't be combined"),
        ("--encrypted --unencrypted", "can't be combined"),
        ("--not --not --pod a", "one is enough"),
        ("--pod a --not", "no filter after it"),
        ("-n a --pod b/c", r#""b/c" is not in the namespace "a""#),
        ("--pod b/c -n a", r#""b/c" is not in the namespace "a""#),
        ("--pod a/x --service b/y", r#"the service "b/y" is not in the namespace of the pod "a/x""#),
        (
            "--verdict MAYBE",
            r#"--verdict: invalid verdict "MAYBE": expected one of VERDICT_UNKNOWN, FORWARDED, DROPPED"#,
        ),
        ("--drop-reason-desc X-Y", "invalid drop reason"),
        ("--drop-reason-desc 1", "invalid drop reason"),
        ("--drop-reason-desc X')||true||('", "invalid drop reason"),
        ("--type bla", "invalid event type"),
        ("--type drop:x", r#"invalid subtype "x" of drop"#),
        ("--type trace:to-nowhere", r#"invalid subtype "to-nowhere" of trace"#),
        ("--type -1", "invalid event type"),
        ("--tcp-flags syn,foo", r#"invalid TCP flag "foo""#),
        ("--identity foo", "kube-apiserver"),
        ("--identity +5", "invalid security identity"),
        ("--identity 4294967296", "invalid security identity"),
        ("--ip-version 5", "invalid IP version"),
        ("--traffic-direction up", "ingress or egress"),
        ("--reply maybe", "expected true or false"),
        ("--http-header a", "NAME:VALUE"),
        ("--ip-trace-id 0", "above zero"),
    ] {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        let error = build(&flags(&arguments).unwrap()).unwrap_err();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    // An allow list and a deny list may have the same flags.
    assert!(build(&flags(&["--pod", "a", "--not", "--from-pod", "b"]).unwrap()).is_ok());
    assert!(flags(&["--pod"]).is_err() && flags(&["--nonsense", "x"]).is_err());
}

/// A kernel with two reasons.
struct Kernel;

impl NameLookup for Kernel {
    fn kernel_reason(&self, reason: u32, out: &mut String) {
        out.push_str(["NO_SOCKET", "NETFILTER_DROP"].get(reason as usize).copied().unwrap_or_default());
    }
}

#[test]
fn kernel_drop_reasons_filter_by_name() {
    let drop = |reason, last_layer| Flow {
        verdict: Verdict::Dropped,
        kernel_drop: Some(KernelDrop { reason, location: 0, netns: 1 }),
        last_layer,
        ..Flow::empty(EventType { kind: EVENT_DROP, subtype: 0 })
    };
    let cilium = |drop_reason| Flow {
        verdict: Verdict::Dropped,
        drop_reason,
        last_layer: Layer::Ipv4,
        ..Flow::empty(EventType { kind: EVENT_DROP, subtype: drop_reason as u8 })
    };
    let forwarded = Flow {
        verdict: Verdict::Forwarded,
        last_layer: Layer::Ipv4,
        ..Flow::empty(EventType { kind: EVENT_TRACE, subtype: 0 })
    };
    // With a layer in the summary and without; another reason of the kernel's; two of Cilium's; no drop.
    let flows = [drop(0, Layer::Ipv4), drop(0, Layer::None), drop(1, Layer::Ipv4), cilium(133), cilium(181), forwarded];
    let node = Node { name: "n".to_owned(), cluster: String::new() };
    let context = Context { node: &node, names: &Kernel, clock: no_clock };
    for (arguments, expected) in [
        ("--drop-reason-desc NO_SOCKET", [true, true, false, false, false, false]),
        ("--drop-reason-desc no_socket --drop-reason-desc netfilter_drop", [true, true, true, false, false, false]),
        ("--drop-reason-desc SKB_DROP_REASON_NO_SOCKET", [true, true, false, false, false, false]),
        ("--drop-reason-desc SOCKET", [false; 6]),
        ("--drop-reason-desc POLICY_DENIED", [false, false, false, true, false, false]),
        ("--drop-reason-desc NO_SOCKET --drop-reason-desc POLICY_DENIED", [true, true, false, true, false, false]),
        ("--not --drop-reason-desc NO_SOCKET", [false, false, true, true, true, true]),
        (
            "--drop-reason-desc NO_SOCKET --cel-expression false --cel-expression _flow.Summary.size()<10",
            [false, true, false, false, false, false],
        ),
        ("--drop-reason-desc NO_SOCKET --verdict FORWARDED", [false; 6]),
    ] {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        let built = build(&flags(&arguments).unwrap()).unwrap();
        let filters = filter::Filters::compile(&built.allow, &built.deny).unwrap();
        let matches = flows.clone().map(|flow| filters.matches(&Observed::Flow(flow), &context));
        assert_eq!(matches, expected, "{arguments:?}");
    }
}

#[test]
fn unknown_kernel_reason_is_noted() {
    assert_eq!(note(&[]), None);
    // Needs the kernel's types.
    if std::path::Path::new(crate::source::datapath::btf::VMLINUX).exists() {
        assert_eq!(note(&["NO_SOCKET".to_owned()]), None);
        let note = note(&["NO_SOCKET".to_owned(), "NO_SOKCET".to_owned()]).unwrap();
        assert!(note.contains(" has NO_SOKCET;"), "{note}");
    }
}
