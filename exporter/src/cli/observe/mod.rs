//! `eyepiece observe`, and what `eyepiece status --hubble` asks: a client of any Hubble server, with the flags and the
//! output of Hubble's own command line.

mod args;
mod filters;
mod input;
pub mod print;
mod request;
mod server;
mod status;
mod stream;
mod when;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::SystemTime;

use eyepiece_config::{ConfigError, Hubble};
use eyepiece_hubble::filter::Filters;
use eyepiece_hubble::proto::observer::export_event::ResponseTypes as Exported;
use eyepiece_hubble::proto::observer::get_flows_response::ResponseTypes;
use eyepiece_hubble::proto::observer::{
    ExportEvent, GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsResponse, GetNamespacesRequest,
    GetNodesRequest,
};
use eyepiece_hubble::proto::peer::{ChangeNotification, NotifyRequest};
use eyepiece_hubble::terminal::safe;
use prost::Name;
use tokio::runtime;

use super::output;
use crate::cli::observe::print::{Lines, Printer};
use crate::client::hubble::{ClientError, Connection, broke, told, version};
use args::{Color, EventFlags, FlowFlags, Format, ListFlags, ListForm, Observe, Other};
use input::Wanted;
use request::Range;
use server::{ServerFlags, Variables};
use stream::{Out, Print, Stop, pump};

pub(super) use args::{Form, ObserveFlags};
pub(super) use server::ConnectionFlags;
pub(super) use status::status;

/// Why observing failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ObserveError {
    /// Flags that say nothing, or do not go together.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("hubble.listen is empty, so there is no server to ask; set it, or use --server")]
    NoServer,
    #[error(transparent)]
    Client(#[from] ClientError),
    /// How the call ended.
    #[error("{0}")]
    Call(String),
    #[error("{}: {source}", path.display())]
    Input { path: PathBuf, source: std::io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
    #[error("the server is not healthy: {0}")]
    Unhealthy(&'static str),
}

/// What is around the command.
pub(super) struct Surroundings<'a> {
    /// The variables `HUBBLE_…`.
    pub(super) variables: Variables<'a>,
    /// Our own server's settings, read only where nobody names another.
    pub(super) hubble: &'a dyn Fn() -> Result<Hubble, ConfigError>,
}

/// Observes what the flags say.
pub(super) fn observe(flags: ObserveFlags, around: &Surroundings<'_>) -> Result<(), ObserveError> {
    match flags.what {
        None => flows(&flags.flows, around),
        Some(Observe::Flows(flags)) => flows(&flags, around),
        Some(Observe::AgentEvents(flags)) => events(&flags, Kind::Agent, around),
        Some(Observe::DebugEvents(flags)) => events(&flags, Kind::Debug, around),
        Some(Observe::Nodes(flags)) => nodes(&flags, around),
        Some(Observe::Namespaces(flags)) => namespaces(&flags, around),
        Some(Observe::Peers(flags)) => peers(&flags.server, around),
    }
}

/// Runs a call; what nobody takes any more is left behind.
fn run<T>(call: impl Future<Output = Result<T, ObserveError>>) -> Result<T, ObserveError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(ObserveError::Runtime)?;
    let result = runtime.block_on(call);
    // A write that waits for a reader must not keep us.
    runtime.shutdown_background();
    result
}

async fn connect(flags: &ServerFlags, around: &Surroundings<'_>) -> Result<Connection, ObserveError> {
    let address = match server::said(flags.server.as_deref(), around.variables)? {
        Some(address) => address,
        None => server::own(&(around.hubble)()?)?,
    };
    Ok(Connection::open(address, &flags.connection.options(around.variables)?).await?)
}

