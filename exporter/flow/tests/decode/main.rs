//! The decoder through its public interface: headers, packets, the direction rule, and any bytes at all.

mod capture;
mod direction;
mod drop;
mod gob;
mod l7;
mod packet;
mod policy_verdict;
mod properties;
mod recorder;
mod recording;
mod sock;
mod trace;

use eyepiece_flow::decode::{Fault, HeaderError, Message};
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::flow::Flow;
use eyepiece_flow::{decode, summary};
use eyepiece_tests::notification as payloads;

/// A payload without anything beside it.
fn event(data: &[u8]) -> RawEvent<'_> {
    RawEvent { time: 0, cpu: 0, data, traffic: None, kernel_drop: None }
}

fn decode_flow(data: &[u8]) -> Result<Flow, HeaderError> {
    decode::decode_flow(&event(data))
}

fn summary(flow: &Flow) -> String {
    let mut out = String::new();
    summary::write(flow, &mut out).expect("a String takes every text");
    out
}

/// A header cut at every length is incomplete, and the error names the missing length.
fn check_cuts(header: &[u8], message: Message, needed: &[(usize, usize)]) {
    for have in 1..header.len() {
        let &(_, needed) = needed.iter().find(|&&(below, _)| have < below).expect("the last is the length");
        assert_eq!(decode_flow(&header[..have]), Err(HeaderError::Incomplete { message, needed, have }));
    }
    assert!(decode_flow(header).is_ok(), "{message} without a packet");
}

#[test]
fn errors_name_fault_and_offset() {
    for (data, text, reason) in [
        (&[][..], "invalid message: expected a header of 1 bytes, found 0", "empty"),
        (&[4], "invalid trace: expected a header of 32 bytes, found 1", "incomplete"),
        (&[0], "invalid message: expected a known type at offset 0, found 0", "unknown_type"),
        (&[2; 20], "invalid message: expected a known type at offset 0, found 2", "unknown_type"),
        (&[130; 9], "invalid message: expected a known type at offset 0, found 130", "unknown_type"),
        (
            &payloads::trace(3).bytes(),
            "invalid trace: expected a known version at offset 14, found 3",
            "unknown_version",
        ),
        (&payloads::drop(4).bytes(), "invalid drop: expected a known version at offset 14, found 4", "unknown_version"),
    ] {
        let error = decode_flow(data).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.reason()), (text, reason));
    }
    let message = Message::Trace;
    let expected = HeaderError::Invalid { message, fault: Fault::Version, offset: 14, value: 255 };
    assert_eq!(decode_flow(&payloads::trace(0).set(14, &[255]).bytes()), Err(expected));
}

#[test]
fn fields_beside_payload_are_kept() {
    use eyepiece_flow::event::{KernelDrop, TrafficDelta};
    use eyepiece_tests::sample;
    use eyepiece_wire::{AnsweredBy, Hook};
    let traffic = TrafficDelta { answered_by: AnsweredBy::Local, ..sample::traffic(Hook::ToNetwork, (3, 0), (2, 120)) };
    let kernel_drop = KernelDrop { reason: 2, location: 0xffff_ffff_8100_0000, netns: 4_026_531_840 };
    for (name, data) in payloads::usual() {
        let beside = RawEvent { time: 5, cpu: 6, traffic: Some(traffic), kernel_drop: Some(kernel_drop), data: &data };
        let flow = decode::decode_flow(&beside).unwrap();
        assert_eq!((flow.time, flow.cpu), (5, 6), "{name}");
        assert_eq!((flow.traffic, flow.kernel_drop), (Some(traffic), Some(kernel_drop)), "{name}");
    }
}
