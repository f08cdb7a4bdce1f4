//! Follows a docker daemon: connects, lists, applies events, and connects again after every end.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use eyepiece_config::{Docker, Enabled};
use tokio::time::{interval, sleep};

use super::client::{Client, Events};
use super::container::{Container, Listing, MAX_CONTAINERS};
use super::convert::Subject;
use super::error::DockerError;
use super::inspections::{Inspected, Inspections};
use super::metrics::DockerMetrics;
use super::pending::{Batch, Pending};
use super::state::State;
use crate::metadata::provider::{Change, ChangeReceiver, Condition, Provider};
use crate::support::backoff::{Backoff, RECONNECT, STABLE_AFTER};
use crate::support::log_limit::LogLimit;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// How often the containers are listed, beside events.
const LISTING_INTERVAL: Duration = Duration::from_secs(60);
/// How often containers that do not run are looked through for those to forget.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// A failure that lasts is logged at these intervals, doubling from the first to the second.
const LOG_INTERVALS: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(600)];

/// The provider's task.
pub(super) struct Follower {
    socket: PathBuf,
    enabled: Enabled,
    receiver: Arc<dyn ChangeReceiver>,
    metrics: DockerMetrics,
    state: State,
    /// Since when what was reported is outdated; `None` while it is current, and before it was for the first time.
    stale_since: Option<SystemTime>,
    is_current: bool,
    /// Containers beyond the limit.
    left_out: usize,
    log: LogLimit,
}

impl Follower {
    pub(super) fn new(config: &Docker, receiver: Arc<dyn ChangeReceiver>, telemetry: &Telemetry) -> Self {
        Self {
            socket: PathBuf::from(&config.socket),
            enabled: config.enabled,
            receiver,
            metrics: DockerMetrics::new(telemetry),
            state: State::default(),
            stale_since: None,
            is_current: false,
            left_out: 0,
            log: LogLimit::repeated(LOG_INTERVALS[0], LOG_INTERVALS[1]),
        }
    }

    /// Runs until it is stopped.
    pub(super) async fn run(mut self, mut stop: Stop) {
        tokio::select! {
            () = self.follow() => {}
            _ = shutdown::requested(&mut stop) => {}
        }
    }

    async fn follow(&mut self) {
        let mut backoff = Backoff::new(RECONNECT, fastrand::Rng::new());
        self.report(Condition::Connecting(None));
        loop {
            let start = Instant::now();
            let error = self.session().await;
            self.on_end(&error);
            if start.elapsed() >= STABLE_AFTER {
                backoff.reset();
            }
            sleep(backoff.delay()).await;
        }
    }

    /// Follows the daemon until that fails.
    async fn session(&mut self) -> DockerError {
        let (pending, since) = (Pending::default(), since());
        let result = async {
            let client = Client::connect(&self.socket).await?;
            let events = client.events(since)?;
            // One of them fails first. The events are read meanwhile, for the server drops those of a slow reader.
            tokio::select! {
                result = watch(events, &pending) => result,
                result = self.keep(&client, &pending) => result,
            }
        };
        result.await.err().unwrap_or(DockerError::Closed)
    }

    /// Loads all containers, then looks again at those that events name.
    async fn keep(&mut self, client: &Client, pending: &Pending) -> Result<(), DockerError> {
        self.load(client).await?;
        let mut listing = interval(LISTING_INTERVAL);
        listing.reset();
        let mut expiry = interval(EXPIRY_INTERVAL);
        let mut inspections = Inspections::new(client.clone());
        loop {
            tokio::select! {
                batch = pending.take() => {
                    let is_incomplete = batch.is_incomplete;
                    self.observe(batch, &mut inspections);
                    if is_incomplete {
                        self.reconcile(client).await?;
                    }
                }
                result = inspections.next(&self.metrics) => self.refresh(result?),
                _ = listing.tick() => self.reconcile(client).await?,
                _ = expiry.tick() => {
                    let changes = self.state.expire(Instant::now());
                    self.apply(changes, self.state.len());
                }
            }
        }
    }

    /// Replaces everything that is known.
    async fn load(&mut self, client: &Client) -> Result<(), DockerError> {
        let listing = self.list(client).await?;
        let ids = listing.containers.iter().map(|container| Arc::clone(&container.id)).collect();
        let mut failed = HashSet::new();
        let mut containers = Vec::new();
        for (id, result) in self.inspect(client, ids).await? {
            match result {
                Ok(container) => containers.extend(container),
                Err(_) => drop(failed.insert(id)),
            }
        }
        // What the listing has of them is better than nothing.
        containers.extend(listing.containers.into_iter().filter(|container| failed.contains(&container.id)));
        self.state.replace(containers);
        self.receiver.replace(Provider::Docker, self.state.entries());
        self.on_current();
        Ok(())
    }

    /// Applies events: ends first, for the address of one that has ended may be another's by now. The answers
    /// about those that start again follow.
    fn observe(&mut self, batch: Batch, inspections: &mut Inspections) {
        let (before, mut changes) = (self.state.len(), Vec::new());
        for id in &batch.ended {
            changes.extend(self.state.stop(id));
        }
        for container in batch.created {
            self.metrics.labels(container.labels_left_out);
            if !self.state.knows(&container.id) && self.state.has_room_for(&container.id) {
                changes.extend(self.state.set(container));
            }
        }
        self.apply(changes, before);
        batch.ids.into_iter().for_each(|id| inspections.add(id));
    }

