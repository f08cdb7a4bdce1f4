//! Streams of the monitor socket: any bytes give payloads or an error within the limits, in any pieces.
#![no_main]

use eyepiece_flow::gob::encode::{PAYLOAD_DESCRIPTOR, payload};
use eyepiece_flow::gob::{GobError, Limits, Payload, PayloadDecoder};
use libfuzzer_sys::fuzz_target;

/// Low limits, which short inputs reach.
const LIMITS: Limits = Limits { message: 4096, descriptors: 16, descriptor_bytes: 2048 };

/// Decodes a whole stream. Returns its payloads and its end: an error, or the number of incomplete bytes.
fn whole(bytes: &[u8]) -> (Vec<Payload<'_>>, Result<usize, GobError>) {
    let mut decoder = PayloadDecoder::new(LIMITS);
    let (mut found, mut start) = (Vec::new(), 0);
    loop {
        match decoder.decode(&bytes[start..]) {
            Ok(Some((payload, used))) => {
                assert!(used > 0 && start + used <= bytes.len());
                found.push(payload);
                start += used;
            }
            Ok(None) => {
                let waiting = bytes.len() - start;
                assert!(decoder.needed() > waiting && decoder.needed() <= decoder.longest());
                return (found, Ok(waiting));
            }
            Err(error) => {
                assert!(error.offset <= bytes.len() - start && !error.reason().is_empty());
                return (found, Err(GobError { offset: start + error.offset, ..error }));
            }
        }
    }
}

/// Decodes a stream in the smallest pieces that the decoder accepts.
fn little_by_little(bytes: &[u8]) -> (usize, Result<usize, GobError>) {
    let mut decoder = PayloadDecoder::new(LIMITS);
    let (mut count, mut start, mut end) = (0, 0, 0);
    loop {
        match decoder.decode(&bytes[start..end]) {
            Ok(Some((_, used))) => {
                count += 1;
                start += used;
            }
            Ok(None) if start + decoder.needed() > bytes.len() && end == bytes.len() => {
                return (count, Ok(end - start));
            }
            Ok(None) => end = (start + decoder.needed()).min(bytes.len()),
            Err(error) => return (count, Err(GobError { offset: start + error.offset, ..error })),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (found, end) = whole(bytes);
    assert_eq!(little_by_little(bytes), (found.len(), end));
    let mut again = PAYLOAD_DESCRIPTOR.to_vec();
    for one in &found {
        payload(&mut again, one);
    }
    // Our descriptor may be longer than the stream's: default limits.
    let mut decoder = PayloadDecoder::default();
    let mut start = 0;
    for one in &found {
        let decoded = decoder.decode(&again[start..]);
        let Ok(Some((payload, used))) = decoded else { panic!("{decoded:?} of {one:?}") };
        assert_eq!(payload, *one);
        start += used;
    }
    assert!(found.is_empty() || start == again.len());
});
