//! Loads the kernel programs with their configuration and sizes; gives access to programs and maps.

mod config;
mod globals;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};

use aya::maps::Map;
use aya::programs::{BtfTracePoint, Iter, Program, ProgramError, SchedClassifier};
use aya::{Btf as AyaBtf, Ebpf, EbpfError, EbpfLoader};
use eyepiece_config::Transport;
use eyepiece_wire::{MAX_OPENED, map, program};
use thiserror::Error;

pub use self::config::{MIN_CAPTURE, ProgramConfig};
use self::globals::Globals;
use super::btf::{Btf, BtfError};
use super::sys;
use crate::support::error_chain::{causes, error_chain};
use crate::support::network_namespace;

/// The kernel programs, built by build.rs.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/eyepiece-ebpf"));

/// The oldest supported kernel: the programs' newest need is the drop reason of `kfree_skb` (5.17).
pub const MINIMUM_KERNEL: (u32, u32) = (5, 17);

/// The programs at tracepoints, and where.
pub(super) const TRACEPOINTS: [(&str, &str); 2] =
    [(program::DROP, "kfree_skb"), (program::SOCKET, "inet_sock_set_state")];

/// The error of loading the kernel programs.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum LoadError {
    /// The kernel is too old.
    #[error("cannot use kernel {release}: eyepiece needs {major}.{minor} or later")]
    OldKernel { release: String, major: u32, minor: u32 },
    /// A privilege is missing.
    #[error("loading kernel programs needs root, or the capabilities BPF, NET_ADMIN and PERFMON: {what}")]
    Privilege { what: String },
    /// Kernel types.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// aya could not load the object.
    #[error("cannot load the kernel programs: {source}")]
    Object { source: EbpfError },
    /// The kernel refused a program.
    #[error("cannot load program {name}: {message}")]
    Program {
        /// The program.
        name: &'static str,
        /// The kernel's error and the verifier's last lines.
        message: String,
    },
    /// No descriptor is left.
    #[error("cannot duplicate a descriptor: {source}")]
    Descriptor { source: io::Error },
    /// This process's network namespace is unknown.
    #[error("cannot read the inode of this network namespace: {source}")]
    Namespace { source: io::Error },
    /// The object does not match this code.
    #[error("the kernel object has no {name}")]
    Missing { name: &'static str },
}

/// The loaded programs and maps. Dropping it detaches and frees all of them.
pub struct Object {
    ebpf: Ebpf,
    /// The errors of tracepoints that the datapath works without, by their programs.
    missing: BTreeMap<&'static str, LoadError>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").finish_non_exhaustive()
    }
}

impl Object {
    /// Loads everything for the network namespace that the calling thread is in; `types` are the running kernel's. A
    /// tracepoint's program that this kernel cannot load is not fatal, see [`Object::missing`].
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(config: &ProgramConfig, types: &Btf) -> Result<Self, LoadError> {
        let mut loader = EbpfLoader::new();
        let namespace = network_namespace::own_inode().map_err(|source| LoadError::Namespace { source })?;
        let values = Globals::new(config, types, namespace);
        values.set(&mut loader);
        // The array's index is the CPU's number; 0 = as many entries as there are CPUs.
        let cpus = sys::possible_cpus().ok().and_then(|cpus| cpus.last().map(|&last| u32::from(last) + 1));
        loader
            .map_max_entries(map::PERF, cpus.unwrap_or(0))
            .map_max_entries(map::RING, if config.transport == Transport::Ring { config.buffer } else { 4096 })
            .map_max_entries(map::OPENED, if config.processes { MAX_OPENED as u32 } else { 1 })
            .map_max_entries(map::CONNECTIONS4, config.max_connections.max(1))
            .map_max_entries(map::CONNECTIONS6, config.max_connections.max(1));
        let ebpf = loader.load(OBJECT).map_err(object_error)?;
        let mut object = Self { ebpf, missing: BTreeMap::new() };
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
        let wanted = [(config.drops, values.missing), (config.processes, values.missing_of_processes)];
        for ((name, tracepoint), (is_wanted, missing)) in TRACEPOINTS.into_iter().zip(wanted) {
            if !is_wanted {
                continue;
            }
            let loaded = missing.map_or_else(|| object.load_tracepoint(name, tracepoint), |error| Err(error.into()));
            if let Err(error) = loaded {
                object.missing.insert(name, error);
            }
        }
        Ok(object)
    }

