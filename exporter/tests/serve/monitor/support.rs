//! A server with a scripted source behind it, and clients that decode what they get.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eyepiece::metadata::{LinkTables, Publisher};
use eyepiece::pipeline;
use eyepiece::pipeline::metrics::Aggregation;
use eyepiece::pipeline::{Deps, Handle, metrics};
use eyepiece::serve::monitor::agent::Agent;
use eyepiece::serve::monitor::fanout::Fanout;
use eyepiece::serve::monitor::notifier::{Notifier, notifier};
use eyepiece::serve::monitor::server;
use eyepiece::serve::monitor::tap::Tap;
use eyepiece::source::{Source, Waker};
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::Telemetry;
use eyepiece::support::unix_listener;
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::event::{Event, Lost, LostSource, RawEvent};
use eyepiece_flow::gob::RECORD_LOST;
use eyepiece_flow::gob::stream::{Limits, PayloadDecoder};
use eyepiece_flow::interner::Symbols;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Timeout of expected events.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
/// Events that the source delivers in one read.
const READ: usize = 3000;

/// The events that the source is to deliver.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SourceStep {
    /// `count` events: type 1, the next number as u64, and `more` bytes.
    Events { count: u64, more: usize },
    /// Losses.
    Lost { cpu: u16, count: u64 },
}

/// The test's view of the source.
#[derive(Clone, Default)]
pub(crate) struct Feed {
    orders: Arc<Mutex<VecDeque<SourceStep>>>,
    delivered: Arc<AtomicU64>,
    pub(crate) running: Arc<AtomicBool>,
    pub(crate) starts: Arc<AtomicU64>,
    waker: Option<Waker>,
}

impl Feed {
    pub(crate) fn order(&self, order: SourceStep) {
        self.orders.lock().unwrap().push_back(order);
        self.waker.as_ref().unwrap().wake();
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Acquire)
    }

    pub(crate) fn wait(&self, delivered: u64) {
        eventually("events are delivered", || self.delivered() == delivered);
    }
}

struct Scripted {
    feed: Feed,
    waker: Waker,
    next: u64,
    data: Vec<u8>,
}

