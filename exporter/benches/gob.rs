//! What gob costs for a payload of 184 bytes, beside copying it, and beside Go's own where the peer `harness` is built.

#[allow(unreachable_pub, reason = "a module of the tests' library, which this program must not depend on")]
#[path = "../../tests/src/peer.rs"]
mod peer;

mod measured;
#[allow(dead_code, reason = "each bench uses a part")]
mod report;

use std::hint::black_box;
use std::process::{Command, Stdio};

use criterion::Criterion;
use eyepiece::gob::encode::{PAYLOAD_DESCRIPTOR, agent_notify, payload};
use eyepiece::gob::{EVENT_SAMPLE, Payload, PayloadDecoder, value};
use measured::median;
use report::{Goal, goal, heading, row};

/// A trace of 48 bytes with a packet of 136.
const LENGTH: usize = 184;

fn benchmark(criterion: &mut Criterion) {
    let data = [4; LENGTH];
    let one = Payload { data: &data, cpu: 3, lost: 0, kind: EVENT_SAMPLE };
    let mut group = criterion.benchmark_group("gob");
    let mut out = Vec::with_capacity(2 * LENGTH);
    group.bench_function(format!("a payload of {LENGTH} bytes copied (baseline)"), |bencher| {
        bencher.iter(|| {
            out.clear();
            out.extend_from_slice(black_box(&data));
            black_box(&mut out);
        });
    });
    group.bench_function(format!("a payload of {LENGTH} bytes encoded"), |bencher| {
        bencher.iter(|| {
            out.clear();
            payload(&mut out, black_box(&one));
            black_box(&mut out);
        });
    });
    let mut decoder = PayloadDecoder::default();
    let mut stream = PAYLOAD_DESCRIPTOR.to_vec();
    payload(&mut stream, &one);
    assert_eq!(decoder.decode(&stream), Ok(Some((one, stream.len()))));
    stream.drain(..PAYLOAD_DESCRIPTOR.len());
    group.bench_function(format!("a payload of {LENGTH} bytes decoded"), |bencher| {
        bencher.iter(|| decoder.decode(black_box(&stream)));
    });
    let mut agent = Vec::new();
    agent_notify(&mut agent, 9, r#"{"cidr":"10.0.0.1/32","id":7,"old-id":0,"encrypt-key":0}"#);
    group.bench_function("an agent event decoded, with its descriptor", |bencher| {
        bencher.iter(|| value(black_box(&agent)));
    });
    group.finish();
}

/// Go's own numbers, by a program of tests/peers.
fn go() {
    let output = peer::find("harness").map_err(anyhow::Error::msg).and_then(|harness| {
        Ok(Command::new(harness).arg("bench").stdin(Stdio::null()).stderr(Stdio::inherit()).output()?)
    });
    match output {
        Ok(output) if output.status.success() => {
            println!(
                "Go, ns a payload of {LENGTH} bytes, at best and in the mean of CPU time:\n{}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(output) => println!("Go: {}", output.status),
        Err(why) => println!("Go: left out, {why}"),
    }
}

fn main() {
    let mut criterion = measured::criterion();
    benchmark(&mut criterion);
    criterion.final_summary();
    heading("gob, a payload of 184 bytes", &["ns", "copy alone", "x copy"]);
    let of = |what| median("gob", &format!("a payload of {LENGTH} bytes {what}"));
    for (what, limit) in [("encoded", 15.0), ("decoded", 40.0)] {
        let (Some(ns), Some(copy)) = (of(what), of("copied (baseline)")) else { continue };
        row(what, &[ns, copy, ns / copy]);
        goal(&format!("gob: a payload of {LENGTH} bytes {what}"), ns, "ns", Goal::AtMost(limit));
    }
    go();
}
