//! The pipeline beside a thousand of Hubble's followers, good and bad: all of them on the other core.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use eyepiece::pipeline::Sink;
use eyepiece::serve::grpc::Limits;
use eyepiece::serve::observer::ring::Ring;
use eyepiece::support::{server_runtime, shutdown};
use eyepiece_hubble::proto::flow::FlowFilter;
use eyepiece_hubble::proto::observer::GetFlowsRequest;
use http_body_util::BodyExt as _;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, yield_now};

use super::served::{self, Client};
use super::{COMPARED, Figures, OTHER_CORE, ROUNDS, measure};
use eyepiece_tests::bench_report::{Goal, goal, heading, pin, row};

/// Entries of the ring: the default.
const RING: u32 = 4095;
/// Streams of a connection at most: half of a server's limit for a client.
const SHARED: usize = 50;
/// Bytes that a client is behind at most, until it reads.
const WINDOW: u32 = 65_535;
/// The lifetime of a resetting client's stream.
const LIFE: Duration = Duration::from_millis(200);
/// Filters of a filtered one.
const FILTERS: usize = 1000;
/// The pipeline's allowed slowdown by them.
const WITHIN: Goal = Goal::AtLeast(0.9);

/// The behaviour of a client.
#[derive(Clone, Copy)]
enum Manner {
    Reads,
    NeverReads,
    Filters,
    Resets,
}

/// A thousand of them.
const CLIENTS: [(Manner, usize); 4] =
    [(Manner::Reads, 750), (Manner::NeverReads, 150), (Manner::Filters, 20), (Manner::Resets, 80)];

pub(crate) fn compare() {
    server_runtime::raise_descriptors();
    let (mut without, mut with) = (Figures::default(), Figures::default());
    for _ in 0..ROUNDS {
        let ring: Box<dyn Sink> = Box::new(Ring::new(RING).1);
        without = without.best(measure(COMPARED, vec![ring], &[], || ()));
        with = with.best(followed());
    }
    heading(
        "the same with a ring, and Hubble's followers, wall and CPU time",
        &["events/s", "without", "ratio", "of CPU time", "without", "ratio"],
    );
    let (wall, busiest) = (with.wall / without.wall, with.busiest / without.busiest);
    row("a thousand", &[with.wall, without.wall, wall, with.busiest, without.busiest, busiest]);
    goal("pipeline, a thousand followers: CPU time, to that without", busiest, "x", WITHIN);
    goal("pipeline, a thousand followers: wall clock, to that without", wall, "x", WITHIN);
}

fn followed() -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hubble.sock");
    let (ring, writer) = Ring::new(RING);
    let (stop, stopped) = shutdown::channel();
    // Threads inherit the core of their creator.
    let at = path.clone();
    let server = std::thread::spawn(move || {
        pin(OTHER_CORE);
        let runtime = server_runtime::runtime().expect("a runtime");
        runtime.spawn(std::sync::Arc::clone(&ring).wake_followers());
        runtime.block_on(served::serve(&at, ring, Limits::default(), stopped));
        runtime
    });
    let runtime = server.join().expect("a server");
    let (ready, is_ready) = mpsc::channel();
    let (leave, left) = tokio::sync::oneshot::channel::<()>();
    let clients = std::thread::spawn(move || {
        pin(OTHER_CORE);
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let _streams = follow(&path).await;
            ready.send(()).expect("the bench waits");
            let _gone = left.await;
        });
    });
    is_ready.recv().expect("a thousand clients");
    let figures = measure(COMPARED, vec![Box::new(writer)], &[], || ());
    drop(leave);
    clients.join().expect("clients");
    stop.send_replace(Some(tokio::time::Instant::now()));
    runtime.shutdown_background();
    figures
}

/// All clients, each with its answer begun.
async fn follow(path: &Path) -> JoinSet<()> {
    let mut streams = JoinSet::new();
    for (manner, count) in CLIENTS {
        // A client that does not read fills its own connection's window.
        let shared = if matches!(manner, Manner::NeverReads) { 1 } else { SHARED };
        for first in (0..count).step_by(shared) {
            let client = Client::connect(path, WINDOW).await;
            for _ in first..(first + shared).min(count) {
                let (mut client, request) = (client.clone(), request(manner));
                let mut body = client.flows(&request).await;
                streams.spawn(async move {
                    loop {
                        match manner {
                            Manner::Reads | Manner::Filters => while body.frame().await.is_some() {},
                            Manner::NeverReads => std::future::pending().await,
                            Manner::Resets => {
                                let reads = async { while body.frame().await.is_some() {} };
                                let _late = tokio::time::timeout(LIFE, reads).await;
                            }
                        }
                        body = client.flows(&request).await;
                        yield_now().await;
                    }
                });
            }
        }
    }
    streams
}

fn request(manner: Manner) -> GetFlowsRequest {
    let address = |n: usize| format!("192.168.{}.{}", n / 256, n % 256);
    let filter = |n| FlowFilter { source_ip: vec![address(n)], ..FlowFilter::default() };
    let filters = if matches!(manner, Manner::Filters) { FILTERS } else { 0 };
    GetFlowsRequest { follow: true, whitelist: (0..filters).map(filter).collect(), ..GetFlowsRequest::default() }
}
