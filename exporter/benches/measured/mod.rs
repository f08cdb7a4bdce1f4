//! Criterion for our benches: short rounds, and its figures read back, for ratios and goals behind its own lines.

use std::path::PathBuf;
use std::time::Duration;

use criterion::Criterion;

/// Longest name of a folder that criterion makes of a benchmark's.
const NAME_MAX: usize = 64;

/// Where criterion keeps what it measured.
fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| [env!("CARGO_MANIFEST_DIR"), "..", "target"].iter().collect()).join("criterion")
}

/// Criterion with the arguments of the command line, and rounds short enough for a run of all benches.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args()
        .output_directory(&folder())
}

/// ns of one iteration of a benchmark that criterion has measured: the median; none where it was left out.
pub(crate) fn median(group: &str, name: &str) -> Option<f64> {
    let name: String = name.chars().map(|c| if "?\"/\\*<>:|^".contains(c) { '_' } else { c }).collect();
    let name = &name[..name.floor_char_boundary(NAME_MAX)];
    let file = folder().join(group).join(name.trim_end()).join("new/estimates.json");
    let estimates: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}
