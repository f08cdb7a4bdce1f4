//! Durations, counted in fixed buckets: those of Hubble's histograms.

/// Upper bounds of the buckets in s, those of Prometheus' Go client. The last bucket has none.
pub const DURATION_BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The number of buckets.
pub const DURATION_BUCKETS: usize = DURATION_BOUNDS.len() + 1;

/// The durations of one series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// Their sum, ns.
    pub sum_ns: u64,
    /// How many are in each bucket; not cumulative.
    pub buckets: [u64; DURATION_BUCKETS],
}

impl Durations {
    /// The bucket of a duration in ns. A bound belongs to the bucket below it.
    pub fn bucket(ns: u64) -> usize {
        // Exact as far as the bounds reach.
        DURATION_BOUNDS.partition_point(|bound| bound * 1e9 < ns as f64)
    }

    /// Adds a duration in ns.
    pub fn add(&mut self, ns: u64) {
        // A source may send any number.
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.buckets[Self::bucket(ns)] += 1;
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{DURATION_BOUNDS, Durations};

    #[test]
    fn bounds_belong_to_lower_bucket() {
        let mut durations = Durations::default();
        let bounds_ns = DURATION_BOUNDS.map(|bound| (bound * 1e9).round() as u64);
        for (bucket, ns) in bounds_ns.into_iter().enumerate() {
            for (ns, expected) in [(ns - 1, bucket), (ns, bucket), (ns + 1, bucket + 1)] {
                assert_eq!(Durations::bucket(ns), expected, "{ns}");
                durations.add(ns);
            }
        }
        assert_eq!(durations.buckets, [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 1]);
        assert_eq!((durations.count(), durations.sum_ns), (33, 3 * bounds_ns.iter().sum::<u64>()));
        durations.add(u64::MAX);
        assert_eq!((durations.count(), durations.sum_ns), (34, u64::MAX));
    }
}
