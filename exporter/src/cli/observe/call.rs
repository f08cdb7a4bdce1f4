//! Connects to the server and runs calls until a signal.

use eyepiece_config::{ConfigError, Hubble};
use tokio::runtime;

use super::args::Other;
use super::error::ObserveError;
use super::server;
use super::server::{ConnectionFlags, ServerFlags, Variables};
use super::stream::Stop;
use crate::cli::output;
use crate::client::hubble::Connection;

/// The command's environment.
pub(in crate::cli) struct CliContext<'a> {
    /// The variables `HUBBLE_…`.
    pub(in crate::cli) variables: Variables<'a>,
    /// Reads our own server's settings; called only if no other server is named.
    pub(in crate::cli) hubble: &'a dyn Fn() -> Result<Hubble, ConfigError>,
}

/// Runs a call. A pending write to standard output does not delay the end.
pub(super) fn run<T>(call: impl Future<Output = Result<T, ObserveError>>) -> Result<T, ObserveError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(ObserveError::Runtime)?;
    let result = runtime.block_on(call);
    runtime.shutdown_background();
    result
}

pub(super) async fn connect(flags: &ServerFlags, context: &CliContext<'_>) -> Result<Connection, ObserveError> {
    connect_to(flags.server.as_deref(), &flags.connection, context).await
}

/// Connects to an address, else to the variable's, else to our own server.
pub(super) async fn connect_to(
    address: Option<&str>,
    flags: &ConnectionFlags,
    context: &CliContext<'_>,
) -> Result<Connection, ObserveError> {
    let address = match server::named_address(address, context.variables)? {
        Some(address) => address,
        None => server::own_address(&(context.hubble)()?)?,
    };
    Ok(Connection::open(address, &flags.config(context.variables)?).await?)
}

/// The beginning of a call; `None` if a signal comes first.
pub(super) async fn until_stopped<T>(
    stop: &mut Stop,
    call: impl Future<Output = Result<T, ObserveError>>,
) -> Result<Option<T>, ObserveError> {
    tokio::select! {
        () = stop.requested() => Ok(None),
        result = call => result.map(Some),
    }
}

/// Prints the request with `--debug`.
pub(super) fn debug(other: &Other, connection: &Connection, request: &impl std::fmt::Debug) {
    if other.debug {
        output::print_error(&format!("eyepiece: connected to {}, asking for {request:?}", connection.address));
    }
}
