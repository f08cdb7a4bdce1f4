//! Retries, drains and deadlines with a scripted receiver, on tokio's paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eyepiece::export::otlp::delivery::Transport;
use eyepiece::export::otlp::logs::LogsConfig;
use eyepiece::export::otlp::retry::Outcome;
use eyepiece::support::backoff::BackoffRange;
use tokio::time::Instant;

use crate::support::{Running, batch, config, sums};

/// Answers by a function of the attempt's number, and notes when it was asked.
#[derive(Clone)]
struct Script {
    answer: fn(usize) -> Option<Outcome>,
    asked: Arc<Mutex<Vec<Instant>>>,
}

impl Script {
    /// None = never answers.
    fn new(answer: fn(usize) -> Option<Outcome>) -> Self {
        Self { answer, asked: Arc::default() }
    }

    fn pauses(&self) -> Vec<Duration> {
        self.asked.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

impl Transport for Script {
    async fn send(&self, request: Bytes) -> Outcome {
        assert!(!request.is_empty());
        let attempt = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(Instant::now());
            asked.len()
        };
        match (self.answer)(attempt) {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }
}

fn away() -> Option<Outcome> {
    Some(Outcome::Retry { delay: None, message: "away".into(), error_type: "unreachable".into() })
}

fn later(delay: Duration) -> Outcome {
    Outcome::Retry { delay: Some(delay), message: "later".into(), error_type: "503".into() }
}

fn slow() -> LogsConfig {
    let backoff = BackoffRange { initial: Duration::from_secs(1), max: Duration::from_secs(8) };
    LogsConfig { capacity: 100, max_records: 10, in_flight: 1, backoff, ..config() }
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_up_to_maximum() {
    let script = Script::new(|attempt| if attempt > 12 { Some(Outcome::Accepted) } else { away() });
    let running = Running::start(&slow(), script.clone());
    running.sink.try_send(batch(0..5));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(sums(&running.end(Duration::from_secs(1)).await), (5, [0; 5]));
    let pauses = script.pauses();
    assert_eq!(pauses.len(), 12);
    for (index, pause) in pauses.iter().enumerate() {
        let base = [1, 2, 4].get(index).copied().unwrap_or(8);
        let (least, most) = (Duration::from_secs(base) / 2, Duration::from_secs(base) * 3 / 2);
        // The clock of tokio's timers has milliseconds.
        assert!((least..=most + Duration::from_millis(2)).contains(pause), "{index}: {pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn pause_of_receiver_is_kept() {
    let script = Script::new(|attempt| match attempt {
        1 => Some(later(Duration::from_secs(77))),
        _ => Some(Outcome::Accepted),
    });
    let running = Running::start(&slow(), script.clone());
    running.sink.try_send(batch(0..5));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(sums(&running.end(Duration::from_secs(1)).await), (5, [0; 5]));
    assert!(script.pauses()[0] >= Duration::from_secs(77));
}

#[tokio::test(start_paused = true)]
async fn full_queue_while_retrying_counts_rest() {
    let script = Script::new(|_| away());
    let running = Running::start(&slow(), script.clone());
    let mut offered = 0;
    for round in 0..40 {
        running.sink.try_send(batch(round * 10..round * 10 + 10));
        offered += 10;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // One request in flight, one that waits for its turn, and a full queue are held.
    assert_eq!((running.counters.queue_full.get(), running.sink.depth()), (offered - 120, 100));
    let begun = Instant::now();
    let counters = running.end(Duration::from_secs(30)).await;
    let (delivered, dropped) = sums(&counters);
    assert_eq!((delivered, dropped), (0, [offered - 120, 0, 0, 0, 120]));
    assert!(begun.elapsed() < Duration::from_secs(31), "the deadline is kept");
    // No busy loop: 34 s with pauses of at least half a second.
    assert!(script.asked.lock().unwrap().len() < 70);
}

#[tokio::test(start_paused = true)]
async fn receiver_back_at_end_gets_everything() {
    let script = Script::new(|attempt| if attempt > 3 { Some(Outcome::Accepted) } else { away() });
    let running = Running::start(&slow(), script);
    running.sink.try_send(batch(0..100));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(sums(&running.end(Duration::from_secs(60)).await), (100, [0; 5]));
}

#[tokio::test(start_paused = true)]
async fn silent_receiver_ends_at_deadline() {
    for time in [0, 1, 5] {
        let running = Running::start(&slow(), Script::new(|_| None));
        running.sink.try_send(batch(0..100));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        let counters = running.end(Duration::from_secs(time)).await;
        assert!(begun.elapsed() < Duration::from_secs(time + 1));
        assert_eq!(sums(&counters), (0, [0, 0, 0, 0, 100]));
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_task_counts_its_records() {
    let running = Running::start(&slow(), Script::new(|_| None));
    running.sink.try_send(batch(0..100));
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(running.stop);
    running.task.await.unwrap();
    assert_eq!(running.sink.try_send(batch(0..7)), 0);
    assert_eq!(sums(&running.counters), (0, [0, 0, 0, 0, 107]));
}

#[tokio::test(start_paused = true)]
async fn every_mix_of_answers_adds_up() {
    let script = Script::new(|attempt| match attempt % 7 {
        0 => Some(Outcome::Refused { message: "no".into(), error_type: "400".into() }),
        1 | 4 => Some(Outcome::Accepted),
        2 => Some(Outcome::Partial { rejected: 3, message: "some".into() }),
        3 => Some(later(Duration::from_millis(10))),
        _ => away(),
    });
    for in_flight in [1, 4] {
        for end in [0, 3, 1000] {
            let running = Running::start(&LogsConfig { in_flight, ..slow() }, script.clone());
            for round in 0..100 {
                running.sink.try_send(batch(round * 17..round * 17 + 17));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let counters = running.end(Duration::from_secs(end)).await;
            let (delivered, dropped) = sums(&counters);
            assert_eq!(delivered + dropped.iter().sum::<u64>(), 1700, "{dropped:?}");
            assert!(delivered > 0 && dropped[1] > 0 && dropped[2] > 0, "{delivered} {dropped:?}");
        }
    }
}