fn flows(flags: &FlowFlags, around: &Surroundings<'_>) -> Result<(), ObserveError> {
    let request = request::flows(flags, SystemTime::now())?;
    if flags.print_raw_filters {
        return Ok(output::write(&request::yaml(&request))?);
    }
    let color = match flags.flow_format.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::io::stdout().is_terminal() && (around.variables)("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    let options = print::Options {
        policy_names: flags.flow_format.print_policy_names,
        ip_translation: flags.flow_format.ip_translation && !flags.flow_format.numeric,
        color,
        ..options(&flags.format, &flags.other)
    };
    let mut printer = Printed { printer: Printer::new(options), kind: Kind::Flows };
    if let Some(path) = &flags.other.input_file {
        let filters = Filters::compile(&request.whitelist, &request.blacklist)
            .map_err(|error| ObserveError::Usage(error.to_string()))?;
        let wanted = Wanted { kind: Kind::Flows, filters };
        let range = Range::new(&flags.select, SystemTime::now(), true)?;
        return input::read(path, range, &wanted, flags.other.silent_errors, &mut printer);
    }
    run(async {
        let mut stop = Stop::new()?;
        let call = async {
            let connection = connect(&flags.server, around).await?;
            debug(&flags.other, &connection, &request);
            let answer = connection.observer().get_flows(request).await.map_err(refused)?;
            if let Some(version) = version(answer.metadata()).filter(|_| flags.other.debug) {
                output::complain(&format!("eyepiece: the server is {}", safe(version)));
            }
            Ok(answer.into_inner())
        };
        let Some(stream) = until(&mut stop, call).await? else { return Ok(()) };
        pump(stream, &mut stop, &mut Out::new(flags.other.silent_errors), &mut printer).await
    })
}

