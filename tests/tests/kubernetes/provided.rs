//! A running provider, and what it has sent.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use eyepiece::metadata::kubernetes::Kubernetes;
use eyepiece::metadata::provider::{Change, ChangeReceiver, Condition, Entity, Key, Provider, Target};
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_config::PodScope;
use eyepiece_tests::eventually;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::Instant;

/// The changes and the condition that a provider has sent.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) keys: HashMap<Key, Target>,
    pub(crate) condition: Option<Condition>,
    pub(crate) objects: usize,
    /// Names that addresses led to, in order.
    pub(crate) history: Vec<(Key, Option<Target>)>,
}

impl Seen {
    /// The entity at a key.
    pub(crate) fn entity(&self, key: &Key) -> Option<&Entity> {
        match self.keys.get(key)? {
            Target::Entity(entity) | Target::Container(entity, _) => Some(entity),
            Target::Key(key) => self.entity(key),
        }
    }

    /// The name of the entity at an address.
    pub(crate) fn at(&self, address: &str) -> Option<&str> {
        self.entity(&Key::Address(address.parse().ok()?)).map(|entity| entity.name.as_str())
    }
}

#[derive(Debug, Default)]
struct Recorder(Mutex<Seen>);

impl Recorder {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChangeReceiver for Recorder {
    fn apply(&self, _: Provider, changes: Vec<Change>) {
        let mut seen = self.seen();
        for change in changes {
            match change {
                Change::Set(key, target) => {
                    seen.history.push((key.clone(), Some(target.clone())));
                    seen.keys.insert(key, target);
                }
                Change::Remove(key) => {
                    seen.keys.remove(&key);
                    seen.history.push((key, None));
                }
            }
        }
    }

    fn replace(&self, _: Provider, entries: Vec<(Key, Target)>) {
        self.seen().keys = entries.into_iter().collect();
    }

    fn report(&self, _: Provider, condition: Condition, objects: usize) {
        let mut seen = self.seen();
        (seen.condition, seen.objects) = (Some(condition), objects);
    }
}

/// A running provider.
pub(crate) struct Provided {
    recorder: Arc<Recorder>,
    telemetry: Telemetry,
    stop: watch::Sender<Option<Instant>>,
    running: Option<tokio::task::JoinHandle<()>>,
    runtime: Runtime,
}

impl Provided {
    /// Starts the provider of node-1 with a kubeconfig.
    pub(crate) fn start(kubeconfig: PathBuf, scope: PodScope) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let settings = eyepiece_config::Kubernetes { kubeconfig: Some(kubeconfig), scope, ..Default::default() };
        let (recorder, telemetry) = (Arc::<Recorder>::default(), Telemetry::default());
        let receiver = Arc::<Recorder>::clone(&recorder);
        let provider = Kubernetes::new(&settings, "node-1", "kind", receiver, &telemetry);
        let provider = provider.ok_or_else(|| anyhow::anyhow!("the provider is off"))?;
        let (stop, stopped) = shutdown::channel();
        let running = Some(runtime.spawn(provider.run(stopped)));
        Ok(Self { recorder, telemetry, stop, running, runtime })
    }

    /// Waits until what was sent is as a test wants it.
    pub(crate) fn wait<T>(&self, what: &str, ask: impl Fn(&Seen) -> Option<T>) -> T {
        let answer = eventually(Duration::from_secs(60), what, || ask(&self.recorder.seen()));
        answer.unwrap_or_else(|error| panic!("{error}: {:?}", self.recorder.seen().condition))
    }

    /// Waits until all lists are there.
    pub(crate) fn wait_until_current(&self) {
        self.wait("not current", |seen| (seen.condition == Some(Condition::Current)).then_some(()));
    }

    /// Waits until an address has a name, or none.
    pub(crate) fn wait_for_name(&self, address: &str, name: Option<&str>) {
        self.wait(&format!("{address} is not {name:?}"), |seen| (seen.at(address) == name).then_some(()));
    }

    /// The count of a failure.
    pub(crate) fn failures(&self, reason: &str) -> u64 {
        let samples = self.telemetry.samples();
        let ours = samples.iter().filter(|sample| sample.key.name == "eyepiece.kubernetes.failures");
        ours.filter(|sample| sample.key.attributes.iter().any(|(_, value)| value == reason))
            .map(|sample| sample.value)
            .sum()
    }

    /// Runs something on the provider's runtime.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Stops the provider; what it sent stays.
    pub(crate) fn stop(&mut self) -> usize {
        self.stop.send_replace(Some(Instant::now()));
        if let Some(running) = self.running.take() {
            self.runtime
                .block_on(async { tokio::time::timeout(Duration::from_secs(5), running).await })
                .expect("an end in time")
                .expect("no panic");
        }
        self.recorder.seen().keys.len()
    }
}
