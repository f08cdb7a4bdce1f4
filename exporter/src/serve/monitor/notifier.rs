//! The way of our own agent notifications to the thread that reads the source: bounded, never waiting.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use eyepiece_flow::event::{Event, RawEvent};
use eyepiece_flow::gob::encode::agent_notify;
use eyepiece_semconv::{attribute, metric};

use super::fanout::Wake;
use super::notification::Notification;
use crate::support::telemetry::{Number, Telemetry};

/// Notifications that wait for the pipeline's thread, which takes them within milliseconds: room for a thousand
/// endpoints that appear at once, each with its addresses.
pub const NOTIFICATIONS_MAX: usize = 4096;

/// Monitor message type of agent notifications (Cilium `pkg/monitor/api`, `MessageTypeAgent`).
const AGENT: u8 = 130;

/// Where notifications are sent; cloning shares it.
#[derive(Clone)]
pub struct Notifier {
    sender: SyncSender<(u64, Notification)>,
    wake: Arc<OnceLock<Wake>>,
    dropped: Number,
    now: fn() -> u64,
}

/// Where they come out.
pub struct Inbox {
    receiver: Receiver<(u64, Notification)>,
    wake: Arc<OnceLock<Wake>>,
    data: Vec<u8>,
}

/// A notifier and its inbox; `now` is wall-clock time, ns since the Unix epoch.
pub fn notifier(telemetry: &Telemetry, now: fn() -> u64) -> (Notifier, Inbox) {
    let (sender, receiver) = sync_channel(NOTIFICATIONS_MAX);
    let wake = Arc::<OnceLock<Wake>>::default();
    let reason = [(attribute::EYEPIECE_REASON, "notification_queue_full")];
    let dropped = telemetry.counter(metric::EYEPIECE_MONITOR_LOST.name, &reason);
    (Notifier { sender, wake: Arc::clone(&wake), dropped, now }, Inbox { receiver, wake, data: Vec::new() })
}

impl Notifier {
    /// Tells something to listeners and consumers.
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
    /// Has the source's wait end when there is something.
    pub fn wake_by(&self, wake: Wake) {
        self.wake.get_or_init(|| wake);
    }

    /// Hands over what there is as events, or forgets it where nobody wants it. Gives how many events there were.
    pub fn deliver(&mut self, is_wanted: bool, sink: &mut dyn FnMut(&Event<'_>)) -> usize {
        let mut count = 0;
        while let Ok((time, notification)) = self.receiver.try_recv() {
            if !is_wanted {
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
                Err(error) => tracing::warn!(%error, ?notification, "a notification has no text"),
            }
        }
        count
    }
}
