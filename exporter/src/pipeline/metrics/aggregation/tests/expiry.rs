//! Series of what is gone leave a minute after it, and no churn leaves anything behind.

use std::sync::Arc;
use std::time::Duration;

use eyepiece_flow::event::TrafficDelta;
use eyepiece_flow::flow::{End, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::metadata::{EndMetadata, Metadata};
use eyepiece_wire::{Hook, InterfaceKind};
use tokio::time::advance;

use super::{Aggregation, Config, count, flow, traffic};
use crate::metadata::provider::{ChangeReceiver as _, Entity, Key, Provider, Target};
use crate::metadata::registry::{GRACE, Registry};
use crate::metadata::{InterfaceInfo, LinkTables, Publisher};
use crate::pipeline::metrics::{Contexts, Handlers, ReaderKind};

const SECOND: u64 = 1_000_000_000;
const PODS: u32 = 100;

/// The providers, and the pipeline's series, at a time that the test sets.
struct Bench {
    symbols: Symbols,
    publisher: Publisher,
    registry: Arc<Registry>,
    aggregation: Aggregation,
    second: u64,
}

impl Bench {
    fn new() -> Self {
        let pod = "pod|name".parse().expect("a context");
        let handler: eyepiece_config::Handler = "drop:labelsContext=source_pod,destination_app".parse().expect("it");
        let mut handlers = Handlers::usual(&pod, &pod);
        handlers.drop = Some(Contexts::from(&handler.contexts));
        let (symbols, publisher) = (Symbols::default(), Publisher::default());
        let registry = Registry::new(symbols.clone(), publisher.clone(), handlers.wanted_texts());
        let config = Config { handlers, max_series: 10_000, ..Config::default() };
        let aggregation = Aggregation::new(config, 0).with_symbols(symbols.clone());
        Self { symbols, publisher, registry, aggregation, second: 0 }
    }

    /// Replaces all pods and interfaces by those of these rounds, at a second.
    async fn publish(&mut self, pods: Option<u32>, interfaces: std::ops::Range<u32>, second: u64) {
        advance(Duration::from_secs(second - self.second)).await;
        self.second = second;
        let entry = |round: u32| {
            move |number: u32| {
                let (name, namespace) = (format!("pod-{round}-{number}"), "shop".to_owned());
                let metadata = EndMetadata { pod_name: name.clone(), namespace, ..EndMetadata::default() };
                let entity = Entity { name, ..Entity::of(metadata) };
                (Key::Address([10, 0, 0, number as u8].into()), Target::Entity(Arc::new(entity)))
            }
        };
        let entries = pods.into_iter().flat_map(|round| (0..PODS).map(entry(round)));
        self.registry.replace(Provider::Kubernetes, entries.collect());
        let mut links = LinkTables::new(&self.symbols);
        for ifindex in interfaces.start * PODS..interfaces.end * PODS {
            let name = links.intern(&format!("veth{ifindex}"));
            links.add_interface(ifindex, InterfaceInfo { name, ..InterfaceInfo::default() });
        }
        self.publisher.publish(links);
        self.registry.publish();
        self.aggregation.set_names(self.publisher.reader().snapshot());
    }

    fn end(&self, number: u32) -> End {
        let names = self.publisher.reader();
        let link = names.snapshot().entity_at_address(&[10, 0, 0, number as u8].into(), None).expect("a pod");
        End { endpoint: number as u16 + 1, entity: link.entity, name: link.name, ..End::default() }
    }

    /// Counts a forwarded and a dropped flow between two pods.
    fn count(&mut self, source: End, destination: End, ifindex: u32, second: u64) {
        for verdict in [Verdict::Forwarded, Verdict::Dropped] {
            let mut flow = flow(source, destination, verdict, second * SECOND);
            flow.traffic = Some(TrafficDelta { ifindex, ..traffic(Hook::FromEndpoint, 1, 60) });
            count(&mut self.aggregation, &flow);
        }
    }

    /// Whether a series names this pod.
    fn names_pod(&self, name: &str) -> bool {
        self.aggregation.snapshot(0).names.ends.iter().any(|lease| &**lease.text() == name)
    }

    /// The number of series of each table, and of names.
    fn size(&self) -> (Vec<usize>, usize) {
        (self.aggregation.occupancy().iter().map(|table| table.series).collect(), self.symbols.count())
    }
}

#[tokio::test(start_paused = true)]
async fn churn_of_pods_leaves_nothing() {
    const ROUNDS: u32 = 100;
    /// Every pod of a round takes the place of one of the round before.
    const ROUND: u64 = 30;
    let mut bench = Bench::new();
    let empty = bench.size();
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        let second = 1000 + u64::from(round) * ROUND;
        // Removed interfaces stay for a minute.
        bench.publish(Some(round), round.saturating_sub(2)..round + 1, second).await;
        for number in 0..PODS {
            let (source, destination) = (bench.end(number), bench.end((number + 1) % PODS));
            bench.count(source, destination, round * PODS + number, second);
        }
        bench.aggregation.expire((second + ROUND / 2) * SECOND);
        sizes.push(bench.size());
    }
    let (series, names) = &sizes[10];
    assert!(series.iter().all(|series| *series <= 6 * PODS as usize), "{series:?} of 100 pods in 30 s");
    assert!(*names <= 15 * PODS as usize, "{names} names");
    assert!(sizes[10..].iter().all(|size| *size == sizes[10]), "{sizes:?}");
    let last = 1000 + u64::from(ROUNDS) * ROUND;
    bench.publish(None, 0..0, last).await;
    bench.publish(None, 0..0, last + GRACE.as_secs()).await;
    bench.aggregation.expire((last + GRACE.as_secs()) * SECOND);
    bench.publisher.publish(LinkTables::default());
    bench.aggregation.set_names(bench.publisher.reader().snapshot());
    assert_eq!(bench.size(), empty);
}

