//! The format: what is written is read, whatever is cut or changed costs no more than itself, any bytes are survived.

use eyepiece_flow::event::{Event, Totals, TrafficDelta, Transport};
use eyepiece_flow::recording::format::{Damage, HEAD, HeadError, MAX_BODY, RECORD_HEAD, Reader, Record, Step};
use eyepiece_flow::recording::metadata::{AddressKind, MetadataEntry};
use eyepiece_flow::recording::{format, metadata};
use eyepiece_tests::owned_event::{Owned, event, text};
use eyepiece_tests::sample;
use eyepiece_wire::{AnsweredBy, Hook, InterfaceKind};
use proptest::collection::vec;
use proptest::prelude::*;

/// Every record's text, what was damaged, and how many bytes are left at the end.
fn read_all(bytes: &[u8]) -> (Vec<String>, Vec<(Damage, usize)>, usize) {
    let (mut records, mut damaged, mut at) = (Vec::new(), Vec::new(), 0);
    let mut reader = Reader::default();
    loop {
        match reader.next(&bytes[at..]) {
            Step::Record { record, size, .. } => {
                assert!(size >= RECORD_HEAD);
                records.push(match record {
                    Record::Event(event) => text(&event),
                    other => format!("{other:?}"),
                });
                at += size;
            }
            Step::Damaged { damage, size } => {
                assert!(size > 0 && at + size <= bytes.len());
                damaged.push((damage, size));
                at += size;
            }
            Step::Incomplete { needed } => {
                assert!(needed > bytes.len() - at && needed <= RECORD_HEAD + MAX_BODY);
                let Some(gap) = format::after_gap(&bytes[at..]) else { return (records, damaged, bytes.len() - at) };
                damaged.push((Damage::Body, gap));
                at += gap;
            }
        }
    }
}

fn written(events: &[Owned]) -> (Vec<u8>, Vec<usize>) {
    let (mut out, mut ends) = (Vec::new(), Vec::new());
    for event in events {
        format::write_event(&event.event(), 7, &mut out);
        ends.push(out.len());
    }
    (out, ends)
}

fn texts(events: &[Owned]) -> Vec<String> {
    events.iter().map(|event| text(&event.event())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_come_back(events in vec(event(), 0..20)) {
        let (bytes, _) = written(&events);
        prop_assert_eq!(read_all(&bytes), (texts(&events), vec![], 0));
    }

    #[test]
    fn cut_costs_last_record(events in vec(event(), 1..4)) {
        let (bytes, ends) = written(&events);
        for cut in 0..bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let start = whole.checked_sub(1).map_or(0, |last| ends[last]);
            let expected = (texts(&events[..whole]), vec![], cut - start);
            prop_assert_eq!(read_all(&bytes[..cut]), expected, "cut at {}", cut);
        }
    }

    #[test]
    fn changed_byte_costs_one_record(events in vec(event(), 2..5), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (mut bytes, ends) = written(&events);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let hit = ends.iter().filter(|end| **end <= at).count();
        let (records, damaged, left) = read_all(&bytes);
        let mut expected = texts(&events);
        expected.remove(hit);
        prop_assert_eq!(&records, &expected);
        // The last record's head may look like the beginning of what is cut.
        prop_assert!(!damaged.is_empty() || left > 0);
    }

    #[test]
    fn missing_bytes_cost_one_record(events in vec(event(), 3..5), at in any::<prop::sample::Index>(), count in 1_usize..40) {
        let (mut bytes, ends) = written(&events);
        // Within the record in the middle.
        let (start, end) = (ends[0], ends[1]);
        let from = start + at.index(end - start);
        let to = (from + count).min(end);
        // As many bytes as the next record has: that one is then taken for the rest of the body.
        prop_assume!(ends.get(2).is_none_or(|next| next - end != to - from));
        let middle = bytes[start..end].to_vec();
        bytes.drain(from..to);
        // The next record begins with the missing bytes: that one is then cut.
        prop_assume!(!bytes[start..].starts_with(&middle));
        let (records, ..) = read_all(&bytes);
        let mut expected = texts(&events);
        expected.remove(1);
        prop_assert_eq!(records, expected);
    }

    #[test]
    fn any_bytes_are_survived(mut bytes in vec(any::<u8>(), 0..400), markers in vec(any::<prop::sample::Index>(), 0..4)) {
        for marker in markers {
            let at = marker.index(bytes.len() + 1);
            bytes.splice(at..at, *b"EPR1");
        }
        let (records, damaged, left) = read_all(&bytes);
        prop_assert_eq!(records.len(), 0);
        let stepped: usize = damaged.iter().map(|(_, size)| size).sum();
        prop_assert_eq!(stepped + left, bytes.len());
        let _: Result<(), HeadError> = format::check_head(&bytes);
        let _: bool = metadata::read(&bytes, |_| ());
    }

    #[test]
    fn any_record_is_read_or_refused(kind in any::<u8>(), flags in any::<u8>(), body in vec(any::<u8>(), 0..100)) {
        // A whole record, as a later version may write it.
        let mut bytes = Vec::new();
        format::write_metadata(&body, 1, &mut bytes);
        (bytes[8], bytes[9]) = (kind, flags);
        let check = { let mut crc = flate2::Crc::new(); crc.update(&bytes[..24]); crc.sum() };
        bytes[24..28].copy_from_slice(&check.to_le_bytes());
        let (records, damaged, left) = read_all(&bytes);
        prop_assert_eq!((records.len() + damaged.len(), left), (1, 0));
        prop_assert!(damaged.iter().all(|(damage, _)| *damage == Damage::Unknown));
    }
}

