//! Decodes the layers of a packet into a flow, one after the other.

mod ethernet;
mod ip;
mod next;
mod transport;
pub(super) mod tunnel;

pub(super) use next::{End, Next};

use crate::flow::Flow;

/// Decodes layers until the chain ends.
pub(super) fn decode<'a>(mut next: Next<'a>, flow: &mut Flow) -> End<'a> {
    loop {
        next = match next {
            Next::Ethernet(data) => ethernet::decode(data, flow),
            Next::Ipv4(data) => ip::decode_v4(data, flow),
            Next::Ipv6(data) => ip::decode_v6(data, flow),
            Next::Transport(protocol, data) => transport::decode(protocol, data, flow),
            Next::End(end) => return end,
        };
    }
}
