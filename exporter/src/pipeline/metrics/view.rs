//! The fast way from a flow to its series: one look-up finds all series of a flow in the metrics that name ends alike.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use eyepiece_flow::event::TrafficDelta;
use eyepiece_flow::flow::{End, Flow};
use eyepiece_wire::Hook;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::context::{Context, Packed, Value};
use super::observed::{FREE_SHIFT, Observed, interface_labels};
use super::series::{NONE, Table};

/// The ends of a flow in a metric's contexts, packed. The tags lie where labels leave room for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    source_high: u64,
    source_low: u64,
    destination_high: u64,
    destination_low: u64,
    tags: u64,
}

impl Ends {
    #[inline]
    fn new(source: Packed, destination: Packed) -> Self {
        Self {
            source_high: source.high,
            source_low: source.low,
            destination_high: destination.high,
            destination_low: destination.low,
            tags: u64::from(source.tag | destination.tag << 3) << FREE_SHIFT,
        }
    }

    /// Leaves out the ends that a metric has no label for.
    fn project(self, members: Member) -> Self {
        let (source, destination) = self.packed();
        Self::new(
            if members.source { source } else { Packed::NONE },
            if members.destination { destination } else { Packed::NONE },
        )
    }

    fn packed(self) -> (Packed, Packed) {
        let tag = |shift: u32| (self.tags >> (FREE_SHIFT + shift)) as u8 & 7;
        (
            Packed { tag: tag(0), high: self.source_high, low: self.source_low },
            Packed { tag: tag(3), high: self.destination_high, low: self.destination_low },
        )
    }

    #[inline]
    fn hash<H: Hasher>(self, labels: u64, state: &mut H) {
        // Words one by one: derived on arrays, lengths would be hashed too.
        state.write_u64(self.source_high);
        state.write_u64(self.source_low);
        state.write_u64(self.destination_high);
        state.write_u64(self.destination_low);
        state.write_u64(self.tags | labels);
    }
}

/// Key of a series in a metric that has contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesKey {
    ends: Ends,
    pub(super) labels: u64,
}

impl SeriesKey {
    /// Source, destination.
    pub(super) fn values(self) -> (Value, Value) {
        let (source, destination) = self.ends.packed();
        (source.value(), destination.value())
    }
}

impl Hash for SeriesKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ends.hash(self.labels, state);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PlanKey {
    ends: Ends,
    observed: Observed,
}

impl Hash for PlanKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ends.hash(self.observed.flow, state);
        state.write_u64(u64::from(self.observed.number) | u64::from(self.observed.carrier) << 32);
    }
}

/// Slots that flows of one key add to; [`NONE`] where they don't.
#[derive(Clone, Copy, Debug)]
struct Plan {
    drop: u32,
    flows: u32,
    tcp: [u32; 3],
    /// Found at the first packet that counts here.
    io: u32,
    interface: u32,
}

/// The series of all metrics but `hubble.lost_events`.
#[derive(Debug)]
pub(super) struct Tables {
    /// When what is being counted arrived, ns since the Unix epoch: the age of series.
    pub(super) now: u64,
    pub(super) drop: Table<SeriesKey>,
    pub(super) flows: Table<SeriesKey>,
    pub(super) tcp: Table<SeriesKey>,
    /// Packets and bytes.
    pub(super) io: Table<SeriesKey>,
    /// Packets and bytes.
    pub(super) interfaces: Table<u64>,
    /// Generations of interfaces, by index; those that are not here have 0.
    pub(super) generations: HashMap<u32, u32, RandomState>,
}

impl Tables {
    /// The key of an interface's series.
    pub(super) fn interface(&self, ifindex: u32, ingress: bool) -> u64 {
        interface_labels(ifindex, self.generations.get(&ifindex).copied().unwrap_or(0), ingress)
    }
}

/// Which ends a metric has labels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) source: bool,
    pub(super) destination: bool,
}

/// Which metrics a view counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Members {
    pub(super) drop: Option<Member>,
    pub(super) flows: Option<Member>,
    pub(super) tcp: Option<Member>,
    pub(super) io: Option<Member>,
    /// Interfaces have no contexts: one view counts them, any one.
    pub(super) interfaces: bool,
}

/// Metrics that name the ends by the same contexts, or leave one out.
#[derive(Debug)]
pub(super) struct View {
    source: Context,
    destination: Context,
    pub(super) members: Members,
    plans: HashMap<PlanKey, Plan, RandomState>,
    /// The most that `plans` holds. It grows up to that as keys are met, and never shrinks: reserved at once, its
    /// few entries would lie far apart and miss the cache (4 ns per flow).
    capacity: usize,
}

impl View {
    pub(super) fn new(source: Context, destination: Context, capacity: usize) -> Self {
        Self { source, destination, members: Members::default(), plans: HashMap::default(), capacity }
    }

