//! Compares real exports with the registry: of the datapath, of another's monitor socket, of another Hubble. And whose
//! defines it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use eyepiece_tests::receiver::Received;
use eyepiece_tests::traffic::{echo, tcp, udp};
use eyepiece_tests::{Eyepiece, Family, Lab, Receiver, drops};

/// Timeout of exports on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

fn otlp(receiver: &Receiver) -> String {
    let endpoint = receiver.endpoint();
    format!(
        "[otlp]\nendpoint = \"{endpoint}\"\n[otlp.metrics]\ninterval = \"1s\"\n\
         [otlp.logs]\ndelay = \"50ms\"\nevents.debug = true\nevents.entity = true\n"
    )
}

fn send_everything(lab: &Lab) -> Result<()> {
    let (a, b, outside) = (lab.endpoint("a"), lab.endpoint("b"), lab.outside());
    for family in Family::BOTH {
        tcp(a, b).family(family).connections(3).bytes(10_000).run()?;
        udp(outside, a).family(family).packets(30).run()?;
        echo(a, outside).family(family).run()?;
    }
    drops::nft(lab, a, b, Family::V4, 20)?;
    drops::closed_udp(a, b, Family::V4, 5)?;
    Ok(())
}

/// The value of a resource's attribute; the same in all records and points.
fn of_resource(received: &Received, name: &str) -> Option<String> {
    let logs = received.logs.iter().map(|log| &log.resource);
    let resources = logs.chain(received.points.values().map(|point| &point.resource));
    let values: BTreeSet<Option<&String>> = resources.map(|resource| resource.get(name)).collect();
    assert_eq!(values.len(), 1, "{name}: {values:?}");
    values.into_iter().next().flatten().cloned()
}

#[test]
fn attributes_of_every_source_follow_registry() -> Result<()> {
    let lab = Lab::new()?;
    let folder = tempfile::tempdir()?;
    let (monitor, hubble) = (folder.path().join("monitor.sock"), folder.path().join("hubble.sock"));
    let (monitor, hubble) = (monitor.display(), format!("unix://{}", hubble.display()));
    let receivers = [Receiver::start(lab.node())?, Receiver::start(lab.node())?, Receiver::start(lab.node())?];
    let [datapath, from_monitor, from_hubble] = &receivers;
    let config = format!(
        "[node]\ncluster = \"lab\"\n[datapath]\naggregation = \"none\"\ndebug = true\n[metrics]\nflow_detail = \"port\"\n\
         [monitor]\nsocket = \"{monitor}\"\n[hubble]\nlisten = [\"{hubble}\"]\n{}",
        otlp(datapath)
    );
    let first = Eyepiece::start(lab.node(), &config)?;
    let config = format!(
        "[source]\nkind = \"cilium-monitor\"\n[cilium_monitor]\nsocket = \"{monitor}\"\n\
         [metrics]\ncontexts.source = \"ip\"\ncontexts.destination = \"ip\"\nmax_series = 3\n{}",
        otlp(from_monitor)
    );
    let second = Eyepiece::start(lab.node(), &config)?;
    let config = format!("[source]\nkind = \"hubble\"\n[hubble_source]\naddress = \"{hubble}\"\n{}", otlp(from_hubble));
    let third = Eyepiece::start(lab.node(), &config)?;
    for follower in [&second, &third] {
        let is_connected = |received: &Received| received.sum("eyepiece.source.connected", &[]) == 1;
        let receiver = if std::ptr::eq(follower, &raw const second) { from_monitor } else { from_hubble };
        receiver.wait(TIMEOUT, "not connected", is_connected).with_context(|| follower.stderr())?;
    }
    send_everything(&lab)?;
    lab.settle()?;
    for receiver in &receivers {
        let all_is_here = |received: &Received| {
            received.sum("hubble.drop", &[]) >= 25
                && received.logs_with(&[("hubble.verdict", "DROPPED")]).count() >= 25
                && received.sum("eyepiece.events.received", &[]) > 100
        };
        receiver.wait(TIMEOUT, "drops are missing", all_is_here)?;
    }
    datapath.wait(TIMEOUT, "own drops", |received| received.sum("eyepiece.datapath.drops", &[]) >= 25)?;
    for mut eyepiece in [third, second, first] {
        ensure!(eyepiece.stop()? == 0, "{}", eyepiece.stderr());
    }
    for (receiver, source) in receivers.iter().zip(["datapath", "cilium-monitor", "hubble"]) {
        receiver.look(|received| {
            assert_eq!(received.violations, BTreeSet::new(), "{source}");
            assert!(received.series("eyepiece.events.received", &[("eyepiece.source.kind", source)]).next().is_some());
        });
    }
    // Whose it is: three instances, one of them of a cluster.
    let ids: BTreeSet<_> = receivers
        .iter()
        .map(|receiver| receiver.look(|received| of_resource(received, "service.instance.id")))
        .collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    let clusters =
        receivers.each_ref().map(|receiver| receiver.look(|received| of_resource(received, "k8s.cluster.name")));
    assert_eq!(clusters, [Some("lab".to_owned()), None, None]);
    for name in ["host.arch", "os.type", "telemetry.sdk.version", "telemetry.distro.version"] {
        assert!(
            receivers.iter().all(|receiver| receiver.look(|received| of_resource(received, name)).is_some()),
            "{name}"
        );
    }
    // The limit of series holds, with the overflow attribute.
    let overflow = [("otel.metric.overflow", "true")];
    assert!(from_monitor.look(|received| received.series("hubble.drop", &overflow).next().is_some()
        || received.series("hubble.flows_processed", &overflow).next().is_some()));
    Ok(())
}

