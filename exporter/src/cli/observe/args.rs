//! The flags of `eyepiece observe`, by their names in Hubble's command line.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Subcommand, ValueEnum};

use super::filters::FilterFlags;
use super::print::{Output, TimeFormat};
use super::server::ServerFlags;

const EXAMPLES: &str = "\
Examples:
  eyepiece observe                                         the last 20 flows of the eyepiece on this machine
  eyepiece observe -f --verdict DROPPED                    drops as they happen, until Ctrl-C
  eyepiece observe --since 5m --pod shop/cart -o json      five minutes of a pod, as JSON
  eyepiece observe --from-ip 10.1.0.0/16 --to-port 443     both must be so: one end each
  eyepiece observe --port 80 --port 443                    one of both: the same flag again
  eyepiece observe --not --port 53 --not --namespace dev   neither of them
  eyepiece observe -t drop -t trace:to-endpoint            drops, and packets that reach an endpoint
  eyepiece observe --all -o json > flows.json              what the server holds
  eyepiece observe --input-file flows.json -o dict         such a file again, as text
  eyepiece observe --server tls://relay:443 --tls-ca-cert-files ca.pem
  eyepiece observe agent-events -f --server /var/run/cilium/hubble.sock

Filters:
  The same flag again: one of its values must match. Different flags: all must. --pod, --ip and the like mean either end.
  --not inverts the next flag: a flow is left out if all the flags after a --not match it.

Server, the first that is set:
  --server, the variable HUBBLE_SERVER (with HUBBLE_TLS, HUBBLE_TLS_SERVER_NAME … as for Hubble's command line), else
  hubble.listen of eyepiece's own configuration.

Losses are printed among the flows (EVENTS LOST); a relay's reports of unreachable nodes go to standard error.";

/// The arguments of `observe`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, args_override_self = true, after_long_help = EXAMPLES)]
pub(in crate::cli) struct ObserveFlags {
    #[command(subcommand)]
    pub(super) what: Option<Observe>,
    #[command(flatten)]
    pub(super) flows: FlowFlags,
}

/// The sub-commands of `observe`.
#[derive(Debug, Subcommand)]
pub(super) enum Observe {
    /// Flows: the same as `observe` alone
    #[command(args_override_self = true, after_long_help = EXAMPLES)]
    Flows(Box<FlowFlags>),
    /// Events of the agent: policies, endpoints, addresses, services
    #[command(args_override_self = true)]
    AgentEvents(EventFlags),
    /// Debug messages of the datapath
    #[command(args_override_self = true)]
    DebugEvents(EventFlags),
    /// Nodes that a relay knows (`hubble list nodes`)
    #[command(alias = "node")]
    Nodes(ListFlags),
    /// Namespaces with recent flows (`hubble list namespaces`)
    Namespaces(ListFlags),
    /// Nodes that come and go, as a server notifies relays of them, until Ctrl-C (`hubble watch peers`)
    #[command(alias = "peer")]
    Peers(PeerFlags),
}

/// Flags of flows.
#[derive(Debug, clap::Args)]
pub(super) struct FlowFlags {
    #[command(flatten)]
    pub(super) select: Selectors,
    #[command(flatten)]
    pub(super) filters: FilterFlags,
    /// Filters as JSON (flow.FlowFilter), one of which must match; may be repeated
    #[arg(long, value_name = "JSON", help_heading = "Raw filters")]
    pub(super) allowlist: Vec<String>,
    /// Filters as JSON, none of which may match; may be repeated
    #[arg(long, value_name = "JSON", help_heading = "Raw filters")]
    pub(super) denylist: Vec<String>,
    /// Print the filters that would be sent, as YAML, and send nothing
    #[arg(long, help_heading = "Raw filters")]
    pub(super) print_raw_filters: bool,
    #[command(flatten)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) flow_format: FlowFormat,
    #[command(flatten)]
    pub(super) server: ServerFlags,
    #[command(flatten)]
    pub(super) other: Other,
    /// Fields of a flow that the server sends, separated by commas; -o json only
    #[arg(
        long,
        value_name = "FIELDS",
        value_delimiter = ',',
        alias = "experimental-field-mask",
        help_heading = "Other"
    )]
    pub(super) field_mask: Vec<String>,
    /// Have the server send only what is printed, except with -o json
    #[arg(long, alias = "experimental-use-default-field-masks", help_heading = "Other")]
    pub(super) use_default_field_masks: bool,
}

/// Flags of agent and debug events.
#[derive(Debug, clap::Args)]
pub(super) struct EventFlags {
    #[command(flatten)]
    pub(super) select: Selectors,
    #[command(flatten)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) server: ServerFlags,
    #[command(flatten)]
    pub(super) other: Other,
}

/// Flags that select messages.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Selectors")]
pub(super) struct Selectors {
    /// Everything that the server holds
    #[arg(long, conflicts_with_all = ["first", "last"])]
    pub(super) all: bool,
    /// The newest N [default: 20], or with --since the first N from then on; a relay gives N of each node
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) last: u64,
    /// The oldest N; a relay gives N of each node
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) first: u64,
    /// Follow new messages, until Ctrl-C
    #[arg(long, short)]
    pub(super) follow: bool,
    /// From this time on: an age such as 30s or 1h30m, a date, RFC 3339 or RFC 1123
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Up to this time; --follow goes on
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
}

/// Flags of the output.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Format {
    /// Form of the output
    #[arg(long, short, value_name = "FORM", value_enum, default_value_t = Output::Compact)]
    pub(super) output: Output,
    /// The node's name with each
    #[arg(long)]
    pub(super) print_node_name: bool,
    /// Form of times, in UTC; not in JSON
    #[arg(long, value_name = "FORM", default_value = "StampMilli", ignore_case = true, value_parser = times())]
    pub(super) time_format: TimeFormat,
}

fn times() -> impl clap::builder::TypedValueParser<Value = TimeFormat> {
    let names = PossibleValuesParser::new(TimeFormat::ALL.map(|(name, _)| name));
    names.map(|name| {
        let known = TimeFormat::ALL.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
        known.map(|(_, format)| format).unwrap_or_default()
    })
}

/// Flags of the output of flows.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct FlowFormat {
    /// Names of the policies that allowed or denied a flow
    #[arg(long)]
    pub(super) print_policy_names: bool,
    /// Addresses in place of names; the same as --ip-translation=false
    #[arg(long)]
    pub(super) numeric: bool,
    /// Names of pods, services and hosts in place of addresses
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_possible_values = true)]
    pub(super) ip_translation: bool,
    /// Colours, in the forms compact and dict
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(super) color: Color,
}

/// The use of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// If standard output is a terminal, and NO_COLOR is not set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Further flags.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Other")]
pub(super) struct Other {
    /// Read this file in place of a server: lines of JSON, as -o json and Hubble's exporter write them; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(super) input_file: Option<PathBuf>,
    /// Print nothing about nodes and broken lines on standard error
    #[arg(long, short)]
    pub(super) silent_errors: bool,
    /// Print requests, and every change of a relay's nodes
    #[arg(long, short = 'D')]
    pub(super) debug: bool,
}

/// Flags of lists.
#[derive(Debug, clap::Args)]
pub(super) struct ListFlags {
    /// Form of the output
    #[arg(long, short, value_name = "FORM", value_enum, default_value_t = ListForm::Table)]
    pub(super) output: ListForm,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// Flags of `peers`.
#[derive(Debug, clap::Args)]
pub(super) struct PeerFlags {
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// The forms of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListForm {
    /// Aligned columns
    Table,
    /// More columns
    Wide,
    /// JSON
    Json,
}
