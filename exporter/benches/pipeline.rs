//! Events per second through the whole pipeline on one core: record → parse → enrich → count → batch → sink.
//!
//! The records come from memory: this is user space alone. Rows with clients show the ratio to the row without,
//! measured in turns.

mod followers;
#[allow(dead_code, reason = "each bench uses a part")]
mod repeated;
mod served;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use eyepiece::export::otlp::delivery::Transport;
use eyepiece::export::otlp::logs;
use eyepiece::export::otlp::logs::LogsConfig;
use eyepiece::export::otlp::queue::LogSink;
use eyepiece::export::otlp::resource::Resource;
use eyepiece::export::otlp::retry::Outcome;
use eyepiece::metadata::Publisher;
use eyepiece::pipeline;
use eyepiece::pipeline::metrics::Aggregation;
use eyepiece::pipeline::{Deps, Sink, metrics};
use eyepiece::serve::monitor::agent::{Agent, SourceSwitch};
use eyepiece::serve::monitor::connection::Connection;
use eyepiece::serve::monitor::fanout::Fanout;
use eyepiece::serve::monitor::notifier::notifier;
use eyepiece::serve::monitor::tap::Tap;
use eyepiece::support::clock::unix_now;
use eyepiece::support::task_thread::spawn_thread;
use eyepiece::support::telemetry::{Number, Telemetry};
use eyepiece::support::{server_runtime, shutdown};
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::record::Batch;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use eyepiece_tests::bench_report::{Goal, goal, heading, pin, row};
use repeated::{Repeat, links};

/// Events of one measurement.
const EVENTS: u64 = 10_000_000;
/// Rounds of a comparison.
const ROUNDS: u64 = 5;
/// Events of each of them: enough for the memory that queues fill to be no part of the figure.
const COMPARED: u64 = 5_000_000;
/// The pipeline's allowed slowdown by monitor clients.
const UNHINDERED: Goal = Goal::AtLeast(0.95);
/// The core of all threads but the pipeline.
const OTHER_CORE: usize = 1;
/// Runs of each, in turns; the best is shown.
const RUNS: usize = 5;

/// The rates of a run.
#[derive(Clone, Copy, Default)]
struct Figures {
    /// Events a second, by the clock on the wall.
    wall: f64,
    /// Events a second of the busiest thread's CPU time: the rate if its core is otherwise idle.
    busiest: f64,
}

impl Figures {
    fn best(self, other: Self) -> Self {
        Self { wall: self.wall.max(other.wall), busiest: self.busiest.max(other.busiest) }
    }
}

fn main() {
    heading("whole pipeline, on core 0", &["events/s", "of CPU time", "ns an event"]);
    let (mut metrics, mut logs) = (Figures::default(), Figures::default());
    for _ in 0..RUNS {
        metrics = metrics.best(measure(EVENTS, Vec::new(), &[], || ()));
        let (sink, stop) = logs_to_nothing();
        let encoded = || {
            while sink.depth() > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        logs = logs.best(measure(EVENTS / 5, vec![Box::new(Waiting(sink.clone()))], &[], encoded));
        stop.send_replace(Some(tokio::time::Instant::now()));
    }
    for (name, figures) in [("metrics on, logs off", metrics), ("metrics and logs, encoded on core 1", logs)] {
        row(name, &[figures.wall, figures.busiest, 1e9 / figures.busiest]);
    }
    goal("pipeline, one core, metrics on, logs off", metrics.busiest, "events/s", Goal::AtLeast(3e6));
    goal("pipeline, one core, logs to a sink on the other", logs.busiest, "events/s", Goal::AtLeast(5e5));
    listeners();
    followers::compare();
}

/// CPU time in ns of this process' threads that do the work, the busiest's.
fn busiest() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("procfs").filter_map(|entry| {
        let folder = entry.ok()?.path();
        let name = std::fs::read_to_string(folder.join("comm")).ok()?;
        let used = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        let works = matches!(name.trim(), "pipeline" | "otlp-logs");
        used.split_whitespace().next()?.parse::<u64>().ok().filter(|_| works)
    });
    threads.max().unwrap_or(0)
}

/// The same with clients of the monitor socket: one that reads, one that never does, ten of which one never does.
fn listeners() {
    use Client::{Reads, Stopped};
    let ten = [vec![Reads; 9], vec![Stopped]].concat();
    heading(
        "the same with monitor clients, wall and CPU time",
        &["events/s", "without", "ratio", "of CPU time", "without", "ratio"],
    );
    let rows = [
        ("one monitor client that reads", vec![Reads]),
        ("one that never does", vec![Stopped]),
        ("ten, one of which never does", ten),
    ];
    for (name, clients) in rows {
        // The best of some rounds in turns: what else runs here hits both.
        let (mut without, mut with) = (Figures::default(), Figures::default());
        for _ in 0..ROUNDS {
            without = without.best(measure(COMPARED, Vec::new(), &[], || ()));
            with = with.best(measure(COMPARED, Vec::new(), &clients, || ()));
        }
        let (wall, busiest) = (with.wall / without.wall, with.busiest / without.busiest);
        row(name, &[with.wall, without.wall, wall, with.busiest, without.busiest, busiest]);
        goal(&format!("pipeline, {name}: CPU time, to that without"), busiest, "x", UNHINDERED);
        goal(&format!("pipeline, {name}: wall clock, to that without"), wall, "x", UNHINDERED);
    }
}