    /// Takes the answer about a container that an event named.
    fn refresh(&mut self, (id, result): Inspected) {
        let before = self.state.len();
        let changes = match result {
            Ok(Some(container)) if self.state.has_room_for(&id) => self.state.set(container),
            // It may be counted before: the next listing has the number.
            Ok(Some(_)) => {
                self.set_left_out(self.left_out + 1);
                Vec::new()
            }
            Ok(None) => self.state.stop(&id),
            // It stays as it was; the next listing finds what it missed.
            Err(_) => Vec::new(),
        };
        self.apply(changes, before);
    }

    /// Compares what is known with a listing.
    async fn reconcile(&mut self, client: &Client) -> Result<(), DockerError> {
        let listing = self.list(client).await?;
        let (before, mut changes) = (self.state.len(), Vec::new());
        let listed: HashSet<_> = listing.containers.iter().map(|container| Arc::clone(&container.id)).collect();
        let gone: Vec<_> = self.state.ids().filter(|id| !listed.contains(*id)).cloned().collect();
        // With containers beyond the limit, one that is not in the listing may be one of them.
        for id in gone.iter().filter(|_| listing.left_out == 0) {
            changes.extend(self.state.stop(id));
        }
        let differs = |container: &Container| !self.state.has(container) && self.state.has_room_for(&container.id);
        let differing: Vec<_> = listing.containers.into_iter().filter(differs).collect();
        let ids = differing.iter().map(|container| Arc::clone(&container.id)).collect();
        let results: Vec<Inspected> = self.inspect(client, ids).await?;
        for (id, result) in results {
            let container = match result {
                Ok(container) => container,
                Err(_) => differing.iter().find(|container| container.id == id).cloned(),
            };
            match container {
                Some(container) if self.state.has_room_for(&id) => changes.extend(self.state.set(container)),
                Some(_) => {}
                None => changes.extend(self.state.stop(&id)),
            }
        }
        self.apply(changes, before);
        Ok(())
    }

    async fn list(&mut self, client: &Client) -> Result<Listing, DockerError> {
        let listing = client.list().await?;
        self.metrics.invalid(listing.invalid);
        self.set_left_out(listing.left_out);
        Ok(listing)
    }

    /// Sets how many containers are beyond the limit.
    fn set_left_out(&mut self, containers: usize) {
        if self.left_out == 0 && containers > 0 {
            tracing::warn!("docker: containers beyond the first {MAX_CONTAINERS} have no name");
        }
        self.left_out = containers;
        self.metrics.left_out(containers);
    }

    /// Asks for containers and waits for all answers.
    ///
    /// # Errors
    /// As [`Inspections::next`].
    async fn inspect(&self, client: &Client, ids: HashSet<Arc<str>>) -> Result<Vec<Inspected>, DockerError> {
        let (mut inspections, mut results) = (Inspections::new(client.clone()), Vec::new());
        ids.into_iter().for_each(|id| inspections.add(id));
        while !inspections.is_empty() {
            results.push(inspections.next(&self.metrics).await?);
        }
        Ok(results)
    }

    fn apply(&self, changes: Vec<Change>, before: usize) {
        if !changes.is_empty() {
            self.receiver.apply(Provider::Docker, changes);
        }
        if self.state.len() != before {
            self.report(Condition::Current);
        }
    }

    fn on_current(&mut self) {
        if !std::mem::replace(&mut self.is_current, true) {
            tracing::info!(socket = %self.socket.display(), containers = self.state.len(), "following docker's containers");
            self.log.reset();
        }
        self.stale_since = None;
        self.report(Condition::Current);
    }

    /// Reports the end of a session or a failed attempt.
    fn on_end(&mut self, error: &DockerError) {
        if std::mem::take(&mut self.is_current) {
            self.stale_since = Some(SystemTime::now());
        }
        let text = error.to_string();
        let condition = match self.stale_since {
            Some(since) => Condition::Stale { since, error: text },
            // Docker may come later; that it is not there is no failure.
            None if self.enabled == Enabled::Auto && !self.socket.exists() => {
                return self.report(Condition::Unavailable(format!("there is no socket {}", self.socket.display())));
            }
            None => Condition::Connecting(Some(text)),
        };
        self.metrics.failed(error);
        if self.log.allows(Instant::now()) {
            tracing::warn!(socket = %self.socket.display(), "docker: {error}; names of containers may be outdated");
        }
        self.report(condition);
    }

    fn report(&self, condition: Condition) {
        self.receiver.report(Provider::Docker, condition, self.state.len());
    }
}

/// Adds the containers of events, until the stream fails.
async fn watch(mut events: Events, pending: &Pending) -> Result<(), DockerError> {
    loop {
        match events.next().await? {
            Some(Subject::Created(container)) => pending.add_created(*container),
            Some(Subject::Changed(id)) => pending.add(id),
            Some(Subject::Ended(id)) => pending.add_ended(id),
            None => {}
        }
    }
}

/// The time from which on events are asked for. The listing may be answered before the events are subscribed to; the
/// server sends those from before that moment, too. It takes whole seconds.
fn since() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().saturating_sub(1)
}
