//! The file of recorded events. Any bytes can be read.
//!
//! All numbers are little-endian. A file is a head, then records until its end. Nothing is rewritten, so a file of a
//! killed writer is a valid file with a truncated tail.
//!
//! Head, 16 B: magic `89 45 50 52 41 57 0d 0a` (as PNG's, it does not survive a transfer as text) · u16 version (1) ·
//! u16 reserved (0) · u32 CRC-32 of the 12 bytes before.
//!
//! Record, 28 B and a body:
//!
//! | off | type | field |
//! |---|---|---|
//! | 0 | 4 B | marker `45 50 52 31` ("EPR1"): reading goes on at the next one after damage |
//! | 4 | u32 | length of the body, at most [`MAX_BODY`] |
//! | 8 | u8 | kind |
//! | 9 | u8 | flags: 1 traffic · 2 kernel drop · 4 addresses · 8 transport |
//! | 10 | u16 | CPU; ffff = none |
//! | 12 | u64 | time, ns since the Unix epoch |
//! | 20 | u32 | CRC-32 of the body |
//! | 24 | u32 | CRC-32 of the 24 bytes before |
//!
//! CRC-32 is zlib's (RFC 1952). Kinds and bodies:
//! - 1 raw: traffic and kernel drop as flagged, then the monitor payload.
//! - 2 totals: the traffic, then the two addresses and the transport as flagged.
//! - 3 lost: u8 source (0 kernel's buffer, 1 observer's queue, 2 Hubble's ring) · 7 reserved · u64 count.
//! - 4 metadata: interfaces and addresses from here on, see [`super::metadata`]; replaces the metadata before.
//! - 5 reason: u32 number of a kernel drop reason · its name.
//! - 6 symbol: u64 kernel address · its name.
//! - 7 origin: lines `key=value` about the recording; the first record.
//!
//! traffic, 56 B: u8 hook · u8 answered by · u16 reserved · u32 interface · u32 ingress interface · u32 reserved · u64
//! packets · u64 bytes · u64 held packets · u64 held bytes · u64 id of the socket's control group; 0 = unknown. kernel
//! drop, 16 B: u32 reason · u32 network namespace · u64 location. address, 17 B: u8 4 or 6 · 16 B, IPv4 in the first 4.
//! transport, 6 B: u8 IP protocol · u8 1 = of a reply · u16 source port · u16 destination port.
//!
//! The file holds the events of a source, without the agent notifications that eyepiece makes itself. Entities are not
//! in it, and so neither are processes.
//!
//! Damage: bytes that are not a head are skipped up to the next head. A body with a wrong CRC is skipped if a head
//! follows it. Else bytes are missing, and the next head is searched inside it. A malicious file may have many heads
//! inside a body, each of which asks for a CRC over the same bytes. Bodies with a wrong CRC are therefore charged to a
//! credit, [`CREDIT`] at first, which grows by twice the bytes that are passed. A head is skipped if the credit does
//! not cover its body: a reader's work is proportional to the file, and only files with many such heads lose whole
//! records.

use std::net::IpAddr;

use crate::event::{Event, Lost, LostSource, RawEvent, Totals, TrafficDelta, Transport};
use flate2::Crc;

use super::cursor::Bytes;

/// The first bytes of a file.
pub const MAGIC: [u8; 8] = *b"\x89EPRAW\r\n";
/// The only version so far.
pub const VERSION: u16 = 1;
/// Bytes of a file's head.
pub const HEAD: usize = 16;
/// Bytes of a record before its body.
pub const RECORD_HEAD: usize = 28;
/// Bytes of a body: metadata of 60,000 addresses, and 60 times the monitor's longest texts.
pub const MAX_BODY: usize = 4 << 20;

/// Bytes of bodies with a wrong CRC: some of the largest, more than a disk damages at once.
pub const CREDIT: usize = 4 * MAX_BODY;
/// Credit for each byte that is passed.
const CREDIT_PER_BYTE: usize = 2;

const MARKER: [u8; 4] = *b"EPR1";
const NO_CPU: u16 = u16::MAX;
const TRAFFIC: usize = 56;
const KERNEL_DROP: usize = 16;
const ADDRESS: usize = 17;

const WITH_TRAFFIC: u8 = 1;
const WITH_KERNEL_DROP: u8 = 2;
const WITH_ADDRESSES: u8 = 4;
const WITH_TRANSPORT: u8 = 8;