/// A client of the monitor socket.
#[derive(Clone, Copy)]
enum Client {
    /// Takes what there is and forgets it.
    Reads,
    /// Takes nothing.
    Stopped,
}

/// Adds these clients to a fan-out; both ends of their sockets are on the other core, and end with the value.
fn serve(fanout: &Fanout, clients: &[Client]) -> Option<Runtime> {
    if clients.is_empty() {
        return None;
    }
    // Its threads inherit the core of their creator.
    let made = std::thread::spawn(|| {
        pin(OTHER_CORE);
        server_runtime::runtime()
    });
    let runtime = made.join().expect("a thread").expect("runtime");
    let entered = runtime.enter();
    let agent = Agent::new(Always, fanout.clone());
    for &client in clients {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let listener = agent.listen(None).expect("listener");
        runtime.spawn(async move {
            let (sent, (_never, stop)) = (Number::default(), shutdown::channel());
            // Who is stopped is not ended meanwhile.
            Connection::new(&ours, Duration::from_secs(3600), &sent).run(&listener, stop).await
        });
        runtime.spawn(read(theirs, client));
    }
    drop(entered);
    Some(runtime)
}

async fn read(stream: UnixStream, client: Client) {
    let mut buffer = vec![0; 1 << 16];
    if matches!(client, Client::Stopped) {
        std::future::pending::<()>().await;
    }
    while stream.readable().await.is_ok() && !matches!(stream.try_read(&mut buffer), Ok(0)) {}
}

/// The source is started by hand.
struct Always;

impl SourceSwitch for Always {
    fn start(&self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&self) {}
}

/// Sends flows to the log exporter and waits while it is full: the rate is then the slower one's.
struct Waiting(LogSink);

impl Sink for Waiting {
    fn send(&mut self, batch: Batch) {
        while self.0.depth() + batch.len() > LogsConfig::default().capacity {
            // Long enough not to be work, short enough that the exporter never waits.
            std::thread::sleep(Duration::from_micros(200));
        }
        self.0.try_send(batch);
    }
}

#[derive(Clone)]
struct Nothing;

impl Transport for Nothing {
    async fn send(&self, request: Bytes) -> Outcome {
        std::hint::black_box(request);
        Outcome::Accepted
    }
}

fn logs_to_nothing() -> (LogSink, tokio::sync::watch::Sender<Option<tokio::time::Instant>>) {
    let (stop, stopped) = shutdown::channel();
    let resource = Resource::new("bench", "1", [], None);
    let names = Arc::new(NoLookup);
    let (sink, exporter) = logs::build(&LogsConfig::default(), &resource, names, Nothing, &Telemetry::default());
    let done = spawn_thread("otlp-logs", move || {
        pin(OTHER_CORE);
        exporter.run(stopped)
    });
    drop(done.expect("thread"));
    (sink, stop)
}

fn measure(events: u64, sinks: Vec<Box<dyn Sink>>, clients: &[Client], settle: impl FnOnce()) -> Figures {
    let symbols = Symbols::default();
    let (repeat, gate) = Repeat::new(events);
    let fanout = Fanout::new(&Telemetry::default());
    let (_notifier, inbox) = notifier(&Telemetry::default(), unix_now);
    let runtime = serve(&fanout, clients);
    let parts = Deps {
        source: Box::new(Tap::new(Box::new(repeat), &fanout, inbox)),
        producer: Producer::default(),
        source_kind: "bench",
        names: Publisher::new(links(&symbols)).reader(),
        symbols: symbols.clone(),
        learn: Box::new(|_, _: IpAddr, _| {}),
        learn_process: Box::new(|_| {}),
        aggregation: Aggregation::new(metrics::Config::default(), unix_now()),
        event_handlers: Vec::new(),
        sinks,
        telemetry: Telemetry::default(),
        now: unix_now,
    };
    let (handle, thread) = pipeline::spawn(parts).expect("pipeline");
    let start = Instant::now();
    gate.open();
    handle.drain().expect("drain");
    settle();
    let (elapsed, used) = (start.elapsed().as_secs_f64(), busiest() as f64 / 1e9);
    drop(handle);
    thread.join().expect("thread").expect("source");
    if let Some(runtime) = runtime {
        runtime.shutdown_background();
    }
    Figures { wall: events as f64 / elapsed, busiest: events as f64 / used }
}
