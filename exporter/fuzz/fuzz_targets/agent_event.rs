//! Notifications of the agent: any number and any text give an event or an error. The first byte is the number.
#![no_main]

use eyepiece_flow::agent_event::{AgentEventKind, Notification};
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::decode::{Pairing, decode};
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::gob::encode::agent_notify;
use eyepiece_flow::record::Observed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&kind, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let mut data = vec![130];
    agent_notify(&mut data, kind.into(), text);
    let event = RawEvent { time: 0, cpu: 0, data: &data, traffic: None, kernel_drop: None };
    let is_known = (2..=10).contains(&kind);
    // Upserted services of releases up to 1.18; with other JSON they are unknown.
    let may_be_service = kind == 11;
    match decode(&event, Producer::default(), &mut Pairing::new(1)) {
        Ok(Observed::Agent(event)) => {
            assert!(may_be_service || (event.kind == AgentEventKind::Unknown) != is_known);
            if let Notification::Unknown { kind: number, notification } = event.notification {
                assert!(number == u32::from(kind) && notification == text);
            }
        }
        Ok(_) => unreachable!("another kind of event"),
        // Only the JSON can be invalid.
        Err(error) => assert!(is_known && error.reason() == "record_json"),
    }
});
