//! Numbers of protobuf as the narrower ones of our records.

/// Converts a time to ns since the Unix epoch; times outside of its range saturate.
pub fn nanoseconds(time: prost_types::Timestamp) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.nanos).unwrap_or(0))
}

/// Converts a number to a narrower type; 0 if it does not fit.
pub(super) fn narrow<T: TryFrom<i64> + Default>(number: impl Into<i64>) -> T {
    T::try_from(number.into()).unwrap_or_default()
}

/// As [`narrow`], with `None` for 0.
pub(super) fn narrow_some<T: TryFrom<i64> + Default + PartialEq>(number: impl Into<i64>) -> Option<T> {
    Some(narrow(number)).filter(|number| *number != T::default())
}
