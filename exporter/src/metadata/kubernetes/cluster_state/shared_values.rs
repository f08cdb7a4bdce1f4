//! Values that objects share: the metadata of the pods of a workload, the name of their node.
//!
//! [`eyepiece_flow::interner`] gives names numbers for flows, under a lock. Values here have one user, and no numbers.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// So many values are kept without a look at whether they are in use.
const MIN_VALUES: usize = 64;

/// A set of values.
#[derive(Debug)]
pub(super) struct SharedValues<T: ?Sized> {
    values: HashSet<Arc<T>>,
    /// The number of values from which on those that nothing uses are dropped.
    sweep_at: usize,
}

impl<T: ?Sized + Eq + Hash> SharedValues<T> {
    pub(super) fn new() -> Self {
        Self { values: HashSet::new(), sweep_at: MIN_VALUES }
    }

    /// Returns the value in use that equals this one, else this one.
    pub(super) fn share(&mut self, value: impl Borrow<T> + Into<Arc<T>>) -> Arc<T> {
        if let Some(known) = self.values.get(Borrow::<T>::borrow(&value)) {
            return Arc::clone(known);
        }
        if self.values.len() >= self.sweep_at {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.sweep_at = MIN_VALUES.max(2 * self.values.len());
        }
        let new: Arc<T> = value.into();
        self.values.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{MIN_VALUES, SharedValues};

    #[test]
    fn equal_values_are_shared_while_used() {
        let mut values = SharedValues::<str>::new();
        let kept: Vec<_> = (0..MIN_VALUES).map(|number| values.share(number.to_string().as_str())).collect();
        assert!(Arc::ptr_eq(&kept[7], &values.share("7")));
        // Every eighth stays in use.
        let used: Vec<_> = kept.into_iter().step_by(8).collect();
        values.share("new");
        assert_eq!((values.values.len(), values.sweep_at), (used.len() + 1, MIN_VALUES));
        assert!(Arc::ptr_eq(&used[1], &values.share("8")));
        let many: Vec<_> = (0..10 * MIN_VALUES).map(|number| values.share(number.to_string().as_str())).collect();
        assert!(values.values.len() <= many.len() + 1 && values.sweep_at >= many.len(), "a sweep pays for itself");
    }
}
