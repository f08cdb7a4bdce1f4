//! Payloads from a seed: both ends of a pipe make the same ones.

use eyepiece_flow::gob::{EVENT_SAMPLE, Payload, RECORD_LOST};

/// More than the longest perf sample.
const MAX_LENGTH: usize = 70_000;

/// The payloads of a seed, one after the other.
pub(crate) struct Script {
    random: fastrand::Rng,
    noise: Vec<u8>,
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut noise = vec![0; 2 * MAX_LENGTH];
        random.fill(&mut noise);
        Self { random, noise }
    }

    /// The next: mostly as long as events are, a few very long, some of losses, some with everything extreme.
    pub(crate) fn payload(&mut self) -> Payload<'_> {
        let random = &mut self.random;
        let length = match random.u32(..) % 1000 {
            0 => random.usize(..MAX_LENGTH),
            1..20 => random.usize(..5000),
            _ => random.usize(..250),
        };
        let start = random.usize(..MAX_LENGTH);
        let data = &self.noise[start..start + length];
        match random.u8(..) {
            0..20 => Payload { data: &[], cpu: random.i64(..128), lost: random.u64(..1000), kind: RECORD_LOST },
            20..25 => Payload { data, cpu: random.i64(..), lost: random.u64(..), kind: random.i64(..) },
            25 => Payload::default(),
            _ => Payload { data, cpu: random.i64(..128), lost: 0, kind: EVENT_SAMPLE },
        }
    }
}