/// A call's beginning, or nothing where somebody stops us before.
async fn until<T>(
    stop: &mut Stop,
    call: impl Future<Output = Result<T, ObserveError>>,
) -> Result<Option<T>, ObserveError> {
    tokio::select! {
        () = stop.asked() => Ok(None),
        result = call => result.map(Some),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn refused(status: tonic::Status) -> ObserveError {
    ObserveError::Call(match broke(&status) {
        Some(broke) => format!("{broke}: TLS on one side alone ends so, and a client certificate that is missing"),
        None => said(&status),
    })
}

/// What a server said at the end.
fn said(status: &tonic::Status) -> String {
    broke(status).unwrap_or_else(|| format!("the server says: {}", told(status)))
}

fn debug(other: &Other, connection: &Connection, request: &impl std::fmt::Debug) {
    if other.debug {
        output::complain(&format!("eyepiece: connected to {}, asking for {request:?}", connection.address));
    }
}

fn options(format: &Format, other: &Other) -> print::Options {
    print::Options {
        output: format.output.into(),
        time: format.time_format,
        node_name: format.print_node_name,
        debug: other.debug,
        ..print::Options::default()
    }
}

/// What is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Flows,
    Agent,
    Debug,
}

fn events(flags: &EventFlags, kind: Kind, around: &Surroundings<'_>) -> Result<(), ObserveError> {
    let range = Range::new(&flags.select, SystemTime::now(), flags.other.input_file.is_some())?;
    if range.follow && flags.format.output == Form::Table {
        return Err(ObserveError::Usage(
            "-o table is written at the end, and --follow has none: take compact or dict".to_owned(),
        ));
    }
    let mut printer = Printed { printer: Printer::new(options(&flags.format, &flags.other)), kind };
    if let Some(path) = &flags.other.input_file {
        let wanted = Wanted { kind, filters: Filters::default() };
        return input::read(path, range, &wanted, flags.other.silent_errors, &mut printer);
    }
    run(async {
        let (mut stop, mut out) = (Stop::new()?, Out::new(flags.other.silent_errors));
        let Some(connection) = until(&mut stop, connect(&flags.server, around)).await? else { return Ok(()) };
        debug(&flags.other, &connection, &range);
        let mut client = connection.observer();
        if kind == Kind::Agent {
            let call = async { client.get_agent_events(range.agent_events()).await.map_err(refused) };
            let Some(answer) = until(&mut stop, call).await? else { return Ok(()) };
            pump(answer.into_inner(), &mut stop, &mut out, &mut printer).await
        } else {
            let call = async { client.get_debug_events(range.debug_events()).await.map_err(refused) };
            let Some(answer) = until(&mut stop, call).await? else { return Ok(()) };
            pump(answer.into_inner(), &mut stop, &mut out, &mut printer).await
        }
    })
}

/// Prints what a stream or a file has of its kind.
struct Printed {
    printer: Printer,
    kind: Kind,
}

impl Print<GetFlowsResponse> for Printed {
    fn print(&mut self, message: &GetFlowsResponse, lines: &mut Lines) {
        self.printer.flows(message, lines);
    }

    fn finish(&mut self, lines: &mut Lines) {
        self.printer.finish(lines);
    }
}

impl Print<GetAgentEventsResponse> for Printed {
    fn print(&mut self, message: &GetAgentEventsResponse, lines: &mut Lines) {
        self.printer.agent_event(message, lines);
    }

    fn finish(&mut self, lines: &mut Lines) {
        self.printer.finish(lines);
    }
}

impl Print<GetDebugEventsResponse> for Printed {
    fn print(&mut self, message: &GetDebugEventsResponse, lines: &mut Lines) {
        self.printer.debug_event(message, lines);
    }

    fn finish(&mut self, lines: &mut Lines) {
        self.printer.finish(lines);
    }
}

impl Print<ExportEvent> for Printed {
    fn print(&mut self, message: &ExportEvent, lines: &mut Lines) {
        let (node_name, time) = (message.node_name.clone(), message.time);
        let flows = |types| GetFlowsResponse { node_name: node_name.clone(), time, response_types: Some(types) };
        match (self.kind, message.response_types.clone()) {
            (Kind::Flows, Some(Exported::Flow(flow))) => self.printer.flows(&flows(ResponseTypes::Flow(flow)), lines),
            (Kind::Flows, Some(Exported::NodeStatus(status))) => {
                self.printer.flows(&flows(ResponseTypes::NodeStatus(status)), lines);
            }
            (Kind::Flows, Some(Exported::LostEvents(lost))) => {
                self.printer.flows(&flows(ResponseTypes::LostEvents(lost)), lines);
            }
            (Kind::Agent, Some(Exported::AgentEvent(event))) => {
                self.printer.agent_event(&GetAgentEventsResponse { agent_event: Some(event), node_name, time }, lines);
            }
            (Kind::Debug, Some(Exported::DebugEvent(event))) => {
                self.printer.debug_event(&GetDebugEventsResponse { debug_event: Some(event), node_name, time }, lines);
            }
            // Of another kind.
            _ => {}
        }
    }

    fn finish(&mut self, lines: &mut Lines) {
        self.printer.finish(lines);
    }
}

fn nodes(flags: &ListFlags, around: &Surroundings<'_>) -> Result<(), ObserveError> {
    let answer = run(async {
        let connection = connect(&flags.server, around).await?;
        connection.observer().get_nodes(GetNodesRequest {}).await.map_err(refused)
    })?;
    let mut nodes = answer.into_inner().nodes;
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(output::write(&list(&nodes, flags.output, print::status::nodes))?)
}

fn namespaces(flags: &ListFlags, around: &Surroundings<'_>) -> Result<(), ObserveError> {
    let answer = run(async {
        let connection = connect(&flags.server, around).await?;
        connection.observer().get_namespaces(GetNamespacesRequest {}).await.map_err(refused)
    })?;
    Ok(output::write(&list(&answer.into_inner().namespaces, flags.output, print::status::namespaces))?)
}

fn list<M: Name>(messages: &[M], form: ListForm, table: impl Fn(&[M], bool) -> String) -> String {
    match form {
        ListForm::Table => table(messages, false),
        ListForm::Wide => table(messages, true),
        ListForm::Json => print::status::json_list(messages),
    }
}

fn peers(flags: &ServerFlags, around: &Surroundings<'_>) -> Result<(), ObserveError> {
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
            let connection = connect(flags, around).await?;
            connection.peers().notify(NotifyRequest {}).await.map_err(refused)
        };
        let Some(answer) = until(&mut stop, call).await? else { return Ok(()) };
        pump(answer.into_inner(), &mut stop, &mut Out::new(false), &mut Peers).await
    })
}