/// The content of a record.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// An event of the source.
    Event(Event<'a>),
    /// Interfaces and addresses from here on: [`super::metadata::read`] reads them.
    Metadata(&'a [u8]),
    /// Name of a kernel drop reason.
    Reason {
        /// `enum skb_drop_reason`.
        number: u32,
        /// Its name, without the prefix.
        name: &'a str,
    },
    /// Name of a kernel address.
    Symbol {
        /// The address.
        address: u64,
        /// Symbol and offset.
        name: &'a str,
    },
    /// Lines `key=value` about the recording.
    Origin(&'a str),
}

/// The error of a file that is not a recording. Its text follows `invalid recording` and the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum HeadError {
    /// Shorter than a head.
    #[error("expected a head of {HEAD} bytes, found {length}")]
    Short { length: usize },
    /// Other first bytes.
    #[error("expected a file of eyepiece record")]
    Magic,
    /// The head's CRC is wrong.
    #[error("expected a head with the CRC of its bytes")]
    Check,
    /// An unknown version.
    #[error("expected version {VERSION}, found {version}")]
    Version { version: u16 },
}

/// The kind of damage at a place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Damage {
    /// No record starts here.
    Head,
    /// The body's CRC is wrong.
    Body,
    /// A record with invalid content, or one of a later version.
    Unknown,
}

impl Damage {
    /// The name in telemetry and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Head => "record_head",
            Self::Body => "record_body",
            Self::Unknown => "record_unknown",
        }
    }
}

/// The next part of a file.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A record of this many bytes.
    Record {
        /// Time of the event or of its writing, ns since the Unix epoch.
        time: u64,
        /// Its content.
        record: Record<'a>,
        /// Its bytes.
        size: usize,
    },
    /// Damaged bytes.
    Damaged {
        /// The kind of damage.
        damage: Damage,
        /// Bytes to skip, at least 1.
        size: usize,
    },
    /// More bytes are needed.
    Incomplete {
        /// Bytes needed, from the same start; at most [`RECORD_HEAD`] + [`MAX_BODY`].
        needed: usize,
    },
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Returns the head of a file.
pub fn head() -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&MAGIC);
    head[8..10].copy_from_slice(&VERSION.to_le_bytes());
    let check = crc(&head[..12]);
    head[12..].copy_from_slice(&check.to_le_bytes());
    head
}

/// Checks a file's first bytes.
///
/// # Errors
/// See [`HeadError`].
pub fn check_head(bytes: &[u8]) -> Result<(), HeadError> {
    if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
        return Err(HeadError::Magic);
    }
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Err(HeadError::Short { length: bytes.len() }) };
    let mut rest = Bytes(&head[8..]);
    let (version, _, check) = (rest.u16(), rest.u16(), rest.u32());
    if check != Some(crc(&head[..12])) {
        return Err(HeadError::Check);
    }
    match version {
        Some(VERSION) => Ok(()),
        other => Err(HeadError::Version { version: other.unwrap_or_default() }),
    }
}

/// Appends an event; `time` is used for totals, which have none.
pub fn write_event(event: &Event<'_>, time: u64, out: &mut Vec<u8>) {
    match event {
        Event::Raw(raw) => {
            let flags = if raw.traffic.is_some() { WITH_TRAFFIC } else { 0 }
                | if raw.kernel_drop.is_some() { WITH_KERNEL_DROP } else { 0 };
            write(out, (1, flags), raw.cpu, raw.time, |out| {
                if let Some(traffic) = &raw.traffic {
                    write_traffic(traffic, out);
                }
                if let Some(drop) = &raw.kernel_drop {
                    out.extend(drop.reason.to_le_bytes());
                    out.extend(drop.netns.to_le_bytes());
                    out.extend(drop.location.to_le_bytes());
                }
                // A payload that is too long is truncated, as its packet was.
                let room = MAX_BODY - TRAFFIC - KERNEL_DROP;
                out.extend_from_slice(&raw.data[..raw.data.len().min(room)]);
            });
        }
        Event::Totals(totals) => {
            let flags = WITH_TRAFFIC | WITH_TRANSPORT | if totals.addresses.is_some() { WITH_ADDRESSES } else { 0 };
            write(out, (2, flags), NO_CPU, time, |out| {
                write_traffic(&totals.traffic, out);
                if let Some((source, destination)) = &totals.addresses {
                    write_address(source, out);
                    write_address(destination, out);
                }
                let Transport { protocol, ports, is_reply } = totals.transport;
                out.extend([protocol, u8::from(is_reply)]);
                out.extend([ports.0, ports.1].into_iter().flat_map(u16::to_le_bytes));
            });
        }
        Event::Lost(lost) => write(out, (3, 0), lost.cpu.unwrap_or(NO_CPU), lost.time, |out| {
            let source = match lost.source {
                LostSource::KernelBuffer => 0,
                LostSource::ObserverQueue => 1,
                LostSource::HubbleRing => 2,
            };
            out.extend([source, 0, 0, 0, 0, 0, 0, 0]);
            out.extend(lost.count.to_le_bytes());
        }),
        // The file holds a source's payloads: the first three have none, the last is not the source's.
        Event::Process(_) | Event::Observed(_) | Event::Undecodable(_) | Event::Notification(_) => {}
    }
}

