//! Attaches the programs to interfaces, detaches them, and keeps the kernel's maps of interfaces up to date.

mod attachment;
mod hooks;
mod mode;
mod unseen;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use eyepiece_wire::{Tunnel, map, program};
use tokio::sync::oneshot;

use self::attachment::Attachment;
pub use self::hooks::{HookState, Hooks};
pub use self::mode::Mode;
use self::unseen::Unseen;
use super::links::filters::{Direction, remove_empty_clsact};
use super::links::requests::Requests;
use super::links::{Link, LinkEvent, Role};
use super::object::{LoadError, Object, TRACEPOINTS};
use super::presence::Presence;
use super::sys;
use crate::support::error_chain::error_chain;
use crate::support::network_namespace;
use crate::support::telemetry::Telemetry;

struct Attached {
    link: Link,
    attachments: Vec<Attachment>,
    /// This process created the clsact queueing discipline, so it also removes it.
    made_clsact: bool,
}

impl Attached {
    /// Detaches. If the interface is gone, the kernel has detached already.
    fn end(self) {
        drop(self.attachments);
        if !self.made_clsact {
            return;
        }
        let ifindex = self.link.ifindex;
        let removed = Requests::open().and_then(|mut requests| remove_empty_clsact(&mut requests, ifindex));
        if let Err(error) = removed {
            tracing::warn!(interface = self.link.name, %error, "cannot remove the clsact queueing discipline");
        }
    }
}

/// The subjects of the programs' counts, shared with the sweeper.
#[derive(Debug)]
pub struct Presences {
    /// Interfaces with hooks.
    pub interfaces: Presence,
    /// Namespaces whose drops are counted.
    pub namespaces: Presence,
}

/// Owns the programs and their attachments.
pub struct Attacher {
    object: Object,
    mode: Mode,
    interfaces: OwnedFd,
    namespaces: OwnedFd,
    tunnels: OwnedFd,
    own_namespace: u32,
    attached: BTreeMap<u32, Attached>,
    /// Namespaces in the kernel's map: inode, and the id of the only endpoint or 0.
    published_namespaces: BTreeMap<u32, u32>,
    /// Tunnel devices in the kernel's map, and their outer packets.
    published_tunnels: BTreeMap<u32, Vec<Tunnel>>,
    /// Interfaces that existed at the start. They are attached when all of them are known: the others' roles decide
    /// what a packet counts as. `None` from then on.
    waiting: Option<BTreeMap<u32, Link>>,
    unseen: Unseen,
    presences: Presences,
    hooks: Hooks,
    telemetry: Telemetry,
    /// Notified when the interfaces of the start are attached.
    synced: Option<oneshot::Sender<()>>,
}

impl Attacher {
    /// An attacher of loaded programs; tracepoints are attached at once.
    ///
    /// # Errors
    /// The object lacks a map, or this process's namespace is unreadable.
    pub fn new(
        mut object: Object,
        mode: Mode,
        presences: Presences,
        telemetry: Telemetry,
        synced: oneshot::Sender<()>,
    ) -> Result<Self, LoadError> {
        let own_namespace = network_namespace::own_inode().map_err(|source| LoadError::Namespace { source })?;
        let (interfaces, namespaces) = (object.map(map::INTERFACES)?, object.map(map::NAMESPACES)?);
        let tunnels = object.map(map::TUNNELS)?;
        let hooks = Hooks::default();
        let attached = BTreeMap::new();
        let tracepoints =
            TRACEPOINTS.map(|(name, tracepoint)| (tracepoint, attach_tracepoint(&mut object, name).err()));
        let mut attacher = Self {
            object,
            mode,
            interfaces,
            namespaces,
            tunnels,
            own_namespace,
            attached,
            published_namespaces: BTreeMap::new(),
            published_tunnels: BTreeMap::new(),
            waiting: Some(BTreeMap::new()),
            unseen: Unseen::new(telemetry.clone()),
            presences,
            hooks,
            telemetry,
            synced: Some(synced),
        };
        attacher.publish_namespaces();
        for (tracepoint, error) in tracepoints {
            attacher.report(0, "", tracepoint, error);
        }
        Ok(attacher)
    }

