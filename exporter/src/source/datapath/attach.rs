//! Puts the programs on interfaces as they come, tells the kernel maps about them, and lets go as they leave.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, tc};
use eyepiece_semconv::{attribute, metric};
use eyepiece_wire::{Tunnel, map, program};
use tokio::sync::oneshot;

use super::links::filters::{Ours, remove_empty_clsact};
use super::links::requests::Requests;
use super::links::{Link, LinkEvent, Role};
use super::object::{self, LoadError, Object};
use super::presence::Presence;
use super::sys;
use crate::telemetry::Telemetry;

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Links of the kernel's tc express (6.6 and later): nothing of ours survives us.
    Tcx,
    /// Filters of the clsact queueing discipline.
    Clsact,
}

impl Mode {
    /// The mode for a wish; none = the best that this kernel has.
    pub fn choose(wish: Option<Self>) -> Self {
        wish.unwrap_or_else(|| if object::kernel_is_at_least(6, 6) { Self::Tcx } else { Self::Clsact })
    }

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// The state of one hook, for those who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookState {
    /// The interface; empty for hooks that are not an interface's.
    pub interface: String,
    /// The hook: `from-endpoint`, `to-network`, `kfree_skb` …
    pub hook: &'static str,
    /// Why it is not attached; none where it is.
    pub error: Option<String>,
}

/// What is attached where; cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Hooks(Arc<Mutex<BTreeMap<(u32, &'static str), HookState>>>);

impl Hooks {
    /// All hooks now.
    /// The index is 0 for hooks that are not an interface's.
    pub fn list(&self) -> Vec<(u32, HookState)> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.iter().map(|((ifindex, _), state)| (*ifindex, state.clone())).collect()
    }

    fn set(&self, ifindex: u32, state: HookState) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((ifindex, state.hook), state);
    }

    fn remove(&self, ifindex: u32) -> Vec<HookState> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<_> = table.keys().filter(|(index, _)| *index == ifindex).copied().collect();
        keys.iter().filter_map(|key| table.remove(key)).collect()
    }
}

struct Attached {
    link: Link,
    links: Vec<SchedClassifierLink>,
    /// The clsact queueing discipline is our own work, so its end is too.
    made_clsact: bool,
}

impl Attached {
    /// Detaches; on a gone interface there is nothing left to detach.
    fn end(self) {
        drop(self.links);
        if !self.made_clsact {
            return;
        }
        let ifindex = self.link.ifindex;
        let removed = Requests::open().and_then(|mut requests| remove_empty_clsact(&mut requests, ifindex));
        if let Err(error) = removed {
            tracing::warn!(interface = self.link.name, %error, "cannot remove the queueing discipline that we made");
        }
    }
}

/// Whom the programs count for, as others are to know it.
#[derive(Debug)]
pub struct Present {
    /// Interfaces with hooks.
    pub interfaces: Presence,
    /// Namespaces whose drops are counted.
    pub namespaces: Presence,
}

/// Owns the programs and what is attached.
pub struct Attacher {
    object: Object,
    mode: Mode,
    interfaces: OwnedFd,
    namespaces: OwnedFd,
    tunnels: OwnedFd,
    own_namespace: u32,
    attached: BTreeMap<u32, Attached>,
    /// Namespaces behind endpoints, with how many endpoints each, and the id of the only one.
    told: BTreeMap<u32, u32>,
    /// Tunnel devices, and what they send.
    told_tunnels: BTreeMap<u32, Vec<Tunnel>>,
    /// Interfaces that were there before us: attached when all of them are known, as packets of one are judged by what
    /// the others are. None from then on.
    waiting: Option<BTreeMap<u32, Link>>,
    /// What interfaces counted before we were there: told once, whatever becomes of their hooks.
    unseen: BTreeMap<u32, [u64; 4]>,
    present: Present,
    hooks: Hooks,
    telemetry: Telemetry,
    /// Whom to tell that the interfaces that were there are attached.
    synced: Option<oneshot::Sender<()>>,
}

