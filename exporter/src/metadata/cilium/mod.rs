//! The provider of what a Cilium agent reports in its monitor: pods, identities and labels.

mod agent_state;

use std::sync::Arc;

use eyepiece_flow::agent_event::{AgentEvent, Notification};
use eyepiece_semconv::metric;
use tokio::sync::mpsc;

use self::agent_state::AgentState;
use super::intake::{BATCH, Intake};
use super::provider::{ChangeReceiver, Condition, Provider};
use crate::support::incidents::Incidents;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Number, Telemetry};

/// Takes notifications from the pipeline. Clones share the queue.
#[derive(Clone, Debug)]
pub struct CiliumObserver(Intake<AgentEvent>);

impl CiliumObserver {
    /// Takes a notification, if it is about endpoints or addresses. Never waits.
    pub fn observe(&self, event: &AgentEvent) {
        if matches!(event.notification, Notification::Endpoint { .. } | Notification::Ipcache { .. }) {
            self.0.offer(event.clone());
        }
    }
}

/// The provider. An agent reports changes only: what it knew before is not known here.
pub struct CiliumProvider {
    state: AgentState,
    events: mpsc::Receiver<AgentEvent>,
    receiver: Arc<dyn ChangeReceiver>,
    refused: Number,
}

impl CiliumProvider {
    /// Creates the provider and its observer.
    pub fn new(receiver: Arc<dyn ChangeReceiver>, telemetry: &Telemetry) -> (Self, CiliumObserver) {
        let (intake, events) = Intake::new(telemetry, "cilium_queue_full");
        let refused = Incidents::new(telemetry, &metric::EYEPIECE_METADATA_INCIDENTS).number("cilium_store_full");
        (Self { state: AgentState::default(), events, receiver, refused }, CiliumObserver(intake))
    }

    /// Takes notifications until a shutdown, or until all observers are dropped.
    pub async fn run(mut self, mut stop: Stop) {
        self.receiver.report(Provider::Cilium, Condition::Current, 0);
        let mut events = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                _ = shutdown::requested(&mut stop) => return,
                taken = self.events.recv_many(&mut events, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                }
            }
            let before = self.state.count();
            let changes: Vec<_> = events.drain(..).flat_map(|event| self.state.observe(&event)).collect();
            self.refused.add(self.state.take_refused());
            if !changes.is_empty() {
                self.receiver.apply(Provider::Cilium, changes);
            }
            if self.state.count() != before {
                self.receiver.report(Provider::Cilium, Condition::Current, self.state.count());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification};

    use super::CiliumProvider;
    use crate::metadata::recorder::Recorder;
    use crate::support::shutdown;
    use crate::support::telemetry::Telemetry;

    #[tokio::test]
    async fn observed_notifications_are_sent() {
        let recorder = Arc::new(Recorder::default());
        let (provider, observer) = CiliumProvider::new(recorder.clone(), &Telemetry::default());
        let (_stopper, stop) = shutdown::channel();
        let task = tokio::spawn(provider.run(stop));
        let notification = Notification::Ipcache {
            cidr: "192.0.2.1/32".to_owned(),
            identity: 300,
            old_identity: None,
            host_ip: String::new(),
            old_host_ip: String::new(),
            encrypt_key: 0,
            namespace: "shop".to_owned(),
            pod_name: "web".to_owned(),
        };
        observer.observe(&AgentEvent { time: 0, uuid: [0; 16], kind: AgentEventKind::IpcacheUpserted, notification });
        let lines = recorder.wait_for("Cilium current 1").await;
        assert_eq!(lines[1..], ["Cilium apply", "  Address(192.0.2.1) -> Pod shop/web", "Cilium current 1"]);
        drop(observer);
        tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
    }
}
