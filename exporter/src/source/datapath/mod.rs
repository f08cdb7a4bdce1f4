//! Our own datapath: loads the kernel programs, attaches them, reads what they say. The only user of aya.

pub mod attach;
pub mod btf;
pub mod clock;
pub mod kernel_names;
pub mod links;
pub mod lock;
pub mod object;
pub mod perf;
pub mod presence;
pub mod privileges;
pub mod reader;
pub mod record;
pub mod sweep;
pub mod sys;

mod ignored;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use eyepiece_semconv::{attribute, metric};
use eyepiece_wire::{IGNORE_ALWAYS, IGNORE_IN_FUNCTIONS, IGNORE_OWN_LOOPBACK, map};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use self::attach::{Attacher, Hooks, Mode, Present};
use self::btf::Btf;
use self::kernel_names::KernelNames;
use self::links::LinkEvent;
use self::links::filters::{Ours, remove_stale};
use self::links::requests::Requests;
use self::lock::{Lock, Taken};
use self::object::{LoadError, Object, Settings, Transport};
use self::presence::Presence;
use self::privileges::{MissingCapabilities, Privileges};
use self::reader::Reader;
use self::sweep::{Sweeper, Timeouts};
use crate::source::Source as _;
use crate::support::capabilities;
use crate::support::socket_owner;
use crate::support::telemetry::Telemetry;

/// What the datapath is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of the programs.
    pub settings: Settings,
    /// How to attach; none = the best that this kernel has.
    pub attach: Option<Mode>,
    /// Names of drop reasons to leave out, beside those that are no drops.
    pub drops_ignore: Vec<String>,
    /// When connections are forgotten.
    pub timeouts: Timeouts,
    /// How long telemetry of interfaces and namespaces is kept after their end, so that an export sees its last values.
    pub grace: Duration,
}

