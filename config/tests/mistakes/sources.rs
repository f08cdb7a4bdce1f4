//! Settings of sources that conflict with what is served.

use crate::mistakes;
use crate::support::try_load;

#[test]
fn hubble_source_has_no_monitor() {
    let found = mistakes("", &[], &["source.kind=hubble", "monitor.socket=/run/m.sock"]);
    assert!(found.len() == 1 && found[0].contains("there is no payload for the monitor's clients"), "{found:?}");
    assert_eq!(mistakes("", &[], &["source.kind=cilium-monitor", "monitor.socket=/run/m.sock"]), [""; 0]);
}

#[test]
fn served_monitor_is_no_source() {
    let set = |ours: &str, kind: &str| {
        let (ours, kind) = (format!("monitor.socket={ours}"), format!("source.kind={kind}"));
        mistakes("", &[], &[&ours, &kind, "cilium_monitor.socket=/run/m/m.sock"])
    };
    for ours in ["/run/m/m.sock", "/run//m/m.sock", "/run/./m/m.sock"] {
        let found = set(ours, "cilium-monitor");
        assert!(found.len() == 1 && found[0].starts_with("monitor.socket"), "{found:?}");
        assert!(found[0].contains("it is also cilium_monitor.socket"), "{found:?}");
        assert_eq!(set(ours, "datapath"), [""; 0], "it is not read");
    }
    assert_eq!(set("/run/m/other.sock", "cilium-monitor"), [""; 0]);
}

#[test]
fn unknown_release_is_warned_about() {
    for (version, read_as) in [
        ("", None),
        ("guess", None),
        ("1.15", None),
        ("1.18.4", None),
        ("1.20.2", None),
        ("1.14", Some("1.15")),
        ("1.9.0", Some("1.15")),
        ("0.99", Some("1.15")),
        ("1.21", Some("1.20")),
        ("2.0", Some("1.20")),
    ] {
        let version = format!("cilium_monitor.version={version}");
        for (kind, read_as) in [("cilium-monitor", read_as), ("datapath", None)] {
            let loaded = try_load("", &[], &[&version, &format!("source.kind={kind}")]).unwrap();
            let found: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), usize::from(read_as.is_some()), "{version} {kind}: {found:?}");
            assert!(found.iter().all(|found| found.contains(&format!("read as those of {};", read_as.unwrap_or("")))));
        }
    }
}
