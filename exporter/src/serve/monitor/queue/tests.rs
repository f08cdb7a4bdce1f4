//! The queue's bounds, and exact, ordered reports of losses.

use std::sync::Arc;

use super::{Missed, Queue, QueueItem, QueueMetrics};
use crate::serve::monitor::chunk::{CHUNK_BYTES, CHUNK_PAYLOADS, Chunk, Piece};
use crate::serve::monitor::limits::{MAX_LISTENERS, QUEUE_BYTES, QUEUE_POOL_BYTES, QUEUE_SHARE_BYTES};
use crate::support::byte_budget::ByteBudget;

/// Bytes of all queues, apart from one chunk each that may exceed the bound.
const QUEUES_TOTAL_BYTES: usize = QUEUE_SHARE_BYTES * MAX_LISTENERS + QUEUE_POOL_BYTES;

/// A chunk of payloads of one byte each, with consecutive metrics.
fn chunk(first: usize, payloads: usize) -> Arc<Chunk> {
    let mut chunk = Chunk::default();
    for n in first..first + payloads {
        chunk.push(|out| out.push(n as u8));
    }
    Arc::new(chunk)
}

/// The queue's rest as bytes, with losses as negative metrics.
fn drain(queue: &Queue) -> Vec<i64> {
    let mut found = Vec::new();
    queue.finish();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        while let Some(QueueItem { lost, piece }) = queue.next().await {
            if lost > 0 {
                found.push(-(lost as i64));
            }
            found.extend(piece.iter().flat_map(Piece::bytes).map(|&byte| i64::from(byte)));
        }
    });
    found
}

fn new_queue(capacity: Option<usize>) -> Queue {
    Queue::new(capacity, &ByteBudget::new(QUEUE_POOL_BYTES), QueueMetrics::default())
}

/// The next item, without ending the queue.
fn pop(queue: &Queue) -> Option<(u64, Vec<u8>)> {
    let next = queue.pop(&mut queue.state())?;
    Some((next.lost, next.piece.map(|piece| piece.bytes().to_vec()).unwrap_or_default()))
}

#[test]
fn full_queue_reports_lost_payloads() {
    const N: usize = 10;
    for offered in [0, 1, N - 1, N, N + 1, N * 8] {
        for step in [1, 3, N * 8] {
            let queue = new_queue(Some(N));
            let metrics = queue.metrics.clone();
            for first in (0..offered).step_by(step) {
                queue.offer(&chunk(first, step.min(offered - first)));
            }
            let kept = offered.min(N);
            assert_eq!(metrics.depth.get(), kept as u64);
            let mut expected: Vec<i64> = (0..kept as i64).collect();
            let lost = offered - kept;
            expected.extend((lost > 0).then_some(-(lost as i64)));
            assert_eq!(drain(&queue), expected, "{offered} by {step}");
            assert_eq!((metrics.lost.get(), metrics.lost_total.get()), (lost as u64, lost as u64));
            assert_eq!(metrics.depth.get(), 0);
        }
    }
}

#[test]
fn queue_without_room_reports_all_lost() {
    let queue = new_queue(Some(0));
    queue.offer(&chunk(0, 3));
    queue.offer(&chunk(3, 4));
    assert_eq!(drain(&queue), [-7]);
    let one = new_queue(Some(1));
    one.offer(&chunk(0, 3));
    assert_eq!(drain(&one), [0, -2]);
}

#[test]
fn losses_are_reported_in_order() {
    let queue = new_queue(Some(4));
    queue.offer(&chunk(0, 3));
    queue.offer(&chunk(3, 3));
    assert_eq!(pop(&queue), Some((0, vec![0, 1, 2])));
    queue.offer(&chunk(6, 5));
    assert_eq!(pop(&queue), Some((0, vec![3])));
    assert_eq!(pop(&queue), Some((2, vec![6, 7, 8])), "two lost before them");
    assert_eq!(pop(&queue), Some((2, vec![])), "and two behind");
    assert_eq!(pop(&queue), None);
    queue.offer(&chunk(11, 1));
    assert_eq!(pop(&queue), Some((0, vec![11])), "reported once");
}

