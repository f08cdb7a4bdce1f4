//! What decoding a payload costs, beside copying its bytes and writing an empty flow.

mod measured;
#[path = "../tests/parser/payloads.rs"]
mod payloads;
#[allow(dead_code, reason = "each bench uses a part")]
mod report;

use std::hint::black_box;

use criterion::Criterion;
use eyepiece::event::RawEvent;
use eyepiece::flow::{EventType, Flow};
use eyepiece::parser::parse;
use measured::median;
use report::{Goal, goal, heading, row};

fn baseline(payload: &[u8]) -> String {
    format!("copy of {} bytes", payload.len())
}

fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let mut copy = [0u8; 512];
    for (name, payload) in payloads::usual() {
        group.bench_function(format!("{name}, {}", baseline(&payload)), |bencher| {
            bencher.iter(|| {
                let data = black_box(payload.as_slice());
                copy[..data.len()].copy_from_slice(data);
                black_box(&mut copy);
            });
        });
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let data = black_box(payload.as_slice());
                parse(&RawEvent { time: 1, cpu: 2, data, meter: None, kernel_drop: None })
            });
        });
    }
    group.bench_function(format!("an empty flow of {} bytes", size_of::<Flow>()), |bencher| {
        bencher.iter(|| Flow::empty(black_box(EventType { kind: 4, subtype: 0 })));
    });
    group.finish();
}

fn main() {
    let mut criterion = measured::criterion();
    benchmark(&mut criterion);
    criterion.final_summary();
    heading("parse", &["ns a payload", "copy alone", "x copy"]);
    for (name, payload) in payloads::usual() {
        let figures = (median("parse", name), median("parse", &format!("{name}, {}", baseline(&payload))));
        let (Some(ns), Some(copy)) = figures else { continue };
        row(&format!("{name}, {} bytes", payload.len()), &[ns, copy, ns / copy]);
        if name.starts_with("trace TCP") {
            goal(&format!("parse: {name}"), ns, "ns", Goal::AtMost(60.0));
        }
    }
}
