//! Bounds of values of any type.

/// Levels of nested values; Cilium's have five. Bounds the stack.
pub(super) const MAX_DEPTH: usize = 32;

/// The least bytes of a value: a count, a length, a number or the end of a structure. Counts are checked against it.
pub(super) const LEAST_VALUE: usize = 1;
