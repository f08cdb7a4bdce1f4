//! Monitor payloads of every kind: any bytes give a flow or an event with its text, or an error with a reason.
#![no_main]

use std::fmt::{self, Write};

use eyepiece_flow::cilium_release::{Producer, Release};
use eyepiece_flow::decode::{Pairing, decode, direction};
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::record::Observed;
use eyepiece_flow::{debug_text, summary};
use libfuzzer_sys::fuzz_target;

/// Counts the written bytes, so that formatting does not allocate.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let event = RawEvent { time: 0, cpu: 0, data, traffic: None, kernel_drop: None };
    let guess = Producer { guess_sock: true, ..Producer::default() };
    for producer in [Producer::default(), Producer::from(Release::V1_15), guess] {
        let mut length = Length(0);
        match decode(&event, producer, &mut Pairing::new(2)) {
            Ok(Observed::Flow(flow)) => {
                assert!(summary::write(&flow, &mut length).is_ok());
                assert!(length.0 < 100 || flow.l7.is_some());
                assert_eq!(direction(&flow), flow.direction);
                assert!(flow.tunnel.is_none_or(|tunnel| tunnel.vni >> 24 == 0));
            }
            Ok(Observed::Debug(event)) => {
                assert!(debug_text::write(&event, &mut |_, _| Ok(()), &mut length).is_ok());
                assert!((10..200).contains(&length.0));
            }
            Ok(Observed::Agent(_)) => {}
            Ok(Observed::Lost(_)) => unreachable!("no payload is a loss"),
            Err(error) => assert!(!error.reason().is_empty()),
        }
    }
});
