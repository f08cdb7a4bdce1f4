//! The capabilities of the process: missing ones are reported by name before anything fails.

use thiserror::Error;

use super::object;
use crate::support::capabilities::Capabilities;

/// Required capabilities, and their substitutes in the kernel (`bpf_capable`, `perfmon_capable`).
const REQUIRED: [(Capabilities, Capabilities); 3] = [
    (Capabilities::NET_ADMIN, Capabilities::NET_ADMIN),
    (Capabilities::BPF, Capabilities::SYS_ADMIN),
    (Capabilities::PERFMON, Capabilities::SYS_ADMIN),
];

/// Optional capabilities, and the loss without each. `/proc/PID/ns/net` of a more privileged process is readable only
/// with the right to trace it (`ptrace(2)`); names of namespaces in /run are readable for all.
const OPTIONAL: [(Capabilities, &str); 1] = [(
    Capabilities::SYS_PTRACE,
    "network namespaces are found only in /run/netns and /run/docker/netns; drops in others are not reported",
)];

/// The capabilities for attaching and detaching; the kernel accepts `SYS_ADMIN` for `BPF`.
pub fn of_attaching() -> Capabilities {
    Capabilities::NET_ADMIN.with(bpf())
}

/// The capabilities of the watcher of interfaces: requests about other namespaces, and reads of `/proc/PID/ns`.
pub const OF_WATCHING: Capabilities = Capabilities::NET_ADMIN.with(Capabilities::SYS_PTRACE);

/// The capabilities for reading maps: from kernel 5.19 on a descriptor is enough.
pub fn of_reading() -> Capabilities {
    if object::kernel_is_at_least(5, 19) { Capabilities::NONE } else { bpf() }
}

/// The capabilities for perf buffers, which are opened whenever a reader starts.
pub fn of_perf_buffers() -> Capabilities {
    or_sys_admin(Capabilities::PERFMON).with(Capabilities::IPC_LOCK)
}

fn bpf() -> Capabilities {
    or_sys_admin(Capabilities::BPF)
}

/// A capability, or `SYS_ADMIN` if the process lacks it.
fn or_sys_admin(capability: Capabilities) -> Capabilities {
    let is_held = Privileges::of_this_process().is_none_or(|privileges| privileges.0.has(capability));
    if is_held { capability } else { Capabilities::SYS_ADMIN }
}

/// Required capabilities are missing.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("loading kernel programs needs root, or capabilities of which these are missing: {missing}")]
pub struct MissingCapabilities {
    /// Their names, separated by commas.
    pub missing: String,
}

/// The effective capabilities.
#[derive(Clone, Copy, Debug)]
pub struct Privileges(Capabilities);

impl Privileges {
    /// Those of the calling thread; `None` if they are unreadable.
    pub fn of_this_process() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
        Capabilities::of_status(&status, "CapEff").map(Self)
    }

    /// Checks that all required capabilities are held.
    ///
    /// # Errors
    /// The missing capabilities.
    pub fn check(self) -> Result<(), MissingCapabilities> {
        let is_missing =
            |(capability, instead): &&(Capabilities, Capabilities)| !self.0.has(*capability) && !self.0.has(*instead);
        let missing: Vec<_> =
            REQUIRED.iter().filter(is_missing).flat_map(|(capability, _)| capability.names()).collect();
        if missing.is_empty() { Ok(()) } else { Err(MissingCapabilities { missing: missing.join(", ") }) }
    }

    /// The missing optional capabilities, and the loss without each.
    pub fn missing_optional(self) -> impl Iterator<Item = (String, &'static str)> {
        OPTIONAL
            .iter()
            .filter(move |(capability, _)| !self.0.has(*capability))
            .map(|(capability, lost)| (capability.names().concat(), *lost))
    }
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, Privileges};

    const BPF: Capabilities = Capabilities::BPF;
    const NET_ADMIN: Capabilities = Capabilities::NET_ADMIN;
    const PERFMON: Capabilities = Capabilities::PERFMON;
    const SYS_ADMIN: Capabilities = Capabilities::SYS_ADMIN;
    const SYS_PTRACE: Capabilities = Capabilities::SYS_PTRACE;

    #[test]
    fn missing_capabilities_are_named() {
        for (have, missing, lacks) in [
            (&[][..], Some("NET_ADMIN, BPF, PERFMON"), &["SYS_PTRACE"][..]),
            (&[BPF, NET_ADMIN], Some("PERFMON"), &["SYS_PTRACE"]),
            (&[NET_ADMIN, PERFMON], Some("BPF"), &["SYS_PTRACE"]),
            (&[BPF, PERFMON], Some("NET_ADMIN"), &["SYS_PTRACE"]),
            (&[SYS_ADMIN], Some("NET_ADMIN"), &["SYS_PTRACE"]),
            (&[SYS_ADMIN, NET_ADMIN], None, &["SYS_PTRACE"]),
            (&[BPF, NET_ADMIN, PERFMON], None, &["SYS_PTRACE"]),
            (&[BPF, NET_ADMIN, PERFMON, SYS_PTRACE], None, &[]),
        ] {
            let privileges = Privileges(have.iter().fold(Capabilities::NONE, |set, one| set.with(*one)));
            let found = privileges.check().err().map(|error| error.missing);
            assert_eq!(found.as_deref(), missing);
            assert!(privileges.missing_optional().map(|(name, _)| name).eq(lacks.iter().copied()), "{missing:?}");
        }
    }
}
