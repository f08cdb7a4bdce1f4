//! Decoding payloads of every kind as the pipeline calls it, beside Cilium's own parser in the same run.
//!
//! Cilium's figures come from the peer `harness`: its best round, and its mean in CPU time with the garbage collector's
//! part. Ours are compared best with best and mean with mean.

#[allow(dead_code, reason = "each bench uses a part")]
mod go;
#[allow(dead_code, reason = "each bench uses a part")]
mod measured;

use std::hint::black_box;

use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::decode::{Pairing, decode, decode_flow};
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::gob::encode::agent_notify;

use eyepiece_tests::bench_report::{Goal, goal, heading, row};
use measured::Micro;

/// The required speed of decoding a trace, as a factor of Cilium's parser.
const FASTER: Goal = Goal::AtLeast(25.0);

fn main() {
    let mut micro = Micro::new("decode");
    let mut pairing = Pairing::default();
    let payloads = every_kind();
    let mut measured = Vec::new();
    for (name, payload) in &payloads {
        let is_frequent = matches!(payload[0], 1 | 3 | 4 | 5);
        let event = || {
            let data = black_box(payload.as_slice());
            RawEvent { time: 1, cpu: 2, data, traffic: None, kernel_drop: None }
        };
        // Two routines, for the choice is not part of what is measured.
        let figures = if is_frequent {
            micro.measure(name, 1, || decode_flow(&event()))
        } else {
            micro.measure(name, 1, || decode(&event(), Producer::default(), &mut pairing))
        };
        measured.push((*name, figures));
    }
    // Events of the agent reach Cilium's parser decoded: there is no figure for those.
    let theirs = payloads.iter().map(|(_, payload)| payload.as_slice()).filter(|payload| payload[0] < 128);
    let theirs = go::figures(&theirs.collect::<Vec<_>>());
    heading("decode, ns a payload", &["best", "Cilium's", "x faster", "mean CPU", "Cilium's", "x faster"]);
    for (number, (name, ours)) in measured.into_iter().enumerate() {
        let Some(ours) = ours else { continue };
        let Some(theirs) = theirs.get(&format!("parse-{number}")) else {
            row(&format!("{name} (best, mean of CPU time)"), &[ours.best, ours.mean]);
            continue;
        };
        let (best, mean) = (theirs.best / ours.best, theirs.mean / ours.mean);
        row(name, &[ours.best, theirs.best, best, ours.mean, theirs.mean, mean]);
        if name.starts_with("trace") {
            goal(&format!("decode: {name}, x Cilium's parser, means of CPU time"), mean, "x", FASTER);
            goal(&format!("decode: {name}, x Cilium's parser, best rounds"), best, "x", FASTER);
        }
    }
}

/// Those that Cilium 1.15, which the harness is built from, reads too; those of the agent last.
fn every_kind() -> Vec<(&'static str, Vec<u8>)> {
    let mut payloads = eyepiece_tests::notification::usual();
    payloads.retain(|(name, _)| name.starts_with("trace TCP") || name.starts_with("capture"));
    payloads.push(("debug message", [&[2, 40][..], &[1; 18]].concat()));
    let mut agent = vec![130];
    agent_notify(&mut agent, 9, r#"{"cidr":"10.0.0.1/32","id":7,"old-id":0,"encrypt-key":0}"#);
    payloads.push(("agent event", agent));
    payloads
}