#[test]
fn changed_head_names_its_damage() {
    let head = format::head();
    assert_eq!(format::check_head(&head), Ok(()));
    for length in 0..HEAD {
        assert_eq!(format::check_head(&head[..length]), Err(HeadError::Short { length }), "{length}");
    }
    for at in 0..HEAD {
        let mut changed = head;
        changed[at] ^= 0x20;
        let wrong = if at < 8 { HeadError::Magic } else { HeadError::Check };
        assert_eq!(format::check_head(&changed), Err(wrong), "{at}");
    }
    assert_eq!(format::check_head(b"PK\x03\x04"), Err(HeadError::Magic));
    let mut later = head;
    later[8] = 2;
    let mut crc = flate2::Crc::new();
    crc.update(&later[..12]);
    later[12..].copy_from_slice(&crc.sum().to_le_bytes());
    assert_eq!(format::check_head(&later), Err(HeadError::Version { version: 2 }));
}

#[test]
fn names_and_metadata_round_trip() {
    let all = [
        MetadataEntry::Interface { ifindex: 7, kind: InterfaceKind::Endpoint, endpoint: 3, name: "veth7" },
        MetadataEntry::Interface { ifindex: 9, kind: InterfaceKind::EndpointBridge, endpoint: 0, name: "" },
        MetadataEntry::Address {
            address: 1 << 127,
            kind: AddressKind::World,
            endpoint: 0,
            identity: 2,
            shared: true,
            learned: false,
            name: "ünï",
        },
        MetadataEntry::Address {
            address: 5,
            kind: AddressKind::Endpoint,
            endpoint: 3,
            identity: 70_000,
            shared: false,
            learned: true,
            name: "veth7",
        },
        MetadataEntry::Namespace { inode: 4_026_531_840, endpoint: 3 },
    ];
    let mut body = Vec::new();
    all.iter().for_each(|entry| metadata::write(entry, &mut body));
    let mut seen = Vec::new();
    assert!(metadata::read(&body, |entry| seen.push(entry)));
    assert_eq!(seen, all);
    for cut in 1..body.len() {
        let mut count = 0;
        let whole = metadata::read(&body[..cut], |_| count += 1);
        assert!(count < all.len() && (!whole || count > 0), "{cut}");
    }
    let mut bytes = Vec::new();
    format::write_origin("program=eyepiece\n", 1, &mut bytes);
    assert!(format::write_metadata(&body, 2, &mut bytes));
    format::write_reason(2, "NETFILTER_DROP", 3, &mut bytes);
    format::write_symbol(u64::MAX, "nf_hook_slow", 4, &mut bytes);
    let (records, damaged, left) = read_all(&bytes);
    assert_eq!((records.len(), damaged.len(), left), (4, 0, 0));
    assert_eq!(records[2], "Reason { number: 2, name: \"NETFILTER_DROP\" }");
    assert!(!format::write_metadata(&vec![0; MAX_BODY + 1], 0, &mut bytes), "too many");
}

#[test]
fn totals_without_transport_are_read() {
    let traffic = TrafficDelta { answered_by: AnsweredBy::Local, ..sample::traffic(Hook::ToNetwork, (2, 0), (3, 300)) };
    let addresses = Some(([10, 0, 0, 1].into(), [10, 0, 0, 2].into()));
    let transport = Transport { protocol: 6, ports: (1, 2), is_reply: true };
    let mut bytes = Vec::new();
    format::write_event(&Event::Totals(Totals { traffic, addresses, transport }), 7, &mut bytes);
    // As releases before wrote them: without the flag and the last 6 bytes.
    bytes.truncate(bytes.len() - 6);
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let length = u32::try_from(bytes.len() - RECORD_HEAD).expect("a short body");
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[9] &= !8;
    let body = crc(&bytes[RECORD_HEAD..]);
    bytes[20..24].copy_from_slice(&body);
    let head = crc(&bytes[..24]);
    bytes[24..28].copy_from_slice(&head);
    let expected = Totals { traffic, addresses, transport: Transport::default() };
    assert_eq!(read_all(&bytes), (vec![text(&Event::Totals(expected))], vec![], 0));
}

/// Heads, each of a body that holds all the heads behind it and does not match its checksum.
fn nested(count: usize) -> Vec<u8> {
    let mut head = Vec::new();
    assert!(format::write_metadata(&vec![0; MAX_BODY], 1, &mut head));
    head.truncate(RECORD_HEAD);
    let mut bytes = head.repeat(count);
    bytes.resize(bytes.len() + MAX_BODY, 1);
    bytes
}

#[test]
fn false_bodies_cost_linear_checks() {
    let bytes = nested(300);
    let (mut reader, mut at, mut checked) = (Reader::default(), 0, 0);
    while at < 300 * RECORD_HEAD {
        // A reader that wants the body checks it.
        let size = match reader.next(&bytes[at..at + RECORD_HEAD]) {
            Step::Damaged { size, .. } => size,
            Step::Incomplete { needed } => {
                checked += needed - RECORD_HEAD;
                let Step::Damaged { size, .. } = reader.next(&bytes[at..]) else { panic!("a body that fits") };
                size
            }
            Step::Record { .. } => panic!("a record"),
        };
        at += size;
    }
    assert!((1..=format::CREDIT + 2 * at).contains(&checked), "{checked}");
}

#[test]
fn records_behind_false_bodies_are_found() {
    let mut bytes = nested(300);
    let mut body = Vec::new();
    for ifindex in 1..4 {
        metadata::write(&MetadataEntry::Namespace { inode: ifindex, endpoint: 3 }, &mut body);
        format::write_metadata(&body, 2, &mut bytes);
    }
    let (records, damaged, left) = read_all(&bytes);
    assert_eq!((records.len(), left), (3, 0), "{damaged:?}");
}
