//! Bounds of values of any type.

/// How deep values may nest; Cilium's nest five levels. Bounds the stack.
pub(super) const MAX_DEPTH: usize = 32;

/// The least bytes that any value takes: a count, a length, a number or the end of a structure. Counts are checked by it.
pub(super) const LEAST_VALUE: usize = 1;