#[test]
fn lost_loss_report_counts_its_events() {
    let queue = new_queue(Some(1));
    let mut chunk = Chunk::default();
    chunk.push(|out| out.push(7));
    chunk.push_loss(500, |out| out.push(8));
    chunk.push(|out| out.push(9));
    queue.offer(&Arc::new(chunk));
    assert_eq!(drain(&queue), [7, -501]);
    assert_eq!(queue.metrics.lost.get(), 1, "one event of ours; the source's losses are counted elsewhere");
}

#[test]
fn bytes_are_bounded() {
    let queue = new_queue(Some(1000));
    let mut large = Chunk::default();
    for n in 0..3_u8 {
        large.push(|out| out.extend(std::iter::repeat_n(n, QUEUE_BYTES / 2)));
    }
    queue.offer(&Arc::new(large));
    assert_eq!(queue.waiting(), 2);
    queue.offer(&chunk(0, 1));
    let lost = queue.state().lost;
    assert_eq!((queue.waiting(), lost), (2, 2), "full to the byte");
    assert_eq!(pop(&queue).map(|(lost, bytes)| (lost, bytes.len())), Some((0, QUEUE_BYTES)));
    assert_eq!((queue.memory(), pop(&queue)), (0, Some((2, vec![]))));
}

#[test]
fn memory_of_any_payloads_is_bounded() {
    for (bytes, payloads) in [(1, 1), (1, CHUNK_PAYLOADS), (200, 300), (CHUNK_BYTES, 1), (1 << 20, 1)] {
        let queue = new_queue(None);
        let mut offered = 0;
        while !queue.is_full() {
            let mut chunk = Chunk::default();
            (0..payloads).for_each(|_| chunk.push_loss(1, |out| out.extend(std::iter::repeat_n(9, bytes))));
            queue.offer(&Arc::new(chunk));
            offered += payloads;
        }
        let (held, used) = (queue.memory(), queue.waiting() * bytes);
        println!("{payloads} of {bytes}: {} payloads", queue.waiting());
        assert!(held <= QUEUE_BYTES + 4 * CHUNK_BYTES.max(bytes), "{bytes}: {held}");
        assert!(used <= held && queue.waiting() > 0 && queue.waiting() < offered, "{bytes}: {used} of {held}");
    }
}

#[test]
fn skipped_events_are_reported_lost() {
    let queue = new_queue(Some(2));
    let missed = Missed { events: 3, missed: 503 };
    queue.offer(&chunk(0, 2));
    assert!(!queue.is_full(), "all of it was taken");
    queue.offer(&chunk(2, 1));
    assert!(queue.is_full());
    queue.miss(missed);
    assert_eq!(pop(&queue), Some((0, vec![0, 1])));
    queue.offer(&chunk(3, 1));
    queue.miss(missed);
    assert_eq!(drain(&queue), [-504, 3, -503]);
    assert_eq!((queue.metrics.lost.get(), queue.metrics.lost_total.get()), (7, 7), "without the source's losses");
    assert!(!queue.is_full(), "there is room");
    queue.miss(missed);
    assert_eq!((drain(&queue), queue.metrics.lost.get()), (vec![], 7), "the queue is finished");
}

/// Reads the first item; returns the number of items that waited.
async fn sleeper(queue: Arc<Queue>) -> Option<usize> {
    queue.next().await?;
    Some(queue.waiting() + 1)
}