/// Appends metadata that [`super::metadata`] wrote. Returns false, and appends nothing, if they are too long.
pub fn write_metadata(metadata: &[u8], time: u64, out: &mut Vec<u8>) -> bool {
    let fits = metadata.len() <= MAX_BODY;
    if fits {
        write(out, (4, 0), NO_CPU, time, |out| out.extend_from_slice(metadata));
    }
    fits
}

/// Appends the name of a kernel drop reason.
pub fn write_reason(number: u32, name: &str, time: u64, out: &mut Vec<u8>) {
    write(out, (5, 0), NO_CPU, time, |out| {
        out.extend(number.to_le_bytes());
        out.extend_from_slice(clipped(name).as_bytes());
    });
}

/// Appends the name of a kernel address.
pub fn write_symbol(address: u64, name: &str, time: u64, out: &mut Vec<u8>) {
    write(out, (6, 0), NO_CPU, time, |out| {
        out.extend(address.to_le_bytes());
        out.extend_from_slice(clipped(name).as_bytes());
    });
}

/// Appends lines `key=value` about the recording.
pub fn write_origin(lines: &str, time: u64, out: &mut Vec<u8>) {
    write(out, (7, 0), NO_CPU, time, |out| out.extend_from_slice(clipped(lines).as_bytes()));
}

/// Truncates a name to a length beyond that of kernel symbols (KSYM_NAME_LEN is 512).
fn clipped(name: &str) -> &str {
    &name[..name.floor_char_boundary(4096)]
}

fn write(out: &mut Vec<u8>, (kind, flags): (u8, u8), cpu: u16, time: u64, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(MARKER);
    out.extend([0; 4]);
    out.extend([kind, flags]);
    out.extend(cpu.to_le_bytes());
    out.extend(time.to_le_bytes());
    out.extend([0; 8]);
    body(out);
    let (head, body) = out[start..].split_at_mut(RECORD_HEAD);
    // All callers keep to MAX_BODY, which fits.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    head[4..8].copy_from_slice(&length.to_le_bytes());
    head[20..24].copy_from_slice(&crc(body).to_le_bytes());
    let check = crc(&head[..24]);
    head[24..].copy_from_slice(&check.to_le_bytes());
}

fn write_traffic(traffic: &TrafficDelta, out: &mut Vec<u8>) {
    let TrafficDelta {
        hook,
        answered_by,
        ifindex,
        ingress_ifindex,
        packets,
        bytes,
        held_packets,
        held_bytes,
        cgroup,
        process: _,
    } = *traffic;
    out.extend([hook as u8, answered_by as u8, 0, 0]);
    for number in [ifindex, ingress_ifindex, 0] {
        out.extend(number.to_le_bytes());
    }
    for number in [packets, bytes, held_packets, held_bytes, cgroup] {
        out.extend(number.to_le_bytes());
    }
}

fn write_address(address: &IpAddr, out: &mut Vec<u8>) {
    let start = out.len();
    match address {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.push(6);
            out.extend(address.octets());
        }
    }
    out.resize(start + ADDRESS, 0);
}

/// Reads a file record by record.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Bytes of bodies with a wrong CRC that may still be checked; at most [`CREDIT`].
    credit: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self { credit: CREDIT }
    }
}

