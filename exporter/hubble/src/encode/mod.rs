//! Encodes records as Hubble's messages, without generated structures in between.

mod events;
mod field;
mod flow;
mod l7;
mod layers;

use eyepiece_flow::agent_event::AgentEvent;
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::event::{Lost, LostSource};
use eyepiece_flow::flow::Flow;
use eyepiece_flow::lookup::NameLookup;
use eyepiece_flow::record::Observed;

use self::field::time;
use self::flow::Flows;
use crate::extension;
use crate::field_mask::Mask;
use crate::wire::{long_message, message, text};

/// `node_name` of every response.
const NODE_NAME: u32 = 1000;
/// `time` of every response.
const TIME: u32 = 1001;
// Members of `response_types`; the last two only in `ExportEvent`.
const FLOW: u32 = 1;
const LOST_EVENTS: u32 = 3;
const AGENT_EVENT: u32 = 4;
const DEBUG_EVENT: u32 = 5;

/// Encodes the flows and events of a batch. Every method appends one message without its length.
#[derive(Clone, Copy)]
pub struct Encoder<'a> {
    node: &'a str,
    names: &'a dyn NameLookup,
}

/// Appends a `flow.Flow` with all fields. The bytes of a flow from another Hubble server are unchanged.
#[inline]
pub fn flow(flow: &Flow, node: &str, names: &dyn NameLookup, out: &mut Vec<u8>) {
    match &flow.metadata {
        Some(metadata) if !metadata.encoded.is_empty() => out.extend_from_slice(&metadata.encoded),
        _ => Flows { node, names }.write(flow, out),
    }
}

impl<'a> Encoder<'a> {
    /// `node` is this node's name in flows, `name` or `cluster/name`; it may be empty. `names` are those of the batch.
    pub const fn new(node: &'a str, names: &'a dyn NameLookup) -> Self {
        Self { node, names }
    }

    /// A `flow.Flow` with the fields of the mask. The bytes of a flow from another Hubble server are used as they are.
    #[inline]
    pub fn flow(&self, flow: &Flow, mask: &Mask, out: &mut Vec<u8>) {
        let start = out.len();
        self::flow(flow, self.node, self.names, out);
        // A flow of another server has that server's extensions.
        if mask.has_extension() && flow.metadata.as_ref().is_none_or(|metadata| metadata.encoded.is_empty()) {
            extension::write(flow, self.names, out);
        }
        mask.apply(out, start);
    }

    /// An `observer.GetFlowsResponse`. Returns false, and appends nothing, for events of the agent and debug events.
    pub fn flows_response(&self, observed: &Observed, mask: &Mask, out: &mut Vec<u8>) -> bool {
        match observed {
            Observed::Flow(flow) => self.flow_event(flow, mask, out),
            Observed::Lost(lost) => self.lost_event(lost, out),
            Observed::Agent(_) | Observed::Debug(_) => return false,
        }
        true
    }

    /// An `observer.ExportEvent`: a line of a flow log.
    pub fn export_event(&self, observed: &Observed, mask: &Mask, out: &mut Vec<u8>) {
        match observed {
            Observed::Flow(flow) => self.flow_event(flow, mask, out),
            Observed::Lost(lost) => self.lost_event(lost, out),
            Observed::Agent(event) => {
                message(out, AGENT_EVENT, |out| events::agent(event, out));
                self.head(event.time, out);
            }
            Observed::Debug(event) => {
                message(out, DEBUG_EVENT, |out| self.debug(event, out));
                self.head(event.time, out);
            }
        }
    }

    /// An `observer.GetAgentEventsResponse`.
    pub fn agent_events_response(&self, event: &AgentEvent, out: &mut Vec<u8>) {
        message(out, 1, |out| events::agent(event, out));
        self.head(event.time, out);
    }

    /// An `observer.GetDebugEventsResponse`.
    pub fn debug_events_response(&self, event: &DebugEvent, out: &mut Vec<u8>) {
        message(out, 1, |out| self.debug(event, out));
        self.head(event.time, out);
    }

    /// Encodes a slow reader's loss as `observer.GetFlowsResponse`; `first` and `last` are the times of the first and
    /// the last loss, ns since the Unix epoch.
    pub fn overrun(&self, count: u64, first: u64, last: u64, out: &mut Vec<u8>) {
        let lost = Lost { source: LostSource::HubbleRing, cpu: None, count, time: last };
        message(out, LOST_EVENTS, |out| events::lost(&lost, first, out));
        self.head(last, out);
    }

    fn flow_event(&self, flow: &Flow, mask: &Mask, out: &mut Vec<u8>) {
        long_message(out, FLOW, |out| self.flow(flow, mask, out));
        let node = flow.metadata.as_ref().map_or("", |metadata| metadata.node_name.as_str());
        text(out, NODE_NAME, if node.is_empty() { self.node } else { node });
        time(out, TIME, flow.time);
    }

    fn lost_event(&self, lost: &Lost, out: &mut Vec<u8>) {
        message(out, LOST_EVENTS, |out| events::lost(lost, lost.time, out));
        self.head(lost.time, out);
    }

    fn debug(&self, event: &DebugEvent, out: &mut Vec<u8>) {
        events::debug(event, self.names, out);
    }

    /// The fields of every response: this node's name and a time.
    fn head(&self, at: u64, out: &mut Vec<u8>) {
        text(out, NODE_NAME, self.node);
        time(out, TIME, at);
    }
}

#[cfg(test)]
mod tests;
