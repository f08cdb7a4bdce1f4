//! The cost of decoding a payload; compared with copying its bytes and writing an empty flow.

#[allow(dead_code, reason = "each bench uses a part")]
mod measured;

use std::hint::black_box;

use eyepiece_flow::decode::decode_flow;
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::flow::{EventType, Flow};

use eyepiece_tests::bench_report::{Goal, goal, heading, row};
use measured::Micro;

fn main() {
    let mut micro = Micro::new("parse");
    let empty = micro.measure("an empty flow", 1, || Flow::empty(black_box(EventType { kind: 4, subtype: 0 })));
    let mut measured = Vec::new();
    for (name, payload) in eyepiece_tests::notification::usual() {
        let mut buffer = [0u8; 512];
        let copy = micro.measure(&format!("{name}, copied alone"), 1, || {
            let data = black_box(payload.as_slice());
            buffer[..data.len()].copy_from_slice(data);
            black_box(&mut buffer)[0]
        });
        let parsed = micro.measure(name, 1, || {
            let data = black_box(payload.as_slice());
            decode_flow(&RawEvent { time: 1, cpu: 2, data, traffic: None, kernel_drop: None })
        });
        measured.push((name, payload.len(), copy, parsed));
    }
    heading("parse", &["ns a payload", "copy alone", "x copy", "x empty flow"]);
    for (name, length, copy, parsed) in measured {
        let (Some(empty), Some(copy), Some(parsed)) = (empty, copy, parsed) else { continue };
        let ns = parsed.best;
        row(&format!("{name}, {length} bytes"), &[ns, copy.best, ns / copy.best, ns / empty.best]);
        if name.starts_with("trace TCP") {
            goal(&format!("parse: {name}"), ns, "ns", Goal::AtMost(60.0));
        }
    }
}
