//! What decoding a payload costs, beside copying its bytes and writing an empty flow.

#[path = "../tests/parser/payloads.rs"]
mod payloads;
#[allow(dead_code, reason = "each bench uses a part")]
mod report;

use std::hint::black_box;

use eyepiece::event::RawEvent;
use eyepiece::flow::{EventType, Flow};
use eyepiece::parser::parse;
use report::{Goal, compare, goal, heading, row};

/// Payloads of a round.
const COUNT: usize = 100_000;

fn repeat<T>(mut work: impl FnMut() -> T) -> impl FnMut() {
    move || {
        for _ in 0..COUNT {
            black_box(work());
        }
    }
}

fn main() {
    heading("parse", &["ns a payload", "copy alone", "x copy", "x empty flow"]);
    let mut empty = repeat(|| Flow::empty(black_box(EventType { kind: 4, subtype: 0 })));
    for (name, payload) in payloads::usual() {
        let mut buffer = [0u8; 512];
        let mut copy = repeat(|| {
            let data = black_box(payload.as_slice());
            buffer[..data.len()].copy_from_slice(data);
            black_box(&mut buffer)[0]
        });
        let mut decode = repeat(|| {
            let data = black_box(payload.as_slice());
            parse(&RawEvent { time: 1, cpu: 2, data, meter: None, kernel_drop: None })
        });
        let [empty, copy, ns] = compare(COUNT, [&mut empty, &mut copy, &mut decode]);
        row(&format!("{name}, {} bytes", payload.len()), &[ns, copy, ns / copy, ns / empty]);
        if name.starts_with("trace TCP") {
            goal(&format!("parse: {name}"), ns, "ns", Goal::AtMost(60.0));
        }
    }
}
