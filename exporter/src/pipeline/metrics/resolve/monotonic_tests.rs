//! No series falls under the same start time, while series with equal texts start, grow and expire.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use eyepiece_flow::event::{Totals, Transport};
use eyepiece_flow::flow::{Direction, End};
use eyepiece_flow::interner::Symbols;
use eyepiece_tests::sample;
use eyepiece_wire::{Hook, InterfaceKind};
use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_oneof, proptest};

use super::{DropReasonNames, Naming, Resolved, Resolver};
use crate::metadata::{InterfaceInfo, LinkTables};
use crate::pipeline::metrics::{Aggregation, Config, Handlers, MetricKind};

/// Interface indexes; each name has a few of them.
const INTERFACES: u32 = 9;
const NAMES: u32 = 3;
/// ns until an idle series leaves.
const IDLE: u64 = 100;

struct Machine;

impl DropReasonNames for Machine {
    fn reason(&self, _: u32) -> Cow<'_, str> {
        "".into()
    }
}

/// An action between two exports.
#[derive(Clone, Debug)]
enum Step {
    /// Packets pass an interface.
    Count { ifindex: u32, packets: u64 },
    /// Time passes.
    Wait(u64),
    /// Idle series leave.
    Expire,
    /// A reader exports.
    Export,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..=INTERFACES, 1..1000_u64).prop_map(|(ifindex, packets)| Step::Count { ifindex, packets }),
        3 => (1..IDLE * 2).prop_map(Step::Wait),
        2 => Just(Step::Expire),
        3 => Just(Step::Export),
    ]
}

/// One reader of an aggregation.
struct Reader {
    aggregation: Aggregation,
    resolver: Resolver,
    now: u64,
    seen: HashMap<String, (u64, u64)>,
}

impl Reader {
    fn new(max_series: usize) -> Self {
        // Addresses as names: mapped into IPv6 or not they have the same text, by different keys.
        let context = "ip".parse().expect("a context");
        let handlers = Handlers::usual(&context, &context);
        let config = Config { handlers, max_series, idle_expiry: Duration::from_nanos(IDLE), ..Config::default() };
        let mut links = LinkTables::new(&Symbols::default());
        for ifindex in 1..=INTERFACES {
            let name = links.intern(&format!("x{}", ifindex % NAMES));
            links.add_interface(ifindex, InterfaceInfo { name, ..InterfaceInfo::default() });
        }
        let mut aggregation = Aggregation::new(config, 0);
        aggregation.set_names(&Arc::new(links.into()));
        Self { aggregation, resolver: Resolver::default(), now: 1000, seen: HashMap::new() }
    }

    fn count(&mut self, ifindex: u32, packets: u64) {
        let v4 = [10, 0, 0, (ifindex % NAMES) as u8];
        let mapped = IpAddr::V6(std::net::Ipv4Addr::from(v4).to_ipv6_mapped());
        let source = if ifindex.is_multiple_of(2) { v4.into() } else { mapped };
        let end = End { endpoint: 1, ..End::default() };
        let addresses = Some((source, [10, 0, 0, 99].into()));
        let totals = Totals {
            traffic: sample::traffic(Hook::FromEndpoint, (ifindex, 0), (packets, 60)),
            addresses,
            transport: Transport::default(),
        };
        self.aggregation.arrive(self.now);
        self.aggregation.count_totals(&totals, (&end, &End::default()), Direction::Unknown, InterfaceKind::Other);
    }

    fn export(&mut self) -> Vec<Resolved> {
        self.resolver.resolve(&self.aggregation.snapshot(self.now), &Machine, Naming::Semconv)
    }

    /// Exports, and compares with the last export.
    fn check(&mut self) {
        for metric in self.export() {
            for series in metric.series {
                let name = format!("{} {:?} {}", metric.name, series.attributes, series.overflow);
                let now = (series.start, series.value.count());
                let last = self.seen.insert(name.clone(), now).unwrap_or_default();
                assert!(last.0 <= now.0, "{name}: its start goes back: {last:?}, {now:?}");
                assert!(last.0 < now.0 || last.1 <= now.1, "{name} falls: {last:?}, {now:?}");
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Count { ifindex, packets } => self.count(ifindex, packets),
            Step::Wait(time) => self.now += time,
            Step::Expire => self.aggregation.expire(self.now),
            Step::Export => self.check(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_and_starts_never_fall(
        max_series in prop_oneof![Just(0_usize), Just(2), Just(100)],
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut reader = Reader::new(max_series);
        steps.iter().for_each(|step| reader.step(step));
    }
}

/// The packets of an interface's name: start and value.
fn packets(reader: &mut Reader, name: &str) -> Option<(u64, u64)> {
    let metrics = reader.export();
    let metric = metrics.iter().find(|metric| metric.name == MetricKind::InterfacePackets.schema().name)?;
    let series = metric.series.iter().find(|series| series.attributes.iter().any(|(_, text)| text == name))?;
    Some((series.start, series.value.count()))
}

#[test]
fn recreated_interface_continues_its_sum() {
    let mut reader = Reader::new(100);
    // Numbers 1, 4 and 7 have the name x1.
    reader.count(1, 200);
    assert_eq!(packets(&mut reader, "x1"), Some((1000, 200)));
    reader.now += 60;
    reader.count(4, 50);
    assert_eq!(packets(&mut reader, "x1"), Some((1000, 250)));
    reader.now += 50;
    reader.count(4, 6);
    reader.aggregation.expire(reader.now);
    assert_eq!(packets(&mut reader, "x1"), Some((1000, 256)), "the sum includes the former interface");
    assert_eq!(packets(&mut reader, "x1"), Some((1000, 256)), "once");
    reader.now += 101;
    reader.aggregation.expire(reader.now);
    reader.count(7, 3);
    assert_eq!(packets(&mut reader, "x1"), Some((1211, 3)), "all former members left: it starts again");
    reader.now += 101;
    reader.aggregation.expire(reader.now);
    assert_eq!(packets(&mut reader, "x1"), None);
    assert!(!reader.resolver.exported.contains_key(&MetricKind::InterfacePackets), "the state is dropped");
}
