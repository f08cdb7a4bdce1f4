//! Micro-benches by criterion, and what they took in this very run, for ratios and goals behind criterion's own lines.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use nix::time::{ClockId, clock_gettime};

/// Shorter samples measure the clock more than the routine.
const MIN_SAMPLE: Duration = Duration::from_micros(20);
/// Fewer samples are no figure: criterion only tries whether a routine runs.
const MIN_SAMPLES: usize = 10;

/// ns an item.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// The best sample's time on the wall clock: other work on the machine only adds to it.
    pub(crate) best: f64,
    /// The mean of all samples in CPU time, to which other work adds little.
    pub(crate) mean: f64,
}

/// A group of criterion's, with rounds that are short enough for a run of all benches.
pub(crate) struct Micro {
    group: &'static str,
    criterion: Criterion,
}

impl Micro {
    pub(crate) fn new(group: &'static str) -> Self {
        let criterion = Criterion::default()
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(1))
            .sample_size(50)
            .nresamples(10_000)
            .configure_from_args();
        Self { group, criterion }
    }

    /// Measures a routine that handles `items` by criterion; `None` if the command line excludes it.
    pub(crate) fn measure<T>(&mut self, name: &str, items: usize, mut routine: impl FnMut() -> T) -> Option<Figures> {
        let (mut samples, mut done, mut used, mut best) = (0, 0.0, 0.0, f64::INFINITY);
        let mut group = self.criterion.benchmark_group(self.group);
        group.throughput(Throughput::Elements(items as u64)).bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let before = thread_time();
                let start = Instant::now();
                for _ in 0..iterations {
                    black_box(routine());
                }
                let elapsed = start.elapsed();
                if elapsed >= MIN_SAMPLE {
                    let handled = iterations as f64 * items as f64;
                    samples += 1;
                    done += handled;
                    used += (thread_time() - before).as_nanos() as f64;
                    best = best.min(elapsed.as_nanos() as f64 / handled);
                }
                elapsed
            });
        });
        group.finish();
        (samples >= MIN_SAMPLES).then(|| Figures { best, mean: used / done })
    }
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock of this thread").into()
}
