//! The commands and flags of the command line, with their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use eyepiece_config::{Aggregation, LogLevel, Protocol, Set};

use super::observe::{ConnectionFlags, ObserveFlags, Output};
use crate::app::record::RecordConfig;
use crate::recording::MIN_BYTES;

const AFTER_HELP: &str = "\
Examples:
  eyepiece demo                                    made-up hosts and traffic, flows and metrics in the terminal
  eyepiece run --protocol stdout                   flows of this machine as readable lines, nothing is sent
  eyepiece run --endpoint http://collector:4317    metrics and logs to an OpenTelemetry collector
  eyepiece run --set datapath.capture_bytes=256    any key of the configuration
  eyepiece record --raw events.eyepiece -d 30s     what the source delivers, in a file to replay
  eyepiece run --set source.kind=replay --set replay.path=events.eyepiece --set replay.speed=0
  eyepiece config reference > config.toml          every key with its default and meaning
  eyepiece config check --config config.toml       every mistake at once
  eyepiece status                                  what the running eyepiece received, lost and exported
  eyepiece observe -f --verdict DROPPED            drops as they happen, of this or any other Hubble server

Settings, the later ones win:
  built-in defaults
  OTEL_* variables        OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME …
  the file                --config FILE, else /etc/eyepiece/config.toml if it is there
  EYEPIECE_* variables    __ between levels: EYEPIECE_OTLP__ENDPOINT, EYEPIECE_LOG__LEVEL
  flags                   --set KEY=VALUE, then those of `run`

Exit codes:
  0 clean, 1 failed, 64 usage, 77 missing privilege (it is named), 78 configuration";

/// OpenTelemetry-native exporter of network flows
///
/// Watches the packets of this machine's containers and uplinks in the kernel, and exports what it sees as OpenTelemetry
/// metrics and logs: the ends of each flow, how much they send, and what is dropped for which reason.
#[derive(Debug, Parser)]
#[command(name = "eyepiece", version, after_long_help = AFTER_HELP, after_help = "More: eyepiece --help")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Flags of every command that reads settings, before or after its name. Not clap's `global`: if a flag is given in both
/// places it keeps only the inner values, and settings would be lost silently.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Global {
    /// File with settings [default: /etc/eyepiece/config.toml, if it is there]
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Sets a key of the configuration, over file and variables; may be repeated
    #[arg(long = "set", short, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) set: Vec<(String, String)>,
}

impl Global {
    /// Adds the flags after the sub-command, which override those before it.
    pub(super) fn then(mut self, inner: Self) -> Self {
        self.set.extend(inner.set);
        Self { config: inner.config.or(self.config), set: self.set }
    }
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Watch this machine and export what is seen, until INT or TERM
    ///
    /// Needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; with another source.kind than datapath no
    /// privilege. The first INT or TERM delivers what is queued, for at most node.drain, and leaves; a second one leaves
    /// at once. A replay ends by itself at the end of its file: what is queued is delivered, and the exit code is 0.
    Run(RunFlags),
    /// Check the configuration, print what is in force, or print every key
    Config {
        #[command(flatten)]
        global: Global,
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Show the state of the running eyepiece: hooks, received, lost, exported, dropped
    ///
    /// With --hubble, the state of a Hubble server, eyepiece's, Cilium's or a relay: whether it is healthy, how many flows
    /// it holds, and which nodes it reaches.
    Status(Box<StatusFlags>),
    /// Show what the running eyepiece knows of an address or a name, and from which provider
    ///
    /// An address: the endpoint that has it, and every entry that can name it, in the order in which flows use them. A name
    /// (of a container, pod, workload, unit, service, a DNS name or a label): what leads to it. A name that nothing has
    /// exactly is searched as a part. The exit code is 1 if no provider has an entry.
    ///
    /// Examples:
    ///   eyepiece lookup 10.0.0.7
    ///   eyepiece lookup shop/web-1
    #[command(verbatim_doc_comment)]
    Lookup(LookupFlags),
    /// Show flows and events of a Hubble server: eyepiece's own, Cilium's, or Hubble Relay
    ///
    /// The flags and the output are those of `hubble observe`. Without a server's address, those of the eyepiece
    /// on this machine.
    Observe(Box<ObserveFlags>),
    /// Write what the source delivers to a file, until INT or TERM, for source.kind = "replay" and for bug reports
    ///
    /// Every event with its time and CPU, what the source lost, and the names that belong to it; not the agent
    /// notifications that eyepiece makes itself. Nothing is exported or served unless --export is given. The file holds
    /// the first bytes of packets: only its owner may read it. A file that was cut short, even by a crash, can be played
    /// up to there. The last line of output counts what was written and what was lost. The first INT or TERM ends it,
    /// within node.drain; a second one leaves at once. Needs the privileges of `run`.
    Record(RecordFlags),
    /// Make hosts in network namespaces, let them talk, and show what is seen
    ///
    /// Three hosts behind a node: a client, a web server and a name server. They talk over TCP, UDP, ICMP and IPv6, and
    /// some of it is dropped: by a firewall rule, at a closed port, without a route. `eyepiece run` watches the node
    /// and sends by OTLP to a receiver in the demo, which writes each flow as it arrives, then the metrics.
    ///
    /// Needs root and no other program. The machine's own interfaces are left alone, nothing is sent anywhere, and
    /// nothing stays: hosts, links and the rule are removed when it ends, however it ends.
    Demo(DemoFlags),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print a man page
    Man {
        /// The sub-command to document [default: the program]
        #[arg(value_name = "COMMAND")]
        names: Vec<String>,
    },
}

/// The sub-commands of `config`.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Report every mistake, each with its key and origin; exit code 78 if there is one
    Check(Global),
    /// Print the settings in force and where they come from; secrets are hidden
    Print(Global),
    /// Print every key with its default and meaning, as a commented TOML file
    Reference,
}

