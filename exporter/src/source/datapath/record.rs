//! Decodes a record of the kernel programs into an event.

use eyepiece_flow::event::{Event, KernelDrop, RawEvent, TrafficDelta};
use eyepiece_wire::{AnsweredBy, Header, Hook, Process, RECORD_PROCESS};

use crate::support::clock::Clock;

/// Bytes of the header before a monitor payload.
const HEADER: usize = size_of::<Header>();

/// Decodes a record; `None` if it is damaged, which our own programs never produce.
#[inline]
pub fn decode(record: &[u8], clock: Clock) -> Option<Event<'_>> {
    if record.len() < HEADER {
        return None;
    }
    // SAFETY: HEADER bytes are there, and any bytes are a header. Unaligned: the perf buffer aligns to 4 only.
    let header: Header = unsafe { record.as_ptr().cast::<Header>().read_unaligned() };
    let data = record.get(HEADER..HEADER + header.data_len as usize)?;
    if header.hook == RECORD_PROCESS {
        return process(data);
    }
    let hook = Hook::from_u8(header.hook)?;
    let kernel_drop = (hook == Hook::Drop).then_some(KernelDrop {
        reason: header.drop_reason,
        location: header.location,
        netns: header.netns,
    });
    let traffic = TrafficDelta {
        hook,
        answered_by: AnsweredBy::from_u8(header.answered_by),
        ifindex: header.ifindex,
        ingress_ifindex: header.ingress_ifindex,
        packets: header.packets,
        bytes: header.bytes,
        held_packets: header.held_packets,
        held_bytes: header.held_bytes,
        cgroup: header.cgroup,
        process: header.process,
    };
    Some(Event::Raw(RawEvent {
        time: clock.unix(header.time),
        cpu: header.cpu,
        data,
        traffic: Some(traffic),
        kernel_drop,
    }))
}

/// Decodes the payload of a record of a process.
#[cold]
#[inline(never)]
fn process(data: &[u8]) -> Option<Event<'_>> {
    let data: &[u8; size_of::<Process>()] = data.try_into().ok()?;
    // SAFETY: any bytes are a process.
    Some(Event::Process(unsafe { data.as_ptr().cast::<Process>().read_unaligned() }))
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::event::Event;
    use eyepiece_wire::{Header, Process, RECORD_PROCESS};

    use super::decode;
    use crate::support::clock::Clock;

    fn bytes(header: Header, data: &[u8]) -> Vec<u8> {
        // SAFETY: a header is plain data without padding.
        let head: [u8; size_of::<Header>()] = unsafe { std::mem::transmute(header) };
        [&head, data].concat()
    }

    #[test]
    fn damaged_records_are_no_events() {
        let clock = Clock::now();
        let good = bytes(Header { data_len: 2, hook: 4, drop_reason: 7, ..Header::default() }, &[1, 2, 9]);
        let Some(Event::Raw(raw)) = decode(&good, clock) else { panic!("an event") };
        assert_eq!((raw.data, raw.kernel_drop.map(|drop| drop.reason)), (&[1, 2][..], Some(7)));
        assert!(decode(&bytes(Header { data_len: 4, ..Header::default() }, &[1, 2, 3]), clock).is_none());
        assert!(decode(&bytes(Header { hook: 9, ..Header::default() }, &[]), clock).is_none());
        for length in 0..size_of::<Header>() {
            assert!(decode(&good[..length], clock).is_none(), "{length}");
        }
    }

    #[test]
    fn process_record_is_whole_or_none() {
        let process = Process { id: 7, command: *b"sshd\0\0\0\0\0\0\0\0\0\0\0\0" };
        // SAFETY: a process is plain data without padding.
        let data: [u8; size_of::<Process>()] = unsafe { std::mem::transmute(process) };
        let record = |data: &[u8]| {
            let header = Header { hook: RECORD_PROCESS, data_len: data.len() as u32, ..Header::default() };
            match decode(&bytes(header, data), Clock::now()) {
                Some(Event::Process(process)) => Some(process),
                _ => None,
            }
        };
        assert_eq!(record(&data), Some(process));
        for length in 0..data.len() {
            assert_eq!(record(&data[..length]), None, "{length}");
        }
    }
}