    /// Whether a metric with these contexts can be counted here, and how.
    pub(super) fn member(&self, source: &Context, destination: &Context) -> Option<Member> {
        let fits = (source.is_absent() || *source == self.source)
            && (destination.is_absent() || *destination == self.destination);
        fits.then(|| Member { source: !source.is_absent(), destination: !destination.is_absent() })
    }

    /// Counts a flow, and the packets and bytes that count here for `hubble.flow.io`.
    #[inline]
    pub(super) fn count(&mut self, tables: &mut Tables, flow: &Flow, observed: Observed, (packets, bytes): (u64, u64)) {
        let addresses = flow.ip.as_ref().map(|ip| (&ip.source, &ip.destination));
        let key = PlanKey { ends: self.ends(&flow.source, &flow.destination, addresses), observed };
        let now = tables.now;
        let plan = match self.plans.get(&key) {
            Some(plan) => *plan,
            None => self.plan(tables, key),
        };
        tables.flows.add(plan.flows, 1, 0, now);
        if plan.drop != NONE {
            tables.drop.add(plan.drop, 1, 0, now);
        }
        if plan.tcp[0] != NONE {
            for slot in plan.tcp {
                tables.tcp.add(slot, 1, 0, now);
            }
        }
        if packets | bytes != 0 {
            let slot = if plan.io == NONE { self.io(tables, key) } else { plan.io };
            tables.io.add(slot, packets, bytes, now);
        }
        if let Some(traffic) = &flow.traffic
            && self.members.interfaces
            && traffic.packets | traffic.bytes != 0
            && traffic.hook != Hook::Drop
        {
            let slot = if plan.interface == NONE { self.interface(tables, key, traffic) } else { plan.interface };
            // What was held was counted at the interface when it was reported first.
            tables.interfaces.add(slot, traffic.packets, traffic.bytes, now);
        }
    }

    /// Adds packets and bytes that no flow carried.
    pub(super) fn count_io(
        &self,
        tables: &mut Tables,
        ends: (&End, &End),
        addresses: (IpAddr, IpAddr),
        carrier: u32,
        (packets, bytes): (u64, u64),
    ) {
        if let Some(member) = self.members.io {
            let ends = self.ends(ends.0, ends.1, Some((&addresses.0, &addresses.1))).project(member);
            let slot = tables.io.place(SeriesKey { ends, labels: carrier.into() }, tables.now);
            tables.io.add(slot, packets, bytes, tables.now);
        }
    }

    /// Forgets the slots: after series have moved out of them.
    pub(super) fn forget(&mut self) {
        self.plans.clear();
    }

    #[inline]
    fn ends(&self, source: &End, destination: &End, addresses: Option<(&IpAddr, &IpAddr)>) -> Ends {
        let (from, to) = addresses.unzip();
        Ends::new(self.source.packed(source, from), self.destination.packed(destination, to))
    }

    /// Finds the series of a key that was not met lately.
    #[cold]
    fn plan(&mut self, tables: &mut Tables, key: PlanKey) -> Plan {
        let Members { drop, flows, tcp, .. } = self.members;
        let PlanKey { ends, observed } = key;
        let now = tables.now;
        let mut plan = Plan { drop: NONE, flows: NONE, tcp: [NONE; 3], io: NONE, interface: NONE };
        if let Some(member) = flows {
            let ends = ends.project(member);
            plan.flows = tables.flows.place(SeriesKey { ends, labels: observed.flow_labels() }, now);
        }
        if let (Some(member), Some(labels)) = (drop, observed.drop_labels()) {
            plan.drop = tables.drop.place(SeriesKey { ends: ends.project(member), labels }, now);
        }
        if let Some(member) = tcp {
            let ends = ends.project(member);
            for (slot, labels) in plan.tcp.iter_mut().zip(observed.tcp_labels()) {
                *slot = tables.tcp.place(SeriesKey { ends, labels }, now);
            }
        }
        self.remember(key, plan);
        plan
    }

    #[cold]
    fn io(&mut self, tables: &mut Tables, key: PlanKey) -> u32 {
        let Some(member) = self.members.io else { return NONE };
        let labels = key.observed.carrier.into();
        let slot = tables.io.place(SeriesKey { ends: key.ends.project(member), labels }, tables.now);
        if let Some(plan) = self.plans.get_mut(&key) {
            plan.io = slot;
        }
        slot
    }

    #[cold]
    fn interface(&mut self, tables: &mut Tables, key: PlanKey, traffic: &TrafficDelta) -> u32 {
        let labels = tables.interface(traffic.ifindex, traffic.hook.is_ingress());
        let slot = tables.interfaces.place(labels, tables.now);
        // The keys of drops say nothing of interfaces: their next one may be at another.
        if key.observed.names_interface()
            && let Some(plan) = self.plans.get_mut(&key)
        {
            plan.interface = slot;
        }
        slot
    }

    fn remember(&mut self, key: PlanKey, plan: Plan) {
        // Starting anew costs each live key one slow count, and needs no bookkeeping of which ones are live.
        if self.plans.len() >= self.capacity {
            self.plans.clear();
        }
        self.plans.insert(key, plan);
    }
}
