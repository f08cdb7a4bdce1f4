//! Checks the payloads of listeners and their order; without listeners nothing is encoded.

use std::io;
use std::time::Duration;

use eyepiece_flow::event::{Event, Lost, LostSource, RawEvent};
use eyepiece_flow::gob::stream::{Limits, PayloadDecoder};
use eyepiece_flow::gob::value::Value;
use eyepiece_flow::gob::{EVENT_SAMPLE, RECORD_LOST};

use super::Tap;
use crate::serve::monitor::agent::{Agent, Listener, SourceSwitch};
use crate::serve::monitor::chunk::{CHUNK_PAYLOADS, Piece};
use crate::serve::monitor::fanout::Fanout;
use crate::serve::monitor::notification::{Endpoint, Notification};
use crate::serve::monitor::notifier::{Notifier, notifier};
use crate::source::{Source, Waker};
use crate::support::telemetry::Telemetry;

/// One step of a scripted source.
#[derive(Clone)]
enum Item {
    Raw(u16, Vec<u8>),
    Lost(Option<u16>, u64),
}

/// Each read delivers the next list.
struct Script {
    reads: std::vec::IntoIter<Vec<Item>>,
    waker: Waker,
}

impl Source for Script {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&mut self) {}

    fn read(&mut self, _: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let items = self.reads.next().unwrap_or_default();
        for item in &items {
            sink(&match item {
                Item::Raw(cpu, data) => {
                    Event::Raw(RawEvent { time: 1, cpu: *cpu, data, traffic: None, kernel_drop: None })
                }
                Item::Lost(cpu, count) => {
                    Event::Lost(Lost { source: LostSource::KernelBuffer, cpu: *cpu, count: *count, time: 1 })
                }
            });
        }
        Ok(items.len())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

struct NoSwitch;

impl SourceSwitch for NoSwitch {
    fn start(&self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&self) {}
}

fn setup(reads: Vec<Vec<Item>>) -> (Tap, Agent, Notifier) {
    let telemetry = Telemetry::default();
    let fanout = Fanout::new(&telemetry);
    let (notifier, inbox) = notifier(&telemetry, || 5);
    let source = Script { reads: reads.into_iter(), waker: Waker::new().unwrap() };
    let tap = Tap::new(Box::new(source), &fanout, inbox);
    (tap, Agent::new(NoSwitch, fanout), notifier)
}

/// Returns the raw events that the pipeline receives in one read.
fn read(tap: &mut Tap) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    tap.read(Duration::ZERO, &mut |event| {
        if let Event::Raw(raw) | Event::Notification(raw) = event {
            found.push(raw.data.to_vec());
        }
    })
    .unwrap();
    found
}

/// Everything that a listener received: CPU, kind, losses, data.
async fn received(listener: &Listener) -> Vec<(i64, i64, u64, Vec<u8>)> {
    listener.finish();
    let mut bytes = eyepiece_flow::gob::encode::PAYLOAD_DESCRIPTOR.to_vec();
    let mut found = Vec::new();
    while let Some(next) = listener.next().await {
        if next.lost > 0 {
            crate::serve::monitor::fanout::record_lost(&mut bytes, None, next.lost);
        }
        bytes.extend(next.piece.iter().flat_map(Piece::bytes));
    }
    let (mut decoder, mut at) = (PayloadDecoder::new(Limits::default()), 0);
    while let Some((payload, length)) = decoder.decode(&bytes[at..]).unwrap() {
        found.push((payload.cpu, payload.kind, payload.lost, payload.data.to_vec()));
        at += length;
    }
    found
}

#[tokio::test]
async fn listeners_receive_payloads_in_order() {
    let first =
        vec![Item::Raw(3, vec![4, 0, 255]), Item::Lost(Some(1), 300), Item::Raw(0, vec![1]), Item::Lost(None, 2)];
    let second = vec![Item::Raw(7, vec![2; 1000])];
    let (mut tap, agent, _) = setup(vec![first.clone(), first, second]);
    assert_eq!(read(&mut tap), [vec![4, 0, 255], vec![1]], "without listeners");
    let (one, two) = (agent.listen(Some(100)).unwrap(), agent.listen(Some(2)).unwrap());
    assert_eq!(read(&mut tap), [vec![4, 0, 255], vec![1]]);
    assert_eq!(read(&mut tap), [vec![2; 1000]]);
    let all = [
        (3, EVENT_SAMPLE, 0, vec![4, 0, 255]),
        (1, RECORD_LOST, 300, vec![]),
        (0, EVENT_SAMPLE, 0, vec![1]),
        (0, RECORD_LOST, 2, vec![]),
        (7, EVENT_SAMPLE, 0, vec![2; 1000]),
    ];
    assert_eq!(received(&one).await, all);
    // Two events and two lost by the source: 1 + 2 + 1.
    assert_eq!(received(&two).await, [all[0].clone(), all[1].clone(), (0, RECORD_LOST, 4, vec![])]);
}

