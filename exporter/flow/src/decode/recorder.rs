//! Recorder captures (message type 6, Cilium 1.18 and before): Cilium `bpf/lib/pcap.h`, `struct pktcap_notify`.

use super::bytes::{clip, from, u16_le, u32_le};
use super::error::{HeaderError, Message};
use super::header;
use super::packet;
use crate::flow::{Direction, Flow};

/// Bytes of the header; the packet follows it.
const LEN: usize = 24;
/// Direction byte: into the machine.
const INGRESS: u8 = 1;

/// Fills a flow from a recorder's capture.
///
/// # Errors
/// The header is incomplete.
pub(super) fn decode(data: &[u8], flow: &mut Flow) -> Result<(), HeaderError> {
    let head = header::take::<LEN>(data, Message::RecorderCapture)?;
    flow.direction = if head[1] == INGRESS { Direction::Ingress } else { Direction::Egress };
    flow.recorder_rule = u16_le(head, 2);
    let captured = usize::try_from(u32_le(head, 16)).unwrap_or(usize::MAX);
    packet::decode(clip(from(data, LEN), captured), packet::ETHERNET, flow);
    Ok(())
}
