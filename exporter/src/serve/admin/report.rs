//! The status as text for people.

use std::fmt;
use std::time::Duration;

use eyepiece_config::{format_duration, format_seconds};
use eyepiece_semconv::{attribute, metric};

use super::table::{kinds, printable, section};
use crate::support::digits::grouped;
use crate::support::status::{
    ConnectionStatus, ExampleStatus, ExportStatus, HookStatus, InterfacesStatus, NodeStatus, ProviderStatus,
    SampleStatus, Status, ThreadsStatus,
};

/// The key of patterns for interfaces to watch.
const INCLUDE: &str = "datapath.interfaces.include";

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        alarms(f, self)?;
        let uptime = format_duration(Duration::from_secs(self.uptime_seconds));
        let ready = if self.ready { "ready" } else { "not ready" };
        writeln!(f, "eyepiece {} on {}: {ready}, up {uptime}, source {}", self.version, self.node, self.source)?;
        section(f, "In short", summary(self))?;
        section(f, "Connection", self.connection.iter().map(ConnectionStatus::row).collect())?;
        let nodes = self.connection.iter().flat_map(|connection| &connection.nodes);
        section(f, "Nodes", nodes.map(NodeStatus::row).collect())?;
        section(f, "Interfaces", self.interfaces.iter().flat_map(interfaces).collect())?;
        section(f, "Names", self.metadata.iter().map(ProviderStatus::row).collect())?;
        section(f, "Hooks", self.hooks.iter().map(HookStatus::row).collect())?;
        section(f, "Capabilities of threads", self.privileges.threads.iter().map(ThreadsStatus::row).collect())?;
        section(f, "Not decoded, the last of each reason", self.undecodable.iter().map(ExampleStatus::row).collect())?;
        let settings = self.settings.iter().filter(|(_, value)| !value.is_empty());
        section(f, "Settings", settings.map(|(key, value)| [key.clone(), value.clone()]).collect())?;
        let (shown, zero): (Vec<_>, Vec<_>) = self.samples.iter().partition(|sample| sample.value > 0);
        let (gauges, counters): (Vec<_>, Vec<_>) = shown.into_iter().partition(|sample| sample.kind == "gauge");
        section(f, "Counted since the start", counters.into_iter().map(SampleStatus::row).collect())?;
        section(f, "Now", gauges.into_iter().map(SampleStatus::row).collect())?;
        zeros(f, zero.len())
    }
}

impl ConnectionStatus {
    fn row(&self) -> [String; 3] {
        let state = match &self.reason {
            None if self.connected => "connected".to_owned(),
            Some(reason) => format!("not connected ({reason})"),
            None => "not connected".to_owned(),
        };
        let since = format_duration(Duration::from_secs(self.since_seconds));
        [self.peer.clone(), format!("{state} for {since}"), format!("interrupted {} times", self.interruptions)]
    }
}

impl NodeStatus {
    fn row(&self) -> [String; 3] {
        let since = format_duration(Duration::from_secs(self.since_seconds));
        [self.name.clone(), format!("{} for {since}", self.state), self.message.clone()]
    }
}

impl ProviderStatus {
    fn row(&self) -> [String; 4] {
        let state = match self.state.as_str() {
            "stale" => format!("stale for {}", format_seconds(self.stale_seconds)),
            state => state.to_owned(),
        };
        let objects = format!("{} known", grouped(self.objects));
        [self.provider.clone(), state, objects, self.error.clone().unwrap_or_default()]
    }
}

impl HookStatus {
    fn row(&self) -> [String; 4] {
        let state = match (&self.error, self.attached) {
            (Some(error), _) => format!("not attached: {error}"),
            (None, true) => "attached".to_owned(),
            (None, false) => "not attached".to_owned(),
        };
        let interface = if self.interface.is_empty() { "(whole machine)" } else { &self.interface };
        [interface.to_owned(), self.hook.clone(), self.by.clone(), state]
    }
}

impl ThreadsStatus {
    fn row(&self) -> [String; 2] {
        let capabilities = if self.capabilities.is_empty() { "none".to_owned() } else { self.capabilities.join(" ") };
        [capabilities, self.names.join(" ")]
    }
}

impl ExampleStatus {
    fn row(&self) -> [String; 4] {
        let ago = format_duration(Duration::from_secs(self.seconds_ago));
        [self.reason.clone(), format!("{ago} ago"), format!("{} bytes", self.length), self.bytes.clone()]
    }
}

