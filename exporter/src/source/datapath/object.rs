//! Loads the kernel programs with their settings and sizes, and gives hands on their maps.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use aya::maps::Map;
use aya::programs::{BtfTracePoint, Program, ProgramError, SchedClassifier};
use aya::{Btf as AyaBtf, Ebpf, EbpfError, EbpfLoader};
use eyepiece_wire::{Aggregation, MAX_CAPTURE, global, map, program};
use thiserror::Error;

use super::btf::{Btf, BtfError};
use super::links::namespaces;
use super::sys;
use crate::support::error_chain::error_chain;

/// The kernel programs, built by build.rs.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/eyepiece-ebpf"));

/// The smallest packet prefix: Ethernet 14 + two VLAN tags 2 × 4 + IPv6 40 + TCP 20. The configuration allows no less.
pub const MIN_CAPTURE: u32 = 82;

/// The oldest kernel that has all that the programs use: the drop reason of `kfree_skb` (5.17) is the newest.
pub const MINIMUM_KERNEL: (u32, u32) = (5, 17);

/// How events travel to user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// BPF ring buffer, batched wakeups.
    Ring,
    /// Perf event array, 64 pages a CPU, wakeup watermark.
    Perf,
}

/// What the programs are told before they are loaded.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How events travel.
    pub transport: Transport,
    /// How many events become one.
    pub aggregation: Aggregation,
    /// A live connection reports at least this often.
    pub interval: Duration,
    /// Bytes of a packet in a record.
    pub capture_bytes: u32,
    /// Bytes of the ring buffer, a power of two times the page size.
    pub buffer: u32,
    /// Entries of each of the two connection tables (IPv4, IPv6).
    pub max_connections: u32,
    /// Load the drop program.
    pub drops: bool,
    /// Debug and capture notifications.
    pub debug: bool,
    /// How long an unanswered connection at an uplink is held back from the once-per-node totals.
    pub hold: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            transport: Transport::Ring,
            aggregation: Aggregation::Medium,
            interval: Duration::from_secs(5),
            capture_bytes: 128,
            buffer: 8 << 20,
            max_connections: 131_072,
            drops: true,
            debug: false,
            hold: Duration::from_secs(10),
        }
    }
}

/// Why the kernel programs could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The kernel is too old.
    #[error("kernel {release} is too old: eyepiece needs {major}.{minor} or later")]
    OldKernel {
        /// `uname -r`.
        release: String,
        /// Needed major version.
        major: u32,
        /// Needed minor version.
        minor: u32,
    },
    /// A privilege is missing.
    #[error("loading kernel programs needs root, or the capabilities BPF, NET_ADMIN and PERFMON: {what}")]
    Privilege {
        /// What was refused.
        what: String,
    },
    /// Kernel types.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// aya could not load the object.
    #[error("cannot load the kernel programs: {source}")]
    Object {
        /// What aya said.
        source: EbpfError,
    },
    /// The kernel refused a program.
    #[error("the kernel refused program {name}: {message}")]
    Program {
        /// The program.
        name: &'static str,
        /// What the kernel said, the verifier's last lines included.
        message: String,
    },
    /// The process has no descriptor left.
    #[error("cannot duplicate a descriptor: {source}")]
    Descriptor {
        /// What the system said.
        source: std::io::Error,
    },
    /// The own network namespace is not known.
    #[error("cannot read the inode of the own network namespace: {source}")]
    Namespace {
        /// What the system said.
        source: std::io::Error,
    },
    /// The object and this code do not fit together.
    #[error("the kernel object has no {name}")]
    Missing {
        /// Program or map.
        name: &'static str,
    },
}

/// The loaded programs and maps. Dropping it detaches and frees everything that is ours.
pub struct Object {
    ebpf: Ebpf,
    drops: Option<LoadError>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").finish_non_exhaustive()
    }
}