impl Attacher {
    /// An attacher of loaded programs; drops are attached at once.
    ///
    /// # Errors
    /// The object lacks a map, or this process's namespace cannot be told.
    pub fn new(
        mut object: Object,
        mode: Mode,
        present: Present,
        telemetry: Telemetry,
        synced: oneshot::Sender<()>,
    ) -> Result<Self, LoadError> {
        let own_namespace = super::links::namespaces::own_inode().map_err(|source| LoadError::Descriptor { source })?;
        let (interfaces, namespaces) = (object.map(map::INTERFACES)?, object.map(map::NAMESPACES)?);
        let tunnels = object.map(map::TUNNELS)?;
        let hooks = Hooks::default();
        let attached = BTreeMap::new();
        let error = attach_drops(&mut object).err();
        let mut attacher = Self {
            object,
            mode,
            interfaces,
            namespaces,
            tunnels,
            own_namespace,
            attached,
            told: BTreeMap::new(),
            told_tunnels: BTreeMap::new(),
            waiting: Some(BTreeMap::new()),
            unseen: BTreeMap::new(),
            present,
            hooks,
            telemetry,
            synced: Some(synced),
        };
        attacher.tell_namespaces();
        let sees_drops = error.is_none();
        attacher.report(0, "", "kfree_skb", error.and_then(DropsError::into_text));
        if sees_drops && !attacher.object.names_sockets() {
            for (function, name) in program::RECEIVERS {
                let error = attacher.object.attach_receiver(function, name).err();
                attacher.report(0, "", function, error.map(|error| error.to_string()));
            }
        }
        Ok(attacher)
    }

    /// What is attached where.
    pub fn hooks(&self) -> Hooks {
        self.hooks.clone()
    }

