//! Puts the programs on interfaces as they come, tells the kernel maps about them, and lets go as they leave.

mod attachment;
mod unseen;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use eyepiece_semconv::{attribute, metric};
use eyepiece_wire::{Tunnel, map, program};
use tokio::sync::oneshot;

use self::attachment::Attachment;
use self::unseen::Unseen;
use super::links::filters::{Direction, remove_empty_clsact};
use super::links::requests::Requests;
use super::links::{Link, LinkEvent, Role};
use super::object::{self, LoadError, Object};
use super::presence::Presence;
use super::sys;
use crate::support::telemetry::{Number, Telemetry};

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
pub struct Hooks(Arc<Mutex<BTreeMap<(u32, &'static str), Reported>>>);

/// A hook's state, and the number that exports it.
type Reported = (HookState, Number);

impl Hooks {
    /// All hooks now.
    /// The index is 0 for hooks that are not an interface's.
    pub fn list(&self) -> Vec<(u32, HookState)> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.iter().map(|((ifindex, _), (state, _))| (*ifindex, state.clone())).collect()
    }

    /// Adds a hook, and counts it: by adding, as hooks that have no series of their own share one.
    fn set(&self, ifindex: u32, state: HookState, telemetry: &Telemetry) {
        let number = telemetry.gauge(metric::EYEPIECE_HOOK_ATTACHED.name, &attributes(&state));
        number.add(u64::from(state.error.is_none()));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((ifindex, state.hook), (state, number));
    }

    /// Removes the hooks of an interface, and their numbers.
    fn remove(&self, ifindex: u32, telemetry: &Telemetry) -> Vec<HookState> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = table.extract_if((ifindex, "")..(ifindex.saturating_add(1), ""), |_, _| true);
        gone.map(|(_, (state, number))| {
            number.sub(u64::from(state.error.is_none()));
            // Else another interface has the name by now.
            if number.get() == 0 {
                telemetry.remove(metric::EYEPIECE_HOOK_ATTACHED.name, &attributes(&state));
            }
            state
        })
        .collect()
    }
}

fn attributes(state: &HookState) -> [(&'static str, &str); 2] {
    [(attribute::NETWORK_INTERFACE_NAME, &state.interface), (attribute::EYEPIECE_HOOK_NAME, state.hook)]
}

struct Attached {
    link: Link,
    attachments: Vec<Attachment>,
    /// The clsact queueing discipline is our own work, so its end is too.
    made_clsact: bool,
}

impl Attached {
    /// Detaches; on a gone interface there is nothing left to detach.
    fn end(self) {
        drop(self.attachments);
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
pub struct Presences {
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
    published_namespaces: BTreeMap<u32, u32>,
    /// Tunnel devices, and what they send.
    published_tunnels: BTreeMap<u32, Vec<Tunnel>>,
    /// Interfaces that were there before us: attached when all of them are known, as packets of one are judged by what
    /// the others are. None from then on.
    waiting: Option<BTreeMap<u32, Link>>,
    unseen: Unseen,
    presences: Presences,
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
        presences: Presences,
        telemetry: Telemetry,
        synced: oneshot::Sender<()>,
    ) -> Result<Self, LoadError> {
        let own_namespace = super::links::namespaces::own_inode().map_err(|source| LoadError::Namespace { source })?;
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
        attacher.report(0, "", "kfree_skb", error.and_then(DropsError::into_text));
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
        self.publish_tunnels(link.ifindex, if link.role == Role::Uplink { link.tunnels.clone() } else { Vec::new() });
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
        let program = program.fd().map_err(|error| text(&error))?.as_fd();
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

    /// What a tunnel's device sends; nothing where it is none, or gone.
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

    /// The namespaces whose drops are ours: our own, and those behind endpoints.
    fn publish_namespaces(&mut self) {
        let mut wanted = BTreeMap::from([(self.own_namespace, 0)]);
        for attached in self.attached.values().filter(|attached| attached.link.role == Role::Endpoint) {
            let Some(inode) = attached.link.peer.and_then(|peer| peer.inode) else { continue };
            // Behind several endpoints nobody can tell which of them a drop belongs to.
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
            tracing::warn!(interface, hook, error, "cannot attach; the rest works without it");
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

/// Programs, hook names and sides of an interface; none where nothing is to be attached.
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