impl Object {
    /// Loads everything for the network namespace that the calling thread is in; `types` are the running kernel's. A drop program that this kernel can't have is not fatal: see [`Object::drops_missing`].
    pub fn load(settings: &Settings, types: &Btf) -> Result<Self, LoadError> {
        let mut loader = EbpfLoader::new();
        let namespace = namespaces::own_inode().map_err(|source| LoadError::Namespace { source })?;
        let values = Globals::new(settings, types, namespace);
        values.set(&mut loader);
        // The array is looked up by the number of the CPU; 0 = as many as there are.
        let cpus = sys::possible_cpus().ok().and_then(|cpus| cpus.last().map(|&last| u32::from(last) + 1));
        loader
            .map_max_entries(map::PERF, cpus.unwrap_or(0))
            .map_max_entries(map::RING, if settings.transport == Transport::Ring { settings.buffer } else { 4096 })
            .map_max_entries(map::CONNECTIONS4, settings.max_connections.max(1))
            .map_max_entries(map::CONNECTIONS6, settings.max_connections.max(1));
        let ebpf = loader.load(OBJECT).map_err(object_error)?;
        let mut object = Self { ebpf, drops: None };
        for name in [
            program::FROM_ENDPOINT,
            program::TO_ENDPOINT,
            program::FROM_NETWORK,
            program::TO_NETWORK,
            program::FROM_NETWORK_L3,
            program::TO_NETWORK_L3,
            program::SWEEP,
        ] {
            object.classifier(name)?.load().map_err(|error| program_error(name, &error))?;
        }
        if settings.drops {
            object.drops = values.missing.map(LoadError::Btf);
            if object.drops.is_none()
                && let Err(error) = object.load_drops()
            {
                object.drops = Some(error);
            }
        }
        Ok(object)
    }

    fn load_drops(&mut self) -> Result<(), LoadError> {
        let name = program::DROP;
        let btf = AyaBtf::from_sys_fs().map_err(|error| LoadError::Program { name, message: error.to_string() })?;
        let program = self.tracepoint()?;
        program.load("kfree_skb", &btf).map_err(|error| program_error(name, &error))
    }

    /// Why drops are not seen, where they were asked for.
    pub const fn drops_missing(&self) -> Option<&LoadError> {
        self.drops.as_ref()
    }

    /// Whether the drop program is loaded.
    pub fn has_drops(&mut self) -> bool {
        self.tracepoint().is_ok_and(|program| program.fd().is_ok())
    }

    /// A tc program.
    pub fn classifier(&mut self, name: &'static str) -> Result<&mut SchedClassifier, LoadError> {
        let program: &mut Program = self.ebpf.program_mut(name).ok_or(LoadError::Missing { name })?;
        program.try_into().map_err(|error| program_error(name, &error))
    }

    /// The drop program.
    pub fn tracepoint(&mut self) -> Result<&mut BtfTracePoint, LoadError> {
        let name = program::DROP;
        let program: &mut Program = self.ebpf.program_mut(name).ok_or(LoadError::Missing { name })?;
        program.try_into().map_err(|error| program_error(name, &error))
    }

    /// A descriptor of a map, of its own.
    pub fn map(&self, name: &'static str) -> Result<OwnedFd, LoadError> {
        let data = match self.ebpf.map(name).ok_or(LoadError::Missing { name })? {
            Map::Array(data)
            | Map::HashMap(data)
            | Map::PerCpuArray(data)
            | Map::PerCpuHashMap(data)
            | Map::PerfEventArray(data)
            | Map::RingBuf(data) => data,
            _ => return Err(LoadError::Missing { name }),
        };
        data.fd().as_fd().try_clone_to_owned().map_err(|source| LoadError::Descriptor { source })
    }

    /// A descriptor of a tc program, of its own.
    pub fn program(&mut self, name: &'static str) -> Result<OwnedFd, LoadError> {
        let fd = self.classifier(name)?.fd().map_err(|error| program_error(name, &error))?;
        fd.as_fd().try_clone_to_owned().map_err(|source| LoadError::Descriptor { source })
    }

    /// A descriptor of the drop program, of its own; none where it is not loaded.
    pub fn drop_program(&mut self) -> Option<OwnedFd> {
        self.tracepoint().ok()?.fd().ok()?.as_fd().try_clone_to_owned().ok()
    }
}

/// Refuses a kernel that is too old.
pub(super) fn check_kernel() -> Result<(), LoadError> {
    let (major, minor) = MINIMUM_KERNEL;
    if kernel_is_at_least(major, minor) {
        return Ok(());
    }
    Err(LoadError::OldKernel { release: release(), major, minor })
}

/// `uname -r`.
fn release() -> String {
    nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether the running kernel is this version or a later one; true where it does not say.
pub fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    is_at_least(&release(), major, minor)
}

fn is_at_least(release: &str, major: u32, minor: u32) -> bool {
    let mut numbers = release.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(have_major), Some(have_minor)) => (have_major, have_minor) >= (major, minor),
        _ => true,
    }
}

fn object_error(source: EbpfError) -> LoadError {
    let text = error_chain(&source);
    if denied(&text) { LoadError::Privilege { what: text } } else { LoadError::Object { source } }
}