    /// Follows a change of the interfaces.
    pub fn follow(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Appeared(link) | LinkEvent::Changed(link) => self.update(link),
            LinkEvent::Gone { ifindex, .. } => self.remove(ifindex),
            LinkEvent::Synced => {
                self.waiting.take().into_iter().flatten().for_each(|(_, link)| self.update(link));
                if let Some(synced) = self.synced.take() {
                    // Nobody may wait for it any more.
                    synced.send(()).unwrap_or_default();
                }
            }
        }
    }

    fn update(&mut self, link: Link) {
        // First the maps: the programs look there as soon as they run.
        self.tell_tunnels(link.ifindex, if link.role == Role::Uplink { link.tunnels.clone() } else { Vec::new() });
        if let Err(error) = sys::update(self.interfaces.as_fd(), &link.ifindex, &link.wire()) {
            tracing::warn!(interface = link.name, %error, "cannot tell the kernel programs of an interface");
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.insert(link.ifindex, link);
            return;
        }
        let same = self
            .attached
            .get(&link.ifindex)
            // What could not be attached is tried again at every change: a rename may have come in between.
            .is_some_and(|attached| {
                let whole = attached.links.len() == 2;
                whole && attached.link.role == link.role && attached.link.l3_device == link.l3_device
            });
        if same {
            if let Some(attached) = self.attached.get_mut(&link.ifindex) {
                let old = std::mem::replace(&mut attached.link, link.clone());
                if old.name != link.name {
                    rename(&self.hooks, &self.telemetry, link.ifindex, &link.name);
                    self.tell_unseen(&link);
                }
            }
        } else {
            self.detach(link.ifindex);
            self.attach(link);
        }
        self.tell_namespaces();
    }

    fn attach(&mut self, link: Link) {
        let Some(programs) = programs_of(&link) else { return };
        if !self.unseen.contains_key(&link.ifindex) {
            self.unseen.extend(interface_counters(&link.name).map(|counted| (link.ifindex, counted)));
        }
        self.tell_unseen(&link);
        self.present.interfaces.arrive(link.ifindex);
        let (mut links, mut made_clsact) = (Vec::new(), false);
        for (name, hook, side) in programs {
            let result = self.attach_one(name, &link.name, side, &mut made_clsact);
            let error = match result {
                Ok(attached) => {
                    links.push(attached);
                    None
                }
                Err(error) => Some(error),
            };
            self.report(link.ifindex, &link.name, hook, error);
        }
        self.attached.insert(link.ifindex, Attached { link, links, made_clsact });
    }

    fn attach_one(
        &mut self,
        name: &'static str,
        interface: &str,
        side: TcAttachType,
        made_clsact: &mut bool,
    ) -> Result<SchedClassifierLink, String> {
        let mode = self.mode;
        let program = self.object.classifier(name).map_err(|error| error.to_string())?;
        let link = match mode {
            Mode::Tcx => program.attach_with_options(interface, side, TcAttachOptions::TcxOrder(LinkOrder::first())),
            Mode::Clsact => {
                *made_clsact |= make_clsact(interface).map_err(|error| text(&error))?;
                attach_clsact(program, interface, side)
            }
        };
        let id = link.map_err(|error| text(&error))?;
        program.take_link(id).map_err(|error| text(&error))
    }

    fn detach(&mut self, ifindex: u32) {
        if let Some(attached) = self.attached.remove(&ifindex) {
            attached.end();
            self.present.interfaces.leave(ifindex, Instant::now());
            for state in self.hooks.remove(ifindex) {
                forget(&self.telemetry, &state);
            }
        }
    }

    fn remove(&mut self, ifindex: u32) {
        if let Some(waiting) = &mut self.waiting {
            waiting.remove(&ifindex);
        }
        self.detach(ifindex);
        self.unseen.remove(&ifindex);
        self.tell_tunnels(ifindex, Vec::new());
        if let Err(error) = sys::delete(self.interfaces.as_fd(), &ifindex) {
            tracing::warn!(ifindex, %error, "cannot remove an interface from the kernel's map");
        }
        self.tell_namespaces();
    }

    /// What a tunnel's device sends; nothing where it is none, or gone.
    fn tell_tunnels(&mut self, ifindex: u32, now: Vec<Tunnel>) {
        let before = self.told_tunnels.remove(&ifindex).unwrap_or_default();
        let others = || self.told_tunnels.values().flatten();
        for tunnel in before.iter().filter(|tunnel| !now.contains(tunnel) && !others().any(|other| other == *tunnel)) {
            warn("a tunnel", sys::delete(self.tunnels.as_fd(), tunnel));
        }
        for tunnel in now.iter().filter(|tunnel| !before.contains(tunnel)) {
            warn("a tunnel", sys::update(self.tunnels.as_fd(), tunnel, &1_u32));
        }
        if !now.is_empty() {
            self.told_tunnels.insert(ifindex, now);
        }
    }

    /// The namespaces whose drops are ours: our own, and those behind endpoints.
    fn tell_namespaces(&mut self) {
        let mut wanted = BTreeMap::from([(self.own_namespace, 0)]);
        for attached in self.attached.values().filter(|attached| attached.link.role == Role::Endpoint) {
            let Some(inode) = attached.link.peer.and_then(|peer| peer.inode) else { continue };
            // Behind several endpoints nobody can tell which of them a drop belongs to.
            wanted
                .entry(inode)
                .and_modify(|endpoint| *endpoint = 0)
                .or_insert_with(|| u32::from(attached.link.endpoint));
        }
        let gone: Vec<_> = self.told.keys().filter(|inode| !wanted.contains_key(inode)).copied().collect();
        for inode in gone {
            warn("a namespace", sys::delete(self.namespaces.as_fd(), &inode));
            self.present.namespaces.leave(inode, Instant::now());
        }
        for (inode, endpoint) in &wanted {
            if self.told.get(inode) != Some(endpoint) {
                self.present.namespaces.arrive(*inode);
                warn("a namespace", sys::update(self.namespaces.as_fd(), inode, endpoint));
            }
        }
        self.told = wanted;
    }

    fn report(&self, ifindex: u32, interface: &str, hook: &'static str, error: Option<String>) {
        if let Some(error) = &error {
            tracing::warn!(interface, hook, error, "cannot attach; the rest works without it");
        } else {
            tracing::debug!(interface, hook, mode = self.mode.name(), "attached");
        }
        let attributes = [(attribute::NETWORK_INTERFACE_NAME, interface), (attribute::EYEPIECE_HOOK_NAME, hook)];
        self.telemetry.gauge(metric::EYEPIECE_HOOK_ATTACHED.name, &attributes).set(u64::from(error.is_none()));
        self.hooks.set(ifindex, HookState { interface: interface.to_owned(), hook, error });
    }

    /// What the interface counted before we were there, under its name of now.
    fn tell_unseen(&self, link: &Link) {
        let Some(counted) = self.unseen.get(&link.ifindex) else { return };
        for (direction, packets, bytes) in [("receive", counted[1], counted[0]), ("transmit", counted[3], counted[2])] {
            let attributes =
                [(attribute::NETWORK_INTERFACE_NAME, &*link.name), (attribute::NETWORK_IO_DIRECTION, direction)];
            self.telemetry.gauge(metric::EYEPIECE_DATAPATH_UNSEEN_PACKETS.name, &attributes).set(packets);
            self.telemetry.gauge(metric::EYEPIECE_DATAPATH_UNSEEN_BYTES.name, &attributes).set(bytes);
        }
    }
}

impl Drop for Attacher {
    fn drop(&mut self) {
        std::mem::take(&mut self.attached).into_values().for_each(Attached::end);
    }
}

