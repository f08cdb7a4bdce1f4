//! Follows the objects of one kind: lists, watches, and begins again after failures.

use std::fmt::Debug;
use std::pin::pin;

use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt;

use super::bounded::bounded;
use super::failure::Failure;
use super::limits::Limits;
use super::objects::{Kind, Object};
use crate::support::backoff::Backoff;

/// A change of a kind's objects, or of what the follower knows of them.
#[derive(Debug)]
pub(super) enum ObjectEvent {
    /// A list begins.
    Begin,
    /// An object of a list, or a new or changed one.
    Set(Object),
    /// An object was deleted.
    Remove(Object),
    /// A list has ended.
    Finish,
    /// A watch has begun: what is known is current.
    Current,
    /// A list or watch has failed: the known objects are no longer current.
    Failed(Failure),
}

impl<K: Into<Object>> From<Event<K>> for ObjectEvent {
    fn from(event: Event<K>) -> Self {
        match event {
            Event::Init => Self::Begin,
            Event::InitApply(object) | Event::Apply(object) => Self::Set(object.into()),
            Event::Delete(object) => Self::Remove(object.into()),
            Event::InitDone => Self::Finish,
        }
    }
}

/// Follows one kind.
pub(super) struct Follower {
    pub(super) kind: Kind,
    pub(super) client: Client,
    /// Selects objects by their fields.
    pub(super) fields: Option<String>,
    pub(super) limits: Limits,
    pub(super) out: mpsc::Sender<(Kind, ObjectEvent)>,
}

/// The receiver of events is gone.
struct Closed;

impl Follower {
    /// Runs until the receiver of events is gone.
    pub(super) async fn run<K>(self)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
        Object: From<K>,
    {
        let mut backoff = Backoff::new(self.limits.backoff, fastrand::Rng::new());
        while self.list_and_watch::<K>(&mut backoff).await.is_ok() {}
    }

    /// Lists, and watches until the server refuses to continue from there.
    async fn list_and_watch<K>(&self, backoff: &mut Backoff) -> Result<(), Closed>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
        Object: From<K>,
    {
        let (client, mut accepted) = bounded(self.client.clone(), self.limits);
        let mut config = watcher::Config::default().page_size(self.limits.page);
        config.field_selector.clone_from(&self.fields);
        let mut events = pin!(watcher::watcher(Api::<K>::all(client), config));
        let (mut list_began, mut watch_began) = (Instant::now(), Instant::now());
        loop {
            let event = tokio::select! {
                biased;
                Ok(()) = accepted.changed() => {
                    watch_began = Instant::now();
                    self.send(ObjectEvent::Current).await?;
                    continue;
                }
                event = events.next() => event,
            };
            let Some(event) = event else { return Ok(()) };
            if matches!(event, Ok(Event::Init)) {
                list_began = Instant::now();
            }
            let failure = match event {
                Ok(Event::InitApply(_)) if list_began.elapsed() > self.limits.listing => Failure::endless(self.kind),
                Ok(event) => {
                    self.send(event.into()).await?;
                    continue;
                }
                Err(error) => Failure::new(self.kind, &error),
            };
            if watch_began.elapsed() > self.limits.backoff.max {
                backoff.reset();
            }
            let needs_list = failure.needs_list;
            self.pause(failure, backoff).await?;
            if needs_list {
                return Ok(());
            }
        }
    }

    /// Reports a failure, and waits before the next attempt.
    async fn pause(&self, failure: Failure, backoff: &mut Backoff) -> Result<(), Closed> {
        let pause = if failure.is_forbidden() { self.limits.forbidden } else { backoff.delay() };
        self.send(ObjectEvent::Failed(failure)).await?;
        sleep(pause).await;
        Ok(())
    }

    async fn send(&self, event: ObjectEvent) -> Result<(), Closed> {
        self.out.send((self.kind, event)).await.map_err(|_| Closed)
    }
}
