//! Measures and prints for the benches: the smallest of several rounds taken in turns, one line a figure, goals apart.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Instant;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Rounds; the smallest mean is shown, for other work on the machine only adds to it.
pub const ROUNDS: usize = 30;

/// Environment variable with the file that goals are added to, for a summary of all benches.
const GOALS: &str = "EYEPIECE_BENCH_GOALS";

/// The goal of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// A limit that is not exceeded.
    AtMost(f64),
    /// A limit that is reached.
    AtLeast(f64),
}

/// ns an item for each of the routines, each of which handles `items`. They run in turns, so that all of them see the
/// machine as it is, fast and slow.
pub fn compare<const N: usize>(items: usize, mut routines: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    for _ in 0..ROUNDS {
        for (routine, best) in routines.iter_mut().zip(&mut best) {
            let start = Instant::now();
            routine();
            *best = best.min(start.elapsed().as_nanos() as f64 / items as f64);
        }
    }
    best
}

/// Names the columns of the rows that follow.
pub fn heading(title: &str, columns: &[&str]) {
    print!("\n{title:<58}");
    for column in columns {
        print!(" {column:>12}");
    }
    println!();
}

/// A line of figures.
pub fn row(name: &str, figures: &[f64]) {
    print!("  {name:<56}");
    for &figure in figures {
        if figure >= 10_000.0 {
            print!(" {figure:>12.0}");
        } else {
            print!(" {figure:>12.2}");
        }
    }
    println!();
}

/// Keeps a figure that has a goal for the summary.
///
/// # Panics
/// If the file of goals cannot be written.
pub fn goal(name: &str, figure: f64, unit: &str, goal: Goal) {
    let (least, limit, missed_by) = match goal {
        Goal::AtMost(limit) => ("<=", limit, figure / limit - 1.0),
        Goal::AtLeast(limit) => (">=", limit, limit / figure - 1.0),
    };
    let verdict = if missed_by <= 0.0 { "met".to_owned() } else { format!("missed by {:.0} %", missed_by * 100.0) };
    let number = |number: f64| if number >= 10_000.0 { format!("{number:.0}") } else { format!("{number:.2}") };
    let line = format!("{name:<62} {:>10} {least} {:<8} {unit:<16} {verdict}", number(figure), number(limit));
    let Some(path) = std::env::var_os(GOALS) else {
        println!("  goal: {line}");
        return;
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("the file of goals");
    writeln!(file, "{line}").expect("the file of goals");
}

/// Pins the calling thread to a core, or prints why it is not.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    let pinned = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    if let Err(error) = pinned {
        println!("(not pinned to core {cpu}: {error})");
    }
}