/// Why the datapath could not be started.
#[derive(Debug, Error)]
pub enum DatapathError {
    /// The programs.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The process has too few privileges.
    #[error(transparent)]
    Privileges(#[from] MissingCapabilities),
    /// The configuration names a drop reason that this kernel does not have.
    #[error("datapath.drops_ignore: this kernel has no drop reason {name:?}")]
    UnknownReason {
        /// The name.
        name: String,
    },
    /// Two cannot be attached by clsact: neither could tell its filters from the other's.
    #[error("{owner} is attached by clsact in this network namespace; stop it, or set datapath.attach to \"tcx\"")]
    NotAlone {
        /// The process.
        owner: String,
    },
    /// Threads, descriptors, maps.
    #[error("cannot start the datapath: {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The running datapath. The reader is the pipeline's; the rest is stopped here.
#[derive(Debug)]
pub struct Datapath {
    hooks: Hooks,
    mode: Mode,
    names: KernelNames,
    attacher: JoinHandle<()>,
    sweeper: Sweeper,
    /// Held while filters of ours may be there.
    _lock: Option<Lock>,
}

/// Loads the programs and starts everything but reading. The receiver hears when the interfaces that were there are
/// attached.
///
/// # Errors
/// See [`DatapathError`].
pub fn build(
    config: &Config,
    events: mpsc::Receiver<LinkEvent>,
    telemetry: &Telemetry,
) -> Result<(Datapath, Reader, oneshot::Receiver<()>), DatapathError> {
    let system = |what| move |source| DatapathError::System { what, source };
    object::check_kernel()?;
    check_privileges()?;
    let types = Btf::from_kernel().map_err(LoadError::Btf)?;
    let mut object = Object::load(&config.settings, &types)?;
    for family in ["ipv4", "ipv6"] {
        let name = metric::EYEPIECE_DATAPATH_CONNECTION_CAPACITY.name;
        let capacity = telemetry.gauge(name, &[(attribute::NETWORK_TYPE, family)]);
        capacity.set(u64::from(config.settings.max_connections.max(1)));
    }
    let names = KernelNames::read(&types);
    drop(types);
    ignore(&object, &names, &config.drops_ignore)?;
    let mode = Mode::choose(config.attach);
    let lock = lock(mode)?;
    let transport = config.settings.transport;
    let (sender, totals) = sweep::totals_channel();
    let reader = Reader::new(reader::Parts {
        transport,
        buffer: object.map(if transport == Transport::Ring { map::RING } else { map::PERF })?,
        emit: object.map(map::EMIT)?,
        counters: object.map(map::COUNTERS)?,
        drop_program: object.drop_program(),
        totals,
        damaged: telemetry
            .counter(metric::EYEPIECE_FLOWS_FAILED.name, &[(attribute::EYEPIECE_REASON, "damaged_record")]),
    })
    .map_err(system("the reader"))?;
    let (interfaces, namespaces) = (Presence::default(), Presence::default());
    let parts = sweep::Parts {
        connections4: object.map(map::CONNECTIONS4)?,
        connections6: object.map(map::CONNECTIONS6)?,
        tunnels: object.map(map::TUNNELS)?,
        untracked: object.map(map::UNTRACKED)?,
        drops: object.map(map::DROPS)?,
        counters: object.map(map::COUNTERS)?,
        program: object.program(eyepiece_wire::program::SWEEP)?,
        interval: config.settings.interval,
        hold: config.settings.hold,
        timeouts: config.timeouts,
        interfaces: interfaces.clone(),
        namespaces: namespaces.clone(),
        grace: config.grace,
        names: names.clone(),
        telemetry: telemetry.clone(),
        waker: reader.waker(),
        totals: sender,
    };
    let (sender, synced) = oneshot::channel();
    let attacher = Attacher::new(object, mode, Present { interfaces, namespaces }, telemetry.clone(), sender)?;
    let hooks = attacher.hooks();
    let attacher = std::thread::Builder::new()
        .name("attacher".into())
        .spawn(move || {
            capabilities::keep(privileges::of_attaching());
            follow(attacher, events);
        })
        .map_err(system("the attacher's thread"))?;
    let sweeper = Sweeper::start(parts).map_err(system("the sweeper"))?;
    Ok((Datapath { hooks, mode, names, attacher, sweeper, _lock: lock }, reader, synced))
}

/// Tells what is missing: as an error where nothing can work without it.
fn check_privileges() -> Result<(), DatapathError> {
    // Where the kernel does not tell, it refuses what is not allowed.
    let Some(privileges) = Privileges::of_this_process() else { return Ok(()) };
    privileges.check()?;
    for (capability, lost) in privileges.lacks() {
        tracing::warn!("without the capability {capability}: {lost}");
    }
    Ok(())
}

/// The lock of this network namespace, where filters are to be attached; removes what an earlier run has left.
fn lock(mode: Mode) -> Result<Option<Lock>, DatapathError> {
    let taken = links::namespaces::own_inode().and_then(|inode| lock::take(lock::path(Path::new(lock::FOLDER), inode)));
    match taken {
        Ok(Taken::Ours(lock)) => {
            // A run before this one may have had another mode.
            clean_up();
            Ok(Some(lock).filter(|_| mode == Mode::Clsact))
        }
        Ok(Taken::Held(pid)) if mode == Mode::Clsact => {
            Err(DatapathError::NotAlone { owner: socket_owner::describe(pid) })
        }
        Ok(Taken::Held(_)) => Ok(None),
        Err(source) if mode == Mode::Clsact => Err(DatapathError::System { what: "a lock in /run/eyepiece", source }),
        Err(error) => {
            tracing::warn!(%error, "no lock in /run/eyepiece: filters that an earlier run may have left stay");
            Ok(None)
        }
    }
}

/// Follows the interfaces until their watcher ends; then everything is detached.
fn follow(mut attacher: Attacher, mut events: mpsc::Receiver<LinkEvent>) {
    while let Some(event) = events.blocking_recv() {
        attacher.follow(event);
    }
}

/// Removes what an earlier run that was killed has left on interfaces.
fn clean_up() {
    let removed = Requests::open().and_then(|mut requests| remove_stale(&mut requests, &Ours::default()));
    match removed {
        Ok(filters) if filters.is_empty() => {}
        Ok(filters) => tracing::info!(count = filters.len(), "removed filters that an earlier run had left"),
        Err(error) => tracing::warn!(%error, "cannot look for filters that an earlier run may have left"),
    }
}

/// Tells the drop program which reasons are no drops.
fn ignore(object: &Object, names: &KernelNames, wishes: &[String]) -> Result<(), DatapathError> {
    let mut rules: BTreeMap<u32, u32> = BTreeMap::new();
    for name in wishes {
        let reason = names.number(name).ok_or_else(|| DatapathError::UnknownReason { name: name.clone() })?;
        rules.insert(reason, IGNORE_ALWAYS);
    }
    // A name of ours that this kernel does not have is one that it cannot report.
    let mut add = |name, rule| {
        let reason = names.number(name)?;
        *rules.entry(reason).or_default() |= rule;
        Some(reason)
    };
    ignored::NO_DROPS.iter().for_each(|(name, _)| {
        add(name, IGNORE_ALWAYS);
    });
    ignored::OF_OWN_LOOPBACK.iter().for_each(|(name, _)| {
        add(name, IGNORE_OWN_LOOPBACK);
    });
    let told = |source| DatapathError::System { what: "the list of ignored drop reasons", source };
    let mut unmatched = Vec::new();
    let functions = object.map(map::FUNCTIONS)?;
    for (name, function, _) in ignored::QUIET {
        let Some(reason) = add(name, IGNORE_IN_FUNCTIONS) else { continue };
        sys::update(functions.as_fd(), &ignored::function(reason, function), &1_u32).map_err(told)?;
        if names.has_functions() && !names.has_function(function) {
            unmatched.push(format!("{name} in {function}"));
        }
    }
    if !unmatched.is_empty() {
        tracing::warn!(
            rules = unmatched.join(", "),
            "this kernel has no function of these names: frees there are reported as drops, if there are any"
        );
    }
    let map = object.map(map::IGNORED)?;
    for (reason, rule) in rules {
        sys::update(map.as_fd(), &reason, &rule).map_err(told)?;
    }
    Ok(())
}

impl Datapath {
    /// What is attached where.
    pub const fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// How programs are attached.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The kernel's words.
    pub const fn names(&self) -> &KernelNames {
        &self.names
    }

    /// Detaches everything and takes the last totals. The watcher of interfaces must have ended, and the pipeline must
    /// still read: the totals go to it.
    pub fn stop(self) {
        if self.attacher.join().is_err() {
            tracing::error!("the attacher panicked");
        }
        self.sweeper.stop();
    }
}
