//! Debug captures (message type 3): Cilium `bpf/lib/dbg.h`.

use super::bytes::u32_le;
use super::error::{HeaderError, Message};
use super::header;
use super::packet;
use crate::flow::Flow;

/// Bytes of the header of every version.
const LEN: usize = 24;

/// Fills a flow from a debug capture.
///
/// # Errors
/// The header is incomplete.
pub(super) fn decode(data: &[u8], flow: &mut Flow) -> Result<(), HeaderError> {
    let head = header::take::<LEN>(data, Message::Capture)?;
    let argument = u32_le(head, 16);
    flow.datapath_endpoint = header::source(head);
    flow.capture_point = Some(flow.event_type.subtype);
    match flow.event_type.subtype {
        // Delivery, from-lb, after NAT46 and NAT64, before and after SNAT: an interface.
        4..=7 | 10 | 11 => flow.ifindex = argument,
        // Before and after a proxy: its port in network order, widened; Hubble swaps all four bytes.
        8 | 9 => flow.proxy_port = argument.swap_bytes(),
        _ => {}
    }
    packet::decode(header::packet(data, LEN, head), packet::ETHERNET, flow);
    Ok(())
}
