//! Metrics whose handlers have contexts of their own, as a receiver gets them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use eyepiece_tests::receiver::{Attributes, Received};
use eyepiece_tests::traffic::tcp;
use eyepiece_tests::{Eyepiece, Family, Lab, Receiver, drops};

const TIMEOUT: Duration = Duration::from_secs(60);

/// The attributes of each series of a metric without those of the flow's kind.
fn ends(received: &Received, metric: &str) -> BTreeSet<Vec<String>> {
    let of_kind = ["hubble.protocol", "hubble.drop.reason", "hubble.tcp.flag", "network.type"];
    let ends = |attributes: &Attributes| {
        let ends = attributes.iter().filter(|(name, _)| !of_kind.contains(&name.as_str()));
        ends.map(|(name, value)| format!("{name}={value}")).collect()
    };
    received.series(metric, &[]).map(|(attributes, _)| ends(attributes)).collect()
}

#[test]
fn handlers_have_contexts_of_their_own() -> Result<()> {
    let lab = Lab::new()?;
    let (a, b) = (lab.endpoint("a"), lab.endpoint("b"));
    let folder = tempfile::tempdir()?;
    let names = folder.path().join("names.toml");
    let name = |host: &str, address, workload: &str| {
        format!(
            "[[name]]\nname = \"{host}-1\"\naddresses = [\"{address}\"]\nnamespace = \"shop\"\nworkload = \"{workload}\"\n"
        )
    };
    std::fs::write(&names, name("web", a.v4, "web") + &name("db", b.v4, "postgres"))?;
    let receiver = Receiver::start(lab.node())?;
    let config = format!(
        "[metadata.file]\npath = \"{}\"\n[metrics]\nhubble = [\n\
         \"drop:sourceContext=pod|ip;destinationContext=ip;labelsContext=source_workload,destination_pod\",\n\
         \"tcp:sourceEgressContext=workload;labelsContext=destination_ip,traffic_direction\",\n]\n\
         [otlp]\nendpoint = \"{}\"\n[otlp.metrics]\ninterval = \"1s\"\n",
        names.display(),
        receiver.endpoint()
    );
    let mut eyepiece = Eyepiece::start(lab.node(), &config)?;
    tcp(a, b).connections(3).bytes(10_000).run()?;
    drops::nft(&lab, a, b, Family::V4, 20)?;
    lab.settle()?;
    receiver.wait(TIMEOUT, "drops", |received| received.sum("hubble.drop", &[]) >= 20)?;
    ensure!(eyepiece.stop()? == 0, "{}", eyepiece.stderr());
    receiver.look(|received| {
        let to_b = [format!("destination.address={}", b.v4), "destination.k8s.pod.name=db-1".to_owned()];
        let from_a = ["hubble.source.name=shop/web-1", "hubble.source.workload.name=web"].map(str::to_owned);
        let drops = ends(received, "hubble.drop");
        assert!(drops.contains(&[to_b.clone(), from_a].concat()), "{drops:#?}");
        let flags = ends(received, "hubble.tcp_flags");
        for (address, direction, source) in
            [(b.v4, "egress", Some("shop/web")), (b.v4, "ingress", None), (a.v4, "ingress", None)]
        {
            let mut expected = vec![format!("destination.address={address}")];
            expected.extend(source.map(|source| format!("hubble.source.name={source}")));
            expected.push(format!("hubble.traffic_direction={direction}"));
            assert!(flags.contains(&expected), "{expected:?} in {flags:#?}");
        }
        // A metric without a line has the general contexts.
        let bytes = [("hubble.source.name", "shop/web"), ("hubble.destination.name", "shop/postgres")];
        assert!(received.sum("hubble.flow.io", &bytes) >= 30_000, "{:#?}", ends(received, "hubble.flow.io"));
        assert_eq!(received.violations, BTreeSet::new());
    });
    Ok(())
}