    /// The hooks and their state.
    pub fn hooks(&self) -> Hooks {
        self.hooks.clone()
    }

    /// Applies a change of the interfaces.
    pub fn follow(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Appeared(link) | LinkEvent::Changed(link) => self.update(link),
            LinkEvent::Gone { ifindex, .. } => self.remove(ifindex),
            LinkEvent::Synced => {
                self.waiting.take().into_iter().flatten().for_each(|(_, link)| self.update(link));
                if let Some(synced) = self.synced.take() {
                    // The receiver may be gone.
                    synced.send(()).unwrap_or_default();
                }
            }
        }
    }

    fn update(&mut self, link: Link) {
        // First the maps: a program reads them as soon as it is attached.
        self.publish_tunnels(link.ifindex, if link.role == Role::Uplink { link.tunnels.clone() } else { Vec::new() });
        if let Err(error) = sys::update(self.interfaces.as_fd(), &link.ifindex, &link.wire()) {
            tracing::warn!(interface = link.name, %error, "cannot add an interface to the kernel's map");
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.insert(link.ifindex, link);
            return;
        }
        let same = self
            .attached
            .get(&link.ifindex)
            // A failed attachment is tried again at every change: a rename may have come in between.
            .is_some_and(|attached| {
                let whole = attached.attachments.len() == 2;
                whole && attached.link.role == link.role && attached.link.l3_device == link.l3_device
            });
        if same {
            if let Some(attached) = self.attached.get_mut(&link.ifindex) {
                let old = std::mem::replace(&mut attached.link, link.clone());
                if old.name != link.name {
                    for mut state in self.hooks.remove(link.ifindex, &self.telemetry) {
                        state.interface.clone_from(&link.name);
                        self.hooks.set(link.ifindex, state, &self.telemetry);
                    }
                    self.unseen.rename(link.ifindex, &link.name);
                }
            }
        } else {
            self.detach(link.ifindex);
            self.attach(link);
        }
        self.publish_namespaces();
    }

    fn attach(&mut self, link: Link) {
        let Some(programs) = programs_of(&link) else { return };
        self.unseen.appear(link.ifindex, &link.name);
        self.presences.interfaces.arrive(link.ifindex);
        let (mut attachments, mut made_clsact) = (Vec::new(), false);
        for (name, hook, direction) in programs {
            let error = match self.attach_one(name, link.ifindex, direction, &mut made_clsact) {
                Ok(attachment) => {
                    attachments.push(attachment);
                    None
                }
                Err(error) => Some(error),
            };
            self.report(link.ifindex, &link.name, hook, error);
        }
        self.attached.insert(link.ifindex, Attached { link, attachments, made_clsact });
    }

    fn attach_one(
        &mut self,
        name: &'static str,
        ifindex: u32,
        direction: Direction,
        made_clsact: &mut bool,
    ) -> Result<Attachment, String> {
        let program = self.object.classifier(name).map_err(|error| error.to_string())?;
        let program = program.fd().map_err(|error| error_chain(&error))?.as_fd();
        Attachment::attach(self.mode, ifindex, direction, (program, name), made_clsact)
            .map_err(|error| error.to_string())
    }

    fn detach(&mut self, ifindex: u32) {
        if let Some(attached) = self.attached.remove(&ifindex) {
            attached.end();
            self.presences.interfaces.leave(ifindex, Instant::now());
            self.hooks.remove(ifindex, &self.telemetry);
        }
    }

    fn remove(&mut self, ifindex: u32) {
        if let Some(waiting) = &mut self.waiting {
            waiting.remove(&ifindex);
        }
        self.detach(ifindex);
        self.unseen.gone(ifindex);
        self.publish_tunnels(ifindex, Vec::new());
        if let Err(error) = sys::delete(self.interfaces.as_fd(), &ifindex) {
            tracing::warn!(ifindex, %error, "cannot remove an interface from the kernel's map");
        }
        self.publish_namespaces();
    }

    /// Sets the outer packets of a tunnel device; none if it is no tunnel or gone.
    fn publish_tunnels(&mut self, ifindex: u32, now: Vec<Tunnel>) {
        let before = self.published_tunnels.remove(&ifindex).unwrap_or_default();
        let others = || self.published_tunnels.values().flatten();
        for tunnel in before.iter().filter(|tunnel| !now.contains(tunnel) && !others().any(|other| other == *tunnel)) {
            warn("a tunnel", sys::delete(self.tunnels.as_fd(), tunnel));
        }
        for tunnel in now.iter().filter(|tunnel| !before.contains(tunnel)) {
            warn("a tunnel", sys::update(self.tunnels.as_fd(), tunnel, &1_u32));
        }
        if !now.is_empty() {
            self.published_tunnels.insert(ifindex, now);
        }
    }

    /// Publishes the namespaces whose drops are reported: this process's own, and those behind endpoints.
    fn publish_namespaces(&mut self) {
        let mut wanted = BTreeMap::from([(self.own_namespace, 0)]);
        for attached in self.attached.values().filter(|attached| attached.link.role == Role::Endpoint) {
            let Some(inode) = attached.link.peer.and_then(|peer| peer.inode) else { continue };
            // With several endpoints in a namespace, a drop's endpoint is unknown.
            wanted
                .entry(inode)
                .and_modify(|endpoint| *endpoint = 0)
                .or_insert_with(|| u32::from(attached.link.endpoint));
        }
        let gone: Vec<_> =
            self.published_namespaces.keys().filter(|inode| !wanted.contains_key(inode)).copied().collect();
        for inode in gone {
            warn("a namespace", sys::delete(self.namespaces.as_fd(), &inode));
            self.presences.namespaces.leave(inode, Instant::now());
        }
        for (inode, endpoint) in &wanted {
            if self.published_namespaces.get(inode) != Some(endpoint) {
                self.presences.namespaces.arrive(*inode);
                warn("a namespace", sys::update(self.namespaces.as_fd(), inode, endpoint));
            }
        }
        self.published_namespaces = wanted;
    }

    fn report(&self, ifindex: u32, interface: &str, hook: &'static str, error: Option<String>) {
        if let Some(error) = &error {
            tracing::warn!(interface, hook, error, "cannot attach to an interface; other hooks are unaffected");
        } else {
            tracing::debug!(interface, hook, mode = self.mode.name(), "attached");
        }
        self.hooks.set(ifindex, HookState { interface: interface.to_owned(), hook, error }, &self.telemetry);
    }
}

impl Drop for Attacher {
    fn drop(&mut self) {
        std::mem::take(&mut self.attached).into_values().for_each(Attached::end);
    }
}

/// Programs, hook names and directions of an interface; `None` if it gets no programs.
fn programs_of(link: &Link) -> Option<[(&'static str, &'static str, Direction); 2]> {
    use Direction::{Egress, Ingress};
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

/// Attaches a tracepoint's program, unless it is switched off or this kernel lacks what it needs.
fn attach_tracepoint(object: &mut Object, name: &'static str) -> Result<(), String> {
    if let Some(error) = object.missing(name) {
        return Err(error.to_string());
    }
    if !object.has_tracepoint(name) {
        let setting = if name == program::DROP { "datapath.drops" } else { "metadata.cgroup.enabled" };
        return Err(format!("switched off by {setting}"));
    }
    let program = object.tracepoint(name).map_err(|error| error.to_string())?;
    program.attach().map_err(|error| error_chain(&error))?;
    if name == program::SOCKET
        && let Err(error) = object.find_open_sockets()
    {
        tracing::warn!(%error, "cannot find the processes of open sockets; only new ones are named by them");
    }
    Ok(())
}

fn warn(what: &str, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "cannot update the kernel's map of {what}");
    }
}
