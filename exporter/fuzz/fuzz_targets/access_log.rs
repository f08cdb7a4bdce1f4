//! Access-log records: any gob gives a flow with a summary or an error, and the same result twice.
#![no_main]

use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::decode::{Pairing, decode};
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::l7::L7Record;
use eyepiece_flow::record::Observed;
use eyepiece_flow::summary;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let data = [&[129], value].concat();
    let event = RawEvent { time: 0, cpu: 0, data: &data, traffic: None, kernel_drop: None };
    let mut pairing = Pairing::new(2);
    let first = decode(&event, Producer::default(), &mut pairing);
    let second = decode(&event, Producer::default(), &mut pairing);
    assert_eq!(first.is_ok(), second.is_ok());
    match first {
        Ok(Observed::Flow(flow)) => {
            let mut text = String::new();
            assert!(summary::write(&flow, &mut text).is_ok());
            // The variable bytes of a summary are in the record; an escaped one takes ten.
            assert!(text.len() <= 200 + 40 * data.len());
            let layer = flow.l7.expect("layer 7");
            assert!(layer.source_labels.is_sorted() && layer.destination_labels.is_sorted());
            if let L7Record::Http(http) = &layer.record {
                assert!(http.headers.is_sorted_by_key(|(name, _)| name));
            }
        }
        Ok(_) => unreachable!("another kind of event"),
        Err(error) => assert!(!error.reason().is_empty()),
    }
    assert!(pairing.len() <= 1);
});