#[tokio::test]
async fn read_of_any_length_is_complete() {
    for events in [0, 1, CHUNK_PAYLOADS - 1, CHUNK_PAYLOADS, CHUNK_PAYLOADS + 1, CHUNK_PAYLOADS * 8] {
        let items = (0..events).map(|n| Item::Raw(0, (n as u32).to_le_bytes().to_vec())).collect();
        let (mut tap, agent, _) = setup(vec![items]);
        let listener = agent.listen(Some(events)).unwrap();
        assert_eq!(read(&mut tap).len(), events);
        let numbers = received(&listener).await.into_iter().map(|(_, _, _, data)| data);
        assert!(numbers.eq((0..events).map(|n| (n as u32).to_le_bytes().to_vec())), "{events}");
    }
}

#[tokio::test]
async fn skipped_events_count_for_full_queues() {
    let events = |count: usize| vec![Item::Raw(0, vec![9]); count];
    let full = [events(100), vec![Item::Lost(None, 7)], events(100)].concat();
    let (mut tap, agent, _) = setup(vec![events(200), full, events(3), events(3)]);
    let first = agent.listen(Some(1)).unwrap();
    for events in [200, 200] {
        assert_eq!(read(&mut tap).len(), events);
    }
    let second = agent.listen(Some(2)).unwrap();
    read(&mut tap);
    let event = (0, EVENT_SAMPLE, 0, vec![9]);
    let lost = |count| (0, RECORD_LOST, count, vec![]);
    assert_eq!(received(&second).await, [event.clone(), event.clone(), lost(1)]);
    read(&mut tap);
    // 199 that did not fit, 200 and 7 that were skipped, twice 3.
    assert_eq!(received(&first).await, [event, lost(199 + 207 + 6)]);
}

#[tokio::test]
async fn notifications_join_started_source() {
    let (mut tap, agent, notifier) = setup(vec![vec![], vec![Item::Raw(1, vec![4])], vec![]]);
    let listener = agent.listen(Some(10)).unwrap();
    notifier.send(Notification::EndpointCreated(Endpoint { id: 1, ..Endpoint::default() }));
    assert_eq!(read(&mut tap), [[0_u8; 0]; 0], "the source is stopped");
    tap.start().unwrap();
    notifier.send(Notification::EndpointCreated(Endpoint { id: 2, ..Endpoint::default() }));
    let pipeline = read(&mut tap);
    assert_eq!((pipeline.len(), &pipeline[0], pipeline[1][0]), (2, &vec![4], 130));
    tap.stop();
    notifier.send(Notification::EndpointDeleted(Endpoint { id: 2, ..Endpoint::default() }));
    assert_eq!(read(&mut tap), [[0_u8; 0]; 0]);
    let found = received(&listener).await;
    assert_eq!(found, [(1, EVENT_SAMPLE, 0, vec![4]), (0, EVENT_SAMPLE, 0, pipeline[1].clone())]);
    let (Value::Struct(value), _) = eyepiece_flow::gob::value::value(&pipeline[1][1..]).unwrap() else {
        panic!("a structure")
    };
    assert_eq!(value.get("Text").and_then(Value::as_text), Some(r#"{"id":2}"#), "{value:?}");
}

#[tokio::test]
async fn next_read_removes_dropped_listener() {
    let (mut tap, agent, _) = setup(vec![vec![], vec![]]);
    let listener = agent.listen(Some(10)).unwrap();
    read(&mut tap);
    assert!(!tap.publisher.is_idle());
    drop(listener);
    read(&mut tap);
    assert!(tap.publisher.is_idle());
}
