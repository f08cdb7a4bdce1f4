//! Which privileges the process has: what cannot work without one is told before it is tried, by the privilege's name.

use thiserror::Error;

/// Bits of a capability set (Linux `include/uapi/linux/capability.h`).
#[derive(Clone, Copy)]
struct Capability {
    name: &'static str,
    bit: u32,
}

const NET_ADMIN: Capability = Capability { name: "NET_ADMIN", bit: 12 };
const SYS_PTRACE: Capability = Capability { name: "SYS_PTRACE", bit: 19 };
const SYS_ADMIN: Capability = Capability { name: "SYS_ADMIN", bit: 21 };
const PERFMON: Capability = Capability { name: "PERFMON", bit: 38 };
const BPF: Capability = Capability { name: "BPF", bit: 39 };

/// Without these nothing works. The kernel takes `SYS_ADMIN` for the second and third too (`bpf_capable`,
/// `perfmon_capable`).
const NEEDED: [(Capability, Option<Capability>); 3] =
    [(NET_ADMIN, None), (BPF, Some(SYS_ADMIN)), (PERFMON, Some(SYS_ADMIN))];

/// Without these a part is lost: the capability, and what. `/proc/PID/ns/net` of a process that may more than we is
/// shown to those who could trace it (`ptrace(2)`); names of namespaces in /run are anybody's.
const WANTED: [(Capability, &str); 1] = [(
    SYS_PTRACE,
    "network namespaces are found only in /run/netns and /run/docker/netns; drops in others are not reported",
)];

/// Capabilities are missing.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("loading kernel programs needs root, or capabilities of which these are missing: {missing}")]
pub struct MissingCapabilities {
    /// Their names, with commas between.
    pub missing: String,
}

/// The capabilities that are in effect.
#[derive(Clone, Copy, Debug)]
pub struct Privileges(u64);

impl Privileges {
    /// Those of this process; none where the kernel does not tell.
    pub fn of_this_process() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/thread-self/status").ok()?)
    }

    /// From the text of `/proc/PID/status`.
    fn parse(status: &str) -> Option<Self> {
        let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(set.trim(), 16).ok().map(Self)
    }

    const fn has(self, capability: Capability) -> bool {
        self.0 >> capability.bit & 1 != 0
    }

    /// Whether it can work at all.
    ///
    /// # Errors
    /// The capabilities that it lacks for it.
    pub fn check(self) -> Result<(), MissingCapabilities> {
        let is_missing = |(capability, instead): &&(Capability, Option<Capability>)| {
            !self.has(*capability) && !instead.is_some_and(|instead| self.has(instead))
        };
        let missing: Vec<_> = NEEDED.iter().filter(is_missing).map(|(capability, _)| capability.name).collect();
        if missing.is_empty() { Ok(()) } else { Err(MissingCapabilities { missing: missing.join(", ") }) }
    }

    /// What works less well: the capability that is missing, and what is lost by it.
    pub fn lacks(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        WANTED
            .iter()
            .filter(move |(capability, _)| !self.has(*capability))
            .map(|(capability, lost)| (capability.name, *lost))
    }
}

#[cfg(test)]
mod tests {
    use super::{BPF, Capability, NET_ADMIN, PERFMON, Privileges, SYS_ADMIN, SYS_PTRACE};

    fn with(capabilities: &[Capability]) -> Privileges {
        let set = capabilities.iter().fold(0_u64, |set, capability| set | 1 << capability.bit);
        Privileges::parse(&format!("Name:\teyepiece\nCapPrm:\t0\nCapEff:\t{set:016x}\nCapBnd:\tf\n")).unwrap()
    }

    #[test]
    fn exactly_what_is_missing_is_named() {
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
            let privileges = with(have);
            let found = privileges.check().err().map(|error| error.missing);
            assert_eq!(found.as_deref(), missing);
            assert!(privileges.lacks().map(|(name, _)| name).eq(lacks.iter().copied()), "{missing:?}");
        }
    }

    #[test]
    fn a_status_that_is_none() {
        for text in ["", "CapEff:", "CapEff:\tx", "CapPrm:\tffff"] {
            assert!(Privileges::parse(text).is_none(), "{text:?}");
        }
        assert!(Privileges::of_this_process().is_some());
    }
}
