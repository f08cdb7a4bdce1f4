//! Monitor payloads: any bytes give a flow with a summary, or an error with a reason.
#![no_main]

use std::fmt::{self, Write};

use libfuzzer_sys::fuzz_target;

// The parser by itself: its files know nothing of the program around them, which takes long to build.
#[allow(dead_code, reason = "the target calls the parser alone")]
#[path = "../../src/event.rs"]
mod event;
#[allow(dead_code, reason = "the target calls the parser alone")]
#[path = "../../src/flow.rs"]
mod flow;
#[allow(dead_code, reason = "the target calls the parser alone")]
#[path = "../../src/parser/mod.rs"]
mod parser;
#[allow(dead_code, reason = "the target calls the parser alone")]
#[path = "../../src/symbols.rs"]
mod symbols;

use event::RawEvent;
use parser::{direction, parse, summary};

/// Counts what is written, so that formatting runs without allocating.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    match parse(&RawEvent { time: 0, cpu: 0, data, meter: None, kernel_drop: None }) {
        Ok(flow) => {
            let mut length = Length(0);
            assert!(summary::write(&flow, &mut length).is_ok() && length.0 < 100);
            assert_eq!(direction(&flow), flow.direction);
            assert_eq!(flow.tunnel.is_some_and(|tunnel| tunnel.vni >> 24 != 0), false);
        }
        Err(error) => assert!(!error.reason().is_empty()),
    }
});