/// Programs, hook names and sides of an interface; none where nothing is to be attached.
fn programs_of(link: &Link) -> Option<[(&'static str, &'static str, TcAttachType); 2]> {
    use TcAttachType::{Egress, Ingress};
    match (link.role, link.l3_device) {
        (Role::Endpoint, _) => {
            Some([(program::FROM_ENDPOINT, "from-endpoint", Ingress), (program::TO_ENDPOINT, "to-endpoint", Egress)])
        }
        (Role::Uplink, false) => {
            Some([(program::FROM_NETWORK, "from-network", Ingress), (program::TO_NETWORK, "to-network", Egress)])
        }
        (Role::Uplink, true) => {
            Some([(program::FROM_NETWORK_L3, "from-network", Ingress), (program::TO_NETWORK_L3, "to-network", Egress)])
        }
        (Role::Ignored(_), _) => None,
    }
}

/// Makes the clsact queueing discipline. False = it was there: somebody else's, or ours for the other side.
fn make_clsact(interface: &str) -> Result<bool, TcError> {
    match tc::qdisc_add_clsact(interface) {
        Ok(()) => Ok(true),
        Err(TcError::AlreadyAttached) => Ok(false),
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

fn attach_clsact(
    program: &mut SchedClassifier,
    interface: &str,
    side: TcAttachType,
) -> Result<tc::SchedClassifierLinkId, ProgramError> {
    let ours = Ours::default();
    let options = NlOptions { priority: ours.priority, handle: TcHandle::from(ours.handle), ..NlOptions::default() };
    program.attach_with_options(interface, side, TcAttachOptions::Netlink(options))
}

/// Why drops are not seen.
enum DropsError {
    NotAsked,
    Failed(String),
}

impl DropsError {
    fn into_text(self) -> Option<String> {
        match self {
            Self::NotAsked => Some("switched off by datapath.drops".to_owned()),
            Self::Failed(text) => Some(text),
        }
    }
}

fn attach_drops(object: &mut Object) -> Result<(), DropsError> {
    if let Some(error) = object.drops_missing() {
        return Err(DropsError::Failed(error.to_string()));
    }
    if !object.has_drops() {
        return Err(DropsError::NotAsked);
    }
    let program = object.tracepoint().map_err(|error| DropsError::Failed(error.to_string()))?;
    program.attach().map(drop).map_err(|error| DropsError::Failed(text(&error)))
}

fn text(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn warn(what: &str, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "cannot tell the kernel programs of {what}");
    }
}

fn rename(hooks: &Hooks, telemetry: &Telemetry, ifindex: u32, name: &str) {
    for mut state in hooks.remove(ifindex) {
        for (name, attributes) in unseen_of(&state) {
            // They go on under the new name; kept as well, they would be told twice.
            telemetry.remove(name, &attributes);
        }
        forget(telemetry, &state);
        name.clone_into(&mut state.interface);
        let attributes = [(attribute::NETWORK_INTERFACE_NAME, name), (attribute::EYEPIECE_HOOK_NAME, state.hook)];
        telemetry.gauge(metric::EYEPIECE_HOOK_ATTACHED.name, &attributes).set(u64::from(state.error.is_none()));
        hooks.set(ifindex, state);
    }
}

fn forget(telemetry: &Telemetry, state: &HookState) {
    let interface = (attribute::NETWORK_INTERFACE_NAME, &*state.interface);
    telemetry.remove(metric::EYEPIECE_HOOK_ATTACHED.name, &[interface, (attribute::EYEPIECE_HOOK_NAME, state.hook)]);
    for (name, attributes) in unseen_of(state) {
        // Counted once and for all: it is told even of an interface that came and went between two exports.
        telemetry.retire(name, &attributes, Instant::now());
    }
}

/// The numbers of unseen packets and bytes of a hook's interface.
fn unseen_of(state: &HookState) -> impl Iterator<Item = (&'static str, [(&'static str, &str); 2])> {
    let names = [metric::EYEPIECE_DATAPATH_UNSEEN_PACKETS.name, metric::EYEPIECE_DATAPATH_UNSEEN_BYTES.name];
    names.into_iter().flat_map(|name| {
        ["receive", "transmit"].map(|direction| {
            let interface = (attribute::NETWORK_INTERFACE_NAME, &*state.interface);
            (name, [interface, (attribute::NETWORK_IO_DIRECTION, direction)])
        })
    })
}

/// Received bytes and packets, sent bytes and packets of an interface, from the kernel's /proc/net/dev.
fn interface_counters(name: &str) -> Option<[u64; 4]> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").ok()?;
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    let numbers: Vec<u64> = line.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    Some([*numbers.first()?, *numbers.get(1)?, *numbers.get(8)?, *numbers.get(9)?])
}