impl SampleStatus {
    fn row(&self) -> [String; 3] {
        let mut attributes: Vec<_> = self.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if let Some(sum_ns) = self.sum_ns {
            let mean = Duration::from_micros(sum_ns / self.value.max(1) / 1000);
            attributes.push(format!("mean={}", format_duration(mean)));
        }
        [self.name.clone(), grouped(self.value), attributes.join(" ")]
    }
}

/// Writes a line for each problem, and an empty line after them; nothing without problems.
fn alarms(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    let exports = status.exports.iter().filter(|export| export.failing).map(ToString::to_string);
    let connection = status.connection.iter().filter(|connection| !connection.connected).map(|connection| {
        let reason = connection.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{} not connected for {}{reason}", connection.peer, format_seconds(connection.since_seconds))
    });
    let hooks = status.hooks.iter().filter(|hook| !hook.attached && !is_switched_off(hook)).map(|hook| {
        let interface = if hook.interface.is_empty() { "(whole machine)" } else { &hook.interface };
        format!("hook {} {interface} NOT ATTACHED: {}", hook.hook, hook.error.as_deref().unwrap_or("reason unknown"))
    });
    let patterns = status.interfaces.iter().flat_map(|interfaces| &interfaces.unmatched);
    let patterns =
        patterns.filter(|pattern| is_alarm(pattern)).map(|pattern| format!("{pattern} matches no interface"));
    let unwatched = status.interfaces.iter().filter(|interfaces| interfaces.endpoints + interfaces.uplinks == 0);
    let unwatched = unwatched.map(|_| "no interface is watched".to_owned());
    let stale = status.metadata.iter().filter(|provider| provider.state == "stale").map(|provider| {
        let error = provider.error.as_deref().unwrap_or("reason unknown");
        format!("names of {} STALE for {}: {error}", provider.provider, format_seconds(provider.stale_seconds))
    });
    let alarms: Vec<_> = exports.chain(connection).chain(stale).chain(hooks).chain(patterns).chain(unwatched).collect();
    for alarm in &alarms {
        writeln!(f, "{}", printable(alarm))?;
    }
    if alarms.is_empty() { Ok(()) } else { writeln!(f) }
}

/// Returns whether a setting disables the hook.
fn is_switched_off(hook: &HookStatus) -> bool {
    hook.error.as_deref().is_some_and(|error| error.starts_with("switched off"))
}

impl fmt::Display for ExportStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.failing {
            return write!(f, "export of {} works", self.signal);
        }
        let error = self.error.as_deref().unwrap_or("reason unknown");
        write!(f, "export of {} FAILING for {}: {error}", self.signal, format_seconds(self.since_seconds))?;
        if self.queued > 0 { write!(f, "; {} queued", grouped(self.queued)) } else { Ok(()) }
    }
}

/// Rows of received and lost events, and of delivered and dropped records.
fn summary(status: &Status) -> Vec<[String; 7]> {
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

/// Rows of interfaces: watched, left out, and exclude patterns that match none.
fn interfaces(interfaces: &InterfacesStatus) -> Vec<[String; 2]> {
    let InterfacesStatus { endpoints, uplinks, left_out, .. } = interfaces;
    let reasons: Vec<_> =
        left_out.iter().map(|(why, n)| if *n == 1 { why.clone() } else { format!("{why} ({n})") }).collect();
    let out: u64 = left_out.values().sum();
    let watched = [format!("{} watched", endpoints + uplinks), kinds(*endpoints, *uplinks)];
    let excluded = interfaces.unmatched.iter().filter(|pattern| !is_alarm(pattern));
    let excluded = excluded.map(|pattern| ["unmatched".to_owned(), pattern.clone()]);
    [watched, [format!("{out} left out"), reasons.join("; ")]].into_iter().chain(excluded).collect()
}

/// Returns whether an unmatched pattern needs attention: only one of `include` leaves an interface unwatched.
fn is_alarm(pattern: &str) -> bool {
    pattern.starts_with(INCLUDE)
}

/// Writes how many zero values are omitted.
fn zeros(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    match count {
        0 => Ok(()),
        1 => writeln!(f, "\n1 number is 0 and left out; --json has it"),
        n => writeln!(f, "\n{n} numbers are 0 and left out; --json has them"),
    }
}

#[cfg(test)]
mod tests;
