//! Replays the datapath's events, recorded during their export: the records and metrics are the same.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use eyepiece_tests::receiver::{Attributes, Received};
use eyepiece_tests::traffic::{echo, tcp, udp};
use eyepiece_tests::{Eyepiece, Family, Lab, Receiver, drops};

/// In dry mode: a recording has what the source delivers, without eyepiece's own notifications.
fn config(receiver: &Receiver) -> String {
    format!(
        "[node]\ndry_mode = true\n[otlp]\nendpoint = \"{}\"\n[otlp.metrics]\ninterval = \"1s\"\n[otlp.logs]\ndelay = \"50ms\"\n",
        receiver.endpoint()
    )
}

/// Records with all that is not of one run alone, and how often each is there. Their time is the events'.
fn logs(received: &Received) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for log in &received.logs {
        let attributes = without(&log.attributes, "log.record.uid");
        let resource = without(&log.resource, "service.instance.id");
        let text = format!("{} {} {} {:?} {attributes:?} {resource:?}", log.event, log.time, log.severity, log.body);
        *all.entry(text).or_default() += 1;
    }
    all
}

fn without<'a>(attributes: &'a Attributes, name: &str) -> BTreeMap<&'a String, &'a String> {
    attributes.iter().filter(|(key, _)| *key != name).collect()
}

/// Series of Hubble's metrics and their values.
fn metrics(received: &Received) -> BTreeMap<(String, Attributes), u64> {
    let points = received.points.iter().filter(|((name, _), _)| name.starts_with("hubble."));
    points.map(|(key, point)| (key.clone(), point.value as u64)).collect()
}

/// Returns the first few items that only one of both has.
fn difference<K: Ord + std::fmt::Debug>(live: &BTreeMap<K, u64>, again: &BTreeMap<K, u64>) -> String {
    let only = |one: &BTreeMap<K, u64>, other: &BTreeMap<K, u64>| {
        let missing = one.iter().filter(|(key, value)| other.get(key) != Some(value));
        missing.take(5).map(|entry| format!("  {entry:?}\n")).collect::<String>()
    };
    format!("live:\n{}again:\n{}", only(live, again), only(again, live))
}

fn send_everything(lab: &Lab) -> Result<u64> {
    let (a, b, outside) = (lab.endpoint("a"), lab.endpoint("b"), lab.outside());
    for family in Family::BOTH {
        tcp(a, b).family(family).connections(3).bytes(100_000).answer(40_000).run()?;
        tcp(b, outside).family(family).connections(2).bytes(50_000).run()?;
        udp(outside, a).family(family).packets(300).flows(3).run()?;
        echo(a, outside).family(family).run()?;
    }
    let dropped = drops::nft(lab, a, b, Family::V4, 20)?;
    let closed = drops::closed_udp(outside, b, Family::V4, 5)?;
    Ok(dropped.packets + closed.packets)
}

fn same(settings: &[&str]) -> Result<()> {
    let lab = Lab::new()?;
    let live = Receiver::start(lab.node())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("recording");
    let path = file.to_str().context("a path that is no text")?;
    let mut builder = Eyepiece::builder(&config(&live)).command("record").argument("--raw").argument(path);
    builder =
        settings.iter().fold(builder.argument("--export"), |builder, set| builder.argument("--set").argument(set));
    let mut recorder = builder.start(lab.node())?;
    let dropped = send_everything(&lab)?;
    lab.settle()?;
    ensure!(recorder.stop()? == 0, "{}", recorder.stderr());
    let summary = recorder.process.stdout();
    assert!(summary.contains("; 0 not recorded"), "{summary}");

    let again = Receiver::start(lab.node())?;
    let player = Eyepiece::builder(&config(&again))
        .argument("--set")
        .argument("source.kind=replay")
        .argument("--set")
        .argument(&format!("replay.path={path}"))
        .argument("--set")
        .argument("replay.speed=0");
    let mut player = settings
        .iter()
        .filter(|set| set.starts_with("metrics."))
        .fold(player, |player, set| player.argument("--set").argument(set))
        .launch(lab.node())?;
    ensure!(player.exit_code()? == Some(0), "{}", player.stderr());
    let (live, again) = (live.look(Received::clone), again.look(Received::clone));
    assert_eq!((&live.violations, &again.violations), (&BTreeSet::new(), &BTreeSet::new()));
    let sum = live.sum("hubble.drop", &[]);
    assert!(sum >= dropped, "{sum} drops of {dropped}");
    assert!(live.logs.len() > 100, "{} records", live.logs.len());
    let (records, played) = (logs(&live), logs(&again));
    assert!(records == played, "{}", difference(&records, &played));
    let (series, played) = (metrics(&live), metrics(&again));
    assert!(series.len() > 20, "{series:?}");
    assert!(series == played, "{}", difference(&series, &played));
    Ok(())
}

#[test]
fn unaggregated_recording_replays_same() -> Result<()> {
    same(&["datapath.aggregation=none"])
}

#[test]
fn aggregated_recording_replays_same() -> Result<()> {
    same(&["datapath.aggregation=medium", "datapath.interval=1s"])
}

#[test]
fn totals_keep_transport_and_port() -> Result<()> {
    same(&["datapath.aggregation=medium", "datapath.interval=1s", "metrics.flow_detail=port"])
}
