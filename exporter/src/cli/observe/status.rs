//! `eyepiece status --hubble`: a server's health, its status and its nodes.

use std::time::Duration;

use eyepiece_hubble::proto::observer::{GetNodesRequest, ServerStatusRequest};
use tonic::{Code, Request};
use tonic_health::pb::health_check_response::ServingStatus;

use super::call::{CliContext, connect_to, run};
use super::error::ObserveError;
use super::print;
use super::print::Output;
use super::server::ConnectionFlags;
use crate::cli::output;

/// Timeout of an answer, as for Hubble's command line.
const TIMEOUT: Duration = Duration::from_secs(12);

/// Prints a server's status; an empty address names our own server.
pub(in crate::cli) fn status(
    address: &str,
    form: Output,
    flags: &ConnectionFlags,
    context: &CliContext<'_>,
) -> Result<(), ObserveError> {
    let text = run(async {
        let address = Some(address).filter(|address| !address.is_empty());
        let connection = connect_to(address, flags, context).await?;
        let health = connection.health(TIMEOUT).await.map_err(ObserveError::refused)?;
        if health != ServingStatus::Serving {
            return Err(ObserveError::Unhealthy(health.as_str_name()));
        }
        let mut client = connection.observer();
        let mut request = Request::new(ServerStatusRequest {});
        request.set_timeout(TIMEOUT);
        let status = client.server_status(request).await.map_err(ObserveError::refused)?.into_inner();
        let mut text = String::new();
        if form == Output::Compact {
            text = format!("Healthcheck (via {}): Ok\n", connection.address);
        }
        text.push_str(&print::status::server(&status, form));
        // A relay lists its nodes; a node's own list is empty.
        let mut request = Request::new(GetNodesRequest {});
        request.set_timeout(TIMEOUT);
        match client.get_nodes(request).await {
            Ok(nodes) if form == Output::Compact && !nodes.get_ref().nodes.is_empty() => {
                text.push('\n');
                text.push_str(&print::status::nodes(&nodes.get_ref().nodes, true));
            }
            Err(status) if status.code() != Code::Unimplemented => return Err(ObserveError::refused(status)),
            _ => {}
        }
        Ok(text)
    })?;
    Ok(output::write(text)?)
}
