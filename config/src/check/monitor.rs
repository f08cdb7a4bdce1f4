//! Checks of monitor sockets: the served one is not the source, and the agent's release is known.

use std::path::Path;

use super::finding::{Finding, finding, warning};
use crate::choices::SourceKind;
use crate::settings::Settings;

/// The oldest release of Cilium with known payloads.
const FIRST: (u32, u32) = (1, 15);
/// The newest one.
const LAST: (u32, u32) = (1, 20);

/// Every contradiction in `[monitor]` and `[cilium_monitor]`, if an agent is the source.
pub(super) fn check(settings: &Settings, findings: &mut Vec<Finding>) {
    if settings.source.kind != SourceKind::CiliumMonitor {
        return;
    }
    let agent = &settings.cilium_monitor;
    // As paths, so that `//` and `/./` make no difference.
    if settings.monitor.socket.as_deref() == Some(Path::new(&agent.socket)) {
        let wrong = "it is also cilium_monitor.socket: eyepiece would read what it serves";
        let right = "use another path, such as /run/eyepiece/monitor1_2.sock";
        findings.push(finding("monitor.socket", wrong, right, &["cilium_monitor.socket", "source.kind"]));
    }
    if let Some(release) = release(&agent.version)
        && !(FIRST..=LAST).contains(&release)
    {
        let (_, nearest) = release.clamp(FIRST, LAST);
        let wrong = format!("no payloads of {} are known: they are read as those of 1.{nearest}", agent.version);
        let right = format!("use a release from 1.{} to 1.{}, or expect fields that are wrong", FIRST.1, LAST.1);
        findings.push(warning("cilium_monitor.version", wrong, &right, &["source.kind"]));
    }
}

/// Major and minor number; `None` if the text names no release.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}
