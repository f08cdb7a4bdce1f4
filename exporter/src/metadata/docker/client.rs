//! The client of docker's API: lists and inspects containers and streams events, bounded in time and size.
//!
//! Besides `transport` and `convert` the only file that knows the crate bollard.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptionsBuilder, InspectContainerOptions, ListContainersOptions};
use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt as _};

use super::container::{Container, Listing};
use super::convert;
use super::convert::Subject;
use super::error::DockerError;
use super::transport::{Connections, ReadBudget, send};

/// Time for an answer. A daemon under load needs seconds for a long listing.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the answer about one container: that of a container that hangs never comes.
pub(super) const INSPECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a listing: 10,000 containers with 3 KiB each.
const LIST_BYTES: u64 = 32 << 20;
/// Bytes of the answer about one container or about the server: some 5 KiB and the labels, environment and mounts.
const INSPECT_BYTES: u64 = 1 << 20;
/// Bytes of one event, which has the container's labels.
const EVENT_BYTES: u64 = 256 << 10;

/// The component of podman's version.
const PODMAN: &str = "Podman Engine";

/// A client of one server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    path: PathBuf,
    /// Name of the program that runs the containers.
    runtime: &'static str,
    connections: Connections,
}

impl Client {
    /// Asks the server what it is.
    pub(super) async fn connect(path: &Path) -> Result<Self, DockerError> {
        let mut client = Self { path: path.to_owned(), runtime: "docker", connections: Connections::default() };
        let budget = ReadBudget::new(INSPECT_BYTES);
        let docker = client.docker(&budget)?;
        let version = client.answer(docker.version(), &budget, LIST_TIMEOUT).await?;
        if version.components.unwrap_or_default().iter().any(|component| component.name == PODMAN) {
            client.runtime = "podman";
        }
        Ok(client)
    }

    /// The running containers.
    pub(super) async fn list(&self) -> Result<Listing, DockerError> {
        let budget = ReadBudget::new(LIST_BYTES);
        let docker = self.docker(&budget)?;
        // By default the ones that run, paused ones included.
        let answer = docker.list_containers(None::<ListContainersOptions>);
        self.answer(answer, &budget, LIST_TIMEOUT).await.map(|answer| convert::listing(answer, self.runtime))
    }

    /// A container; `None` if there is no such container.
    pub(super) async fn inspect(&self, id: Arc<str>) -> Result<Option<Container>, DockerError> {
        let budget = ReadBudget::new(INSPECT_BYTES);
        let docker = self.docker(&budget)?;
        let answer = docker.inspect_container(&id, None::<InspectContainerOptions>);
        match self.answer(answer, &budget, INSPECT_TIMEOUT).await {
            Ok(answer) => Ok(convert::inspected(id, answer, self.runtime)),
            Err(DockerError::Status { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Events of containers and networks from a time on, in seconds since 1970. The server keeps the last 256 of them.
    pub(super) fn events(&self, since: u64) -> Result<Events, DockerError> {
        let budget = ReadBudget::new(EVENT_BYTES);
        // All their actions: podman's filter knows only its own names of them.
        let filters = HashMap::from([("type", vec!["container", "network"])]);
        let options = EventsOptionsBuilder::new().since(&since.to_string()).filters(&filters).build();
        let stream = Box::pin(self.docker(&budget)?.events(Some(options)));
        Ok(Events { stream, budget, path: self.path.clone(), runtime: self.runtime })
    }

    /// bollard's client for one request.
    fn docker(&self, budget: &ReadBudget) -> Result<Docker, DockerError> {
        let (path, connections, budget) = (self.path.clone(), self.connections.clone(), budget.clone());
        let transport = move |request| send(path.clone(), budget.clone(), connections.clone(), request);
        // bollard's requests name no version of the API: the server takes its own.
        let timeout = LIST_TIMEOUT.as_secs();
        Docker::connect_with_custom_transport(transport, Some("http://docker"), timeout, API_DEFAULT_VERSION)
            .map_err(|error| DockerError::answer(&error.to_string()))
    }

    async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
        budget: &ReadBudget,
        limit: Duration,
    ) -> Result<T, DockerError> {
        let result = timeout(limit, answer).await.map_err(|_| DockerError::Timeout(limit))?;
        result.map_err(|error| classify(error, budget, &self.path))
    }
}

/// A stream of events.
pub(super) struct Events {
    stream: Pin<Box<dyn Stream<Item = Result<EventMessage, Error>> + Send>>,
    budget: ReadBudget,
    path: PathBuf,
    runtime: &'static str,
}

impl Events {
    /// The subject of the next event; `None` if it changes nothing here.
    pub(super) async fn next(&mut self) -> Result<Option<Subject>, DockerError> {
        let event = self.stream.next().await.ok_or(DockerError::Closed)?;
        let event = event.map_err(|error| classify(error, &self.budget, &self.path))?;
        self.budget.renew();
        Ok(convert::subject(event, self.runtime))
    }
}

/// The kind of a failure: bollard reports a spent budget as any other error of the connection.
fn classify(error: Error, budget: &ReadBudget, path: &Path) -> DockerError {
    if budget.is_exceeded() {
        return DockerError::TooLarge(budget.limit());
    }
    match error {
        Error::DockerResponseServerError { status_code, message } => DockerError::status(status_code, &message),
        Error::RequestTimeoutError => DockerError::Timeout(LIST_TIMEOUT),
        // That of an interrupted stream has no error of the system.
        Error::IOError { err } if err.raw_os_error().is_some() => {
            DockerError::Connect { path: path.to_owned(), source: err }
        }
        Error::IOError { .. } => DockerError::Closed,
        Error::HyperResponseError { err } if !err.is_parse() => DockerError::Closed,
        other => DockerError::answer(&other.to_string()),
    }
}