impl Reader {
    /// Reads the next part of a file after its head. After a step with a size, the next call starts behind it.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        let step = self.look(bytes);
        if let Step::Record { size, .. } | Step::Damaged { size, .. } = &step {
            self.credit = size.saturating_mul(CREDIT_PER_BYTE).saturating_add(self.credit).min(CREDIT);
        }
        step
    }

    fn look<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        let Some(head) = bytes.first_chunk::<RECORD_HEAD>() else {
            // Bytes that cannot start a record need no more bytes.
            let begins = bytes.len() < MARKER.len() && MARKER.starts_with(bytes) || bytes.starts_with(&MARKER);
            return if begins || bytes.is_empty() {
                Step::Incomplete { needed: RECORD_HEAD }
            } else {
                search(bytes, Damage::Head)
            };
        };
        let Some(length) = length(head) else { return search(bytes, Damage::Head) };
        if length > self.credit {
            return search(bytes, Damage::Body);
        }
        let size = RECORD_HEAD + length;
        let Some(body) = bytes.get(RECORD_HEAD..size) else { return Step::Incomplete { needed: size } };
        let mut rest = Bytes(&head[8..]);
        let parts = (rest.u8(), rest.u8(), rest.u16(), rest.u64(), rest.u32());
        let (Some(kind), Some(flags), Some(cpu), Some(time), Some(check)) = parts else {
            return search(bytes, Damage::Head);
        };
        if check != crc(body) {
            self.credit -= length;
            return broken_body(bytes, size);
        }
        match read(kind, flags, Some(cpu).filter(|cpu| *cpu != NO_CPU), time, body) {
            Some(record) => Step::Record { time, record, size },
            None => Step::Damaged { damage: Damage::Unknown, size },
        }
    }
}

/// Returns the bytes to skip to the next record after [`Step::Incomplete`] at a file's end; `None` if it is truncated.
pub fn after_gap(bytes: &[u8]) -> Option<usize> {
    find(bytes, 1)
}

/// Returns the length of the body, if this is a record's head.
fn length(head: &[u8; RECORD_HEAD]) -> Option<usize> {
    let mut rest = Bytes(&head[4..]);
    let length = rest.u32()? as usize;
    let check = Bytes(&head[24..]).u32()?;
    (head.starts_with(&MARKER) && length <= MAX_BODY && check == crc(&head[..24])).then_some(length)
}

/// Returns the start of the next record, from an offset on.
fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let starts = bytes.windows(RECORD_HEAD).enumerate().skip(from);
    let mut starts = starts.filter(|(_, window)| window.starts_with(&MARKER));
    starts.find_map(|(at, window)| length(window.first_chunk()?).map(|_| at))
}

/// Skips damaged bytes.
fn search(bytes: &[u8], damage: Damage) -> Step<'_> {
    // The last bytes may be the start of a head.
    let kept = RECORD_HEAD - 1;
    let size = find(bytes, 1).unwrap_or_else(|| bytes.len().saturating_sub(kept).max(1));
    Step::Damaged { damage, size }
}

/// Skips a damaged body: up to the next record if it follows the body, else to the first one inside of it.
fn broken_body(bytes: &[u8], size: usize) -> Step<'_> {
    let follows = bytes[size..].first_chunk().is_some_and(|head| length(head).is_some());
    let size = if follows { size } else { find(bytes, 1).unwrap_or(size) };
    Step::Damaged { damage: Damage::Body, size }
}

fn read(kind: u8, flags: u8, cpu: Option<u16>, time: u64, body: &[u8]) -> Option<Record<'_>> {
    let mut rest = Bytes(body);
    Some(match kind {
        1 => {
            let traffic = if flags & WITH_TRAFFIC == 0 { None } else { Some(rest.traffic()?) };
            let kernel_drop = if flags & WITH_KERNEL_DROP == 0 { None } else { Some(rest.kernel_drop()?) };
            // No CPU has that number; sources without CPUs set 0.
            let cpu = cpu.unwrap_or(NO_CPU);
            Record::Event(Event::Raw(RawEvent { time, cpu, data: rest.0, traffic, kernel_drop }))
        }
        2 => {
            let traffic = rest.traffic()?;
            let with = flags & WITH_ADDRESSES != 0;
            let addresses = if with { Some((rest.address()?, rest.address()?)) } else { None };
            // Older recordings have none.
            let transport = if flags & WITH_TRANSPORT == 0 { Transport::default() } else { rest.transport()? };
            Record::Event(Event::Totals(Totals { traffic, addresses, transport }))
        }
        3 => {
            let source = match rest.u8()? {
                0 => LostSource::KernelBuffer,
                1 => LostSource::ObserverQueue,
                2 => LostSource::HubbleRing,
                _ => return None,
            };
            let count = rest.take::<7>().and_then(|_| rest.u64())?;
            Record::Event(Event::Lost(Lost { source, cpu, count, time }))
        }
        4 => Record::Metadata(body),
        5 => Record::Reason { number: rest.u32()?, name: str::from_utf8(rest.0).ok()? },
        6 => Record::Symbol { address: rest.u64()?, name: str::from_utf8(rest.0).ok()? },
        7 => Record::Origin(str::from_utf8(body).ok()?),
        _ => return None,
    })
}