/// The most common settings.
#[derive(Debug, Default, clap::Args)]
pub(super) struct RunFlags {
    #[command(flatten)]
    pub(super) global: Global,
    /// Receiver of metrics and logs (otlp.endpoint)
    #[arg(long, short, value_name = "URL")]
    endpoint: Option<String>,
    /// Protocol of the receiver (otlp.protocol)
    #[arg(long, short, value_name = "PROTOCOL", value_parser = words(Protocol::NAMES))]
    protocol: Option<String>,
    /// With --protocol stdout: print a table of the metrics too (otlp.metrics.table)
    #[arg(long)]
    table: bool,
    /// When a packet becomes an event (datapath.aggregation)
    #[arg(long, short, value_name = "LEVEL", value_parser = words(Aggregation::NAMES))]
    aggregation: Option<String>,
    /// Interfaces to watch, as patterns with * and ? (datapath.interfaces.include); may be repeated
    #[arg(long, short, value_name = "PATTERN")]
    interface: Vec<String>,
    /// The least severe messages of the log (log.level)
    #[arg(long, short, value_name = "LEVEL", value_parser = words(LogLevel::NAMES))]
    log_level: Option<String>,
}

impl RunFlags {
    pub(super) fn flags(&self) -> Vec<Set> {
        let interfaces = (!self.interface.is_empty()).then(|| self.interface.join(","));
        let table = self.table.then(|| "true".to_owned());
        [
            ("--endpoint", "otlp.endpoint", &self.endpoint),
            ("--protocol", "otlp.protocol", &self.protocol),
            ("--table", "otlp.metrics.table", &table),
            ("--aggregation", "datapath.aggregation", &self.aggregation),
            ("--interface", "datapath.interfaces.include", &interfaces),
            ("--log-level", "log.level", &self.log_level),
        ]
        .into_iter()
        .filter_map(|(flag, key, value)| Some(set(flag, key, value.as_ref()?)))
        .collect()
    }
}

/// Flags of `record`.
#[derive(Debug, clap::Args)]
pub(super) struct RecordFlags {
    #[command(flatten)]
    pub(super) global: Global,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub(super) raw: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub(super) force: bool,
    /// How long to record, such as 30s or 5m
    #[arg(long, short, value_name = "DURATION", value_parser = duration)]
    pub(super) duration: Option<Duration>,
    /// Stop before the file becomes longer than this, such as 100MiB; at least 4KiB
    #[arg(long, short, value_name = "SIZE", value_parser = limit)]
    pub(super) max_bytes: Option<u64>,
    /// Export meanwhile too, and serve the admin endpoint, monitor.socket and hubble.listen, as `run` does
    #[arg(long)]
    pub(super) export: bool,
}

impl RecordFlags {
    pub(super) fn config(self) -> RecordConfig {
        let Self { raw: file, force, duration, max_bytes, export, .. } = self;
        RecordConfig { file, force, duration, max_bytes, export }
    }
}

/// A duration above zero.
fn duration(text: &str) -> Result<Duration, String> {
    match eyepiece_config::parse_duration(text)? {
        Duration::ZERO => Err("expected a duration above zero".to_owned()),
        duration => Ok(duration),
    }
}

/// A size with room for a recording.
fn limit(text: &str) -> Result<u64, String> {
    match eyepiece_config::parse_size(text)? {
        bytes @ MIN_BYTES.. => Ok(bytes),
        _ => Err(format!("expected at least {}KiB, for a recording's head and an event", MIN_BYTES >> 10)),
    }
}

/// Flags of the demo.
#[derive(Debug, clap::Args)]
pub(super) struct DemoFlags {
    #[command(flatten)]
    pub(super) global: Global,
    /// How long the hosts talk; each does everything at least once
    #[arg(long, short = 't', value_name = "SECONDS", default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) seconds: u64,
}

/// The server to ask, and the form of its state.
#[derive(Debug, clap::Args)]
pub(super) struct StatusFlags {
    #[command(flatten)]
    pub(super) global: Global,
    /// Print the JSON document instead of the report
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) address: AddressFlag,
    /// Ask a Hubble server [default: HUBBLE_SERVER, else hubble.listen of the configuration]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "", conflicts_with = "address")]
    pub(super) hubble: Option<String>,
    /// Form of a Hubble server's status
    #[arg(long, short, value_name = "FORM", value_enum, requires = "hubble", help_heading = "Server")]
    pub(super) output: Option<Output>,
    #[command(flatten)]
    pub(super) connection: ConnectionFlags,
}

/// The arguments of `lookup`.
#[derive(Debug, clap::Args)]
pub(super) struct LookupFlags {
    #[command(flatten)]
    pub(super) global: Global,
    /// The address or name
    #[arg(value_name = "ADDRESS|NAME")]
    pub(super) query: String,
    /// Print the JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) address: AddressFlag,
}

/// The address of the running eyepiece.
#[derive(Debug, Default, clap::Args)]
pub(super) struct AddressFlag {
    /// Address of the running eyepiece (admin.listen)
    #[arg(long, short, value_name = "IP:PORT")]
    address: Option<String>,
}

impl AddressFlag {
    pub(super) fn flags(&self) -> Vec<Set> {
        self.address.iter().map(|address| set("--address", "admin.listen", address)).collect()
    }
}

fn set(flag: &str, key: &str, value: &str) -> Set {
    Set { origin: flag.to_owned(), key: key.to_owned(), value: value.to_owned() }
}

fn words(names: &'static [&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(names)
}

/// Splits `key=value`; the configuration checks both.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as otlp.endpoint=http://collector:4317".to_owned()),
    }
}
