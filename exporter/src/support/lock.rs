//! Locks a mutex, also one that a panicked thread has poisoned.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. Poisoning is ignored: a panicked event handler or sink must not end the others, and no change of
/// guarded values panics half-way.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
