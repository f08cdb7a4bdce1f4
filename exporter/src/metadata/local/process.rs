//! A process as `/proc` shows it: its control groups, its network namespace, its name and its start.

use std::path::Path;
use std::sync::LazyLock;
use std::{fs, io};

use eyepiece_flow::agent_event::Timestamp;
use eyepiece_flow::rfc3339::write_rfc3339;
use eyepiece_wire::{START_BITS, process_number, process_start};

use crate::support::network_namespace::inode_of;

/// Clock ticks a second in `/proc`: the kernel's `USER_HZ` on all architectures that eyepiece is built for.
const TICKS: u64 = 100;
/// Nanoseconds of a tick.
const TICK: u64 = 1_000_000_000 / TICKS;

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

/// The time of the boot, in seconds since the Unix epoch. Read once: a clock that is set must not change the time at
/// which a process began.
static BOOT: LazyLock<Option<u64>> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
});

/// When a process began, in RFC 3339; `None` if it ended.
pub(super) fn creation_time(process: u32) -> Option<String> {
    creation_time_of(&stat(process)?, (*BOOT)?)
}

fn creation_time_of(stat: &str, boot: u64) -> Option<String> {
    let ticks = start_of(stat)?;
    let seconds = i64::try_from(boot.checked_add(ticks / TICKS)?).ok()?;
    let nanos = (ticks % TICKS * TICK) as u32;
    let mut text = String::new();
    write_rfc3339(Timestamp { seconds, nanos }, &mut text).ok()?;
    Some(text)
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
    stat(process_number(id)).and_then(|stat| start_of(&stat)).is_some_and(|start| ticks.contains(&start))
}

/// The text of a process's `/proc/PID/stat`; `None` if it ended.
fn stat(process: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/stat")).ok()
}

/// The start of a process, in ticks since boot: the 22nd field (proc_pid_stat(5)). The second one is the name in
/// parentheses, which may hold any separator.
fn start_of(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// An id that [`is_running`] takes for a process's.
#[cfg(test)]
pub(super) fn id_of(process: u32) -> Option<u64> {
    Some(eyepiece_wire::process_id(process, (start_of(&stat(process)?)? + 1) * TICK - 1))
}

#[cfg(test)]
mod tests {
    use super::{creation_time, creation_time_of, id_of, is_running};

    #[test]
    fn creation_time_is_read() {
        let fields = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18";
        for (stat, boot, expected) in [
            (format!("7 (a) S {fields} 12345 0"), 1_700_000_000, Some("2023-11-14T22:15:23.450000000Z")),
            (format!("7 (a ) S) 1) S {fields} 100"), 1_700_000_000, Some("2023-11-14T22:13:21Z")),
            (format!("7 (a) S {fields}"), 1_700_000_000, None),
            (format!("7 (a) S {fields} -1"), 1_700_000_000, None),
            (format!("7 (a) S {fields} 1"), u64::MAX, None),
            (String::new(), 1_700_000_000, None),
        ] {
            assert_eq!(creation_time_of(&stat, boot).as_deref(), expected, "{stat}");
        }
        let own = creation_time(std::process::id());
        assert!(own.is_some() && own == creation_time(std::process::id()), "{own:?}");
        assert_eq!(creation_time(u32::MAX), None, "ended");
    }

    #[test]
    fn reused_number_is_not_running() {
        let own = id_of(std::process::id()).unwrap();
        assert!(is_running(own));
        // Another start of the same number, two ticks before.
        assert!(!is_running(own - (20 << 22)));
        assert!(!is_running(u64::MAX));
    }
}