#[tokio::test(start_paused = true)]
async fn late_total_of_ended_pod_stays() {
    let mut bench = Bench::new();
    bench.publish(Some(1), 0..1, 1000).await;
    let (source, destination) = (bench.end(0), bench.end(1));
    bench.count(source, destination, 7, 1000);
    let before = bench.size();
    bench.publish(None, 0..1, 1001).await;
    // 50 s after the end: the entity is still there, and so is its name in the series.
    bench.publish(None, 0..1, 1051).await;
    bench.aggregation.expire(1051 * SECOND);
    bench.count(source, destination, 7, 1051);
    assert_eq!(bench.size().0, before.0, "no series but the former ones");
    // A minute after its last total it has been exported, and leaves with its name.
    for (second, is_there) in [(1062, true), (1111, true), (1112, false)] {
        bench.publish(None, 0..1, second).await;
        bench.aggregation.expire(second * SECOND);
        assert_eq!(bench.names_pod("shop/pod-1-0"), is_there, "{second}");
    }
    assert_eq!(bench.size().0, [0, 0, 0, 0, 1], "the interface is there");
}

#[tokio::test(start_paused = true)]
async fn gone_series_wait_for_readers() {
    use ReaderKind::{Interval, Scrapes};
    // They grew at 1000 and are gone. Idle ones leave after 900 s.
    for (name, reads, second, is_there) in [
        ("read since", &[(Interval, 1001), (Scrapes, 1001)][..], 1062, false),
        ("no reader", &[], 1062, false),
        ("not exported since", &[(Interval, 999)], 1062, true),
        ("not scraped since", &[(Interval, 1001), (Scrapes, 999)], 1062, true),
        ("read when they grew", &[(Scrapes, 1000)], 1062, true),
        ("idle, not scraped", &[(Scrapes, 999)], 1902, false),
        ("idle, not exported", &[(Interval, 999)], 1902, true),
        ("exporter that has stopped", &[(Interval, 999)], 2802, false),
    ] {
        let mut bench = Bench::new();
        bench.publish(Some(1), 0..1, 1000).await;
        let (source, destination) = (bench.end(0), bench.end(1));
        bench.count(source, destination, 7, 1000);
        for (reader, at) in reads {
            bench.aggregation.note_read(*reader, at * SECOND);
        }
        bench.publish(None, 0..1, 1001).await;
        bench.publish(None, 0..1, second).await;
        bench.aggregation.expire(second * SECOND);
        assert_eq!(bench.names_pod("shop/pod-1-0"), is_there, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn shared_and_carried_names_stay() {
    let mut bench = Bench::new();
    bench.publish(Some(1), 0..1, 1000).await;
    let (source, destination) = (bench.end(0), bench.end(1));
    bench.count(source, destination, 7, 1000);
    // Nothing reports the end of the pods that a flow of another Hubble carries.
    let mut carried = flow(End::default(), End::default(), Verdict::Dropped, 1000 * SECOND);
    let pod = |name: &str| EndMetadata { pod_name: name.to_owned(), ..EndMetadata::default() };
    let metadata = Metadata { source: pod("a"), destination: pod("b"), ..Metadata::default() };
    (carried.metadata, carried.traffic) = (Some(Box::new(metadata)), None);
    bench.aggregation.count(&carried, InterfaceKind::Other);
    let before = bench.size().0;
    bench.aggregation.expire(1500 * SECOND);
    assert_eq!(bench.size().0, before, "all pods are there");
    bench.publish(None, 0..1, 1500).await;
    bench.publish(None, 0..1, 1560).await;
    bench.aggregation.expire(1560 * SECOND);
    assert_eq!(bench.size().0, [1, 1, 0, 0, 1], "the carried pods, and the interface");
}
