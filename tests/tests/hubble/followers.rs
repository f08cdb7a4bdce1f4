//! A thousand clients that follow at once, good and bad: readers lose nothing, others get an exact loss count, and memory
//! is bounded. What the pipeline's own work was is printed; the benches judge it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eyepiece_hubble::proto::observer::GetFlowsRequest;
use eyepiece_tests::harness::load::{Load, Report, Streams};
use eyepiece_tests::{Fed, eventually, harness, needs_peers};
use prost::Message as _;

/// Longest wait for what a thousand clients must have: they share two CPUs with the product.
const TIMEOUT: Duration = Duration::from_secs(300);
/// The ring's entries: the default.
const RING: u64 = 4095;
/// Events that are sent at once: fewer than the ring holds, which bounds a reader's lag; and so many that the
/// pipeline's cost is that of its work, not of caches that others have used since the last round.
const ROUND: u64 = 2000;
/// Rounds with followers: so many that a stalled client falls behind the ring and its queue.
const ROUNDS: u64 = 24;
/// Rounds without: they cost little, and the figure is steadier.
const ROUNDS_ALONE: u64 = 100;
/// Clients by their manners: a thousand.
const READ: u32 = 750;
const UNREAD: u32 = 150;
const FILTERED: u32 = 20;
const RESETS: u32 = 80;
/// Filters of a filtered one.
const ENTRIES: u32 = 1000;

/// KiB that a stream may cost: 64 KiB of messages that wait to be sent and 32 KiB that are put together, each in buffers
/// that have grown by doubling and may be half empty, and once more while they are being written; 18 KiB of the ring's
/// messages in the making; 32 KiB for its task, its request and its share of the connection.
const STREAM: u64 = 3 * (64 + 32) + 18 + 32;
/// KiB that a filter of a thousand may cost, compiled: an address with its lists.
const FILTER: u64 = 2;
/// KiB for all else: the ring, connections with windows of 256 KiB, what the allocator keeps.
const REST: u64 = 64 << 10;

/// CPU time that the pipeline's thread has used, ns.
fn pipeline_time(fed: &Fed) -> Result<u64> {
    let tasks = format!("/proc/{}/task", fed.eyepiece.process.pid());
    for task in std::fs::read_dir(tasks)? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == "pipeline" {
            let text = std::fs::read_to_string(task.join("schedstat"))?;
            return Ok(text.split_whitespace().next().context("no CPU time")?.parse()?);
        }
    }
    anyhow::bail!("no pipeline")
}

/// The pipeline's CPU time for each event of some rounds, ns; `each` waits until a round has been taken.
fn cost(fed: &mut Fed, rounds: u64, mut each: impl FnMut(&Fed) -> Result<()>) -> Result<f64> {
    let before = pipeline_time(fed)?;
    for _ in 0..rounds {
        fed.send(ROUND)?;
        each(fed)?;
    }
    Ok((pipeline_time(fed)? - before) as f64 / (rounds * ROUND) as f64)
}

fn of<'a>(reports: &'a [Report], group: &'a str) -> impl Iterator<Item = &'a Report> {
    reports.iter().filter(move |report| report.group == group)
}

fn lost(report: &Report) -> u64 {
    report.lost.get("HUBBLE_RING_BUFFER").copied().unwrap_or_default()
}

#[test]
fn thousand_followers_lose_nothing() -> Result<()> {
    needs_peers!(harness::NAME);
    let mut fed = Fed::start("follow", &format!("]\nring = {RING}\n"))?;
    // Caches and the allocator have what they keep after a round.
    cost(&mut fed, ROUNDS, |_| Ok(()))?;
    let alone = cost(&mut fed, ROUNDS_ALONE, |_| Ok(()))?;
    let memory = fed.eyepiece.process.rss_kib()?;

    // Each begins with the ring's oldest event, wherever it is let in.
    let since = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let request = GetFlowsRequest { follow: true, since, ..GetFlowsRequest::default() }.encode_to_vec();
    let streams = Streams {
        read: READ,
        unread: UNREAD,
        filtered: FILTERED,
        entries: ENTRIES,
        resets: RESETS,
        request: Some(&request),
        ..Streams::default()
    };
    let count = u64::from(READ + UNREAD + FILTERED + RESETS);
    ensure!(count == 1000);
    let mut load = Load::start(fed.socket(), &streams)?;
    let present = |fed: &Fed| fed.eyepiece.number("eyepiece.hubble.streams", &[]);
    eventually(TIMEOUT, "a thousand streams", || (present(&fed).ok()? == count).then_some(()))
        .with_context(|| format!("{:?}\n{}", present(&fed), fed.eyepiece.stderr()))?;
    ensure!(load.wait(RING, TIMEOUT)?, "not all have the ring: {:?}", load.report()?.first());

    let mut wanted = RING;
    let mut most = 0;
    let followed = cost(&mut fed, ROUNDS, |fed| {
        wanted += ROUND;
        ensure!(load.wait(wanted, TIMEOUT)?, "not all have {wanted}");
        most = most.max(fed.eyepiece.process.rss_kib()?);
        Ok(())
    })?;
    let reports = load.report()?;
    for report in of(&reports, "read").chain(of(&reports, "filtered")) {
        ensure!(report.flows == wanted && report.lost.is_empty() && report.end.is_none(), "{report:?} of {wanted}");
    }
    ensure!(of(&reports, "unread").all(|report| report.responses == 0));
    let bound = count * STREAM + u64::from(FILTERED * ENTRIES) * FILTER + REST;
    let grown = most.saturating_sub(memory);
    println!("{memory} KiB alone, {grown} KiB more with {count} followers (bound: {bound} KiB)");
    ensure!(grown <= bound, "{grown} KiB more");
    println!(
        "pipeline: {alone:.0} ns an event alone, {followed:.0} ns with {count} followers: {:.3}",
        followed / alone
    );

    load.reset()?;
    let left = count - u64::from(RESETS);
    eventually(TIMEOUT, "resets", || (present(&fed).ok()? == left).then_some(()))?;
    load.read_all()?;
    let mut last = Vec::new();
    let all_counted = |report: &Report| report.flows + lost(report) == wanted;
    eventually(TIMEOUT, "what the unread have lost", || {
        last = load.report().ok()?;
        of(&last, "unread").all(all_counted).then_some(())
    })
    .with_context(|| {
        let wrong = of(&last, "unread").filter(|report| !all_counted(report));
        format!("{wanted} wanted: {:?}", wrong.take(3).collect::<Vec<_>>())
    })?;
    let is_behind = |report: &Report| lost(report) > 0 && report.end.is_none();
    ensure!(of(&last, "unread").all(is_behind), "{:?}", of(&last, "unread").find(|report| !is_behind(report)));
    ensure!(of(&last, "reset").all(|report| report.end.as_ref().is_some_and(|(code, _)| code == "Canceled")));
    let losses: u64 = of(&last, "unread").map(lost).sum();
    println!("{UNREAD} that did not read got {} lost events each", losses / u64::from(UNREAD));
    ensure!(fed.eyepiece.stop()? == 0, "{}", fed.eyepiece.stderr());
    Ok(())
}
