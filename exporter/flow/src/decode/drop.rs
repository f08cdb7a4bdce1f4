//! Drop notifications (message type 1): Cilium `bpf/lib/drop.h`.

use super::bytes::{array, u16_le, u32_le};
use super::error::{Fault, HeaderError, Message};
use super::header;
use super::packet;
use crate::cilium_release::Release;
use crate::flow::{FileInfo, Flow, Verdict};

/// Header of versions 0 and 1 (Cilium 1.15 to 1.17, and our own datapath): no flags.
const V1_LEN: usize = 36;
/// Header of version 2 (Cilium 1.18, and our own datapath on devices without Ethernet header).
const V2_LEN: usize = 40;
/// Header of version 3 (from Cilium 1.19): an IP trace id at the end.
const V3_LEN: usize = 48;

/// Fills a flow from a drop.
///
/// # Errors
/// The header is incomplete, or the version is above 3.
pub(super) fn decode(data: &[u8], release: Release, flow: &mut Flow) -> Result<(), HeaderError> {
    let head = header::take::<V1_LEN>(data, Message::Drop)?;
    let (length, flags) = match head[header::VERSION] {
        0 | 1 => (V1_LEN, 0),
        2 => (V2_LEN, header::take::<V2_LEN>(data, Message::Drop)?[36]),
        3 => {
            let head = header::take::<V3_LEN>(data, Message::Drop)?;
            flow.ip_trace_id = u64::from_le_bytes(array(head, 40));
            (V3_LEN, head[36])
        }
        value => {
            let (fault, offset) = (Fault::Version, header::VERSION);
            return Err(HeaderError::Invalid { message: Message::Drop, fault, offset, value });
        }
    };
    flow.verdict = Verdict::Dropped;
    flow.datapath_endpoint = header::source(head);
    flow.drop_reason = u32::from(flow.event_type.subtype);
    flow.source.identity = u32_le(head, 16);
    flow.destination.identity = u32_le(head, 20);
    flow.file = Some(FileInfo { id: head[30], line: u16_le(head, 28), release });
    if flow.kernel_drop.is_some() {
        // Hubble shows no interface for Cilium's drops; the kernel's have one.
        flow.ifindex = u32_le(head, 32);
    }
    packet::decode(header::packet(data, length, head), flags, flow);
    Ok(())
}
