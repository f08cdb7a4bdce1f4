//! What decoding a payload costs, beside copying its bytes and writing an empty flow.

#[path = "../tests/parser/payloads.rs"]
mod payloads;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use eyepiece::event::RawEvent;
use eyepiece::flow::{EventType, Flow};
use eyepiece::parser::parse;

fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let mut copy = [0u8; 512];
    for (name, payload) in payloads::usual() {
        group.bench_function(format!("{name} (baseline: copy of its {} bytes)", payload.len()), |bencher| {
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

criterion_group!(benches, benchmark);
criterion_main!(benches);
