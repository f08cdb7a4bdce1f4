//! The packets of interfaces before they had hooks: reported once per interface, whatever hooks and names follow.

use std::collections::BTreeMap;
use std::time::Instant;

use eyepiece_semconv::{attribute, metric};

use super::super::links::requests::{Counters, Requests};
use crate::support::telemetry::Telemetry;

/// The counters by interface index.
pub(super) struct Unseen {
    telemetry: Telemetry,
    interfaces: BTreeMap<u32, Counted>,
}

struct Counted {
    /// The name that it is reported under.
    name: String,
    counters: Counters,
}

impl Unseen {
    pub(super) const fn new(telemetry: Telemetry) -> Self {
        Self { telemetry, interfaces: BTreeMap::new() }
    }

    /// An interface gets hooks, for the first time or again.
    pub(super) fn appear(&mut self, ifindex: u32, name: &str) {
        if self.interfaces.contains_key(&ifindex) {
            return;
        }
        match Requests::open().and_then(|mut requests| requests.counters(ifindex)) {
            Ok(counters) => self.report(ifindex, name.to_owned(), counters.unwrap_or_default()),
            Err(error) => tracing::warn!(interface = name, %error, "cannot read the counters of an interface"),
        }
    }

    /// An interface was renamed: its series move to the new name.
    pub(super) fn rename(&mut self, ifindex: u32, name: &str) {
        let Some(counted) = self.interfaces.get_mut(&ifindex) else { return };
        let former = series(&counted.name, &counted.counters);
        for ((metric, attributes, _), (_, new, count)) in former.into_iter().zip(series(name, &counted.counters)) {
            // A value in a shared series stays there.
            if self.telemetry.remove(metric, &attributes) {
                self.telemetry.counter(metric, &new).add(count);
            }
        }
        name.clone_into(&mut counted.name);
    }

    /// An interface is gone. Its series stay until an export has seen them.
    pub(super) fn gone(&mut self, ifindex: u32) {
        let Some(counted) = self.interfaces.remove(&ifindex) else { return };
        for (metric, attributes, _) in series(&counted.name, &counted.counters) {
            self.telemetry.retire(metric, &attributes, Instant::now());
        }
    }

    fn report(&mut self, ifindex: u32, name: String, counters: Counters) {
        for (metric, attributes, counted) in series(&name, &counters) {
            // Another interface may have had the name: the series continues.
            self.telemetry.counter(metric, &attributes).add(counted);
        }
        self.interfaces.insert(ifindex, Counted { name, counters });
    }
}

type Attributes<'a> = [(&'static str, &'a str); 2];

/// Metric, attributes and value of each counter of an interface.
fn series<'a>(name: &'a str, counters: &Counters) -> [(&'static str, Attributes<'a>, u64); 4] {
    let (packets, bytes) = (metric::EYEPIECE_DATAPATH_UNSEEN_PACKETS.name, metric::EYEPIECE_DATAPATH_UNSEEN_BYTES.name);
    let Counters { rx_packets, tx_packets, rx_bytes, tx_bytes } = *counters;
    [
        (packets, "receive", rx_packets),
        (packets, "transmit", tx_packets),
        (bytes, "receive", rx_bytes),
        (bytes, "transmit", tx_bytes),
    ]
    .map(|(metric, direction, counted)| {
        let interface = (attribute::NETWORK_INTERFACE_NAME, name);
        (metric, [interface, (attribute::NETWORK_IO_DIRECTION, direction)], counted)
    })
}
