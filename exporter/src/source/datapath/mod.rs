//! Our own datapath: loads the kernel programs, attaches them, reads their records. The only user of aya.

pub mod attach;
pub mod btf;
pub mod error;
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

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use eyepiece_config::{Attach, Timeouts, Transport};
use eyepiece_flow::event::Totals;
use eyepiece_semconv::{attribute, metric};
use eyepiece_wire::map;
use tokio::sync::{mpsc, oneshot};

use self::attach::{Attacher, Hooks, Mode, Presences};
use self::btf::Btf;
pub use self::error::DatapathError;
use self::kernel_names::KernelNames;
use self::links::LinkEvent;
use self::links::filters::{OwnFilters, remove_stale};
use self::links::requests::Requests;
use self::lock::{Lock, LockOutcome};
use self::object::{LoadError, Object, ProgramConfig};
use self::presence::Presence;
use self::privileges::Privileges;
use self::reader::Reader;
use self::sweep::Sweeper;
use crate::source::{Source as _, Waker};
use crate::support::capabilities;
use crate::support::telemetry::Telemetry;
use crate::support::{network_namespace, socket_owner};

/// Configuration of the datapath.
#[derive(Clone, Debug)]
pub struct Config {
    /// Configuration of the kernel programs.
    pub programs: ProgramConfig,
    /// The mode of attaching.
    pub attach: Attach,
    /// Names of drop reasons to ignore, beside those that are no drops.
    pub drops_ignore: Vec<String>,
    /// URLs of the OTLP receivers: refused connections to them over the loopback are no drops.
    pub receivers: Vec<String>,
    /// Idle timeouts of connections.
    pub timeouts: Timeouts,
    /// The time that telemetry of removed interfaces and namespaces is kept, so that an export has its last values.
    pub grace: Duration,
}

/// The running datapath. The pipeline owns the reader; [`Datapath::stop`] ends the rest.
#[derive(Debug)]
pub struct Datapath {
    hooks: Hooks,
    mode: Mode,
    names: KernelNames,
    attacher: JoinHandle<()>,
    sweeper: Sweeper,
    /// Held while filters of this process may be attached.
    _lock: Option<Lock>,
}

/// Loads the programs and starts all but reading. The receiver is notified when the first interfaces are attached.
///
/// # Errors
/// See [`DatapathError`].
pub fn build(
    config: &Config,
    events: mpsc::Receiver<LinkEvent>,
    telemetry: &Telemetry,
) -> Result<(Datapath, Reader, oneshot::Receiver<()>), DatapathError> {
    object::check_kernel()?;
    check_privileges()?;
    let types = Btf::from_kernel().map_err(LoadError::Btf)?;
    let mut object = Object::load(&config.programs, &types)?;
    for family in ["ipv4", "ipv6"] {
        let name = metric::EYEPIECE_DATAPATH_CONNECTION_CAPACITY.name;
        let capacity = telemetry.gauge(name, &[(attribute::NETWORK_TYPE, family)]);
        capacity.set(u64::from(config.programs.max_connections.max(1)));
    }
    let names = KernelNames::read(&types);
    drop(types);
    ignored::install(&object, &names, &config.drops_ignore, &config.receivers)?;
    let mode = Mode::choose(config.attach);
    let lock = lock(mode)?;
    let (sender, totals) = sweep::totals_channel();
    let reader = reader(&mut object, config.programs.transport, totals, telemetry)?;
    let presences = Presences { interfaces: Presence::default(), namespaces: Presence::default() };
    let sweeper = sweeper(&mut object, config, &presences, (names.clone(), telemetry), (reader.waker(), sender))?;
    let (sender, synced) = oneshot::channel();
    let attacher = Attacher::new(object, mode, presences, telemetry.clone(), sender)?;
    let hooks = attacher.hooks();
    let attacher = std::thread::Builder::new()
        .name("attacher".into())
        .spawn(move || {
            capabilities::keep(privileges::of_attaching());
            follow(attacher, events);
        })
        .map_err(DatapathError::system("the attacher's thread"))?;
    let sweeper = Sweeper::start(sweeper).map_err(DatapathError::system("the sweeper"))?;
    Ok((Datapath { hooks, mode, names, attacher, sweeper, _lock: lock }, reader, synced))
}

