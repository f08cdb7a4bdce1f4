//! The parts of the status for people that are made of several values: what is wrong, sums, counts of interfaces.

use std::fmt;

use eyepiece_semconv::{attribute, metric};

use super::status::{ExportStatus, HookStatus, InterfacesStatus, Status, printable};
use crate::support::export_health::seconds;

/// What is wrong now, a line each, and an empty line behind them; nothing where all is well.
pub(super) fn alarms(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    let exports = status.exports.iter().filter(|export| export.failing).map(ToString::to_string);
    let connection = status.connection.iter().filter(|connection| !connection.connected).map(|connection| {
        let reason = connection.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{} not connected for {}{reason}", connection.peer, seconds(connection.since_seconds))
    });
    let hooks = status.hooks.iter().filter(|hook| !hook.attached && !is_switched_off(hook)).map(|hook| {
        let interface = if hook.interface.is_empty() { "(whole machine)" } else { &hook.interface };
        format!("hook {} {interface} NOT ATTACHED: {}", hook.hook, hook.error.as_deref().unwrap_or("reason unknown"))
    });
    let patterns = status.interfaces.iter().flat_map(|interfaces| &interfaces.unmatched);
    let patterns = patterns.map(|pattern| format!("{pattern} matches no interface"));
    let unwatched = status.interfaces.iter().filter(|interfaces| interfaces.endpoints + interfaces.uplinks == 0);
    let unwatched = unwatched.map(|_| "no interface is watched".to_owned());
    let alarms: Vec<_> = exports.chain(connection).chain(hooks).chain(patterns).chain(unwatched).collect();
    for alarm in &alarms {
        writeln!(f, "{}", printable(alarm))?;
    }
    if alarms.is_empty() { Ok(()) } else { writeln!(f) }
}

/// A hook that a setting leaves out.
fn is_switched_off(hook: &HookStatus) -> bool {
    hook.error.as_deref().is_some_and(|error| error.starts_with("switched off"))
}

impl fmt::Display for ExportStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.failing {
            return write!(f, "export of {} works", self.signal);
        }
        let error = self.error.as_deref().unwrap_or("reason unknown");
        write!(f, "export of {} FAILING for {}: {error}", self.signal, seconds(self.since_seconds))?;
        if self.queued > 0 { write!(f, "; {} queued", grouped(self.queued)) } else { Ok(()) }
    }
}

/// Events and records, and what became of them.
pub(super) fn summary(status: &Status) -> Vec<[String; 7]> {
    let sum = |name: &str, attributes: &[(&str, &str)]| {
        let samples = status.samples.iter().filter(|sample| {
            sample.name == name
                && attributes.iter().all(|(key, value)| sample.attributes.get(*key).is_some_and(|known| known == value))
        });
        grouped(samples.map(|sample| sample.value).fold(0, u64::saturating_add))
    };
    let row = |cells: [&str; 7]| cells.map(str::to_owned);
    let mut rows = Vec::new();
    if !status.samples.is_empty() {
        let received = sum(metric::EYEPIECE_EVENTS_RECEIVED.name, &[]);
        let lost = sum(metric::EYEPIECE_EVENTS_LOST.name, &[]);
        rows.push(row(["events", "received", &received, "lost", &lost, "", ""]));
    }
    for export in &status.exports {
        let signal = (attribute::EYEPIECE_SIGNAL, export.signal.as_str());
        let records =
            |outcome| sum(metric::EYEPIECE_EXPORT_RECORDS.name, &[signal, (attribute::EYEPIECE_OUTCOME, outcome)]);
        let queued = if export.queued > 0 { grouped(export.queued) } else { String::new() };
        let word = if export.queued > 0 { "queued" } else { "" };
        rows.push(row([
            &export.signal,
            "delivered",
            &records("delivered"),
            "dropped",
            &records("dropped"),
            word,
            &queued,
        ]));
    }
    rows
}

/// How many interfaces are watched and how many are not, by what they are.
pub(super) fn interfaces(interfaces: &InterfacesStatus) -> [[String; 2]; 2] {
    let InterfacesStatus { endpoints, uplinks, left_out, .. } = interfaces;
    let reasons: Vec<_> =
        left_out.iter().map(|(why, n)| if *n == 1 { why.clone() } else { format!("{why} ({n})") }).collect();
    let out: u64 = left_out.values().sum();
    [
        [format!("{} watched", endpoints + uplinks), kinds(*endpoints, *uplinks)],
        [format!("{out} left out"), reasons.join("; ")],
    ]
}

/// Interfaces by kind: `1 endpoint, 2 uplinks`.
pub(crate) fn kinds(endpoints: u64, uplinks: u64) -> String {
    format!("{}, {}", counted(endpoints, "endpoint"), counted(uplinks, "uplink"))
}

/// A number and its noun: `1 uplink`, `2 uplinks`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// How many numbers are not shown.
pub(super) fn zeros(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    match count {
        0 => Ok(()),
        1 => writeln!(f, "\n1 number is 0 and left out; --json has it"),
        n => writeln!(f, "\n{n} numbers are 0 and left out; --json has them"),
    }
}

/// A number with a comma between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{grouped, kinds};
    use crate::serve::admin::Status;

    #[test]
    fn digits_in_groups_of_three() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (123_456, "123,456"), (u64::MAX, "18,446,744,073,709,551,615")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn interfaces_are_counted_by_kind() {
        assert_eq!(
            (kinds(0, 0), kinds(1, 2)),
            ("0 endpoints, 0 uplinks".to_owned(), "1 endpoint, 2 uplinks".to_owned())
        );
    }

    #[test]
    fn healthy_status_begins_with_its_head() {
        assert!(Status::default().to_string().starts_with("eyepiece  on : not ready"));
    }
}
