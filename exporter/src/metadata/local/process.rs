//! What `/proc` has of a process: its control groups, its network namespace, its name and its start.

use std::path::Path;
use std::{fs, io};

use eyepiece_wire::{START_BITS, process_number, process_start};

use crate::support::network_namespace::inode_of;

/// Nanoseconds of a start time's unit (proc_pid_stat(5)): Linux has the same on x86-64 whatever its own clock.
const TICK: u64 = 10_000_000;

/// The ids of all processes, in ascending order.
pub(super) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut ids: Vec<_> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    ids
}

/// The first processes of a control group's own folder, at most `max`.
pub(super) fn of_group(folder: &Path, max: usize) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).take(max).collect()
}

/// The text of a process's `/proc/PID/cgroup`; `None` if it ended.
pub(super) fn control_groups(process: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/cgroup")).ok()
}

/// The inode of a process's network namespace. Reading it of other users' processes needs `CAP_SYS_PTRACE`.
pub(super) fn namespace(process: u32) -> io::Result<u32> {
    fs::metadata(format!("/proc/{process}/ns/net")).map(|metadata| inode_of(&metadata))
}

/// The name of a process's program, or of its thread where the program cannot be read; `None` if it ended.
pub(super) fn name(process: u32) -> Option<String> {
    let program = fs::read_link(format!("/proc/{process}/exe")).ok();
    let program = program.as_ref().and_then(|path| path.file_name()?.to_str());
    match program {
        // A replaced program's link ends so (proc_pid_exe(5)).
        Some(program) => Some(program.strip_suffix(" (deleted)").unwrap_or(program).to_owned()),
        None => Some(fs::read_to_string(format!("/proc/{process}/comm")).ok()?.trim_end().to_owned()),
    }
}

/// Returns whether the process of a [`eyepiece_wire::process_id`] runs: its number may be another one's by now.
pub(super) fn is_running(id: u64) -> bool {
    let first = process_start(id);
    // The id has the start rounded down, `/proc` has it in ticks.
    let ticks = first / TICK..=(first + (1 << START_BITS) - 1) / TICK;
    start(process_number(id)).is_some_and(|start| ticks.contains(&start))
}

/// The start of a process, in ticks since boot; `None` if it ended.
fn start(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may contain any of the separators. Behind it is the third field; the start is the 22nd.
    let (_, fields) = text.rsplit_once(") ")?;
    fields.split(' ').nth(19)?.parse().ok()
}

/// An id that [`is_running`] takes for a process's.
#[cfg(test)]
pub(super) fn id_of(process: u32) -> Option<u64> {
    Some(eyepiece_wire::process_id(process, (start(process)? + 1) * TICK - 1))
}

#[cfg(test)]
mod tests {
    use super::{id_of, is_running};

    #[test]
    fn reused_number_is_not_running() {
        let own = id_of(std::process::id()).unwrap();
        assert!(is_running(own));
        // Another start of the same number, two ticks before.
        assert!(!is_running(own - (20 << 22)));
        assert!(!is_running(u64::MAX));
    }
}
