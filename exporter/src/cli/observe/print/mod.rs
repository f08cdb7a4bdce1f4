//! Prints the API's messages as Hubble's command line does.

mod agent;
mod debug;
mod flow;
mod form;
mod names;
mod node;
pub mod status;
mod table;
mod time;

#[cfg(test)]
mod tests;

use eyepiece_hubble::proto::observer::get_flows_response::ResponseTypes;
use eyepiece_hubble::proto::observer::{GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsResponse};

use self::form::{PrintedRow, line_of_json};
use self::table::Table;
use crate::support::paint::Paint;

pub use self::form::{Lines, Output, PrintConfig};
pub use self::names::{event_type, identity, identity_names, observation_point};
pub use self::time::TimeFormat;

/// Between two `KEY: VALUE` messages.
const SEPARATOR: &str = "------------\n";

/// Prints one stream of messages.
#[derive(Debug)]
pub struct Printer {
    config: PrintConfig,
    paint: Paint,
    table: Table,
    /// Whether the next message needs a separator before it, or no header.
    has_printed: bool,
}

impl Printer {
    /// A printer at the start of a stream.
    pub fn new(config: PrintConfig) -> Self {
        // Colours would count for a table's widths.
        let paint = Paint(config.color && config.output != Output::Table);
        Self { config, paint, table: Table::default(), has_printed: false }
    }

    /// Prints a flow, the state of a relay's nodes, or a loss.
    pub fn flows(&mut self, response: &GetFlowsResponse, lines: &mut Lines) {
        match &response.response_types {
            Some(ResponseTypes::Flow(flow)) => {
                if self.config.output == Output::Json {
                    return line_of_json(response, &mut lines.out);
                }
                let row = flow::Row::new(flow, &self.config, self.paint);
                self.print(&row, lines);
            }
            Some(ResponseTypes::LostEvents(lost)) => {
                if self.config.output == Output::Json {
                    return line_of_json(response, &mut lines.out);
                }
                self.print(&flow::Loss { lost, node_name: self.config.node_name }, lines);
            }
            Some(ResponseTypes::NodeStatus(status)) => {
                if !(self.config.debug || node::is_failure(status)) {
                    return;
                }
                match self.config.output {
                    Output::Json => line_of_json(response, &mut lines.err),
                    Output::Dict => {
                        // Also between messages of standard output and standard error.
                        self.separate(&mut lines.out);
                        node::dict(response, status, self.config.time, &mut lines.err);
                    }
                    Output::Compact | Output::Table => {
                        node::line(response, status, self.config.time, &mut lines.err);
                    }
                }
            }
            // A field mask that leaves nothing, or an unknown kind: JSON shows it as it is.
            None if self.config.output == Output::Json => line_of_json(response, &mut lines.out),
            None => {}
        }
    }

    /// Prints an event of the agent.
    pub fn agent_event(&mut self, response: &GetAgentEventsResponse, lines: &mut Lines) {
        if self.config.output == Output::Json {
            return line_of_json(response, &mut lines.out);
        }
        self.print(&agent::Row::new(response, &self.config), lines);
    }

    /// Prints a debug message of the datapath.
    pub fn debug_event(&mut self, response: &GetDebugEventsResponse, lines: &mut Lines) {
        if self.config.output == Output::Json {
            return line_of_json(response, &mut lines.out);
        }
        self.print(&debug::Row::new(response, &self.config), lines);
    }

    /// Prints the table, which is held back until the end.
    pub fn finish(&mut self, lines: &mut Lines) {
        self.table.write(&mut lines.out);
    }

    fn print(&mut self, row: &impl PrintedRow, lines: &mut Lines) {
        match self.config.output {
            Output::Table => {
                if !self.has_printed {
                    self.table.push(row.header(), &mut lines.out);
                }
                self.table.push(row.cells(), &mut lines.out);
                self.has_printed = true;
            }
            Output::Dict => {
                self.separate(&mut lines.out);
                row.dict(&mut lines.out);
            }
            Output::Compact | Output::Json => row.compact(&mut lines.out),
        }
    }

    fn separate(&mut self, out: &mut String) {
        if std::mem::replace(&mut self.has_printed, true) {
            out.push_str(SEPARATOR);
        }
    }
}
