//! Debug messages (message type 2): Cilium `bpf/lib/dbg.h`.

use super::bytes::u32_le;
use super::error::{HeaderError, Message};
use super::header;
use crate::debug_event::DebugEvent;
use crate::event::RawEvent;
use crate::flow::End;

/// Bytes of the message; the kernel's padding may follow it.
const LEN: usize = 20;

/// Decodes a debug message.
///
/// # Errors
/// The message is incomplete.
pub(super) fn decode(event: &RawEvent<'_>) -> Result<DebugEvent, HeaderError> {
    let head = header::take::<LEN>(event.data, Message::Debug)?;
    Ok(DebugEvent {
        time: event.time,
        uuid: [0; 16],
        cpu: event.cpu,
        kind: head[1],
        source: End { endpoint: header::source(head), ..End::default() },
        hash: u32_le(head, 4),
        arg1: u32_le(head, 8),
        arg2: u32_le(head, 12),
        arg3: u32_le(head, 16),
    })
}