#[test]
fn restart_keeps_instance_id() -> Result<()> {
    let lab = Lab::new()?;
    let receiver = Receiver::start(lab.node())?;
    let mut ids = Vec::new();
    for listen in ["127.0.0.1:9966", "127.0.0.1:9966", "127.0.0.1:9967"] {
        let config = format!("[admin]\nlisten = \"{listen}\"\n{}", otlp(&receiver));
        let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
        ensure!(eyepiece.stop()? == 0, "{}", eyepiece.stderr());
        ids.push(receiver.look(|received| of_resource(received, "service.instance.id")));
        receiver.clear();
    }
    assert!(ids[0].as_ref().is_some_and(|id| id.len() == 36), "{ids:?}");
    assert_eq!(ids[0], ids[1], "the same after a restart");
    assert_ne!(ids[0], ids[2], "another one beside it");
    Ok(())
}

#[test]
fn namespaces_have_different_instance_ids() -> Result<()> {
    let lab = Lab::new()?;
    let mut ids = BTreeSet::new();
    for inside in [lab.node(), &lab.endpoint("a").namespace, &lab.endpoint("b").namespace] {
        let receiver = Receiver::start(inside)?;
        let config = format!("[admin]\nlisten = \"127.0.0.1:9966\"\n{}", otlp(&receiver));
        let mut eyepiece = Eyepiece::start(inside, &config)?;
        ensure!(eyepiece.stop()? == 0, "{}", eyepiece.stderr());
        ids.insert(receiver.look(|received| of_resource(received, "service.instance.id")));
    }
    assert!(ids.len() == 3 && !ids.contains(&None), "{ids:?}");
    Ok(())
}

#[test]
fn flow_detail_splits_by_transport_port() -> Result<()> {
    let lab = Lab::new()?;
    let receiver = Receiver::start(lab.node())?;
    // Aggregated: most packets are in totals that no event carried.
    let config = format!("[datapath]\ninterval = \"1s\"\n[metrics]\nflow_detail = \"port\"\n{}", otlp(&receiver));
    let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let sent = tcp(a, b).connections(5).bytes(200_000).answer(100_000).run()?;
    lab.settle()?;
    ensure!(eyepiece.stop()? == 0, "{}", eyepiece.stderr());
    let from_a = [("hubble.source.name", a.node_device.as_str()), ("network.transport", "tcp")];
    let from_b = [("hubble.source.name", b.node_device.as_str()), ("network.transport", "tcp")];
    receiver.look(|received| {
        let to_server: Vec<_> = received
            .series("hubble.flow.io", &from_a)
            .filter(|(attributes, _)| attributes.get("hubble.destination.name") == Some(&b.node_device))
            .collect();
        let replies: Vec<_> = received
            .series("hubble.flow.io", &from_b)
            .filter(|(attributes, _)| attributes.get("hubble.destination.name") == Some(&a.node_device))
            .collect();
        let [(attributes, io)] = to_server[..] else { panic!("{to_server:?}") };
        let port = attributes.get("destination.port").expect("the server's port");
        assert!(!attributes.contains_key("source.port") && io.value >= 1e6, "{attributes:?} {io:?} {sent:?}");
        let [(attributes, io)] = replies[..] else { panic!("{replies:?}") };
        assert_eq!(attributes.get("source.port"), Some(port));
        assert!(!attributes.contains_key("destination.port") && io.value >= 5e5, "{attributes:?} {io:?}");
        assert_eq!(received.violations, BTreeSet::new());
    });
    Ok(())
}
