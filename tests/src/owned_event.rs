//! Events of every form, made by proptest, and their comparison.

use std::net::IpAddr;

use eyepiece_flow::event::{Event, KernelDrop, Lost, LostSource, RawEvent, Totals, TrafficDelta, Transport};
use eyepiece_wire::{AnsweredBy, Hook};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// An event that owns its bytes.
#[derive(Clone, Debug)]
pub enum Owned {
    /// A payload, and the event without it.
    Raw(Vec<u8>, RawEvent<'static>),
    /// Totals of a connection.
    Totals(Totals),
    /// A loss.
    Lost(Lost),
}

impl Owned {
    /// The event that borrows the bytes.
    pub fn event(&self) -> Event<'_> {
        match self {
            Self::Raw(data, event) => Event::Raw(RawEvent { data, ..*event }),
            Self::Totals(totals) => Event::Totals(*totals),
            Self::Lost(lost) => Event::Lost(*lost),
        }
    }
}

/// An event in full, for comparisons.
pub fn text(event: &Event<'_>) -> String {
    format!("{event:?}")
}

fn traffic() -> impl Strategy<Value = TrafficDelta> {
    let numbers = (any::<[u32; 2]>(), any::<[u64; 5]>());
    (0_u8..5, 0_u8..4, numbers).prop_map(|(hook, answered_by, numbers)| {
        let ([ifindex, ingress_ifindex], [packets, bytes, held_packets, held_bytes, cgroup]) = numbers;
        let (hook, answered_by) = (Hook::from_u8(hook).expect("a hook"), AnsweredBy::from_u8(answered_by));
        // A recording has no process.
        let none = TrafficDelta::none(hook, ifindex, ingress_ifindex);
        TrafficDelta { answered_by, packets, bytes, held_packets, held_bytes, cgroup, ..none }
    })
}

fn raw() -> impl Strategy<Value = Owned> {
    let kernel_drop = (any::<u32>(), any::<u64>(), any::<u32>());
    let kernel_drop = kernel_drop.prop_map(|(reason, location, netns)| KernelDrop { reason, location, netns });
    let parts = (any::<u64>(), any::<u16>(), vec(any::<u8>(), 0..300), option::of(traffic()), option::of(kernel_drop));
    parts.prop_map(|(time, cpu, data, traffic, kernel_drop)| {
        Owned::Raw(data, RawEvent { time, cpu, data: &[], traffic, kernel_drop })
    })
}

fn totals() -> impl Strategy<Value = Owned> {
    let addresses = option::of((any::<IpAddr>(), any::<IpAddr>()));
    let transport = (any::<u8>(), any::<(u16, u16)>(), any::<bool>());
    let transport = transport.prop_map(|(protocol, ports, is_reply)| Transport { protocol, ports, is_reply });
    let parts = (traffic(), addresses, transport);
    parts.prop_map(|(traffic, addresses, transport)| Owned::Totals(Totals { traffic, addresses, transport }))
}

fn lost() -> impl Strategy<Value = Owned> {
    let sources = [LostSource::KernelBuffer, LostSource::ObserverQueue, LostSource::HubbleRing];
    let parts = (prop::sample::select(sources.to_vec()), option::of(0..u16::MAX), any::<u64>(), any::<u64>());
    parts.prop_map(|(source, cpu, count, time)| Owned::Lost(Lost { source, cpu, count, time }))
}

/// Any event.
pub fn event() -> impl Strategy<Value = Owned> {
    prop_oneof![4 => raw(), 1 => totals(), 1 => lost()]
}
