//! Values of a server's telemetry.

use std::time::Duration;

use eyepiece::support::telemetry::{Key, Telemetry};
use eyepiece_tests::eventually_async;

/// Returns a value, or 0: by its name and, if any, its reason or outcome.
pub(crate) fn number(telemetry: &Telemetry, name: &str, reason: &str) -> u64 {
    let name = format!("eyepiece.hubble.{name}");
    let is = |key: &Key| key.name == name && key.attributes.iter().all(|(_, value)| value == reason);
    telemetry.samples().iter().filter(|sample| is(&sample.key)).map(|sample| sample.value).sum()
}

/// Waits until a value is there.
pub(crate) async fn until(telemetry: &Telemetry, name: &str, reason: &str, expected: u64, patience: Duration) {
    let is_there = || (number(telemetry, name, reason) == expected).then_some(());
    let found = eventually_async(patience, &format!("{name} {reason} is not {expected}"), is_there).await;
    found.unwrap_or_else(|error| panic!("{error}: {:#?}", telemetry.samples()));
}
