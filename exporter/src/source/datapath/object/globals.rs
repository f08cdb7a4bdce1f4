//! Values of the kernel programs' read-only globals.

use std::time::Duration;

use aya::EbpfLoader;
use eyepiece_config::{Aggregation, Transport};
use eyepiece_wire::{MAX_CAPTURE, global};

use super::super::btf::{Btf, BtfError};
use super::super::sys;
use super::config::{MIN_CAPTURE, ProgramConfig};

/// The values of the read-only globals; they must outlive the loader.
pub(super) struct Globals {
    bytes: [(&'static str, u8); 4],
    words: Vec<(&'static str, u32)>,
    longs: [(&'static str, u64); 3],
    arguments: u8,
    /// A kernel type that the drop program needs and this kernel lacks.
    pub(super) missing: Option<BtfError>,
    /// The same of the programs that follow sockets to their processes.
    pub(super) missing_of_processes: Option<BtfError>,
}

/// The programs' name of a setting.
const fn aggregation(setting: Aggregation) -> eyepiece_wire::Aggregation {
    match setting {
        Aggregation::None => eyepiece_wire::Aggregation::None,
        Aggregation::Low => eyepiece_wire::Aggregation::Low,
        Aggregation::Medium => eyepiece_wire::Aggregation::Medium,
        Aggregation::Maximum => eyepiece_wire::Aggregation::Maximum,
    }
}

/// Adds the offsets of fields; returns the last one that this kernel lacks.
fn offsets(
    types: &Btf,
    fields: &[(&'static str, &str, &str)],
    words: &mut Vec<(&'static str, u32)>,
) -> Option<BtfError> {
    let mut missing = None;
    for &(name, structure, field) in fields {
        match types.offset(structure, field) {
            Ok(offset) => words.push((name, offset)),
            Err(error) => missing = Some(error),
        }
    }
    missing
}

impl Globals {
    pub(super) fn new(config: &ProgramConfig, types: &Btf, namespace: u32) -> Self {
        let hertz = sys::jiffies_per_second();
        let jiffies = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_mul(hertz) / 1000;
        let mut words = vec![(global::CAPTURE, config.capture_bytes.clamp(MIN_CAPTURE, MAX_CAPTURE))];
        words.push((global::OWN_NAMESPACE, namespace));
        // Without the field, captures of drops lack VLAN tags.
        words.push((global::VLAN_OFFSET, types.offset("sk_buff", "vlan_all").unwrap_or(u32::MAX)));
        // Without these fields, and with them the helper, sockets have no control group.
        let cgroups = global::CGROUP_OFFSETS.iter().map(|(_, structure, field)| types.offset(structure, field).ok());
        let cgroups: Option<Vec<_>> = cgroups.collect();
        words.extend(global::CGROUP_OFFSETS.iter().enumerate().map(|(index, &(name, ..))| {
            (name, cgroups.as_ref().and_then(|offsets| offsets.get(index)).copied().unwrap_or(u32::MAX))
        }));
        let mut missing = offsets(types, global::OFFSETS, &mut words);
        let missing_of_processes = offsets(types, global::PROCESS_OFFSETS, &mut words)
            .or_else(|| types.tracepoint_arguments("inet_sock_set_state").err());
        let arguments = match types.tracepoint_arguments("kfree_skb") {
            Ok(arguments) => u8::try_from(arguments).unwrap_or(u8::MAX),
            Err(error) => {
                missing = Some(error);
                3
            }
        };
        Self {
            bytes: [
                (global::AGGREGATION, aggregation(config.aggregation) as u8),
                (global::TRANSPORT, u8::from(config.transport == Transport::Perf)),
                (global::DEBUG, u8::from(config.debug)),
                (global::PROCESSES, u8::from(config.processes && missing_of_processes.is_none())),
            ],
            words,
            longs: [
                (global::INTERVAL, jiffies(config.interval).max(1)),
                // An eighth of the ring: rare enough wakeups to batch, early enough to keep up.
                (global::WATERMARK, u64::from(config.buffer / 8)),
                (global::HOLD, jiffies(config.hold)),
            ],
            arguments,
            missing,
            missing_of_processes,
        }
    }

    pub(super) fn set<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        for (name, value) in &self.bytes {
            loader.override_global(name, value, true);
        }
        for (name, value) in &self.words {
            loader.override_global(name, value, true);
        }
        for (name, value) in &self.longs {
            loader.override_global(name, value, true);
        }
        loader.override_global(global::KFREE_SKB_ARGUMENTS, &self.arguments, true);
    }
}
