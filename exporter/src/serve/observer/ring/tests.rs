//! Exact capacity, exact overruns, and readers concurrent with the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use eyepiece_flow::event::{Lost, LostSource};
use eyepiece_flow::flow::{EventType, Flow};
use eyepiece_flow::record::{Batch, Observed};

use super::{Follower, MAX_CAPACITY, Overrun, Reader, Ring, Writer};

/// A batch of flows with these times.
fn batch(times: impl IntoIterator<Item = u64>) -> Batch {
    let flow = |time| Observed::Flow(Flow { time, ..Flow::empty(EventType::default()) });
    Batch::new(times.into_iter().map(flow).collect())
}

/// All readable entries, and the number of overwritten ones.
fn read(reader: &mut Reader) -> (Vec<u64>, u64) {
    let (mut times, mut lost) = (Vec::new(), 0);
    loop {
        match reader.next() {
            Ok(Some(run)) => {
                let entries = run.block().from(run.position());
                times.extend(entries.iter().map(Observed::time));
                reader.advance(entries.len() as u64);
            }
            Ok(None) => return (times, lost),
            Err(Overrun(count)) => lost += count,
        }
    }
}

/// Writes times from 1 on in batches of these sizes, over and over.
fn fill(writer: &mut Writer, from: u64, count: u64, sizes: &[u64]) {
    let mut next = from;
    let mut sizes = sizes.iter().cycle();
    while next < from + count {
        let size = (*sizes.next().unwrap()).min(from + count - next);
        writer.write(&batch(next..next + size));
        next += size;
    }
}

#[test]
fn ring_holds_exactly_its_capacity() {
    for capacity in [1, 2, 3, 7, 255] {
        let c = u64::from(capacity);
        for sizes in [&[1][..], &[2], &[3, 1], &[512], &[5, 1, 1, 90]] {
            for count in [0, 1, c - 1, c, c + 1, c * 2 - 1, c * 8 + 3] {
                let (ring, mut writer) = Ring::new(capacity);
                fill(&mut writer, 1, count, sizes);
                let what = format!("{count} in {sizes:?} into {capacity}");
                assert_eq!((ring.len(), ring.end(), ring.flows()), (count.min(c), count, count), "{what}");
                let held: Vec<u64> = (count.saturating_sub(c) + 1..=count).collect();
                let mut reader = Reader::new(Arc::clone(&ring), 0);
                assert_eq!(read(&mut reader), (held, count.saturating_sub(c)), "{what}");
                assert_eq!(reader.position(), count, "{what}");
            }
        }
    }
}

#[test]
fn block_without_current_entries_is_dropped() {
    let (ring, mut writer) = Ring::new(7);
    let first = batch([1, 2, 3]);
    let held = Arc::downgrade(first.entries());
    writer.write(&first);
    drop(first);
    fill(&mut writer, 4, 6, &[1]);
    assert!(held.upgrade().is_some(), "entry 3 is still in the ring");
    fill(&mut writer, 10, 1, &[1]);
    assert!(held.upgrade().is_none());
    assert_eq!(ring.newest_first().map(|block| block.first()).collect::<Vec<_>>(), [9, 8, 7, 6, 5, 4, 3]);
}

#[test]
fn block_counts_entries_and_times() {
    let (ring, mut writer) = Ring::new(15);
    let lost = Lost { source: LostSource::KernelBuffer, cpu: None, count: 4, time: 9 };
    let mut entries = batch([5, 3, 7]).to_vec();
    entries.push(Observed::Lost(lost));
    writer.write(&Batch::new(entries));
    writer.write(&Batch::default());
    let blocks: Vec<_> = ring.newest_first().collect();
    assert_eq!(blocks.len(), 1, "an empty batch makes no block");
    assert_eq!((blocks[0].flows(), blocks[0].lost(), blocks[0].times()), (3, 1, (3, 9)));
}

#[test]
fn overrun_reader_gets_exact_loss_count() {
    let (ring, mut writer) = Ring::new(3);
    let mut reader = Reader::new(Arc::clone(&ring), ring.end());
    fill(&mut writer, 1, 2, &[2]);
    assert_eq!(read(&mut reader), (vec![1, 2], 0));
    fill(&mut writer, 3, 4, &[1]);
    assert_eq!(read(&mut reader), (vec![4, 5, 6], 1));
    fill(&mut writer, 7, 30, &[10]);
    assert_eq!(read(&mut reader), (vec![34, 35, 36], 27));
}

#[test]
fn any_position_is_found() {
    let (ring, mut writer) = Ring::new(MAX_CAPACITY);
    fill(&mut writer, 1, 100_000, &[1, 512, 7, 64]);
    for position in (ring.oldest()..ring.end()).step_by(997) {
        let run = Reader::new(Arc::clone(&ring), position).next().unwrap().unwrap();
        assert_eq!(run.block().from(run.position())[0].time(), position + 1);
    }
}

#[test]
fn concurrent_readers_count_every_entry_once() {
    const COUNT: u64 = 400_000;
    let (ring, mut writer) = Ring::new(1023);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = [0, 0, 20]
            .into_iter()
            .map(|pause| {
                let (mut reader, done) = (Reader::new(Arc::clone(&ring), 0), &done);
                scope.spawn(move || {
                    let (mut next, mut lost) = (1, 0);
                    loop {
                        let is_last = done.load(Ordering::Acquire);
                        match reader.next() {
                            Ok(Some(run)) => {
                                let entries = run.block().from(run.position());
                                for entry in entries {
                                    assert_eq!(entry.time(), next);
                                    next += 1;
                                }
                                reader.advance(entries.len() as u64);
                            }
                            Ok(None) if is_last => return (next - 1, lost),
                            Ok(None) => thread::yield_now(),
                            Err(Overrun(count)) => {
                                next += count;
                                lost += count;
                            }
                        }
                        thread::sleep(Duration::from_micros(pause));
                    }
                })
            })
            .collect();
        fill(&mut writer, 1, COUNT, &[1, 3, 512, 100]);
        done.store(true, Ordering::Release);
        for reader in readers {
            let (read, lost) = reader.join().unwrap();
            assert_eq!(read, COUNT);
            assert!(lost < COUNT);
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_wake_for_every_entry() {
    const COUNT: u64 = 2_000;
    let (ring, mut writer) = Ring::new(4095);
    let waking = tokio::spawn(Arc::clone(&ring).wake_followers());
    let followers: Vec<_> = (0..20)
        .map(|_| {
            let ring = Arc::clone(&ring);
            tokio::spawn(async move {
                let (mut follower, mut reader) = (Follower::new(Arc::clone(&ring)), Reader::new(Arc::clone(&ring), 0));
                while reader.position() < COUNT {
                    follower.wait_beyond(reader.position()).await;
                    let (read, lost) = read(&mut reader);
                    assert!(!read.is_empty() && lost == 0);
                }
            })
        })
        .collect();
    for time in 1..=COUNT {
        writer.write(&batch([time]));
        if time % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for follower in followers {
        tokio::time::timeout(Duration::from_secs(30), follower).await.expect("follower never woke").unwrap();
    }
    waking.abort();
}