    fn load_tracepoint(&mut self, name: &'static str, tracepoint: &str) -> Result<(), LoadError> {
        let btf = kernel_types(name)?;
        self.tracepoint(name)?.load(tracepoint, &btf).map_err(|error| program_error(name, &error))
    }

    /// Why a configured tracepoint's program is not loaded.
    pub fn missing(&self, name: &str) -> Option<&LoadError> {
        self.missing.get(name)
    }

    /// Returns whether a tracepoint's program is loaded.
    pub fn has_tracepoint(&mut self, name: &'static str) -> bool {
        self.tracepoint(name).is_ok_and(|program| program.fd().is_ok())
    }

    /// Finds the processes of sockets that are open already, by a pass over the files of all processes, and stores them by
    /// one over the sockets. Call it once, when new sockets are followed.
    ///
    /// # Errors
    /// The kernel refuses a program.
    pub fn find_open_sockets(&mut self) -> Result<(), LoadError> {
        let passes = [(program::OPEN_SOCKET, "task_file"), (program::OPENED, "tcp")];
        let passed = passes.into_iter().try_for_each(|(name, objects)| self.pass(name, objects));
        // It is not needed again: the kernel frees it.
        drop(self.ebpf.take_map(map::OPENED));
        passed
    }

    /// Runs an iterator's program over the kernel's objects.
    fn pass(&mut self, name: &'static str, objects: &str) -> Result<(), LoadError> {
        let btf = kernel_types(name)?;
        let program: &mut Program = self.ebpf.program_mut(name).ok_or(LoadError::Missing { name })?;
        let program: &mut Iter = program.try_into().map_err(|error| program_error(name, &error))?;
        let run = |program: &mut Iter| {
            program.load(objects, &btf)?;
            let link = program.attach()?;
            program.take_link(link)
        };
        let link = run(program).map_err(|error| program_error(name, &error))?;
        let passed = link.into_file().map_err(io::Error::other).and_then(read_to_end);
        let passed = passed.map_err(|error| LoadError::Program { name, message: error.to_string() });
        // It is not needed again.
        program.unload().map_err(|error| program_error(name, &error)).and(passed)
    }

    /// A tc program.
    pub fn classifier(&mut self, name: &'static str) -> Result<&mut SchedClassifier, LoadError> {
        let program: &mut Program = self.ebpf.program_mut(name).ok_or(LoadError::Missing { name })?;
        program.try_into().map_err(|error| program_error(name, &error))
    }

    /// A tracepoint's program.
    pub fn tracepoint(&mut self, name: &'static str) -> Result<&mut BtfTracePoint, LoadError> {
        let program: &mut Program = self.ebpf.program_mut(name).ok_or(LoadError::Missing { name })?;
        program.try_into().map_err(|error| program_error(name, &error))
    }

    /// A new descriptor of a map.
    pub fn map(&self, name: &'static str) -> Result<OwnedFd, LoadError> {
        let data = match self.ebpf.map(name).ok_or(LoadError::Missing { name })? {
            Map::Array(data)
            | Map::HashMap(data)
            | Map::LruHashMap(data)
            | Map::PerCpuArray(data)
            | Map::PerCpuHashMap(data)
            | Map::PerfEventArray(data)
            | Map::RingBuf(data) => data,
            _ => return Err(LoadError::Missing { name }),
        };
        data.fd().as_fd().try_clone_to_owned().map_err(|source| LoadError::Descriptor { source })
    }

    /// A new descriptor of a tc program.
    pub fn program(&mut self, name: &'static str) -> Result<OwnedFd, LoadError> {
        let fd = self.classifier(name)?.fd().map_err(|error| program_error(name, &error))?;
        fd.as_fd().try_clone_to_owned().map_err(|source| LoadError::Descriptor { source })
    }

    /// A new descriptor of the drop program; `None` if it is not loaded.
    pub fn drop_program(&mut self) -> Option<OwnedFd> {
        self.tracepoint(program::DROP).ok()?.fd().ok()?.as_fd().try_clone_to_owned().ok()
    }
}

