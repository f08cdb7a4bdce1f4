//! `eyepiece observe` and `eyepiece status --hubble`: a client of any Hubble server, with the flags and the output of
//! Hubble's own command line.

mod args;
mod call;
pub(super) mod error;
mod events;
mod filters;
mod input;
pub mod print;
mod request;
mod server;
mod status;
mod stream;
mod when;

use std::io::IsTerminal as _;
use std::time::SystemTime;

use eyepiece_hubble::filter::Filters;
use eyepiece_hubble::proto::observer::{GetNamespacesRequest, GetNodesRequest};
use eyepiece_hubble::proto::peer::{ChangeNotification, NotifyRequest};
use eyepiece_hubble::terminal::safe;
use prost::Name;

use self::args::{Color, EventFlags, FlowFlags, Format, ListFlags, ListForm, Observe, Other};
use self::call::{connect, debug, run, until_stopped};
use self::events::{EventKind, EventPrinter};
use self::input::Selection;
use self::print::{Lines, PrintConfig, Printer};
use self::request::Range;
use self::server::ServerFlags;
use self::stream::{Out, Print, Stop, pump};
use super::output;
use crate::client::hubble::version;

pub(super) use self::args::ObserveFlags;
pub(super) use self::call::CliContext;
use self::error::ObserveError;
pub(super) use self::print::Output;
pub(super) use self::server::ConnectionFlags;
pub(super) use self::status::status;

/// Runs `observe` or one of its sub-commands.
pub(super) fn observe(flags: ObserveFlags, context: &CliContext<'_>) -> Result<(), ObserveError> {
    match flags.what {
        None => flows(&flags.flows, context),
        Some(Observe::Flows(flags)) => flows(&flags, context),
        Some(Observe::AgentEvents(flags)) => events(&flags, EventKind::Agent, context),
        Some(Observe::DebugEvents(flags)) => events(&flags, EventKind::Debug, context),
        Some(Observe::Nodes(flags)) => nodes(&flags, context),
        Some(Observe::Namespaces(flags)) => namespaces(&flags, context),
        Some(Observe::Peers(flags)) => peers(&flags.server, context),
    }
}

fn flows(flags: &FlowFlags, context: &CliContext<'_>) -> Result<(), ObserveError> {
    let request = request::flows(flags, SystemTime::now())?;
    if flags.print_raw_filters {
        return Ok(output::write(request::yaml(&request))?);
    }
    let mut printer = EventPrinter { printer: flow_printer(flags, context), kind: EventKind::Flows };
    if let Some(path) = &flags.other.input_file {
        let filters = Filters::compile(&request.whitelist, &request.blacklist)
            .map_err(|error| ObserveError::Usage(error.to_string()))?;
        let selection = Selection { kind: EventKind::Flows, filters };
        let range = Range::new(&flags.select, SystemTime::now(), true)?;
        return input::read(path, range, &selection, flags.other.silent_errors, &mut printer);
    }
    run(async {
        let mut stop = Stop::new()?;
        let call = async {
            let connection = connect(&flags.server, context).await?;
            debug(&flags.other, &connection, &request);
            let answer = connection.observer().get_flows(request).await.map_err(ObserveError::refused)?;
            if let Some(version) = version(answer.metadata()).filter(|_| flags.other.debug) {
                output::print_error(&format!("eyepiece: the server is {}", safe(version)));
            }
            Ok(answer.into_inner())
        };
        let Some(stream) = until_stopped(&mut stop, call).await? else { return Ok(()) };
        pump(stream, &mut stop, &mut Out::new(flags.other.silent_errors), &mut printer).await
    })
}

fn flow_printer(flags: &FlowFlags, context: &CliContext<'_>) -> Printer {
    let color = match flags.flow_format.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::io::stdout().is_terminal() && (context.variables)("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    Printer::new(PrintConfig {
        policy_names: flags.flow_format.print_policy_names,
        ip_translation: flags.flow_format.ip_translation && !flags.flow_format.numeric,
        color,
        ..print_config(&flags.format, &flags.other)
    })
}