fn reader(
    object: &mut Object,
    transport: Transport,
    totals: Receiver<Vec<Totals>>,
    telemetry: &Telemetry,
) -> Result<Reader, DatapathError> {
    Reader::new(reader::Deps {
        transport,
        buffer: object.map(if transport == Transport::Ring { map::RING } else { map::PERF })?,
        emit: object.map(map::EMIT)?,
        counters: object.map(map::COUNTERS)?,
        processes: object.map(map::PROCESSES)?,
        drop_program: object.drop_program(),
        totals,
        damaged: telemetry
            .counter(metric::EYEPIECE_FLOWS_FAILED.name, &[(attribute::EYEPIECE_REASON, "damaged_record")]),
    })
    .map_err(DatapathError::system("the reader"))
}

fn sweeper(
    object: &mut Object,
    config: &Config,
    presences: &Presences,
    (names, telemetry): (KernelNames, &Telemetry),
    (waker, totals): (Waker, SyncSender<Vec<Totals>>),
) -> Result<sweep::Deps, DatapathError> {
    Ok(sweep::Deps {
        connections4: object.map(map::CONNECTIONS4)?,
        connections6: object.map(map::CONNECTIONS6)?,
        tunnels: object.map(map::TUNNELS)?,
        untracked: object.map(map::UNTRACKED)?,
        drops: object.map(map::DROPS)?,
        counters: object.map(map::COUNTERS)?,
        program: object.program(eyepiece_wire::program::SWEEP)?,
        interval: config.programs.interval,
        hold: config.programs.hold,
        timeouts: config.timeouts,
        interfaces: presences.interfaces.clone(),
        namespaces: presences.namespaces.clone(),
        grace: config.grace,
        names,
        telemetry: telemetry.clone(),
        waker,
        totals,
    })
}

/// Fails if a required capability is missing; warns of missing optional ones.
fn check_privileges() -> Result<(), DatapathError> {
    // If they cannot be read, the kernel refuses later operations.
    let Some(privileges) = Privileges::of_this_process() else { return Ok(()) };
    privileges.check()?;
    for (capability, lost) in privileges.missing_optional() {
        tracing::warn!("without the capability {capability}: {lost}");
    }
    Ok(())
}

/// Takes the lock of this network namespace if the mode is clsact. Removes filters that an earlier run left.
fn lock(mode: Mode) -> Result<Option<Lock>, DatapathError> {
    let outcome =
        network_namespace::own_inode().and_then(|inode| lock::take(lock::path(Path::new(lock::FOLDER), inode)));
    match outcome {
        Ok(LockOutcome::Acquired(lock)) => {
            // The earlier run may have had another mode.
            clean_up();
            Ok(Some(lock).filter(|_| mode == Mode::Clsact))
        }
        Ok(LockOutcome::HeldBy(pid)) if mode == Mode::Clsact => {
            Err(DatapathError::NotAlone { owner: socket_owner::describe(pid) })
        }
        Ok(LockOutcome::HeldBy(_)) => Ok(None),
        Err(source) if mode == Mode::Clsact => Err(DatapathError::System { what: "a lock in /run/eyepiece", source }),
        Err(error) => {
            tracing::warn!(%error, "cannot lock /run/eyepiece; filters of an earlier run may remain");
            Ok(None)
        }
    }
}

/// Follows interface events until their sender ends; then everything is detached.
fn follow(mut attacher: Attacher, mut events: mpsc::Receiver<LinkEvent>) {
    while let Some(event) = events.blocking_recv() {
        attacher.follow(event);
    }
}

/// Removes filters that an earlier, killed run left on interfaces.
fn clean_up() {
    let removed = Requests::open().and_then(|mut requests| remove_stale(&mut requests, &OwnFilters::default()));
    match removed {
        Ok(filters) if filters.is_empty() => {}
        Ok(filters) => tracing::info!(count = filters.len(), "removed filters of an earlier run"),
        Err(error) => tracing::warn!(%error, "cannot search for filters of an earlier run"),
    }
}

impl Datapath {
    /// The hooks and their state.
    pub const fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// The mode of attaching.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Names of drop reasons and kernel functions.
    pub const fn names(&self) -> &KernelNames {
        &self.names
    }

    /// Detaches everything and takes the last totals. Call it after the watcher of interfaces has ended, while the
    /// pipeline still reads: the totals go to it.
    pub fn stop(self) {
        if self.attacher.join().is_err() {
            tracing::error!("the attacher panicked");
        }
        self.sweeper.stop();
    }
}
