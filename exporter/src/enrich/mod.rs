//! Who a flow's ends are: filled in from one snapshot, without allocation, by one look-up per end.

pub mod tables;

pub use tables::{EndInfo, EndKind, InterfaceInfo, Publisher, Reader, Tables};

use eyepiece_wire::Hook;

use crate::event::Totals;
use crate::flow::{EVENT_DROP, End, Flow};
use crate::parser::direction;

/// Reserved identity of the machine itself (Cilium `pkg/identity/numericidentity.go`).
pub const IDENTITY_HOST: u32 = 1;
/// Reserved identity of everybody who is not known.
pub const IDENTITY_WORLD: u32 = 2;

/// Observation point of packets that an endpoint receives (Cilium `pkg/monitor/api`, `TraceToLxc`).
const TO_ENDPOINT: u8 = 0;
/// Observation point of packets that an endpoint sends (`TraceFromLxc`).
const FROM_ENDPOINT: u8 = 5;

/// Fills in both ends, and the direction, which depends on them.
///
/// An end whose address nobody knows, or several have, is the event's own endpoint where the hook says so. An
/// identity that is set stays; endpoints get none. A flow without addresses gets that end only.
///
/// Returns true where the source sends from an address that is not known to be its own, or only learned: the caller
/// may tell the watcher of interfaces then.
#[inline]
pub fn enrich(flow: &mut Flow, tables: &Tables) -> bool {
    let (mut source, mut destination) = match &flow.ip {
        Some(ip) => (Some(tables.end(&ip.source)), Some(tables.end(&ip.destination))),
        None => (None, None),
    };
    let mut is_news = false;
    if flow.datapath_endpoint != 0 {
        match flow.observation_point {
            Some(FROM_ENDPOINT) => {
                let is_known = source.is_some_and(|end| end.kind != EndKind::World && !end.learned);
                is_news = source.is_some() && !is_known && flow.meter.is_some();
                own(&mut source, flow.datapath_endpoint, tables);
            }
            Some(TO_ENDPOINT) => own(&mut destination, flow.datapath_endpoint, tables),
            // A drop says no side: only an address that several have can be settled by it.
            None if flow.event_type.kind == EVENT_DROP => {
                for end in [&mut source, &mut destination] {
                    if end.is_some_and(|end| end.shared) {
                        own(end, flow.datapath_endpoint, tables);
                    }
                }
            }
            _ => {}
        }
    }
    fill(&mut flow.source, source);
    fill(&mut flow.destination, destination);
    flow.direction = direction(flow);
    is_news
}

/// Both ends of totals that no event carried, by the same rules as [`enrich`].
pub fn ends(totals: &Totals, tables: &Tables) -> (End, End) {
    let (mut source, mut destination) = match &totals.addresses {
        Some((source, destination)) => (Some(tables.end(source)), Some(tables.end(destination))),
        None => (None, None),
    };
    let endpoint = tables.interface(totals.meter.ifindex).endpoint;
    if endpoint != 0 {
        match totals.meter.hook {
            Hook::FromEndpoint => own(&mut source, endpoint, tables),
            Hook::ToEndpoint => own(&mut destination, endpoint, tables),
            Hook::FromNetwork | Hook::ToNetwork | Hook::Drop => {}
        }
    }
    let mut ends = (End::default(), End::default());
    fill(&mut ends.0, source);
    fill(&mut ends.1, destination);
    ends
}

/// The event's own endpoint takes an end that is nobody's, or that several could be.
#[inline]
fn own(end: &mut Option<EndInfo>, endpoint: u16, tables: &Tables) {
    if end.is_none_or(|end| end.kind == EndKind::World || end.shared) {
        let name = tables.endpoint_name(endpoint);
        *end = Some(EndInfo { endpoint, name, kind: EndKind::Endpoint, shared: false, learned: false });
    }
}

#[inline]
fn fill(end: &mut End, info: Option<EndInfo>) {
    let Some(info) = info else { return };
    end.endpoint = info.endpoint;
    end.name = info.name;
    if end.identity == 0 {
        end.identity = match info.kind {
            EndKind::Endpoint => 0,
            EndKind::Host => IDENTITY_HOST,
            EndKind::World => IDENTITY_WORLD,
        };
    }
}
