//! Examples of events that cannot be decoded: the latest ones of each reason, for the status.

use std::sync::{Arc, Mutex};

use super::lock::lock;

/// Examples of a reason.
const EXAMPLES_PER_REASON: usize = 3;
/// Bytes of an example: the longest notification's header, and some of what follows. Limits `admin.example_bytes`.
pub const EXAMPLE_BYTES: usize = 64;
/// Reasons that have examples; there are some twenty.
const MAX_REASONS: usize = 32;

/// An event that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// The reason, as in the counter of failed events.
    pub reason: &'static str,
    /// Its time, ns since the Unix epoch.
    pub time: u64,
    /// Its length in bytes.
    pub length: usize,
    bytes: [u8; EXAMPLE_BYTES],
}

impl Example {
    /// Its first bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length.min(EXAMPLE_BYTES)]
    }
}

/// The published examples. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Examples(Arc<Mutex<Vec<Example>>>);

impl Examples {
    /// All examples by reason, the latest first.
    pub fn list(&self) -> Vec<Example> {
        lock(&self.0).clone()
    }

    /// Returns a recorder that publishes here.
    pub fn recorder(&self) -> ExampleRecorder {
        ExampleRecorder { shared: self.clone(), kept: Vec::with_capacity(MAX_REASONS), is_new: false }
    }
}

/// Examples of one thread: recorded without a lock, published once a batch.
#[derive(Debug)]
pub struct ExampleRecorder {
    shared: Examples,
    kept: Vec<ReasonExamples>,
    is_new: bool,
}

/// The examples of a reason, as a ring.
#[derive(Debug)]
struct ReasonExamples {
    reason: &'static str,
    examples: [Option<Example>; EXAMPLES_PER_REASON],
    next: usize,
}

impl ExampleRecorder {
    /// Records an example in place of the oldest of its reason.
    pub fn record(&mut self, reason: &'static str, time: u64, data: &[u8]) {
        let index = match self.kept.iter().position(|kept| kept.reason == reason) {
            Some(index) => index,
            None if self.kept.len() < MAX_REASONS => {
                self.kept.push(ReasonExamples { reason, examples: [None; EXAMPLES_PER_REASON], next: 0 });
                self.kept.len() - 1
            }
            None => return,
        };
        let mut bytes = [0; EXAMPLE_BYTES];
        let count = data.len().min(EXAMPLE_BYTES);
        bytes[..count].copy_from_slice(&data[..count]);
        let kept = &mut self.kept[index];
        kept.examples[kept.next] = Some(Example { reason, time, length: data.len(), bytes });
        kept.next = (kept.next + 1) % EXAMPLES_PER_REASON;
        self.is_new = true;
    }

    /// Publishes new examples.
    pub fn publish(&mut self) {
        if !std::mem::take(&mut self.is_new) {
            return;
        }
        let mut shown = lock(&self.shared.0);
        shown.clear();
        for kept in &self.kept {
            let latest_first = (1..=EXAMPLES_PER_REASON)
                .map(|back| kept.examples[(kept.next + EXAMPLES_PER_REASON - back) % EXAMPLES_PER_REASON]);
            shown.extend(latest_first.flatten());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EXAMPLE_BYTES, EXAMPLES_PER_REASON, Examples, MAX_REASONS};

    #[test]
    fn latest_of_each_reason_are_published() {
        let examples = Examples::default();
        let mut recorder = examples.recorder();
        for time in 1..=5 {
            recorder.record("short", time, &[time as u8; 3]);
        }
        recorder.record("version", 9, &[7; 100]);
        assert_eq!(examples.list().len(), 0, "not published yet");
        recorder.publish();
        let list = examples.list();
        let times: Vec<_> = list.iter().map(|example| (example.reason, example.time)).collect();
        assert_eq!(times, [("short", 5), ("short", 4), ("short", 3), ("version", 9)]);
        assert_eq!((list[0].bytes(), list[0].length), (&[5, 5, 5][..], 3));
        assert_eq!((list[3].bytes(), list[3].length), (&[7; EXAMPLE_BYTES][..], 100));
    }

    #[test]
    fn reasons_are_bounded() {
        let examples = Examples::default();
        let mut recorder = examples.recorder();
        for at in 0..2 * MAX_REASONS {
            let reason: &'static str = Box::leak(at.to_string().into_boxed_str());
            for _ in 0..2 * EXAMPLES_PER_REASON {
                recorder.record(reason, 0, &[]);
            }
        }
        recorder.publish();
        assert_eq!(examples.list().len(), MAX_REASONS * EXAMPLES_PER_REASON);
    }
}