#[tokio::test]
async fn reader_wakes_by_fraction_or_flush() {
    for (capacity, chunks, is_flushed, wakes) in
        [(8, 1, false, false), (8, 1, true, true), (8, 2, false, true), (4, 1, false, true), (8, 0, true, false)]
    {
        let queue = Arc::new(new_queue(Some(capacity)));
        let task = tokio::spawn(sleeper(Arc::clone(&queue)));
        while !queue.state().is_asleep {
            tokio::task::yield_now().await;
        }
        (0..chunks).for_each(|n| queue.offer(&chunk(n, 1)));
        if is_flushed {
            queue.flush();
        }
        let is_asleep = queue.state().is_asleep;
        assert_eq!(is_asleep, !wakes, "{chunks} of {capacity}, {is_flushed}");
        queue.finish();
        assert_eq!(task.await.unwrap(), (chunks > 0).then_some(chunks));
    }
}

#[test]
fn closed_queue_is_empty() {
    let queue = new_queue(Some(10));
    let metrics = queue.metrics.clone();
    queue.offer(&chunk(0, 2));
    queue.close();
    queue.offer(&chunk(2, 20));
    assert_eq!((queue.waiting(), metrics.lost.get()), (0, 0));
    assert_eq!(drain(&queue), [0; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_reader_counts_every_payload() {
    let queue = Arc::new(new_queue(Some(50)));
    let reader = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            let (mut received, mut lost) = (0, 0);
            while let Some(next) = queue.next().await {
                lost += next.lost;
                received += next.piece.map_or(0, |piece| piece.payloads() as u64);
            }
            (received, lost)
        })
    };
    let writer = std::thread::spawn(move || {
        for round in 0..10_000 {
            queue.offer(&chunk(0, round % 40));
            if round % 3 == 0 {
                queue.flush();
            }
        }
        queue.flush();
        queue.finish();
    });
    let offered: u64 = (0..10_000).map(|round| round % 40).sum();
    let (received, lost) = reader.await.unwrap();
    writer.join().unwrap();
    assert_eq!(received + lost, offered, "{received} received, {lost} reported lost");
}

/// Slow listeners fill the pool: the sum is bounded, a listener that keeps up has its share, and each loss is exact.
#[test]
fn bytes_of_all_listeners_are_bounded() {
    // Never written, so that the kernel maps no memory.
    const LARGE: usize = 1 << 20;
    let pool = ByteBudget::new(QUEUE_POOL_BYTES);
    let queue = || Queue::new(None, &pool, QueueMetrics::default());
    let queues: Vec<_> = (0..MAX_LISTENERS).map(|_| queue()).collect();
    let (quick, slow) = queues.split_first().unwrap();
    let mut offered = 0;
    let held = || queues.iter().map(Queue::memory).sum::<usize>();
    for _ in 0..QUEUE_BYTES / LARGE {
        for queue in slow {
            // A chunk of its own, as if each became slow at another time.
            let mut large = Chunk::default();
            large.push(|out| *out = vec![0; LARGE]);
            queue.offer(&Arc::new(large));
        }
        offered += 1;
    }
    assert!(held() <= QUEUES_TOTAL_BYTES + MAX_LISTENERS * 2 * LARGE && held() > QUEUES_TOTAL_BYTES / 2, "{}", held());
    assert!(pool.used() > QUEUE_POOL_BYTES - LARGE, "{}", pool.used());
    for queue in slow {
        let (waiting, lost) = (queue.waiting() as u64, queue.state().lost);
        assert_eq!(waiting + lost, offered);
        assert!(lost > 0 && queue.memory() >= QUEUE_SHARE_BYTES - LARGE);
    }
    let mut large = Chunk::default();
    large.push(|out| *out = vec![0; LARGE]);
    let large = Arc::new(large);
    for _ in 0..QUEUE_SHARE_BYTES / LARGE * 4 {
        quick.offer(&large);
        assert_eq!(pop(quick).map(|(lost, _)| lost), Some(0), "it reads and loses nothing");
    }
    // Memory that is read or freed is available to others.
    while pop(&slow[0]).is_some() {}
    assert!(slow[1..].iter().any(|queue| {
        queue.offer(&large);
        queue.state().waiting.back().is_some_and(|(lost, _)| *lost > 0)
    }));
    queues.iter().for_each(Queue::close);
    assert_eq!((pool.used(), held()), (0, 0));
}
