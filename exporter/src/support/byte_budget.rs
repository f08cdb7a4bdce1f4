//! Bounds on the memory that several holders share: requests of gRPC clients, queues of monitor clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound in bytes, optionally inside a wider one; clones share it.
#[derive(Clone, Debug)]
pub struct ByteBudget(Arc<Account>);

#[derive(Debug)]
struct Account {
    capacity: usize,
    used: AtomicUsize,
    parent: Option<ByteBudget>,
}

impl ByteBudget {
    /// Returns an unused budget of `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Account { capacity, used: AtomicUsize::new(0), parent: None }))
    }

    /// Returns a budget whose bytes count against this one as well.
    pub fn child(&self, capacity: usize) -> Self {
        Self(Arc::new(Account { capacity, used: AtomicUsize::new(0), parent: Some(self.clone()) }))
    }

    /// Returns an empty reservation. Its first `allowance` bytes are free: they do not count against the budget.
    pub fn reserve(&self, allowance: usize) -> Reservation {
        Reservation { budget: self.clone(), allowance, bytes: AtomicUsize::new(0) }
    }

    /// Bytes that reservations use beyond their allowances.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Acquire)
    }

    fn available(&self) -> usize {
        let own = self.0.capacity.saturating_sub(self.used());
        self.0.parent.as_ref().map_or(own, |parent| own.min(parent.available()))
    }

    fn try_take(&self, bytes: usize) -> bool {
        let take = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.0.capacity);
        if self.0.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_err() {
            return false;
        }
        let is_taken = self.0.parent.as_ref().is_none_or(|parent| parent.try_take(bytes));
        if !is_taken {
            self.0.used.fetch_sub(bytes, Ordering::AcqRel);
        }
        is_taken
    }

    fn take(&self, bytes: usize) {
        self.0.used.fetch_add(bytes, Ordering::AcqRel);
        if let Some(parent) = &self.0.parent {
            parent.take(bytes);
        }
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::AcqRel);
        if let Some(parent) = &self.0.parent {
            parent.give_back(bytes);
        }
    }
}

/// Bytes of one holder, returned to the budget on drop. One thread at a time changes the size.
#[derive(Debug)]
pub struct Reservation {
    budget: ByteBudget,
    allowance: usize,
    bytes: AtomicUsize,
}

impl Reservation {
    /// The reserved bytes, allowance included.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Bytes by which the reservation may grow now.
    pub fn available(&self) -> usize {
        self.allowance.saturating_sub(self.bytes()).saturating_add(self.budget.available())
    }

    /// Reserves `more` bytes; returns `false`, and reserves nothing, if the budget has too few.
    pub fn try_grow(&self, more: usize) -> bool {
        let bytes = self.bytes().saturating_add(more);
        let is_taken = self.budget.try_take(self.beyond_allowance(bytes) - self.beyond_allowance(self.bytes()));
        if is_taken {
            self.bytes.store(bytes, Ordering::Release);
        }
        is_taken
    }

    /// Sets the size, also to one beyond the budget: for memory that is in use already.
    pub fn resize(&self, bytes: usize) {
        let (before, now) = (self.beyond_allowance(self.bytes()), self.beyond_allowance(bytes));
        match now.checked_sub(before) {
            Some(more) => self.budget.take(more),
            None => self.budget.give_back(before - now),
        }
        self.bytes.store(bytes, Ordering::Release);
    }

    fn beyond_allowance(&self, bytes: usize) -> usize {
        bytes.saturating_sub(self.allowance)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::ByteBudget;

    const ALLOWANCE: usize = 40;

    #[test]
    fn dropped_reservation_returns_its_bytes() {
        let all = ByteBudget::new(100);
        let (one, other) = (all.child(80), all.child(80));
        let (first, second) = (one.reserve(ALLOWANCE), one.reserve(ALLOWANCE));
        assert!(first.try_grow(ALLOWANCE), "the allowance is free");
        assert!(first.try_grow(60) && !first.try_grow(21) && first.try_grow(20), "the child's capacity");
        assert!(second.try_grow(ALLOWANCE) && !second.try_grow(1));
        let third = other.reserve(ALLOWANCE);
        assert!(third.try_grow(ALLOWANCE + 20) && !third.try_grow(1), "the parent's capacity");
        drop(first);
        assert!(third.try_grow(60) && !third.try_grow(1), "the other child's capacity");
        assert!(second.try_grow(20) && !second.try_grow(1));
        drop((second, third));
        assert_eq!((all.used(), one.used(), other.used()), (0, 0, 0));
    }

    #[test]
    fn resize_counts_bytes_beyond_allowance() {
        const CAPACITY: usize = 100;
        let budget = ByteBudget::new(CAPACITY);
        let (reservation, other) = (budget.reserve(ALLOWANCE), budget.reserve(ALLOWANCE));
        for (bytes, used, available) in [
            (0, 0, ALLOWANCE + CAPACITY),
            (ALLOWANCE - 1, 0, 1 + CAPACITY),
            (ALLOWANCE, 0, CAPACITY),
            (ALLOWANCE + 1, 1, CAPACITY - 1),
            (ALLOWANCE + CAPACITY - 1, CAPACITY - 1, 1),
            (ALLOWANCE + CAPACITY, CAPACITY, 0),
            (ALLOWANCE + CAPACITY + 7, CAPACITY + 7, 0),
        ] {
            reservation.resize(bytes);
            assert_eq!((budget.used(), reservation.available()), (used, available), "{bytes}");
            assert_eq!(other.available(), ALLOWANCE + CAPACITY.saturating_sub(used), "the other allowance stays");
        }
        reservation.resize(0);
        assert_eq!(budget.used(), 0);
    }
}
