//! The provider of DNS names, from answers that were seen.

mod answer;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use eyepiece_config::{MetadataDns, Switch};
use eyepiece_flow::l7::L7;
use eyepiece_semconv::metric;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub use self::answer::Answer;
use self::store::Store;
use super::intake::{BATCH, Intake};
use super::provider::{ChangeReceiver, Condition, Provider};
use crate::support::incidents::Incidents;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Number, Telemetry};

/// Between two looks for names that are over.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);

/// Takes answers from the pipeline. Clones share the queue.
#[derive(Clone, Debug)]
pub struct DnsObserver(Intake<Answer>);

impl DnsObserver {
    /// Takes an answer. Never waits.
    pub fn observe(&self, answer: Answer) {
        self.0.offer(answer);
    }

    /// Takes the answer of an access-log record, if it is one.
    pub fn observe_l7(&self, l7: &L7) {
        if let Some(answer) = Answer::of(l7) {
            self.observe(answer);
        }
    }
}

/// The provider.
pub struct DnsProvider {
    store: Store,
    answers: mpsc::Receiver<Answer>,
    receiver: Arc<dyn ChangeReceiver>,
    evicted: Number,
}

impl DnsProvider {
    /// Creates the provider and its observer; `None` if the settings leave it out.
    pub fn new(
        config: &MetadataDns,
        receiver: Arc<dyn ChangeReceiver>,
        telemetry: &Telemetry,
    ) -> Option<(Self, DnsObserver)> {
        if config.enabled == Switch::Off {
            return None;
        }
        let (intake, answers) = Intake::new(telemetry, "dns_queue_full");
        let evicted = Incidents::new(telemetry, &metric::EYEPIECE_METADATA_INCIDENTS).number("dns_store_full");
        let store = Store::new(usize::try_from(config.max_names).unwrap_or(usize::MAX));
        Some((Self { store, answers, receiver, evicted }, DnsObserver(intake)))
    }

    /// Takes answers until a shutdown, or until all observers are dropped.
    pub async fn run(mut self, mut stop: Stop) {
        self.receiver.report(Provider::Dns, Condition::Current, 0);
        let mut answers = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                _ = shutdown::requested(&mut stop) => return,
                // An elapsed time leaves the answers empty.
                taken = timeout(EXPIRY_INTERVAL, self.answers.recv_many(&mut answers, BATCH)) => {
                    if taken == Ok(0) {
                        return;
                    }
                }
            }
            self.update(&answers, Instant::now());
            answers.clear();
        }
    }

    fn update(&mut self, answers: &[Answer], now: Instant) {
        let before = self.store.count();
        let changes = self.store.update(answers, now);
        self.evicted.add(self.store.take_evicted());
        if !changes.is_empty() {
            self.receiver.apply(Provider::Dns, changes);
        }
        if self.store.count() != before {
            self.receiver.report(Provider::Dns, Condition::Current, self.store.count());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use eyepiece_config::{MetadataDns, Switch};

    use super::{Answer, DnsProvider};
    use crate::metadata::recorder::Recorder;
    use crate::support::shutdown;
    use crate::support::telemetry::Telemetry;

    #[tokio::test]
    async fn observed_answers_are_sent() {
        let (recorder, telemetry) = (Arc::new(Recorder::default()), Telemetry::default());
        let (provider, observer) = DnsProvider::new(&MetadataDns::default(), recorder.clone(), &telemetry).unwrap();
        let (_stopper, stop) = shutdown::channel();
        let task = tokio::spawn(provider.run(stop));
        let addresses = vec!["192.0.2.1".parse().unwrap()];
        observer.observe(Answer { name: "a.example".into(), addresses, ttl: Duration::ZERO });
        let lines = recorder.wait_for("Dns current 1").await;
        assert_eq!(lines[1..], ["Dns apply", "  Address(192.0.2.1) -> DnsName a.example", "Dns current 1"]);
        drop(observer);
        tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
    }

    #[test]
    fn off_is_no_provider() {
        let config = MetadataDns { enabled: Switch::Off, ..MetadataDns::default() };
        assert!(DnsProvider::new(&config, Arc::new(Recorder::default()), &Telemetry::default()).is_none());
    }
}
