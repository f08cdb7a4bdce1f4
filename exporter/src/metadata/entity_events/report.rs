//! Sends the events of the registry's entities: changes as they come, and all entities at an interval.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::event::EntityEvent;
use crate::metadata::registry::Registry;
use crate::support::clock::unix_now;
use crate::support::shutdown;
use crate::support::shutdown::Stop;

/// Pause between two sends: what changes several times meanwhile is reported once.
const PAUSE: Duration = Duration::from_millis(100);

/// Sends events until a shutdown. All entities are reported again at every `interval`, unless it is zero.
pub async fn report(registry: Arc<Registry>, interval: Duration, send: impl Fn(Vec<EntityEvent>), mut stop: Stop) {
    // The specification counts seconds, and 0 stands for never.
    let seconds = interval.as_secs() + u64::from(interval.subsec_nanos() > 0);
    let mut due = Instant::now() + interval;
    loop {
        let is_due = tokio::select! {
            _ = shutdown::requested(&mut stop) => return,
            () = sleep_until(due), if !interval.is_zero() => true,
            () = registry.entities_touched() => false,
        };
        if is_due {
            due = Instant::now() + interval;
        }
        let events = registry.take_entity_events(unix_now(), seconds, is_due);
        if !events.is_empty() {
            send(events);
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use eyepiece_semconv::attribute;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::report;
    use crate::metadata::provider::{Change, ChangeReceiver as _, Entity, Key, Provider, Target};
    use crate::metadata::registry::tests::Bench;
    use crate::support::shutdown;

    #[tokio::test(start_paused = true)]
    async fn entities_are_reported_at_interval() {
        let bench = Bench::new();
        bench.registry.follow_entities();
        let (sender, mut sent) = mpsc::unbounded_channel();
        let (stopper, stop) = shutdown::channel();
        let send = move |events| sender.send((Instant::now(), events)).unwrap();
        let task = tokio::spawn(report(Arc::clone(&bench.registry), Duration::from_millis(59_500), send, stop));
        let attributes = vec![(attribute::CONTAINER_ID, "1".into())];
        let entity = Arc::new(Entity { attributes, ..Entity::default() });
        let key = || Key::Container("1".into());
        bench.registry.apply(Provider::Docker, vec![Change::Set(key(), Target::Entity(Arc::clone(&entity)))]);
        let (first, events) = sent.recv().await.unwrap();
        assert_eq!((events.len(), events[0].report_interval), (1, Some(60)));
        let (second, again) = sent.recv().await.unwrap();
        assert_eq!((again.len(), &again[0].entity), (1, &events[0].entity));
        assert!((59..=60).contains(&(second - first).as_secs()), "{:?}", second - first);
        // The same entity in another form causes nothing.
        bench.registry.apply(Provider::Docker, vec![Change::Set(key(), Target::Entity(Arc::clone(&entity)))]);
        bench.registry.replace(Provider::Docker, Vec::new());
        let (third, gone) = sent.recv().await.unwrap();
        assert_eq!((gone.len(), gone[0].report_interval, &gone[0].entity), (1, None, &events[0].entity));
        assert!((third - second).as_secs() < 1);
        stopper.send_replace(Some(Instant::now()));
        task.await.unwrap();
        assert!(sent.recv().await.is_none());
    }
}
