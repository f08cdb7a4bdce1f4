//! Endpoint ids: one per endpoint interface, for as long as it lives.

/// The most ids in use at once: all of u16 but 0, which means no endpoint.
pub const MAX_ENDPOINTS: usize = u16::MAX as usize;

/// Allocates endpoint ids. A released id is reused only after all others, so that events under way with the old id are
/// not taken for the new endpoint's.
#[derive(Debug)]
pub struct EndpointIds {
    /// A bit per id; bit 0 is never set.
    used: Box<[u64; 1024]>,
    last: u16,
    count: usize,
}

impl Default for EndpointIds {
    fn default() -> Self {
        Self { used: Box::new([0; 1024]), last: 0, count: 0 }
    }
}

impl EndpointIds {
    /// Allocates a free id; `None` if [`MAX_ENDPOINTS`] are in use.
    pub fn allocate(&mut self) -> Option<u16> {
        if self.count == MAX_ENDPOINTS {
            return None;
        }
        let mut id = self.last;
        loop {
            id = id.checked_add(1).unwrap_or(1);
            if !self.is_used(id) {
                break;
            }
        }
        self.used[usize::from(id / 64)] |= 1 << (id % 64);
        self.last = id;
        self.count += 1;
        Some(id)
    }

    /// Releases an id; without effect if it is not in use.
    pub fn release(&mut self, id: u16) {
        if self.is_used(id) {
            self.used[usize::from(id / 64)] &= !(1 << (id % 64));
            self.count -= 1;
        }
    }

    /// The number of ids in use.
    pub const fn count(&self) -> usize {
        self.count
    }

    fn is_used(&self, id: u16) -> bool {
        self.used[usize::from(id / 64)] & (1 << (id % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::{EndpointIds, MAX_ENDPOINTS};

    #[test]
    fn released_id_is_not_reused_soon() {
        let mut ids = EndpointIds::default();
        assert_eq!(ids.allocate(), Some(1));
        ids.release(1);
        assert_eq!(ids.allocate(), Some(2));
        assert_eq!(ids.allocate(), Some(3));
        ids.release(2);
        ids.release(2);
        ids.release(0);
        ids.release(999);
        assert_eq!(ids.count(), 1);
        assert_eq!(ids.allocate(), Some(4));
    }

    #[test]
    fn allocation_skips_used_ids() {
        let mut ids = EndpointIds::default();
        let kept = ids.allocate();
        assert_eq!(kept, Some(1));
        for expected in 2..=u16::MAX {
            assert_eq!(ids.allocate(), Some(expected));
            ids.release(expected);
        }
        assert_eq!(ids.allocate(), Some(2), "0 is no id and 1 is in use");
    }

    #[test]
    fn exhausted_ids_are_reused_after_release() {
        let mut ids = EndpointIds::default();
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..MAX_ENDPOINTS {
            assert_eq!(ids.count(), n);
            assert!(seen.insert(ids.allocate().unwrap()));
        }
        assert!(!seen.contains(&0));
        assert_eq!(ids.allocate(), None);
        ids.release(77);
        assert_eq!(ids.allocate(), Some(77), "the only one that is free");
        assert_eq!(ids.allocate(), None);
        for id in 1..=u16::MAX {
            ids.release(id);
        }
        assert_eq!(ids.count(), 0);
    }
}
