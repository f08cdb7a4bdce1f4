//! The queue of our own agent notifications to the thread that reads the source: bounded, never blocking.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use eyepiece_flow::event::{Event, RawEvent};
use eyepiece_flow::gob::encode::agent_notify;
use eyepiece_semconv::{attribute, metric};

use super::fanout::Wake;
use super::notification::Notification;
use crate::support::telemetry::{Number, Telemetry};

/// Notifications that wait for the pipeline's thread, which takes them within milliseconds: room for a thousand new
/// endpoints with their addresses.
pub const MAX_NOTIFICATIONS: usize = 4096;

/// Monitor message type of agent notifications (Cilium `pkg/monitor/api`, `MessageTypeAgent`).
const AGENT: u8 = 130;

/// The sending side; clones share the queue.
#[derive(Clone)]
pub struct Notifier {
    sender: SyncSender<(u64, Notification)>,
    wake: Arc<OnceLock<Wake>>,
    dropped: Number,
    now: fn() -> u64,
}

/// The receiving side.
pub struct Inbox {
    receiver: Receiver<(u64, Notification)>,
    wake: Arc<OnceLock<Wake>>,
    data: Vec<u8>,
}

/// Returns a notifier and its inbox; `now` is wall-clock time, ns since the Unix epoch.
pub fn notifier(telemetry: &Telemetry, now: fn() -> u64) -> (Notifier, Inbox) {
    let (sender, receiver) = sync_channel(MAX_NOTIFICATIONS);
    let wake = Arc::<OnceLock<Wake>>::default();
    let reason = [(attribute::EYEPIECE_REASON, "notification_queue_full")];
    let dropped = telemetry.counter(metric::EYEPIECE_MONITOR_LOST.name, &reason);
    (Notifier { sender, wake: Arc::clone(&wake), dropped, now }, Inbox { receiver, wake, data: Vec::new() })
}

impl Notifier {
    /// Sends a notification to listeners and consumers; counts it as lost if the queue is full.
    pub fn send(&self, notification: Notification) {
        if self.sender.try_send(((self.now)(), notification)).is_err() {
            self.dropped.add(1);
        }
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }
}

impl Inbox {
    /// Sets the function that ends the source's wait at a new notification.
    pub fn set_wake(&self, wake: Wake) {
        self.wake.get_or_init(|| wake);
    }

    /// Passes waiting notifications to `sink`, or drops them if the source is stopped. Returns the number of events.
    pub fn deliver(&mut self, is_started: bool, sink: &mut dyn FnMut(&Event<'_>)) -> usize {
        let mut count = 0;
        while let Ok((time, notification)) = self.receiver.try_recv() {
            if !is_started {
                continue;
            }
            match notification.text() {
                Ok(text) => {
                    self.data.clear();
                    self.data.push(AGENT);
                    agent_notify(&mut self.data, notification.kind(), &text);
                    let data = &self.data;
                    sink(&Event::Notification(RawEvent { time, cpu: 0, data, traffic: None, kernel_drop: None }));
                    count += 1;
                }
                Err(error) => tracing::warn!(%error, ?notification, "cannot encode a notification"),
            }
        }
        count
    }
}
