//! Drop reasons that are no drops: frees that the kernel reports through the same tracepoint.

/// Names as in the kernel's `enum skb_drop_reason` without prefix, and why each is left out.
pub(super) const NO_DROPS: &[(&str, &str)] =
    &[("CONSUMED", "the packet reached its reader"), ("NOT_DROPPED_YET", "the number 0: no decision was made")];
