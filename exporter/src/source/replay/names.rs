//! Names of drop reasons and kernel addresses in a recording.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::support::lock::lock;

/// The most names kept of either kind: kernels have some 120 drop reasons, and as many places that drop.
const MAX_NAMES: usize = 65_536;

/// The kernel names of a recording; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct RecordedNames(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    reasons: HashMap<u32, Arc<str>>,
    symbols: HashMap<u64, Arc<str>>,
}

impl RecordedNames {
    /// Adds the name of a drop reason.
    pub fn learn_reason(&self, number: u32, name: &str) {
        let mut names = lock(&self.0);
        if names.reasons.len() < MAX_NAMES {
            names.reasons.insert(number, name.into());
        }
    }

    /// Adds the name of a kernel address.
    pub fn learn_symbol(&self, address: u64, name: &str) {
        let mut names = lock(&self.0);
        if names.symbols.len() < MAX_NAMES {
            names.symbols.insert(address, name.into());
        }
    }

    /// A reason's name; its number if the recording has none.
    pub fn reason(&self, number: u32) -> Cow<'static, str> {
        let names = lock(&self.0);
        Cow::Owned(names.reasons.get(&number).map_or_else(|| number.to_string(), |name| (**name).to_owned()))
    }

    /// Symbol and offset of an address; `None` if the recording has none.
    pub fn symbol(&self, address: u64) -> Option<Arc<str>> {
        lock(&self.0).symbols.get(&address).cloned()
    }
}
