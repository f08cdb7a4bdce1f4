//! What `/proc` has of a process: its control groups, its network namespace and its name.

use std::path::Path;
use std::{fs, io};

use crate::support::network_namespace::inode_of;

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
