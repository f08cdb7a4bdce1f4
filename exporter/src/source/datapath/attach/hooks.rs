//! The state of all hooks, and its gauges.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use eyepiece_semconv::{attribute, metric};

use crate::support::lock::lock;
use crate::support::telemetry::{Number, Telemetry};

/// The state of one hook, for status pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookState {
    /// The interface; empty for a hook without one.
    pub interface: String,
    /// The hook: `from-endpoint`, `to-network`, `kfree_skb`, `inet_sock_set_state`.
    pub hook: &'static str,
    /// The error of attaching it; `None` if it is.
    pub error: Option<String>,
}

/// The hooks and their state; cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Hooks(Arc<Mutex<BTreeMap<(u32, &'static str), Reported>>>);

/// A hook's state, and its gauge.
type Reported = (HookState, Number);

impl Hooks {
    /// All hooks, each with its interface's index; 0 for a hook without one.
    pub fn list(&self) -> Vec<(u32, HookState)> {
        let table = lock(&self.0);
        table.iter().map(|((ifindex, _), (state, _))| (*ifindex, state.clone())).collect()
    }

    /// Adds a hook. Its gauge is added to, not set: beyond the cap, hooks share one series.
    pub(super) fn set(&self, ifindex: u32, state: HookState, telemetry: &Telemetry) {
        let number = telemetry.gauge(metric::EYEPIECE_HOOK_ATTACHED.name, &attributes(&state));
        number.add(u64::from(state.error.is_none()));
        lock(&self.0).insert((ifindex, state.hook), (state, number));
    }

    /// Removes the hooks of an interface and their series.
    pub(super) fn remove(&self, ifindex: u32, telemetry: &Telemetry) -> Vec<HookState> {
        let mut table = lock(&self.0);
        let gone = table.extract_if((ifindex, "")..(ifindex.saturating_add(1), ""), |_, _| true);
        gone.map(|(_, (state, number))| {
            number.sub(u64::from(state.error.is_none()));
            // Otherwise another interface has the name now.
            if number.get() == 0 {
                telemetry.remove(metric::EYEPIECE_HOOK_ATTACHED.name, &attributes(&state));
            }
            state
        })
        .collect()
    }
}

fn attributes(state: &HookState) -> [(&'static str, &str); 2] {
    [(attribute::NETWORK_INTERFACE_NAME, &state.interface), (attribute::EYEPIECE_HOOK_NAME, state.hook)]
}
