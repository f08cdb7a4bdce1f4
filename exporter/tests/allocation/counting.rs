//! An allocator that counts, for tests that show that something allocates nothing, or little.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

thread_local! {
    // Per thread: tests of other threads allocate at the same time.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static FREES: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread has allocated and not freed; negative if it frees what other threads allocated.
    static HELD: Cell<isize> = const { Cell::new(0) };
    /// The highest value of `HELD` since [`peak`] began.
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that all threads hold.
static HELD_BY_ALL: AtomicI64 = AtomicI64::new(0);

fn hold(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
    HELD_BY_ALL.fetch_add(bytes as i64, Ordering::Relaxed);
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches numbers without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        hold(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        FREES.set(FREES.get() + 1);
        hold(-layout.size().cast_signed());
        // SAFETY: the pointer came from `System.alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread so far.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// Allocations and frees of this thread so far.
pub(crate) fn operations() -> usize {
    ALLOCATIONS.get() + FREES.get()
}

/// Bytes that all threads hold now.
pub(crate) fn held_by_all() -> i64 {
    HELD_BY_ALL.load(Ordering::Relaxed)
}

/// Bytes that this thread has allocated and not freed.
pub(crate) fn held() -> isize {
    HELD.get()
}

/// A call's result, and the most bytes that it held beyond those held before.
pub(crate) fn peak<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = call();
    (result, (PEAK.get() - before).unsigned_abs())
}

#[test]
fn allocations_and_frees_are_counted() {
    let before = (allocations(), operations());
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!((allocations() - before.0, operations() - before.1), (1, 2));
}
