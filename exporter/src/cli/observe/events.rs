//! Prints messages of one kind, from a stream or a file.

use eyepiece_hubble::proto::observer::export_event::ResponseTypes as Exported;
use eyepiece_hubble::proto::observer::get_flows_response::ResponseTypes;
use eyepiece_hubble::proto::observer::{ExportEvent, GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsResponse};

use super::print::{Lines, Printer};
use super::stream::Print;

/// The kind of the observed events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    Flows,
    Agent,
    Debug,
}

/// Prints messages of its kind, and ignores others.
pub(super) struct EventPrinter {
    pub(super) printer: Printer,
    pub(super) kind: EventKind,
}

/// Prints one type of messages by a method of [`Printer`].
macro_rules! print_by {
    ($($message:ty => $method:ident),+) => {$(
        impl Print<$message> for EventPrinter {
            fn print(&mut self, message: &$message, lines: &mut Lines) {
                self.printer.$method(message, lines);
            }

            fn finish(&mut self, lines: &mut Lines) {
                self.printer.finish(lines);
            }
        }
    )+};
}

print_by!(GetFlowsResponse => flows, GetAgentEventsResponse => agent_event, GetDebugEventsResponse => debug_event);

impl Print<ExportEvent> for EventPrinter {
    fn print(&mut self, message: &ExportEvent, lines: &mut Lines) {
        let (node_name, time) = (message.node_name.clone(), message.time);
        let response_types = match (self.kind, message.response_types.clone()) {
            (EventKind::Flows, Some(Exported::Flow(flow))) => ResponseTypes::Flow(flow),
            (EventKind::Flows, Some(Exported::NodeStatus(status))) => ResponseTypes::NodeStatus(status),
            (EventKind::Flows, Some(Exported::LostEvents(lost))) => ResponseTypes::LostEvents(lost),
            (EventKind::Agent, Some(Exported::AgentEvent(event))) => {
                let response = GetAgentEventsResponse { agent_event: Some(event), node_name, time };
                return self.printer.agent_event(&response, lines);
            }
            (EventKind::Debug, Some(Exported::DebugEvent(event))) => {
                let response = GetDebugEventsResponse { debug_event: Some(event), node_name, time };
                return self.printer.debug_event(&response, lines);
            }
            _ => return,
        };
        self.printer.flows(&GetFlowsResponse { node_name, time, response_types: Some(response_types) }, lines);
    }

    fn finish(&mut self, lines: &mut Lines) {
        self.printer.finish(lines);
    }
}
