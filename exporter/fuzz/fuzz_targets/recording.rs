//! Recordings: any bytes are read to their end, and records can be written and read again.
#![no_main]

use eyepiece_flow::recording::format::{self, MAX_BODY, RECORD_HEAD, Reader, Record, Step};
use eyepiece_flow::recording::metadata;
use libfuzzer_sys::fuzz_target;

/// Formats a record.
fn text(record: &Record<'_>) -> String {
    format!("{record:?}")
}

/// Writes an event and reads it again.
fn again(event: &eyepiece_flow::event::Event<'_>, time: u64) {
    let mut out = Vec::new();
    format::write_event(event, time, &mut out);
    match Reader::default().next(&out) {
        Step::Record { record, size, .. } => {
            assert_eq!((text(&record), size), (text(&Record::Event(*event)), out.len()));
        }
        other => panic!("{other:?}"),
    }
}

/// Corrects the CRCs of a record's head and body, so that the fuzzer gets beyond them.
fn mend(bytes: &mut [u8]) {
    let Some(length) = bytes.len().checked_sub(RECORD_HEAD) else { return };
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    bytes[..4].copy_from_slice(b"EPR1");
    bytes[4..8].copy_from_slice(&u32::try_from(length).expect("a short input").to_le_bytes());
    let check = crc(&bytes[RECORD_HEAD..]);
    bytes[20..24].copy_from_slice(&check);
    let check = crc(&bytes[..24]);
    bytes[24..28].copy_from_slice(&check);
}

fn step_over(bytes: &[u8]) {
    let (mut rest, mut reader) = (bytes, Reader::default());
    loop {
        let size = match reader.next(rest) {
            Step::Record { record, size, time } => {
                match &record {
                    Record::Event(event) => again(event, time),
                    Record::Metadata(body) => {
                        let mut written = Vec::new();
                        if metadata::read(body, |entry| metadata::write(&entry, &mut written)) {
                            assert!(written.len() <= body.len());
                        }
                    }
                    _ => {}
                }
                size
            }
            Step::Damaged { size, .. } => size,
            Step::Incomplete { needed } => {
                assert!(needed > rest.len() && needed <= RECORD_HEAD + MAX_BODY);
                match format::after_gap(rest) {
                    Some(gap) => gap,
                    None => return,
                }
            }
        };
        assert!(size > 0 && size <= rest.len());
        rest = &rest[size..];
    }
}

fuzz_target!(|data: &[u8]| {
    let _: Result<(), format::HeadError> = format::check_head(data);
    step_over(data);
    let mut mended = data.to_vec();
    mend(&mut mended);
    step_over(&mended);
});
