//! The forms of the output, and what a message needs to be printed in each.

use eyepiece_hubble::json;
use prost::Name;

use super::time::TimeFormat;

/// The forms of the output; the help has the variants' texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Output {
    /// One line each
    #[default]
    Compact,
    /// KEY: VALUE lines each
    Dict,
    /// A line of JSON each, as the server's messages are in protobuf JSON
    #[value(alias = "jsonpb", alias = "JSON")]
    Json,
    /// Aligned columns, at the end
    #[value(alias = "tab")]
    Table,
}

/// The settings of printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PrintConfig {
    /// The form.
    pub output: Output,
    /// Form of times, except in JSON.
    pub time: TimeFormat,
    /// Print the node's name with each message.
    pub node_name: bool,
    /// Print the names of the policies that allowed or denied a flow.
    pub policy_names: bool,
    /// Print names of pods, services and hosts in place of addresses.
    pub ip_translation: bool,
    /// Colours, in the compact form and in `KEY: VALUE` lines.
    pub color: bool,
    /// Print every change of a relay's nodes, not only failures.
    pub debug: bool,
}

impl Default for PrintConfig {
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

/// Text for standard output and standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The text for standard output.
    pub out: String,
    /// The text for standard error.
    pub err: String,
}

/// A message that can be printed in each form.
pub(super) trait PrintedRow {
    /// The table's header.
    fn header(&self) -> Vec<String>;
    /// The table's cells.
    fn cells(&self) -> Vec<String>;
    /// `KEY: VALUE` lines.
    fn dict(&self, out: &mut String);
    /// One line.
    fn compact(&self, out: &mut String);
}

/// Names as cells.
pub(super) fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

pub(super) fn line_of_json(message: &impl Name, out: &mut String) {
    let start = out.len();
    if json::write(message, out).is_err() {
        // Cannot happen with a generated message; half a line would spoil what follows.
        out.truncate(start);
        return;
    }
    out.push('\n');
}
