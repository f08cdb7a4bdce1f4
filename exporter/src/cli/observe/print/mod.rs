//! Texts of the API's messages as Hubble's command line prints them: pure functions of a message, and the few things that
//! a stream needs remembered.

mod agent;
mod debug;
mod flow;
mod names;
mod node;

pub mod status;
mod table;
mod time;

#[cfg(test)]
mod tests;

use eyepiece_hubble::json;
use eyepiece_hubble::proto::flow::LostEvent;
use eyepiece_hubble::proto::observer::get_flows_response::ResponseTypes;
use eyepiece_hubble::proto::observer::{GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsResponse};
use prost::Name;

pub use names::{event_type, identity, identity_names, observation_point};
pub use time::TimeFormat;

use crate::support::paint::Paint;
use table::Table;

/// How messages are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Output {
    /// A line each.
    #[default]
    Compact,
    /// `KEY: VALUE` lines each.
    Dict,
    /// A line of JSON each.
    Json,
    /// Aligned columns, all at the end.
    Table,
}

/// What is printed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// The form.
    pub output: Output,
    /// Times in all forms but JSON.
    pub time: TimeFormat,
    /// The node's name with each message.
    pub node_name: bool,
    /// Names of the policies that allowed or denied a flow.
    pub policy_names: bool,
    /// Names of pods, services and hosts in place of addresses.
    pub ip_translation: bool,
    /// Colours, in the compact form and in `KEY: VALUE` lines.
    pub color: bool,
    /// Whatever a relay tells of its nodes, not only troubles.
    pub debug: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            output: Output::default(),
            time: TimeFormat::default(),
            node_name: false,
            policy_names: false,
            ip_translation: true,
            color: false,
            debug: false,
        }
    }
}

/// What is to be written to standard output and to standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub err: String,
}

/// Between two `KEY: VALUE` messages.
const SEPARATOR: &str = "------------\n";

/// Prints one stream.
#[derive(Debug)]
pub struct Printer {
    options: Options,
    paint: Paint,
    table: Table,
    /// Whether something was printed: the next message needs a separator.
    is_behind: bool,
}

impl Printer {
    /// Nothing is printed yet.
    pub fn new(options: Options) -> Self {
        // Colours would take part in a table's widths.
        let paint = Paint(options.color && options.output != Output::Table);
        Self { options, paint, table: Table::default(), is_behind: false }
    }

    /// A flow, what a relay tells of a node, or a loss.
    pub fn flows(&mut self, response: &GetFlowsResponse, lines: &mut Lines) {
        match &response.response_types {
            Some(ResponseTypes::Flow(flow)) => {
                if self.options.output == Output::Json {
                    return line_of_json(response, &mut lines.out);
                }
                let row = flow::Row::new(flow, &self.options, self.paint);
                self.print(&row, lines);
            }
            Some(ResponseTypes::LostEvents(lost)) => {
                if self.options.output == Output::Json {
                    return line_of_json(response, &mut lines.out);
                }
                self.lost(lost, lines);
            }
            Some(ResponseTypes::NodeStatus(status)) => {
                if !(self.options.debug || node::is_trouble(status)) {
                    return;
                }
                match self.options.output {
                    Output::Json => line_of_json(response, &mut lines.err),
                    Output::Dict => {
                        // Streams that are read together stay apart.
                        self.separate(&mut lines.out);
                        node::dict(response, status, self.options.time, &mut lines.err);
                    }
                    Output::Compact | Output::Table => {
                        node::line(response, status, self.options.time, &mut lines.err);
                    }
                }
            }
            // A field mask that leaves nothing, or a kind that is newer than we are: in JSON it is seen as it is.
            None if self.options.output == Output::Json => line_of_json(response, &mut lines.out),
            None => {}
        }
    }

    /// An event of the agent.
    pub fn agent_event(&mut self, response: &GetAgentEventsResponse, lines: &mut Lines) {
        if self.options.output == Output::Json {
            return line_of_json(response, &mut lines.out);
        }
        self.print(&agent::Row::new(response, &self.options), lines);
    }

    /// A debug message of the datapath.
    pub fn debug_event(&mut self, response: &GetDebugEventsResponse, lines: &mut Lines) {
        if self.options.output == Output::Json {
            return line_of_json(response, &mut lines.out);
        }
        self.print(&debug::Row::new(response, &self.options), lines);
    }

    /// What was held back: the table.
    pub fn finish(&mut self, lines: &mut Lines) {
        self.table.write(&mut lines.out);
    }

    fn print(&mut self, row: &impl Printed, lines: &mut Lines) {
        match self.options.output {
            Output::Table => {
                if !self.is_behind {
                    self.table.push(row.header(), &mut lines.out);
                }
                self.table.push(row.cells(), &mut lines.out);
                self.is_behind = true;
            }
            Output::Dict => {
                self.separate(&mut lines.out);
                row.dict(&mut lines.out);
            }
            Output::Compact | Output::Json => row.compact(&mut lines.out),
        }
    }

    fn separate(&mut self, out: &mut String) {
        if std::mem::replace(&mut self.is_behind, true) {
            out.push_str(SEPARATOR);
        }
    }

    fn lost(&mut self, lost: &LostEvent, lines: &mut Lines) {
        self.print(&flow::Loss { lost, node_name: self.options.node_name }, lines);
    }
}

/// A message that can be printed in each form.
trait Printed {
    /// The table's header.
    fn header(&self) -> Vec<String>;
    /// The table's cells.
    fn cells(&self) -> Vec<String>;
    /// `KEY: VALUE` lines.
    fn dict(&self, out: &mut String);
    /// One line.
    fn compact(&self, out: &mut String);
}

/// Headers as cells.
fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn line_of_json(message: &impl Name, out: &mut String) {
    let start = out.len();
    if json::write(message, out).is_err() {
        // Not with a generated message; a half line would spoil what follows.
        out.truncate(start);
        return;
    }
    out.push('\n');
}
