//! 100,000 series: a snapshot on the pipeline's thread, a page for Prometheus and the requests of OTLP, each beside a
//! copy of what it makes; their memory; and the pipeline's rate while pages are scraped in a loop, beside that without.

mod repeated;

use std::borrow::Cow;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use eyepiece::export::otlp::metrics::{MAX_REQUEST, encode};
use eyepiece::export::otlp::metrics_sender::MetricsRequest;
use eyepiece::export::otlp::resource::Resource;
use eyepiece::export::prometheus::{Format, Page, RequestMetrics};
use eyepiece::metadata::Publisher;
use eyepiece::pipeline;
use eyepiece::pipeline::Deps;
use eyepiece::pipeline::metrics::{
    Aggregation, Config, Context, DropReasonNames, Handlers, Naming, ReaderKind, Resolved, Resolver, Snapshot,
};
use eyepiece::serve::http::Server;
use eyepiece::serve::prometheus;
use eyepiece::support::clock::unix_now;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_config::Settings;
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::flow::{EVENT_TRACE, End, EventType, Flow, L4, TcpFlags, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_wire::{Hook, InterfaceKind};
use flate2::Compression;
use flate2::write::GzEncoder;

use eyepiece_tests::bench_report::{Goal, goal, heading, pin, row};
use eyepiece_tests::sample;
use repeated::{Repeat, links};

/// Ends of flows; each pair has a series in `METRICS` metrics: flows, TCP flags, packets and bytes.
const SOURCES: usize = 250;
const DESTINATIONS: usize = 100;
const METRICS: usize = 4;
const SERIES: usize = SOURCES * DESTINATIONS * METRICS;

/// Rounds of each figure; the shortest is shown.
const ROUNDS: usize = 10;
/// Events of a measurement of the pipeline: some seconds, in which pages are rendered several times.
const EVENTS: u64 = 20_000_000;
/// Rounds of both rates, in turns; the best is shown.
const RATE_ROUNDS: usize = 3;
/// The core of all threads but the pipeline.
const OTHER_CORE: usize = 1;
/// Events a second that the kernel's buffer holds during a snapshot: more than a node has.
const EVENTS_A_SECOND: f64 = 1e6;

struct Numbers;

impl DropReasonNames for Numbers {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        reason.to_string().into()
    }
}

/// An aggregation with the series, whose names are like those of pods.
fn filled(symbols: &Symbols) -> Aggregation {
    let name: Context = "name".parse().expect("a context");
    let config = Config { handlers: Handlers::usual(&name, &name), max_series: SERIES, ..Config::default() };
    let now = unix_now();
    let mut aggregation = Aggregation::new(config, now).with_symbols(symbols.clone());
    aggregation.arrive(now);
    let end = |kind: &str, number: usize| {
        let name = symbols.intern(&format!("shop/{kind}-7c5b4f8d9-{number:05}"));
        End { endpoint: 1, identity: 1000, name, entity: 0 }
    };
    let destinations: Vec<End> = (0..DESTINATIONS).map(|number| end("backend", number)).collect();
    for source in (0..SOURCES).map(|number| end("frontend", number)) {
        for &destination in &destinations {
            let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 5 });
            flow.verdict = Verdict::Forwarded;
            flow.ip = Some(sample::ip([10, 0, 0, 1], [10, 0, 0, 2]));
            flow.l4 = L4::Tcp { source_port: 40_000, destination_port: 80, flags: TcpFlags(TcpFlags::SYN) };
            (flow.source, flow.destination) = (source, destination);
            flow.traffic = Some(sample::traffic(Hook::FromEndpoint, (7, 0), (1, 60)));
            aggregation.count(&flow, InterfaceKind::Other);
        }
    }
    aggregation
}

/// The shortest time of some rounds in ms, without the drop of what is made: in the product that is another thread's.
fn shortest<T>(mut routine: impl FnMut() -> T) -> f64 {
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        let made = black_box(routine());
        let elapsed = start.elapsed().as_secs_f64() * 1e3;
        drop(made);
        elapsed
    });
    times.fold(f64::INFINITY, f64::min)
}

/// A reader's texts of a snapshot.
fn resolve(resolver: &mut Resolver, snapshot: &Snapshot, naming: Naming) -> Vec<Resolved> {
    resolver.resolve(snapshot, &Numbers, naming)
}

fn page(flows: &[Resolved], requests: &RequestMetrics) -> Vec<u8> {
    Page { flows, requests, samples: &[], resource: &[] }.render(Format::Text)
}

/// Compresses as the endpoint does.
fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(page).expect("memory");
    encoder.finish().expect("memory")
}

/// Resident memory in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().expect("a number") / 1024.0
}

