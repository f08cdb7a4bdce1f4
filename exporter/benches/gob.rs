//! The cost of gob for 184 bytes, compared with copying them, and with Go's own if the peer `harness` is built.

#[allow(dead_code, reason = "each bench uses a part")]
mod go;
#[allow(dead_code, reason = "each bench uses a part")]
mod measured;

use std::hint::black_box;

use eyepiece_flow::gob::encode::{PAYLOAD_DESCRIPTOR, agent_notify, payload};
use eyepiece_flow::gob::{EVENT_SAMPLE, Payload, PayloadDecoder, value};

use eyepiece_tests::bench_report::{Goal, goal, heading, row};
use measured::Micro;

/// A trace of 48 bytes with a packet of 136.
const LENGTH: usize = 184;

fn main() {
    let data = [4; LENGTH];
    let one = Payload { data: &data, cpu: 3, lost: 0, kind: EVENT_SAMPLE };
    let mut micro = Micro::new("gob");
    let mut out = Vec::with_capacity(2 * LENGTH);
    let copy = micro.measure("a payload copied alone", 1, || {
        out.clear();
        out.extend_from_slice(black_box(&data));
        black_box(&mut out).len()
    });
    let encoded = micro.measure("a payload encoded", 1, || {
        out.clear();
        payload(&mut out, black_box(&one));
        black_box(&mut out).len()
    });
    let mut decoder = PayloadDecoder::default();
    let mut stream = PAYLOAD_DESCRIPTOR.to_vec();
    payload(&mut stream, &one);
    assert_eq!(decoder.decode(&stream), Ok(Some((one, stream.len()))));
    stream.drain(..PAYLOAD_DESCRIPTOR.len());
    let decoded = micro.measure("a payload decoded", 1, || black_box(decoder.decode(black_box(&stream))).is_ok());
    let mut agent = Vec::new();
    agent_notify(&mut agent, 9, r#"{"cidr":"10.0.0.1/32","id":7,"old-id":0,"encrypt-key":0}"#);
    let event = micro.measure("an agent event decoded, with its descriptor", 1, || value(black_box(&agent)));

    let theirs = go::figures(&[]);
    heading("gob", &["ns", "x copy", "Go's best", "x faster", "Go's mean CPU"]);
    let rows = [
        ("a payload of 184 bytes encoded", encoded, theirs.get("gob-encode"), Some(15.0)),
        ("a payload of 184 bytes decoded", decoded, theirs.get("gob-decode"), Some(40.0)),
        ("an agent event decoded, with its descriptor", event, None, None),
    ];
    for (name, ours, theirs, limit) in rows {
        let (Some(ours), Some(copy)) = (ours, copy) else { continue };
        let mut figures = vec![ours.best, ours.best / copy.best];
        figures.extend(theirs.iter().flat_map(|theirs| [theirs.best, theirs.best / ours.best, theirs.mean]));
        row(name, &figures);
        if let Some(limit) = limit {
            goal(&format!("gob: {name}"), ours.best, "ns", Goal::AtMost(limit));
        }
    }
}
