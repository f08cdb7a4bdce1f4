//! Capabilities of threads: which each holds, and giving up those that it does not need.
//!
//! Linux keeps them for each thread; a thread that starts has those of the thread that started it.

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

/// `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits, in two halves.
const VERSION: u32 = 0x2008_0522;

impl Capabilities {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Changes of interfaces, and questions about other network namespaces.
    pub const NET_ADMIN: Self = Self(1 << 12);
    /// Memory that stays in place, beyond the limit.
    pub const IPC_LOCK: Self = Self(1 << 14);
    /// Looking at processes that hold more than we do.
    pub const SYS_PTRACE: Self = Self(1 << 19);
    /// What `BPF` and `PERFMON` were before they were told apart.
    pub const SYS_ADMIN: Self = Self(1 << 21);
    /// Programs that read the kernel's memory.
    pub const PERFMON: Self = Self(1 << 38);
    /// Kernel programs and maps.
    pub const BPF: Self = Self(1 << 39);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of another set are in this one.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// A set of `/proc/PID/status` (`CapEff`, `CapPrm` …).
    pub fn of_status(status: &str, set: &str) -> Option<Self> {
        let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'))?;
        u64::from_str_radix(line.trim(), 16).ok().map(Self)
    }

    /// Names, in the order of their bits; those that are newer than this program are numbers.
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

/// One half of the three sets.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up all capabilities of the calling thread but these, for good. Threads that it starts later have no more.
pub fn keep(kept: Capabilities) {
    if let Err(error) = try_keep(kept) {
        let thread = std::thread::current();
        tracing::warn!(%error, thread = thread.name().unwrap_or_default(), "cannot give up capabilities");
    }
}

fn try_keep(kept: Capabilities) -> io::Result<()> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: header and halves have the layouts of this version, and outlive the call.
    if unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for (half, kept) in halves.iter_mut().zip([kept.0 as u32, (kept.0 >> 32) as u32]) {
        *half = Half { effective: half.effective & kept, permitted: half.permitted & kept, inheritable: 0 };
    }
    // SAFETY: as above.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_mut_ptr()) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps the process from gaining privileges by what it might execute, and others of its user from reading its memory,
/// which holds certificates' keys and headers. To be called before the first thread starts.
pub fn confine() {
    let results = [nix::sys::prctl::set_no_new_privs(), nix::sys::prctl::set_dumpable(false)];
    if let Some(error) = results.into_iter().find_map(Result::err) {
        tracing::warn!(%error, "cannot give up new privileges and dumps of memory");
    }
    for bit in 0..NAMES.len() {
        // SAFETY: takes numbers. Refused without SETPCAP, and for what the kernel does not know: then nothing is lost.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, bit, 0, 0, 0) };
    }
}

/// What this process may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Whether it can gain no privileges by executing programs.
    pub no_new_privs: bool,
    /// Whether other processes of its user can read its memory.
    pub is_dumpable: bool,
    /// Names of threads, by the capabilities that they hold.
    pub threads: BTreeMap<Capabilities, BTreeSet<String>>,
}

/// What the kernel says that this process holds; threads that end meanwhile are left out.
///
/// # Errors
/// procfs is not mounted.
pub fn held() -> io::Result<Held> {
    let mut threads: BTreeMap<Capabilities, BTreeSet<String>> = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        let Ok(status) = std::fs::read_to_string(thread?.path().join("status")) else { continue };
        let Some(capabilities) = Capabilities::of_status(&status, "CapPrm") else { continue };
        let name = status.lines().find_map(|line| line.strip_prefix("Name:")).unwrap_or_default();
        threads.entry(capabilities).or_default().insert(name.trim().to_owned());
    }
    Ok(Held {
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
    fn a_set_of_a_status_has_names() {
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
    fn given_up_capabilities_stay_with_others() {
        let before = of_this_thread("CapPrm");
        let wanted = Capabilities::NET_ADMIN;
        let of_thread = move || {
            keep(wanted);
            // A thread's child has no more than it has itself.
            let child = std::thread::spawn(|| (of_this_thread("CapEff"), of_this_thread("CapPrm"))).join().unwrap();
            (child, held().unwrap())
        };
        let thread = std::thread::Builder::new().name("confined".into()).spawn(of_thread).unwrap();
        let ((effective, permitted), held) = thread.join().unwrap();
        let expected = if before.has(wanted) { wanted } else { Capabilities::NONE };
        assert_eq!((effective, permitted), (expected, expected));
        assert!(held.threads[&expected].contains("confined"), "{held:?}");
        assert_eq!(of_this_thread("CapPrm"), before);
    }
}
