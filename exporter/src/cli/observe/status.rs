//! `eyepiece status --hubble`: whether a server is healthy, and what it says of itself and of its nodes.

use std::time::Duration;

use eyepiece_hubble::proto::observer::{GetNodesRequest, ServerStatusRequest};
use tonic::{Code, Request};
use tonic_health::pb::health_check_response::ServingStatus;

use super::args::Form;
use super::server::{self, ConnectionFlags};
use super::{ObserveError, Surroundings, refused, run};
use crate::cli::observe::print;
use crate::cli::output;
use crate::client::hubble::Connection;

/// How long an answer may take, as for Hubble's command line.
const ANSWER: Duration = Duration::from_secs(12);

/// Asks a server; without an address our own.
pub(in crate::cli) fn status(
    address: &str,
    form: Form,
    flags: &ConnectionFlags,
    around: &Surroundings<'_>,
) -> Result<(), ObserveError> {
    let text = run(async {
        let said = server::said(Some(address).filter(|address| !address.is_empty()), around.variables)?;
        let address = match said {
            Some(address) => address,
            None => server::own(&(around.hubble)()?)?,
        };
        let connection = Connection::open(address, &flags.options(around.variables)?).await?;
        let health = connection.health(ANSWER).await.map_err(refused)?;
        if health != ServingStatus::Serving {
            return Err(ObserveError::Unhealthy(health.as_str_name()));
        }
        let mut client = connection.observer();
        let mut request = Request::new(ServerStatusRequest {});
        request.set_timeout(ANSWER);
        let status = client.server_status(request).await.map_err(refused)?.into_inner();
        let mut text = String::new();
        if form == Form::Compact {
            text = format!("Healthcheck (via {}): Ok\n", connection.address);
        }
        text.push_str(&print::status::server(&status, form.into()));
        // A relay's nodes; a node itself knows none.
        let mut request = Request::new(GetNodesRequest {});
        request.set_timeout(ANSWER);
        match client.get_nodes(request).await {
            Ok(nodes) if form == Form::Compact && !nodes.get_ref().nodes.is_empty() => {
                text.push('\n');
                text.push_str(&print::status::nodes(&nodes.get_ref().nodes, true));
            }
            Err(status) if status.code() != Code::Unimplemented => return Err(refused(status)),
            _ => {}
        }
        Ok(text)
    })?;
    Ok(output::write(&text)?)
}