/// Reads an iterator whose program writes nothing: its end is the end of the pass.
fn read_to_end(mut iterator: File) -> io::Result<()> {
    loop {
        match iterator.read(&mut [0; 64]) {
            Ok(0) => return Ok(()),
            // After a million objects the kernel wants to be asked again.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
}

/// The kernel's types, for a program that names one of them.
fn kernel_types(name: &'static str) -> Result<AyaBtf, LoadError> {
    AyaBtf::from_sys_fs().map_err(|error| LoadError::Program { name, message: error.to_string() })
}

/// Returns an error if the kernel is too old.
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

/// Returns whether the running kernel is this version or a later one; true if its version is unreadable.
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
    if is_denied(&source) { LoadError::Privilege { what: error_chain(&source) } } else { LoadError::Object { source } }
}

fn program_error(name: &'static str, error: &ProgramError) -> LoadError {
    let message = error_chain(error);
    // The verifier rejects a program with EACCES too, but not without a log.
    let is_rejected =
        matches!(error, ProgramError::LoadError { verifier_log, .. } if !verifier_log.to_string().is_empty());
    if is_denied(error) && !is_rejected {
        return LoadError::Privilege { what: format!("program {name}: {message}") };
    }
    // The verifier's log can have thousands of lines; the last ones have the reason.
    let lines: Vec<_> = message.lines().collect();
    LoadError::Program { name, message: lines[lines.len().saturating_sub(12)..].join("\n") }
}

/// Returns whether the system call that failed was not permitted: EPERM, or EACCES.
fn is_denied(error: &(dyn Error + 'static)) -> bool {
    let code = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).find_map(io::Error::raw_os_error);
    matches!(code, Some(libc::EPERM | libc::EACCES))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd as _;

    use aya::sys::SyscallError;
    use eyepiece_config::Aggregation;
    use eyepiece_wire::{Process, map, process_number};

    use super::super::sys::BatchReader;
    use super::{
        Btf, EbpfError, LoadError, MIN_CAPTURE, Object, ProgramConfig, Transport, is_at_least, is_denied, object_error,
    };

    #[test]
    fn kernel_versions_compare_by_number() {
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

    #[test]
    fn denied_call_is_found_in_causes() {
        for (code, expected) in [(libc::EPERM, true), (libc::EACCES, true), (libc::EINVAL, false)] {
            let io_error = std::io::Error::from_raw_os_error(code);
            let error = EbpfError::ProgramError(SyscallError { call: "bpf_prog_load", io_error }.into());
            assert_eq!(is_denied(&error), expected, "{error:?}");
            let is_privilege = matches!(object_error(error), LoadError::Privilege { .. });
            assert_eq!(is_privilege, expected, "{code}");
        }
    }

    #[test]
    fn open_sockets_lead_to_processes() {
        if !nix::unistd::geteuid().is_root() {
            eyepiece_tests::skip!("loading kernel programs needs root");
        }
        let _listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let mut object = Object::load(&ProgramConfig::default(), &Btf::from_kernel().expect("BTF")).expect("programs");
        object.find_open_sockets().expect("a pass");
        let table = object.map(map::PROCESSES).expect("the table");
        let mut commands = Vec::new();
        let each = |_: &u64, processes: &[Process]| {
            let own = processes.iter().filter(|process| process_number(process.id) == std::process::id());
            commands.extend(own.map(|process| String::from_utf8_lossy(&process.command).into_owned()));
        };
        BatchReader::new(1).read(table.as_fd(), each).expect("a read");
        let comm = std::fs::read_to_string(format!("/proc/{}/comm", std::process::id())).expect("the command");
        assert_eq!(commands.iter().map(|name| name.trim_end_matches('\0')).collect::<Vec<_>>(), [comm.trim_end()]);
    }

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
                        let config =
                            ProgramConfig { transport, aggregation, debug, capture_bytes, ..ProgramConfig::default() };
                        let object =
                            Object::load(&config, &types).unwrap_or_else(|error| panic!("{config:?}: {error}"));
                        assert!(object.missing.is_empty(), "{:?}", object.missing);
                    }
                }
            }
        }
    }
}
