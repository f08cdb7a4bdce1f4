//! Requests for single containers, some at a time. The answer about one that is starting takes as long as its start, and
//! delays no other.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::task::{Id, JoinSet};

use super::client::Client;
use super::container::Container;
use super::error::DockerError;
use super::metrics::DockerMetrics;

/// Requests at a time.
const IN_FLIGHT: usize = 8;

/// The id of a container and the answer to its inspection; `None` if the container does not exist.
pub(super) type Inspected = (Arc<str>, Result<Option<Container>, DockerError>);

/// The requests to one server.
#[derive(Debug)]
pub(super) struct Inspections {
    client: Client,
    requests: JoinSet<Result<Option<Container>, DockerError>>,
    in_flight: HashMap<Id, Arc<str>>,
    waiting: HashSet<Arc<str>>,
    /// Requests in a row that got no answer.
    unanswered: usize,
}

impl Inspections {
    pub(super) fn new(client: Client) -> Self {
        let (in_flight, waiting) = Default::default();
        Self { client, requests: JoinSet::new(), in_flight, waiting, unanswered: 0 }
    }

    /// Asks for a container; once more if an answer is under way, which may be older than the reason to ask.
    pub(super) fn add(&mut self, id: Arc<str>) {
        self.waiting.insert(id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Waits for the next answer that is not outdated. Dropping the future loses none.
    ///
    /// # Errors
    /// The daemon is gone, or it hangs: as many requests in a row as run at a time got no answer.
    pub(super) async fn next(&mut self, metrics: &DockerMetrics) -> Result<Inspected, DockerError> {
        loop {
            self.start();
            let Some(joined) = self.requests.join_next_with_id().await else { return std::future::pending().await };
            // A request that panicked has no answer.
            let (task, result) =
                joined.unwrap_or_else(|error| (error.id(), Err(DockerError::answer("the request panicked"))));
            let Some(id) = self.in_flight.remove(&task) else { continue };
            self.unanswered = if result.as_ref().is_err_and(DockerError::is_silence) { self.unanswered + 1 } else { 0 };
            let result = match result {
                Err(error) if error.is_absence() || self.unanswered == IN_FLIGHT => return Err(error),
                result => result,
            };
            match &result {
                Err(error) => {
                    metrics.failed(error);
                    tracing::debug!(container = %id, "docker: {error}");
                }
                Ok(container) => metrics.labels(container.as_ref().map_or(0, |container| container.labels_left_out)),
            }
            if !self.waiting.contains(&id) {
                return Ok((id, result));
            }
        }
    }

    /// Sends the requests that there is room for.
    fn start(&mut self) {
        while self.requests.len() < IN_FLIGHT
            && let Some(id) = self.waiting.iter().find(|id| !self.in_flight.values().any(|asked| asked == *id)).cloned()
        {
            self.waiting.remove(&id);
            let (client, asked) = (self.client.clone(), Arc::clone(&id));
            let request = self.requests.spawn(async move { client.inspect(asked).await });
            self.in_flight.insert(request.id(), id);
        }
    }
}
