//! Names that Cilium's own monitor server sends: pods, identities and DNS names, through every filter of the hubble CLI.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eyepiece_flow::gob::encode::agent_notify;
use eyepiece_tests::harness::{Harness, NAME};
use eyepiece_tests::notification::{ethernet, ipv4, tcp, trace};
use eyepiece_tests::payload;
use eyepiece_tests::payload::{access_log, access_logs};
use eyepiece_tests::{Eyepiece, Hubble, Namespace, eventually, hubble, needs_peers};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(30);
/// A pod of this node; then one of another node with the same labels, and a host in the world.
const WEB: [u8; 4] = [10, 0, 0, 7];
const OTHER: [u8; 4] = [10, 0, 1, 7];
const OUTSIDE: [u8; 4] = [93, 184, 216, 34];
const IDENTITY: u32 = 4711;

fn notify(kind: u32, text: &Value) -> Vec<u8> {
    let mut data = vec![130];
    agent_notify(&mut data, kind, &text.to_string());
    data
}

/// Returns the agent's notifications that carry names.
fn names() -> Result<Vec<Vec<u8>>> {
    let labels = json!(["k8s:app=web", "k8s:io.cilium.k8s.policy.cluster=east"]);
    let address = |cidr: &str, pod: &str| {
        notify(9, &json!({"cidr": cidr, "id": IDENTITY, "encrypt-key": 0, "namespace": "shop", "pod-name": pod}))
    };
    let answer = json!({"DNS": {
        "Query": "api.example.com.", "IPs": ["93.184.216.34"], "TTL": 300, "ObservationSource": "proxy", "RCode": 0,
    }});
    let mut names = vec![
        notify(7, &json!({"id": 7, "labels": labels, "pod-name": "web-1", "namespace": "shop"})),
        address("10.0.0.7/32", "web-1"),
        address("10.0.1.7/32", "web-2"),
        notify(3, &json!({"id": 7, "labels": labels})),
    ];
    names.extend(access_logs(&[&access_log("Response", "Egress", "Forwarded", answer)])?);
    Ok(names)
}

/// A packet between two addresses, to and from port 80.
fn packet(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let mut packet = ipv4(6, &tcp(0x10));
    packet[12..16].copy_from_slice(&from);
    packet[16..20].copy_from_slice(&to);
    trace(1).packet(&ethernet(0x0800, &packet))
}

#[test]
fn agent_names_answer_filters() -> Result<()> {
    needs_peers!(NAME, hubble::NAME);
    let names = names()?;
    let packets = [packet(WEB, OUTSIDE), packet(OTHER, WEB), packet(OUTSIDE, OTHER)];
    let folder = tempfile::tempdir()?;
    let sockets = folder.path().join("sockets");
    std::fs::create_dir(&sockets)?;
    let file = folder.path().join("payloads");
    payload::write(&file, &[&names[..], &packets].concat())?;
    let mut server = Harness::monitor_server(&sockets, &file, &[])?;
    let home = Namespace::create(&format!("ep-{}-names", std::process::id()))?;
    let api = folder.path().join("hubble.sock");
    let config = format!(
        "[source]\nkind = \"cilium-monitor\"\n[cilium_monitor]\nsocket = \"{}\"\nversion = \"1.20\"\n\
         [hubble]\nlisten = [\"unix://{}\"]\n[otlp.logs]\nenabled = false\n[otlp.metrics]\nenabled = false\n",
        sockets.join("monitor1_2.sock").display(),
        api.display()
    );
    let mut eyepiece = Eyepiece::start(&home, &config)?;
    eventually(TIMEOUT, "no listener", || (server.ask("listeners").ok()? == "listeners 1").then_some(()))?;
    ensure!(server.ask(&format!("send {}", names.len()))? == format!("sent {} 1", names.len()));
    let objects = |provider: &str| {
        let status = eyepiece.status().ok()?;
        status["metadata"].as_array()?.iter().find(|one| one["provider"] == provider)?["objects"].as_u64()
    };
    eventually(TIMEOUT, "no names", || (objects("cilium")? == 2 && objects("dns")? == 1).then_some(()))
        .with_context(|| eyepiece.stderr())?;
    let hubble = Hubble::new(&format!("unix://{}", api.display()), Some(&home))?;
    let observe = |filters: &[&str]| -> Result<Vec<String>> {
        let arguments = [&["observe", "--all", "-t", "trace", "-o", "jsonpb"], filters].concat();
        let flows = hubble.run(&arguments)?.json()?;
        let address = |flow: &Value, end: &str| flow["flow"]["IP"][end].as_str().unwrap_or_default().to_owned();
        let mut ends: Vec<String> =
            flows.iter().map(|flow| format!("{} {}", address(flow, "source"), address(flow, "destination"))).collect();
        ends.sort_unstable();
        ends.dedup();
        Ok(ends)
    };
    let [web_outside, other_web, outside_other] =
        ["10.0.0.7 93.184.216.34", "10.0.1.7 10.0.0.7", "93.184.216.34 10.0.1.7"];
    // The packets, and again the names: they are published a little later than they are counted.
    let is_named = || {
        server.ask(&format!("send {}", packets.len() + names.len())).ok()?;
        let has = |filters: &[&str]| observe(filters).is_ok_and(|ends| !ends.is_empty());
        (has(&["--from-pod", "shop/web-1"]) && has(&["--from-fqdn", "api.example.com"])).then_some(())
    };
    eventually(TIMEOUT, "no names in flows", is_named).with_context(|| eyepiece.stderr())?;
    for (filters, expected) in [
        (vec!["--from-pod", "shop/web-1"], vec![web_outside]),
        (vec!["--pod", "shop/web-2"], vec![other_web, outside_other]),
        (vec!["--to-namespace", "shop"], vec![other_web, outside_other]),
        // The other node's pod has the labels of its identity.
        (vec!["--from-label", "k8s:app=web"], vec![web_outside, other_web]),
        (vec!["--to-identity", "4711"], vec![other_web, outside_other]),
        (vec!["--to-fqdn", "api.example.com"], vec![web_outside]),
        (vec!["--from-fqdn", "*.example.com"], vec![outside_other]),
        (vec!["--fqdn", "www.example.com"], vec![]),
        (vec!["--pod", "shop/web-3"], vec![]),
    ] {
        assert_eq!(observe(&filters)?, expected, "{filters:?}");
    }
    assert_eq!(eyepiece.stop()?, 0, "{}", eyepiece.stderr());
    Ok(())
}