fn main() {
    let at_start = resident();
    let aggregation = filled(&Symbols::default());
    let with_series = resident();
    let resource = Resource::new("bench", "1", [], None).proto();
    let (mut of_pages, mut of_requests) = (Resolver::default(), Resolver::default());
    let requests = RequestMetrics::default();
    let take = || aggregation.snapshot(unix_now());
    let mut scrape = || page(&resolve(&mut of_pages, &take(), Naming::Hubble), &requests);
    let mut export = || {
        let snapshot = take();
        let metrics = resolve(&mut of_requests, &snapshot, Naming::Semconv);
        let encoded = encode(&metrics, snapshot.time, &resource, MAX_REQUEST);
        encoded.requests.iter().map(MetricsRequest::from).collect::<Vec<_>>()
    };
    // The first ones fill the state of their readers.
    let (text, encoded, snapshot) = (scrape(), export(), take());
    let with_readers = resident();
    let compressed = gzip(&text);
    let bytes: Vec<u8> = encoded.iter().flat_map(|request| &request.body).copied().collect();
    let count: usize = snapshot.metrics.iter().map(|metric| metric.points.len()).sum();

    heading(&format!("{count} series"), &["ms", "a copy, ms", "x copy", "MiB"]);
    let of_snapshot = shortest(take);
    let mebibytes = |bytes: &[u8]| bytes.len() as f64 / f64::from(1 << 20);
    let show = |name: &str, time: f64, copy: f64, size: f64| row(name, &[time, copy, time / copy, size]);
    show("snapshot, on the pipeline's thread", of_snapshot, shortest(|| snapshot.clone()), 0.0);
    let of_text = shortest(&mut scrape);
    show("page for Prometheus, text", of_text, shortest(|| text.clone()), mebibytes(&text));
    let of_gzip = shortest(|| gzip(&scrape()));
    show("page for Prometheus, gzip", of_gzip, shortest(|| compressed.clone()), mebibytes(&compressed));
    let of_requests = shortest(&mut export);
    show("requests of OTLP", of_requests, shortest(|| bytes.clone()), mebibytes(&bytes));

    heading(&format!("resident memory, {count} series"), &["MiB"]);
    for (name, size) in [
        ("without series", at_start),
        ("with series", with_series),
        ("after a page and requests, which a reader keeps", with_readers),
        ("at the end of all rounds", resident()),
    ] {
        row(name, &[size]);
    }
    goal("series: 100,000, page as text", of_text, "ms", Goal::AtMost(300.0));
    goal("series: 100,000, page as gzip", of_gzip, "ms", Goal::AtMost(300.0));
    goal("series: 100,000, requests of OTLP", of_requests, "ms", Goal::AtMost(1000.0));
    let buffer = f64::from(Settings::default().datapath.buffer_bytes(4096));
    let held = buffer / Repeat::new(0).0.record_bytes() as f64 / EVENTS_A_SECOND * 1e3;
    goal("series: 100,000, snapshot, to what the ring holds at 1e6/s", of_snapshot, "ms", Goal::AtMost(held));
    rates();
}

/// The pipeline's rate with pages that are scraped in a loop, and without.
fn rates() {
    let (mut without, mut with, mut pages) = (0.0_f64, 0.0_f64, 0);
    for _ in 0..RATE_ROUNDS {
        without = without.max(rate(false).0);
        let (rate, rendered) = rate(true);
        (with, pages) = (with.max(rate), pages + rendered);
    }
    heading("pipeline with 100,000 series, on core 0", &["events/s", "without", "ratio", "pages"]);
    let ratio = with / without;
    row("pages scraped in a loop, on core 1", &[with, without, ratio, pages as f64 / RATE_ROUNDS as f64]);
    goal("series: rate of the pipeline while scraped, to that without", ratio, "x", Goal::AtLeast(0.95));
}

/// Returns events a second, and the number of pages that were rendered meanwhile.
fn rate(is_scraped: bool) -> (f64, usize) {
    let symbols = Symbols::default();
    let (repeat, gate) = Repeat::new(EVENTS);
    let (handle, thread) = pipeline::spawn(Deps {
        source: Box::new(repeat),
        producer: Producer::default(),
        source_kind: "bench",
        names: Publisher::new(links(&symbols)).reader(),
        symbols: symbols.clone(),
        learn: Box::new(|_, _, _| {}),
        learn_process: Box::new(|_| {}),
        aggregation: filled(&symbols),
        event_handlers: Vec::new(),
        sinks: Vec::new(),
        telemetry: Telemetry::default(),
        now: unix_now,
    })
    .expect("pipeline");
    let (rendered, stop) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));
    let server = is_scraped.then(|| endpoint(&handle, &rendered));
    let address = server.as_ref().map(|server| server.addr);
    let elapsed = std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(OTHER_CORE);
            while let Some(address) = address.filter(|_| !stop.load(Ordering::Relaxed)) {
                scrape(address);
            }
        });
        let start = Instant::now();
        gate.open();
        gate.wait();
        let elapsed = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        elapsed
    });
    drop((server, handle));
    thread.join().expect("thread").expect("source");
    (EVENTS as f64 / elapsed.as_secs_f64(), rendered.load(Ordering::Relaxed))
}

/// Serves pages of the pipeline's series on the other core, and counts them.
fn endpoint(handle: &pipeline::Handle, rendered: &Arc<AtomicUsize>) -> Server {
    let (handle, rendered, resolver) = (handle.clone(), Arc::clone(rendered), Mutex::new(Resolver::default()));
    let render = move |_: Format, requests: &RequestMetrics| {
        let snapshot = handle.snapshot(ReaderKind::Scrapes).map_err(|error| error.to_string())?;
        let mut resolver = resolver.lock().expect("no panic");
        rendered.fetch_add(1, Ordering::Relaxed);
        Ok::<_, String>(page(&resolve(&mut resolver, &snapshot, Naming::Hubble), requests))
    };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = prometheus::Config { listen, tls: None, telemetry: Telemetry::default() };
    // Its threads inherit the core of their creator.
    let serve = || {
        pin(OTHER_CORE);
        config.bind().expect("an address").serve(render).expect("a thread")
    };
    std::thread::scope(|scope| scope.spawn(serve).join().expect("a server"))
}

/// Reads a page as Prometheus does; one that the end of the pipeline interrupts counts too.
fn scrape(address: SocketAddr) {
    let get = b"GET /metrics HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: gzip\r\n\r\n";
    let mut stream = TcpStream::connect(address).expect("the endpoint");
    let mut answer = Vec::new();
    let read = stream.write_all(get).and_then(|()| stream.read_to_end(&mut answer));
    black_box((read.is_ok(), answer.len()));
}