fn program_error(name: &'static str, error: &ProgramError) -> LoadError {
    let message = error_chain(error);
    if denied(&message) && !message.contains("verifier") {
        return LoadError::Privilege { what: format!("program {name}: {message}") };
    }
    // The verifier's log can be thousands of lines; the last ones say what it stumbled over.
    let lines: Vec<_> = message.lines().collect();
    LoadError::Program { name, message: lines[lines.len().saturating_sub(12)..].join("\n") }
}

fn denied(text: &str) -> bool {
    text.contains("Operation not permitted") || text.contains("Permission denied (os error 13)") && text.len() < 200
}

/// The values of the read-only globals; they must outlive the loader.
struct Globals {
    bytes: [(&'static str, u8); 3],
    words: Vec<(&'static str, u32)>,
    longs: [(&'static str, u64); 5],
    arguments: u8,
    /// The kernel type that the drop program lacks.
    missing: Option<BtfError>,
}

impl Globals {
    fn new(settings: &Settings, types: &Btf, namespace: u32) -> Self {
        let hertz = sys::jiffies_per_second();
        let jiffies = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_mul(hertz) / 1000;
        let mut words = vec![(global::CAPTURE, settings.capture_bytes.clamp(MIN_CAPTURE, MAX_CAPTURE))];
        words.push((global::OWN_NAMESPACE, namespace));
        // A tag that cannot be told is left out of what is captured of drops; everything else works.
        words.push((global::VLAN_OFFSET, types.offset("sk_buff", "vlan_all").unwrap_or(u32::MAX)));
        words.push((global::OWN_PID, std::process::id()));
        let pid_namespace = std::fs::metadata("/proc/self/ns/pid").ok();
        let mut missing = None;
        for &(name, structure, field) in global::OFFSETS {
            match types.offset(structure, field) {
                Ok(offset) => words.push((name, offset)),
                Err(error) => missing = Some(error),
            }
        }
        let arguments = match types.tracepoint_arguments("kfree_skb") {
            Ok(arguments) => u8::try_from(arguments).unwrap_or(u8::MAX),
            Err(error) => {
                missing = Some(error);
                3
            }
        };
        Self {
            bytes: [
                (global::AGGREGATION, settings.aggregation as u8),
                (global::TRANSPORT, u8::from(settings.transport == Transport::Perf)),
                (global::DEBUG, u8::from(settings.debug)),
            ],
            words,
            longs: [
                (global::INTERVAL, jiffies(settings.interval).max(1)),
                // Wake the reader when an eighth of the ring waits: seldom enough to batch, early enough to keep up.
                (global::WATERMARK, u64::from(settings.buffer / 8)),
                (global::HOLD, jiffies(settings.hold)),
                (global::OWN_PID_NAMESPACE_DEVICE, pid_namespace.as_ref().map_or(0, MetadataExt::dev)),
                (global::OWN_PID_NAMESPACE, pid_namespace.as_ref().map_or(0, MetadataExt::ino)),
            ],
            arguments,
            missing,
        }
    }

    fn set<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        for (name, value) in &self.bytes {
            loader.override_global(name, value, true);
        }
        for (name, value) in &self.words {
            loader.override_global(name, value, true);
        }
        for (name, value) in &self.longs {
            loader.override_global(name, value, true);
        }
        loader.override_global(global::KFREE_SKB_ARGUMENTS, &self.arguments, true);
    }
}

#[cfg(test)]
mod tests {
    use super::{Btf, MIN_CAPTURE, Object, Settings, Transport, is_at_least};

    #[test]
    fn versions_are_compared_by_number() {
        for (release, expected) in [
            ("6.6.0", true),
            ("6.18.44-fc", true),
            ("6.5.13-amd64", false),
            ("5.100", false),
            ("7.0-rc1", true),
            ("10.1+", true),
            ("unknown", true),
        ] {
            assert_eq!(is_at_least(release, 6, 6), expected, "{release}");
        }
    }
    use eyepiece_wire::Aggregation;

    #[test]
    fn every_variant_passes_the_verifier() {
        if !nix::unistd::geteuid().is_root() {
            eyepiece_tests::skip!("loading kernel programs needs root");
        }
        let types = Btf::from_kernel().expect("BTF");
        for transport in [Transport::Ring, Transport::Perf] {
            for aggregation in [Aggregation::None, Aggregation::Low, Aggregation::Medium, Aggregation::Maximum] {
                for debug in [false, true] {
                    for capture_bytes in [MIN_CAPTURE, 128, 1024] {
                        let settings = Settings { transport, aggregation, debug, capture_bytes, ..Settings::default() };
                        let object =
                            Object::load(&settings, &types).unwrap_or_else(|error| panic!("{settings:?}: {error}"));
                        assert!(object.drops_missing().is_none(), "{:?}", object.drops_missing());
                    }
                }
            }
        }
    }
}
