//! Capabilities of threads: reading and dropping them.
//!
//! Linux holds capabilities for each thread; a new thread has those of the thread that started it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// A set of capabilities, by their bits (Linux `include/uapi/linux/capability.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capabilities(u64);

/// Names by bit, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits, in two words of 32.
const VERSION: u32 = 0x2008_0522;

impl Capabilities {
    /// No capability.
    pub const NONE: Self = Self(0);
    /// Changes interfaces, and requests about other network namespaces.
    pub const NET_ADMIN: Self = Self(1 << 12);
    /// Locks memory beyond the limit.
    pub const IPC_LOCK: Self = Self(1 << 14);
    /// Reads processes with more capabilities than ours.
    pub const SYS_PTRACE: Self = Self(1 << 19);
    /// Includes `BPF` and `PERFMON`, which were split from it in Linux 5.8.
    pub const SYS_ADMIN: Self = Self(1 << 21);
    /// Loads programs that read the kernel's memory.
    pub const PERFMON: Self = Self(1 << 38);
    /// Loads kernel programs and creates maps.
    pub const BPF: Self = Self(1 << 39);

    /// The union of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether this set includes all of another.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Parses a set of `/proc/PID/status` (`CapEff`, `CapPrm` …).
    pub fn of_status(status: &str, set: &str) -> Option<Self> {
        let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'))?;
        u64::from_str_radix(line.trim(), 16).ok().map(Self)
    }

    /// Names in the order of their bits; unknown bits are numbers.
    pub fn names(self) -> Vec<String> {
        let bits = (0..64_usize).filter(|bit| self.0 >> bit & 1 != 0);
        bits.map(|bit| NAMES.get(bit).map_or_else(|| bit.to_string(), |&name| name.to_owned())).collect()
    }
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// 32 bits of each of the three sets.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityWord {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Permanently drops all capabilities of the calling thread but these. Threads that it starts later have no more.
pub fn keep(kept: Capabilities) {
    if let Err(error) = try_keep(kept) {
        let thread = std::thread::current();
        tracing::warn!(%error, thread = thread.name().unwrap_or_default(), "cannot drop capabilities");
    }
}

fn try_keep(kept: Capabilities) -> io::Result<()> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut words = [CapabilityWord::default(); 2];
    // SAFETY: header and words have the layouts of this version, and outlive the call.
    if unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for (word, kept) in words.iter_mut().zip([kept.0 as u32, (kept.0 >> 32) as u32]) {
        *word = CapabilityWord { effective: word.effective & kept, permitted: word.permitted & kept, inheritable: 0 };
    }
    // SAFETY: as above.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_mut_ptr()) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Prevents the process from gaining privileges through programs that it executes, and other processes of its user from
/// reading its memory, which holds certificates' keys and headers. To be called before the first thread starts.
pub fn confine() {
    let results = [nix::sys::prctl::set_no_new_privs(), nix::sys::prctl::set_dumpable(false)];
    if let Some(error) = results.into_iter().find_map(Result::err) {
        tracing::warn!(%error, "cannot drop new privileges and memory dumps");
    }
    for bit in 0..NAMES.len() {
        // SAFETY: takes numbers. Fails without SETPCAP and for unknown capabilities, which changes nothing.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, bit, 0, 0, 0) };
    }
}

/// The privileges of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldCapabilities {
    /// Whether executing programs cannot add privileges.
    pub no_new_privs: bool,
    /// Whether other processes of its user can read its memory.
    pub is_dumpable: bool,
    /// Names of threads by their capabilities.
    pub threads: BTreeMap<Capabilities, BTreeSet<String>>,
}

/// Reads the privileges of this process from procfs. Threads that end meanwhile are left out.
///
/// # Errors
/// procfs is not mounted.
pub fn held() -> io::Result<HeldCapabilities> {
    let mut threads: BTreeMap<Capabilities, BTreeSet<String>> = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        let Ok(status) = std::fs::read_to_string(thread?.path().join("status")) else { continue };
        let Some(capabilities) = Capabilities::of_status(&status, "CapPrm") else { continue };
        let name = status.lines().find_map(|line| line.strip_prefix("Name:")).unwrap_or_default();
        threads.entry(capabilities).or_default().insert(name.trim().to_owned());
    }
    Ok(HeldCapabilities {
        no_new_privs: nix::sys::prctl::get_no_new_privs()?,
        is_dumpable: nix::sys::prctl::get_dumpable()?,
        threads,
    })
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, held, keep};

    fn of_this_thread(set: &str) -> Capabilities {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        Capabilities::of_status(&status, set).unwrap()
    }

    #[test]
    fn status_set_has_names() {
        let status = "Name:\teyepiece\nCapPrm:\t0000020000001001\nCapEff:\t0000000000000000\n";
        let permitted = Capabilities::of_status(status, "CapPrm").unwrap();
        assert_eq!(permitted.names(), ["CHOWN", "NET_ADMIN", "41"]);
        assert!(permitted.has(Capabilities::NET_ADMIN) && !permitted.has(Capabilities::BPF));
        assert_eq!(Capabilities::of_status(status, "CapEff"), Some(Capabilities::NONE));
        for (text, set) in [("", "CapEff"), ("CapEff:", "CapEff"), ("CapEff:\tx", "CapEff"), (status, "CapBnd")] {
            assert_eq!(Capabilities::of_status(text, set), None, "{text:?}");
        }
    }

    #[test]
    fn other_threads_keep_their_capabilities() {
        let before = of_this_thread("CapPrm");
        let kept = Capabilities::NET_ADMIN;
        let of_thread = move || {
            keep(kept);
            // A thread that it starts has no more.
            let child = std::thread::spawn(|| (of_this_thread("CapEff"), of_this_thread("CapPrm"))).join().unwrap();
            (child, held().unwrap())
        };
        let thread = std::thread::Builder::new().name("confined".into()).spawn(of_thread).unwrap();
        let ((effective, permitted), held) = thread.join().unwrap();
        let expected = if before.has(kept) { kept } else { Capabilities::NONE };
        assert_eq!((effective, permitted), (expected, expected));
        assert!(held.threads[&expected].contains("confined"), "{held:?}");
        assert_eq!(of_this_thread("CapPrm"), before);
    }
}