impl Scripted {
    fn deliver(&mut self, sink: &mut dyn FnMut(&Event<'_>)) -> usize {
        let Some(order) = self.feed.orders.lock().unwrap().pop_front() else { return 0 };
        match order {
            SourceStep::Lost { cpu, count } => {
                sink(&Event::Lost(Lost { source: LostSource::KernelBuffer, cpu: Some(cpu), count, time: 1 }));
                1
            }
            SourceStep::Events { count, more } => {
                let now = count.min(READ as u64);
                for _ in 0..now {
                    self.data.clear();
                    self.data.push(1);
                    self.data.extend(self.next.to_le_bytes());
                    self.data.resize(9 + more, 0x55);
                    let cpu = (self.next % 4) as u16;
                    sink(&Event::Raw(RawEvent { time: 1, cpu, data: &self.data, traffic: None, kernel_drop: None }));
                    self.next += 1;
                }
                if count > now {
                    self.feed.orders.lock().unwrap().push_front(SourceStep::Events { count: count - now, more });
                }
                now as usize
            }
        }
    }
}

impl Source for Scripted {
    fn start(&mut self) -> io::Result<()> {
        self.feed.running.store(true, Ordering::Release);
        self.feed.starts.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn stop(&mut self) {
        self.feed.running.store(false, Ordering::Release);
    }

    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        // As an unread buffer of the kernel.
        let count = if self.feed.running.load(Ordering::Acquire) { self.deliver(sink) } else { 0 };
        if count == 0 {
            std::thread::sleep(timeout.min(Duration::from_millis(2)));
        }
        self.feed.delivered.fetch_add(count as u64, Ordering::AcqRel);
        Ok(count)
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

/// A server at work.
pub(crate) struct Server {
    pub(crate) runtime: Runtime,
    pub(crate) path: PathBuf,
    pub(crate) feed: Feed,
    pub(crate) agent: Agent,
    pub(crate) telemetry: Telemetry,
    pub(crate) notifier: Notifier,
    pub(crate) handle: Handle,
    stop: tokio::sync::watch::Sender<Option<tokio::time::Instant>>,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(queue: Option<usize>, stall: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("monitor.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let telemetry = Telemetry::default();
        let (notifier, inbox) = notifier(&telemetry, || 1);
        let fanout = Fanout::new(&telemetry);
        let waker = Waker::new().unwrap();
        let feed = Feed { waker: Some(waker.clone()), ..Feed::default() };
        let source = Scripted { feed: feed.clone(), waker, next: 0, data: Vec::new() };
        let (handle, thread) = pipeline::spawn(Deps {
            source: Box::new(Tap::new(Box::new(source), &fanout, inbox)),
            producer: Producer::default(),
            source_kind: "test",
            names: Publisher::new(LinkTables::new(&Symbols::default())).reader(),
            symbols: Symbols::default(),
            learn: Box::new(|_, _: IpAddr, _| {}),
            learn_process: Box::new(|_| {}),
            aggregation: Aggregation::new(metrics::Config::default(), 1),
            event_handlers: Vec::new(),
            sinks: Vec::new(),
            telemetry: telemetry.clone(),
            now: || 1,
        })
        .unwrap();
        drop(thread);
        let agent = Agent::new(handle.clone(), fanout);
        let config = unix_listener::Config { path: path.clone(), mode: 0o600, group: None };
        let socket = runtime.block_on(config.listen()).unwrap();
        let (stop, stopped) = shutdown::channel();
        let config = server::Config { socket, queue, stall, agent: agent.clone(), telemetry: telemetry.clone() };
        let task = runtime.spawn(config.run(stopped));
        Self { runtime, path, feed, agent, telemetry, notifier, handle, stop, task, _folder: folder }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.path)
    }

    pub(crate) fn number(&self, name: &str, attribute: &str) -> u64 {
        let samples = self.telemetry.samples().into_iter().filter(|sample| {
            sample.key.name == name
                && (attribute.is_empty() || sample.key.attributes.iter().any(|(_, value)| value == attribute))
        });
        samples.map(|sample| sample.value).sum()
    }

    pub(crate) fn wait_for_listeners(&self, count: u64) {
        eventually("listeners", || self.number("eyepiece.monitor.listeners", "") == count);
    }

    /// Asks it to end by a time from now, and waits until it has.
    pub(crate) fn stop(&mut self, drain: Duration) {
        self.handle.drain().unwrap();
        self.stop.send_replace(Some(tokio::time::Instant::now() + drain));
        let ended = async { tokio::time::timeout(TIMEOUT, &mut self.task).await };
        self.runtime.block_on(ended).expect("the server has ended").unwrap();
    }
}

/// The payloads that a client received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReceivedPayloads {
    /// Numbers of events, in order.
    pub(crate) numbers: Vec<u64>,
    /// Losses, by CPU, with the number of events before them.
    pub(crate) lost: Vec<(i64, u64, usize)>,
    /// Data of other payloads.
    pub(crate) others: Vec<Vec<u8>>,
}

impl ReceivedPayloads {
    pub(crate) fn lost_total(&self) -> u64 {
        self.lost.iter().map(|(_, count, _)| count).sum()
    }

    pub(crate) fn all(&self) -> u64 {
        self.numbers.len() as u64 + self.lost_total()
    }
}

/// A client that decodes.
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    decoder: PayloadDecoder,
    bytes: Vec<u8>,
    pub(crate) got: ReceivedPayloads,
}

impl Client {
    pub(crate) fn connect(path: &std::path::Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self {
            stream,
            decoder: PayloadDecoder::new(Limits::default()),
            bytes: Vec::new(),
            got: ReceivedPayloads::default(),
        }
    }

    /// Reads until what it got is enough, or the end.
    pub(crate) fn read_until(&mut self, enough: impl Fn(&ReceivedPayloads) -> bool) {
        let mut buffer = vec![0; 1 << 16];
        while !enough(&self.got) {
            let read = self.stream.read(&mut buffer).expect("events in time");
            if read == 0 {
                break;
            }
            self.bytes.extend_from_slice(&buffer[..read]);
            self.decode();
        }
    }

    fn decode(&mut self) {
        let mut at = 0;
        while let Some((payload, length)) = self.decoder.decode(&self.bytes[at..]).unwrap() {
            at += length;
            if payload.kind == RECORD_LOST {
                self.got.lost.push((payload.cpu, payload.lost, self.got.numbers.len()));
            } else if payload.data[0] == 1 {
                let number = u64::from_le_bytes(payload.data[1..9].try_into().unwrap());
                assert_eq!(payload.cpu, (number % 4) as i64);
                assert!(payload.data[9..].iter().all(|&byte| byte == 0x55));
                self.got.numbers.push(number);
            } else {
                self.got.others.push(payload.data.to_vec());
            }
        }
        self.bytes.drain(..at);
        assert!(self.bytes.len() <= self.decoder.longest());
    }
}

pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    eyepiece_tests::eventually(TIMEOUT, what, || is_so().then_some(())).unwrap();
}