fn print_config(format: &Format, other: &Other) -> PrintConfig {
    PrintConfig {
        output: format.output,
        time: format.time_format,
        node_name: format.print_node_name,
        debug: other.debug,
        ..PrintConfig::default()
    }
}

fn events(flags: &EventFlags, kind: EventKind, context: &CliContext<'_>) -> Result<(), ObserveError> {
    let range = Range::new(&flags.select, SystemTime::now(), flags.other.input_file.is_some())?;
    request::check_table(range.follow, flags.format.output)?;
    let mut printer = EventPrinter { printer: Printer::new(print_config(&flags.format, &flags.other)), kind };
    if let Some(path) = &flags.other.input_file {
        let selection = Selection { kind, filters: Filters::default() };
        return input::read(path, range, &selection, flags.other.silent_errors, &mut printer);
    }
    run(async {
        let (mut stop, mut out) = (Stop::new()?, Out::new(flags.other.silent_errors));
        let connection = until_stopped(&mut stop, connect(&flags.server, context)).await?;
        let Some(connection) = connection else { return Ok(()) };
        debug(&flags.other, &connection, &range);
        let mut client = connection.observer();
        if kind == EventKind::Agent {
            let call = async { client.get_agent_events(range.agent_events()).await.map_err(ObserveError::refused) };
            let Some(answer) = until_stopped(&mut stop, call).await? else { return Ok(()) };
            pump(answer.into_inner(), &mut stop, &mut out, &mut printer).await
        } else {
            let call = async { client.get_debug_events(range.debug_events()).await.map_err(ObserveError::refused) };
            let Some(answer) = until_stopped(&mut stop, call).await? else { return Ok(()) };
            pump(answer.into_inner(), &mut stop, &mut out, &mut printer).await
        }
    })
}

fn nodes(flags: &ListFlags, context: &CliContext<'_>) -> Result<(), ObserveError> {
    let answer = run(async {
        let connection = connect(&flags.server, context).await?;
        connection.observer().get_nodes(GetNodesRequest {}).await.map_err(ObserveError::refused)
    })?;
    let mut nodes = answer.into_inner().nodes;
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(output::write(list(&nodes, flags.output, print::status::nodes))?)
}

fn namespaces(flags: &ListFlags, context: &CliContext<'_>) -> Result<(), ObserveError> {
    let answer = run(async {
        let connection = connect(&flags.server, context).await?;
        connection.observer().get_namespaces(GetNamespacesRequest {}).await.map_err(ObserveError::refused)
    })?;
    Ok(output::write(list(&answer.into_inner().namespaces, flags.output, print::status::namespaces))?)
}

fn list<M: Name>(messages: &[M], form: ListForm, table: impl Fn(&[M], bool) -> String) -> String {
    match form {
        ListForm::Table => table(messages, false),
        ListForm::Wide => table(messages, true),
        ListForm::Json => print::status::json_list(messages),
    }
}

fn peers(flags: &ServerFlags, context: &CliContext<'_>) -> Result<(), ObserveError> {
    struct Peers;
    impl Print<ChangeNotification> for Peers {
        fn print(&mut self, message: &ChangeNotification, lines: &mut Lines) {
            lines.out.push_str(&print::status::peer(message));
        }

        fn finish(&mut self, _lines: &mut Lines) {}
    }
    run(async {
        let mut stop = Stop::new()?;
        let call = async {
            let connection = connect(flags, context).await?;
            connection.peers().notify(NotifyRequest {}).await.map_err(ObserveError::refused)
        };
        let Some(answer) = until_stopped(&mut stop, call).await? else { return Ok(()) };
        pump(answer.into_inner(), &mut stop, &mut Out::new(false), &mut Peers).await
    })
}
